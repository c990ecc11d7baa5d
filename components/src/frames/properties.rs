//! What holds for every sampler, for the tests of each.

use maclip_framework::random::Stream;
use maclip_framework::slots::dataset::Timeline;
use maclip_framework::slots::frames::FrameSampler;
use std::collections::BTreeSet;

/// The frames of a clip without a clock in evaluation, where nothing is drawn.
pub fn evaluated(sampler: &dyn FrameSampler, frames: usize) -> Vec<usize> {
    sampler.sample(&Timeline::of(frames), None).unwrap()
}

/// Samples a clip of `frames` in evaluation and 300 times in training, sees that there are T indices below `frames` in
/// the order of time, and gives back which were seen at each of the T places in training.
pub fn check(sampler: &dyn FrameSampler, frames: usize) -> Vec<BTreeSet<usize>> {
    let stream = Stream::new(1, "frames");
    let clip = Timeline { frames, fps: Some(30.0) };
    let mut seen = vec![BTreeSet::new(); sampler.count()];
    for draw in 0..=300 {
        let mut rng = (draw > 0).then(|| stream.at(draw));
        let taken = sampler.sample(&clip, rng.as_mut()).unwrap();
        assert_eq!(taken.len(), sampler.count());
        assert!(taken.is_sorted() && taken.iter().all(|&frame| frame < frames), "{frames} frames: {taken:?}");
        for (frame, seen) in taken.into_iter().zip(&mut seen).filter(|_| draw > 0) {
            seen.insert(frame);
        }
    }
    seen
}
