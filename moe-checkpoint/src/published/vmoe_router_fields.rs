//! The options of the routers of google-research/vmoe as written; those left out have the defaults of the
//! published code, those without a default there and those of another router are refused.

use super::error::Refusal;
use super::unread::unknown;
use super::vmoe_dispatcher::{DispatcherFields, check_capacity, present};
use super::vmoe_router::{PublishedVmoeLosses, PublishedVmoeRouter};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The routers by their published names.
const PER_ITEM: &str = "NoisyTopExpertsPerItemRouter";
const PER_EXPERT: &str = "NoisyTopItemsPerExpertRouter";
const SOFT: &str = "SoftRouter";

/// The noise that a router adds to its scores.
struct Noise {
    std: f64,
    is_on: bool,
}

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
    dispatcher: Option<DispatcherFields>,
    num_slots: Option<usize>,
    /// Of Soft-MoE alone; other routers have it in the dispatcher. Absent means 1, `null` that `num_slots`
    /// is given.
    #[serde(default, deserialize_with = "present")]
    capacity_factor: Option<Option<f64>>,
    #[serde(flatten)]
    left: Map<String, Value>,
}

impl RouterFields {
    /// The fields that are not read, by their paths.
    pub(super) fn unread(&self) -> Vec<String> {
        let mut unread = unknown(&self.left, "encoder.moe.router.");
        unread.extend(self.dispatcher.iter().flat_map(DispatcherFields::unread));
        unread
    }

    /// The router of groups of `group_size` tokens; `rounded` is whether a Soft-MoE rounds tokens to bf16.
    pub(super) fn resolve(
        self,
        n_experts: usize,
        group_size: usize,
        rounded: bool,
    ) -> Result<PublishedVmoeRouter, Refusal> {
        let name = self.name.as_deref().unwrap_or(PER_ITEM);
        let short = name.rsplit('.').next().unwrap_or(name);
        match short {
            PER_ITEM => self
                .check_options(PER_ITEM)?
                .per_item(n_experts, group_size),
            PER_EXPERT => self
                .check_options(PER_EXPERT)?
                .per_expert(n_experts, group_size),
            SOFT => self
                .check_options(SOFT)?
                .soft(n_experts, group_size, rounded),
            _ => Err(Refusal::new(
                "encoder.moe.router.name",
                name,
                format!("those known are {PER_ITEM}, {PER_EXPERT} and {SOFT}"),
            )),
        }
    }

    /// Refuses options that other routers have and this one has not, as the published code does.
    fn check_options(self, router: &str) -> Result<Self, Refusal> {
        let slots = self.num_slots.map(|n| n as f64);
        let selected = self.num_selected_experts.map(|n| n as f64);
        let options = [
            (
                "encoder.moe.router.num_selected_experts",
                selected,
                PER_ITEM,
            ),
            (
                "encoder.moe.router.importance_loss_weight",
                self.importance_loss_weight,
                PER_ITEM,
            ),
            (
                "encoder.moe.router.load_loss_weight",
                self.load_loss_weight,
                PER_ITEM,
            ),
            (
                "encoder.moe.router.gshard_loss_weight",
                self.gshard_loss_weight,
                PER_ITEM,
            ),
            ("encoder.moe.router.num_slots", slots, SOFT),
            (
                "encoder.moe.router.capacity_factor",
                self.capacity_factor.flatten(),
                SOFT,
            ),
        ];
        let mut others = options.iter().filter(|(_, _, of)| *of != router);
        if let Some((key, x, of)) = others.find_map(|(key, x, of)| Some((*key, (*x)?, *of))) {
            let rule = format!("a {router} has no such option, a {of} has");
            return Err(Refusal::new(key, x, rule));
        }
        if router == SOFT && self.dispatcher.is_some() {
            let rule = "a SoftRouter has none: its slots are num_slots or capacity_factor";
            return Err(Refusal::new("encoder.moe.router.dispatcher", "given", rule));
        }
        Ok(self)
    }

    fn per_item(self, n_experts: usize, group_size: usize) -> Result<PublishedVmoeRouter, Refusal> {
        const PRIORITY: &str = "encoder.moe.router.dispatcher.batch_priority";
        let k = self.num_selected_experts.unwrap_or(1);
        let noise = self.noise(1.0);
        let dispatcher = self.dispatcher.unwrap_or_default();
        let batch_priority = dispatcher.batch_priority;
        let dispatcher = dispatcher.resolve(n_experts, group_size * k)?;
        let Some(batch_priority) = batch_priority else {
            let rule = "it must be true or false: the published code has no default";
            return Err(Refusal::new(PRIORITY, "none", rule));
        };
        Ok(PublishedVmoeRouter::NoisyTopExpertsPerItemRouter {
            num_selected_experts: k,
            noise_std: noise.std,
            is_noisy: noise.is_on,
            batch_priority,
            losses: PublishedVmoeLosses {
                importance: self.importance_loss_weight.unwrap_or(1.0),
                load: self.load_loss_weight.unwrap_or(1.0),
                gshard: self.gshard_loss_weight.unwrap_or(0.0),
            },
            dispatcher,
        })
    }

