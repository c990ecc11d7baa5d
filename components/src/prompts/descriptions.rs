//! `descriptions`: the sentences of each class from a file.
//!
//! Sources: TS-FSAR (AAAI 2026) compares clips with several descriptions of a class that a language model wrote, and
//! Task-Adapter++ (arXiv 2505.06002) with the sub-actions that a class is made of. Their files map a class to a list of
//! sentences; here, too:
//!
//! ```text
//! brush hair: [a person raises a brush, a person pulls it through the hair, a person lowers the brush]
//! ```

use crate::datasets::folded;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{read_regular, sha256};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Problems};
use maclip_framework::slots::prompt::{Average, Prompt};
use maclip_language::{Node, read_str};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Options of the descriptions.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct DescriptionsConfig {
    /// A YAML or JSON file: a map from classes to lists of sentences. Names of classes count without capitals, blanks
    /// and signs. A class of a run that it lacks is an error.
    file: Option<PathBuf>,
    /// Where the entry of a class is a map of several lists: the key of the list that counts.
    list: Option<String>,
    /// How the features of the sentences become one.
    average: Average,
    /// What is written, with `{sentence}` where a sentence of the file goes, and `{class}` where the class name goes.
    template: String,
}

/// Where a sentence of the file goes.
const SENTENCE: &str = "{sentence}";
/// Where the name of the class goes.
const CLASS: &str = "{class}";
/// Largest file that is read, in bytes.
const LARGEST: u64 = 64 << 20;

impl Default for DescriptionsConfig {
    fn default() -> Self {
        Self { file: None, list: None, average: Average::default(), template: SENTENCE.to_owned() }
    }
}

register!(dyn Prompt, DescriptionsConfig, name: "descriptions", summary: "the sentences of each class from a file",
    paper: Some("TS-FSAR, AAAI 2026; Task-Adapter++, arXiv 2505.06002"), stability: Experimental,
    usage: "{file: descriptions.yaml}");

impl DescriptionsConfig {
    /// The file; `None` where a recipe has `${env:NAME:-}` and the variable is not set.
    fn given(&self) -> Option<&Path> {
        self.file.as_deref().filter(|file| !file.as_os_str().is_empty())
    }
}

impl Component for DescriptionsConfig {
    type Slot = dyn Prompt;

    fn validate(&self, problems: &mut Problems) {
        problems.when(
            !self.template.contains(SENTENCE),
            "template",
            "must have `{sentence}` where a sentence of the file goes",
        );
    }

    fn required_inputs(&self, problems: &mut Problems) {
        problems.when(
            self.given().is_none(),
            "file",
            "is missing: give a YAML or JSON file that maps each class to a list of sentences",
        );
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prompt>> {
        let Some(file) = self.given() else {
            if context.sizes_only {
                return Ok(Box::new(Descriptions {
                    template: self.template,
                    average: self.average,
                    ..Descriptions::default()
                }));
            }
            return Err(Error::failed("the prompt has no file of sentences")
                .help("give one with `--set prompt.file=FILE`: a map from classes to lists of sentences"));
        };
        let label = file.display().to_string();
        let bytes =
            read_regular(file, LARGEST).map_err(|error| Error::failed(format!("cannot read {label}: {error}")))?;
        context.note_weights(&label, sha256(&bytes));
        let text = String::from_utf8(bytes).map_err(|_| Error::failed(format!("{label} is not UTF-8 text")))?;
        let root = read_str(&label, &text)?;
        let map = root.as_map().ok_or_else(|| {
            Error::failed(format!("{label} is no map")).help("write `class: [sentence, sentence]` for each class")
        })?;
        let mut of_class: BTreeMap<String, Class> = BTreeMap::new();
        for entry in map.iter() {
            let sentences = self.sentences(&label, &entry.key, &entry.value)?;
            let class = Class { name: entry.key.clone(), sentences };
            if let Some(other) = of_class.values().find(|other| other.sentences == class.sentences) {
                return Err(Error::failed(format!(
                    "{label} has the same sentences for the classes `{}` and `{}`",
                    other.name, class.name
                )));
            }
            if let Some(other) = of_class.insert(folded(&entry.key), class) {
                return Err(Error::failed(format!(
                    "{label} has a class twice, as `{}` and as `{}`",
                    other.name, entry.key
                ))
                .help("names count without capitals, blanks and signs"));
            }
        }
        Ok(Box::new(Descriptions { file: label, template: self.template, average: self.average, of_class }))
    }
}

impl DescriptionsConfig {
    /// The sentences of the entry `node` of a class.
    fn sentences(&self, file: &str, class: &str, node: &Node) -> Result<Vec<String>> {
        let wrong =
            |what: String, help: &str| Err(Error::failed(format!("{file}: the class `{class}` {what}")).help(help));
        let node = match (&self.list, node.as_map()) {
            (None, None) => node,
            (Some(key), Some(_)) => match node.child(key) {
                Some(list) => list,
                None => return wrong(format!("has no list `{key}`"), "see `prompt.list`"),
            },
            (None, Some(map)) => {
                let keys: Vec<&str> = map.iter().map(|entry| entry.key.as_str()).collect();
                return wrong(
                    "is a map of lists".to_owned(),
                    &format!("set `prompt.list` to one of {}", keys.join(", ")),
                );
            }
            (Some(_), None) => return wrong("is no map of lists".to_owned(), "leave out `prompt.list`"),
        };
        let sentences: Option<Vec<String>> = match (node.as_list(), node.as_str()) {
            (Some(list), _) => list.iter().map(|node| node.as_str().map(|text| text.trim().to_owned())).collect(),
            (None, Some(text)) => Some(vec![text.trim().to_owned()]),
            (None, None) => None,
        };
        match sentences {
            Some(sentences) if !sentences.is_empty() && sentences.iter().all(|text| !text.is_empty()) => Ok(sentences),
            _ => wrong("has no list of sentences".to_owned(), "write at least one text, and no empty one"),
        }
    }
}

#[derive(Debug)]
struct Class {
    /// As it stands in the file.
    name: String,
    sentences: Vec<String>,
}

#[derive(Debug, Default)]
struct Descriptions {
    file: String,
    average: Average,
    template: String,
    /// By the folded name.
    of_class: BTreeMap<String, Class>,
}

impl Prompt for Descriptions {
    fn sentences(&self, class: &str) -> Result<Vec<String>> {
        let Some(found) = self.of_class.get(&folded(class)) else {
            return Err(Error::failed(format!("{} has no sentences for the class `{class}`", self.file)).help(
                format!("add them: `{class}: [a sentence, another one]`; it has {} classes", self.of_class.len()),
            ));
        };
        let written = |sentence: &String| self.template.replace(CLASS, class).replace(SENTENCE, sentence);
        Ok(found.sentences.iter().map(written).collect())
    }

