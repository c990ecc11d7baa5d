//! The file with the names of the classes, by which numbers in a list become names.
//!
//! Source: `something-something-v2-labels.json` (`{"NAME": "0"}`), mmaction2's label maps (a name in each line) and the
//! tables `id,name` that other projects have.

use crate::datasets::class_text::{class_text, folded};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{TEXT, read_regular, sha256};
use maclip_language::suggest;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Names of classes.
#[derive(Debug)]
pub struct Labels {
    by_number: BTreeMap<usize, String>,
    /// By letters and digits.
    by_name: HashMap<String, String>,
    /// For messages.
    label: String,
    /// Name of the file, and the SHA-256 of its bytes.
    pub sum: (String, String),
}

impl Labels {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it is not there or has another form.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_regular(path, TEXT).map_err(|error| Error::io("read", path, error).help(FORMS))?;
        let failed = |what: String| Error::failed(format!("dataset.labels: {}: {what}", path.display())).help(FORMS);
        let sum = sha256(&bytes);
        let text = String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8 text".to_owned()))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let pairs = if text.starts_with(['{', '[']) { of_json(text) } else { of_lines(text) }.map_err(failed)?;
        let (mut by_number, mut by_name) = (BTreeMap::new(), HashMap::new());
        for (number, name) in pairs {
            if let Some(other) = by_name.insert(folded(&name), name.clone()) {
                return Err(failed(format!("the classes `{other}` and `{name}` have one name")));
            }
            if let Some(other) = by_number.insert(number, name.clone()) {
                return Err(failed(format!("the classes `{other}` and `{name}` have the number {number}")));
            }
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match by_number.is_empty() {
            true => Err(failed("it names no class".to_owned())),
            false => Ok(Self { by_number, by_name, label: name.clone(), sum: (name, sum) }),
        }
    }

    /// The name of the class that a list calls `label`, by its number or by its name.
    ///
    /// # Errors
    /// Where there is no such class.
    pub fn name(&self, label: &str) -> std::result::Result<&str, String> {
        if let Some(name) = self.by_name.get(&folded(label)) {
            return Ok(name);
        }
        let last = || self.by_number.last_key_value().map_or(0, |(number, _)| *number);
        if let Ok(number) = label.parse::<usize>() {
            let first = self.by_number.first_key_value().map_or(0, |(number, _)| *number);
            return self.by_number.get(&number).map(String::as_str).ok_or_else(|| {
                format!("there is no class {number}: {} has the numbers {first} to {}", self.label, last())
            });
        }
        let near = suggest(label, self.by_number.values().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Err(format!("there is no class `{label}` among the {} of {}{near}", self.by_number.len(), self.label))
    }
}

const FORMS: &str = "a file of labels has the name of a class in each line, from class 0 on, or lines `0,NAME`, or is \
                     a JSON object {\"NAME\": \"0\"}";

type Pairs = std::result::Result<Vec<(usize, String)>, String>;

fn of_json(text: &str) -> Pairs {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("line {}: {error}", error.line()))?;
    match value {
        Value::Array(names) => names
            .into_iter()
            .enumerate()
            .map(|(number, name)| match name {
                Value::String(name) => Ok((number, name)),
                other => Err(format!("name {number} is {other}, and no text")),
            })
            .collect(),
        Value::Object(names) => names
            .into_iter()
            .map(|(name, number)| {
                let parsed = match &number {
                    Value::String(text) => text.trim().parse().ok(),
                    Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
                    _ => None,
                };
                parsed.map(|parsed| (parsed, name.clone())).ok_or_else(|| format!("`{name}` has the number {number}"))
            })
            .collect(),
        _ => Err("it is neither an object nor an array".to_owned()),
    }
}

fn of_lines(text: &str) -> Pairs {
    let lines: Vec<(usize, &str)> = text
        .lines()
        .map(str::trim)
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .collect();
    let numbered = |line: &str| -> Option<(usize, String)> {
        let (number, name) = line.split_once([',', '\t', ' '])?;
        let name = name.trim().trim_matches('"');
        Some((number.trim().parse().ok()?, name.to_owned())).filter(|(_, name)| !name.is_empty())
    };
    let header = lines.first().is_some_and(|(_, line)| {
        let line = line.to_lowercase();
        ["id,name", "id,label", "index,name", "label,name"].contains(&line.as_str())
    });
    let rest = &lines[usize::from(header)..];
    if header || rest.iter().all(|(_, line)| numbered(line).is_some()) {
        let pair = |(at, line): &(usize, &str)| {
            numbered(line).ok_or_else(|| format!("line {}: `{}` is not a number and a name", at + 1, class_text(line)))
        };
        return rest.iter().map(pair).collect();
    }
    Ok(rest.iter().enumerate().map(|(number, (_, name))| (number, (*name).to_owned())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn video_list_labels_of_every_form_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        for text in [
            "push up\npull_up\n",
            "\u{feff}push up\r\npull_up\r\n",
            "id,name\n1,pull_up\n0,\"push up\"\n",
            "0 push up\n1 pull_up\n",
            r#"{"pull_up": "1", "push up": 0}"#,
            r#"["push up", "pull_up"]"#,
        ] {
            std::fs::write(&path, text).unwrap();
            let labels = Labels::read(&path).unwrap();
            for (label, name) in [("0", "push up"), ("1", "pull_up"), ("Pull Up", "pull_up"), ("push up", "push up")] {
                assert_eq!(labels.name(label).unwrap(), name, "{text}");
            }
            assert!(labels.name("2").unwrap_err().contains("has the numbers 0 to 1"));
            let near = labels.name("pushup2").unwrap_err();
            assert!(near.contains("did you mean `push up`?") || near.contains("among the 2"), "{near}");
        }
        for (text, words) in [
            ("", "names no class"),
            ("a\nA\n", "have one name"),
            ("0,a\n0,b\n", "have the number 0"),
            ("{\"a\": \"x\"}", "`a` has the number \"x\""),
            ("{\"a\": ", "line 1"),
            ("[1]", "name 0 is 1"),
            ("id,name\n0,a\nb\n", "line 3"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Labels::read(&path).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("a file of labels"), "{words}: {error}");
        }
    }
}
