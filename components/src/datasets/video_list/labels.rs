//! The file with the names of the classes, by which numbers in a list become names.
//!
//! Source: `something-something-v2-labels.json` (`{"NAME": "0"}`), mmaction2's label maps (a name in each line), the
//! tables `id,name` that other projects have, and the classes of each split that the lists of CLIP-FSAR number. How
//! lines are read is in `label_lines`.

use super::label_lines;
use crate::datasets::class_text::folded;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{TEXT, read_regular, sha256};
use maclip_framework::slots::dataset::Split;
use maclip_language::suggest;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// Names of classes.
#[derive(Debug)]
pub struct Labels {
    /// By its number, such as `7`, or `test7` where the classes of each split are numbered.
    by_number: HashMap<String, String>,
    /// By letters and digits.
    by_name: HashMap<String, String>,
    /// First and last number.
    range: (String, String),
    /// For messages.
    label: String,
    /// How it was read.
    pub note: String,
    /// Name of the file, and the SHA-256 of its bytes.
    pub sum: (String, String),
}

/// Numbers and names of classes, and how they were read.
pub(super) type Pairs = std::result::Result<(Vec<(String, String)>, String), String>;

/// Whether the labels of a list are the numbers of classes or their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    Numbers,
    Names,
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
        // Not trimmed at its beginning, where lines are counted.
        let text = text.trim_start_matches('\u{feff}').trim_end();
        let json = text.trim_start().starts_with(['{', '[']);
        let (mut pairs, how) = if json { of_json(text) } else { label_lines::read(text) }.map_err(failed)?;
        pairs.sort_by_key(|(number, _)| number.parse::<usize>().unwrap_or_default());
        let (mut by_number, mut by_name) = (HashMap::new(), HashMap::new());
        let range = (pairs.first(), pairs.last());
        let (Some((first, _)), Some((last, _))) = range else { return Err(failed("it names no class".to_owned())) };
        let range = (first.clone(), last.clone());
        for (number, name) in pairs {
            if let Some(other) = by_name.insert(folded(&name), name.clone()) {
                return Err(failed(format!("the classes `{other}` and `{name}` have one name")));
            }
            if let Some(other) = by_number.insert(number.clone(), name.clone()) {
                return Err(failed(format!("the classes `{other}` and `{name}` have the number {number}")));
            }
        }
        let label = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let note = format!("{label}: {how}");
        Ok(Self { by_number, by_name, range, label: label.clone(), note, sum: (label, sum) })
    }

    /// Whether these labels of one list are numbers or names: numbers where all are numbers of the file.
    ///
    /// # Errors
    /// Where both would do, and name other classes.
    pub fn reading(&self, labels: &BTreeSet<&str>) -> std::result::Result<Reading, String> {
        let of_number = |label: &str| self.by_number.get(&plain(label));
        let of_name = |label: &str| self.by_name.get(&folded(label));
        let is_number = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
        let numbers = labels.iter().all(|label| of_number(label).is_some());
        let names = labels.iter().all(|label| of_name(label).is_some());
        let differ = |label: &str| of_number(label) != of_name(label);
        match (numbers, names) {
            (true, true) => match labels.iter().find(|label| differ(label)) {
                Some(label) => {
                    let or = |name: Option<&String>| name.map_or("", String::as_str).to_owned();
                    Err(format!(
                        "the label `{label}` is the number of class `{}` in {}, and the name of class `{}`: give \
                         classes names there that are no numbers",
                        or(of_number(label)),
                        self.label,
                        or(of_name(label))
                    ))
                }
                None => Ok(Reading::Numbers),
            },
            (true, false) => Ok(Reading::Numbers),
            (false, true) => Ok(Reading::Names),
            (false, false) if labels.iter().any(|label| of_number(label).is_some() && !is_number(label)) => {
                Ok(Reading::Numbers)
            }
            (false, false) => {
                let most = 2 * labels.iter().filter(|label| is_number(label)).count() > labels.len();
                Ok(if most { Reading::Numbers } else { Reading::Names })
            }
        }
    }

    /// The name of the class that a list calls `label`.
    ///
    /// # Errors
    /// Where there is no such class.
    pub fn name(&self, label: &str, reading: Reading) -> std::result::Result<&str, String> {
        let found = match reading {
            Reading::Numbers => self.by_number.get(&plain(label)),
            Reading::Names => self.by_name.get(&folded(label)),
        };
        if let Some(name) = found {
            return Ok(name);
        }
        if reading == Reading::Numbers {
            let (first, last) = &self.range;
            return Err(format!("there is no class {label}: {} has the numbers {first} to {last}", self.label));
        }
        let near = suggest(label, self.by_name.values().map(String::as_str));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        Err(format!("there is no class `{label}` among the {} of {}{near}", self.by_name.len(), self.label))
    }
}

/// A number without zeros before it; another label as it is.
fn plain(label: &str) -> String {
    label.parse::<usize>().map_or_else(|_| label.to_owned(), |number| number.to_string())
}

const FORMS: &str = "a file of labels has the name of a class in each line, from class 0 on, or lines `0,NAME`, or is \
                     a JSON object {\"NAME\": \"0\"}";

