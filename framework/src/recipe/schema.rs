//! The JSON Schema (draft 2020-12) of a whole recipe, from the registrations, for editors and other programs.
//!
//! It is made so that completion and hover of an editor work. A slot is one object whose `type` is a `oneOf` of its
//! components, with one condition for each component's options. A `oneOf` of whole objects would offer the options of
//! all components at once. Every value may be a `${…}`. A recipe that extends another one may give any part of a slot
//! without its `type`.

use crate::recipe::keys::KEYS;
use crate::registry::options::{followed, shown};
use crate::registry::{SLOT, SlotInfo, slots};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The pattern of a reference; this is enough for an editor.
const REFERENCE: &str = r"\$\{";

/// The JSON schema of a recipe, with all registered components.
pub fn recipe() -> Value {
    let mut definitions = Map::new();
    definitions.insert("reference".to_owned(), json!({"type": "string", "pattern": REFERENCE}));
    let mut properties = Map::new();
    let mut changes = Changes::default();
    for key in KEYS {
        let schema = key.schema();
        let mut schema = if key.name == "extends" { schema } else { option(&schema, &schema) };
        document(&mut schema, key.summary, None);
        if key.resolved {
            changes.add(key.name, &format!("#/properties/{}", key.name), &schema);
        }
        properties.insert(key.name.to_owned(), schema);
    }
    for slot in slots() {
        define_slot(slot, &mut definitions, &mut changes);
        let about = format!("{}: {}{}", slot.name, slot.summary, absent(slot));
        properties.insert(
            slot.name.to_owned(),
            json!({"$ref": format!("#/$defs/{}", slot.name), "description": about, "markdownDescription": about}),
        );
    }
    changes.add_inner();
    let of_root = properties.keys().filter(|key| !["study", "seed"].contains(&key.as_str()));
    let mut variant: Map<String, Value> =
        of_root.map(|key| (key.clone(), json!({"$ref": format!("#/properties/{key}")}))).collect();
    variant.extend(changes.dotted());
    definitions.insert(
        "variant".to_owned(),
        json!({"type": ["object", "null"], "properties": variant, "additionalProperties": false,
               "patternProperties": {r"\[": true, r"\.[0-9]": true}}),
    );
    let mut preset: Map<String, Value> = properties
        .keys()
        .filter(|key| !crate::recipe::presets::FIXED.contains(&key.as_str()))
        .map(|key| (key.clone(), json!({"$ref": format!("#/properties/{key}")})))
        .collect();
    preset.insert("skip".to_owned(), json!({"type": "string", "description": "Why this preset leaves the run out."}));
    definitions.insert(
        "preset".to_owned(),
        json!({"type": ["object", "null"], "properties": preset, "additionalProperties": false,
               "patternProperties": {r"\.": true}}),
    );
    if let Some(presets) = properties.get_mut("presets") {
        presets["additionalProperties"] = json!({"$ref": "#/$defs/preset"});
        presets["type"] = "object".into();
        no_reference(presets);
    }
    if let Some(study) = properties.get_mut("study") {
        study["properties"]["variants"]["additionalProperties"] = json!({"$ref": "#/$defs/variant"});
        study["properties"]["variants"]["type"] = "object".into();
        study["properties"]["axes"]["type"] = "object".into();
        study["properties"]["axes"]["properties"] = axes(&changes);
        study["properties"]["axes"]["additionalProperties"] = false.into();
        study["properties"]["axes"]["patternProperties"] = json!({r"\[": true, r"\.[0-9]": true});
        let left_out = slots().filter(|slot| slot.identity.is_some()).map(|slot| slot.name);
        study["properties"]["without"]["items"] = json!({"enum": left_out.collect::<Vec<_>>()});
        ["variants", "axes"].iter().for_each(|key| no_reference(&mut study["properties"][*key]));
    }
    let needed: Vec<&str> =
        std::iter::once("name").chain(slots().filter(|slot| slot.default.is_none()).map(|slot| slot.name)).collect();
    // Without `extends`, a slot that names no component has its default one.
    let typed: Map<String, Value> = slots()
        .map(|slot| {
            let typed = json!({"required": ["type"], "doNotSuggest": true});
            let rule = match slot.default {
                None => typed,
                Some(default) => json!({"if": typed, "else": {"$ref": format!("#/$defs/{}.{default}", slot.name)}}),
            };
            (slot.name.to_owned(), rule)
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "maclip recipe",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": needed, "properties": typed},
        "$defs": definitions,
    })
}

