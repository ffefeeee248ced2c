//! Activation curves in arithmetic that compilers vectorise. There is no fused multiply-add in sight, so
//! every instruction set gives the same bits.

use moe_router::parts::exp;

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

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> impl Iterator<Item = f32> {
        (-8800..8800).map(|i| i as f32 * 0.01)
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
