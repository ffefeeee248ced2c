//! The vision transformer with mixtures of experts.

use super::output::Tracer;
use super::patches::patches;
use super::{
    AttentionPooling, EncoderFeedForward, Pooling, VmoeBlock, VmoeConfig, VmoeInput, VmoeOutput,
};
use burn::module::{Module, Param};
use burn::nn::{LayerNorm, Linear};
use burn::tensor::{Tensor, assert_shape};
use moe_experts::profile::{Part, between};
use moe_router::parts::mix_seed;
use moe_router::{AnyRouter, Load, Router, RouterInput};

/// A vision transformer some of whose feed-forward layers are mixtures of experts; generic in the router,
/// with the run-time choice as default. Should be created with [VmoeConfig].
///
/// Differs from the published code: experts start from different weights, and there is no dropout.
#[derive(Module, Debug)]
pub struct Vmoe<R: Router = AnyRouter> {
    /// The patches' embedding, `[ph * pw * n_channels, d_model]`.
    pub patch_embedding: Linear,
    /// The class token, `[1, 1, d_model]`, if there is one.
    pub class_token: Option<Param<Tensor<3>>>,
    /// The learned position of each token, `[1, N, d_model]`, if they are learned.
    pub positions: Option<Param<Tensor<3>>>,
    /// The position of each patch, `[1, patches, d_model]`, if they are fixed.
    pub fixed_positions: Option<Tensor<3>>,
    /// The encoder's blocks.
    pub blocks: Vec<VmoeBlock<R>>,
    /// The final norm.
    pub norm: LayerNorm,
    /// Makes one vector of an image by attention, if that is how it is made.
    pub pooling: Option<AttentionPooling>,
    /// The layer before the head, `[d_model, d_pre_logits]`, if there is one.
    pub pre_logits: Option<Linear>,
    /// The head, `[d_pre_logits or d_model, n_classes]`.
    pub head: Linear,
    /// The values it was configured with.
    #[module(skip)]
    pub config: VmoeConfig,
}

impl<R: Router> Vmoe<R> {
    /// Applies the forward pass to images.
    ///
    /// # Shapes
    ///
    /// - images: `[B, H, W, C]`
    /// - logits: `[B, n_classes]`
    ///
    /// # Panics
    ///
    /// Panics if the images are of another size than configured, or if their tokens are no whole number of
    /// groups.
    pub fn forward(&self, input: VmoeInput) -> VmoeOutput {
        let [height, width] = self.config.image_size;
        assert_shape!(input.images, [_, height, width, self.config.n_channels]);
        let cut = patches(input.images.clone(), self.config.patch_size);
        let embedded = self.patch_embedding.forward(cut);
        let x = self.with_positions(embedded.clone());
        let mut x = between(Part::Embedding, Part::Norms, x);

        let mut tracer = Tracer::new(input.traced);
        let mut routings = Vec::new();
        for (layer, block) in self.blocks.iter().enumerate() {
            let routed = |x_td| self.routed(x_td, &input, layer);
            let (output, routing) = block.forward(x, routed, &mut tracer);
            x = output;
            routings.extend(routing);
        }
        let encoded = between(Part::Norms, Part::Head, self.norm.forward(x));
        let trace = tracer.finish(embedded, &encoded);
        VmoeOutput {
            logits: self.scores(encoded),
            routings,
            trace,
        }
    }

    /// Puts the class token first, and adds where each token is.
    fn with_positions(&self, patches: Tensor<3>) -> Tensor<3> {
        let [batch, _, d_model] = patches.dims();
        let patches = match &self.fixed_positions {
            Some(table) => patches + table.clone(),
            None => patches,
        };
        let x = match &self.class_token {
            Some(token) => {
                let token = token.val().expand([batch, 1, d_model]);
                Tensor::cat(vec![token, patches], 1)
            }
            None => patches,
        };
        match &self.positions {
            Some(positions) => x + positions.val(),
            None => x,
        }
    }

    /// The tokens as the router of a block takes them.
    fn routed(&self, routed: RouterInput, input: &VmoeInput, layer: usize) -> RouterInput {
        let EncoderFeedForward::Experts(_) = &self.blocks[layer].feed_forward else {
            return routed;
        };
        let (n_tokens, group_size) = (routed.n_tokens(), self.config.group_size());
        assert!(
            n_tokens.is_multiple_of(group_size),
            "{n_tokens} tokens are no whole number of groups of {group_size}"
        );
        routed
            .groups(n_tokens / group_size)
            .noise(input.noise.map(|seed| mix_seed(seed, layer as u64)))
            .drawn_noise(input.drawn_noise.get(&layer).cloned())
    }

    /// The scores of the classes from the encoded tokens `[B, N, D]`.
    fn scores(&self, encoded: Tensor<3>) -> Tensor<2> {
        let [batch, _, d_model] = encoded.dims();
        let pooled = match (self.config.pooling, &self.pooling) {
            (Pooling::Attention, Some(pooling)) => pooling.forward(encoded),
            (Pooling::Mean, _) => encoded.mean_dim(1).reshape([batch, d_model]),
            _ => encoded.narrow(1, 0, 1).reshape([batch, d_model]),
        };
        let pooled = match &self.pre_logits {
            Some(layer) => layer.forward(pooled).tanh(),
            None => pooled,
        };
        self.head.forward(pooled)
    }

    /// Advances the routers' state after an optimizer step, from the load of each mixture of experts in the
    /// order of [`VmoeOutput::routings`].
    ///
    /// # Panics
    ///
    /// Panics if there is not one load for each mixture.
    pub fn advance_routers(mut self, loads: &[Load]) -> Self {
        assert_eq!(
            loads.len(),
            self.config.moe_layers.len(),
            "one load for each mixture of experts"
        );
        let mut loads = loads.iter();
        for block in &mut self.blocks {
            if let EncoderFeedForward::Experts(moe) = &mut block.feed_forward
                && let Some(load) = loads.next()
            {
                moe.router = moe.router.clone().advance(load);
            }
        }
        self
    }
}
