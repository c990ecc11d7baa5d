//! The recipe's `expect:`: numbers that a run must meet, and whether it does.

use crate::files::number_or_null;
use maclip_language::Node;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A published or earlier number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// What is compared: `accuracy`, or `recall_at_1` of the contrastive task.
    #[schemars(extend("enum" = ["accuracy", "recall_at_1"]))]
    pub metric: String,
    /// In percent, as papers print it.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub value: f64,
    /// Points by which the measured value may fall short.
    #[schemars(range(min = 0.0, max = 100.0))]
    pub tolerance: f64,
    /// Where the number comes from: paper and table. `this recipe`, or a command of maclip, for a number of one's own:
    /// no table shows it as published.
    pub source: String,
    /// Dataset component on which it was measured, such as `kinetics100`. A run on another is not compared with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Backbone with which it was measured: its `architecture`, such as `ViT-B/32`, or the component's name where it
    /// has none. A run with another one, or with random weights, is not compared with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backbone: Option<String>,
}

/// Mean of n values, and the half width of its 95 % interval: 1.96 · s / √n with s² = Σ(x − mean)² / n. This is the
/// formula of the field's public code (TRX, few-shot-action-recognition). The values are the accuracies of episodes.
pub fn mean_ci95(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    (mean, 1.96 * (variance / n).sqrt())
}

/// The result of a run's test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// What is measured: the mean `accuracy` over episodes, or `recall_at_1` of the contrastive task's retrieval.
    pub metric: String,
    /// 0 to 1.
    #[serde(deserialize_with = "number_or_null")]
    pub value: f64,
    /// Half width of the 95 % interval over episodes of these videos, 0 to 1: 1.96 · s / √n for n episodes with the
    /// standard deviation s.
    #[serde(deserialize_with = "number_or_null")]
    pub ci95: f64,
    /// Number of episodes (or of retrieval queries).
    pub episodes: u64,
    /// SHA-256 of the episode list. Two results with the same hash are of the same episodes and can be compared in
    /// pairs.
    pub episodes_hash: String,
    /// Classes of an episode.
    pub way: usize,
    /// Support clips of each class.
    pub shot: usize,
}

/// Where a backbone's weights come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// From a file.
    File,
    /// From the program itself.
    Embedded,
    /// No weights were loaded.
    Random,
}

/// The data and the backbone of a run, for the comparison with a published number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The dataset component; of a test on another dataset than that of the training, both: `kinetics100 → ucf101`.
    pub dataset: String,
    /// The name of the embedded weights; otherwise the architecture, or the component's name where the recipe gives no
    /// architecture.
    pub backbone: String,
    /// Where the backbone's weights come from.
    pub weights: Weights,
}

impl Setting {
    /// The setting of a resolved recipe, such as a run's `recipe.resolved.yaml`.
    pub fn of(resolved: &Node) -> Self {
        let text = |path: &str| resolved.at(path).and_then(Node::as_str).unwrap_or_default();
        let (source, kind) = (text("backbone.weights"), text("backbone.type"));
        let (weights, backbone) = match source.strip_prefix("builtin:") {
            Some(name) => (Weights::Embedded, name),
            None => {
                let loaded = !["", "random"].contains(&source);
                let named = Some(text("backbone.architecture")).filter(|name| !name.is_empty());
                (if loaded { Weights::File } else { Weights::Random }, named.unwrap_or(kind))
            }
        };
        let (trained, tested) = (text("dataset.type"), text("task.test_on.type"));
        let dataset = if tested.is_empty() { trained.to_owned() } else { format!("{trained} → {tested}") };
        Self { dataset, backbone: backbone.to_owned(), weights }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dataset, backbone, weights } = self;
        match weights {
            Weights::File => write!(f, "{dataset} with {backbone}"),
            Weights::Embedded => write!(f, "{dataset} with the embedded {backbone}"),
            Weights::Random => write!(f, "{dataset} with a {backbone} of random weights"),
        }
    }
}

