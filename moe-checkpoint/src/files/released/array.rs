//! An array that lies in chunks.

use safetensors::{Dtype, View};
use std::borrow::Cow;
use std::ops::Range;

/// Part of an array that a chunk is: a range of each axis.
pub(super) type Ranges = Vec<Range<usize>>;

/// A chunk: where it belongs, and its values in pieces, one behind the other.
#[derive(Debug, Clone)]
pub(super) struct Chunk<'a> {
    pub(super) ranges: Ranges,
    pub(super) pieces: Vec<&'a [u8]>,
}

/// An array, its chunks checked to be all of it, each part once.
#[derive(Debug)]
pub(super) struct ChunkedArray<'a> {
    shape: Vec<usize>,
    dtype: Dtype,
    chunks: Vec<Chunk<'a>>,
}

impl<'a> ChunkedArray<'a> {
    /// Puts chunks together.
    pub(super) fn new(
        shape: Vec<usize>,
        dtype: Dtype,
        chunks: Vec<Chunk<'a>>,
    ) -> Result<Self, String> {
        let mut n_elements = 0usize;
        for (i, chunk) in chunks.iter().enumerate() {
            let fits = chunk.ranges.len() == shape.len();
            let within = |(range, size): (&Range<usize>, &usize)| {
                range.start <= range.end && range.end <= *size
            };
            if !fits || !chunk.ranges.iter().zip(&shape).all(within) {
                return Err(format!("a chunk lies outside of it: {:?}", chunk.ranges));
            }
            let n = chunk.n_elements();
            let n_bytes: usize = chunk.pieces.iter().map(|piece| piece.len()).sum();
            if n_bytes != n * size_of_element(dtype) {
                return Err(format!("a chunk of {n} numbers has {n_bytes} bytes"));
            }
            if chunks[..i].iter().any(|other| other.overlaps(chunk)) {
                return Err(format!("two chunks have the same part: {:?}", chunk.ranges));
            }
            n_elements += n;
        }
        if n_elements == shape.iter().product::<usize>() {
            Ok(Self {
                shape,
                dtype,
                chunks,
            })
        } else {
            Err(format!("its chunks have {n_elements} numbers"))
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let size = size_of_element(self.dtype);
        let mut bytes = vec![0; self.data_len()];
        for chunk in &self.chunks {
            let values = chunk.pieces.concat();
            let row = chunk.ranges.last().map_or(1, Range::len) * size;
            if values.is_empty() {
                continue;
            }
            for (i, row_bytes) in values.chunks_exact(row).enumerate() {
                let start = self.place(&chunk.ranges, i) * size;
                bytes[start..start + row].copy_from_slice(row_bytes);
            }
        }
        bytes
    }

    /// The place in the array of the first element of row `row` of a chunk; a row runs along the last axis.
    fn place(&self, ranges: &[Range<usize>], mut row: usize) -> usize {
        let Some((last, outer)) = ranges.split_last() else {
            return 0;
        };
        let (mut place, mut stride) = (last.start, self.shape[outer.len()]);
        for (range, size) in outer.iter().zip(&self.shape).rev() {
            place += (range.start + row % range.len()) * stride;
            row /= range.len();
            stride *= size;
        }
        place
    }
}

impl Chunk<'_> {
    fn n_elements(&self) -> usize {
        self.ranges.iter().map(Range::len).product()
    }

    fn overlaps(&self, other: &Self) -> bool {
        let mut axes = self.ranges.iter().zip(&other.ranges);
        axes.all(|(a, b)| a.start.max(b.start) < a.end.min(b.end))
    }
}

fn size_of_element(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

impl View for &ChunkedArray<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.bytes())
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * size_of_element(self.dtype)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)] // the ranges of one axis

    use super::*;

    fn chunk<'a>(ranges: &[Range<usize>], pieces: &[&'a [u8]]) -> Chunk<'a> {
        Chunk {
            ranges: ranges.to_vec(),
            pieces: pieces.to_vec(),
        }
    }

    #[test]
    fn chunks_lie_in_their_ranges() {
        // rows 0 1 2 | 3 4 5: the last column is a chunk of its own, the rest is in two pieces
        let chunks = vec![
            chunk(&[0..2, 2..3], &[&[2, 5]]),
            chunk(&[0..2, 0..2], &[&[0, 1, 3], &[4]]),
        ];
        let array = ChunkedArray::new(vec![2, 3], Dtype::U8, chunks).expect("it is whole");
        assert_eq!(array.bytes(), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn three_axes_and_none() {
        // [2, 2, 2]: the middle axis is cut
        let chunks = vec![
            chunk(&[0..2, 1..2, 0..2], &[&[2, 3, 6, 7]]),
            chunk(&[0..2, 0..1, 0..2], &[&[0, 1, 4, 5]]),
        ];
        let array = ChunkedArray::new(vec![2, 2, 2], Dtype::U8, chunks).expect("it is whole");
        assert_eq!(array.bytes(), [0, 1, 2, 3, 4, 5, 6, 7]);
        let number = ChunkedArray::new(vec![], Dtype::U8, vec![chunk(&[], &[&[9]])]);
        assert_eq!(number.expect("one number").bytes(), [9]);
    }

    #[test]
    fn chunks_that_are_not_the_whole_are_refused() {
        let new = |chunks: Vec<Chunk<'_>>| {
            ChunkedArray::new(vec![4], Dtype::U8, chunks).expect_err("it is not whole")
        };
        assert!(new(vec![chunk(&[0..3], &[&[0, 1, 2]])]).contains("have 3 numbers"));
        assert!(new(vec![chunk(&[2..5], &[&[0, 1, 2]])]).contains("outside"));
        assert!(new(vec![chunk(&[0..4], &[&[0, 1, 2]])]).contains("3 bytes"));
        let twice = vec![chunk(&[0..2], &[&[0, 1]]), chunk(&[1..3], &[&[1, 2]])];
        assert!(new(twice).contains("the same part"));
    }
}
