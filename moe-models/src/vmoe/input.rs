//! Inputs of the vision transformer.

use burn::tensor::Tensor;
use std::collections::BTreeMap;

/// The images of a batch and how to read them.
#[derive(Debug, Clone)]
pub struct VmoeInput {
    /// The images, `[B, H, W, C]`.
    pub images: Tensor<4>,
    /// The seed of this call's router noise. Present while training, absent in evaluation.
    pub noise: Option<u64>,
    /// Noise of standard deviation 1 for the router of each block, `[T, E]`, in place of what the seed
    /// would draw. Default: none
    pub drawn_noise: BTreeMap<usize, Tensor<2>>,
    /// True if the output carries a [trace](super::VmoeTrace) of every block.
    pub traced: bool,
}

impl VmoeInput {
    /// Images `[B, H, W, C]` in evaluation.
    pub fn new(images: Tensor<4>) -> Self {
        Self {
            images,
            noise: None,
            drawn_noise: BTreeMap::new(),
            traced: false,
        }
    }

    /// Sets the seed of the noise of a training step.
    pub fn noise(mut self, seed: Option<u64>) -> Self {
        self.noise = seed;
        self
    }

    /// Sets noise that is drawn already, by block.
    pub fn drawn_noise(mut self, noise: BTreeMap<usize, Tensor<2>>) -> Self {
        self.drawn_noise = noise;
        self
    }

    /// Asks for the [trace](super::VmoeTrace) of every block.
    pub fn traced(mut self) -> Self {
        self.traced = true;
        self
    }
}
