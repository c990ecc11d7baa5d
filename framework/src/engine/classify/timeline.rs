//! The timeline of a long video: the answers of overlapping windows, as segments of one class each.

use super::calibration::{Calibration, largest};
use crate::error::{Error, Result};
use serde::Serialize;

/// Length of a window and the way to the next one, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Windows {
    /// Length of a window.
    pub window: f64,
    /// From the start of one window to that of the next.
    pub stride: f64,
}

/// The frames of one window: from `first`, `frames` of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Number of the first frame.
    pub first: usize,
    /// Number of frames.
    pub frames: usize,
}

impl Windows {
    /// # Errors
    /// Where a number is not above 0, or the windows leave gaps.
    pub fn new(window: f64, stride: f64) -> Result<Self> {
        for (name, value) in [("--window", window), ("--stride", stride)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::failed(format!("`{name}` must be more than 0 seconds")));
            }
        }
        if stride > window {
            return Err(Error::failed(format!("a stride of {stride} s is longer than a window of {window} s"))
                .help("what lies between two windows would have no answer: give a stride that is not longer"));
        }
        Ok(Self { window, stride })
    }

    /// An error where windows begin more often than frames come, at `fps` frames a second.
    ///
    /// # Errors
    /// Then.
    pub fn check(&self, fps: f64) -> Result<()> {
        if self.stride * fps >= 1.0 {
            return Ok(());
        }
        Err(Error::failed(format!("a stride of {} s is shorter than a frame of {} s", self.stride, 1.0 / fps))
            .help("give a longer one with `--stride`"))
    }

    /// Window number `at` of a video with `fps` frames a second.
    pub fn at(&self, at: usize, fps: f64) -> Window {
        let first = (at as f64 * self.stride * fps).round() as usize;
        Window { first, frames: ((self.window * fps).round() as usize).max(1) }
    }
}

/// The answer of one window.
#[derive(Clone, Debug)]
pub struct WindowAnswer {
    /// The frames.
    pub window: Window,
    /// Probability of each class, calibrated.
    pub probabilities: Vec<f64>,
    /// How well the nearest class fits.
    pub fit: f64,
}

/// A part of a video with one answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Segment {
    /// In seconds.
    pub start: f64,
    /// In seconds.
    pub end: f64,
    /// The class; `None` where it is none of them.
    #[serde(rename = "predicted")]
    pub class: Option<String>,
    /// Mean probability of the class; of the likeliest one where it is none of them.
    pub probability: f64,
}

