//! The trace of a text: its routing in one pass over all of it.

use super::TextModel;
use crate::backends::OpenDevice;
use burn::tensor::{Int, Tensor, TensorData};
use moe_checkpoint::trace::{TraceError, TraceMeta};
use moe_lab::trace::{Recorder, TracedTokens};
use moe_models::{Decoder, DecoderInput};
use moe_view::generation::Trace;
use std::path::Path;

impl TextModel {
    /// Reads a text at once and writes the routing of its tokens.
    pub fn record(
        &self,
        text: &Trace,
        device: &OpenDevice,
        path: &Path,
        engine: String,
    ) -> Result<(), TraceError> {
        let ids: Vec<u32> = text.pieces.iter().map(|piece| piece.id).collect();
        let wide: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
        let device = device.device.clone().without_autodiff();
        let tokens = Tensor::<2, Int>::from_data(TensorData::new(wide, [1, ids.len()]), &device);
        let routings = self.decoder.forward(DecoderInput::new(tokens)).routings;
        let mut recorder = Recorder::new(path);
        let tokens = TracedTokens {
            ids: Some(&ids),
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
