//! One family's routes in one VRF: a hash table of whole addresses and a trie of everything shorter.

use super::hosts::Hosts;
use super::key::Key;
use super::node::{Node, Route};
use super::result::FibResult;

/// The routes of one family; empty tables own no memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table<K: Key> {
    pub(crate) hosts: Hosts<K>,
    pub(crate) trie: Option<Node<K>>,
}

impl<K: Key> Table<K> {
    pub(crate) fn insert(&mut self, key: K, length: u8, result: FibResult) -> Option<FibResult> {
        let old = if length == K::BITS {
            self.hosts.insert(key, result.to_word())
        } else {
            let root = self.trie.get_or_insert_with(|| Node::new(key, 0));
            root.insert(Route { key, length }, result.to_word())
        };
        old.and_then(FibResult::from_word)
    }

    pub(crate) fn remove(&mut self, key: K, length: u8) -> Option<FibResult> {
        let old = if length == K::BITS {
            self.hosts.remove(key)
        } else {
            let root = self.trie.as_mut()?;
            let old = root.remove(Route { key, length });
            if root.is_empty() {
                self.trie = None;
            }
            old
        };
        old.and_then(FibResult::from_word)
    }

    pub(crate) fn get(&self, key: K, length: u8) -> Option<FibResult> {
        let word = if length == K::BITS {
            self.hosts.get(key)
        } else {
            self.trie.as_ref()?.get(Route { key, length })
        };
        word.and_then(FibResult::from_word)
    }

    /// The longest match and its length.
    pub(crate) fn lookup(&self, key: K) -> Option<(FibResult, u8)> {
        let (word, length) = match (self.hosts.get(key), &self.trie) {
            (Some(word), _) => (word, K::BITS),
            (None, Some(root)) => root.lookup(key),
            (None, None) => return None,
        };
        Some((FibResult::from_word(word)?, length))
    }

    pub(crate) fn memory(&self) -> usize {
        self.hosts.memory() + self.trie.as_ref().map_or(0, Node::memory)
    }
}