/// Whether a run meets an expectation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// The result is within the tolerance, or above.
    Met {
        /// The result, in percent.
        measured: f64,
        /// Points above value + tolerance; 0 inside. A result far above may mean that the test was another one.
        above: f64,
    },
    /// The result is too low.
    Short {
        /// The result, in percent.
        measured: f64,
        /// Points below value − tolerance.
        by: f64,
    },
    /// The number cannot be compared: the run has other data or another backbone.
    Elsewhere {
        /// The result, in percent.
        measured: f64,
        /// What differs.
        reason: String,
    },
    /// The run has no such result.
    Missing {
        /// Why.
        reason: String,
    },
}

/// Whether a `source` is a publication, and neither the recipe itself nor a command of this program.
pub fn is_publication(source: &str) -> bool {
    let source = source.trim();
    source != "this recipe" && source.split_whitespace().next() != Some("maclip")
}

impl Expectation {
    /// What is wrong with it, apart from the ranges of its options: a field and a message.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        (!["accuracy", "recall_at_1"].contains(&self.metric.as_str()))
            .then_some(("metric", "is `accuracy` or `recall_at_1`"))
    }

    /// Whether the number is one of a publication.
    pub fn is_published(&self) -> bool {
        is_publication(&self.source)
    }

    /// The verdict in words: the result in percent, and what it means.
    pub fn words(&self, test: Option<&TestResult>, setting: &Setting) -> (String, String) {
        match self.verdict(test, setting) {
            Verdict::Met { measured, above } if above > 0.0 => {
                (format!("{measured:.1}"), format!("met, {above:.1} above the tolerance"))
            }
            Verdict::Met { measured, .. } => (format!("{measured:.1}"), "met".to_owned()),
            Verdict::Short { measured, by } => (format!("{measured:.1}"), format!("short by {by:.1}")),
            Verdict::Elsewhere { measured, reason } => (format!("{measured:.1}"), format!("not comparable: {reason}")),
            Verdict::Missing { reason } => ("–".to_owned(), format!("missing: {reason}")),
        }
    }

    /// Why the number cannot be compared with a run of `setting`; `None` where it can.
    pub fn elsewhere(&self, setting: &Setting) -> Option<String> {
        let other_data = self.dataset.as_ref().is_some_and(|dataset| *dataset != setting.dataset);
        let other_backbone = |wanted: &String| *wanted != setting.backbone || setting.weights == Weights::Random;
        if !other_data && !self.backbone.as_ref().is_some_and(other_backbone) {
            return None;
        }
        let of = [self.dataset.as_deref(), self.backbone.as_deref()].into_iter().flatten().collect::<Vec<_>>();
        Some(format!("measured on {setting}; the number is of {}", of.join(" with ")))
    }

    /// Whether the result `test` of a run of `setting` meets it. `test` is `None` for a run that is not done.
    pub fn verdict(&self, test: Option<&TestResult>, setting: &Setting) -> Verdict {
        match test {
            None => Verdict::Missing { reason: "the run is not done".to_owned() },
            Some(test) if test.metric != self.metric => {
                Verdict::Missing { reason: format!("the run measured {}", test.metric) }
            }
            Some(test) => {
                let measured = test.value * 100.0;
                if let Some(reason) = self.elsewhere(setting) {
                    return Verdict::Elsewhere { measured, reason };
                }
                let by = self.value - self.tolerance - measured;
                // A rounding error of the subtraction does not count.
                if by > 1e-9 {
                    return Verdict::Short { measured, by };
                }
                Verdict::Met { measured, above: (measured - self.value - self.tolerance).max(0.0) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_the_hand_computed_one() {
        // mean 0.5, population variance 0.25, n 4: 1.96 * 0.5 / 2.
        let (mean, ci) = mean_ci95(&[0.0, 1.0, 0.0, 1.0]);
        assert!((mean - 0.5).abs() < 1e-12 && (ci - 0.49).abs() < 1e-12);
    }
    use maclip_language::{from_node, read_str};

    fn expectation(more: &str) -> Expectation {
        let text = format!("{{metric: accuracy, value: 83.4, tolerance: 0.4, source: table 1{more}}}");
        from_node(&read_str("expect", &text).unwrap(), "expect").unwrap()
    }

    fn setting(dataset: &str, backbone: &str) -> Setting {
        let text = format!("dataset: {{type: {dataset}}}\nbackbone: {backbone}\n");
        Setting::of(&read_str("recipe.resolved.yaml", &text).unwrap())
    }

    fn test(metric: &str, value: f64) -> TestResult {
        TestResult {
            metric: metric.to_owned(),
            value,
            ci95: 0.01,
            episodes: 10,
            episodes_hash: String::new(),
            way: 5,
            shot: 1,
        }
    }

    const REAL: &str = "{type: clip_vit, architecture: ViT-B/32, weights: b32.safetensors}";
    const SMALL: &str = "{type: clip_vit, architecture: null, weights: \"builtin:shapes_clip\"}";

    #[test]
    fn a_result_meets_falls_short_or_is_missing() {
        let expect = expectation("");
        // It names no dataset and no backbone, so every run is compared with it.
        let small = setting("shapes_in_motion", SMALL);
        let verdict = |metric: &str, value| expect.verdict(Some(&test(metric, value)), &small);
        assert!(matches!(verdict("accuracy", 0.83), Verdict::Met { .. }));
        let high = verdict("accuracy", 0.99);
        assert!(matches!(high, Verdict::Met { above, .. } if (above - 15.2).abs() < 1e-9));
        let short = verdict("accuracy", 0.82);
        assert!(matches!(short, Verdict::Short { by, .. } if (by - 1.0).abs() < 1e-9));
        assert!(matches!(verdict("recall_at_1", 0.99), Verdict::Missing { .. }));
        assert!(matches!(expect.verdict(None, &small), Verdict::Missing { .. }));
        assert!(expect.problem().is_none());
        assert!(Expectation { metric: "f1".to_owned(), ..expect }.problem().is_some());
    }

    #[test]
    fn numbers_of_ones_own_are_no_publication() {
        let of = |source: &str| Expectation { source: source.to_owned(), ..expectation("") }.is_published();
        assert!(of("arXiv 2308.01532v1, table 4") && of("table 1"));
        assert!(!of("this recipe") && !of("maclip run quickstart"));
    }

    #[test]
    fn a_number_is_compared_only_with_what_it_is_of() {
        let expect = expectation(", dataset: kinetics100, backbone: ViT-B/32");
        let verdict = |expect: &Expectation, setting| expect.verdict(Some(&test("accuracy", 0.84)), &setting);
        assert!(matches!(verdict(&expect, setting("kinetics100", REAL)), Verdict::Met { .. }));
        for (dataset, backbone) in [
            ("shapes_in_motion", REAL),
            ("kinetics100", SMALL),
            ("kinetics100", "{type: clip_vit, architecture: ViT-B/16, weights: b16.safetensors}"),
            ("kinetics100", "{type: clip_vit, architecture: ViT-B/32, weights: random}"),
            ("kinetics100", "{type: vit, weights: vit.safetensors}"),
        ] {
            let found = verdict(&expect, setting(dataset, backbone));
            assert!(matches!(found, Verdict::Elsewhere { measured: 84.0, .. }), "{dataset} {backbone}: {found:?}");
        }
        let (measured, word) = expect.words(Some(&test("accuracy", 0.5)), &setting("shapes_in_motion", SMALL));
        assert_eq!(measured, "50.0");
        assert_eq!(
            word,
            "not comparable: measured on shapes_in_motion with the embedded shapes_clip; the number is of kinetics100 \
             with ViT-B/32"
        );
        // The embedded weights have numbers of their own.
        let own = expectation(", backbone: shapes_clip");
        assert!(matches!(verdict(&own, setting("kinetics100", SMALL)), Verdict::Met { .. }));
    }
}
