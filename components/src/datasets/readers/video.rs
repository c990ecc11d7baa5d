//! Clips as video files of any codec, through the programs `ffmpeg` and `ffprobe`, or FFmpeg's libraries (`libav`).
//!
//! Frames are chosen by their number in the order of display, as stored: none doubled, none dropped, rotation applied.
//! What the container says of their number is only a guess; where decoding gives another number, frames are chosen
//! again from the exact one, so that the outcome never depends on the guess.

use super::entries::message;
pub use super::ffmpeg::Programs;
use super::ffmpeg::{Decoded, Input, Probed, no_video, unreadable};
use super::messages::Fault;
use super::mp4::{self, Header};
use super::passed_over::PassedOver;
use super::{ClipReader, FileRequest, no_frame};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::open_regular;
use maclip_framework::images::Image;
use maclip_framework::slots::dataset::{Opened, Take, Timeline};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Bytes of video that one process decodes; beyond that its start costs nothing beside the decoding.
const BATCH_BYTES: u64 = 16 << 20;
/// Pipes that are open at once over all processes; systems allow as few as 256 files.
const PIPES: usize = 128;
/// A process that picks few frames of a long clip gives one of this many besides, to show that it still works.
const HEARTBEAT: usize = 512;
/// The most frames of a clip; at 30 frames per second they last six days. A file that promises more is refused before
/// anybody takes memory for them.
const MOST_FRAMES: usize = 1 << 24;
/// Terms of a filter's expression, which ffmpeg evaluates by recursion.
const TERMS: usize = 256;
/// Rounds of reading: a guess, an exact number, alone, without a filter.
pub(super) const ROUNDS: usize = 6;

/// What decodes video files. All give the same frames, byte for byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decoder {
    /// The program `ffmpeg`, which is started for every few clips.
    #[default]
    Ffmpeg,
    /// FFmpeg's libraries, in child processes that stay; faster for small reads and for long clips. Needs the cargo
    /// feature `libav`.
    Libav,
    /// The same inside this process, for files that you trust: a broken one may end the run.
    LibavTrusted,
}

impl Decoder {
    /// Whether this build has the decoder.
    ///
    /// # Errors
    /// Where it has not: what is missing, and how to build it. The text continues a sentence that begins with
    /// `decoder`.
    pub fn available(self) -> std::result::Result<(), &'static str> {
        match self {
            Self::Libav | Self::LibavTrusted if !cfg!(feature = "libav") => Err(
                "needs the cargo feature `libav`, which this maclip was built without; install the development files \
                 of FFmpeg and build again with `cargo build --release --features libav`, or use `ffmpeg`",
            ),
            _ => Ok(()),
        }
    }
}

/// Reads video files.
#[derive(Default)]
pub struct VideoReader {
    /// The programs that decode.
    pub programs: Programs,
    /// What is asked first; what it cannot read is left to the programs.
    pub decoder: Decoder,
    /// What was found; a run asks for the same clips again and again.
    known: Mutex<HashMap<PathBuf, Known>>,
}

/// What is known of a file, as long as it does not change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    bytes: u64,
    modified: Option<SystemTime>,
    pub(super) timeline: Timeline,
    /// Number of frames that the container lists.
    pub(super) listed: usize,
    /// Whether the file ends before its last frame does.
    pub(super) cut: bool,
    /// Whether decoding can begin with the first frame of the file.
    keyed: bool,
}

/// A clip that is being read.
struct Plan {
    /// Its place among the requests.
    at: usize,
    known: Known,
    indices: Vec<usize>,
    picks: Picks,
    /// Whether it has a process of its own, so that what goes wrong there is its own doing.
    alone: bool,
}

/// Frames that ffmpeg lets through.
enum Picks {
    All,
    /// Some, in runs (first, last), in rising order.
    Runs(Vec<(usize, usize)>),
}

enum Verdict {
    Done(Result<Opened>),
    /// To be read once more.
    Again(Plan),
}

impl Picks {
    fn new(indices: &[usize], frames: usize) -> Self {
        let mut sorted = indices.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for &index in &sorted {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == index => *last = index,
                _ => runs.push((index, index)),
            }
        }
        if sorted.len() == frames || runs.len() > TERMS { Self::All } else { Self::Runs(runs) }
    }

    fn filter(&self) -> Option<String> {
        let Self::Runs(runs) = self else { return None };
        let run = |&(first, last): &(usize, usize)| match first == last {
            true => format!("eq(n,{first})"),
            false => format!("between(n,{first},{last})"),
        };
        let heartbeat = format!("eq(mod(n,{HEARTBEAT}),{})", HEARTBEAT - 1);
        let terms: Vec<String> = runs.iter().map(run).chain([heartbeat]).collect();
        Some(format!("select='{}'", terms.join("+")))
    }

    fn passes(&self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Runs(runs) => {
                index % HEARTBEAT == HEARTBEAT - 1 || runs.iter().any(|&(first, last)| (first..=last).contains(&index))
            }
        }
    }
}

