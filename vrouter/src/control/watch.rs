//! Events for whoever watches: each watcher has a bounded queue and is told how many it was too slow for.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use agent_api::v1::{self, watch_event::Event};
use tokio::sync::mpsc;

/// Events a watcher may be behind.
const QUEUE: usize = 4096;

/// What a watcher wants to hear of, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topics(u8);

impl Topics {
    /// Objects written and deleted.
    pub const OBJECTS: Self = Self(1);
    /// Interfaces that went up or down.
    pub const INTERFACES: Self = Self(2);
    /// Neighbours that changed their state.
    pub const NEIGHBOURS: Self = Self(4);
    /// Flows that began or ended.
    pub const FLOWS: Self = Self(8);
    /// Flows that a rule with `log` decided, began or ended.
    pub const POLICY_LOG: Self = Self(16);

    /// What a request asks for: everything but flows unless it says.
    #[must_use]
    pub const fn of(request: v1::WatchRequest) -> Self {
        let bits = request.objects as u8
            | (request.interfaces as u8) << 1
            | (request.neighbours as u8) << 2
            | (request.flows as u8) << 3
            | (request.policy_log as u8) << 4;
        Self(if bits == 0 { 7 } else { bits })
    }

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[derive(Debug)]
struct Watcher {
    topics: Topics,
    sender: mpsc::Sender<v1::WatchEvent>,
    lost: u64,
}

/// All watchers.
#[derive(Debug, Default)]
pub struct Watchers {
    watchers: Mutex<Vec<Watcher>>,
    /// Union of what they want: nothing is made that nobody wants.
    wanted: AtomicU8,
}

impl Watchers {
    /// A new watcher's queue.
    pub fn subscribe(&self, topics: Topics) -> mpsc::Receiver<v1::WatchEvent> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.push(Watcher { topics, sender, lost: 0 });
        self.refresh(&watchers);
        receiver
    }

    /// Whether anybody wants to hear of this.
    #[must_use]
    pub fn wants(&self, topic: Topics) -> bool {
        Topics(self.wanted.load(Ordering::Relaxed)).meets(topic)
    }

    /// Tells everybody who wants to hear of it.
    pub fn tell(&self, topic: Topics, event: Event) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let time_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let event = v1::WatchEvent { time_ns, event: Some(event) };
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let before = watchers.len();
        watchers.retain_mut(|watcher| !watcher.topics.meets(topic) || watcher.send(&event));
        if watchers.len() != before {
            self.refresh(&watchers);
        }
    }

    fn refresh(&self, watchers: &[Watcher]) {
        let wanted = watchers.iter().fold(0, |bits, watcher| bits | watcher.topics.0);
        self.wanted.store(wanted, Ordering::Relaxed);
    }
}

impl Watcher {
    /// `false` when the watcher has gone.
    fn send(&mut self, event: &v1::WatchEvent) -> bool {
        if self.lost > 0 {
            let overrun = Event::Overrun(v1::Overrun { lost: self.lost });
            match self.sender.try_send(v1::WatchEvent { time_ns: event.time_ns, event: Some(overrun) }) {
                Ok(()) => self.lost = 0,
                Err(mpsc::error::TrySendError::Full(_)) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
            }
        }
        match self.sender.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lost += 1;
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up(interface: u32) -> Event {
        Event::Interface(v1::InterfaceChange { interface, up: true, ..Default::default() })
    }

    #[test]
    fn a_watcher_hears_what_it_asked_for() {
        let watchers = Watchers::default();
        assert!(!watchers.wants(Topics::INTERFACES));
        let mut receiver = watchers.subscribe(Topics::INTERFACES);
        assert!(watchers.wants(Topics::INTERFACES) && !watchers.wants(Topics::OBJECTS));
        watchers.tell(Topics::OBJECTS, Event::Object(v1::ObjectChange::default()));
        watchers.tell(Topics::INTERFACES, up(3));
        assert_eq!(receiver.try_recv().unwrap().event, Some(up(3)));
        drop(receiver);
        watchers.tell(Topics::INTERFACES, up(4));
        assert!(!watchers.wants(Topics::INTERFACES), "who has gone is forgotten");
    }

    #[test]
    fn a_slow_watcher_is_told_what_it_missed() {
        let watchers = Watchers::default();
        let mut receiver = watchers.subscribe(Topics::INTERFACES);
        for interface in 0..QUEUE as u32 + 5 {
            watchers.tell(Topics::INTERFACES, up(interface));
        }
        for interface in 0..QUEUE as u32 {
            assert_eq!(receiver.try_recv().unwrap().event, Some(up(interface)));
        }
        watchers.tell(Topics::INTERFACES, up(9));
        assert_eq!(receiver.try_recv().unwrap().event, Some(Event::Overrun(v1::Overrun { lost: 5 })));
        assert_eq!(receiver.try_recv().unwrap().event, Some(up(9)));
    }

    #[test]
    fn who_asks_for_nothing_gets_everything_but_flows() {
        let all = Topics::of(v1::WatchRequest::default());
        assert!(all.meets(Topics::OBJECTS) && all.meets(Topics::NEIGHBOURS) && !all.meets(Topics::FLOWS));
        let flows = Topics::of(v1::WatchRequest { flows: true, ..Default::default() });
        assert!(flows.meets(Topics::FLOWS) && !flows.meets(Topics::OBJECTS));
    }
}