/// Segments of a video of `frames` frames. The video is cut where windows begin and end, each part has the mean answer
/// of the windows that cover it, and neighbours with the same answer are joined.
pub fn segments(
    answers: &[WindowAnswer],
    names: &[&str],
    calibration: &Calibration,
    frames: usize,
    fps: f64,
) -> Vec<Segment> {
    let end = |answer: &WindowAnswer| (answer.window.first + answer.window.frames).min(frames);
    let mut cuts: Vec<usize> = answers.iter().flat_map(|answer| [answer.window.first, end(answer)]).collect();
    cuts.extend([0, frames]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut joined: Vec<(Segment, f64)> = Vec::new();
    for part in cuts.windows(2) {
        let covers = |answer: &&WindowAnswer| answer.window.first <= part[0] && end(answer) >= part[1];
        let covering: Vec<&WindowAnswer> = answers.iter().filter(covers).collect();
        // Frames at the end may be too few for a window, and rounding may leave one out between two: they belong to the
        // window before them.
        let before = || answers.iter().rev().find(|answer| answer.window.first <= part[0]);
        let covering = if covering.is_empty() { before().into_iter().collect() } else { covering };
        let Some((class, probability)) = mean_answer(&covering, calibration) else { continue };
        let name = class.map(|class| names[class].to_owned());
        let (start, end) = (part[0] as f64 / fps, part[1] as f64 / fps);
        match joined.last_mut().filter(|(last, _)| last.class == name) {
            Some((last, weighted)) => {
                *weighted += probability * (end - start);
                last.end = end;
            }
            None => joined.push((Segment { start, end, class: name, probability }, probability * (end - start))),
        }
    }
    joined
        .into_iter()
        .map(|(segment, weighted)| Segment { probability: weighted / (segment.end - segment.start), ..segment })
        .collect()
}

/// The class of several windows together, and its mean probability.
fn mean_answer(answers: &[&WindowAnswer], calibration: &Calibration) -> Option<(Option<usize>, f64)> {
    let count = answers.len() as f64;
    let classes = answers.first()?.probabilities.len();
    let mean = |class: usize| answers.iter().map(|answer| answer.probabilities[class]).sum::<f64>() / count;
    let means: Vec<f64> = (0..classes).map(mean).collect();
    let best = largest(&means);
    let fit = answers.iter().map(|answer| answer.fit).sum::<f64>() / count;
    Some(((!calibration.refuses(fit)).then_some(best), means[best]))
}

/// The segments as subtitles (SubRip).
pub fn srt(segments: &[Segment]) -> String {
    let time = |seconds: f64| {
        let ms = (seconds * 1000.0).round() as u64;
        format!("{:02}:{:02}:{:02},{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
    };
    let entry = |(at, segment): (usize, &Segment)| {
        let name = segment.class.as_deref().unwrap_or("none of these").replace(['\n', '\r'], " ");
        let (start, end) = (time(segment.start), time(segment.end));
        format!("{}\n{start} --> {end}\n{name} ({:.0} %)\n\n", at + 1, segment.probability * 100.0)
    };
    segments.iter().enumerate().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lie_where_they_should() {
        let windows = Windows::new(2.0, 0.5).unwrap();
        assert_eq!(windows.at(0, 25.0), Window { first: 0, frames: 50 });
        assert_eq!(windows.at(3, 25.0), Window { first: 38, frames: 50 });
        assert!(
            Windows::new(1.0, 2.0).is_err() && Windows::new(0.0, 0.0).is_err() && Windows::new(f64::NAN, 1.0).is_err()
        );
    }

    #[test]
    fn segments_are_joined_and_cover_the_video() {
        let answer = |first: usize, p: f64, fit: f64| WindowAnswer {
            window: Window { first, frames: 20 },
            probabilities: vec![p, 1.0 - p],
            fit,
        };
        let mut calibration = Calibration::of(&[], 2, 0.05);
        // Windows of two seconds, a second apart, ten frames a second; the video ends half a second after them.
        let answers = [answer(0, 0.9, 1.0), answer(10, 0.8, 1.0), answer(20, 0.1, 1.0), answer(30, 0.2, -3.0)];
        let found = segments(&answers, &["walk", "run"], &calibration, 55, 10.0);
        let spans: Vec<_> = found.iter().map(|s| (s.start, s.end, s.class.as_deref())).collect();
        // From 2 s to 3 s the means are 0.45 and 0.55.
        assert_eq!(spans, [(0.0, 2.0, Some("walk")), (2.0, 5.5, Some("run"))]);
        assert!((found[0].probability - (0.9 + 0.85) / 2.0).abs() < 1e-9);

        calibration.unknown = super::super::calibration::Calibration::of(
            &[super::super::calibration::LeftOut {
                label: 0,
                probabilities: vec![1.0],
                distances: vec![0.0],
                fit_without_class: None,
            }],
            1,
            0.5,
        )
        .unknown;
        let found = segments(&answers, &["walk", "run"], &calibration, 55, 10.0);
        assert_eq!(found.last().unwrap().class, None);
        assert_eq!(found.last().unwrap().start, 3.0, "the mean fit of the last two windows is below 0");
        assert!(srt(&found).starts_with("1\n00:00:00,000 --> 00:00:02,000\nwalk (88 %)\n\n2\n"));
    }

    #[test]
    fn a_frame_between_two_windows_belongs_to_the_one_before() {
        // At 25 frames a second, windows of 0.25 s have 6 frames and begin at 0, 6, 13, 19: frame 12 is in none.
        let windows = Windows::new(0.25, 0.25).unwrap();
        let answers: Vec<WindowAnswer> = [0.9, 0.9, 0.1, 0.1]
            .into_iter()
            .enumerate()
            .map(|(at, p)| WindowAnswer { window: windows.at(at, 25.0), probabilities: vec![p, 1.0 - p], fit: 0.0 })
            .collect();
        assert_eq!(answers[1].window.first + answers[1].window.frames, 12);
        let found = segments(&answers, &["a", "b"], &Calibration::of(&[], 2, 0.05), 25, 25.0);
        let spans: Vec<_> = found.iter().map(|s| (s.start, s.end, s.class.as_deref())).collect();
        assert_eq!(spans, [(0.0, 0.52, Some("a")), (0.52, 1.0, Some("b"))]);
    }

    #[test]
    fn a_video_that_is_shorter_than_a_window_is_one_segment() {
        let calibration = Calibration::of(&[], 2, 0.05);
        let answer = WindowAnswer { window: Window { first: 0, frames: 20 }, probabilities: vec![0.7, 0.3], fit: 0.0 };
        let found = segments(&[answer], &["a", "b"], &calibration, 12, 10.0);
        assert_eq!(found, [Segment { start: 0.0, end: 1.2, class: Some("a".into()), probability: 0.7 }]);
    }
}
