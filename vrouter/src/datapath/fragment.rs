//! Which session a datagram's later fragments belong to (SEMANTICS 14). They carry no ports, so they
//! follow the context that their first fragment left.

use flow::{HalfId, Scope};
use packet::{Address, DropReason, Facts, Meta, PacketBuf};

use super::Now;

/// Datagrams remembered per worker.
const CONTEXTS: usize = 4096;
/// How long a context lives, in milliseconds.
const LIFETIME: u64 = 1_000;

/// What all fragments of one datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    scope: Scope,
    src: Address,
    dst: Address,
    protocol: u8,
    identification: u32,
}

#[derive(Clone, Copy, Debug)]
struct Context {
    key: Key,
    half: HalfId,
    until: u64,
}

/// Contexts in a direct-mapped table: a collision costs the older datagram its later fragments.
#[derive(Debug)]
pub(super) struct Fragments {
    contexts: Box<[Option<Context>]>,
}

impl Fragments {
    pub(super) fn new() -> Self {
        Self { contexts: vec![None; CONTEXTS].into_boxed_slice() }
    }

    /// The first fragment has its session: the others will follow it.
    pub(super) fn remember<B: PacketBuf>(
        &mut self,
        now: Now,
        seed: u64,
        buf: &B,
        meta: &Meta,
        scope: Scope,
        half: HalfId,
    ) {
        if let Some(key) = key(buf, meta, scope) {
            let until = now.milliseconds + LIFETIME;
            self.contexts[slot(&key, seed)] = Some(Context { key, half, until });
        }
    }

    /// The session half of a later fragment.
    pub(super) fn find<B: PacketBuf>(
        &self,
        now: Now,
        seed: u64,
        buf: &B,
        meta: &Meta,
        scope: Scope,
    ) -> Result<HalfId, DropReason> {
        let key = key(buf, meta, scope).ok_or(DropReason::InvalidIpHeader)?;
        match &self.contexts[slot(&key, seed)] {
            Some(context) if context.key == key && now.milliseconds <= context.until => Ok(context.half),
            _ => Err(DropReason::FragmentNoFirst),
        }
    }
}

/// Whether a first fragment has too little of the transport header to be judged.
pub(super) fn is_tiny(meta: &Meta) -> bool {
    meta.facts.contains(Facts::FRAGMENT) && !meta.facts.intersects(Facts::LATER_FRAGMENT | Facts::L4)
}

fn key<B: PacketBuf>(buf: &B, meta: &Meta, scope: Scope) -> Option<Key> {
    let packet::Fragment { identification, protocol, .. } = packet::fragment(buf.data(), meta)?;
    Some(Key { scope, src: meta.src, dst: meta.dst, protocol, identification })
}

fn slot(key: &Key, seed: u64) -> usize {
    let words = [
        u64::from_ne_bytes([
            key.src[0], key.src[1], key.src[2], key.src[3], key.src[12], key.src[13], key.src[14], key.src[15],
        ]),
        u64::from_ne_bytes([
            key.dst[0], key.dst[1], key.dst[2], key.dst[3], key.dst[12], key.dst[13], key.dst[14], key.dst[15],
        ]),
        u64::from(key.identification) << 32 | u64::from(key.scope.raw()),
    ];
    let mixed = words.iter().fold(seed, |hash, word| {
        let product = u128::from(hash ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        (product as u64) ^ (product >> 64) as u64
    });
    mixed as usize % CONTEXTS
}
