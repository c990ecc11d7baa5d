//! Ranges of options. They are written once, as schemars attributes on the fields, so that the JSON schema, `describe`
//! and an editor know them. Here a tree is checked against them.

use crate::{Diagnostic, Node, Value as Written, codes, within};
use serde_json::Value;

/// The values of `node` that are outside the ranges of `schema`, the whole JSON schema of a component or key. `path` is
/// the dotted path of `node` in the recipe. Values of a wrong type and unknown keys are not reported here:
/// [`crate::from_node`] reports them.
pub fn check(schema: &Value, node: &Node, path: &str) -> Vec<Diagnostic> {
    let mut walk = Walk { root: schema, path, found: Vec::new() };
    walk.visit(schema, node, "");
    walk.found
}

/// [`check`], without values that `problems` are already about.
pub fn check_beside(schema: &Value, node: &Node, path: &str, problems: &[Diagnostic]) -> Vec<Diagnostic> {
    let reported = |path: &str| problems.iter().any(|known| within(path, &known.path) || within(&known.path, path));
    check(schema, node, path).into_iter().filter(|problem| !reported(&problem.path)).collect()
}

/// The range of the option with this schema in short form, such as `1 … 256` or `> 0, ≤ 4`; `None` where it has no
/// range.
pub fn words(schema: &Value) -> Option<String> {
    let mut parts: Vec<String> = Bounds::of(schema).words().into_iter().collect();
    let count = |key: &str| schema[key].as_u64();
    parts.extend(match (count("minItems"), count("maxItems")) {
        (Some(least), Some(most)) if least == most => Some(format!("{least} items")),
        (Some(least), Some(most)) => Some(format!("{least} … {most} items")),
        (Some(least), None) => Some(format!("≥ {least} {}", if least == 1 { "item" } else { "items" })),
        (None, Some(most)) => Some(format!("≤ {most} items")),
        (None, None) => None,
    });
    parts.extend((schema["uniqueItems"] == true).then(|| "all different".to_owned()));
    parts.extend(Bounds::of(&schema["items"]).words().map(|words| format!("each {words}")));
    parts.extend(count("minLength").map(|least| format!("≥ {least} characters")));
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// An end of a range, and whether it is exclusive.
type End = Option<(f64, bool)>;

struct Bounds {
    lower: End,
    upper: End,
}

impl Bounds {
    fn of(schema: &Value) -> Self {
        let number = |key: &str| schema[key].as_f64();
        // schemars gives every unsigned integer a minimum, so a schema can have an inclusive and an exclusive end: the
        // narrower counts.
        let end = |open: Option<f64>, closed: Option<f64>, narrower: fn(f64, f64) -> bool| match (open, closed) {
            (Some(open), Some(closed)) if narrower(closed, open) => Some((closed, false)),
            (Some(open), _) => Some((open, true)),
            (None, closed) => closed.map(|closed| (closed, false)),
        };
        Self {
            lower: end(number("exclusiveMinimum"), number("minimum"), |closed, open| closed > open),
            upper: end(number("exclusiveMaximum"), number("maximum"), |closed, open| closed < open),
        }
    }

    fn hold(&self, value: f64) -> bool {
        let above = self.lower.is_none_or(|(end, open)| if open { value > end } else { value >= end });
        above && self.upper.is_none_or(|(end, open)| if open { value < end } else { value <= end })
    }

    /// Continues a sentence that begins with the option's name.
    fn message(&self) -> String {
        if let (Some((least, false)), Some((most, false))) = (self.lower, self.upper) {
            return format!("must be within {} and {}", short(least), short(most));
        }
        let lower = self.lower.map(|(end, open)| match (open, self.upper) {
            (true, _) => format!("above {}", short(end)),
            (false, None) if end == 0.0 => "0 or above".to_owned(),
            (false, _) => format!("at least {}", short(end)),
        });
        let upper = self.upper.map(|(end, open)| format!("{} {}", if open { "below" } else { "at most" }, short(end)));
        format!("must be {}", [lower, upper].into_iter().flatten().collect::<Vec<_>>().join(" and "))
    }

    fn words(&self) -> Option<String> {
        if let (Some((least, false)), Some((most, false))) = (self.lower, self.upper) {
            return Some(format!("{} … {}", short(least), short(most)));
        }
        let lower = self.lower.map(|(end, open)| format!("{} {}", if open { ">" } else { "≥" }, short(end)));
        let upper = self.upper.map(|(end, open)| format!("{} {}", if open { "<" } else { "≤" }, short(end)));
        let ends: Vec<String> = [lower, upper].into_iter().flatten().collect();
        (!ends.is_empty()).then(|| ends.join(", "))
    }
}

/// Short, as a person writes it: 1 for 1.0, 1e-6 for 0.000001.
fn short(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:e}") } else { value.to_string() }
}

