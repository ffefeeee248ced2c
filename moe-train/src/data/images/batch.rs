//! Batches of images.

use super::{ImagePart, ImageShape};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// Images of one step or one part of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageBatch {
    /// Pixels from -1, black, to 1, white: `[B * S * S * C]`.
    pub pixels: Vec<f32>,
    /// The class of each image: `[B]`.
    pub labels: Vec<u16>,
    /// The shape of an image.
    pub shape: ImageShape,
}

impl ImageBatch {
    /// An empty batch.
    pub(super) fn new(shape: ImageShape) -> Self {
        Self {
            pixels: Vec::new(),
            labels: Vec::new(),
            shape,
        }
    }

    /// Adds an image of bytes.
    pub(super) fn push(&mut self, image: &[u8], label: u16) {
        let half = f32::from(self.shape.white) / 2.0;
        self.pixels
            .extend(image.iter().map(|&pixel| f32::from(pixel) / half - 1.0));
        self.labels.push(label);
    }

    /// Some images of a part, as they are.
    pub(super) fn gather(part: &ImagePart, shape: ImageShape, indices: &[usize]) -> Self {
        let mut batch = Self::new(shape);
        for &index in indices {
            batch.push(part.image(index, &shape), part.labels[index]);
        }
        batch
    }

    /// The images `[B, S, S, C]` on a device.
    pub fn images(&self, device: &Device) -> Tensor<4> {
        let ImageShape {
            side, n_channels, ..
        } = self.shape;
        let shape = [self.labels.len(), side, side, n_channels];
        Tensor::from_data(TensorData::new(self.pixels.clone(), shape), device)
    }

    /// The classes `[B]` on a device.
    pub fn targets(&self, device: &Device) -> Tensor<1, Int> {
        let labels: Vec<i64> = self.labels.iter().map(|&label| i64::from(label)).collect();
        Tensor::from_data(TensorData::new(labels, [self.labels.len()]), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_is_minus_one_and_white_is_one() {
        let shape = ImageShape {
            side: 2,
            n_channels: 1,
            white: 16,
        };
        let mut batch = ImageBatch::new(shape);
        batch.push(&[0, 4, 8, 16], 3);
        let device = Device::flex();
        let expected = TensorData::from([[[[-1.0f32], [-0.5]], [[0.0], [1.0]]]]);
        batch.images(&device).into_data().assert_eq(&expected, true);
        let labels = batch.targets(&device).into_data();
        labels.assert_eq(&TensorData::from([3i64]), false);
    }
}
