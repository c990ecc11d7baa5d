//! What an alignment must hold.

use super::tensors::{close, random, values};
use super::{built, choice, context, ok, registered, resolved, scopes, usage};
use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::explanation::normalize;
use maclip_framework::slots::layout::{Layout, Part};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What an alignment claims of itself.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Options, in YAML without braces, with which it is tried on clips of 4 frames with 6 features, such as `width:
    /// 8`.
    pub options: &'static str,
    /// The order of the frames does not count.
    pub order_blind: bool,
    /// The length of the feature vectors does not count, or hardly: only their directions do.
    pub norm_blind: bool,
    /// No other clip of the same length is as near to a clip as the clip itself.
    pub nearest_to_itself: bool,
    /// Both clips must have the number of frames that it was built for.
    pub fixed_length: bool,
    /// Values of its option `shots`, which says what becomes of several shots; none where it has no such option.
    pub shots: &'static [&'static str],
    /// Options with which it is tried on clips of about 30 frames: the sharpest that it allows.
    pub long: &'static [&'static str],
    /// It says what a distance costs.
    pub costed: bool,
    /// Parts of a frame that it reads, with shapes: the last values of the 6 of a frame here.
    pub parts: &'static [(Part, [usize; 2])],
    /// What its recipe must have beside it, such as the prototype module that adds a part.
    pub with: &'static [(&'static str, &'static str)],
}

/// A metric on the directions of frames that sees their order and takes clips of any length.
impl Default for Traits {
    fn default() -> Self {
        Self {
            options: "",
            order_blind: false,
            norm_blind: true,
            nearest_to_itself: true,
            fixed_length: false,
            shots: &SHOTS,
            long: &[""],
            costed: true,
            parts: &[],
            with: &[],
        }
    }
}

/// The values of `shots` in the shipped alignments.
const SHOTS: [&str; 3] = ["mean_features", "mean_distances", "joint"];
/// The one that gives a class K times the frames.
const JOINT: &str = "joint";
/// T
const FRAMES: usize = 4;
/// E
const WIDTH: usize = 6;

/// Holds the alignment with configuration `C` to its contract.
///
/// # Panics
/// Where a property or a claim does not hold.
pub fn holds<C: Component<Slot = dyn Alignment>>(traits: Traits) {
    let subject = Subject::of::<C>(traits);
    subject.shots_are_those_it_names::<C>();
    subject.nearest_to_itself();
    subject.norms();
    subject.order_of_classes_and_shots();
    subject.episodes_do_not_mix();
    subject.order_of_frames();
    subject.lengths();
    subject.gradients();
    subject.long_clips();
    subject.explanations();
    subject.cost();
    let choice = choice::<C>(usage::<C>());
    let changes: Vec<(&str, &str)> = traits.with.iter().copied().chain([("alignment", &*choice)]).collect();
    scopes::evaluation_follows_them(&changes);
}

impl Traits {
    /// The context of an alignment of clips of so many frames.
    fn context(&self, frames: usize) -> BuildContext {
        let values: usize = self.parts.iter().map(|(_, [rows, width])| rows * width).sum();
        let layout = Layout::of_feature(WIDTH - values);
        let layout = self.parts.iter().fold(layout, |layout, (part, shape)| layout.with(*part, *shape));
        context(3, WIDTH - values, frames).with_compared(layout)
    }
}

type Build = Box<dyn Fn(&str, &BuildContext) -> Box<dyn Alignment>>;

struct Subject {
    name: &'static str,
    traits: Traits,
    built: Build,
}

impl Subject {
    fn of<C: Component<Slot = dyn Alignment>>(traits: Traits) -> Self {
        Self { name: registered::<C>().info.name, traits, built: Box::new(built::<C>) }
    }

    /// With its options, and more of them.
    fn with(&self, more: &str) -> Box<dyn Alignment> {
        (self.built)(&joined(self.traits.options, more), &self.traits.context(FRAMES))
    }

    /// With each value of its option `shots`, or as it is.
    fn by_shots(&self) -> Vec<(&'static str, Box<dyn Alignment>)> {
        match self.traits.shots {
            [] => vec![("", self.with(""))],
            shots => shots.iter().map(|&shots| (shots, self.with(&format!("shots: {shots}")))).collect(),
        }
    }

    fn shots_are_those_it_names<C: Component<Slot = dyn Alignment>>(&self) {
        for shots in SHOTS {
            let options = joined(self.traits.options, &format!("shots: {shots}"));
            let claimed = self.traits.shots.contains(&shots);
            assert_eq!(resolved::<C>(&options).is_ok(), claimed, "{}: whether it takes `shots: {shots}`", self.name);
        }
    }

