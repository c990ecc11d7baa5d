//! Readers on frames and videos written for each test. Frame k of a video is grey of the level 20 + 10 k, which tells
//! frames apart through any codec.

use super::mp4::Header;
use super::video::VideoReader;
use super::*;
use crate::needs::no_ffmpeg;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn level(frame: usize) -> u8 {
    20 + 10 * frame as u8
}

/// Writes a video of `frames` frames at 25 per second; `arguments` say how.
pub(super) fn make(path: &Path, frames: usize, (width, height): (usize, usize), arguments: &str) {
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-r", "25", "-s"])
        .args([&format!("{width}x{height}"), "-i", "-"])
        .args(arguments.split_whitespace())
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = child.stdin.take().unwrap();
    (0..frames).for_each(|k| pipe.write_all(&vec![level(k % 23); width * height * 3]).unwrap());
    drop(pipe);
    assert!(child.wait().unwrap().success(), "{arguments}");
}

const H264: &str = "-c:v libx264 -qp 4 -pix_fmt yuv420p";

fn pick(path: &Path, indices: &[usize]) -> Result<Opened> {
    read(&VideoReader::default(), &[(path, indices)]).remove(0)
}

fn read(reader: &VideoReader, clips: &[(&Path, &[usize])]) -> Vec<Result<Opened>> {
    type Choose<'a> = Box<dyn Fn(&Timeline) -> Result<Vec<usize>> + Sync + 'a>;
    let choose: Vec<Choose> =
        clips.iter().map(|&(_, indices)| Box::new(move |_: &Timeline| Ok(indices.to_vec())) as Choose).collect();
    let each = Ok;
    let requests: Vec<FileRequest> =
        clips.iter().zip(&choose).map(|(&(path, _), choose)| FileRequest { path, choose, each: &each }).collect();
    let outcomes = reader.read(&requests);
    #[cfg(feature = "libav")]
    libav::tests::agree(reader, &requests, &outcomes);
    outcomes
}

/// The levels of the frames, each read off its middle, as frame numbers.
fn seen(opened: &Opened) -> Vec<usize> {
    let frames = &opened.frames;
    let middle = (frames.height / 2 * frames.width + frames.width / 2) * 3;
    let number = |image: &Vec<u8>| {
        let value = usize::from(image[middle + 1]);
        let number = (value + 5 - 20) / 10;
        assert!(value.abs_diff(20 + 10 * number) <= 4, "level {value} is between two frames");
        number
    };
    frames.images.iter().map(number).collect()
}

fn refusal(path: &Path) -> String {
    pick(path, &[0]).unwrap_err().to_string()
}

#[test]
fn readers_video_frame_i_is_frame_i_in_every_codec() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, arguments) in [
        ("h264.mp4", H264),
        ("b_frames.mov", "-c:v libx264 -qp 4 -bf 3 -pix_fmt yuv420p"),
        ("deep.mp4", "-c:v libx264 -qp 4 -pix_fmt yuv420p10le"),
        ("full.mp4", "-c:v libx264 -qp 4 -pix_fmt yuv444p"),
        ("fast.mp4", "-c:v libx264 -qp 4 -movflags faststart -pix_fmt yuv420p"),
        ("fragments.mp4", "-c:v libx264 -qp 4 -g 5 -movflags frag_keyframe+empty_moov -pix_fmt yuv420p"),
        ("hevc.mp4", "-c:v libx265 -x265-params log-level=error:qp=4 -pix_fmt yuv420p"),
        ("vp9.webm", "-c:v libvpx-vp9 -crf 4 -b:v 0 -auto-alt-ref 1 -lag-in-frames 10 -pix_fmt yuv420p"),
        ("mpeg4.avi", "-c:v mpeg4 -q:v 1 -bf 2 -pix_fmt yuv420p"),
        ("palette.gif", "-c:v gif -pix_fmt gray"),
        ("stream.ts", "-c:v libx264 -qp 4 -pix_fmt yuv420p"),
        ("h264.mkv", H264),
    ] {
        let path = dir.path().join(name);
        make(&path, 20, (64, 48), arguments);
        let reader = VideoReader::default();
        assert_eq!(reader.check(&path), Ok(PassedOver::default()), "{name}");
        let timeline = reader.timeline(&path).unwrap();
        assert_eq!(timeline.frames, 20, "{name}");
        assert!(timeline.fps.is_some_and(|fps| (fps - 25.0).abs() < 0.3), "{name}: {timeline:?}");
        let all: Vec<usize> = (0..20).collect();
        for indices in [&[0][..], &[19], &[3, 17, 3, 0], &[4, 5, 6, 12], &all] {
            let opened = pick(&path, indices).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!((seen(&opened), &opened.indices[..]), (indices.to_vec(), indices), "{name}");
            assert_eq!((opened.frames.width, opened.frames.height), (64, 48), "{name}");
        }
        let beyond = pick(&path, &[20]).unwrap_err().to_string();
        assert!(beyond.contains("has 20 frames; there is no frame 20"), "{beyond}");
    }
}

