//! Every golden case and every mutant, on the real daemon: one vrouterd for each group of cases.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    thread,
};

use pcap_tests::{
    case::{Case, load_all, root},
    daemon::Daemons,
    harness::{Summary, run_all},
};

/// Groups that run at the same time: most of a case is waiting for the kernel to plug its ports in and out.
const AT_ONCE: usize = 4;

/// vrouterd as it is now, built like this test; or the one that the environment names.
fn vrouterd() -> PathBuf {
    if let Some(program) = env::var_os("VROUTERD") {
        return program.into();
    }
    let test = env::current_exe().expect("a test has a path");
    let directory = test.ancestors().nth(2).expect("a test is built into PROFILE/deps");
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let target = directory.parent().expect("profiles are under the target directory");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates are in the workspace");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "vrouter", "--bin", "vrouterd", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(workspace)
        .status()
        .expect("cargo can be run");
    assert!(built.success(), "vrouterd is not built");
    directory.join("vrouterd")
}

/// The cases by group, the largest group first.
fn groups() -> Vec<Vec<Case>> {
    let only = env::var("CASE").unwrap_or_default();
    let cases = load_all(&root()).expect("the cases can be read");
    let cases: Vec<_> = cases.into_iter().filter(|case| case.id().contains(&only)).collect();
    assert!(!cases.is_empty(), "no case matches {only}");
    let mut groups: Vec<_> = cases.chunk_by(|a, b| a.group == b.group).map(<[Case]>::to_vec).collect();
    groups.sort_by_key(Vec::len);
    groups
}

#[test]
fn every_case_passes_and_every_mutant_fails() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED every golden case on the daemon: needs root");
        return;
    }
    let program = vrouterd();
    let (groups, summary) = (Mutex::new(groups()), Mutex::new(Summary::default()));
    let next = || groups.lock().expect("nobody panics with it").pop();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                // The thread's network namespace goes with it.
                let mut daemons = Daemons::new(program.clone()).expect("root may have namespaces");
                while let Some(group) = next() {
                    let found = run_all(&group, &mut daemons);
                    summary.lock().expect("nobody panics with it").add(found);
                }
                daemons.stop().expect("the last daemon ends well");
            });
        }
    });
    let summary = summary.into_inner().expect("nobody panicked with it");
    println!("{summary}");
    assert!(summary.failed.is_empty(), "{} cases failed", summary.failed.len());
}
