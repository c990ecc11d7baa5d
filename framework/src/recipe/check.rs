//! The check of a whole recipe: keys, components, and whether they fit together. All problems are found in one check.

use super::clip_store::ClipStoreOptions;
use super::identity::hash_of;
use super::{LONGEST_NAME, Purpose, Recipe, device, keys};
use crate::recipe::compute::Compute;
use crate::recipe::devices::Devices;
use crate::recipe::expectation::Expectation;
use crate::recipe::label::Label;
use crate::recipe::log::LogOptions;
use crate::registry::{
    Facts, SlotInfo, check_compatible, check_required_inputs, describe_choice, resolve_choice, slot, slots,
};
use crate::slots::backbone::Precision;
use crate::slots::layout::Part;
use maclip_language::{Diagnostic, Diagnostics, Node, Origin, codes, from_node, from_node_repaired, name_help, ranges};

/// The slot whose component decides which other slots a recipe may fill.
const TASK: &str = "task";
impl Recipe {
    /// [`Recipe::check`], for a run or only for its plan.
    ///
    /// # Errors
    /// All problems, each with its place.
    pub fn check_for(root: &Node, purpose: Purpose) -> std::result::Result<Self, Diagnostics> {
        let mut problems = Vec::new();
        let mut resolved = Node::map(Origin::Default);
        let Some(map) = root.as_map() else {
            let message = format!("a recipe is a map of keys, not {}", root.describe());
            return Err(Diagnostic::new(codes::WRONG_TYPE, message).at(&root.origin).into());
        };
        let slot_names = || slots().map(|slot| slot.name);
        let known: Vec<&str> = keys::resolved().chain(slot_names()).collect();
        let names: Vec<&str> = keys::KEYS.iter().map(|key| key.name).chain(slot_names()).collect();
        for entry in map.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            problems.push(
                Diagnostic::new(codes::UNKNOWN_KEY, format!("a recipe has no key `{}`", entry.key))
                    .at(&entry.key_origin)
                    .path(&entry.key)
                    .helps(name_help(&entry.key, names.iter().copied())),
            );
        }
        let mut keep = |key: &str, value: Node| {
            if let Some(map) = resolved.as_map_mut() {
                map.insert(key, Origin::Default, value);
            }
        };
        let name = field(root, "name", String::new(), &mut problems, &mut keep);
        if name.is_empty() && root.at("name").is_none_or(|node| node.as_str().is_some()) {
            let origin = root.at("name").map_or(&root.origin, |node| &node.origin);
            problems.push(
                Diagnostic::new(codes::MISSING_KEY, "a recipe needs a `name`")
                    .at(origin)
                    .path("name")
                    .help("add `name: my_experiment`; its runs go to <runs>/my_experiment/"),
            );
        } else if name.is_empty() {
            // The value has another type, which was reported above.
        } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) || name.starts_with('.') {
            let origin = root.at("name").map_or(&root.origin, |node| &node.origin);
            let message = format!("`{name}` cannot name a folder: use letters, digits, `-`, `_` and `.`");
            problems.push(Diagnostic::new(codes::OUT_OF_RANGE, message).at(origin).path("name"));
        } else if name.len() > LONGEST_NAME {
            let origin = root.at("name").map_or(&root.origin, |node| &node.origin);
            let message =
                format!("the name has {} letters, and no more than {LONGEST_NAME} can name a folder", name.len());
            problems.push(Diagnostic::new(codes::OUT_OF_RANGE, message).at(origin).path("name"));
        }
        let description = field(root, "description", String::new(), &mut problems, &mut keep);
        let label = root.at("label").filter(|node| !node.is_null()).map(|node| {
            let label = field(root, "label", Label(String::new()), &mut problems, &mut keep);
            problems.extend(label.problem().map(|(message, help)| {
                Diagnostic::new(codes::OUT_OF_RANGE, message).at(&node.origin).path("label").help(help)
            }));
            label.0
        });
        let seed = field(root, "seed", 0, &mut problems, &mut keep);
        let devices = field(root, "device", Devices::from("flex"), &mut problems, &mut keep);
        for (at, device) in devices.names().iter().enumerate() {
            // A plan computes nothing, so it may be for a device that this program or machine does not have.
            let elsewhere = purpose == Purpose::Plan && device::known(device);
            if let Err((message, help)) = device::parse(device)
                && !elsewhere
            {
                let path = if devices.count() > 1 { format!("device[{at}]") } else { "device".to_owned() };
                let origin = root.at(&path).or(root.at("device")).map_or(&root.origin, |node| &node.origin);
                let code = if device::known(device) { codes::DEVICE } else { codes::OUT_OF_RANGE };
                problems.push(Diagnostic::new(code, message).at(origin).path(path).help(help));
            }
        }
        let precision = field(root, "precision", Precision::default(), &mut problems, &mut keep);
        let compute = field(root, "compute", Compute::default(), &mut problems, &mut keep);
        let clip_store = field(root, "clip_store", ClipStoreOptions::default(), &mut problems, &mut keep);
        let log = field(root, "log", LogOptions::default(), &mut problems, &mut keep);
        if let (Some((message, help)), Some(node)) = (log.problem(), root.at("log.histograms")) {
            let problem = Diagnostic::new(codes::STRUCTURE, message).at(&node.origin);
            problems.push(problem.path("log.histograms").help(help));
        }
        let expect: Vec<Expectation> = field(root, "expect", Vec::new(), &mut problems, &mut keep);
        let listed = root.at("expect").and_then(Node::as_list).unwrap_or_default();
        for (at, node) in listed.iter().enumerate() {
            // An item that cannot be read was reported above.
            let Some((field, message)) = from_node::<Expectation>(node, "").ok().and_then(|item| item.problem()) else {
                continue;
            };
            let path = format!("expect[{at}].{field}");
            let origin = root.at(&path).map_or(&root.origin, |node| &node.origin);
            problems.push(Diagnostic::new(codes::OUT_OF_RANGE, format!("`{field}` {message}")).at(origin).path(path));
        }
        let used = used_slots(root, &mut problems);
        for slot in slots() {
            let chosen = map.get(slot.name);
            if !used.is_empty() && !used.contains(&slot.name) && !slot.is_of_work() {
                if let Some(entry) = map.entry(slot.name) {
                    let message = format!("the task does not use `{}`", slot.name);
                    problems.push(
                        Diagnostic::new(codes::STRUCTURE, message)
                            .at(&entry.key_origin)
                            .path(slot.name)
                            .help(format!("remove it; the task uses: {}", used.join(", "))),
                    );
                }
                continue;
            }
            let node = match (chosen, slot.default) {
                (Some(node), _) => node.clone(),
                (None, Some(default)) => default_choice(default),
                (None, None) => {
                    let names: Vec<&str> = (slot.components)().iter().map(|candidate| candidate.info.name).collect();
                    problems.push(
                        Diagnostic::new(codes::MISSING_KEY, format!("the recipe has no `{}`", slot.name))
                            .at(&root.origin)
                            .path(slot.name)
                            .help(format!("add `{}:` with `type:` one of {}", slot.name, names.join(", "))),
                    );
                    continue;
                }
            };
            match resolve_choice(slot, &node) {
                Ok(resolved) => {
                    if purpose == Purpose::Run
                        && let Err(found) = check_required_inputs(slot, &node)
                    {
                        problems.extend(found.into_vec());
                    }
                    keep(slot.name, resolved);
                }
                Err(found) => problems.extend(found.into_vec()),
            }
        }
        Diagnostics::check(problems)?;
        let facts = facts_of(root, &resolved);
        Diagnostics::check(incompatible(root, &resolved, &facts))?;
        let hash = hash_of(&resolved);
        let source = root.clone();
        Ok(Self {
            name,
            description,
            label,
            seed,
            devices,
            precision,
            compute,
            clip_store,
            log,
            expect,
            resolved,
            hash,
            pinned: Default::default(),
            parts: facts.of_backbone(),
            reads: facts.parts,
            untrained: false,
            source,
        })
    }
}

