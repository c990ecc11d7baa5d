//! Places on this machine, which do not leave it: of a path, an export has the last part alone.

use maclip_framework::recipe::Recipe;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::weights::hub::Address;
use maclip_language::Node;
use serde_json::Value;
use std::path::Path;

/// The option of a recipe that names the backbone.
pub const BACKBONE: &str = "backbone.weights";
/// What the dataset of the test has in place of `dataset.`, where it is another one than that of the training.
const TESTED_ON: &str = "task.test_on.";
/// All options of a recipe that name a file or a folder, those of [`TESTED_ON`] left out. A text that is none, such as
/// a prompt, may look like one.
const PLACES: [&str; 12] = [
    BACKBONE,
    "dataset.root",
    "dataset.lists",
    "dataset.labels",
    "dataset.split_file",
    "dataset.train.file",
    "dataset.val.file",
    "dataset.test.file",
    "dataset.all.file",
    "prompt.file",
    "task.validation.list.path",
    "task.test.list.path",
];
/// Parts of a recipe with other places, which do not leave the machine at all.
const OTHERS: [&str; 5] = ["task.start", "clip_store", "compute", "log", "launcher"];

/// [`PLACES`], with those of both datasets.
fn places() -> impl Iterator<Item = String> {
    PLACES.into_iter().flat_map(|place| {
        let tested = place.strip_prefix("dataset.").map(|option| format!("{TESTED_ON}{option}"));
        std::iter::once(place.to_owned()).chain(tested)
    })
}

/// The last part of the place `text`. An address on a hub and a name in the program mean the same everywhere.
pub fn last_part(text: &str) -> String {
    let everywhere = text.starts_with("builtin:") || Address::is_one(text);
    let last = Path::new(text).file_name().filter(|_| !everywhere);
    last.map_or_else(|| text.to_owned(), |last| last.to_string_lossy().into_owned())
}

/// `recipe` with the last part of every place.
pub fn without_places(mut recipe: Value) -> Value {
    for place in places() {
        if let Some(Value::String(text)) = at(&mut recipe, &place) {
            *text = last_part(text);
        }
    }
    recipe
}

/// The value of `recipe` at the dotted `path`.
pub fn at<'a>(recipe: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').try_fold(recipe, |value, key| value.get_mut(key))
}

/// The places that a run knows, each with what leaves the machine of it.
pub struct Known(Vec<(String, String)>);

impl Known {
    /// Those of `run`, whose recipe is `recipe`.
    pub fn of(run: &RunDirectory, recipe: &Recipe) -> Self {
        let mut texts: Vec<String> = run.manifest.weights.keys().map(|name| name.replacen("start: ", "", 1)).collect();
        texts.extend(run.manifest.imported.as_ref().map(|imported| imported.folder.clone()));
        texts.extend(
            [Some(run.path.clone()), run.path.canonicalize().ok()]
                .into_iter()
                .flatten()
                .map(|path| path.display().to_string()),
        );
        places()
            .chain(OTHERS.map(str::to_owned))
            .filter_map(|path| recipe.resolved.at(&path))
            .for_each(|node| strings(node, &mut texts));
        Self::these(texts)
    }

    fn these(texts: Vec<String>) -> Self {
        let mut known: Vec<(String, String)> = texts.into_iter().map(|text| (text.clone(), last_part(&text))).collect();
        known.retain(|(text, last)| text != last && !last.is_empty());
        // A place within another one comes first.
        known.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        known.dedup();
        Self(known)
    }

    /// A sentence of the run without the places that it knows, and without whatever else is an absolute path.
    pub fn without(&self, sentence: &str) -> String {
        let known = self.0.iter().fold(sentence.to_owned(), |text, (place, last)| replaced(&text, place, last));
        known.split(' ').map(word).collect::<Vec<_>>().join(" ")
    }
}

fn strings(node: &Node, found: &mut Vec<String>) {
    found.extend(node.as_str().map(str::to_owned));
    node.as_map().into_iter().flat_map(|map| map.iter()).for_each(|entry| strings(&entry.value, found));
    node.as_list().into_iter().flatten().for_each(|node| strings(node, found));
}

