//! Sockets, certificates, health and reflection.

use std::{fs, os::unix::fs::PermissionsExt as _, os::unix::net::UnixListener};

use agent_api::v1::{self, agent_client::AgentClient};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig, Identity},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use vrouter::agent::{Endpoint, ListenError, Listeners, Tls};

use super::{Client, NODE, Server, puts};

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_for_owner_and_group_and_goes_with_the_server() {
    let (server, _client) = Server::node().await;
    let mode = fs::metadata(server.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let names: Vec<_> =
        fs::read_dir(server.directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["agent.sock"], "nothing else was left");
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_socket_is_replaced_and_a_living_one_or_another_file_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "stale");
    let first = Listeners::bind(&[Endpoint::Unix(path.clone())]).unwrap();
    assert!(matches!(Listeners::bind(&[Endpoint::Unix(path.clone())]), Err(ListenError::InUse(_))));
    assert!(path.exists());
    drop(first);
    assert!(!path.exists());

    fs::write(&path, "precious").unwrap();
    assert!(matches!(Listeners::bind(&[Endpoint::Unix(path.clone())]), Err(ListenError::NoSocket(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sockets_directory_is_made_and_goes_with_it_unless_it_is_used() {
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("run");
    let endpoint = [Endpoint::Unix(directory.join("agent.sock"))];
    let listening = Listeners::bind(&endpoint).unwrap();
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o022, 0);
    assert!(directory.join("agent.sock").exists());
    drop(listening);
    assert!(!directory.exists());

    let listening = Listeners::bind(&endpoint).unwrap();
    fs::write(directory.join("somebody"), "else").unwrap();
    drop(listening);
    assert!(directory.join("somebody").exists() && !directory.join("agent.sock").exists());

    // One that was there stays.
    fs::remove_file(directory.join("somebody")).unwrap();
    drop(Listeners::bind(&endpoint).unwrap());
    assert!(directory.exists());

    let nowhere = Endpoint::Unix(place.path().join("missing/deeper/agent.sock"));
    let error = Listeners::bind(&[nowhere]).unwrap_err();
    assert!(error.to_string().contains("missing/deeper/agent.sock"), "{error}");
    assert!(!place.path().join("missing").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_tcp_is_for_loopback_only() {
    let everywhere = Endpoint::Tcp("0.0.0.0:0".parse().unwrap());
    let error = Listeners::bind(&[everywhere]).unwrap_err();
    assert!(matches!(error, ListenError::Plain(_)), "{error}");

    let server = Server::with(|_| vec![Endpoint::Tcp("127.0.0.1:0".parse().unwrap())]).await;
    let address = format!("http://{}", server.addresses[0]);
    let channel = tonic::transport::Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    let mut client = Client(AgentClient::new(channel));
    client.put(NODE).await;
    assert_eq!(client.entries(v1::Kind::Vrf).await[0].owner, "loopback");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_reflection_answer() {
    let server = Server::start().await;
    let mut health = HealthClient::new(server.channel().await);
    let request = HealthCheckRequest { service: "vrouter.v1.Agent".into() };
    let status = health.check(request).await.unwrap().into_inner().status();
    assert_eq!(status, ServingStatus::Serving);

    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let mut reflection = ServerReflectionClient::new(server.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        reflection.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("another answer")
    };
    assert!(list.service.iter().any(|service| service.name == "vrouter.v1.Agent"));
}

/// An authority, and certificates that it signed.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key.
    fn sign(&self, name: SanType) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![name];
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

async fn tls_server(authority: &Authority) -> Server {
    let (certificate, key) = authority.sign(dns("localhost"));
    let tls = Tls { certificate: certificate.into(), key: key.into(), client_ca: authority.pem().into() };
    Server::with(|_| vec![Endpoint::Tls("127.0.0.1:0".parse().unwrap(), tls)]).await
}

async fn connect(
    server: &Server,
    ca: &str,
    identity: Option<(String, String)>,
) -> Result<Channel, tonic::transport::Error> {
    let mut config =
        ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)).domain_name("localhost");
    if let Some((certificate, key)) = identity {
        config = config.identity(Identity::from_pem(certificate, key));
    }
    let address = format!("https://localhost:{}", server.addresses[0].port());
    tonic::transport::Endpoint::from_shared(address)?.tls_config(config)?.connect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_certificates_on_both_sides_the_owner_is_the_certificates_name() {
    let authority = Authority::new();
    let server = tls_server(&authority).await;
    let name = SanType::URI("spiffe://cluster/agent".try_into().unwrap());
    let channel = connect(&server, &authority.pem(), Some(authority.sign(name))).await.unwrap();
    let mut client = Client(AgentClient::new(channel));
    client.put(NODE).await;
    assert_eq!(client.entries(v1::Kind::Vrf).await[0].owner, "spiffe://cluster/agent");
    // Another name is another owner.
    let channel = connect(&server, &authority.pem(), Some(authority.sign(dns("other")))).await.unwrap();
    let result = Client(AgentClient::new(channel)).try_put("- vrf: {id: 1, name: mine}").await;
    assert_eq!(result.code, Code::PermissionDenied as u32);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_impostors_get_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = tls_server(&authority).await;
    let call = async |channel: Result<Channel, tonic::transport::Error>| -> bool {
        let Ok(channel) = channel else { return false };
        AgentClient::new(channel).get_version(v1::GetVersionRequest {}).await.is_ok()
    };
    let good = authority.sign(dns("agent"));
    assert!(call(connect(&server, &authority.pem(), Some(good.clone())).await).await);
    assert!(!call(connect(&server, &authority.pem(), None).await).await, "no certificate");
    assert!(
        !call(connect(&server, &authority.pem(), Some(other.sign(dns("agent")))).await).await,
        "another CA's"
    );
    assert!(!call(connect(&server, &other.pem(), Some(good)).await).await, "the server is not whom we trust");
    // A name that is ours opens no door.
    let channel = connect(&server, &authority.pem(), Some(authority.sign(dns("config")))).await.unwrap();
    let status = AgentClient::new(channel).apply(tokio_stream::iter([puts(NODE)])).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_certificate_is_told_at_start() {
    let authority = Authority::new();
    let (certificate, _) = authority.sign(dns("localhost"));
    let tls =
        Tls { certificate: certificate.into(), key: b"no key".to_vec(), client_ca: authority.pem().into() };
    let error = Listeners::bind(&[Endpoint::Tls("127.0.0.1:0".parse().unwrap(), tls)]).unwrap_err();
    assert!(matches!(error, ListenError::Certificates(..)), "{error}");
}
