//! The speed of training: optimizer steps of a run's configuration, timed one by one.

use crate::profile::Profile;
use crate::timing::Timing;
use burn::tensor::Device;
use moe_experts::profile::record;
use moe_lab::stats::median;
use moe_train::config::RunConfig;
use moe_train::run::{RunError, StepMetrics, Trainer};
use moe_train::task::{OtherTask, TaskData};
use serde::Serialize;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Training speed of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainBench {
    /// The run's name.
    pub run: String,
    /// Tokens a second, median over the timed steps.
    pub tokens_per_s: f64,
    /// The slowest step's tokens a second.
    pub tokens_per_s_min: f64,
    /// The fastest step's tokens a second.
    pub tokens_per_s_max: f64,
    /// The time of a step.
    pub step: Timing,
    /// GFLOP a second of the model's matrix products, from the median and the exact count.
    pub gflop_per_s: f64,
    /// The number of timed steps.
    pub steps: usize,
    /// The parts of a step, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// Times `steps` training steps after `warmup` steps that are not counted. Writes nothing. With a clock of the time that
/// processors have worked, such as [`processors`](crate::profile::processors), their parts are told too.
///
/// # Errors
///
/// Returns an error if the data cannot be loaded.
///
/// # Panics
///
/// Panics if `steps` is zero.
pub fn bench(
    config: &RunConfig,
    device: &Device,
    warmup: usize,
    steps: usize,
    clock: Option<fn() -> Duration>,
) -> Result<TrainBench, RunError> {
    assert!(steps > 0, "at least one step must be timed");
    let data = TaskData::load(config, &AtomicBool::new(false))?;
    let mut batches = data.batches(config.seed, 0, config.train.batch_size);
    let mut trainer = Trainer::new(config, device);
    for _ in 0..warmup {
        trainer.step(&mut batches)?;
    }
    let speed = |made: StepMetrics| made.tokens_per_s;
    let mut timed = || -> Result<Vec<f64>, OtherTask> {
        let step = |_| trainer.step(&mut batches).map(speed);
        (0..steps).map(step).collect()
    };
    let (speeds, profile) = if let Some(clock) = clock {
        let start = Instant::now();
        let (speeds, times) = record(clock, timed);
        let whole = start.elapsed();
        (speeds?, Some(Profile::new(&times, steps, whole)))
    } else {
        (timed()?, None)
    };
    let tokens_per_s = median(&speeds);
    let seconds = speeds
        .iter()
        .map(|speed| config.tokens_per_step() as f64 / speed);
    let seconds: Vec<f64> = seconds.collect();
    Ok(TrainBench {
        run: config.run_name(),
        tokens_per_s,
        tokens_per_s_min: speeds.iter().copied().fold(f64::INFINITY, f64::min),
        tokens_per_s_max: speeds.iter().copied().fold(0.0, f64::max),
        step: Timing::of(&seconds),
        gflop_per_s: config.account().flops_per_token_training as f64 * tokens_per_s / 1e9,
        steps,
        profile,
    })
}

impl fmt::Display for TrainBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "run            {}", self.run)?;
        writeln!(
            f,
            "tokens/s       {:.0}  ({:.0} to {:.0} over {} steps)",
            self.tokens_per_s, self.tokens_per_s_min, self.tokens_per_s_max, self.steps
        )?;
        writeln!(f, "step           {:.0} ms", 1e3 * self.step.median_s)?;
        write!(f, "matrix work    {:.1} GFLOP/s", self.gflop_per_s)?;
        match &self.profile {
            Some(profile) => write!(f, "\n\n{profile}"),
            None => Ok(()),
        }
    }
}
