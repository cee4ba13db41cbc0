//! The configuration: command line over environment over file over defaults, every setting of
//! [`settings`] by the same name in each of them.

mod check;
mod print;
pub use print::sample;
mod settings;
mod values;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use agent_api::v1::Object;
use thiserror::Error;

pub use settings::{
    Agent, ClassName, Config, Devices, Flows, Log, Memory, Objects, Setting, Tables, Timeouts, Workers,
    settings,
};
pub use values::{Listen, MaybeAddress, MemoryMode, Poll, Resolver, Seed};

/// Where the file is unless told otherwise.
pub const DEFAULT_FILE: &str = "/etc/vrouter/vrouter.toml";
/// The variable that names the file.
pub const FILE_VARIABLE: &str = "VROUTER_CONFIG";

/// Who set a setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Nobody.
    #[default]
    Default,
    /// The file.
    File,
    /// A variable of the environment.
    Environment,
    /// An option of the command line.
    CommandLine,
}

/// A configuration, and where each of its settings came from.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The settings in effect.
    pub config: Config,
    /// By path (`workers.count`): who set it. Settings that are not here have their default.
    pub sources: BTreeMap<String, Source>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// Why a configuration cannot be used, in words that name the setting and where it was set.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file's text is not acceptable.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        reason: String,
    },
    /// A variable or an option has a value that is not acceptable.
    #[error("{name}: {reason}")]
    Override {
        /// The variable or option.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Settings are acceptable by themselves, and make no sense.
    #[error("{}", problems.join("\n"))]
    Nonsense {
        /// Each names the setting.
        problems: Vec<String>,
    },
}

/// Texts by name: the environment, or the command line.
pub type Layer = BTreeMap<String, String>;

/// Reads the file (none is needed unless it is named), and puts everything together and checks it.
///
/// `options` is the command line, by setting path.
///
/// # Errors
/// The first fault, or for settings that make no sense all of them.
pub fn load(named: Option<&Path>, environment: &Layer, options: &Layer) -> Result<Loaded, ConfigError> {
    let named = named.map(Path::to_owned).or_else(|| environment.get(FILE_VARIABLE).map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    let text = match fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(ConfigError::Unreadable { path, reason: error.to_string() }),
    };
    let file = text.as_deref().map(|text| (path.as_path(), text));
    let loaded = assemble(file, environment, options)?;
    check::check(&loaded)?;
    Ok(loaded)
}

/// Puts the layers together; the result is not checked for sense.
fn assemble(
    file: Option<(&Path, &str)>,
    environment: &Layer,
    options: &Layer,
) -> Result<Loaded, ConfigError> {
    refuse_unknown(environment)?;
    let mut sources = BTreeMap::new();
    let mut table = match file {
        None => toml::Table::new(),
        Some((path, text)) => {
            let wrong = |error: toml::de::Error| {
                let reason = error.to_string().trim_end().to_owned();
                ConfigError::File { path: path.to_owned(), reason }
            };
            // Typed first: its errors know line and column, later ones do not.
            let _: Config = toml::from_str(text).map_err(wrong)?;
            toml::from_str::<toml::Table>(text).map_err(wrong)?
        }
    };
    for setting in settings() {
        let path = setting.path();
        let (text, name, source) = match (options.get(&path), environment.get(&setting.variable())) {
            (Some(text), _) => (text, format!("--{}", setting.option()), Source::CommandLine),
            (None, Some(text)) => (text, setting.variable(), Source::Environment),
            (None, None) => {
                if table.get(setting.section).is_some_and(|section| section.get(setting.key).is_some()) {
                    sources.insert(path, Source::File);
                }
                continue;
            }
        };
        let wrong = |reason: String| ConfigError::Override { name: name.clone(), reason };
        let value = (setting.read)(text).map_err(wrong)?;
        // By itself first, so that a fault is this setting's.
        let alone = toml::Table::from_iter([(setting.key.to_owned(), value.clone())]);
        let alone = toml::Table::from_iter([(setting.section.to_owned(), toml::Value::Table(alone))]);
        let _: Config =
            alone.try_into().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
        let section = table.entry(setting.section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        if let toml::Value::Table(section) = section {
            section.insert(setting.key.to_owned(), value);
        }
        sources.insert(path, source);
    }
    let config = table
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError::Nonsense { problems: vec![error.to_string()] })?;
    Ok(Loaded { config, sources, file: file.map(|(path, _)| path.to_owned()) })
}