impl Plan {
    fn new(at: usize, request: &FileRequest, known: Known, alone: bool) -> Result<Self> {
        let indices = chosen(request, &known.timeline)?;
        let picks = Picks::new(&indices, known.timeline.frames);
        Ok(Self { at, known, indices, picks, alone })
    }
}

/// The frames that a request chooses, each of which is there.
pub(super) fn chosen(request: &FileRequest, timeline: &Timeline) -> Result<Vec<usize>> {
    let indices = (request.choose)(timeline)?;
    match indices.iter().find(|&&index| index >= timeline.frames) {
        Some(&index) => Err(no_frame(request.path, timeline.frames, index)),
        None => Ok(indices),
    }
}

/// The frames in the order in which they were chosen.
pub(super) fn arrange(
    path: &Path,
    timeline: Timeline,
    indices: Vec<usize>,
    mut images: BTreeMap<usize, Image>,
) -> Result<Opened> {
    let clip = |what: String| Error::failed(format!("clip {}: {what}", path.display()));
    let mut pixels = Vec::with_capacity(indices.len());
    for (position, index) in indices.iter().enumerate() {
        let last = !indices[position + 1..].contains(index);
        let image = if last { images.remove(index) } else { images.get(index).cloned() };
        pixels.push(image.ok_or_else(|| clip(format!("ffmpeg did not give frame {index}")))?);
    }
    Opened::new(timeline, indices, pixels).map_err(|error| clip(message(&error)))
}

impl VideoReader {
    /// A reader with the same programs that knows no file yet.
    pub fn fresh(&self) -> Self {
        Self { programs: self.programs.clone(), decoder: self.decoder, known: Mutex::default() }
    }

    /// What is known of a file without decoding it. `probe` looks into containers other than MP4.
    pub(super) fn look<E: From<Error>>(
        &self,
        path: &Path,
        probe: impl FnOnce() -> std::result::Result<Probed, E>,
    ) -> std::result::Result<Known, E> {
        let failed = |error| Error::io("read", path, error);
        let about = fs::metadata(path).map_err(failed)?;
        let (bytes, modified) = (about.len(), about.modified().ok());
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied();
        if let Some(known) = known.filter(|known| (known.bytes, known.modified) == (bytes, modified)) {
            return Ok(known);
        }
        let header = sound_file(path).map_err(|why| Error::failed(format!("clip {}: {why}", path.display())))?;
        let (listed, fps, cut, keyed) = match header {
            Header::Video(track) => (track.samples, track.fps, track.end > bytes, track.keyed),
            _ => {
                let Probed { frames, fps, keyed } = probe()?;
                (frames, fps, false, keyed)
            }
        };
        fitting(listed, bytes).map_err(|why| Error::failed(format!("clip {}: {why}", path.display())))?;
        // A sampler has nothing to choose from in a clip of no frames; decoding shows whether there are any.
        let timeline = Timeline { frames: listed.max(1), fps };
        let known = Known { bytes, modified, timeline, listed, cut, keyed };
        self.remember(path, known);
        Ok(known)
    }

