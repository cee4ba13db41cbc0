//! What must hold between settings.

use std::path::Path;

use super::settings::Config;
use super::{ConfigError, Listen, Loaded, settings};

/// Most workers: each has a sixteenth of the identification space of outer IPv4 headers.
const MOST_WORKERS: usize = 16;

/// Refuses what makes no sense; every problem is named, with where it was set.
pub(super) fn check(loaded: &Loaded) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    find(&loaded.config, &mut |path, reason| {
        let origin =
            settings().iter().find(|setting| setting.path() == path).map(|setting| loaded.origin(setting));
        problems.push(format!("{path} ({}): {reason}", origin.unwrap_or_default()));
    });
    if problems.is_empty() { Ok(()) } else { Err(ConfigError::Nonsense { problems }) }
}

fn find(config: &Config, wrong: &mut dyn FnMut(&str, String)) {
    agent(config, wrong);
    let workers = &config.workers;
    if workers.cores.is_empty() && !(1..=MOST_WORKERS).contains(&usize::from(workers.count)) {
        wrong("workers.count", format!("must be 1 to {MOST_WORKERS}"));
    }
    let mut cores = workers.cores.clone();
    cores.sort_unstable();
    cores.dedup();
    if cores.len() != workers.cores.len() {
        wrong("workers.cores", "names a CPU twice".to_owned());
    }
    if cores.len() > MOST_WORKERS {
        wrong("workers.cores", format!("names more than {MOST_WORKERS} CPUs"));
    }
    let memory = &config.memory;
    if !(16..=1 << 20).contains(&memory.megabytes) {
        wrong("memory.megabytes", "must be 16 to 1048576".to_owned());
    }
    if !(1023..=1 << 24).contains(&memory.packets) {
        wrong("memory.packets", "must be 1023 to 16777216".to_owned());
    }
    if !(1518..=16_384).contains(&memory.frame) {
        wrong("memory.frame", "must be 1518 to 16384".to_owned());
    }
    for directory in &config.devices.directories {
        if !directory.is_absolute() || directory.parent().is_none() {
            wrong(
                "devices.directories",
                format!("{}: must be an absolute path, and not /", directory.display()),
            );
        }
    }
    #[cfg(feature = "dpdk")]
    for address in &config.devices.pci {
        if let Err(error) = address.parse::<dpdk::PciAddress>() {
            wrong("devices.pci", format!("{address:?}: {error}"));
        }
    }
    for (path, sessions) in [
        ("flows.ipv4_sessions", config.flows.ipv4_sessions),
        ("flows.ipv6_sessions", config.flows.ipv6_sessions),
    ] {
        if !(1024..=1 << 26).contains(&sessions) {
            wrong(path, "must be 1024 to 67108864".to_owned());
        }
    }
    for setting in settings().iter().filter(|setting| setting.section == "timeouts") {
        let class = flow::TimeoutClass::ALL.iter().find(|class| class.name() == setting.key);
        let seconds = class.map_or(1, |&class| config.timeouts.seconds(class));
        if !(1..=31_536_000).contains(&seconds) {
            wrong(&setting.path(), "must be 1 second to a year".to_owned());
        }
    }
    if let Err(error) = tracing_subscriber::EnvFilter::try_new(&config.log.level) {
        wrong("log.level", error.to_string());
    }
}