fn default_choice(name: &str) -> Node {
    let mut node = Node::map(Origin::Default);
    if let Some(map) = node.as_map_mut() {
        map.insert("type", Origin::Default, Node::from_json(&serde_json::Value::from(name)));
    }
    node
}

/// The value under `key`, or `default`. Everything that is wrong with it is added to `problems`, and the value is given
/// to `keep`.
fn field<T: serde::de::DeserializeOwned + serde::Serialize + schemars::JsonSchema>(
    root: &Node,
    key: &str,
    default: T,
    problems: &mut Vec<Diagnostic>,
    keep: &mut impl FnMut(&str, Node),
) -> T {
    let read = root.at(key).map(|node| from_node_repaired::<T>(node, key));
    let value = match read {
        None => default,
        Some(read) => {
            let schema = schemars::schema_for!(T).to_value();
            let written = root.at(key).unwrap_or(root);
            problems.extend(ranges::check_beside(&schema, written, key, &read.problems));
            problems.extend(read.problems);
            read.value.unwrap_or(default)
        }
    };
    if let Ok(json) = serde_json::to_value(&value) {
        keep(key, Node::from_json(&json));
    }
    value
}

/// The slots that the task uses, each with its component as it was written, so that its problems have a place; or with
/// the default one, which has none.
fn chosen<'a>(root: &'a Node, resolved: &'a Node) -> impl Iterator<Item = (&'static SlotInfo, &'a Node)> {
    let written = |name: &str| root.at(name).or(resolved.at(name));
    slots().filter(|slot| resolved.at(slot.name).is_some()).filter_map(move |slot| Some((slot, written(slot.name)?)))
}

