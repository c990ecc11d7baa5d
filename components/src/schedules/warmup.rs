//! The linear warm-up that schedules begin with.

/// The factor at `step` of a warm-up of `steps`: from `from` to 1. A warm-up from 0 begins one step up, so that the
/// first step does something.
pub fn factor(step: u64, steps: u64, from: f64) -> f64 {
    let done = if from > 0.0 { step } else { step + 1 };
    from + (1.0 - from) * done as f64 / steps as f64
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_rises_in_equal_steps() {
        let of = |from: f64| [0, 1, 3].map(|step| super::factor(step, 4, from));
        assert_eq!(of(0.0), [0.25, 0.5, 1.0]);
        assert_eq!(of(0.2), [0.2, 0.4, 0.8]);
    }
}
