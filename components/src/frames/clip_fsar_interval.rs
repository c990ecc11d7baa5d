//! `clip_fsar_interval`: T frames at equal distances of a part of the clip with a given duration; in practice of nearly
//! the whole clip.
//!
//! Source: the code of CLIP-FSAR (Wang et al., IJCV 2023) and its family, for sampling rates R up to 40: in the
//! released 1-shot settings Kinetics, with R = 35 and a target of 12 frames per second. The part has L = T · R · fps /
//! 12 frames, or ⌊n/T⌋ · T where that is more than the clip's n. It begins at a uniform real number up to m = max(n −
//! L + 1, 0) in training, at m / 2 in evaluation, and the frames are torch.linspace(start, start + L − R, T) in 32
//! bit, brought into 0..n − 1 and rounded down. R is subtracted in frames of the clip, whatever its frame rate. Where
//! L is below R the rule runs backwards in time, and most frames are the clip's first one; `short_clips: refuse` makes
//! such a clip an error.

use maclip_framework::error::{Error, Result};
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::dataset::Timeline;
use maclip_framework::slots::frames::FrameSampler;
use serde::{Deserialize, Serialize};

/// Options of CLIP-FSAR's intervals.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ClipFsarInterval {
    /// Frames T of a clip. 8 in the paper and all peers.
    #[schemars(range(min = 2, max = 256))]
    count: usize,
    /// Sampling rate R: frames at the target rate from one frame to the next. 35 for Kinetics.
    #[schemars(range(min = 1, max = 1024))]
    rate: usize,
    /// Frames per second that the sampling rate counts in. 12 in the released 1-shot settings.
    #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
    target_fps: f64,
    /// What is done with a clip that is so short that the rule runs backwards.
    short_clips: ShortClips,
    /// Frames per second of the clips that do not say it themselves, such as folders of frames.
    #[schemars(range(max = 1000.0), extend("exclusiveMinimum" = 0.0))]
    fps: Option<f64>,
}

/// What is done with clips on which the rule runs backwards.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum ShortClips {
    /// The rule is followed, as in public code.
    Published,
    /// The clip is an error.
    Refuse,
}

impl Default for ClipFsarInterval {
    fn default() -> Self {
        Self { count: 8, rate: 35, target_fps: 12.0, short_clips: ShortClips::Published, fps: None }
    }
}

register!(dyn FrameSampler, ClipFsarInterval, name: "clip_fsar_interval",
    summary: "T frames at equal distances of a part of given duration: a random one in training, else the middle",
    paper: Some("CLIP-FSAR, IJCV 2023"), stability: Stable, usage: "{count: 8, rate: 35, fps: 30}");

impl Component for ClipFsarInterval {
    type Slot = dyn FrameSampler;

    fn describe(&self, facts: &mut Facts) {
        facts.frames = Some(self.count);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn FrameSampler>> {
        Ok(Box::new(self))
    }
}

impl FrameSampler for ClipFsarInterval {
    fn count(&self) -> usize {
        self.count
    }