    fn average(&self) -> Average {
        self.average
    }

    fn most(&self) -> usize {
        self.of_class.values().map(|class| class.sentences.len()).max().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prompt::Traits};
    use burn::tensor::Device;

    fn built(text: &str, options: DescriptionsConfig) -> Result<Box<dyn Prompt>> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sentences.yaml");
        std::fs::write(&file, text).unwrap();
        let context = BuildContext::new(1, Device::flex());
        let prompt = DescriptionsConfig { file: Some(file), ..options }.build(&context);
        assert!(prompt.is_err() || context.weights().len() == 1, "its checksum is noted");
        prompt
    }

    fn told<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sentences.yaml");
        let text =
            "a dog jumping: [up, down]\na dog: [it sits]\npushing something from left to right: [a hand moves]\n";
        std::fs::write(&file, text).unwrap();
        let options = format!("file: {}", file.display());
        conformance::prompt::holds::<DescriptionsConfig>(Traits { instead: Some(&options), ..Traits::default() });
    }

    #[test]
    fn sentences_are_those_of_the_file() {
        let prompt =
            built("brush_hair: [a hand, ' a brush ']\nClap: hands meet\n", DescriptionsConfig::default()).unwrap();
        assert_eq!(prompt.sentences("brush hair").unwrap(), ["a hand", "a brush"]);
        assert_eq!((prompt.sentences("clap").unwrap(), prompt.most()), (vec!["hands meet".to_owned()], 2));
        let message = told(prompt.sentences("jump"));
        assert!(message.contains("no sentences for the class `jump`"), "{message}");
    }

    #[test]
    fn a_template_and_a_list_are_chosen() {
        let options = DescriptionsConfig {
            list: Some("steps".to_owned()),
            template: "A video of {class}: {sentence}".to_owned(),
            ..DescriptionsConfig::default()
        };
        let prompt = built("clap: {steps: [up, down], other: [x]}", options.clone()).unwrap();
        assert_eq!(prompt.sentences("Clap").unwrap(), ["A video of Clap: up", "A video of Clap: down"]);
        assert!(told(built("clap: {other: [x]}", options.clone())).contains("has no list `steps`"));
        assert!(told(built("clap: [x]", options)).contains("is no map of lists"));
    }

    #[test]
    fn what_is_wrong_in_a_file_is_told_with_its_class() {
        let told = |text: &str| told(built(text, DescriptionsConfig::default()));
        assert!(told("clap: {a: [x]}").contains("`clap` is a map of lists"));
        assert!(told("clap: []").contains("`clap` has no list of sentences"));
        assert!(told("clap: [x, '']").contains("`clap` has no list of sentences"));
        assert!(told("clap: [3]").contains("`clap` has no list of sentences"));
        assert!(told("a b: [x]\nA_B: [y]").contains("twice, as `a b` and as `A_B`"));
        assert!(told("a: [x]\nb: [x]").contains("the same sentences for the classes `a` and `b`"));
        assert!(told("[x]").contains("is no map"));
    }
}
