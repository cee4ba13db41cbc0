//! What is printed of the results.

use std::io::Write;

use agent_api::v1::{BatchResult, Key};
use tonic::Code;

use crate::error::{Error, refusal};

/// How an operation's outcome is called.
pub(super) struct Words {
    pub(super) changed: &'static str,
    pub(super) unchanged: &'static str,
}

/// What is printed of the results.
pub(super) struct Report<'a> {
    out: &'a mut dyn Write,
    words: Words,
    quiet: bool,
    list_unchanged: bool,
    changed: usize,
    unchanged: usize,
    generation: u64,
    refused: Vec<String>,
    lost: usize,
    not_sent: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(out: &'a mut dyn Write, words: Words, quiet: bool, list_unchanged: bool) -> Self {
        Self {
            out,
            words,
            quiet,
            list_unchanged,
            changed: 0,
            unchanged: 0,
            generation: 0,
            refused: Vec::new(),
            lost: 0,
            not_sent: 0,
        }
    }

    /// Prints what became of a batch; whether it was taken.
    pub(super) fn result(&mut self, keys: &[Key], result: &BatchResult) -> Result<bool, Error> {
        if result.code != Code::Ok as u32 {
            self.refused.push(reason(result));
            self.lost += keys.len();
            return Ok(false);
        }
        let changed = usize::try_from(result.changed).unwrap_or(usize::MAX).min(keys.len());
        self.changed += changed;
        self.unchanged += keys.len() - changed;
        self.generation = self.generation.max(result.generation);
        if self.quiet {
            return Ok(true);
        }
        let mut same = vec![changed == 0; keys.len()];
        for &index in &result.unchanged {
            if let Some(same) = usize::try_from(index).ok().and_then(|index| same.get_mut(index)) {
                *same = true;
            }
        }
        for (key, same) in keys.iter().zip(same) {
            if !same {
                writeln!(self.out, "{key} {}", self.words.changed)?;
            } else if self.list_unchanged {
                writeln!(self.out, "{key} {}", self.words.unchanged)?;
            }
        }
        Ok(true)
    }

    /// Whether a batch was refused.
    pub(super) const fn is_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Takes note of operations that were given up after a refusal.
    pub(super) const fn not_tried(&mut self, operations: usize) {
        self.not_sent = operations;
    }

    /// As [`Report::finish`], for an end that has a generation of its own.
    pub(super) fn finish_at(mut self, generation: u64, more: &str) -> Result<(), Error> {
        self.generation = generation;
        self.finish(more)
    }

    /// The last line, and the refusals as the command's error.
    pub(super) fn finish(self, more: &str) -> Result<(), Error> {
        let Self { out, words, changed, unchanged, generation, refused, lost, not_sent, .. } = self;
        if refused.is_empty() {
            let (is_changed, is_not) = (words.changed, words.unchanged);
            writeln!(out, "{changed} {is_changed}, {unchanged} {is_not}{more}; generation {generation}")?;
            return Ok(());
        }
        out.flush()?;
        let mut message = refused.join("\n");
        message += &format!("\n{changed} {}, {unchanged} {}, {lost} refused", words.changed, words.unchanged);
        if not_sent > 0 {
            message += &format!(", {not_sent} not tried");
        }
        Err(Error::Failed(message + more))
    }
}

/// Why a batch was refused: the object and the field at fault, and the reason.
pub(super) fn reason(result: &BatchResult) -> String {
    let code = i32::try_from(result.code).map_or(Code::Unknown, Code::from_i32);
    let message = refusal(&result.message, code);
    match (&result.object, result.field.as_str()) {
        (None, "") => message,
        (None, field) => format!("{field}: {message}"),
        (Some(key), "") => format!("{key}: {message}"),
        (Some(key), field) => format!("{key}: {field}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_api::v1::{Kind, RouteKey, key};

    fn keys() -> Vec<Key> {
        ["1", "2", "3"].into_iter().map(|id| Key::parse(Kind::NextHop, id).unwrap()).collect()
    }

    /// What is printed for a batch of three, and the result of the command.
    fn told(result: &BatchResult, list_unchanged: bool) -> (String, Result<(), String>) {
        let mut out = Vec::new();
        let words = Words { changed: "applied", unchanged: "unchanged" };
        let mut report = Report::new(&mut out, words, false, list_unchanged);
        report.result(&keys(), result).unwrap();
        let end = report.finish("").map_err(|error| error.to_string());
        (String::from_utf8(out).unwrap(), end)
    }

    #[test]
    fn a_vrouter_that_tells_only_a_number_is_believed() {
        let result = BatchResult { changed: 2, generation: 9, ..BatchResult::default() };
        let all = "next_hop 1 applied\nnext_hop 2 applied\nnext_hop 3 applied\n2 applied, 1 unchanged; generation 9\n";
        assert_eq!(told(&result, true), (all.to_owned(), Ok(())));
        let result = BatchResult { changed: 0, ..result };
        assert_eq!(told(&result, false).0, "0 applied, 3 unchanged; generation 9\n");
        assert_eq!(told(&result, true).0.lines().filter(|line| line.ends_with(" unchanged")).count(), 3);
    }

    #[test]
    fn numbers_that_cannot_be_do_no_harm() {
        let result = BatchResult { changed: 99, unchanged: vec![1, 77], ..BatchResult::default() };
        let (text, _) = told(&result, true);
        assert_eq!(
            text,
            "next_hop 1 applied\nnext_hop 2 unchanged\nnext_hop 3 applied\n3 applied, 0 unchanged; generation 0\n"
        );
    }

    #[test]
    fn a_refusal_names_as_much_as_is_known() {
        let refused = BatchResult { code: 3, message: "too large".into(), ..BatchResult::default() };
        let (text, end) = told(&refused, true);
        assert_eq!(text, "");
        assert_eq!(end.unwrap_err(), "too large (INVALID_ARGUMENT)\n0 applied, 0 unchanged, 3 refused");
        let field = BatchResult { field: "operations".into(), ..refused.clone() };
        assert_eq!(reason(&field), "operations: too large (INVALID_ARGUMENT)");
        let route = RouteKey { vrf: 1, prefix: "::/0".into(), origin: String::new() };
        let object = BatchResult { object: Some(Key { key: Some(key::Key::Route(route)) }), ..refused };
        assert_eq!(reason(&object), "route 1/::/0: too large (INVALID_ARGUMENT)");
        let unknown = BatchResult { code: 4_000_000_000, ..object };
        assert_eq!(reason(&unknown), "route 1/::/0: too large (UNKNOWN)");
    }
}
