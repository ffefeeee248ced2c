//! Sizes of a set of images.

use serde::Serialize;

/// The sizes of an [`ImageData`](super::ImageData).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageSummary {
    /// The set, or the path.
    pub set: String,
    /// The names of the classes, in the order of their labels.
    pub classes: Vec<String>,
    /// The side of an image in pixels.
    pub side: usize,
    /// The colours of a pixel.
    pub n_channels: usize,
    /// The images of train, validation and test.
    pub images: [usize; 3],
}
