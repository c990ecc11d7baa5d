//! Archives that the tests make: how entries become clips, and what is said of damaged ones.

use super::*;
use crate::datasets::readers::Readers;
use jpeg_encoder::{ColorType, Encoder};
use rawzip::{CompressionMethod, ZipArchiveWriter};
use std::io::Write;

fn jpeg(grey: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes, 95).encode(&[grey; 16 * 16 * 3], 16, 16, ColorType::Rgb).unwrap();
    bytes
}

fn zip(path: &Path, entries: &[(&str, Vec<u8>)], method: CompressionMethod) {
    let mut archive = ZipArchiveWriter::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in entries {
        let (mut entry, config) = archive.new_file(name).compression_method(method).start().unwrap();
        if method == CompressionMethod::DEFLATE {
            let mut writer =
                config.wrap(flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::default()));
            writer.write_all(bytes).unwrap();
            let (encoder, output) = writer.finish().unwrap();
            encoder.finish().unwrap();
            entry.finish(output).unwrap();
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(bytes).unwrap();
            let (_, output) = writer.finish().unwrap();
            entry.finish(output).unwrap();
        }
    }
    archive.finish().unwrap();
}

fn tar(path: &Path, entries: &[(&str, Vec<u8>)]) {
    let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    archive.finish().unwrap();
}

fn clips() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("data/train/wave/a/00000010.jpg", jpeg(30)),
        ("data/train/wave/a/00000002.jpg", jpeg(20)),
        ("data/train/wave/b/1.jpg", jpeg(40)),
        ("data/test/push/a/1.jpg", jpeg(50)),
        ("data/test/push/a/notes.txt", b"x".to_vec()),
        ("data/test/push/c.mp4", b"no video".to_vec()),
    ]
}

/// First values of the frames of a clip.
fn greys(archives: &Archives, clip: &str) -> Result<Vec<u8>> {
    let readers = Readers::default();
    let choose = |timeline: &maclip_framework::slots::dataset::Timeline| Ok((0..timeline.frames).collect());
    let request = PackedRequest { id: clip, clip: &archives.clips()[clip], choose: &choose, each: &Ok };
    let opened = ArchiveReader { archives, readers: &readers }.read(&[request]).remove(0)?;
    Ok(opened.frames.images.iter().map(|image| image[0]).collect())
}

#[test]
fn archives_zip_files_hold_folders_of_frames() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clips.zip");
    let mut before = None;
    for method in [CompressionMethod::STORE, CompressionMethod::DEFLATE] {
        zip(&path, &clips(), method);
        let archives = Archives::open(&path, Content::Pixels).unwrap();
        let names: Vec<&str> = archives.clips().keys().map(String::as_str).collect();
        assert_eq!(names, ["data/test/push/a", "data/test/push/c", "data/train/wave/a", "data/train/wave/b"]);
        let seen = greys(&archives, "data/train/wave/a").unwrap();
        assert!(seen.len() == 2 && seen[0] < seen[1], "in natural order: {seen:?}");
        let parts = archives.parts(&archives.clips()["data/train/wave/a"]).unwrap();
        if method == CompressionMethod::STORE {
            let range = parts[0].range.clone().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes[range.start as usize..range.end as usize], jpeg(20));
        }
        let readers = Readers::default();
        let reader = ArchiveReader { archives: &archives, readers: &readers };
        assert!(reader.check(&archives.clips()["data/train/wave/a"], true).is_ok());
        assert_ne!(before.replace(archives.sum()), Some(String::new()));
        assert_eq!(archives.find("wave/a", "wave", "train"), Ok("data/train/wave/a"));
        assert_eq!(archives.find("a", "push", "test"), Ok("data/test/push/a"));
        assert_eq!(archives.find("B", "wave", "train"), Ok("data/train/wave/b"), "in any case");
        assert_eq!(archives.find("push/c.mp4", "push", "test"), Ok("data/test/push/c"), "without its extension");
        let why = archives.find("a", "other", "val").unwrap_err();
        assert!(why.contains("`a` may be data/test/push/a or data/train/wave/a"), "{why}");
        let why = archives.find("ve/a", "other", "val").unwrap_err();
        assert!(why.contains("looked for an entry that ends in `ve/a`") && why.contains("4 clips"), "{why}");
    }
    // Other bytes, another sum.
    let mut changed = clips();
    changed[0].1 = jpeg(31);
    zip(&path, &changed, CompressionMethod::STORE);
    assert_ne!(before, Some(Archives::open(&path, Content::Pixels).unwrap().sum()));
}

