//! What an optimizer must hold.

use super::{built, choice, ok, usage, variants};
use burn::module::{Module, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bytes, Device, Tensor, TensorData};
use maclip_framework::model::parameters::with_stable_ids;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::optimizer::{GroupOptions, Optimizer};
use std::collections::BTreeMap;

/// What an optimizer claims of itself.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Options, in YAML without braces, that are tried beside those of the registration.
    pub also: &'static [&'static str],
    /// It decays weights.
    pub decays: bool,
    /// It says what it keeps for each trained value.
    pub counted: bool,
}

/// An optimizer that decays weights.
impl Default for Traits {
    fn default() -> Self {
        Self { also: &[], decays: true, counted: true }
    }
}

/// Holds the optimizer with configuration `C` to its contract, on two weights.
///
/// # Panics
/// Where a property or a claim does not hold.
pub fn holds<C: Component<Slot = dyn Optimizer>>(traits: Traits) {
    options_come_back::<C>();
    for options in variants::<C>(traits.also) {
        let optimizer = built::<C>(options, &BuildContext::new(1, Device::flex()));
        let subject = Subject { optimizer, choice: choice::<C>(options), traits };
        subject.steps_go_down();
        subject.decay_of_groups();
        subject.training_goes_on();
        subject.state();
    }
}

/// The options `learning_rate` and `groups` are what every optimizer has, so that recipes, presets and the report know
/// them.
fn options_come_back<C: Component<Slot = dyn Optimizer>>() {
    let options = "learning_rate: 0.25, groups: {adapter: {learning_rate: 0.5, weight_decay: 0.125}, prototype: {}}";
    let optimizer = built::<C>(options, &BuildContext::new(1, Device::flex()));
    let name = choice::<C>(options);
    assert_eq!(optimizer.learning_rate(), 0.25, "{name}: `learning_rate`");
    let adapter = GroupOptions { learning_rate: Some(0.5), weight_decay: Some(0.125) };
    let groups = [("adapter".to_owned(), adapter), ("prototype".to_owned(), GroupOptions::default())];
    assert_eq!(optimizer.groups(), &BTreeMap::from(groups), "{name}: `groups`");
    let plain = built::<C>(usage::<C>(), &BuildContext::new(1, Device::flex()));
    assert!(plain.groups().is_empty() && plain.learning_rate() > 0.0, "{name}: no groups without the option");
}

/// Two weights; the loss is their sum of squares.
#[derive(Module, Debug)]
struct Weights {
    w: Param<Tensor<1>>,
}

const START: [f32; 2] = [3.0, -2.0];
const RATE: f64 = 0.01;
/// Weights of which the state is measured, and of twice as many.
const FEW: usize = 4096;

impl Weights {
    fn new(values: Vec<f32>) -> Self {
        let shape = [values.len()];
        let w = Tensor::<1>::from_data(TensorData::new(values, shape), &Device::flex().autodiff());
        with_stable_ids(Self { w: Param::from_tensor(w) })
    }

    fn start() -> Self {
        Self::new(START.to_vec())
    }

    fn step(self, optimizer: &mut ModuleOptimizer) -> Self {
        let gradients = (self.w.val() * self.w.val()).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &self);
        optimizer.step(RATE, self, gradients)
    }

    /// A step of a loss that falls slowly outwards, so that a decay decides the direction.
    fn step_outwards(self, optimizer: &mut ModuleOptimizer) -> Self {
        let start = Tensor::<1>::from_data(TensorData::new(START.to_vec(), [START.len()]), &self.w.val().device());
        let gradients = (self.w.val() * start * -0.1).sum().backward();
        let gradients = GradientsParams::from_grads(gradients, &self);
        optimizer.step(RATE, self, gradients)
    }

    fn values(&self) -> Vec<f32> {
        super::tensors::values(self.w.val())
    }
}

struct Subject {
    optimizer: Box<dyn Optimizer>,
    choice: String,
    traits: Traits,
}

impl Subject {
    fn init(&self, weight_decay: Option<f64>) -> ModuleOptimizer {
        let group = GroupOptions { weight_decay, ..GroupOptions::default() };
        ok(self.optimizer.init(&group), &self.choice)
    }

    /// After so many steps of a fresh optimizer.
    fn after(&self, steps: usize, weight_decay: Option<f64>) -> Vec<f32> {
        let mut optimizer = self.init(weight_decay);
        (0..steps).fold(Weights::start(), |weights, _| weights.step(&mut optimizer)).values()
    }

    fn steps_go_down(&self) {
        let after = self.after(20, Some(0.0));
        let nearer = after.iter().zip(START).all(|(after, start)| after.abs() < start.abs());
        assert!(nearer, "{}: twenty small steps down a bowl lead from {START:?} to {after:?}", self.choice);
        assert_eq!(after, self.after(20, Some(0.0)), "{}: steps are the same every time", self.choice);
    }

    fn decay_of_groups(&self) {
        let after = |decay: f64| {
            let mut optimizer = self.init(Some(decay));
            (0..2).fold(Weights::start(), |weights, _| weights.step_outwards(&mut optimizer)).values()
        };
        let counts = after(0.0) != after(0.5);
        assert_eq!(counts, self.traits.decays, "{}: whether a group's `weight_decay` counts", self.choice);
    }

    /// As after a checkpoint: another optimizer with the state of the first.
    fn training_goes_on(&self) {
        let mut optimizer = self.init(None);
        let middle = (0..3).fold(Weights::start(), |weights, _| weights.step(&mut optimizer));
        let bytes = ok(optimizer.into_bytes(), &self.choice);
        let mut resumed = ok(self.init(None).from_bytes(Bytes::from_bytes_vec(bytes.to_vec())), &self.choice);
        let resumed = middle.clone().step(&mut resumed).values();
        let straight = middle.step(&mut optimizer).values();
        assert_eq!(resumed, straight, "{}: a step after the state was written and read", self.choice);
    }

    fn state(&self) {
        let counted = self.optimizer.state_values();
        assert_eq!(counted.is_some(), self.traits.counted, "{}: whether it says what it keeps", self.choice);
        // What a file holds beside the values does not grow with them.
        let [few, many] = [FEW, 2 * FEW].map(|values| {
            let mut optimizer = self.init(None);
            let weights = Weights::new(vec![1.0; values]);
            (0..2).fold(weights, |weights, _| weights.step(&mut optimizer));
            ok(optimizer.into_bytes(), &self.choice).len()
        });
        let found = (many - few) as f64 / (FEW * size_of::<f32>()) as f64;
        let said = counted.is_none_or(|counted| counted as f64 == found.round());
        assert!(said, "{}: it keeps {found} values for each, and says {counted:?}", self.choice);
    }
}
