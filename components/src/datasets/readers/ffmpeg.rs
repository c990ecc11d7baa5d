//! The programs `ffmpeg` and `ffprobe`: several files in, RGB frames of each out over pipes of their own.

use super::guarded::Guarded;
use super::messages::{Fault, Messages, other_container};
use maclip_framework::error::{Error, Result};
use maclip_framework::images::{Image, MOST_PIXELS};
use rustix::io::{FdFlags, fcntl_setfd};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Only one program is started at a time, so that no other one inherits the pipes that are open for a child just then.
static STARTING: Mutex<()> = Mutex::new(());

/// The containers that are read, by the names of FFmpeg's demuxers: one for each extension in
/// [`super::VIDEO_EXTENSIONS`], and bare streams. A playlist, a list of files and a sequence of images are not among
/// them: they would lead to other files.
pub(super) const CONTAINERS: &str = "asf,avi,flv,gif,h264,hevc,m4v,matroska,mov,mpeg,mpegts,mpegvideo,ogg";

/// The most bytes that are taken of what a program writes beside frames.
const LONGEST: u64 = 64 << 20;

/// The programs, and how long they may give nothing.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Name or path of `ffmpeg`.
    pub ffmpeg: OsString,
    /// Name or path of `ffprobe`.
    pub ffprobe: OsString,
    /// Name or path of a maclip that the decoder `libav` starts as its child; `None` for the program that runs, or
    /// `maclip` on the path where that is another program.
    pub maclip: Option<OsString>,
    /// A program that gives no frame for this time is stopped.
    pub stall: Duration,
}

impl Default for Programs {
    /// `ffmpeg` and `ffprobe` on the path, or what the environment variables `MACLIP_FFMPEG` and `MACLIP_FFPROBE` name;
    /// and what `MACLIP_PROGRAM` names.
    fn default() -> Self {
        // An empty variable names nothing.
        let given = |variable| std::env::var_os(variable).filter(|name| !name.is_empty());
        let named = |variable, name: &str| given(variable).unwrap_or_else(|| name.into());
        Self {
            ffmpeg: named("MACLIP_FFMPEG", "ffmpeg"),
            ffprobe: named("MACLIP_FFPROBE", "ffprobe"),
            maclip: given("MACLIP_PROGRAM"),
            stall: Duration::from_secs(120),
        }
    }
}

/// Takes a frame: its number among those that the filter let through, and its pixels.
pub(super) type Sink<'a> = dyn FnMut(usize, Image) -> Result<()> + Send + 'a;

/// A file to decode.
pub(super) struct Input<'a> {
    pub path: &'a Path,
    /// Filter that picks frames; none for all.
    pub filter: Option<String>,
    pub sink: Box<Sink<'a>>,
}

/// What ffmpeg made of its inputs.
pub(super) struct Decoded {
    /// For each input the number of frames that came, or what was wrong with them.
    pub frames: Vec<Result<usize>>,
    /// For each input the number of frames that decoding gave before the filter, where ffmpeg says it.
    pub decoded: Vec<Option<usize>>,
    /// What is wrong with the data of any input.
    pub fault: Option<Fault>,
    /// The first errors that ffmpeg wrote, of whatever input.
    pub errors: Vec<String>,
    pub succeeded: bool,
    pub stalled: bool,
}

/// Number of frames and their mean rate, as ffprobe says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Probed {
    pub frames: usize,
    pub fps: Option<f64>,
    /// Whether the first frame of the file is one that decoding can begin with.
    pub keyed: bool,
}

