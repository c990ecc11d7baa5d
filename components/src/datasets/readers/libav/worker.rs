//! Child processes that decode clips for this one, so that a file that brings a decoder down does not end the program.
//! A child is this program once more, stays for the next clips, and ends when this one does.
//!
//! Both sides of the talk are here. A child says [`GREETING`] and answers requests in turn; numbers are 64-bit
//! little-endian. What a child says is checked as much as a file would be.

use super::clip::{Clip, Converter};
use super::{Sign, Stop};
use crate::datasets::readers::ffmpeg::{Probed, Programs, spawn};
use crate::datasets::readers::guarded::Guarded;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::this_program;
use maclip_framework::images::Image;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The argument by which a program is asked to serve.
const ARGUMENT: &str = "decode-clips";
/// What a child says first; the number changes with the form of requests and answers.
const GREETING: &[u8; 16] = b"maclip decodes 1";
/// Frames that wait while the one before is resized.
const WAITING: usize = 8;
/// The longest text and the longest list that one side takes from the other.
const LONGEST: usize = 1 << 20;

/// Children without work. One that is not needed any more costs a few MB, and ends with this program.
static IDLE: Mutex<Vec<Worker>> = Mutex::new(Vec::new());
/// Whether this program serves when it is asked.
static SERVES: AtomicBool = AtomicBool::new(false);

