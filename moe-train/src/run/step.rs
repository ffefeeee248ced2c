use super::metrics::{LayerMeter, add_routings};
use super::{StepMetrics, adamw, clip_by_global_norm, learning_rate};
use crate::config::RunConfig;
use crate::task::{AnyModel, TaskBatches, TaskOutput};
use burn::optim::{GradientsAccumulator, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor};
use moe_router::Load;
use moe_router::parts::mix_seed;
use std::collections::BTreeMap;
use std::time::Instant;

/// What a training step changes: the model, the optimizer's moments, and the step itself. Everything
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
    pub fn step(&mut self, batches: &mut TaskBatches<'_>) -> StepMetrics {
        let started = Instant::now();
        self.step += 1;
        let mut sums = StepSums::default();
        let mut grads = self.gradients(batches, &mut sums);
        let train = &self.config.train;
        let grad_norm = clip_by_global_norm(&self.model, &mut grads, train.clip_norm);
        let lr = learning_rate(train, self.step);
        let model = self.optimizer.step(lr, self.model.clone(), grads);
        let loads: Vec<Load> = sums.meters.iter().map(|meter| meter.load.clone()).collect();
        self.model = model.advance_routers(&loads);

        let tokens = self.config.tokens_per_step();
        let mean = |sum: f64| sum / train.accumulate as f64;
        StepMetrics {
            step: self.step,
            tokens: self.step * tokens,
            loss: mean(sums.loss),
            lm_loss: mean(sums.lm_loss),
            mtp_loss: sums.mtp_loss.map(mean),
            accuracy: sums.accuracy.map(mean),
            balance: sums
                .balance
                .into_iter()
                .map(|(k, v)| (k, mean(v)))
                .collect(),
            lr,
            grad_norm,
            layers: sums.meters.iter().map(LayerMeter::metrics).collect(),
            tokens_per_s: tokens as f64 / started.elapsed().as_secs_f64(),
        }
    }

    /// The gradients of the mean loss over the step's micro-batches.
    fn gradients(&self, batches: &mut TaskBatches<'_>, sums: &mut StepSums) -> GradientsParams {
        let accumulate = self.config.train.accumulate;
        let mut accumulator = GradientsAccumulator::new();
        for micro in 0..accumulate {
            let noise = mix_seed(mix_seed(self.config.seed, self.step), micro as u64);
            let output = self.model.learn(&batches.draw(), noise, &self.device);
            let loss = sums.add(output, &self.config);
            let grads = (loss / accumulate as f64).backward();
            accumulator.accumulate(&self.model, GradientsParams::from_grads(grads, &self.model));
        }
        accumulator.grads()
    }
}

/// Sums over the micro-batches of a step.
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
    /// Adds a micro-batch, and returns its loss: the task's own, plus the weighted loss of further
    /// tokens, plus the weighted balance losses, each averaged over the layers.
    fn add(&mut self, output: TaskOutput, config: &RunConfig) -> Tensor<1> {
        self.lm_loss += scalar(&output.loss);
        if let Some(accuracy) = output.accuracy {
            *self.accuracy.get_or_insert_default() += accuracy;
        }

        let mut loss = output.loss;
        if let Some(further) = output.further {
            *self.mtp_loss.get_or_insert_default() += scalar(&further);
            loss = loss + further * config.model.mtp_weight();
        }
        let n_layers = output.routings.len() as f64;
        for routing in &output.routings {
            for term in config.balance.terms(routing) {
                *self.balance.entry(term.name.to_owned()).or_default() +=
                    scalar(&term.value) / n_layers;
                loss = loss + term.value * (term.weight / n_layers);
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
