//! The importance loss (arXiv 1701.06538, equations 6 and 7).

use super::{cv_squared, mean_over_tokens};
use crate::{Plan, Routing};
use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

/// `CV(sum_t G(x_t))^2`: the importance loss (Shazeer et al. 2017, arXiv 1701.06538, equations 6 and 7),
/// where an expert's importance is the sum of the weights of its assignments.
///
/// # Shapes
///
/// - output: `[1]`
pub fn importance(routing: &Routing) -> Tensor<1> {
    let importance_e = match &routing.plan {
        Plan::Sparse(plan) => {
            let device = plan.weights.device();
            let experts: Vec<i64> = plan
                .assignments
                .experts()
                .iter()
                .map(|&e| i64::from(e))
                .collect();
            let n = experts.len();
            let experts_a = Tensor::<1, Int>::from_data(TensorData::new(experts, [n]), &device);
            Tensor::zeros([routing.n_experts()], &device).scatter(
                0,
                experts_a,
                plan.weights.clone(),
                IndexingUpdateOp::Add,
            )
        }
        Plan::Soft(_) => mean_over_tokens(routing.probs(), routing),
    };
    cv_squared(importance_e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    #[test]
    fn equals_the_closed_form() {
        // importance (0.9, 0.3): mean 0.6, variance 0.09, CV^2 = 0.09 / 0.36
        let r = routing(&[(0, 0), (1, 1)], &[0.9, 0.1, 0.7, 0.3], 2, &Device::flex());
        assert_abs_diff_eq!(scalar(importance(&r)), 0.25, epsilon = 1e-5);
    }

    #[test]
    fn is_zero_at_balance() {
        let r = routing(&[(0, 0), (1, 1)], &[0.5; 4], 2, &Device::flex());
        assert_abs_diff_eq!(scalar(importance(&r)), 0.0, epsilon = 1e-7);
    }
}
