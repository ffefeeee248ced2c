//! The commonest kinds of a column of numbers, such as the ids of tokens, so that counts by kind have a bounded size.

use super::TraceReadError;
use moe_checkpoint::trace::{TraceChunk, TraceReader};

/// Numbers from this on are not told apart.
const MOST_NUMBERS: usize = 1 << 20;

/// Counts by kind take at most so many places over all layers and experts.
const MOST_PLACES: usize = 1 << 24;

/// At most so many kinds are told apart.
const MOST_KINDS: usize = 1 << 12;

/// Columns whose kinds are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Tokens,
    Labels,
}

/// The kinds of a column, the commonest first, and behind them one for all others.
#[derive(Debug)]
pub(super) struct Kinds {
    column: Column,
    /// The number of each kind.
    pub(super) numbers: Vec<u32>,
    /// The number of times that each kind came, that of all others last.
    pub(super) base: Vec<f64>,
    /// The kind of each number.
    of_number: Vec<u16>,
}

impl Column {
    /// The number of token `t` of a chunk in the column; none of padding, or without a label.
    fn number(self, chunk: &TraceChunk, t: usize) -> Option<usize> {
        if chunk.is_padding(t) {
            return None;
        }
        match self {
            Self::Tokens => chunk.tokens.as_ref().map(|tokens| tokens[t] as usize),
            Self::Labels => {
                let labels = chunk.labels.as_ref();
                labels.and_then(|labels| usize::try_from(labels[t]).ok())
            }
        }
    }
}

impl Kinds {
    /// Counts the numbers of a column; nothing if the trace does not have it.
    pub(super) fn of(reader: &TraceReader, column: Column) -> Result<Option<Self>, TraceReadError> {
        let name = match column {
            Column::Tokens => "tokens",
            Column::Labels => "labels",
        };
        if !reader.has(name) {
            return Ok(None);
        }
        let mut counts = vec![0u64; MOST_NUMBERS + 1];
        for chunk in reader.columns() {
            let chunk = chunk?;
            for number in (0..chunk.n_tokens).filter_map(|t| column.number(&chunk, t)) {
                counts[number.min(MOST_NUMBERS)] += 1;
            }
        }
        let n_rows = reader.layers().len() * reader.meta().n_experts;
        Ok(Some(Self::among(column, &counts, n_rows)))
    }

    /// The commonest of the numbers that came, of which the last stands for all larger ones.
    fn among(column: Column, counts: &[u64], n_rows: usize) -> Self {
        let largest = counts.len() - 1;
        let came = (0..largest).filter(|&number| counts[number] > 0);
        let mut numbers: Vec<u32> = came.map(|number| number as u32).collect();
        numbers.sort_by_key(|&number| std::cmp::Reverse(counts[number as usize]));
        numbers.truncate(MOST_KINDS.min(MOST_PLACES / n_rows.max(1)).max(1));
        let mut base: Vec<f64> = numbers.iter().map(|&n| counts[n as usize] as f64).collect();
        base.push(counts.iter().sum::<u64>() as f64 - base.iter().sum::<f64>());
        let mut of_number = vec![numbers.len() as u16; counts.len()];
        for (kind, &number) in numbers.iter().enumerate() {
            of_number[number as usize] = kind as u16;
        }
        Self {
            column,
            numbers,
            base,
            of_number,
        }
    }

    /// The number of kinds, all others as one.
    pub(super) fn len(&self) -> usize {
        self.base.len()
    }

    /// The number of times that another kind came.
    pub(super) fn others(&self) -> f64 {
        self.base.last().copied().unwrap_or(0.0)
    }

    /// The number of kinds that came, all others as one.
    pub(super) fn n_named(&self) -> usize {
        self.numbers.len() + usize::from(self.others() > 0.0)
    }

    /// The kind of token `t` of a chunk; none of one that does not count.
    pub(super) fn kind(&self, chunk: &TraceChunk, t: usize) -> Option<usize> {
        let number = self.column.number(chunk, t)?;
        Some(usize::from(self.of_number[number.min(MOST_NUMBERS)]))
    }

    /// The kinds of all tokens of a chunk; `u16::MAX` of one that does not count.
    pub(super) fn of_chunk(&self, chunk: &TraceChunk) -> Vec<u16> {
        let kind = |t| self.kind(chunk, t).map_or(u16::MAX, |kind| kind as u16);
        (0..chunk.n_tokens).map(kind).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commonest_come_first_and_the_rest_is_one() {
        // numbers 0 to 3 came 1, 5, 0 and 2 times, larger ones 4 times; there is room for two kinds
        let kinds = Kinds::among(Column::Tokens, &[1, 5, 0, 2, 4], MOST_PLACES / 2);
        assert_eq!(kinds.numbers, [1, 3]);
        assert_eq!(kinds.base, [5.0, 2.0, 5.0]);
        let chunk = TraceChunk {
            n_tokens: 4,
            tokens: Some(vec![3, 1, 0, 1]),
            mask: Some(vec![true, true, true, false]),
            ..TraceChunk::default()
        };
        assert_eq!(kinds.of_chunk(&chunk), [1, 0, 2, u16::MAX]);
    }
}
