//! EAL's run-time directory: `<base>/<prefix>-<pid>`. Nothing of it stays behind.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The directory of this process; goes when it is dropped.
#[derive(Debug)]
pub(crate) struct RunDirectory(PathBuf);

impl RunDirectory {
    /// Makes it before EAL does: from then on no other instance finds the directory above it empty and
    /// removes that, which could come between two steps of EAL.
    pub(crate) fn hold(prefix: &str, unique_prefix: &str) -> Self {
        let base = base();
        remove_stale(&base, prefix);
        let directory = base.join(unique_prefix);
        for _ in 0..10 {
            if fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).is_ok() {
                break;
            }
        }
        Self(directory)
    }

    /// Most memory modes put nothing there.
    pub(crate) fn remove_if_empty(&self) {
        drop(fs::remove_dir(&self.0));
        if let Some(base) = self.0.parent() {
            // Refused while any other instance has a directory there.
            drop(fs::remove_dir(base));
        }
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
        self.remove_if_empty();
    }
}

/// Where EAL makes it, as EAL decides.
fn base() -> PathBuf {
    // SAFETY: getuid has no failure and no memory.
    if unsafe { libc::getuid() } == 0 {
        return PathBuf::from("/var/run/dpdk");
    }
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from).join("dpdk")
}

/// Removes what killed instances left: `<prefix>-<pid>` of processes that are gone.
fn remove_stale(base: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let process =
            name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_prefix('-')?.parse::<u32>().ok());
        if process.is_some_and(|id| !Path::new("/proc").join(id.to_string()).exists()) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
