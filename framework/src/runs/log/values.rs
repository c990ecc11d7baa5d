//! The names and values of what is logged of one record. Event files and the table have the same names.

use crate::recipe::expectation::TestResult;
use crate::runs::records::{Manifest, TrainRecord, ValidationRecord};
use maclip_language::{Node, Value};
use std::time::{SystemTime, UNIX_EPOCH};

/// Values with their names.
pub type Named = Vec<(String, f64)>;

/// The learning rates of the optimizer's groups, as shares of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates(Vec<(String, f64)>);

impl Rates {
    /// The groups of `recipe`, a resolved recipe. None of a recipe without an optimizer.
    pub fn of(recipe: &Node) -> Self {
        let number = |node: &Node| match node.value {
            Value::Float(value) => Some(value),
            Value::Int(value) => Some(value as f64),
            _ => None,
        };
        let own = recipe.at("optimizer.learning_rate").and_then(number);
        let groups = recipe.at("optimizer.groups").and_then(Node::as_map);
        let (Some(own), Some(groups)) = (own, groups) else { return Self::default() };
        let share = |group: &Node| group.at("learning_rate").and_then(number).map_or(1.0, |rate| rate / own);
        Self(groups.iter().map(|entry| (entry.key.clone(), share(&entry.value))).collect())
    }
}

/// What is logged of a training step.
pub fn of_step(record: &TrainRecord, rates: &Rates) -> Named {
    let own = [
        ("train/loss", record.loss),
        ("train/accuracy", record.accuracy),
        ("train/rate", record.learning_rate),
        ("train/norm", record.gradient_norm),
    ];
    let parts = record.parts.iter().map(|(part, value)| (format!("loss/{part}"), *value));
    let groups = rates.0.iter().map(|(group, share)| (format!("rate/{group}"), share * record.learning_rate));
    own.map(|(name, value)| (name.to_owned(), value)).into_iter().chain(parts).chain(groups).collect()
}

/// What is logged of a validation.
pub fn of_validation(record: &ValidationRecord) -> Named {
    vec![("val/accuracy".to_owned(), record.accuracy), ("val/ci95".to_owned(), record.ci95)]
}

/// What is logged of a test.
pub fn of_test(test: &TestResult) -> Named {
    vec![(format!("test/{}", test.metric), test.value), ("test/ci95".to_owned(), test.ci95)]
}

/// `time` in seconds since 1970 (UTC).
pub fn seconds_of(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

/// Seconds since 1970 (UTC).
pub fn now() -> f64 {
    seconds_of(SystemTime::now())
}

/// About when step `step` of a run with `steps` recorded ones, the last at `until`, was done: the records have no
/// times, and the steps of an attempt are taken as equally long. An attempt that was killed did not write how long it
/// trained: it ended before the next one began.
pub fn time_of(step: u64, steps: u64, manifest: &Manifest, until: f64) -> f64 {
    let attempts = &manifest.attempts;
    let Some(at) = attempts.iter().rposition(|attempt| attempt.first_step < step.max(1)) else { return 0.0 };
    let attempt = &attempts[at];
    let (first, begun) = (attempt.first_step, attempt.started_unix as f64);
    let later = attempts[at + 1..].iter().map(|next| next.first_step).find(|later| *later > first);
    let share =
        (step.saturating_sub(first)) as f64 / later.unwrap_or(steps).max(first + 1).saturating_sub(first) as f64;
    let seconds = match (attempt.seconds.train, attempts.get(at + 1)) {
        (trained, _) if trained > 0.0 => trained,
        (_, Some(next)) => next.started_unix as f64 - begun,
        (_, None) => until - begun,
    };
    begun + seconds.max(0.0) * share.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::records::{Attempt, Seconds};
    use maclip_language::read_str;
    use std::collections::BTreeMap;

    #[test]
    fn each_group_has_its_rate() {
        let recipe =
            "optimizer: {learning_rate: 0.002, groups: {adapter: {learning_rate: 0.001}, text: {weight_decay: 1}}}";
        let rates = Rates::of(&read_str("a recipe", recipe).unwrap());
        let record = TrainRecord {
            step: 1,
            loss: 1.5,
            parts: BTreeMap::from([("q2s".to_owned(), 1.0)]),
            accuracy: 0.5,
            learning_rate: 0.0002,
            gradient_norm: 3.0,
        };
        let values: BTreeMap<String, f64> = of_step(&record, &rates).into_iter().collect();
        assert_eq!((values["train/loss"], values["loss/q2s"], values["train/norm"]), (1.5, 1.0, 3.0));
        // Half of the optimizer's own rate, and as much as that.
        assert_eq!((values["rate/adapter"], values["rate/text"]), (0.0001, 0.0002));
        assert_eq!(Rates::of(&read_str("a recipe", "name: a").unwrap()), Rates::default());
    }

    #[test]
    fn times_lie_within_the_attempts() {
        let attempt = |started_unix, first_step, train| Attempt {
            started_unix,
            first_step,
            seconds: Seconds { train, test: 0.0 },
            ..Attempt::default()
        };
        let manifest = Manifest { attempts: vec![attempt(100, 0, 40.0), attempt(500, 4, 20.0)], ..Manifest::default() };
        let times: Vec<f64> = (1..=6).map(|step| time_of(step, 6, &manifest, 999.0)).collect();
        assert_eq!(times, [110.0, 120.0, 130.0, 140.0, 510.0, 520.0]);
        assert_eq!(time_of(3, 6, &Manifest::default(), 999.0), 0.0);
        // Both were killed: the first before the second began, the second after the last record.
        let manifest = Manifest { attempts: vec![attempt(100, 0, 0.0), attempt(500, 4, 0.0)], ..Manifest::default() };
        let times: Vec<f64> = (1..=6).map(|step| time_of(step, 6, &manifest, 520.0)).collect();
        assert_eq!(times, [200.0, 300.0, 400.0, 500.0, 510.0, 520.0]);
    }
}
