//! Writing a trace in chunks of tokens.

use super::spool::Spool;
use super::{LayerChunk, NO_EXPERT, TraceChunk, TraceError, TraceMeta};
use crate::disk::write_whole_with;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A trace that is being written. The file appears when it is finished, whole or not at all; until then its tensors wait
/// in files without a name beside it.
#[derive(Debug)]
pub struct TraceWriter {
    path: PathBuf,
    meta: TraceMeta,
    biases: Vec<Option<Vec<f32>>>,
    n_tokens: usize,
    tensors: BTreeMap<String, Spool>,
    /// The tensors of the chunk before.
    names: Option<Vec<String>>,
}

impl TraceWriter {
    /// An empty trace.
    pub fn new(path: &Path, meta: TraceMeta) -> Self {
        Self {
            path: path.to_owned(),
            meta,
            biases: Vec::new(),
            n_tokens: 0,
            tensors: BTreeMap::new(),
            names: None,
        }
    }

    /// Sets what the trace says about itself.
    pub fn set_meta(&mut self, meta: TraceMeta) {
        self.meta = meta;
    }

    /// Sets the bias of the choice of each layer, `[E]`, where there is one.
    pub fn set_biases(&mut self, biases: Vec<Option<Vec<f32>>>) {
        self.biases = biases;
    }

    /// The tokens that were added.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Adds tokens behind those before. A row may be wider or narrower than those before it.
    ///
    /// # Errors
    ///
    /// Returns an error if the chunk has not the tensors of the first, if a length is wrong, or the system's.
    pub fn add(&mut self, chunk: &TraceChunk) -> Result<(), TraceError> {
        let mut names = Vec::new();
        let n_tokens = chunk.n_tokens;
        let mut push = |name: &str, column: Column| -> Result<(), TraceError> {
            let Column {
                dtype,
                bytes,
                width,
                filler,
                is_column,
            } = column;
            if bytes.len() != n_tokens * width * filler.len() {
                return Err(TraceError::Chunk(format!(
                    "`{name}` has not {width} values for each of {n_tokens} tokens"
                )));
            }
            names.push(name.to_owned());
            if !self.tensors.contains_key(name) {
                let spool = Spool::new(folder(&self.path), dtype, filler, is_column)?;
                self.tensors.insert(name.to_owned(), spool);
            }
            match self.tensors.get_mut(name) {
                Some(spool) => Ok(spool.push(&bytes, width)?),
                None => Ok(()),
            }
        };
        columns(chunk, &mut push)?;
        for (i, layer) in chunk.layers.iter().enumerate() {
            layer_columns(i, layer, &mut push)?;
        }
        if *self.names.get_or_insert_with(|| names.clone()) != names {
            return Err(TraceError::Chunk(
                "tokens that come later have other tensors than the first".to_owned(),
            ));
        }
        self.n_tokens += n_tokens;
        Ok(())
    }

    /// Writes the file.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no token, or the system's; a file of the name is then as it was.
    pub fn finish(mut self) -> Result<(), TraceError> {
        if self.n_tokens == 0 {
            return Err(TraceError::Chunk("it would have no token".to_owned()));
        }
        for (i, bias) in std::mem::take(&mut self.biases).into_iter().enumerate() {
            if let Some(bias_e) = bias {
                let mut spool = Spool::new(folder(&self.path), "F32", &[0; 4], true)?;
                spool.push(&floats(&bias_e), 1)?;
                self.tensors.insert(format!("selection_bias.{i}"), spool);
            }
        }
        let header = self.header();
        write_whole_with(&self.path, |out| {
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(header.as_bytes())?;
            let mut spools = self.tensors.into_values();
            spools.try_for_each(|spool| spool.copy_to(out))
        })
        .map_err(|error: io::Error| error.into())
    }

    /// The header, padded with spaces so that the data begins at a multiple of 8 bytes.
    fn header(&self) -> String {
        let mut header = Map::new();
        header.insert("__metadata__".to_owned(), self.meta.to_json().into());
        let mut start = 0;
        for (name, spool) in &self.tensors {
            let end = start + spool.n_bytes();
            let info: Value =
                json!({"dtype": spool.dtype, "shape": spool.shape(), "data_offsets": [start, end]});
            header.insert(name.clone(), info);
            start = end;
        }
        let mut text = Value::Object(header).to_string();
        while !text.len().is_multiple_of(8) {
            text.push(' ');
        }
        text
    }
}

/// Bytes of a tensor's rows.
struct Column<'a> {
    dtype: &'static str,
    bytes: Vec<u8>,
    width: usize,
    filler: &'a [u8],
    is_column: bool,
}

fn columns(
    chunk: &TraceChunk,
    push: &mut impl FnMut(&str, Column) -> Result<(), TraceError>,
) -> Result<(), TraceError> {
    let column = |dtype, bytes, filler| Column {
        dtype,
        bytes,
        width: 1,
        filler,
        is_column: true,
    };
    if let Some(tokens) = &chunk.tokens {
        push("tokens", column("U32", u32s(tokens), &[0; 4]))?;
    }
    if let Some(labels) = &chunk.labels {
        let bytes = labels.iter().flat_map(|x| x.to_le_bytes()).collect();
        push("labels", column("I32", bytes, &[0; 4]))?;
    }
    if let Some(mask) = &chunk.mask {
        push("mask", column("U8", flags(mask), &[0]))?;
    }
    if let Some(group) = &chunk.group {
        push("group", column("U32", u32s(group), &[0; 4]))?;
    }
    Ok(())
}

fn layer_columns(
    i: usize,
    layer: &LayerChunk,
    push: &mut impl FnMut(&str, Column) -> Result<(), TraceError>,
) -> Result<(), TraceError> {
    let rows = |dtype, bytes, width, filler| Column {
        dtype,
        bytes,
        width,
        filler,
        is_column: false,
    };
    let width = layer.width;
    let (bytes, none) = (experts(&layer.experts), (NO_EXPERT as i16).to_le_bytes());
    push(&format!("topk_idx.{i}"), rows("I16", bytes?, width, &none))?;
    if let Some(weights) = &layer.weights {
        let name = format!("topk_weight.{i}");
        push(&name, rows("F32", floats(weights), width, &[0; 4]))?;
    }
    if let Some(kept) = &layer.kept {
        push(
            &format!("topk_kept.{i}"),
            rows("U8", flags(kept), width, &[0]),
        )?;
    }
    if let Some(logits) = &layer.logits {
        let name = format!("router_logits.{i}");
        push(&name, rows("F32", floats(logits), layer.n_experts, &[0; 4]))?;
    }
    Ok(())
}

/// Experts in 16 bits.
fn experts(experts: &[i32]) -> Result<Vec<u8>, TraceError> {
    let mut bytes = Vec::with_capacity(2 * experts.len());
    for &expert in experts {
        let Ok(expert) = i16::try_from(expert) else {
            return Err(TraceError::Chunk(format!(
                "expert {expert} has no number in 16 bits"
            )));
        };
        bytes.extend(expert.to_le_bytes());
    }
    Ok(bytes)
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn u32s(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn flags(values: &[bool]) -> Vec<u8> {
    values.iter().map(|&flag| u8::from(flag)).collect()
}

/// The folder of a file.
fn folder(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    parent.unwrap_or(Path::new("."))
}