/// A misspelt variable would be silently without effect.
fn refuse_unknown(environment: &Layer) -> Result<(), ConfigError> {
    let known = settings();
    for name in environment.keys() {
        let ours = known.iter().find(|setting| {
            name.strip_prefix("VROUTER_").is_some_and(|rest| {
                rest.strip_prefix(&setting.section.to_uppercase()).is_some_and(|rest| rest.starts_with('_'))
            })
        });
        if let Some(Setting { section, .. }) = ours
            && !known.iter().any(|setting| setting.variable() == *name)
        {
            let keys: Vec<_> =
                known.iter().filter(|setting| setting.section == *section).map(Setting::variable).collect();
            let reason = format!("there is no such setting, only {}", keys.join(", "));
            return Err(ConfigError::Override { name: name.clone(), reason });
        }
    }
    Ok(())
}

impl Loaded {
    /// Who set a setting, for messages: ` (VROUTER_WORKERS_COUNT)`.
    fn origin(&self, setting: &Setting) -> String {
        match self.sources.get(&setting.path()).unwrap_or(&Source::Default) {
            Source::Default => "default".to_owned(),
            Source::File => self.file.as_ref().map_or_else(String::new, |file| file.display().to_string()),
            Source::Environment => setting.variable(),
            Source::CommandLine => format!("--{}", setting.option()),
        }
    }
}