    pub(super) fn remember(&self, path: &Path, known: Known) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_path_buf(), known);
    }

    /// What FFmpeg's libraries make of the clips; `None` for each that is left to the programs.
    fn read_with_libraries(&self, requests: &[FileRequest]) -> Vec<Option<Result<Opened>>> {
        if self.decoder == Decoder::Ffmpeg {
            return requests.iter().map(|_| None).collect();
        }
        #[cfg(feature = "libav")]
        return side_by_side(requests.iter().collect(), |request| super::libav::read(self, request));
        #[cfg(not(feature = "libav"))]
        requests.iter().map(|_| self.available().err().map(Err)).collect()
    }

    fn available(&self) -> Result<()> {
        self.decoder.available().map_err(|why| Error::failed(format!("`dataset.decoder` {why}")))
    }

    /// Decodes the clips of one batch in one process.
    fn decode(&self, requests: &[FileRequest], plans: Vec<Plan>) -> Vec<(usize, Verdict)> {
        let taken: Vec<Mutex<BTreeMap<usize, Image>>> = plans.iter().map(|_| Mutex::default()).collect();
        let inputs = plans.iter().zip(&taken).map(|(plan, taken)| {
            let request = requests[plan.at];
            let mut passing = (0..).filter(|&index| plan.picks.passes(index));
            let sink = move |_, image| {
                if let Some(index) = passing.next()
                    && plan.indices.contains(&index)
                {
                    let image = (request.each)(image)?;
                    taken.lock().unwrap_or_else(PoisonError::into_inner).insert(index, image);
                }
                Ok(())
            };
            Input { path: request.path, filter: plan.picks.filter(), sink: Box::new(sink) }
        });
        let mut decoded = match self.programs.decode(inputs.collect()) {
            Ok(decoded) => decoded,
            Err(error) if plans.len() == 1 => return vec![(plans[0].at, Verdict::Done(Err(error)))],
            // Each then has the error for itself, or is read where only the number of clips was too much.
            Err(_) => {
                let alone = |plan: Plan| (plan.at, Verdict::Again(Plan { alone: true, ..plan }));
                return plans.into_iter().map(alone).collect();
            }
        };
        let outcomes = std::mem::take(&mut decoded.frames);
        let images = taken.into_iter().map(|taken| taken.into_inner().unwrap_or_else(PoisonError::into_inner));
        let clips = plans.into_iter().zip(images).zip(outcomes).enumerate();
        clips
            .map(|(input, ((plan, images), came))| {
                let request = &requests[plan.at];
                (plan.at, self.judge(request, plan, images, came, decoded.decoded[input], &decoded))
            })
            .collect()
    }

    /// What a clip came to of which `came` frames came and `images` were kept.
    fn judge(
        &self,
        request: &FileRequest,
        plan: Plan,
        images: BTreeMap<usize, Image>,
        came: Result<usize>,
        exact: Option<usize>,
        decoded: &Decoded,
    ) -> Verdict {
        let sound = decoded.fault.is_none() && !plan.known.cut && plan.known.keyed;
        let whole = decoded.succeeded && !decoded.stalled && sound;
        if !plan.alone && (!whole || came.is_err()) {
            return Verdict::Again(Plan { alone: true, ..plan });
        }
        self.outcome(request, plan, images, came, exact, decoded).unwrap_or_else(|error| Verdict::Done(Err(error)))
    }

    fn outcome(
        &self,
        request: &FileRequest,
        plan: Plan,
        images: BTreeMap<usize, Image>,
        came: Result<usize>,
        exact: Option<usize>,
        decoded: &Decoded,
    ) -> Result<Verdict> {
        let (path, known) = (request.path, plan.known);
        let clip = |what: String| Error::failed(format!("clip {}: {what}", path.display()));
        if decoded.stalled {
            let seconds = self.programs.stall.as_secs_f64();
            return Err(clip(format!("ffmpeg gave nothing for {seconds} s and was stopped")));
        }
        let refused = decoded.errors.iter().find(|error| error.contains("matches no streams"));
        if refused.is_some() {
            return Err(no_video(path));
        }
        let came = came?;
        let count = match (exact, &plan.picks) {
            (Some(count), _) => count,
            (None, Picks::All) => came,
            (None, Picks::Runs(_)) => match self.programs.probe(path, true) {
                Ok(probed) => probed.frames,
                // What is wrong is known better than that nothing can be counted.
                Err(_) if decoded.fault.is_some() || !known.keyed => 0,
                Err(error) => return Err(error),
            },
        };
        // The header of an MP4 without any key frame is that of one with key frames only; the demuxer knows better.
        let keyed = |fault: &Fault| {
            matches!(fault, Fault::Damaged(_)) || self.programs.probe(path, false).is_ok_and(|p| p.keyed)
        };
        let fault = match &decoded.fault {
            Some(Fault::NoKey(said)) => Some(Fault::NoKey(said.clone())),
            _ if !known.keyed => Some(Fault::NoKey(String::new())),
            Some(fault) if !keyed(fault) => Some(Fault::NoKey(String::new())),
            None if known.cut => Some(Fault::Damaged(String::new())),
            fault => fault.clone(),
        };
        if let Some(fault) = fault {
            return Err(clip(fault.reason(count, known.listed)));
        }
        // ffmpeg fails where no frame came, because it does not know their format then.
        if count == 0 && (decoded.succeeded || known.listed == 0) {
            return Err(clip("has no frames".to_string()));
        }
        if !decoded.succeeded {
            return Err(unreadable(path, decoded.errors.first().map_or("no message", String::as_str)));
        }
        if count != known.timeline.frames {
            let known = Known { timeline: Timeline { frames: count, ..known.timeline }, ..known };
            self.remember(path, known);
            return Ok(Verdict::Again(Plan::new(plan.at, request, known, plan.alone)?));
        }
        let expected = (0..count).filter(|&index| plan.picks.passes(index)).count();
        if came != expected {
            return match plan.picks {
                Picks::All => Err(clip(format!("ffmpeg decoded {count} frames and gave {came}"))),
                // The filter may count otherwise where the video changes within the file.
                Picks::Runs(_) => Ok(Verdict::Again(Plan { picks: Picks::All, ..plan })),
            };
        }
        let opened = arrange(path, known.timeline, plan.indices, images)?;
        Ok(Verdict::Done(Ok(opened)))
    }
}

