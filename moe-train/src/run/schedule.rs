//! The schedule of the learning rate.

use crate::config::TrainConfig;
use std::f64::consts::PI;

/// The learning rate of a step (from 1): a linear rise over the warm-up, then a cosine down to
/// `lr * final_lr` at the last step (Loshchilov & Hutter 2016, arXiv 1608.03983, equation 5, without
/// restarts). A function of the step alone, so that a resumed run needs no state of it.
pub fn learning_rate(config: &TrainConfig, step: u64) -> f64 {
    if step <= config.warmup_steps {
        return config.lr * step as f64 / config.warmup_steps as f64;
    }
    // a warm-up of all steps leaves no span; what lies behind it counts as the last step
    let span = config.steps.saturating_sub(config.warmup_steps).max(1) as f64;
    let progress = ((step - config.warmup_steps) as f64 / span).min(1.0);
    let cosine = 0.5 * (1.0 + (PI * progress).cos());
    config.lr * (config.final_lr + (1.0 - config.final_lr) * cosine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_abs_diff_eq;

    #[test]
    fn rises_then_falls() {
        let config = TrainConfig {
            steps: 110,
            warmup_steps: 10,
            lr: 1.0,
            final_lr: 0.1,
            ..Default::default()
        };
        assert_abs_diff_eq!(learning_rate(&config, 5), 0.5);
        assert_abs_diff_eq!(learning_rate(&config, 10), 1.0);
        assert_abs_diff_eq!(learning_rate(&config, 60), 0.55, epsilon = 1e-12); // half way: (1 + 0.1) / 2
        assert_abs_diff_eq!(learning_rate(&config, 110), 0.1, epsilon = 1e-12);
    }

    #[test]
    fn no_warmup_starts_high() {
        let config = TrainConfig {
            warmup_steps: 0,
            lr: 1.0,
            ..Default::default()
        };
        assert!(learning_rate(&config, 1) > 0.999);
    }
}
