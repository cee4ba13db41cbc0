//! A sorted map in pages: compact (keys and values lie in arrays), and a snapshot costs one pointer per
//! page, so that a `List` reads one generation while the next ones are built.

use std::sync::Arc;

/// Most entries of one page.
const PAGE: usize = 256;

/// A sorted map whose clone shares its pages; a page that is shared is copied when it is changed.
#[derive(Clone, Debug)]
pub(crate) struct SortedPages<K, V> {
    /// The first key of every page.
    first: Vec<K>,
    pages: Vec<Arc<Page<K, V>>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Page<K, V> {
    keys: Vec<K>,
    values: Vec<V>,
}

impl<K, V> Default for SortedPages<K, V> {
    fn default() -> Self {
        Self { first: Vec::new(), pages: Vec::new(), len: 0 }
    }
}

impl<K: Copy + Ord, V: Clone> SortedPages<K, V> {
    /// How many entries there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The page that holds the key if any does.
    fn page_of(&self, key: &K) -> usize {
        self.first.partition_point(|first| first <= key).saturating_sub(1)
    }

    /// The value under a key.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let page = self.pages.get(self.page_of(key))?;
        let slot = page.keys.binary_search(key).ok()?;
        page.values.get(slot)
    }

    /// The value under a key, to be changed in place.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let index = self.page_of(key);
        let slot = self.pages.get(index)?.keys.binary_search(key).ok()?;
        Arc::make_mut(self.pages.get_mut(index)?).values.get_mut(slot)
    }

    /// Writes a value and returns the one that was there.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let index = self.page_of(&key);
        let Some(page) = self.pages.get_mut(index) else {
            self.push_page(0, vec![key], vec![value]);
            self.len = 1;
            return None;
        };
        match page.keys.binary_search(&key) {
            Ok(slot) => {
                let old = Arc::make_mut(page).values.get_mut(slot);
                old.map(|old| std::mem::replace(old, value))
            }
            Err(slot) => {
                self.len += 1;
                if page.keys.len() < PAGE {
                    let page = Arc::make_mut(page);
                    page.keys.insert(slot, key);
                    page.values.insert(slot, value);
                    self.first[index] = page.keys[0];
                } else if slot == PAGE {
                    // Keys that come in order fill their pages.
                    self.push_page(index + 1, vec![key], vec![value]);
                } else {
                    self.split(index);
                    let index = self.page_of(&key);
                    let page = Arc::make_mut(&mut self.pages[index]);
                    let slot = page.keys.partition_point(|other| *other < key);
                    page.keys.insert(slot, key);
                    page.values.insert(slot, value);
                    self.first[index] = page.keys[0];
                }
                None
            }
        }
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let index = self.page_of(key);
        let page = self.pages.get_mut(index)?;
        let slot = page.keys.binary_search(key).ok()?;
        let page = Arc::make_mut(page);
        page.keys.remove(slot);
        let value = page.values.remove(slot);
        self.len -= 1;
        match page.keys.first() {
            None => {
                self.pages.remove(index);
                self.first.remove(index);
            }
            Some(&first) => {
                self.first[index] = first;
                self.merge(index);
                self.merge(index.saturating_sub(1));
            }
        }
        Some(value)
    }

    /// All entries at and after a key, in order.
    pub(crate) fn from<'a>(&'a self, key: &K) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        let index = self.page_of(key);
        let skip = self.pages.get(index).map_or(0, |page| page.keys.partition_point(|other| other < key));
        self.pages[index.min(self.pages.len())..]
            .iter()
            .flat_map(|page| page.keys.iter().zip(&page.values))
            .skip(skip)
    }

    /// All entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.pages.iter().flat_map(|page| page.keys.iter().zip(&page.values))
    }

    fn push_page(&mut self, index: usize, keys: Vec<K>, values: Vec<V>) {
        self.first.insert(index, keys[0]);
        self.pages.insert(index, Arc::new(Page { keys, values }));
    }

    fn split(&mut self, index: usize) {
        let page = Arc::make_mut(&mut self.pages[index]);
        let keys = page.keys.split_off(PAGE / 2);
        let values = page.values.split_off(PAGE / 2);
        self.push_page(index + 1, keys, values);
    }

    /// Joins a page that became small with the next one, so that memory follows the number of entries.
    fn merge(&mut self, index: usize) {
        let (Some(page), Some(next)) = (self.pages.get(index), self.pages.get(index + 1)) else { return };
        if page.keys.len() + next.keys.len() > PAGE / 2 {
            return;
        }
        let next = self.pages.remove(index + 1);
        self.first.remove(index + 1);
        let page = Arc::make_mut(&mut self.pages[index]);
        page.keys.extend_from_slice(&next.keys);
        page.values.extend_from_slice(&next.values);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::SortedPages;

    fn check(map: &SortedPages<u32, u32>, model: &BTreeMap<u32, u32>) {
        assert_eq!(map.len(), model.len());
        assert!(map.iter().eq(model.iter()));
        assert!(map.first.iter().zip(&map.pages).all(|(first, page)| page.keys.first() == Some(first)));
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map_and_a_snapshot_stays_as_it_was(
            ops in prop::collection::vec((0_u8..4, 0_u32..2000, any::<u32>()), 1..3000),
            at in 0_usize..3000,
        ) {
            let mut map = SortedPages::default();
            let mut model = BTreeMap::new();
            let mut snapshot = None;
            for (step, (op, key, value)) in ops.into_iter().enumerate() {
                if step == at {
                    snapshot = Some((map.clone(), model.clone()));
                }
                match op {
                    0 => prop_assert_eq!(map.remove(&key), model.remove(&key)),
                    1 => {
                        if let Some(slot) = map.get_mut(&key) { *slot = value; }
                        if let Some(slot) = model.get_mut(&key) { *slot = value; }
                    }
                    _ => prop_assert_eq!(map.insert(key, value), model.insert(key, value)),
                }
                prop_assert_eq!(map.get(&key), model.get(&key));
                prop_assert!(map.from(&key).take(3).eq(model.range(key..).take(3)));
            }
            check(&map, &model);
            if let Some((map, model)) = snapshot {
                check(&map, &model);
            }
        }
    }

    #[test]
    fn entries_in_order_fill_their_pages_and_pages_that_empty_are_joined() {
        let mut map = SortedPages::default();
        for key in 0..10_000_u32 {
            map.insert(key, ());
        }
        assert_eq!(map.pages.len(), 10_000_usize.div_ceil(super::PAGE));
        for key in (0..10_000).filter(|key| key % 100 != 0) {
            map.remove(&key);
        }
        assert_eq!(map.len(), 100);
        assert!(map.pages.len() <= 3, "{} pages", map.pages.len());
    }
}
