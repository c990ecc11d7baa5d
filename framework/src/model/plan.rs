//! The plan of a run: the steps of its model with shapes and scopes, its parameters, and its cost. Made from the built
//! model, without data and weights.

use crate::model::parameters::Params;
use crate::slots::Scope;
use crate::slots::cost::{COUNTED, Cost};
use serde::Serialize;

/// One step of the graph.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Unique name of the step in the graph, such as `texts`.
    pub id: &'static str,
    /// The component or components that compute it, such as `clip_vit + multimodal`.
    pub by: String,
    /// Ids of the steps whose output it reads.
    pub from: Vec<&'static str>,
    /// Shape of its output.
    pub shape: Vec<usize>,
    /// What its output for one clip depends on.
    pub scope: Scope,
    /// How often it runs in the test, in words: see [`Plan::runs`].
    pub runs: &'static str,
    /// FLOPs for the whole of `shape`; `None` (`null` in JSON) where a component does not report them.
    pub flops: Option<f64>,
}

/// The graph of one episode, the model's parameters, and costs.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The steps of the graph, each after those that it reads.
    pub nodes: Vec<Step>,
    /// Numbers of parameters.
    pub params: Params,
    /// FLOPs of a clip, an episode and a training step.
    pub flops: Flops,
    /// Estimates of the memory of a run.
    pub memory: Memory,
}

/// FLOPs of the things that a run does many times.
#[derive(Clone, Debug, Serialize)]
pub struct Flops {
    /// What is counted as a FLOP, in words.
    pub counted: &'static str,
    /// One entry for each of those things.
    pub totals: Vec<Total>,
}

/// FLOPs of one thing, such as a query clip.
#[derive(Clone, Debug, Serialize)]
pub struct Total {
    /// `query_clip`, `support_clip`, `episode`, `training_step`, …
    pub of: &'static str,
    /// FLOPs of one such thing, without the steps in `without`.
    pub flops: f64,
    /// Steps of the graph that belong to it but are not in `flops`, because a component does not report them.
    pub without: Vec<&'static str>,
    /// What is counted, in words.
    pub about: String,
}

impl Total {
    /// The sum of `parts`, each the id of a step with its cost; `None` goes to [`Total::without`].
    pub fn new(of: &'static str, parts: &[(&'static str, Option<Cost>)], about: impl Into<String>) -> Self {
        let without = parts.iter().filter(|(_, cost)| cost.is_none()).map(|(id, _)| *id).collect();
        let flops = parts.iter().filter_map(|(_, cost)| *cost).sum::<Cost>().flops;
        Self { of, flops, without, about: about.into() }
    }
}

/// Estimates of the memory that a run needs, in bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Memory {
    /// What is estimated, in words.
    pub about: String,
    /// One entry for each kind of memory.
    pub parts: Vec<MemoryPart>,
    /// Training as a whole, in bytes; `None` where nothing is trained.
    pub training_bytes: Option<f64>,
    /// Evaluation as a whole, in bytes, without the features of the clips.
    pub evaluation_bytes: f64,
    /// Whether a training step fits devices of usual sizes, and with which setting.
    pub fits: Vec<Fit>,
    /// Steps whose activations are in no estimate, because a component does not report them.
    pub without: Vec<&'static str>,
}

/// Whether a training step fits a device.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    /// Memory of the device, in gigabytes (10⁹ bytes).
    pub gb: f64,
    /// The setting of `compute:` with which it fits; `None` where none does.
    pub setting: Option<String>,
    /// What the step needs with this setting, or at least.
    pub bytes: f64,
}

/// One thing that memory is needed for.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryPart {
    /// `frozen_weights`, `trainable_weights`, `gradients`, `optimizer`, `inputs`, `activations`, …
    pub of: &'static str,
    /// The estimate, in bytes.
    pub bytes: f64,
    /// What is estimated, in words.
    pub about: String,
}

impl Flops {
    /// `totals`, with the words for what is counted.
    pub fn new(totals: Vec<Total>) -> Self {
        Self { counted: COUNTED, totals }
    }
}

impl Plan {
    /// How often a step of `scope` runs when episodes are evaluated, in words.
    pub fn runs(scope: Scope) -> &'static str {
        match scope {
            Scope::Frozen | Scope::Clip => "once per clip",
            Scope::LabelledClip => "once per support clip",
            Scope::Episode => "every episode",
        }
    }

    /// The graph as a Mermaid flow chart.
    pub fn mermaid(&self) -> String {
        let mut lines = vec!["flowchart LR".to_owned()];
        for node in &self.nodes {
            let flops = match node.flops {
                Some(0.0) => String::new(),
                Some(flops) => format!("<br/>{}FLOPs", short(flops)),
                None => "<br/>FLOPs not counted".to_owned(),
            };
            lines.push(format!("  {0}[\"{0}: {1}<br/>{2:?}, {3}{flops}\"]", node.id, node.by, node.shape, node.runs));
            lines.extend(node.from.iter().map(|from| format!("  {from} --> {}", node.id)));
        }
        lines.join("\n")
    }
}

/// A number with three digits and a metric prefix, for a unit that follows: 35126906880 → `35.1 G`, 0 → `0 `.
pub fn short(number: f64) -> String {
    let mut value = number;
    let mut prefixes = ["", "k", "M", "G", "T", "P", "E"].into_iter();
    let mut prefix = prefixes.next().unwrap_or_default();
    // 999.5 would be rounded to four digits.
    while value >= 999.5 {
        let Some(next) = prefixes.next() else { break };
        (value, prefix) = (value / 1000.0, next);
    }
    let digits = if value >= 99.95 || prefix.is_empty() { 0 } else { 1 + usize::from(value < 9.995) };
    format!("{value:.digits$} {prefix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_rounded_once() {
        let shorts = [0.0, 12.0, 999.0, 1000.0, 35_126_906_880.0, 999_600.0, 99_960.0, 9_996.0].map(short);
        assert_eq!(shorts, ["0 ", "12 ", "999 ", "1.00 k", "35.1 G", "1.00 M", "100 k", "10.0 k"]);
    }

    #[test]
    fn a_total_names_what_it_lacks() {
        let cost = |flops| Some(Cost { flops, ..Cost::NONE });
        let total = Total::new("episode", &[("related", cost(2.0)), ("distances", None), ("scores", cost(1.0))], "");
        assert_eq!((total.flops, total.without), (3.0, vec!["distances"]));
    }
}
