//! The routers of google-research/vmoe by their published names and options.

use super::vmoe_dispatcher::PublishedDispatcher;
use moe_experts::Exchange;
use moe_router::RouterConfig;
use moe_router::parts::Priority;
use moe_router::zoo::{ExpertChoiceRouterConfig, SoftMoeRouterConfig, VmoeRouterConfig};
use serde::Serialize;

/// A router as published.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
#[serde(tag = "name")]
pub enum PublishedVmoeRouter {
    /// Tokens choose experts (arXiv 2106.05974).
    NoisyTopExpertsPerItemRouter {
        /// The number of experts a token.
        num_selected_experts: usize,
        /// The standard deviation of the noise, times the number of experts.
        noise_std: f64,
        /// True if there is noise.
        is_noisy: bool,
        /// True if tokens of the largest gate are served first.
        batch_priority: bool,
        /// Weights of the losses.
        losses: PublishedVmoeLosses,
        /// Rule by which experts are filled.
        dispatcher: PublishedDispatcher,
    },
    /// Experts choose tokens.
    NoisyTopItemsPerExpertRouter {
        /// The standard deviation of the noise, times the number of experts.
        noise_std: f64,
        /// True if there is noise.
        is_noisy: bool,
        /// Rule by which experts are filled.
        dispatcher: PublishedDispatcher,
    },
    /// Every slot is a mixture of all tokens (arXiv 2308.00951).
    SoftRouter {
        /// The number of slots an expert.
        num_slots: usize,
        /// The standard deviation of the noise.
        noise_std: f64,
        /// True if there is noise.
        is_noisy: bool,
        /// True if tokens are rounded to bf16 on their way to the experts and back.
        bfloat16: bool,
    },
}

/// Weights of the losses of V-MoE's router.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct PublishedVmoeLosses {
    /// The importance loss.
    pub importance: f64,
    /// The load loss, of routers with noise.
    pub load: f64,
    /// GShard's loss.
    pub gshard: f64,
}

impl PublishedVmoeRouter {
    /// The router of its mixtures.
    pub fn router(&self) -> RouterConfig {
        match *self {
            Self::NoisyTopExpertsPerItemRouter {
                num_selected_experts,
                noise_std,
                batch_priority,
                dispatcher,
                ..
            } => RouterConfig::Vmoe(VmoeRouterConfig {
                top_k: num_selected_experts,
                capacity_factor: dispatcher.capacity_factor,
                capacity_multiple_of: dispatcher.capacity_multiple_of,
                capacity_rounding: dispatcher.capacity_rounding,
                priority: if batch_priority {
                    Priority::Score
                } else {
                    Priority::Position
                },
                noise_std,
            }),
            Self::NoisyTopItemsPerExpertRouter {
                noise_std,
                dispatcher,
                ..
            } => RouterConfig::ExpertChoice(ExpertChoiceRouterConfig {
                capacity_factor: dispatcher.capacity_factor,
                capacity_rounding: dispatcher.capacity_rounding,
                capacity_multiple_of: dispatcher.capacity_multiple_of,
                noise_std,
                alone: false,
            }),
            Self::SoftRouter {
                num_slots,
                noise_std,
                ..
            } => RouterConfig::SoftMoe(SoftMoeRouterConfig {
                slots_per_expert: num_slots,
                noise_std,
            }),
        }
    }

    /// In which precision tokens travel.
    pub fn exchange(&self) -> Exchange {
        let rounded = match *self {
            Self::NoisyTopExpertsPerItemRouter { dispatcher, .. }
            | Self::NoisyTopItemsPerExpertRouter { dispatcher, .. } => dispatcher.bfloat16,
            Self::SoftRouter { bfloat16, .. } => bfloat16,
        };
        if rounded {
            Exchange::Bf16
        } else {
            Exchange::Exact
        }
    }

    /// Tells whether the router adds noise to its scores as configured; without a word it does so in training
    /// alone.
    pub fn is_noisy(&self) -> bool {
        match *self {
            Self::NoisyTopExpertsPerItemRouter { is_noisy, .. }
            | Self::NoisyTopItemsPerExpertRouter { is_noisy, .. }
            | Self::SoftRouter { is_noisy, .. } => is_noisy,
        }
    }
}
