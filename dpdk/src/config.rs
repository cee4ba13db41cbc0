//! What the environment is started with, and how that becomes EAL's command line.

use std::ffi::CString;
use std::fmt;
use std::fs;
use std::str::FromStr;

use dpdk_sys as sys;

use crate::error::EalError;

/// Where DPDK's memory comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryMode {
    /// [`InMemoryHuge`](Self::InMemoryHuge) if enough huge pages are free, else [`NoHuge`](Self::NoHuge).
    #[default]
    Auto,
    /// Huge pages from a mounted hugetlbfs. Every file is unlinked at once, so that a killed process
    /// gives its pages back.
    HugePages,
    /// Anonymous huge pages: needs no mount and no privilege.
    InMemoryHuge,
    /// Ordinary pages: slower, and of a fixed size. Works everywhere, under valgrind too.
    NoHuge,
}

/// Which PCI devices DPDK may take. A device that DPDK takes is lost to the kernel, hence none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PciDevices {
    /// DPDK does not look at the PCI bus at all.
    #[default]
    None,
    /// These are probed at start; others can be attached later.
    Allowed(Vec<PciAddress>),
}

/// The least severe messages that are forwarded to `tracing`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Failures only. Reasons of errors may then be missing: DPDK logs some of them as warnings.
    Error,
    /// And what looks wrong.
    Warning,
    /// And what an operator wants to know.
    #[default]
    Notice,
    /// And what helps to understand.
    Info,
    /// Everything.
    Debug,
}

/// How to start DPDK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EalConfig {
    /// Where memory comes from.
    pub memory: MemoryMode,
    /// Megabytes to start with. [`MemoryMode::NoHuge`] cannot grow beyond it; the other modes take more
    /// huge pages when they are needed.
    pub memory_mb: u32,
    /// Names the run-time directory, with the process id appended: several instances on one machine
    /// do not meet. Letters, digits, `_` and `-`, at most 32.
    pub file_prefix: String,
    /// Which PCI devices may be taken.
    pub pci: PciDevices,
    /// What is forwarded to `tracing`.
    pub log_level: LogLevel,
    /// Whether to serve DPDK's telemetry socket in the run-time directory.
    pub telemetry: bool,
}

impl Default for EalConfig {
    fn default() -> Self {
        Self {
            memory: MemoryMode::Auto,
            memory_mb: 256,
            file_prefix: "vrouter".to_owned(),
            pci: PciDevices::None,
            log_level: LogLevel::Notice,
            telemetry: false,
        }
    }
}

/// A device on the PCI bus: `domain:bus:device.function`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

/// A text that is not a PCI address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a PCI address like 0000:03:00.0")]
pub struct NotAPciAddress;

impl FromStr for PciAddress {
    type Err = NotAPciAddress;

