//! Every setting, once: its name, meaning, type and default. The file's sections, the environment's
//! variables, the command line's options, their help and the sample file all come from this table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flow::TimeoutClass;
use serde::{Deserialize, Serialize};

use super::values::{Listen, MaybeAddress, MemoryMode, Poll, Resolver, Seed};

/// One setting as the environment and the command line know it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The section of the file: `workers`.
    pub section: &'static str,
    /// The key in that section: `count`.
    pub key: &'static str,
    /// What it means, line by line.
    pub help: Vec<&'static str>,
    /// How a text becomes its value.
    pub(super) read: fn(&str) -> Result<toml::Value, String>,
}

impl Setting {
    /// `workers.count`
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    /// `VROUTER_WORKERS_COUNT`
    #[must_use]
    pub fn variable(&self) -> String {
        format!("VROUTER_{}_{}", self.section, self.key).to_uppercase()
    }

    /// `workers-count`
    #[must_use]
    pub fn option(&self) -> String {
        format!("{}-{}", self.section, self.key).replace('_', "-")
    }
}

/// A type whose values can be written in a variable or on the command line.
trait Text {
    fn read(text: &str) -> Result<toml::Value, String>;
}

impl Text for u32 {
    fn read(text: &str) -> Result<toml::Value, String> {
        text.parse().map(toml::Value::Integer).map_err(|_| format!("{text:?} is no number"))
    }
}

impl Text for u16 {
    fn read(text: &str) -> Result<toml::Value, String> {
        u32::read(text)
    }
}

macro_rules! plain_text {
    ($($type:ty)+) => {
        $(impl Text for $type {
            fn read(text: &str) -> Result<toml::Value, String> {
                Ok(toml::Value::String(text.to_owned()))
            }
        })+
    };
}

plain_text!(String PathBuf Listen MaybeAddress MemoryMode Poll Resolver Seed);

/// Lists are separated by commas; an empty text is an empty list.
impl<T: Text> Text for Vec<T> {
    fn read(text: &str) -> Result<toml::Value, String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(T::read).collect::<Result<_, _>>().map(toml::Value::Array)
    }
}

/// Objects are written in files only.
impl Text for Vec<toml::Table> {
    fn read(_: &str) -> Result<toml::Value, String> {
        Err("objects are written in the file, or in a file that objects.files names".to_owned())
    }
}