impl Config {
    /// The objects of the configuration: those of the files, then the inline ones.
    ///
    /// # Errors
    /// Names the file, the place in it and what is wrong there.
    pub fn objects(&self) -> Result<Vec<Object>, ConfigError> {
        let mut objects = Vec::new();
        for path in &self.objects.files {
            let text = fs::read_to_string(path)
                .map_err(|error| ConfigError::Unreadable { path: path.clone(), reason: error.to_string() })?;
            let more = agent_api::yaml::parse(&text)
                .map_err(|error| ConfigError::File { path: path.clone(), reason: error.to_string() })?;
            objects.extend(more);
        }
        for (index, table) in self.objects.inline.iter().enumerate() {
            let wrong =
                |reason: String| ConfigError::Override { name: format!("objects.inline[{index}]"), reason };
            // JSON is YAML.
            let text = serde_json::to_string(table).map_err(|error| wrong(error.to_string()))?;
            objects.extend(agent_api::yaml::parse(&text).map_err(|error| wrong(error.to_string()))?);
        }
        Ok(objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer<const N: usize>(pairs: [(&str, &str); N]) -> Layer {
        pairs.map(|(name, text)| (name.to_owned(), text.to_owned())).into()
    }

    fn with_file(text: &str) -> Result<Loaded, ConfigError> {
        assemble(Some((Path::new("/x.toml"), text)), &Layer::new(), &Layer::new())
    }

    #[test]
    fn the_command_line_wins_over_the_environment_over_the_file_over_the_default() {
        let file = "[workers]\ncount = 2\npoll = 'busy'\n[flows]\nipv4_sessions = 2048\n[timeouts]\nicmp = 7";
        let environment = layer([
            ("VROUTER_WORKERS_COUNT", "3"),
            ("VROUTER_FLOWS_IPV4_SESSIONS", "4096"),
            ("VROUTER_TIMEOUTS_TCP_ESTABLISHED", "9"),
            ("VROUTER_AGENT", "unix:///a/variable/of/vrouterctl"),
        ]);
        let options = layer([("workers.count", "4")]);
        let loaded = assemble(Some((Path::new("/x.toml"), file)), &environment, &options).unwrap();
        let config = &loaded.config;
        assert_eq!((config.workers.count, config.workers.poll), (4, Poll::Busy));
        assert_eq!(
            (config.flows.ipv4_sessions, config.flows.ipv6_sessions),
            (4096, Flows::default().ipv6_sessions)
        );
        assert_eq!(config.timeouts.seconds(flow::TimeoutClass::Icmp), 7);
        assert_eq!(config.timeouts.seconds(flow::TimeoutClass::TcpEstablished), 9);
        assert_eq!(config.timeouts.seconds(flow::TimeoutClass::Denied), 5);
        let source = |path: &str| loaded.sources.get(path).cloned().unwrap_or_default();
        assert_eq!(source("workers.count"), Source::CommandLine);
        assert_eq!(source("flows.ipv4_sessions"), Source::Environment);
        assert_eq!(source("workers.poll"), Source::File);
        assert_eq!(source("timeouts.icmp"), Source::File);
        assert_eq!(source("memory.packets"), Source::Default);
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text = with_file("[workers]\ncount = 1\ncuont = 2\n").unwrap_err().to_string();
        assert!(text.starts_with("/x.toml: ") && text.contains("line 3") && text.contains("cuont"), "{text}");
        let text = with_file("[worker]\ncount = 1\n").unwrap_err().to_string();
        assert!(text.contains("line 1") && text.contains("`worker`") && text.contains("`workers`"), "{text}");
        let text = with_file("\n[timeouts]\ntcp_estab = 1\n").unwrap_err().to_string();
        assert!(text.contains("tcp_estab") && text.contains("tcp_established"), "{text}");
    }

    #[test]
    fn a_wrong_value_is_named_with_where_it_was_set() {
        let text = with_file("[workers]\ncount = 'two'\n").unwrap_err().to_string();
        assert!(text.contains("line 2") && text.contains("two"), "{text}");
        let text = with_file("[workers]\npoll = 'lazy'\n").unwrap_err().to_string();
        assert!(text.contains("line 2") && text.contains("adaptive"), "{text}");
        let fault = |environment, options| assemble(None, &environment, &options).unwrap_err().to_string();
        let text = fault(layer([("VROUTER_WORKERS_POLL", "lazy")]), Layer::new());
        assert!(text.starts_with("VROUTER_WORKERS_POLL: ") && text.contains("adaptive"), "{text}");
        let text = fault(Layer::new(), layer([("workers.count", "70000")]));
        assert!(text.starts_with("--workers-count: ") && text.contains("70000"), "{text}");
        assert!(fault(Layer::new(), layer([("objects.inline", "x")])).contains("objects.files"));
        let text = fault(layer([("VROUTER_WORKERS_CUONT", "2")]), Layer::new());
        assert!(
            text.starts_with("VROUTER_WORKERS_CUONT: ") && text.contains("VROUTER_WORKERS_COUNT"),
            "{text}"
        );
    }

    #[test]
    fn lists_are_separated_by_commas() {
        let options = layer([
            ("agent.listen", "unix:///run/a, tcp://127.0.0.1:5"),
            ("workers.cores", "1,2"),
            ("devices.directories", ""),
        ]);
        let config = assemble(None, &Layer::new(), &options).unwrap().config;
        assert_eq!(
            config.agent.listen,
            ["unix:///run/a", "tcp://127.0.0.1:5"].map(|text| text.parse().unwrap())
        );
        assert_eq!(config.workers.cores, [1, 2]);
        assert!(config.devices.directories.is_empty());
    }

    #[test]
    fn every_setting_has_its_own_names_and_reaches_the_configuration() {
        let all = settings();
        for setting in &all {
            assert!(setting.help.iter().all(|line| !line.is_empty()), "{}", setting.path());
            assert_eq!(all.iter().filter(|other| other.option() == setting.option()).count(), 1);
            assert_eq!(all.iter().filter(|other| other.variable() == setting.variable()).count(), 1);
        }
        let written = toml::Table::try_from(Config::default()).unwrap();
        let keys: usize = written.values().map(|section| section.as_table().unwrap().len()).sum();
        assert_eq!(keys + flow::TimeoutClass::ALL.len(), all.len(), "the table and the structure agree");
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let missing = Path::new("/nonexistent/vrouter.toml");
        let text = load(Some(missing), &Layer::new(), &Layer::new()).unwrap_err().to_string();
        assert!(text.contains("/nonexistent/vrouter.toml"), "{text}");
        let environment = layer([(FILE_VARIABLE, "/nonexistent/other.toml")]);
        let text = load(None, &environment, &Layer::new()).unwrap_err().to_string();
        assert!(text.contains("/nonexistent/other.toml"), "{text}");
    }

    #[test]
    fn objects_come_from_files_and_from_the_configuration_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("objects.yaml");
        fs::write(&path, "- vrf: {id: 1, name: red}\n").unwrap();
        let text = format!(
            "[objects]\nfiles = ['{}']\n[[objects.inline]]\nvrf = {{ id = 2, name = 'blue' }}\n",
            path.display()
        );
        let objects = with_file(&text).unwrap().config.objects().unwrap();
        assert_eq!(objects.len(), 2);
        fs::write(&path, "- vrf: {id: 1, nmae: red}\n").unwrap();
        let text = with_file(&text).unwrap().config.objects().unwrap_err().to_string();
        assert!(text.contains("objects.yaml") && text.contains("nmae"), "{text}");
        let text = with_file("[[objects.inline]]\nvfr = { id = 2 }\n").unwrap().config.objects().unwrap_err();
        assert!(text.to_string().contains("objects.inline[0]"), "{text}");
    }
}
