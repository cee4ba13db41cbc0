//! One family's routes in one VRF: a hash table of whole addresses and a trie of everything shorter.

use super::hosts::Hosts;
use super::key::Key;
use super::node::{Node, Route};
use super::result::FibResult;
use super::results::Results;

/// There are as many different results as there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyResults;

/// The routes of one family; empty tables own no memory. Hosts hold their results themselves, the trie numbers of `Results`.
#[derive(Clone, Debug)]
pub(crate) struct Table<K: Key> {
    pub(crate) hosts: Hosts<K>,
    pub(crate) trie: Option<Node<K>>,
}

impl<K: Key> Default for Table<K> {
    fn default() -> Self {
        Self { hosts: Hosts::default(), trie: None }
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
            self.hosts.insert(key, result.to_word())
        } else {
            let number = results.take(result.to_word()).ok_or(TooManyResults)?;
            let root = self.trie.get_or_insert_with(|| Node::new(key, 0));
            root.insert(Route { key, length }, number).and_then(|old| results.release(old))
        };
        Ok(old.and_then(FibResult::from_word))
    }

    pub(crate) fn remove(&mut self, results: &mut Results, key: K, length: u8) -> Option<FibResult> {
        let old = if length == K::BITS {
            self.hosts.remove(key)
        } else {
            let root = self.trie.as_mut()?;
            let old = root.remove(Route { key, length });
            if root.is_empty() {
                self.trie = None;
            }
            old.and_then(|old| results.release(old))
        };
        old.and_then(FibResult::from_word)
    }

    pub(crate) fn get(&self, results: &Results, key: K, length: u8) -> Option<FibResult> {
        let word = if length == K::BITS {
            self.hosts.get(key)
        } else {
            results.get(self.trie.as_ref()?.get(Route { key, length })?)
        };
        word.and_then(FibResult::from_word)
    }

    /// The longest match and its length.
    pub(crate) fn lookup(&self, results: &Results, key: K) -> Option<(FibResult, u8)> {
        if let Some(word) = self.hosts.get(key) {
            return Some((FibResult::from_word(word)?, K::BITS));
        }
        let found = self.trie.as_ref()?.lookup(key);
        Some((FibResult::from_word(results.get(found.result())?)?, found.length()))
    }

    /// Gives the results back before the table is dropped.
    pub(crate) fn release(&self, results: &mut Results) {
        if let Some(root) = &self.trie {
            root.for_each_result(&mut |number| {
                results.release(number);
            });
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.hosts.memory() + self.trie.as_ref().map_or(0, Node::memory)
    }
}
