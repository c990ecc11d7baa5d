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
        let archives = Archives::open(&path).unwrap();
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
        assert!(reader.check(&archives.clips()["data/train/wave/a"]).is_ok());
        assert_ne!(before.replace(archives.sum()), Some(String::new()));
        assert_eq!(archives.find("wave/a", "wave", "train"), Ok("data/train/wave/a"));
        assert_eq!(archives.find("a", "push", "test"), Ok("data/test/push/a"));
        assert_eq!(archives.find("B", "wave", "train"), Ok("data/train/wave/b"), "in any case");
        let why = archives.find("a", "other", "val").unwrap_err();
        assert!(why.contains("`a` may be data/test/push/a or data/train/wave/a"), "{why}");
        let why = archives.find("ve/a", "other", "val").unwrap_err();
        assert!(why.contains("looked for an entry that ends in `ve/a`") && why.contains("4 clips"), "{why}");
    }
    // Other bytes, another sum.
    let mut changed = clips();
    changed[0].1 = jpeg(31);
    zip(&path, &changed, CompressionMethod::STORE);
    assert_ne!(before, Some(Archives::open(&path).unwrap().sum()));
}

#[test]
fn archives_that_are_damaged_are_errors_and_never_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clips.zip");
    zip(&path, &clips(), CompressionMethod::STORE);
    let whole = std::fs::read(&path).unwrap();
    let start =
        Archives::open(&path).unwrap().parts(&Archives::open(&path).unwrap().clips()["data/train/wave/b"]).unwrap()[0]
            .range
            .clone()
            .unwrap()
            .start as usize;
    let mut flipped = whole.clone();
    flipped[start + 40] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let error = greys(&Archives::open(&path).unwrap(), "data/train/wave/b").unwrap_err().to_string();
    assert!(error.contains("does not fit its checksum"), "{error}");
    // Any byte may be wrong: that is an error or other clips, and no more.
    for at in (0..whole.len()).step_by(7) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        std::fs::write(&path, &flipped).unwrap();
        if let Ok(archives) = Archives::open(&path) {
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
        let error = Archives::open(&path).err().unwrap().to_string();
        assert!(error.contains("it is no whole zip file") && error.contains("clips.zip"), "{length}: {error}");
    }
    let twice = [("a/b/1.jpg", jpeg(1)), ("a/b/1.jpg", jpeg(2))];
    zip(&path, &twice, CompressionMethod::STORE);
    assert!(Archives::open(&path).err().unwrap().to_string().contains("a/b/1.jpg is there twice"));
    let error = Archives::open(&folder.path().join("none.rar")).err().unwrap().to_string();
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
    tar(&at("s-001.tar"), &[("k3.npy", b"array".to_vec()), ("k3.txt", b"\xef\xbb\xbfwave\nmore\n".to_vec())]);
    let archives = Archives::open(&at("s-{000..001}.tar")).unwrap();
    let labels: Vec<(&str, &str)> =
        archives.samples().iter().map(|(key, sample)| (key.as_str(), sample.label.as_str())).collect();
    assert_eq!(labels, [("k3", "wave"), ("x/k1", "3"), ("x/k2", "push up")]);
    assert!(matches!(archives.clips()["x/k2"], Packed::Video(_)) && matches!(archives.clips()["k3"], Packed::Array(_)));
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
    let error = Archives::open(&at("b-{0..1}.tar")).err().unwrap().to_string();
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
        let error = Archives::open(&at("bad.tar")).err().unwrap().to_string();
        assert!(error.contains(words) && error.contains("bad.tar"), "{words}: {error}");
    }
    let gone = Archives::open(&at("s-{000..003}.tar")).err().unwrap().to_string();
    assert!(
        gone.contains("2 of 4 archives cannot be read") && gone.contains("s-002.tar") && gone.contains("s-003.tar"),
        "{gone}"
    );
    // Cut behind an entry: only the end is missing.
    let last = whole.len() - 1024;
    std::fs::write(at("cut.tar"), &whole[..last]).unwrap();
    let notes = Archives::open(&at("cut.tar")).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("it may be cut")), "{notes:?}");
}