/// Changes the schema of a value so that it cannot be a `${…}`.
fn no_reference(schema: &mut Value) {
    let map = schema.as_object_mut();
    map.into_iter().for_each(|map| ["pattern", "patternErrorMessage"].iter().for_each(|key| drop(map.remove(*key))));
}

fn absent(slot: &SlotInfo) -> String {
    match slot.default {
        Some(name) => format!(".\n\nDefault: `{{type: {name}}}`"),
        None => ".".to_owned(),
    }
}

/// Adds the definitions of the slot, of each of its components, and of its options by dotted path.
fn define_slot(slot: &SlotInfo, definitions: &mut Map<String, Value>, changes: &mut Changes) {
    let components: Vec<_> = (slot.components)().into_iter().map(|candidate| candidate.info).collect();
    let mut kinds = Vec::new();
    let mut conditions = Vec::new();
    let mut any: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for info in components {
        let schema = Value::from((info.schema)());
        let name = format!("{}.{}", slot.name, info.name);
        let mut about = info.summary.to_owned();
        info.paper.iter().for_each(|paper| about.push_str(&format!("\n\nAfter {paper}.")));
        kinds.push(json!({"const": info.name, "title": format!("{}: {}", slot.name, info.name),
                          "description": about, "markdownDescription": about}));
        let mut component = option(&schema, &schema);
        let required: Vec<Value> = component["required"].as_array().cloned().unwrap_or_default();
        let mut properties = component["properties"].as_object().cloned().unwrap_or_default();
        for (path, schema) in &properties {
            let pointer = format!("#/$defs/{name}/properties/{path}");
            any.entry(path.clone()).or_default().push(json!({ "$ref": pointer }));
            changes.add(&format!("{}.{path}", slot.name), &pointer, schema);
        }
        let own = schema["properties"].as_object().into_iter().flatten();
        for (path, inner) in own.filter_map(|(path, option)| Some((path, option[SLOT].as_str()?))) {
            changes.inner.insert((format!("{}.{path}", slot.name), inner.to_owned()));
        }
        properties.insert("type".to_owned(), true.into());
        component = json!({"title": format!("{}: {}", slot.name, info.name), "properties": properties,
                           "additionalProperties": false});
        if !required.is_empty() {
            component["required"] = required.into();
        }
        definitions.insert(name.clone(), component);
        conditions.push(json!({
            "if": {"properties": {"type": {"const": info.name}}, "required": ["type"]},
            "then": {"$ref": format!("#/$defs/{name}")},
        }));
    }
    kinds.push(json!({"$ref": "#/$defs/reference"}));
    let mut kind = json!({"oneOf": kinds, "description": format!("Which {}.", slot.name)});
    if let Some(default) = slot.default {
        kind["default"] = default.into();
    }
    let of_slot = format!("#/$defs/{}", slot.name);
    changes.add(&format!("{}.type", slot.name), &format!("{of_slot}/properties/type"), &kind);
    changes.add(slot.name, &of_slot, &Value::Null);
    // Without a `type` it is a part of another recipe's component, so the options of all components are allowed.
    let mut parts: Map<String, Value> = any
        .into_iter()
        .map(|(name, mut schemas)| {
            (name, if schemas.len() == 1 { schemas.remove(0) } else { json!({"anyOf": schemas}) })
        })
        .collect();
    parts.insert("type".to_owned(), true.into());
    conditions
        .push(json!({"if": {"required": ["type"]}, "else": {"properties": parts, "additionalProperties": false}}));
    definitions.insert(
        slot.name.to_owned(),
        json!({"title": slot.name, "type": "object", "properties": {"type": kind}, "allOf": conditions}),
    );
}

