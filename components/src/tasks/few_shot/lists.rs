//! The classes and clips of the three splits, checked.

use super::FewShot;
use maclip_framework::episode::{self, list_checksum};
use maclip_framework::error::{Error, Result};
use maclip_framework::run::RunContext;
use maclip_framework::slots::dataset::{Class, Dataset, Split};
use std::collections::BTreeMap;

impl FewShot {
    /// Train, val and test classes: large enough for their episodes, and disjoint in classes and clips. Val is whatever the
    /// checkpoint is chosen on.
    pub(super) fn lists(&self, dataset: &dyn Dataset, context: &mut RunContext) -> Result<[Vec<Class>; 3]> {
        let recipe = context.recipe;
        let limits = [None, self.validation.clips_per_class, self.test.clips_per_class];
        let chosen_on = self.validation.split.unwrap_or(Split::Val);
        let mut seen: BTreeMap<String, &'static str> = BTreeMap::new();
        let mut lists = Vec::new();
        let mut sums = BTreeMap::new();
        for (role, limit) in Split::ALL.into_iter().zip(limits) {
            let split = if role == Split::Val { chosen_on } else { role };
            let mut listing = dataset.list(split).map_err(|error| error.at(recipe.place("dataset")))?;
            if !listing.skipped.is_empty() && split == role {
                let (clip, reason) = &listing.skipped[0];
                let note = format!(
                    "{} clip{} of split {} left out; the first: {clip}: {reason}",
                    listing.skipped.len(),
                    if listing.skipped.len() == 1 { "" } else { "s" },
                    split.name(),
                );
                context.progress.note(&note);
                context.manifest.notes.push(note);
                context.store.write_json(&format!("skipped_{}.json", split.name()), &listing.skipped)?;
            }
            for class in &mut listing.classes {
                class.clips.truncate(limit.unwrap_or(usize::MAX));
            }
            let too_wide = listing.classes.len() < self.way;
            let cause = if too_wide { "task.way" } else { "task.shot" };
            episode::check(self.shape(role), split, &listing.classes).map_err(|error| error.at(recipe.place(cause)))?;
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
        context.note_inputs("list", sums)?;
        lists.try_into().map_err(|_| Error::failed("a dataset has three splits"))
    }
}
