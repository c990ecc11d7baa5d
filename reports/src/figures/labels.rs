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

    /// The ends of a line that ties a label in this box to its point; `None` where the two are close enough.
    pub fn tie(&self, point: (f64, f64)) -> Option<((f64, f64), (f64, f64))> {
        let near = (point.0.clamp(self.left, self.right), point.1.clamp(self.top + 2.0, self.bottom - 2.0));
        let (across, down) = (near.0 - point.0, near.1 - point.1);
        let length = across.hypot(down);
        let start = (point.0 + across / length * 7.0, point.1 + down / length * 7.0);
        (length > 16.0).then_some((start, near))
    }
}

/// Places a label of each width beside its point: right, left, above or below; further away where that is taken, in at
/// most so many `rings`.
///
/// `taken` are boxes to keep free, `within` is where labels may be; labels are `height` tall. `None` where nothing is
/// free.
pub fn beside(
    points: &[(f64, f64)],
    widths: &[f64],
    height: f64,
    taken: &[Frame],
    within: Frame,
    rings: u32,
) -> Vec<Option<Frame>> {
    let mut placed: Vec<Option<Frame>> = Vec::new();
    for (point, width) in points.iter().zip(widths) {
        let mut candidates = (0..rings).flat_map(|ring| {
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
        let free = |frame: &Frame| {
            let inside = frame.left >= within.left
                && frame.right <= within.right
                && frame.top >= within.top
                && frame.bottom <= within.bottom;
            inside && taken.iter().chain(placed.iter().flatten()).all(|other| frame.overlap(other) == 0.0)
        };
        let place = candidates.find_map(|(left, top)| {
            let frame = Frame { left, top, right: left + width, bottom: top + height };
            free(&frame).then_some(frame)
        });
        placed.push(place);
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
        let placed: Vec<Frame> = beside(&points, &[60.0; 4], 16.0, &[], PAGE, 6).into_iter().flatten().collect();
        assert_eq!(placed.len(), 4);
        for (number, one) in placed.iter().enumerate() {
            assert!(placed[number + 1..].iter().all(|other| one.overlap(other) == 0.0), "{placed:?}");
            assert!(one.left >= 0.0 && one.right <= 300.0 && one.top >= 0.0, "{placed:?}");
        }
    }

    #[test]
    fn a_label_without_room_is_left_out_and_a_far_one_is_tied() {
        let full = Frame { left: 0.0, top: 0.0, right: 300.0, bottom: 200.0 };
        assert_eq!(beside(&[(100.0, 100.0)], &[60.0], 16.0, &[full], PAGE, 6), [None]);
        let label = Frame { left: 100.0, top: 50.0, right: 160.0, bottom: 66.0 };
        assert_eq!(label.tie((90.0, 58.0)), None);
        assert_eq!(label.tie((60.0, 58.0)), Some(((67.0, 58.0), (100.0, 58.0))));
    }

    #[test]
    fn heights_keep_their_order_and_distance() {
        assert_eq!(spread(&[50.0, 52.0, 10.0], 15.0, 0.0, 100.0), [50.0, 65.0, 10.0]);
        assert_eq!(spread(&[98.0, 99.0], 15.0, 0.0, 100.0), [85.0, 100.0]);
    }
}
