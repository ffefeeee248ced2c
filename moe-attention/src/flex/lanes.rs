//! Loops over arrays of [`LANES`] numbers, which the compiler turns into vector instructions where
//! its caller enables them.

use std::f32::consts::LN_2;

/// Elements handled together; rows of scores are padded to a multiple.
pub(super) const LANES: usize = 16;

/// `a * b + c`, rounded once or twice.
pub(super) trait MulAdd {
    fn mul_add(a: f32, b: f32, c: f32) -> f32;
}

/// Arithmetic of machines with fused multiply-add.
pub(super) struct Fused;
/// Arithmetic of machines where the fused one would be a library call.
pub(super) struct Separate;

impl MulAdd for Fused {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

impl MulAdd for Separate {
    #[inline(always)]
    fn mul_add(a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }
}

/// `2^x` for `x <= 0` to 2 ulp, zero below -126.5; NaN stays NaN. Coefficients: Cephes `exp2f`.
#[inline(always)]
pub(super) fn exp2<O: MulAdd>(x: f32) -> f32 {
    // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -127.0 { -127.0 } else { x };
    let shifted = x + ROUND;
    let rest = x - (shifted - ROUND);
    let mut p = 1.535_336_2e-4;
    for c in [
        1.339_887_4e-3,
        9.618_437e-3,
        5.550_332_5e-2,
        0.240_226_48,
        LN_2,
        1.0,
    ] {
        p = O::mul_add(p, rest, c);
    }
    let power = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127)
        << 23;
    p * f32::from_bits(power)
}

#[inline(always)]
pub(super) fn lanes(row: &[f32]) -> &[[f32; LANES]] {
    row.as_chunks().0
}

#[inline(always)]
pub(super) fn lanes_mut(row: &mut [f32]) -> &mut [[f32; LANES]] {
    row.as_chunks_mut().0
}

/// The lanes combined pairwise, in an order that is the same everywhere.
#[inline(always)]
pub(super) fn reduce(mut lanes: [f32; LANES], combine: impl Fn(f32, f32) -> f32) -> f32 {
    let mut n = LANES;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            lanes[i] = combine(lanes[i], lanes[i + n]);
        }
    }
    lanes[0]
}

#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_accurate<O: MulAdd>() {
        for i in 0..=126_000 {
            let x = -(i as f32) / 1000.0;
            let expected = f64::from(x).exp2();
            let error = (f64::from(exp2::<O>(x)) - expected).abs() / expected;
            assert!(error < 2.5e-7, "2^{x} is off by {error:e}");
        }
    }

    #[test]
    fn exp2_is_accurate() {
        assert_accurate::<Fused>();
        assert_accurate::<Separate>();
    }

    #[test]
    fn exp2_at_the_edges() {
        assert_eq!(exp2::<Fused>(0.0), 1.0);
        assert_eq!(exp2::<Fused>(-1.0), 0.5);
        assert_eq!(exp2::<Fused>(-127.0), 0.0);
        assert_eq!(exp2::<Fused>(f32::NEG_INFINITY), 0.0);
        assert!(exp2::<Fused>(f32::NAN).is_nan());
    }

    #[test]
    fn reduce_combines_every_lane() {
        let numbers = std::array::from_fn(|i| i as f32);
        assert_eq!(reduce(numbers, |a, b| a + b), 120.0);
        assert_eq!(reduce(numbers, larger), 15.0);
    }
}