/// `text` with `last` for each `place` that is not the end of a longer word.
fn replaced(text: &str, place: &str, last: &str) -> String {
    let mut written = String::new();
    let mut rest = text;
    while let Some(found) = rest.find(place) {
        let (before, after) = (&rest[..found], &rest[found + place.len()..]);
        let within = before.ends_with(|c: char| c.is_alphanumeric() || "/._-".contains(c));
        written.push_str(before);
        written.push_str(if within { place } else { last });
        rest = after;
    }
    written + rest
}

/// A word of a sentence; of an absolute path its last part, with the signs around it.
fn word(text: &str) -> String {
    let path = text.trim_start_matches(['`', '"', '\'', '(', '[']);
    let leaves = ["/", "~/", "../"].iter().any(|begin| path.starts_with(begin)) && path.len() > 1;
    match Path::new(path).file_name().filter(|_| leaves) {
        Some(last) => format!("{}{}", &text[..text.len() - path.len()], last.to_string_lossy()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::registry;
    use serde_json::json;

    #[test]
    fn folders_of_this_machine_do_not_leave_it() {
        for (text, last) in [
            ("/home/me/data/hmdb51", "hmdb51"),
            ("../weights/ViT-B-16.pt", "ViT-B-16.pt"),
            ("w/my clip.safetensors", "my clip.safetensors"),
            ("builtin:shapes_clip", "builtin:shapes_clip"),
            ("hf:openai/clip-vit-base-patch16", "hf:openai/clip-vit-base-patch16"),
            ("", ""),
        ] {
            assert_eq!(last_part(text), last);
        }
        let recipe = json!({
            "dataset": {"root": "/data/x", "all": {"file": "a/b.csv"}, "class_names": {"run": "/run"}},
            "backbone": {"weights": "w/my clip.pt"},
            "task": {"test_on": {"root": "/data/y", "test": {"file": "/c/d.csv"}}},
            "prompt": {"type": "template", "template": "../zzz qqq/{}"},
        });
        let shared = json!({
            "dataset": {"root": "x", "all": {"file": "b.csv"}, "class_names": {"run": "/run"}},
            "backbone": {"weights": "my clip.pt"},
            "task": {"test_on": {"root": "y", "test": {"file": "d.csv"}}},
            "prompt": {"type": "template", "template": "../zzz qqq/{}"},
        });
        assert_eq!(without_places(recipe), shared);
    }

    #[test]
    fn sentences_lose_the_places_that_the_run_knows() {
        let known = Known::these(
            ["/my secret dir/proj (old)/m", "data/my clips", "/my secret dir", "builtin:shapes_clip"]
                .map(str::to_owned)
                .to_vec(),
        );
        for (sentence, shared) in [
            ("begins with /my secret dir/proj (old)/m: 3 of 4", "begins with m: 3 of 4"),
            ("data/my clips/a/b.mp4 is broken", "my clips/a/b.mp4 is broken"),
            ("`/my secret dir/x` is no clip", "`my secret dir/x` is no clip"),
            ("metadata/my clips", "metadata/my clips"),
            ("cannot read `/other/place/x.mp4`, or 3 / 4", "cannot read `x.mp4`, or 3 / 4"),
        ] {
            assert_eq!(known.without(sentence), shared);
        }
    }

    /// A new option that names a file must not leave the machine unseen.
    #[test]
    fn every_option_that_speaks_of_files_is_known_to_be_a_place_or_none() {
        const TEXTS: [&str; 10] =
            ["pattern", "delimiter", "key", "template", "templates", "hash", "architecture", "train", "val", "test"];
        let speaks = |text: &str| {
            let words = text.to_lowercase();
            ["file", "folder", "path", "checkpoint"].iter().any(|word| words.contains(word))
        };
        let mut unknown = Vec::new();
        for slot in registry::slots() {
            for entry in (slot.components)() {
                for option in registry::options::options(&Value::from((entry.info.schema)())) {
                    let path = format!("{}.{}", slot.name, option.path);
                    let place = PLACES.contains(&path.as_str()) || OTHERS.iter().any(|part| path.starts_with(part));
                    let last = option.path.rsplit('.').next().unwrap_or_default();
                    let of_files = option.kind.contains("string") && speaks(&option.description);
                    if of_files && !place && !TEXTS.contains(&last) {
                        unknown.push(format!("{path}: {}", option.kind));
                    }
                }
            }
        }
        assert!(unknown.is_empty(), "{unknown:#?}");
    }
}
