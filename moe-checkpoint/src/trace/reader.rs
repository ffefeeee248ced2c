//! Reading a trace in chunks of tokens.

use super::decode::{real, whole};
use super::shapes::Shapes;
use super::{LayerChunk, TraceChunk, TraceError, TraceMeta};
use crate::files::TensorFile;
use safetensors::Dtype;
use std::path::{Path, PathBuf};

/// A chunk takes at most about so many bytes of memory, or is a single token.
const CHUNK_BYTES: usize = 16 << 20;

/// At most so many tokens are read at once.
const MOST_TOKENS: usize = 1 << 16;

/// An open trace.
#[derive(Debug)]
pub struct TraceReader {
    file: TensorFile,
    meta: TraceMeta,
    n_tokens: u64,
    layers: Vec<TraceLayer>,
}

/// Properties of a layer of a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceLayer {
    /// The places of a token's row, `K`.
    pub width: usize,
    /// True if the weights are there.
    pub has_weights: bool,
    /// True if the logits are there.
    pub has_logits: bool,
    /// The step of the stored weights near 1: `2^-23` of f32, more of shorter types.
    pub weight_step: f64,
    /// The bias of the choice, `[E]`, if there is one.
    pub bias: Option<Vec<f32>>,
}

impl TraceReader {
    /// Opens a trace and checks its words, the names, types and shapes of its tensors, and that they fill the file.
    ///
    /// # Errors
    ///
    /// Returns what is not as it should be.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let file = TensorFile::open(path)?;
        let wrong = |what: String| TraceError::Format {
            path: path.to_owned(),
            what,
        };
        let mut meta = TraceMeta::of(file.words()).map_err(wrong)?;
        let first = file.get("topk_idx.0");
        let first = first.ok_or_else(|| wrong("it has no tensor `topk_idx.0`".to_owned()))?;
        let n_tokens = first.info.shape.first().copied().unwrap_or(0);
        if meta.n_experts == 0
            && let Some(logits) = file.get("router_logits.0")
        {
            meta.n_experts = logits.info.shape.last().copied().unwrap_or(0);
        }
        let shapes = Shapes {
            file: &file,
            n_tokens,
            n_experts: meta.n_experts,
        };
        shapes.check_experts().map_err(wrong)?;
        meta.check().map_err(wrong)?;
        let n_layers = shapes.n_layers().map_err(wrong)?;
        let layers = (0..n_layers).map(|layer| shapes.layer(layer));
        let layers = layers.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        shapes.check_columns().map_err(wrong)?;
        let mut reader = Self {
            n_tokens: n_tokens as u64,
            file,
            meta,
            layers,
        };
        reader.read_biases()?;
        Ok(reader)
    }

    fn read_biases(&mut self) -> Result<(), TraceError> {
        for (i, layer) in self.layers.iter_mut().enumerate() {
            if let Some(tensor) = self.file.get(&format!("selection_bias.{i}")) {
                layer.bias = Some(real(&tensor.read()?, tensor.info.dtype));
            }
        }
        Ok(())
    }

    /// Where the file is.
    pub fn path(&self) -> &PathBuf {
        &self.file.path
    }

    /// The metadata of the trace.
    pub fn meta(&self) -> &TraceMeta {
        &self.meta
    }

    /// The number of tokens, padding included.
    pub fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// The layers with a router.
    pub fn layers(&self) -> &[TraceLayer] {
        &self.layers
    }

    /// Tells whether the trace has a tensor, such as `tokens`.
    pub fn has(&self, name: &str) -> bool {
        self.file.get(name).is_some()
    }

    /// The tokens of a chunk of so many columns that takes a bounded amount of memory.
    fn chunk_tokens(&self, columns: Columns) -> usize {
        let of_layer = |layer: &TraceLayer| {
            let is_whole = columns == Columns::All;
            let of_place = 4 + 4 * usize::from(layer.has_weights && is_whole) + 1;
            let of_expert = 4 * usize::from(layer.has_logits && is_whole);
            match columns {
                Columns::Tokens => 0,
                _ => layer.width * of_place + self.meta.n_experts * of_expert,
            }
        };
        let of_token: usize = self.layers.iter().map(of_layer).sum();
        (CHUNK_BYTES / (of_token + 16)).clamp(1, MOST_TOKENS)
    }

    /// Reads the whole trace, a chunk at a time.
    pub fn chunks(&self) -> impl Iterator<Item = Result<TraceChunk, TraceError>> + '_ {
        self.each(Columns::All)
    }

    /// Reads the whole trace without weights and logits.
    pub fn choices(&self) -> impl Iterator<Item = Result<TraceChunk, TraceError>> + '_ {
        self.each(Columns::Choices)
    }

    /// Reads the columns that are not of a layer: tokens, labels, mask and groups.
    pub fn columns(&self) -> impl Iterator<Item = Result<TraceChunk, TraceError>> + '_ {
        self.each(Columns::Tokens)
    }

    fn each(&self, columns: Columns) -> impl Iterator<Item = Result<TraceChunk, TraceError>> + '_ {
        let step = self.chunk_tokens(columns);
        let starts = (0..self.n_tokens).step_by(step);
        starts.map(move |start| self.read(start, step, columns))
    }

    fn read(&self, start: u64, most: usize, columns: Columns) -> Result<TraceChunk, TraceError> {
        let left = usize::try_from(self.n_tokens - start).unwrap_or(usize::MAX);
        let rows = Rows {
            file: &self.file,
            start: start as usize,
            n_tokens: left.min(most),
        };
        let n_layers = if columns == Columns::Tokens {
            0
        } else {
            self.layers.len()
        };
        let layers = (0..n_layers).map(|i| self.read_layer(i, &rows, columns));
        let unsigned = |values: Vec<i32>| values.into_iter().map(|x| x as u32).collect();
        Ok(TraceChunk {
            start,
            n_tokens: rows.n_tokens,
            tokens: rows.whole("tokens")?.map(unsigned),
            labels: rows.whole("labels")?,
            mask: rows.flags("mask")?,
            group: rows.whole("group")?.map(unsigned),
            layers: layers.collect::<Result<_, _>>()?,
        })
    }

    fn read_layer(
        &self,
        i: usize,
        rows: &Rows<'_>,
        columns: Columns,
    ) -> Result<LayerChunk, TraceError> {
        let of = |name: &str| format!("{name}.{i}");
        let experts = rows.whole(&of("topk_idx"))?;
        let mut layer = LayerChunk {
            width: self.layers[i].width,
            n_experts: 0,
            experts: experts.unwrap_or_default(),
            weights: None,
            kept: rows.flags(&of("topk_kept"))?,
            logits: None,
        };
        if columns == Columns::All {
            layer.weights = rows.real(&of("topk_weight"))?;
            layer.logits = rows.real(&of("router_logits"))?;
            layer.n_experts = layer.logits.as_ref().map_or(0, |_| self.meta.n_experts);
        }
        Ok(layer)
    }
}

