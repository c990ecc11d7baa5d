//! Looks at the clips of a split before any is used: which are there and whole, and what is told of the others.

use super::find::Place;
use super::index::{Clip, SplitIndex};
use super::{VideoList, segment};
use crate::datasets::archives::{ArchiveReader, Content, Packed};
use crate::datasets::arrays::{self, Array};
use crate::datasets::policy::Policy;
use crate::datasets::readers::passed_over::PassedOver;
use maclip_framework::slots::dataset::{Class, Listing, Split, Timeline};
use rayon::prelude::*;

impl VideoList {
    /// Looks at a clip without decoding it. The error is the reason why it cannot be used.
    fn check(&self, clip: &Clip, place: &Place) -> std::result::Result<Checked, String> {
        if self.options.clips == Content::Features {
            let (array, bytes) = self.array(place)?;
            let part = segment::of(clip.span, &Timeline::of(array.frames))?;
            // All of them, so that the clips that can be used do not depend on the frames that are chosen.
            for frame in part.first..part.first + part.timeline.frames {
                array.rows(&bytes, &[frame])?;
            }
            let counted = clip.frames.map(|said| (said, part.timeline.frames));
            let counted = counted.filter(|(said, found)| said != found);
            return Ok(Checked { width: Some(array.width), counted, ..Checked::default() });
        }
        match place {
            Place::Disk(path) => {
                let shown = |why: String| why.replace(&path.display().to_string(), &clip.id);
                let passed_over = self.readers.check(path).map_err(shown)?;
                let folder = path.is_dir().then(|| self.readers.timeline(path)).transpose();
                let counted = self.counted(clip, folder.map_err(|error| error.reason())?)?;
                Ok(Checked { passed_over, counted, width: None })
            }
            Place::Packed(archives, name) => {
                let packed = archives.clips().get(name).ok_or_else(|| format!("no entry {name}"))?;
                let reader = ArchiveReader { archives, readers: &self.readers };
                let passed_over = reader.check(packed, self.options.broken == Policy::Skip)?;
                let frames = matches!(packed, Packed::Frames(_)).then(|| reader.timeline(&clip.id, packed)).transpose();
                let counted = self.counted(clip, frames.map_err(|error| error.reason())?)?;
                Ok(Checked { passed_over, counted, width: None })
            }
            Place::Array(..) => Err("is an array of features, and `dataset.clips` is pixels".to_owned()),
        }
    }

    /// The number of frames in the list and in a folder of frames, where they differ.
    fn counted(&self, clip: &Clip, folder: Option<Timeline>) -> std::result::Result<Option<(usize, usize)>, String> {
        let Some(folder) = folder else { return Ok(None) };
        let found = segment::of(clip.span, &folder)?.timeline.frames;
        Ok(clip.frames.map(|said| (said, found)).filter(|(said, found)| said != found))
    }

    /// The array of a clip, and its values as bytes.
    pub(super) fn array(&self, place: &Place) -> std::result::Result<(Array, Vec<u8>), String> {
        match place {
            Place::Disk(path) => arrays::read(path),
            Place::Array(file, name) => {
                let array = file.array(name).ok_or_else(|| format!("no array {name}"))??;
                Ok((array.clone(), file.bytes(array)?))
            }
            Place::Packed(archives, name) => match archives.clips().get(name) {
                Some(Packed::Array(entry)) => {
                    let bytes = archives.bytes(entry).map_err(|error| error.reason())?;
                    let array = Array::of(&entry.name, &mut bytes.as_slice(), bytes.len() as u64)?;
                    let values = bytes.get(array.range.start as usize..array.range.end as usize);
                    Ok((array.clone(), values.unwrap_or_default().to_vec()))
                }
                _ => Err("is no array of features, and `dataset.clips` says so".to_owned()),
            },
        }
    }

    /// What a split comes to once all of its clips are looked at.
    pub(super) fn listing(&self, split: Split, made: &SplitIndex) -> Listing {
        type Outcome = std::result::Result<std::result::Result<Checked, String>, String>;
        let look = |clip: &Clip| -> Outcome { Ok(self.check(clip, clip.place.as_ref().map_err(Clone::clone)?)) };
        let checked: Vec<Vec<Outcome>> =
            made.classes.par_iter().map(|class| class.clips.par_iter().map(look).collect()).collect();
        let mut listing = Listing { sums: made.sums.clone(), notes: made.notes.clone(), ..Listing::default() };
        let reason = "it has no class: looked for a label in KEY.cls, KEY.json or KEY.txt, or a folder in a zip file";
        let no_class = |clip: &String| (self.options.broken, (clip.clone(), reason.to_owned()));
        let mut skipped: Vec<_> = made.unlabelled.iter().map(no_class).collect();
        let mut passed_over = PassedOver::default();
        let (mut counts, mut width) = (Counts::default(), None);
        for (class, outcomes) in made.classes.iter().zip(checked) {
            let mut clips = Vec::with_capacity(class.clips.len());
            for (clip, outcome) in class.clips.iter().zip(outcomes) {
                let broken = |reason| (self.options.broken, (clip.id.clone(), reason));
                match outcome {
                    Ok(Ok(checked)) => {
                        let first = checked.width.map(|own| &*width.get_or_insert((own, clip.id.clone())));
                        if let (Some(own), Some((width, first))) = (checked.width, first)
                            && own != *width
                        {
                            skipped.push(broken(format!("has features of {own} values, and {first} of {width}")));
                            continue;
                        }
                        passed_over.add_all(&clip.id, &checked.passed_over);
                        counts.add(clip, checked.counted);
                        clips.push(clip.id.clone());
                    }
                    Ok(Err(reason)) => skipped.push(broken(reason)),
                    Err(reason) => skipped.push((self.options.missing, (clip.id.clone(), reason))),
                }
            }
            match clips.is_empty() {
                true => {
                    listing.notes.push(format!("class `{}` is left out: it has no clip that can be used", class.name))
                }
                false => listing.classes.push(Class { name: self.text(&class.name), clips }),
            }
        }
        listing.strict = skipped.iter().any(|(policy, _)| *policy == Policy::Fail);
        // With a reason to stop, those that may be left out are not named.
        skipped.retain(|(policy, _)| !listing.strict || *policy == Policy::Fail);
        listing.skipped = skipped.into_iter().map(|(_, clip)| clip).collect();
        listing.passed_over = passed_over.sentence(split).into_iter().collect();
        listing.notes.extend(counts.sentence(split));
        listing
    }
}

/// What a look at a clip has shown.
#[derive(Default)]
struct Checked {
    passed_over: PassedOver,
    /// The number of frames in the list and in the folder, where they differ.
    counted: Option<(usize, usize)>,
    /// Values of a frame, of features.
    width: Option<usize>,
}

/// Clips whose number of frames is not that of the list.
#[derive(Default)]
struct Counts {
    all: usize,
    first: Option<String>,
}

impl Counts {
    fn add(&mut self, clip: &Clip, counted: Option<(usize, usize)>) {
        let Some((said, found)) = counted else { return };
        self.all += 1;
        self.first.get_or_insert_with(|| format!("{} has {found} frames, and the list says {said}", clip.id));
    }

    fn sentence(self, split: Split) -> Option<String> {
        let first = self.first?;
        Some(format!(
            "{} clips of split {} have another number of frames than the list says: {first}",
            self.all,
            split.name()
        ))
    }
}