/// What all components say about the run.
fn facts_of(root: &Node, resolved: &Node) -> Facts {
    let mut facts = Facts::default();
    chosen(root, resolved).for_each(|(slot, node)| describe_choice(slot, node, &mut facts));
    facts.complete = true;
    facts
}

/// The problems of components that are right by themselves but do not work together, such as a prototype that reads
/// class texts and a backbone that cannot encode them. `root` is the recipe as it was written, for places; `resolved`
/// has every default.
fn incompatible(root: &Node, resolved: &Node, facts: &Facts) -> Vec<Diagnostic> {
    let mut problems: Vec<Diagnostic> =
        chosen(root, resolved).filter_map(|(slot, node)| check_compatible(slot, node, facts).err()).flatten().collect();
    if facts.text_tower == Some(false) && !facts.readers.is_empty() {
        let reads = facts.readers.iter().map(|slot| {
            let kind = resolved.at(slot).and_then(|node| node.at("type")).and_then(Node::as_str).unwrap_or_default();
            format!("`{slot}: {kind}`")
        });
        let message = format!(
            "{} reads class texts, and the backbone has no text tower",
            reads.collect::<Vec<_>>().join(" and ")
        );
        let backbone = root.at("backbone").and_then(|node| node.at("type"));
        let origin = backbone.map_or(&root.origin, |node| &node.origin);
        problems.push(Diagnostic::new(codes::STRUCTURE, message).at(origin).path("backbone.type").help(
            "choose a CLIP backbone, or an adapter, prototype and objective (such as `metric`) that read no text",
        ));
    }
    problems.extend(features_and_pixels(root, resolved, facts));
    problems.extend(parts(root, resolved, facts));
    if resolved.at("device").and_then(Node::as_list).is_some() && !facts.several_devices {
        let task = resolved.at("task.type").and_then(Node::as_str).unwrap_or_default();
        let message = format!("the task `{task}` computes on one device, and `device` names several");
        let origin = root.at("device").map_or(&root.origin, |node| &node.origin);
        problems.push(Diagnostic::new(codes::STRUCTURE, message).at(origin).path("device").help("name one device"));
    }
    problems
}

