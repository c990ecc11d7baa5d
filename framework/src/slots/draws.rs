//! Random draws inside the forward pass of a training: [`Dropout`] and [`DropPath`].
//!
//! A mask is a function of the run's seed, the training episode, the layer's name, how often the layer was called
//! before in this pass, and the clip. So it is the same however the clips of an episode are split into parts, whichever
//! thread computes a part, where activations are computed a second time, and after a resume.
//!
//! The task opens a pass around each part of the model with [`Draws::during`], and the layers inside ask for their
//! masks. Where no pass is open, both layers return their input. Validation and test close what is open with
//! [`without_draws`], since their parts may be taken up by a thread that waits inside a pass.

use crate::random::Stream;
use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

/// Where the draws of one pass come from.
#[derive(Clone, Debug)]
pub struct Draws {
    seed: u64,
    episode: u64,
    clips: Range<u64>,
}

/// The place of draws that all clips of an episode share.
const SHARED: u64 = u32::MAX as u64;

impl Draws {
    /// Draws of the training episode `episode` of a run, for a pass over the episode as a whole.
    pub fn new(seed: u64, episode: u64) -> Self {
        Self { seed, episode, clips: SHARED..SHARED + 1 }
    }

    /// The same for a pass over some of its clips, counted from the first support clip.
    pub fn of_clips(&self, clips: Range<usize>) -> Self {
        Self { clips: clips.start as u64..clips.end as u64, ..self.clone() }
    }

    /// Runs `pass` with these draws.
    pub fn during<R>(&self, pass: impl FnOnce() -> R) -> R {
        open(Some(Pass { draws: self.clone(), calls: HashMap::new() }), pass)
    }
}

/// Runs `pass` without draws: validation and test.
pub fn without_draws<R>(pass: impl FnOnce() -> R) -> R {
    open(None, pass)
}

/// Runs `inside` with `pass` open, or with none.
fn open<R>(pass: Option<Pass>, inside: impl FnOnce() -> R) -> R {
    // While a pass waits for its products, its thread may take up another part: what was open is opened again.
    struct Reopen(Option<Pass>);
    impl Drop for Reopen {
        fn drop(&mut self) {
            PASS.replace(self.0.take());
        }
    }
    let _outer = Reopen(PASS.replace(pass));
    inside()
}

struct Pass {
    draws: Draws,
    /// Calls so far, by the name of the layer.
    calls: HashMap<String, u64>,
}

thread_local! {
    static PASS: RefCell<Option<Pass>> = const { RefCell::new(None) };
}

/// Whose draws they are.
#[derive(Clone, Copy, PartialEq)]
enum Whose {
    /// `count` values belong to the clips of the pass, one after the other.
    EachClip,
    /// All clips of the episode have the same.
    AllClips,
}

/// `count` factors: 0 with the probability `rate`, and otherwise 1 / (1 − rate). `None` where no pass is open.
fn factors(name: &str, rate: f64, count: usize, whose: Whose) -> Option<Vec<f32>> {
    PASS.with_borrow_mut(|pass| {
        let Pass { draws, calls } = pass.as_mut()?;
        let call = calls.entry(name.to_owned()).or_default();
        let stream = Stream::new(draws.seed, &format!("train/draws/{name}/{call}"));
        *call += 1;
        let places = if whose == Whose::AllClips { SHARED..SHARED + 1 } else { draws.clips.clone() };
        let clips = (places.end - places.start) as usize;
        assert!(count.is_multiple_of(clips), "`{name}` drops {count} values, which is no multiple of {clips} clips");
        let kept = (1.0 / (1.0 - rate)) as f32;
        let of_clip = |place: u64| {
            let mut rng = stream.at(draws.episode << 32 | place);
            (0..count / clips).map(move |_| if rng.chance(rate) { 0.0 } else { kept })
        };
        Some(places.flat_map(of_clip).collect())
    })
}

