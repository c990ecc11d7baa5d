//! `frame_folder` on folders written for each test, and on real clips where they are at hand.

use super::*;
use crate::datasets::folder::tests::{refused, write};
use crate::needs;
use jpeg_encoder::{ColorType, Encoder};
use maclip_framework::images;
use maclip_framework::slots::dataset::{Class, Frames, Split};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// A frame of one grey value, which tells frames apart after decoding.
fn frame(value: u8, width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels = vec![value; (width * height * 3) as usize];
    Encoder::new(&mut bytes, 95).encode(&pixels, width as u16, height as u16, ColorType::Rgb).unwrap();
    bytes
}

fn clip(root: &Path, path: &str, frames: usize) {
    (1..=frames).for_each(|i| write(root, &format!("{path}/{i}.jpg"), &frame(10 * i as u8, 24, 16)));
}

fn dataset(root: &Path, rest: &str) -> Box<dyn Dataset> {
    crate::datasets::folder::tests::dataset("frame_folder", root, rest)
}

fn refusal(root: &Path, rest: &str, split: Split) -> String {
    refused("frame_folder", root, rest, split)
}

#[test]
fn frame_folder_reads_split_folders_in_natural_order() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    clip(root, "train/class10/a", 12);
    clip(root, "train/class2/clip10", 8);
    clip(root, "train/class2/clip9", 8);
    clip(root, "test/Pour_Water/x", 8);
    write(root, "train/class2/.hidden/1.jpg", b"");
    write(root, "train/class2/clip9/.thumb.jpg", b"");
    write(root, "train/class2/notes.txt", b"");
    let data = dataset(root, r#"{"class_names": {"class10": "Pulling something"}}"#);
    let train = data.list(Split::Train).unwrap();
    let class = |name: &str, clips: &[&str]| Class {
        name: name.to_string(),
        clips: clips.iter().map(|clip| clip.to_string()).collect(),
    };
    let ids = ["train/class2/clip9", "train/class2/clip10"];
    assert_eq!(train.classes, [class("class2", &ids), class("Pulling something", &["train/class10/a"])]);
    assert_eq!(train.skipped, []);
    assert_eq!(data.list(Split::Train).unwrap(), train);
    assert_eq!(data.list(Split::Test).unwrap().classes, [class("Pour Water", &["test/Pour_Water/x"])]);
    assert!(refusal(root, "{}", Split::Val).contains("found no class for val"));

    // 10.jpg is the tenth frame, not the second; a repeated frame is given twice.
    assert_eq!(data.frame_count("train/class10/a").unwrap(), 12);
    let frames = data.open("train/class10/a", &[9, 1, 9]).unwrap();
    assert_eq!((frames.height, frames.width), (16, 24));
    let values: Vec<u8> = frames.images.iter().map(|image| image[100]).collect();
    assert!(values.iter().zip([100, 20, 100]).all(|(got, want): (&u8, u8)| got.abs_diff(want) <= 1), "{values:?}");
    assert!(data.open("train/class10/a", &[12]).is_err());
    for id in ["train/class10/none", "train/../train/class10/a", "/", "", "train/class10/", "train/class10"] {
        assert!(data.frame_count(id).is_err(), "{id}");
    }
    // A clip is found without a listing too.
    assert_eq!(dataset(root, "{}").frame_count("test/Pour_Water/x").unwrap(), 8);
}

