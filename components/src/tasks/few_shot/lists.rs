//! The classes and clips of the three splits, checked.

use super::FewShot;
use super::disjoint::{Overlap, keep_apart, leave_out};
use maclip_framework::clips::contents::contents;
use maclip_framework::clips::sources::{Clips, Part};
use maclip_framework::clips::store::ClipStore;
use maclip_framework::engine::context::RunContext;
use maclip_framework::engine::episodes::{self, list_checksum};
use maclip_framework::error::{Error, Result};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters;
use maclip_framework::recipe::Recipe;
use maclip_framework::registry::{Facts, Problems};
use maclip_framework::runs::directory::left_out_file;
use maclip_framework::runs::records::Contents;
use maclip_framework::slots::dataset::{Class, Dataset, Listing, Split};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Train, val and test. Val are the classes that the checkpoint is chosen on, whichever split they are of.
pub(super) struct Lists {
    parts: [Listed; 3],
    /// Whether something is trained. Otherwise only the test is used, and the other two are empty.
    pub(super) trains: bool,
}

/// The split that is used for a role, and its listing.
struct Listed {
    role: Split,
    split: Split,
    listing: Listing,
}

/// Several errors as one, so that all is told at once. Place and hint are those of the first that has them.
fn together(errors: Vec<Error>) -> Result<()> {
    let (mut messages, mut place, mut help): (Vec<String>, Option<String>, Option<String>) = Default::default();
    for error in errors {
        match error {
            Error::Failed { message, place: at, help: hint } => {
                place = place.or(at);
                help = help.or(hint);
                if !messages.contains(&message) {
                    messages.push(message);
                }
            }
            other => return Err(other),
        }
    }
    match messages.is_empty() {
        true => Ok(()),
        false => Err(Error::Failed { message: messages.join("\n"), place, help }),
    }
}

/// An error of the dataset of the test, whose hints name the options as those of `dataset`.
fn of_the_test(error: Error) -> Error {
    match error {
        Error::Failed { message, place, help } => {
            let help = help.map(|help| help.replace("--set dataset.", "--set task.test_on."));
            Error::Failed { message, place, help }
        }
        other => other,
    }
}

/// Clips of a split that cannot be used.
pub(super) struct Skipped {
    pub split: Split,
    /// Clip and reason.
    clips: Vec<(String, String)>,
    /// Whether the dataset's policy is to stop, in place of leaving them out.
    pub strict: bool,
    /// A sentence about them.
    pub note: String,
}

impl Skipped {
    fn of(Listed { role, split, listing }: &Listed) -> Option<Self> {
        // Choosing on the training classes lists their split a second time.
        let (clip, reason) = listing.skipped.first().filter(|_| role == split)?;
        let (clips, strict) = (listing.skipped.clone(), listing.strict);
        let many = if clips.len() == 1 { "" } else { "s" };
        let what = if strict { "cannot be used" } else { "left out" };
        let name = split.name();
        let note = format!("{} clip{many} of split {name} {what}; the first: {clip}: {reason}", clips.len());
        Some(Self { split: *split, clips, strict, note })
    }

    /// The error that stops the run: the first of these clips, and how many there are of each class.
    fn refusal(&self, file: Option<PathBuf>) -> Error {
        const NAMED: usize = 5;
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (clip, _) in &self.clips {
            *counts.entry(clip.rsplit_once('/').map_or("", |(class, _)| class)).or_default() += 1;
        }
        let few: Vec<String> =
            self.clips.iter().take(NAMED).map(|(clip, reason)| format!("\n  {clip}: {reason}")).collect();
        let classes: Vec<String> =
            counts.iter().take(2 * NAMED).map(|(class, count)| format!("{class} {count}")).collect();
        let more = |all: usize, named: usize| if all > named { ", …" } else { "" };
        Error::failed(format!(
            "{} of split {} cannot be used:{}{}\n  by class: {}{}{}",
            if self.clips.len() == 1 { "1 clip".to_owned() } else { format!("{} clips", self.clips.len()) },
            self.split.name(),
            few.concat(),
            if self.clips.len() > NAMED { "\n  …" } else { "" },
            classes.join(", "),
            more(counts.len(), 2 * NAMED),
            file.map_or_else(String::new, |file| format!("\n  all of them: {}", file.display()))
        ))
        .help(
            "bring them back or repair them; or leave them out, which the result records: `maclip describe` shows the \
               dataset's `missing` and `broken`, such as --set dataset.broken=skip",
        )
    }
}