/// Tensors that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    All,
    Choices,
    Tokens,
}

/// Rows of all tensors.
struct Rows<'a> {
    file: &'a TensorFile,
    start: usize,
    n_tokens: usize,
}

impl Rows<'_> {
    fn bytes(&self, name: &str) -> Result<Option<(Vec<u8>, Dtype)>, TraceError> {
        let Some(tensor) = self.file.get(name) else {
            return Ok(None);
        };
        let n_rows = tensor.info.shape.first().copied().unwrap_or(0).max(1);
        let of_row = tensor.n_bytes() / n_rows;
        let range = self.start * of_row..(self.start + self.n_tokens) * of_row;
        Ok(Some((tensor.read_range(range)?, tensor.info.dtype)))
    }

    fn whole(&self, name: &str) -> Result<Option<Vec<i32>>, TraceError> {
        let bytes = self.bytes(name)?;
        Ok(bytes.map(|(bytes, dtype)| whole(&bytes, dtype)))
    }

    fn real(&self, name: &str) -> Result<Option<Vec<f32>>, TraceError> {
        let bytes = self.bytes(name)?;
        Ok(bytes.map(|(bytes, dtype)| real(&bytes, dtype)))
    }

    fn flags(&self, name: &str) -> Result<Option<Vec<bool>>, TraceError> {
        let bytes = self.bytes(name)?;
        Ok(bytes.map(|(bytes, _)| bytes.into_iter().map(|byte| byte != 0).collect()))
    }
}
