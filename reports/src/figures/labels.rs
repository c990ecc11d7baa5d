//! Labels that do not cover each other.

/// A box in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Frame {
    fn overlap(&self, other: &Frame) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }
}

/// Places a label of each width beside its point: right, left, above or below, further away where that is taken.
///
/// `taken` are boxes to keep free, `within` is where labels may be. Gives the top left corner of each label; labels are
/// `height` tall. Where nothing is free, the place that covers least is used.
pub fn beside(points: &[(f64, f64)], widths: &[f64], height: f64, taken: &[Frame], within: Frame) -> Vec<Frame> {
    let mut placed: Vec<Frame> = Vec::new();
    for (point, width) in points.iter().zip(widths) {
        let candidates = (0..5).flat_map(|ring| {
            let away = 9.0 + 12.0 * f64::from(ring);
            let middle = point.1 - height / 2.0;
            [
                (point.0 + 9.0, middle),
                (point.0 - 9.0 - width, middle),
                (point.0 + 6.0, point.1 - away - height),
                (point.0 - 6.0 - width, point.1 - away - height),
                (point.0 + 6.0, point.1 + away),
                (point.0 - 6.0 - width, point.1 + away),
            ]
        });
        let frames = candidates.map(|(left, top)| Frame { left, top, right: left + width, bottom: top + height });
        let cost = |frame: &Frame| {
            let outside = width * height - frame.overlap(&within);
            let covered: f64 = taken.iter().chain(&placed).map(|other| frame.overlap(other)).sum();
            4.0 * outside + covered
        };
        // `min_by` keeps the first of equals: the nearest place wins.
        let best = frames.min_by(|a, b| cost(a).total_cmp(&cost(b)));
        placed.extend(best);
    }
    placed
}

/// Heights near `wanted` that are at least `gap` apart and within the range, in the order given.
pub fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut heights: Vec<f64> = order.iter().map(|position| wanted[*position].clamp(low, high)).collect();
    for number in 1..heights.len() {
        heights[number] = heights[number].max(heights[number - 1] + gap);
    }
    // What was pushed out at the bottom comes back up.
    let mut limit = high;
    for height in heights.iter_mut().rev() {
        *height = height.min(limit);
        limit = *height - gap;
    }
    let mut result = vec![0.0; wanted.len()];
    order.into_iter().zip(heights).for_each(|(position, height)| result[position] = height);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Frame = Frame { left: 0.0, top: 0.0, right: 300.0, bottom: 200.0 };

    #[test]
    fn labels_of_near_points_do_not_overlap() {
        let points = [(100.0, 100.0), (102.0, 101.0), (104.0, 99.0), (290.0, 100.0)];
        let placed = beside(&points, &[60.0; 4], 16.0, &[], PAGE);
        for (number, one) in placed.iter().enumerate() {
            assert!(placed[number + 1..].iter().all(|other| one.overlap(other) == 0.0), "{placed:?}");
            assert!(one.left >= 0.0 && one.right <= 300.0 && one.top >= 0.0, "{placed:?}");
        }
    }

    #[test]
    fn heights_keep_their_order_and_distance() {
        assert_eq!(spread(&[50.0, 52.0, 10.0], 15.0, 0.0, 100.0), [50.0, 65.0, 10.0]);
        assert_eq!(spread(&[98.0, 99.0], 15.0, 0.0, 100.0), [85.0, 100.0]);
    }
}
