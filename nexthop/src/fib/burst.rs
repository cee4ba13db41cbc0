//! Many lookups at once: level by level, so that while one waits for memory the others are asked for theirs.

use packet::VrfId;

use super::key::Key;
use super::leaf::Leaf;
use super::machine::prefetch;
use super::page::Probe;
use super::result::FibResult;
use super::results::Results;
use super::route::Shown;
use super::table::Table;
use super::trie::Slot;

/// Lookups that are interleaved: as many as a burst has packets.
pub(crate) const BURST: usize = 64;

/// Looks up to [`BURST`] addresses up, each in the table of its VRF; none where there is no table.
#[inline]
pub(crate) fn lookup<'a, K: Key>(
    keys: &[(VrfId, K)],
    table_of: impl Fn(VrfId) -> Option<&'a Table<K>>,
    results: &Results,
    found: &mut [Option<FibResult>],
) {
    // What is known of each lookup: arrays of small things, so that nothing is moved. Indexes are below BURST; the
    // remainder tells the compiler.
    let mut addresses = [K::default(); BURST];
    let mut slots = [None::<&Slot<K>>; BURST];
    let mut leaves = [None::<&Leaf<K>>; BURST];
    let mut longest = [Shown::NOTHING; BURST];
    let mut probes = [const { None::<Probe<'a, K>> }; BURST];
    let mut probing = false;
    // The numbers of those that are still below an array.
    let (mut going, mut gone_on) = ([0_u8; BURST], 0);
    let mut count = 0;
    // Neighbours are often of one VRF.
    for keys in keys.get(..BURST.min(found.len())).unwrap_or(keys).chunk_by(|a, b| a.0 == b.0) {
        let range = count..count + keys.len();
        count = range.end;
        for (i, (_, key)) in range.clone().zip(keys) {
            addresses[i % BURST] = *key;
        }
        let Some(table) = keys.first().and_then(|(vrf, _)| table_of(*vrf)) else { continue };
        if !table.hosts.is_empty() {
            probing = true;
            for (i, (_, key)) in range.clone().zip(keys) {
                let probe = table.hosts.probe(*key);
                probe.iter().for_each(Probe::prefetch);
                probes[i % BURST] = probe;
            }
        }
        match &table.trie {
            Slot::Bare(_) => {}
            Slot::Leaf(_, leaf) => {
                leaf.prefetch();
                range.for_each(|i| leaves[i % BURST] = Some(leaf));
            }
            Slot::Array(_, array) => {
                for (i, (_, key)) in range.zip(keys) {
                    let next = array.slot(*key);
                    next.into_iter().for_each(|next| prefetch(next));
                    slots[i % BURST] = next;
                    going[gone_on % BURST] = i as u8;
                    gone_on += usize::from(next.is_some());
                }
            }
        }
    }
    let found = found.get_mut(..count).unwrap_or_default();
    while gone_on > 0 {
        let here = gone_on;
        gone_on = 0;
        for j in 0..here {
            let i = usize::from(going[j % BURST]) % BURST;
            let Some(slot) = slots[i] else { continue };
            longest[i] = longest[i].max(slot.shown());
            match slot {
                Slot::Bare(_) => {}
                Slot::Leaf(_, leaf) => {
                    leaf.prefetch();
                    leaves[i] = Some(leaf);
                }
                Slot::Array(_, array) => {
                    let next = array.slot(addresses[i]);
                    next.into_iter().for_each(|next| prefetch(next));
                    slots[i] = next;
                    going[gone_on % BURST] = i as u8;
                    gone_on += usize::from(next.is_some());
                }
            }
        }
    }
    for (i, found) in found.iter_mut().enumerate() {
        let i = i % BURST;
        if let Some(leaf) = leaves[i] {
            longest[i] = longest[i].max(leaf.find(addresses[i]).longest());
        }
        *found = if longest[i] == Shown::NOTHING { None } else { results.get(longest[i].result()) };
    }
    if probing {
        for (i, found) in found.iter_mut().enumerate() {
            let i = i % BURST;
            if let Some(word) = probes[i].as_ref().and_then(|probe| probe.find(addresses[i])) {
                *found = FibResult::from_word(word);
            }
        }
    }
}
