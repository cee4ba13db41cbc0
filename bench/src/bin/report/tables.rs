//! Markdown tables in the places that a text has for them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, ensure};
use bench::clock::median;
use bench::record::Record;

const END: &str = "<!-- end -->";

/// The text with its tables filled.
///
/// # Errors
/// A place without an end, or of a kind that there is not.
pub(crate) fn fill(text: &str, records: &[Record]) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        filled.push_str(line);
        filled.push('\n');
        let Some((kind, name)) = place(line) else { continue };
        let old: Vec<_> = lines.by_ref().take_while(|line| *line != END).collect();
        ensure!(lines.clone().count() > 0 || text.trim_end().ends_with(END), "{line} has no end");
        let of_table: Vec<_> = records.iter().filter(|record| record.table == name).collect();
        if of_table.is_empty() {
            // Not measured this time: what was there stays.
            old.iter().for_each(|line| {
                filled.push_str(line);
                filled.push('\n');
            });
        } else {
            filled.push('\n');
            filled.push_str(&match kind {
                "table" => table(&of_table),
                "matrix" => matrix(&of_table),
                "facts" => facts(&of_table),
                _ => anyhow::bail!("{line}: no such kind of table"),
            });
            filled.push('\n');
        }
        filled.push_str(END);
        filled.push('\n');
    }
    Ok(filled)
}

/// `<!-- KIND NAME -->`.
fn place(line: &str) -> Option<(&str, &str)> {
    let inside = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    inside.split_once(' ')
}

/// A row per record.
fn table(records: &[&Record]) -> String {
    let extras: BTreeSet<&String> = records.iter().flat_map(|record| record.extra.keys()).collect();
    let has = |of: &dyn Fn(&Record) -> bool| records.iter().any(|record| of(record));
    let (pairs, asked) = (has(&|r| !r.pairs.is_empty()), has(&|r| r.asked.is_some()));
    let several = has(&|r| r.runs.len() > 1);
    let mut heads = vec!["what".to_owned(), String::new(), "median".to_owned()];
    if several {
        heads.push("range of runs".to_owned());
    }
    heads.push("unit".to_owned());
    if pairs {
        heads.push("× base".to_owned());
    }
    heads.extend(extras.iter().map(|extra| (*extra).clone()));
    if asked {
        heads.push("asked (accepted)".to_owned());
        heads.push(String::new());
    }
    let mut text = head(&heads);
    for record in records {
        let mut cells = vec![record.row.clone(), record.at.clone(), number(record.median())];
        if several {
            cells.push(format!("{} – {}", number(record.least()), number(record.greatest())));
        }
        cells.push(record.unit.clone());
        if pairs {
            cells.push(if record.pairs.is_empty() {
                String::new()
            } else {
                format!("{:.2}", median(&record.pairs))
            });
        }
        cells.extend(
            extras.iter().map(|extra| record.extra.get(*extra).map(|v| number(*v)).unwrap_or_default()),
        );
        if asked {
            cells.push(record.asked.map(|(reach, accept)| ask(reach, accept)).unwrap_or_default());
            cells.push(verdict(record));
        }
        row(&mut text, &cells);
    }
    text
}

/// Lines down, points across; medians, and whether they are as asked.
fn matrix(records: &[&Record]) -> String {
    let (mut rows, mut columns) = (Vec::new(), Vec::new());
    for record in records {
        if !rows.contains(&&record.row) {
            rows.push(&record.row);
        }
        if !columns.contains(&&record.at) {
            columns.push(&record.at);
        }
    }
    let mut heads = vec![String::new()];
    heads.extend(columns.iter().map(|column| (*column).clone()));
    let mut text = head(&heads);
    for name in rows {
        let mut cells = vec![name.clone()];
        for column in &columns {
            let record = records.iter().find(|record| &record.row == name && &record.at == *column);
            cells.push(record.map(|record| cell(record)).unwrap_or_default());
        }
        row(&mut text, &cells);
    }
    text
}

fn cell(record: &Record) -> String {
    let mark = match verdict(record).as_str() {
        "reached" => " ✓",
        "accepted" => " (✓)",
        "" => "",
        _ => " ✗",
    };
    format!("{}{mark}", number(record.median()))
}

fn facts(records: &[&Record]) -> String {
    let mut text = head(&[String::new(), String::new()]);
    for record in records {
        row(&mut text, &[record.row.clone(), record.text.clone()]);
    }
    text
}

fn head(cells: &[String]) -> String {
    let mut text = String::new();
    row(&mut text, cells);
    let lines: Vec<_> = cells.iter().enumerate().map(|(at, _)| if at < 2 { "---" } else { "--:" }).collect();
    let _ = writeln!(text, "|{}|", lines.join("|"));
    text
}

fn row(text: &mut String, cells: &[String]) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn ask(reach: f64, accept: f64) -> String {
    if reach == accept { number(reach) } else { format!("{} ({})", number(reach), number(accept)) }
}

/// Whether a figure is as asked.
fn verdict(record: &Record) -> String {
    let Some((reach, accept)) = record.asked else { return String::new() };
    let value = record.median();
    let more = record.unit.ends_with("/s") || record.unit == "×";
    let is = |asked: f64| if more { value >= asked } else { value <= asked };
    if is(reach) {
        "reached".to_owned()
    } else if is(accept) {
        "accepted".to_owned()
    } else {
        format!("**{:.2} times**", value / accept)
    }
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    if value == 0.0 || (value.abs() >= 100.0 && value.fract() == 0.0) || value.abs() >= 1000.0 {
        let digits = format!("{value:.0}");
        let (sign, digits) = digits.strip_prefix('-').map_or(("", &*digits), |rest| ("-", rest));
        let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
        return format!("{sign}{}", groups.join(" "));
    }
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.2e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_filled_and_the_text_around_it_stays() {
        let text = "# Title\n<!-- table flows -->\nold\n<!-- end -->\nafter\n<!-- table other -->\nkept\n<!-- end -->\n";
        let record = Record::new("flows", "out", "1k", "ticks", vec![3.0, 1.0, 200.0]).asked(2.0, 4.0);
        let filled = fill(text, &[record]).unwrap();
        assert!(filled.starts_with("# Title\n<!-- table flows -->\n\n| what |"), "{filled}");
        assert!(
            filled.contains("| out | 1k | 3.00 | 1.00 – 200 | ticks | 2.00 (4.00) | accepted |"),
            "{filled}"
        );
        assert!(filled.ends_with("after\n<!-- table other -->\nkept\n<!-- end -->\n"), "{filled}");
        assert!(!filled.contains("old"));
        assert_eq!(fill(&filled, &[]).unwrap(), filled, "nothing measured, nothing changed");
    }

    #[test]
    fn more_is_better_of_rates_only() {
        let record = |unit: &str, value: f64| {
            verdict(&Record::new("t", "r", "a", unit, vec![value]).asked(10.0, 10.0))
        };
        assert_eq!(record("M/s", 11.0), "reached");
        assert_eq!(record("ticks", 9.0), "reached");
        assert_eq!(record("ticks", 15.0), "**1.50 times**");
    }

    #[test]
    fn numbers_have_as_many_digits_as_mean_something() {
        let shown = [0.0, 0.5, 12.34, 123.4, 1234567.0, -4321.0].map(number);
        assert_eq!(shown, ["0", "0.50", "12.3", "123", "1 234 567", "-4 321"]);
    }
}