/// Options by dotted path, each with the pointers to its schemas, for variants and axes. Several components of a slot
/// may have an option of the same name; equal schemas count once.
#[derive(Default)]
struct Changes {
    options: BTreeMap<String, Vec<(String, Value)>>,
    /// Options that are components of a slot, with its name: `task.test_on` is one of `dataset`.
    inner: BTreeSet<(String, String)>,
}

impl Changes {
    /// Adds the option at `path`, whose schema is at `pointer`, and those below it.
    fn add(&mut self, path: &str, pointer: &str, schema: &Value) {
        let known = self.options.entry(path.to_owned()).or_default();
        if !known.iter().any(|(_, other)| other == schema) {
            known.push((pointer.to_owned(), schema.clone()));
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            self.add(&format!("{path}.{name}"), &format!("{pointer}/properties/{name}"), schema);
        }
    }

    /// Adds the options of the components among the options of others, such as `task.test_on.variant`. Called once all
    /// slots are there; a component within one within another is not looked into.
    fn add_inner(&mut self) {
        let found: Vec<(String, Vec<(String, Value)>)> = self
            .inner
            .iter()
            .flat_map(|(path, slot)| {
                let own = self.options.iter().filter_map(move |(option, schemas)| {
                    Some((option.strip_prefix(slot.as_str())?.strip_prefix('.')?, schemas))
                });
                own.map(move |(option, schemas)| (format!("{path}.{option}"), schemas.clone()))
            })
            .collect();
        self.options.extend(found);
    }

    /// Those whose path has a dot; the others are properties of the recipe.
    fn dotted(&self) -> Map<String, Value> {
        let dotted = self.options.iter().filter(|(path, _)| path.contains('.'));
        let of = |pointers: &[(String, Value)]| {
            let mut refs: Vec<Value> = pointers.iter().map(|(pointer, _)| json!({ "$ref": pointer })).collect();
            if refs.len() == 1 { refs.remove(0) } else { json!({ "anyOf": refs }) }
        };
        dotted.map(|(path, pointers)| (path.clone(), of(pointers))).collect()
    }
}

/// The properties of `study.axes`: for each path a list of its values, or a map from names to values.
fn axes(changes: &Changes) -> Value {
    let paths = changes
        .options
        .keys()
        .filter(|path| !["name", "description", "seed", "expect", "label"].contains(&path.as_str()));
    let axis = |path: &String| {
        let value = json!({"$ref": format!("#/$defs/variant/properties/{path}")});
        let lists = json!({"type": ["array", "object"], "items": value, "minItems": 1, "additionalProperties": value,
                           "minProperties": 1});
        (path.clone(), lists)
    };
    paths.map(axis).collect::<Map<_, _>>().into()
}

