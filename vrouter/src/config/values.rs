//! The types of settings that are more than a number or a text.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Text to and from a type, as the file, the environment and the command line have it.
macro_rules! as_text {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    };
}

/// A setting that is one of a few words.
macro_rules! words {
    ($(#[doc = $help:literal])+ $type:ident $default:ident { $(#[doc = $word_help:literal] $variant:ident $word:literal,)+ }) => {
        $(#[doc = $help])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $type {
            $(#[doc = $word_help] $variant,)+
        }
        impl Default for $type {
            fn default() -> Self {
                Self::$default
            }
        }
        impl FromStr for $type {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("{text:?} is none of {}", [$($word),+].join(", "))),
                }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)+ })
            }
        }
        as_text!($type);
    };
}

words! {
    /// What a worker does while no packet comes.
    Poll Auto {
        /// Busy on CPUs that the kernel keeps free for us (`isolcpus`), else adaptive.
        Auto "auto",
        /// It polls all the time.
        Busy "busy",
        /// It polls, then pauses, then sleeps in steps of up to 200 microseconds.
        Adaptive "adaptive",
    }
}

words! {
    /// Where packet memory comes from.
    MemoryMode Auto {
        /// Anonymous huge pages if enough are free, else ordinary pages.
        Auto "auto",
        /// Huge pages of a mounted hugetlbfs.
        HugePages "hugepages",
        /// Anonymous huge pages: no mount is needed.
        InMemory "in-memory",
        /// Ordinary pages.
        NoHuge "no-huge",
    }
}

/// Where the agent API is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Listen {
    /// A UNIX socket.
    Unix(PathBuf),
    /// TCP.
    Tcp(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("{text:?} is neither unix:///path/of/socket nor tcp://address:port");
        if let Some(path) = text.strip_prefix("unix://") {
            // What sockaddr_un holds.
            let fits = path.starts_with('/') && !path.ends_with('/') && path.len() <= 107;
            return if fits { Ok(Self::Unix(path.into())) } else { Err(wanted()) };
        }
        let address = text.strip_prefix("tcp://").ok_or_else(wanted)?;
        address.parse().map(Self::Tcp).map_err(|_| wanted())
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

as_text!(Listen);

/// An address and port, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MaybeAddress(pub Option<SocketAddr>);

impl FromStr for MaybeAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let address =
            text.parse().map_err(|_| format!("{text:?} is no address:port such as 127.0.0.1:9470"))?;
        Ok(Self(Some(address)))
    }
}

impl fmt::Display for MaybeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |address| address.fmt(f))
    }
}

as_text!(MaybeAddress);

/// Where names are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Resolver(pub SocketAddr);

impl FromStr for Resolver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        crate::services::resolver(text).map(Self)
    }
}

impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

as_text!(Resolver);

/// What keys the hashes of sessions and of entropy ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Seed {
    /// Another one at every start: nobody outside can aim at one bucket.
    #[default]
    Random,
    /// Always this one, for tests that compare bytes.
    Fixed(u64),
}

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "random" => Ok(Self::Random),
            number => number
                .parse()
                .map(Self::Fixed)
                .map_err(|_| format!("{text:?} is neither random nor a number")),
        }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Random => f.write_str("random"),
            Self::Fixed(number) => number.fmt(f),
        }
    }
}

as_text!(Seed);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_reads_back_as_it_is_printed() {
        for text in ["unix:///run/vrouter/agent.sock", "tcp://127.0.0.1:50051", "tcp://[::1]:1"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for text in ["auto", "busy", "adaptive"] {
            assert_eq!(text.parse::<Poll>().unwrap().to_string(), text);
        }
        for text in ["auto", "hugepages", "in-memory", "no-huge"] {
            assert_eq!(text.parse::<MemoryMode>().unwrap().to_string(), text);
        }
        for text in ["random", "0", "18446744073709551615"] {
            assert_eq!(text.parse::<Seed>().unwrap().to_string(), text);
        }
        for text in ["", "127.0.0.1:9470"] {
            assert_eq!(text.parse::<MaybeAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_refused_says_what_would_do() {
        for bad in
            ["", "/run/x", "unix://run/x", "unix:///", "unix:///run/", "tcp://localhost:1", "tcp://127.0.0.1"]
        {
            let text = bad.parse::<Listen>().unwrap_err();
            assert!(text.contains("tcp://address:port"), "{bad}: {text}");
        }
        assert!(format!("unix:///{}", "x".repeat(107)).parse::<Listen>().is_err());
        assert!("fast".parse::<Poll>().unwrap_err().contains("auto, busy, adaptive"));
        assert!("-1".parse::<Seed>().is_err());
        assert!("9470".parse::<MaybeAddress>().is_err());
    }
}
