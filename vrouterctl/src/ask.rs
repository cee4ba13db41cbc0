//! Questions that several commands ask, with streamed answers gathered.

use std::collections::HashMap;

use agent_api::v1::{
    Entry, InterfaceStats, Kind, ListRequest, NextHop, Object, StatsRequest, StatsResponse, object,
};
use tokio_stream::StreamExt as _;
use tonic::Streaming;

use crate::{connect::Client, error::Error};

/// Every message of a streamed answer.
pub(crate) async fn gather<T>(mut stream: Streaming<T>) -> Result<Vec<T>, Error> {
    let mut all = Vec::new();
    while let Some(message) = stream.next().await {
        all.push(message?);
    }
    Ok(all)
}

/// The objects that a request selects.
pub(crate) async fn entries(client: &mut Client, request: ListRequest) -> Result<Vec<Entry>, Error> {
    let stream = client.list(request).await?.into_inner();
    Ok(gather(stream).await?.into_iter().flat_map(|response| response.entries).collect())
}

/// Every object of a kind.
async fn objects(client: &mut Client, kind: Kind) -> Result<impl Iterator<Item = object::Object>, Error> {
    let request = ListRequest { kind: kind.into(), ..ListRequest::default() };
    let entries = entries(client, request).await?;
    Ok(entries.into_iter().filter_map(|Entry { object, .. }| object.and_then(|Object { object }| object)))
}

/// Statistics.
pub(crate) async fn stats(client: &mut Client, request: StatsRequest) -> Result<StatsResponse, Error> {
    Ok(client.stats(request).await?.into_inner())
}

/// The counters of every interface, by its id.
pub(crate) async fn interface_stats(client: &mut Client) -> Result<HashMap<u32, InterfaceStats>, Error> {
    let request = StatsRequest { interfaces: true, ..StatsRequest::default() };
    Ok(stats(client, request).await?.interfaces.into_iter().map(|stats| (stats.interface, stats)).collect())
}

/// The names of interfaces by id.
pub(crate) async fn interface_names(client: &mut Client) -> Result<HashMap<u32, String>, Error> {
    let interfaces = objects(client, Kind::Interface).await?;
    Ok(interfaces
        .filter_map(|object| match object {
            object::Object::Interface(interface) => Some((interface.id, interface.name)),
            _ => None,
        })
        .collect())
}

/// The names of VRFs by id.
pub(crate) async fn vrf_names(client: &mut Client) -> Result<HashMap<u32, String>, Error> {
    let vrfs = objects(client, Kind::Vrf).await?;
    Ok(vrfs
        .filter_map(|object| match object {
            object::Object::Vrf(vrf) => Some((vrf.id, vrf.name)),
            _ => None,
        })
        .collect())
}

/// The next hops by id.
pub(crate) async fn next_hops(client: &mut Client) -> Result<HashMap<u32, NextHop>, Error> {
    let next_hops = objects(client, Kind::NextHop).await?;
    Ok(next_hops
        .filter_map(|object| match object {
            object::Object::NextHop(next_hop) => Some((next_hop.id, next_hop)),
            _ => None,
        })
        .collect())
}

/// An interface by its number or its name.
pub(crate) async fn interface_id(client: &mut Client, text: &str) -> Result<u32, Error> {
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => by_name(interface_names(client).await?, text, "interface"),
    }
}

/// A VRF by its number or its name.
pub(crate) async fn vrf_id(client: &mut Client, text: &str) -> Result<u32, Error> {
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => by_name(vrf_names(client).await?, text, "VRF"),
    }
}

fn by_name(names: HashMap<u32, String>, wanted: &str, what: &str) -> Result<u32, Error> {
    let found = names.into_iter().find(|(_, name)| name == wanted).map(|(id, _)| id);
    found.ok_or_else(|| Error::Failed(format!("there is no {what} of the name {wanted}")))
}
