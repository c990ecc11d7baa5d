//! One clip that was asked, before it is shown.

use maclip_framework::engine::classify::calibration::Calibration;
use maclip_framework::engine::classify::timeline::{Segment, Windows, segments};
use maclip_framework::engine::classify::{Answer, Classifier, Look};
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::Progress;
use maclip_reports::ClassifiedClip;

/// `2s`, `500ms` or `2` as seconds.
pub fn seconds(text: &str) -> std::result::Result<f64, String> {
    let (number, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    let value = number.trim().parse::<f64>().ok().map(|value| value * scale);
    value
        .filter(|value| *value > 0.0 && value.is_finite())
        .ok_or_else(|| "a time above 0, such as 2s or 500ms".to_owned())
}

/// A share from 0 to below 1.
pub fn share(text: &str) -> std::result::Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| (0.0..1.0).contains(value));
    value.ok_or_else(|| "a share from 0 to below 1, such as 0.05".to_owned())
}

/// A clip that was asked, and what was found.
pub struct Asked {
    pub path: String,
    /// Probability of each class.
    pub probabilities: Vec<f64>,
    /// Whether it is none of the classes.
    pub unknown: bool,
    /// How well the nearest class fits; not of windows.
    pub fit: Option<f64>,
    /// The timeline, in windows only.
    pub segments: Vec<Segment>,
    /// The clip beside the nearest example, where a page is made.
    pub look: Option<Look>,
}

impl Asked {
    /// One answer; probabilities are calibrated where examples were left out.
    pub fn of(path: &str, answer: &Answer, calibration: Option<&Calibration>) -> Self {
        let probabilities = match calibration {
            Some(calibration) => calibration.calibrated(&answer.probabilities),
            None => answer.probabilities.clone(),
        };
        let unknown = calibration.is_some_and(|calibration| calibration.refuses(answer.fit()));
        Self {
            path: path.to_owned(),
            probabilities,
            unknown,
            fit: Some(answer.fit()),
            segments: Vec::new(),
            look: None,
        }
    }

    /// For a page.
    pub fn on_page(&self) -> ClassifiedClip<'_> {
        let Self { path, probabilities, unknown, segments, look, .. } = self;
        ClassifiedClip { path, probabilities, unknown: *unknown, segments, look: look.as_ref() }
    }

    /// The answers of the windows of one long video, as one.
    ///
    /// # Errors
    /// As [`Classifier::windows`].
    pub fn in_windows(
        classifier: &Classifier,
        calibration: &Calibration,
        windows: Windows,
        fps: Option<f64>,
        path: &str,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let (answers, timeline) = classifier.windows(path, windows, fps, calibration, progress)?;
        let fps = timeline.fps.ok_or_else(|| Error::failed(format!("{path} has no frame rate")))?;
        let names: Vec<&str> = classifier.classes().iter().map(|class| class.name.as_str()).collect();
        let segments = segments(&answers, &names, calibration, timeline.frames, fps);
        let count = answers.len().max(1) as f64;
        let mean = |class: usize| answers.iter().map(|answer| answer.probabilities[class]).sum::<f64>() / count;
        let unknown = !segments.is_empty() && segments.iter().all(|segment| segment.class.is_none());
        let probabilities = (0..names.len()).map(mean).collect();
        Ok(Self { path: path.to_owned(), probabilities, unknown, fit: None, segments, look: None })
    }
}

#[cfg(test)]
mod tests {
    use super::{seconds, share};

    #[test]
    fn times_have_units_and_shares_are_below_1() {
        assert_eq!(["2s", "0.5s", "500ms", "3"].map(|text| seconds(text).unwrap()), [2.0, 0.5, 0.5, 3.0]);
        assert!(["", "0", "-1s", "2 minutes", "inf", "nan"].iter().all(|text| seconds(text).is_err()));
        assert!(share("1").is_err() && share("0").is_ok());
    }
}
