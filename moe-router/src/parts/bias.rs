//! Biases of the choice, balanced without an auxiliary loss (arXiv 2408.15664, algorithm 1).

use crate::{Load, to_vec};
use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// A bias that takes part in the choice and not in the weights.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// None.
    #[default]
    None,
    /// One that moves by the sign of the load's error after each optimizer step.
    Sign,
}

/// A bias of the choice `[E]`, zero at first, that no gradient trains.
pub fn choice_bias(n_experts: usize, device: &Device) -> Param<Tensor<1>> {
    Param::from_tensor(Tensor::zeros([n_experts], device)).set_require_grad(false)
}

/// Moves a bias of the choice towards balance: `b_e += speed * sign(mean load - load_e)`, where the sign
/// of zero is zero (Wang et al. 2024, arXiv 2408.15664, algorithm 1).
///
/// The load is what experts were asked for, dropped assignments included: what a full expert keeps says
/// nothing about how many wanted it.
///
/// # Panics
///
/// Panics if the load is that of another number of experts.
pub fn step_by_sign(bias: Param<Tensor<1>>, load: &Load, speed: f64) -> Param<Tensor<1>> {
    let n_experts = load.asked.len();
    let mean = load.asked.iter().sum::<f64>() / n_experts as f64;
    let old_e = to_vec(bias.val().detach());
    assert_eq!(
        old_e.len(),
        n_experts,
        "the load is that of another number of experts"
    );
    let bias_e: Vec<f32> = old_e
        .into_iter()
        .zip(&load.asked)
        .map(|(old, &count)| {
            let error = mean - count;
            // `signum` of zero is one: a balanced expert would move
            let sign = if error == 0.0 { 0.0 } else { error.signum() };
            old + (speed * sign) as f32
        })
        .collect();
    bias.map(|old| {
        Tensor::from_data(TensorData::new(bias_e, [n_experts]), &old.device())
            .set_require_grad(false)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(kept: &[f64]) -> Load {
        Load {
            kept: kept.to_vec(),
            asked: kept.to_vec(),
            n_tokens: 4.0,
            statistic: Vec::new(),
        }
    }

    #[test]
    fn the_bias_moves_by_the_sign_of_the_load_error() {
        // mean 2: expert 0 has too many, expert 1 just enough, the others too few
        let bias = choice_bias(4, &Device::flex());
        let bias = step_by_sign(bias, &load(&[4.0, 2.0, 1.0, 1.0]), 0.001);
        let expected = TensorData::from([-0.001f32, 0.0, 0.001, 0.001]);
        bias.val().into_data().assert_eq(&expected, true);
    }

    #[test]
    fn experts_that_are_all_full_still_move() {
        // both keep 2, but 6 asked for expert 0 and 2 for expert 1
        let load = Load {
            kept: vec![2.0; 2],
            asked: vec![6.0, 2.0],
            n_tokens: 8.0,
            statistic: Vec::new(),
        };
        let bias = step_by_sign(choice_bias(2, &Device::flex()), &load, 0.5);
        let expected = TensorData::from([-0.5f32, 0.5]);
        bias.val().into_data().assert_eq(&expected, true);
    }

    #[test]
    #[should_panic(expected = "another number of experts")]
    fn a_load_of_another_layer_panics() {
        let _ = step_by_sign(choice_bias(4, &Device::flex()), &load(&[1.0; 3]), 0.1);
    }
}
