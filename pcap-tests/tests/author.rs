//! The committed cases are what the author writes, and tshark agrees with every frame.
#![allow(clippy::expect_used, reason = "tests")]

use std::{path::Path, process::Command};

fn author(program: &str, arguments: &[&str]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("author");
    let output = Command::new(directory.join(program))
        .args(arguments)
        .output()
        .expect("the author needs Debian's python3-scapy, python3-yaml and tshark");
    assert!(
        output.status.success(),
        "author/{program} {arguments:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_committed_cases_equal_a_fresh_build() {
    author("build", &["--check"]);
}

#[test]
fn tshark_finds_every_checksum_and_every_tunnel() {
    author("check", &[]);
}
