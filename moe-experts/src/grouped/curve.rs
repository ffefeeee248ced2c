//! Activation curves in arithmetic that compilers vectorise.
//!
//! `exp` is range reduction `x = n ln 2 + r` with a degree 6 polynomial in `r` (the Cephes
//! coefficients); its relative error is below 2e-7 on the clamped range. There is no fused
//! multiply-add in sight, so every instruction set gives the same bits.

const SQRT_2_OVER_PI: f32 = 0.797_884_6;
const GELU_CUBIC: f32 = 0.044_715;

/// A scalar activation.
pub(super) trait Curve {
    /// Value and slope at `x`; what a caller ignores is not computed.
    fn at(x: f32) -> Point;
}

/// A value of a curve and its derivative there.
pub(super) struct Point {
    pub value: f32,
    pub slope: f32,
}

/// `x sigmoid(x)`.
pub(super) struct Silu;
/// `x sigmoid(2 z)` with `z = sqrt(2/pi) (x + 0.044715 x^3)`, the tanh form rewritten.
pub(super) struct Gelu;
/// `max(x, 0)`, slope 0 at 0.
pub(super) struct Relu;

impl Curve for Silu {
    #[inline(always)]
    fn at(x: f32) -> Point {
        let s = sigmoid(x);
        Point {
            value: x * s,
            slope: s + x * s * (1.0 - s),
        }
    }
}

impl Curve for Gelu {
    #[inline(always)]
    fn at(x: f32) -> Point {
        let z2 = 2.0 * SQRT_2_OVER_PI * x * (1.0 + GELU_CUBIC * x * x);
        let dz2 = 2.0 * SQRT_2_OVER_PI * (1.0 + 3.0 * GELU_CUBIC * x * x);
        let s = sigmoid(z2);
        Point {
            value: x * s,
            slope: s + x * s * (1.0 - s) * dz2,
        }
    }
}

impl Curve for Relu {
    #[inline(always)]
    fn at(x: f32) -> Point {
        Point {
            // not `max`, which hides a value that is not a number
            value: if x < 0.0 { 0.0 } else { x },
            slope: if x > 0.0 { 1.0 } else { 0.0 },
        }
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `e^x`, with `x` clamped to where the result is a normal number.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // 1.5 * 2^23: adding it leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 1.666_666_5e-1;
    p = p * r + 5e-1;
    let mantissa = p * r * r + r + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits() - 127) << 23;
    mantissa * f32::from_bits(exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> impl Iterator<Item = f32> {
        (-8800..8800).map(|i| i as f32 * 0.01)
    }

    #[test]
    fn exp_is_close_to_libm() {
        for x in grid().filter(|x| (-87.0..=88.0).contains(x)) {
            let exact = f64::from(x).exp();
            assert!(
                (f64::from(exp(x)) - exact).abs() <= 3e-7 * exact,
                "exp({x})"
            );
        }
        assert!(exp(-1e30) < 1e-37 && exp(1e30) > 1e38 && exp(f32::NAN).is_nan());
    }

    #[test]
    fn gelu_is_the_tanh_form() {
        for x in grid() {
            let x = f64::from(x);
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            let exact = 0.5 * x * (1.0 + inner.tanh());
            assert!(
                (f64::from(Gelu::at(x as f32).value) - exact).abs() < 1e-5,
                "gelu({x})"
            );
        }
    }

    /// Central differences in f64 of the same f32 curve: slope within 2e-3 of (c(x+h) - c(x-h)) / 2h.
    fn check_slope<C: Curve>() {
        for x in grid().filter(|x| x.abs() < 10.0 && x.abs() > 0.05) {
            let h = 0.01;
            let numeric = (C::at(x + h).value - C::at(x - h).value) / (2.0 * h);
            assert!(
                (C::at(x).slope - numeric).abs() < 2e-3,
                "slope at {x}: {numeric}"
            );
        }
    }

    #[test]
    fn slopes_are_derivatives() {
        check_slope::<Silu>();
        check_slope::<Gelu>();
        check_slope::<Relu>();
    }
}