/// Serves as a child where the command line asks for it, and returns how that ended. A program that calls this first of
/// all is its own child from then on; any other one starts what MACLIP_PROGRAM names, or `maclip` on the path.
pub fn serve_if_asked() -> Option<ExitCode> {
    if std::env::args_os().nth(1).is_none_or(|argument| argument != ARGUMENT) {
        SERVES.store(true, Ordering::Relaxed);
        return None;
    }
    // Not through the buffer of lines that `print!` has.
    let output = io::stdout().as_fd().try_clone_to_owned().map(std::fs::File::from);
    let served = output.and_then(|output| serve(&mut BufReader::new(io::stdin()), &mut BufWriter::new(output)));
    // The other side knows best why the pipe closed.
    Some(if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What a child is asked for.
enum Request {
    /// Open the file of this name.
    Open(String),
    /// Decode these frames of the open file.
    Decode(BTreeSet<usize>),
}

/// What it answers: to [`Request::Open`] one `Opened` or `Odd`; to [`Request::Decode`] frames, and at the end one
/// `Counted` or `Odd`. `Alive` comes in between.
enum Answer {
    Alive,
    Opened(Probed),
    Frame(usize, Image),
    Counted(Option<usize>),
    Odd(String),
}

/// Answers requests until there are no more.
fn serve(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    output.write_all(GREETING)?;
    output.flush()?;
    let (mut clip, mut converter) = (None, Converter::default());
    while let Some(request) = Request::read(input)? {
        let mut tell = |answer: Answer| {
            answer.write(output)?;
            output.flush()
        };
        let lost = |error: io::Error| Stop::Failed(Error::failed(error.to_string()));
        let outcome = match request {
            Request::Open(name) => {
                clip = None;
                Clip::open(&name, &mut || tell(Answer::Alive).map_err(lost)).map(|opened| {
                    let probed = opened.probed();
                    clip = Some(opened);
                    Answer::Opened(probed)
                })
            }
            Request::Decode(wanted) => match &mut clip {
                None => Err(Stop::odd("no clip is open")),
                Some(clip) => {
                    let mut take = |sign| {
                        let answer = match sign {
                            Sign::Alive => Answer::Alive,
                            Sign::Frame(number, image) => Answer::Frame(number, image),
                        };
                        tell(answer).map_err(lost)
                    };
                    clip.decode(&wanted, &mut converter, &mut take).map(Answer::Counted)
                }
            },
        };
        match outcome {
            Ok(answer) => tell(answer)?,
            Err(Stop::Odd(why)) => tell(Answer::Odd(why))?,
            Err(Stop::Failed(error)) => return Err(io::Error::other(error.to_string())),
        }
    }
    Ok(())
}

/// A child process.
pub(super) struct Worker {
    program: OsString,
    child: Guarded,
    /// A socket: writing to a pipe of which the other end is gone would end this program.
    requests: UnixStream,
    answers: Receiver<io::Result<Answer>>,
    /// How long it may say nothing.
    stall: Duration,
    /// The clip that is open, for messages.
    clip: String,
    /// Whether an answer is due.
    busy: bool,
}

impl Worker {
    /// A child that is idle, or a new one.
    pub(super) fn start(programs: &Programs) -> Result<Self> {
        let program = programs.maclip.clone().unwrap_or_else(program);
        let idle = || {
            let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            idle.iter().position(|worker| worker.program == program).map(|at| idle.swap_remove(at))
        };
        while let Some(mut worker) = idle() {
            // It may have been ended from outside meanwhile.
            if worker.child.runs() {
                worker.stall = programs.stall;
                return Ok(worker);
            }
        }
        let name = program.to_string_lossy().into_owned();
        let failed = |why: String| {
            Error::failed(format!("cannot decode with `{name}`: {why}")).help(
                "name a maclip that is built with the cargo feature `libav` in MACLIP_PROGRAM, or set \
                 `dataset.decoder` to ffmpeg",
            )
        };
        let (requests, theirs) = UnixStream::pair().map_err(|error| failed(error.to_string()))?;
        requests.set_write_timeout(Some(programs.stall)).map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new(&program);
        command.arg(ARGUMENT).stdin(OwnedFd::from(theirs)).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = spawn(&mut command).map_err(|error| failed(error.to_string()))?;
        let output = child.stdout();
        let (sender, answers) = sync_channel(WAITING);
        std::thread::spawn(move || output.map(|output| listen(output, &sender)));
        let (stall, clip) = (programs.stall, String::new());
        let mut worker = Self { program, child, requests, answers, stall, clip, busy: false };
        match worker.answer() {
            Ok(Answer::Alive) => Ok(worker),
            _ => Err(failed("it does not answer as a decoder does".to_string())),
        }
    }

    /// Opens the file `name` of the clip at `path`.
    pub(super) fn open(name: &str, path: &Path, programs: &Programs) -> std::result::Result<(Self, Probed), Stop> {
        let mut worker = Self::start(programs)?;
        worker.clip = path.display().to_string();
        worker.ask(&Request::Open(name.to_string()))?;
        loop {
            match worker.answer()? {
                Answer::Alive => {}
                Answer::Opened(probed) => {
                    worker.busy = false;
                    return Ok((worker, probed));
                }
                Answer::Odd(why) => {
                    worker.busy = false;
                    worker.keep();
                    return Err(Stop::Odd(why));
                }
                _ => return Err(worker.confused()),
            }
        }
    }

    /// As [`Clip::decode`].
    pub(super) fn decode(
        &mut self,
        wanted: &BTreeSet<usize>,
        take: &mut dyn FnMut(Sign) -> std::result::Result<(), Stop>,
    ) -> std::result::Result<Option<usize>, Stop> {
        self.ask(&Request::Decode(wanted.clone()))?;
        loop {
            match self.answer()? {
                Answer::Alive => {}
                Answer::Frame(number, image) => take(Sign::Frame(number, image))?,
                Answer::Counted(count) => {
                    self.busy = false;
                    return Ok(count);
                }
                Answer::Odd(why) => {
                    self.busy = false;
                    return Err(Stop::Odd(why));
                }
                Answer::Opened(_) => return Err(self.confused()),
            }
        }
    }

    /// Keeps it for the next clip, unless it still owes an answer.
    pub(super) fn keep(self) {
        if !self.busy {
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
    }

    fn ask(&mut self, request: &Request) -> std::result::Result<(), Stop> {
        self.busy = true;
        request.write(&mut self.requests).map_err(|error| self.failed(&error.to_string()))
    }

    fn answer(&mut self) -> std::result::Result<Answer, Stop> {
        match self.answers.recv_timeout(self.stall) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(&error.to_string())),
            Err(RecvTimeoutError::Timeout) => {
                Err(self.failed(&format!("it gave nothing for {} s and was stopped", self.stall.as_secs_f64())))
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.failed("it closed its pipe")),
        }
    }

    fn confused(&mut self) -> Stop {
        self.failed("it gave another answer than was asked for")
    }

    /// The error of this clip. A child that had one is not asked again.
    fn failed(&mut self, why: &str) -> Stop {
        // What it ended with by itself says more than that it was ended.
        let ended = self.child.wait(Duration::ZERO).ok();
        let ended = ended.map_or_else(String::new, |status| format!("; it ended with {status}"));
        let message = format!("clip {}: the process that decodes it failed: {why}{ended}", self.clip);
        Stop::Failed(
            Error::failed(message).help("the file may be broken; `dataset.decoder: ffmpeg` reads it otherwise"),
        )
    }
}

/// The program that serves as a child where none is named.
fn program() -> OsString {
    let this = match SERVES.load(Ordering::Relaxed) {
        true => this_program().ok().map(Into::into),
        false => None,
    };
    this.unwrap_or_else(|| "maclip".into())
}

/// Passes on what a child says until it says no more, or nobody wants to know. The greeting counts as a sign of life.
fn listen(output: impl Read, answers: &SyncSender<io::Result<Answer>>) {
    let mut output = BufReader::with_capacity(1 << 16, output);
    let mut greeting = [0; GREETING.len()];
    let greeted = output.read_exact(&mut greeting).and_then(|()| match greeting == *GREETING {
        true => Ok(Answer::Alive),
        false => Err(io::Error::other("another greeting")),
    });
    let mut more = greeted.is_ok() && answers.send(greeted).is_ok();
    while more {
        let answer = match Answer::read(&mut output) {
            // The end of the pipe is no message of its own.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return,
            answer => answer,
        };
        more = answer.is_ok();
        more &= answers.send(answer).is_ok();
    }
}

fn put(output: &mut impl Write, numbers: &[usize]) -> io::Result<()> {
    numbers.iter().try_for_each(|&number| output.write_all(&(number as u64).to_le_bytes()))
}

fn get(input: &mut impl Read) -> io::Result<usize> {
    let mut bytes = [0; 8];
    input.read_exact(&mut bytes)?;
    usize::try_from(u64::from_le_bytes(bytes)).map_err(io::Error::other)
}

/// As many bytes as the other side announces, but no memory for them before they come.
fn get_bytes(input: &mut impl Read, bytes: usize) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    content.try_reserve_exact(bytes).map_err(io::Error::other)?;
    input.take(bytes as u64).read_to_end(&mut content)?;
    if content.len() < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(content) }
}

