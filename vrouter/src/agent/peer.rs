//! Who speaks: the owner of what a controller writes is its authenticated name, never a string it chose.

use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo, UdsConnectInfo};
use tonic::{Extensions, Status};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::control::Owner;

/// The owner behind a call: `uid:1000` on a UNIX socket, the first name of the certificate (DNS or URI subject
/// alternative name) with TLS, `loopback` on plain TCP.
///
/// # Errors
/// `UNAUTHENTICATED` without a name that could own anything.
pub fn owner(extensions: &Extensions) -> Result<Owner, Status> {
    let name = name(extensions).ok_or_else(|| Status::unauthenticated("the peer has no name"))?;
    Owner::peer(&name).ok_or_else(|| Status::unauthenticated(format!("{name:?} cannot own objects")))
}

fn name(extensions: &Extensions) -> Option<String> {
    if let Some(info) = extensions.get::<UdsConnectInfo>() {
        return info.peer_cred.map(|peer| format!("uid:{}", peer.uid()));
    }
    if let Some(info) = extensions.get::<TlsConnectInfo<TcpConnectInfo>>() {
        return subject(info.peer_certs()?.first()?);
    }
    extensions.get::<TcpConnectInfo>().map(|_| "loopback".to_owned())
}

/// The first DNS or URI name of a certificate that rustls has verified.
fn subject(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        _ => None,
    })
}