#[test]
fn readers_video_frames_are_those_of_the_file_whatever_their_times() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("variable.mp4");
    // Each frame lasts longer than the one before.
    make(&path, 20, (64, 48), &format!("-vf setpts=(N+N*N/10)/25/TB -vsync passthrough {H264}"));
    let all: Vec<usize> = (0..20).collect();
    assert_eq!(seen(&pick(&path, &all).unwrap()), all);
    assert_eq!(seen(&pick(&path, &[2, 9, 18]).unwrap()), [2, 9, 18]);
    // A stream that changes its size and format in the middle: the filter must go on counting.
    let parts = [("a.h264", "yuv420p"), ("b.h264", "yuv444p")].map(|(name, format)| {
        let part = dir.path().join(name);
        make(&part, 10, (64, 48), &format!("-c:v libx264 -qp 4 -pix_fmt {format}"));
        fs::read(part).unwrap()
    });
    let path = dir.path().join("joined.h264");
    fs::write(&path, parts.concat()).unwrap();
    assert_eq!(seen(&pick(&path, &[1, 9, 11, 19]).unwrap()), [1, 9, 1, 9]);
}

#[test]
fn readers_video_rotation_is_applied_and_odd_sizes_are_kept() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("turned.mp4");
    make(&path, 4, (64, 48), H264);
    // The matrix of the track's header, in 16.16: a turn by 90 degrees.
    let mut bytes = fs::read(&path).unwrap();
    let header = bytes.windows(4).position(|name| name == b"tkhd").unwrap();
    let turn = [0_u32, 1 << 16, 0, (-(1_i32 << 16)) as u32, 0, 0];
    let matrix: Vec<u8> = turn.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes[header + 44..header + 44 + matrix.len()].copy_from_slice(&matrix);
    fs::write(&path, bytes).unwrap();
    let opened = pick(&path, &[1, 3]).unwrap();
    assert_eq!((opened.frames.width, opened.frames.height, seen(&opened)), (48, 64, vec![1, 3]));

    let path = dir.path().join("odd.mp4");
    make(&path, 4, (123, 77), "-c:v libx264 -qp 4 -pix_fmt yuv444p");
    let opened = pick(&path, &[2]).unwrap();
    assert_eq!((opened.frames.width, opened.frames.height, seen(&opened)), (123, 77, vec![2]));
    let path = dir.path().join("one.mp4");
    make(&path, 1, (64, 48), H264);
    let opened = pick(&path, &[0, 0, 0]).unwrap();
    assert_eq!((opened.timeline.frames, seen(&opened)), (1, vec![0; 3]));
}

#[test]
fn readers_video_long_clips_show_signs_of_life() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.mp4");
    make(&path, 1200, (32, 32), "-c:v libx264 -preset ultrafast -qp 4 -pix_fmt yuv420p");
    for indices in [&[0, 700, 1199][..], &[511, 512, 1023], &[1]] {
        let levels: Vec<usize> = indices.iter().map(|index| index % 23).collect();
        assert_eq!(seen(&pick(&path, indices).unwrap()), levels);
    }
    // More runs than a filter is given.
    let odd: Vec<usize> = (1..1200).step_by(2).collect();
    assert_eq!(seen(&pick(&path, &odd).unwrap()), odd.iter().map(|index| index % 23).collect::<Vec<_>>());
}

