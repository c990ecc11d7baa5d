//! Values of a clip at points between its cells, with gradients for the values and for the points.

use crate::layers::plain_device;
use burn::tensor::{Int, Tensor, TensorData};

/// Trilinear interpolation: x `[B, T, H, W, C]` at P points `[B, P, 3]` in the order time, height, width → `[B, P, C]`.
///
/// Along each axis −1 is the centre of the first cell and 1 that of the last (`align_corners`). Outside of the clip
/// there are zeros, so a point beyond the border fades out over the width of one cell.
pub fn sample(x: Tensor<5>, points: Tensor<3>) -> Tensor<3> {
    let [b, t, h, w, c] = x.dims();
    let p = points.dims()[1];
    let device = plain_device(&x);
    let mut cells = Tensor::<1, Int>::arange(0..b as i64, &device).reshape([b, 1, 1]).expand([b, p, CORNERS]);
    let mut weights: Option<Tensor<3>> = None;
    for (axis, size) in [t, h, w].into_iter().enumerate() {
        let last = (size - 1) as f64;
        let at = (points.clone().narrow(2, axis, 1) + 1.0) * (0.5 * last);
        let below = at.clone().without_autodiff().floor();
        let part = at - below.clone();
        // Of each corner: 1 where it lies above the point along this axis.
        let above: Vec<f32> = (0..CORNERS).map(|corner| (corner >> axis & 1) as f32).collect();
        let above = Tensor::<1>::from_data(TensorData::new(above, [CORNERS]), &device).reshape([1, 1, CORNERS]);
        let cell = below + above.clone();
        let inside = cell.clone().greater_equal_elem(0.0).float() * cell.clone().lower_equal_elem(last).float();
        let weight = (part * (above.clone() * 2.0 - 1.0) + (-above + 1.0)) * inside;
        weights = Some(match weights {
            Some(weights) => weights * weight,
            None => weight,
        });
        cells = cells * size as i32 + cell.clamp(0.0, last).int();
    }
    let weights = weights.expect("a clip has three axes").reshape([b * p, CORNERS, 1]);
    let corners = x.reshape([b * t * h * w, c]).select(0, cells.reshape([b * p * CORNERS]));
    (corners.reshape([b * p, CORNERS, c]) * weights).sum_dim(1).reshape([b, p, c])
}

/// Corners of the box of cells around a point.
const CORNERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn values_are_the_hand_computed_ones() {
        // T = 2, H = 1, W = 3: rows (0, 1, 2) and (10, 20, 30).
        let device = Device::flex();
        let x = Tensor::<1>::from_data([0.0f32, 1.0, 2.0, 10.0, 20.0, 30.0], &device).reshape([1, 2, 1, 3, 1]);
        let at = |points: Vec<[f32; 3]>| {
            let count = points.len();
            let points = TensorData::new(points.into_iter().flatten().collect::<Vec<_>>(), [1, count, 3]);
            sample(x.clone(), Tensor::from_data(points, &device)).into_data().try_to_vec::<f32>().unwrap()
        };
        // The first cell, the last one, the middle of all, and half a cell beyond the last column of the first row.
        assert_eq!(
            at(vec![[-1.0, 0.0, -1.0], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [-1.0, 0.0, 1.5]]),
            [0.0, 30.0, 10.5, 1.0]
        );
        // Far outside, and one cell outside.
        assert_eq!(at(vec![[-9.0, 0.0, 0.0], [0.0, 0.0, 2.0]]), [0.0, 0.0]);
    }

    #[test]
    fn gradients_of_points_are_differences_of_values() {
        let device = Device::flex().autodiff();
        let values: Vec<f32> = (0..2 * 3 * 4 * 2).map(|i| ((i * 5 % 17) as f32 - 8.0) / 4.0).collect();
        let x = Tensor::<5>::from_data(TensorData::new(values, [1, 2, 3, 4, 2]), &device).require_grad();
        let point = [0.31f32, -0.47, 0.73];
        let points = Tensor::<3>::from_data([[point]], &device).require_grad();
        let sum = |point: [f32; 3]| {
            let points = Tensor::<3>::from_data([[point]], &Device::flex());
            sample(x.clone().inner(), points).sum().into_scalar::<f32>()
        };
        let grads = sample(x.clone(), points.clone()).sum().backward();
        let got: Vec<f32> = points.grad(&grads).unwrap().into_data().try_to_vec().unwrap();
        for axis in 0..3 {
            let step = |by: f32| {
                let mut moved = point;
                moved[axis] += by;
                sum(moved)
            };
            let want = (step(0.01) - step(-0.01)) / 0.02;
            assert!((got[axis] - want).abs() < 1e-2, "axis {axis}: {} for {want}", got[axis]);
        }
        // The weights of the corners add up to 1.
        let of_values = x.grad(&grads).unwrap().sum().into_scalar::<f32>();
        assert!((of_values - 2.0).abs() < 1e-5, "{of_values}");
    }
}
