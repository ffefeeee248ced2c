//! The trace of a text: the routing of its tokens as they were read and written.

use super::{Continued, TextModel};
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