    fn nearest_to_itself(&self) {
        let (metric, clips) = (self.with(""), random(1, [2, 3, FRAMES, WIDTH]));
        // The same directions, where only those count.
        let factor = if self.traits.norm_blind { 1.5 } else { 1.0 };
        let d = values(metric.distances(clips.clone() * factor, clips.clone().unsqueeze_dim(2)));
        let nearest = d.chunks(3).enumerate().all(|(row, d)| (0..3).all(|w| w == row % 3 || d[row % 3] < d[w]));
        // Of clips that stand still at its average direction, one may be nearer to a clip than the clip itself.
        let clips = clips.reshape([6, 1, FRAMES, WIDTH]);
        let still = normalize(clips.clone()).mean_dim(2).expand([6, 1, FRAMES, WIDTH]);
        let support = Tensor::cat(vec![clips.clone(), still], 1).unsqueeze_dim(2);
        let beside = values(metric.distances(clips * factor, support));
        let always = nearest && beside.chunks(2).all(|d| d[0] < d[1]);
        match self.traits.nearest_to_itself {
            true => assert!(nearest, "{}: a clip is not nearest to itself: {d:?}", self.name),
            false => assert!(!always, "{}: a clip is nearest to itself: {d:?} {beside:?}", self.name),
        }
    }

    fn norms(&self) {
        let (query, support) = clips();
        let metric = self.with("");
        let d = values(metric.distances(query.clone(), support.clone()));
        let longer = values(metric.distances(query * 1.5, support));
        // An ε in the cosine may count for a little.
        let same = close(&longer, &d, 1e-2);
        assert_eq!(same, self.traits.norm_blind, "{}: whether only directions count: {longer:?} {d:?}", self.name);
    }

    fn order_of_classes_and_shots(&self) {
        for (shots, metric) in self.by_shots().into_iter().filter(|(shots, _)| *shots != JOINT) {
            let (query, support) = clips();
            let d = values(metric.distances(query.clone(), support.clone()));
            assert!(d.iter().all(|value| value.is_finite()), "{} {shots}: {d:?}", self.name);
            let flipped = values(metric.distances(query.clone(), support.clone().flip([1])).flip([2]));
            assert!(
                close(&flipped, &d, 1e-5),
                "{} {shots}: the order of classes counts\n{flipped:?}\n{d:?}",
                self.name
            );
            let shuffled = values(metric.distances(query, support.flip([2])));
            assert!(close(&shuffled, &d, 1e-5), "{} {shots}: the order of shots counts", self.name);
        }
    }

