//! Weights in blocks of 8 and 4 bits, and their products on Burn's CPU backend.
//!
//! 32 weights along the input axis share one scale, `w = d (q - z)`, as in ggml's `Q8_0` and `Q4_0`:
//!
//! | format | `q` | `z` | bytes of 32 weights |
//! | --- | --- | --- | --- |
//! | [`Format::Q8`] | -127 to 127 | 0 | 34 |
//! | [`Format::Q4`] | 0 to 15 | 8 | 18 |
//!
//! A product rounds its rows to 8 bits a block too, `x = s p`, and sums `s d sum(p (q - z))` over the blocks.
//! The inner sum is one of integers, so it is exact; the outer one is in f32, in the order of the blocks.
//!
//! A tensor of this kind has the shape of its weights and the type [`DType::QFloat`]. Its memory is that of
//! the blocks, which Burn's own quantised tensors do not have: on this backend they keep a byte for each weight
//! of any number of bits. So no operation of Burn reads one; those of this crate do.
//!
//! [`DType::QFloat`]: burn::tensor::DType::QFloat

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![deny(unsafe_code)]

mod format;
#[allow(unsafe_code)] // the one module that has it
mod kernel;
mod matrix;
mod product;
mod rows;
mod tensor;
mod tile;

pub use format::{Format, QuantizeError};
pub use matrix::{Matrix, pack};
pub use product::{Product, run_all, run_here};
pub use rows::Rows;
pub use tensor::{dequantize, matmul, quantize, tiles};
pub use tile::{BLOCK, Q4Tile, Q8Tile, Tile};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