    fn per_expert(
        self,
        n_experts: usize,
        group_size: usize,
    ) -> Result<PublishedVmoeRouter, Refusal> {
        let noise = self.noise(1.0);
        let dispatcher = self.dispatcher.unwrap_or_default();
        if let Some(priority) = dispatcher.batch_priority {
            let key = "encoder.moe.router.dispatcher.batch_priority";
            let rule = format!("a {PER_EXPERT} has no such option, a {PER_ITEM} has");
            return Err(Refusal::new(key, priority, rule));
        }
        Ok(PublishedVmoeRouter::NoisyTopItemsPerExpertRouter {
            noise_std: noise.std,
            is_noisy: noise.is_on,
            dispatcher: dispatcher.resolve(n_experts, group_size)?,
        })
    }

    fn soft(
        self,
        n_experts: usize,
        group_size: usize,
        rounded: bool,
    ) -> Result<PublishedVmoeRouter, Refusal> {
        let noise = self.noise(0.0);
        let slots = match (self.num_slots, self.capacity_factor.unwrap_or(Some(1.0))) {
            (Some(n_slots), _) => n_slots,
            (None, Some(factor)) => {
                let slots = group_size as f64 * factor / n_experts as f64;
                slots.round_ties_even() as usize
            }
            (None, None) => {
                let rule = "it must have a value, or num_slots must have one";
                let key = "encoder.moe.router.capacity_factor";
                return Err(Refusal::new(key, "null", rule));
            }
        };
        Ok(PublishedVmoeRouter::SoftRouter {
            num_slots: check_capacity(slots)?,
            noise_std: noise.std,
            is_noisy: noise.is_on,
            bfloat16: rounded,
        })
    }

    /// The noise of a router, whose standard deviation is `default_std` where nothing says another.
    fn noise(&self, default_std: f64) -> Noise {
        let std = self.noise_std.unwrap_or(default_std);
        Noise {
            std,
            is_on: self.deterministic == Some(false) && std > 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::PublishedDispatcher;
    use moe_router::parts::CapacityRounding;
    use serde_json::{Value, json};

    /// The router for 4 experts and groups of 34 tokens.
    fn resolve(router: &Value) -> Result<PublishedVmoeRouter, Refusal> {
        let fields: RouterFields = serde_json::from_value(router.clone()).expect("fields");
        fields.resolve(4, 34, true)
    }

    fn capacity(dispatcher: &Value) -> usize {
        let mut dispatcher = dispatcher.clone();
        dispatcher["batch_priority"] = json!(false);
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

    #[test]
    fn what_is_left_out_is_as_in_the_published_code() {
        let dispatcher = json!({"capacity_factor": 1.0, "batch_priority": true});
        let exact = PublishedDispatcher {
            capacity_factor: 1.0,
            capacity_rounding: CapacityRounding::Up,
            capacity_multiple_of: 4,
            bfloat16: false,
        };
        let per_item = PublishedVmoeRouter::NoisyTopExpertsPerItemRouter {
            num_selected_experts: 1,
            noise_std: 1.0,
            is_noisy: false,
            batch_priority: true,
            losses: PublishedVmoeLosses {
                importance: 1.0,
                load: 1.0,
                gshard: 0.0,
            },
            dispatcher: exact,
        };
        assert_eq!(resolve(&json!({"dispatcher": dispatcher})), Ok(per_item));
        let per_expert = PublishedVmoeRouter::NoisyTopItemsPerExpertRouter {
            noise_std: 1.0,
            is_noisy: false,
            dispatcher: exact,
        };
        let given = json!({"name": PER_EXPERT, "dispatcher": {"capacity_factor": 1.0}});
        assert_eq!(resolve(&given), Ok(per_expert));
        let soft = PublishedVmoeRouter::SoftRouter {
            num_slots: 8, // 34 x 1.0 / 4
            noise_std: 0.0,
            is_noisy: false,
            bfloat16: true,
        };
        assert_eq!(resolve(&json!({"name": SOFT})), Ok(soft));
    }

    #[test]
    fn what_the_published_code_has_no_default_for_must_be_given() {
        for (router, key) in [
            (
                json!({"dispatcher": {"capacity_factor": 1.0}}),
                "batch_priority",
            ),
            (
                json!({"name": SOFT, "capacity_factor": null}),
                "capacity_factor",
            ),
            (
                json!({"dispatcher": {"batch_priority": true}}),
                "capacity_factor",
            ),
        ] {
            let refusal = resolve(&router).expect_err(key);
            assert!(refusal.key.ends_with(key), "{refusal:?}");
        }
    }

    #[test]
    fn options_of_other_routers_are_refused() {
        let places = json!({"capacity_factor": 1.0});
        for (router, key) in [
            (
                json!({"name": PER_EXPERT, "dispatcher": places, "num_selected_experts": 2}),
                "num_selected_experts",
            ),
            (
                json!({"name": PER_EXPERT, "dispatcher": places, "load_loss_weight": 1.0}),
                "load_loss_weight",
            ),
            (
                json!({"name": PER_EXPERT, "dispatcher": {"capacity": 3, "batch_priority": true}}),
                "batch_priority",
            ),
            (
                json!({"name": PER_EXPERT, "dispatcher": places, "capacity_factor": 1.0}),
                "router.capacity_factor",
            ),
            (json!({"name": PER_ITEM, "num_slots": 2}), "num_slots"),
            (json!({"name": SOFT, "dispatcher": places}), "dispatcher"),
            (
                json!({"name": SOFT, "gshard_loss_weight": 1.0}),
                "gshard_loss_weight",
            ),
        ] {
            let refusal = resolve(&router).expect_err(key);
            assert!(refusal.key.ends_with(key), "{refusal:?}");
        }
    }
}
