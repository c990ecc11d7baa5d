//! Video files through FFmpeg's libraries, for the decoders `libav` and `libav_trusted`: without the start of a program
//! for every few clips, and without decoding what nobody needs. Only built with the cargo feature `libav`.
//!
//! What this cannot read, it leaves to the `ffmpeg` program: damaged files, turned ones, and rare forms. So frames,
//! numbers and messages are those of the program. One thing differs: damage in a frame that is not decoded is not
//! noticed.

mod clip;
#[cfg(test)]
pub(super) mod tests;
mod worker;

use super::FileRequest;
use super::ffmpeg::{Probed, Programs, address};
use super::video::{Decoder, Known, ROUNDS, VideoReader, arrange, chosen};
use clip::{Clip, Converter};
use maclip_framework::error::{Error, Result};
use maclip_framework::images::Image;
use maclip_framework::slots::dataset::{Opened, Timeline};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;
use worker::Worker;
pub use worker::serve_if_asked;

/// What comes while a clip is decoded.
enum Sign {
    /// Nothing yet, but it goes on.
    Alive,
    /// A frame, with its number in the order of display.
    Frame(usize, Image),
}

/// Why a clip is not read here.
#[derive(Debug)]
enum Stop {
    /// A case for the `ffmpeg` program, with the reason.
    Odd(String),
    /// An error of this clip.
    Failed(Error),
}

impl Stop {
    fn odd(why: impl Display) -> Self {
        Self::Odd(why.to_string())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ffmpeg_next::Error> for Stop {
    fn from(error: ffmpeg_next::Error) -> Self {
        Self::odd(error)
    }
}

/// A clip that is open here or in a child process.
enum Session {
    Here(Box<Clip>),
    Child(Worker),
}

impl Session {
    fn open(decoder: Decoder, path: &Path, programs: &Programs) -> std::result::Result<(Self, Probed), Stop> {
        let name = address(path)?;
        let name = name.to_str().ok_or_else(|| Stop::odd("the name is not UTF-8"))?;
        // The program reads such files in a way of its own.
        if name.to_ascii_lowercase().ends_with(".gif") {
            return Err(Stop::odd("an animation"));
        }
        if decoder == Decoder::LibavTrusted {
            let clip = Box::new(Clip::open(name, &mut || Ok(()))?);
            let probed = clip.probed();
            return Ok((Self::Here(clip), probed));
        }
        let (worker, probed) = Worker::open(name, path, programs)?;
        Ok((Self::Child(worker), probed))
    }

    fn decode(
        &mut self,
        wanted: &BTreeSet<usize>,
        take: &mut dyn FnMut(Sign) -> std::result::Result<(), Stop>,
    ) -> std::result::Result<Option<usize>, Stop> {
        thread_local! {
            static CONVERTER: RefCell<Converter> = RefCell::default();
        }
        match self {
            Self::Here(clip) => {
                // What takes frames may itself read a clip on this thread.
                let mut converter = CONVERTER.take();
                let outcome = clip.decode(wanted, &mut converter, take);
                CONVERTER.set(converter);
                outcome
            }
            Self::Child(worker) => worker.decode(wanted, take),
        }
    }

    /// Keeps what can serve again.
    fn close(self) {
        if let Self::Child(worker) = self {
            worker.keep();
        }
    }
}

/// Whether clips can be decoded: whether a child process starts and answers.
pub(super) fn ready(decoder: Decoder, programs: &Programs) -> Result<()> {
    if decoder == Decoder::Libav { Worker::start(programs).map(Worker::keep) } else { Ok(()) }
}

/// Reads one clip; `None` where the `ffmpeg` program has to.
pub(super) fn read(reader: &VideoReader, request: &FileRequest) -> Option<Result<Opened>> {
    match read_here(reader, request) {
        Ok(opened) => Some(Ok(opened)),
        Err(Stop::Failed(error)) => Some(Err(error)),
        Err(Stop::Odd(_)) => None,
    }
}

fn read_here(reader: &VideoReader, request: &FileRequest) -> std::result::Result<Opened, Stop> {
    let open = || Session::open(reader.decoder, request.path, &reader.programs);
    let mut opened = None;
    let known: Known = reader.look(request.path, || {
        let (session, probed) = open()?;
        opened = Some((session, probed));
        Ok::<_, Stop>(probed)
    })?;
    if known.cut {
        return Err(Stop::odd("the file ends before its last frame"));
    }
    let (mut session, probed) = opened.map_or_else(open, Ok)?;
    let outcome = rounds(reader, request, known, probed, &mut session);
    session.close();
    outcome
}

/// Decodes until the frames were chosen from the exact number.
fn rounds(
    reader: &VideoReader,
    request: &FileRequest,
    mut known: Known,
    probed: Probed,
    session: &mut Session,
) -> std::result::Result<Opened, Stop> {
    if known.timeline.frames == known.listed.max(1) {
        // Still the guess of the file's header. This one knows of edit lists.
        known.timeline.frames = probed.frames.max(1);
    }
    for _ in 0..ROUNDS {
        let indices = chosen(request, &known.timeline)?;
        let wanted: BTreeSet<usize> = indices.iter().copied().collect();
        let mut images = BTreeMap::new();
        let exact = session.decode(&wanted, &mut |sign| {
            if let Sign::Frame(number, image) = sign
                && wanted.contains(&number)
            {
                images.insert(number, (request.each)(image)?);
            }
            Ok(())
        })?;
        let Some(exact) = exact else { continue };
        if exact == 0 {
            return Err(Stop::odd("no frames"));
        }
        let right = exact == known.timeline.frames;
        known.timeline = Timeline { frames: exact, ..known.timeline };
        reader.remember(request.path, known);
        if right {
            return Ok(arrange(request.path, known.timeline, indices, images)?);
        }
    }
    Err(Stop::odd("another number of frames each time"))
}
