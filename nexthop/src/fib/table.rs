//! One family's routes in one VRF: a hash table of whole addresses and a trie of everything shorter.

use super::hosts::Hosts;
use super::key::Key;

use super::result::FibResult;
use super::results::Results;
use super::route::Route;
use super::trie::Slot;

/// There are as many different results as there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyResults;

/// The routes of one family; empty tables own no memory. Hosts hold their results themselves, the trie numbers of `Results`.
#[derive(Clone, Debug)]
pub(crate) struct Table<K: Key> {
    pub(crate) hosts: Hosts<K>,
    pub(crate) trie: Slot<K>,
}

impl<K: Key> Default for Table<K> {
    fn default() -> Self {
        Self { hosts: Hosts::default(), trie: Slot::default() }
    }
}

impl<K: Key> Table<K> {
    /// Sets what a prefix leads to and returns what it led to before; an error if there are as many results as there can be.
    pub(crate) fn insert(
        &mut self,
        results: &mut Results,
        key: K,
        length: u8,
        result: FibResult,
    ) -> Result<Option<FibResult>, TooManyResults> {
        let old = if length == K::BITS {
            self.hosts.insert(key, result.to_word()).and_then(FibResult::from_word)
        } else {
            let number = results.take(result).ok_or(TooManyResults)?;
            self.trie.insert(Route { key, length, result: number }).and_then(|old| results.release(old))
        };
        Ok(old)
    }

    pub(crate) fn remove(&mut self, results: &mut Results, key: K, length: u8) -> Option<FibResult> {
        if length == K::BITS {
            self.hosts.remove(key).and_then(FibResult::from_word)
        } else {
            self.trie.remove(Route { key, length, result: 0 }).and_then(|old| results.release(old))
        }
    }

    pub(crate) fn get(&self, results: &Results, key: K, length: u8) -> Option<FibResult> {
        if length == K::BITS {
            self.hosts.get(key).and_then(FibResult::from_word)
        } else {
            results.get(self.trie.get(Route { key, length, result: 0 })?)
        }
    }

    /// The longest match and its length.
    pub(crate) fn lookup(&self, results: &Results, key: K) -> Option<(FibResult, u8)> {
        if let Some(word) = self.hosts.get(key) {
            return Some((FibResult::from_word(word)?, K::BITS));
        }
        let (number, length) = self.trie.lookup(key)?;
        Some((results.get(number)?, length))
    }

    /// Gives the results back before the table is dropped.
    pub(crate) fn release(&self, results: &mut Results) {
        self.trie.for_each_result(&mut |number| {
            results.release(number);
        });
    }

    pub(crate) fn memory(&self) -> usize {
        self.hosts.memory() + self.trie.memory()
    }
}
