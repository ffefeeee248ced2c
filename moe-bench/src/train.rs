//! The speed of training: optimizer steps of a run's configuration, timed one by one.

use burn::tensor::Device;
use moe_lab::stats::median;
use moe_train::config::RunConfig;
use moe_train::run::{RunError, StepMetrics, Trainer};
use moe_train::task::TaskData;
use serde::Serialize;
use std::fmt;
use std::sync::atomic::AtomicBool;

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
    /// Milliseconds a step, median.
    pub step_ms: f64,
    /// GFLOP a second of the model's matrix products, from the median and the exact count.
    pub gflop_per_s: f64,
    /// The number of timed steps.
    pub steps: usize,
}

/// Times `steps` training steps after `warmup` steps that are not counted. Writes nothing.
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
) -> Result<TrainBench, RunError> {
    assert!(steps > 0, "at least one step must be timed");
    let data = TaskData::load(config, &AtomicBool::new(false))?;
    let mut batches = data.batches(config.seed, 0, config.train.batch_size);
    let mut trainer = Trainer::new(config, device);
    for _ in 0..warmup {
        trainer.step(&mut batches)?;
    }
    let speed = |made: StepMetrics| made.tokens_per_s;
    let speeds: Vec<f64> = (0..steps)
        .map(|_| trainer.step(&mut batches).map(speed))
        .collect::<Result<_, _>>()?;
    let tokens_per_s = median(&speeds);
    Ok(TrainBench {
        run: config.run_name(),
        tokens_per_s,
        tokens_per_s_min: speeds.iter().copied().fold(f64::INFINITY, f64::min),
        tokens_per_s_max: speeds.iter().copied().fold(0.0, f64::max),
        step_ms: 1e3 * config.tokens_per_step() as f64 / tokens_per_s,
        gflop_per_s: config.account().flops_per_token_training as f64 * tokens_per_s / 1e9,
        steps,
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
        writeln!(f, "step           {:.0} ms", self.step_ms)?;
        write!(f, "matrix work    {:.1} GFLOP/s", self.gflop_per_s)
    }
}
