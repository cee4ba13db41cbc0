//! Names that many objects carry (owners, origins of routes; tags), interned: an object stores two bytes.

use std::sync::Arc;

use ahash::AHashMap;
use packet::TagId;

/// An interned name. The number says nothing; compare names by [`Names::get`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameId(pub(crate) u16);

/// All names ever seen: their number follows that of controllers and of kinds of workloads, not of objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    names: Interned,
    tags: Interned,
}

impl Names {
    /// The name's id; `None` when all ids are taken.
    pub(crate) fn intern(&mut self, name: &str) -> Option<NameId> {
        self.names.intern(name).map(NameId)
    }

    /// The id of a name that was seen before.
    pub(crate) fn find(&self, name: &str) -> Option<NameId> {
        self.names.by_text.get(name).copied().map(NameId)
    }

    /// The name behind an id.
    pub(crate) fn get(&self, id: NameId) -> &str {
        self.names.get(id.0)
    }

    /// The tag's id; `None` when all ids are taken.
    pub(crate) fn intern_tag(&mut self, tag: &str) -> Option<TagId> {
        self.tags.intern(tag).map(TagId)
    }

    /// The tag behind an id.
    pub(crate) fn tag(&self, id: TagId) -> &str {
        self.tags.get(id.0)
    }
}

/// Texts by number.
#[derive(Clone, Debug, Default)]
struct Interned {
    by_text: AHashMap<Arc<str>, u16>,
    texts: Vec<Arc<str>>,
}

impl Interned {
    fn intern(&mut self, text: &str) -> Option<u16> {
        if let Some(&number) = self.by_text.get(text) {
            return Some(number);
        }
        let number = u16::try_from(self.texts.len()).ok()?;
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.by_text.insert(text, number);
        Some(number)
    }

    fn get(&self, number: u16) -> &str {
        self.texts.get(usize::from(number)).map_or("", |text| text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_id_and_comes_back() {
        let mut names = Names::default();
        let a = names.intern("uid:0").unwrap();
        let b = names.intern("local").unwrap();
        assert_ne!(a, b);
        assert_eq!(names.intern("uid:0"), Some(a));
        assert_eq!((names.get(a), names.find("local"), names.find("other")), ("uid:0", Some(b), None));
    }

    #[test]
    fn names_run_out_by_name_and_not_by_panic() {
        let mut names = Names::default();
        for number in 0..=u16::MAX {
            assert_eq!(names.intern(&number.to_string()), Some(NameId(number)));
        }
        assert_eq!(names.intern("one more"), None);
    }
}
