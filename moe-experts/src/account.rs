//! Parameters and FLOP of an expert bank, without building it.
//!
//! A multiplication with its addition counts as 2 FLOP. Activations, routing and normalisation are
//! left out: the counts are those of the matrix products.

use crate::{ExpertsConfig, MoeLayerConfig};

impl ExpertsConfig {
    /// The parameters of one expert.
    pub fn n_params_per_expert(&self) -> usize {
        self.n_weights_per_expert()
            + if self.bias {
                self.n_biases_per_expert()
            } else {
                0
            }
    }

    fn n_weights_per_expert(&self) -> usize {
        self.activation.n_stacks() * self.d_model * self.d_expert
    }

    fn n_biases_per_expert(&self) -> usize {
        (self.activation.n_stacks() - 1) * self.d_expert + self.d_model
    }

    /// The parameters of all experts.
    pub fn n_params(&self) -> usize {
        self.n_experts * self.n_params_per_expert()
    }

    /// FLOP of one token in one expert, forward.
    pub fn flops_per_row(&self) -> u64 {
        2 * self.n_weights_per_expert() as u64
    }
}

impl MoeLayerConfig {
    /// The parameters of all experts, shared ones included; the router's own are not.
    pub fn n_params(&self) -> usize {
        self.experts().n_params() + self.n_params_shared()
    }

    /// The parameters that one token passes through if it goes to `experts_per_token` experts.
    pub fn n_params_active(&self, experts_per_token: f64) -> usize {
        let routed = experts_per_token * self.experts().n_params_per_expert() as f64;
        routed.round() as usize + self.n_params_shared()
    }

    /// The parameters of the shared experts.
    pub fn n_params_shared(&self) -> usize {
        self.shared().map_or(0, |shared| shared.n_params())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Activation, MoeLayerConfig};

    #[test]
    fn counts_of_a_mixtral_layer() {
        let layer = MoeLayerConfig::new(4096, 8, 14336);
        // 3 * 4096 * 14336 an expert
        assert_eq!(layer.experts().n_params_per_expert(), 176_160_768);
        assert_eq!(layer.n_params(), 1_409_286_144);
        assert_eq!(layer.n_params_active(2.0), 352_321_536);
        assert_eq!(layer.experts().flops_per_row(), 352_321_536);
    }

    #[test]
    fn shared_experts_are_always_active() {
        let layer = MoeLayerConfig::new(4, 8, 3)
            .with_n_shared_experts(2)
            .with_activation(Activation::Gelu);
        // an expert: 2 * 4 * 3 = 24; shared: 2 * 4 * 6 = 48
        assert_eq!(layer.n_params(), 8 * 24 + 48);
        assert_eq!(layer.n_params_active(1.0), 24 + 48);
        // with biases: 3 + 4 an expert; shared: 6 + 4
        let biased = layer.with_bias(true);
        assert_eq!(biased.n_params(), 8 * 31 + 58);
        // biases are added, not multiplied
        assert_eq!(biased.experts().flops_per_row(), 2 * 24);
    }
}
