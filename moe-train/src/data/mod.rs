//! Data of three kinds: [`text`], [`images`] and [`pairs`] of texts, the [`vocab`]ularies of texts, and the
//! preparation of larger [`corpora`].

mod config;
pub mod corpora;
mod error;
mod fingerprint;
pub mod images;
pub mod pairs;
mod read;
mod split;
pub mod text;
pub mod vocab;
mod zstd;

pub use config::DataConfig;
pub use error::*;
pub use images::{
    ImageBatch, ImageBatches, ImageConfig, ImageData, ImageError, ImageName, ImageSummary,
};
pub use pairs::{PairBatch, PairBatches, PairConfig, PairData, PairError, PairName};
pub use split::*;
pub use text::*;
pub use vocab::*;

#[cfg(test)]
mod fuzz;
