//! Orders that a study is expected to show, such as those of a paper's table.

use super::Study;
use super::design::Design;
use maclip_language::{Diagnostic, Node, codes, item, join, name_help};
use serde::{Deserialize, Serialize};

/// Variants in the order of their accuracy, as a source found it. The report tests each pair of neighbours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Names of the study's variants, the best first. With axes, a name is that of a run without its seed.
    #[schemars(length(min = 2), extend("uniqueItems" = true))]
    pub best_first: Vec<String>,
    /// Where the order is from.
    pub source: String,
}

/// Problems of names that are no variant of the study.
pub(super) fn unknown(study: &Study, node: Option<&Node>, designs: &[Design]) -> Vec<Diagnostic> {
    let labels: Vec<String> = designs.iter().map(Design::label).collect();
    let mut problems = Vec::new();
    for (at, order) in study.order.iter().flatten().enumerate() {
        let place = join(&item("study.order", at), "best_first");
        for (position, name) in order.best_first.iter().enumerate().filter(|(_, name)| !labels.contains(name)) {
            let place = item(&place, position);
            let problem = Diagnostic::new(codes::STUDY, format!("the study has no variant `{name}`"));
            let names = node.and_then(|node| node.as_list()?.get(at)?.at("best_first")?.as_list());
            let written = names.and_then(|names| names.get(position));
            let problem = written.or(node).iter().fold(problem, |problem, node| problem.at(&node.origin));
            problems.push(problem.path(place).helps(name_help(name, labels.iter().map(String::as_str))));
        }
    }
    problems
}
