//! The frames of a long video on their way past: which of them windows need, and when the windows are answered.

use super::Classifier;
use super::calibration::Calibration;
use super::timeline::{Window, WindowAnswer, Windows};
use crate::engine::evaluation::CLIPS_PER_BATCH;
use crate::error::{Error, Result};
use crate::images::Image;
use crate::random::Stream;
use crate::slots::dataset::Timeline;
use std::collections::{BTreeMap, BTreeSet};

/// The windows of a video while its frames come by.
pub(super) struct Reel<'c, 'a> {
    pub classifier: &'c Classifier<'a>,
    pub windows: Windows,
    pub fps: f64,
    pub clip: &'c str,
    pub calibration: &'c Calibration,
    /// Numbers of frames that the sampler chooses of windows from [`Reel::next`] on, as far as these have begun.
    pub wanted: BTreeSet<usize>,
    /// Number of the first window that has not begun.
    pub planned: usize,
    /// The wanted frames that have come, as they are kept.
    pub held: BTreeMap<usize, Image>,
    /// Number of the first window that has no answer yet.
    pub next: usize,
    pub answers: Vec<WindowAnswer>,
}

impl Reel<'_, '_> {
    pub fn take(&mut self, index: usize, image: Image) -> Result<()> {
        let loader = self.classifier.source.loader();
        loop {
            let window = self.windows.at(self.planned, self.fps);
            if window.first > index {
                break;
            }
            self.wanted.extend(self.sampled(&window)?);
            self.planned += 1;
        }
        if self.wanted.contains(&index) {
            self.held.insert(index, loader.clips.keep(image, loader.geometry.image_size)?);
        }
        // So many windows are encoded at once; the frames that they need are held until then.
        let last = self.windows.at(self.next + CLIPS_PER_BATCH - 1, self.fps);
        if index + 1 >= last.first + last.frames {
            let windows: Vec<Window> =
                (0..CLIPS_PER_BATCH).map(|at| self.windows.at(self.next + at, self.fps)).collect();
            self.answer(&windows)?;
        }
        Ok(())
    }

    /// Answers the windows that are left, once it is known that there are `frames` frames.
    pub fn finish(&mut self, frames: usize) -> Result<()> {
        let whole = |window: &Window| window.first + window.frames <= frames;
        let left: Vec<Window> = (self.next..).map(|at| self.windows.at(at, self.fps)).take_while(whole).collect();
        left.chunks(CLIPS_PER_BATCH).try_for_each(|part| self.answer(part))?;
        if self.answers.is_empty() && frames > 0 {
            // The whole video is shorter than a window, so the frames that a window needs may be others than it has.
            return self.short(frames);
        }
        Ok(())
    }

    fn answer(&mut self, windows: &[Window]) -> Result<()> {
        let (classifier, loader) = (self.classifier, self.classifier.source.loader());
        let opened = windows.iter().map(|window| self.opened(window)).collect::<Result<Vec<_>>>()?;
        let opened = opened.iter().map(|frames| loader.pixels(frames)).collect::<Result<Vec<_>>>()?;
        let prefix = classifier.model.prefix(loader.tensor(&opened));
        let answers = classifier.answers(prefix, &classifier.all(), &classifier.rows(|_| true))?;
        for (window, answer) in windows.iter().zip(answers) {
            let (fit, probabilities) = (answer.fit(), self.calibration.calibrated(&answer.probabilities));
            self.answers.push(WindowAnswer { window: *window, probabilities, fit });
        }
        self.next += windows.len();
        let first = self.windows.at(self.next, self.fps).first;
        self.held = self.held.split_off(&first);
        self.wanted = self.wanted.split_off(&first);
        Ok(())
    }

    /// The one answer of a video that is shorter than a window: that of the whole clip.
    fn short(&mut self, frames: usize) -> Result<()> {
        let answer = self.classifier.classify(&[self.clip])?.remove(0);
        let (fit, probabilities) = (answer.fit(), self.calibration.calibrated(&answer.probabilities));
        self.answers.push(WindowAnswer { window: Window { first: 0, frames }, probabilities, fit });
        Ok(())
    }

    /// Numbers of the frames that the sampler chooses of a window.
    fn sampled(&self, window: &Window) -> Result<Vec<usize>> {
        let frames = &self.classifier.source.loader().clips.frames;
        let timeline = Timeline { frames: window.frames, fps: Some(self.fps) };
        let mut rng = Stream::new(0, &format!("classify/{}", self.clip)).at(window.first as u64);
        let drawn = frames.random_in_evaluation().then_some(&mut rng);
        Ok(frames.sample(&timeline, drawn)?.into_iter().map(|index| window.first + index).collect())
    }

    fn opened(&self, window: &Window) -> Result<Vec<Image>> {
        let missing = |index: usize| Error::failed(format!("frame {index} of {} is not there", self.clip));
        let frame = |index: usize| self.held.get(&index).cloned().ok_or_else(|| missing(index));
        self.sampled(window)?.into_iter().map(frame).collect()
    }
}
