//! Dispatchers of google-research/vmoe, which fill experts, by published names and options.

use super::error::Refusal;
use super::unread::unknown;
use moe_router::parts::CapacityRounding;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The fields as written.
#[derive(Deserialize, Debug, Default)]
pub(super) struct DispatcherFields {
    name: Option<String>,
    bfloat16: Option<bool>,
    capacity: Option<usize>,
    capacity_factor: Option<f64>,
    capacity_ceil_or_round: Option<String>,
    /// Absent means 4, `null` or 0 not at all.
    #[serde(default, deserialize_with = "present")]
    capacity_multiple_of: Option<Option<i64>>,
    pub(super) batch_priority: Option<bool>,
    #[serde(flatten)]
    left: Map<String, Value>,
}

/// Tells a field that is `null` from one that is absent.
pub(super) fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    value: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// Rule by which a router's mixtures fill their experts.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct PublishedDispatcher {
    /// The capacity of an expert relative to a balanced load.
    pub capacity_factor: f64,
    /// Rounding of the capacity.
    pub capacity_rounding: CapacityRounding,
    /// Number of which it is then made a multiple, upwards.
    pub capacity_multiple_of: usize,
    /// True if tokens are rounded to bf16 on their way to the experts and back.
    pub bfloat16: bool,
}

impl DispatcherFields {
    /// The fields that are not read, by their paths.
    pub(super) fn unread(&self) -> Vec<String> {
        unknown(&self.left, "encoder.moe.router.dispatcher.")
    }

    /// The dispatcher of groups that ask for `n_choices` places at `n_experts` experts.
    pub(super) fn resolve(
        self,
        n_experts: usize,
        n_choices: usize,
    ) -> Result<PublishedDispatcher, Refusal> {
        const FACTOR: &str = "encoder.moe.router.dispatcher.capacity_factor";
        self.check_name()?;
        let bfloat16 = self.bfloat16.unwrap_or(false);
        let given = self.capacity.filter(|capacity| *capacity > 0);
        let dispatcher = match (given, self.capacity_factor) {
            // a capacity is a factor that needs no rounding
            (Some(capacity), None) => PublishedDispatcher {
                capacity_factor: capacity as f64 * n_experts as f64 / n_choices as f64,
                capacity_rounding: CapacityRounding::NearestEven,
                capacity_multiple_of: 1,
                bfloat16,
            },
            (None, Some(capacity_factor)) => PublishedDispatcher {
                capacity_factor,
                capacity_rounding: self.rounding()?,
                capacity_multiple_of: self.multiple(),
                bfloat16,
            },
            (given, _) => {
                let value = if given.is_some() { "both" } else { "none" };
                let rule = "either capacity_factor or capacity must be given, and not both";
                return Err(Refusal::new(FACTOR, value, rule));
            }
        };
        check_capacity(dispatcher.capacity(n_experts, n_choices))?;
        Ok(dispatcher)
    }

    fn check_name(&self) -> Result<(), Refusal> {
        const NAME: &str = "encoder.moe.router.dispatcher.name";
        match self.name.as_deref() {
            None | Some("einsum" | "indices") => Ok(()),
            Some(other) => {
                let rule = "those known are einsum and indices, which compute the same";
                Err(Refusal::new(NAME, other, rule))
            }
        }
    }

    fn rounding(&self) -> Result<CapacityRounding, Refusal> {
        const ROUNDING: &str = "encoder.moe.router.dispatcher.capacity_ceil_or_round";
        match self.capacity_ceil_or_round.as_deref() {
            None | Some("ceil") => Ok(CapacityRounding::Up),
            Some("round") => Ok(CapacityRounding::NearestEven),
            Some(other) => Err(Refusal::new(ROUNDING, other, "it must be ceil or round")),
        }
    }

    /// Number that the capacity is made a multiple of.
    fn multiple(&self) -> usize {
        match self.capacity_multiple_of {
            None => 4,
            Some(multiple) => multiple.map_or(1, |n| n.clamp(1, 1 << 20) as usize),
        }
    }
}

pub(super) fn check_capacity(capacity: usize) -> Result<usize, Refusal> {
    match capacity {
        1..=1_048_576 => Ok(capacity),
        _ => Err(Refusal::new(
            "encoder.moe.router: the capacity of an expert",
            capacity,
            "it must be from 1 to 1048576",
        )),
    }
}

impl PublishedDispatcher {
    /// The places of an expert for `n_choices` choices of `n_experts` experts.
    pub fn capacity(&self, n_experts: usize, n_choices: usize) -> usize {
        let exact = n_choices as f64 * self.capacity_factor / n_experts as f64;
        let rounded = self.capacity_rounding.of(exact) as usize;
        rounded.next_multiple_of(self.capacity_multiple_of)
    }
}
