//! Routing replay: the experts are those of a recorded run, the weights are the model's own (Ma et al.
//! 2025, arXiv 2510.11370): `w_e = exp(z_e) / sum over the replayed of exp(z)`.

use super::common;
use super::round_robin::by_turns;
use crate::error::check_top_k;
use crate::parts::Normalise;
use crate::{
    Causality, Family, Preset, Router, RouterError, RouterInfo, RouterInput, RouterShape, Routing,
    Trace,
};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Configuration to create a [`ReplayRouter`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct ReplayRouterConfig {
    /// The traces of the layers as text: experts separated by spaces, tokens by commas, sequences by
    /// semicolons, layers by slashes; layers behind the last start over. It is the text and not a file, so
    /// that a run stays a function of its configuration. Default: empty, which replays round robin
    pub trace: String,
    /// The number of experts a token without a trace. Default: 2
    pub top_k: usize,
}

/// Each token takes the experts of the trace at its sequence's place in the batch and its position in the
/// sequence (see [`Trace`]). They are weighted by a softmax over their logits. The gate learns to weigh,
/// and chooses nothing.
///
/// To replay what another router did to a batch, give its [`Trace`] to [`ReplayRouter::with_trace`].
#[derive(Module, Debug)]
pub struct ReplayRouter {
    /// The gate, `[d_model, n_experts]`.
    pub gate: Linear,
    /// The number of experts a token without a trace.
    pub top_k: usize,
    /// Traces that are replayed; without them, experts by turns.
    #[module(skip)]
    pub trace: Option<Arc<Trace>>,
}

impl ReplayRouterConfig {
    fn traces(&self) -> Result<Vec<Trace>, RouterError> {
        Trace::read_layers(&self.trace)
    }
}

impl Default for ReplayRouterConfig {
    fn default() -> Self {
        Self {
            trace: String::new(),
            top_k: 2,
        }
    }
}

impl Preset for ReplayRouterConfig {
    type Router = ReplayRouter;

    const INFO: RouterInfo = RouterInfo {
        family: Family::Fixed,
        causality: Causality::Causal,
        paper: "Ma et al. 2025",
        arxiv: "2510.11370",
        rule: "the experts of a trace; softmax over their logits",
    };

    fn validate(&self, n_experts: usize) -> Result<(), RouterError> {
        check_top_k(self.top_k, n_experts)?;
        self.traces()?
            .iter()
            .try_for_each(|trace| trace.validate(n_experts))
    }

    /// The mean over the traces of the layers, or `top_k` without one.
    fn experts_per_token(&self, _n_experts: usize) -> f64 {
        match self.traces() {
            Ok(traces) if !traces.is_empty() => {
                let sum: f64 = traces.iter().map(Trace::experts_per_token).sum();
                sum / traces.len() as f64
            }
            _ => self.top_k as f64,
        }
    }

    /// # Panics
    ///
    /// Panics if the trace is one that [`Preset::validate`] refuses.
    fn init(&self, shape: &RouterShape, device: &Device) -> ReplayRouter {
        let traces = self
            .traces()
            .unwrap_or_else(|error| panic!("{error}: call validate first"));
        let trace = traces.iter().cycle().nth(shape.layer);
        let replay = ReplayRouter {
            gate: common::gate(shape, device),
            top_k: self.top_k,
            trace: None,
        };
        match trace {
            Some(trace) => replay.with_trace(trace.clone()),
            None => replay,
        }
    }
}

impl ReplayRouter {
    /// Replays another trace.
    ///
    /// # Panics
    ///
    /// Panics if the trace has no sequence, or names an expert that does not exist.
    pub fn with_trace(mut self, trace: Trace) -> Self {
        let n_experts = self.gate.weight.dims()[1];
        assert!(
            !trace.sequences.is_empty() && trace.sequences.iter().all(|s| !s.is_empty()),
            "a trace has a sequence, and a sequence a token"
        );
        if let Err(error) = trace.validate(n_experts) {
            panic!("{error}");
        }
        self.trace = Some(Arc::new(trace));
        self
    }
}

impl Router for ReplayRouter {
    fn route(&self, input: RouterInput) -> Routing {
        let logits_te = common::logits(&self.gate, &input);

        let assignments = match &self.trace {
            Some(trace) => trace.assign(&input),
            None => by_turns(&input, logits_te.dims()[1], self.top_k),
        };
        let weights_a = Normalise::Softmax.weights(&logits_te, &logits_te, &assignments);

        Routing::sparse(assignments, weights_a, logits_te, None)
            .groups(input.n_groups)
            .padding(input.padding)
            .gate(self.gate.weight.val())
    }

    fn causality(&self) -> Causality {
        ReplayRouterConfig::INFO.causality
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plan;
    use crate::zoo::MixtralRouterConfig;
    use crate::zoo::testing::{experts, identity_gate, rows, shape, weights};
    use burn::tensor::{Distribution, Tensor, TensorData, Tolerance};

    #[test]
    fn the_experts_are_given_and_the_weights_computed() {
        let device = Device::flex();
        let config = ReplayRouterConfig {
            trace: "2 0,1/0,0".to_owned(),
            ..Default::default()
        };
        assert_eq!(config.experts_per_token(3), 1.25); // 1.5 and 1
        let mut router = config.init(&shape(3), &device);
        router.gate = identity_gate(3, &device);
        let x = rows(&[2.0, 9.0, 1.0, 0.0, 0.0, 5.0], 3, &device);
        let routing = router.route(RouterInput::new(x));
        assert_eq!(experts(&routing), [2, 0, 1]);
        // logits 1 and 2 of the chosen: 1 / (1 + e), e / (1 + e); alone 1
        let expected = TensorData::from([0.268_941_4f32, 0.731_058_6, 1.0]);
        weights(&routing).assert_approx_eq::<f32>(&expected, Tolerance::default());
    }

    #[test]
    fn what_another_router_did_is_replayed_exactly() {
        let device = Device::flex();
        let mixtral = MixtralRouterConfig::default().init(&shape(4), &device);
        let x = Tensor::random([6, 4], Distribution::Default, &device);
        let input = RouterInput::new(x).groups(2);
        let recorded = mixtral.route(input.clone());

        let mut replay = ReplayRouterConfig::default().init(&shape(4), &device);
        replay.gate = mixtral.gate.clone();
        let replayed = replay.with_trace(Trace::of(&recorded)).route(input);
        let (Plan::Sparse(a), Plan::Sparse(b)) = (&recorded.plan, &replayed.plan) else {
            panic!("sparse plans");
        };
        assert_eq!(a.assignments, b.assignments);
        weights(&replayed).assert_approx_eq::<f32>(&weights(&recorded), Tolerance::default());
    }

    #[test]
    fn a_trace_of_other_experts_is_an_error() {
        let config = ReplayRouterConfig {
            trace: "0,7".to_owned(),
            ..Default::default()
        };
        let error = config.validate(4).unwrap_err().to_string();
        assert!(error.contains("router.trace"), "{error}");
        assert!(
            error.contains("token 1 of sequence 0 has expert 7"),
            "{error}"
        );
    }
}