macro_rules! sections {
    ($($(#[doc = $section_help:literal])+ $section:ident $Section:ident {
        $($(#[doc = $help:literal])+ $key:ident: $type:ty = $default:expr,)+
    })+) => {
        /// Everything that can be set.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Config {
            $($(#[doc = $section_help])+ pub $section: $Section,)+
            /// Seconds that a silent session is kept, by class.
            pub timeouts: Timeouts,
        }

        $(
            $(#[doc = $section_help])+
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            pub struct $Section {
                $($(#[doc = $help])+ pub $key: $type,)+
            }
            impl Default for $Section {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// Every setting, in the order of the sample file.
        #[must_use]
        pub fn settings() -> Vec<Setting> {
            let mut all = vec![$($(Setting {
                section: stringify!($section),
                key: stringify!($key),
                help: vec![$($help.trim_ascii()),+],
                read: <$type as Text>::read,
            },)+)+];
            all.extend(TimeoutClass::ALL.iter().map(|class| Setting {
                section: "timeouts",
                key: class.name(),
                help: vec![class.help()],
                read: u32::read,
            }));
            all
        }

        /// What a section is about, line by line.
        pub(super) fn section_help(name: &str) -> &'static [&'static str] {
            match name {
                $(stringify!($section) => &[$($section_help),+],)+
                _ => &[" Seconds that a silent session is kept."],
            }
        }
    };
}

sections! {
    /// The agent API: where controllers reach this vRouter.
    agent Agent {
        /// Where to listen: unix:///path (mode 0660) and tcp://address:port. TCP on anything but loopback
        /// needs the three TLS files below.
        listen: Vec<Listen> = vec![Listen::Unix("/run/vrouter/agent.sock".into())],
        /// The server's certificate chain, PEM.
        tls_certificate: PathBuf = PathBuf::new(),
        /// Its private key, PEM.
        tls_key: PathBuf = PathBuf::new(),
        /// The authority that signs controllers' certificates, PEM: only they are let in.
        tls_client_ca: PathBuf = PathBuf::new(),
        /// Where to serve metrics as Prometheus text, without encryption; empty = nowhere.
        metrics: MaybeAddress = MaybeAddress(None),
    }
    /// Threads that forward packets.
    workers Workers {
        /// How many, 1 to 16. Ignored if cores are named.
        count: u16 = 1,
        /// One worker pinned to each of these CPUs; empty = not pinned.
        cores: Vec<u16> = vec![],
        /// What a worker does while no packet comes: auto, busy or adaptive. Adaptive: poll for 50 microseconds,
        /// pause up to 1 millisecond, then sleep in steps of 20 to 200 microseconds. Auto: busy on isolated
        /// CPUs, else adaptive.
        poll: Poll = Poll::Auto,
    }
    /// Packet memory.
    memory Memory {
        /// auto (huge pages if enough are free), hugepages (a mounted hugetlbfs), in-memory (huge pages
        /// without a mount) or no-huge.
        mode: MemoryMode = MemoryMode::Auto,
        /// Megabytes that DPDK starts with; with no-huge it is all there will ever be.
        megabytes: u32 = 256,
        /// Packet buffers, all devices together. A power of two less one uses memory best.
        packets: u32 = 32_767,
        /// Bytes of the longest frame that is received whole.
        frame: u16 = 2_048,
    }
    /// What devices may be.
    devices Devices {
        /// Sockets and capture files are opened under these directories only.
        directories: Vec<PathBuf> = vec!["/run/vrouter".into(), "/var/lib/vrouter".into()],
        /// PCI devices that DPDK may take, like 0000:03:00.0; the kernel loses them.
        pci: Vec<String> = vec![],
    }
    /// The session table: fixed at start, every session has its memory.
    flows Flows {
        /// IPv4 sessions.
        ipv4_sessions: u32 = 131_072,
        /// IPv6 sessions.
        ipv6_sessions: u32 = 32_768,
        /// What keys the hashes: random, or a number where tests compare bytes.
        entropy_seed: Seed = Seed::Random,
    }
    /// What is served to workloads: DHCP, router advertisements, DNS. The rest is each interface's own configuration.
    services Services {
        /// Resolvers that workloads' queries go to if their interface names none: addresses, or address:port.
        /// Empty = the nameservers of /etc/resolv.conf, read at start.
        resolvers: Vec<Resolver> = vec![],
    }
    /// Limits of the tables that controllers fill; a batch that exceeds one is refused by name.
    tables Tables {
        /// Routes, all VRFs together, every origin counted.
        routes: u32 = 4_000_000,
    }
    /// Objects of the configuration itself: there before any controller speaks, read-only to controllers.
    objects Objects {
        /// YAML files with objects as vrouterctl applies them.
        files: Vec<PathBuf> = vec![],
        /// Objects written here, each as [[objects.inline]] with one kind: interface = { id = 1, ... }
        inline: Vec<toml::Table> = vec![],
    }
    /// What is logged, to standard error.
    log Log {
        /// error, warn, info, debug or trace; or by part: "info,vrouter::control=debug,dpdk=warn".
        level: String = "info".to_owned(),
    }
}

/// Seconds by timeout class; a class that is not named keeps its default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeouts(pub BTreeMap<ClassName, u32>);

/// The name of a timeout class: `tcp_established`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClassName(String);

impl TryFrom<String> for ClassName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = TimeoutClass::ALL.iter().map(|class| class.name());
        if known.clone().any(|known| known == name) {
            return Ok(Self(name));
        }
        Err(format!("unknown field `{name}`, expected one of {}", known.collect::<Vec<_>>().join(", ")))
    }
}

impl From<ClassName> for String {
    fn from(name: ClassName) -> Self {
        name.0
    }
}

impl Timeouts {
    /// The timeout of a class, in seconds.
    #[must_use]
    pub fn seconds(&self, class: TimeoutClass) -> u64 {
        let configured = self.0.get(&ClassName(class.name().to_owned())).map(|&seconds| u64::from(seconds));
        configured.unwrap_or_else(|| class.default_timeout().as_secs())
    }
}
