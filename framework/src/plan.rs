//! The plan of a run: its graph with shapes and scopes, and its parameters, from the built model and without its weights.

use crate::records::Params;
use crate::slots::Scope;
use serde::Serialize;

/// One step of the graph.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    pub id: &'static str,
    /// The component or components that do it, such as `clip_vit + multimodal`.
    pub by: String,
    /// Ids of the steps that it reads.
    pub from: Vec<&'static str>,
    /// Shape of what it gives.
    pub shape: Vec<usize>,
    /// What its output for one clip depends on.
    pub scope: Scope,
    /// How often it runs when N episodes are evaluated.
    pub runs: &'static str,
}

/// The graph of one episode, and the model's parameters.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    pub nodes: Vec<Node>,
    pub params: Params,
}

impl Plan {
    /// How often something of `scope` runs when episodes are evaluated.
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
            lines.push(format!("  {0}[\"{0}: {1}<br/>{2:?}, {3}\"]", node.id, node.by, node.shape, node.runs));
            lines.extend(node.from.iter().map(|from| format!("  {from} --> {}", node.id)));
        }
        lines.join("\n")
    }
}
