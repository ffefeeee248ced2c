//! The Switch Transformer: both stacks, the losses of their routers, and writing from a cache.

use super::checker::Checker;
use super::forward::{HIDDEN, LOGITS, LOSS, tokens};
use super::goldens::{Goldens, Ids, is_training};
use super::objective::Losses;
use super::switch_writing::Writer;
use super::training::{self, BalanceReport, Trained};
use super::{Scope, Verification, VerifyError};
use crate::published::PublishedSwitch;
use crate::{Precision, PublishedFamily, SwitchCheckpoint};
use burn::tensor::{Device, Int, Tensor};
use moe_models::DecoderTrace;
use moe_models::switch::{
    StackLosses, Switch, SwitchInput, SwitchOutput, SwitchStackConfig, stack_losses, target_losses,
};
use moe_router::{Plan, Routing};
use std::sync::Arc;

/// A label that counts in no loss.
const IGNORED: i64 = -100;

/// Holds a Switch model to its goldens, in f32.
///
/// # Errors
///
/// Returns an error if the checkpoint cannot be read or the goldens cannot be used. A difference is no
/// error.
pub fn verify_switch(
    checkpoint: &SwitchCheckpoint,
    goldens: &Goldens,
    scope: Scope,
    device: &Device,
) -> Result<Verification, VerifyError> {
    let config = checkpoint.config();
    let batch = Batch::read(goldens, config)?;
    let trains = scope == Scope::Everything && goldens.trains();
    if trains {
        goldens.check_noise(config.router_jitter_noise)?;
    }
    let plain = device.clone().without_autodiff();
    let model = checkpoint.load(Precision::F32, &plain)?;

    let mut checker = Checker::new(goldens);
    for name in ["input_ids", "attention_mask", "labels"] {
        checker.input(name);
    }
    let decoder_ids = &batch.decoder_ids;
    let shape = [decoder_ids.batch, decoder_ids.length];
    checker.ids("decoder_input_ids", &shape, &decoder_ids.ids);
    let output = model.forward(batch.input(&plain).traced());
    check_forward(&mut checker, config, &output, &plain);
    let writer = Writer {
        model: &model,
        start: config.decoder_start_token_id,
        ends: checkpoint.ends()?,
        vocab_size: config.vocab_size,
    };
    writer.check(&mut checker, &batch, &plain)?;
    drop(model);

    if trains {
        check_training(&mut checker, checkpoint, &batch, device)?;
    }
    Ok(Verification::of(checker, scope, is_training))
}

/// Compares gradients and training.
fn check_training(
    checker: &mut Checker<'_>,
    checkpoint: &SwitchCheckpoint,
    batch: &Batch,
    device: &Device,
) -> Result<(), VerifyError> {
    let config = checkpoint.config();
    let device = device.clone().autodiff();
    let entries = config.by_parameter();
    let losses = |model: &Switch| losses(config, model, batch, &device);
    let trained = Trained {
        entries: &entries,
        model: checkpoint.load(Precision::F32, &device)?,
        losses: &losses,
        balance: BalanceReport::Added,
        looser: 1.0,
    };
    training::check(checker, trained);
    Ok(())
}

/// Texts, which of their tokens are padding, and what is to be said of them.
pub(super) struct Batch {
    pub(super) texts: Ids,
    pub(super) padding: Option<Arc<[bool]>>,
    /// The targets, those that are ignored as padding, and which they are.
    labels: Ids,
    ignored: Vec<bool>,
    /// The labels shifted right behind the start token.
    decoder_ids: Ids,
}

impl Batch {
    fn read(goldens: &Goldens, config: &PublishedSwitch) -> Result<Self, VerifyError> {
        let needed = |name: &str| goldens.problem(format!("there is no tensor {name}"));
        let texts = goldens.tokens("input_ids", config.vocab_size)?;
        let texts = texts.ok_or_else(|| needed("input_ids"))?;
        let padding = goldens.padding("attention_mask", &texts)?;
        let mut labels = goldens.ids("labels")?.ok_or_else(|| needed("labels"))?;
        if labels.batch != texts.batch {
            return Err(goldens.problem(format!(
                "labels has {} rows, and input_ids {}",
                labels.batch, texts.batch
            )));
        }
        let ignored: Vec<bool> = labels.ids.iter().map(|&id| id == IGNORED).collect();
        let known = 0..config.vocab_size as i64;
        if let Some(id) = labels
            .ids
            .iter()
            .find(|id| **id != IGNORED && !known.contains(*id))
        {
            return Err(goldens.problem(format!(
                "labels has the id {id}, and the vocabulary has 0 to {}, and {IGNORED} to ignore",
                config.vocab_size - 1
            )));
        }
        let pad = i64::from(config.pad_token_id);
        let of_ignored = labels.ids.iter_mut().zip(&ignored).filter(|(_, i)| **i);
        of_ignored.for_each(|(id, _)| *id = pad);
        Ok(Self {
            padding: padding.map(Arc::from),
            decoder_ids: shifted(&labels, config.decoder_start_token_id),
            texts,
            labels,
            ignored,
        })
    }

