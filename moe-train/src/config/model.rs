//! The table `[model]`, of any family.

use super::ModelConfig;
use crate::task::Task;

impl ModelConfig {
    /// The task that the family learns.
    pub fn task(&self) -> Task {
        self.info().task
    }

    /// The width of the model.
    pub fn d_model(&self) -> usize {
        self.keys().d_model()
    }

    /// The number of all layers: of both stacks, and of multi-token prediction.
    pub(super) fn n_layers(&self) -> usize {
        self.keys().n_layers()
    }

    /// The hidden width of a dense feed-forward, with its key; 1 where there is none.
    pub(super) fn d_dense(&self) -> (String, u128) {
        let (key, width) = self.keys().d_dense().unwrap_or(("model.d_model", 1));
        (key.to_owned(), width as u128)
    }

    /// The weight of the loss of multi-token prediction; 0 for a family without.
    pub fn mtp_weight(&self) -> f64 {
        self.keys().mtp_weight()
    }

    /// The number of modules of multi-token prediction.
    pub fn n_mtp_layers(&self) -> usize {
        self.keys().n_mtp_layers()
    }

    /// The epsilon of the norms, where it can be set.
    pub fn norm_eps(&self) -> Option<f64> {
        self.keys().norm_eps()
    }
}
