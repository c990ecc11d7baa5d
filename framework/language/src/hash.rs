//! The identity of a recipe.

use crate::node::{Node, Value, item, join};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// SHA-256 of the meaning of a tree, as 64 lower-case hex digits. The order of keys, the spelling of numbers (`1e4`,
/// `10000.0`, `10000`) and places do not matter. `ignore` lists dotted paths that are left out, with everything below
/// them.
pub fn identity(node: &Node, ignore: &[&str]) -> String {
    let mut text = String::new();
    canonical(node, "", ignore, &mut text);
    Sha256::digest(text.as_bytes()).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn canonical(node: &Node, path: &str, ignore: &[&str], out: &mut String) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => match crate::de::whole(*value) {
            Some(whole) => out.push_str(&whole.to_string()),
            // For NaN and infinities this is not JSON, but it differs from every string.
            None => out.push_str(&crate::write::float(*value)),
        },
        Value::String(text) => out.push_str(&serde_json::Value::from(text.as_str()).to_string()),
        Value::List(list) => {
            out.push('[');
            for (index, value) in list.iter().enumerate() {
                canonical(value, &item(path, index), ignore, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Map(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.key.cmp(&b.key));
            out.push('{');
            for entry in entries {
                let path = join(path, &entry.key);
                if !ignore.contains(&path.as_str()) {
                    out.push_str(&serde_json::Value::from(entry.key.as_str()).to_string());
                    out.push(':');
                    canonical(&entry.value, &path, ignore, out);
                    out.push(',');
                }
            }
            out.push('}');
        }
    }
}
