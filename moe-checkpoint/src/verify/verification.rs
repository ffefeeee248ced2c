//! Holding a decoder to its goldens.

use super::checker::Checker;
use super::goldens::{Goldens, Ids, is_training};
use super::objective::{balance_report, losses};
use super::quantity::Quantity;
use super::training::Trained;
use super::{VerifyError, forward, further, generate, tables, training};
use crate::published::PublishedConfig;
use crate::{Precision, PublishedCheckpoint};
use burn::tensor::Device;
use moe_models::{AnyDecoder, Decoder, DecoderInput};
use serde::Serialize;

/// Part of the goldens that is checked.
#[derive(Serialize, Debug, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything.
    #[default]
    Everything,
    /// Everything but gradients and training.
    ForwardOnly,
}

/// Comparison of a checkpoint with its goldens.
#[derive(Serialize, Debug, Clone, PartialEq)]
pub struct Verification {
    /// Quantities that were compared.
    pub quantities: Vec<Quantity>,
    /// The tensors of the goldens that nothing was compared with, and what the goldens should have had.
    pub unchecked: Vec<String>,
}

impl Verification {
    /// The comparison that a checker made; tensors that are left out in a scope, as `is_training` names
    /// them, are known.
    pub(super) fn of(
        checker: Checker<'_>,
        scope: Scope,
        is_training: impl Fn(&str) -> bool,
    ) -> Self {
        let is_left_out = |name: &String| scope == Scope::ForwardOnly && is_training(name);
        let unchecked = checker.unchecked().into_iter();
        Self {
            unchecked: unchecked.filter(|name| !is_left_out(name)).collect(),
            quantities: checker.quantities,
        }
    }

    /// Tells whether all that was compared is within its tolerance, and something was.
    pub fn passed(&self) -> bool {
        !self.quantities.is_empty() && self.quantities.iter().all(|quantity| quantity.passed)
    }
}

/// Holds a checkpoint to its goldens, in f32.
///
/// # Errors
///
/// Returns an error if the checkpoint cannot be read or the goldens cannot be used. A difference is no
/// error.
pub fn verify(
    checkpoint: &PublishedCheckpoint,
    goldens: &Goldens,
    scope: Scope,
    device: &Device,
) -> Result<Verification, VerifyError> {
    let config = checkpoint.config();
    let ids = input_ids(checkpoint, goldens)?;
    let trains = scope == Scope::Everything && goldens.trains();
    if trains && ids.length < 2 {
        let what = "input_ids has one token a sequence, and training predicts the next";
        return Err(goldens.problem(what.to_owned()));
    }
    if let (true, PublishedConfig::Mixtral(published)) = (trains, config) {
        goldens.check_noise(published.router_jitter_noise)?;
    }
    let plain = device.clone().without_autodiff();
    let model = checkpoint.load(Precision::F32, &plain)?;
    let tokens = forward::tokens(&ids, &plain);

    let mut checker = Checker::new(goldens);
    checker.input("input_ids");
    tables::check(&mut checker, checkpoint, &model, &plain)?;
    let output = model.forward(DecoderInput::new(tokens.clone()).further().traced());
    forward::check(&mut checker, config, &output);
    further::check(&mut checker, &model, &output, tokens.clone())?;
    forward::check_masked(&mut checker, config, &model, &ids, tokens)?;
    generate::check(&mut checker, &model, checkpoint, &plain)?;
    drop(model);

    if trains {
        check_training(&mut checker, checkpoint, &ids, device)?;
    }
    Ok(Verification::of(checker, scope, is_training))
}

/// Compares gradients and training.
fn check_training(
    checker: &mut Checker<'_>,
    checkpoint: &PublishedCheckpoint,
    ids: &Ids,
    device: &Device,
) -> Result<(), VerifyError> {
    let config = checkpoint.config();
    let device = device.clone().autodiff();
    let entries = checkpoint.layout().by_parameter();
    let model = checkpoint.load(Precision::F32, &device)?;
    let tokens = forward::tokens(ids, &device);
    let losses = |model: &AnyDecoder| {
        let output = model.forward(DecoderInput::new(tokens.clone()));
        losses(config, &output, tokens.clone())
    };
    let trained = Trained {
        entries: &entries,
        model,
        losses: &losses,
        balance: balance_report(config),
        looser: 1.0,
    };
    training::check(checker, trained);
    Ok(())
}

fn input_ids(checkpoint: &PublishedCheckpoint, goldens: &Goldens) -> Result<Ids, VerifyError> {
    let vocab_size = checkpoint.config().common().vocab_size;
    let ids = goldens.tokens("input_ids", vocab_size)?;
    ids.ok_or_else(|| goldens.problem("there is no tensor input_ids".to_owned()))
}
