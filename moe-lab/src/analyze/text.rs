//! The analysis of a model of text.

use super::communication::CommunicationCounts;
use super::stream::{Labelled, StreamCounts};
use super::token_class::TokenClasses;
use super::traced::Traced;
use super::whole::AnalyzeOptions;
use super::{AnalyzeError, Communication, LayerInformation, TextLayer};
use crate::stats::mean;
use burn::tensor::Device;
use moe_models::switch::Switch;
use moe_models::{AnyDecoder, Decoder, DecoderInput};
use moe_train::data::{
    BatchTensors, EvalBatch, PairBatch, PairData, Split, TextData, UnigramVocab, Vocab,
};
use moe_train::run::LoadedRun;
use serde::Serialize;
use std::path::PathBuf;

/// The doings of the experts of a trained model of text with held-out text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TextAnalysis {
    /// The run folder.
    pub folder: PathBuf,
    /// The step of the checkpoint.
    pub step: u64,
    /// The router's name.
    pub router: String,
    /// Values of the router that are not those of the training.
    pub evaluated_with: Vec<String>,
    /// The part of the text.
    pub split: Split,
    /// The unit that was read: `window`, or `pair` of texts.
    pub unit: &'static str,
    /// The number of them.
    pub n_units: usize,
    /// The tokens that were counted.
    pub n_tokens: u64,
    /// The names of the domains.
    pub domains: Vec<String>,
    /// The names of the classes of tokens.
    pub classes: Vec<String>,
    /// Each layer with experts; of an encoder with a decoder the encoder's first.
    pub layers: Vec<TextLayer>,
    /// The communication of expert parallelism, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub communication: Option<Communication>,
}

impl TextAnalysis {
    /// The analysis of a run before anything was read.
    fn empty(run: &LoadedRun, options: &AnalyzeOptions, domains: Vec<String>) -> Self {
        Self {
            folder: run.folder.clone(),
            step: run.step,
            router: run.config.router.name().to_owned(),
            evaluated_with: options.evaluated_with.clone(),
            split: options.split,
            unit: "window",
            n_units: 0,
            n_tokens: 0,
            domains,
            classes: Vec::new(),
            layers: Vec::new(),
            communication: None,
        }
    }

    /// The information of each layer's experts on the class and the domain of tokens.
    pub fn information(&self) -> Vec<LayerInformation> {
        let layers = self.layers.iter();
        layers.map(|found| found.information).collect()
    }

    /// The mean over layers of the correlation of frequency and experts a token; none if no layer has one.
    pub fn frequency(&self) -> Option<f64> {
        let layers = self.layers.iter();
        let found: Vec<f64> = layers.filter_map(|found| found.frequency).collect();
        (!found.is_empty()).then(|| mean(&found))
    }
}

/// Reads windows of text and counts every token once: in windows that overlap, where it has more text
/// before it.
pub(super) fn analyze_text(
    run: &LoadedRun,
    model: &AnyDecoder,
    data: &TextData,
    options: &AnalyzeOptions,
    device: &Device,
) -> Result<TextAnalysis, AnalyzeError> {
    let windows = data.eval_windows(options.split, data.seq_length() / 2, options.most);
    let classes = TokenClasses::of(data.vocab());
    let mut counts = StreamCounts::new(&classes, data.domain_names().len());
    let mut communication = CommunicationCounts::new(options.communication.as_ref());
    let mut traced = Traced::new(options.trace.as_ref());
    for batch in windows.batches(run.config.train.batch_size) {
        let inputs = BatchTensors::new(&batch.batch, device).inputs;
        let routings = model.forward(DecoderInput::new(inputs)).routings;
        let text = labelled(&batch);
        counts.add(&routings, &text);
        communication.add(&routings);
        traced.add(&routings, Some(&text.ids_t), &text.domains_t)?;
    }
    traced.finish(run, data.domain_names())?;
    Ok(TextAnalysis {
        n_units: windows.len(),
        n_tokens: counts.n_tokens() as u64,
        layers: counts.finish(|i| format!("MoE layer {i}"), names(data.vocab())),
        classes: classes.names.clone(),
        communication: communication.finish(&run.config),
        ..TextAnalysis::empty(run, options, data.domain_names().to_vec())
    })
}

/// Reads pairs of texts. The encoder's layers see the one text, the decoder's the other as they write it,
/// behind a padding token as its start.
pub(super) fn analyze_pairs(
    run: &LoadedRun,
    model: &Switch,
    data: &PairData,
    options: &AnalyzeOptions,
    device: &Device,
) -> TextAnalysis {
    let domains = data.domain_names();
    let classes = TokenClasses::of(data.vocab());
    let new_counts = || StreamCounts::new(&classes, domains.len());
    let [mut read, mut written] = [new_counts(), new_counts()];
    let new_counts = || CommunicationCounts::new(options.communication.as_ref());
    let [mut to_encoder, mut to_decoder] = [new_counts(), new_counts()];
    let batches = data.eval_batches(options.split, options.most, run.config.train.batch_size);
    for batch in &batches {
        let output = model.forward(batch.input(device));
        read.add(&output.encoder_routings, &labelled_inputs(batch));
        written.add(&output.decoder_routings, &labelled_targets(batch));
        to_encoder.add(&output.encoder_routings);
        to_decoder.add(&output.decoder_routings);
    }
    let n_tokens = read.n_tokens() + written.n_tokens();
    let mut layers = read.finish(|i| format!("Encoder MoE layer {i}"), names(data.vocab()));
    layers.extend(written.finish(|i| format!("Decoder MoE layer {i}"), names(data.vocab())));
    TextAnalysis {
        unit: "pair",
        n_units: batches.iter().map(|batch| batch.pairs.len()).sum(),
        n_tokens: n_tokens as u64,
        layers,
        classes: classes.names.clone(),
        communication: to_encoder.then(to_decoder).finish(&run.config),
        ..TextAnalysis::empty(run, options, domains)
    }
}

fn names(vocab: &Vocab) -> impl Fn(u32) -> String {
    |id| vocab.token_text(id)
}

/// The windows; a token that an earlier one counted has no domain.
fn labelled(batch: &EvalBatch) -> Labelled {
    let length = batch.batch.seq_length;
    let domain =
        |(t, &counts): (usize, &bool)| counts.then(|| usize::from(batch.batch.domains[t / length]));
    Labelled {
        ids_t: batch.batch.inputs.clone(),
        domains_t: batch.scored.iter().enumerate().map(domain).collect(),
    }
}

fn labelled_inputs(batch: &PairBatch) -> Labelled {
    let texts = batch.pairs.iter().map(|pair| pair.input.clone());
    padded(texts, batch.length(), &batch.domains)
}

fn labelled_targets(batch: &PairBatch) -> Labelled {
    let texts = batch.pairs.iter().map(|pair| {
        let before_last = &pair.target[..pair.target.len() - 1];
        [&[UnigramVocab::PAD], before_last].concat()
    });
    padded(texts, batch.target_length(), &batch.domains)
}

/// Texts as rows of one length; what fills them up has no domain.
fn padded(texts: impl Iterator<Item = Vec<u32>>, length: usize, domains: &[u16]) -> Labelled {
    let mut all = Labelled::default();
    for (mut ids, &domain) in texts.zip(domains) {
        let n_tokens = ids.len();
        ids.resize(length, UnigramVocab::PAD);
        all.ids_t.extend(ids);
        let counts = |t| (t < n_tokens).then_some(usize::from(domain));
        all.domains_t.extend((0..length).map(counts));
    }
    all
}
