//! Recording the routings of a model in a trace.

use moe_checkpoint::trace::{
    LayerChunk, NO_EXPERT, NO_LABEL, TraceChunk, TraceError, TraceMeta, TraceWriter,
};
use moe_router::{Plan, Routing, SparsePlan, to_vec};
use std::path::Path;

/// A trace that grows by batches.
#[derive(Debug)]
pub struct Recorder {
    writer: TraceWriter,
    n_groups: u32,
}

/// The tokens of a batch, `T` of them.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracedTokens<'a> {
    /// The vocabulary ids, `[T]`.
    pub ids: Option<&'a [u32]>,
    /// The label of each token, `[T]`, such as its domain.
    pub labels: Option<&'a [Option<usize>]>,
}

impl Recorder {
    /// An empty trace, which [`finish`](Self::finish) writes.
    pub fn new(path: &Path) -> Self {
        Self {
            writer: TraceWriter::new(path, TraceMeta::default()),
            n_groups: 0,
        }
    }

    /// Adds a batch with the routing of each layer.
    ///
    /// # Errors
    ///
    /// Returns an error if a layer routes other tokens than the first, if its plan is soft, or the system's.
    pub fn add(
        &mut self,
        routings: &[Routing],
        tokens: TracedTokens<'_>,
    ) -> Result<(), TraceError> {
        let (n_tokens, n_groups) = sizes(routings)?;
        let group_size = (n_tokens / n_groups).max(1);
        let group = |t: usize| self.n_groups + (t / group_size) as u32;
        let group = (0..n_tokens).map(group).collect();
        self.write(routings, tokens, group)?;
        self.n_groups += n_groups as u32;
        Ok(())
    }

    /// Adds the first tokens of a pass, those of `ids`, to the group that was added last.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`add`](Self::add).
    pub fn continue_group(&mut self, routings: &[Routing], ids: &[u32]) -> Result<(), TraceError> {
        sizes(routings)?;
        let tokens = TracedTokens {
            ids: Some(ids),
            labels: None,
        };
        let last = self.n_groups.saturating_sub(1);
        self.write(routings, tokens, vec![last; ids.len()])
    }

    /// Writes the first tokens of a batch, as many as have a group.
    fn write(
        &mut self,
        routings: &[Routing],
        tokens: TracedTokens<'_>,
        group: Vec<u32>,
    ) -> Result<(), TraceError> {
        if self.writer.n_tokens() == 0 {
            self.writer.set_biases(routings.iter().map(bias).collect());
        }
        let n_tokens = group.len();
        let label = |label: &Option<usize>| label.map_or(NO_LABEL, |label| label as i32);
        let layers = routings
            .iter()
            .map(|routing| layer_chunk(routing, n_tokens));
        let is_token = |padding: &[bool]| {
            padding[..n_tokens]
                .iter()
                .map(|is_padding| !is_padding)
                .collect()
        };
        self.writer.add(&TraceChunk {
            start: self.writer.n_tokens() as u64,
            n_tokens,
            tokens: tokens.ids.map(<[u32]>::to_vec),
            labels: tokens
                .labels
                .map(|labels| labels.iter().map(label).collect()),
            mask: routings[0].padding.as_deref().map(is_token),
            group: Some(group),
            layers: layers.collect::<Result<_, _>>()?,
        })
    }

    /// Writes the trace.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was added, or the system's.
    pub fn finish(mut self, meta: TraceMeta) -> Result<(), TraceError> {
        self.writer.set_meta(meta);
        self.writer.finish()
    }
}

/// The tokens and the groups of a batch.
fn sizes(routings: &[Routing]) -> Result<(usize, usize), TraceError> {
    let Some(first) = routings.first() else {
        return Err(TraceError::Chunk(
            "there is no layer with experts".to_owned(),
        ));
    };
    let n_tokens = first.n_tokens();
    if routings
        .iter()
        .any(|routing| routing.n_tokens() != n_tokens)
    {
        let what = "its layers route different tokens, as those of an encoder and a decoder do";
        return Err(TraceError::Chunk(what.to_owned()));
    }
    Ok((n_tokens, first.n_groups))
}

/// The bias of the choice of a layer, `[E]`.
fn bias(routing: &Routing) -> Option<Vec<f32>> {
    routing.selection_bias.clone().map(to_vec)
}

/// The choices of a layer for its first tokens.
fn layer_chunk(routing: &Routing, n_tokens: usize) -> Result<LayerChunk, TraceError> {
    let Plan::Sparse(plan) = &routing.plan else {
        let what = "its router mixes all tokens in every slot, so that no token goes anywhere";
        return Err(TraceError::Chunk(what.to_owned()));
    };
    let mut rows = Rows::new(plan, routing.n_tokens());
    rows.fill(plan);
    let (width, n_experts) = (rows.width, routing.n_experts());
    let mut logits = to_vec(routing.logits.clone().detach());
    logits.truncate(n_tokens * n_experts);
    rows.experts.truncate(n_tokens * width);
    rows.weights.truncate(n_tokens * width);
    rows.kept.truncate(n_tokens * width);
    Ok(LayerChunk {
        width,
        n_experts,
        experts: rows.experts,
        weights: Some(rows.weights),
        kept: Some(rows.kept),
        logits: Some(logits),
    })
}

