//! All workers, as the control thread and the services thread talk to them.

use std::sync::Arc;

use packet::{InterfaceId, PacketBuf};

use super::io::{Allocate, Io};
use super::{Mailbox, Outgoing};
use crate::control::thread::{WorkerEvent, Workers};
use crate::datapath::{Event, EventQueue};
use crate::services::{Request, Requests};

/// Events of one worker that are taken at once, so that one cannot keep the others waiting.
const AT_ONCE: usize = 1024;

/// The ways to and from the workers.
#[derive(Debug)]
pub struct Crew<I: Io> {
    mailboxes: Vec<Arc<Mailbox<I>>>,
    events: Vec<Arc<EventQueue<I::Frame>>>,
    pool: I::Pool,
}

impl<I: Io> Crew<I> {
    /// The crew with these mailboxes and event queues; frames for the workers come from `pool`.
    #[must_use]
    pub const fn new(
        mailboxes: Vec<Arc<Mailbox<I>>>,
        events: Vec<Arc<EventQueue<I::Frame>>>,
        pool: I::Pool,
    ) -> Self {
        Self { mailboxes, events, pool }
    }

    /// Every worker reaches every port, so the first one has the control side's frames.
    fn send(&mut self, interface: InterfaceId, ingress: bool, bytes: &[u8]) -> bool {
        let (Some(mailbox), Some(mut frame)) = (self.mailboxes.first(), self.pool.allocate()) else {
            return false;
        };
        frame.replace_from(0, bytes) && mailbox.send(Outgoing { interface, ingress, frame }).is_ok()
    }
}

impl<I: Io> Workers for Crew<I> {
    fn drain(&mut self, events: &mut Vec<WorkerEvent>) {
        for queue in &self.events {
            events.extend(std::iter::from_fn(|| queue.pop()).take(AT_ONCE).map(|event| match event {
                Event::NeighbourNeeded { interface, v6, address } => {
                    WorkerEvent::NeighbourNeeded { interface, v6, address }
                }
                Event::Punt { class, interface, frame } => {
                    WorkerEvent::Punt { class: class.name(), interface, frame: frame.data().to_vec() }
                }
            }));
        }
    }

    fn transmit(&mut self, interface: InterfaceId, frame: Vec<u8>) -> bool {
        self.send(interface, false, &frame)
    }

    fn receive(&mut self, interface: InterfaceId, frame: Vec<u8>) -> bool {
        self.send(interface, true, &frame)
    }
}

impl<I: Io> Requests for Crew<I> {
    fn requests(&mut self, requests: &mut Vec<Request>) {
        for queue in &self.events {
            let asked = std::iter::from_fn(|| queue.pop_request()).take(AT_ONCE);
            requests.extend(asked.filter_map(|event| match event {
                Event::Punt { class, interface, frame } => {
                    Some(Request { class: class.name(), interface, frame: frame.data().to_vec() })
                }
                Event::NeighbourNeeded { .. } => None,
            }));
        }
    }

    fn answer(&mut self, interface: InterfaceId, frame: Vec<u8>) -> bool {
        self.send(interface, false, &frame)
    }
}
