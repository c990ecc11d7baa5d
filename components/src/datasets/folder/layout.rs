//! Where the class folders of each split lie.

use super::{ClipKind, FolderOptions};
use crate::datasets::class_split::{Assigned, Choices, has_split_folders, nearest};
use crate::datasets::class_text::{class_text, folded};
use crate::datasets::readers::entries::{NOT_UTF8, entries, found};
use crate::datasets::readers::passed_over::PassedOver;
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::dataset::Split;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// The class folders of every split; each list of three is for [`Split::ALL`].
pub(super) struct Layout {
    pub(super) classes: [Vec<ClassFolder>; 3],
    /// Folders whose names cannot be used, with the reason.
    pub(super) unusable: [Vec<(String, String)>; 3],
    /// What lies where class folders lie, and is none.
    pub(super) passed_over: [PassedOver; 3],
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
        let (mut unusable, mut passed_over): ([Vec<(String, String)>; 3], [PassedOver; 3]) = Default::default();
        let (folders, source, notes, sums) = if let Some(assigned) =
            options.split.assign(&Choices::folders(root, &top))?
        {
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
                let files = inside.others.iter().chain(&inside.videos).chain(&inside.jpegs).chain(&inside.pngs);
                passed_over[split as usize].add_files(split.name(), files);
                folders[split as usize] = inside.folders.into_iter().map(|class| (id(&class), class)).collect();
                unusable[split as usize] = not_utf8(&id, &inside.not_utf8);
            }
            let is_split = |name: &String| Split::ALL.iter().any(|split| split.name() == name);
            let others: Vec<&String> = top.folders.iter().filter(|name| !is_split(name)).collect();
            // They belong to no split; they are told once, with the first.
            passed_over[0].add("folders that are no split", others.len(), || others[0].clone());
            (folders, None, Vec::new(), Default::default())
        } else {
            let (root, found) = (root.display(), found(&top));
            return Err(Error::failed(format!(
                "found no clips in {root}: looked for the split folders train, val and test, and found {found}"
            ))
            .help(options.clips.layouts()));
        };
        check_classes(&folders, options)?;
        let text = |class: &String| options.class_names.get(class).cloned().unwrap_or_else(|| class_text(class));
        let classes = folders.map(|split| {
            split.into_iter().map(|(path, class)| ClassFolder { path, name: text(&class) }).collect::<Vec<_>>()
        });
        check_texts(&classes, options.allow_shared)?;
        Ok(Self { classes, unusable, passed_over, source, notes, sums })
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

/// An error where a class is in two splits, as training classes would leak into the test, and where a class text is for
/// a folder that is not there.
fn check_classes(folders: &[Vec<Found>; 3], options: &FolderOptions) -> Result<()> {
    let mut seen: HashMap<String, (Split, &str)> = HashMap::new();
    let mut twice = Vec::new();
    for (split, (path, class)) in
        Split::ALL.into_iter().zip(folders).flat_map(|(split, of)| of.iter().map(move |f| (split, f)))
    {
        // Two folders of one split are told apart by their texts.
        if let Some((_, other)) = seen.insert(folded(class), (split, path)).filter(|(other, _)| *other != split) {
            twice.push(format!("{other} and {path}"));
        }
    }
    if !twice.is_empty() && !options.allow_shared {
        let count = if twice.len() == 1 { "one class is".to_owned() } else { format!("{} classes are", twice.len()) };
        return Err(Error::failed(format!("{count} in two splits: {}", twice.join("; "))).help(
            "the splits of a few-shot benchmark share no class: remove one of the folders, or say \
             --set dataset.allow_shared=true, which the result records",
        ));
    }
    let known = |folder: &&String| folders.iter().flatten().any(|(_, class)| class == *folder);
    let Some(folder) = options.class_names.keys().find(|folder| !known(folder)) else {
        return Ok(());
    };
    let error = Error::failed(format!("dataset.class_names: there is no class folder `{folder}`"));
    Err(nearest(error, folder, folders.iter().flatten().map(|(_, class)| class.as_str())))
}

/// An error where two classes have the same text, which a model could not tell apart. Classes of two splits never meet
/// in an episode, and may have one where the splits may share.
fn check_texts(classes: &[Vec<ClassFolder>; 3], allow_shared: bool) -> Result<()> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for split in classes {
        if allow_shared {
            seen.clear();
        }
        for ClassFolder { path, name } in split {
            if let Some(other) = seen.insert(name, path) {
                return Err(Error::failed(format!("the class folders {other} and {path} have the same text `{name}`"))
                    .help("tell them apart with dataset.class_names"));
            }
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
