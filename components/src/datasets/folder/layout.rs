//! Where the class folders of each split lie.

use super::{ClipKind, FolderOptions};
use crate::datasets::class_split::{Assigned, has_split_folders, nearest};
use crate::datasets::class_text::class_text;
use crate::datasets::readers::entries::{NOT_UTF8, entries, found};
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::dataset::Split;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The class folders of every split; each list of three is for [`Split::ALL`].
pub(super) struct Layout {
    pub(super) classes: [Vec<ClassFolder>; 3],
    /// Folders whose names cannot be used, with the reason.
    pub(super) unusable: [Vec<(String, String)>; 3],
    /// Where the classes are named; `None` where they are those of the split folders.
    pub(super) source: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) sums: [BTreeMap<String, String>; 3],
}

pub(super) struct ClassFolder {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    /// Class text.
    pub(super) name: String,
}

/// A class folder: its path below the root, with `/`, and its name.
type Found = (String, String);

impl Layout {
    pub(super) fn find(root: &Path, options: &FolderOptions) -> Result<Self> {
        if !root.is_dir() {
            let what = if root.exists() { "is not a folder" } else { "does not exist" };
            return Err(Error::failed(format!("the dataset's root {} {what}", root.display()))
                .help(options.clips.ask_for_root()));
        }
        let top = entries(root)?;
        let not_utf8 = |id: &dyn Fn(&str) -> String, names: &[String]| {
            names.iter().map(|name| (id(name), NOT_UTF8.to_owned())).collect::<Vec<_>>()
        };
        let mut unusable: [Vec<(String, String)>; 3] = Default::default();
        let (folders, source, notes, sums) = if let Some(assigned) = options.split.assign(root, &top)? {
            let Assigned { classes, source, notes, sums } = assigned;
            // It belongs to no split, and no list can name it; it is reported once, with the first split.
            unusable[0] = not_utf8(&str::to_owned, &top.not_utf8);
            let folders = classes.map(|split| split.into_iter().map(|class| (class.clone(), class)).collect());
            (folders, Some(source), notes, sums)
        } else if has_split_folders(&top) {
            let mut folders: [Vec<Found>; 3] = Default::default();
            for split in Split::ALL.into_iter().filter(|split| top.folders.iter().any(|name| name == split.name())) {
                let inside = entries(&root.join(split.name()))?;
                let id = |class: &str| format!("{}/{class}", split.name());
                folders[split as usize] = inside.folders.into_iter().map(|class| (id(&class), class)).collect();
                unusable[split as usize] = not_utf8(&id, &inside.not_utf8);
            }
            (folders, None, Vec::new(), Default::default())
        } else {
            let (root, found) = (root.display(), found(&top));
            return Err(Error::failed(format!(
                "found no clips in {root}: looked for the split folders train, val and test, and found {found}"
            ))
            .help(options.clips.layouts()));
        };
        check_classes(&folders, &options.class_names)?;
        let text = |class: &String| options.class_names.get(class).cloned().unwrap_or_else(|| class_text(class));
        let classes = folders.map(|split| {
            split.into_iter().map(|(path, class)| ClassFolder { path, name: text(&class) }).collect::<Vec<_>>()
        });
        check_texts(&classes)?;
        Ok(Self { classes, unusable, source, notes, sums })
    }

    /// The class folders of `split`, at least one.
    pub(super) fn classes(&self, root: &Path, split: Split) -> Result<&[ClassFolder]> {
        // `Split::ALL` is in the order of the discriminants.
        let classes = &self.classes[split as usize];
        if classes.is_empty() {
            let name = split.name();
            return Err(Error::failed(match &self.source {
                Some(source) => format!("{source} names no class for {name}"),
                None => format!("found no class for {name}: looked for folders in {}", root.join(name).display()),
            }));
        }
        Ok(classes)
    }

    /// Whether `id` is what a clip in one of the class folders may be called. Anything else could lead out of the root.
    pub(super) fn may_hold(&self, id: &str) -> bool {
        let class = id.rsplit_once('/').filter(|(_, clip)| !clip.is_empty() && !clip.starts_with('.'));
        class.is_some_and(|(class, _)| self.classes.iter().flatten().any(|folder| folder.path == class))
    }
}

/// An error where one class is in two splits, as training classes would leak into the test, and where a class text is
/// for a folder that is not there.
fn check_classes(folders: &[Vec<Found>; 3], class_names: &BTreeMap<String, String>) -> Result<()> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for (path, class) in folders.iter().flatten() {
        if let Some(other) = seen.insert(class, path) {
            return Err(Error::failed(format!("one class is in two splits: {other} and {path}"))
                .help("the splits of a few-shot benchmark share no class; remove one of the folders"));
        }
    }
    let Some(folder) = class_names.keys().find(|folder| !seen.contains_key(folder.as_str())) else {
        return Ok(());
    };
    let error = Error::failed(format!("dataset.class_names: there is no class folder `{folder}`"));
    Err(nearest(error, folder, folders.iter().flatten().map(|(_, class)| class.as_str())))
}

/// An error where two classes have the same text, which a model could not tell apart.
fn check_texts(classes: &[Vec<ClassFolder>; 3]) -> Result<()> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for ClassFolder { path, name } in classes.iter().flatten() {
        if let Some(other) = seen.insert(name, path) {
            return Err(Error::failed(format!("the class folders {other} and {path} have the same text `{name}`"))
                .help("tell them apart with dataset.class_names"));
        }
    }
    Ok(())
}

impl ClipKind {
    /// The help where no root is given.
    pub(super) fn ask_for_root(self) -> String {
        format!("give the folder with the {}: --set dataset.root=…", self.content())
    }

    /// The layouts that are read.
    pub(super) fn layouts(self) -> String {
        let clip = match self {
            ClipKind::Folder => "<clip>/*.jpg",
            ClipKind::Video => "<clip>.mp4",
        };
        format!(
            "clips are read from <root>/<split>/<class>/{clip}, with the split folders train, val and test; where the class \
             folders lie in the root itself, name the classes of each split in dataset.splits or dataset.split_file, or \
             draw them with dataset.draw"
        )
    }
}
