//! An optimizer step over several micro-batches.

use super::clip::{clip_by_global_norm, clip_shared};
use super::metrics::LayerMeter;
use super::micro_batch::{Share, StepSums};
use super::{CheckpointState, RunError, RunFolder, StepMetrics, adamw, learning_rate};
use super::{checkpoint, from};
use crate::config::RunConfig;
use crate::parallel::{Part, cut_model, cut_moments, reduce, whole_model, whole_moments};
use crate::task::{AnyModel, OtherTask, TaskBatch, TaskBatches};
use burn::optim::{GradientsParams, ModuleOptimizer, OptimizerRecord};
use burn::store::RecordError;
use burn::tensor::Device;
use moe_experts::profile;
use moe_experts::spread::{Spread, Traffic};
use moe_parallel::{Mesh, TreeSum, gather_values};
use moe_router::Load;
use moe_router::parts::mix_seed;
use std::sync::Arc;
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
    /// The ranks that make each step together.
    mesh: Mesh,
    /// Cost of the experts of other ranks in the last step.
    traffic: Traffic,
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
            mesh: Mesh::one(),
            traffic: Traffic::default(),
        }
    }

    /// One of several that make each step together, before the first step. Each starts from the weights of one
    /// process, and keeps its share.
    ///
    /// # Panics
    ///
    /// Panics if the ranks cannot share the micro-batches or the experts out, see [`Mesh::check`].
    pub fn shared(config: &RunConfig, device: &Device, mesh: Mesh) -> Self {
        Self::new(config, device).spread_over(mesh)
    }

    /// The trainer of a run that begins, or that goes on from a checkpoint.
    pub(crate) fn open(
        config: &RunConfig,
        device: &Device,
        mesh: Mesh,
        folder: &RunFolder,
        state: Option<&CheckpointState>,
    ) -> Result<Self, RunError> {
        let mut trainer = Self::new(config, device);
        match state {
            Some(state) => checkpoint::resume(folder, &mut trainer, state)?,
            None => from::start(&mut trainer, config)?,
        }
        Ok(trainer.spread_over(mesh))
    }

    fn spread_over(mut self, mesh: Mesh) -> Self {
        let n_experts = self.config.experts().n_experts;
        if let Err(error) = mesh.check(self.config.train.accumulate, n_experts) {
            panic!("{error}");
        }
        if mesh.experts.size() > 1 {
            let record = self.optimizer.to_record();
            let record = cut_moments(record, &self.model, &*mesh.experts)
                .expect("moments that are in memory can be read");
            self.optimizer = self.optimizer.load_record(record);
            self.model = cut_model(self.model, &*mesh.experts);
        }
        self.mesh = mesh;
        self
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The ranks that make each step together.
    pub(crate) fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Bytes and time that the experts of other ranks have cost this one in the last step.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// The model with all experts. All ranks of a replica call it.
    pub fn whole_model(&self) -> AnyModel {
        whole_model(self.model.clone(), &*self.mesh.experts)
    }

    /// The moments of all parameters. All ranks of a replica call it.
    ///
    /// # Errors
    ///
    /// Returns an error if Burn cannot read what it has written.
    pub fn whole_moments(&self) -> Result<OptimizerRecord, RecordError> {
        let record = self.optimizer.to_record();
        whole_moments(record, &self.model, &*self.mesh.experts)
    }

    /// Does the part of a rank that is not the first in saving a checkpoint.
    pub(crate) fn give_share(&self) {
        // the replica of rank 0 has all that is saved
        if self.mesh.replicas.rank() == 0 {
            self.whole_model();
            let moments = self.whole_moments();
            moments.expect("moments that are in memory can be read");
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
        let Some((mut grads, sums)) = self.gradients(batches, stop)? else {
            return Ok(None);
        };
        self.step += 1;
        let train = &self.config.train;
        // a step of one micro-batch has nothing to share out
        let grad_norm = match train.accumulate {
            1 => clip_by_global_norm(&self.model, &mut grads, train.clip_norm),
            _ => clip_shared(
                &self.model,
                &mut grads,
                train.clip_norm,
                &*self.mesh.experts,
            ),
        };
        profile::lap(profile::Part::Clipping, profile::Pass::Forward);
        let lr = learning_rate(train, self.step);
        let model = self.optimizer.step(lr, self.model.clone(), grads);
        profile::lap(profile::Part::Optimizer, profile::Pass::Forward);
        let loads: Vec<Load> = sums.meters.iter().map(|meter| meter.load.clone()).collect();
        self.model = model.advance_routers(&loads);

        let tokens = self.config.tokens_per_step();
        let metrics = StepMetrics {
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
        };
        profile::lap(profile::Part::Metrics, profile::Pass::Forward);
        Ok(Some(metrics))
    }

    /// The gradients of the next step's loss: the mean over the predictions of all micro-batches, which may have
    /// different numbers of them, plus the mean over micro-batches of their balance losses. This rank
    /// differentiates its own micro-batches, which are neighbours.
    fn gradients(
        &mut self,
        batches: &mut TaskBatches<'_>,
        stop: &AtomicBool,
    ) -> Result<Option<(GradientsParams, StepSums)>, OtherTask> {
        let accumulate = self.config.train.accumulate;
        let micro_batches: Vec<TaskBatch> = (0..accumulate).map(|_| batches.draw()).collect();
        profile::lap(profile::Part::Data, profile::Pass::Forward);
        let n_targets: usize = micro_batches.iter().map(TaskBatch::n_targets).sum();
        let each = accumulate / self.mesh.world.size();
        let experts = self.mesh.experts.clone();
        let spread = (experts.size() > 1).then(|| Spread::new(experts, each));
        let first = self.mesh.world.rank() * each;
        let mut sum = TreeSum::new(each);
        let mut mine = Vec::with_capacity(each);
        let own = micro_batches.iter().enumerate().skip(first).take(each);
        for (micro, batch) in own {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            let share = Share {
                targets: batch.n_targets() as f64 / n_targets.max(1) as f64,
                batch: 1.0 / accumulate as f64,
            };
            let (gradients, sums) = self.learn(micro, batch, share, spread.as_ref())?;
            mine.push(sums);
            sum.push(Part {
                model: &self.model,
                gradients,
            });
        }
        let mine_sum = sum.finish().map(|part| part.gradients);
        let grads = reduce(
            &self.model,
            mine_sum.unwrap_or_default(),
            spread.as_deref(),
            &self.mesh,
        );
        self.traffic = spread.map_or_else(Traffic::default, |spread| spread.traffic());
        let all = gather_values(&*self.mesh.world, mine);
        let sums = all
            .into_iter()
            .flatten()
            .fold(StepSums::default(), StepSums::plus);
        profile::lap(profile::Part::Gradients, profile::Pass::Forward);
        Ok(Some((grads, sums)))
    }

    /// The gradients of a micro-batch's part of the loss, without those of experts that other ranks hold.
    fn learn(
        &self,
        micro: usize,
        batch: &TaskBatch,
        share: Share,
        spread: Option<&Arc<Spread>>,
    ) -> Result<(GradientsParams, StepSums), OtherTask> {
        let noise = mix_seed(mix_seed(self.config.seed, self.step + 1), micro as u64);
        let learn = || self.model.learn(batch, noise, &self.device);
        let output = match spread {
            Some(spread) => spread.scope(learn),
            None => learn(),
        }?;
        profile::lap(profile::Part::Head, profile::Pass::Forward);
        let (loss, sums) = StepSums::of(output, share, &self.config);
        profile::lap(profile::Part::Metrics, profile::Pass::Forward);
        let gradients = loss.backward();
        profile::lap(profile::Part::Embedding, profile::Pass::Backward);
        let gradients = GradientsParams::from_grads(gradients, &self.model);
        profile::lap(profile::Part::Gradients, profile::Pass::Forward);
        Ok((gradients, sums))
    }
}
