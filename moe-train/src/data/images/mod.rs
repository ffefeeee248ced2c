//! Images with labels: embedded digits, Fashion-MNIST in its own files, folders of pictures.
//!
//! ```text
//! digits | IDX files | class folders --> train / validation / test --> ImageData --batches------> ImageBatch
//!                                                                          `-----eval_batches--> ImageBatch
//! ```

mod augment;
mod batch;
mod config;
mod dataset;
mod digits;
mod error;
mod fashion;
mod folder;
mod idx;
mod jpeg;
mod part;
mod picture;
mod sampler;
mod summary;

pub use augment::Augment;
pub use batch::ImageBatch;
pub use config::{ImageConfig, ImageName};
pub use dataset::{ImageData, ScoredImages};
pub use error::ImageError;
pub use idx::IdxFile;
pub use part::{ImagePart, ImageShape, split_by_class};
#[cfg(test)]
pub(super) use picture::decode;
pub use sampler::ImageBatches;
pub use summary::ImageSummary;
