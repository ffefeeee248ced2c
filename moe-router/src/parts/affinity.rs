//! Affinities of tokens to experts.

use burn::tensor::{
    Tensor,
    activation::{sigmoid, softmax},
};
use serde::{Deserialize, Serialize};

/// Functions from logits to a token's affinities to experts.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Affinity {
    /// Each logit by itself.
    #[default]
    Sigmoid,
    /// Experts share a mass of one.
    Softmax,
}

impl Affinity {
    /// The affinities, each from 0 to 1.
    ///
    /// # Shapes
    ///
    /// - logits_te: `[T, E]`
    /// - output: `[T, E]`
    pub fn forward(self, logits_te: Tensor<2>) -> Tensor<2> {
        match self {
            Affinity::Sigmoid => sigmoid(logits_te),
            Affinity::Softmax => softmax(logits_te, 1),
        }
    }

    /// The affinities as a distribution over experts.
    ///
    /// # Shapes
    ///
    /// - affinity_te: `[T, E]`
    /// - output: `[T, E]`, each row summing to 1
    pub fn distribution(self, affinity_te: &Tensor<2>) -> Tensor<2> {
        match self {
            Affinity::Sigmoid => {
                let sum_t1 = affinity_te.clone().sum_dim(1) + 1e-20;
                affinity_te.clone() / sum_t1
            }
            Affinity::Softmax => affinity_te.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn both_are_distributions_once_normalised() {
        let logits = Tensor::<2>::from_floats([[0.0, 1.098_612_3]], &Device::flex()); // ln 3
        let check = |affinity: Affinity, own: [f32; 2], distribution: [f32; 2]| {
            let own_te = affinity.forward(logits.clone());
            let tolerance = Tolerance::<f32>::absolute(1e-6);
            let distribution_te = affinity.distribution(&own_te).into_data();
            own_te
                .into_data()
                .assert_approx_eq::<f32>(&TensorData::from([own]), tolerance);
            distribution_te.assert_approx_eq::<f32>(&TensorData::from([distribution]), tolerance);
        };
        // sigmoids 1/2 and 3/4, divided by 5/4; the softmax is 1 to 3
        check(Affinity::Sigmoid, [0.5, 0.75], [0.4, 0.6]);
        check(Affinity::Softmax, [0.25, 0.75], [0.25, 0.75]);
    }
}
