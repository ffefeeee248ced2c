//! Questions that a configuration asks the keys of its family.

use super::{ExpertsConfig, RunConfig, VisionModel};
use crate::task::AnyModelConfig;

/// The keys of `[model]` of a family; several families can have the same.
pub(super) trait FamilyKeys {
    /// The model of a configuration with these keys.
    ///
    /// # Panics
    ///
    /// Panics if attention or data are of another kind than the family's.
    fn build(&self, config: &RunConfig) -> AnyModelConfig;

    /// The width of the model.
    fn d_model(&self) -> usize;

    /// The number of all layers: of both stacks, and of multi-token prediction.
    fn n_layers(&self) -> usize;

    /// The key and the value of the hidden width of a dense feed-forward. Default: none, all layers have
    /// experts alone
    fn d_dense(&self) -> Option<(&'static str, usize)> {
        None
    }

    /// The epsilon of the norms, where it can be set. Default: none
    fn norm_eps(&self) -> Option<f64> {
        None
    }

    /// The defaults of `[experts]`. Default: 8 of width 512
    fn experts(&self) -> ExpertsConfig {
        ExpertsConfig::default()
    }

    /// The number of modules of multi-token prediction. Default: 0
    fn n_mtp_layers(&self) -> usize {
        0
    }

    /// The weight of the loss of multi-token prediction. Default: 0
    fn mtp_weight(&self) -> f64 {
        0.0
    }

    /// The keys of a vision transformer. Default: none
    fn vision(&self) -> Option<&VisionModel> {
        None
    }
}
