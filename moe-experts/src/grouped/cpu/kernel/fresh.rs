//! Memory for results that sums and products themselves write first: zeroing it before would be one more pass
//! over it, on one thread.

use std::marker::PhantomData;
use std::mem::MaybeUninit;

use moe_router::for_every_cpu;

use super::product::{Mat, Write, product};

/// A part of a result, which may not have been written yet.
///
/// The lifetime stands for one call of [`fresh`], so that parts of different results cannot be confused.
pub(in super::super) struct Fresh<'a> {
    values: &'a mut [MaybeUninit<f32>],
    is_written: bool,
    of: Of<'a>,
}

/// Says that so many values of a result have been written.
pub(in super::super) struct Written<'a> {
    values: usize,
    of: Of<'a>,
}

/// Invariant in the lifetime.
type Of<'a> = PhantomData<fn(&'a ()) -> &'a ()>;

/// A result of `length` values that `write` writes.
///
/// # Panics
///
/// Panics if a part has not been [finished](Fresh::finish).
pub(in super::super) fn fresh(
    length: usize,
    write: impl for<'a> FnOnce(Fresh<'a>) -> Written<'a>,
) -> Vec<f32> {
    let mut values = Vec::with_capacity(length);
    let written = write(Fresh {
        values: &mut values.spare_capacity_mut()[..length],
        is_written: false,
        of: PhantomData,
    });
    assert_eq!(
        written.values, length,
        "every part of a result must be finished"
    );
    // SAFETY: parts are disjoint and consumed by `finish`, which writes what nothing has written before
    // it counts; parts of other results have other lifetimes. So all `length` values are written.
    unsafe { values.set_len(length) };
    values
}

impl<'a> Fresh<'a> {
    /// The parts of `length` values, the last of what is left.
    pub fn chunks(self, length: usize) -> impl Iterator<Item = Self> {
        let Self {
            values,
            is_written,
            of,
        } = self;
        values.chunks_mut(length).map(move |values| Self {
            values,
            is_written,
            of,
        })
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// `+= a b` on the calling thread, row-major `[a.rows, b.cols]`; what is not written counts as zero.
    pub fn add_product(&mut self, a: Mat<'_>, b: Mat<'_>) {
        let write = if self.is_written {
            Write::Add
        } else {
            Write::Set
        };
        // SAFETY: the values are exclusively borrowed, and they are read only if they were written.
        unsafe { product(self.values.as_mut_ptr().cast(), self.len(), a, b, write) };
        self.is_written = true;
    }

    /// `+= row`; what is not written counts as zero.
    ///
    /// # Panics
    ///
    /// Panics if the lengths differ.
    pub fn add(&mut self, row: &[f32]) {
        assert_eq!(self.len(), row.len());
        if self.is_written {
            // SAFETY: the values are exclusively borrowed, and they were written.
            let values = unsafe { &mut *((&raw mut *self.values) as *mut [f32]) };
            add_row(values, row);
        } else {
            let values = self.values.iter_mut().zip(row);
            values.for_each(|(value, &x)| _ = value.write(0.0 + x));
        }
        self.is_written = true;
    }

    /// Ends the writing; what was not written becomes zero.
    pub fn finish(self) -> Written<'a> {
        if !self.is_written {
            self.values.fill(MaybeUninit::new(0.0));
        }
        Written {
            values: self.values.len(),
            of: self.of,
        }
    }
}

for_every_cpu!(add_row, add_row_body, (values: &mut [f32], row: &[f32]));

#[inline(always)]
fn add_row_body(values: &mut [f32], row: &[f32]) {
    values
        .iter_mut()
        .zip(row)
        .for_each(|(value, x)| *value += x);
}

impl Written<'_> {
    /// Nothing.
    pub fn none() -> Self {
        Self {
            values: 0,
            of: PhantomData,
        }
    }

    /// Both.
    pub fn and(self, other: Self) -> Self {
        Self {
            values: self.values + other.values,
            of: self.of,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_summed_and_the_rest_is_zero() {
        // [1 2]^T [3 4] = [3 4; 6 8], twice; the second part is left alone
        let (a, b) = ([1.0, 2.0], [3.0, 4.0]);
        let values = fresh(6, |part| {
            let mut parts = part.chunks(4);
            let mut first = parts.next().expect("two parts");
            for _ in 0..2 {
                first.add_product(Mat::new(&a, 1), Mat::new(&b, 2));
            }
            let second = parts.next().expect("two parts");
            first.finish().and(second.finish())
        });
        assert_eq!(values, [6.0, 8.0, 12.0, 16.0, 0.0, 0.0]);
    }

    #[test]
    fn rows_are_summed_from_zero() {
        let values = fresh(2, |mut part| {
            part.add(&[-0.0, 1.0]);
            part.add(&[-0.0, 2.0]);
            part.finish()
        });
        let bits: Vec<u32> = values.into_iter().map(f32::to_bits).collect();
        assert_eq!(bits, [0.0, 3.0].map(f32::to_bits)); // 0 + -0 is 0
    }

    #[test]
    #[should_panic(expected = "every part of a result must be finished")]
    fn a_part_that_is_not_finished() {
        fresh(6, |part| {
            let mut parts = part.chunks(4);
            parts.next().expect("two parts").finish()
        });
    }
}
