//! Positions of numbers on an axis, and its marks.

/// A straight map from a range of numbers to a range of pixels.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub from: f64,
    pub to: f64,
}

impl Scale {
    pub fn at(&self, value: f64) -> f64 {
        let share = if self.high > self.low { (value - self.low) / (self.high - self.low) } else { 0.5 };
        self.from + share.clamp(-0.02, 1.02) * (self.to - self.from)
    }
}

/// Round numbers in steps of 1, 2, 2.5 or 5 times a power of ten, about `wanted` of them, that enclose the range.
pub fn ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let (low, high) = if low.is_finite() && high.is_finite() { (low.min(high), high.max(low)) } else { (0.0, 1.0) };
    let span = if high - low > 1e-12 { high - low } else { low.abs().max(1.0) * 0.1 };
    let rough = span / wanted.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(power * 10.0);
    // Half a thousandth of a step keeps rounding errors from adding an empty step at either end.
    let first = (low / step + 5e-4).floor() as i64;
    let last = ((low + span).max(high) / step - 5e-4).ceil() as i64;
    (first..=last.max(first + 1)).map(|number| number as f64 * step).collect()
}

/// Ticks of a logarithmic axis between two powers of ten given as exponents: 1, or 1, 2 and 5 in each decade.
pub fn decades(low: f64, high: f64) -> Vec<f64> {
    let factors: &[f64] = if high - low > 2.2 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    (low.floor() as i32..=high.ceil() as i32)
        .flat_map(|decade| factors.iter().map(move |factor| factor * 10f64.powi(decade)))
        .filter(|tick| (low - 1e-9..=high + 1e-9).contains(&tick.log10()))
        .collect()
}

/// Seconds, minutes and hours that people count in.
const DURATIONS: [f64; 15] =
    [0.1, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 18_000.0, 86_400.0];

/// Ticks of a logarithmic axis of seconds between two powers of ten given as exponents, at most eight.
pub fn durations(low: f64, high: f64) -> Vec<f64> {
    let within = |seconds: &f64| (low - 1e-9..=high + 1e-9).contains(&seconds.log10());
    let ticks: Vec<f64> = DURATIONS.into_iter().filter(within).collect();
    match ticks.len() {
        // Between two of them, or beyond all: powers of ten are better than none.
        0 | 1 => decades(low, high),
        8.. => ticks.into_iter().step_by(2).collect(),
        _ => ticks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_enclose_the_range_in_round_steps() {
        assert_eq!(ticks(0.0, 100.0, 5), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(43.0, 77.0, 4), [40.0, 50.0, 60.0, 70.0, 80.0]);
        let flat = ticks(3.0, 3.0, 4);
        assert!(flat[0] <= 3.0 && *flat.last().unwrap() >= 3.0 && flat.len() > 1);
        assert!(ticks(f64::NAN, 1.0, 4).len() > 1);
    }

    #[test]
    fn decades_are_subdivided_when_few() {
        assert_eq!(decades(3.0, 4.0), [1e3, 2e3, 5e3, 1e4]);
        assert_eq!(decades(3.0, 6.0), [1e3, 1e4, 1e5, 1e6]);
    }

    #[test]
    fn durations_are_those_of_clocks() {
        assert_eq!(durations(1.0, 2.6), [10.0, 30.0, 60.0, 120.0, 300.0]);
        assert_eq!(durations(-1.0, 5.0).len(), 8);
        assert_eq!(durations(6.0, 7.0), decades(6.0, 7.0));
    }

    #[test]
    fn a_scale_maps_ends_to_ends() {
        let scale = Scale { low: 0.0, high: 2.0, from: 100.0, to: 0.0 };
        assert_eq!((scale.at(0.0), scale.at(1.0), scale.at(2.0)), (100.0, 50.0, 0.0));
    }
}