impl Programs {
    /// Decodes all inputs in one process: to start one costs as much as to decode several small clips.
    pub(super) fn decode(&self, inputs: Vec<Input>) -> Result<Decoded> {
        let passthrough: [&str; 2] =
            if self.knows_fps_mode()? { ["-fps_mode", "passthrough"] } else { ["-vsync", "passthrough"] };
        let pipe = |_| std::io::pipe().map_err(|error| Error::failed(format!("cannot make a pipe: {error}")));
        let (readers, writers): (Vec<PipeReader>, Vec<PipeWriter>) =
            (0..inputs.len()).map(pipe).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let mut command = Command::new(&self.ffmpeg);
        // Frames of another size or format in mid-stream must not start the filter, and its count of frames, anew.
        let most_pixels = MOST_PIXELS.to_string();
        let only = ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS, "-max_pixels", &most_pixels];
        let each_input = ["-reinit_filter", "0", "-threads", "1"];
        command.args(["-hide_banner", "-nostdin", "-nostats", "-v", "level+verbose", "-filter_threads", "1", "-y"]);
        for input in &inputs {
            let name = address(input.path)?;
            command.args(only).args(each_input);
            // A name with a per cent sign would be taken for the pattern of a sequence of images.
            if name.as_encoded_bytes().to_ascii_lowercase().ends_with(b".gif") {
                command.args(["-f", "gif"]);
            }
            command.arg("-i").arg(name);
        }
        for (at, (input, writer)) in inputs.iter().zip(&writers).enumerate() {
            // The capital V leaves out covers and thumbnails.
            command.args(["-map", &format!("{at}:V:0")]).args(passthrough);
            command.args(input.filter.iter().flat_map(|filter| ["-vf", filter]));
            command.args(["-threads", "1", "-c:v", "ppm", "-pix_fmt", "rgb24", "-f", "image2pipe"]);
            command.arg(format!("pipe:{}", writer.as_raw_fd()));
        }
        let child = self.start(command.stdout(Stdio::null()).stderr(Stdio::piped()), &self.ffmpeg, writers)?;
        Ok(self.collect(child, inputs, readers))
    }

    /// Reads all pipes side by side until the last one ends.
    fn collect(&self, mut child: Guarded, inputs: Vec<Input>, readers: Vec<PipeReader>) -> Decoded {
        let count = inputs.len();
        let messages = child.stderr();
        std::thread::scope(|scope| {
            let (progress, watch) = progress();
            let frames: Vec<_> = inputs
                .into_iter()
                .zip(readers)
                .map(|(input, reader)| {
                    let progress = progress.clone();
                    scope.spawn(move || read_frames(reader, input, &progress))
                })
                .collect();
            let listening =
                scope.spawn(move || Messages::read(messages.map(BufReader::new), count, || progress.sign()));
            let stalled = self.watch(&watch, &mut child);
            let ended = child.wait(self.stall);
            let succeeded = ended.as_ref().is_ok_and(|status| status.success());
            let lost = |_| Err(Error::failed("the thread that takes frames panicked"));
            let frames = frames.into_iter().map(|thread| thread.join().unwrap_or_else(lost)).collect();
            let Messages { decoded, fault, mut errors } = listening.join().unwrap_or_else(|_| Messages::of(count));
            if errors.is_empty() && !succeeded {
                errors.push(ended.map_or_else(|error| error.to_string(), |status| format!("it ended with {status}")));
            }
            Decoded { frames, decoded, fault, errors, succeeded, stalled }
        })
    }

    /// Waits for the threads to finish, each of which holds a [`Progress`]; whether the program had to be stopped.
    fn watch(&self, watch: &Watch, child: &mut Guarded) -> bool {
        let (mut stalled, mut before) = (false, 0);
        loop {
            let ended = watch.end.recv_timeout(self.stall);
            let now = watch.signs.load(Ordering::Relaxed);
            let busy = watch.busy.load(Ordering::Relaxed) > 0;
            match ended {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => return stalled,
                Err(RecvTimeoutError::Timeout) if now != before || busy => before = now,
                // With all that it has started, so the pipes end too.
                Err(RecvTimeoutError::Timeout) => {
                    stalled = true;
                    child.end();
                }
            }
        }
    }

    /// Starts a program without input, with the `writers` open, which close here once it runs.
    fn start(&self, command: &mut Command, program: &OsStr, writers: Vec<PipeWriter>) -> Result<Guarded> {
        let failed = |error: &dyn std::fmt::Display| {
            Error::failed(format!("cannot start {}: {error}", program.to_string_lossy()))
        };
        let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        // Moved here so that they close before the lock opens, whatever happens.
        let writers = writers;
        let group = Guarded::prepare().map_err(|error| failed(&error))?;
        for writer in &writers {
            fcntl_setfd(writer, FdFlags::empty()).map_err(|error| failed(&error))?;
        }
        group.spawn(command.stdin(Stdio::null())).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => self.missing(program),
            _ => failed(&error),
        })
    }

    fn missing(&self, program: &OsStr) -> Error {
        let name = program.to_string_lossy();
        Error::failed(format!("the program `{name}` is not found, which video files are read with")).help(
            "install FFmpeg 4.4 or later (`apt install ffmpeg`, `brew install ffmpeg` or `conda install -c conda-forge \
             ffmpeg`), or name it in MACLIP_FFMPEG and MACLIP_FFPROBE; folders of frames and the built-in benchmark do \
             not need it",
        )
    }

    /// Runs a program to its end.
    fn run(&self, command: &mut Command, program: &OsStr) -> Result<Output> {
        let mut child = self.start(command.stdout(Stdio::piped()).stderr(Stdio::piped()), program, Vec::new())?;
        let (stdout, stderr) = (child.stdout(), child.stderr());
        let failed = |why: &str| Error::failed(format!("{} {why}", program.to_string_lossy()));
        std::thread::scope(|scope| {
            let (running, watch) = progress();
            let held = running.clone();
            let stdout = scope.spawn(move || read_all(stdout, running));
            let stderr = scope.spawn(move || read_all(stderr, held));
            if self.watch(&watch, &mut child) {
                return Err(failed(&format!("took longer than {} s and was stopped", self.stall.as_secs_f64())));
            }
            let status = child.wait(self.stall).map_err(|error| failed(&error.to_string()))?;
            let read = || Some(Output { status, stdout: stdout.join().ok()?, stderr: stderr.join().ok()? });
            read().ok_or_else(|| failed("could not be read from"))
        })
    }

    /// Whether both programs are there and run. Asked once for each of them.
    pub(super) fn ready(&self) -> Result<()> {
        static READY: Mutex<Option<HashSet<OsString>>> = Mutex::new(None);
        self.knows_fps_mode()?;
        let mut ready = READY.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = ready.get_or_insert_default();
        if !ready.contains(&self.ffprobe) {
            self.run(Command::new(&self.ffprobe).arg("-version"), &self.ffprobe)?;
            ready.insert(self.ffprobe.clone());
        }
        Ok(())
    }

    /// Whether ffmpeg has the option `-fps_mode`, new in version 5.1, which takes the place of `-vsync`.
    fn knows_fps_mode(&self) -> Result<bool> {
        static KNOWN: Mutex<Option<HashMap<OsString, bool>>> = Mutex::new(None);
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if let Some(&answer) = known.get(&self.ffmpeg) {
            return Ok(answer);
        }
        let help = self.run(Command::new(&self.ffmpeg).args(["-hide_banner", "-h", "long"]), &self.ffmpeg)?;
        let answer = String::from_utf8_lossy(&help.stdout).contains("-fps_mode");
        known.insert(self.ffmpeg.clone(), answer);
        Ok(answer)
    }

    /// Number of packets (`exact` false: fast) or of decoded frames (`exact` true) of the video.
    pub(super) fn probe(&self, path: &Path, exact: bool) -> Result<Probed> {
        let (option, key) =
            if exact { ("-count_frames", "nb_read_frames") } else { ("-count_packets", "nb_read_packets") };
        let mut command = Command::new(&self.ffprobe);
        command.args(["-v", "error", "-protocol_whitelist", "file", "-format_whitelist", CONTAINERS]);
        command.args(["-max_pixels", &MOST_PIXELS.to_string(), option, "-select_streams", "V:0", "-show_entries"]);
        // The flags of all packets come with the count; only those of the first are of interest.
        let packets = if exact { "" } else { ":packet=flags" };
        command.arg(format!("stream=avg_frame_rate,{key}{packets}")).args(["-of", "default=noprint_wrappers=1"]);
        let name = address(path)?;
        if name.as_encoded_bytes().to_ascii_lowercase().ends_with(b".gif") {
            command.args(["-f", "gif"]);
        }
        let output = self.run(command.arg("-i").arg(name), &self.ffprobe)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            let other = message.lines().find_map(other_container);
            let message = other.unwrap_or_else(|| message.lines().last().unwrap_or("no message").to_owned());
            return Err(unreadable(path, &message));
        }
        let Some(rate) = value("avg_frame_rate") else { return Err(no_video(path)) };
        let frames = value(key).and_then(|count| count.parse().ok()).unwrap_or(0);
        // Where no packet was listed, decoding says what is wrong.
        let keyed = value("flags").is_none_or(|flags| flags.contains('K'));
        Ok(Probed { frames, fps: rate_of(rate), keyed })
    }
}

