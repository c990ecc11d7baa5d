//! What the programs `ffmpeg` and `ffprobe` say beside the frames, and what it means for a clip.
//!
//! FFmpeg decodes what it can, and says in words what it made up. The words are those of versions 4.4 to 7.

use super::ffmpeg::CONTAINERS;
use std::io::BufRead;

/// How FFmpeg says that a file is of no container in [`CONTAINERS`].
const NOT_LISTED: &str = "Format not on whitelist";

/// Messages by which ffmpeg says that it decodes from the middle of a video.
const NO_KEY: &[&str] = &["first frame is no keyframe", "without a prior keyframe", "Missing key frame"];

/// Messages by which ffmpeg says that it makes frames up, because data or the frames that they build on are missing.
const CONCEALED: &[&str] = &[
    "concealing ",
    "error while decoding MB",
    "decode_slice_header error",
    "no frame!",
    "non-existing PPS",
    "non-existing SPS",
    "Missing reference picture",
    "reference picture missing",
    "unref short failure",
    "co located POCs unavailable",
    "Frame num gap",
    "Could not find ref with POC",
    "Error constructing the frame RPS",
    "Not all references are available",
    "Requested reference",
    "ac-tex damaged",
    "slice mismatch",
    "mb incr damaged",
    "missing picture in access unit",
];

/// Messages by which ffmpeg says that a frame it gives is not what was stored, or that the data end early.
const DAMAGE: &[&str] = &[
    "corrupt decoded frame",
    "corrupt input packet",
    "Error while decoding stream",
    "Error submitting packet to decoder",
    "Decoding error",
    "Error during demuxing",
    "partial file",
    "File ended prematurely",
    "invalid as first byte of an EBML number",
];

/// What is wrong with the data of a video that decodes all the same, with what ffmpeg said of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Frames are made up, or build on frames that are missing.
    Concealed(String),
    /// Frames are not what was stored, or the data end early.
    Damaged(String),
    /// Decoding begins at a frame that builds on others, so the first frames are grey or missing.
    NoKey(String),
}

impl Fault {
    /// What a message is a sign of.
    fn of(text: &str) -> Option<Self> {
        let says = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
        match () {
            () if says(NO_KEY) => Some(Self::NoKey(text.to_owned())),
            () if says(DAMAGE) => Some(Self::Damaged(text.to_owned())),
            () if says(CONCEALED) => Some(Self::Concealed(text.to_owned())),
            () => None,
        }
    }

    /// The reason for a clip of which `count` of `listed` frames decode.
    pub(super) fn reason(&self, count: usize, listed: usize) -> String {
        let (what, said) = match self {
            Self::NoKey(said) => ("starts without a key frame", said),
            Self::Damaged(said) => ("truncated or damaged", said),
            Self::Concealed(said) => ("FFmpeg conceals errors in it", said),
        };
        match said.as_str() {
            "" => format!("{what}: {count} of {listed} frames decode"),
            said => format!("{what}: {count} of {listed} frames decode; FFmpeg says: {said}"),
        }
    }
}

/// What FFmpeg takes a file for, where that is none of [`CONTAINERS`]: from the line
/// `[hls @ 0x55] Format not on whitelist 'mov'`, with or without `[error]` in it.
pub(super) fn other_container(line: &str) -> Option<String> {
    let name = line.contains(NOT_LISTED).then(|| line.strip_prefix('[')?.split_once(" @ "))??.0;
    Some(format!("it is of the kind `{name}`, and videos are files of the kinds {}", CONTAINERS.replace(',', ", ")))
}

/// What ffmpeg wrote beside the frames.
#[derive(Debug, PartialEq)]
pub(super) struct Messages {
    /// For each input the number of frames that decoding gave before the filter, where ffmpeg says it.
    pub decoded: Vec<Option<usize>>,
    /// The worst that was said, and of that the first.
    pub fault: Option<Fault>,
    /// The first errors, of whatever input.
    pub errors: Vec<String>,
}

impl Messages {
    /// The first errors say what happened; a damaged file can give thousands.
    const KEPT: usize = 16;

    /// None yet.
    pub(super) fn of(inputs: usize) -> Self {
        Self { decoded: vec![None; inputs], fault: None, errors: Vec::new() }
    }

