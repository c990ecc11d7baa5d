//! The runs that a study leaves out.

use super::Study;
use super::design::Design;
use maclip_language::{Diagnostic, Node, codes, identity, item};
use std::cell::Cell;
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
    conditions: Vec<Condition<'a>>,
}

/// One condition of an item: a value, or a list of which any may hold.
struct Condition<'a> {
    key: &'a str,
    wanted: &'a serde_json::Value,
    /// The values of the list, or the one value, and whether an excluded run has it.
    values: Vec<(&'a serde_json::Value, Cell<bool>)>,
}

impl<'a> Condition<'a> {
    fn new((key, wanted): (&'a String, &'a serde_json::Value)) -> Self {
        let values = wanted.as_array().map_or(std::slice::from_ref(wanted), Vec::as_slice);
        Self { key, wanted, values: values.iter().map(|value| (value, false.into())).collect() }
    }

    /// The values that a run has. An axis may have lists as values: the whole list is then one of them, and stands for
    /// all.
    fn met(&self, design: &Design, seed: Option<u64>) -> Vec<&Cell<bool>> {
        let holds = |wanted: &serde_json::Value| match self.key {
            "variant" => wanted.as_str() == Some(&design.variant),
            "seed" => wanted.as_u64().is_some() && wanted.as_u64() == seed,
            path => design.point.iter().any(|(axis, value)| *axis == path && same(wanted, value)),
        };
        let whole = holds(self.wanted);
        self.values.iter().filter(|(value, _)| whole || holds(value)).map(|(_, used)| used).collect()
    }

    /// What of it no excluded run has.
    fn unused(&self) -> impl Iterator<Item = &serde_json::Value> {
        self.values.iter().filter(|(_, used)| !used.get()).map(|(value, _)| *value)
    }
}

impl<'a> Exclusions<'a> {
    pub(super) fn of(study: &'a Study, node: Option<&'a Node>) -> Self {
        let places = node.and_then(Node::as_list).unwrap_or_default();
        let list = study.exclude.iter().flatten().enumerate();
        let item = |(at, conditions): (usize, &'a BTreeMap<String, serde_json::Value>)| Exclusion {
            place: places.get(at),
            conditions: conditions.iter().map(Condition::new).collect(),
        };
        Self(list.map(item).collect())
    }

    pub(super) fn matches(&self, design: &Design, seed: Option<u64>) -> bool {
        let mut any = false;
        for exclusion in &self.0 {
            let met: Vec<_> = exclusion.conditions.iter().map(|condition| condition.met(design, seed)).collect();
            if met.iter().all(|values| !values.is_empty()) {
                met.iter().flatten().for_each(|used| used.set(true));
                any = true;
            }
        }
        any
    }

    pub(super) fn unused(&self) -> Vec<Diagnostic> {
        self.0.iter().enumerate().flat_map(|(at, exclusion)| exclusion.unused(at)).collect()
    }
}

impl Exclusion<'_> {
    /// One problem where the item matches no run; else one for each value of a list that leaves nothing out.
    fn unused(&self, at: usize) -> Vec<Diagnostic> {
        let unused: Vec<_> = self.conditions.iter().flat_map(|c| c.unused().map(|value| (c.key, value))).collect();
        let all = self.conditions.iter().map(|condition| condition.values.len()).sum::<usize>();
        let problem = |message: String| {
            let problem = Diagnostic::new(codes::STUDY, message).path(item("study.exclude", at));
            let problem = self.place.iter().fold(problem, |problem, node| problem.at(&node.origin));
            problem.help("conditions are `variant`, `seed` and the paths of axes, as the study writes them")
        };
        if unused.len() == all && !self.conditions.is_empty() {
            return vec![problem("this `exclude` matches no run of the study".to_owned())];
        }
        let message = |(key, value)| problem(format!("this `exclude` matches no run with {key} {value}"));
        unused.into_iter().map(message).collect()
    }
}
