//! The input of a router.

use crate::parts::jitter;
use burn::tensor::Tensor;
use std::sync::Arc;

/// The tokens to route and what a router may know about them.
#[derive(Debug, Clone)]
pub struct RouterInput {
    /// The tokens, `[T, D]`: the sequences of the batch, one after the other.
    pub x_td: Tensor<2>,
    /// The number of sequences (or images) `G`; each has `T / G` tokens. Default: 1.
    pub n_groups: usize,
    /// The vocabulary id of each token `[T]`, for routers that look at it. Default: unknown.
    pub token_ids: Option<Arc<[u32]>>,
    /// The position in its sequence of each group's first token, above 0 when a cache is in use.
    /// Default: 0.
    pub start: usize,
    /// The seed of this call's noise. Present while training, absent in evaluation.
    pub noise: Option<u64>,
    /// Noise of standard deviation 1 in the shape of the router's scores, in place of what the seed would
    /// draw. It is for routers that add normal noise to their scores, in a comparison with another
    /// implementation. Default: none
    pub drawn_noise: Option<Tensor<2>>,
    /// Mask of the padding tokens, `[T]`, which go to no expert. Default: none.
    pub padding: Option<Arc<[bool]>>,
    /// True if whoever computes the experts takes choices that stay on the device, so that scores need not be read by
    /// the host. Default: false
    pub stays_on_device: bool,
}

impl RouterInput {
    /// One group of tokens `[T, D]`, in evaluation.
    pub fn new(x_td: Tensor<2>) -> Self {
        Self {
            x_td,
            n_groups: 1,
            token_ids: None,
            start: 0,
            noise: None,
            drawn_noise: None,
            padding: None,
            stays_on_device: false,
        }
    }

    /// Sets the number of sequences that the tokens belong to.
    ///
    /// # Panics
    ///
    /// Panics if it does not divide the number of tokens.
    pub fn groups(mut self, n_groups: usize) -> Self {
        let n_tokens = self.n_tokens();
        assert!(
            n_groups > 0 && n_tokens.is_multiple_of(n_groups),
            "{n_groups} groups do not divide {n_tokens} tokens"
        );
        self.n_groups = n_groups;
        self
    }

    /// Sets the vocabulary ids of the tokens.
    ///
    /// # Panics
    ///
    /// Panics if there is not one for each token.
    pub fn token_ids(mut self, token_ids: Arc<[u32]>) -> Self {
        assert_eq!(token_ids.len(), self.n_tokens(), "one id for each token");
        self.token_ids = Some(token_ids);
        self
    }

    /// Sets the position of each group's first token.
    pub fn start(mut self, start: usize) -> Self {
        self.start = start;
        self
    }

    /// Sets the seed of the noise of a training step.
    pub fn noise(mut self, seed: Option<u64>) -> Self {
        self.noise = seed;
        self
    }

    /// Multiplies the tokens by draws of the seed from U(1 - width, 1 + width); without a seed, by nothing.
    pub fn jittered(mut self, seed: Option<u64>, width: f64) -> Self {
        if let Some(seed) = seed.filter(|_| width > 0.0) {
            let factors_td = jitter(seed, self.x_td.dims(), width, &self.x_td.device());
            self.x_td = self.x_td * factors_td;
        }
        self
    }

    /// Sets noise that is drawn already.
    pub fn drawn_noise(mut self, noise: Option<Tensor<2>>) -> Self {
        self.drawn_noise = noise;
        self
    }

    /// Marks padding tokens.
    ///
    /// # Panics
    ///
    /// Panics if there is not one mark for each token.
    pub fn padding(mut self, padding: Arc<[bool]>) -> Self {
        assert_eq!(padding.len(), self.n_tokens(), "one mark for each token");
        self.padding = Some(padding);
        self
    }

    /// Lets the choice of experts stay on the device.
    pub fn stay_on_device(mut self, stays_on_device: bool) -> Self {
        self.stays_on_device = stays_on_device;
        self
    }

    /// The number of tokens `T`.
    pub fn n_tokens(&self) -> usize {
        self.x_td.dims()[0]
    }

    /// The number of tokens of a group `M`.
    pub fn group_size(&self) -> usize {
        self.n_tokens() / self.n_groups
    }

    /// Returns `true` if token `t` is padding.
    pub fn is_padding(&self, t: usize) -> bool {
        self.padding.as_ref().is_some_and(|padding| padding[t])
    }
}