impl Lists {
    /// Whether episodes are made of the classes of `role`.
    fn uses(&self, role: Split) -> bool {
        role == Split::Test || self.trains
    }

    pub(super) fn classes(&self) -> [&[Class]; 3] {
        self.parts.each_ref().map(|part| part.listing.classes.as_slice())
    }

    pub(super) fn into_classes(self) -> [Vec<Class>; 3] {
        self.parts.map(|part| part.listing.classes)
    }

    /// Clips that cannot be used, of each split that has some.
    pub(super) fn skipped(&self) -> impl Iterator<Item = Skipped> {
        self.parts.iter().filter_map(Skipped::of)
    }

    /// Takes clips out that turned out to be broken; `skip` is the dataset's policy about them.
    pub(super) fn leave_out(&mut self, broken: &[(String, String)], skip: bool) {
        let reasons: BTreeMap<&str, &str> =
            broken.iter().map(|(clip, reason)| (clip.as_str(), reason.as_str())).collect();
        for Listed { listing, .. } in &mut self.parts {
            let Listing { classes, skipped, strict, notes, .. } = listing;
            for class in classes.iter_mut() {
                class.clips.retain(|clip| match reasons.get(clip.as_str()) {
                    Some(reason) => {
                        skipped.push((clip.clone(), (*reason).to_owned()));
                        *strict |= !skip;
                        false
                    }
                    None => true,
                });
                if class.clips.is_empty() {
                    notes.push(format!("class `{}` is left out: it has no clip that can be used", class.name));
                }
            }
            classes.retain(|class| !class.clips.is_empty());
        }
    }

    /// Clips that cannot be used where the policy is to stop, with the reason.
    pub(super) fn broken(&self) -> Vec<(String, String)> {
        self.skipped().filter(|skipped| skipped.strict).flat_map(|skipped| skipped.clips).collect()
    }

    /// Sentences about what lies among the clips and is none, of each split.
    pub(super) fn passed_over(&self) -> impl Iterator<Item = &String> {
        self.parts.iter().filter(|part| part.role == part.split).flat_map(|part| &part.listing.passed_over)
    }

    /// What a reader of the result must know of each split.
    pub(super) fn notes(&self) -> impl Iterator<Item = &String> {
        self.parts.iter().filter(|part| part.role == part.split).flat_map(|part| &part.listing.notes)
    }

    /// Writes down in the run what was left out and what its dataset notes. An error where the lists are too small for
    /// the episodes, or clips cannot be used and the policy is to stop.
    pub(super) fn report(&self, task: &FewShot, context: &mut RunContext) -> Result<()> {
        let file = left_out_file;
        for skipped in self.skipped() {
            context.store.write_json(&file(skipped.split), &skipped.clips)?;
        }
        let refused = self.refuse(task, context.recipe, |split| Some(context.store.path().join(file(split))));
        together([refused, self.check(task, context.recipe)].into_iter().filter_map(Result::err).collect())?;
        let told: Vec<String> = self.skipped().map(|skipped| skipped.note).chain(self.passed_over().cloned()).collect();
        for note in told {
            context.progress.note(&note);
            context.note(note);
        }
        self.notes().for_each(|note| context.note(note.clone()));
        Ok(())
    }

