//! What the benchmarks of the field share: published lists of clips, which are found below a root in every usual
//! layout. Not here: the classes of one benchmark, which are in its own file.
//!
//! The classes of each split are facts and built in; which clips a class has is read from lists that their authors
//! publish. Names of clips in records are made of the class and of the clip's own name, so they are the same for every
//! layout and every form of list.

mod index;
pub(super) mod layout;
mod lists;
#[cfg(test)]
mod tests;

use super::class_text::ClassText;
use super::policy::Policy;
use super::readers::passed_over::PassedOver;
use super::readers::video::Decoder;
use super::readers::{DECODER, Readers, parts};
use index::Index;
use maclip_framework::error::{Error, Result};
use maclip_framework::registry::{Facts, Problems, SplitSize};
use maclip_framework::slots::dataset::{Class, Dataset, FilePart, Frames, Listing, Opened, Request, Split};
use maclip_language::suggest;
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Facts of a benchmark.
#[derive(Debug)]
pub(super) struct Benchmark {
    pub name: &'static str,
    /// Class names of train, val and test as the lists have them. The place of a class is its id.
    pub classes: [&'static [&'static str]; 3],
    /// Clips of the class that has the fewest, for each split of the published lists.
    pub fewest: [usize; 3],
    /// Whether classes have a direction that a mirror image would change.
    pub directed: bool,
    /// Whether clips are named by their YouTube id.
    pub youtube: bool,
    /// Whether the lists hold all clips of their classes. Then the class folders alone are enough.
    pub whole: bool,
    /// Repositories that publish lists.
    pub published: &'static [&'static str],
}

impl Benchmark {
    fn names(&self, split: Split) -> &'static [&'static str] {
        self.classes[split as usize]
    }

    fn lists_help(&self) -> String {
        format!(
            "give the folder that holds the lists of train, val and test with --set dataset.lists=FOLDER; they are \
             published under names such as train_few_shot.txt, train.list, trainlist03.txt and train.txt in {}",
            self.published.join(", ")
        )
    }

    /// See [`maclip_framework::registry::Component::describe`].
    pub fn describe(&self, facts: &mut Facts) {
        facts.directed = Some(self.directed);
        let size = |split: Split| SplitSize { classes: self.names(split).len(), clips: self.fewest[split as usize] };
        facts.splits = Some(Split::ALL.map(size));
    }
}

/// The options of a benchmark, whichever it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub root: Option<PathBuf>,
    pub lists: Option<PathBuf>,
    pub missing: Policy,
    pub broken: Policy,
    pub class_names: BTreeMap<String, String>,
    pub class_text: ClassText,
    pub labels: Option<PathBuf>,
    pub decoder: Decoder,
    pub pattern: Option<String>,
    pub allow_shared: bool,
}

impl Settings {
    pub fn validate(&self, benchmark: &Benchmark, problems: &mut Problems) {
        let mut seen: HashMap<(Split, usize), &str> = HashMap::new();
        for (name, text) in &self.class_names {
            let Some(class) = benchmark.find(name) else {
                let near = suggest(name, benchmark.classes.into_iter().flatten().copied());
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                problems.push("class_names", format!("names `{name}`, which is no class of {}{near}", benchmark.name));
                continue;
            };
            problems.when(text.trim().is_empty(), "class_names", format!("has an empty text for `{name}`"));
            if let Some(other) = seen.insert(class, name) {
                problems.push("class_names", format!("names one class twice: `{other}` and `{name}`"));
            }
        }
    }

    pub fn required_inputs(&self, problems: &mut Problems) {
        problems.when(
            self.root.as_ref().is_none_or(|root| root.as_os_str().is_empty()),
            "root",
            "is missing: say where the videos or frames are, with `--set dataset.root=FOLDER` or in the recipe",
        );
        Readers::with(self.decoder).required_inputs(problems);
    }
}