    /// Takes them line by line; `sign` is called for each.
    pub(super) fn read(lines: Option<impl BufRead>, inputs: usize, sign: impl Fn()) -> Self {
        let mut messages = Self::of(inputs);
        let Some(mut lines) = lines else { return messages };
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            sign();
            messages.line(String::from_utf8_lossy(&line).trim());
            line.clear();
        }
        messages
    }

    fn line(&mut self, line: &str) {
        // `[error] text`, with any number of sources before it: `[in#0 @ 0x55] [mov @ 0x56] [error] text`.
        let mut rest = line;
        let (level, text) = loop {
            let Some((head, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else { return };
            match head.contains(" @ ") {
                true => rest = after,
                false => break (head, after),
            }
        };
        let text = text.trim_start();
        if matches!(level, "error" | "fatal" | "panic" | "warning") {
            self.note(Fault::of(text));
            if level != "warning" && self.errors.len() < Self::KEPT {
                self.errors.push(other_container(line).unwrap_or_else(|| text.to_string()));
            }
        } else if rest.len() < line.len() && text.starts_with("concealing ") {
            // A remark of a decoder; a line without a source before it is of the file's metadata.
            self.note(Fault::of(text));
        } else if let Some((input, decoded)) = frames_decoded(text)
            && let Some(slot) = self.decoded.get_mut(input)
        {
            *slot = Some(decoded);
            // Version 6.1 and later count them too.
            if text.contains(" decode errors") && !text.contains("; 0 decode errors") {
                self.note(Some(Fault::Damaged(String::new())));
            }
        }
    }

    fn note(&mut self, found: Option<Fault>) {
        let worse = |found: &Fault| {
            self.fault.as_ref().is_none_or(|before| std::mem::discriminant(before) != std::mem::discriminant(found))
                && self.fault.as_ref() < Some(found)
        };
        if let Some(found) = found.filter(worse) {
            self.fault = Some(found);
        }
    }
}

/// `Input stream #3:0 (video): 40 packets read (6525 bytes); 40 frames decoded;` → (3, 40).
fn frames_decoded(line: &str) -> Option<(usize, usize)> {
    let (stream, rest) = line.strip_prefix("Input stream #")?.split_once(" (video): ")?;
    let input = stream.split_once(':')?.0.parse().ok()?;
    let (before, _) = rest.split_once(" frames decoded")?;
    Some((input, before.rsplit(' ').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_ffmpeg_summary_and_errors_are_understood() {
        let log = "[info] Input #0, mov, from 'file:/a.mp4':\n\
                   [h264 @ 0x5582] [error] error while decoding MB 1 2\n\
                   [vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [warning] corrupt decoded frame\n\
                   [verbose]   Input stream #1:0 (video): 40 packets read (6525 bytes); 39 frames decoded; \n\
                   [verbose]   Input stream #0:1 (audio): 4 packets read (65 bytes); 4 frames decoded (9 samples); \n\
                   [verbose]   Input stream #7:0 (video): 1 packets read (1 bytes); 1 frames decoded; 0 decode errors\n\
                   [info]     title : x\n[info]         : Input stream #0:0 (video): 9 frames decoded\n";
        let got = Messages::read(Some(log.as_bytes()), 2, || {});
        let errors = vec!["error while decoding MB 1 2".to_string()];
        let fault = Some(Fault::Damaged("corrupt decoded frame".to_string()));
        assert_eq!(got, Messages { decoded: vec![None, Some(39)], fault, errors });
    }

    #[test]
    fn readers_ffmpeg_the_worst_fault_is_named_and_other_kinds_of_files_are() {
        let fault = |log: &str| Messages::read(Some(log.as_bytes()), 1, || {}).fault;
        let (key, gap) = ("warning: first frame is no keyframe", "Missing reference picture, default is 0");
        let [key_line, gap_line] = [key, gap].map(|text| format!("[h264 @ 0x5] [error] {text}\n"));
        assert_eq!(fault(&gap_line), Some(Fault::Concealed(gap.to_owned())));
        for log in [format!("{gap_line}{key_line}"), format!("{key_line}{gap_line}{gap_line}")] {
            assert_eq!(fault(&log), Some(Fault::NoKey(key.to_owned())));
        }
        let concealing = "concealing 40 DC, 40 AC, 40 MV errors in P frame";
        assert_eq!(
            fault(&format!("[h264 @ 0x5] [info] {concealing}\n")),
            Some(Fault::Concealed(concealing.to_owned()))
        );
        assert_eq!(fault("[info] title: no frame!\n[h264 @ 0x5] [warning] deprecated pixel format\n"), None);
        let other = other_container("[hls @ 0x55] [error] Format not on whitelist 'mov,avi'").unwrap();
        assert!(other.starts_with("it is of the kind `hls`, and videos are files of the kinds asf, avi"), "{other}");
        assert_eq!(other_container("[hls @ 0x55] [error] Invalid data"), None);
    }
}
