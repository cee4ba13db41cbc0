//! Devices come and go with their interfaces: opened before a batch is taken over, closed when no worker
//! uses them any more.

use std::sync::Arc;

use agent_api::v1::{self, watch_event::Event};
use packet::InterfaceId;

use super::{
    Control,
    batch::Staged,
    fault::{Code, Fault},
    objects::{InterfaceSpec, ObjectKey, Spec},
    ports::{Attachment, Link, PortRequest, Ports},
    watch::Topics,
};
use crate::tables::{InterfaceCounters, Role};

impl<P: Ports> Control<P> {
    /// Opens the devices of new interfaces and configures those of changed ones. On failure all is as before.
    pub(super) fn attach(&mut self, staged: &Staged) -> Result<(), Fault> {
        let mut done = Done::default();
        let specs = staged.objects.iter().filter_map(|change| match &change.after.as_ref()?.spec {
            Spec::Interface(spec) => Some((spec, change.before.as_ref().map(|record| &record.spec))),
            _ => None,
        });
        let mut specs: Vec<_> = specs.collect();
        // A HOST interface has the MAC of its twin, so that comes first, and takes it along.
        let twins: Vec<Spec> = self.twins_beside(staged).collect();
        specs.extend(twins.iter().filter_map(|twin| match twin {
            Spec::Interface(spec) => Some((spec, Some(twin))),
            _ => None,
        }));
        specs.sort_by_key(|(spec, _)| spec.role == Role::Host);
        for (spec, before) in specs {
            let result = match before {
                None => self.open(spec).inspect(|()| done.opened.push(spec.id)),
                Some(Spec::Interface(before))
                    if settings(before) != settings(spec) || done.follows(spec.twin_of) =>
                {
                    self.configure(spec).inspect(|()| done.configured.push(spec.id))
                }
                Some(_) => Ok(()),
            };
            if let Err(reason) = result {
                self.undo(&done);
                let key = ObjectKey::Interface(spec.id).to_api(&self.store.names);
                return Err(Fault::of(Code::FailedPrecondition, key, "device", reason));
            }
        }
        Ok(())
    }

    /// HOST interfaces that are not in the batch.
    fn twins_beside<'a>(&'a self, staged: &'a Staged) -> impl Iterator<Item = Spec> + 'a {
        let hosts = self.store.interfaces().filter(|spec| spec.role == Role::Host);
        // Staged changes are in the order of their keys.
        let named = |id| {
            let key = ObjectKey::Interface(id);
            staged.objects.binary_search_by_key(&key, |change| change.key).is_ok()
        };
        hosts.filter(move |spec| !named(spec.id)).map(|spec| Spec::Interface(Arc::clone(spec)))
    }

    fn open(&mut self, spec: &InterfaceSpec) -> Result<(), String> {
        let device = spec.message.device.as_ref().ok_or("the interface has no device")?;
        let mac = self.device_mac(spec);
        let request = PortRequest { interface: spec.id, name: spec.name(), device, mtu: spec.mtu, mac };
        let port = self.ports.attach(&request)?;
        let link = self.ports.link(port.port);
        let counters = Arc::new(InterfaceCounters::new(self.settings.workers));
        self.attachments.insert(spec.id, Attachment { port, link, queues: Vec::new(), counters });
        Ok(())
    }

    fn configure(&mut self, spec: &InterfaceSpec) -> Result<(), String> {
        let mac = self.device_mac(spec);
        let attachment = self.attachments.get_mut(&spec.id).ok_or("the interface has no port")?;
        attachment.port = self.ports.configure(attachment.port.port, spec.mtu, mac)?;
        Ok(())
    }

    fn undo(&mut self, done: &Done) {
        for id in &done.opened {
            if let Some(attachment) = self.attachments.remove(id) {
                self.ports.detach(attachment.port.port);
            }
        }
        for id in &done.configured {
            let Some(spec) = self.store.interface(*id).cloned() else { continue };
            if let Err(reason) = self.configure(&spec) {
                tracing::error!(
                    interface = spec.name(),
                    reason,
                    "the device keeps the settings of a refused batch"
                );
            }
        }
    }

    /// The MAC that a device should have; `None` = its own.
    fn device_mac(&self, spec: &InterfaceSpec) -> Option<[u8; 6]> {
        match spec.role {
            Role::Fabric => spec.mac,
            Role::Virtual => None,
            Role::Host => spec.mac.or_else(|| Some(self.attachments.get(&spec.twin_of?)?.port.mac)),
        }
    }

    /// Lets go of the ports of deleted interfaces; they are closed when the tables without them are effective.
    pub(super) fn release(&mut self, staged: &Staged) {
        for change in staged.objects.iter().filter(|change| change.after.is_none()) {
            if let ObjectKey::Interface(id) = change.key
                && let Some(attachment) = self.attachments.remove(&id)
            {
                self.leaving.push(attachment.port.port);
            }
        }
    }

    /// Looks at every link. What went up or down is told to watchers, and tunnels leave dead uplinks.
    pub fn poll_links(&mut self) {
        self.ports.forget_abandoned();
        let mut changed: Vec<(InterfaceId, Link)> = Vec::new();
        for (&id, attachment) in &mut self.attachments {
            let link = self.ports.link(attachment.port.port);
            if link != attachment.link {
                attachment.link = link.clone();
                changed.push((id, link));
            }
        }
        for (id, link) in changed {
            self.dirty |= self.follow_link(id);
            let name = self.store.interface(id).map(|spec| spec.name().to_owned()).unwrap_or_default();
            tracing::info!(interface = name, up = link.up, reason = link.reason, "link");
            let Link { up, reason } = link;
            let change = v1::InterfaceChange { interface: id.0.into(), name, up, reason };
            self.watchers.tell(Topics::INTERFACES, Event::Interface(change));
        }
    }
}

/// What has to be undone when a later device fails.
#[derive(Default)]
struct Done {
    opened: Vec<InterfaceId>,
    configured: Vec<InterfaceId>,
}

impl Done {
    /// Whether a HOST interface's twin is configured anew.
    fn follows(&self, fabric: Option<InterfaceId>) -> bool {
        fabric.is_some_and(|fabric| self.configured.contains(&fabric))
    }
}

/// What a device is configured with.
fn settings(spec: &InterfaceSpec) -> (u16, Option<[u8; 6]>) {
    (spec.mtu, if spec.role == Role::Virtual { None } else { spec.mac })
}
