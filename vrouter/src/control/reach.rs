//! Neighbours, as the control side lives with them: what tables and workers need is asked for, what is heard is
//! written into the tables, and tunnels follow.

use std::net::IpAddr;

use agent_api::v1::{self, watch_event::Event};
use packet::{Address, InterfaceId, VrfId, encap::TunnelTooBig, parse};

use super::{
    Control,
    compile::{Context, Wanted},
    fault::{Code, Fault},
    neighbours::{Asker, Effect, Use, hear, request},
    objects::ObjectKey,
    ports::Ports,
    text::Ip,
    watch::Topics,
};
use crate::tables::Role;

impl<P: Ports> Control<P> {
    /// Time goes on: `now` is in milliseconds of a clock that never goes back. Does what is due.
    pub fn advance(&mut self, now: u64) {
        self.now = self.now.max(now);
        let mut effects = Vec::new();
        let (store, compiler) = (&self.store, &self.compiler);
        self.neighbours.tick(self.now, |interface, ip| compiler.use_of(store, interface, ip), &mut effects);
        self.act(effects);
        if self.compiler.path_mtu_due().is_some_and(|due| due <= self.now) {
            let now = self.now;
            let (compiler, mut cx) = self.compiler();
            self.dirty |= compiler.forget_path_mtus(&mut cx, now);
        }
    }

    /// When [`Self::advance`] has something to do next, in milliseconds of the same clock.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.neighbours.next_due().into_iter().chain(self.compiler.path_mtu_due()).min()
    }

    /// A worker has a packet for a neighbour that it does not know.
    pub fn neighbour_needed(&mut self, interface: InterfaceId, v6: bool, address: Address) {
        self.ask_for([(interface, Ip { v6, address })].into());
    }

    /// A worker received ARP or neighbour discovery on a fabric interface, or was told there that a tunnel packet
    /// was too big (SEMANTICS 11).
    pub fn hear(&mut self, interface: InterfaceId, frame: &[u8]) {
        let Some(spec) = self.store.interface(interface).filter(|spec| spec.role == Role::Fabric).cloned()
        else {
            return;
        };
        if let Some(told) = parse::ethernet(frame).ok().and_then(|meta| TunnelTooBig::read(frame, &meta)) {
            let now = self.now;
            let (compiler, mut cx) = self.compiler();
            self.dirty |= compiler.learn_path_mtu(&mut cx, &told, now);
            return;
        }
        // Nobody moves our own addresses.
        let Some(heard) = hear(frame).filter(|heard| !spec.has_address(heard.ip)) else { return };
        let ours = heard.asks.is_some_and(|ip| spec.has_address(ip));
        let mut effects = Vec::new();
        let (store, compiler) = (&self.store, &self.compiler);
        let uses = |interface, ip| compiler.use_of(store, interface, ip);
        self.neighbours.heard((spec.vrf, interface), &heard, ours, self.now, uses, &mut effects);
        if uses(interface, heard.ip) == Use::Needed {
            self.neighbours.refresh(interface, heard.ip, self.now, &mut effects);
        }
        self.act(effects);
    }

    /// Makes a neighbour known for good, without asking it.
    ///
    /// # Errors
    /// The interface does not exist or is no fabric interface.
    pub fn install_neighbour(
        &mut self,
        interface: InterfaceId,
        address: IpAddr,
        mac: [u8; 6],
    ) -> Result<(), Fault> {
        let vrf = self.fabric_vrf(interface).ok_or_else(|| {
            let key = ObjectKey::Interface(interface).to_api(&self.store.names);
            Fault::of(Code::FailedPrecondition, key, "", "is no FABRIC interface")
        })?;
        let mut effects = Vec::new();
        self.neighbours.install(vrf, interface, address.into(), mac, self.now, &mut effects);
        self.act(effects);
        Ok(())
    }

    /// All neighbours, of one interface or of all.
    #[must_use]
    pub fn neighbours(&self, interface: Option<InterfaceId>) -> Vec<v1::Neighbour> {
        self.neighbours.list(interface, self.now)
    }

    /// Frames that the vRouter itself has to say, with the interface each leaves by.
    pub fn take_frames(&mut self) -> Vec<(InterfaceId, Vec<u8>)> {
        std::mem::take(&mut self.outbox)
    }

    fn fabric_vrf(&self, interface: InterfaceId) -> Option<VrfId> {
        Some(self.store.interface(interface).filter(|spec| spec.role == Role::Fabric)?.vrf)
    }

    /// Asks for neighbours that tables or workers need.
    pub(super) fn ask_for(&mut self, wanted: Wanted) {
        let mut effects = Vec::new();
        for (interface, ip) in wanted {
            let Some(vrf) = self.fabric_vrf(interface) else { continue };
            let (store, compiler) = (&self.store, &self.compiler);
            let uses = |interface, ip| compiler.use_of(store, interface, ip);
            self.neighbours.need(vrf, interface, ip, self.now, uses, &mut effects);
            self.neighbours.refresh(interface, ip, self.now, &mut effects);
        }
        self.act(effects);
    }

    /// Neighbours of an interface that is gone, or is another's now.
    pub(super) fn forget_neighbours(&mut self, interface: InterfaceId) {
        let mut effects = Vec::new();
        self.neighbours.remove_interface(interface, &mut effects);
        self.act(effects);
    }

    /// Tunnels over an interface whose link changed are built again. Whether anything was.
    pub(super) fn follow_link(&mut self, interface: InterfaceId) -> bool {
        let (compiler, mut cx) = self.compiler();
        let (wanted, changed) = compiler.link(&mut cx, interface);
        self.ask_for(wanted);
        changed
    }

    fn act(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask(interface, ip, known) => {
                    if let Some(asker) = self.asker(interface) {
                        self.outbox.push((interface, request(&asker, ip, known)));
                    }
                }
                Effect::Write(interface, ip) => {
                    self.neighbours.write(&mut self.tables.neighbours, interface, ip);
                    let (compiler, mut cx) = self.compiler();
                    compiler.neighbour(&mut cx, interface, ip);
                    self.dirty = true;
                    self.tell_neighbour(interface, ip);
                }
                Effect::Tell(interface, ip) => self.tell_neighbour(interface, ip),
            }
        }
    }

    fn tell_neighbour(&self, interface: InterfaceId, ip: Ip) {
        if self.watchers.wants(Topics::NEIGHBOURS) {
            let neighbour = self.neighbours.show(interface, ip, self.now);
            self.watchers.tell(Topics::NEIGHBOURS, Event::Neighbour(neighbour));
        }
    }

    /// Who asks on an interface: an unnumbered one lends an address of another fabric interface of its VRF.
    fn asker(&self, interface: InterfaceId) -> Option<Asker> {
        let spec = self.store.interface(interface)?;
        let mac = self.attachments.get(&interface)?.port.mac;
        let mut addresses: Vec<(Ip, u8)> =
            spec.addresses.iter().map(|address| (address.ip, address.length)).collect();
        if !addresses.iter().any(|(ip, _)| !ip.v6) {
            let lent = self.store.lent_address(spec.vrf, false);
            addresses.extend(lent.map(|ip| (ip, ip.host().length())));
        }
        Some(Asker { mac, addresses })
    }

    /// The compiler with what it works on.
    pub(super) fn compiler(&mut self) -> (&mut super::compile::Compiler, Context<'_>) {
        let generation = self.publisher.generation() + 1;
        let cx = Context {
            store: &mut self.store,
            attachments: &self.attachments,
            tables: &mut self.tables,
            generation,
        };
        (&mut self.compiler, cx)
    }
}
