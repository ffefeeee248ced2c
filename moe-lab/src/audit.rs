//! Audit of causality: does a model see the future? Later tokens are replaced and earlier positions
//! compared, layer by layer. This is done once as in evaluation and once as in training, where routers draw
//! noise and may choose by another rule. The model is also trained on uniform tokens, which nobody can
//! predict better than by chance.
//!
//! ```text
//! leak of layer l = max over earlier positions of |z_l(x) - z_l(x')|,  x' = x up to position p
//! gain            = log2 V - loss in bits, on fresh uniform tokens: 0 unless a target is seen
//! ```

use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_models::{AnyDecoder, Decoder, DecoderInput, DecoderOutput, token_losses};
use moe_router::parts::{mix_seed, uniform_below};
use moe_router::{Causality, Plan, Routing, to_vec};
use moe_train::config::RunConfig;
use moe_train::run::adamw;
use serde::Serialize;

/// Effort of an audit.
#[derive(Debug, Clone, Copy)]
pub struct AuditOptions {
    /// The number of times that later tokens are replaced. Default: 8
    pub trials: u64,
    /// The number of training steps on uniform tokens; 0 leaves the training out. Default: 60
    pub steps: u64,
    /// The most tokens of a sequence. Default: 64
    pub max_length: usize,
}

/// Findings of an audit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// Influence of later tokens in evaluation.
    pub evaluation: Leak,
    /// Influence of later tokens in training mode, with the same noise before and after.
    pub training: Leak,
    /// Gain of training on uniform tokens.
    pub uniform: Option<UniformTraining>,
}

/// Influence of later tokens at earlier positions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Leak {
    /// The largest change of the output scores.
    pub logits: f64,
    /// Influence at earlier positions in each MoE layer.
    pub layers: Vec<LayerLeak>,
}

/// Influence of later tokens at earlier positions in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LayerLeak {
    /// The layer's index.
    pub layer: usize,
    /// The largest change of the router's scores: of what came into the layer.
    pub scores: f64,
    /// The number of earlier tokens that went elsewhere or were weighed otherwise, of all trials.
    pub rerouted: usize,
}

/// Training on tokens that cannot be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct UniformTraining {
    /// The steps made.
    pub steps: u64,
    /// The loss in bits on fresh tokens.
    pub bits: f64,
    /// The least loss without a leak: the binary logarithm of the vocabulary's size.
    pub chance: f64,
    /// The standard error of the loss over batches.
    pub standard_error: f64,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self {
            trials: 8,
            steps: 60,
            max_length: 64,
        }
    }
}

impl Audit {
    /// Returns `true` if the model of a router that declares `causality` saw more of the future than it
    /// may. In evaluation that is anything; in training, anything that is not declared.
    pub fn forbids(&self, causality: Causality) -> bool {
        let declared = !causality.is_causal_in_training();
        self.evaluation.found() || (self.training.found() && !declared)
    }
}

impl Leak {
    /// Returns `true` if later tokens changed anything earlier.
    pub fn found(&self) -> bool {
        self.logits > 0.0 || self.layers.iter().any(LayerLeak::leaks)
    }

    fn merge(&mut self, one: Leak) {
        self.logits = self.logits.max(one.logits);
        if self.layers.is_empty() {
            self.layers = one.layers;
            return;
        }
        for (sum, layer) in self.layers.iter_mut().zip(&one.layers) {
            sum.scores = sum.scores.max(layer.scores);
            sum.rerouted += layer.rerouted;
        }
    }
}

impl LayerLeak {
    /// Returns `true` if later tokens changed anything earlier in this layer.
    pub fn leaks(&self) -> bool {
        self.scores > 0.0 || self.rerouted > 0
    }
}

impl UniformTraining {
    /// Bits below chance; a leak is proven well above [`standard_error`](Self::standard_error).
    pub fn gain(&self) -> f64 {
        self.chance - self.bits
    }
}

/// Audits the decoder of a configuration, in evaluation and in training mode.
///
/// # Panics
///
/// Panics if the configuration is of a model that is not a decoder.
pub fn audit(config: &RunConfig, device: &Device, options: &AuditOptions) -> Audit {
    let length = config.train.seq_length.clamp(2, options.max_length.max(2));
    let model = decoder(config, device);
    let (mut evaluation, mut training) = (Leak::default(), Leak::default());
    for trial in 0..options.trials {
        let noise = mix_seed(mix_seed(config.seed, 78), trial);
        let cut = cut(trial, options.trials, length);
        let texts = Replacement::new(config, [length, cut], trial, device);
        evaluation.merge(compare(&model, &texts, None));
        training.merge(compare(&model, &texts, Some(noise)));
    }
    Audit {
        evaluation,
        training,
        uniform: (options.steps > 0).then(|| train(config, length, options.steps, device)),
    }
}

fn decoder(config: &RunConfig, device: &Device) -> AnyDecoder {
    let model = config.init_model(device).decoder();
    model.expect("only a decoder must not see the future")
}

/// Place where the texts of a trial part, spread from the second position to the last, both included.
fn cut(trial: u64, trials: u64, length: usize) -> usize {
    let steps = (trials - 1).max(1);
    1 + (trial as usize * (length - 2)) / steps as usize
}

/// Two texts that are the same up to a position, `[1, length]`.
struct Replacement {
    cut: usize,
    before: Tensor<2, Int>,
    after: Tensor<2, Int>,
}

impl Replacement {
    fn new(config: &RunConfig, [length, cut]: [usize; 2], trial: u64, device: &Device) -> Self {
        let before = uniform(config, [1, length], 2 * trial, device);
        let later = uniform(config, [1, length], 2 * trial + 1, device);
        let later = later.narrow(1, cut, length - cut);
        let after = Tensor::cat(vec![before.clone().narrow(1, 0, cut), later], 1);
        Self { cut, before, after }
    }
}

