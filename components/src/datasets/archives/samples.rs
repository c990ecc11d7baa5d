//! The samples of WebDataset: entries whose names are the same up to the first dot of the file's name.
//!
//! Source: the WebDataset format, <https://github.com/webdataset/webdataset>. `KEY.mp4`, or `KEY.jpg` and
//! `KEY.0001.jpg`, with the label in `KEY.cls`, `KEY.json` or `KEY.txt`.

use super::{Archives, At, Content, Entry, Packed, is_array, several};
use crate::datasets::readers::entries::natural;
use crate::datasets::readers::{is_image, is_video};
use maclip_framework::error::{Error, Result};
use std::collections::BTreeMap;

/// The largest label, in bytes.
const LABEL: u64 = 1 << 20;
/// Keys of a JSON label, the first that is there counts.
const KEYS: [&str; 5] = ["label", "class", "class_name", "action", "cls"];

/// What is known of a sample beside its clip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Class name or number.
    pub label: String,
    /// Shard and entry that say it, for messages.
    pub place: String,
}

/// Entries of one sample.
#[derive(Default)]
struct Parts {
    archive: u32,
    frames: Vec<Entry>,
    videos: Vec<Entry>,
    arrays: Vec<Entry>,
    /// By extension.
    labels: BTreeMap<String, Entry>,
    /// In which other archive the key is too.
    also: Option<u32>,
    /// Entries of the content that is passed over.
    others: usize,
}

/// The key and the rest of an entry's path: `a/b.c/KEY.0001.jpg` is `a/b.c/KEY` and `0001.jpg`.
fn split(path: &str) -> (&str, &str) {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    match path[name..].find('.') {
        Some(dot) => (&path[..name + dot], &path[name + dot + 1..]),
        None => (path, ""),
    }
}

impl Archives {
    /// Makes clips and labels of the entries of all shards.
    pub(super) fn group_samples(&mut self, entries: Vec<(String, u32, At)>) -> Result<()> {
        let mut found: BTreeMap<String, Parts> = BTreeMap::new();
        let mut others = 0_usize;
        for (path, archive, at) in entries {
            let (key, extension) = split(&path);
            let name = path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name);
            if name.starts_with('.') {
                continue;
            }
            let parts = found.entry(key.to_owned()).or_insert_with(|| Parts { archive, ..Parts::default() });
            if parts.archive != archive {
                parts.also = Some(archive);
            }
            let entry = Entry { archive, name: name.into(), at };
            if self.content.has(name) == Some(false) {
                parts.others += 1;
            } else if is_image(name) {
                parts.frames.push(entry);
            } else if is_video(name) {
                parts.videos.push(entry);
            } else if is_array(name) {
                parts.arrays.push(entry);
            } else if matches!(extension, "cls" | "json" | "txt") {
                parts.labels.insert(extension.to_owned(), entry);
            } else {
                others += 1;
            }
        }
        let mut problems = Vec::new();
        for (key, mut parts) in found {
            let shard = self.paths[parts.archive as usize].display().to_string();
            if let Some(also) = parts.also {
                problems.push(format!("{key} is in {shard} and in {}", self.paths[also as usize].display()));
                continue;
            }
            let (videos, arrays) = (parts.videos.len(), parts.arrays.len());
            self.others += parts.others;
            if videos + arrays == 0 && parts.frames.is_empty() {
                let what = match self.content {
                    Content::Pixels => "no video and no frames",
                    Content::Features => "no array of features",
                };
                problems.push(format!("{shard}: {key} has {what}, and dataset.clips is {}", self.content.name()));
                continue;
            }
            if videos + arrays > 1 {
                problems.push(format!("{shard}: {key} has {videos} videos and {arrays} arrays of features"));
                continue;
            }
            match self.label_of(&key, &parts.labels) {
                Ok(Some((extension, label))) => {
                    let place = format!("{shard}: {key}.{extension}");
                    self.samples.insert(key.clone(), Sample { label, place });
                }
                Ok(None) => {}
                Err(what) => problems.push(format!("{shard}: {what}")),
            }
            // A picture beside a video is its preview.
            let clip = match (parts.videos.pop(), parts.arrays.pop()) {
                (Some(video), _) => Packed::Video(video),
                (None, Some(array)) => Packed::Array(array),
                (None, None) => {
                    parts.frames.sort_by(|a, b| natural(&a.name, &b.name));
                    Packed::Frames(parts.frames)
                }
            };
            self.clips.insert(key, clip);
        }
        if others > 0 {
            self.notes.push(format!("{others} entries of the shards are no clips and no labels, and are passed over"));
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(Error::failed(format!("{} samples cannot be used:{}", problems.len(), several(&problems)))
                .help(
                    "a sample is KEY.mp4, or KEY.jpg and KEY.0001.jpg, or KEY.npy, with its label in KEY.cls, KEY.json \
                     or KEY.txt; a key is in one shard",
                )),
        }
    }

    /// The label of a sample, and the extension of the entry that has it; `None` where there is no such entry.
    fn label_of(
        &self,
        key: &str,
        labels: &BTreeMap<String, Entry>,
    ) -> std::result::Result<Option<(&'static str, String)>, String> {
        let Some((extension, entry)) = ["cls", "json", "txt"].into_iter().find_map(|e| Some((e, labels.get(e)?)))
        else {
            return Ok(None);
        };
        let wrong = |what: String| format!("{key}.{extension}: {what}");
        let mut bytes = Vec::new();
        self.copy(entry, LABEL, &mut bytes).map_err(|error| error.reason())?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
        let text = text.trim_start_matches('\u{feff}').trim();
        let label = match extension {
            "json" => of_json(text).map_err(wrong)?,
            _ => text.lines().next().unwrap_or_default().trim().to_owned(),
        };
        if label.is_empty() { Err(wrong("it names no class".to_owned())) } else { Ok(Some((extension, label))) }
    }
}

/// The label in a JSON object: a text or a number.
fn of_json(text: &str) -> std::result::Result<String, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let looked = || format!("looked for one of {}", KEYS.join(", "));
    let object = match &value {
        serde_json::Value::Object(object) => object,
        _ => return Err(format!("it is no object; {}", looked())),
    };
    let Some((key, found)) = KEYS.iter().find_map(|key| Some((key, object.get(*key)?))) else {
        let there: Vec<&str> = object.keys().map(String::as_str).take(8).collect();
        return Err(format!(
            "{}, and found {}",
            looked(),
            if there.is_empty() { "nothing".into() } else { there.join(", ") }
        ));
    };
    match found {
        serde_json::Value::String(text) => Ok(text.trim().to_owned()),
        serde_json::Value::Number(number) => Ok(number.to_string()),
        _ => Err(format!("`{key}` is neither a text nor a number")),
    }
}
