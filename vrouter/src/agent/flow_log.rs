//! Flows for watchers: those that ended are told by the sweep, new ones are found by looking.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agent_api::v1::{self, watch_event::Event};
use flow::{EndReason, SessionSink, SessionView, Traffic, timeouts::Ticks};

use super::{Dataplane, flows::entry};
use crate::{
    control::{Handle, Topics},
    datapath::Now,
    tables::Tables,
};

/// Whoever wants to hear of all flows, or of those that a rule wants logged.
const WANTED: Topics = Topics::FLOWS.and(Topics::POLICY_LOG);
/// How often new flows are looked for while somebody watches.
const INTERVAL: Duration = Duration::from_millis(200);
/// How far behind the clock a burst may create sessions, in milliseconds.
const LAG: u64 = 100;

/// Tells watchers of flows that ended. Costs nothing while nobody watches flows.
#[derive(Clone, Debug)]
pub struct FlowLog {
    control: Handle,
}

impl FlowLog {
    /// A log for the watchers of this control thread.
    #[must_use]
    pub fn new(control: Handle) -> Self {
        Self { control }
    }
}

impl SessionSink for FlowLog {
    fn traffic(&mut self, _: &Traffic) {}

    fn ended(&mut self, session: &SessionView, _: EndReason) {
        if self.control.watchers().wants(WANTED) {
            // Its last packet is when it was last alive.
            tell(&self.control, &self.control.tables(), session, session.last_seen(), true);
        }
    }
}

/// Tells whoever wants to hear of this flow.
fn tell(control: &Handle, tables: &Tables, session: &SessionView, now: Ticks, ended: bool) {
    let logged = tables.deciding(&session.rules).any(|row| row.log);
    let topics = if logged { WANTED } else { Topics::FLOWS };
    if control.watchers().wants(topics) {
        let event = v1::FlowEvent { flow: Some(entry(tables, session, now)), ended, logged };
        control.watchers().tell(topics, Event::Flow(event));
    }
}

/// Finds new flows for all watchers, while there are any.
#[derive(Debug, Default)]
pub(super) struct Follower {
    running: AtomicBool,
}

impl Follower {
    /// Begins to look, unless somebody does.
    pub(super) fn start(self: &Arc<Self>, control: Handle, dataplane: Arc<dyn Dataplane>) {
        if !self.running.swap(true, Ordering::AcqRel) {
            tokio::spawn(Arc::clone(self).follow(control, dataplane));
        }
    }

    async fn follow(self: Arc<Self>, control: Handle, dataplane: Arc<dyn Dataplane>) {
        let mut since = settled(&*dataplane);
        loop {
            tokio::time::sleep(INTERVAL).await;
            if !control.watchers().wants(WANTED) {
                self.running.store(false, Ordering::Release);
                // Somebody may have come in between and relied on us.
                let come = control.watchers().wants(WANTED);
                if !come || self.running.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
            let until = settled(&*dataplane);
            let (control, dataplane) = (control.clone(), Arc::clone(&dataplane));
            let looked = tokio::task::spawn_blocking(move || look(&control, &*dataplane, since, until));
            if looked.await.is_err() {
                return;
            }
            since = until;
        }
    }
}

/// The tick before which no worker creates sessions any more: a burst may be a little behind the clock.
fn settled(dataplane: &dyn Dataplane) -> Ticks {
    Now { milliseconds: dataplane.milliseconds().saturating_sub(LAG) }.tick()
}

/// Tells of the sessions that were created in `since..until`.
fn look(control: &Handle, dataplane: &dyn Dataplane, since: Ticks, until: Ticks) {
    let Some(table) = dataplane.flows() else { return };
    let (tables, window) = (control.tables(), until.since(since));
    let age = |session: &SessionView| until.since(session.created);
    for session in table.sessions(None).filter(|session| (1..=window).contains(&age(session))) {
        tell(control, &tables, &session, until, false);
    }
}
