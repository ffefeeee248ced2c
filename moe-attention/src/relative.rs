//! Relative position bias: a learned number for each head and each bucket of distances, added to the
//! scores (T5, Raffel et al., arXiv 1910.10683, section 2.1).
//!
//! ```text
//! bias[h,i,t] = table[bucket(t - p), h]     p = S - L + i
//! ```
//!
//! Near distances have a bucket each; farther ones share buckets that widen logarithmically up to a
//! largest distance, beyond which all are one.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, Initializer, Module, ModuleDisplay};
use burn::nn::{Embedding, EmbeddingConfig};
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::AttentionError;

/// Sides of a query on which keys are told apart by distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directions {
    /// Keys before and after a query, half of the buckets for each: an encoder.
    Both,
    /// Keys before a query; all after it are at distance 0: a decoder, which hides them.
    Past,
}

/// Configuration to create a [`RelativePositionBias`] with [`init`](RelativePositionBiasConfig::init).
#[derive(Config, Debug)]
pub struct RelativePositionBiasConfig {
    /// The number of heads.
    pub n_heads: usize,
    /// The number of buckets. Defaults to 32.
    #[config(default = 32)]
    pub n_buckets: usize,
    /// Distances from here on share the last bucket. Defaults to 128.
    #[config(default = 128)]
    pub max_distance: usize,
    /// The initializer of the table. Defaults to zeros: no bias.
    #[config(default = "Initializer::Zeros")]
    pub initializer: Initializer,
}

/// A learned bias for each head and bucket of distances.
///
/// # Params
///
/// - table: [`Embedding`] of `n_buckets` rows as wide as there are heads
///
/// Created with [`RelativePositionBiasConfig`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct RelativePositionBias {
    /// The bias of each bucket and head, `[n_buckets, n_heads]`.
    pub table: Embedding,
    /// Distances from here on share the last bucket.
    pub max_distance: usize,
    /// Sides on which keys are told apart.
    #[module(skip)]
    pub directions: Directions,
}

impl RelativePositionBiasConfig {
    /// Creates the bias.
    ///
    /// # Panics
    ///
    /// Panics with the message of [`validate`](Self::validate) where that returns an error.
    pub fn init(&self, directions: Directions, device: &Device) -> RelativePositionBias {
        if let Err(error) = self.validate() {
            panic!("{error}");
        }
        RelativePositionBias {
            table: EmbeddingConfig::new(self.n_buckets, self.n_heads)
                .with_initializer(self.initializer.clone())
                .init(device),
            max_distance: self.max_distance,
            directions,
        }
    }

    /// Checks the sizes against each other, for either kind of directions.
    ///
    /// # Errors
    ///
    /// Names the size that is zero, or the buckets or the distance that are too few.
    pub fn validate(&self) -> Result<(), AttentionError> {
        let (n_buckets, max_distance) = (self.n_buckets, self.max_distance);
        match self.n_heads {
            0 => Err(AttentionError::Zero("n_heads")),
            _ if n_buckets < 4 => Err(AttentionError::FewBuckets(n_buckets)),
            _ if max_distance <= n_buckets / 2 => Err(AttentionError::ShortDistance {
                max_distance,
                n_buckets,
            }),
            _ => Ok(()),
        }
    }

    /// The number of parameters.
    pub fn n_params(&self) -> usize {
        self.n_buckets * self.n_heads
    }
}

impl RelativePositionBias {
    /// The bias of `queries` tokens, the last of `keys`, for all keys.
    ///
    /// # Shapes
    ///
    /// - output: `[1, n_heads, queries, keys]`
    ///
    /// # Panics
    ///
    /// Panics if there are fewer keys than queries.
    pub fn forward(&self, queries: usize, keys: usize) -> Tensor<4> {
        assert!(
            queries <= keys,
            "every query needs its own key, got {queries} queries and {keys} keys"
        );
        let buckets = Buckets {
            n: self.table.weight.dims()[0],
            max_distance: self.max_distance,
        };
        // offset t - p lies at t - p + keys - 1, so that the keys of a query follow one another
        let of_offset: Vec<i64> = (0..(2 * keys).saturating_sub(1))
            .map(|i| buckets.of(i as i64 + 1 - keys as i64, self.directions) as i64)
            .collect();
        let ids: Vec<i64> = (keys - queries..keys)
            .flat_map(|p| &of_offset[keys - 1 - p..2 * keys - 1 - p])
            .copied()
            .collect();
        let data = TensorData::new(ids, [queries, keys]);
        let ids = Tensor::<2, Int>::from_data(data, &self.table.weight.device());
        let bias = self.table.forward(ids); // [L, S, H]
        bias.swap_dims(1, 2).swap_dims(0, 1).unsqueeze()
    }
}

/// Rule that puts distances in buckets.
#[derive(Debug, Clone, Copy)]
struct Buckets {
    n: usize,
    max_distance: usize,
}

impl Buckets {
    /// The bucket of a key `offset` places after its query, before it if negative.
    fn of(self, offset: i64, directions: Directions) -> usize {
        let distance = offset.unsigned_abs() as usize;
        match directions {
            Directions::Past if offset > 0 => self.of_distance(0, self.n),
            Directions::Past => self.of_distance(distance, self.n),
            Directions::Both => {
                let half = self.n / 2;
                let after = if offset > 0 { half } else { 0 };
                after + self.of_distance(distance, half)
            }
        }
    }

