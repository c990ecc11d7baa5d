//! What a schedule must hold.

use super::{built, choice, variants};
use burn::tensor::Device;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::schedule::Schedule;

/// What a schedule claims of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits {
    /// Options, in YAML without braces, that are tried beside those of the registration.
    pub also: &'static [&'static str],
    /// The rate is the same in every step.
    pub constant: bool,
}

/// Holds the schedule with configuration `C` to its contract.
///
/// # Panics
/// Where a property or a claim does not hold.
pub fn holds<C: Component<Slot = dyn Schedule>>(traits: Traits) {
    for options in variants::<C>(traits.also) {
        let choice = choice::<C>(options);
        let [schedule, other] = [(); 2].map(|()| built::<C>(options, &BuildContext::new(1, Device::flex())));
        for steps in [1, 2, 3, 10, 1000] {
            let factors: Vec<f64> = (0..steps).map(|step| schedule.factor(step, steps)).collect();
            let fit = factors.iter().all(|factor| factor.is_finite() && *factor >= 0.0);
            assert!(fit, "{choice}: factors of {steps} steps are finite and not below 0: {factors:?}");
            assert!(factors.iter().any(|factor| *factor > 0.0), "{choice}: {steps} steps do something: {factors:?}");
            // A training that goes on asks another process, and not from the first step.
            let backwards: Vec<f64> = (0..steps).rev().map(|step| other.factor(step, steps)).collect();
            assert!(backwards.iter().rev().eq(&factors), "{choice}: a factor depends on what was asked before");
        }
        let same = (0..1000).all(|step| schedule.factor(step, 1000) == schedule.factor(0, 1000));
        assert_eq!(same, traits.constant, "{choice}: whether the rate is the same in every step");
    }
}
