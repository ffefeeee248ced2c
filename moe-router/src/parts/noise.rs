//! Noise that depends on a seed alone, drawn on the host: the same on every device.

use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// So many draws have a generator of their own, so that all threads can draw.
const BLOCK: usize = 4096;

/// Independent draws from the standard normal distribution.
pub fn standard_normal(seed: u64, shape: [usize; 2], device: &Device) -> Tensor<2> {
    draws(seed, shape, device, |rng| rng.sample(StandardNormal))
}

/// Independent draws from the uniform distribution over -1 to 1.
pub fn uniform_noise(seed: u64, shape: [usize; 2], device: &Device) -> Tensor<2> {
    draws(seed, shape, device, |rng| rng.random_range(-1.0..1.0))
}

fn draws(
    seed: u64,
    shape: [usize; 2],
    device: &Device,
    draw: impl Fn(&mut ChaCha8Rng) -> f32 + Sync,
) -> Tensor<2> {
    let mut values = vec![0.0; shape[0] * shape[1]];
    let blocks = values.par_chunks_mut(BLOCK).enumerate();
    blocks.for_each(|(stream, block)| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream as u64);
        block.fill_with(|| draw(&mut rng));
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
