//! The traits of routers and of their configurations.

use crate::{BalanceConfig, Load, RouterError, RouterInput, Routing, TokenChoice};
use burn::module::{Module, ModuleDisplay};
use burn::tensor::Device;
use serde::{Serialize, de::DeserializeOwned};

/// Decides which token goes to which expert with which weight.
///
/// Implement it for a module of your own to use it in any layer or model of this workspace. Deriving
/// [`Module`] derives its display too, so that layers and models print their routers.
pub trait Router: Module + ModuleDisplay {
    /// Routes the tokens of a batch. Changes nothing: the same input gives the same routing.
    ///
    /// # Shapes
    ///
    /// - input: `[T, d_model]`
    /// - output: a [`Routing`] of `T` tokens
    fn route(&self, input: RouterInput) -> Routing;

    /// Causality of the router: the influence of later tokens of a sequence on earlier ones.
    fn causality(&self) -> Causality;

    /// Returns `true` if the tokens of a call claim places that are limited. A token can then go elsewhere
    /// among others than by itself, even if they are earlier ones. Default: no
    fn competes(&self) -> bool {
        false
    }

    /// Advances state that is not trained by gradients (a selection bias, a threshold), after an
    /// optimizer step, from the load of all the step's micro-batches. Most routers have none.
    fn advance(self, _load: &Load) -> Self {
        self
    }
}

/// Influence of later tokens of a sequence on earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Causality {
    /// They cannot: the router may be used in a decoder.
    Causal,
    /// They can, for the reason given. A decoder refuses such a router unless told otherwise.
    Leaks(&'static str),
    /// They can while training, for the reason given, and cannot in evaluation. A decoder may use such a
    /// router: its training loss flatters it, its evaluation does not.
    LeaksInTraining(&'static str),
}

impl Causality {
    /// Returns `true` if the router may be used in a decoder: in evaluation no token influences earlier
    /// ones.
    pub fn is_causal(self) -> bool {
        !matches!(self, Causality::Leaks(_))
    }

    /// Returns `true` if the same holds while training.
    pub fn is_causal_in_training(self) -> bool {
        self == Causality::Causal
    }
}

/// Families of routers by what decides: the token, the expert, nobody (a mixture of all), or a fixed rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Each token chooses experts.
    TokenChoice,
    /// Each expert chooses tokens.
    ExpertChoice,
    /// Every slot is a mixture of all tokens.
    Soft,
    /// A rule that is not learned.
    Fixed,
}

impl Family {
    /// The family's name as printed in tables.
    pub fn name(self) -> &'static str {
        match self {
            Family::TokenChoice => "token choice",
            Family::ExpertChoice => "expert choice",
            Family::Soft => "soft",
            Family::Fixed => "fixed",
        }
    }
}

/// Extras that a routing may carry for a balance loss besides assignments, weights and probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// The gate whose columns score the experts, [`Routing::gate`].
    Gate,
    /// Noisy scores, [`Routing::noisy`].
    Noise,
    /// Zero-computation experts, [`Routing::bypass`].
    FreeExperts,
    /// Admission decisions and the predictor's scores, [`Routing::admission`].
    Admission,
}

/// Properties of a router that are known before it is built.
#[derive(Debug, Clone, Copy)]
pub struct RouterInfo {
    /// Family of the router.
    pub family: Family,
    /// Causality of the default configuration, which decides on its use in a decoder.
    pub causality: Causality,
    /// Authors and year of the source.
    pub paper: &'static str,
    /// The source's arXiv number, or "" if it has none.
    pub arxiv: &'static str,
    /// The rule in one line.
    pub rule: &'static str,
}

/// Shape of the layer that a router serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterShape {
    /// The width of the tokens.
    pub d_model: usize,
    /// The number of experts.
    pub n_experts: usize,
    /// The layer's index in its model.
    pub layer: usize,
}

/// The configuration of a named router: what the registry needs to list, check and build it.
pub trait Preset: Serialize + DeserializeOwned + Default + Clone {
    /// The router that this configures.
    type Router: Router;

    /// Properties of the router.
    const INFO: RouterInfo;

    /// Causality of this configuration, which decides on its use in a decoder. Default: that of
    /// [`INFO`](Self::INFO).
    fn causality(&self) -> Causality {
        Self::INFO.causality
    }

    /// Family of this configuration. Default: that of [`INFO`](Self::INFO).
    fn family(&self) -> Family {
        Self::INFO.family
    }

    /// Extras that the routings of a training step carry for balance losses. Default: the gate alone.
    fn extras(&self) -> Vec<Extra> {
        vec![Extra::Gate]
    }

    /// Checks the values against the number of experts of a layer.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    fn validate(&self, n_experts: usize) -> Result<(), RouterError>;

    /// The balance losses that its source trains it with. Default: none.
    fn balance(&self) -> BalanceConfig {
        BalanceConfig::default()
    }

    /// The capacity factor of evaluation; none of a router without a capacity, or with a fixed one. Default: none
    fn capacity_factor(&self) -> Option<f64> {
        None
    }

    /// Sets the capacity factor of evaluation, where there is one. Default: changes nothing
    fn with_capacity_factor(self, _capacity_factor: f64) -> Self {
        self
    }

    /// The rule in numbers for groups of so many tokens, by which a trace is checked; none of a router that is no plain
    /// token choice. Default: none
    fn token_choice(&self, _n_experts: usize, _group_size: usize) -> Option<TokenChoice> {
        None
    }

    /// Experts whose parameters an average token passes through: the measure of active parameters.
    fn experts_per_token(&self, n_experts: usize) -> f64;

    /// Rows that the experts compute for an average token of a sequence: the measure of FLOP. Default: as
    /// many as experts.
    fn rows_per_token(&self, n_experts: usize, _seq_length: usize) -> f64 {
        self.experts_per_token(n_experts)
    }

    /// The router's own parameters in a layer, trained or not.
    fn n_params(&self, shape: &RouterShape) -> usize {
        shape.d_model * shape.n_experts
    }

    /// Builds the router.
    fn init(&self, shape: &RouterShape, device: &Device) -> Self::Router;
}
