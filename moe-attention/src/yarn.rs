//! YaRN, Peng et al., arXiv 2309.00071, as the DeepSeek-V2 and V3 checkpoints use it: slow
//! rotations are slowed further so that a model reads texts longer than it was trained on.
//!
//! ```text
//! dim(n)  = d ln(L / (2 pi n)) / (2 ln theta)              the coordinate that turns n times in L
//! low     = floor(dim(beta_fast)), high = ceil(dim(beta_slow)), within 0..=d-1
//! ramp_i  = clamp((i - low) / (high - low), 0, 1)
//! f_i     = theta^(-2i/d) (ramp_i / factor + 1 - ramp_i)   frequency i in 0..d/2; equation 23
//! m(a)    = 1 + 0.1 a ln(factor), 1 where factor <= 1      equation 22
//! ```
//!
//! Differs from the paper: cosines and sines are multiplied by `m(mscale) / m(mscale_all_dim)` and
//! scores by `m(mscale_all_dim)^2`, instead of one temperature.

use burn::config::Config;
use std::f64::consts::PI;

use crate::error::AttentionError;

/// Extension of rotary positions beyond the length of the training texts.
///
/// It holds for every position, however short the sequence.
#[derive(Config, Debug, Copy, PartialEq)]
pub struct YarnConfig {
    /// Growth of the context, as a factor.
    pub factor: f64,
    /// The length of the training texts, tokens.
    pub original_max_seq_length: usize,
    /// Coordinates that turn at least this often in a training text are left alone. Defaults to 32.
    #[config(default = 32.0)]
    pub beta_fast: f64,
    /// Coordinates that turn at most this often are slowed by the whole factor. Defaults to 1.
    #[config(default = 1.0)]
    pub beta_slow: f64,
    /// The strength of the factor of cosines and sines. Defaults to 0, which means absent: then,
    /// or if `mscale_all_dim` is absent, it is `m(1)`.
    #[config(default = 0.0)]
    pub mscale: f64,
    /// The strength of the factor of scores. Defaults to 0, which means absent: scores keep theirs.
    #[config(default = 0.0)]
    pub mscale_all_dim: f64,
}

impl YarnConfig {
    /// Checks that length and factors are positive.
    ///
    /// # Errors
    ///
    /// Names the first that is not.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let numbers = [
            ("factor", self.factor),
            (
                "original_max_seq_length",
                self.original_max_seq_length as f64,
            ),
            ("beta_fast", self.beta_fast),
            ("beta_slow", self.beta_slow),
        ];
        match numbers
            .into_iter()
            .find(|(_, number)| number.is_nan() || *number <= 0.0)
        {
            Some((name, _)) => Err(AttentionError::Yarn(name)),
            None => Ok(()),
        }
    }

    /// The frequencies of the `head_dim / 2` pairs for a base of `theta`.
    pub fn frequencies(&self, head_dim: usize, theta: f64) -> Vec<f64> {
        let width = head_dim as f64;
        let dim = |turns: f64| {
            let length = self.original_max_seq_length as f64;
            width * (length / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln())
        };
        let low = dim(self.beta_fast).floor().max(0.0);
        let high = dim(self.beta_slow).ceil().min(width - 1.0);
        // The published code avoids a division by zero so.
        let span = if high == low { 1e-3 } else { high - low };
        (0..head_dim / 2)
            .map(|i| {
                let ramp = ((i as f64 - low) / span).clamp(0.0, 1.0);
                let frequency = theta.powf(-2.0 * i as f64 / width);
                frequency * (ramp / self.factor + 1.0 - ramp)
            })
            .collect()
    }

    /// The factor of cosines and sines.
    pub fn rotation_factor(&self) -> f64 {
        if self.mscale != 0.0 && self.mscale_all_dim != 0.0 {
            self.m(self.mscale) / self.m(self.mscale_all_dim)
        } else {
            self.m(1.0)
        }
    }

    /// The factor of the scores.
    pub fn score_factor(&self) -> f64 {
        // m(0) = 1: absent is no factor.
        self.m(self.mscale_all_dim).powi(2)
    }

    fn m(&self, strength: f64) -> f64 {
        if self.factor <= 1.0 {
            1.0
        } else {
            1.0 + 0.1 * strength * self.factor.ln()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(actual: &[f64], expected: &[f64]) {
        assert_eq!(actual.len(), expected.len());
        for (a, e) in actual.iter().zip(expected) {
            assert!((a - e).abs() <= 1e-7 * e.abs(), "{actual:?} {expected:?}");
        }
    }

    #[test]
    fn frequencies_of_the_reference() {
        // transformers 5.23.0, rope width 8, theta 1e4, factor 4, 16 original positions, betas 32
        // and 1: tiny DeepSeek-V2 and V3 models.
        let expected = [
            1.0,
            0.025_000_000_372_529_03,
            0.002_499_999_944_120_645_5,
            0.000_250_000_011_874_362_8,
        ];
        assert_near(&YarnConfig::new(4.0, 16).frequencies(8, 1e4), &expected);
    }

    #[test]
    fn frequencies_by_hand() {
        // d = 8, theta = e, L = 46, about 2 pi e^2: dim(n) = 4 (2 - ln n), less 0.04. Betas just
        // above e^2 and e^1.5 give -0.04 and 1.96: low 0, high 2, ramps 0, 1/2, 1, 1. With factor 2
        // frequencies keep 1, 3/4, 1/2 and 1/2.
        let e = std::f64::consts::E;
        let config = YarnConfig {
            beta_fast: e.powi(2) * 1.001,
            beta_slow: e.powf(1.5) * 1.001,
            ..YarnConfig::new(2.0, 46)
        };
        let plain = |i: i32| e.powf(-f64::from(i) / 4.0);
        let expected = [1.0, 0.75 * plain(1), 0.5 * plain(2), 0.5 * plain(3)];
        assert_near(&config.frequencies(8, e), &expected);
    }

    #[test]
    fn the_ramp_has_a_width_even_where_its_ends_meet() {
        // Both ends at 0: coordinate 0 is left alone, every other is slowed by the whole factor.
        let frequencies = YarnConfig::new(4.0, 6).frequencies(4, 100.0);
        assert_near(&frequencies, &[1.0, 0.1 / 4.0]);
    }

    #[test]
    fn factors_and_their_absence() {
        let config = |mscale, mscale_all_dim| YarnConfig {
            mscale,
            mscale_all_dim,
            ..YarnConfig::new(40.0, 4096)
        };
        let m = |a: f64| 1.0 + 0.1 * a * 40f64.ln();
        assert_eq!(config(0.707, 0.707).rotation_factor(), 1.0);
        assert_eq!(config(1.0, 0.5).rotation_factor(), m(1.0) / m(0.5));
        for absent in [config(0.0, 0.7), config(0.7, 0.0), config(0.0, 0.0)] {
            assert_eq!(absent.rotation_factor(), m(1.0));
        }
        assert_eq!(config(1.0, 0.5).score_factor(), m(0.5) * m(0.5));
        assert_eq!(config(1.0, 0.0).score_factor(), 1.0);
        let shrunk = YarnConfig {
            factor: 0.5,
            ..config(1.0, 0.5)
        };
        assert_eq!([shrunk.rotation_factor(), shrunk.score_factor()], [1.0; 2]);
    }
}