/// Declares the options of one benchmark and makes a component of them. `$extra` are options that others do not have.
macro_rules! benchmark {
    ($(#[$about:meta])* $name:ident, $facts:expr $(, { $($(#[$doc:meta])* $extra:ident: $kind:ty,)* })?) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        struct $name {
            /// The folder that holds the clips as videos or as folders of frames, in any of the usual layouts.
            /// Required.
            root: Option<std::path::PathBuf>,
            /// The folder that holds the published lists of train, val and test under their published names. May be
            /// left out where the root has the folders train, val and test with the classes of this benchmark, or where
            /// the lists hold all clips of their classes (HMDB51, UCF101).
            lists: Option<std::path::PathBuf>,
            /// What happens to clips of the lists that are not below the root.
            missing: $crate::datasets::policy::Policy,
            /// What happens to clips that are there and cannot be read.
            broken: $crate::datasets::policy::Policy,
            /// What decodes the clips that are videos. The frames are the same.
            decoder: $crate::datasets::readers::video::Decoder,
            /// The name pattern of the frames where folders of frames hold several, such as `img_*` beside `flow_x_*`
            /// and
            /// `flow_y_*`: the name without its extension, with `*` in the place of each number.
            pattern: Option<String>,
            /// Whether splits may have clips in common; the result records it. Otherwise that is an error.
            allow_shared: bool,
            /// Class text for prompts, by class name or by the class's name in the lists, such as `val0`. The text of
            /// other classes is made of their name, see `class_text`.
            class_names: std::collections::BTreeMap<String, String>,
            /// How the text of a class is made of its name.
            class_text: $crate::datasets::class_text::ClassText,
            $($($(#[$doc])* $extra: $kind,)*)?
        }

        impl $name {
            fn settings(&self) -> $crate::datasets::listed::Settings {
                // Most benchmarks have no option of their own.
                #[allow(unused_mut)]
                let mut settings = $crate::datasets::listed::Settings {
                    root: self.root.clone(),
                    lists: self.lists.clone(),
                    missing: self.missing,
                    broken: self.broken,
                    class_names: self.class_names.clone(),
                    class_text: self.class_text,
                    labels: None,
                    decoder: self.decoder,
                    pattern: self.pattern.clone(),
                    allow_shared: self.allow_shared,
                };
                $($(settings.$extra = self.$extra.clone();)*)?
                settings
            }
        }

        impl maclip_framework::registry::Component for $name {
            type Slot = dyn maclip_framework::slots::dataset::Dataset;

            fn validate(&self, problems: &mut maclip_framework::registry::Problems) {
                self.settings().validate(&$facts, problems);
            }

            fn required_inputs(&self, problems: &mut maclip_framework::registry::Problems) {
                self.settings().required_inputs(problems);
            }

            fn describe(&self, facts: &mut maclip_framework::registry::Facts) {
                $facts.describe(facts);
            }

            fn build(
                self,
                _: &maclip_framework::registry::BuildContext,
            ) -> maclip_framework::error::Result<Box<Self::Slot>> {
                Ok(Box::new($crate::datasets::listed::Listed::new(&$facts, self.settings())?))
            }
        }
    };
}
pub(super) use benchmark;

/// A benchmark whose clips are on disk.
///
/// Files are read when something is asked for the first time, so a recipe can be checked on a machine without the data.
pub(super) struct Listed {
    benchmark: &'static Benchmark,
    settings: Settings,
    root: PathBuf,
    readers: Readers,
    cache: Mutex<Cache>,
}

/// What was found on disk; a run asks for the same clips again and again.
#[derive(Default)]
struct Cache {
    indices: [Option<Arc<Index>>; 3],
    listings: [Option<Listing>; 3],
}

impl Listed {
    pub fn new(benchmark: &'static Benchmark, mut settings: Settings) -> Result<Self> {
        // Empty where a recipe has `${env:NAME:-}` and the variable is not set.
        for path in [&mut settings.root, &mut settings.lists, &mut settings.labels] {
            path.take_if(|path| path.as_os_str().is_empty());
        }
        let root = settings.root.clone().ok_or_else(|| {
            Error::failed(format!("the dataset {} has no root folder", benchmark.name))
                .help("give the folder of videos or frames: --set dataset.root=FOLDER")
        })?;
        let mut readers = Readers::with(settings.decoder);
        readers.images.pattern.clone_from(&settings.pattern);
        Ok(Self { benchmark, settings, root, readers, cache: Mutex::default() })
    }

    /// The cache holds only finished entries, so it is sound even after a panic elsewhere.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self, split: Split) -> Result<Arc<Index>> {
        if let Some(index) = &self.cache().indices[split as usize] {
            return Ok(index.clone());
        }
        // Not under the lock: looking for clips takes long, and those of other splits may be opened meanwhile.
        let index = Arc::new(index::make(self.benchmark, &self.settings, &self.root, split)?);
        self.cache().indices[split as usize] = Some(index.clone());
        Ok(index)
    }

    /// Where the clip is. Splits that were not read yet come last: their lists may be missing.
    fn locate(&self, clip: &str) -> Result<PathBuf> {
        let known = self.cache().indices.clone();
        if let Some(path) = known.iter().flatten().find_map(|index| index.place(clip)) {
            return Ok(path.to_path_buf());
        }
        for split in Split::ALL.into_iter().filter(|&split| known[split as usize].is_none()) {
            if let Some(path) = self.index(split)?.place(clip) {
                return Ok(path.to_path_buf());
            }
        }
        let name = self.benchmark.name;
        Err(Error::failed(format!("{name} has no clip `{clip}`, or none was found under {}", self.root.display())))
    }

    /// The listing of `index`, after `check` has looked at each clip that was found.
    fn listing(
        &self,
        split: Split,
        index: &Index,
        check: impl Fn(&Path) -> std::result::Result<PassedOver, String> + Sync,
    ) -> Listing {
        let checked: Vec<Vec<_>> = index
            .classes
            .par_iter()
            .map(|class| class.clips.par_iter().map(|clip| clip.place.as_ref().map(|path| check(path))).collect())
            .collect();
        let mut listing = Listing { sums: index.sums.clone(), notes: index.notes.clone(), ..Listing::default() };
        let (mut skipped, mut passed_over) = (Vec::new(), index.passed_over.clone());
        for (class, checked) in index.classes.iter().zip(checked) {
            let mut clips = Vec::with_capacity(class.clips.len());
            for (clip, outcome) in class.clips.iter().zip(checked) {
                match outcome {
                    Ok(Ok(inside)) => {
                        passed_over.add_all(&clip.id, &inside);
                        clips.push(clip.id.clone());
                    }
                    Ok(Err(reason)) => skipped.push((self.settings.broken, (clip.id.clone(), reason))),
                    Err(reason) => skipped.push((self.settings.missing, (clip.id.clone(), reason.clone()))),
                }
            }
            match clips.is_empty() {
                true => {
                    listing.notes.push(format!("class `{}` is left out: it has no clip that can be used", class.name))
                }
                false => listing.classes.push(Class { name: class.name.clone(), clips }),
            }
        }
        listing.strict = skipped.iter().any(|(policy, _)| *policy == Policy::Fail);
        // With a reason to stop, those that may be left out are not named.
        skipped.retain(|(policy, _)| !listing.strict || *policy == Policy::Fail);
        listing.skipped = skipped.into_iter().map(|(_, clip)| clip).collect();
        listing.passed_over = passed_over.sentence(split).into_iter().collect();
        listing
    }
}

impl Dataset for Listed {
    fn list(&self, split: Split) -> Result<Listing> {
        if let Some(listing) = &self.cache().listings[split as usize] {
            return Ok(listing.clone());
        }
        let listing = self.listing(split, &*self.index(split)?, |path| self.readers.check(path));
        self.cache().listings[split as usize] = Some(listing.clone());
        Ok(listing)
    }

    fn frame_count(&self, clip: &str) -> Result<usize> {
        Ok(self.readers.timeline(&self.locate(clip)?)?.frames)
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames> {
        let request = Request { clip, choose: &|_| Ok(indices.to_vec()), each: &Ok };
        let opened = self.read(&[request]).pop();
        opened.ok_or_else(|| Error::failed(format!("no reader answered for clip {clip}")))?.map(|opened| opened.frames)
    }

    fn read(&self, requests: &[Request]) -> Vec<Result<Opened>> {
        self.readers.read(requests, |clip| self.locate(clip))
    }

    fn files(&self, clip: &str) -> Result<Vec<FilePart>> {
        parts(self.readers.files(&self.locate(clip)?))
    }

    fn decoder(&self, _: &str) -> &'static str {
        DECODER
    }

    fn ready(&self, clip: &str) -> Result<()> {
        self.readers.ready(&self.locate(clip)?)
    }

    fn skips_broken(&self) -> bool {
        self.settings.broken == Policy::Skip
    }

    fn allows_shared(&self) -> bool {
        self.settings.allow_shared
    }
}