#[test]
fn archives_that_are_damaged_are_errors_and_never_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clips.zip");
    zip(&path, &clips(), CompressionMethod::STORE);
    let whole = std::fs::read(&path).unwrap();
    let start = Archives::open(&path, Content::Pixels)
        .unwrap()
        .parts(&Archives::open(&path, Content::Pixels).unwrap().clips()["data/train/wave/b"])
        .unwrap()[0]
        .range
        .clone()
        .unwrap()
        .start as usize;
    let mut flipped = whole.clone();
    flipped[start + 40] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let error = greys(&Archives::open(&path, Content::Pixels).unwrap(), "data/train/wave/b").unwrap_err().to_string();
    assert!(error.contains("does not fit its checksum"), "{error}");
    // Any byte may be wrong: that is an error or other clips, and no more.
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        std::fs::write(&path, &flipped).unwrap();
        if let Ok(archives) = Archives::open(&path, Content::Pixels) {
            for clip in archives.clips().keys() {
                let _ = archives.parts(&archives.clips()[clip]);
                if matches!(archives.clips()[clip], Packed::Frames(_)) {
                    let _ = greys(&archives, clip);
                }
            }
        }
    }
    for length in [0, 3, 21, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = Archives::open(&path, Content::Pixels).err().unwrap().to_string();
        assert!(error.contains("it is no whole zip file") && error.contains("clips.zip"), "{length}: {error}");
    }
    let twice = [("a/b/1.jpg", jpeg(1)), ("a/b/1.jpg", jpeg(2))];
    zip(&path, &twice, CompressionMethod::STORE);
    assert!(Archives::open(&path, Content::Pixels).err().unwrap().to_string().contains("a/b/1.jpg is there twice"));
    let error = Archives::open(&folder.path().join("none.rar"), Content::Pixels).err().unwrap().to_string();
    assert!(error.contains("no archive that is read"), "{error}");
}