/// Starts another program that decodes, while no pipes are open for one of these.
#[cfg(feature = "libav")]
pub(super) fn spawn(command: &mut Command) -> std::io::Result<Guarded> {
    let _alone = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    Guarded::prepare()?.spawn(command)
}

/// `30000/1001` → 29.97; `0/0` is unknown.
fn rate_of(text: &str) -> Option<f64> {
    let (over, under) = text.split_once('/')?;
    let (over, under): (f64, f64) = (over.parse().ok()?, under.parse().ok()?);
    (over > 0.0 && under > 0.0).then(|| over / under)
}

/// The name of a file such that ffmpeg takes nothing in it for an option or a protocol.
pub(super) fn address(path: &Path) -> Result<OsString> {
    let path = std::path::absolute(path).map_err(|error| Error::io("find", path, error))?;
    let mut address = OsString::from("file:");
    address.push(path);
    Ok(address)
}

pub(super) fn unreadable(path: &Path, message: &str) -> Error {
    Error::failed(format!("clip {}: ffmpeg cannot read it: {message}", path.display()))
}

pub(super) fn no_video(path: &Path) -> Error {
    Error::failed(format!("clip {}: has no video", path.display()))
}

/// What a thread that reads from a program holds: signs of life, and an end of a channel that closes with the last
/// thread.
#[derive(Clone)]
struct Progress {
    signs: Arc<AtomicUsize>,
    /// Frames that are being worked on here: meanwhile the program waits, and is not to blame.
    busy: Arc<AtomicUsize>,
    _end: Sender<()>,
}

