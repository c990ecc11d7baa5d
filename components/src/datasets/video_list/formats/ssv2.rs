//! The label files of Something-Something V2: a JSON array of `{"id", "label", "template", "placeholders"}`.
//!
//! Source: the files that come with the data set, such as `something-something-v2-train.json`.

use super::{Format, Parsed, Problem, Row, shown};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Entry {
    id: Option<serde_json::Value>,
    label: Option<String>,
    template: Option<String>,
}

pub(super) fn parse(text: &str) -> std::result::Result<Parsed, String> {
    let entries: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| format!("line {}: it is no JSON array of {{\"id\", \"template\"}}: {error}", error.line()))?;
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    let (mut line, mut counted) = (1, 0);
    for entry in entries {
        // The values are parts of the text, in its order.
        let at = entry.get().as_ptr() as usize - text.as_ptr() as usize;
        line += text.as_bytes()[counted..at].iter().filter(|byte| **byte == b'\n').count();
        counted = at;
        match row(entry.get(), line) {
            Ok(row) => rows.push(row),
            Err(reason) => problems.push(Problem::new(line, reason)),
        }
    }
    Ok(Parsed { format: Format::Ssv2, rows, problems, notes: Vec::new() })
}

fn row(text: &str, line: usize) -> std::result::Result<Row, String> {
    let entry: Entry = serde_json::from_str(text).map_err(|error| format!("{}: {error}", shown(text)))?;
    let id = match entry.id {
        Some(serde_json::Value::String(id)) if !id.trim().is_empty() => id.trim().to_owned(),
        Some(serde_json::Value::Number(id)) => id.to_string(),
        _ => return Err(format!("it has no id: {}", shown(text))),
    };
    // The template is the class; `label` has the objects of this one clip in it.
    match entry.template.filter(|template| !template.trim().is_empty()) {
        Some(template) => Ok(Row::new(line, &id, template.trim())),
        None if entry.label.is_some() => {
            Err(format!("clip {id} has a label and no template, and the template is the class"))
        }
        None => Err(format!("clip {id} has no template, as in the file of the test set, and so no class")),
    }
}
