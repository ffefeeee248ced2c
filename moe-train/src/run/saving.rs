//! Saving of a run's weights, and what follows when they are no numbers any more.

use super::checkpoint::{self, CheckpointState};
use super::train::Run;
use super::{Diverged, Event, Observer, Outcome, RunError, Watch};
use crate::config::Keep;
use crate::parallel::Command;
use moe_models::not_finite;

impl Run<'_> {
    /// Saves a checkpoint, unless it is the one that the run was continued from.
    pub(super) fn save_once(&mut self, observer: &mut dyn Observer) -> Result<(), RunError> {
        // a run that is continued and told to stop at once has its checkpoint already
        let steps = self.folder.checkpoint_steps()?;
        if steps.last() == Some(&self.trainer.step) {
            return Ok(());
        }
        self.save(observer)
    }

    /// Saves a checkpoint, unless the last update has made weights that are not numbers. The older one stays
    /// until a step or an evaluation with the new one's weights has given numbers.
    fn save(&mut self, observer: &mut dyn Observer) -> Result<(), RunError> {
        let step = self.trainer.step;
        self.lead.say(&Command::Save);
        let saved = checkpoint::Saved::of(&self.trainer);
        if let Some(parameter) = not_finite(&saved.model) {
            let found = format!("its update made `{parameter}` infinite or not a number");
            return Err(self.diverged(found, step)?);
        }
        let state = CheckpointState {
            step,
            consumed: self.trainer.consumed(),
            wall_s: self.wall_s(),
            lm_loss: self.lm_loss,
            owes_evaluation: self.owes_evaluation,
            cost: self.cost.clone(),
            origin: self.origin.clone(),
            metrics: self.metrics.extent()?,
            records: checkpoint::Records::default(),
        };
        let path = checkpoint::save(&self.folder, saved, &state)?;
        self.untried = Some(step);
        observer.on(Event::Saved { step, path: &path });
        Ok(())
    }

    /// Deletes the checkpoints before the newest one, whose weights have given numbers, if they are not kept.
    pub(super) fn trust_checkpoint(&mut self) -> Result<(), RunError> {
        match self.untried.take() {
            Some(step) if self.config.train.keep == Keep::Last => {
                checkpoint::remove_older(&self.folder, step)
            }
            _ => Ok(()),
        }
    }

    /// Notes what the weights after `step` have given, and goes back to the checkpoint before if they were
    /// saved.
    pub(super) fn diverged(&mut self, found: String, step: u64) -> Result<RunError, RunError> {
        // the newest checkpoint holds the weights that gave no numbers; going on from it would give none
        // again
        if self.untried == Some(step) {
            checkpoint::go_back(&self.folder)?;
        }
        self.log(&format!("diverged: {found}"))?;
        let kept = self.folder.checkpoint_steps()?.last().copied();
        let train = &self.config.train;
        Ok(Diverged::new(self.trainer.step, found, kept, train).into())
    }

    /// Saves what was done.
    pub(super) fn interrupt(mut self, watch: &mut Watch<'_>) -> Result<Outcome, RunError> {
        let step = self.trainer.step;
        if step > 0 {
            self.save_once(watch.observer)?;
        }
        self.log("interrupted")?;
        Ok(Outcome::Interrupted { step })
    }
}
