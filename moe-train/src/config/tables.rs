//! The tables of a run file.

use crate::task::Task;
use moe_experts::{Activation, Dispatch};
use serde::{Deserialize, Serialize};

/// The table `[experts]`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExpertsConfig {
    /// The number of experts that tokens are routed to. Default: 8, for the families of DeepSeek 16
    pub n_experts: usize,
    /// The hidden width of an expert. Default: 512, for the families of DeepSeek 128, of vision
    /// transformers 256
    pub d_expert: usize,
    /// The number of experts that every token passes through besides. Default: 0, for the families of
    /// DeepSeek 2
    pub n_shared_experts: usize,
    /// The activation: swiglu, gelu, relu or silu. Default: swiglu, of vision transformers gelu, with
    /// biases, of an encoder with a decoder relu
    pub activation: Activation,
    /// Algorithm that computes the experts: grouped, or reference (slow and readable). Default: grouped
    pub dispatch: Dispatch,
}

/// The table `[train]`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TrainConfig {
    /// The number of optimizer steps. Default: 1000
    pub steps: u64,
    /// The number of sequences or images of a micro-batch. Default: 16, of images 64
    pub batch_size: usize,
    /// The number of tokens of a sequence; images have no such key, their patches decide. Default: 256, of
    /// pairs of texts 128: those of a window that spans are cut out of, or the most of a text to be
    /// translated
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seq_length: usize,
    /// The number of micro-batches of a step. Its loss is the mean over the predictions of all of them.
    /// Balance losses, expert capacity and router noise stay those of a micro-batch. Default: 1
    pub accumulate: usize,
    /// The highest learning rate. Default: 2e-3
    pub lr: f64,
    /// The last learning rate as a share of the highest. Default: 0.05
    pub final_lr: f64,
    /// The number of steps over which the learning rate rises; a run of fewer steps ends while it rises.
    /// Default: 50
    pub warmup_steps: u64,
    /// AdamW's decay of matrices: linear maps, embeddings and the experts' stacks. Norms, biases, scales,
    /// thresholds, learned positions, class tokens, probes and slots have none. Default: 0.1
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
    /// The number of windows of an evaluation while training, evenly over the domains, or of images.
    /// Default: 45, of images 1000
    pub eval_windows: usize,
    /// The most windows, images or pairs of the last evaluation; 0 means a third of those trained on, which
    /// takes about a tenth of the time of training, and at least 2,048. Default: 0. Written only if it is another
    #[serde(default, skip_serializing_if = "is_zero")]
    pub final_eval_windows: usize,
    /// Steps between two checkpoints. Default: 200
    pub checkpoint_every: u64,
    /// The checkpoints that are kept: last or all. Default: last. Written only if it is all
    #[serde(default, skip_serializing_if = "Keep::is_last")]
    pub keep: Keep,
    /// The checkpoint of another run whose weights the run starts from. Default: none. Written only if there is
    /// one
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
}

/// The checkpoints of a run that are kept.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The last one.
    #[default]
    Last,
    /// All of them.
    All,
}

impl Keep {
    fn is_last(&self) -> bool {
        *self == Self::Last
    }
}

impl TrainConfig {
    /// The fewest windows that bound the last evaluation by themselves.
    const FEWEST_FINAL_WINDOWS: u64 = 2048;

    /// The most windows, images or pairs of the last evaluation.
    pub fn final_windows(&self) -> usize {
        if self.final_eval_windows > 0 {
            return self.final_eval_windows;
        }
        let rows = (self.batch_size * self.accumulate) as u64;
        let trained = self.steps.saturating_mul(rows);
        usize::try_from((trained / 3).max(Self::FEWEST_FINAL_WINDOWS)).unwrap_or(usize::MAX)
    }

    /// The defaults of a task.
    pub fn of_task(task: Task) -> Self {
        match task {
            Task::Text => Self::default(),
            Task::Pairs => Self {
                seq_length: 128,
                ..Self::default()
            },
            Task::Images => Self {
                batch_size: 64,
                seq_length: 0,
                eval_windows: 1000,
                ..Self::default()
            },
        }
    }
}

fn is_zero(n: &usize) -> bool {
    *n == 0
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
            final_eval_windows: 0,
            checkpoint_every: 200,
            keep: Keep::Last,
            from: String::new(),
        }
    }
}
