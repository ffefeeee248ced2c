//! The router orthogonalisation loss of ERNIE 4.5.

use crate::Routing;
use burn::tensor::{DType, Tensor};

/// `1/E^2 sum_ij (w_i . w_j - [i = j])^2` over the normalised columns `w_e` of the gate: the router
/// orthogonalisation loss of ERNIE 4.5 (Baidu 2025), here as its published code averages it. SimBal
/// (Omi et al. 2025, arXiv 2506.14038) has the same aim with columns of any length and absolute values.
///
/// 0 if all columns are orthogonal, `1 - 1/E` if all are parallel. 0 for a router without a gate, which
/// has no columns.
///
/// # Shapes
///
/// - output: `[1]`
pub fn orthogonality(routing: &Routing) -> Tensor<1> {
    let Some(gate_de) = &routing.gate else {
        return Tensor::zeros([1], &routing.logits.device());
    };
    let gate_de = gate_de.clone().cast(DType::F32);
    let norm_1e = gate_de.clone().square().sum_dim(0).clamp_min(1e-24).sqrt();
    let w_de = gate_de / norm_1e;
    let gram_ee = w_de.clone().transpose().matmul(w_de);
    let eye_ee = Tensor::eye(routing.n_experts(), &gram_ee.device());
    (gram_ee - eye_ee).square().mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    fn of_gate(gate: [[f32; 2]; 2]) -> f32 {
        let device = Device::flex();
        let r = routing(&[(0, 0)], &[0.5, 0.5], 2, &device);
        scalar(orthogonality(&r.gate(Tensor::from_floats(gate, &device))))
    }

    #[test]
    fn equals_the_closed_form() {
        // columns (3, 4) and (1, 0) have the cosine 0.6: 2 * 0.36 / 4
        assert_abs_diff_eq!(of_gate([[3.0, 1.0], [4.0, 0.0]]), 0.18, epsilon = 1e-6);
    }

    #[test]
    fn zero_if_orthogonal_and_half_if_two_are_parallel() {
        assert_abs_diff_eq!(of_gate([[5.0, 0.0], [0.0, 2.0]]), 0.0, epsilon = 1e-6);
        assert_abs_diff_eq!(of_gate([[1.0, 2.0], [1.0, 2.0]]), 0.5, epsilon = 1e-6);
        assert_eq!(of_gate([[0.0, 1.0], [0.0, 1.0]]), 0.25); // a zero column: only its own 1 is missing
    }

    #[test]
    fn a_router_without_a_gate_has_no_columns() {
        let r = routing(&[(0, 0)], &[0.5, 0.5], 2, &Device::flex());
        assert_eq!(scalar(orthogonality(&r)), 0.0);
    }
}
