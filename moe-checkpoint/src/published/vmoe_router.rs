//! The routers of google-research/vmoe by their published names and options.

use super::error::Refusal;
use super::unread::unknown;
use super::vmoe_dispatcher::{DispatcherFields, PublishedDispatcher, check_capacity};
use moe_experts::Exchange;
use moe_router::parts::Priority;
use moe_router::{ExpertChoiceConfig, RouterConfig, SoftMoeConfig, VMoeConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields as written.
#[derive(Deserialize, Debug, Default)]
pub(super) struct RouterFields {
    name: Option<String>,
    num_selected_experts: Option<usize>,
    noise_std: Option<f64>,
    importance_loss_weight: Option<f64>,
    load_loss_weight: Option<f64>,
    gshard_loss_weight: Option<f64>,
    deterministic: Option<bool>,
    #[serde(default)]
    dispatcher: DispatcherFields,
    num_slots: Option<usize>,
    /// Of Soft-MoE alone; other routers have it in the dispatcher.
    capacity_factor: Option<f64>,
    #[serde(flatten)]
    left: Map<String, Value>,
}

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
        /// Whether there is noise.
        is_noisy: bool,
        /// Whether tokens of the largest gate are served first.
        batch_priority: bool,
        /// What the losses are weighed by.
        losses: PublishedVmoeLosses,
        /// How experts are filled.
        dispatcher: PublishedDispatcher,
    },
    /// Experts choose tokens.
    NoisyTopItemsPerExpertRouter {
        /// The standard deviation of the noise, times the number of experts.
        noise_std: f64,
        /// Whether there is noise.
        is_noisy: bool,
        /// How experts are filled.
        dispatcher: PublishedDispatcher,
    },
    /// Every slot is a mixture of all tokens (arXiv 2308.00951).
    SoftRouter {
        /// The number of slots an expert.
        num_slots: usize,
        /// The standard deviation of the noise.
        noise_std: f64,
        /// Whether there is noise.
        is_noisy: bool,
        /// Whether tokens are rounded to bf16 on their way to the experts and back.
        bfloat16: bool,
    },
}

/// What the losses of V-MoE's router are weighed by.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct PublishedVmoeLosses {
    /// The importance loss.
    pub importance: f64,
    /// The load loss, of routers with noise.
    pub load: f64,
    /// GShard's loss.
    pub gshard: f64,
}

impl RouterFields {
    /// The fields that are not read, by their paths.
    pub(super) fn unread(&self) -> Vec<String> {
        let mut unread = unknown(&self.left, "encoder.moe.router.");
        unread.extend(self.dispatcher.unread());
        unread
    }