#[test]
fn readers_video_unusable_files_are_refused_with_the_reason() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    make(&at("good.mp4"), 20, (64, 48), H264);
    make(&at("fast.mp4"), 20, (64, 48), "-c:v libx264 -qp 1 -movflags faststart -vf noise=alls=40 -pix_fmt yuv420p");
    let good = fs::read(at("good.mp4")).unwrap();
    fs::write(at("no_index.mp4"), &good[..good.len() / 3]).unwrap();
    let fast = fs::read(at("fast.mp4")).unwrap();
    fs::write(at("cut.mp4"), &fast[..fast.len() * 2 / 3]).unwrap();
    let mut broken = fast.clone();
    let middle = fast.len() * 2 / 3;
    broken[middle..middle + 600].iter_mut().for_each(|byte| *byte ^= 0x5a);
    fs::write(at("broken.mp4"), &broken).unwrap();
    fs::write(at("empty.mp4"), b"").unwrap();
    fs::write(at("text.mp4"), b"#EXTM3U\nfile:///etc/passwd\n").unwrap();
    fs::write(at("noise.mp4"), (0..5000_u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect::<Vec<u8>>())
        .unwrap();
    fs::create_dir(at("folder.mp4")).unwrap();
    let tool = |arguments: &str, name: &str| {
        let words = arguments.split_whitespace();
        let done = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(words).arg(at(name)).status().unwrap();
        assert!(done.success(), "{arguments}");
    };
    tool("-f lavfi -i sine=duration=1 -c:a aac", "sound.mp4");
    tool("-f lavfi -i sine=duration=1 -c:a libvorbis", "sound.webm");
    tool("-f lavfi -i testsrc=duration=1 -frames:v 0", "none.mp4");
    tool("-f lavfi -i testsrc=duration=1 -frames:v 0", "none.avi");
    for (name, reason, checked) in [
        ("no_index.mp4", "truncated: the index of the file (`moov`) is missing", true),
        ("cut.mp4", "truncated or damaged: ", true),
        ("broken.mp4", "truncated or damaged: ", false),
        ("empty.mp4", "the file is empty", true),
        ("text.mp4", "a text file, not a video", true),
        ("noise.mp4", "ffmpeg cannot read it", false),
        ("folder.mp4", "is a folder, not a video file", true),
        ("sound.mp4", "has no video", false),
        ("sound.webm", "has no video", false),
        ("none.mp4", "has no ", false),
        ("none.avi", "has no ", false),
        ("gone.mp4", "cannot read", true),
    ] {
        let error = refusal(&at(name));
        assert!(error.contains(reason) && error.contains(name), "{name}: {error}");
        assert_eq!(VideoReader::default().check(&at(name)).is_err(), checked, "{name}");
    }
    let cut = refusal(&at("cut.mp4"));
    let (frames, rest) = cut.split_once("damaged: ").unwrap().1.split_once(" of ").unwrap();
    assert!(frames.parse::<usize>().unwrap() < 20 && rest.starts_with("20 frames decode; FFmpeg says: "), "{cut}");

    // One broken clip among good ones spoils no other.
    let names = ["good.mp4", "cut.mp4", "fast.mp4", "noise.mp4", "sound.mp4", "broken.mp4", "good.mp4"];
    let paths: Vec<PathBuf> = names.iter().map(|name| at(name)).collect();
    let clips: Vec<(&Path, &[usize])> = paths.iter().map(|path| (&**path, &[2_usize, 5][..])).collect();
    let outcomes = read(&VideoReader::default(), &clips);
    for (name, outcome) in names.iter().zip(&outcomes) {
        match outcome {
            Ok(opened) => assert!(["good.mp4", "fast.mp4"].contains(name) && opened.indices == [2, 5], "{name}"),
            Err(error) => assert!(error.to_string().contains(name) && !name.starts_with("good"), "{name}: {error}"),
        }
    }
    assert!(outcomes[2].is_ok());
}

