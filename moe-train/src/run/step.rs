//! An optimizer step over several micro-batches.

use super::metrics::{LayerMeter, add_routings};
use super::{StepMetrics, adamw, clip_by_global_norm, learning_rate};
use crate::config::RunConfig;
use crate::task::{AnyModel, OtherTask, TaskBatch, TaskBatches, TaskOutput};
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use moe_router::Load;
use moe_router::parts::mix_seed;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// State that a training step changes: the model, the optimizer's moments, and the step itself. Everything
/// else (data order, noise, learning rate) is a function of the step and the configuration.
pub struct Trainer {
    /// The model, on a device with gradients.
    pub model: AnyModel,
    /// The optimizer with its moments.
    pub optimizer: ModuleOptimizer,
    /// The number of steps made.
    pub step: u64,
    config: RunConfig,
    device: Device,
}

impl Trainer {
    /// A trainer before its first step.
    pub fn new(config: &RunConfig, device: &Device) -> Self {
        let device = device.clone().autodiff();
        let model = config.init_model(&device);
        Self {
            optimizer: adamw(&model, &config.train),
            model,
            step: 0,
            config: config.clone(),
            device,
        }
    }

    /// The device of the model, with gradients.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The number of sequences or images that the steps so far have used.
    pub fn consumed(&self) -> u64 {
        let train = &self.config.train;
        self.step * (train.batch_size * train.accumulate) as u64
    }

    /// Makes one optimizer step: gradients of all micro-batches, clipping, AdamW, router state.
    ///
    /// # Errors
    ///
    /// If the batches are of another task than the model.
    pub fn step(&mut self, batches: &mut TaskBatches<'_>) -> Result<StepMetrics, OtherTask> {
        let made = self.step_unless(batches, &AtomicBool::new(false))?;
        Ok(made.expect("nobody asks it to stop"))
    }

    /// As [`step`](Self::step), but none, and nothing changed, if `stop` is set before its last micro-batch.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    pub fn step_unless(
        &mut self,
        batches: &mut TaskBatches<'_>,
        stop: &AtomicBool,
    ) -> Result<Option<StepMetrics>, OtherTask> {
        let started = Instant::now();
        let mut sums = StepSums::default();
        let Some(mut grads) = self.gradients(batches, &mut sums, stop)? else {
            return Ok(None);
        };
        self.step += 1;
        let train = &self.config.train;
        let grad_norm = clip_by_global_norm(&self.model, &mut grads, train.clip_norm);
        let lr = learning_rate(train, self.step);
        let model = self.optimizer.step(lr, self.model.clone(), grads);
        let loads: Vec<Load> = sums.meters.iter().map(|meter| meter.load.clone()).collect();
        self.model = model.advance_routers(&loads);

        let tokens = self.config.tokens_per_step();
        Ok(Some(StepMetrics {
            step: self.step,
            tokens: self.step * tokens,
            loss: sums.loss,
            lm_loss: sums.lm_loss,
            mtp_loss: sums.mtp_loss,
            accuracy: sums.accuracy,
            balance: sums.balance,
            lr,
            grad_norm,
            layers: sums.meters.iter().map(LayerMeter::metrics).collect(),
            tokens_per_s: tokens as f64 / started.elapsed().as_secs_f64(),
        }))
    }

    /// The gradients of the next step's loss: the mean over the predictions of all micro-batches, which may have
    /// different numbers of them, plus the mean over micro-batches of their balance losses.
    fn gradients(
        &self,
        batches: &mut TaskBatches<'_>,
        sums: &mut StepSums,
        stop: &AtomicBool,
    ) -> Result<Option<GradientsParams>, OtherTask> {
        let accumulate = self.config.train.accumulate;
        let micro_batches: Vec<TaskBatch> = (0..accumulate).map(|_| batches.draw()).collect();
        let n_targets: usize = micro_batches.iter().map(TaskBatch::n_targets).sum();
        let mut accumulator = GradientsAccumulator::new();
        for (micro, batch) in micro_batches.iter().enumerate() {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let noise = mix_seed(mix_seed(self.config.seed, self.step + 1), micro as u64);
            let output = self.model.learn(batch, noise, &self.device)?;
            let share = Share {
                targets: batch.n_targets() as f64 / n_targets.max(1) as f64,
                batch: 1.0 / accumulate as f64,
            };
            let grads = sums.add(output, share, &self.config).backward();
            accumulator.accumulate(&self.model, GradientsParams::from_grads(grads, &self.model));
        }
        Ok(Some(accumulator.grads()))
    }
}

/// The share of a micro-batch in its step.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// Of the predictions.
    targets: f64,
    /// Of the micro-batches.
    batch: f64,
}

/// Sums over the micro-batches of a step, each by its share.
#[derive(Default)]
struct StepSums {
    loss: f64,
    lm_loss: f64,
    mtp_loss: Option<f64>,
    accuracy: Option<f64>,
    balance: BTreeMap<String, f64>,
    meters: Vec<LayerMeter>,
}

impl StepSums {
    /// Adds a micro-batch, and returns its part of the step's loss: the task's own, plus the weighted loss of
    /// further tokens, plus the weighted balance losses, each averaged over the layers.
    fn add(&mut self, output: TaskOutput, share: Share, config: &RunConfig) -> Tensor<1> {
        self.lm_loss += scalar(&output.loss) * share.targets;
        if let Some(accuracy) = output.accuracy {
            *self.accuracy.get_or_insert_default() += accuracy * share.targets;
        }

        let mut loss = output.loss * share.targets;
        if let Some(further) = output.further {
            *self.mtp_loss.get_or_insert_default() += scalar(&further) * share.targets;
            loss = loss + further * (config.model.mtp_weight() * share.targets);
        }
        let n_layers = output.routings.len() as f64;
        for routing in &output.routings {
            for term in config.balance.terms(routing) {
                *self.balance.entry(term.name.to_owned()).or_default() +=
                    scalar(&term.value) / n_layers * share.batch;
                loss = loss + term.value * (term.weight / n_layers * share.batch);
            }
        }
        self.loss += scalar(&loss);
        add_routings(&mut self.meters, &output.routings);
        loss
    }
}

fn scalar(x: &Tensor<1>) -> f64 {
    f64::from(x.clone().detach().into_scalar::<f32>())
}
