//! What FFmpeg's libraries give, beside what the `ffmpeg` program gives; and children that fail. Run with
//! `cargo test --release --workspace --features libav --lib readers`.

use super::super::tests::make;
use super::*;
use crate::needs::no_ffmpeg;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

fn trusted() -> VideoReader {
    let mut reader = VideoReader::default();
    reader.decoder = Decoder::LibavTrusted;
    reader
}

fn request<'a>(path: &'a Path, choose: &'a (dyn Fn(&Timeline) -> Result<Vec<usize>> + Sync)) -> FileRequest<'a> {
    FileRequest { path, choose, each: &Ok }
}

/// Every test of videos calls this: the outcomes of the program and of the libraries are the same, messages included.
pub(in super::super) fn agree(reader: &VideoReader, requests: &[FileRequest], outcomes: &[Result<Opened>]) {
    use super::super::ClipReader;
    let mut other = trusted();
    // Those of a reader that tests other programs are not asked here.
    if reader.programs.ffmpeg != "ffmpeg" {
        return;
    }
    other.programs = reader.programs.clone();
    for ((request, theirs), ours) in requests.iter().zip(outcomes).zip(other.read(requests)) {
        match (theirs, &ours) {
            (Ok(theirs), Ok(ours)) => assert!(theirs == ours, "{}", request.path.display()),
            (Err(theirs), Err(ours)) => assert_eq!(theirs.to_string(), ours.to_string()),
            (theirs, ours) => {
                let refusal = theirs.as_ref().err().or(ours.as_ref().err());
                panic!("{}: one of the two refuses: {refusal:?}", request.path.display())
            }
        }
    }
}

/// Moving detail, so that every frame has other pixels, by whatever encoder.
fn moving(path: &Path, size: &str, seconds: &str, arguments: &str) {
    let source = format!("testsrc2=size={size}:rate=25:duration={seconds}");
    let words = arguments.split_whitespace();
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-y", "-f", "lavfi", "-i", &source]).args(words).arg(path);
    assert!(command.status().unwrap().success(), "{arguments}");
}

#[test]
fn readers_libav_frames_are_those_of_the_program_byte_for_byte() {
    use super::super::ClipReader;
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, size, arguments) in [
        ("plain.mp4", "322x242", "-c:v libx264 -pix_fmt yuv420p"),
        ("many_b.mp4", "322x242", "-c:v libx264 -x264-params bframes=8:b-pyramid=2:weightp=2 -pix_fmt yuv420p"),
        ("open.mkv", "322x242", "-c:v libx264 -x264-params keyint=12:open-gop=1 -pix_fmt yuv420p"),
        ("hd_colours.mp4", "322x242", "-c:v libx264 -colorspace bt709 -color_range tv -pix_fmt yuv422p"),
        ("full_range.mp4", "322x242", "-c:v libx264 -color_range pc -pix_fmt yuvj420p"),
        ("wide_colours.mp4", "64x48", "-c:v libx264 -colorspace bt2020nc -pix_fmt yuv420p10le"),
        ("interlaced.mp4", "320x240", "-c:v libx264 -flags +ildct+ilme -x264-params tff=1 -pix_fmt yuv420p"),
        ("sound.mp4", "64x48", "-f lavfi -i sine=duration=1 -c:a aac -c:v libx264 -pix_fmt yuv420p"),
        ("stream.ts", "322x242", "-c:v libx264 -pix_fmt yuv420p"),
        ("hevc.mp4", "322x242", "-c:v libx265 -x265-params log-level=error -pix_fmt yuv420p"),
        ("vp9.webm", "322x242", "-c:v libvpx-vp9 -deadline realtime -pix_fmt yuv420p"),
        ("xvid.avi", "322x242", "-c:v mpeg4 -bf 2"),
        ("mpeg2.mpg", "322x242", "-c:v mpeg2video -bf 2"),
        ("motion_jpeg.avi", "322x242", "-c:v mjpeg"),
    ] {
        let path = dir.path().join(name);
        moving(&path, size, "1.2", arguments);
        for parts in [1, 3, 8, 30] {
            let choose = |timeline: &Timeline| {
                Ok((0..parts).map(|part| (2 * part + 1) * timeline.frames / (2 * parts)).collect())
            };
            let request = request(&path, &choose);
            let theirs = VideoReader::default().read(&[request]).remove(0).unwrap();
            let ours = read(&trusted(), &request).unwrap_or_else(|| panic!("{name} is left to the program")).unwrap();
            assert!(theirs == ours, "{name}: {parts} frames");
        }
    }
}

#[test]
fn readers_libav_leaves_to_the_program_what_it_cannot_read() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    moving(&at("fine.mp4"), "64x48", "1", "-c:v libx264 -pix_fmt yuv420p");
    moving(&at("animation.gif"), "64x48", "1", "");
    let fine = fs::read(at("fine.mp4")).unwrap();
    // Bits in the middle of the key frame, which comes first.
    let data = fine.windows(4).position(|name| name == b"mdat").unwrap();
    let mut damaged = fine.clone();
    damaged[data + 1200..data + 1300].iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs::write(at("damaged.mp4"), damaged).unwrap();
    for (name, here) in [("fine.mp4", true), ("animation.gif", false), ("damaged.mp4", false)] {
        let outcome = read(&trusted(), &request(&at(name), &|_| Ok(vec![3])));
        assert_eq!(outcome.is_some(), here, "{name}");
    }
}