impl ClipReader for VideoReader {
    /// Decodes the whole clip where its number of frames is not known yet.
    fn timeline(&self, path: &Path) -> Result<Timeline> {
        let request = FileRequest { path, choose: &|_| Ok(vec![0]), each: &Ok };
        self.read(&[request]).remove(0).map(|opened| opened.timeline)
    }

    fn read(&self, requests: &[FileRequest]) -> Vec<Result<Opened>> {
        let mut outcomes = self.read_with_libraries(requests);
        let places: Vec<usize> = (0..requests.len()).filter(|&at| outcomes[at].is_none()).collect();
        let planned = side_by_side(places, |at| {
            let path = requests[at].path;
            let known = self.look(path, || self.programs.probe(path, false));
            // A name with a line break could pass for what ffmpeg says of another clip.
            let alone = path.as_os_str().as_encoded_bytes().contains(&b'\n');
            (at, known.and_then(|known| Plan::new(at, &requests[at], known, known.cut || !known.keyed || alone)))
        });
        let mut waiting = Vec::new();
        for (at, plan) in planned {
            match plan {
                Ok(plan) => waiting.push(plan),
                Err(error) => outcomes[at] = Some(Err(error)),
            }
        }
        for _ in 0..ROUNDS {
            let verdicts = side_by_side(batches(std::mem::take(&mut waiting)), |plans| self.decode(requests, plans));
            for (at, verdict) in verdicts.into_iter().flatten() {
                match verdict {
                    Verdict::Done(outcome) => outcomes[at] = Some(outcome),
                    Verdict::Again(plan) => waiting.push(plan),
                }
            }
        }
        let unsettled = |request: &FileRequest| {
            let path = request.path.display();
            Error::failed(format!("clip {path}: decodes to another number of frames each time"))
        };
        outcomes.into_iter().zip(requests).map(|(outcome, at)| outcome.unwrap_or_else(|| Err(unsettled(at)))).collect()
    }

    /// Through the program `ffmpeg`, whichever the decoder is: the frames are the same.
    fn stream(&self, path: &Path, take: &mut Take) -> Result<Timeline> {
        let known = self.look(path, || self.programs.probe(path, false))?;
        let (timeline, choose) = (known.timeline, |_: &Timeline| Ok(Vec::new()));
        let sink = Box::new(|index, image| take(&timeline, index, image));
        let mut decoded = self.programs.decode(vec![Input { path, filter: None, sink }])?;
        let (came, exact) = (decoded.frames.remove(0), decoded.decoded[0]);
        let frames = *came.as_ref().unwrap_or(&0);
        let plan = Plan { at: 0, known, indices: Vec::new(), picks: Picks::All, alone: true };
        // It is read once: another number of frames than the header's is no reason to begin again.
        match self.outcome(
            &FileRequest { path, choose: &choose, each: &Ok },
            plan,
            BTreeMap::new(),
            came,
            exact,
            &decoded,
        )? {
            Verdict::Done(Err(error)) => Err(error),
            Verdict::Done(Ok(_)) | Verdict::Again(_) => Ok(Timeline { frames, ..timeline }),
        }
    }

    fn ready(&self) -> Result<()> {
        self.available()?;
        #[cfg(feature = "libav")]
        super::libav::ready(self.decoder, &self.programs)?;
        self.programs.ready()
    }

    fn files(&self, path: &Path) -> Result<Vec<PathBuf>> {
        Ok(vec![path.to_path_buf()])
    }

    /// Files of other containers than MP4 are only seen to be there: their headers do not say enough.
    fn check(&self, path: &Path) -> std::result::Result<PassedOver, String> {
        let (mut file, length) = regular(path)?;
        check_in(&mut file, length, path).map(|()| PassedOver::default())
    }
}

