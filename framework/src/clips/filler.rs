//! Filling the store: every clip of a recipe is found in it or decoded once, before anything is trained on it.

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

/// Bytes of decoded frames that are held at once. A clip that is larger on its own is not kept.
const MEMORY: u64 = 512 << 20;
/// Clips that are decoded in one go: enough for readers that open several at once.
const MOST: usize = 128;
/// The first clips tell how large the others are. They are spread over all.
const FIRST: usize = 16;

/// A clip that will be needed, and what of it.
pub type Want<'a> = (&'a str, Part);

/// What filling came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Clips of files.
    pub clips: usize,
    /// Of these, clips that were there.
    pub found: usize,
    /// Clips that were decoded and kept.
    pub kept: usize,
    /// Clips that can be decoded and are not kept.
    pub unkept: usize,
    /// Clips that cannot be decoded, with the reason.
    pub broken: Vec<(String, String)>,
}

impl Filled {
    /// What a person who waits wants to know; nothing where all was there.
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
            let way = "more `clip_store.limit_gb`, `clip_store.format: jpeg` or a `resize` helps";
            lines.push(format!(
                "{} of {} clips are decoded whenever they are needed: {why}; {way}",
                self.unkept, self.clips
            ));
        }
        lines
    }
}

/// Size of what is missing, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// Clips that are not kept.
    pub missing: usize,
    /// Of their frames, from a sample of the clips.
    pub bytes: u64,
    /// That the store may still take.
    pub room: u64,
}

/// The work on `wants`: what is known of each, then decoding the rest.
pub struct Filler<'a> {
    loader: &'a ClipLoader<'a>,
    stored: &'a StoredClips,
    /// Clips that nobody has decoded yet.
    unknown: Vec<Want<'a>>,
    /// Clips that are known to be sound and are not kept.
    sound: Vec<Want<'a>>,
    filled: Filled,
    /// Number and bytes, in the store, of the clips that were kept so far.
    kept: (u64, u64),
    /// Number and bytes, in memory, of the clips that were decoded so far.
    decoded: (u64, u64),
}

/// The frames that `sampler` picks of a clip, as a training does where all are kept.
fn sample(sampler: &dyn FrameSampler, timeline: &Timeline, part: Part) -> Result<Vec<usize>> {
    let mut draw = Stream::new(0, "look").at(0);
    sampler.sample(timeline, (part == Part::All).then_some(&mut draw))
}

/// Size of a clip out of their number and sum.
fn mean((count, bytes): (u64, u64)) -> u64 {
    bytes / count.max(1)
}

impl<'a> Filler<'a> {
    /// Looks for `wants` in the loader's store. Hashes the files that it does not know.
    pub fn look(loader: &'a ClipLoader<'a>, wants: &[Want<'a>], progress: &dyn Progress) -> Result<Option<Self>> {
        let Some(stored) = loader.store.filter(|stored| stored.store().is_some()) else { return Ok(None) };
        let dataset = &*loader.clips.dataset;
        let mut filled = Filled::default();
        let (mut unknown, mut sound) = (Vec::new(), Vec::new());
        // What is made by code takes no time to look at.
        let files = wants.first().is_some_and(|(clip, _)| dataset.files(clip).is_ok_and(|files| !files.is_empty()));
        let progress = if files { progress } else { &Silent };
        progress.begin("look", 0, wants.len() as u64);
        for (at, wants) in wants.chunks(256).enumerate() {
            if stop_requested() {
                return Err(Error::Interrupted);
            }
            progress.at((at * 256) as u64, "");
            let standing = |(clip, part): &Want| {
                let standing = stored.has(dataset, clip, *part)?;
                if let Presence::Kept(timeline) = standing {
                    // Another sampler than the one that it was kept for may refuse it.
                    sample(&*loader.clips.frames, &timeline, *part)?;
                }
                Ok(standing)
            };
            let standings: Vec<Result<Presence>> = wants.par_iter().map(standing).collect();
            for (want, standing) in wants.iter().zip(standings) {
                filled.clips += 1;
                match standing {
                    Ok(Presence::Elsewhere) => filled.clips -= 1,
                    Ok(Presence::Kept(_)) => filled.found += 1,
                    Ok(Presence::Sound) => sound.push(*want),
                    Ok(Presence::Unknown) => unknown.push(*want),
                    Err(error) => filled.broken.push((want.0.to_owned(), error.reason())),
                }
            }
        }
        progress.end();
        // Two processes that fill one store begin at two places.
        if stored.store().is_some_and(ClipStore::others_write) {
            let half = unknown.len() / 2;
            unknown.rotate_left(half);
        }
        Ok(Some(Self { loader, stored, unknown, sound, filled, kept: (0, 0), decoded: (0, 0) }))
    }

    /// What was found out so far.
    pub fn filled(&self) -> &Filled {
        &self.filled
    }

    /// How much room the missing clips will take, from decoding a few of them, which are kept.
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

    /// Decodes what is missing. What does not fit into the store is decoded all the same where it never was, to see that it can be.
    pub fn fill(mut self, progress: &dyn Progress) -> Result<Filled> {
        let estimate = self.estimate(progress)?;
        let mut missing = std::mem::take(&mut self.unknown);
        // What is known to be sound is worth another decoding only where there is room for it.
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
            // Nothing is known of the first clip.
            let count = if self.decoded.0 == 0 { 1 } else { fitting.max(1) as usize };
            let chunk = &wants[done..wants.len().min(done + count)];
            self.decode(chunk)?;
            done += chunk.len();
            progress.at(done as u64, "");
        }
        progress.end();
        Ok(())
    }

    /// Decodes `wants`, keeps what there is room for, and notes which cannot be decoded.
    fn decode(&mut self, wants: &[Want<'a>]) -> Result<()> {
        let (dataset, stored) = (&*self.loader.clips.dataset, self.stored);
        let full = stored.store().is_none_or(ClipStore::is_full);
        let mut open = Vec::with_capacity(wants.len());
        for (clip, part) in wants {
            // Another process may have made it meanwhile.
            match stored.has(dataset, clip, *part) {
                Ok(Presence::Kept(_)) => self.filled.found += 1,
                // What is not kept is only looked at.
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

    /// Reads the last part of each of `open`.
    fn read(&self, open: &[(&str, Part, Part)]) -> Vec<Outcome> {
        let clips = self.loader.clips;
        let chooses: Vec<_> = open
            .iter()
            .map(|(_, _, part)| {
                move |timeline: &Timeline| {
                    let picked = sample(&*clips.frames, timeline, *part)?;
                    Ok(if *part == Part::All { (0..timeline.frames).collect() } else { picked })
                }
            })
            .collect();
        let sizes: Vec<AtomicU64> = open.iter().map(|_| AtomicU64::new(0)).collect();
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

/// What reading a clip came to.
enum Outcome {
    Opened(Opened),
    /// More than is held at once.
    TooLarge,
    Broken(Error),
}
