//! What holds for the options of every component: defaults are in range, and a value outside is refused where it was
//! written. And that every component is held to the contract of its slot.

use burn::tensor::Device;
use maclip_framework::recipe::Recipe;
use maclip_framework::registry::options::{self, followed};
use maclip_framework::registry::{BuildContext, Info, SlotInfo, resolve_choice, slot, slots};
use maclip_framework::slots::backbone::Geometry;
use maclip_language::{Diagnostics, Node, Origin, Value as Written, codes, item, ranges, read_str, within};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Options in YAML, without braces, as `resolve_choice` gives them back.
fn resolved(slot_name: &str, component: &str, options: &str) -> std::result::Result<Node, Diagnostics> {
    let text = format!("{{type: {component}, {options}}}");
    resolve_choice(slot(slot_name).unwrap(), &read_str("test.yaml", &text).unwrap())
}

/// Every component, with the options that its registration shows.
fn all() -> impl Iterator<Item = (&'static SlotInfo, &'static Info, Node)> {
    slots().flat_map(|slot| {
        (slot.components)().into_iter().map(move |candidate| {
            let info = candidate.info;
            let usage = info.usage.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap();
            let node = resolved(slot.name, info.name, usage).unwrap_or_else(|problems| panic!("{problems}"));
            (slot, info, node)
        })
    })
}

#[test]
fn the_defaults_of_every_component_are_in_range() {
    for (slot, info, node) in all() {
        assert_eq!(ranges::check(&(info.schema)().to_value(), &node, slot.name), [], "{} {}", slot.name, info.name);
    }
}

#[test]
fn the_usage_of_every_component_round_trips_and_builds() {
    let mut plain = BuildContext::new(0, Device::flex());
    plain.sizes_only = true;
    let context = plain.with_sizes(Geometry::clip_vit_b16(), 8);
    for (slot, info, node) in all() {
        let name = format!("{}/{}", slot.name, info.name);
        let again = read_str("again.yaml", &node.to_yaml()).unwrap();
        assert_eq!(resolve_choice(slot, &again).unwrap(), node, "{name}: written and read again");
        // Only a file that the usage names and that is not here may be in the way, a part of a frame that another
        // component gives, or a tower of another depth than that of the embedded CLIP.
        if let Err(error) = (slot.try_build)(&node, &context) {
            let message = error.to_string();
            let file =
                ["weights", "root", "file"].into_iter().find_map(|key| node.at(key)?.as_str().map(str::to_owned));
            let other_tower =
                message.contains("is not among the values of a frame here") || message.contains("and the backbone has");
            assert!(other_tower || file.is_some_and(|file| message.contains(&file)), "{name}: {message}");
        }
    }
}

/// Where the source of a component lies: `src/<slots>/<name>.rs`, or a folder of that name.
fn sources(slot: &str, name: &str) -> Vec<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let folder = [format!("{slot}s"), slot.to_owned()].map(|folder| source.join(folder)).into_iter();
    let folder = folder.into_iter().find(|folder| folder.is_dir()).unwrap_or_else(|| panic!("no folder for {slot}"));
    let file = folder.join(format!("{name}.rs"));
    if file.is_file() {
        return vec![file];
    }
    let entries = std::fs::read_dir(folder.join(name)).unwrap_or_else(|error| panic!("{slot}/{name}: {error}"));
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// A slot has shared properties where `src/conformance/` has a file of its name.
#[test]
fn every_component_is_held_to_the_contract_of_its_slot() {
    let properties = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance");
    let (with, without): (Vec<_>, Vec<_>) =
        slots().partition(|slot| properties.join(format!("{}.rs", slot.name)).is_file());
    let without: Vec<&str> = without.into_iter().map(|slot| slot.name).collect();
    assert_eq!(without, ["task", "dataset", "backbone"], "slots without shared properties");
    for slot in with {
        let call = format!("conformance::{}::holds::<", slot.name);
        for name in (slot.components)().into_iter().map(|candidate| candidate.info.name) {
            let calls = |path: &PathBuf| {
                let text = std::fs::read_to_string(path).unwrap();
                text.lines().any(|line| line.contains(&call) && !line.trim_start().starts_with("//"))
            };
            let held = sources(slot.name, name).iter().any(calls);
            assert!(held, "{}/{name} has no test that calls `{call}…>`: see components/src/conformance", slot.name);
        }
    }
}

/// A value just outside a bound of an option.
struct Outside {
    /// Where it stands in the value that holds it, such as `.at.last` or `[0]`; empty where it is that value.
    path: String,
    /// The value that holds it, otherwise in range.
    whole: Node,
    /// How it is refused.
    code: &'static str,
}

