//! For each of 65 536 ports (or ICMP type and code in one number) the rules that it satisfies.

use super::rows::{Row, RowsBuilder};

/// A function of ports that is constant between steps.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    /// Where steps begin, ascending, the first one at 0.
    starts: Box<[u16]>,
    /// What holds from there.
    rows: Box<[Row]>,
}

impl Steps {
    /// From the range that each rule asks for, in the order of rules; `None` takes any port.
    pub(super) fn new(ranges: impl Iterator<Item = Option<(u16, u16)>>, rows: &mut RowsBuilder) -> Self {
        let mut bits = rows.bits();
        // From a port on, a rule is satisfied or is not any more.
        let mut turns: Vec<(u32, usize, bool)> = Vec::new();
        for (number, range) in ranges.enumerate() {
            match range {
                None => bits.set(number, true),
                Some((first, last)) if first <= last => {
                    turns.extend([(first.into(), number, true), (u32::from(last) + 1, number, false)]);
                }
                Some(_) => {}
            }
        }
        turns.sort_unstable();
        let mut steps = vec![(0, rows.row(bits.clone()))];
        for turn in turns.chunk_by(|a, b| a.0 == b.0) {
            for (_, number, satisfied) in turn {
                bits.set(*number, *satisfied);
            }
            if let Some(port) = turn.first().and_then(|(port, ..)| u16::try_from(*port).ok()) {
                let row = rows.row(bits.clone());
                match steps.last_mut() {
                    Some((start, last)) if *start == port => *last = row,
                    _ => steps.push((port, row)),
                }
            }
        }
        let (starts, rows): (Vec<u16>, Vec<Row>) = steps.into_iter().unzip();
        Self { starts: starts.into(), rows: rows.into() }
    }

    /// The rules that a port satisfies.
    pub(super) fn at(&self, port: u16) -> Row {
        let step = self.starts.partition_point(|start| *start <= port);
        step.checked_sub(1).and_then(|step| self.rows.get(step)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_port_satisfies_the_rules_whose_range_contains_it(
            ranges in prop::collection::vec(prop::option::of((0_u16..40, 0_u16..40)), 0..12),
            port in prop_oneof![0_u16..42, Just(u16::MAX)], to_the_end: bool
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|range| {
                range.map(|(first, last)| (first, if to_the_end && last > 30 { u16::MAX } else { last }))
            }).collect();
            let mut builder = RowsBuilder::new(ranges.len());
            let steps = Steps::new(ranges.iter().copied(), &mut builder);
            let meets = |range: &Option<(u16, u16)>| range.is_none_or(|(first, last)| (first..=last).contains(&port));
            let expected = builder.row_of((0..).zip(&ranges).filter(|(_, range)| meets(range)).map(|(n, _)| n));
            prop_assert_eq!(steps.at(port), expected);
        }
    }
}
