//! What tests of runs share.

use moe_train::config::RunConfig;
use moe_train::run::{Event, Observer, RunFolder, run_folder};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sets the stop flag after a step, as Ctrl-C does.
pub struct StopAfter<'a> {
    pub step: u64,
    pub stop: &'a AtomicBool,
}

impl Observer for StopAfter<'_> {
    fn on(&mut self, event: Event<'_>) {
        if let Event::Step(metrics) = event
            && metrics.step == self.step
        {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// The lines of metrics.jsonl without the one figure that differs from run to run.
pub fn metrics(config: &RunConfig, runs: &Path) -> Vec<serde_json::Value> {
    let path = RunFolder::new(run_folder(config, runs)).metrics();
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| {
            let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
            value.as_object_mut().unwrap().remove("tokens_per_s");
            value
        })
        .collect()
}
