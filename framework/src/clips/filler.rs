//! Filling the clip store: before the training begins, every clip of a recipe is found in the store or decoded once.

use super::loader::ClipLoader;
use super::sources::Part;
use super::store::ClipStore;
use super::store::stored::{Presence, StoredClips};
use crate::error::{Error, Result};
use crate::progress::{Progress, Silent, stop_requested};
use crate::random::Stream;
use crate::slots::dataset::{Frames, Opened, Request, Timeline};
use crate::slots::frames::FrameSampler;
use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes of decoded frames that are in memory at once. A clip that has more is not kept.
const MEMORY: u64 = 512 << 20;
/// Most clips that are decoded in one go: enough for datasets that open several at once.
const MOST: usize = 128;
/// Clips of the sample that the size of all clips is estimated from. They are spread over the whole list.
const FIRST: usize = 16;

/// The id of a clip that will be needed, and which of its frames.
pub type Want<'a> = (&'a str, Part);

/// The result of [`Filler::fill`], in numbers of clips.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Clips that come from files. Clips that are made by code are not counted: they need no store.
    pub clips: usize,
    /// Clips that the store had before.
    pub found: usize,
    /// Clips that were decoded and put into the store.
    pub kept: usize,
    /// Clips that can be decoded but are not in the store, because they found no room.
    pub unkept: usize,
    /// Clips that cannot be decoded: (clip id, reason).
    pub broken: Vec<(String, String)>,
}

impl Filled {
    /// What was added to the store and what found no room, as sentences for the user. Empty where the store had every
    /// clip.
    pub fn sentences(&self, stored: &StoredClips) -> Vec<String> {
        let Some(store) = stored.store() else { return Vec::new() };
        let mut lines = Vec::new();
        if self.kept > 0 {
            let (folder, size) = (store.folder().display(), store.bytes() as f64 / 1e6);
            lines
                .push(format!("{} of {} clips are new in {folder}, which now has {size:.0} MB", self.kept, self.clips));
        }
        if self.unkept > 0 {
            let why = store.closed().unwrap_or_else(|| {
                format!("there is no room for them, or each has more than {} MB of frames", MEMORY >> 20)
            });
            let hint = "more `clip_store.limit_gb`, `clip_store.format: jpeg` or a `resize` helps";
            lines.push(format!(
                "{} of {} clips are decoded whenever they are needed: {why}; {hint}",
                self.unkept, self.clips
            ));
        }
        lines
    }
}

/// How much room the missing clips will take in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Number of clips that are not in the store.
    pub missing: usize,
    /// Bytes that they will take, estimated from a sample of them.
    pub bytes: u64,
    /// Bytes that can be added to the store, within its limit and on the disk. Packs that may be removed count as free.
    pub room: u64,
}

/// Fills the store with the clips of one recipe: [`Filler::look`] finds out which are missing, [`Filler::fill`] decodes
/// those.
pub struct Filler<'a> {
    loader: &'a ClipLoader<'a>,
    stored: &'a StoredClips,
    /// Clips that were never decoded.
    unknown: Vec<Want<'a>>,
    /// Clips that were decoded without an error before, but are not in the store.
    sound: Vec<Want<'a>>,
    filled: Filled,
    /// The clips that were put into the store so far: their number, and their bytes there.
    kept: (u64, u64),
    /// The clips that were decoded so far: their number, and their bytes in memory.
    decoded: (u64, u64),
}

/// The frames that `sampler` picks of a clip; at random, as in training, where all frames are kept.
fn sample(sampler: &dyn FrameSampler, timeline: &Timeline, part: Part) -> Result<Vec<usize>> {
    let mut draw = Stream::new(0, "look").at(0);
    sampler.sample(timeline, (part == Part::All).then_some(&mut draw))
}

/// Mean bytes of a clip, from the number of clips and their bytes.
fn mean((count, bytes): (u64, u64)) -> u64 {
    bytes / count.max(1)
}

