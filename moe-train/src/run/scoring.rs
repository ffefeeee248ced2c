//! Scoring of a run's validation part, in between and at the end.

use super::evaluate::{Scope, evaluate};
use super::files::write_json;
use super::papers::write_summary;
use super::train::Run;
use super::{EvalMetrics, Event, RunError, Summary, Watch};
use crate::data::Split;
use crate::parallel::Command;
use burn::module::Module;

impl Run<'_> {
    /// Scores at most so many windows, images or pairs of the validation part; nothing if it was told to stop.
    pub(super) fn evaluate(
        &mut self,
        most: usize,
        watch: &mut Watch<'_>,
    ) -> Result<Option<EvalMetrics>, RunError> {
        let device = self.trainer.device().clone().without_autodiff();
        let (split, most) = (Split::Validation, Some(most));
        self.lead.say(&Command::Evaluate { split, most });
        let mesh = self.trainer.mesh().clone();
        let scope = Scope {
            split,
            most,
            batch_size: self.config.train.batch_size,
            world: &*mesh.world,
        };
        let model = self.trainer.whole_model().valid();
        let step = self.trainer.step;
        let mut metrics = match evaluate(model.with(self.data)?, scope, &device, watch) {
            Ok(Some(metrics)) => metrics,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.diverged(error.to_string(), step)?),
        };
        metrics.step = step;
        self.metrics.write("eval", &metrics)?;
        watch.observer.on(Event::Evaluated(&metrics));
        Ok(Some(metrics))
    }

    /// Makes the last evaluation and the summary; nothing if it was told to stop.
    pub(super) fn finish(&mut self, watch: &mut Watch<'_>) -> Result<Option<Summary>, RunError> {
        let config = self.config;
        // before the last evaluation, which is not counted as training
        let wall_s = self.wall_s();
        let Some(validation) = self.evaluate(config.train.final_windows(), watch)? else {
            return Ok(None);
        };
        let account = config.account();
        let summary = Summary {
            run: config.run_name(),
            seed: config.seed,
            steps: config.train.steps,
            tokens: config.train.steps * config.tokens_per_step(),
            params_total: account.params_total,
            params_active: account.params_active,
            causal: config.is_causal(),
            causal_in_training: config.is_causal_in_training(),
            measured: self.cost.measured(config),
            lm_loss: self.lm_loss,
            validation,
        };
        // the evaluation gave numbers, so the older checkpoints may go
        self.trust_checkpoint()?;
        let manifest = self.manifest.clone().measured(wall_s, summary.tokens);
        // before the summary, with which the manifest's hash is written
        write_json(&self.folder.manifest(), &manifest)?;
        write_summary(&self.folder, &summary, &self.origin, self.metrics.extent()?)?;
        self.log("finished")?;
        Ok(Some(summary))
    }
}