fn get_length(input: &mut impl Read) -> io::Result<usize> {
    Some(get(input)?).filter(|&length| length <= LONGEST).ok_or_else(|| io::Error::other("too long a message"))
}

fn put_text(output: &mut impl Write, text: &str) -> io::Result<()> {
    put(output, &[text.len()])?;
    output.write_all(text.as_bytes())
}

fn get_text(input: &mut impl Read) -> io::Result<String> {
    let length = get_length(input)?;
    String::from_utf8(get_bytes(input, length)?).map_err(io::Error::other)
}

impl Request {
    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        let mut message = Vec::new();
        match self {
            Self::Open(name) => {
                message.push(b'O');
                put_text(&mut message, name)?;
            }
            Self::Decode(wanted) => {
                message.push(b'D');
                put(&mut message, &[wanted.len()])?;
                put(&mut message, &wanted.iter().copied().collect::<Vec<_>>())?;
            }
        }
        output.write_all(&message)
    }

    /// `None` at the end of the pipe.
    fn read(input: &mut impl Read) -> io::Result<Option<Self>> {
        let mut kind = [0];
        if input.read(&mut kind)? == 0 {
            return Ok(None);
        }
        match kind[0] {
            b'O' => get_text(input).map(Self::Open).map(Some),
            b'D' => {
                let count = get(input)?;
                (0..count).map(|_| get(input)).collect::<io::Result<_>>().map(Self::Decode).map(Some)
            }
            _ => Err(io::Error::other("an unknown request")),
        }
    }
}

impl Answer {
    fn write(&self, output: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Alive => output.write_all(b"."),
            Self::Opened(Probed { frames, fps, .. }) => {
                output.write_all(b"o")?;
                put(output, &[*frames])?;
                output.write_all(&fps.unwrap_or(f64::NAN).to_le_bytes())
            }
            Self::Frame(number, image) => {
                output.write_all(b"f")?;
                put(output, &[*number, image.width, image.height])?;
                output.write_all(&image.pixels)
            }
            Self::Counted(Some(count)) => {
                output.write_all(b"c")?;
                put(output, &[*count])
            }
            Self::Counted(None) => output.write_all(b"a"),
            Self::Odd(why) => {
                output.write_all(b"x")?;
                put_text(output, why)
            }
        }
    }

    fn read(input: &mut impl Read) -> io::Result<Self> {
        let mut kind = [0];
        input.read_exact(&mut kind)?;
        match kind[0] {
            b'.' => Ok(Self::Alive),
            b'o' => {
                let frames = get(input)?;
                let mut fps = [0; 8];
                input.read_exact(&mut fps)?;
                let fps = Some(f64::from_le_bytes(fps)).filter(|fps| fps.is_finite());
                // A file without a key frame at its start is odd, so it is never open here.
                Ok(Self::Opened(Probed { frames, fps, keyed: true }))
            }
            b'f' => {
                let (number, width, height) = (get(input)?, get(input)?, get(input)?);
                let bytes =
                    width.checked_mul(height).and_then(|pixels| pixels.checked_mul(3)).filter(|&bytes| bytes > 0);
                let bytes = bytes.ok_or_else(|| io::Error::other("a frame of no size"))?;
                Ok(Self::Frame(number, Image { width, height, pixels: get_bytes(input, bytes)? }))
            }
            b'c' => get(input).map(Some).map(Self::Counted),
            b'a' => Ok(Self::Counted(None)),
            b'x' => get_text(input).map(Self::Odd),
            _ => Err(io::Error::other("an unknown answer")),
        }
    }
}
