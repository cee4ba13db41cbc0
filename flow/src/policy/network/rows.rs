//! Sets of rules as rows of bits, bit n of a row for the rule of number n. Equal rows are kept once.

use std::collections::HashMap;

/// Words of a block: rules are looked for a block of each row at a time.
const WORDS: usize = 4;

/// Rules of one block that are in a row.
pub(super) type Block = [u64; WORDS];

/// Names a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row(u32);

/// All rows, which are of one length. Row 0 (`Row::default`) is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    blocks: usize,
    content: Box<[Block]>,
}

/// A row that is being made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bits(Box<[Block]>);

/// Collects rows.
#[derive(Debug)]
pub(super) struct RowsBuilder {
    blocks: usize,
    known: HashMap<Bits, Row>,
    content: Vec<Block>,
}

impl Bits {
    pub(super) fn set(&mut self, number: usize, to: bool) {
        let Some(word) = self.0.get_mut(number / (64 * WORDS)).map(|block| &mut block[number / 64 % WORDS])
        else {
            return;
        };
        let bit = 1 << (number % 64);
        *word = if to { *word | bit } else { *word & !bit };
    }

    pub(super) fn or(&mut self, other: &Self) {
        for (block, other) in self.0.iter_mut().zip(&other.0) {
            for (word, other) in block.iter_mut().zip(other) {
                *word |= other;
            }
        }
    }
}

impl RowsBuilder {
    /// For rows of so many rules.
    pub(super) fn new(rules: usize) -> Self {
        let mut builder =
            Self { blocks: rules.div_ceil(64 * WORDS), known: HashMap::new(), content: Vec::new() };
        let empty = builder.bits();
        builder.row(empty);
        builder
    }

    /// An empty row to be filled.
    pub(super) fn bits(&self) -> Bits {
        Bits(vec![[0; WORDS]; self.blocks].into())
    }

    /// A row of these rules.
    pub(super) fn row_of(&mut self, numbers: impl IntoIterator<Item = usize>) -> Row {
        let mut bits = self.bits();
        numbers.into_iter().for_each(|number| bits.set(number, true));
        self.row(bits)
    }

    /// Keeps a row.
    pub(super) fn row(&mut self, bits: Bits) -> Row {
        if let Some(row) = self.known.get(&bits) {
            return *row;
        }
        let row = Row(self.known.len() as u32);
        self.content.extend_from_slice(&bits.0);
        self.known.insert(bits, row);
        row
    }

    pub(super) fn finish(self) -> Rows {
        Rows { blocks: self.blocks, content: self.content.into() }
    }
}

impl Rows {
    /// How many blocks a row has.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// One block of a row.
    #[inline]
    pub(super) fn block(&self, row: Row, block: usize) -> Block {
        self.content.get(row.0 as usize * self.blocks + block).copied().unwrap_or_default()
    }
}

/// What is in both.
#[inline]
pub(super) fn both(a: Block, b: Block) -> Block {
    std::array::from_fn(|word| a[word] & b[word])
}

/// What is in either.
#[inline]
pub(super) fn either(a: Block, b: Block) -> Block {
    std::array::from_fn(|word| a[word] | b[word])
}

/// The lowest rule in a block, counted over all blocks.
#[inline]
pub(super) fn lowest(bits: Block, block: usize) -> Option<usize> {
    let word = bits.iter().position(|word| *word != 0)?;
    Some((block * WORDS + word) * 64 + bits[word].trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_found_in_whatever_block_it_is() {
        let mut builder = RowsBuilder::new(600);
        let numbers = [0, 63, 64, 255, 256, 511, 599];
        let rows_of: Vec<Row> = numbers.iter().map(|number| builder.row_of([*number])).collect();
        let all = builder.row_of(numbers);
        let rows = builder.finish();
        let first = |row| (0..rows.blocks()).find_map(|block| lowest(rows.block(row, block), block));
        assert_eq!(rows.blocks(), 3);
        for (row, number) in rows_of.iter().zip(numbers) {
            assert_eq!(first(*row), Some(number));
        }
        assert_eq!((first(all), first(Row::default())), (Some(0), None));
    }

    #[test]
    fn equal_rows_are_one() {
        let mut builder = RowsBuilder::new(10);
        let row = builder.row_of([3, 5]);
        assert_eq!(builder.row_of([5, 3]), row);
        assert_eq!(builder.row_of([]), Row::default());
        let mut bits = builder.bits();
        bits.set(3, true);
        bits.set(4, true);
        bits.set(4, false);
        assert_ne!(builder.row(bits), row);
    }
}