fn agent(config: &Config, wrong: &mut dyn FnMut(&str, String)) {
    let agent = &config.agent;
    let files = [
        ("agent.tls_certificate", &agent.tls_certificate),
        ("agent.tls_key", &agent.tls_key),
        ("agent.tls_client_ca", &agent.tls_client_ca),
    ];
    let given = files.iter().filter(|(_, path)| **path != *Path::new("")).count();
    for (setting, path) in files {
        if given > 0 && *path == *Path::new("") {
            wrong(
                setting,
                "certificate, key and client authority go together: this one is missing".to_owned(),
            );
        } else if given > 0
            && let Err(error) = std::fs::File::open(path)
        {
            wrong(setting, format!("{}: {error}", path.display()));
        }
    }
    if agent.listen.is_empty() {
        wrong("agent.listen", "without an address no controller can reach the vRouter".to_owned());
    }
    for (index, listen) in agent.listen.iter().enumerate() {
        if agent.listen.iter().take(index).any(|other| other == listen) {
            wrong("agent.listen", format!("{listen} is there twice"));
        }
        match listen {
            Listen::Tcp(address) if !address.ip().is_loopback() && given < files.len() => {
                let reason = "is open to others, so controllers must prove who they are: set agent.tls_certificate, \
                              agent.tls_key and agent.tls_client_ca, or listen on loopback";
                wrong("agent.listen", format!("{listen} {reason}"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::{Layer, assemble};
    use super::*;

    fn problems(text: &str) -> String {
        let loaded = assemble(Some((Path::new("/x.toml"), text)), &Layer::new(), &Layer::new()).unwrap();
        check(&loaded).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn the_defaults_make_sense() {
        assert_eq!(problems(""), "");
    }

    #[test]
    fn tcp_that_others_can_reach_needs_certificates() {
        let open = "[agent]\nlisten = ['tcp://0.0.0.0:50051']\n";
        assert!(problems(open).contains("agent.listen (/x.toml): tcp://0.0.0.0:50051 is open to others"));
        assert_eq!(problems("[agent]\nlisten = ['tcp://127.0.0.1:50051', 'tcp://[::1]:50051']\n"), "");
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, "").unwrap();
            path.display().to_string()
        };
        let (certificate, key, authority) = (file("a"), file("b"), file("c"));
        let with = format!("{open}tls_certificate = '{certificate}'\ntls_key = '{key}'\n");
        assert!(problems(&with).contains("agent.tls_client_ca (default): "), "{}", problems(&with));
        assert_eq!(problems(&format!("{with}tls_client_ca = '{authority}'\n")), "");
        assert!(
            problems(&format!("{with}tls_client_ca = '/nonexistent'\n"))
                .contains("/nonexistent: No such file")
        );
    }

    #[test]
    fn each_bad_number_is_named_and_all_are_told_at_once() {
        let text = problems(
            "[workers]\ncount = 17\n[memory]\nmegabytes = 3\npackets = 1000\nframe = 1500\n\
             [flows]\nipv4_sessions = 9\n[timeouts]\nicmp = 0\n[log]\nlevel = 'a=b=c'\n",
        );
        let expected = [
            "workers.count",
            "memory.megabytes",
            "memory.packets",
            "memory.frame",
            "flows.ipv4_sessions",
            "timeouts.icmp",
            "log.level",
        ];
        for setting in expected {
            assert!(text.contains(&format!("{setting} (/x.toml): ")), "{setting} in {text}");
        }
        assert_eq!(text.lines().count(), expected.len(), "{text}");
    }

    #[test]
    fn cores_are_named_once_each() {
        assert!(problems("[workers]\ncores = [1, 2, 1]\n").contains("twice"));
        assert_eq!(problems("[workers]\ncount = 99\ncores = [3]\n"), "", "the count does not matter then");
        let many: Vec<String> = (0..17).map(|core| core.to_string()).collect();
        assert!(problems(&format!("[workers]\ncores = [{}]\n", many.join(","))).contains("more than 16"));
    }

    #[test]
    fn relative_directories_and_the_root_are_refused() {
        assert!(problems("[devices]\ndirectories = ['run']\n").contains("run: must be an absolute path"));
        assert!(problems("[devices]\ndirectories = ['/']\n").contains("/: must be"));
        assert!(problems("[agent]\nlisten = []\n").contains("agent.listen"));
        assert!(problems("[agent]\nlisten = ['unix:///a', 'unix:///a']\n").contains("twice"));
    }

    #[cfg(feature = "dpdk")]
    #[test]
    fn a_pci_address_is_checked() {
        assert!(problems("[devices]\npci = ['eth0']\n").contains("devices.pci (/x.toml): \"eth0\""));
        assert_eq!(problems("[devices]\npci = ['0000:03:00.0']\n"), "");
    }
}
