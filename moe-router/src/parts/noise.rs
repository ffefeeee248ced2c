//! Noise that depends on a seed alone, drawn on the host: the same on every device.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The noise of a training step.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum Noise {
    /// None.
    #[default]
    None,
    /// Normal noise on the logits, of standard deviation `noise_std / E`.
    Gaussian,
    /// Uniform noise on what the gate sees: tokens times U(1 - `jitter`, 1 + `jitter`).
    Jitter,
}

/// Draws of one generator: each block has its own, so that all threads can draw.
const BLOCK: usize = 4096;

/// Independent draws from the standard normal distribution.
pub fn standard_normal(seed: u64, shape: [usize; 2], device: &Device) -> Tensor<2> {
    draws(seed, shape, device, |rng, block| {
        block.fill_with(|| rng.sample(StandardNormal));
    })
}

/// Independent draws from the uniform distribution over `1 - width` to `1 + width`: what multiplies tokens
/// in training (Fedus et al. 2021, arXiv 2101.03961, section 2.4).
pub fn jitter(seed: u64, shape: [usize; 2], width: f64, device: &Device) -> Tensor<2> {
    let width = width as f32;
    draws(seed, shape, device, |rng, block| {
        let mut words = [0; BLOCK];
        let words = &mut words[..block.len()];
        rng.fill(&mut *words);
        jitter_of_words(words, width, block);
    })
}

for_every_cpu!(jitter_of_words, jitter_body, (words: &[u32], width: f32, block: &mut [f32]));

#[inline(always)]
fn jitter_body(words: &[u32], width: f32, block: &mut [f32]) {
    for (out, &word) in block.iter_mut().zip(words) {
        // 23 random bits behind the exponent of 1 are a number from 1 to below 2
        let from_1_to_2 = f32::from_bits(word >> 9 | 1f32.to_bits());
        *out = ((from_1_to_2 - 1.0) * 2.0 - 1.0) * width + 1.0;
    }
}

fn draws(
    seed: u64,
    shape: [usize; 2],
    device: &Device,
    fill: impl Fn(&mut ChaCha8Rng, &mut [f32]) + Sync,
) -> Tensor<2> {
    let mut values = vec![0.0; shape[0] * shape[1]];
    let blocks = values.par_chunks_mut(BLOCK).enumerate();
    blocks.for_each(|(stream, block)| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // a stream for each block, so that the draws do not depend on the number of threads
        rng.set_stream(stream as u64);
        fill(&mut rng, block);
    });
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// A number in `0..n` that depends on `seed` and `key` alone, uniform over seeds.
///
/// # Panics
///
/// Panics if `n` is zero.
pub fn uniform_below(n: usize, seed: u64, key: u64) -> usize {
    assert!(n > 0, "there is no number below 0");
    // the high half of a 64 x 64 bit product maps uniformly without the bias of a remainder
    ((u128::from(mix_seed(seed, key)) * n as u128) >> 64) as usize
}

/// A number from 0 to below 1 that depends on `seed` and `key` alone, uniform over seeds.
pub fn uniform_unit(seed: u64, key: u64) -> f64 {
    // the 53 high bits are what a double holds exactly
    (mix_seed(seed, key) >> 11) as f64 / (1u64 << 53) as f64
}

/// A seed derived from another and a key (the finaliser of SplitMix64, Steele et al. 2014).
pub fn mix_seed(seed: u64, key: u64) -> u64 {
    let mut z = seed
        .wrapping_add(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(key.wrapping_mul(0xd134_2543_de82_ef95));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_a_function_of_its_seed() {
        let device = Device::flex();
        let draw = |seed| standard_normal(seed, [64, 32], &device).into_data();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn no_block_repeats_another() {
        let x = standard_normal(1, [2, BLOCK], &Device::flex()).into_data();
        let x: Vec<f32> = x.try_into_vec().expect("f32");
        assert_ne!(x[..BLOCK], x[BLOCK..]);
    }

    #[test]
    fn noise_is_standard_normal() {
        let x = standard_normal(0, [128, 128], &Device::flex());
        let mean: f32 = x.clone().mean().into_scalar();
        let var: f32 = x.square().mean().into_scalar();
        // 16,384 draws: the mean's standard error is 1/128, the variance's sqrt(2)/128
        assert!(
            mean.abs() < 0.04 && (var - 1.0).abs() < 0.06,
            "{mean} {var}"
        );
    }

    #[test]
    fn jitter_is_uniform_around_one() {
        let device = Device::flex();
        let x = jitter(3, [3, BLOCK], 0.25, &device).into_data();
        let x: Vec<f32> = x.try_into_vec().expect("f32");
        // the same draws one by one
        for (stream, block) in x.chunks(BLOCK).enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(3);
            rng.set_stream(stream as u64);
            for &x in block {
                assert_eq!(x, rng.random_range(-1.0f32..1.0) * 0.25 + 1.0);
            }
        }
        // 12,288 draws of standard deviation 0.25 / sqrt(3): the mean's standard error is 0.0013
        let mean = x.iter().sum::<f32>() / x.len() as f32;
        assert!((mean - 1.0).abs() < 0.006, "{mean}");
        assert!(x.iter().all(|x| (0.75..1.25).contains(x)));
    }

    #[test]
    fn hashed_numbers_are_uniform() {
        let mut counts = [0; 8];
        for key in 0..8000 {
            counts[uniform_below(8, 3, key)] += 1;
        }
        // expected 1000 each, standard deviation 30
        assert!(
            counts.iter().all(|&c| (880..1120).contains(&c)),
            "{counts:?}"
        );
    }

    #[test]
    fn unit_numbers_are_uniform() {
        let mean = (0..4000).map(|key| uniform_unit(5, key)).sum::<f64>() / 4000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}"); // standard error 0.0046
        assert!((0..4000).all(|key| (0.0..1.0).contains(&uniform_unit(5, key))));
    }
}