/// The schema of an option: every `$ref` is replaced by its definition, a `${…}` is allowed, and the texts for an
/// editor are added.
fn option(root: &Value, schema: &Value) -> Value {
    if let Some(slot) = schema[SLOT].as_str() {
        return json!({"$ref": format!("#/$defs/{slot}"), "required": ["type"]});
    }
    let description = schema["description"].as_str().map(str::to_owned);
    let default = schema.get("default").cloned();
    let target = followed(root, schema);
    let null = crate::registry::options::nullable(schema);
    let mut made = match target {
        target if target["properties"].is_object() && target["oneOf"].is_null() => object(root, target),
        target if target["enum"].is_array() => named(root, target),
        target if target["oneOf"].is_array() => named(root, target),
        target if target["anyOf"].is_array() => {
            let branches = target["anyOf"].as_array().into_iter().flatten().map(|branch| option(root, branch));
            json!({"anyOf": branches.collect::<Vec<_>>()})
        }
        target => {
            let mut made = target.clone();
            for key in ["items", "additionalProperties"].into_iter().filter(|key| target[*key].is_object()) {
                made[key] = option(root, &target[key]);
            }
            if let Some(items) = target["prefixItems"].as_array() {
                made["prefixItems"] = items.iter().map(|item| option(root, item)).collect();
            }
            made
        }
    };
    // Bounds may be beside the reference to a type.
    if let (Some(made), Some(schema)) = (made.as_object_mut(), schema.as_object()) {
        for (key, value) in schema {
            if !["$ref", "anyOf", "oneOf", "$defs", "$schema", "description", "default", "title"]
                .contains(&key.as_str())
            {
                made.entry(key).or_insert(value.clone());
            }
        }
        ["$schema", "$defs", "title", "format", "default", "description"]
            .iter()
            .for_each(|key| drop(made.remove(*key)));
    }
    if let Some(kind) = made.get("type").cloned() {
        let mut kinds: Vec<Value> = match kind {
            Value::Array(kinds) => kinds,
            kind => vec![kind],
        };
        if null && !kinds.contains(&"null".into()) {
            kinds.push("null".into());
        }
        if !kinds.contains(&"string".into()) {
            kinds.push("string".into());
            made["pattern"] = REFERENCE.into();
            let wanted = kinds.iter().filter_map(Value::as_str).filter(|kind| !["string", "null"].contains(kind));
            let wanted = wanted.collect::<Vec<_>>().join(" or ");
            made["patternErrorMessage"] = format!("Expected {wanted}, or a reference such as ${{task.way}}.").into();
        }
        made["type"] = if kinds.len() == 1 { kinds.remove(0) } else { kinds.into() };
    } else if null {
        // With `get`, because indexing would add the key.
        let branches = if made.get("oneOf").is_some() { made.get_mut("oneOf") } else { made.get_mut("anyOf") };
        if let Some(list) = branches.and_then(Value::as_array_mut) {
            list.push(json!({"type": "null"}));
        }
    }
    document(
        &mut made,
        description.as_deref().or(target["description"].as_str()).unwrap_or_default(),
        default.as_ref(),
    );
    made
}

fn object(root: &Value, target: &Value) -> Value {
    let mut made = target.clone();
    let properties = target["properties"].as_object().into_iter().flatten();
    let defaults = target.get("default");
    made["properties"] = properties
        .map(|(name, schema)| {
            let mut schema = schema.clone();
            if let (Some(default), Some(map)) = (defaults.and_then(|all| all.get(name)), schema.as_object_mut()) {
                map.insert("default".to_owned(), default.clone());
            }
            (name.clone(), option(root, &schema))
        })
        .collect::<Map<_, _>>()
        .into();
    made
}

/// A choice of names, some of which may be maps with one key.
fn named(root: &Value, target: &Value) -> Value {
    let mut names: Vec<Value> = target["enum"].as_array().cloned().unwrap_or_default();
    let mut reasons = vec![Value::from(""); names.len()];
    let mut branches = Vec::new();
    for one in target["oneOf"].as_array().into_iter().flatten() {
        let one = followed(root, one);
        let about = &one["description"];
        if let Some(name) = one.get("const") {
            names.push(name.clone());
            reasons.push(about.clone());
        } else if one["properties"].is_object() {
            branches.push(object(root, one));
        } else {
            let some = one["enum"].as_array().into_iter().flatten();
            some.for_each(|name| {
                names.push(name.clone());
                reasons.push(about.clone());
            });
        }
    }
    // One list, because an editor would show the description of a `const` in the place of the option's.
    if !names.is_empty() {
        branches.insert(0, json!({"enum": names, "markdownEnumDescriptions": reasons}));
    }
    branches.push(json!({"$ref": "#/$defs/reference"}));
    json!({"oneOf": branches})
}

/// Adds the texts for completion and hover. Hover does not show defaults by itself.
fn document(schema: &mut Value, description: &str, default: Option<&Value>) {
    let Some(map) = schema.as_object_mut() else { return };
    let default = default.or(map.get("default")).cloned();
    let mut text = description.to_owned();
    if let Some(default) = default {
        if !default.is_object() && !default.is_array() {
            text.push_str(&format!("\n\nDefault: `{}`", shown(&default)));
        }
        map.remove("default");
        // yaml-language-server fails on a default of null, and the parts of a map have defaults of their own.
        if !default.is_null() && !default.is_object() {
            map.insert("default".to_owned(), default);
        }
    }
    if !text.is_empty() {
        map.insert("description".to_owned(), description.into());
        map.insert("markdownDescription".to_owned(), text.trim_start().into());
    }
}
