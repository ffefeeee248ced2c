//! A router of your own in thirty lines: held to the laws, trained by a plain loop, and compared with
//! Mixtral's.

use burn::module::{Module, ModuleDisplay};
use burn::nn::{Linear, LinearConfig, loss::CrossEntropyLossConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::{Device, Int, Tensor};
use moe_attention::GroupedQueryAttentionConfig;
use moe_experts::{Activation, Dispatch, Exchange, MoeLayerConfig};
use moe_lab::stats::{BootstrapConfig, Goal, compare};
use moe_models::{Decoder, DecoderInput, MixtralConfig};
use moe_router::laws::{Options, Subject, check_all};
use moe_router::parts::{gather_weights, token_choice};
use moe_router::{Causality, Preset, Router, RouterInput, RouterShape, Routing};

/// Each token goes to its two best experts, weighted by the sigmoids of their scores.
#[derive(Module, Debug)]
struct SigmoidRouter {
    gate: Linear,
}

impl SigmoidRouter {
    fn new(shape: &RouterShape, device: &Device) -> Self {
        let gate = LinearConfig::new(shape.d_model, shape.n_experts).with_bias(false);
        Self {
            gate: gate.init(device),
        }
    }
}

impl Router for SigmoidRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = self.gate.forward(input.x_td.clone());
        let scores = logits_te.clone().detach().into_data();
        let scores: Vec<f32> = scores.try_into_vec().expect("f32 scores");
        let top_k = 2.min(logits_te.dims()[1]); // a layer may have one expert
        let assignments = token_choice(&input, &scores, top_k);
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
            bias: false,
            dispatch: Dispatch::Grouped,
            exchange: Exchange::Exact,
        },
        tied_embeddings: false,
        allow_leak: false,
    }
}

/// The losses of 61 steps in nats a byte. Equal seeds give both routers the same other weights.
fn train<R: Router + ModuleDisplay>(
    router: impl Fn(&RouterShape, &Device) -> R,
    seed: u64,
) -> Vec<f64> {
    let device = Device::flex().autodiff();
    device.seed(seed);
    let mut model = decoder().init(|shape| router(shape, &device), &device);
    let mut optimizer = AdamWConfig::new().init();

    let text = b"the cat sat on the mat and the dog sat on the log; ".repeat(2);
    let n = text.len() - 1; // each byte but the last predicts the next
    let ids = Tensor::<1, Int>::from_data(text.as_slice(), &device);
    let (inputs, targets) = (ids.clone().narrow(0, 0, n), ids.narrow(0, 1, n));
    let mut losses = Vec::new();
    for _ in 0..=60 {
        let output = model.forward(DecoderInput::new(inputs.clone().reshape([1, n])));
        let loss = CrossEntropyLossConfig::new().init(&device);
        let loss = loss.forward(output.logits.reshape([n, 256]), targets.clone());
        losses.push(f64::from(loss.clone().into_scalar::<f32>()));
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(5e-3, model, grads);
    }
    losses
}

fn main() {
    let subject = Subject::new("sigmoid", SigmoidRouter::new, &Device::flex());
    let report = check_all(&subject, &Options::default());
    println!("{report}\n"); // in a test of yours: moe_router::laws::check(SigmoidRouter::new, &device)
    report.assert_passed();

    for (step, loss) in train(SigmoidRouter::new, 0).iter().enumerate().step_by(10) {
        println!("step {step:>3}  loss {loss:.3}");
    }

    // as many experts a token, the same text, and the same seeds: each seed gives one difference
    let mixtral = |shape: &RouterShape, device: &Device| {
        moe_router::MixtralConfig { top_k: 2 }.init(shape, device)
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    println!("\nseed    sigmoid  mixtral  (mean loss of the last 30 steps)");
    for seed in 0..6 {
        let late = |losses: Vec<f64>| losses[31..].iter().sum::<f64>() / 30.0;
        ours.push(late(train(SigmoidRouter::new, seed)));
        theirs.push(late(train(mixtral, seed)));
        let [own, other] = [&ours, &theirs].map(|losses| losses[seed as usize]);
        println!("{seed:>4}    {own:>7.3}  {other:>7.3}");
    }
    let comparison = compare(&theirs, &ours, &BootstrapConfig::default());
    println!(
        "difference {:+.3}, exact p {:.4}; the sigmoid router against Mixtral's: {}",
        comparison.mean_difference,
        comparison.p.expect("six seeds are tested"),
        comparison.verdict(Goal::Lower, 0.05)
    );
}
