//! `Explain`: what would happen to a packet.

use agent_api::v1;
use packet::InterfaceId;
use tonic::Status;

use super::{Agent, sketch};

pub(super) fn explain(agent: &Agent, request: v1::ExplainRequest) -> Result<v1::ExplainResponse, Status> {
    let tables = agent.control.tables();
    let interface = u16::try_from(request.interface).ok().map(InterfaceId);
    let row = interface.and_then(|id| tables.interface(id));
    let row = row.ok_or_else(|| {
        Status::failed_precondition(format!("interface: interface {} does not exist", request.interface))
    })?;
    let frame = match (request.packet.is_empty(), request.sketch) {
        (false, None) => request.packet,
        (true, Some(sketch)) => sketch::frame(row, &sketch)
            .map_err(|(field, text)| Status::invalid_argument(format!("sketch.{field}: {text}")))?,
        _ => return Err(Status::invalid_argument("packet: give either a packet or a sketch")),
    };
    let found = agent.dataplane.explain(&tables, row.id, &frame);
    let found = found.ok_or_else(|| Status::resource_exhausted("no memory for the explanation"))?;
    let step =
        |step: crate::datapath::Step| v1::ExplainStep { stage: step.stage.to_owned(), text: step.text };
    Ok(v1::ExplainResponse {
        steps: found.steps.into_iter().map(step).collect(),
        verdict: found.verdict.to_owned(),
        reason: found.reason.to_owned(),
        interface: found.interface.0.into(),
        packet: found.packet,
        generation: tables.generation,
    })
}
