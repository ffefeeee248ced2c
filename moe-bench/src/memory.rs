//! The peak memory of training steps and of a layer's forward and backward pass, from what the system counts for the
//! process.

use crate::layer_table::activation_name;
use crate::pass::Pass;
use crate::table::{columns, thousands};
use crate::workloads::Workload;
use burn::tensor::Device;
use moe_checkpoint::disk;
use moe_experts::Activation;
use moe_models::MemoryEstimate;
use moe_router::Router;
use moe_train::config::RunConfig;
use moe_train::run::{RunError, Trainer};
use moe_train::task::TaskData;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::sync::atomic::AtomicBool;

/// The peak memory of forward and backward, bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerMemory {
    /// The workload's name.
    pub workload: String,
    /// The experts' activation.
    pub activation: Activation,
    /// Peak of the process beyond its memory before the layer was built.
    pub peak: usize,
    /// The weights of the layer.
    pub weights: usize,
    /// Tokens, output, and the gradients of both.
    pub tokens: usize,
    /// Peak less the weights, as many gradients, and tokens.
    pub beyond: usize,
    /// One value for each assignment and hidden unit, to compare with.
    pub hidden: usize,
}

impl LayerMemory {
    /// Builds the layer and runs forward and backward three times; building it is not measured. Memory that
    /// the allocator kept from earlier work would hide part of it, so this is for a process that has done
    /// nothing else.
    ///
    /// # Errors
    ///
    /// The system does not count (it needs `/proc/self/status`, that is, Linux).
    pub fn measure(
        workload: &Workload,
        activation: Activation,
        device: &Device,
    ) -> Result<Self, String> {
        let before = status("VmRSS:")?;
        let pass = Pass::ForwardBackward;
        let device = pass.device(device);
        let layer = workload.init(activation, &device);
        let n_params = workload.layer(activation).n_params();
        let inputs = workload.inputs(&device);
        // weights are drawn when they are first asked for, which takes memory of its own
        layer.router.route(inputs[0].clone());
        drop(layer.experts.weights());
        forget_peak()?;
        let forward = |input| layer.forward_tokens(input).output;
        let mut work = pass.work(device.clone(), inputs, forward);
        (0..3).for_each(|_| work());
        let peak = status("VmHWM:")?.saturating_sub(before);
        let float = size_of::<f32>();
        let weights = n_params * float;
        let tokens = 4 * workload.n_tokens * workload.d_model * float;
        Ok(Self {
            workload: workload.name.to_owned(),
            activation,
            peak,
            weights,
            tokens,
            beyond: peak.saturating_sub(2 * weights + tokens),
            hidden: workload.n_tokens * workload.top_k * workload.d_expert * float,
        })
    }
}

/// The peak memory of training steps beside what is counted without building the model, bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainMemory {
    /// The run's name.
    pub run: String,
    /// Memory of the process with the data read, before the model was built.
    pub before: usize,
    /// Peak of the steps beyond that.
    pub peak: usize,
    /// The parts as they are counted, activations by an estimate.
    pub counted: MemoryEstimate,
    /// Peak as a multiple of all parts together.
    pub ratio: f64,
    /// The number of steps.
    pub steps: usize,
}

impl TrainMemory {
    /// Makes `steps` training steps and writes nothing. Memory that the allocator kept from earlier work would hide part
    /// of theirs, so this is for a process that has done nothing else.
    ///
    /// # Errors
    ///
    /// Returns an error if the data cannot be loaded, or if the system does not count (it needs Linux).
    pub fn measure(
        config: &RunConfig,
        device: &Device,
        steps: usize,
    ) -> Result<Self, TrainMemoryError> {
        let data = TaskData::load(config, &AtomicBool::new(false)).map_err(RunError::from)?;
        let mut batches = data.batches(config.seed, 0, config.train.batch_size);
        let system = TrainMemoryError::System;
        let before = status("VmRSS:").map_err(system)?;
        forget_peak().map_err(system)?;
        let mut trainer = Trainer::new(config, device);
        for _ in 0..steps {
            trainer.step(&mut batches).map_err(RunError::from)?;
        }
        let peak = status("VmHWM:").map_err(system)?.saturating_sub(before);
        let counted = config.account().memory;
        Ok(Self {
            run: config.run_name(),
            before,
            peak,
            counted,
            ratio: peak as f64 / counted.total() as f64,
            steps,
        })
    }
}

/// Errors of [`TrainMemory::measure`].
#[derive(Debug, thiserror::Error)]
pub enum TrainMemoryError {
    /// The run cannot be made.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The system does not tell.
    #[error("the peak memory is not known: {0}")]
    System(String),
}

impl fmt::Display for TrainMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MemoryEstimate {
            weights_bytes,
            gradients_bytes,
            optimizer_bytes,
            activations_bytes,
        } = self.counted;
        let mut rows = Vec::new();
        let mut row = |name: &str, bytes: usize| {
            let mib = bytes as f64 / f64::from(1 << 20);
            rows.push(vec![name.to_owned(), format!("{mib:.1} MiB")]);
        };
        row("before the model: program and data", self.before);
        row("weights", weights_bytes);
        row("gradients", gradients_bytes);
        row("optimizer", optimizer_bytes);
        row("activations, estimated", activations_bytes);
        row("these four", self.counted.total());
        row("peak of the steps", self.peak);
        writeln!(f, "{}", columns(&rows))?;
        write!(
            f,
            "{:.2} times the four, over {} steps",
            self.ratio, self.steps
        )
    }
}

/// Makes the present the peak.
fn forget_peak() -> Result<(), String> {
    let path = "/proc/self/clear_refs";
    disk::write_whole(Path::new(path), b"5").map_err(|error| format!("{path}: {error}"))
}

/// A line of the process's status, in bytes.
fn status(key: &str) -> Result<usize, String> {
    let path = "/proc/self/status";
    let status =
        disk::read_text(Path::new(path), 1 << 20).map_err(|error| format!("{path}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kib.map(|kib| 1024 * kib)
        .ok_or_else(|| format!("{path} has no {key}"))
}

impl fmt::Display for LayerMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: usize| thousands(bytes / 1024);
        write!(
            f,
            "{} {}: peak {} KiB; weights {}, as many gradients, tokens {}; beyond these {} KiB, {:.2} x the \
             hidden values",
            self.workload,
            activation_name(self.activation),
            kib(self.peak),
            kib(self.weights),
            kib(self.tokens),
            kib(self.beyond),
            self.beyond as f64 / self.hidden as f64
        )
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::workloads::WorkloadGroup;

    #[test]
    fn the_peak_holds_at_least_weights_and_gradients() {
        let group = WorkloadGroup::of("F8").expect("a workload");
        let device = Device::flex();
        let memory = LayerMemory::measure(&group.workloads[0], Activation::Gelu, &device)
            .expect("Linux counts");
        // 2 * 8 experts of 512 x 256 floats
        assert_eq!(memory.weights, 2 * 8 * 512 * 256 * 4);
        assert_eq!(memory.hidden, 2048 * 8 * 256 * 4);
        assert!(memory.peak > memory.weights, "{memory}");
        assert!(memory.to_string().contains("F8 gelu: peak"), "{memory}");
    }
}
