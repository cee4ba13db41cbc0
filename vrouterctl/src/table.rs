//! Aligned columns, without frames: what `awk` and `grep` like.

use std::io::Write;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use crate::error::Error;

/// A table that is filled row by row.
pub(crate) struct Grid {
    table: Table,
    shown: Vec<bool>,
}

impl Grid {
    /// The columns by their heads. `+HEAD` is shown in wide output only, `HEAD>` is right-aligned.
    pub(crate) fn new(wide: bool, heads: &[&str]) -> Self {
        let shown: Vec<bool> = heads.iter().map(|head| wide || !head.starts_with('+')).collect();
        let heads: Vec<&str> =
            heads.iter().zip(&shown).filter(|(_, shown)| **shown).map(|(head, _)| *head).collect();

        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(heads.iter().map(|head| head.trim_start_matches('+').trim_end_matches('>')));
        for (column, head) in table.column_iter_mut().zip(&heads) {
            column.set_padding((0, 2));
            if head.ends_with('>') {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table, shown }
    }

    /// A row with a cell for every column, those of wide output included; an empty cell is printed as `-`.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.into_iter().zip(&self.shown).filter(|(_, shown)| **shown);
        self.table.add_row(cells.map(|(cell, _)| if cell.is_empty() { "-".to_owned() } else { cell }));
    }

    /// Prints it, or `nothing` where it has no rows.
    pub(crate) fn print(&self, out: &mut dyn Write, nothing: &str) -> Result<(), Error> {
        if self.table.is_empty() {
            writeln!(out, "{nothing}")?;
        } else {
            for line in self.table.lines() {
                writeln!(out, "{}", line.trim_end())?;
            }
        }
        Ok(())
    }
}

/// A sign in a flags column: declared once, for the column and for its legend.
pub(crate) struct Flag<T> {
    pub(crate) sign: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) set: fn(&T) -> bool,
}

/// The signs of the flags that are set, one after the other.
pub(crate) fn signs<T>(flags: &[Flag<T>], value: &T) -> String {
    flags.iter().filter(|flag| (flag.set)(value)).map(|flag| flag.sign).collect()
}

/// What the signs mean, in one line.
pub(crate) fn legend<T>(flags: &[Flag<T>]) -> String {
    let meanings: Vec<_> = flags.iter().map(|flag| format!("{}={}", flag.sign, flag.meaning)).collect();
    format!("Flags: {}", meanings.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(wide: bool) -> String {
        let mut grid = Grid::new(wide, &["ID>", "NAME", "+OWNER"]);
        grid.row(["7".into(), "red".into(), "agent".into()]);
        grid.row(["1234".into(), String::new(), "config".into()]);
        let mut out = Vec::new();
        grid.print(&mut out, "none").unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_trailing_blanks() {
        assert_eq!(print(false), "  ID  NAME\n   7  red\n1234  -\n");
        assert_eq!(print(true), "  ID  NAME  OWNER\n   7  red   agent\n1234  -     config\n");
    }

    #[test]
    fn a_table_without_rows_says_so() {
        let mut out = Vec::new();
        Grid::new(false, &["ID"]).print(&mut out, "No VRFs.").unwrap();
        assert_eq!(out, b"No VRFs.\n");
    }

    #[test]
    fn flags_and_their_legend_come_from_one_table() {
        let flags: [Flag<u32>; 2] = [
            Flag { sign: "E", meaning: "even", set: |n| n.is_multiple_of(2) },
            Flag { sign: "B", meaning: "big", set: |n| *n > 9 },
        ];
        assert_eq!([1, 2, 11, 12].map(|n| signs(&flags, &n)), ["", "E", "B", "EB"]);
        assert_eq!(legend(&flags), "Flags: E=even, B=big");
    }
}
