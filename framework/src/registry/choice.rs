//! The component that a recipe chooses for a slot: it is looked up, checked and built.

use super::{BuildContext, Candidate, Facts, Info, SlotInfo, SlotTrait};
use crate::error::{Error, Result};
use maclip_language::{Diagnostic, Diagnostics, Node, Origin, codes, join, name_help, suggest};

/// The component map `node` of `slot` with every default filled in, after its `type` and its options were checked.
///
/// # Errors
/// Everything that is wrong: an unknown or missing `type`, unknown options, and values of a wrong type or range.
pub fn resolve_choice(slot: &SlotInfo, node: &Node) -> std::result::Result<Node, Diagnostics> {
    resolve_at(slot, node, slot.name)
}

/// [`resolve_choice`] of a component at `path`. This is not the slot's own key if the component is an option of another
/// one.
pub(super) fn resolve_at(slot: &SlotInfo, node: &Node, path: &str) -> std::result::Result<Node, Diagnostics> {
    let node = &typed(slot, node, path);
    let resolved = (chosen(slot, node, path)?.resolve)(node, path);
    resolved.map_err(|problems| {
        let helped = problems.into_iter().map(|problem| of_others(slot, node, path, problem)).collect();
        Diagnostics::from_list(helped).expect("there were problems to begin with")
    })
}

/// `node` with the slot's default component where it names none. An item of a list must name one: there it is rather
/// forgotten.
fn typed(slot: &SlotInfo, node: &Node, path: &str) -> Node {
    let mut node = node.clone();
    if let (Some(default), Some(map)) = (slot.default, node.as_map_mut())
        && map.get("type").is_none()
        && !path.ends_with(']')
    {
        map.insert("type", Origin::Default, Node::from_json(&default.into()));
    }
    node
}

/// Adds a hint to an unknown key that is an option of other components of the slot, or that the component's schema says
/// under `x-elsewhere` to be written in another place.
fn of_others(slot: &SlotInfo, node: &Node, path: &str, problem: Diagnostic) -> Diagnostic {
    let key = problem.path.strip_prefix(path).and_then(|key| key.strip_prefix('.')).map(str::to_owned);
    let Some(key) = key.filter(|_| problem.code == codes::UNKNOWN_KEY) else { return problem };
    if node.at("type").is_some_and(|kind| kind.origin == Origin::Default) && suggest(&key, ["type"]).is_some() {
        return problem.help("did you mean `type`?");
    }
    let own = chosen(slot, node, path).ok().map(|candidate| (candidate.info.schema)().to_value());
    if let Some(help) = own.as_ref().and_then(|schema| schema["x-elsewhere"][&key].as_str()) {
        return problem.help(help);
    }
    let has = |info: &Info| (info.schema)().to_value()["properties"].get(&key).is_some();
    let components = (slot.components)();
    let owners: Vec<&str> = components.iter().map(|c| c.info).filter(|info| has(info)).map(|info| info.name).collect();
    let assumed = node.at("type").filter(|kind| kind.origin == Origin::Default).and_then(Node::as_str);
    let assumed = assumed.map_or_else(String::new, |name| format!("without a `type`, `{path}` is `{name}`; "));
    if owners.is_empty() {
        problem
    } else {
        problem.help(format!("{assumed}`{key}` is an option of {}", owners.join(", ")))
    }
}

/// Adds to `facts` what the options of the component `node` say about the run. Nothing is added if the options are
/// wrong.
pub fn describe_choice(slot: &SlotInfo, node: &Node, facts: &mut Facts) {
    describe_at(slot, node, slot.name, facts);
}

pub(super) fn describe_at(slot: &SlotInfo, node: &Node, path: &str, facts: &mut Facts) {
    if let Ok(candidate) = chosen(slot, node, path) {
        (candidate.describe)(node, path, facts);
    }
}

/// Checks that the component `node` is compatible with what is known about the run.
pub(crate) fn check_compatible(slot: &SlotInfo, node: &Node, facts: &Facts) -> std::result::Result<(), Diagnostics> {
    check_compatible_at(slot, node, slot.name, facts)
}

pub(super) fn check_compatible_at(
    slot: &SlotInfo,
    node: &Node,
    path: &str,
    facts: &Facts,
) -> std::result::Result<(), Diagnostics> {
    (chosen(slot, node, path)?.compatible)(node, path, facts)
}

/// Checks that the component `node` has the options that only a run needs.
pub(crate) fn check_required_inputs(slot: &SlotInfo, node: &Node) -> std::result::Result<(), Diagnostics> {
    check_required_inputs_at(slot, node, slot.name)
}

pub(super) fn check_required_inputs_at(
    slot: &SlotInfo,
    node: &Node,
    path: &str,
) -> std::result::Result<(), Diagnostics> {
    (chosen(slot, node, path)?.required_inputs)(node, path)
}

/// The component that `node` names.
fn chosen(slot: &SlotInfo, node: &Node, path: &str) -> std::result::Result<Candidate, Diagnostics> {
    let node = &typed(slot, node, path);
    let components = (slot.components)();
    let names: Vec<&str> = components.iter().map(|candidate| candidate.info.name).collect();
    let list = || format!("components for {}: {}", slot.name, names.join(", "));
    if node.as_map().is_none() {
        let message = format!("expected a map with the `type` of a component, found {}", node.describe());
        let problem = Diagnostic::new(codes::WRONG_TYPE, message).at(&node.origin).path(path);
        let meant = node.as_str().filter(|name| names.contains(name)).or(slot.default).or(names.first().copied());
        // An item of a list has no key to write.
        let key = if path.ends_with(']') { String::new() } else { format!("{path}: ") };
        return Err(problem.help(format!("write `{key}{{type: {}}}`", meant.unwrap_or("NAME"))).into());
    }
    let Some(kind) = node.at("type") else {
        let message = format!("`{path}` does not say which component: its `type` is missing");
        let problem = Diagnostic::new(codes::MISSING_KEY, message).at(&node.origin).path(join(path, "type"));
        return Err(problem.help(list()).into());
    };
    let path = join(path, "type");
    let Some(name) = kind.as_str() else {
        let message = format!("`type` is the name of a component, not {}", kind.describe());
        return Err(Diagnostic::new(codes::WRONG_TYPE, message).at(&kind.origin).path(path).help(list()).into());
    };
    let unknown = || {
        let message = format!("there is no {} called `{name}`", slot.name);
        let diagnostic = Diagnostic::new(codes::UNKNOWN_NAME, message).at(&kind.origin).path(path);
        diagnostic.helps(name_help(name, names.iter().copied()))
    };
    let problem = unknown();
    components.into_iter().find(|candidate| candidate.info.name == name).ok_or_else(|| problem.into())
}

/// Builds the component that `node`, the result of [`resolve_choice`], names.
///
/// # Errors
/// Where there is no such component, it is not compatible with the sizes in `context`, or it cannot be built, for
/// example because a file is missing.
pub fn build_choice<T: SlotTrait + ?Sized>(node: &Node, context: &BuildContext) -> Result<Box<T>> {
    let name = node.at("type").and_then(Node::as_str).unwrap_or_default();
    let entry = T::entries()
        .into_iter()
        .find(|entry| entry.info.name == name)
        .ok_or_else(|| Error::failed(format!("there is no {} called `{name}`", T::NAME)))?;
    (entry.build)(node, T::NAME, context)
}
