//! The configuration as text: the one in effect, and the sample file.

use std::fmt::Write as _;

use super::settings::{Config, section_help, settings};
use super::{Loaded, Source};

impl Loaded {
    /// The configuration in effect as a file that would lead to it, with who set what.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let written = written(&self.config);
        let mut section = "";
        for setting in settings() {
            if setting.section != section {
                section = setting.section;
                let gap = if text.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}[{section}]");
            }
            let Some(value) = value(&written, section, setting.key) else { continue };
            let line = format!("{} = {value}", setting.key);
            match self.sources.get(&setting.path()) {
                None | Some(Source::Default) => drop(writeln!(text, "{line}")),
                Some(_) => drop(writeln!(text, "{line:<40} # {}", self.origin(&setting))),
            }
        }
        text
    }
}

/// The sample file: every setting explained, with its default, commented out.
#[must_use]
pub fn sample() -> String {
    let mut text = String::from(
        "# The vRouter's configuration. Every line that starts with \"#\" and a key shows the default.\n\
         # A variable VROUTER_SECTION_KEY wins over this file, an option --section-key over both.\n",
    );
    let written = written(&Config::default());
    let mut section = "";
    for setting in settings() {
        if setting.section != section {
            section = setting.section;
            text.push('\n');
            for line in section_help(section) {
                let _ = writeln!(text, "#{line}");
            }
            let _ = writeln!(text, "[{section}]");
        }
        for line in &setting.help {
            let _ = writeln!(text, "# {line}");
        }
        if let Some(value) = value(&written, section, setting.key) {
            let _ = writeln!(text, "#{} = {value}", setting.key);
        }
    }
    text
}

/// The configuration with every timeout written out.
fn written(config: &Config) -> toml::Table {
    let mut table = toml::Table::try_from(config).unwrap_or_default();
    let timeouts = flow::TimeoutClass::ALL.iter().map(|&class| {
        let seconds = i64::try_from(config.timeouts.seconds(class)).unwrap_or(i64::MAX);
        (class.name().to_owned(), toml::Value::Integer(seconds))
    });
    table.insert("timeouts".to_owned(), toml::Value::Table(timeouts.collect()));
    table
}

fn value<'a>(table: &'a toml::Table, section: &str, key: &str) -> Option<&'a toml::Value> {
    table.get(section)?.get(key)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Layer, Poll, Seed, assemble};
    use super::*;

    #[test]
    fn what_is_printed_leads_to_the_same_configuration() {
        let mut loaded = Loaded::default();
        loaded.config.workers.cores = vec![1, 3];
        loaded.config.workers.poll = Poll::Busy;
        loaded.config.flows.entropy_seed = Seed::Fixed(7);
        loaded.config.objects.inline = vec![toml::from_str("vrf = { id = 1, name = 'red' }").unwrap()];
        loaded.sources.insert("workers.poll".to_owned(), Source::Environment);
        let text = loaded.to_text();
        assert!(text.contains("poll = \"busy\"") && text.contains("# VROUTER_WORKERS_POLL\n"), "{text}");
        let again = assemble(Some((Path::new("x"), &text)), &Layer::new(), &Layer::new()).unwrap();
        let mut expected = loaded.config;
        expected.timeouts = again.config.timeouts.clone();
        assert_eq!(again.config, expected);
        for &class in flow::TimeoutClass::ALL {
            assert_eq!(again.config.timeouts.seconds(class), class.default_timeout().as_secs());
        }
    }

    #[test]
    fn the_sample_with_every_key_switched_on_is_the_default() {
        let on: String = sample()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{rest}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let loaded = assemble(Some((Path::new("x"), &on)), &Layer::new(), &Layer::new()).unwrap();
        assert_eq!(loaded.sources.len(), settings().len(), "all of them are in the file");
        assert_eq!(
            loaded.to_text().replace(" # x\n", "\n").replace(' ', ""),
            Loaded::default().to_text().replace(' ', "")
        );
    }

    #[test]
    fn the_sample_in_the_repository_is_the_one_that_the_program_prints() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/vrouter.toml");
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(
            kept == sample(),
            "run: cargo run -p vrouter --bin vrouterd -- --print-sample > scripts/vrouter.toml"
        );
    }
}
