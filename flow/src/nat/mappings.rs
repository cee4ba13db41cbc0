//! Endpoint-independent mappings: one outside port per inside end while it has sessions, found from either side.
//!
//! A lock guards a sixteenth of the inside ends. It is taken when a session begins or ends, never for a packet of
//! a known session.

use std::collections::HashMap;

use ahash::RandomState;

use super::Inside;
use crate::atomic::{Mutex, lock};

const SHARDS: usize = 16;

/// What an inside end has.
#[derive(Clone, Copy, Debug)]
struct Mapped {
    port: u16,
    /// Sessions that use it.
    sessions: u32,
}

type Shards<K, V> = Box<[Mutex<HashMap<K, V, RandomState>>]>;

/// See the module.
#[derive(Debug)]
pub(super) struct Mappings {
    hasher: RandomState,
    by_inside: Shards<Inside, Mapped>,
    by_port: Shards<(u8, u16), Inside>,
}

fn shards<K, V>(hasher: &RandomState, expected: usize) -> Shards<K, V> {
    // A quarter more than the average: shards are not filled evenly.
    let each = expected / SHARDS + expected / SHARDS / 4 + 8;
    (0..SHARDS).map(|_| Mutex::new(HashMap::with_capacity_and_hasher(each, hasher.clone()))).collect()
}

impl Mappings {
    pub(super) fn new(expected: usize) -> Self {
        let hasher = RandomState::new();
        let (by_inside, by_port) = (shards(&hasher, expected), shards(&hasher, expected));
        Self { hasher, by_inside, by_port }
    }

    /// One session more for an inside end; `take` finds a port for its first.
    pub(super) fn claim(&self, inside: &Inside, take: impl FnOnce() -> Option<u16>) -> Option<u16> {
        let mut mapped = lock(self.shard(inside));
        if let Some(mapped) = mapped.get_mut(inside) {
            mapped.sessions += 1;
            return Some(mapped.port);
        }
        let port = take()?;
        mapped.insert(*inside, Mapped { port, sessions: 1 });
        lock(self.port_shard(port)).insert((inside.protocol, port), *inside);
        Some(port)
    }

    /// The port that an inside end has.
    pub(super) fn find(&self, inside: &Inside) -> Option<u16> {
        lock(self.shard(inside)).get(inside).map(|mapped| mapped.port)
    }

    /// One session less; whether the port is free now.
    pub(super) fn release(&self, inside: &Inside, port: u16) -> bool {
        let mut shard = lock(self.shard(inside));
        match shard.get_mut(inside) {
            Some(mapped) if mapped.port == port && mapped.sessions > 1 => {
                mapped.sessions -= 1;
                false
            }
            Some(mapped) if mapped.port == port => {
                shard.remove(inside);
                lock(self.port_shard(port)).remove(&(inside.protocol, port));
                true
            }
            // A session from before this pool: it has nothing here.
            _ => false,
        }
    }

    /// The inside end that has a port.
    pub(super) fn behind(&self, protocol: u8, port: u16) -> Option<Inside> {
        lock(self.port_shard(port)).get(&(protocol, port)).copied()
    }

    fn shard(&self, inside: &Inside) -> &Mutex<HashMap<Inside, Mapped, RandomState>> {
        &self.by_inside[self.hasher.hash_one(inside) as usize % SHARDS]
    }

    fn port_shard(&self, port: u16) -> &Mutex<HashMap<(u8, u16), Inside, RandomState>> {
        &self.by_port[usize::from(port) % SHARDS]
    }
}
