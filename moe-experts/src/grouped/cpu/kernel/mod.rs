//! The one module with `unsafe`: calls into the matrix product and into vector instructions.
//!
//! Everything it exports is safe: matrices are bounds-checked views, and an instruction set is used
//! only after the processor was asked for it.

mod activate;
mod fresh;
mod halves;
mod past_caches;
mod prefetch;
mod product;
mod stream;
mod transpose;

pub(super) use activate::{hidden_row, hidden_row_backward};
pub(super) use fresh::{Fresh, Written, fresh};
pub(super) use halves::product_bf16;
pub(super) use past_caches::copy_past_caches;
pub(super) use prefetch::prefetch;
pub(super) use product::{Mat, Write, gemm};
pub(super) use stream::{MAX_STREAM_ROWS, stream};
pub(super) use transpose::transpose;