fn of_json(text: &str) -> Pairs {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("line {}: {error}", error.line()))?;
    match value {
        Value::Array(names) => Ok((numbered(names, "")?, "read as JSON with the names from number 0 on".to_owned())),
        Value::Object(splits) if splits.values().any(|names| names.is_array() || names.is_object()) => {
            let mut pairs = Vec::new();
            for (split, names) in splits {
                let known = Split::ALL.into_iter().find(|known| known.name().eq_ignore_ascii_case(&split));
                let (Some(known), Value::Array(names)) = (known, names) else {
                    return Err(format!("`{split}` is no list of the classes of train, val or test"));
                };
                pairs.extend(numbered(names, known.name())?);
            }
            Ok((pairs, "read as JSON with the classes of each split, which lists call `test0` and so on".to_owned()))
        }
        Value::Object(names) => {
            let number = |value: &Value| match value {
                Value::String(text) => text.trim().parse().ok(),
                Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
                _ => None,
            };
            let by_number = names.iter().all(|(key, value)| {
                number(value).is_none() && value.is_string() && key.trim().parse::<usize>().is_ok()
            });
            let pair = |(key, value): (String, Value)| match (by_number, value) {
                (true, Value::String(name)) => Ok((plain(key.trim()), name)),
                (_, value) => match number(&value) {
                    Some(number) => Ok((number.to_string(), key)),
                    None => Err(format!("`{key}` has the number {value}")),
                },
            };
            let pairs = names.into_iter().map(pair).collect::<std::result::Result<_, String>>()?;
            let which = if by_number { "names by their numbers" } else { "numbers by their names" };
            Ok((pairs, format!("read as JSON with {which}")))
        }
        _ => Err("it is neither an object nor an array".to_owned()),
    }
}

/// Names in a JSON array by their numbers, behind the name of their split.
fn numbered(names: Vec<Value>, split: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let name = |(number, name)| match name {
        Value::String(name) => Ok((format!("{split}{number}"), name)),
        other => Err(format!("name {number} is {other}, and no text")),
    };
    names.into_iter().enumerate().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Result<Labels> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels");
        std::fs::write(&path, text).unwrap();
        Labels::read(&path)
    }

    #[test]
    fn video_list_labels_of_every_form_are_read() {
        for text in [
            "push up\npull_up\n",
            "\u{feff}push up\r\npull_up\r\n",
            "id,name\n1,pull_up\n0,\"push up\"\n",
            "pull_up 1\npush up 0\n",
            r#"{"pull_up": "1", "push up": 0}"#,
            r#"{"1": "pull_up", "0": "push up"}"#,
            r#"["push up", "pull_up"]"#,
        ] {
            let labels = labels(text).unwrap();
            for (label, name) in [("0", "push up"), ("01", "pull_up")] {
                assert_eq!(labels.name(label, Reading::Numbers).unwrap(), name, "{text}");
            }
            for (label, name) in [("Pull Up", "pull_up"), ("push up", "push up")] {
                assert_eq!(labels.name(label, Reading::Names).unwrap(), name, "{text}");
            }
            assert!(labels.name("2", Reading::Numbers).unwrap_err().contains("has the numbers 0 to 1"));
            let near = labels.name("pushup2", Reading::Names).unwrap_err();
            assert!(near.contains("did you mean `push up`?") || near.contains("among the 2"), "{near}");
            assert!(labels.note.starts_with("labels: ") && labels.note.contains("read as"), "{}", labels.note);
        }
        let splits = labels(r#"{"train": ["a", "b"], "TEST": ["push up"]}"#).unwrap();
        assert_eq!(splits.name("test0", Reading::Numbers).unwrap(), "push up");
        assert_eq!(splits.name("train1", Reading::Numbers).unwrap(), "b");
        for (text, words) in [
            ("", "names no class"),
            ("a\nA\n", "have one name"),
            ("0,a\n0,b\n", "have the number 0"),
            ("{\"a\": \"x\"}", "`a` has the number \"x\""),
            ("{\"a\": ", "line 1"),
            ("[1]", "name 0 is 1"),
            ("{\"kinetics\": {\"test\": [\"a\"]}, \"test\": [\"b\"]}", "`kinetics` is no list of the classes"),
            ("\nid,name\n0,a\nb\n1,c\n", "line 4"),
        ] {
            let error = labels(text).unwrap_err().to_string();
            assert!(error.contains(words) && error.contains("a file of labels"), "{words}: {error}");
        }
    }

    #[test]
    fn video_list_labels_of_a_list_are_all_numbers_or_all_names() {
        let digits = labels("1\n2\n5\n").unwrap();
        let reading = |labels: &Labels, of: &[&str]| labels.reading(&of.iter().copied().collect());
        assert_eq!(reading(&digits, &["0", "1", "2"]), Ok(Reading::Numbers), "no class is called 0");
        assert_eq!(reading(&digits, &["1", "2", "5"]), Ok(Reading::Names), "no class has the number 5");
        let why = reading(&digits, &["1", "2"]).unwrap_err();
        assert!(why.contains("`1` is the number of class `2`") && why.contains("the name of class `1`"), "{why}");
        assert_eq!(reading(&labels("0\n1\n").unwrap(), &["0", "1"]), Ok(Reading::Numbers), "both are the same");
        let words = labels("wave\npush\n").unwrap();
        assert_eq!(reading(&words, &["0", "7"]), Ok(Reading::Numbers));
        assert_eq!(reading(&words, &["wave", "pusch"]), Ok(Reading::Names));
    }
}
