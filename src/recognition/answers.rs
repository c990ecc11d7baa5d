//! What was found, as text, JSON and CSV.

use super::asked::Asked;
use crate::terminal::columns::columns;
use maclip_framework::engine::classify::best_two;
use maclip_framework::engine::classify::calibration::{Calibration, Share};
use maclip_framework::engine::classify::timeline::Segment;
use maclip_reports::csv_lines;
use maclip_reports::format::{percent, plural};
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a clip was recognised as.
#[derive(Serialize, ToSchema)]
pub struct Query {
    /// The clip.
    path: String,
    /// The class with the largest probability, also where the clip is none of them.
    predicted: String,
    probability: f64,
    /// The class with the second largest one.
    runner_up: Option<String>,
    runner_up_probability: Option<f64>,
    /// Whether it is none of the classes.
    unknown: bool,
    /// How well the nearest class fits: minus its distance. It is unknown where this is below that of `none_of_these`.
    fit: Option<f64>,
    /// Probability of each class.
    classes: BTreeMap<String, f64>,
    /// The timeline, in windows only.
    #[schema(value_type = Vec<SegmentSchema>)]
    segments: Vec<Segment>,
}

/// What [`Segment`] is as JSON.
#[derive(ToSchema)]
#[schema(as = Segment)]
#[expect(dead_code, reason = "the framework knows nothing of this description")]
struct SegmentSchema {
    /// In seconds.
    start: f64,
    /// In seconds.
    end: f64,
    /// The class; null where it is none of them.
    predicted: Option<String>,
    probability: f64,
}

impl Query {
    /// For a clip that was asked; `names` are those of the classes.
    pub fn new(asked: &Asked, names: &[&str]) -> Self {
        let Asked { path, probabilities, unknown, fit, segments, look: _ } = asked;
        let ((first, probability), second) = best_two(probabilities);
        Self {
            path: path.clone(),
            predicted: names[first].to_owned(),
            probability,
            runner_up: second.map(|(at, _)| names[at].to_owned()),
            runner_up_probability: second.map(|(_, probability)| probability),
            unknown: *unknown,
            fit: *fit,
            classes: names.iter().map(|name| (*name).to_owned()).zip(probabilities.iter().copied()).collect(),
            segments: segments.clone(),
        }
    }
}

/// All answers, with what the examples say of them.
pub struct Answers {
    pub classes: Vec<String>,
    /// And the number of examples.
    calibration: Option<(Calibration, usize)>,
    queries: Vec<Query>,
    /// Clips that have no answer, each with the reason.
    failed: Vec<(String, String)>,
}

impl Answers {
    pub fn new(
        classes: Vec<String>,
        calibration: Option<(Calibration, usize)>,
        queries: Vec<Query>,
        failed: Vec<(String, String)>,
    ) -> Self {
        Self { classes, calibration, queries, failed }
    }

    pub fn calibration(&self) -> Option<&Calibration> {
        self.calibration.as_ref().map(|(calibration, _)| calibration)
    }

    /// Number of examples.
    pub fn examples(&self) -> usize {
        self.calibration.as_ref().map_or(0, |(_, examples)| *examples)
    }

    /// What a person must know before they believe the answers.
    pub fn warnings(&self) -> Vec<String> {
        let Some(calibration) = self.calibration() else { return Vec::new() };
        match (calibration.accuracy, calibration.above_chance()) {
            (Some(accuracy), Some(false)) if !calibration.enough() => vec![format!(
                "{} that can be left out are too few to tell whether this model tells the classes apart",
                plural(accuracy.clips, "example")
            )],
            (Some(accuracy), Some(false)) => vec![format!(
                "these examples cannot be told apart by this model: {} of {} left-out clips were recognised, and guessing \
                 gives {} %",
                (accuracy.share * accuracy.clips as f64).round(),
                accuracy.clips,
                percent(calibration.chance)
            )],
            (None, _) => vec![
                "every class has one example, so nothing can be left out: how often the answers are right is not known, \
                 probabilities are not calibrated, and no clip is called none of these"
                    .to_owned(),
            ],
            _ => Vec::new(),
        }
    }

