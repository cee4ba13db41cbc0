//! Names that many objects carry (owners, origins of routes), interned: an object stores two bytes.

use std::sync::Arc;

use ahash::AHashMap;

/// An interned name. The number says nothing; compare names by [`Names::get`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NameId(pub(crate) u16);

/// All names ever seen: their number follows the number of controllers, not of objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    by_name: AHashMap<Arc<str>, NameId>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// The name's id; `None` when all ids are taken.
    pub(crate) fn intern(&mut self, name: &str) -> Option<NameId> {
        if let Some(&id) = self.by_name.get(name) {
            return Some(id);
        }
        let id = NameId(u16::try_from(self.names.len()).ok()?);
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.by_name.insert(name, id);
        Some(id)
    }

    /// The id of a name that was seen before.
    pub(crate) fn find(&self, name: &str) -> Option<NameId> {
        self.by_name.get(name).copied()
    }

    /// The name behind an id.
    pub(crate) fn get(&self, id: NameId) -> &str {
        self.names.get(usize::from(id.0)).map_or("", |name| name)
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
