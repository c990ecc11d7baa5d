//! The depth-wise convolution over time, height and width of a clip: each channel has a kernel of its own.

use crate::layers::plain_device;
use burn::tensor::{Int, Tensor, TensorData};
use maclip_framework::slots::cost::Cost;

/// With stride 1 and zeros outside, so that the size stays: x `[B, T, H, W, C]`, kernel `[kt kh kw, C]` of odd `sides`,
/// bias `[C]` → the same shape as x.
pub fn same(x: Tensor<5>, kernel: Tensor<2>, bias: Tensor<1>, sides: [usize; 3]) -> Tensor<5> {
    let [b, t, h, w, c] = x.dims();
    let mut padded = x;
    for (axis, side) in sides.into_iter().enumerate().filter(|(_, side)| *side > 1) {
        let mut shape = padded.dims();
        shape[axis + 1] = side / 2;
        let zeros = Tensor::zeros(shape, &plain_device(&padded));
        padded = Tensor::cat(vec![zeros.clone(), padded, zeros], axis + 1);
    }
    let mut sum = bias.reshape([1, 1, 1, 1, c]).expand([b, t, h, w, c]);
    for tap in 0..sides.iter().product() {
        let [i, j, k] = place(tap, sides);
        let moved = padded.clone().narrow(1, i, t).narrow(2, j, h).narrow(3, k, w);
        sum = sum + moved * kernel.clone().narrow(0, tap, 1).reshape([1, 1, 1, 1, c]);
    }
    sum
}

/// With strides, and only where the whole kernel lies inside: x `[B, T, H, W, C]`, kernel `[kt kh kw, C]`, bias `[C]` →
/// `[B, T', H', W', C]`, see [`positions`].
///
/// # Panics
/// Where the kernel does not fit.
pub fn strided(x: Tensor<5>, kernel: Tensor<2>, bias: Tensor<1>, sides: [usize; 3], strides: [usize; 3]) -> Tensor<5> {
    let [b, t, h, w, c] = x.dims();
    let [tn, hn, wn] = positions([t, h, w], sides, strides).expect("the kernel fits the clip");
    let (count, taps) = (tn * hn * wn, sides.iter().product::<usize>());
    // What the kernel sees at each position, cut out by one selection.
    let mut cells = Vec::with_capacity(count * taps);
    for position in 0..count {
        let from = place(position, [tn, hn, wn]);
        for tap in 0..taps {
            let at = place(tap, sides);
            let [i, j, k] = std::array::from_fn(|axis| from[axis] * strides[axis] + at[axis]);
            cells.push(((i * h + j) * w + k) as i32);
        }
    }
    let cells = Tensor::<1, Int>::from_data(TensorData::new(cells, [count * taps]), &plain_device(&x));
    let seen = x.reshape([b, t * h * w, c]).select(1, cells).reshape([b * count, taps, c]);
    let sum = (seen * kernel.reshape([1, taps, c])).sum_dim(1).reshape([b, tn, hn, wn, c]);
    sum + bias.reshape([1, 1, 1, 1, c])
}

/// How many positions a kernel of these sides has along each axis; `None` where it does not fit.
pub fn positions(size: [usize; 3], sides: [usize; 3], strides: [usize; 3]) -> Option<[usize; 3]> {
    let along = |axis: usize| Some(size[axis].checked_sub(sides[axis])? / strides[axis] + 1);
    Some([along(0)?, along(1)?, along(2)?])
}

/// The three indices of the place `index` of an array of these sizes, in row-major order.
pub fn place(index: usize, [_, h, w]: [usize; 3]) -> [usize; 3] {
    [index / (h * w), index / w % h, index % w]
}

/// What a convolution costs that makes `values` values, each from `taps` others. Positions beyond the border count too.
pub fn cost(values: usize, taps: usize) -> Cost {
    Cost { flops: 2.0 * (values * taps) as f64, ..Cost::NONE } + Cost::elementwise(values, 2.0 * taps as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn the_convolution_is_the_hand_computed_one() {
        // One channel, T = 3, kernel (1, 10, 100) over time with bias 0.5.
        let x = tensor(vec![1.0, 2.0, 3.0], [1, 3, 1, 1, 1]);
        let y = same(x, tensor(vec![1.0, 10.0, 100.0], [3, 1]), tensor(vec![0.5], [1]), [3, 1, 1]);
        assert_eq!(y.into_data().try_to_vec::<f32>().unwrap(), [210.5, 321.5, 32.5]);
    }

    #[test]
    fn strides_leave_out_what_the_padded_one_has_between() {
        let values = |count: usize| (0..count).map(|i| ((i * 7 % 23) as f32 - 11.0) / 8.0).collect::<Vec<_>>();
        let x = tensor(values(2 * 4 * 5 * 6 * 3), [2, 4, 5, 6, 3]);
        let (kernel, bias) = (tensor(values(27 * 3), [27, 3]), tensor(values(3), [3]));
        let all = same(x.clone(), kernel.clone(), bias.clone(), [3; 3]);
        let some = strided(x, kernel, bias, [3; 3], [1, 2, 3]);
        assert_eq!(some.dims(), [2, 2, 2, 2, 3]);
        // Position (i, j, k) is centred at (i + 1, 2 j + 1, 3 k + 1).
        for [i, j, k] in [[0, 0, 0], [1, 0, 1], [1, 1, 1]] {
            let here = some.clone().narrow(1, i, 1).narrow(2, j, 1).narrow(3, k, 1);
            let there = all.clone().narrow(1, i + 1, 1).narrow(2, 2 * j + 1, 1).narrow(3, 3 * k + 1, 1);
            assert!((here - there).abs().max().into_scalar::<f32>() < 1e-5);
        }
    }
}