/// Clips that are ready features, with components that read pixels; or the other way round.
fn features_and_pixels(root: &Node, resolved: &Node, facts: &Facts) -> Vec<Diagnostic> {
    let at = |path: &str, message: String, help: &str| {
        let written = root.at(path).or_else(|| root.at(path.split('.').next().unwrap_or_default()));
        let origin = written.map_or(&root.origin, |node| &node.origin);
        Diagnostic::new(codes::STRUCTURE, message).at(origin).path(path).help(help)
    };
    match (facts.gives_features, facts.passes_features) {
        (true, false) => vec![at(
            "backbone.type",
            "the clips of the dataset are ready features, and this backbone reads pixels".to_owned(),
            "choose `backbone: {type: precomputed, width: WIDTH}`, which passes them on",
        )],
        (false, true) => vec![at(
            "backbone.type",
            "this backbone passes on ready features, and the clips of the dataset are videos or frames".to_owned(),
            "say `clips: features` of a dataset that has them, such as video_list, or choose a backbone that reads \
             pixels",
        )],
        (true, true) => ["resize", "augment"]
            .into_iter()
            .filter(|slot| resolved.at(slot).and_then(|node| node.at("type")).and_then(Node::as_str) != Some("none"))
            .filter(|slot| resolved.at(slot).is_some())
            .map(|slot| {
                let message = format!("the clips are ready features, which have no pixels that `{slot}` could change");
                at(slot, message, &format!("take `{slot}` out"))
            })
            .collect(),
        (false, false) => Vec::new(),
    }
}

/// Parts of a frame that a component reads and nothing gives.
fn parts(root: &Node, resolved: &Node, facts: &Facts) -> Vec<Diagnostic> {
    let name_of = |slot: &str| {
        let named = resolved.at(slot).and_then(|node| node.at("type")).and_then(Node::as_str);
        named.unwrap_or_default().to_owned()
    };
    let missing = facts.parts.iter().filter_map(|(slot, part)| {
        let (lacking, help) = match part {
            Part::Added { by, .. } => {
                let given = facts.added.contains(part) || resolved.at("prototype").is_none();
                (!given).then(|| ("prototype", format!("choose `prototype: {{type: {by}}}`")))?
            }
            Part::Block(_) | Part::Joint(_) if facts.transformer == Some(false) => {
                ("backbone", "choose a backbone with transformer blocks, such as clip_vit".to_owned())
            }
            Part::Block(count) | Part::Joint(count) => {
                let blocks = facts.geometry.as_ref().map(|geometry| geometry.blocks);
                let blocks = blocks.filter(|blocks| count > blocks && facts.hands_out != Some(false));
                match blocks {
                    Some(blocks) => ("backbone", format!("this backbone has {blocks} blocks")),
                    None => (facts.hands_out == Some(false)).then(|| ("backbone", GIVES.to_owned()))?,
                }
            }
            Part::Pixels | Part::Map => (facts.hands_out == Some(false)).then(|| ("backbone", GIVES.to_owned()))?,
        };
        let message =
            format!("`{slot}: {}` reads {part}, which `{lacking}: {}` does not give", name_of(slot), name_of(lacking));
        let path = format!("{slot}.type");
        let origin = root.at(&path).or_else(|| root.at(slot)).map_or(&root.origin, |node| &node.origin);
        Some(Diagnostic::new(codes::STRUCTURE, message).at(origin).path(path).help(help))
    });
    missing.collect()
}

/// The way out where a backbone hands out features alone.
const GIVES: &str = "choose a backbone that computes it from pixels, such as resnet, clip_resnet or clip_vit";

/// The slots that the recipe's task uses. Empty if the task itself has a problem, which is reported at its own place.
fn used_slots(root: &Node, problems: &mut Vec<Diagnostic>) -> Vec<&'static str> {
    let Some(task) = slot(TASK) else { return Vec::new() };
    let node = root.at(task.name).cloned().or_else(|| task.default.map(default_choice));
    let Some(node) = node else { return Vec::new() };
    if resolve_choice(task, &node).is_err() {
        return Vec::new();
    }
    let mut facts = Facts::default();
    describe_choice(task, &node, &mut facts);
    if facts.task_slots.is_none() {
        let message = "the task does not say which slots it reads";
        let problem = Diagnostic::new(codes::STRUCTURE, message).at(&node.origin).path(task.name);
        problems.push(problem.help("its `Component::describe` must set `Facts::task_slots`"));
    }
    facts.task_slots.map_or_else(Vec::new, |used| std::iter::once(task.name).chain(used.iter().copied()).collect())
}
