//! The options of a component for readers, from its JSON schema: for `describe`, the documentation, completion and the
//! schema of recipes.

use maclip_language::ranges;
use serde_json::Value;

/// One option.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct OptionDoc {
    /// Dotted path below the component: `train.steps`.
    pub path: String,
    /// `integer`, `number`, `list of string`, `one of`, …, with ` or null` where null is allowed.
    pub kind: String,
    /// Such as `≥ 1`; `None` where neither numbers nor lengths have bounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
    /// `None` where it must be given, and for maps, whose parts have defaults of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether it must be given.
    pub required: bool,
    /// What it means, and why the default is what it is.
    pub description: String,
    /// The names that it may have, each with its meaning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<(String, String)>,
}

/// The options that `schema`, a whole one with its `$defs`, describes. The parts of a map come after the map; those of
/// a list's items begin with `[].`.
pub fn options(schema: &Value) -> Vec<OptionDoc> {
    let mut found = Vec::new();
    collect(schema, schema, "", None, &mut found);
    if let Some(items) = schema.get("items") {
        collect(schema, followed(schema, items), "[].", None, &mut found);
    }
    found
}

/// The option `name` whose value `schema` describes, for a value that is not a map of options.
pub fn whole(schema: &Value, name: &str) -> OptionDoc {
    OptionDoc {
        path: name.to_owned(),
        kind: kind(schema, schema),
        range: ranges::words(schema),
        default: schema.get("default").cloned(),
        required: false,
        description: String::new(),
        choices: choices(schema, schema),
    }
}

/// `whole` is the default of the map that contains the properties. It counts before their own defaults.
fn collect(root: &Value, schema: &Value, prefix: &str, whole: Option<&Value>, found: &mut Vec<OptionDoc>) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, option) in schema["properties"].as_object().into_iter().flatten() {
        let target = followed(root, option);
        let default = whole.and_then(|whole| whole.get(name)).or(option.get("default"));
        let nested = target["properties"].is_object();
        let path = format!("{prefix}{name}");
        found.push(OptionDoc {
            kind: kind(root, option),
            range: ranges::words(option).or_else(|| ranges::words(target)),
            default: default.filter(|_| !nested).cloned(),
            required: default.is_none() && required.contains(&name.as_str()),
            description: option["description"]
                .as_str()
                .or(target["description"].as_str())
                .unwrap_or_default()
                .to_owned(),
            choices: choices(root, target),
            path: path.clone(),
        });
        if nested {
            collect(root, target, &format!("{path}."), default, found);
        } else if let Some(items) = target.get("items").map(|items| followed(root, items)) {
            collect(root, items, &format!("{path}[]."), None, found);
        }
    }
}

/// `schema`, or the definition in `root` that its `$ref` names; also for a `$ref` inside the `anyOf` of an optional
/// value.
pub fn followed<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let branches = schema["anyOf"].as_array().filter(|list| list.iter().any(|one| one["type"] == "null"));
    let schema = branches.and_then(|list| list.iter().find(|one| one["type"] != "null")).unwrap_or(schema);
    match schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        Some(pointer) => root.pointer(pointer).unwrap_or(schema),
        None => schema,
    }
}

/// Whether `schema` allows null.
pub(crate) fn nullable(schema: &Value) -> bool {
    let in_list = |list: &Value, null: &Value| list.as_array().is_some_and(|list| list.contains(null));
    in_list(&schema["type"], &"null".into())
        || schema["anyOf"].as_array().is_some_and(|list| list.iter().any(|one| one["type"] == "null"))
}

fn kind(root: &Value, schema: &Value) -> String {
    let target = followed(root, schema);
    let null = if nullable(schema) || nullable(target) { " or null" } else { "" };
    let name = match &target["type"] {
        Value::String(name) => name.as_str(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null").unwrap_or_default(),
        _ => "",
    };
    let kind = match name {
        "array" => format!("list of {}", kind(root, &target["items"])),
        "object" => target[super::SLOT].as_str().unwrap_or("map").to_owned(),
        "" if target["enum"].is_array() || target["oneOf"].is_array() => "one of".to_owned(),
        "" => {
            let branches = target["anyOf"].as_array().into_iter().flatten();
            let kinds: Vec<String> = branches.map(|branch| kind(root, branch)).collect();
            if kinds.is_empty() { "value".to_owned() } else { kinds.join(" or ") }
        }
        "string" if target["enum"].is_array() => "one of".to_owned(),
        other => other.to_owned(),
    };
    format!("{kind}{null}")
}

/// Names and descriptions of an enumeration's values.
fn choices(root: &Value, schema: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let names = |list: &Value| -> Vec<String> { list.as_array().into_iter().flatten().map(shown).collect() };
    found.extend(names(&schema["enum"]).into_iter().map(|name| (name, String::new())));
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        let one = followed(root, one);
        let reason = one["description"].as_str().unwrap_or_default().to_owned();
        if let Some(value) = one.get("const") {
            found.push((shown(value), reason));
        } else if let Some(properties) = one["properties"].as_object() {
            let keys: Vec<String> = properties.keys().map(|key| format!("{{{key}: …}}")).collect();
            found.push((keys.join(" "), reason));
        } else {
            found.extend(names(&one["enum"]).into_iter().map(|name| (name, reason.clone())));
        }
    }
    found
}

/// A value as YAML writes it in one line.
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(schemars::JsonSchema, serde::Serialize)]
    #[serde(rename_all = "snake_case")]
    #[allow(dead_code)]
    enum Mode {
        /// Everything.
        All,
        /// So many.
        Last(usize),
    }

    #[derive(schemars::JsonSchema, serde::Serialize)]
    #[allow(dead_code)]
    struct Inner {
        /// Steps of it.
        #[schemars(range(min = 1))]
        steps: usize,
    }

    #[derive(schemars::JsonSchema)]
    #[allow(dead_code)]
    struct Outer {
        /// The rate.
        rate: f64,
        /// May be empty.
        limit: Option<u64>,
        /// The way.
        mode: Mode,
        inner: Inner,
        list: Vec<String>,
    }

    #[test]
    fn options_are_read_from_a_schema() {
        let found = options(&json!(schemars::schema_for!(Outer)));
        let by = |path: &str| found.iter().find(|option| option.path == path).unwrap();
        assert_eq!((by("rate").kind.as_str(), by("rate").required), ("number", true));
        assert_eq!((by("limit").kind.as_str(), by("limit").required), ("integer or null", false));
        assert_eq!(by("mode").kind, "one of");
        assert_eq!(by("mode").choices, [("all".into(), "Everything.".into()), ("{last: …}".into(), "So many.".into())]);
        assert_eq!((by("inner").kind.as_str(), by("inner.steps").range.as_deref()), ("map", Some("≥ 1")));
        assert_eq!(by("list").kind, "list of string");
        assert_eq!(by("inner.steps").description, "Steps of it.");
    }
}
