//! Faults of a model's configuration.

use moe_attention::AttentionError;
use moe_router::RouterError;
use thiserror::Error;

/// Fault of a model's configuration.
#[derive(Error, Debug, Clone, PartialEq)]
pub enum ModelError {
    /// The attention's sizes do not fit together.
    #[error("[attention] {0}")]
    Attention(#[from] AttentionError),
    /// The router's values do not fit the layer.
    #[error("{0}")]
    Router(#[from] RouterError),
    /// A size that must be at least 1.
    #[error("{key} = 0: it must be at least 1")]
    Zero {
        /// The configuration key.
        key: &'static str,
    },
    /// A value that does not fit the others.
    #[error("{key} = {value}: {rule}")]
    Value {
        /// The configuration key.
        key: &'static str,
        /// Its value.
        value: String,
        /// Rule that it must follow.
        rule: String,
    },
    /// Attention and experts of different width.
    #[error(
        "attention is {attention} wide and the experts {experts}: both must be the model's d_model"
    )]
    Width {
        /// The attention's width.
        attention: usize,
        /// The experts' width.
        experts: usize,
    },
    /// No layer with experts.
    #[error(
        "all {n_layers} layers are dense, and none has the {n_experts} experts of [experts]: lower model.n_dense_layers, raise model.n_layers, or take a family with experts"
    )]
    AllDense {
        /// The number of layers.
        n_layers: usize,
        /// The number of experts that a layer would have.
        n_experts: usize,
    },
    /// A noise that is as large as what it multiplies, or no number.
    #[error("the width of the input jitter is {0}: it must be at least 0 and below 1")]
    Jitter(f64),
    /// A router that lets later tokens influence earlier ones, in a decoder.
    #[error(
        "the router \"{router}\" is not causal: {reason}. A decoder trained with it sees the text that it is to predict, and its loss means nothing. Choose another router, or set model.allow_leak = true to train it all the same; its results are marked"
    )]
    Leak {
        /// The router's name.
        router: String,
        /// Reason why later tokens reach earlier ones.
        reason: &'static str,
    },
}