#[test]
fn frame_folder_reads_a_class_split() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for class in ["catch", "clap", "shoot_ball", "unused"] {
        clip(root, &format!("{class}/v1"), 8);
    }
    let splits = r#"{"splits": {"train": ["clap", "catch"], "test": ["shoot_ball"]}}"#;
    let data = dataset(root, splits);
    let train = data.list(Split::Train).unwrap();
    let names: Vec<&str> = train.classes.iter().map(|class| class.name.as_str()).collect();
    assert_eq!(names, ["catch", "clap"]);
    assert_eq!(train.classes[0].clips, ["catch/v1"]);
    assert_eq!(data.list(Split::Test).unwrap().classes[0].name, "shoot ball");
    assert!(refusal(root, splits, Split::Val).contains("names no class for val"));

    let unknown = refusal(root, r#"{"splits": {"train": ["clab"], "test": ["catch"]}}"#, Split::Test);
    assert!(unknown.contains("`clab`") && unknown.contains("did you mean `clap`?"), "{unknown}");
    let twice = refusal(root, r#"{"splits": {"train": ["clap"], "test": ["clap"]}}"#, Split::Test);
    assert!(twice.contains("train and test"), "{twice}");
    let text = refusal(root, r#"{"splits": {"train": ["clap"]}, "class_names": {"klap": "x"}}"#, Split::Train);
    assert!(text.contains("`klap`") && text.contains("`clap`"), "{text}");
    let none = refusal(root, "{}", Split::Train);
    assert!(none.contains("train, val and test") && none.contains("4 folders (catch, "), "{none}");
}

#[test]
fn frame_folder_names_and_counts_unusable_clips() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    clip(root, "train/a/good", 8);
    clip(root, "train/a/short", 7);
    clip(root, "train/a/cut", 8);
    let bytes = frame(40, 24, 16);
    write(root, "train/a/cut/5.jpg", &bytes[..bytes.len() - 8]);
    clip(root, "train/a/cut_header", 8);
    write(root, "train/a/cut_header/5.jpg", &bytes[..80]);
    clip(root, "train/a/zero", 8);
    write(root, "train/a/zero/8.jpg", b"");
    clip(root, "train/a/sizes", 8);
    write(root, "train/a/sizes/3.jpg", &frame(40, 16, 16));
    write(root, "train/a/png/1.png", b"\x89PNG");
    fs::create_dir(root.join("train/a/empty")).unwrap();
    fs::create_dir(root.join("train/b")).unwrap();
    let listing = dataset(root, r#"{"broken": "skip"}"#).list(Split::Train).unwrap();
    assert_eq!(listing.classes.len(), 1);
    assert_eq!(listing.classes[0].clips, ["train/a/good"]);
    let reasons: HashMap<&str, &str> = listing.skipped.iter().map(|(c, r)| (c.as_str(), r.as_str())).collect();
    let expected = [
        ("train/a/short", "7 frames, fewer than 8"),
        ("train/a/cut", "5.jpg: the JPEG is truncated"),
        ("train/a/cut_header", "5.jpg: not a readable JPEG"),
        ("train/a/zero", "8.jpg: the file is empty"),
        ("train/a/sizes", "3.jpg is 16x16, the frames before it 24x16"),
        ("train/a/png", "1 frames, fewer than 8"),
        ("train/a/empty", "no JPEG or PNG frames: found nothing"),
        ("train/b", "class left out"),
    ];
    assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
    for (clip, reason) in expected {
        assert!(reasons.get(clip).is_some_and(|got| got.starts_with(reason)), "{clip}: {reasons:?}");
    }
    let fewer = dataset(root, r#"{"min_frames": 7}"#).list(Split::Train).unwrap();
    assert_eq!(fewer.classes[0].clips, ["train/a/good", "train/a/short"]);

    assert!(!listing.strict);
    let strict = dataset(root, "{}").list(Split::Train).unwrap();
    assert!(strict.strict && strict.skipped == listing.skipped, "{strict:?}");
    let opened = dataset(root, "{}").open("train/a/cut", &[0]).unwrap_err().to_string();
    assert!(opened.contains("train/a/cut") && opened.contains("5.jpg"), "{opened}");
}

#[test]
fn frame_folder_reads_frames_of_one_name_pattern() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    // Times in names are numbers too.
    clip(root, "train/a/plain", 8);
    (1..=8).for_each(|i| write(root, &format!("train/a/times/f_{i}_t0.{i}.jpg"), &frame(10, 24, 16)));
    for (name, value) in [("img_", 50), ("flow_x_", 10), ("flow_y_", 20)] {
        (1..=8).for_each(|i| write(root, &format!("train/a/flow/{name}{i:05}.jpg"), &frame(value, 24, 16)));
    }
    write(root, "train/a/flow/notes.txt", b"");
    fs::create_dir(root.join("train/a/flow/more")).unwrap();
    let listing = dataset(root, "{}").list(Split::Train).unwrap();
    assert_eq!(listing.classes[0].clips, ["train/a/plain", "train/a/times"]);
    let (clip, why) = &listing.skipped[0];
    assert_eq!(clip, "train/a/flow");
    let patterns = "holds frames of 3 name patterns: `flow_x_*` (8), `flow_y_*` (8), `img_*` (8); a clip's frames have \
                    one, which `dataset.pattern` chooses";
    assert_eq!(why, patterns);
    for pattern in ["img_*", "img_"] {
        let data = dataset(root, &format!(r#"{{"pattern": "{pattern}"}}"#));
        let listing = data.list(Split::Train).unwrap();
        assert_eq!(listing.classes[0].clips, ["train/a/flow"]);
        assert!(listing.skipped.iter().all(|(_, why)| why == &format!("no frame has the name pattern `{pattern}`")));
        assert_eq!(data.frame_count("train/a/flow").unwrap(), 8);
        assert!(data.open("train/a/flow", &[0]).unwrap().images[0][0].abs_diff(50) <= 1);
        let told = listing.passed_over.concat();
        for words in ["18 files and folders of split train", "16 frames of other name patterns", "1 .txt", "1 nested"] {
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}

#[test]
fn frame_folder_refuses_a_class_in_two_splits_unless_it_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    clip(root, "train/TEST_RED/x", 8);
    clip(root, "train/b/x", 8);
    clip(root, "val/B/x", 8);
    clip(root, "test/test-red/x", 8);
    let both = refusal(root, "{}", Split::Train);
    assert!(
        both.contains("2 classes are in two splits: train/b and val/B; train/TEST_RED and test/test-red"),
        "{both}"
    );
    assert!(both.contains("allow_shared"), "{both}");
    let shared = dataset(root, r#"{"allow_shared": true}"#);
    assert!(shared.allows_shared() && shared.list(Split::Test).unwrap().classes[0].name == "test-red");
}

#[test]
fn frame_folder_open_names_a_frame_damaged_inside() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    clip(root, "train/a/x", 8);
    // Header and end are intact, so only decoding can tell.
    let mut bytes = Vec::new();
    let pixels: Vec<u8> = (0..24 * 16 * 3_u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect();
    Encoder::new(&mut bytes, 95).encode(&pixels, 24, 16, ColorType::Rgb).unwrap();
    let middle = bytes.len() - 400;
    bytes[middle..middle + 4].copy_from_slice(&[0xff, 0xc0, 0xff, 0xc0]);
    write(root, "train/a/x/4.jpg", &bytes);
    let data = dataset(root, "{}");
    assert_eq!(data.list(Split::Train).unwrap().skipped, []);
    assert!(data.open("train/a/x", &[0, 7]).is_ok());
    let error = data.open("train/a/x", &[0, 3]).unwrap_err().to_string();
    assert!(error.contains("4.jpg"), "{error}");
}

#[test]
fn frame_folder_refuses_bad_settings_and_roots() {
    let missing = refusal(Path::new(""), "{}", Split::Train);
    assert!(missing.contains("--set dataset.root=…"), "{missing}");
    assert!(serde_json::from_str::<FrameFolderConfig>(r#"{"rot": "x"}"#).is_err());
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    assert!(refusal(&root.join("nowhere"), "{}", Split::Train).contains("does not exist"));
    assert!(refusal(root, "{}", Split::Train).contains("found nothing"));
    assert!(refusal(root, r#"{"min_frames": 0}"#, Split::Train).contains("min_frames"));
    clip(root, "train/a", 8);
    let flat = refusal(root, "{}", Split::Train);
    assert!(flat.contains("train/a: class left out: no clip folder, only 8 JPEG files"), "{flat}");
    clip(root, "train/one/x", 8);
    clip(root, "test/one/x", 8);
    assert!(refusal(root, "{}", Split::Train).contains("one class is in two splits"));
    fs::rename(root.join("test/one"), root.join("test/two")).unwrap();
    assert!(refusal(root, r#"{"class_names": {"two": "one"}}"#, Split::Train).contains("same text `one`"));
}

#[cfg(unix)]
#[test]
fn frame_folder_survives_links_and_odd_names() {
    use std::ffi::OsStr;
    use std::os::unix::{ffi::OsStrExt, fs::symlink};
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    clip(root, "train/a/x", 8);
    fs::rename(root.join("train/a/x/1.jpg"), root.join("train/a/x/1.JPEG")).unwrap();
    symlink(root.join("train"), root.join("train/a/loop")).unwrap();
    symlink(root.join("train/a/self"), root.join("train/a/self")).unwrap();
    symlink(root.join("train/a/x"), root.join("train/a/y")).unwrap();
    clip(root, "train/a/dangling", 8);
    symlink(root.join("gone.jpg"), root.join("train/a/dangling/9.jpg")).unwrap();
    fs::create_dir(root.join("train/a").join(OsStr::from_bytes(b"bad\xff"))).unwrap();
    let listing = dataset(root, "{}").list(Split::Train).unwrap();
    assert_eq!(listing.classes[0].clips, ["train/a/x", "train/a/y"]);
    let clips: Vec<&str> = listing.skipped.iter().map(|(clip, _)| clip.as_str()).collect();
    assert_eq!(clips, ["train/a/bad\u{fffd}", "train/a/dangling", "train/a/loop"], "{:?}", listing.skipped);
}

#[test]
fn frame_folder_opens_from_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    clip(dir.path(), "train/a/x", 8);
    let data = dataset(dir.path(), "{}");
    let all: Vec<Frames> = (0..16).into_par_iter().map(|_| data.open("train/a/x", &[0, 4, 7]).unwrap()).collect();
    assert!(all.iter().all(|frames| *frames == all[0]));
}

#[test]
fn frame_folder_reads_real_clips() {
    let Some(root) = needs::data("MACLIP_DATA", "ssv2_frames") else { return };
    let text = r#"{"class_names": {"test0": "Approaching something with your camera"}}"#;
    let data = dataset(&root, text);
    for split in Split::ALL {
        let start = Instant::now();
        let listing = data.list(split).unwrap();
        eprintln!("list {}: {:?}", split.name(), start.elapsed());
        assert_eq!(listing.skipped, []);
        assert_eq!(listing.classes.iter().map(|class| class.clips.len()).collect::<Vec<_>>(), [10; 5]);
        for id in listing.classes.iter().flat_map(|class| &class.clips) {
            assert_eq!(data.frame_count(id).unwrap(), 8);
            let frames = data.open(id, &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
            assert_eq!((frames.height, frames.width, frames.images.len()), (256, 256, 8));
        }
    }
    let test = data.list(Split::Test).unwrap();
    assert_eq!(test.classes[0].name, "Approaching something with your camera");
    assert_eq!(test.classes[1].name, "test1");

    let clips = &test.classes[0].clips;
    let start = Instant::now();
    let opened: Vec<Frames> = clips.iter().map(|id| data.open(id, &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap()).collect();
    let per_clip = |start: Instant| start.elapsed().as_secs_f64() * 1e3 / clips.len() as f64;
    eprintln!("open 8 frames: {:.2} ms", per_clip(start));
    for size in [64, 224] {
        let start = Instant::now();
        for image in opened.iter().flat_map(|frames| &frames.images) {
            images::resize_crop_rgb(image, 256, 256, size).unwrap();
        }
        eprintln!("resize 8 frames to {size}: {:.2} ms", per_clip(start));
    }
}
