//! Many lookups at once: level by level, so that while one waits for memory the others are asked for theirs.

use super::key::Key;
use super::node::{Match, Node};
use super::page::Probe;
use super::result::FibResult;
use super::results::Results;
use super::table::Table;

/// Lookups that are interleaved: as many as a burst has packets.
pub(crate) const BURST: usize = 64;

/// Looks up to [`BURST`] addresses up, each in its own table; none where there is no table.
#[inline]
pub(crate) fn lookup<'a, K: Key>(
    lookups: impl Iterator<Item = (Option<&'a Table<K>>, K)>,
    results: &Results,
    found: &mut [Option<FibResult>],
) {
    // What is known of each lookup: arrays of small things, so that nothing is moved. Indexes are below BURST; the
    // remainder tells the compiler.
    let mut keys = [K::default(); BURST];
    let mut nodes = [None::<&Node<K>>; BURST];
    let mut matches = [Match::NONE; BURST];
    let mut probes = [const { None::<Probe<'a, K>> }; BURST];
    let mut probing = false;
    let mut count = 0;
    for (table, key) in lookups.take(BURST.min(found.len())) {
        let i = count % BURST;
        count += 1;
        keys[i] = key;
        let Some(table) = table else { continue };
        nodes[i] = table.trie.as_ref();
        if let Some(probe) = table.hosts.probe(key) {
            probe.prefetch();
            probes[i] = Some(probe);
            probing = true;
        }
    }
    let found = found.get_mut(..count).unwrap_or_default();
    found.fill(None);
    if probing {
        for (i, found) in found.iter_mut().enumerate() {
            let i = i % BURST;
            if let Some(word) = probes[i].as_ref().and_then(|probe| probe.find(keys[i])) {
                *found = FibResult::from_word(word);
                nodes[i] = None;
            }
        }
    }
    let mut going = true;
    while going {
        going = false;
        for i in 0..count {
            let i = i % BURST;
            let Some(node) = nodes[i] else { continue };
            nodes[i] = node.step(keys[i], &mut matches[i]);
            if let Some(kid) = nodes[i] {
                kid.prefetch();
                going = true;
            }
        }
    }
    for (i, found) in found.iter_mut().enumerate() {
        let best = matches[i % BURST];
        if best != Match::NONE {
            *found = results.get(best.result()).and_then(FibResult::from_word);
        }
    }
}
