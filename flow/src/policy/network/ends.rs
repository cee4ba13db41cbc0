//! For one end of a conversation, the rules that it satisfies.

use std::collections::BTreeMap;

use packet::{TagId, VrfId};

use super::rows::{Bits, Block, Row, Rows, RowsBuilder, either};
use super::rule::{End, EndMatch};
use crate::policy::compiled::v4_number;
use crate::policy::prefixes::{Bits as Number, Prefixes};

/// The rules of one family by what they say about one end.
#[derive(Clone, Debug, Default)]
pub(super) struct Ends {
    anybody: Row,
    /// Networks, ascending, with the rules that name them.
    networks: Box<[(VrfId, Row)]>,
    /// Sets of tags, ascending each and as a whole, with the rules that ask for all of one.
    tags: Box<[(Box<[TagId]>, Row)]>,
    /// Of one family only; the other set is empty. The rules of a prefix include those of the prefixes around.
    prefixes_v4: Option<Prefixes<u32, Row>>,
    prefixes_v6: Option<Prefixes<u128, Row>>,
}

/// What an [`Ends`] found of an end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    ends: &'a Ends,
    named: [Row; 2],
    tags: &'a [TagId],
}

/// Rules by prefix.
type ByPrefix<A> = BTreeMap<(A, u8), Bits>;

impl Ends {
    /// From what each rule says of the end, in the order of rules.
    pub(super) fn new<'a>(
        matches: impl Iterator<Item = &'a EndMatch>,
        v6: bool,
        rows: &mut RowsBuilder,
    ) -> Self {
        let mut anybody = rows.bits();
        let mut networks: BTreeMap<VrfId, Bits> = BTreeMap::new();
        let mut tags: BTreeMap<Box<[TagId]>, Bits> = BTreeMap::new();
        let mut of_v4: ByPrefix<u32> = BTreeMap::new();
        let mut of_v6: ByPrefix<u128> = BTreeMap::new();
        let empty = rows.bits();
        for (number, meant) in matches.enumerate() {
            let bits = match meant {
                EndMatch::Any => &mut anybody,
                EndMatch::Network(network) => networks.entry(*network).or_insert_with(|| empty.clone()),
                EndMatch::Tags(set) if set.is_empty() => &mut anybody,
                EndMatch::Tags(set) => {
                    let mut set = set.clone();
                    set.sort_unstable();
                    tags.entry(set).or_insert_with(|| empty.clone())
                }
                EndMatch::Prefix { v6: of, .. } if *of != v6 => continue,
                EndMatch::Prefix { address, length, v6: false } => {
                    let length = (*length).min(32);
                    let first = v4_number(address) & !u32::MAX.checked_shr(length.into()).unwrap_or(0);
                    of_v4.entry((first, length)).or_insert_with(|| empty.clone())
                }
                EndMatch::Prefix { address, length, v6: true } => {
                    let length = (*length).min(128);
                    let first =
                        u128::from_be_bytes(*address) & !u128::MAX.checked_shr(length.into()).unwrap_or(0);
                    of_v6.entry((first, length)).or_insert_with(|| empty.clone())
                }
            };
            bits.set(number, true);
        }
        Self {
            anybody: rows.row(anybody),
            networks: networks.into_iter().map(|(network, bits)| (network, rows.row(bits))).collect(),
            tags: tags.into_iter().map(|(set, bits)| (set, rows.row(bits))).collect(),
            prefixes_v4: prefixes(of_v4, rows),
            prefixes_v6: prefixes(of_v6, rows),
        }
    }

    /// What rules say about an end.
    pub(super) fn find<'a>(&'a self, end: &End<'a>) -> Found<'a> {
        let network = match self.networks.binary_search_by_key(&end.network, |(network, _)| *network) {
            Ok(at) => self.networks.get(at).map_or_else(Row::default, |(_, row)| *row),
            Err(_) => Row::default(),
        };
        let longest = match (&self.prefixes_v4, &self.prefixes_v6) {
            (Some(prefixes), _) => prefixes.around(v4_number(&end.address)).next(),
            (None, Some(prefixes)) => prefixes.around(u128::from_be_bytes(end.address)).next(),
            (None, None) => None,
        };
        let named = [network, longest.copied().unwrap_or_default()];
        let tags = if self.tags.is_empty() { &[] } else { end.tags };
        Found { ends: self, named, tags }
    }
}

impl Found<'_> {
    /// One block of the rules that the end satisfies.
    pub(super) fn block(&self, rows: &Rows, block: usize) -> Block {
        let mut bits = rows.block(self.ends.anybody, block);
        for row in self.named {
            bits = either(bits, rows.block(row, block));
        }
        for &tag in self.tags {
            // The sets whose lowest tag this is.
            let of_tag = |set: &[TagId]| set.first().copied().unwrap_or_default();
            let first = self.ends.tags.partition_point(|(set, _)| of_tag(set) < tag);
            let sets = self.ends.tags.get(first..).unwrap_or(&[]);
            for (set, row) in sets.iter().take_while(|(set, _)| of_tag(set) == tag) {
                if set.iter().all(|tag| self.tags.contains(tag)) {
                    bits = either(bits, rows.block(*row, block));
                }
            }
        }
        bits
    }
}

fn prefixes<A: Number>(of: ByPrefix<A>, rows: &mut RowsBuilder) -> Option<Prefixes<A, Row>> {
    if of.is_empty() {
        return None;
    }
    let mut all = Prefixes::new(of);
    all.update(|bits, around| around.into_iter().for_each(|around| bits.or(around)));
    Some(all.map(|bits| rows.row(bits)))
}