    pub fn json(&self) -> serde_json::Value {
        let left_out = self.calibration().map(|found| {
            json!({
                "accuracy": found.accuracy.map(|share| share.share),
                "ci95": found.accuracy.map(|share| share.ci95()),
                "interval": found.accuracy.map(|share| share.interval),
                "clips": found.accuracy.map_or(0, |share| share.clips),
                "chance": found.chance,
                "above_chance": found.above_chance(),
                "temperature": found.temperature,
                "calibration_error": found.calibration_error.map(|[before, after]| json!({"before": before, "after": after})),
                "reliability": found.bins,
                "none_of_these": found.unknown,
            })
        });
        let failed = |(path, reason): &(String, String)| json!({"path": path, "reason": reason});
        let failed: Vec<_> = self.failed.iter().map(failed).collect();
        json!({"queries": self.queries, "leave_one_out": left_out, "warnings": self.warnings(), "failed": failed})
    }

    pub fn csv(&self) -> String {
        let header =
            ["path", "start", "end", "predicted", "probability", "unknown", "runner_up", "runner_up_probability"];
        let mut lines = vec![header.map(str::to_owned).to_vec()];
        let number = |value: f64| format!("{value:.4}");
        for query in &self.queries {
            for segment in &query.segments {
                lines.push(vec![
                    query.path.clone(),
                    format!("{:.3}", segment.start),
                    format!("{:.3}", segment.end),
                    segment.class.clone().unwrap_or_default(),
                    number(segment.probability),
                    segment.class.is_none().to_string(),
                    String::new(),
                    String::new(),
                ]);
            }
            if query.segments.is_empty() {
                lines.push(vec![
                    query.path.clone(),
                    String::new(),
                    String::new(),
                    query.predicted.clone(),
                    number(query.probability),
                    query.unknown.to_string(),
                    query.runner_up.clone().unwrap_or_default(),
                    query.runner_up_probability.map(number).unwrap_or_default(),
                ]);
            }
        }
        String::from_utf8_lossy(&csv_lines(&lines)).trim_end().to_owned()
    }

    /// For a person.
    pub fn text(&self, model: &str) -> Vec<String> {
        let mut lines = vec![format!("model          {model}")];
        let interval = |share: Share| format!("{} to {}", percent(share.interval[0]), percent(share.interval[1]));
        if let Some(found) = self.calibration() {
            lines.push(format!("support        {} classes, {}", self.classes.len(), plural(self.examples(), "clip")));
            if let Some(share) = found.accuracy {
                let (value, of) = (percent(share.share), plural(share.clips, "clip"));
                lines.push(format!(
                    "leave one out  {value} % of {of} recognised ({}), guessing gives {} %",
                    interval(share),
                    percent(found.chance)
                ));
            }
            if let Some(threshold) = &found.unknown {
                let strangers = threshold.unknown_refused.map(|share| {
                    format!(", and {} % ({}) of clips whose class was taken out", percent(share.share), interval(share))
                });
                let known = percent(threshold.known_refused);
                lines.push(format!(
                    "none of these  refuses about {known} % of new clips of these classes{}",
                    strangers.unwrap_or_default()
                ));
            }
        }
        if self.queries.is_empty() {
            return lines;
        }
        lines.push(String::new());
        let mut rows = vec![["clip", "class", "probability", "runner-up"].map(str::to_owned)];
        for query in &self.queries {
            for segment in &query.segments {
                let name = segment.class.clone().unwrap_or_else(|| "none of these".to_owned());
                let span = format!("{} {:.1} s to {:.1} s", query.path, segment.start, segment.end);
                rows.push([span, name, format!("{} %", percent(segment.probability)), String::new()]);
            }
            if query.segments.is_empty() {
                let name = match query.unknown {
                    true => format!("none of these (nearest: {})", query.predicted),
                    false => query.predicted.clone(),
                };
                let second = query.runner_up.as_ref().zip(query.runner_up_probability);
                let second = second.map(|(name, p)| format!("{name} {} %", percent(p))).unwrap_or_default();
                rows.push([query.path.clone(), name, format!("{} %", percent(query.probability)), second]);
            }
        }
        lines.extend(columns(&rows, 4));
        lines
    }
}
