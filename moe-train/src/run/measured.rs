//! Measured cost of a token in training. Some routers decide how many experts a token meets, and buffers
//! drop assignments, so the configuration alone does not say it.

use super::LayerMetrics;
use crate::config::RunConfig;
use serde::{Deserialize, Serialize};

/// The cost of a token, averaged over all training steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Assignments that experts with a network computed, a token: mean over the layers.
    pub experts_per_token: f64,
    /// The parameters that a token passed through, as [`Account`](moe_models::Account) counts them.
    pub params_active: u64,
    /// FLOP of a token, forward.
    pub flops_per_token: u64,
}

impl Measured {
    /// The cost of a token whose layers computed `k_l` assignments each, the decoder's layers first.
    fn new(config: &RunConfig, k_l: &[f64]) -> Self {
        let (account, experts) = (config.account(), config.experts());
        let configured = config.router.experts_per_token(experts.n_experts);
        // the account counts the assignments that the router declares; the rest is experts more or fewer
        let more: f64 = k_l.iter().map(|k| k - configured).sum();
        let params = more * experts.experts().n_params_per_expert() as f64;
        let flops = more * experts.experts().flops_per_row() as f64;
        Self {
            experts_per_token: k_l.iter().sum::<f64>() / k_l.len() as f64,
            params_active: (account.params_active as f64 + params).round() as u64,
            flops_per_token: (account.flops_per_token as f64 + flops).round() as u64,
        }
    }

    /// The mean of several, such as those of all seeds.
    ///
    /// # Panics
    ///
    /// Panics without any.
    pub fn mean(all: &[Self]) -> Self {
        assert!(!all.is_empty(), "the mean of no measurements");
        let mean = |of: fn(&Self) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        Self {
            experts_per_token: mean(|cost| cost.experts_per_token),
            params_active: mean(|cost| cost.params_active as f64).round() as u64,
            flops_per_token: mean(|cost| cost.flops_per_token as f64).round() as u64,
        }
    }
}

/// Sums over the steps of a run, kept in its checkpoints.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct CostMeter {
    /// The steps that were counted.
    steps: u64,
    /// Assignments a token, summed over the steps, of each layer.
    sums: Vec<f64>,
}

impl CostMeter {
    /// Counts a step; one of a soft router is not counted.
    pub(super) fn add(&mut self, layers: &[LayerMetrics]) {
        let k_l: Option<Vec<f64>> = layers.iter().map(|layer| layer.experts_per_token).collect();
        let Some(k_l) = k_l else { return };
        self.steps += 1;
        self.sums.resize(k_l.len(), 0.0);
        self.sums.iter_mut().zip(k_l).for_each(|(sum, k)| *sum += k);
    }

    /// The cost over a whole run; none if some of its steps were not counted.
    pub(super) fn measured(&self, config: &RunConfig) -> Option<Measured> {
        let whole = self.steps == config.train.steps;
        // modules that predict further tokens come last, and are not among the active parameters
        let layers = self.sums.iter().take(config.model().n_moe_layers());
        let k_l: Vec<f64> = layers.map(|sum| sum / self.steps as f64).collect();
        (whole && !k_l.is_empty()).then(|| Measured::new(config, &k_l))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn layer(experts_per_token: Option<f64>) -> LayerMetrics {
        LayerMetrics {
            load_share: vec![0.5, 0.5],
            load_entropy: 1.0,
            entropy: 1.0,
            max_vio: 0.0,
            drop_rate: 0.0,
            dead_experts: 0,
            experts_per_token,
        }
    }

    fn config() -> RunConfig {
        let overrides = [
            "router.name=mixtral",
            "router.top_k=2",
            "model.d_model=16",
            "model.n_layers=2",
            "attention.n_heads=2",
            "attention.n_kv_heads=1",
            "experts.n_experts=4",
            "experts.d_expert=8",
            "train.steps=2",
        ];
        RunConfig::of_overrides(&overrides).unwrap()
    }

    #[test]
    fn what_was_computed_replaces_what_was_configured() {
        let (config, mut meter) = (config(), CostMeter::default());
        meter.add(&[layer(Some(2.0)), layer(Some(3.0))]);
        meter.add(&[layer(Some(1.0)), layer(Some(4.0))]);
        // means 1.5 and 3.5: one expert of 3 * 16 * 8 = 384 parameters more than 2 and 2
        let (account, measured) = (config.account(), meter.measured(&config).unwrap());
        assert_eq!(measured.experts_per_token, 2.5);
        assert_eq!(measured.params_active, account.params_active as u64 + 384);
        assert_eq!(measured.flops_per_token, account.flops_per_token + 2 * 384);
        assert_eq!(Measured::mean(&[measured, measured]), measured);
    }

    #[test]
    fn a_step_that_was_not_counted_leaves_nothing_to_say() {
        let (config, mut meter) = (config(), CostMeter::default());
        assert_eq!(meter.measured(&config), None);
        meter.add(&[layer(Some(2.0)), layer(Some(2.0))]);
        meter.add(&[layer(None), layer(None)]);
        assert_eq!(meter.measured(&config), None);
        meter.add(&[layer(Some(2.0)), layer(Some(2.0))]);
        let measured = meter.measured(&config).unwrap();
        assert_eq!(
            measured.params_active,
            config.account().params_active as u64
        );
    }
}
