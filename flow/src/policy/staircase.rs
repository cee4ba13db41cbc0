//! For each of 65 536 ports (or ICMP type and code in one number) the first rule that names it.

/// No rule.
pub(super) const NOBODY: u32 = u32::MAX;

/// A function of ports that is constant between steps.
#[derive(Clone, Debug)]
pub(super) struct Staircase {
    /// The only ports that name anybody, where they are one range: the usual case, found without another line
    /// of memory.
    first: u16,
    last: u16,
    name: u32,
    /// All other cases.
    steps: Option<Box<Steps>>,
}

#[derive(Clone, Debug)]
struct Steps {
    /// Where steps begin, ascending. Below the first one nobody is named.
    starts: Box<[u16]>,
    /// What each step names.
    names: Box<[u32]>,
}

impl Default for Staircase {
    fn default() -> Self {
        Self { first: 1, last: 0, name: NOBODY, steps: None }
    }
}

impl Staircase {
    /// From ranges (first, last, name), of which the lower name wins where they overlap.
    pub(super) fn new(mut ranges: Vec<(u16, u16, u32)>) -> Self {
        ranges.retain(|(first, last, _)| first <= last);
        ranges.sort_unstable_by_key(|(_, _, name)| *name);
        let steps = paint(ranges);
        match *steps {
            [] => Self::default(),
            [(first, name)] => Self { first, last: u16::MAX, name, steps: None },
            [(first, name), (end, NOBODY)] => Self { first, last: end - 1, name, steps: None },
            _ => {
                let (starts, names): (Vec<u16>, Vec<u32>) = steps.into_iter().unzip();
                let name = names.iter().copied().min().unwrap_or(NOBODY);
                let steps = Some(Box::new(Steps { starts: starts.into(), names: names.into() }));
                Self { name, steps, ..Self::default() }
            }
        }
    }

    /// The name at a port.
    #[inline]
    pub(super) fn at(&self, port: u16) -> u32 {
        match &self.steps {
            Some(steps) => steps.at(port),
            None if self.first <= port && port <= self.last => self.name,
            None => NOBODY,
        }
    }

    /// The lowest name of all.
    pub(super) fn lowest(&self) -> u32 {
        self.name
    }
}

impl Steps {
    fn at(&self, port: u16) -> u32 {
        let step = self.starts.partition_point(|start| *start <= port);
        step.checked_sub(1).and_then(|step| self.names.get(step)).copied().unwrap_or(NOBODY)
    }
}

/// The steps (start, name) of ranges that come in the order of their names.
fn paint(ranges: Vec<(u16, u16, u32)>) -> Vec<(u16, u32)> {
    let ends = ranges.iter().flat_map(|(first, last, _)| [u32::from(*first), u32::from(*last) + 1]);
    let mut starts: Vec<u32> = ends.collect();
    starts.sort_unstable();
    starts.dedup();

    // Each step is painted once: `unpainted` leads from a step to the first one at or behind it that has no
    // name yet.
    let mut names = vec![NOBODY; starts.len()];
    let mut unpainted: Vec<usize> = (0..=starts.len()).collect();
    for (first, last, name) in ranges {
        let mut step = find(&mut unpainted, starts.partition_point(|start| *start < u32::from(first)));
        while starts.get(step).is_some_and(|start| *start <= u32::from(last)) {
            names[step] = name;
            unpainted[step] = step + 1;
            step = find(&mut unpainted, step + 1);
        }
    }

    let mut steps: Vec<(u16, u32)> = Vec::new();
    for (start, name) in starts.into_iter().zip(names) {
        let before = steps.last().map_or(NOBODY, |(_, name)| *name);
        if let (Ok(start), true) = (u16::try_from(start), name != before) {
            steps.push((start, name));
        }
    }
    steps
}

/// The end of a chain, which is shortened on the way.
fn find(chain: &mut [usize], mut at: usize) -> usize {
    while chain[at] != at {
        chain[at] = chain[chain[at]];
        at = chain[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_range_names_nobody() {
        let empty = Staircase::new(Vec::new());
        assert_eq!((empty.at(0), empty.at(65535), empty.lowest()), (NOBODY, NOBODY, NOBODY));
        let impossible = Staircase::new(vec![(10, 9, 1)]);
        assert_eq!((impossible.at(9), impossible.at(10)), (NOBODY, NOBODY));
    }

    #[test]
    fn ranges_reach_both_ends_of_the_ports() {
        let all = Staircase::new(vec![(0, 65535, 3), (65535, 65535, 1), (0, 0, 2)]);
        assert_eq!([all.at(0), all.at(1), all.at(65534), all.at(65535)], [2, 3, 3, 1]);
        assert_eq!(all.lowest(), 1);
    }

    #[test]
    fn steps_that_name_the_same_are_one() {
        assert_eq!(paint(vec![(10, 20, 1), (21, 30, 1), (15, 18, 2)]), [(10, 1), (31, NOBODY)]);
        assert_eq!(paint(vec![(10, 20, 1), (0, 65535, 2)]), [(0, 2), (10, 1), (21, 2)]);
    }

    proptest! {
        #[test]
        fn the_first_range_that_contains_a_port_names_it(
            ranges in prop::collection::vec((0_u16..40, 0_u16..40), 0..12), port in 0_u16..42
        ) {
            let ranges: Vec<_> = (0..).zip(&ranges).map(|(name, (a, b))| (*a, *b, name)).collect();
            let expected = ranges.iter().find(|(a, b, _)| (*a..=*b).contains(&port)).map_or(NOBODY, |r| r.2);
            prop_assert_eq!(Staircase::new(ranges).at(port), expected);
        }
    }
}
