//! `maclip describe NAME`: a component, its source, and every option with its default and reason.

use clap::Args;
use maclip_framework::error::Result;
use maclip_framework::recipe::{Diagnostic, codes, name_help};
use maclip_framework::registry::{Info, SLOTS};
use serde_json::{Value, json};

#[derive(Args)]
pub struct Arguments {
    /// A component, such as `otam`, or with its slot: `alignment.otam`
    name: String,
    /// One JSON object on stdout, with the JSON schema of the options
    #[arg(long)]
    json: bool,
}

pub fn describe(arguments: Arguments) -> Result<()> {
    let all: Vec<(&str, &Info)> = SLOTS
        .iter()
        .flat_map(|slot| (slot.components)().into_iter().map(|candidate| (slot.name, candidate.info)))
        .collect();
    let wanted = arguments.name.as_str();
    let full = |slot: &str, info: &Info| format!("{slot}.{}", info.name);
    let found: Vec<_> = all.iter().filter(|(slot, info)| info.name == wanted || full(slot, info) == wanted).collect();
    if found.is_empty() {
        let names =
            all.iter().map(|(slot, info)| if wanted.contains('.') { full(slot, info) } else { info.name.to_owned() });
        let names: Vec<String> = names.collect();
        let problem = Diagnostic::new(codes::UNKNOWN_COMPONENT, format!("there is no component `{wanted}`"));
        return Err(problem.helps(name_help(wanted, names.iter().map(String::as_str))).into());
    }
    if arguments.json {
        let list: Vec<Value> = found
            .iter()
            .map(|(slot, info)| json!({"slot": slot, "component": info, "schema": (info.schema)()}))
            .collect();
        println!("{}", json!({ "components": list }));
        return Ok(());
    }
    let texts: Vec<String> = found.iter().map(|(slot, info)| text(slot, info)).collect();
    println!("{}", texts.join("\n\n"));
    Ok(())
}

fn text(slot: &str, info: &Info) -> String {
    let mut lines = vec![format!("{slot} {}: {}", info.name, info.summary)];
    lines.extend(info.paper.map(|paper| format!("  after {paper}")));
    let example = info.example.trim();
    let body = example.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(example).trim();
    let options = if body.is_empty() { String::new() } else { format!(", {body}") };
    lines.push(format!("  {slot}: {{type: {}{options}}}", info.name));
    let schema = json!((info.schema)());
    options_of(&schema, &schema, "", None, &mut lines);
    lines.join("\n")
}

/// The properties of `schema`, nested ones with their dotted path; `$ref`s lead into `root`. `whole` is the default of the value that
/// they are part of, which is nearer than their own.
fn options_of(root: &Value, schema: &Value, prefix: &str, whole: Option<&Value>, lines: &mut Vec<String>) {
    for (name, option) in schema["properties"].as_object().into_iter().flatten() {
        let target = followed(root, option);
        let description = option["description"].as_str().or(target["description"].as_str()).unwrap_or_default();
        let default = whole.and_then(|whole| whole.get(name)).or(option.get("default"));
        let nested = target["properties"].is_object();
        let value = match default {
            _ if nested => String::new(),
            Some(default) => shown(default),
            None => "required".to_owned(),
        };
        lines.push(format!("\n  {prefix}{name}: {value}").trim_end().to_owned());
        lines.extend(wrapped(description, 100).into_iter().map(|line| format!("      {line}")));
        for (value, reason) in choices(root, target) {
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            lines.extend(wrapped(&format!("{value}{reason}"), 96).into_iter().map(|line| format!("        {line}")));
        }
        if nested {
            options_of(root, target, &format!("{prefix}{name}."), default, lines);
        }
    }
}

/// Where a `$ref` leads, also inside the `anyOf` of an optional value.
fn followed<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let optional = schema["anyOf"].as_array().and_then(|list| list.iter().find(|one| one["type"] != "null"));
    let schema = optional.unwrap_or(schema);
    match schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        Some(pointer) => root.pointer(pointer).unwrap_or(schema),
        None => schema,
    }
}

/// Names and reasons of an enumeration's values.
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

/// A value as YAML writes it in a line.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Words of `text` in lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
