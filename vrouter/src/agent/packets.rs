//! `PacketIn` and `PacketOut`.

use agent_api::v1;
use tonic::{Status, Streaming};

use super::{
    Answers, status,
    stream::{next, received},
};
use crate::{control::thread::Handle, datapath::PuntClass};

pub(super) fn incoming(
    control: &Handle,
    request: v1::PacketInRequest,
) -> Result<Answers<v1::PacketInMessage>, Status> {
    for (index, class) in request.classes.iter().enumerate() {
        if !PuntClass::ALL.iter().any(|known| known.name() == class) {
            let known: Vec<_> = PuntClass::ALL.iter().map(|class| class.name()).collect();
            let text = format!("classes[{index}]: {class:?} is none of {}", known.join(", "));
            return Err(Status::invalid_argument(text));
        }
    }
    Ok(received(control.punts().subscribe(request.classes)))
}

/// Shorter than an Ethernet header is no frame; longer than this fits no buffer.
const FRAME: std::ops::RangeInclusive<usize> = 14..=9234;

pub(super) async fn outgoing(
    control: &Handle,
    mut messages: Streaming<v1::PacketOutMessage>,
) -> Result<v1::PacketOutSummary, Status> {
    let mut summary = v1::PacketOutSummary::default();
    while let Some(message) = next(&mut messages).await? {
        let fits = FRAME.contains(&message.packet.len());
        let taken = fits && control.packet_out(message).await.map_err(|fault| status(&fault))?;
        summary.accepted += u64::from(taken);
        summary.refused += u64::from(!taken);
    }
    Ok(summary)
}