#[test]
fn readers_video_lists_of_files_are_refused_however_they_begin() {
    use std::os::unix::fs::symlink;
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    make(&at("inside.ts"), 5, (64, 48), H264);
    make(&at("shot1.png"), 1, (64, 48), "-c:v png");
    fs::copy(at("shot1.png"), at("shot2.png")).unwrap();
    let inside = at("inside.ts").display().to_string();
    let hls = |begin: &str| {
        let begin = begin.as_bytes();
        [b"#EXTM3U\n", begin, b"#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n", inside.as_bytes(), b"\n#EXT-X-ENDLIST\n"]
            .concat()
    };
    let concat = |begin: &[u8]| [b"ffconcat version 1.0\n", begin, b"file inside.ts\n"].concat();
    for (name, bytes) in [
        ("plain.mp4", hls("")),
        ("accent.mp4", hls("# \u{e9}\n")),
        ("control.mp4", hls("# \u{1} \u{e9}\n")),
        ("zeros.mp4", hls("# \0\0\0\u{1}\n")),
        ("live.mp4", hls("#EXT-X-MEDIA-SEQUENCE:1 \u{1}\n")),
        ("mark.mkv", [b"\xef\xbb\xbf", &*hls("")].concat()),
        ("blank.avi", [b"\n\n", &*concat(b"")].concat()),
        ("concat.mkv", concat(b"# \xff\x01\n")),
        ("dash.mp4", b"<?xml version=\"1.0\"?>\x01<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"></MPD>".to_vec()),
        ("image.mp4", fs::read(at("shot1.png")).unwrap()),
        ("shot%d.mp4", fs::read(at("shot1.png")).unwrap()),
        ("words.webm", b"WEBVTT\n\n00:00.000 --> 00:01.000\n\xc3\xa9\x02\n".to_vec()),
    ] {
        fs::write(at(name), bytes).unwrap();
        let error = refusal(&at(name));
        let told = ["a text file, not a video", "it is of the kind `", "cannot read it"];
        assert!(told.iter().any(|words| error.contains(words)) && error.contains(name), "{name}: {error}");
    }
    let error = refusal(&at("control.mp4"));
    assert!(error.contains("text file") || error.contains("it is of the kind `hls`, and videos are files"), "{error}");
    // Sequences are files of images, and a link to a video is that video.
    symlink(at("inside.ts"), at("linked.ts")).unwrap();
    assert_eq!(seen(&pick(&at("linked.ts"), &[4]).unwrap()), [4]);
}

#[test]
fn readers_video_that_starts_in_the_middle_is_named_as_such() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let run = |arguments: &[&str], name: &str| {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y"]).args(arguments).arg(at(name));
        assert!(command.status().unwrap().success(), "{arguments:?}");
    };
    let codec = |text: &'static str| text.split_whitespace().collect::<Vec<&str>>();
    // Pictures that change little, so that an encoder makes no key frame but the first.
    let source = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25", "-frames:v", "20", "-g", "100"];
    let h264 = "-c:v libx264 -qp 4 -pix_fmt yuv420p";
    for (name, arguments) in [
        ("a.avi", "-c:v mpeg4 -q:v 2"),
        ("b.mkv", h264),
        ("c.mp4", h264),
        ("d.ts", h264),
        ("e.webm", "-c:v libvpx-vp9 -crf 4 -b:v 0 -pix_fmt yuv420p"),
        ("f.mp4", "-c:v libx264 -qp 4 -pix_fmt yuv420p -g 10"),
    ] {
        run(&[&source[..], &codec(arguments)].concat(), name);
        assert!(pick(&at(name), &[0]).is_ok(), "{name}");
        let (whole, cut) = (at(name).display().to_string(), format!("cut_{name}"));
        run(&["-i", &whole, "-c", "copy", "-copyinkf", "-bsf:v", "noise=drop=lt(n\\,3)"], &cut);
        let error = refusal(&at(&cut));
        assert!(error.contains("starts without a key frame: ") && error.contains(&cut), "{name}: {error}");
    }
    // Of an MP4 with a later key frame the header alone says it.
    let checked = VideoReader::default().check(&at("cut_f.mp4")).unwrap_err();
    assert!(checked.starts_with("starts without a key frame"), "{checked}");
}