    fn episodes_do_not_mix(&self) {
        for (shots, metric) in self.by_shots() {
            let (query, support) = clips();
            let d = values(metric.distances(query.clone(), support.clone()));
            for (n, q) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
                let one = query.clone().narrow(0, n, 1).narrow(1, q, 1);
                let alone = values(metric.distances(one, support.clone().narrow(0, n, 1)));
                let row = (n * 3 + q) * 3;
                let same = close(&alone, &d[row..row + 3], 1e-5);
                assert!(same, "{} {shots}: a distance depends on the other queries or episodes", self.name);
            }
        }
    }

    fn order_of_frames(&self) {
        let metric = self.with("");
        let (query, support) = clips();
        let d = values(metric.distances(query.clone(), support.clone()));
        let order = Tensor::<1, Int>::from_data([2, 0, 3, 1], &Device::flex());
        let permuted = values(metric.distances(query.select(2, order), support));
        let same = close(&permuted, &d, 1e-5);
        assert_eq!(same, self.traits.order_blind, "{}: whether the order of frames does not count", self.name);
    }

    fn lengths(&self) {
        let (query, support) = clips();
        for (query, support) in
            [(query.clone().narrow(2, 0, 3), support.clone()), (query.clone(), support.clone().narrow(3, 1, 3))]
        {
            let metric = self.with("");
            let d = catch_unwind(AssertUnwindSafe(|| values(metric.distances(query, support))));
            let taken = d.is_ok_and(|d| d.len() == 18 && d.iter().all(|value| value.is_finite()));
            assert_eq!(taken, !self.traits.fixed_length, "{}: whether it compares 3 frames with 4", self.name);
        }
    }

    fn gradients(&self) {
        let metric = self.with("");
        // Far from ties of minima, where a difference quotient is no derivative.
        let (query, support) = (random(5, [1, 1, FRAMES, WIDTH]), random(6, [1, 2, 1, FRAMES, WIDTH]));
        let cotangent = [0.7f32, -0.4];
        let value = |query: Tensor<4>| -> f64 {
            let d = values(metric.distances(query, support.clone()));
            d.iter().zip(cotangent).map(|(d, c)| (d * c) as f64).sum()
        };
        let tracked = tracked(query.clone());
        let weights = Tensor::<3>::from_data([[cotangent]], &Device::flex());
        let grads = (metric.distances(tracked.clone(), support.clone()) * weights).sum().backward();
        let gradient = values(tracked.grad(&grads).unwrap_or_else(|| panic!("{}: no gradient", self.name)));
        let base = values(query.clone());
        let step = 4e-3f32;
        let largest = gradient.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        assert!(largest > 1e-4, "{}: the gradient is 0", self.name);
        for i in 0..base.len() {
            let at = |delta: f32| {
                let mut moved = base.clone();
                moved[i] += delta;
                value(Tensor::from_data(TensorData::new(moved, query.dims()), &Device::flex()))
            };
            let quotient = ((at(step) - at(-step)) / (2.0 * step as f64)) as f32;
            let near = (quotient - gradient[i]).abs() < 0.02 * largest + 1e-3;
            assert!(near, "{}: the gradient is {}, and differences give {quotient}", self.name, gradient[i]);
        }
    }

    fn long_clips(&self) {
        if self.traits.fixed_length {
            return;
        }
        for options in self.traits.long {
            let metric = self.with(options);
            let query = tracked(random::<4>(7, [1, 1, 32, WIDTH]));
            let distances = metric.distances(query.clone(), random(8, [1, 2, 1, 28, WIDTH]));
            let grads = distances.clone().sum().backward();
            let gradient = values(query.grad(&grads).unwrap_or_else(|| panic!("{}: no gradient", self.name)));
            let finite = values(distances).into_iter().chain(gradient).all(|value| value.is_finite());
            assert!(finite, "{} with {options}: a distance or gradient of long clips is no finite number", self.name);
        }
    }

    fn explanations(&self) {
        let frames = if self.traits.fixed_length { FRAMES } else { 3 };
        // Two pairs of a query and two shots.
        let (query, support) = (random(9, [2, FRAMES, WIDTH]), random(10, [2, 2, frames, WIDTH]));
        for (shots, metric) in self.by_shots() {
            let name = format!("{} {shots}: the explanation", self.name);
            let explain = |pair: usize, pairs: usize| {
                let (query, support) = (query.clone().narrow(0, pair, pairs), support.clone().narrow(0, pair, pairs));
                ok(metric.explain(query, support), &name)
            };
            let found = explain(0, 2);
            assert!(!found.what.is_empty() && [1, 2].contains(&found.shots), "{name}: {found:?}");
            assert_eq!(found.weights.len(), 2, "{name} has a matrix for each pair");
            for (pair, weights) in found.weights.iter().enumerate() {
                assert_eq!(weights.len(), FRAMES, "{name} has a row for each query frame");
                let columns = found.shots * frames;
                assert!(weights.iter().all(|row| row.len() == columns), "{name} has {columns} columns");
                let values = weights.concat();
                assert!(values.iter().all(|value| (0.0..=1.0).contains(value)), "{name} is within 0 and 1: {values:?}");
                assert_eq!(values.iter().copied().fold(0.0, f32::max), 1.0, "{name} has 1 as its largest weight");
                let alone = explain(pair, 1).weights[0].concat();
                assert!(close(&alone, &values, 1e-4), "{name} depends on the other pair: {alone:?} {values:?}");
            }
        }
    }

    fn cost(&self) {
        let cost = self.with("").cost([2, 3, FRAMES, WIDTH], [2, 3, 2, FRAMES, WIDTH]);
        assert_eq!(cost.is_some(), self.traits.costed, "{}: whether it says its cost", self.name);
        assert!(cost.is_none_or(|cost| cost.flops.is_finite() && cost.flops >= 0.0), "{}: {cost:?}", self.name);
    }
}

/// What [`Alignment::cost`] says in FLOPs of two episodes with three queries and three classes of two shots, T = 4, E =
/// 6.
///
/// # Panics
/// Where the options are wrong.
pub fn flops<C: Component<Slot = dyn Alignment>>(options: &str) -> Option<f64> {
    let metric = built::<C>(options, &context(3, WIDTH, FRAMES));
    metric.cost([2, 3, FRAMES, WIDTH], [2, 3, 2, FRAMES, WIDTH]).map(|cost| cost.flops)
}

