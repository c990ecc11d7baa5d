//! The recipe's `expect:`, numbers that a run must meet, and whether it does.

use crate::records::TestResult;
use serde::{Deserialize, Serialize};

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
    /// Where the number comes from: paper and table, or command.
    pub source: String,
}

/// What became of an expectation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    /// Within the tolerance, or above.
    Met {
        measured: f64,
        /// Points above value + tolerance; 0 inside. More than expected may mean another test.
        above: f64,
    },
    Short {
        measured: f64,
        by: f64,
    },
    /// The run has no such result.
    Missing {
        reason: String,
    },
}

impl Expectation {
    /// What is wrong beyond the ranges.
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        (!["accuracy", "recall_at_1"].contains(&self.metric.as_str()))
            .then_some(("metric", "is `accuracy` or `recall_at_1`"))
    }

    /// The verdict in words.
    pub fn words(&self, test: Option<&TestResult>) -> (String, String) {
        match self.verdict(test) {
            Verdict::Met { measured, above } if above > 0.0 => {
                (format!("{measured:.1}"), format!("met, {above:.1} above the tolerance"))
            }
            Verdict::Met { measured, .. } => (format!("{measured:.1}"), "met".to_owned()),
            Verdict::Short { measured, by } => (format!("{measured:.1}"), format!("short by {by:.1}")),
            Verdict::Missing { reason } => ("–".to_owned(), format!("missing: {reason}")),
        }
    }

    pub fn verdict(&self, test: Option<&TestResult>) -> Verdict {
        match test {
            None => Verdict::Missing { reason: "the run is not done".to_owned() },
            Some(test) if test.metric != self.metric => {
                Verdict::Missing { reason: format!("the run measured {}", test.metric) }
            }
            Some(test) => {
                let measured = test.value * 100.0;
                let by = self.value - self.tolerance - measured;
                // A rounding error of the subtraction is no shortfall.
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
    fn a_result_meets_falls_short_or_is_missing() {
        let expect =
            Expectation { metric: "accuracy".to_owned(), value: 83.4, tolerance: 0.4, source: "table 1".to_owned() };
        let test = |metric: &str, value| TestResult {
            metric: metric.to_owned(),
            value,
            ci95: 0.01,
            episodes: 10,
            episodes_hash: String::new(),
            way: 5,
            shot: 1,
        };
        assert!(matches!(expect.verdict(Some(&test("accuracy", 0.83))), Verdict::Met { .. }));
        let high = expect.verdict(Some(&test("accuracy", 0.99)));
        assert!(matches!(high, Verdict::Met { above, .. } if (above - 15.2).abs() < 1e-9));
        let short = expect.verdict(Some(&test("accuracy", 0.82)));
        assert!(matches!(short, Verdict::Short { by, .. } if (by - 1.0).abs() < 1e-9));
        assert!(matches!(expect.verdict(Some(&test("recall_at_1", 0.99))), Verdict::Missing { .. }));
        assert!(matches!(expect.verdict(None), Verdict::Missing { .. }));
        assert!(expect.problem().is_none());
        assert!(Expectation { metric: "f1".to_owned(), ..expect }.problem().is_some());
    }
}
