//! Scores of experts.

use burn::tensor::Tensor;
use burn::tensor::activation::{relu, sigmoid, softmax};
use serde::{Deserialize, Serialize};

/// Functions from the gate's logits to scores.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// A softmax over all experts.
    #[default]
    Softmax,
    /// A sigmoid of each logit (DeepSeek-V3, arXiv 2412.19437, equation 15).
    Sigmoid,
    /// The positive part of each logit (ReMoE, arXiv 2412.14711, equation 6).
    Relu,
    /// A softmax over logits that are cosines of token and expert over a temperature (after X-MoE, arXiv
    /// 2204.09179, equation 4).
    Cosine,
}

impl Score {
    /// The scores that select and weigh.
    ///
    /// # Shapes
    ///
    /// - logits_te: `[T, E]`
    /// - output: `[T, E]`
    pub fn scores(self, logits_te: Tensor<2>) -> Tensor<2> {
        match self {
            Score::Softmax | Score::Cosine => softmax(logits_te, 1),
            Score::Sigmoid => sigmoid(logits_te),
            Score::Relu => relu(logits_te),
        }
    }

    /// The scores as a distribution over experts; zero for a token that has no positive score.
    ///
    /// # Shapes
    ///
    /// - scores_te: `[T, E]`
    /// - output: `[T, E]`
    pub fn distribution(self, scores_te: Tensor<2>) -> Tensor<2> {
        match self {
            Score::Softmax | Score::Cosine => scores_te,
            Score::Sigmoid | Score::Relu => scores_te.clone() / (scores_te.sum_dim(1) + 1e-20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn scores_and_their_distributions() {
        let logits = Tensor::<2>::from_floats([[0.0, 3.0f32.ln(), -1.0]], &Device::flex());
        let both = |score: Score| {
            let scores = score.scores(logits.clone());
            let distribution = score.distribution(scores.clone());
            Tensor::cat(vec![scores, distribution], 0).into_data()
        };
        // e^0 = 1, e^(ln 3) = 3, e^-1 = 0.367879: sum 4.367879
        let softmax = [0.228944f32, 0.686832, 0.084224];
        let expected = TensorData::from([softmax, softmax]);
        both(Score::Softmax).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
        // 1 / 2, 3 / 4, 1 / (1 + e): sum 1.518941
        let expected = TensorData::from([[0.5f32, 0.75, 0.268941], [0.329177, 0.493765, 0.177058]]);
        both(Score::Sigmoid).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
        let expected = TensorData::from([[0.0f32, 1.098612, 0.0], [0.0, 1.0, 0.0]]);
        both(Score::Relu).assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
    }

    #[test]
    fn a_token_without_a_positive_score_has_none() {
        let logits = Tensor::<2>::from_floats([[-1.0, -2.0]], &Device::flex());
        let scores = Score::Relu.scores(logits);
        let distribution = Score::Relu.distribution(scores).into_data();
        distribution.assert_eq(&TensorData::from([[0.0f32, 0.0]]), true);
    }
}
