//! The same model at other capacities than it was trained with: a capacity is no parameter.

use super::AnalyzeError;
use super::pictures::PatchPlan;
use super::reading::Reading;
use super::takes::takes;
use burn::module::Module;
use burn::tensor::Device;
use moe_models::vmoe::Vmoe;
use moe_train::config::{ConfigError, RunConfig};
use moe_train::run::{LayerMeter, RunError};
use serde::Serialize;

/// The capacity factors that are looked at unless others are given.
pub const DEFAULT_CAPACITIES: [f64; 4] = [1.0, 0.5, 0.25, 0.1];

/// The fate of images at a capacity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AtCapacity {
    /// The capacity factor.
    pub capacity: f64,
    /// True for the run's own.
    pub is_own: bool,
    /// The share of images named right.
    pub accuracy: f64,
    /// The drops of each layer.
    pub layers: Vec<CapacityLayer>,
    /// The patches of each shown image that no expert of each layer computes: `[pictures][layers]`.
    pub dropped: Vec<Vec<Vec<usize>>>,
}

/// The drops of a layer at a capacity.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CapacityLayer {
    /// The share of assignments that were dropped.
    pub drop_rate: f64,
    /// The share of patches that no expert computes.
    pub without_expert: f64,
}

/// The configuration with another capacity factor in evaluation.
///
/// # Errors
///
/// If the router does not take it.
fn at_capacity(config: &RunConfig, capacity: f64) -> Result<RunConfig, ConfigError> {
    let router = config.router.clone().with_capacity_factor(capacity);
    config.model().validate(&router)?;
    Ok(RunConfig {
        router,
        ..config.clone()
    })
}

/// The configurations of the capacities to look at, the run's own first; none if the router has none.
///
/// # Errors
///
/// If some are asked for that the router does not take.
pub(super) fn capacities(
    config: &RunConfig,
    asked: Option<&[f64]>,
) -> Result<Vec<(f64, RunConfig)>, AnalyzeError> {
    let Some(own) = config.router.capacity_factor() else {
        let what = format!("the router `{}`", config.router.name());
        return match asked {
            Some(_) => Err(AnalyzeError::NoCapacity { what }),
            None => Ok(Vec::new()),
        };
    };
    let mut all = vec![(own, config.clone())];
    for &capacity in asked.unwrap_or(&DEFAULT_CAPACITIES) {
        let config = at_capacity(config, capacity).map_err(RunError::from)?;
        if all.iter().all(|(other, _)| *other != capacity) {
            all.push((capacity, config));
        }
    }
    Ok(all)
}

/// The trained model by a configuration with another capacity.
pub(super) fn model_of(config: &RunConfig, model: &Vmoe, device: &Device) -> Vmoe {
    let other = model
        .config
        .init_seeded(&config.router, config.seed, device);
    other
        .try_load_record(model.clone().into_record())
        .expect("a capacity changes no parameter")
}

/// Reads all images with the model at a capacity, and looks at `shown` of them.
pub(super) fn look(
    reading: &Reading<'_>,
    model: &Vmoe,
    capacity: f64,
    shown: &[usize],
) -> AtCapacity {
    let mut layers: Vec<DropCounts> = Vec::new();
    let mut dropped = vec![Vec::new(); shown.len()];
    let accuracy = reading.each(model, |seen| {
        layers.resize_with(seen.routings.len(), DropCounts::default);
        for (counts, routing) in layers.iter_mut().zip(&seen.routings) {
            let plans = PatchPlan::of(routing, &takes(routing), &reading.grid);
            counts.meter.add(routing);
            for (i, plan) in plans[..seen.places.len()].iter().enumerate() {
                let none = plan.dropped();
                counts.n_patches += reading.grid.n_patches();
                counts.n_without += none.len();
                if let Some(place) = shown.iter().position(|place| *place == seen.places[i]) {
                    dropped[place].push(none);
                }
            }
        }
    });
    AtCapacity {
        capacity,
        is_own: false,
        accuracy,
        layers: layers.iter().map(DropCounts::finish).collect(),
        dropped,
    }
}

/// The drops of a layer so far.
#[derive(Debug, Default)]
struct DropCounts {
    meter: LayerMeter,
    n_patches: usize,
    n_without: usize,
}

impl DropCounts {
    fn finish(&self) -> CapacityLayer {
        CapacityLayer {
            drop_rate: self.meter.metrics().drop_rate,
            without_expert: self.n_without as f64 / self.n_patches.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(router: &str) -> RunConfig {
        let router = format!("router.name={router}");
        RunConfig::of_overrides(&["model.family=vmoe", &router]).expect("a router of the list")
    }

    #[test]
    fn each_router_has_its_own_factor() {
        let of = |router| config(router).router.capacity_factor();
        assert_eq!(of("vmoe"), Some(1.05));
        assert_eq!(of("st_moe"), Some(2.0)); // in training 1.25
        for router in ["composed", "mixtral", "mixture_of_depths", "soft_moe"] {
            assert_eq!(of(router), None, "{router}");
        }
    }

    #[test]
    fn only_the_capacity_changes() {
        for router in ["vmoe", "st_moe", "expert_choice", "switch", "gshard"] {
            let before = config(router);
            let after = at_capacity(&before, 0.25).expect("a capacity");
            assert_eq!(after.router.capacity_factor(), Some(0.25), "{router}");
            let own = before.router.capacity_factor().expect("it has one");
            assert_eq!(
                at_capacity(&after, own).expect("a capacity"),
                before,
                "{router}"
            );
            assert!(at_capacity(&before, -1.0).is_err(), "{router}");
        }
    }
}
