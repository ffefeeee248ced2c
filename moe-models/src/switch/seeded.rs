//! Weights that a seed gives.

use super::{Embeddings, Switch, SwitchConfig};
use crate::seed_parameters;
use burn::module::Param;
use burn::tensor::{Device, Tensor};
use moe_router::{RouterConfig, RouterShape};

impl SwitchConfig {
    /// Builds the model with the weights that a seed gives. As in T5, queries start smaller by the root
    /// of a head's width, which the scores are not divided by, and a tied table starts at variance 1;
    /// position biases start at 0.
    pub fn init_seeded(
        &self,
        encoder_router: &RouterConfig,
        decoder_router: &RouterConfig,
        seed: u64,
        device: &Device,
    ) -> Switch {
        let router = |shape: &RouterShape| {
            if self.is_of_decoder(shape.layer) {
                decoder_router.init(shape, device)
            } else {
                encoder_router.init(shape, device)
            }
        };
        let n_layers = self.encoder.n_layers.max(self.decoder.n_layers);
        let mut model = seed_parameters(self.init(router, device), "Switch", seed, n_layers);
        let smaller = (self.head_dim as f64).powf(-0.5);
        let blocks = model.encoder.layers.iter_mut();
        for block in blocks.chain(&mut model.decoder.layers) {
            scale(&mut block.attention.query.weight, smaller);
            if let Some(cross) = &mut block.cross {
                scale(&mut cross.attention.query.weight, smaller);
            }
        }
        if self.embeddings == Embeddings::Tied {
            scale(&mut model.embedding.weight, (self.d_model() as f64).sqrt());
        }
        model
    }
}

fn scale(weight: &mut Param<Tensor<2>>, factor: f64) {
    let scaled = |weight: Tensor<2>| {
        let trains = weight.is_require_grad();
        (weight.detach() * factor).detach().set_require_grad(trains)
    };
    *weight = weight.clone().map(scaled);
}
