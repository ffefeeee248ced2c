//! The tables of a run file.

use moe_experts::{Activation, Dispatch};
use serde::{Deserialize, Serialize};

/// The model families.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum ModelFamily {
    /// A Mixtral-style decoder.
    #[default]
    Mixtral,
}

/// The table `[model]`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// The family. Default: mixtral
    pub family: ModelFamily,
    /// The width of the model. Default: 256
    pub d_model: usize,
    /// The number of layers. Default: 4
    pub n_layers: usize,
    /// The epsilon of the RMS norms. Default: 1e-5
    pub norm_eps: f64,
    /// Whether the output head is the embedding, transposed. Default: false
    pub tied_embeddings: bool,
    /// Whether a decoder accepts a router that is not causal. Default: false
    pub allow_leak: bool,
}

/// The kinds of attention.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum AttentionKind {
    /// Grouped queries with rotary positions.
    #[default]
    Gqa,
}

/// The table `[attention]`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AttentionConfig {
    /// The kind. Default: gqa
    pub kind: AttentionKind,
    /// The number of query heads. Default: 8
    pub n_heads: usize,
    /// The number of key and value heads. Default: 4
    pub n_kv_heads: usize,
    /// The width of a head; 0 means `d_model / n_heads`. Default: 0
    pub head_dim: usize,
    /// The base of the rotary angles. Default: 10000.0
    pub rope_theta: f64,
}

/// The table `[experts]`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExpertsConfig {
    /// The number of experts that tokens are routed to. Default: 8
    pub n_experts: usize,
    /// The hidden width of an expert. Default: 512
    pub d_expert: usize,
    /// The number of experts that every token passes through besides. Default: 0
    pub n_shared_experts: usize,
    /// The activation: swiglu, gelu, relu or silu. Default: swiglu
    pub activation: Activation,
    /// How the experts are computed: grouped, or reference (slow and readable). Default: grouped
    pub dispatch: Dispatch,
}

/// The table `[train]`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The number of optimizer steps. Default: 1000
    pub steps: u64,
    /// The number of sequences of a micro-batch. Default: 16
    pub batch_size: usize,
    /// The number of tokens of a sequence. Default: 256
    pub seq_length: usize,
    /// The number of micro-batches of a step. Default: 1
    pub accumulate: usize,
    /// The highest learning rate. Default: 2e-3
    pub lr: f64,
    /// The last learning rate as a share of the highest. Default: 0.05
    pub final_lr: f64,
    /// The number of steps over which the learning rate rises; a run of fewer steps ends while it rises.
    /// Default: 50
    pub warmup_steps: u64,
    /// AdamW's decay of matrices; norms and biases have none. Default: 0.1
    pub weight_decay: f64,
    /// AdamW's first decay rate. Default: 0.9
    pub beta_1: f64,
    /// AdamW's second decay rate. Default: 0.95
    pub beta_2: f64,
    /// The largest global norm of the gradient; 0 means any. Default: 1.0
    pub clip_norm: f64,
    /// Steps between two lines of `metrics.jsonl`. Default: 10
    pub log_every: u64,
    /// Steps between two evaluations. Default: 100
    pub eval_every: u64,
    /// The number of windows of an evaluation while training, evenly over the domains; the last
    /// evaluation takes them all. Default: 45
    pub eval_windows: usize,
    /// Steps between two checkpoints. Default: 200
    pub checkpoint_every: u64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            family: ModelFamily::Mixtral,
            d_model: 256,
            n_layers: 4,
            norm_eps: 1e-5,
            tied_embeddings: false,
            allow_leak: false,
        }
    }
}

impl Default for AttentionConfig {
    fn default() -> Self {
        Self {
            kind: AttentionKind::Gqa,
            n_heads: 8,
            n_kv_heads: 4,
            head_dim: 0,
            rope_theta: 10_000.0,
        }
    }
}

impl Default for ExpertsConfig {
    fn default() -> Self {
        Self {
            n_experts: 8,
            d_expert: 512,
            n_shared_experts: 0,
            activation: Activation::SwiGlu,
            dispatch: Dispatch::Grouped,
        }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 1000,
            batch_size: 16,
            seq_length: 256,
            accumulate: 1,
            lr: 2e-3,
            final_lr: 0.05,
            warmup_steps: 50,
            weight_decay: 0.1,
            beta_1: 0.9,
            beta_2: 0.95,
            clip_norm: 1.0,
            log_every: 10,
            eval_every: 100,
            eval_windows: 45,
            checkpoint_every: 200,
        }
    }
}