/// Looks at the header of a video of `length` bytes, on the disk or in an archive. `path` is its name in messages.
///
/// # Errors
/// The reason why it cannot be used.
pub(in crate::datasets) fn check_in(
    source: &mut (impl Read + Seek),
    length: u64,
    path: &Path,
) -> std::result::Result<(), String> {
    match sound(source, length, path)? {
        Header::Video(track) if track.end > length => Err("truncated: the file ends before its last frame".to_string()),
        Header::Video(track) if !track.keyed => {
            Err("starts without a key frame: its first frames build on frames that are missing".to_string())
        }
        _ => Ok(()),
    }
}

/// An error where a file of `bytes` bytes cannot have `frames` frames: each takes a byte at least.
fn fitting(frames: usize, bytes: u64) -> std::result::Result<(), String> {
    match frames {
        _ if frames as u64 > bytes => Err(format!("promises {frames} frames, and the file has only {bytes} bytes")),
        _ if frames > MOST_FRAMES => Err(format!("promises {frames} frames; a clip has at most {MOST_FRAMES}")),
        _ => Ok(()),
    }
}

/// Whether a file begins as text does: a list of files, or a file that is no video at all. What begins otherwise and is
/// no video all the same, FFmpeg refuses by its demuxer.
fn is_text(head: &[u8]) -> bool {
    let body = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    body.starts_with(b"#EXTM3U") || body.starts_with(b"ffconcat") || !head.iter().any(control)
}

/// A file that may be a video, and its length in bytes.
fn regular(path: &Path) -> std::result::Result<(File, u64), String> {
    let failed = |error| message(&Error::io("read", path, error));
    let about = fs::metadata(path).map_err(failed)?;
    if about.is_dir() {
        return Err("is a folder, not a video file".to_string());
    }
    if !about.is_file() {
        return Err("not a regular file".to_string());
    }
    Ok((open_regular(path).map_err(failed)?, about.len()))
}

/// Refuses at once what no decoder has to be asked about.
fn sound_file(path: &Path) -> std::result::Result<Header, String> {
    let (mut file, length) = regular(path)?;
    sound(&mut file, length, path)
}

fn sound(source: &mut (impl Read + Seek), length: u64, path: &Path) -> std::result::Result<Header, String> {
    let failed = |error| message(&Error::io("read", path, error));
    if length == 0 {
        return Err("the file is empty".to_string());
    }
    let mut head = Vec::new();
    source.by_ref().take(512).read_to_end(&mut head).map_err(failed)?;
    if is_text(&head) {
        return Err("a text file, not a video; lists of other files (HLS, ffconcat) are not read".to_string());
    }
    match mp4::header(source, length).map_err(failed)? {
        Header::NoIndex => Err("truncated: the index of the file (`moov`) is missing".to_string()),
        Header::Untrue(why) => Err(why),
        Header::Video(track) => fitting(track.samples, length).map(|()| Header::Video(track)),
        header => Ok(header),
    }
}

/// Clips that share a process: as many as keep all workers busy and stay within the limits.
fn batches(plans: Vec<Plan>) -> Vec<Vec<Plan>> {
    let width = rayon::current_num_threads();
    let most = plans.len().div_ceil(width).min((PIPES / width).max(2));
    let mut batches: Vec<Vec<Plan>> = Vec::new();
    let mut bytes = 0;
    for plan in plans {
        bytes += plan.known.bytes;
        match batches.last_mut() {
            Some(batch) if batch.len() < most && bytes <= BATCH_BYTES && !plan.alone && !batch[0].alone => {
                batch.push(plan);
            }
            _ => {
                bytes = plan.known.bytes;
                batches.push(vec![plan]);
            }
        }
    }
    batches
}

/// Does the work on threads of its own, as many as rayon has: they wait for other programs, and must not hold up those
/// who compute. Outcomes come in the order of the work.
fn side_by_side<T: Send, R: Send>(work: Vec<T>, act: impl Fn(T) -> R + Sync) -> Vec<R> {
    let width = rayon::current_num_threads().min(work.len());
    if width <= 1 {
        return work.into_iter().map(act).collect();
    }
    let work: Vec<Mutex<Option<T>>> = work.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = work.get(at) else { return done };
            let item = item.lock().unwrap_or_else(PoisonError::into_inner).take();
            done.extend(item.map(|item| (at, act(item))));
        }
    };
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..width).map(|_| scope.spawn(worker)).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(join).collect()
    });
    done.sort_by_key(|&(at, _)| at);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}
