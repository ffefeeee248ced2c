//! The loss of a predictor of admissions (Mixture-of-Depths, arXiv 2404.02258, section 3.5).

use crate::Routing;
use burn::tensor::{Tensor, activation::softplus};

/// The cross-entropy of the predictor's scores and the admission decisions (Raposo et al. 2024, arXiv
/// 2404.02258, section 3.5). It teaches Mixture-of-Depths to decide without later tokens. 0 for a routing
/// without an [`Admission`](crate::Admission).
///
/// # Shapes
///
/// - output: `[1]`
pub fn admission(routing: &Routing) -> Tensor<1> {
    let Some(admission) = &routing.admission else {
        return Tensor::zeros([1], &routing.logits.device());
    };
    let predicted_t = admission.predicted.clone();
    let mask = |keep: &dyn Fn(usize) -> bool| {
        let values: Vec<f32> = (0..routing.n_tokens())
            .map(|t| if keep(t) { 1.0 } else { 0.0 })
            .collect();
        Tensor::<1>::from_floats(values.as_slice(), &predicted_t.device())
    };
    let admitted_t = mask(&|t| admission.admitted[t]);
    let routed_t = mask(&|t| !routing.padding.as_ref().is_some_and(|padding| padding[t]));
    // -y ln(sigmoid(z)) - (1 - y) ln(1 - sigmoid(z)) = softplus(z) - y z
    let loss_t = softplus(predicted_t.clone(), 1.0) - predicted_t * admitted_t;
    (loss_t * routed_t).sum() / routing.n_routed_tokens().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Admission;
    use crate::balance::testing::{routing, scalar};
    use approx::assert_abs_diff_eq;
    use burn::tensor::Device;

    #[test]
    fn equals_the_closed_form_without_padding() {
        let device = Device::flex();
        let mut r =
            routing(&[(0, 0)], &[0.5; 6], 2, &device).padding(Some([false, false, true].into()));
        assert_eq!(scalar(admission(&r)), 0.0);
        r.admission = Some(Admission {
            predicted: Tensor::from_floats([0.0, 3.0f32.ln(), 9.0], &device),
            admitted: [true, false, true].into(),
        });
        // -ln(1/2) = ln 2 and -ln(1 - 3/4) = ln 4; the third is padding: 3 ln 2 / 2
        assert_abs_diff_eq!(scalar(admission(&r)), 1.039_720_8, epsilon = 1e-5);
    }
}