    fn input(&self, device: &Device) -> SwitchInput {
        let decoder_tokens = tokens(&self.decoder_ids, device);
        let input = SwitchInput::new(tokens(&self.texts, device), decoder_tokens);
        match &self.padding {
            Some(padding) => input.padding(padding.clone()),
            None => input,
        }
    }
}

/// Each row behind the start token, without its last.
fn shifted(labels: &Ids, start: u32) -> Ids {
    let row = |row: &[i64]| [&[i64::from(start)], &row[..row.len() - 1]].concat();
    Ids {
        ids: labels.rows().flat_map(row).collect(),
        ..labels.clone()
    }
}

fn check_forward(
    checker: &mut Checker<'_>,
    config: &PublishedSwitch,
    output: &SwitchOutput,
    device: &Device,
) {
    checker.tensor("logits", output.logits.clone(), LOGITS);
    let model = config.model();
    let trace = output.trace.as_ref();
    let encoder = Stack {
        side: "encoder",
        config: model.encoder,
        trace: trace.map(|trace| &trace.encoder),
        routings: &output.encoder_routings,
    };
    encoder.check(checker, device);
    let decoder = Stack {
        side: "decoder",
        config: model.decoder,
        trace: trace.map(|trace| &trace.decoder),
        routings: &output.decoder_routings,
    };
    decoder.check(checker, device);
}

/// Results of one stack.
struct Stack<'a> {
    side: &'static str,
    config: SwitchStackConfig,
    trace: Option<&'a DecoderTrace>,
    routings: &'a [Routing],
}

impl Stack<'_> {
    fn check(&self, checker: &mut Checker<'_>, device: &Device) {
        let side = self.side;
        if let Some(trace) = self.trace {
            let layers = [("hidden", &trace.hidden), ("ffn_out", &trace.feed_forward)];
            for (name, tensors) in layers {
                for (i, tensor) in tensors.iter().enumerate() {
                    checker.tensor(&format!("{side}.{name}.{i}"), tensor.clone(), HIDDEN);
                }
            }
        }
        for (layer, routing) in self.config.sparse_layers().iter().zip(self.routings) {
            check_routing(checker, |what| format!("{side}.{what}.{layer}"), routing);
        }
        let StackLosses { z, load_balance } = stack_losses(&self.config, self.routings, device);
        checker.tensor(&format!("{side}_z_loss"), z, LOSS);
        checker.tensor(&format!("{side}_aux_loss"), load_balance, LOSS);
    }
}

/// Compares scores, the weight of each token's expert, and who went where.
fn check_routing(checker: &mut Checker<'_>, name: impl Fn(&str) -> String, routing: &Routing) {
    let (batch, n_experts) = (routing.n_groups, routing.n_experts());
    let length = routing.n_tokens() / batch;
    let shape = [batch, length, n_experts];
    let logits = routing.logits.clone().reshape(shape);
    checker.tensor(&name("router_logits"), logits, LOGITS);
    let best: Tensor<3> = routing.probs().max_dim(1).reshape([batch, length, 1]);
    checker.tensor(&name("router_prob"), best, HIDDEN);
    let Plan::Sparse(plan) = &routing.plan else {
        return;
    };
    let mut dispatch = vec![0; routing.n_tokens() * n_experts];
    let assignments = &plan.assignments;
    for n in (0..assignments.len()).filter(|&n| assignments.kept()[n]) {
        let (token, expert) = (assignments.tokens()[n], assignments.experts()[n]);
        dispatch[token as usize * n_experts + expert as usize] = 1;
    }
    checker.ids(&name("dispatch"), &shape, &dispatch);
}

/// The cross entropy of the labels, and the weighted losses of the routers of both stacks.
fn losses(config: &PublishedSwitch, model: &Switch, batch: &Batch, device: &Device) -> Losses {
    let output = model.forward(batch.input(device));
    let labels: Tensor<2, Int> = tokens(&batch.labels, device);
    let lm = target_losses(output.logits.clone(), labels, Some(&batch.ignored));
    let sizes = config.model();
    let encoder = stack_losses(&sizes.encoder, &output.encoder_routings, device);
    let decoder = stack_losses(&sizes.decoder, &output.decoder_routings, device);
    let balance = (encoder.z + decoder.z) * config.router_z_loss_coef
        + (encoder.load_balance + decoder.load_balance) * config.router_aux_loss_coef;
    Losses {
        objective: lm.clone() + balance.clone(),
        lm,
        balance,
    }
}
