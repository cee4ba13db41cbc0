//! No line of memory is written by two workers on the fast path: not where one has a flow's packets and the other one
//! the answers, nor where each has its own flows.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::process::Command;

#[test]
fn no_line_of_memory_is_written_by_two_workers() {
    // It compares, and fails itself; what it found is in its output.
    let output = Command::new(env!("CARGO_BIN_EXE_lines")).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    assert!(output.status.success(), "{text}");
}