#[test]
fn readers_libav_damage_is_never_seen_in_a_frame() {
    use super::super::ClipReader;
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (sound, broken) = (dir.path().join("sound.mp4"), dir.path().join("broken.mp4"));
    moving(&sound, "96x64", "1", "-c:v libx264 -pix_fmt yuv420p");
    let bytes = fs::read(&sound).unwrap();
    let choose = |timeline: &Timeline| Ok(vec![2, timeline.frames / 2, timeline.frames - 1]);
    let whole = read(&trusted(), &request(&sound, &choose)).unwrap().unwrap();
    let (mut refused, mut spared) = (0, 0);
    for case in 0..60_usize {
        let mut damaged = bytes.clone();
        let at = 48 + (case * 7919 + 13) % (bytes.len() - 64);
        damaged[at..at + 1 + case % 12].iter_mut().for_each(|byte| *byte ^= 0x41 + case as u8);
        fs::write(&broken, damaged).unwrap();
        let request = request(&broken, &choose);
        let theirs = VideoReader::default().read(&[request]).remove(0);
        match (theirs, trusted().read(&[request]).remove(0)) {
            (Ok(theirs), Ok(ours)) => assert!(theirs == ours, "case {case}"),
            (Err(theirs), Err(ours)) => {
                refused += 1;
                assert_eq!(theirs.to_string(), ours.to_string(), "case {case}");
            }
            // In a frame that was not decoded.
            (Err(_), Ok(ours)) => {
                spared += 1;
                assert!(ours.frames == whole.frames, "case {case}");
            }
            (Ok(_), Err(error)) => panic!("case {case}: {error}"),
        }
    }
    assert!(refused > 10, "{refused} refused, {spared} with damage that nobody needs");
}

#[test]
fn readers_libav_large_files_are_read_twice_and_give_the_same() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mp4");
    moving(&path, "64x48", "2", "-c:v libx264 -pix_fmt yuv420p");
    let name = address(&path).unwrap();
    let decoded = |held: bool| {
        let mut clip = Clip::open(name.to_str().unwrap(), &mut || Ok(())).unwrap();
        if !held {
            clip.drop_held();
        }
        let mut frames = Vec::new();
        let mut take = |sign| {
            if let Sign::Frame(number, image) = sign {
                frames.push((number, image));
            }
            Ok(())
        };
        let count = clip.decode(&BTreeSet::from([3, 20, 49]), &mut Converter::default(), &mut take).unwrap();
        assert_eq!(count, Some(50));
        frames
    };
    assert_eq!(decoded(true).len(), 3);
    assert!(decoded(true) == decoded(false));
}

/// A program that serves as a child would, written as a script.
fn script(folder: &Path, name: &str, text: &str) -> VideoReader {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\nprintf 'maclip decodes 1'\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut reader = VideoReader::default();
    reader.decoder = Decoder::Libav;
    reader.programs.maclip = Some(path.into());
    reader.programs.stall = Duration::from_millis(500);
    reader
}

#[test]
fn readers_libav_a_child_that_fails_is_an_error_of_its_clip() {
    use super::super::ClipReader;
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mp4");
    make(&path, 5, (64, 48), "-c:v libx264 -qp 4 -pix_fmt yuv420p");
    let first = |_: &Timeline| Ok(vec![0]);
    let request = request(&path, &first);
    let refusal = |reader: &VideoReader| reader.read(&[request]).remove(0).unwrap_err().to_string();
    // Says a frame of no size, dies, hangs, and gives what nobody asked for.
    for (name, text, reason) in [
        ("crashes", "head -c 1 >/dev/null; kill -SEGV $$", "it closed its pipe; it ended with signal"),
        ("hangs", "exec sleep 60", "it gave nothing for 0.5 s and was stopped"),
        ("babbles", "printf 'zzzz'; exec sleep 60", "an unknown answer"),
        ("confuses", "printf 'a'; exec sleep 60", "another answer than was asked for"),
        ("huge", "printf 'x\\377\\377\\377\\377\\377\\377\\377\\377'; exec sleep 60", "too long a message"),
    ] {
        let error = refusal(&script(dir.path(), name, text));
        for part in ["clip.mp4", reason, "dataset.decoder: ffmpeg"] {
            assert!(error.contains(part), "{name}: {error}");
        }
    }
    // A child that leaves a clip to the program, and stays for the next one.
    let odd = "printf 'x\\1\\0\\0\\0\\0\\0\\0\\0?x\\1\\0\\0\\0\\0\\0\\0\\0?'; exec sleep 60";
    let reader = script(dir.path(), "odd", odd);
    for _ in 0..2 {
        assert_eq!(reader.read(&[request]).remove(0).unwrap().timeline.frames, 5);
    }
    let mut reader = script(dir.path(), "other", "");
    reader.programs.maclip = Some("/bin/echo".into());
    let error = refusal(&reader);
    assert!(error.contains("/bin/echo") && error.contains("MACLIP_PROGRAM"), "{error}");
    assert!(reader.ready().unwrap_err().to_string().contains("does not answer as a decoder does"));
}
