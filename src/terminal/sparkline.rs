//! A curve, and how far something is, in one line of text.

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last `width` of `values`, each as a block whose height is its place between the smallest and the largest of
/// them. Equal values are all of middle height, and a value that is not finite is a gap.
pub fn sparkline(values: &[f64], width: usize) -> String {
    let shown = &values[values.len().saturating_sub(width)..];
    let finite = || shown.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let level = |value: f64| match (value - low) / (high - low) {
        share if share.is_finite() => LEVELS[(share * (LEVELS.len() - 1) as f64).round() as usize],
        _ => LEVELS[LEVELS.len() / 2 - 1],
    };
    shown.iter().map(|value| if value.is_finite() { level(*value) } else { ' ' }).collect()
}

/// Letters of a [`bar`].
const BAR: u64 = 10;

/// How far something is, of which `done` of `wanted` parts are done: `━━━╌╌╌╌╌╌╌`.
pub fn bar(done: u64, wanted: u64) -> String {
    let full = (done.min(wanted) * BAR).checked_div(wanted).unwrap_or(BAR);
    let part = |letter: &str, count: u64| letter.repeat(usize::try_from(count).unwrap_or(0));
    part("━", full) + &part("╌", BAR - full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_full_only_at_the_end() {
        assert_eq!(bar(0, 400), "╌╌╌╌╌╌╌╌╌╌");
        assert_eq!(bar(399, 400), "━━━━━━━━━╌");
        assert_eq!((bar(400, 400), bar(500, 400), bar(0, 0)), ("━".repeat(10), "━".repeat(10), "━".repeat(10)));
    }

    #[test]
    fn heights_are_places_between_the_smallest_and_the_largest() {
        // Eight values with equal distances are the eight levels; half way between the ends is rounded up to the fifth.
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 40), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[2.0, 4.0, 3.0], 40), "▁█▅");
        assert_eq!(sparkline(&[-5.0, -10.0], 40), "█▁");
    }

    #[test]
    fn the_newest_are_shown_and_odd_values_do_no_harm() {
        assert_eq!(sparkline(&[9.0, 1.0, 2.0], 2), "▁█");
        assert_eq!(sparkline(&[0.5, 0.5, 0.5], 40), "▄▄▄");
        assert_eq!(sparkline(&[0.1, f64::NAN, 0.2, f64::INFINITY], 40), "▁ █ ");
        assert_eq!(sparkline(&[f64::NAN], 40), " ");
        assert_eq!((sparkline(&[], 40), sparkline(&[1.0], 0)), (String::new(), String::new()));
    }
}