impl Progress {
    fn sign(&self) {
        self.signs.fetch_add(1, Ordering::Relaxed);
    }
}

/// The other side of [`Progress`]. Counted, not sent: a message for each frame would wake the watcher as often.
struct Watch {
    signs: Arc<AtomicUsize>,
    busy: Arc<AtomicUsize>,
    end: Receiver<()>,
}

fn progress() -> (Progress, Watch) {
    let (_end, end) = channel();
    let [signs, busy] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    (Progress { signs: signs.clone(), busy: busy.clone(), _end }, Watch { signs, busy, end })
}

/// What comes out of a pipe, at most [`LONGEST`] bytes; `running` is held until then.
fn read_all(pipe: Option<impl Read>, running: Progress) -> Vec<u8> {
    let (mut text, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
    let Some(mut pipe) = pipe.map(|pipe| pipe.take(LONGEST)) else { return text };
    // What was read before an error counts; the program's exit status says whether it is all.
    while let Some(count) = pipe.read(&mut buffer).ok().filter(|&count| count > 0) {
        running.sign();
        text.extend_from_slice(&buffer[..count]);
    }
    text
}

/// Gives all frames of a pipe to the sink. After an error the rest is read all the same: a pipe that closes early would
/// end the process, and with it the other clips.
fn read_frames(pipe: PipeReader, mut input: Input, progress: &Progress) -> Result<usize> {
    let mut pipe = BufReader::new(pipe);
    let mut count = 0;
    let mut all = || {
        while let Some(image) = read_ppm(&mut pipe)? {
            progress.sign();
            progress.busy.fetch_add(1, Ordering::Relaxed);
            let taken = (input.sink)(count, image);
            progress.busy.fetch_sub(1, Ordering::Relaxed);
            taken?;
            count += 1;
        }
        Ok(())
    };
    let outcome = all();
    std::io::copy(&mut pipe, &mut std::io::sink()).ok();
    outcome.map(|()| count)
}

/// One binary PPM as ffmpeg writes it, `P6\nWIDTH HEIGHT\n255\n` and the pixels, or the end of the pipe.
fn read_ppm(pipe: &mut impl BufRead) -> Result<Option<Image>> {
    let failed = |error| Error::failed(format!("cannot read from ffmpeg: {error}"));
    let mut header = Vec::new();
    for _ in 0..3 {
        pipe.by_ref().take(64).read_until(b'\n', &mut header).map_err(failed)?;
    }
    if header.is_empty() {
        return Ok(None);
    }
    let size = std::str::from_utf8(&header).ok().and_then(|text| {
        let (width, height) = text.strip_prefix("P6\n")?.strip_suffix("\n255\n")?.split_once(' ')?;
        Some((width.parse::<usize>().ok()?, height.parse::<usize>().ok()?))
    });
    let pixels = |(width, height): (usize, usize)| width.checked_mul(height).filter(|&pixels| pixels <= MOST_PIXELS);
    let bytes = size.and_then(|size| pixels(size)?.checked_mul(3)).filter(|&bytes| bytes > 0);
    let (Some((width, height)), Some(bytes)) = (size, bytes) else {
        return Err(Error::failed("ffmpeg gave no frame where one was expected"));
    };
    let mut pixels = Vec::new();
    pixels.try_reserve_exact(bytes).map_err(|_| Error::failed(format!("no memory for {width}x{height} pixels")))?;
    pipe.by_ref().take(bytes as u64).read_to_end(&mut pixels).map_err(failed)?;
    if pixels.len() < bytes {
        return Err(Error::failed("ffmpeg ended within a frame"));
    }
    Ok(Some(Image { width, height, pixels }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzz_ppm() {
        let seeds: [&[u8]; 2] = [b"P6\n2 1\n255\n\n23456P6\n1 1\n255\nabc", b"P6\n3 2\n255\n123456789012345678"];
        maclip_fuzzing::each("ppm", &seeds, |mut bytes| while let Ok(Some(_)) = read_ppm(&mut bytes) {});
    }

    #[test]
    fn readers_ffmpeg_frames_are_cut_from_the_pipe() {
        let two = b"P6\n2 1\n255\n\n23456P6\n1 1\n255\nabc";
        let mut pipe = &two[..];
        let first = read_ppm(&mut pipe).unwrap().unwrap();
        assert_eq!(first, Image { width: 2, height: 1, pixels: b"\n23456".to_vec() });
        assert_eq!(read_ppm(&mut pipe).unwrap().unwrap(), Image { width: 1, height: 1, pixels: b"abc".to_vec() });
        assert_eq!(read_ppm(&mut pipe).unwrap(), None);
        for bad in ["P5\n2 1\n255\n", "P6\n2 1\n", "P6\n0 1\n255\n", "P6\n2 1\n65535\n", "P6\n2 1\n255\n12345", "x"] {
            assert!(read_ppm(&mut bad.as_bytes()).is_err(), "{bad:?}");
        }
        let huge = format!("P6\n{} {}\n255\n", usize::MAX, 2);
        assert!(read_ppm(&mut huge.as_bytes()).is_err());
    }

    #[test]
    fn readers_ffmpeg_rates() {
        assert_eq!(rate_of("30000/1001"), Some(30000.0 / 1001.0));
        assert_eq!([rate_of("0/0"), rate_of("25"), rate_of("-1/2"), rate_of("N/A")], [None; 4]);
    }
}