impl Outside {
    fn new(path: String, whole: Node) -> Self {
        Self { path, whole, code: codes::OUT_OF_RANGE }
    }
}

/// What is outside the bounds of `schema`, or of a part of it. `usual` is a value in range, where one is known.
fn outside(root: &Value, schema: &Value, usual: Option<&Node>) -> Vec<Outside> {
    let target = followed(root, schema);
    let usual = usual.filter(|node| !node.is_null()).cloned().or_else(|| sample(root, target));
    // A field's own bounds stand beside the reference to its type.
    let bound = |key: &str| [schema, target].iter().find_map(|schema| schema[key].as_f64());
    let mut found: Vec<Outside> =
        numbers(target, bound).into_iter().map(|value| Outside::new(String::new(), node(value))).collect();
    if target["minLength"].as_u64().is_some_and(|least| least > 0) {
        found.push(Outside::new(String::new(), node(Written::String(String::new()))));
    }
    if let Some(Written::List(items)) = usual.as_ref().map(|usual| &usual.value) {
        let first = items.first().cloned().or_else(|| sample(root, &target["items"]));
        let list = |items: Vec<Node>| node(Written::List(items));
        let of_length = |length: f64| list(vec![first.clone().unwrap(); length as usize]);
        let ends = [bound("minItems"), bound("maxItems")];
        let lengths = [ends[0].map(|least| least - 1.0), ends[1].map(|most| most + 1.0)];
        // A length that cannot vary belongs to the type.
        let code = if ends[0].is_some() && ends[0] == ends[1] { codes::WRONG_TYPE } else { codes::OUT_OF_RANGE };
        let wrong = lengths.into_iter().flatten().map(of_length);
        found.extend(wrong.map(|whole| Outside { path: String::new(), whole, code }));
        if [schema, target].iter().any(|schema| schema["uniqueItems"] == true) {
            found.push(Outside::new(item("", 1), of_length(2.0)));
        }
        for inner in outside(root, &target["items"], first.as_ref()) {
            let items = std::iter::once(inner.whole).chain(items.iter().skip(1).cloned()).collect();
            found.push(Outside { path: item("", 0) + &inner.path, whole: list(items), ..inner });
        }
    }
    // Parts by their names; where any name may stand, by one.
    let named = target["properties"].as_object().into_iter().flatten().map(|(name, part)| (name.as_str(), part));
    let any = Some(("x", &target["additionalProperties"])).filter(|(_, part)| part.is_object());
    let whole = usual.filter(|usual| usual.as_map().is_some()).unwrap_or_else(|| Node::map(Origin::Default));
    for (name, part) in named.chain(any) {
        for inner in outside(root, part, whole.at(name)) {
            let mut whole = whole.clone();
            whole.as_map_mut().unwrap().insert(name, Origin::Default, inner.whole);
            found.push(Outside { path: format!(".{name}{}", inner.path), whole, ..inner });
        }
    }
    for branch in ["oneOf", "anyOf"].into_iter().filter_map(|key| target[key].as_array()).flatten() {
        found.extend(outside(root, branch, None));
    }
    found
}

/// Numbers just outside the bounds of a number, and what is no finite number.
fn numbers(schema: &Value, bound: impl Fn(&str) -> Option<f64>) -> Vec<Written> {
    let [least, most, above, below] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"].map(bound);
    if has_type(schema, "integer") {
        let beyond = [least.map(|least| least - 1.0), most.map(|most| most + 1.0), above, below];
        return beyond.into_iter().flatten().map(|value| Written::Int(value as i64)).collect();
    }
    if !has_type(schema, "number") {
        return Vec::new();
    }
    let beyond = [least.map(f64::next_down), most.map(f64::next_up), above, below].into_iter().flatten();
    beyond.chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY]).map(Written::Float).collect()
}

fn node(value: Written) -> Node {
    Node::new(value, Origin::Default)
}

fn has_type(schema: &Value, name: &str) -> bool {
    schema["type"] == name || schema["type"].as_array().is_some_and(|names| names.iter().any(|one| one == name))
}

