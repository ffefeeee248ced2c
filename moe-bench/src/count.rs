//! Costs of a layer on a device beside its arithmetic: launches of kernels, and reads by the host.

use crate::layer_table::activation_name;
use crate::pass::Pass;
use crate::table::{columns, thousands};
use crate::workloads::Workload;
use burn::tensor::Device;
use moe_experts::Activation;
use moe_router::reads;
use serde::Serialize;
use std::fmt;

/// Counts of one call of a layer, router included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LayerCount {
    /// The workload's name.
    pub workload: &'static str,
    /// The experts' activation.
    pub activation: Activation,
    /// The pass.
    pub pass: Pass,
    /// The device's name.
    pub device: String,
    /// Kernels that were launched; none where the backend does not say.
    pub launches: Option<u64>,
    /// Reads by the host.
    pub reads: u64,
    /// The bytes of these reads.
    pub bytes_read: u64,
}

/// Counts of several layers.
#[derive(Debug)]
pub struct LayerCounts<'a>(pub &'a [LayerCount]);

impl LayerCount {
    /// Counts the second call with the same tokens, after what only a first call does.
    pub fn measure(
        workload: &Workload,
        activation: Activation,
        pass: Pass,
        name: &str,
        device: &Device,
    ) -> Self {
        let device = pass.device(device);
        let layer = workload.init(activation, &device);
        let input = workload.inputs(&device).swap_remove(0);
        let forward = |input| layer.forward_tokens(input).output;
        let mut call = pass.work(device.clone(), vec![input], forward);
        call();
        let ((launches, ()), read) = reads::during(|| launches::during(&mut call));
        Self {
            workload: workload.name,
            activation,
            pass,
            device: name.to_owned(),
            // a layer launches something, if its backend is one that says so
            launches: launches.filter(|&n| n > 0),
            reads: read.count,
            bytes_read: read.bytes,
        }
    }
}

impl fmt::Display for LayerCounts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["", "device", "pass", "launches", "reads", "bytes read"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        rows.extend(self.0.iter().map(|count| {
            vec![
                format!("{} {}", count.workload, activation_name(count.activation)),
                count.device.clone(),
                count.pass.to_string(),
                count
                    .launches
                    .map_or("-".to_owned(), |n| thousands(n as usize)),
                count.reads.to_string(),
                thousands(count.bytes_read as usize),
            ]
        }));
        write!(f, "{}", columns(&rows))
    }
}

/// Launches of a backend that says when it launches: those on CubeCL.
#[cfg(feature = "cube")]
mod launches {
    use cubecl_runtime::logging::{LaunchObservation, LaunchObserver};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Default)]
    struct Counter(AtomicU64);

    impl LaunchObserver for Counter {
        fn launched(&self, _: &'static str) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Calls `f` and counts the launches of all threads meanwhile.
    pub(super) fn during<T>(f: impl FnOnce() -> T) -> (Option<u64>, T) {
        let counter = Arc::new(Counter::default());
        let observation = LaunchObservation::new(counter.clone());
        let value = f();
        drop(observation);
        (Some(counter.0.load(Ordering::Relaxed)), value)
    }
}

/// No backend of this build says when it launches.
#[cfg(not(feature = "cube"))]
mod launches {
    pub(super) fn during<T>(f: impl FnOnce() -> T) -> (Option<u64>, T) {
        (None, f())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workloads::WorkloadGroup;

    #[test]
    fn a_layer_of_the_host_reads_its_scores_once_and_launches_nothing() {
        let group = WorkloadGroup::of("E").expect("a workload of one token");
        let workload = &group.workloads[0];
        for pass in [Pass::Forward, Pass::ForwardBackward] {
            let count =
                LayerCount::measure(workload, Activation::Silu, pass, "flex", &Device::flex());
            assert_eq!((count.launches, count.reads), (None, 1));
            // the scores of one token for 8 experts
            assert_eq!(count.bytes_read, 32);
            let text = LayerCounts(&[count]).to_string();
            assert!(
                text.contains("E silu") && text.contains("bytes read"),
                "{text}"
            );
        }
    }
}