    /// Reads `0000:03:00.0`, or `03:00.0` for domain 0; hexadecimal.
    fn from_str(text: &str) -> Result<Self, NotAPciAddress> {
        let number = |digits: &str, most: usize| {
            let plain =
                !digits.is_empty() && digits.len() <= most && digits.bytes().all(|b| b.is_ascii_hexdigit());
            if plain {
                u32::from_str_radix(digits, 16).map_err(|_| NotAPciAddress)
            } else {
                Err(NotAPciAddress)
            }
        };
        let mut parts: Vec<&str> = text.split(':').collect();
        if parts.len() == 2 {
            parts.insert(0, "0");
        }
        let [domain, bus, rest] = parts[..] else { return Err(NotAPciAddress) };
        let (device, function) = rest.split_once('.').ok_or(NotAPciAddress)?;
        let small = |value: u32, limit: u32| match u8::try_from(value) {
            Ok(byte) if value < limit => Ok(byte),
            _ => Err(NotAPciAddress),
        };
        Ok(Self {
            domain: number(domain, 8)?,
            bus: small(number(bus, 2)?, 256)?,
            device: small(number(device, 2)?, 32)?,
            function: small(number(function, 1)?, 8)?,
        })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

impl LogLevel {
    fn number(self) -> u32 {
        match self {
            Self::Error => sys::RTE_LOG_ERR,
            Self::Warning => sys::RTE_LOG_WARNING,
            Self::Notice => sys::RTE_LOG_NOTICE,
            Self::Info => sys::RTE_LOG_INFO,
            Self::Debug => sys::RTE_LOG_DEBUG,
        }
    }
}

impl EalConfig {
    /// The mode that [`MemoryMode::Auto`] stands for on this machine, now.
    #[must_use]
    pub fn resolved_memory(&self) -> MemoryMode {
        match self.memory {
            MemoryMode::Auto if free_huge_page_bytes() >= u64::from(self.memory_mb) << 20 => {
                MemoryMode::InMemoryHuge
            }
            MemoryMode::Auto => MemoryMode::NoHuge,
            chosen => chosen,
        }
    }

    /// The run-time directory's name.
    pub(crate) fn unique_prefix(&self) -> String {
        format!("{}-{}", self.file_prefix, std::process::id())
    }

    /// EAL's command line, the program's name included, for `memory` as resolved and the CPUs that the
    /// caller may run on.
    pub(crate) fn arguments(&self, memory: MemoryMode, cpus: &[usize]) -> Result<Vec<CString>, EalError> {
        let invalid = |field, reason: &str| EalError::Invalid { field, reason: reason.to_owned() };
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if self.file_prefix.is_empty() || self.file_prefix.len() > 32 || !self.file_prefix.bytes().all(plain)
        {
            return Err(invalid("file_prefix", "must be 1 to 32 letters, digits, '_' or '-'"));
        }
        if self.memory_mb == 0 || self.memory_mb > 1 << 20 {
            return Err(invalid("memory_mb", "must be 1 to 1048576"));
        }
        // Not one CPU: threads that EAL starts, and their children, would be pinned to it.
        let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
        let mut arguments = vec![
            "vrouter".to_owned(),
            format!("--file-prefix={}", self.unique_prefix()),
            format!("--lcores=0@({})", cpus.join(",")),
            format!("--log-level={}", self.log_level.number()),
            "-m".to_owned(),
            self.memory_mb.to_string(),
        ];
        let mut add = |texts: &[&str]| arguments.extend(texts.iter().map(|&text| text.to_owned()));
        match memory {
            // A peer over vhost-user maps our memory: few files, as it takes at most eight.
            MemoryMode::InMemoryHuge | MemoryMode::Auto => add(&["--in-memory", "--single-file-segments"]),
            MemoryMode::HugePages => add(&["--huge-unlink=always"]),
            MemoryMode::NoHuge => add(&["--no-huge", "--no-shconf"]),
        }
        if !self.telemetry {
            add(&["--no-telemetry"]);
        }
        match &self.pci {
            PciDevices::None => add(&["--no-pci"]),
            // An empty list would mean all of them: allow one that cannot exist.
            PciDevices::Allowed(list) if list.is_empty() => add(&["--allow=ffff:ff:1f.7"]),
            PciDevices::Allowed(list) => {
                arguments.extend(list.iter().map(|address| format!("--allow={address}")))
            }
        }
        arguments
            .into_iter()
            .map(|text| CString::new(text).map_err(|_| invalid("file_prefix", "contains a zero byte")))
            .collect()
    }
}

/// Free huge pages of all sizes, in bytes.
fn free_huge_page_bytes() -> u64 {
    let Ok(sizes) = fs::read_dir("/sys/kernel/mm/hugepages") else { return 0 };
    sizes
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let kilobytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let free: u64 =
                fs::read_to_string(entry.path().join("free_hugepages")).ok()?.trim().parse().ok()?;
            Some(free * (kilobytes << 10))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(config: &EalConfig, memory: MemoryMode) -> String {
        let arguments = config.arguments(memory, &[0, 2]).unwrap();
        arguments.iter().map(|text| text.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_default_never_touches_a_pci_device() {
        assert!(line(&EalConfig::default(), MemoryMode::NoHuge).ends_with("--no-telemetry --no-pci"));
    }

    #[test]
    fn an_empty_list_of_pci_devices_allows_none_at_start() {
        let config = EalConfig { pci: PciDevices::Allowed(vec![]), ..EalConfig::default() };
        assert!(line(&config, MemoryMode::NoHuge).contains("--allow=ffff:ff:1f.7"));
        let two = ["03:00.0", "0000:03:00.1"].map(|text| text.parse().unwrap());
        let config = EalConfig { pci: PciDevices::Allowed(two.to_vec()), ..EalConfig::default() };
        assert!(line(&config, MemoryMode::NoHuge).ends_with("--allow=0000:03:00.0 --allow=0000:03:00.1"));
    }

    #[test]
    fn memory_modes_have_their_options() {
        let config = EalConfig { memory_mb: 77, telemetry: true, ..EalConfig::default() };
        let common = "--lcores=0@(0,2) --log-level=6 -m 77";
        for (mode, options) in [
            (MemoryMode::InMemoryHuge, "--in-memory --single-file-segments --no-pci"),
            (MemoryMode::HugePages, "--huge-unlink=always --no-pci"),
            (MemoryMode::NoHuge, "--no-huge --no-shconf --no-pci"),
        ] {
            assert!(line(&config, mode).ends_with(&format!("{common} {options}")), "{mode:?}");
        }
    }

    #[test]
    fn a_file_prefix_with_other_text_is_refused_by_name() {
        for bad in ["", "a b", "a/b", "a\0", "a,b=c", &"x".repeat(33)] {
            let config = EalConfig { file_prefix: bad.to_owned(), ..EalConfig::default() };
            let result = config.arguments(MemoryMode::NoHuge, &[0]);
            assert!(matches!(result, Err(EalError::Invalid { field: "file_prefix", .. })), "{bad}");
        }
    }

    #[test]
    fn pci_addresses_are_read_and_written() {
        for (text, canonical) in
            [("0000:03:00.0", "0000:03:00.0"), ("a:1F.7", "0000:0a:1f.7"), ("10000:0:0.0", "10000:00:00.0")]
        {
            assert_eq!(text.parse::<PciAddress>().unwrap().to_string(), canonical);
        }
        for bad in [
            "",
            "0000:03:00",
            "0000:03:20.0",
            "0000:03:00.8",
            "0000:03:00.0,x=1",
            "+1:03:00.0",
            "1:2:3:4.5",
            "0000:100:00.0",
        ] {
            assert_eq!(bad.parse::<PciAddress>(), Err(NotAPciAddress), "{bad}");
        }
    }
}
