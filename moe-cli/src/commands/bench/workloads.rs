//! The arguments that benchmarks of layers share: workloads, activations, rounds.

use clap::{Args, ValueEnum};
use moe_bench::contest::Contest;
use moe_bench::workloads::{Workload, WorkloadGroup};
use moe_experts::Activation;

/// The layers.
#[derive(Args, Debug)]
pub(super) struct WorkloadArgs {
    /// Workloads; all if left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = group)]
    workload: Vec<WorkloadGroup>,
    /// Activations; both if left out
    #[arg(long, value_enum, value_name = "NAME", value_delimiter = ',')]
    activation: Vec<ActivationName>,
    #[command(flatten)]
    pub(super) rounds: RoundArgs,
}

/// The number of times.
#[derive(Args, Debug)]
pub(super) struct RoundArgs {
    /// Times that everything is measured, in alternation
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = super::at_least_one)]
    pub(super) rounds: usize,
    /// Rounds before those that count
    #[arg(long, value_name = "N", default_value_t = 2)]
    warmup: usize,
}

/// The activations that all peers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ActivationName {
    /// Two matrices
    Gelu,
    /// Three matrices
    Swiglu,
}

pub(super) fn group(name: &str) -> Result<WorkloadGroup, String> {
    let names = WorkloadGroup::NAMES.join(", ");
    WorkloadGroup::of(name).ok_or_else(|| {
        format!("there is no workload `{name}`; there are {names}, and F8 to F256 of F alone")
    })
}

impl WorkloadArgs {
    pub(super) fn groups(&self) -> Vec<WorkloadGroup> {
        match &self.workload[..] {
            [] => WorkloadGroup::all(),
            groups => groups.to_vec(),
        }
    }

    pub(super) fn activations(&self) -> Vec<Activation> {
        let all = [ActivationName::Gelu, ActivationName::Swiglu];
        let chosen = match &self.activation[..] {
            [] => &all[..],
            chosen => chosen,
        };
        let activation = |name: &ActivationName| match name {
            ActivationName::Gelu => Activation::Gelu,
            ActivationName::Swiglu => Activation::SwiGlu,
        };
        chosen.iter().map(activation).collect()
    }

    /// Every workload with every activation.
    pub(super) fn single(&self) -> Vec<(Workload, Activation)> {
        let groups = self.groups().into_iter();
        let workloads = groups.flat_map(|group| group.workloads);
        workloads
            .flat_map(|w| self.activations().into_iter().map(move |a| (w.clone(), a)))
            .collect()
    }
}

impl RoundArgs {
    pub(super) fn contest(&self) -> Contest {
        Contest {
            warmup: self.warmup,
            rounds: self.rounds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_none_says_which_there_are() {
        assert_eq!(group("F64").map(|g| g.name), Ok("F64"));
        let error = group("G").expect_err("no workload");
        assert!(error.contains("there are A, B, C, D, E, F"), "{error}");
    }
}
