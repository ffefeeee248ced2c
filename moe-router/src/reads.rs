//! Reads of a device's memory by the host, counted.
//!
//! On a device with memory of its own the host waits for everything before it, so each read of a layer costs more than
//! its bytes. All reads of routers and of the layer go through here.

use burn::tensor::{Int, Tensor};
use std::cell::Cell;

thread_local! {
    static READS: Cell<Reads> = const { Cell::new(Reads { count: 0, bytes: 0 }) };
}

/// Reads of a device's memory by one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reads {
    /// The reads.
    pub count: u64,
    /// The bytes that were read.
    pub bytes: u64,
}

/// Calls `f` and counts what this thread reads meanwhile.
pub fn during<T>(f: impl FnOnce() -> T) -> (T, Reads) {
    let before = READS.get();
    let value = f();
    let after = READS.get();
    let read = Reads {
        count: after.count - before.count,
        bytes: after.bytes - before.bytes,
    };
    (value, read)
}

/// A tensor's values on the host in f32, row by row.
pub fn to_vec<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data();
    note(data.as_bytes().len());
    data.convert::<f32>()
        .try_into_vec::<f32>()
        .expect("the data was just converted to f32")
}

/// The values of a tensor of small numbers that are not negative, row by row.
pub fn ints<const D: usize>(tensor: Tensor<D, Int>) -> Vec<u32> {
    let data = tensor.into_data();
    note(data.as_bytes().len());
    data.iter::<i64>().map(|value| value as u32).collect()
}

/// Counts a read of so many bytes.
fn note(n_bytes: usize) {
    let Reads { count, bytes } = READS.get();
    READS.set(Reads {
        count: count + 1,
        bytes: bytes + n_bytes as u64,
    });
}