#[test]
fn readers_video_does_not_believe_numbers_that_the_file_cannot_hold() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.mp4");
    make(&path, 5, (64, 48), H264);
    let bytes = fs::read(&path).unwrap();
    let table = bytes.windows(4).position(|name| name == b"stsz").unwrap();
    for (equal, count) in [(1, u32::MAX), (1, 50_000_000), (0, u32::MAX)] {
        let mut changed = bytes.clone();
        changed[table + 8..table + 16].copy_from_slice(&[u32::to_be_bytes(equal), u32::to_be_bytes(count)].concat());
        fs::write(&path, &changed).unwrap();
        let checked = VideoReader::default().check(&path).unwrap_err();
        assert!(checked.contains(&format!("promises {count} frames")), "{checked}");
        let request = FileRequest { path: &path, choose: &|_| unreachable!("nothing is chosen"), each: &Ok };
        let error = VideoReader::default().read(&[request]).remove(0).unwrap_err().to_string();
        assert!(error.contains(&checked), "{error}");
    }
}

#[test]
fn readers_refuse_what_is_no_regular_file_without_waiting() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let dir = tempfile::tempdir().unwrap();
    for name in ["pipe.mp4", "1.jpg"] {
        mknodat(CWD, dir.path().join(name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
    assert_eq!(VideoReader::default().check(&dir.path().join("pipe.mp4")).unwrap_err(), "not a regular file");
    let frame = Readers::default().check(dir.path()).unwrap_err();
    assert!(frame.starts_with("1.jpg: ") && frame.contains("pipe or a device"), "{frame}");
}

#[test]
fn readers_video_odd_names_are_only_names() {
    use std::os::unix::ffi::OsStrExt;
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source.mp4");
    make(&source, 5, (64, 48), H264);
    let animation = dir.path().join("source.gif");
    make(&animation, 5, (64, 48), "-c:v gif -pix_fmt gray");
    let spoof = b"a\n[verbose] Input stream #0:0 (video): 1 packets read (1 bytes); 3 frames decoded; .mp4";
    let names: [&[u8]; 9] = [
        b"with space.mp4",
        b"it's \"quoted\".mp4",
        b"line\nbreak.mp4",
        b"-dash.mp4",
        b"%d.mp4",
        b"http:x.mp4",
        b"bad\xff\xfe.mp4",
        b"concat:a|b.mp4",
        b"frame%03d.gif",
    ];
    let paths: Vec<PathBuf> =
        names.iter().chain([&&spoof[..]]).map(|name| dir.path().join(OsStr::from_bytes(name))).collect();
    for path in &paths {
        let gif = path.extension() == Some(OsStr::new("gif"));
        fs::copy(if gif { &animation } else { &source }, path).unwrap();
        let opened = pick(path, &[4, 1]).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(seen(&opened), [4, 1], "{}", path.display());
    }
    let clips: Vec<(&Path, &[usize])> = paths.iter().map(|path| (&**path, &[3_usize][..])).collect();
    assert!(read(&VideoReader::default(), &clips).iter().all(|outcome| seen(outcome.as_ref().unwrap()) == [3]));

    // A path that is relative to the working folder, and one that begins with a dash.
    let here = tempfile::Builder::new().prefix("-relative ").suffix(".mp4").tempfile_in(".").unwrap();
    fs::copy(&source, here.path()).unwrap();
    let relative = Path::new(here.path().file_name().unwrap());
    assert_eq!(seen(&pick(relative, &[2]).unwrap()), [2]);
}

#[test]
fn readers_video_guesses_are_corrected() {
    if no_ffmpeg() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (whole, part) = (dir.path().join("whole.mp4"), dir.path().join("part.mp4"));
    make(&whole, 20, (64, 48), "-c:v libx264 -qp 4 -g 20 -bf 0 -pix_fmt yuv420p");
    // Cut without encoding: the file keeps all samples from the key frame on, and an edit list that hides the first.
    let cut = Command::new("ffmpeg")
        .args(["-v", "error", "-ss", "0.3", "-i"])
        .arg(&whole)
        .args(["-c", "copy"])
        .arg(&part)
        .status()
        .unwrap();
    assert!(cut.success());
    let bytes = std::fs::read(&part).unwrap();
    let header = mp4::header(&mut std::io::Cursor::new(&bytes), bytes.len() as u64).unwrap();
    let Header::Video(track) = header else { panic!("no track") };
    let exact = VideoReader::default().timeline(&part).unwrap().frames;
    assert!(exact < track.samples, "{exact} of {} samples are shown", track.samples);
    // The last frame of the clip by the exact number, asked for by the number of the timeline.
    let last = |timeline: &Timeline| Ok(vec![0, timeline.frames - 1]);
    let request = FileRequest { path: &part, choose: &last, each: &Ok };
    let paths: Vec<FileRequest> = vec![FileRequest { path: &whole, ..request }, request, request];
    let outcomes: Vec<Opened> = VideoReader::default().read(&paths).into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes[0].indices, [0, 19]);
    for opened in &outcomes[1..] {
        assert_eq!((opened.timeline.frames, &opened.indices[..]), (exact, &[0, exact - 1][..]));
        assert_eq!(seen(opened), [20 - exact, 19]);
    }
}

#[test]
fn readers_video_programs_that_fail_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let mp4 = dir.path().join("x.mp4");
    fs::write(&mp4, b"\0\0\0\x08ftyp\0\0\0\x08moov").unwrap();
    let mut reader = VideoReader::default();
    reader.programs.ffmpeg = "no-such-ffmpeg".into();
    reader.programs.ffprobe = "no-such-ffprobe".into();
    let error = reader.timeline(&mp4).unwrap_err().to_string();
    for part in ["no-such-ffprobe", "apt install ffmpeg", "brew", "conda", "built-in benchmark do not need it"] {
        assert!(error.contains(part), "{error}");
    }
    if no_ffmpeg() {
        return;
    }
    make(&mp4, 5, (64, 48), H264);
    let errors = read(&reader, &[(&mp4, &[0]), (&mp4, &[1])]);
    assert!(errors.into_iter().all(|error| error.unwrap_err().to_string().contains("no-such-ffmpeg")));

    // A program that never gives a frame is stopped.
    let script = dir.path().join("sleeper");
    fs::write(&script, "#!/bin/sh\n[ \"$2\" = -h ] && exit\nexec sleep 60\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    reader.programs.ffmpeg = script.into_os_string();
    reader.programs.stall = Duration::from_millis(200);
    let start = Instant::now();
    let error = read(&reader, &[(&mp4, &[0])]).remove(0).unwrap_err().to_string();
    assert!(error.contains("x.mp4") && error.contains("0.2 s and was stopped"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn readers_route_folders_and_files_and_keep_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("clip.mp4");
    fs::create_dir(&folder).unwrap();
    let png = |value: u8| grey_png(value);
    for (name, value) in [("10.png", 30), ("9.png", 20), ("8.png", 10)] {
        fs::write(folder.join(name), png(value)).unwrap();
    }
    let readers = Readers::default();
    assert_eq!(readers.timeline(&folder).unwrap(), Timeline::of(3));
    assert_eq!(readers.check(&folder), Ok(PassedOver::default()));
    let names: Vec<PathBuf> = ["8.png", "9.png", "10.png"].iter().map(|name| folder.join(name)).collect();
    assert_eq!(readers.files(&folder).unwrap(), names);
    let choose = |timeline: &Timeline| Ok(vec![timeline.frames - 1, 0]);
    let request = |clip| Request { clip, choose: &choose, each: &Ok };
    let requests = [request("missing.mp4"), request("clip.mp4"), request("unknown"), request("clip.mp4")];
    let locate = |clip: &str| match clip {
        "unknown" => Err(Error::failed("no clip `unknown`")),
        clip => Ok(dir.path().join(clip)),
    };
    let outcomes = readers.read(&requests, locate);
    assert!(outcomes[0].as_ref().unwrap_err().to_string().contains("missing.mp4"));
    assert_eq!(outcomes[2].as_ref().unwrap_err().to_string(), "error: no clip `unknown`");
    for outcome in [&outcomes[1], &outcomes[3]] {
        assert_eq!(outcome.as_ref().unwrap().frames.images, [vec![30; 12], vec![10; 12]]);
    }
    assert_eq!(
        ["a.MP4", "a.webm", "a.gif", "a.mp3", "mp4", "a.png"].map(is_video),
        [true, true, true, false, false, false]
    );
    assert_eq!(["a.JPG", "a.jpeg", "a.png", "a.gif"].map(is_image), [true, true, true, false]);
}

/// A PNG of 2×2 pixels of one grey, stored without compression.
fn grey_png(value: u8) -> Vec<u8> {
    // Each row begins with its filter, 0 for none.
    let rows = [0, value, value, 0, value, value];
    let mut data = vec![0x78, 0x01, 1, 6, 0, !6, 0xff];
    data.extend(rows);
    let (low, high) = rows.iter().fold((1_u32, 0_u32), |(low, high), &byte| {
        let low = (low + u32::from(byte)) % 65521;
        (low, (high + low) % 65521)
    });
    data.extend((high << 16 | low).to_be_bytes());
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, content) in [(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 2, 8, 0, 0, 0, 0][..]), (b"IDAT", &data), (b"IEND", &[])] {
        let body = [&name[..], content].concat();
        png.extend((content.len() as u32).to_be_bytes());
        png.extend(&body);
        png.extend(crc(&body).to_be_bytes());
    }
    png
}

/// CRC-32 of ISO 3309, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn readers_images_refuse_mixed_short_uneven_and_damaged_folders() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str, files: &[(&str, Vec<u8>)]| {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        files.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
        folder
    };
    let jpeg = |side: u16| {
        let mut bytes = Vec::new();
        let pixels = vec![90; usize::from(side) * usize::from(side)];
        jpeg_encoder::Encoder::new(&mut bytes, 95).encode(&pixels, side, side, jpeg_encoder::ColorType::Luma).unwrap();
        bytes
    };
    let mut readers = Readers::default();
    let cut = grey_png(1)[..60].to_vec();
    let mut flipped = grey_png(1);
    flipped[50] ^= 1;
    for (name, files, reason) in [
        ("mixed", vec![("1.jpg", jpeg(8)), ("2.png", grey_png(9))], "holds 1 JPEG and 1 PNG files"),
        ("none", vec![("notes.txt", Vec::new())], "no JPEG or PNG frames: found 1 other files (.txt)"),
        ("uneven", vec![("1.jpg", jpeg(8)), ("2.jpg", jpeg(16))], "2.jpg is 16x16, the frames before it 8x8"),
        ("cut", vec![("1.png", grey_png(1)), ("2.png", cut)], "2.png: the PNG is truncated"),
        ("text", vec![("1.png", b"text".to_vec())], "1.png: not a readable PNG"),
    ] {
        let path = folder(name, &files);
        assert!(readers.check(&path).unwrap_err().starts_with(reason), "{name}: {:?}", readers.check(&path));
        let error = readers.timeline(&path).unwrap_err().to_string();
        assert!(error.contains(reason) && error.contains(name), "{error}");
    }
    let damaged = folder("damaged", &[("1.png", flipped)]);
    assert_eq!(readers.check(&damaged), Ok(PassedOver::default()), "header and end are intact");
    let request = FileRequest { path: &damaged, choose: &|_| Ok(vec![0]), each: &Ok };
    let error = readers.images.read(&[request]).remove(0).unwrap_err().to_string();
    assert!(error.contains("1.png") && error.contains("damaged PNG"), "{error}");
    let one = folder("one", &[("1.jpg", jpeg(8))]);
    assert_eq!(readers.check(&one), Ok(PassedOver::default()));
    readers.images.min_frames = 2;
    assert_eq!(readers.check(&one), Err("1 frames, fewer than 2".to_string()));
}