impl<'a> Filler<'a> {
    /// Looks for `wants` in the store of `loader`; `None` where the loader has no store, the recipe turns it off, or
    /// the clips are ready features, which nobody decodes.
    ///
    /// The files of clips are read once, as their bytes are part of the key; the store remembers the hash of a file
    /// that did not change. A clip whose files cannot be read, or that the sampler refuses, is noted in
    /// [`Filled::broken`].
    ///
    /// # Errors
    /// [`Error::Interrupted`] after a request to stop.
    pub fn look(loader: &'a ClipLoader<'a>, wants: &[Want<'a>], progress: &dyn Progress) -> Result<Option<Self>> {
        let Some(stored) = loader.store.filter(|stored| stored.store().is_some()) else { return Ok(None) };
        let dataset = &*loader.clips.dataset;
        if dataset.features().is_some() {
            return Ok(None);
        }
        let mut filled = Filled::default();
        let (mut unknown, mut sound) = (Vec::new(), Vec::new());
        // Clips that are made by code have no files to hash, so there is no progress to show.
        let files = wants.first().is_some_and(|(clip, _)| dataset.files(clip).is_ok_and(|files| !files.is_empty()));
        let progress = if files { progress } else { &Silent };
        progress.begin("look", 0, wants.len() as u64);
        for (at, wants) in wants.chunks(256).enumerate() {
            if stop_requested() {
                return Err(Error::Interrupted);
            }
            progress.at((at * 256) as u64, "");
            let presence = |(clip, part): &Want| {
                let presence = stored.has(dataset, clip, *part)?;
                if let Presence::Kept(timeline) = presence {
                    // It may have been kept for another sampler, and this one may refuse it.
                    sample(&*loader.clips.frames, &timeline, *part)?;
                }
                Ok(presence)
            };
            let presences: Vec<Result<Presence>> = wants.par_iter().map(presence).collect();
            for (want, presence) in wants.iter().zip(presences) {
                filled.clips += 1;
                match presence {
                    Ok(Presence::Elsewhere) => filled.clips -= 1,
                    Ok(Presence::Kept(_)) => filled.found += 1,
                    Ok(Presence::Sound) => sound.push(*want),
                    Ok(Presence::Unknown) => unknown.push(*want),
                    Err(error) => filled.broken.push((want.0.to_owned(), error.reason())),
                }
            }
        }
        progress.end();
        // Two processes that fill one store begin at different clips, so that they share the work.
        if stored.store().is_some_and(ClipStore::others_write) {
            let half = unknown.len() / 2;
            unknown.rotate_left(half);
        }
        Ok(Some(Self { loader, stored, unknown, sound, filled, kept: (0, 0), decoded: (0, 0) }))
    }

    /// The result so far.
    pub fn filled(&self) -> &Filled {
        &self.filled
    }

    /// How much room the missing clips will take. Decodes a sample of up to 16 of them and puts those into the store.
    ///
    /// # Errors
    /// As [`Filler::fill`].
    pub fn estimate(&mut self, progress: &dyn Progress) -> Result<Estimate> {
        let pool = if self.unknown.is_empty() { &mut self.sound } else { &mut self.unknown };
        if self.decoded.0 == 0 && !pool.is_empty() {
            let step = pool.len().div_ceil(FIRST);
            let mut first = Vec::new();
            let mut rest = Vec::new();
            for (at, want) in std::mem::take(pool).into_iter().enumerate() {
                if at % step == 0 { first.push(want) } else { rest.push(want) }
            }
            *pool = rest;
            self.decode_all("sample", &first, progress)?;
        }
        let missing = self.unknown.len() + self.sound.len();
        let room = self.stored.store().map_or(0, ClipStore::room);
        Ok(Estimate { missing, bytes: mean(self.kept) * missing as u64, room })
    }

    /// Decodes the missing clips and puts them into the store. A clip that finds no room is decoded all the same if it
    /// never was, to find out whether it can be. A clip that cannot be decoded is no error: it is noted in
    /// [`Filled::broken`].
    ///
    /// # Errors
    /// Where a program is missing that the dataset opens clips with, or the files of a clip disappear after they were
    /// decoded, and [`Error::Interrupted`] after a request to stop.
    pub fn fill(mut self, progress: &dyn Progress) -> Result<Filled> {
        let estimate = self.estimate(progress)?;
        let mut missing = std::mem::take(&mut self.unknown);
        // A clip that was decoded without an error before is decoded again only where the store has room for it.
        match estimate.bytes > estimate.room {
            true => self.filled.unkept += self.sound.len(),
            false => missing.append(&mut self.sound),
        }
        self.decode_all("decode", &missing, progress)?;
        Ok(self.filled)
    }

    fn decode_all(&mut self, phase: &str, wants: &[Want<'a>], progress: &dyn Progress) -> Result<()> {
        if wants.is_empty() {
            return Ok(());
        }
        wants.iter().try_for_each(|(clip, _)| self.loader.clips.dataset.ready(clip))?;
        progress.begin(phase, 0, wants.len() as u64);
        let mut done = 0;
        while done < wants.len() {
            if stop_requested() {
                return Err(Error::Interrupted);
            }
            let fitting = MEMORY / mean(self.decoded).max(MEMORY / MOST as u64);
            // How large a clip is, is not known before the first one is decoded.
            let count = if self.decoded.0 == 0 { 1 } else { fitting.max(1) as usize };
            let chunk = &wants[done..wants.len().min(done + count)];
            self.decode(chunk)?;
            done += chunk.len();
            progress.at(done as u64, "");
        }
        progress.end();
        Ok(())
    }

    /// Decodes `wants`, puts those into the store that it has room for, and notes which cannot be decoded.
    fn decode(&mut self, wants: &[Want<'a>]) -> Result<()> {
        let (dataset, stored) = (&*self.loader.clips.dataset, self.stored);
        let full = stored.store().is_none_or(ClipStore::is_full);
        let mut open = Vec::with_capacity(wants.len());
        for (clip, part) in wants {
            // Another process may have decoded it meanwhile.
            match stored.has(dataset, clip, *part) {
                Ok(Presence::Kept(_)) => self.filled.found += 1,
                // The store is full: a few frames are enough to find out whether the clip can be decoded.
                _ if full => open.push((*clip, *part, Part::Picked)),
                _ => open.push((*clip, *part, *part)),
            }
        }
        let mut outcomes = self.read(&open);
        let large: Vec<usize> = (0..open.len()).filter(|at| matches!(outcomes[*at], Outcome::TooLarge)).collect();
        let again: Vec<_> = large.iter().map(|at| (open[*at].0, open[*at].1, Part::Picked)).collect();
        for (at, outcome) in large.into_iter().zip(self.read(&again)) {
            (open[at].2, outcomes[at]) = (Part::Picked, outcome);
        }
        for ((clip, wanted, read), outcome) in open.into_iter().zip(outcomes) {
            let opened = match outcome {
                Outcome::Opened(opened) => opened,
                Outcome::TooLarge => {
                    let reason = format!("the frames of one view are more than {} MB", MEMORY >> 20);
                    self.filled.broken.push((clip.to_owned(), reason));
                    continue;
                }
                Outcome::Broken(error) => {
                    self.filled.broken.push((clip.to_owned(), error.reason()));
                    continue;
                }
            };
            let Frames { width, height, images } = &opened.frames;
            self.decoded.0 += 1;
            self.decoded.1 += (width * height * 3 * images.len()) as u64;
            let kept = if read == wanted { stored.keep(dataset, clip, wanted, &opened)? } else { None };
            match kept {
                Some(bytes) => {
                    self.kept.0 += 1;
                    self.kept.1 += bytes;
                    self.filled.kept += 1;
                }
                None => {
                    stored.note_sound(dataset, clip, wanted)?;
                    self.filled.unkept += 1;
                }
            }
        }
        Ok(())
    }

    /// Decodes of each clip the part that stands last in its tuple.
    fn read(&self, open: &[(&str, Part, Part)]) -> Vec<Outcome> {
        let clips = self.loader.clips;
        // Where the frames of a clip are too many for the memory by their number alone, none is decoded.
        let fewest = 3 * if clips.augment.identity() { (self.loader.geometry.image_size as u64).pow(2) } else { 1 };
        let sizes: Vec<AtomicU64> = open.iter().map(|_| AtomicU64::new(0)).collect();
        let chooses: Vec<_> = (open.iter().zip(&sizes))
            .map(|((_, _, part), size)| {
                move |timeline: &Timeline| {
                    let picked = sample(&*clips.frames, timeline, *part)?;
                    if *part != Part::All {
                        return Ok(picked);
                    }
                    let bytes = fewest.saturating_mul(timeline.frames as u64);
                    if bytes > MEMORY {
                        size.fetch_max(bytes, Ordering::Relaxed);
                        return Err(Error::failed("too large to be kept"));
                    }
                    Ok((0..timeline.frames).collect())
                }
            })
            .collect();
        let eaches: Vec<_> = sizes
            .iter()
            .map(|size| {
                move |image| {
                    let image = clips.keep(image, self.loader.geometry.image_size)?;
                    let bytes = image.pixels.len() as u64;
                    match size.fetch_add(bytes, Ordering::Relaxed) + bytes > MEMORY {
                        true => Err(Error::failed("too large to be kept")),
                        false => Ok(image),
                    }
                }
            })
            .collect();
        let requests: Vec<Request> = (open.iter().zip(&chooses).zip(&eaches))
            .map(|(((clip, ..), choose), each)| Request { clip, choose, each })
            .collect();
        let outcomes = clips.dataset.read(&requests).into_iter().zip(&sizes);
        outcomes
            .map(|(outcome, size)| match outcome {
                Ok(opened) => Outcome::Opened(opened),
                Err(_) if size.load(Ordering::Relaxed) > MEMORY => Outcome::TooLarge,
                Err(error) => Outcome::Broken(error),
            })
            .collect()
    }
}

/// The result of decoding one clip.
enum Outcome {
    Opened(Opened),
    /// Its frames have more than [`MEMORY`] bytes.
    TooLarge,
    Broken(Error),
}
