//! What a frame sampler must hold.

use super::{built, described, ok};
use burn::tensor::Device;
use maclip_framework::error::Error;
use maclip_framework::random::Stream;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::dataset::Timeline;
use maclip_framework::slots::frames::FrameSampler;
use std::collections::BTreeSet;

/// What a frame sampler claims of itself.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Options, in YAML without braces, that are tried.
    pub options: &'static str,
    /// The shortest clip that it takes, in frames.
    pub least: usize,
    /// It refuses a clip that does not say its frame rate, such as a folder of frames.
    pub needs_clock: bool,
}

/// A sampler that repeats frames of a short clip, and counts frames and not seconds.
impl Default for Traits {
    fn default() -> Self {
        Self { options: "", least: 1, needs_clock: false }
    }
}

/// Draws of a clip in training.
const DRAWS: u64 = 300;

/// Holds the frame sampler with configuration `C` to its contract.
///
/// # Panics
/// Where a property or a claim does not hold.
pub fn holds<C: Component<Slot = dyn FrameSampler>>(traits: Traits) {
    let Traits { options, least, needs_clock } = traits;
    let sampler = built::<C>(options, &BuildContext::new(1, Device::flex()));
    let name = super::choice::<C>(options);
    let described = described::<C>(options).frames;
    assert_eq!(described, Some(sampler.count()), "{name}: what `describe` says of `frames`, and `count`");
    assert!(!(sampler.fixed() && sampler.random_in_evaluation()), "{name}: it is fixed, and random in evaluation");
    let mut fixed = true;
    for frames in [0, 1, 2, 5, 9, 16, 100, 1_000_000].map(|more| least + more) {
        let seen = seen(&*sampler, frames);
        let again = [(); 2].map(|()| evaluated(&*sampler, frames));
        assert_eq!(again[0], again[1], "{name}: without draws it takes the same frames every time");
        fixed &= seen.iter().zip(&again[0]).all(|(seen, frame)| seen.iter().eq([frame]));
        let drawn = || sampler.sample(&clip(frames), Some(&mut Stream::new(2, "frames").at(0)));
        assert_eq!(ok(drawn(), &name), ok(drawn(), &name), "{name}: the draws alone decide");
    }
    assert_eq!(fixed, sampler.fixed(), "{name}: whether training takes the frames of evaluation, and `fixed`");
    let without = sampler.sample(&Timeline::of(least + 100), None).ok();
    let with = (!needs_clock).then(|| evaluated(&*sampler, least + 100));
    assert_eq!(without, with, "{name}: the frames of a clip without a frame rate, which only some refuse");
    for frames in 1..least {
        match sampler.sample(&clip(frames), None) {
            Err(Error::Failed { help: Some(_), .. }) => {}
            other => panic!("{name}: a clip of {frames} frames is refused, with what to do about it: {other:?}"),
        }
    }
}

fn clip(frames: usize) -> Timeline {
    Timeline { frames, fps: Some(30.0) }
}

/// The frames of a clip of 30 frames a second in evaluation, where nothing is drawn.
///
/// # Panics
/// Where the sampler refuses it.
pub fn evaluated(sampler: &dyn FrameSampler, frames: usize) -> Vec<usize> {
    ok(sampler.sample(&clip(frames), None), "a clip in evaluation")
}

/// Samples a clip of `frames` in evaluation and 300 times in training, sees that there are T indices below `frames` in
/// the order of time, and gives back which were seen at each of the T places in training.
///
/// # Panics
/// Where they are not, and where the sampler refuses the clip.
pub fn seen(sampler: &dyn FrameSampler, frames: usize) -> Vec<BTreeSet<usize>> {
    let stream = Stream::new(1, "frames");
    let mut seen = vec![BTreeSet::new(); sampler.count()];
    for draw in 0..=DRAWS {
        let mut rng = (draw > 0).then(|| stream.at(draw));
        let taken = ok(sampler.sample(&clip(frames), rng.as_mut()), "a clip");
        assert_eq!(taken.len(), sampler.count(), "{sampler:?}: T frames");
        let inside = taken.is_sorted() && taken.iter().all(|&frame| frame < frames);
        assert!(inside, "{sampler:?}: frames of {frames} in the order of time: {taken:?}");
        for (frame, seen) in taken.into_iter().zip(&mut seen).filter(|_| draw > 0) {
            seen.insert(frame);
        }
    }
    seen
}
