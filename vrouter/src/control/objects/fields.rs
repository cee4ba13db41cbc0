//! Fields that several kinds of objects have: names, numbers, lists. Each is refused by its own path.

use ahash::AHashSet;
use packet::TagId;

use crate::control::{fault::Invalid, names::Names};

/// Refuses a list that is too long.
pub(super) fn at_most(field: &str, what: &str, count: usize, most: usize) -> Result<(), Invalid> {
    if count > most {
        return Err(Invalid::new(field, format!("{count} {what}; at most {most} are allowed")));
    }
    Ok(())
}

/// A name that only informs may be left out.
pub(super) fn check_optional_name(name: &str) -> Result<(), Invalid> {
    if name.is_empty() { Ok(()) } else { check_name(name) }
}

/// A name that operators will grep for: 1 to 255 bytes without control characters.
pub(super) fn check_name(name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return Err(Invalid::new("name", "a name is needed"));
    }
    if name.len() > 255 {
        return Err(Invalid::new("name", format!("{} bytes long; at most 255 are allowed", name.len())));
    }
    if name.chars().any(char::is_control) {
        return Err(Invalid::new("name", "holds control characters"));
    }
    Ok(())
}

/// Tags of a workload, interned, sorted, each once.
pub(super) fn read_tags(field: &str, texts: &[String], names: &mut Names) -> Result<Box<[TagId]>, Invalid> {
    at_most(field, "tags", texts.len(), MAX_TAGS)?;
    let mut tags = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let invalid = |message: String| Invalid::new(format!("{field}[{index}]"), message);
        let is_tag =
            matches!(text.split_once('='), Some((kind, value)) if !kind.is_empty() && !value.is_empty());
        if !is_tag || text.len() > 255 || text.chars().any(char::is_control) {
            return Err(invalid(format!("{text:?} is no tag: write kind=value in at most 255 bytes")));
        }
        tags.push(
            names.intern_tag(text).ok_or_else(|| invalid("65536 different tags are known already".into()))?,
        );
    }
    tags.sort_unstable();
    tags.dedup();
    Ok(tags.into())
}

/// Most tags of one workload, route or end of a rule.
const MAX_TAGS: usize = 64;

/// Reads a list in which nothing may be twice.
pub(super) fn distinct<M, T: Copy + Eq + std::hash::Hash + std::fmt::Display>(
    name: &str,
    messages: &[M],
    read: impl Fn(&str, &M) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    let mut seen = AHashSet::new();
    let mut items = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let field = format!("{name}[{index}]");
        let item = read(&field, message)?;
        if !seen.insert(item) {
            return Err(Invalid::new(field, format!("{item} is there twice")));
        }
        items.push(item);
    }
    Ok(items)
}

/// Reads the rules of a group or policy, no two of which have the same id.
pub(super) fn read_rules<M, T>(
    messages: &[M],
    most: usize,
    id: impl Fn(&M) -> u32,
    mut read: impl FnMut(&M) -> Result<T, Invalid>,
) -> Result<Vec<T>, Invalid> {
    at_most("rules", "rules", messages.len(), most)?;
    let mut ids = AHashSet::with_capacity(messages.len());
    let mut rules = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let rule = if ids.insert(id(message)) {
            read(message)
        } else {
            Err(Invalid::new("id", format!("rule {} is there twice", id(message))))
        };
        let at =
            |invalid: Invalid| Invalid::new(format!("rules[{index}].{}", invalid.field), invalid.message);
        rules.push(rule.map_err(at)?);
    }
    Ok(rules)
}

/// A protocol whose packets have ports.
pub(super) fn port_protocol(field: &str, value: u32) -> Result<u8, Invalid> {
    match u8::try_from(value) {
        Ok(protocol @ (6 | 17 | 132)) => Ok(protocol),
        _ => Err(Invalid::new(field, format!("protocol {value} has no ports: 6, 17 and 132 have"))),
    }
}

/// A number in a range, as the type that holds it.
pub(super) fn number<T: TryFrom<u32>>(
    field: &str,
    value: u32,
    range: std::ops::RangeInclusive<u32>,
) -> Result<T, Invalid> {
    let (low, high) = (*range.start(), *range.end());
    let out = || Invalid::new(field, format!("{value} is out of range: {low} to {high} are allowed"));
    if !range.contains(&value) {
        return Err(out());
    }
    T::try_from(value).map_err(|_| out())
}
