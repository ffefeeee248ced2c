//! Training that has left the numbers, and what to do about it.

use crate::config::TrainConfig;
use std::fmt;
use thiserror::Error;

/// A loss, a gradient or weights that are not finite.
#[derive(Error, Debug, Clone, PartialEq)]
pub struct Diverged {
    /// The step.
    pub step: u64,
    /// The finding, such as "the loss is NaN".
    pub found: String,
    /// The step of the checkpoint that is left, if there is one.
    pub kept: Option<u64>,
    lr: f64,
    clip_norm: f64,
}

impl Diverged {
    pub(super) fn new(step: u64, found: String, kept: Option<u64>, train: &TrainConfig) -> Self {
        Self {
            step,
            found,
            kept,
            lr: train.lr,
            clip_norm: train.clip_norm,
        }
    }
}

impl fmt::Display for Diverged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clip = if self.clip_norm > 0.0 {
            format!("or train.clip_norm (now {})", self.clip_norm)
        } else {
            "or set train.clip_norm (now 0: the gradient has any length)".to_owned()
        };
        let kept = match self.kept {
            Some(step) => format!("the checkpoint of step {step} is kept"),
            None => "nothing was saved yet".to_owned(),
        };
        write!(
            f,
            "step {}: {}: training has diverged. Lower train.lr (now {:e}) {clip}; {kept}",
            self.step, self.found, self.lr
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_the_knobs_as_they_are_and_what_is_left() {
        let mut train = TrainConfig {
            lr: 1e9,
            ..Default::default()
        };
        let text = |kept, train: &TrainConfig| {
            Diverged::new(3, "the loss is NaN".to_owned(), kept, train).to_string()
        };
        assert_eq!(
            text(None, &train),
            "step 3: the loss is NaN: training has diverged. Lower train.lr (now 1e9) \
             or train.clip_norm (now 1); nothing was saved yet"
        );
        train.clip_norm = 0.0;
        let text = text(Some(2), &train);
        assert!(
            text.ends_with("has any length); the checkpoint of step 2 is kept"),
            "{text}"
        );
    }
}
