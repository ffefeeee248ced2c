//! A router of your own in a model of this workspace, trained by a plain loop.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig, loss::CrossEntropyLossConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Int, Tensor};
use moe_attention::GroupedQueryAttentionConfig;
use moe_experts::{Activation, Dispatch, MoeLayerConfig};
use moe_models::{Decoder, DecoderInput, MixtralConfig};
use moe_router::parts::{gather_weights, token_choice};
use moe_router::{Causality, Router, RouterInput, Routing};

/// Each token goes to its best expert, weighted by the sigmoid of the score.
#[derive(Module, Debug)]
struct SigmoidRouter {
    gate: Linear,
}

impl Router for SigmoidRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = self.gate.forward(input.x_td.clone());
        let scores = logits_te.clone().detach().into_data();
        let scores: Vec<f32> = scores.try_into_vec().expect("f32 scores");
        let assignments = token_choice(&input, &scores, 1);
        let weights_n = gather_weights(&sigmoid(logits_te.clone()), &assignments);
        let probs_te = softmax(logits_te.clone(), 1);
        Routing::sparse(assignments, weights_n, logits_te, probs_te)
            .groups(input.n_groups)
            .padding(input.padding)
    }

    fn causality(&self) -> Causality {
        Causality::Causal
    }
}

fn decoder() -> MixtralConfig {
    MixtralConfig {
        vocab_size: 256,
        n_layers: 2,
        norm_eps: 1e-5,
        attention: GroupedQueryAttentionConfig::new(32, 2, 1),
        moe: MoeLayerConfig {
            d_model: 32,
            n_experts: 4,
            d_expert: 64,
            n_shared_experts: 0,
            activation: Activation::SwiGlu,
            dispatch: Dispatch::Grouped,
        },
        tied_embeddings: false,
        allow_leak: false,
    }
}

fn main() {
    let device = Device::flex().autodiff();
    device.seed(0);
    let gate = LinearConfig::new(32, 4).with_bias(false);
    let router = |gate| SigmoidRouter { gate };
    let mut model = decoder().init(|_| router(gate.init(&device)), &device);
    let mut optimizer = AdamWConfig::new().init();

    let text = b"the cat sat on the mat and the dog sat on the log; ".repeat(2);
    let n = text.len() - 1; // each byte but the last predicts the next
    let ids = Tensor::<1, Int>::from_data(text.as_slice(), &device);
    let (inputs, targets) = (ids.clone().narrow(0, 0, n), ids.narrow(0, 1, n));
    for step in 0..=60 {
        let output = model.forward(DecoderInput::new(inputs.clone().reshape([1, n])));
        let loss = CrossEntropyLossConfig::new().init(&device);
        let loss = loss.forward(output.logits.reshape([n, 256]), targets.clone());
        if step % 10 == 0 {
            let nats: f32 = loss.clone().into_scalar();
            println!("step {step:>3}  loss {nats:.3}");
        }
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(5e-3, model, grads);
    }
}