    /// An error where clips cannot be used and the policy is to stop. `file` is where all of a split's are named.
    pub(super) fn refuse(
        &self,
        task: &FewShot,
        recipe: &Recipe,
        file: impl Fn(Split) -> Option<PathBuf>,
    ) -> Result<()> {
        let strict = self.skipped().filter(|skipped| skipped.strict);
        let refusal = |skipped: Skipped| {
            let place = recipe.place(task.source(skipped.split));
            skipped.refusal(file(skipped.split)).at(place)
        };
        together(strict.map(refusal).collect())
    }

    /// An error where lists are too small for their episodes. It names what was left out of them.
    pub(super) fn check(&self, task: &FewShot, recipe: &Recipe) -> Result<()> {
        // A list with clips that stop the run may be too small because of them.
        let parts = self.parts.iter().filter(|part| !part.listing.strict || part.listing.skipped.is_empty());
        let small = parts.filter(|part| self.uses(part.role)).filter_map(|part| {
            let Listed { role, split, listing } = part;
            let cause = format!("task.{}", task.asks(*role, listing.classes.len() < task.way));
            let error = episodes::check(task.shape(*role), *split, &listing.classes).err()?;
            let told = Skipped::of(part).map(|skipped| skipped.note).into_iter().chain(listing.passed_over.clone());
            let told: String = told.map(|told| format!("\n  {told}")).collect();
            let error = match error {
                Error::Failed { message, place, help } => {
                    Error::Failed { message: format!("{message}{told}"), place, help }
                }
                other => other,
            };
            Some(error.at(recipe.place(&cause)))
        });
        together(small.collect())
    }

    /// Checksum of each list, and of the files that it was read from.
    pub(super) fn sums(&self) -> Result<BTreeMap<String, String>> {
        let mut sums = BTreeMap::new();
        for Listed { role, split, listing } in &self.parts {
            if !self.uses(*role) {
                continue;
            }
            if role == split {
                let files = listing.sums.iter().map(|(file, sum)| (format!("{}: {file}", split.name()), sum.clone()));
                sums.extend(files);
            }
            sums.insert(role.name().to_owned(), list_checksum(&listing.classes)?);
        }
        Ok(sums)
    }

    /// The content of each clip that the run may open.
    pub(super) fn contents(&self, dataset: &dyn Dataset, store: Option<&ClipStore>) -> Result<Contents> {
        let used = self.parts.iter().filter(|part| self.uses(part.role));
        let clips = used.flat_map(|part| part.listing.classes.iter().flat_map(|class| &class.clips));
        let clips: BTreeSet<&str> = clips.map(String::as_str).collect();
        contents(dataset, &clips.into_iter().collect::<Vec<_>>(), store).map(Contents)
    }

    /// What the store keeps of each clip: all frames where they are drawn, as in training, else those that are taken.
    pub(super) fn wants(&self, clips: &Clips) -> Vec<(String, Part)> {
        let mut wants: BTreeMap<&str, Part> = BTreeMap::new();
        let mut ordered = Vec::new();
        for role in [Split::Train, Split::Test, Split::Val].into_iter().filter(|role| self.uses(*role)) {
            let part = clips.part(role == Split::Train || role == Split::Test && clips.frames.random_in_evaluation());
            for clip in self.classes()[role as usize].iter().flat_map(|class| &class.clips) {
                // Validation on the training classes reads the clips of the training.
                wants.entry(clip).or_insert_with(|| {
                    ordered.push(clip.as_str());
                    part
                });
            }
        }
        // Few frames of many clips first: where there is no room for all, these are the ones that are read most often.
        ordered.sort_by_key(|clip| wants[clip] == Part::All);
        ordered.into_iter().map(|clip| (clip.to_owned(), wants[clip])).collect()
    }
}

