//! The trace of what an analysis reads.

use super::whole::TraceOptions;
use crate::trace::{Recorder, TracedTokens};
use moe_checkpoint::trace::{TraceError, TraceMeta};
use moe_router::{Routing, TokenChoice};
use moe_train::run::LoadedRun;

/// A trace that is written, or none.
pub(super) struct Traced(Option<Recording>);

struct Recording {
    recorder: Recorder,
    engine: String,
    /// The experts of a layer and the tokens of a group, once there is a batch.
    sizes: Option<(usize, usize)>,
    /// `true` if groups have the same number of tokens, padding left out: then they have the same capacity.
    is_even: bool,
}

impl Traced {
    /// Records nothing yet; nothing at all without options.
    pub(super) fn new(options: Option<&TraceOptions>) -> Self {
        Self(options.map(|options| Recording {
            recorder: Recorder::new(&options.path),
            engine: options.engine.clone(),
            sizes: None,
            is_even: true,
        }))
    }

    /// Adds a batch with the routing of each layer.
    pub(super) fn add(
        &mut self,
        routings: &[Routing],
        ids: Option<&[u32]>,
        labels: &[Option<usize>],
    ) -> Result<(), TraceError> {
        let Some(recording) = &mut self.0 else {
            return Ok(());
        };
        if let Some(first) = routings.first() {
            let sizes = (first.n_experts(), first.n_tokens() / first.n_groups);
            let same = *recording.sizes.get_or_insert(sizes) == sizes;
            recording.is_even &= same && first.padding.is_none();
        }
        let labels = Some(labels);
        recording
            .recorder
            .add(routings, TracedTokens { ids, labels })
    }

    /// Writes the trace, with the names of the labels.
    pub(super) fn finish(self, run: &LoadedRun, labels: &[String]) -> Result<(), TraceError> {
        let Some(recording) = self.0 else {
            return Ok(());
        };
        let (n_experts, group_size) = recording.sizes.unwrap_or_default();
        let folder = run.folder.display();
        let rule = run.config.router.token_choice(n_experts, group_size);
        recording.recorder.finish(TraceMeta {
            n_experts,
            d_model: Some(run.config.model.d_model()),
            model: Some(format!("{folder}, step {}", run.step)),
            engine: Some(recording.engine),
            labels: labels.to_vec(),
            rule: rule.map(|rule| TokenChoice {
                capacity: rule.capacity.filter(|_| recording.is_even),
                ..rule
            }),
        })
    }
}
