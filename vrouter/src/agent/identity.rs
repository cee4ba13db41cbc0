//! Who calls: the peer's credential on a UNIX socket, the certificate's name with TLS.

use tonic::{
    Request, Status,
    transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo},
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::control::Owner;

/// The owner of what a caller writes: `uid:0`, or the certificate's subject alternative name. On a plain
/// loopback connection nobody is known: all such callers are `loopback`.
pub(super) fn owner<T>(request: &Request<T>) -> Result<Owner, Status> {
    let connection = request.extensions();
    let name = if let Some(unix) = connection.get::<UdsConnectInfo>() {
        let credential = unix.peer_cred.ok_or_else(|| unknown("the socket tells no peer credential"))?;
        format!("uid:{}", credential.uid())
    } else if let Some(tls) = connection.get::<TlsConnectInfo<TcpConnectInfo>>() {
        let certificates = tls.peer_certs().ok_or_else(|| unknown("the client shows no certificate"))?;
        let certificate = certificates.first().ok_or_else(|| unknown("the client shows no certificate"))?;
        subject(certificate)?
    } else {
        "loopback".to_owned()
    };
    Owner::peer(&name).ok_or_else(|| unknown(&format!("{name:?} is a name that no client may have")))
}

/// The first URI, DNS name or e-mail address among the subject's alternative names, in this order.
fn subject(certificate: &[u8]) -> Result<String, Status> {
    let (_, certificate) = X509Certificate::from_der(certificate)
        .map_err(|_| unknown("the client's certificate is malformed"))?;
    let names = certificate.subject_alternative_name();
    let names = names.map_err(|_| unknown("the client's certificate has malformed alternative names"))?;
    let names: Vec<&GeneralName<'_>> =
        names.map(|names| names.value.general_names.iter().collect()).unwrap_or_default();
    let uri = names.iter().find_map(|name| if let GeneralName::URI(uri) = name { Some(*uri) } else { None });
    let dns =
        names.iter().find_map(|name| if let GeneralName::DNSName(dns) = name { Some(*dns) } else { None });
    let mail = names
        .iter()
        .find_map(|name| if let GeneralName::RFC822Name(mail) = name { Some(*mail) } else { None });
    let name = uri.or(dns).or(mail);
    name.map(str::to_owned)
        .ok_or_else(|| unknown("the client's certificate has no URI, DNS or e-mail alternative name"))
}

fn unknown(text: &str) -> Status {
    Status::unauthenticated(text)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::subject;

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_certificate_names_its_owner_by_uri_before_dns_before_mail() {
        let uri = SanType::URI("spiffe://cluster/agent".try_into().unwrap());
        let dns = SanType::DnsName("agent.example".try_into().unwrap());
        let mail = SanType::Rfc822Name("agent@example".try_into().unwrap());
        let name = |names: &[&SanType]| subject(&certificate(names.iter().map(|n| (*n).clone()).collect()));
        assert_eq!(name(&[&mail, &dns, &uri]).unwrap(), "spiffe://cluster/agent");
        assert_eq!(name(&[&mail, &dns]).unwrap(), "agent.example");
        assert_eq!(name(&[&mail]).unwrap(), "agent@example");
        assert_eq!(name(&[]).unwrap_err().code(), tonic::Code::Unauthenticated);
        assert!(subject(b"no certificate").is_err());
    }
}
