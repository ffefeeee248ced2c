//! Routers under examination.

use super::{Case, Specimen, Stop};
use crate::parts::mix_seed;
use crate::{Family, Preset, Router, RouterConfig, RouterInput, RouterShape};
use burn::tensor::{Device, Tensor};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde_json::{Map, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A router under examination: its name and how it is built for a case.
pub struct Subject<'a> {
    /// The name that reports print.
    pub name: String,
    /// Device that it runs on.
    pub device: Device,
    /// Family of the router, if it is known.
    pub family: Option<Family>,
    /// The fewest experts that cases have.
    pub min_experts: usize,
    /// The keys and default values of its configuration, empty if it has none that is known.
    defaults: Map<String, Value>,
    build: Box<Build<'a>>,
}

type Build<'a> =
    dyn Fn(Map<String, Value>, &RouterShape, &Device) -> Result<Box<dyn Specimen>, Stop> + 'a;

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Subject({})", self.name)
    }
}

impl<'a> Subject<'a> {
    /// A router that a function builds for any number of experts. Cases begin with the fewest experts,
    /// up to four, with which it can be built and route.
    pub fn new<R: Router + 'static>(
        name: &str,
        init: impl Fn(&RouterShape, &Device) -> R + 'a,
        device: &Device,
    ) -> Self {
        let works = |n_experts: &usize| {
            let shape = RouterShape {
                d_model: 5,
                n_experts: *n_experts,
                layer: 1,
            };
            let route = || {
                let x_td = Tensor::zeros([4, 5], device);
                let input = RouterInput::new(x_td).token_ids([0, 1, 2, 3].into());
                Router::route(&init(&shape, device), input)
            };
            catch_unwind(AssertUnwindSafe(route)).is_ok()
        };
        Self {
            name: name.to_owned(),
            device: device.clone(),
            family: None,
            min_experts: (1..4).find(works).unwrap_or(4),
            defaults: Map::new(),
            build: Box::new(move |_, shape, device| Ok(Box::new(init(shape, device)))),
        }
    }

    /// A preset, with the values of each case for the keys that it has.
    pub fn preset<C: Preset>(name: &str, device: &Device) -> Self
    where
        C::Router: 'static,
    {
        Self {
            name: name.to_owned(),
            device: device.clone(),
            family: Some(C::INFO.family),
            min_experts: 1,
            defaults: table(&C::default()),
            build: Box::new(|values, shape, device| {
                let config: C = serde_json::from_value(Value::Object(values)).map_err(invalid)?;
                config.validate(shape.n_experts).map_err(invalid)?;
                Ok(Box::new(config.init(shape, device)))
            }),
        }
    }

    /// A router of the list, with the values of each case for the keys that it has.
    pub fn of_list(config: &RouterConfig, device: &Device) -> Self {
        Self {
            name: config.name().to_owned(),
            device: device.clone(),
            family: Some(config.info().family),
            min_experts: 1,
            defaults: table(config),
            build: Box::new(|values, shape, device| {
                let config: RouterConfig =
                    serde_json::from_value(Value::Object(values)).map_err(invalid)?;
                config.validate(shape.n_experts).map_err(invalid)?;
                Ok(Box::new(config.init(shape, device)))
            }),
        }
    }

    /// A router that is no module of this process: a function makes what stands for it, with the values of each case for
    /// the given keys.
    pub fn outside(
        name: &str,
        keys: Map<String, Value>,
        min_experts: usize,
        device: &Device,
        build: impl Fn(&Map<String, Value>, &RouterShape) -> Box<dyn Specimen> + 'a,
    ) -> Self {
        Self {
            name: name.to_owned(),
            device: device.clone(),
            family: None,
            min_experts,
            defaults: keys,
            build: Box::new(move |values, shape, _| Ok(build(&values, shape))),
        }
    }

    /// Returns `true` if the configuration has this key.
    pub fn has_key(&self, key: &str) -> bool {
        self.defaults.contains_key(key)
    }

    /// The router for a case, on the subject's device, its weights drawn from the case's seed.
    pub(super) fn build(&self, case: &Case) -> Result<Box<dyn Specimen>, Stop> {
        self.build_with(case, &[], &self.device)
    }

    /// As [`build`](Self::build), on a given device and with further values for keys that it has.
    pub(super) fn build_with(
        &self,
        case: &Case,
        values: &[(&str, Value)],
        device: &Device,
    ) -> Result<Box<dyn Specimen>, Stop> {
        let of_case = [
            ("top_k", Value::from(case.top_k)),
            ("n_groups", Value::from(case.expert_groups)),
            ("topk_groups", Value::from(case.chosen_groups)),
        ];
        let mut config = self.defaults.clone();
        for (key, value) in of_case.iter().chain(values) {
            if let Some(slot) = config.get_mut(*key) {
                *slot = value.clone();
            }
        }
        let router = (self.build)(config, &case.shape(), device)?;
        Ok(redrawn(&*router, case.seed))
    }

    /// Returns `true` if every token has exactly `top_k` experts. With ReMoE's multiplier, `top_k` is a
    /// mean to be reached.
    pub(super) fn fixed_k(&self) -> bool {
        self.has_key("top_k") && !self.has_key("lambda")
    }

    /// The default of a key that holds a number.
    pub(super) fn default_number(&self, key: &str) -> Option<f64> {
        self.defaults.get(key).and_then(Value::as_f64)
    }
}

fn table(config: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(values)) => values,
        _ => Map::new(),
    }
}

fn invalid(error: impl std::fmt::Display) -> Stop {
    Stop::not_applicable(format!("not valid at these sizes: {error}"))
}

/// The router with every matrix drawn anew from the seed, for a case must mean the same whenever it is
/// run; a framework draws from a generator that all threads share. Vectors and constants stay.
fn redrawn(router: &dyn Specimen, seed: u64) -> Box<dyn Specimen> {
    let mut rng = ChaCha8Rng::seed_from_u64(mix_seed(seed, 3));
    router.edited(&mut |shape, values| {
        let is_constant = values.windows(2).all(|pair| pair[0] == pair[1]);
        if shape.len() < 2 || (is_constant && values.len() > 1) {
            return;
        }
        let std = 1.0 / (shape[0] as f64).sqrt();
        for value in values {
            let draw: f64 = rng.sample(StandardNormal);
            *value = (draw * std) as f32;
        }
    })
}
