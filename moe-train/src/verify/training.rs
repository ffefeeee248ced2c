//! Gradients, and five steps of AdamW on one batch.

use super::checker::{Checker, scalar};
use super::forward::LOSS;
use super::objective::losses;
use super::quantity::{Quantity, Tolerance};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Int, Tensor};
use moe_models::checkpoint::{ByParameter, each_gradient, each_parameter};
use moe_models::published::{DeepSeekGeneration, PublishedConfig};
use moe_models::{AnyDecoder, Decoder, DecoderInput};
use std::collections::{BTreeMap, BTreeSet};

const GRADIENT: Tolerance = Tolerance::Relative(1e-4);
const ADAMW_LOSS: Tolerance = Tolerance::Absolute(1e-4);
const LR: f64 = 1e-3;
const STEPS: usize = 5;

/// A model on a device with gradients, and its batch.
pub(super) struct Trained<'a> {
    pub(super) config: &'a PublishedConfig,
    pub(super) entries: &'a ByParameter,
    pub(super) model: AnyDecoder,
    pub(super) tokens: Tensor<2, Int>,
    /// The published names of the tensors that have a gradient.
    trainable: BTreeSet<String>,
}

/// The losses before each step and after the last.
#[derive(Default)]
struct Curve {
    lm: Vec<f32>,
    objective: Vec<f32>,
}

/// Compares losses, gradients and the course of five steps.
pub(super) fn check(checker: &mut Checker<'_>, mut trained: Trained<'_>) {
    let mut optimizer = AdamWConfig::new()
        .with_beta_1(0.9)
        .with_beta_2(0.999)
        .with_epsilon(1e-8)
        .with_weight_decay(0.01)
        .init();
    let mut curve = Curve::default();
    for step in 0..STEPS {
        trained.step(checker, &mut optimizer, &mut curve, step == 0);
    }
    let losses = trained.losses();
    curve.push(&losses.lm, &losses.objective);

    let shape = [STEPS + 1];
    if is_injected(trained.config) {
        checker.floats("train.adamw_ce_losses", &shape, &curve.lm, ADAMW_LOSS);
        checker.floats(
            "train.adamw_total_losses",
            &shape,
            &curve.objective,
            ADAMW_LOSS,
        );
    } else {
        checker.floats("train.adamw_losses", &shape, &curve.objective, ADAMW_LOSS);
    }
    let mut norms = BTreeMap::new();
    each_parameter(&trained.model, trained.entries, |tensor| {
        if trained.trainable.contains(&tensor.entry.name) {
            norms.insert(tensor.entry.name.clone(), norm(&tensor.values));
        }
    });
    let theirs = &checker.goldens.norms.param_norm_after_5;
    check_norms(checker, "param_norm_after_5", &norms, theirs);
}

/// Whether the published code adds gradients of a balance loss that it does not report.
fn is_injected(config: &PublishedConfig) -> bool {
    matches!(config, PublishedConfig::DeepSeek(published) if published.generation == DeepSeekGeneration::V1)
}

impl<'a> Trained<'a> {
    pub(super) fn new(
        config: &'a PublishedConfig,
        entries: &'a ByParameter,
        model: AnyDecoder,
        tokens: Tensor<2, Int>,
    ) -> Self {
        Self {
            config,
            entries,
            model,
            tokens,
            trainable: BTreeSet::new(),
        }
    }

    fn losses(&self) -> super::objective::Losses {
        let output = self.model.forward(DecoderInput::new(self.tokens.clone()));
        losses(self.config, &output, self.tokens.clone())
    }

    fn step(
        &mut self,
        checker: &mut Checker<'_>,
        optimizer: &mut ModuleOptimizer,
        curve: &mut Curve,
        is_first: bool,
    ) {
        let losses = self.losses();
        curve.push(&losses.lm, &losses.objective);
        if is_first && is_injected(self.config) {
            checker.tensor("train.ce_loss", losses.lm.clone(), LOSS);
            checker.tensor("train.aux_loss_sum", losses.balance.clone(), LOSS);
        } else if is_first {
            checker.tensor("train.loss", losses.objective.clone(), LOSS);
        }
        let gradients = losses.objective.backward();
        if is_first {
            self.check_gradients(checker, &gradients);
        }
        let gradients = GradientsParams::from_grads(gradients, &self.model);
        self.model = optimizer.step(LR, self.model.clone(), gradients);
    }

    fn check_gradients(&mut self, checker: &mut Checker<'_>, gradients: &burn::tensor::Gradients) {
        let mut norms = BTreeMap::new();
        each_gradient(&self.model, gradients, self.entries, |tensor| {
            let name = &tensor.entry.name;
            norms.insert(name.clone(), norm(&tensor.values));
            let shape = &tensor.entry.shape;
            checker.floats(&format!("grad.{name}"), shape, &tensor.values, GRADIENT);
        });
        let theirs = &checker.goldens.norms.grad_norm;
        check_norms(checker, "grad_norm", &norms, theirs);
        self.trainable = norms.into_keys().collect();
    }
}

impl Curve {
    fn push(&mut self, lm: &Tensor<1>, objective: &Tensor<1>) {
        self.lm.push(scalar(lm.clone()));
        self.objective.push(scalar(objective.clone()));
    }
}

fn norm(values: &[f32]) -> f64 {
    let sum: f64 = values.iter().map(|x| f64::from(*x).powi(2)).sum();
    sum.sqrt()
}

/// Compares the norms of all tensors: the largest relative error, and which tensor has it. Norms that the
/// goldens lack are noted, norms of tensors that do not train fail.
fn check_norms(
    checker: &mut Checker<'_>,
    what: &str,
    ours: &BTreeMap<String, f64>,
    theirs: &BTreeMap<String, f64>,
) {
    let mut lacking = ours.keys().filter(|name| !theirs.contains_key(*name));
    if let Some(first) = lacking.next() {
        let n = 1 + lacking.count();
        let all = ours.len();
        checker.missing(format!("{what} of {n} of {all} tensors, the first {first}"));
    }
    let errors = theirs.iter().map(|(name, norm)| {
        let error = ours
            .get(name)
            .map(|ours| (ours - norm).abs() / norm.abs().max(1e-12));
        (name, error.unwrap_or(f64::NAN))
    });
    let worst = errors.max_by(|a, b| a.1.total_cmp(&b.1)); // NaN is the largest
    if let Some((name, error)) = worst {
        let label = format!("{what} ({} tensors, worst {name})", theirs.len());
        let error = match error.is_nan() {
            true => Err(format!("{name} does not train, or its norm is no number")),
            false => Ok(error),
        };
        let quantity = Quantity::of_error(&label, error, GRADIENT);
        checker.quantities.push(quantity);
    }
}
