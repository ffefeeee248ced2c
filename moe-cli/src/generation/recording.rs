//! The trace of a text: the routing of its tokens as they were read and written.

use super::{Continued, TextModel, Writer};
use burn::tensor::{Device, Int, Tensor, TensorData};
use moe_checkpoint::trace::{TraceError, TraceMeta};
use moe_lab::trace::{Recorder, TracedTokens};
use moe_models::Decoder;
use moe_router::TokenChoice;
use std::path::Path;

impl TextModel {
    /// Writes the routing of a text, whose passes were kept.
    ///
    /// The text is one group. Where tokens compete for places each pass is a group, since it has a capacity of its own;
    /// the capacity is then in no rule, which has one for all groups.
    pub fn record(&self, text: &Continued, path: &Path, engine: String) -> Result<(), TraceError> {
        let competes = self.decoder.tokens_compete();
        let mut recorder = Recorder::new(path);
        let mut ids: Vec<u32> = text.trace.pieces.iter().map(|piece| piece.id).collect();
        for (i, pass) in text.passes.iter().enumerate() {
            // the text may end before a pass does
            let rest = ids.split_off(pass.n_kept.min(ids.len()));
            if i == 0 || competes {
                let tokens = TracedTokens {
                    ids: Some(&ids),
                    labels: None,
                };
                recorder.add(&pass.routings, tokens)?;
            } else {
                recorder.continue_group(&pass.routings, &ids)?;
            }
            ids = rest;
        }
        // of the routing, since a router may add experts that compute nothing
        let first = &text.passes[0].routings[0];
        let n_experts = first.n_experts();
        let rule = self.router.token_choice(n_experts, text.trace.n_prompt);
        recorder.finish(TraceMeta {
            n_experts,
            d_model: first.gate.as_ref().map(|gate| gate.dims()[0]),
            model: Some(self.title.clone()),
            engine: Some(engine),
            labels: Vec::new(),
            rule: rule.map(|rule| TokenChoice {
                capacity: rule.capacity.filter(|_| !competes),
                ..rule
            }),
        })
    }
}

impl Writer {
    /// Writes how the encoder routes the tokens of a text.
    pub fn record(
        &self,
        ids: &[u32],
        device: &Device,
        path: &Path,
        engine: String,
    ) -> Result<(), TraceError> {
        let device = device.clone().without_autodiff();
        let wide: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(wide, [1, ids.len()]), &device);
        let routings = self.model.encode(tokens, None).routings;
        let mut recorder = Recorder::new(path);
        let tokens = TracedTokens {
            ids: Some(ids),
            labels: None,
        };
        recorder.add(&routings, tokens)?;
        let n_experts = routings[0].n_experts();
        recorder.finish(TraceMeta {
            n_experts,
            d_model: routings[0].gate.as_ref().map(|gate| gate.dims()[0]),
            model: Some(self.title.clone()),
            engine: Some(engine),
            labels: Vec::new(),
            rule: self.router.token_choice(n_experts, ids.len()),
        })
    }
}
