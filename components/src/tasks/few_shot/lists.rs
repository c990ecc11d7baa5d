//! The classes and clips of the three splits, checked.

use super::FewShot;
use maclip_framework::episode::{self, list_checksum};
use maclip_framework::error::{Error, Result};
use maclip_framework::registry::{Facts, Problems};
use maclip_framework::run::{Recipe, RunContext};
use maclip_framework::slots::dataset::{Class, Dataset, Split};
use std::collections::BTreeMap;

/// Train, val and test. Val is whatever the checkpoint is chosen on.
pub(super) struct Lists {
    pub classes: [Vec<Class>; 3],
    pub skipped: Vec<Skipped>,
    /// Checksum of each list.
    sums: BTreeMap<String, String>,
}

/// Clips of a split that were left out under the dataset's policy.
pub(super) struct Skipped {
    split: Split,
    /// Clip and reason.
    clips: Vec<(String, String)>,
    /// A sentence about them.
    pub note: String,
}

impl Lists {
    /// Tells the run what was left out, and refuses other lists than it was trained with so far.
    pub(super) fn note(self, context: &mut RunContext) -> Result<[Vec<Class>; 3]> {
        for Skipped { split, clips, note } in self.skipped {
            context.progress.note(&note);
            context.manifest.notes.push(note);
            context.store.write_json(&format!("skipped_{}.json", split.name()), &clips)?;
        }
        context.note_inputs("list", self.sums)?;
        Ok(self.classes)
    }
}

impl FewShot {
    /// The split that plays the part of `role`, and how many clips of a class it uses at most.
    fn part(&self, role: Split) -> (Split, usize) {
        let (split, limit) = match role {
            Split::Train => (role, None),
            Split::Val => (self.validation.split.unwrap_or(role), self.validation.clips_per_class),
            Split::Test => (role, self.test.clips_per_class),
        };
        (split, limit.unwrap_or(usize::MAX))
    }

    /// The option that asks for most of the clips of `role`, for a message.
    fn asks(&self, role: Split, too_wide: bool) -> &'static str {
        let shape = self.shape(role);
        match role {
            _ if too_wide => "way",
            Split::Train if shape.queries > shape.shot => "queries",
            Split::Val if shape.queries > shape.shot => "validation.queries",
            Split::Test if shape.queries > shape.shot => "test.queries",
            Split::Test => "shot",
            _ if self.train_shot.is_some() => "train_shot",
            _ => "shot",
        }
    }

    /// Splits that are known before anything is read, against the episodes.
    pub(super) fn fit_splits(&self, facts: &Facts, problems: &mut Problems) {
        let Some(sizes) = facts.splits else { return };
        // What one split lacks, another may lack too, for the same reason.
        let mut told: Vec<&str> = Vec::new();
        for role in Split::ALL {
            let (split, limit) = self.part(role);
            let (size, shape, name) = (sizes[split as usize], self.shape(role), split.name());
            let (needed, clips) = (shape.shot + shape.queries, size.clips.min(limit));
            let too_wide = size.classes < shape.way;
            let message = match () {
                () if too_wide => format!("is {}, and split {name} has {} classes", shape.way, size.classes),
                () if clips < needed => format!(
                    "asks for too many: {} shots and {} queries are {needed} clips of a class, and split {name} has {clips}",
                    shape.shot, shape.queries
                ),
                () => continue,
            };
            let field = self.asks(role, too_wide);
            if !told.contains(&field) {
                problems.push(field, message);
                told.push(field);
            }
        }
    }

    /// Lists that are large enough for their episodes, and disjoint in classes and clips.
    pub(super) fn lists(&self, dataset: &dyn Dataset, recipe: &Recipe) -> Result<Lists> {
        let mut seen: BTreeMap<String, &'static str> = BTreeMap::new();
        let mut lists = Vec::new();
        let mut skipped = Vec::new();
        let mut sums = BTreeMap::new();
        for role in Split::ALL {
            let (split, limit) = self.part(role);
            let mut listing = dataset.list(split).map_err(|error| error.at(recipe.place("dataset")))?;
            if !listing.skipped.is_empty() && split == role {
                let (clip, reason) = &listing.skipped[0];
                let note = format!(
                    "{} clip{} of split {} left out; the first: {clip}: {reason}",
                    listing.skipped.len(),
                    if listing.skipped.len() == 1 { "" } else { "s" },
                    split.name(),
                );
                skipped.push(Skipped { split, clips: listing.skipped, note });
            }
            for class in &mut listing.classes {
                class.clips.truncate(limit);
            }
            let cause = format!("task.{}", self.asks(role, listing.classes.len() < self.way));
            episode::check(self.shape(role), split, &listing.classes)
                .map_err(|error| error.at(recipe.place(&cause)))?;
            let keys = listing.classes.iter().flat_map(|class| {
                std::iter::once(format!("class `{}`", class.name))
                    .chain(class.clips.iter().map(|clip| format!("clip `{clip}`")))
            });
            // Choosing on the training classes reads their split a second time.
            for key in keys.filter(|_| split == role) {
                if let Some(other) = seen.insert(key.clone(), split.name()) {
                    let place = if other == split.name() {
                        format!("twice in split {other}")
                    } else {
                        format!("in split {other} and in split {}", split.name())
                    };
                    return Err(Error::failed(format!("{key} is {place}"))
                        .help("classes and splits are disjoint, or the result says nothing about new classes"));
                }
            }
            sums.insert(role.name().to_owned(), list_checksum(&listing.classes)?);
            lists.push(listing.classes);
        }
        let classes = lists.try_into().map_err(|_| Error::failed("a dataset has three splits"))?;
        Ok(Lists { classes, skipped, sums })
    }
}
