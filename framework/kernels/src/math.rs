//! Exponential and activations on lanes.
// Coefficients are written as they are published, with more digits than an f32 has.
#![allow(clippy::excessive_precision)]

use crate::simd::Lanes;

/// Activation of a feed-forward layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · sigmoid(1.702 x): OpenAI's CLIP.
    QuickGelu,
    /// The exact (erf) GELU.
    Gelu,
    /// max(x, 0).
    Relu,
}

/// eˣ to about 1e-7 of its value, for −87 ≤ x ≤ 88; other x count as the nearer of these. What is not a
/// number stays so.
///
/// # Safety
/// As [`Lanes`].
#[inline(always)]
pub unsafe fn exp<L: Lanes>(x: L) -> L {
    unsafe {
        let s = |value| L::splat(value);
        // The order of the operands keeps what is not a number.
        let x = s(88.0).min(s(-87.0).max(x));
        let magic = s(12_582_912.0);
        let t = x.fma(s(std::f32::consts::LOG2_E), magic);
        let n = t.sub(magic);
        // ln 2 = 0.693359375 − 2.12194440e-4
        let r = n.fma(s(2.121_944_4e-4), n.fma(s(-0.693_359_375), x));
        let p = s(1.987_569_1e-4).fma(r, s(1.398_199_9e-3));
        let p = p.fma(r, s(8.333_451_9e-3)).fma(r, s(4.166_579_6e-2)).fma(r, s(1.666_666_5e-1)).fma(r, s(0.5));
        p.fma(r.mul(r), r.add(s(1.0))).mul(t.pow2())
    }
}

/// The activation of x.
///
/// # Safety
/// As [`Lanes`].
#[inline(always)]
pub unsafe fn activate<L: Lanes>(activation: Activation, x: L) -> L {
    unsafe { with_slope(activation, x).0 }
}

/// The activation of x and its derivative.
///
/// # Safety
/// As [`Lanes`].
#[inline(always)]
pub unsafe fn with_slope<L: Lanes>(activation: Activation, x: L) -> (L, L) {
    unsafe {
        let s = |value| L::splat(value);
        match activation {
            Activation::QuickGelu => {
                let sigmoid = s(1.0).div(s(1.0).add(exp(x.mul(s(-1.702)))));
                let y = x.mul(sigmoid);
                (y, sigmoid.add(y.mul(s(1.702)).mul(s(1.0).sub(sigmoid))))
            }
            Activation::Gelu => {
                // erf by Abramowitz and Stegun, 7.1.26: error below 1.5e-7.
                let z = x.abs().mul(s(std::f32::consts::FRAC_1_SQRT_2));
                let e = exp(z.mul(z).mul(s(-1.0)));
                let t = s(1.0).div(z.fma(s(0.327_591_1), s(1.0)));
                let p = s(1.061_405_4).fma(t, s(-1.453_152)).fma(t, s(1.421_413_7)).fma(t, s(-0.284_496_74));
                // Half of 1 − erf|z|.
                let tail = p.fma(t, s(0.254_829_6)).mul(t).mul(e).mul(s(0.5));
                // Φ(x) = ½ + sign(x) (½ − tail), with the sign 0 of x = 0.
                let sign = x.div(x.abs().max(s(f32::MIN_POSITIVE)));
                let phi = s(0.5).sub(tail).fma(sign, s(0.5));
                (x.mul(phi), phi.add(x.mul(e).mul(s(0.398_942_3))))
            }
            Activation::Relu => {
                let y = s(0.0).max(x);
                (y, y.div(s(f32::MIN_POSITIVE).max(y)))
            }
        }
    }
}