    fn sample(&self, clip: &Timeline, rng: Option<&mut Rng>) -> Result<Vec<usize>> {
        let Some(fps) = clip.fps.or(self.fps) else {
            return Err(Error::failed("the clip does not say its frame rate, which `clip_fsar_interval` needs")
                .help("give the frames per second that the clips have as `frames.fps`"));
        };
        let (n, rate) = (clip.frames as f64, self.rate as f64);
        let wanted = self.count as f64 * rate * fps / self.target_fps;
        let length = if wanted > n { (clip.frames / self.count * self.count) as f64 } else { wanted };
        if length < rate && self.short_clips == ShortClips::Refuse {
            let message = format!(
                "the clip has {n} frames, and CLIP-FSAR's rule with a rate of {rate} runs backwards below {}",
                self.least()
            );
            let help = "leave such clips out with `dataset.broken: skip`, or use other `frames`";
            return Err(Error::failed(message).help(help));
        }
        let room = (n - length + 1.0).max(0.0);
        let start = rng.map_or(room / 2.0, |rng| rng.range(0.0, room));
        let frame = |at: f32| at.clamp(0.0, (clip.frames - 1) as f32) as usize;
        Ok(linspace32(start as f32, (start + length - rate) as f32, self.count).map(frame).collect())
    }
}

impl ClipFsarInterval {
    /// Fewest frames of a clip that is taken whole.
    fn least(&self) -> usize {
        self.rate.next_multiple_of(self.count)
    }
}

/// `torch.linspace(first, last, count)`, which counts from the nearer end; `count` is at least 2.
fn linspace32(first: f32, last: f32, count: usize) -> impl Iterator<Item = f32> {
    let step = (last - first) / (count - 1) as f32;
    (0..count).map(move |i| if i < count / 2 { first + step * i as f32 } else { last - step * (count - 1 - i) as f32 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use crate::conformance::frames::{Traits, seen};

    fn evaluated(frames: usize, fps: f64) -> Vec<usize> {
        ClipFsarInterval::default().sample(&Timeline { frames, fps: Some(fps) }, None).unwrap()
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        // 35 frames, the rate, brought up to a multiple of the 8 that are taken.
        let options = "short_clips: refuse";
        conformance::frames::holds::<ClipFsarInterval>(Traits { options, least: 40, needs_clock: true });
    }

    #[test]
    fn evaluation_takes_the_frames_of_pytorch() {
        // The rule written with torch.linspace and torch.clamp, PyTorch 2.9. The first by hand: 8 * 35 * 30 / 12 = 700
        // is more than 300, so L = 296, start = (300 - 296 + 1) / 2 = 2.5 and the last is 2.5 + 296 - 35 = 263.5.
        assert_eq!(evaluated(300, 30.0), [2, 39, 77, 114, 151, 188, 226, 263]);
        assert_eq!(evaluated(250, 25.0), [1, 31, 62, 92, 123, 153, 184, 214]);
        assert_eq!(evaluated(300, 29.97), [2, 39, 77, 114, 151, 188, 226, 263]);
        assert_eq!(evaluated(71, 12.0), [4, 8, 12, 16, 20, 24, 28, 33]);
        assert_eq!(evaluated(40, 30.0), [0, 1, 1, 2, 3, 4, 4, 5]);
        // Longer than the part.
        assert_eq!(evaluated(1000, 30.0), [150, 245, 340, 435, 530, 625, 720, 815]);
        assert_eq!(evaluated(900, 25.0), [158, 237, 315, 393, 472, 550, 628, 707]);
        assert_eq!(evaluated(2000, 60.0), [300, 495, 690, 885, 1080, 1275, 1470, 1665]);
    }

    #[test]
    fn training_starts_anywhere_that_the_part_fits() {
        for frames in [40, 41, 47, 48, 1_000_000] {
            seen(&ClipFsarInterval::default(), frames);
        }
        // L = 296 of 300: starts from 0 to 5 exclusive.
        let sampler = ClipFsarInterval::default();
        assert_eq!(seen(&sampler, 300)[0], (0..5).collect());
        assert_eq!(seen(&sampler, 300)[7], (261..266).collect());
        // Where R is the distance in frames of the clip, the window slides over all of it: L = 2 * 3 = 6 of 20 frames.
        let sampler = ClipFsarInterval { count: 2, rate: 3, target_fps: 30.0, ..ClipFsarInterval::default() };
        assert_eq!(seen(&sampler, 20)[0], (0..15).collect());
        assert_eq!(seen(&sampler, 20)[1], (3..18).collect());
    }

    #[test]
    fn the_option_stands_in_for_a_clip_without_a_clock() {
        let sampler = ClipFsarInterval::default();
        let error = sampler.sample(&Timeline::of(300), None).unwrap_err().to_string();
        assert!(error.contains("frames.fps"), "{error}");
        let with = ClipFsarInterval { fps: Some(25.0), ..sampler };
        assert_eq!(with.sample(&Timeline::of(900), None).unwrap(), evaluated(900, 25.0));
        // The clip's own rate counts where there is one.
        let own = Timeline { frames: 1000, fps: Some(30.0) };
        assert_eq!(with.sample(&own, None).unwrap(), evaluated(1000, 30.0));
    }

    #[test]
    fn a_clip_too_short_for_the_rate_runs_backwards_or_is_refused_with_a_hint() {
        // Public code on clips of 9 and 39 frames.
        assert_eq!(evaluated(9, 30.0), [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(evaluated(39, 30.0), [4, 3, 3, 2, 2, 1, 1, 1]);
        let strict = ClipFsarInterval { short_clips: ShortClips::Refuse, ..ClipFsarInterval::default() };
        for frames in [1, 2, 7, 8, 9, 39] {
            let clip = Timeline { frames, fps: Some(30.0) };
            let error = strict.sample(&clip, None).unwrap_err().to_string();
            assert!(error.contains("dataset.broken: skip"), "{error}");
        }
    }
}
