//! The dense layer that a mixture is compared with: Burn's own modules, as a user would write it.

use burn::module::Module;
use burn::nn::{Gelu, Linear, LinearConfig, Relu, SwiGlu, SwiGluConfig};
use burn::tensor::activation::silu;
use burn::tensor::{Device, Tensor};
use moe_experts::{Activation, ExpertsConfig};

/// A feed-forward layer of Burn's modules, without biases.
///
/// Differs from the experts: GELU is the form with the error function, which is the faster one in Burn.
#[derive(Module, Debug)]
pub struct BurnDense {
    /// The projection up, with its gate if the activation has one.
    pub up: Up,
    /// The projection down.
    pub down: Linear,
}

/// The first half of a feed-forward layer, activation included.
#[derive(Module, Debug)]
pub enum Up {
    /// `silu(x gate) * (x up)`.
    SwiGlu(SwiGlu),
    /// `gelu(x up)`.
    Gelu(Linear),
    /// `max(x up, 0)`.
    Relu(Linear),
    /// `silu(x up)`.
    Silu(Linear),
}

impl BurnDense {
    /// The layer of the sizes of a bank of one expert, with random weights.
    ///
    /// # Panics
    ///
    /// Panics if the bank has more than one expert.
    pub fn new(config: &ExpertsConfig, device: &Device) -> Self {
        assert_eq!(config.n_experts, 1, "a dense layer is one expert");
        let [d, f] = [config.d_model, config.d_expert];
        let linear = |d_in, d_out| LinearConfig::new(d_in, d_out).with_bias(false).init(device);
        let up = match config.activation {
            Activation::SwiGlu => Up::SwiGlu(SwiGluConfig::new(d, f).init(device)),
            Activation::Gelu => Up::Gelu(linear(d, f)),
            Activation::Relu => Up::Relu(linear(d, f)),
            Activation::Silu => Up::Silu(linear(d, f)),
        };
        Self {
            up,
            down: linear(f, d),
        }
    }

    /// Applies the layer.
    ///
    /// # Shapes
    ///
    /// - x: `[T, d_model]`
    /// - output: `[T, d_model]`
    pub fn forward(&self, x_td: Tensor<2>) -> Tensor<2> {
        self.down.forward(match &self.up {
            Up::SwiGlu(up) => up.forward(x_td),
            Up::Gelu(up) => Gelu::new().forward(up.forward(x_td)),
            Up::Relu(up) => Relu::new().forward(up.forward(x_td)),
            Up::Silu(up) => silu(up.forward(x_td)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::tensor::{Distribution, Tolerance};
    use moe_experts::Dispatch;

    #[test]
    fn equals_a_bank_of_one_expert() {
        let device = Device::flex();
        for activation in [
            Activation::SwiGlu,
            Activation::Gelu,
            Activation::Relu,
            Activation::Silu,
        ] {
            let config = ExpertsConfig::new(6, 1, 5).with_activation(activation);
            let mut experts = config.init(&device);
            let dense = BurnDense::new(&config, &device);
            let stacked = |linear: &Linear| Param::from_tensor(linear.weight.val().unsqueeze());
            match &dense.up {
                Up::SwiGlu(up) => {
                    experts.gate = Some(stacked(&up.linear_inner));
                    experts.up = stacked(&up.linear_outer);
                }
                Up::Gelu(up) | Up::Relu(up) | Up::Silu(up) => experts.up = stacked(up),
            }
            experts.down = stacked(&dense.down);
            let x = Tensor::random([7, 6], Distribution::Default, &device);
            let expected = experts.forward_rows(x.clone(), &[7], Dispatch::Reference);
            // the two forms of GELU differ by up to 5e-4
            let tolerance = Tolerance::absolute(1e-3);
            dense
                .forward(x)
                .into_data()
                .assert_approx_eq::<f32>(&expected.into_data(), tolerance);
        }
    }
}
