use crate::config::TrainConfig;
use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::tensor::Tensor;

/// AdamW (Loshchilov & Hutter 2017, arXiv 1711.05101) with weight decay on matrices; vectors, which
/// are norms, biases and scales, have none.
pub fn adamw<M: Module>(module: &M, config: &TrainConfig) -> ModuleOptimizer {
    let adamw = |decay: f64| {
        AdamWConfig::new()
            .with_beta_1(config.beta_1 as f32)
            .with_beta_2(config.beta_2 as f32)
            .with_epsilon(1e-8)
            .with_weight_decay(decay as f32)
    };
    let mut vectors = Vectors(Vec::new());
    module.visit(&mut vectors);
    adamw(config.weight_decay).init().with_group(
        ParamGroup::from_ids(vectors.0),
        adamw(0.0).build(),
        None,
    )
}

struct Vectors(Vec<ParamId>);

impl ModuleVisitor for Vectors {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D < 2 {
            self.0.push(param.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, TensorData, Tolerance};

    #[test]
    fn matrices_decay_and_vectors_do_not() {
        let device = Device::flex().autodiff();
        let mut linear = LinearConfig::new(1, 1).init(&device);
        linear.weight = Param::from_tensor(Tensor::from_floats([[1.0]], &device));
        linear.bias = Some(Param::from_tensor(Tensor::from_floats([1.0], &device)));
        let config = TrainConfig {
            weight_decay: 0.5,
            ..Default::default()
        };
        let mut optimizer = adamw(&linear, &config);
        // a gradient of zero: only the decay moves, w -= lr * 0.5 * w
        let loss = linear.forward(Tensor::<2>::zeros([1, 1], &device)).sum() * 0.0;
        let grads = GradientsParams::from_grads(loss.backward(), &linear);
        let linear = optimizer.step(0.1, linear, grads);

        let expected = TensorData::from([[0.95f32]]);
        let weight = linear.weight.val().into_data();
        weight.assert_approx_eq::<f32>(&expected, Tolerance::default());
        let bias = linear.bias.expect("a bias").val().into_data();
        bias.assert_eq(&TensorData::from([1.0f32]), true);
    }
}