/// Assignments as a row for each token.
struct Rows {
    width: usize,
    experts: Vec<i32>,
    weights: Vec<f32>,
    kept: Vec<bool>,
}

impl Rows {
    /// Empty rows, as wide as the longest must be.
    fn new(plan: &SparsePlan, n_tokens: usize) -> Self {
        let mut n_taken = vec![0; n_tokens];
        for &token in plan.assignments.tokens() {
            n_taken[token as usize] += 1;
        }
        let width = n_taken.iter().copied().max().unwrap_or(0).max(1);
        Self {
            width,
            experts: vec![NO_EXPERT; n_tokens * width],
            weights: vec![0.0; n_tokens * width],
            kept: vec![false; n_tokens * width],
        }
    }

    fn fill(&mut self, plan: &SparsePlan) {
        let list = &plan.assignments;
        let weights = to_vec(plan.weights.clone().detach());
        let mut n_taken = vec![0; self.experts.len() / self.width];
        for (a, &token) in list.tokens().iter().enumerate() {
            let token = token as usize;
            let at = token * self.width + n_taken[token];
            n_taken[token] += 1;
            self.experts[at] = list.experts()[a] as i32;
            self.weights[at] = weights[a];
            self.kept[at] = list.kept()[a];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Tensor};
    use moe_checkpoint::trace::TraceReader;
    use moe_router::Assignments;

    #[test]
    fn assignments_become_rows() {
        // token 0 -> experts 2 (dropped) and 0, token 1 -> nobody, token 2 -> expert 1, in two groups of two
        let mut assignments = Assignments::default();
        assignments.push(0, 2);
        assignments.push(2, 1);
        assignments.push(0, 0);
        assignments.drop_assignment(0);
        let device = Device::flex();
        let weights = Tensor::from_floats([0.5, 1.0, 0.25], &device);
        let logits = Tensor::<2>::ones([4, 3], &device);
        let routing = Routing::sparse(assignments, weights, logits, None).groups(2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut recorder = Recorder::new(&path);
        let tokens = TracedTokens {
            ids: Some(&[7, 8, 9, 7]),
            labels: Some(&[Some(1), None, Some(0), Some(1)]),
        };
        recorder
            .add(std::slice::from_ref(&routing), tokens)
            .unwrap();
        recorder.add(&[routing], tokens).unwrap();
        let meta = TraceMeta {
            n_experts: 3,
            ..TraceMeta::default()
        };
        recorder.finish(meta).unwrap();

        let reader = TraceReader::open(&path).unwrap();
        let chunk = reader.chunks().next().unwrap().unwrap();
        assert_eq!(chunk.n_tokens, 8);
        assert_eq!(chunk.group, Some(vec![0, 0, 1, 1, 2, 2, 3, 3]));
        assert_eq!(chunk.labels.as_ref().unwrap()[..4], [1, NO_LABEL, 0, 1]);
        let layer = &chunk.layers[0];
        assert_eq!((layer.row(0), layer.row(1)), (&[2, 0][..], &[-1, -1][..]));
        assert_eq!(layer.weights_of(4), Some(&[0.5, 0.25][..]));
        assert!(!layer.is_kept(0, 0) && layer.is_kept(0, 1));
        assert_eq!(layer.logits_of(3), Some(&[1.0; 3][..]));
    }

    #[test]
    fn a_pass_continues_a_group_with_its_first_tokens() {
        // a token -> expert 0; then two tokens -> 1 and 2, the second of which is left out
        let device = Device::flex();
        let pass = |experts: &[u32]| {
            let mut assignments = Assignments::default();
            (0..)
                .zip(experts)
                .for_each(|(t, &expert)| assignments.push(t, expert));
            let n = experts.len();
            let weights = Tensor::ones([n], &device);
            [Routing::sparse(
                assignments,
                weights,
                Tensor::<2>::ones([n, 3], &device),
                None,
            )]
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let mut recorder = Recorder::new(&path);
        let tokens = TracedTokens {
            ids: Some(&[7]),
            labels: None,
        };
        recorder.add(&pass(&[0]), tokens).unwrap();
        recorder.continue_group(&pass(&[1, 2]), &[8]).unwrap();
        recorder.add(&pass(&[2]), tokens).unwrap();
        recorder
            .finish(TraceMeta {
                n_experts: 3,
                ..TraceMeta::default()
            })
            .unwrap();

        let chunk = TraceReader::open(&path)
            .unwrap()
            .chunks()
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(chunk.group, Some(vec![0, 0, 1]));
        assert_eq!(chunk.tokens, Some(vec![7, 8, 7]));
        assert_eq!(chunk.layers[0].experts, [0, 1, 2]);
        assert_eq!(chunk.layers[0].logits.as_ref().unwrap().len(), 9);
    }
}
