//! Training images in an order that is a pure function of the seed: a run resumes from one number.

use super::{ImageBatch, ImageData};
use crate::data::Split;
use moe_router::parts::mix_seed;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// Training batches in a row: every epoch shuffles all training images anew, and a batch crosses into the
/// next where one ends. The position is one number, the images used before.
#[derive(Debug, Clone)]
pub struct ImageBatches<'a> {
    data: &'a ImageData,
    seed: u64,
    order: Vec<usize>,
    epoch: u64,
    consumed: u64,
    batch_size: usize,
}

impl<'a> ImageBatches<'a> {
    /// All batches from `consumed` images on, without end; each is a pure function of the data, the seed
    /// and its position.
    pub fn new(data: &'a ImageData, seed: u64, consumed: u64, batch_size: usize) -> Self {
        let n_images = data.part(Split::Train).len();
        let epoch = consumed / n_images as u64;
        Self {
            data,
            seed,
            order: order(n_images, seed, epoch),
            epoch,
            consumed,
            batch_size,
        }
    }

    /// The number of images used so far, those before the first batch included.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The next batch, augmented.
    pub fn draw(&mut self) -> ImageBatch {
        let shape = *self.data.shape();
        let mut batch = ImageBatch::new(shape);
        for _ in 0..self.batch_size {
            // another stream of numbers than that of the order
            let key = mix_seed(mix_seed(self.seed, 79), self.consumed);
            let index = self.next_index();
            let part = self.data.part(Split::Train);
            let image = self
                .data
                .augment()
                .apply(part.image(index, &shape), &shape, key);
            batch.push(&image, part.labels[index]);
        }
        batch
    }

    fn next_index(&mut self) -> usize {
        let n_images = self.order.len() as u64;
        let epoch = self.consumed / n_images;
        if epoch != self.epoch {
            self.order = order(self.order.len(), self.seed, epoch);
            self.epoch = epoch;
        }
        let index = self.order[(self.consumed % n_images) as usize];
        self.consumed += 1;
        index
    }
}

/// The images of an epoch in the order of their use.
fn order(n_images: usize, seed: u64, epoch: u64) -> Vec<usize> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(epoch);
    let mut order: Vec<usize> = (0..n_images).collect();
    order.shuffle(&mut rng);
    order
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::ImageConfig;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn an_epoch_uses_each_image_once() {
        for epoch in 0..3 {
            let epoch_order = order(100, 5, epoch);
            let different: BTreeSet<usize> = epoch_order.iter().copied().collect();
            assert_eq!((epoch_order.len(), different.len()), (100, 100));
        }
        assert_ne!(order(100, 5, 0), order(100, 5, 1));
        assert_ne!(order(100, 5, 0), order(100, 6, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn a_batch_is_a_function_of_seed_and_position(
            seed: u64, consumed in 0u64..3000, batch_size in 1usize..20
        ) {
            let config = ImageConfig { shift: 1, flip: true, ..ImageConfig::default() };
            let data = ImageData::load(&config, &AtomicBool::new(false)).unwrap();
            let whole = ImageBatches::new(&data, seed, consumed, batch_size).draw();
            let mut one_by_one = ImageBatches::new(&data, seed, consumed, 1);
            let parts: Vec<ImageBatch> = (0..batch_size).map(|_| one_by_one.draw()).collect();
            let pixels: Vec<f32> = parts.iter().flat_map(|batch| batch.pixels.clone()).collect();
            prop_assert_eq!(pixels, whole.pixels);
            prop_assert_eq!(one_by_one.consumed(), consumed + batch_size as u64);
        }
    }
}
