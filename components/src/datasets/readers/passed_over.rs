//! Files that are passed over: they lie where clips lie, and are none. They are counted and told, so that nobody looks
//! for them in a result in vain.

use super::VIDEO_EXTENSIONS;
use maclip_framework::slots::dataset::Split;
use std::collections::BTreeMap;
use std::path::Path;

/// Kinds that are named in a sentence; the others are counted.
const NAMED: usize = 8;

/// Files and folders that are no clips, counted by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    /// Number of each kind, such as `.asf` or `nested videos`.
    kinds: BTreeMap<String, usize>,
    /// The first of them, as a path below the root.
    first: Option<String>,
}

impl PassedOver {
    /// Counts `count` things of a kind; `path` is the place of the first, below the root.
    pub fn add(&mut self, kind: impl Into<String>, count: usize, path: impl FnOnce() -> String) {
        if count > 0 {
            *self.kinds.entry(kind.into()).or_default() += count;
            self.first.get_or_insert_with(path);
        }
    }

    /// Counts files of the folder `folder` by their extensions.
    pub fn add_files<'a>(&mut self, folder: &str, names: impl IntoIterator<Item = &'a String>) {
        for name in names {
            self.add(extension(name), 1, || joined(folder, name));
        }
    }

    /// Adds what was passed over in a folder that lies at `folder` below the root.
    pub fn add_all(&mut self, folder: &str, other: &Self) {
        for (kind, &count) in &other.kinds {
            self.add(kind.as_str(), count, || joined(folder, other.first.as_deref().unwrap_or_default()));
        }
    }

    /// A sentence for the user; `None` where nothing was passed over.
    pub fn sentence(&self, split: Split) -> Option<String> {
        let (first, all) = (self.first.as_ref()?, self.kinds.values().sum::<usize>());
        let kinds: Vec<String> = self.kinds.iter().take(NAMED).map(|(kind, count)| format!("{count} {kind}")).collect();
        let more = if self.kinds.len() > NAMED { ", …" } else { "" };
        let (files, are) = if all == 1 { ("file or folder", "is") } else { ("files and folders", "are") };
        Some(format!(
            "{all} {files} of split {} {are} passed over, because clips do not look like this: {}{more}; the first: \
             {first} (videos end in {}, frames in jpg, jpeg or png, and a clip lies in the folder of its class)",
            split.name(),
            kinds.join(", "),
            VIDEO_EXTENSIONS.join(", ")
        ))
    }
}

/// A path below a folder; an empty folder is the root.
fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The extension of a name in lower case, with its dot.
pub fn extension(name: &str) -> String {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.map_or_else(|| "without an extension".to_owned(), |extension| format!(".{}", extension.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_passed_over_files_are_counted_by_kind() {
        let mut all = PassedOver::default();
        assert_eq!(all.sentence(Split::Test), None);
        all.add_files("test/push", &["x.asf".to_owned(), "y.ASF".to_owned(), "z".to_owned()]);
        let mut nested = PassedOver::default();
        nested.add("nested videos", 2, || "n1.mp4".to_owned());
        all.add_all("test/push/sub", &nested);
        let told = all.sentence(Split::Test).unwrap();
        let start = "5 files and folders of split test are passed over, because clips do not look like this: 2 .asf, \
                     2 nested videos, 1 without an extension; the first: test/push/x.asf (videos end in 3gp, avi,";
        assert!(told.starts_with(start), "{told}");
    }
}
