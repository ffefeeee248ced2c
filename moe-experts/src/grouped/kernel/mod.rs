//! The one module with `unsafe`: calls into the matrix product and into vector instructions.
//!
//! Everything it exports is safe: matrices are bounds-checked views, and an instruction set is used
//! only after the processor was asked for it.

/// Defines `$name`, which runs `$body` compiled for the best instruction set of this processor.
macro_rules! for_every_cpu {
    ($name:ident $(<$generic:ident: $bound:ident>)?, $body:ident, ($($arg:ident: $ty:ty),*) $(-> $out:ty)?) => {
        fn $name$(<$generic: $bound>)?($($arg: $ty),*) $(-> $out)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f")]
                fn avx512$(<$generic: $bound>)?($($arg: $ty),*) $(-> $out)? {
                    $body$(::<$generic>)?($($arg),*)
                }
                #[target_feature(enable = "avx2")]
                fn avx2$(<$generic: $bound>)?($($arg: $ty),*) $(-> $out)? {
                    $body$(::<$generic>)?($($arg),*)
                }
                if is_x86_feature_detected!("avx512f") {
                    // SAFETY: the processor has just said that it has AVX-512F.
                    return unsafe { avx512$(::<$generic>)?($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has just said that it has AVX2.
                    return unsafe { avx2$(::<$generic>)?($($arg),*) };
                }
            }
            $body$(::<$generic>)?($($arg),*)
        }
    };
}

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