/// `x` times `values`, which have the shape `shape` and are repeated along its axes of size 1.
fn times<const D: usize>(x: Tensor<D>, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
    let device = x.clone().without_autodiff().device();
    x.clone() * Tensor::<D>::from_data(TensorData::new(values, shape), &device).cast(x.dtype())
}

fn is_open(rate: f64) -> bool {
    rate > 0.0 && PASS.with_borrow(Option::is_some)
}

/// Sets values to zero at random and divides the others by 1 − rate (Srivastava et al., JMLR 2014).
#[derive(Module, Debug)]
pub struct Dropout {
    rate: f64,
    #[module(skip)]
    name: String,
}

impl Dropout {
    /// Drops values with the probability `rate`, 0 ≤ rate < 1. `name` must tell it from the other layers of the model;
    /// it is part of what the draws depend on.
    pub fn new(rate: f64, name: impl Into<String>) -> Self {
        Self { rate, name: name.into() }
    }

    /// Whether it drops anything now. Where it does not, a fused operation can take the place of several.
    pub fn is_active(&self) -> bool {
        is_open(self.rate)
    }

    /// `x` of the same shape. In a pass over clips the first axis holds the clips one after the other, each with as
    /// many rows; in a pass over an episode `x` is drawn for as a whole.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        let drawn = self.is_active().then(|| factors(&self.name, self.rate, shape.iter().product(), Whose::EachClip));
        match drawn.flatten() {
            Some(values) => times(x, values, shape),
            None => x,
        }
    }
}

/// Leaves out a residual path at random (stochastic depth, Huang et al., ECCV 2016) and divides what stays by 1 − rate.
#[derive(Module, Debug)]
pub struct DropPath {
    rate: f64,
    #[module(skip)]
    name: String,
}

impl DropPath {
    /// As [`Dropout::new`].
    pub fn new(rate: f64, name: impl Into<String>) -> Self {
        Self { rate, name: name.into() }
    }

    /// For each block, one for each of `names`. Rates grow in equal steps from 0 in the first block to `rate` in the
    /// last.
    pub fn growing<const N: usize>(rate: f64, blocks: usize, names: [&str; N]) -> Vec<[Self; N]> {
        let of_block = |block: usize| rate * block as f64 / blocks.saturating_sub(1).max(1) as f64;
        (0..blocks).map(|block| names.map(|name| Self::new(of_block(block), format!("{name}.{block}")))).collect()
    }

    /// As [`Dropout::is_active`].
    pub fn is_active(&self) -> bool {
        is_open(self.rate)
    }

