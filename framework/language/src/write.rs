//! Trees as JSON and YAML.

use crate::node::{Entry, Map, Node, Value};
use crate::origin::Origin;
use serde_json::Value as Json;
use std::fmt::Write;

/// A longer key, with quotes and escapes, needs the mark `? `: YAML looks for the `:` of a key in its first 1,024
/// characters only.
const LONGEST_KEY: usize = 1000;

impl Node {
    /// As JSON. JSON has no NaN and infinities: they become the strings `.nan`, `.inf` and `-.inf`.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) if value.is_finite() => (*value).into(),
            Value::Float(value) => float(*value).into(),
            Value::String(text) => text.as_str().into(),
            Value::List(list) => list.iter().map(Node::to_json).collect(),
            Value::Map(map) => map.iter().map(|entry| (entry.key.clone(), entry.value.to_json())).collect(),
        }
    }

    /// From JSON; every node has [`Origin::Default`]. An integer outside the range of `i64` becomes a float.
    pub fn from_json(json: &Json) -> Node {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Value::Int(value),
                (None, value) => Value::Float(value.unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::String(text.clone()),
            Json::Array(list) => Value::List(list.iter().map(Node::from_json).collect()),
            Json::Object(map) => Value::Map(
                map.iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        key_origin: Origin::Default,
                        value: Node::from_json(value),
                    })
                    .collect(),
            ),
        };
        Node::new(value, Origin::Default)
    }

    /// As YAML that reads back to the same tree: floats stay floats, and strings stay strings.
    pub fn to_yaml(&self) -> String {
        let mut out = String::new();
        match &self.value {
            Value::Map(map) if !map.is_empty() => write_map(map, 0, &mut out),
            Value::List(list) if !list.is_empty() => write_list(list, 0, &mut out),
            _ => {
                write_inline(self, &mut out);
                out.push('\n');
            }
        }
        out
    }
}

fn write_map(map: &Map, indent: usize, out: &mut String) {
    for entry in map {
        let _ = write!(out, "{:indent$}", "");
        let start = out.len();
        write_string(&entry.key, out);
        if out[start..].chars().count() > LONGEST_KEY {
            out.insert_str(start, "? ");
            let _ = write!(out, "\n{:indent$}", "");
        }
        out.push(':');
        match &entry.value.value {
            Value::Map(map) if !map.is_empty() => {
                out.push('\n');
                write_map(map, indent + 2, out);
            }
            Value::List(list) if list.iter().any(is_nested) => {
                out.push('\n');
                write_list(list, indent + 2, out);
            }
            _ => {
                out.push(' ');
                write_inline(&entry.value, out);
                out.push('\n');
            }
        }
    }
}

fn write_list(list: &[Node], indent: usize, out: &mut String) {
    for item in list {
        let _ = write!(out, "{:indent$}- ", "");
        let start = out.len();
        match &item.value {
            Value::Map(map) if !map.is_empty() => write_map(map, indent + 2, out),
            Value::List(list) if list.iter().any(is_nested) => write_list(list, indent + 2, out),
            _ => {
                write_inline(item, out);
                out.push('\n');
            }
        }
        // The first line of a nested block is on the line of its dash.
        let spaces = out[start..].len() - out[start..].trim_start_matches(' ').len();
        out.replace_range(start..start + spaces, "");
    }
}

fn is_nested(node: &Node) -> bool {
    match &node.value {
        Value::Map(map) => !map.is_empty(),
        Value::List(list) => !list.is_empty(),
        _ => false,
    }
}

/// A scalar, an empty collection, or a list of those.
fn write_inline(node: &Node, out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&float(*value)),
        Value::String(text) => write_string(text, out),
        Value::Map(_) => out.push_str("{}"),
        Value::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_inline(item, out);
            }
            out.push(']');
        }
    }
}

/// A float as YAML writes it; it never looks like an integer.
pub(super) fn float(value: f64) -> String {
    match value {
        _ if value.is_nan() => ".nan".into(),
        f64::INFINITY => ".inf".into(),
        f64::NEG_INFINITY => "-.inf".into(),
        _ => format!("{value:?}"),
    }
}

fn write_string(text: &str, out: &mut String) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Line separators and the byte-order mark are not control characters but YAML treats them as special.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether every YAML reader takes it as a string without quotes.
fn is_plain(text: &str) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && !text.ends_with(' ')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '-' | ' '))
        && !words.contains(&text.to_ascii_lowercase().as_str())
}