    /// The first half of `n` buckets for a distance each, the others for distances up to the largest,
    /// by their logarithm, rounded towards zero. The arithmetic is in 32 bits, as the published code's.
    fn of_distance(self, distance: usize, n: usize) -> usize {
        let exact = n / 2;
        if distance < exact {
            return distance;
        }
        let far = (distance as f32 / exact as f32).ln();
        let farthest = (self.max_distance as f64 / exact as f64).ln() as f32;
        let bucket = exact + (far / farthest * (n - exact) as f32) as usize;
        bucket.min(n - 1)
    }
}

impl ModuleDisplay for RelativePositionBias {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [n_buckets, n_heads] = self.table.weight.dims();
        content
            .add("n_buckets", &n_buckets)
            .add("n_heads", &n_heads)
            .add("max_distance", &self.max_distance)
            .optional()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use proptest::prelude::*;

    fn buckets(offsets: &[i64], directions: Directions) -> Vec<usize> {
        let buckets = Buckets {
            n: 8,
            max_distance: 16,
        };
        offsets
            .iter()
            .map(|&offset| buckets.of(offset, directions))
            .collect()
    }

    #[test]
    fn a_decoder_tells_the_past_apart() {
        // 8 buckets, 4 exact; distance 7: 4 + int(ln(7/4) / ln(16/4) * 4) = 4 + int(1.61) = 5
        // distance 8: ln 2 / ln 4 * 4 = 2; 12: ln 3 / ln 4 * 4 = 3.17; 16: 4, the last is 7
        let offsets = [3, 1, 0, -1, -3, -4, -7, -8, -12, -16, -500];
        let expected = [0, 0, 0, 1, 3, 4, 5, 6, 7, 7, 7];
        assert_eq!(buckets(&offsets, Directions::Past), expected);
    }

    #[test]
    fn an_encoder_has_half_the_buckets_for_each_side() {
        // 4 buckets a side, 2 exact; distance 5: 2 + int(ln(5/2) / ln(16/2) * 2) = 2 + int(0.88)
        // distance 6: ln 3 / ln 8 * 2 = 1.06
        let offsets = [0, -1, -2, -5, -6, -100, 1, 2, 5, 6, 100];
        let expected = [0, 1, 2, 2, 3, 3, 5, 6, 6, 7, 7];
        assert_eq!(buckets(&offsets, Directions::Both), expected);
    }

    #[test]
    fn queries_are_the_last_keys() {
        let device = Device::flex();
        let config = RelativePositionBiasConfig::new(2).with_n_buckets(4);
        let mut bias = config.with_max_distance(8).init(Directions::Past, &device);
        let table = [[0.0, 0.5], [1.0, 1.5], [2.0, 2.5], [3.0, 3.5]];
        bias.table.weight = Param::from_tensor(Tensor::from_floats(table, &device));
        let all = bias.forward(3, 3);
        assert_eq!(all.dims(), [1, 2, 3, 3]);
        // row 2 of head 0: distances 2, 1, 0
        let last = all.narrow(2, 2, 1);
        let expected = [[[[2.0f32, 1.0, 0.0]], [[2.5, 1.5, 0.5]]]];
        last.to_data().assert_eq(&TensorData::from(expected), true);
        let alone = bias.forward(1, 3);
        alone.into_data().assert_eq(&last.into_data(), true);
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        let config = |n_buckets, max_distance| {
            RelativePositionBiasConfig::new(2)
                .with_n_buckets(n_buckets)
                .with_max_distance(max_distance)
                .validate()
        };
        assert_eq!(config(3, 16), Err(AttentionError::FewBuckets(3)));
        let short = AttentionError::ShortDistance {
            max_distance: 4,
            n_buckets: 8,
        };
        assert_eq!(config(8, 4), Err(short));
        assert_eq!(config(8, 5), Ok(()));
        let none = RelativePositionBiasConfig::new(0).validate();
        assert_eq!(none, Err(AttentionError::Zero("n_heads")));
    }

    #[test]
    #[should_panic(expected = "every query needs its own key")]
    fn there_are_no_fewer_keys_than_queries() {
        let bias = RelativePositionBiasConfig::new(1).init(Directions::Past, &Device::flex());
        let _ = bias.forward(3, 2);
    }

    #[test]
    fn display() {
        let bias = RelativePositionBiasConfig::new(4).init(Directions::Both, &Device::flex());
        assert_eq!(
            format!("{bias}"),
            "RelativePositionBias {n_buckets: 32, n_heads: 4, max_distance: 128, params: 128}"
        );
    }

    proptest! {
        #[test]
        fn farther_is_never_a_lower_bucket(
            n in 4usize..64, more in 1usize..200, distance in 0usize..1000,
        ) {
            let buckets = Buckets { n, max_distance: n / 2 + more };
            for n in [n, n / 2] {
                let (near, far) = (buckets.of_distance(distance, n), buckets.of_distance(distance + 1, n));
                prop_assert!(near <= far && far < n);
            }
        }
    }
}