/// Compares outputs before and after one replacement; with noise, as in training.
fn compare(model: &AnyDecoder, texts: &Replacement, noise: Option<u64>) -> Leak {
    let cut = texts.cut;
    let run = |tokens| {
        let mut input = DecoderInput::new(tokens);
        input.noise = noise;
        model.forward(input)
    };
    let (a, b): (DecoderOutput, DecoderOutput) =
        (run(texts.before.clone()), run(texts.after.clone()));
    let layers = a.routings.iter().zip(&b.routings).enumerate();
    Leak {
        logits: largest(a.logits.clone().narrow(1, 0, cut) - b.logits.clone().narrow(1, 0, cut)),
        layers: layers
            .map(|(layer, (a, b))| LayerLeak {
                layer,
                scores: largest(
                    a.logits.clone().narrow(0, 0, cut) - b.logits.clone().narrow(0, 0, cut),
                ),
                rerouted: (0..cut)
                    .filter(|&t| decision(a, t) != decision(b, t))
                    .count(),
            })
            .collect(),
    }
}

/// The largest magnitude; infinite if a value is not a number, which no comparison may pass over.
fn largest<const D: usize>(difference: Tensor<D>) -> f64 {
    to_vec(difference.reshape([-1]))
        .into_iter()
        .map(|x| {
            if x.is_nan() {
                f64::INFINITY
            } else {
                f64::from(x.abs())
            }
        })
        .fold(0.0, f64::max)
}

/// Decision of a routing for a token, comparable bit by bit: experts and weights, or shares of slots.
fn decision(routing: &Routing, t: usize) -> Vec<(u32, u32)> {
    let bits = |x: Tensor<1>| -> Vec<u32> { to_vec(x).iter().map(|x| x.to_bits()).collect() };
    match &routing.plan {
        Plan::Sparse(plan) => {
            let weights = bits(plan.weights.clone());
            let a = &plan.assignments;
            let own = (0..a.len()).filter(|&n| a.tokens()[n] as usize == t && a.kept()[n]);
            let mut entries: Vec<_> = own.map(|n| (a.experts()[n], weights[n])).collect();
            // the order of a token's assignments decides nothing
            entries.sort_unstable();
            entries
        }
        Plan::Soft(plan) => {
            let [_, _, n_slots] = plan.dispatch.dims();
            let shares = plan.dispatch.clone().slice([0..1, t..t + 1, 0..n_slots]);
            let shares = bits(shares.reshape([n_slots]));
            (0..).zip(shares).collect()
        }
    }
}

/// Trains on fresh uniform tokens and scores on others.
fn train(config: &RunConfig, length: usize, steps: u64, device: &Device) -> UniformTraining {
    let device = device.clone().autodiff();
    let mut model = decoder(config, &device);
    let mut optimizer = adamw(&model, &config.train);
    let batch = |key: u64| {
        uniform(
            config,
            [config.train.batch_size, length + 1],
            1000 + key,
            &device,
        )
    };
    for step in 0..steps {
        let loss = loss(&model, batch(step), Some(mix_seed(config.seed, step)));
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(config.train.lr, model, grads);
    }
    let nats: Vec<f64> = (0..8)
        .map(|key| {
            let loss = loss(&model, batch(1_000_000 + key), None);
            f64::from(loss.detach().into_scalar::<f32>())
        })
        .collect();
    let n = nats.len() as f64;
    let mean = nats.iter().sum::<f64>() / n;
    let variance = nats.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    UniformTraining {
        steps,
        bits: mean / std::f64::consts::LN_2,
        chance: (config.vocab_size() as f64).log2(),
        standard_error: (variance / n).sqrt() / std::f64::consts::LN_2,
    }
}

/// The mean cross entropy of each next token, in nats.
fn loss(model: &AnyDecoder, tokens: Tensor<2, Int>, noise: Option<u64>) -> Tensor<1> {
    let length = tokens.dims()[1] - 1;
    let mut input = DecoderInput::new(tokens.clone().narrow(1, 0, length));
    input.noise = noise;
    let logits = model.forward(input).logits;
    token_losses(logits, tokens.narrow(1, 1, length)).mean()
}

/// Tokens drawn uniformly from the vocabulary.
fn uniform(config: &RunConfig, shape: [usize; 2], key: u64, device: &Device) -> Tensor<2, Int> {
    let seed = mix_seed(mix_seed(config.seed, 77), key);
    let vocab_size = config.vocab_size();
    let ids: Vec<i64> = (0..(shape[0] * shape[1]) as u64)
        .map(|i| uniform_below(vocab_size, seed, i) as i64)
        .collect();
    Tensor::from_data(TensorData::new(ids, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cuts_of_the_trials_reach_from_the_second_position_to_the_last() {
        let cuts: Vec<usize> = (0..8).map(|trial| cut(trial, 8, 64)).collect();
        // 1 + trial * 62 / 7
        assert_eq!(cuts, [1, 9, 18, 27, 36, 45, 54, 63]);
        assert_eq!(cut(0, 1, 64), 1);
        assert_eq!([cut(0, 2, 2), cut(1, 2, 2)], [1, 1]);
    }

    #[test]
    fn what_is_not_a_number_is_a_difference() {
        let device = Device::flex();
        let of = |x: [f32; 2]| largest(Tensor::<1>::from_floats(x, &device));
        assert_eq!(of([-2.0, 1.0]), 2.0);
        assert_eq!(of([0.0, f32::NAN]), f64::INFINITY);
    }
}