/// A value that `schema` allows.
fn sample(root: &Value, schema: &Value) -> Option<Node> {
    let target = followed(root, schema);
    let bound = |key: &str| schema[key].as_f64().or(target[key].as_f64());
    let value = if let Some(first) = target["enum"].get(0).or(target.get("const")) {
        return Some(Node::from_json(first));
    } else if has_type(target, "object") {
        let mut map = Node::map(Origin::Default);
        for name in target["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            map.as_map_mut()?.insert(name, Origin::Default, sample(root, &target["properties"][name])?);
        }
        return Some(map);
    } else if has_type(target, "array") {
        let least = bound("minItems").unwrap_or(0.0).max(1.0) as usize;
        Written::List(vec![sample(root, &target["items"])?; least])
    } else if has_type(target, "integer") {
        Written::Int(bound("minimum").unwrap_or(0.0) as i64)
    } else if has_type(target, "number") {
        let (least, most) =
            (bound("minimum").or(bound("exclusiveMinimum")), bound("maximum").or(bound("exclusiveMaximum")));
        Written::Float((least.unwrap_or(0.0) + most.unwrap_or(least.unwrap_or(0.0) + 2.0)) / 2.0)
    } else if has_type(target, "string") {
        Written::String("x".to_owned())
    } else if has_type(target, "boolean") {
        Written::Bool(false)
    } else {
        let branches = ["oneOf", "anyOf"].into_iter().filter_map(|key| target[key].as_array()).flatten();
        return branches.filter_map(|branch| sample(root, branch)).next();
    };
    Some(node(value))
}

#[test]
fn a_value_outside_its_range_is_refused_in_every_component() {
    for (slot, info, usual) in all() {
        let (schema, name) = ((info.schema)().to_value(), format!("{} {}", slot.name, info.name));
        let tried = outside(&schema, &schema, Some(&usual));
        for Outside { path, whole, code } in &tried {
            let path = format!("{}{path}", slot.name);
            let problems = resolve_choice(slot, whole).expect_err(&format!("{path} of\n{}", whole.to_yaml()));
            let found: Vec<_> = problems.iter().map(|problem| (problem.code, problem.path.as_str())).collect();
            assert!(found.contains(&(*code, path.as_str())), "{name}: {path}: {found:?} of\n{}", whole.to_yaml());
        }
        // Every range that `maclip describe` shows was tried.
        for option in options::options(&schema).iter().filter(|option| option.range.is_some()) {
            let path = format!(".{}", option.path);
            let tried = tried.iter().any(|outside| within(&outside.path.replace("[0]", "[]"), &path));
            assert!(tried, "{name}: nothing outside the range of `{}`", option.path);
        }
    }
}

/// What no schema says: see `Component::validate`.
#[test]
fn values_that_do_not_go_together_are_refused() {
    for (at, options, field, message) in [
        ("schedule multi_step", "milestones: [0.5, 0.5]", "milestones", "must be ascending shares of the training"),
        ("adapter st_adapter", "kernel: [3, 2, 1]", "kernel", "has odd sides"),
        ("task contrastive", "held_out: 10", "held_out", "must be at least two galleries"),
        (
            "task few_shot",
            "validation: {examples: 1}",
            "validation.examples",
            "has no effect: examples are kept of the test, with `test.examples`",
        ),
    ] {
        let (slot, component) = at.split_once(' ').unwrap();
        let problems = resolved(slot, component, options).expect_err(&format!("{at} {options}")).into_vec();
        let found: Vec<_> = problems.iter().map(|p| (p.code, p.message.as_str(), p.path.as_str())).collect();
        let want = (format!("`{field}` {message}"), format!("{slot}.{field}"));
        assert_eq!(found, [(codes::OUT_OF_RANGE, want.0.as_str(), want.1.as_str())], "{at} {options}");
    }
}

#[test]
fn ranges_of_what_no_component_owns_hold_too() {
    let text = "name: x\ndataset: {type: shapes_in_motion}\nbackbone: {type: clip_vit, weights: 'builtin:shapes_clip'}\n\
                compute: {workers: 257, prefetch: 1025, shards: 0, micro_batch: 0, cache_limit_gb: -1}\n\
                expect:\n- {metric: accuracy, value: 100, tolerance: 0, source: a}\n\
                - {metric: accuracy, value: 101, tolerance: .nan, source: b}\n";
    let problems = Recipe::check(&read_str("test.yaml", text).unwrap()).unwrap_err();
    let found: Vec<_> = problems
        .iter()
        .map(|problem| {
            let line = problem.origin.as_ref().and_then(|origin| origin.place()).unwrap().line;
            (line, problem.message.as_str(), problem.path.as_str())
        })
        .collect();
    let want = [
        (4, "`workers` must be within 0 and 256", "compute.workers"),
        (4, "`prefetch` must be within 0 and 1024", "compute.prefetch"),
        (4, "`shards` must be within 1 and 256, or null", "compute.shards"),
        (4, "`micro_batch` must be at least 1, or null", "compute.micro_batch"),
        (4, "`cache_limit_gb` must be 0 or above", "compute.cache_limit_gb"),
        (7, "`expect[1].value` must be within 0 and 100", "expect[1].value"),
        (7, "`expect[1].tolerance` must be a finite number", "expect[1].tolerance"),
    ];
    assert_eq!(found, want);
}
