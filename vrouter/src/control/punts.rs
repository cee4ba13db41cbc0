//! Packets that workers handed up, for whoever listens on `PacketIn`.

use std::{
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use agent_api::v1;
use packet::InterfaceId;
use tokio::sync::mpsc;

/// Packets a listener may be behind; further ones are lost to it.
const QUEUE: usize = 1024;

#[derive(Debug)]
struct Listener {
    /// Empty = all.
    classes: Vec<String>,
    sender: mpsc::Sender<v1::PacketInMessage>,
}

/// All listeners.
#[derive(Debug, Default)]
pub struct Punts {
    listeners: Mutex<Vec<Listener>>,
}

impl Punts {
    /// A new listener's queue; no class = all classes.
    pub fn subscribe(&self, classes: Vec<String>) -> mpsc::Receiver<v1::PacketInMessage> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push(Listener { classes, sender });
        receiver
    }

    /// Hands a packet to everybody who listens to its class.
    pub(crate) fn tell(&self, class: &str, interface: InterfaceId, frame: &[u8]) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| !listener.sender.is_closed());
        for listener in listeners.iter() {
            if !listener.classes.is_empty() && !listener.classes.iter().any(|wanted| wanted == class) {
                continue;
            }
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let message = v1::PacketInMessage {
                time_ns: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
                class: class.to_owned(),
                interface: interface.0.into(),
                packet: frame.to_vec(),
            };
            // A listener that is too slow loses packets, nobody else does.
            let _full = listener.sender.try_send(message);
        }
    }
}