impl FewShot {
    /// The split that is used for `role`, and how many clips of a class it uses at most.
    pub(super) fn part(&self, role: Split) -> (Split, usize) {
        let (split, limit) = match role {
            Split::Train => (role, None),
            Split::Val => (self.validation.split.unwrap_or(role), self.validation.clips_per_class),
            Split::Test => (role, self.test.clips_per_class),
        };
        (split, limit.unwrap_or(usize::MAX))
    }

    /// The option that asks for the most clips of `role`, for a message.
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

    /// Reports splits that are too small for the episodes, where their sizes are known before anything is read.
    pub(super) fn check_splits(&self, facts: &Facts, problems: &mut Problems) {
        // Each option is reported once: what one split lacks, another may lack for the same reason.
        let mut reported: Vec<&str> = Vec::new();
        for role in Split::ALL.into_iter().filter(|role| self.uses(*role)) {
            let (split, limit) = self.part(role);
            let sizes = if role == Split::Test && self.test_on.is_some() { facts.tested_splits } else { facts.splits };
            let Some(sizes) = sizes else { continue };
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
            if !reported.contains(&field) {
                problems.push(field, message);
                reported.push(field);
            }
        }
    }

    /// The lists of the splits that a run of `recipe` with `model` uses. All splits are disjoint in classes and clips
    /// unless the dataset says otherwise. Where the model cannot be built, the lists are those of a training.
    pub(super) fn lists(&self, dataset: &dyn Dataset, recipe: &Recipe, model: &Result<FewShotModel>) -> Result<Lists> {
        let trainable = |model: &FewShotModel| parameters::count(model).trainable > 0;
        let trains = self.trains() && model.as_ref().map_or(true, trainable);
        let (mut parts, mut unused, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for role in Split::ALL {
            let (split, limit) = self.part(role);
            if role != Split::Test && !trains {
                // Nothing is made of these classes. Where they can be listed, the test shares nothing with them either.
                unused.extend(dataset.list(role).ok().map(|listing| (role, listing)));
                parts.push(Listed { role, split, listing: Listing::default() });
                continue;
            }
            let mut listing = match dataset.list(split) {
                Ok(listing) => listing,
                Err(error) => {
                    let source = self.source(role);
                    let error = if source == "dataset" { error } else { of_the_test(error) };
                    errors.push(error.at(recipe.place(source)));
                    continue;
                }
            };
            for class in &mut listing.classes {
                class.clips.truncate(limit);
            }
            parts.push(Listed { role, split, listing });
        }
        together(errors)?;
        let across = self.test_on.is_some().then_some(self.overlap);
        if across == Some(Overlap::LeaveOut)
            && let [train @ .., tested] = parts.as_mut_slice()
        {
            for Listed { split, listing, .. } in train {
                let out = leave_out(&mut listing.classes, &tested.listing.classes, *split);
                listing.notes.extend(out);
            }
            unused.iter_mut().for_each(|(split, listing): &mut (Split, Listing)| {
                // Nothing is trained here: the run that was trained so has told them.
                leave_out(&mut listing.classes, &tested.listing.classes, *split);
            });
        }
        // Of another dataset, weights that nothing was trained into have seen no class.
        let seen = across.is_none() || self.start.is_some() || trains && self.options().steps > 0;
        // Choosing on the training classes reads their split a second time.
        let own = parts.iter().filter(|part: &&Listed| part.role == part.split).map(|part| (part.split, &part.listing));
        let all = unused.iter().map(|(split, listing)| (*split, listing)).chain(own);
        let all = all.filter(|(split, _)| seen || *split == Split::Test);
        let classes: Vec<(Split, &Class)> =
            all.flat_map(|(split, listing)| listing.classes.iter().map(move |class| (split, class))).collect();
        let note = keep_apart(&classes, dataset, across).map_err(|error| error.at(recipe.place("dataset")))?;
        if let Some(part) = parts.last_mut() {
            part.listing.notes.extend(note);
        }
        let parts = parts.try_into().map_err(|_| Error::failed("a dataset has three splits"))?;
        Ok(Lists { parts, trains })
    }
}