    /// One draw for each of the `of` places of an axis, the same for all clips of the episode. `x` holds the first of
    /// these places along `axis`.
    pub fn along<const D: usize>(&self, x: Tensor<D>, axis: usize, of: usize) -> Tensor<D> {
        let here = x.dims()[axis];
        assert!(here <= of, "`{}` has {here} of {of} places", self.name);
        let drawn = self.is_active().then(|| factors(&self.name, self.rate, of, Whose::AllClips));
        let Some(mut values) = drawn.flatten() else { return x };
        values.truncate(here);
        let mut shape = [1; D];
        shape[axis] = here;
        times(x, values, shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn values<const D: usize>(x: Tensor<D>) -> Vec<f32> {
        x.into_data().try_to_vec().unwrap()
    }

    fn ones(clips: usize) -> Tensor<3> {
        Tensor::ones([clips, 20, 10], &Device::flex())
    }

    #[test]
    fn nothing_is_dropped_outside_of_a_pass() {
        let layer = Dropout::new(0.5, "a");
        assert!(!layer.is_active() && values(layer.forward(ones(2))).iter().all(|&x| x == 1.0));
        let path = DropPath::new(0.5, "a");
        assert!(values(path.along(ones(2), 1, 20)).iter().all(|&x| x == 1.0));
        let off = Dropout::new(0.0, "a");
        Draws::new(1, 0).during(|| assert!(!off.is_active() && layer.is_active()));
        assert!(!layer.is_active());
    }

    #[test]
    fn the_rate_is_kept_and_the_mean_stays() {
        let layer = Dropout::new(0.3, "a");
        let dropped = values(Draws::new(1, 0).during(|| layer.forward(ones(50))));
        let zeros = dropped.iter().filter(|&&x| x == 0.0).count() as f64 / dropped.len() as f64;
        // 10,000 draws: the standard deviation is 0.0046.
        assert!((zeros - 0.3).abs() < 0.02, "{zeros}");
        let mean = dropped.iter().map(|&x| f64::from(x)).sum::<f64>() / dropped.len() as f64;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        assert!(dropped.iter().all(|&x| x == 0.0 || (x - 1.0 / 0.7).abs() < 1e-6));
    }

    #[test]
    fn a_mask_depends_on_seed_episode_layer_call_and_clip_alone() {
        let (a, b) = (Dropout::new(0.5, "a"), Dropout::new(0.5, "b"));
        let draws = Draws::new(1, 7);
        let whole = draws.of_clips(0..6).during(|| values(a.forward(ones(6))));
        let parts = [0..1, 1..4, 4..6].map(|clips| {
            let count = clips.len();
            draws.of_clips(clips).during(|| values(a.forward(ones(count))))
        });
        assert_eq!(whole, parts.concat());
        assert_ne!(whole[..200], whole[200..400], "two clips");
        let again = |draws: Draws, layer: &Dropout| draws.of_clips(0..6).during(|| values(layer.forward(ones(6))));
        assert_ne!(whole, again(Draws::new(2, 7), &a), "seed");
        assert_ne!(whole, again(Draws::new(1, 8), &a), "episode");
        assert_ne!(whole, again(draws.clone(), &b), "layer");
        let twice = draws.of_clips(0..6).during(|| [a.forward(ones(6)), a.forward(ones(6))].map(values));
        assert!(twice[0] == whole && twice[1] != whole, "call");
    }

    #[test]
    fn a_pass_inside_another_one_leaves_it_as_it_was() {
        let layer = Dropout::new(0.5, "a");
        let alone = Draws::new(1, 0).during(|| [layer.forward(ones(1)), layer.forward(ones(1))].map(values));
        let with_another = Draws::new(1, 0).during(|| {
            let first = values(layer.forward(ones(1)));
            Draws::new(1, 1).during(|| layer.forward(ones(1)));
            [first, values(layer.forward(ones(1)))]
        });
        assert_eq!(alone, with_another);
    }

    #[test]
    fn a_path_is_dropped_for_all_clips_at_the_same_places() {
        let path = DropPath::new(0.5, "a");
        let draws = Draws::new(1, 0);
        let all = draws.of_clips(0..2).during(|| values(path.along(ones(2), 1, 20)));
        assert_eq!(all[..200], all[200..]);
        assert!(all.chunks(10).all(|row| row.iter().all(|x| *x == row[0])));
        // Of the first places alone the draws are the same.
        let first = draws.of_clips(1..2).during(|| values(path.along(ones(1).narrow(1, 0, 3), 1, 20)));
        assert_eq!(first[..], all[..30]);
    }

    #[test]
    fn gradients_are_masked_as_values_are() {
        let device = Device::flex().autodiff();
        let x = Tensor::<2>::full([3, 40], 2.0, &device).require_grad();
        let y = Draws::new(3, 0).of_clips(0..3).during(|| Dropout::new(0.4, "a").forward(x.clone()));
        let gradients = y.clone().sum().backward();
        let (gradient, y) = (values(x.grad(&gradients).unwrap()), values(y.inner()));
        assert!(gradient.iter().zip(&y).all(|(g, y)| (2.0 * g - y).abs() < 1e-6));
        assert!(gradient.contains(&0.0));
    }
}
