//! Pictures of clips on a page: each is there once, however many figures and examples show it.

use crate::gallery::Clip;
use crate::load::display;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maclip_framework::files::read_own;
use maclip_framework::images::decode_jpeg;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The largest file of a strip, in bytes: eight frames of 224 × 224 have 0.2 MB.
const LARGEST_STRIP: u64 = 16 << 20;

/// A strip that is on the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Strip {
    pub id: String,
    /// Frames that stand side by side in it.
    pub frames: usize,
}

/// The strips of a page.
#[derive(Clone, Debug, Default)]
pub struct Strips {
    /// Strip and JPEG, in the order in which they were added.
    all: Vec<(Strip, Vec<u8>)>,
    known: BTreeMap<Vec<u8>, usize>,
    /// A line for each picture that cannot be shown.
    pub problems: BTreeSet<String>,
}

/// A strip with its picture, for the template.
#[derive(Debug, Serialize)]
pub struct Shown<'a> {
    id: &'a str,
    frames: usize,
    image: String,
}

impl Strips {
    /// Adds a JPEG of `frames` frames, and gives the strip that is already there for the same bytes.
    pub fn add(&mut self, bytes: Vec<u8>, frames: usize) -> Strip {
        let number = *self.known.entry(bytes).or_insert_with_key(|bytes| {
            let id = format!("strip-{}", self.all.len() + 1);
            self.all.push((Strip { id, frames }, bytes.clone()));
            self.all.len() - 1
        });
        self.all[number].0.clone()
    }

    /// Those that `used` holds.
    pub fn shown(&self, used: &BTreeSet<&str>) -> Vec<Shown<'_>> {
        let all = self.all.iter().filter(|(strip, _)| used.contains(strip.id.as_str()));
        all.map(|(strip, bytes)| Shown { id: &strip.id, frames: strip.frames, image: data_uri(bytes) }).collect()
    }
}

/// A JPEG as an address that holds it.
pub fn data_uri(jpeg: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg))
}

/// The pictures of one run.
pub struct Folder<'a> {
    pub folder: &'a Path,
    /// The file of each clip.
    pub files: &'a BTreeMap<String, String>,
    /// Frames of each.
    pub frames: usize,
    pub strips: &'a mut Strips,
    /// What was found of the clips that were asked for.
    pub found: BTreeMap<String, Option<Strip>>,
}

impl Folder<'_> {
    /// The picture in `file`. A record may name any file: only one beside it goes into the page, one that can be
    /// decoded here, and no link, because a page may be sent to others.
    fn picture(&self, file: &str) -> Result<Vec<u8>, String> {
        if file.contains(['/', '\\']) || !file.ends_with(".jpg") {
            return Err("it is not a picture beside the records of the examples".to_owned());
        }
        let bytes = read_own(&self.folder.join(file), LARGEST_STRIP).map_err(|error| error.to_string())?;
        decode_jpeg(&bytes).map(|_| bytes).map_err(|error| error.to_string())
    }

    /// A clip with its strip, where there is one.
    pub fn clip(&mut self, id: &str) -> Clip {
        if let Some(strip) = self.found.get(id) {
            return Clip { id: id.to_owned(), strip: strip.clone() };
        }
        let strip = self.files.get(id).and_then(|file| match self.picture(file) {
            Ok(bytes) => Some(self.strips.add(bytes, self.frames)),
            Err(why) => {
                self.strips.problems.insert(format!("{}: {why}", display(&self.folder.join(file))));
                None
            }
        });
        self.found.insert(id.to_owned(), strip.clone());
        Clip { id: id.to_owned(), strip }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_picture_is_there_once() {
        let mut strips = Strips::default();
        let (one, other, again) = (strips.add(vec![1], 2), strips.add(vec![2], 2), strips.add(vec![1], 2));
        assert_eq!(one, again);
        assert_ne!(one.id, other.id);
        assert_eq!(strips.shown(&[one.id.as_str(), other.id.as_str()].into()).len(), 2);
        // What no figure and no list shows is not on the page.
        assert_eq!(strips.shown(&[other.id.as_str()].into()).len(), 1);
    }
}