/// Two lists of options as one.
fn joined(options: &str, more: &str) -> String {
    [options, more].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// query `[2, 3, T, E]` and support `[2, 3, 2, T, E]`.
fn clips() -> (Tensor<4>, Tensor<5>) {
    (random(1, [2, 3, FRAMES, WIDTH]), random(2, [2, 3, 2, FRAMES, WIDTH]))
}

/// On the device's autodiff twin, with a gradient.
fn tracked(tensor: Tensor<4>) -> Tensor<4> {
    Tensor::<4>::from_data(tensor.into_data(), &Device::flex().autodiff()).require_grad()
}

#[cfg(test)]
mod tests {
    use super::super::caught;
    use super::*;
    use burn::module::Module;

    /// Squared distances of frames at the same time, with one mistake.
    #[derive(Module, Debug)]
    struct Fake {
        #[module(skip)]
        mistake: Mistake,
    }

    /// A mistake, and the property that finds it.
    type Property = (Mistake, fn(&Subject));
    /// A claim that is wrong, and the property that finds it.
    type Claim = (fn(&mut Traits), fn(&Subject));

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Mistake {
        None,
        MixesEpisodes,
        CountsClasses,
        CountsShots,
        ForgetsTheGradient,
        DividesByZero,
    }

    impl Alignment for Fake {
        fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
            let support = match self.mistake {
                Mistake::CountsShots => support.narrow(2, 0, 1),
                _ => support.mean_dim(2),
            };
            let [n, q, tq, e] = query.dims();
            let [_, w, _, ts, _] = support.dims();
            let t = tq.min(ts);
            let query = query.narrow(2, 0, t).reshape([n, q, 1, t * e]);
            let support = support.narrow(3, 0, t).reshape([n, 1, w, t * e]);
            let distances: Tensor<3> = (query - support).powf_scalar(2.0).sum_dim(3).squeeze_dim(3);
            match self.mistake {
                Mistake::None | Mistake::CountsShots => distances,
                Mistake::MixesEpisodes => distances.clone() + distances.mean_dim(0),
                Mistake::CountsClasses => distances.cumsum(2),
                Mistake::ForgetsTheGradient => distances.clone() + distances.detach(),
                Mistake::DividesByZero => distances.clone() / (distances * 0.0),
            }
        }
    }

    /// Whether a property does not hold for the metric with this mistake.
    fn refused(mistake: Mistake, change: impl FnOnce(&mut Traits), property: fn(&Subject)) -> bool {
        let mut traits = Traits { norm_blind: false, shots: &[], costed: false, ..Traits::default() };
        change(&mut traits);
        let built: Build = Box::new(move |_, _| Box::new(Fake { mistake }));
        caught(|| property(&Subject { name: "fake", traits, built }))
    }

    #[test]
    fn a_mistake_is_caught_by_its_property() {
        let properties: [Property; 5] = [
            (Mistake::MixesEpisodes, Subject::episodes_do_not_mix),
            (Mistake::CountsClasses, Subject::order_of_classes_and_shots),
            (Mistake::CountsShots, Subject::order_of_classes_and_shots),
            (Mistake::ForgetsTheGradient, Subject::gradients),
            (Mistake::DividesByZero, Subject::long_clips),
        ];
        for (mistake, property) in properties {
            assert!(!refused(Mistake::None, |_| (), property), "{mistake:?}: without it");
            assert!(refused(mistake, |_| (), property), "{mistake:?}");
        }
        for property in [Subject::order_of_classes_and_shots, Subject::lengths, Subject::explanations] {
            assert!(refused(Mistake::DividesByZero, |_| (), property), "no finite number");
        }
    }

    #[test]
    fn a_wrong_claim_is_caught() {
        let claims: [Claim; 5] = [
            (|traits| traits.order_blind = true, Subject::order_of_frames),
            (|traits| traits.norm_blind = true, Subject::norms),
            (|traits| traits.nearest_to_itself = false, Subject::nearest_to_itself),
            (|traits| traits.fixed_length = true, Subject::lengths),
            (|traits| traits.costed = true, Subject::cost),
        ];
        for (at, (change, property)) in claims.into_iter().enumerate() {
            assert!(!refused(Mistake::None, |_| (), property), "claim {at}: as it is");
            assert!(refused(Mistake::None, change, property), "claim {at}");
        }
    }
}
