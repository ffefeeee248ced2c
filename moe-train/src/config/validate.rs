//! Checks that the values of a configuration fit together.

use super::{ConfigError, RunConfig};
use crate::data::{DataConfig, DataError};
use moe_models::ModelError;

impl RunConfig {
    /// Checks that all values fit together.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, where, and what to do.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_bounds()?;
        self.validate_images()?;
        self.validate_pairs()?;
        self.model().validate(&self.router)?;
        self.balance
            .validate(&self.router)
            .map_err(ModelError::from)?;
        self.validate_counts()?;
        self.validate_numbers()
    }

    fn validate_images(&self) -> Result<(), ConfigError> {
        let (DataConfig::Images(images), Some(model)) = (&self.data, self.model.keys().vision())
        else {
            return Ok(());
        };
        images.validate().map_err(DataError::from)?;
        let group = model.group_images;
        if group > 0 && !self.train.batch_size.is_multiple_of(group) {
            let divisor = "a divisor of train.batch_size";
            return Err(range("model.group_images", group as f64, divisor));
        }
        Ok(())
    }

    fn validate_pairs(&self) -> Result<(), ConfigError> {
        let DataConfig::Pairs(pairs) = &self.data else {
            return Ok(());
        };
        if self.train.seq_length < 2 {
            let length = self.train.seq_length as f64;
            return Err(range("train.seq_length", length, "at least 2"));
        }
        let checked = pairs.validate(self.train.seq_length);
        Ok(checked.map_err(DataError::from)?)
    }

    fn validate_counts(&self) -> Result<(), ConfigError> {
        let t = &self.train;
        let at_least_one = [
            ("train.steps", t.steps),
            ("train.batch_size", t.batch_size as u64),
            ("train.seq_length", self.tokens_per_sequence() as u64),
            ("train.accumulate", t.accumulate as u64),
            ("train.log_every", t.log_every),
            ("train.eval_every", t.eval_every),
            ("train.eval_windows", t.eval_windows as u64),
            ("train.checkpoint_every", t.checkpoint_every),
        ];
        if let Some((key, _)) = at_least_one.iter().find(|(_, value)| *value == 0) {
            return Err(range(key, 0.0, "at least 1"));
        }
        if self.tokens_per_sequence() <= self.model.n_mtp_layers() {
            let (length, above) = (t.seq_length as f64, "above model.n_mtp_layers");
            return Err(range("train.seq_length", length, above));
        }
        self.validate_steps()
    }

    fn validate_numbers(&self) -> Result<(), ConfigError> {
        let t = &self.train;
        let positive = [
            ("train.lr", t.lr),
            (
                "attention.rope_theta",
                self.attention.rope_theta().unwrap_or(1.0),
            ),
            ("model.norm_eps", self.model.norm_eps().unwrap_or(1.0)),
        ];
        let not_negative = [
            ("train.final_lr", t.final_lr),
            ("train.weight_decay", t.weight_decay),
            ("train.clip_norm", t.clip_norm),
            ("model.mtp_weight", self.model.mtp_weight()),
        ];
        let decays = [("train.beta_1", t.beta_1), ("train.beta_2", t.beta_2)];
        all(&positive, "a finite number above 0", |x| {
            x > 0.0 && x.is_finite()
        })?;
        all(&not_negative, "a finite number of at least 0", |x| {
            x >= 0.0 && x.is_finite()
        })?;
        all(&decays, "at least 0 and below 1", |x| {
            (0.0..1.0).contains(&x)
        })
    }
}

/// Refuses the first value that is not as it should be.
fn all(
    values: &[(&'static str, f64)],
    words: &'static str,
    is_good: fn(f64) -> bool,
) -> Result<(), ConfigError> {
    match values.iter().find(|(_, value)| !is_good(*value)) {
        Some(&(key, value)) => Err(range(key, value, words)),
        None => Ok(()),
    }
}

fn range(key: &'static str, value: f64, range: &'static str) -> ConfigError {
    ConfigError::Range { key, value, range }
}