    pub(super) fn resolve(
        self,
        n_experts: usize,
        group_size: usize,
        rounded: bool,
    ) -> Result<PublishedVmoeRouter, Refusal> {
        let name = self.name.as_deref();
        let name = name.unwrap_or("NoisyTopExpertsPerItemRouter");
        let short = name.rsplit('.').next().unwrap_or(name);
        let noise_std = self
            .noise_std
            .unwrap_or(if short == "SoftRouter" { 0.0 } else { 1.0 });
        let is_noisy = self.deterministic == Some(false) && noise_std > 0.0;
        match short {
            "NoisyTopExpertsPerItemRouter" => {
                let k = self.num_selected_experts.unwrap_or(1);
                Ok(PublishedVmoeRouter::NoisyTopExpertsPerItemRouter {
                    num_selected_experts: k,
                    noise_std,
                    is_noisy,
                    batch_priority: self.dispatcher.batch_priority.unwrap_or(false),
                    losses: PublishedVmoeLosses {
                        importance: self.importance_loss_weight.unwrap_or(1.0),
                        load: self.load_loss_weight.unwrap_or(1.0),
                        gshard: self.gshard_loss_weight.unwrap_or(0.0),
                    },
                    dispatcher: self.dispatcher.resolve(n_experts, group_size * k)?,
                })
            }
            "NoisyTopItemsPerExpertRouter" => {
                Ok(PublishedVmoeRouter::NoisyTopItemsPerExpertRouter {
                    noise_std,
                    is_noisy,
                    dispatcher: self.dispatcher.resolve(n_experts, group_size)?,
                })
            }
            "SoftRouter" => Ok(PublishedVmoeRouter::SoftRouter {
                num_slots: match self.num_slots {
                    Some(n_slots) => check_capacity(n_slots)?,
                    None => {
                        let factor = self.capacity_factor.unwrap_or(1.0);
                        let slots = group_size as f64 * factor / n_experts as f64;
                        check_capacity(slots.round_ties_even() as usize)?
                    }
                },
                noise_std,
                is_noisy,
                bfloat16: rounded,
            }),
            _ => Err(Refusal::new(
                "encoder.moe.router.name",
                name,
                "those known are NoisyTopExpertsPerItemRouter, NoisyTopItemsPerExpertRouter and SoftRouter",
            )),
        }
    }
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
            } => RouterConfig::VMoe(VMoeConfig {
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
            } => RouterConfig::ExpertChoice(ExpertChoiceConfig {
                capacity_factor: dispatcher.capacity_factor,
                capacity_rounding: dispatcher.capacity_rounding,
                capacity_multiple_of: dispatcher.capacity_multiple_of,
                noise_std,
            }),
            Self::SoftRouter {
                num_slots,
                noise_std,
                ..
            } => RouterConfig::SoftMoe(SoftMoeConfig {
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
        match rounded {
            true => Exchange::Bf16,
            false => Exchange::Exact,
        }
    }

    /// Whether the router adds noise to its scores as configured; without a word it does so in training
    /// alone.
    pub fn is_noisy(&self) -> bool {
        match *self {
            Self::NoisyTopExpertsPerItemRouter { is_noisy, .. }
            | Self::NoisyTopItemsPerExpertRouter { is_noisy, .. }
            | Self::SoftRouter { is_noisy, .. } => is_noisy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The router for 4 experts and groups of 34 tokens.
    fn resolve(router: &Value) -> Result<PublishedVmoeRouter, Refusal> {
        let fields: RouterFields = serde_json::from_value(router.clone()).expect("fields");
        fields.resolve(4, 34, true)
    }

    fn capacity(dispatcher: &Value) -> usize {
        let router = json!({"num_selected_experts": 2, "dispatcher": dispatcher});
        match resolve(&router).expect("a router") {
            PublishedVmoeRouter::NoisyTopExpertsPerItemRouter { dispatcher, .. } => {
                dispatcher.capacity(4, 68)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn capacities_are_rounded_as_the_code_does() {
        // 34 * 2 * 0.5 / 4 = 8.5
        assert_eq!(capacity(&json!({"capacity_factor": 0.5})), 12);
        let one = |rounding| {
            capacity(&json!({"capacity_factor": 0.5, "capacity_multiple_of": 1,
                "capacity_ceil_or_round": rounding}))
        };
        assert_eq!((one("ceil"), one("round")), (9, 8));
        for none in [json!(null), json!(0)] {
            let given = json!({"capacity_factor": 0.5, "capacity_multiple_of": none});
            assert_eq!(capacity(&given), 9);
        }
        assert_eq!(capacity(&json!({"capacity": 7})), 7);
        assert_eq!(capacity(&json!({"capacity_factor": 4.0})), 68); // more than a group has
    }

    #[test]
    fn slots_are_rounded_to_even() {
        let slots = |router: Value| match resolve(&router).expect("a router") {
            PublishedVmoeRouter::SoftRouter { num_slots, .. } => num_slots,
            other => panic!("{other:?}"),
        };
        // 34 / 4 = 8.5; 34 * 1.1 / 4 = 9.35
        assert_eq!(slots(json!({"name": "SoftRouter"})), 8);
        let long = "vmoe.projects.soft_moe.router.SoftRouter";
        assert_eq!(slots(json!({"name": long, "capacity_factor": 1.1})), 9);
        let given = json!({"name": long, "capacity_factor": null, "num_slots": 3});
        assert_eq!(slots(given), 3);
    }

    #[test]
    fn noise_is_on_where_it_is_said() {
        let noisy = |router: Value| resolve(&router).expect("a router").is_noisy();
        let name = "NoisyTopItemsPerExpertRouter";
        let dispatcher = json!({"capacity_factor": 1.0});
        assert!(!noisy(json!({"name": name, "dispatcher": dispatcher})));
        let said = json!({"name": name, "dispatcher": dispatcher, "deterministic": false});
        assert!(noisy(said.clone()));
        let mut without = said;
        without["noise_std"] = json!(0.0);
        assert!(!noisy(without));
        // Soft-MoE has none unless asked for
        assert!(!noisy(
            json!({"name": "SoftRouter", "deterministic": false})
        ));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (dispatcher, what) in [
            (json!({}), "either capacity_factor or capacity"),
            (json!({"capacity": 3, "capacity_factor": 1.0}), "not both"),
            (
                json!({"capacity_factor": -1.0}),
                "the capacity of an expert",
            ),
            (
                json!({"capacity_factor": 1.0, "capacity_ceil_or_round": "floor"}),
                "ceil or round",
            ),
        ] {
            let refusal = resolve(&json!({"dispatcher": dispatcher})).expect_err(what);
            let text = format!("{}: {}", refusal.key, refusal.rule);
            assert!(text.contains(what), "{text}");
        }
        assert!(resolve(&json!({"name": "SoftRouter", "num_slots": 0})).is_err());
    }
}
