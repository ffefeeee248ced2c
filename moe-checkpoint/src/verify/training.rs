//! Gradients, and five steps of AdamW on one batch.

use super::checker::{Checker, scalar};
use super::forward::LOSS;
use super::objective::Losses;
use super::quantity::{Quantity, Tolerance};
use crate::{ByParameter, each_gradient, each_parameter};
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Gradients, Tensor};
use std::collections::BTreeMap;

const GRADIENT: Tolerance = Tolerance::Relative(1e-4);
const ADAMW_LOSS: Tolerance = Tolerance::Scaled(1e-4);
const LR: f64 = 1e-3;
const STEPS: usize = 5;
/// A gradient whose norm is below this share of the largest is zero but for rounding: attention does not
/// depend on the biases of its keys.
const NOTHING: f64 = 1e-6;

/// The norm of a tensor, and how far it may be off by rounding alone.
#[derive(Debug, Clone, Copy)]
struct Norm {
    value: f64,
    slack: f64,
}

/// A model on a device with gradients, and what it is trained on.
pub(super) struct Trained<'a, M> {
    pub(super) entries: &'a ByParameter,
    pub(super) model: M,
    /// The losses of the batch.
    pub(super) losses: &'a dyn Fn(&M) -> Losses,
    pub(super) balance: BalanceReport,
    /// Factor of the tolerances.
    pub(super) looser: f64,
}

/// Way in which the published code reports its balance loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BalanceReport {
    /// Within the loss.
    Added,
    /// Not at all: it adds the gradients alone.
    Apart,
}

/// Kind of a gradient: real, or nothing but rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gradient {
    Real,
    Rounding,
}

/// The losses before each step and after the last.
#[derive(Default)]
struct Curve {
    lm: Vec<f32>,
    objective: Vec<f32>,
}

/// Compares losses, gradients and the course of five steps.
pub(super) fn check<M: Module>(checker: &mut Checker<'_>, mut trained: Trained<'_, M>) {
    let mut optimizer = AdamWConfig::new()
        .with_beta_1(0.9)
        .with_beta_2(0.999)
        .with_epsilon(1e-8)
        .with_weight_decay(0.01)
        .init();
    let mut curve = Curve::default();
    let mut trainable = BTreeMap::new();
    for step in 0..STEPS {
        let losses = (trained.losses)(&trained.model);
        curve.push(&losses.lm, &losses.objective);
        if step == 0 {
            trained.check_losses(checker, &losses);
        }
        let gradients = losses.objective.backward();
        if step == 0 {
            trainable = trained.check_gradients(checker, &gradients);
        }
        let gradients = GradientsParams::from_grads(gradients, &trained.model);
        trained.model = optimizer.step(LR, trained.model, gradients);
    }
    let losses = (trained.losses)(&trained.model);
    curve.push(&losses.lm, &losses.objective);
    curve.check(checker, trained.balance, ADAMW_LOSS.times(trained.looser));

    trained.check_parameters(checker, &trainable);
}

impl<M: Module> Trained<'_, M> {
    fn check_losses(&self, checker: &mut Checker<'_>, losses: &Losses) {
        match self.balance {
            BalanceReport::Added => {
                let tolerance = LOSS.times(self.looser);
                checker.tensor("train.loss", losses.objective.clone(), tolerance);
                checker.tensor("train.ce_loss", losses.lm.clone(), tolerance);
            }
            BalanceReport::Apart => {
                checker.tensor("train.ce_loss", losses.lm.clone(), LOSS);
                checker.tensor("train.aux_loss_sum", losses.balance.clone(), LOSS);
            }
        }
    }

    /// Compares the norms of the parameters after the last step.
    fn check_parameters(&self, checker: &mut Checker<'_>, trainable: &BTreeMap<String, Gradient>) {
        let mut norms = BTreeMap::new();
        each_parameter(&self.model, self.entries, |tensor| {
            if let Some(gradient) = trainable.get(&tensor.entry.name) {
                let n_elements = tensor.values.len() as f64;
                let norm = Norm {
                    value: norm(&tensor.values),
                    slack: match gradient {
                        Gradient::Real => 0.0,
                        // each step moves an element by LR at most, in either direction
                        Gradient::Rounding => 2.0 * LR * STEPS as f64 * n_elements.sqrt(),
                    },
                };
                norms.insert(tensor.entry.name.clone(), norm);
            }
        });
        let theirs = &checker.goldens.norms.param_norm_after_5;
        let tolerance = GRADIENT.times(self.looser);
        check_norms(checker, "param_norm_after_5", &norms, theirs, tolerance);
    }

    /// Compares the gradients, and returns the published names of the tensors that have one, and whether it
    /// is more than rounding.
    fn check_gradients(
        &self,
        checker: &mut Checker<'_>,
        gradients: &Gradients,
    ) -> BTreeMap<String, Gradient> {
        let mut norms = BTreeMap::new();
        each_gradient(&self.model, gradients, self.entries, |tensor| {
            let name = &tensor.entry.name;
            norms.insert(name.clone(), norm(&tensor.values));
            let shape = &tensor.entry.shape;
            for name in [format!("grad.{name}"), format!("grad/{name}")] {
                checker.floats(&name, shape, &tensor.values, GRADIENT.times(self.looser));
            }
        });
        let nothing = NOTHING * norms.values().copied().fold(0.0, f64::max);
        let of_rounding = |norm: f64| norm < nothing;
        let with_slack = norms.iter().map(|(name, &value)| {
            let slack = if of_rounding(value) { nothing } else { 0.0 };
            (name.clone(), Norm { value, slack })
        });
        let theirs = &checker.goldens.norms.grad_norm;
        let tolerance = GRADIENT.times(self.looser);
        check_norms(
            checker,
            "grad_norm",
            &with_slack.collect(),
            theirs,
            tolerance,
        );
        let gradient = |norm: f64| {
            if of_rounding(norm) {
                Gradient::Rounding
            } else {
                Gradient::Real
            }
        };
        let gradients = norms.into_iter();
        gradients
            .map(|(name, norm)| (name, gradient(norm)))
            .collect()
    }
}

impl Curve {
    fn push(&mut self, lm: &Tensor<1>, objective: &Tensor<1>) {
        self.lm.push(scalar(lm.clone()));
        self.objective.push(scalar(objective.clone()));
    }

    fn check(&self, checker: &mut Checker<'_>, balance: BalanceReport, tolerance: Tolerance) {
        let shape = [STEPS + 1];
        let mut compare = |name: &str, losses: &[f32]| {
            checker.floats(&format!("train.{name}"), &shape, losses, tolerance);
        };
        match balance {
            BalanceReport::Added => compare("adamw_losses", &self.objective),
            BalanceReport::Apart => {
                compare("adamw_ce_losses", &self.lm);
                compare("adamw_total_losses", &self.objective);
            }
        }
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
    ours: &BTreeMap<String, Norm>,
    theirs: &BTreeMap<String, f64>,
    tolerance: Tolerance,
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
            .map(|ours| ((ours.value - norm).abs() - ours.slack).max(0.0) / norm.abs().max(1e-12));
        (name, error.unwrap_or(f64::NAN))
    });
    let worst = errors.max_by(|a, b| a.1.total_cmp(&b.1)); // NaN is the largest
    if let Some((name, error)) = worst {
        let label = format!("{what} ({} tensors, worst {name})", theirs.len());
        let error = if error.is_nan() {
            Err(format!("{name} does not train, or its norm is no number"))
        } else {
            Ok(error)
        };
        let quantity = Quantity::of_error(&label, error, tolerance);
        checker.quantities.push(quantity);
    }
}