fn number(node: &Node) -> Option<f64> {
    match node.value {
        Written::Int(value) => Some(value as f64),
        Written::Float(value) => Some(value),
        _ => None,
    }
}

/// 2 and 2.0 are the same item of a list of numbers.
fn same(a: &Node, b: &Node) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// `type` is one name or a list of them.
fn has_type(schema: &Value, name: &str) -> bool {
    schema["type"] == name || list(schema, "type").any(|one| one == name)
}

fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema[key].as_array().into_iter().flatten()
}

struct Walk<'a> {
    root: &'a Value,
    path: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    /// `field` is the place of `node` inside the tree that is checked.
    fn visit(&mut self, schema: &Value, node: &Node, field: &str) {
        match &node.value {
            Written::Null | Written::Bool(_) => return,
            Written::Int(_) | Written::Float(_) => self.visit_number(schema, node, field),
            Written::String(text) => {
                let least = schema["minLength"].as_u64().unwrap_or(0);
                if (text.chars().count() as u64) < least {
                    let message = match least {
                        1 => "must not be empty".to_owned(),
                        _ => format!("must have at least {least} characters"),
                    };
                    self.push(node, field, &message);
                }
            }
            Written::List(items) => self.visit_list(schema, node, items, field),
            Written::Map(map) => {
                for entry in map {
                    let field = if field.is_empty() { entry.key.clone() } else { format!("{field}.{}", entry.key) };
                    let option = schema["properties"].get(&entry.key).or(schema.get("additionalProperties"));
                    if let Some(option) = option {
                        self.visit(option, &entry.value, &field);
                    }
                }
            }
        }
        // A field's own attributes are beside the `$ref` to its type, so both count.
        if let Some(target) = self.target(schema) {
            self.visit(target, node, field);
        }
        for part in list(schema, "allOf") {
            self.visit(part, node, field);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(branch) = list(schema, key).find(|branch| self.fits(branch, node)) {
                self.visit(branch, node, field);
            }
        }
    }

    fn visit_number(&mut self, schema: &Value, node: &Node, field: &str) {
        let Some(value) = number(node) else { return };
        if !has_type(schema, "number") && !has_type(schema, "integer") {
            return;
        }
        let bounds = Bounds::of(schema);
        let or_null = if has_type(schema, "null") { ", or null" } else { "" };
        if !value.is_finite() {
            self.push(node, field, &format!("must be a finite number{or_null}"));
        } else if !bounds.hold(value) {
            self.push(node, field, &format!("{}{or_null}", bounds.message()));
        }
    }

    fn visit_list(&mut self, schema: &Value, node: &Node, items: &[Node], field: &str) {
        let count = items.len() as u64;
        if let Some(least) = schema["minItems"].as_u64().filter(|least| count < *least) {
            let message = match least {
                1 => "must name at least one".to_owned(),
                _ => format!("must have at least {least} items"),
            };
            self.push(node, field, &message);
        }
        if let Some(most) = schema["maxItems"].as_u64().filter(|most| count > *most) {
            self.push(node, field, &format!("must have at most {most} items"));
        }
        for (at, item) in items.iter().enumerate() {
            let field = format!("{field}[{at}]");
            if schema["uniqueItems"] == true && items[..at].iter().any(|before| same(before, item)) {
                self.push(item, &field, "must not repeat an item before it");
            }
            self.visit(&schema["items"], item, &field);
        }
    }

    fn target(&self, schema: &Value) -> Option<&'a Value> {
        self.root.pointer(schema["$ref"].as_str()?.strip_prefix('#')?)
    }

    /// Whether `node` belongs to the branch `schema` of an enumeration.
    fn fits(&self, schema: &Value, node: &Node) -> bool {
        let kinds: &[&str] = match &node.value {
            Written::Null => &["null"],
            Written::Bool(_) => &["boolean"],
            Written::Int(_) => &["integer", "number"],
            // The deserialiser accepts 2.0 as an integer.
            Written::Float(value) if value.fract() == 0.0 => &["integer", "number"],
            Written::Float(_) => &["number"],
            Written::String(_) => &["string"],
            Written::List(_) => &["array"],
            Written::Map(_) => &["object"],
        };
        if schema.get("type").is_some() && !kinds.iter().any(|kind| has_type(schema, kind)) {
            return false;
        }
        let text = node.as_str();
        if schema.get("const").is_some_and(|value| value.as_str() != text)
            || schema.get("enum").is_some() && !list(schema, "enum").any(|value| value.as_str() == text)
        {
            return false;
        }
        if let Some(map) = node.as_map() {
            let closed = schema["additionalProperties"] == false;
            if list(schema, "required").filter_map(Value::as_str).any(|key| !map.contains_key(key))
                || closed && map.keys().any(|key| schema["properties"].get(key).is_none())
            {
                return false;
            }
        }
        self.target(schema).is_none_or(|target| self.fits(target, node))
            && list(schema, "allOf").all(|part| self.fits(part, node))
            && ["anyOf", "oneOf"]
                .into_iter()
                .all(|key| schema.get(key).is_none() || list(schema, key).any(|branch| self.fits(branch, node)))
    }

    /// `message` continues a sentence that begins with the option's name.
    fn push(&mut self, node: &Node, field: &str, message: &str) {
        let dot = if field.is_empty() || field.starts_with('[') || self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{field}", self.path);
        let name = if field.is_empty() || field.starts_with('[') { &path } else { field };
        self.found.push(
            Diagnostic::new(codes::OUT_OF_RANGE, format!("`{name}` {message}"))
                .at(&node.origin)
                .path(path)
                .label(message),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{from_node, read_str};
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code)]
    struct Options {
        #[schemars(range(min = 1, max = 256))]
        count: usize,
        #[schemars(range(min = 1e-6))]
        lambda: f64,
        #[schemars(range(min = 0.0))]
        decay: f64,
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        scale: f64,
        #[schemars(range(max = 4.0), extend("exclusiveMinimum" = 0.0))]
        ratio: f64,
        #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
        beta: f64,
        #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 100.0))]
        rate: f64,
        #[schemars(range(max = 1024))]
        prefetch: usize,
        free: f64,
        #[schemars(range(min = 1))]
        patience: Option<u64>,
        #[schemars(extend("exclusiveMinimum" = 0.0))]
        clip_norm: Option<f64>,
        #[schemars(length(min = 1, max = 3), inner(range(min = 1)), extend("uniqueItems" = true))]
        sizes: Vec<usize>,
        #[schemars(length(min = 1))]
        label: String,
        /// Beside a `$ref`.
        inner: Inner,
        maybe: Option<Inner>,
        groups: BTreeMap<String, Inner>,
        cosine: Cosine,
        at: Blocks,
        choice: Option<Choice>,
    }

    #[derive(Default, Deserialize, schemars::JsonSchema)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code)]
    struct Inner {
        #[schemars(range(min = 1))]
        steps: u64,
    }

    #[derive(Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[allow(dead_code)]
    enum Cosine {
        Plain,
        /// With an ε.
        Plus(#[schemars(range(min = 0.0))] f64),
        Clamp(#[schemars(range(min = 1.0))] f64),
    }

    #[derive(Deserialize, schemars::JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[allow(dead_code)]
    enum Blocks {
        All,
        Last(#[schemars(range(min = 1))] usize),
        List(#[schemars(length(min = 1))] Vec<usize>),
    }

    #[derive(Deserialize, schemars::JsonSchema)]
    #[serde(untagged)]
    #[allow(dead_code)]
    enum Choice {
        Name(String),
        Number(#[schemars(range(max = 9.0))] f64),
        Sizes(Inner),
    }

    impl Default for Options {
        fn default() -> Self {
            Self {
                count: 8,
                lambda: 0.1,
                decay: 0.0,
                scale: 1.0,
                ratio: 0.25,
                beta: 0.9,
                rate: 0.1,
                prefetch: 2,
                free: 0.0,
                patience: None,
                clip_norm: None,
                sizes: vec![1],
                label: "x".to_owned(),
                inner: Inner { steps: 1 },
                maybe: None,
                groups: BTreeMap::new(),
                cosine: Cosine::Plain,
                at: Blocks::All,
                choice: None,
            }
        }
    }

    fn schema() -> Value {
        schemars::schema_for!(Options).to_value()
    }

    /// Message and path of each problem. The deserialiser must accept the options.
    fn found(options: &str) -> Vec<(String, String)> {
        let node = read_str("test.yaml", options).unwrap();
        from_node::<Options>(&node, "slot").unwrap_or_else(|problem| panic!("{problem}"));
        let problems = check(&schema(), &node, "slot");
        problems.into_iter().map(|problem| (problem.message, problem.path)).collect()
    }

    fn one(options: &str, message: &str, path: &str) {
        assert_eq!(found(options), [(message.to_owned(), path.to_owned())], "{options}");
    }

    fn none(options: &str) {
        assert_eq!(found(options), [], "{options}");
    }

    #[test]
    fn each_kind_of_bound_has_its_words() {
        one("count: 0", "`count` must be within 1 and 256", "slot.count");
        one("count: 257.0", "`count` must be within 1 and 256", "slot.count");
        one("lambda: 0", "`lambda` must be at least 1e-6", "slot.lambda");
        one("decay: -0.1", "`decay` must be 0 or above", "slot.decay");
        one("scale: 0", "`scale` must be above 0", "slot.scale");
        one("ratio: 0.0", "`ratio` must be above 0 and at most 4", "slot.ratio");
        one("ratio: 4.1", "`ratio` must be above 0 and at most 4", "slot.ratio");
        one("beta: 1", "`beta` must be at least 0 and below 1", "slot.beta");
        one("rate: 100", "`rate` must be above 0 and below 100", "slot.rate");
        one("prefetch: 1025", "`prefetch` must be within 0 and 1024", "slot.prefetch");
        one("label: ''", "`label` must not be empty", "slot.label");
    }

    #[test]
    fn values_on_the_bound_are_in_range() {
        none("{count: 1, lambda: 1e-6, decay: 0, scale: 1e-300, ratio: 4, beta: 0.0, rate: 99.9, prefetch: 1024}");
        none("{count: 256, prefetch: 0, patience: 1, sizes: [1, 2, 3], at: {last: 1}, cosine: {plus: 0}, label: a}");
    }

    #[test]
    fn numbers_are_finite_whatever_their_range() {
        one("free: .nan", "`free` must be a finite number", "slot.free");
        one("free: -.inf", "`free` must be a finite number", "slot.free");
        one("lambda: .inf", "`lambda` must be a finite number", "slot.lambda");
        one("cosine: {plus: .nan}", "`cosine.plus` must be a finite number", "slot.cosine.plus");
    }

    #[test]
    fn null_is_in_range_where_it_is_allowed() {
        none("{patience: null, clip_norm: null, maybe: null, choice: null}");
        one("patience: 0", "`patience` must be at least 1, or null", "slot.patience");
        one("clip_norm: 0", "`clip_norm` must be above 0, or null", "slot.clip_norm");
    }

    #[test]
    fn lists_have_a_length_and_items_a_range() {
        one("sizes: []", "`sizes` must name at least one", "slot.sizes");
        one("sizes: [1, 2, 3, 4]", "`sizes` must have at most 3 items", "slot.sizes");
        one("sizes: [2, 0]", "`sizes[1]` must be at least 1", "slot.sizes[1]");
        one("sizes: [2, 3, 2.0]", "`sizes[2]` must not repeat an item before it", "slot.sizes[2]");
    }

    #[test]
    fn nested_options_are_found_behind_references() {
        one("inner: {steps: 0}", "`inner.steps` must be at least 1", "slot.inner.steps");
        one("maybe: {steps: 0}", "`maybe.steps` must be at least 1", "slot.maybe.steps");
        one("groups: {a.b: {steps: 0}}", "`groups.a.b.steps` must be at least 1", "slot.groups.a.b.steps");
        none("{inner: {steps: 1}, maybe: {}, groups: {a: {steps: 2}}}");
    }

    #[test]
    fn the_branch_of_an_enumeration_is_the_written_one() {
        none("{cosine: plain, at: all, choice: anything}");
        none("{cosine: {plus: 0.5}, at: {list: [0]}, choice: {steps: 1}}");
        one("cosine: {plus: -1}", "`cosine.plus` must be 0 or above", "slot.cosine.plus");
        one("cosine: {clamp: 0.5}", "`cosine.clamp` must be at least 1", "slot.cosine.clamp");
        one("at: {last: 0}", "`at.last` must be at least 1", "slot.at.last");
        one("at: {list: []}", "`at.list` must name at least one", "slot.at.list");
        one("choice: 10", "`choice` must be at most 9", "slot.choice");
        one("choice: {steps: 0}", "`choice.steps` must be at least 1", "slot.choice.steps");
    }

    #[test]
    fn all_problems_are_reported_where_they_were_written() {
        let node = read_str("test.yaml", "count: 0\ninner:\n  steps: 0\n").unwrap();
        let problems = check(&schema(), &node, "slot");
        let lines = problems.iter().map(|problem| problem.origin.as_ref().unwrap().place().unwrap().line);
        assert_eq!(lines.collect::<Vec<_>>(), [1, 3]);
        assert_eq!(&*problems[0].label, "must be within 1 and 256");
    }

    #[test]
    fn what_the_deserialiser_reports_is_left_to_it() {
        let node =
            read_str("test.yaml", "{count: many, unknown: -1, sizes: 3, cosine: {other: -1}, inner: [0]}").unwrap();
        assert_eq!(check(&schema(), &node, "slot"), []);
        assert_eq!(check(&schema(), &Node::map(crate::Origin::Default), "slot"), []);
    }

    #[test]
    fn ranges_are_described_in_short() {
        let schema = schema();
        let short = |option: &str| words(&schema["properties"][option]);
        for (option, want) in [
            ("count", "1 … 256"),
            ("lambda", "≥ 1e-6"),
            ("scale", "> 0"),
            ("ratio", "> 0, ≤ 4"),
            ("beta", "≥ 0, < 1"),
            ("rate", "> 0, < 100"),
            ("patience", "≥ 1"),
            ("sizes", "1 … 3 items, all different, each ≥ 1"),
        ] {
            assert_eq!(short(option).as_deref(), Some(want), "{option}");
        }
        assert_eq!(short("free"), None);
        assert_eq!(short("inner"), None);
    }
}
