//! Every golden case and every mutant, on the datapath without DPDK.

use pcap_tests::case;
use pcap_tests::harness::run_all;
use pcap_tests::simulated::Simulated;

#[test]
fn every_case_passes_and_every_mutant_fails() {
    let only = std::env::var("CASE").unwrap_or_default();
    let cases = case::load_all(&case::root()).expect("the cases can be read");
    let cases: Vec<_> = cases.into_iter().filter(|case| case.id().contains(&only)).collect();
    assert!(!cases.is_empty(), "no case matches {only}");
    let summary = run_all(&cases, &mut Simulated);
    println!("{summary}");
    assert!(summary.failed.is_empty(), "{} cases failed", summary.failed.len());
}
