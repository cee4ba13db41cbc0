//! The ways to a vRouter, and what is said when there is none.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod mock;

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use mock::{Mock, text, vrouterctl};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

fn fails(arguments: &[&str]) -> (i32, String) {
    let output = vrouterctl(arguments).output().unwrap();
    (output.status.code().unwrap(), text(&output.stderr))
}

#[test]
fn nobody_there_is_exit_code_3_and_names_the_address() {
    let (code, error) = fails(&["--agent", "unix:///nonexistent/agent.sock", "get", "vrf"]);
    assert_eq!(code, 3);
    assert_eq!(
        error,
        "vrouterctl: cannot connect to unix:///nonexistent/agent.sock: No such file or directory (os error 2)\n"
    );
    let (code, error) = fails(&["--agent", "http://127.0.0.1:1", "get", "vrf"]);
    assert_eq!(code, 3);
    assert!(error.starts_with("vrouterctl: cannot connect to http://127.0.0.1:1: "), "{error}");
}

#[test]
fn our_own_version_is_told_even_so() {
    let output = vrouterctl(&["--agent", "/nonexistent", "version"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stdout).starts_with("vrouterctl "));
}

#[test]
fn an_address_that_is_none_is_wrong_usage() {
    for agent in ["localhost:9000", "ftp://host", "", "http://", "unix:relative"] {
        let (code, error) = fails(&["--agent", agent, "get", "vrf"]);
        assert_eq!(code, 2, "{agent}: {error}");
    }
}

#[test]
fn a_path_alone_is_a_socket() {
    let mock = Mock::with_fixture();
    let path = mock.agent.strip_prefix("unix://").unwrap();
    let output = vrouterctl(&["get", "vrf", "--agent", path]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn plain_tcp_on_this_machine_works() {
    let mock = Mock::on_tcp(None);
    assert_eq!(mock.ok(&["get", "vrf"]), "No VRFs.\n");
}

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    /// Certificate and key, as PEM.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[test]
fn tls_works_with_certificates_of_one_authority_only() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (certificate, key) = authority.issue("localhost");
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(certificate, key))
        .client_ca_root(Certificate::from_pem(authority.issuer.pem()));
    let mock = Mock::on_tcp(Some(tls));

    let ca = mock.file("ca.pem", &authority.issuer.pem());
    let other_ca = mock.file("other.pem", &stranger.issuer.pem());
    let (certificate, key) = authority.issue("operator");
    let (certificate, key) = (mock.file("cert.pem", &certificate), mock.file("key.pem", &key));
    let (other, other_key) = stranger.issue("operator");
    let (other, other_key) = (mock.file("other-cert.pem", &other), mock.file("other-key.pem", &other_key));
    let run =
        |ca: &str, cert: &str, key: &str| mock.run(&["get", "vrf", "--ca", ca, "--cert", cert, "--key", key]);

    let output = run(&ca, &certificate, &key);
    assert_eq!(
        (output.status.code(), text(&output.stdout)),
        (Some(0), "No VRFs.\n".into()),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(run(&other_ca, &certificate, &key).status.code(), Some(3));
    assert_eq!(run(&ca, &other, &other_key).status.code(), Some(3));
    let nonsense = mock.file("nonsense.pem", "no certificate");
    assert_eq!(run(&nonsense, &certificate, &nonsense).status.code(), Some(2));

    let (code, error) = mock.refused(&["get", "vrf"]);
    assert_eq!((code, error.as_str()), (2, "vrouterctl: https needs --ca, --cert and --key\n"));
    let output = run("/nonexistent.pem", &certificate, &key);
    assert!(
        output.status.code() == Some(2) && text(&output.stderr).contains("/nonexistent.pem: No such file")
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mock = Mock::empty();
    let routes: String =
        (0..3_000).map(|n| format!("- next_hop: {{id: {}, discard: {{}}}}\n", n + 1)).collect();
    mock.ok(&["apply", "-q", "-f", &mock.file("many.yaml", &routes)]);
    for arguments in [&["get", "nh"][..], &["get", "nh", "-o", "json"], &["get", "nh", "-o", "yaml"]] {
        let mut child =
            mock.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(!first.is_empty());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{arguments:?}");
    }
}
