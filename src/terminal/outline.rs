//! Data of any shape as lines for people: what `--json` has for programs.

use serde_json::{Map, Value};

/// Lines of `value`, indented by `depth` steps. A map of a few scalars and a list of scalars take one line.
pub fn outline(value: &Value, depth: usize) -> Vec<String> {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(map) => map.iter().flat_map(|(key, value)| entry(&indent, &words(key), value, depth)).collect(),
        Value::Array(list) => {
            let each = list.iter().enumerate();
            each.flat_map(|(at, value)| entry(&indent, &(at + 1).to_string(), value, depth)).collect()
        }
        scalar => vec![format!("{indent}{}", shown(scalar))],
    }
}

fn entry(indent: &str, name: &str, value: &Value, depth: usize) -> Vec<String> {
    match in_one_line(value) {
        Some(line) => vec![format!("{indent}{name}: {line}")],
        None => std::iter::once(format!("{indent}{name}:")).chain(outline(value, depth + 1)).collect(),
    }
}

/// `None` where `value` is not short.
fn in_one_line(value: &Value) -> Option<String> {
    const MOST: usize = 4;
    let simple = |value: &Value| !value.is_object() && !value.is_array();
    match value {
        Value::Object(map) if map.len() <= MOST && map.values().all(simple) => Some(pairs(map)),
        Value::Array(list) if list.iter().all(simple) => Some(list.iter().map(shown).collect::<Vec<_>>().join(", ")),
        Value::Object(_) | Value::Array(_) => None,
        scalar => Some(shown(scalar)),
    }
}

fn pairs(map: &Map<String, Value>) -> String {
    let each = map.iter().map(|(key, value)| format!("{} {}", words(key), shown(value)));
    each.collect::<Vec<_>>().join(", ")
}

/// `not_finite` as `not finite`; a dotted path stays as it is.
fn words(key: &str) -> String {
    if key.contains('.') { key.to_owned() } else { key.replace('_', " ") }
}

fn shown(value: &Value) -> String {
    match (value.as_str(), value.as_f64().filter(|_| value.is_f64())) {
        (Some(text), _) => text.to_owned(),
        (_, Some(number)) if number != 0.0 && !(1e-3..1e6).contains(&number.abs()) => format!("{number:.3e}"),
        (_, Some(number)) => format!("{number:.4}"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn short_maps_take_one_line_and_others_are_indented() {
        let value = json!({
            "classes": ["wave", "push"], "loss": 1.5, "values": {"prefix": {"min": -2.0, "not_finite": 0}},
            "gradient_norms": {"adapter.down_fc.weight": 1e-7, "b.c": 2.0, "c.c": 0.0, "d.c": "NaN", "e.c": 1.0},
        });
        let expected = [
            "  classes: wave, push",
            "  loss: 1.5000",
            "  values:",
            "    prefix: min -2.0000, not finite 0",
            "  gradient norms:",
            "    adapter.down_fc.weight: 1.000e-7",
            "    b.c: 2.0000",
            "    c.c: 0.0000",
            "    d.c: NaN",
            "    e.c: 1.0000",
        ];
        assert_eq!(outline(&value, 1), expected);
    }
}
