//! Losses of the Switch Transformer's routers, as the published code adds them.

use super::SwitchStackConfig;
use crate::token_losses;
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_router::Routing;
use moe_router::balance::{load_balance_pooled_by_sequence, z};

/// Losses that the published code adds to the cross entropy for the routers of one stack, not yet weighted.
#[derive(Debug, Clone)]
pub struct StackLosses {
    /// The router z-loss over the tokens of all sparse layers, `[1]`.
    pub z: Tensor<1>,
    /// The balance loss of each sequence over the tokens of all sparse layers, averaged, `[1]`.
    pub load_balance: Tensor<1>,
}

/// The losses of a stack's routers as the published code pools them, from the routings of its sparse
/// layers; zero if all layers are sparse, or none.
///
/// Differs from the paper (equations 4 to 6), which has one balance loss a layer, and has it where all
/// layers are sparse too.
pub fn stack_losses(
    stack: &SwitchStackConfig,
    routings: &[Routing],
    device: &Device,
) -> StackLosses {
    if stack.sparse_step <= 1 || routings.is_empty() {
        let zero = || Tensor::zeros([1], device);
        return StackLosses {
            z: zero(),
            load_balance: zero(),
        };
    }
    // all layers have as many tokens, so the mean over all is that of the layers' means
    let sum = routings.iter().map(z).reduce(|sum, z| sum + z);
    let all: Vec<&Routing> = routings.iter().collect();
    StackLosses {
        z: sum.expect("there is a routing") / routings.len() as f64,
        load_balance: load_balance_pooled_by_sequence(&all),
    }
}

/// The mean negative log-likelihood of the targets that are not padding, `[1]`.
///
/// # Shapes
///
/// - logits: `[B, M, V]`
/// - targets: `[B, M]`; those that are padding may be any token
/// - padding: `[B * M]`, which of them are padding
///
/// # Panics
///
/// Panics if there is not one mark for each target.
pub fn target_losses(
    logits: Tensor<3>,
    targets: Tensor<2, Int>,
    padding: Option<&[bool]>,
) -> Tensor<1> {
    let losses = token_losses(logits, targets);
    let Some(padding) = padding else {
        return losses.mean();
    };
    let [n] = losses.dims();
    assert_eq!(padding.len(), n, "one padding mark for each target");
    let counted: Vec<f32> = padding.iter().map(|&p| f32::from(u8::from(!p))).collect();
    let n_counted = counted.iter().sum::<f32>().max(1.0);
    let counted = Tensor::<1>::from_data(TensorData::new(counted, [n]), &losses.device());
    (losses * counted).sum() / n_counted
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn padded_targets_cost_nothing() {
        let device = Device::flex();
        // probabilities 1/4 and 3/4, then 1/2 and 1/2
        let logits = Tensor::<2>::from_floats([[0.0, 3f32.ln()], [7.0, 7.0]], &device);
        let targets = Tensor::<2, Int>::from_data([[1, 0]], &device);
        let loss = |padding: &[bool]| {
            target_losses(logits.clone().unsqueeze(), targets.clone(), Some(padding)).into_data()
        };
        let close = |data: TensorData, expected: f32| {
            data.assert_approx_eq::<f32>(&TensorData::from([expected]), Tolerance::absolute(1e-6));
        };
        close(loss(&[false, true]), (4f32 / 3.0).ln());
        close(loss(&[false, false]), ((4f32 / 3.0).ln() + 2f32.ln()) / 2.0);
        close(loss(&[true, true]), 0.0);
    }

    #[test]
    fn a_stack_of_sparse_layers_alone_has_no_losses() {
        let stack = SwitchStackConfig {
            n_layers: 2,
            sparse_step: 1,
        };
        let losses = stack_losses(&stack, &[], &Device::flex());
        losses
            .z
            .into_data()
            .assert_eq(&TensorData::from([0f32]), true);
    }
}
