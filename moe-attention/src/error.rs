//! Errors of attention configurations.

use thiserror::Error;

/// An attention configuration that no layer can have.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum AttentionError {
    /// A size that must be at least one is zero.
    #[error("`{0}` is 0: set it to at least 1")]
    Zero(&'static str),
    /// The head width is derived from the model width, and the heads do not divide it.
    #[error(
        "`n_heads` = {n_heads} does not divide `d_model` = {d_model}: change one of them or set `head_dim`"
    )]
    HeadsDoNotDivide {
        /// The model width.
        d_model: usize,
        /// The number of query heads.
        n_heads: usize,
    },
    /// Query heads cannot be shared out evenly over the key/value heads.
    #[error(
        "`n_kv_heads` = {n_kv_heads} does not divide `n_heads` = {n_heads}: every key/value head serves the same number of query heads"
    )]
    KvHeadsDoNotDivide {
        /// The number of query heads.
        n_heads: usize,
        /// The number of key/value heads.
        n_kv_heads: usize,
    },
    /// Rotary positions turn pairs of coordinates, and the head width is odd.
    #[error("the head width is {0}: rotary positions need an even one, set `head_dim`")]
    OddHeadDim(usize),
    /// Rotary positions turn pairs of coordinates, and their width is odd.
    #[error("`qk_rope_head_dim` is {0}: rotary positions need an even width")]
    OddRopeDim(usize),
    /// A bound or an epsilon is not positive.
    #[error("`{0}` must be positive")]
    NotPositive(&'static str),
    /// A length or factor of YaRN is not positive.
    #[error("`{0}` of YaRN must be positive")]
    Yarn(&'static str),
    /// Too few buckets to tell near distances from far ones in both directions.
    #[error("`n_buckets` is {0}: relative positions need at least 4")]
    FewBuckets(usize),
    /// The largest distance has a bucket of its own already.
    #[error(
        "`max_distance` = {max_distance} must be larger than half of `n_buckets` = {n_buckets}: up to there every distance has a bucket of its own"
    )]
    ShortDistance {
        /// The distance from which on all share the last bucket.
        max_distance: usize,
        /// The number of buckets.
        n_buckets: usize,
    },
}