#[test]
fn archives_tar_shards_hold_samples_with_labels() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    tar(
        &at("s-000.tar"),
        &[
            ("x/k1.0002.jpg", jpeg(20)),
            ("x/k1.0001.jpg", jpeg(10)),
            ("x/k1.cls", b"3\n".to_vec()),
            ("x/k2.mp4", b"video".to_vec()),
            ("x/k2.jpg", jpeg(10)),
            ("x/k2.json", br#"{"a": 1, "label": "push up"}"#.to_vec()),
            ("x/k2.txt", b"not this".to_vec()),
            ("x/k2.caption", b"nor this".to_vec()),
        ],
    );
    tar(&at("s-001.tar"), &[("k3.webm", b"video".to_vec()), ("k3.txt", b"\xef\xbb\xbfwave\nmore\n".to_vec())]);
    let archives = Archives::open(&at("s-{000..001}.tar"), Content::Pixels).unwrap();
    let labels: Vec<(&str, &str)> =
        archives.samples().iter().map(|(key, sample)| (key.as_str(), sample.label.as_str())).collect();
    assert_eq!(labels, [("k3", "wave"), ("x/k1", "3"), ("x/k2", "push up")]);
    assert!(matches!(archives.clips()["x/k2"], Packed::Video(_)));
    let seen = greys(&archives, "x/k1").unwrap();
    assert!(seen.len() == 2 && seen[0] < seen[1], "{seen:?}");
    assert_eq!(archives.notes, ["1 entries of the shards are no clips and no labels, and are passed over"]);

    // All that is wrong at once.
    let many = |name: &str, entries: &[(&str, Vec<u8>)]| tar(&at(name), entries);
    many(
        "b-0.tar",
        &[("k1.jpg", jpeg(1)), ("k2.cls", b"1".to_vec()), ("k4.json", b"{\"x\": 1}".to_vec()), ("k4.jpg", jpeg(1))],
    );
    many(
        "b-1.tar",
        &[
            ("k1.cls", b"1".to_vec()),
            ("k5.mp4", vec![1]),
            ("k5.webm", vec![1]),
            ("k6.jpg", jpeg(1)),
            ("k6.cls", b" ".to_vec()),
        ],
    );
    let error = Archives::open(&at("b-{0..1}.tar"), Content::Pixels).err().unwrap().to_string();
    for words in [
        "5 samples cannot be used",
        "k1 is in",
        "k2 has no video",
        "k4.json: looked for one of label, class",
        "and found x",
        "k5 has 2 videos",
        "k6.cls: it names no class",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    let whole = std::fs::read(at("s-000.tar")).unwrap();
    for (bytes, words) in [
        (whole[..1000].to_vec(), "it is cut"),
        (b"\x1f\x8b rest".to_vec(), "compressed with gzip"),
        (vec![b'x'; 600], "entry 0 is damaged"),
        (vec![0; 100], "100 bytes"),
    ] {
        std::fs::write(at("bad.tar"), bytes).unwrap();
        let error = Archives::open(&at("bad.tar"), Content::Pixels).err().unwrap().to_string();
        assert!(error.contains(words) && error.contains("bad.tar"), "{words}: {error}");
    }
    let gone = Archives::open(&at("s-{000..003}.tar"), Content::Pixels).err().unwrap().to_string();
    assert!(
        gone.contains("2 of 4 archives cannot be read") && gone.contains("s-002.tar") && gone.contains("s-003.tar"),
        "{gone}"
    );
    // Cut behind an entry, and two files one behind the other.
    let fails = |bytes: &[u8]| {
        std::fs::write(at("cut.tar"), bytes).unwrap();
        Archives::open(&at("cut.tar"), Content::Pixels).err().unwrap().to_string()
    };
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() / 512 * 512 + 512;
    let error = fails(&whole[..end]);
    assert!(error.contains("no mark at its end, so it may be cut") && error.contains("head -c 1024"), "{error}");
    let error = fails(&[&whole[..], &whole[..]].concat());
    assert!(error.contains("there is more behind the mark at its end") && error.contains("tar -i"), "{error}");
    std::fs::write(at("cut.tar"), [&whole[..end], &[0; 1024]].concat()).unwrap();
    assert!(Archives::open(&at("cut.tar"), Content::Pixels).is_ok());
    // A frame that ends with zeros is no mark.
    tar(&at("zeros.tar"), &[("k.jpg", [jpeg(1), vec![0; 4096]].concat())]);
    let zeros = std::fs::read(at("zeros.tar")).unwrap();
    let length = 512 + (jpeg(1).len() + 4096).div_ceil(512) * 512;
    assert!(fails(&zeros[..length]).contains("no mark at its end"));
    // As `tar -r` adds an entry again.
    tar(&at("again.tar"), &[("k.jpg", jpeg(1)), ("k.cls", b"1".to_vec()), ("k.jpg", jpeg(2))]);
    let error = Archives::open(&at("again.tar"), Content::Pixels).err().unwrap().to_string();
    assert!(error.contains("again.tar") && error.contains("k.jpg is there twice"), "{error}");
}

#[test]
fn archives_never_make_one_clip_of_two() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let error = |name: &str| Archives::open(&at(name), Content::Pixels).err().unwrap().to_string();
    let make = |name: &str, entries: &[(&str, Vec<u8>)]| zip(&at(name), entries, CompressionMethod::STORE);
    make("a.zip", &[("wave/0/1.jpg", jpeg(1)), ("wave/1.mp4", vec![1])]);
    make("b.zip", &[("wave/0/2.jpg", jpeg(2)), ("wave/1.mp4", vec![2])]);
    let said = error("{a,b}.zip");
    for words in ["2 clips are there twice", "wave/0 has frames in", "a.zip and in", "b.zip", "wave/1.mp4 is in"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    make("c.zip", &[("wave/1.mp4", vec![1]), ("wave/1.mkv", vec![2])]);
    let said = error("c.zip");
    assert!(said.contains("wave/1.mp4 in") && said.contains("wave/1.mkv in") && said.contains("extension"), "{said}");
    // An array beside its video is another content, and only one of both counts.
    let both = [("wave/1.mp4", vec![1]), ("wave/1.npy", vec![2]), ("wave/2.npy", vec![2]), ("wave/2/1.jpg", jpeg(1))];
    make("d.zip", &both);
    for (content, note) in [(Content::Pixels, "2 arrays of features"), (Content::Features, "2 videos and pictures")] {
        let archives = Archives::open(&at("d.zip"), content).unwrap();
        assert_eq!(archives.clips().keys().collect::<Vec<_>>(), ["wave/1", "wave/2"]);
        let is_array = |clip: &Packed| matches!(clip, Packed::Array(_));
        assert!(archives.clips().values().all(|clip| is_array(clip) == (content == Content::Features)));
        assert!(archives.notes[0].starts_with(note), "{:?}", archives.notes);
    }
    tar(&at("d.tar"), &[("k.mp4", vec![1]), ("k.npy", vec![2]), ("k.cls", b"1".to_vec())]);
    assert!(matches!(Archives::open(&at("d.tar"), Content::Features).unwrap().clips()["k"], Packed::Array(_)));
    assert!(matches!(Archives::open(&at("d.tar"), Content::Pixels).unwrap().clips()["k"], Packed::Video(_)));
    tar(&at("e.tar"), &[("k.npy", vec![2]), ("k.cls", b"1".to_vec())]);
    assert!(error("e.tar").contains("k has no video and no frames, and dataset.clips is pixels"));
    // Previews are no clips.
    let previews = [("x.jpg", jpeg(1)), ("wave/x.jpg", jpeg(1)), ("wave/1.mp4", vec![1]), ("push/2/1.jpg", jpeg(1))];
    make("g.zip", &previews);
    let archives = Archives::open(&at("g.zip"), Content::Pixels).unwrap();
    assert_eq!(archives.clips().keys().collect::<Vec<_>>(), ["push/2", "wave/1"]);
    assert!(archives.notes[0].contains("2 pictures of") && archives.notes[0].contains("passed over"));
    // Frames are preferred to the video beside them, as on the disk.
    make("f.zip", &[("wave/1.mp4", vec![1]), ("wave/1/1.jpg", jpeg(1))]);
    let archives = Archives::open(&at("f.zip"), Content::Pixels).unwrap();
    assert!(matches!(archives.clips()["wave/1"], Packed::Frames(_)) && archives.notes[0].contains("1 videos"));
}

#[test]
fn archives_find_names_in_their_own_case_and_folders_called_as_videos() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zip");
    let clips =
        [("wave/aBc.mp4", vec![1]), ("wave/ABC.mp4", vec![1]), ("t/9.mp4/1.jpg", jpeg(1)), ("t/8.mp4/1.jpg", jpeg(1))];
    zip(&path, &clips, CompressionMethod::STORE);
    let archives = Archives::open(&path, Content::Pixels).unwrap();
    assert_eq!(archives.find("aBc.mp4", "wave", "test"), Ok("wave/aBc"));
    assert_eq!(archives.find("ABC", "wave", "test"), Ok("wave/ABC"));
    assert!(archives.find("abc", "wave", "test").unwrap_err().contains("may be"));
    assert_eq!(archives.find("9.mp4", "wave", "test"), Ok("t/9.mp4"));
    assert_eq!(archives.find("t/8.mp4", "wave", "test"), Ok("t/8.mp4"));
}
