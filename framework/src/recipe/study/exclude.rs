//! The runs that a study leaves out.

use super::Study;
use super::design::Design;
use maclip_language::{Diagnostic, Node, codes, identity, item};
use std::collections::BTreeMap;

/// Whether the two are the same value; the order of keys and the spelling of numbers do not matter.
fn same(wanted: &serde_json::Value, written: &Node) -> bool {
    identity(&Node::from_json(wanted), &[]) == identity(written, &[])
}

/// The study's `exclude`.
pub(super) struct Exclusions<'a>(Vec<Exclusion<'a>>);

/// One item of it.
struct Exclusion<'a> {
    place: Option<&'a Node>,
    conditions: &'a BTreeMap<String, serde_json::Value>,
    /// Whether it has matched a run.
    used: std::cell::Cell<bool>,
}

impl<'a> Exclusions<'a> {
    pub(super) fn of(study: &'a Study, node: Option<&'a Node>) -> Self {
        let places = node.and_then(Node::as_list).unwrap_or_default();
        let list = study.exclude.iter().flatten().enumerate();
        let item = |(at, conditions)| Exclusion { place: places.get(at), conditions, used: false.into() };
        Self(list.map(item).collect())
    }

    pub(super) fn matches(&self, design: &Design, seed: Option<u64>) -> bool {
        let holds = |(key, wanted): (&String, &serde_json::Value)| match key.as_str() {
            "variant" => wanted.as_str() == Some(&design.variant),
            "seed" => wanted.as_u64().is_some() && wanted.as_u64() == seed,
            path => design.point.iter().any(|(axis, value)| *axis == path && same(wanted, value)),
        };
        let mut any = false;
        for exclusion in &self.0 {
            let all = exclusion.conditions.iter().all(holds);
            exclusion.used.set(exclusion.used.get() || all);
            any |= all;
        }
        any
    }

    pub(super) fn unused(&self) -> Vec<Diagnostic> {
        let unused = self.0.iter().enumerate().filter(|(_, exclusion)| !exclusion.used.get());
        unused
            .map(|(at, exclusion)| {
                let problem = Diagnostic::new(codes::STUDY, "this `exclude` matches no run of the study");
                let problem = problem.path(item("study.exclude", at));
                let problem = exclusion.place.iter().fold(problem, |problem, node| problem.at(&node.origin));
                problem.help("conditions are `variant`, `seed` and the paths of axes, as the study writes them")
            })
            .collect()
    }
}
