//! DPDK's log: forwarded to `tracing` (target `dpdk`), and remembered for a while, because it is often
//! the only place where DPDK says why something failed.

use std::collections::VecDeque;
use std::ffi::{CStr, c_char};
use std::panic::catch_unwind;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dpdk_sys as sys;

const REMEMBERED: usize = 64;
/// Lines that say only that the lines before them happened.
const ECHOES: [&str; 4] = [
    "Driver cannot attach the device",
    "Failed to attach device on primary process",
    "failed to initialize",
    "Failed to hotplug add device",
];

struct Recent {
    /// Lines of level warning and worse that were ever logged.
    total: u64,
    lines: VecDeque<String>,
}

static RECENT: Mutex<Recent> = Mutex::new(Recent { total: 0, lines: VecDeque::new() });

fn recent() -> MutexGuard<'static, Recent> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A point in the log, to ask later what was logged after it.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u64);

impl Mark {
    pub(crate) fn now() -> Self {
        Self(recent().total)
    }

    /// What was logged since, at most three lines; else the text of `code`, a negative or positive errno.
    pub(crate) fn reason(self, code: i32) -> String {
        let recent = recent();
        let new = usize::try_from(recent.total - self.0).unwrap_or(REMEMBERED).min(recent.lines.len());
        let mut lines: Vec<&str> = Vec::new();
        for line in recent.lines.iter().skip(recent.lines.len() - new) {
            let echo = ECHOES.iter().any(|echo| line.contains(echo));
            if !echo && lines.len() < 3 && !lines.contains(&line.as_str()) {
                lines.push(line);
            }
        }
        if lines.is_empty() { error_text(code) } else { lines.join("; ") }
    }
}

/// The text of an errno, of either sign.
pub(crate) fn error_text(code: i32) -> String {
    // SAFETY: charter 5; rte_strerror returns a NUL-terminated thread-local or static string, copied at once.
    let text = unsafe { CStr::from_ptr(sys::rte_strerror(code.wrapping_abs())) };
    text.to_string_lossy().into_owned()
}

/// Routes DPDK's log here. Before `rte_eal_init`, so that its own errors are seen.
pub(crate) fn install() -> Result<(), i32> {
    // SAFETY: `sink` is callable from any thread at any time and does not unwind.
    match unsafe { sys::shim_log_open(Some(sink)) } {
        0 => Ok(()),
        code => Err(code),
    }
}

unsafe extern "C" fn sink(level: u32, text: *const c_char, length: usize) {
    // SAFETY: the shim passes `length` readable bytes that stay unchanged during this call.
    let bytes = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), length) };
    let text = String::from_utf8_lossy(bytes);
    // A panic of a subscriber must not unwind into C.
    drop(catch_unwind(|| text.lines().filter(|line| !line.is_empty()).for_each(|line| accept(level, line))));
}

fn accept(level: u32, line: &str) {
    if level <= sys::RTE_LOG_WARNING {
        let mut recent = recent();
        if recent.lines.len() == REMEMBERED {
            recent.lines.pop_front();
        }
        recent.total += 1;
        recent.lines.push_back(without_prefix(line).to_owned());
    }
    match level {
        ..=sys::RTE_LOG_ERR => tracing::error!(target: "dpdk", "{line}"),
        sys::RTE_LOG_WARNING => tracing::warn!(target: "dpdk", "{line}"),
        sys::RTE_LOG_NOTICE => tracing::info!(target: "dpdk", "{line}"),
        _ => tracing::debug!(target: "dpdk", "{line}"),
    }
}

/// `EAL: text` and `function(): text` are for developers of DPDK.
fn without_prefix(line: &str) -> &str {
    let line = line.trim();
    let line = line.strip_prefix("EAL: ").unwrap_or(line);
    match line.split_once("(): ") {
        Some((function, rest)) if function.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => rest,
        _ => line,
    }
}
