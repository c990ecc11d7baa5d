//! `video_folder` on folders written for each test: a listing decodes nothing, so files hold any bytes.

use super::*;
use burn::tensor::Device;
use maclip_framework::registry::{BuildContext, Facts, build_choice, describe_choice, slot};
use maclip_language::Node;
use std::fs;

/// A file that begins like a Matroska video and holds none.
pub(super) const VIDEO: &[u8] = b"\x1a\x45\xdf\xa3\0";

pub(in crate::datasets) fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The choice of a recipe: `rest` is its options in JSON, beside the type and the root.
fn choice(kind: &str, root: &Path, rest: &str) -> Node {
    let mut options: serde_json::Value = serde_json::from_str(rest).unwrap();
    options["type"] = kind.into();
    options["root"] = root.to_str().unwrap().into();
    Node::from_json(&options)
}

fn build(kind: &str, root: &Path, rest: &str) -> Result<Box<dyn Dataset>> {
    build_choice::<dyn Dataset>(&choice(kind, root, rest), &BuildContext::new(0, Device::flex()))
}

pub(in crate::datasets) fn dataset(kind: &str, root: &Path, rest: &str) -> Box<dyn Dataset> {
    build(kind, root, rest).unwrap()
}

/// Message and help of what the check or `list` refuses.
pub(in crate::datasets) fn refused(kind: &str, root: &Path, rest: &str, split: Split) -> String {
    build(kind, root, rest).and_then(|data| data.list(split)).unwrap_err().to_string()
}

/// Names of classes with their clips.
pub(super) fn clips(listing: &Listing) -> Vec<(&str, Vec<&str>)> {
    let named = listing.classes.iter().map(|class| (class.name.as_str(), &class.clips));
    named.map(|(name, clips)| (name, clips.iter().map(String::as_str).collect())).collect()
}

fn videos(root: &Path, rest: &str) -> Box<dyn Dataset> {
    dataset("video_folder", root, rest)
}

#[test]
fn video_folder_reads_split_folders() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for path in
        ["train/b/v10.mp4", "train/b/v9.mp4", "train/b/v9.AVI", "train/a_1/x.mp4", "val/c/x.mp4", "test/d/x.mp4"]
    {
        write(root, path, VIDEO);
    }
    for other in ["train/b/notes.txt", "train/b/v9.srt", "train/b/.hidden.mp4", "train/.git/x.mp4", "train/list.csv"] {
        write(root, other, b"");
    }
    let data = videos(root, r#"{"class_names": {"d": "doing nothing"}}"#);
    let train = data.list(Split::Train).unwrap();
    // Two files that differ in their extension are two clips.
    let expected =
        [("a 1", vec!["train/a_1/x.mp4"]), ("b", vec!["train/b/v9.AVI", "train/b/v9.mp4", "train/b/v10.mp4"])];
    assert_eq!(clips(&train), expected);
    assert!(train.skipped.is_empty() && train.strict && train.notes.is_empty() && train.sums.is_empty(), "{train:?}");
    assert_eq!(clips(&data.list(Split::Test).unwrap()), [("doing nothing", vec!["test/d/x.mp4"])]);
    assert_eq!(data.files("val/c/x.mp4").unwrap(), [root.join("val/c/x.mp4").into()]);
}

#[test]
fn video_folder_finds_only_what_it_lists() {
    let dir = tempfile::tempdir().unwrap();
    let root = &dir.path().join("data");
    write(root, "train/a/x.mp4", VIDEO);
    write(root, "train/a/notes.txt", VIDEO);
    write(root, "train/a/.hidden.mp4", VIDEO);
    write(root, "train/a/empty.mp4", b"");
    write(root, "train/a/folder.mp4/x.mp4", VIDEO);
    write(dir.path(), "outside.mp4", VIDEO);
    let data = videos(root, "{}");
    assert!(data.files("train/a/x.mp4").is_ok(), "a clip is found without a listing too");
    for id in [
        "train/a/notes.txt",
        "train/a/.hidden.mp4",
        "train/a/empty.mp4",
        "train/a/folder.mp4",
        "train/a/folder.mp4/x.mp4",
        "train/a/../a/x.mp4",
        "../outside.mp4",
        "train/../../outside.mp4",
        "train/a/",
        "train/a",
        "/",
        "",
    ] {
        assert!(data.files(id).is_err(), "{id}");
        assert!(data.frame_count(id).is_err() && data.open(id, &[0]).is_err(), "{id}");
    }
    let empty = data.files("train/a/empty.mp4").unwrap_err().to_string();
    assert!(empty.contains("clip train/a/empty.mp4: "), "{empty}");
}

#[test]
fn video_folder_names_unusable_clips() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "train/a/good.mp4", VIDEO);
    write(root, "train/a/empty.mp4", b"");
    write(root, "train/b/notes.txt", VIDEO);
    write(root, "train/b/more/x.mp4", VIDEO);
    write(root, "train/c/empty.mp4", b"");
    let listing = videos(root, r#"{"broken": "skip"}"#).list(Split::Train).unwrap();
    assert_eq!(clips(&listing), [("a", vec!["train/a/good.mp4"])]);
    let reasons: HashMap<&str, &str> = listing.skipped.iter().map(|(c, r)| (c.as_str(), r.as_str())).collect();
    assert_eq!(reasons.len(), 4, "{reasons:?}");
    assert!(reasons["train/a/empty.mp4"].contains("empty"), "{reasons:?}");
    assert_eq!(reasons["train/b"], "class left out: no video, only 1 folders (more), 1 other files (.txt)");
    assert_eq!(reasons["train/c"], "class left out: none of its 1 clips can be used");
    assert!(!listing.strict);
    let strict = videos(root, "{}").list(Split::Train).unwrap();
    assert!(strict.strict && strict.skipped == listing.skipped, "{strict:?}");
}

#[test]
fn video_folder_tells_what_it_passes_over() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for path in
        ["x.mp4", "x.asf", "y.ASF", "x.vob", "sub/n1.mp4", "sub/deeper/n2.mp4", "notes/readme.txt", ".hidden.asf"]
    {
        write(root, &format!("test/push/{path}"), VIDEO);
    }
    write(root, "test/list.csv", b"");
    write(root, "validation/wave/x.mp4", VIDEO);
    write(root, "train/jump/x.mp4", VIDEO);
    let data = videos(root, "{}");
    let told = data.list(Split::Test).unwrap().passed_over.concat();
    for words in [
        "7 files and folders of split test are passed over",
        "2 .asf",
        "1 .vob",
        "1 .csv",
        "1 folders",
        "2 videos in folders inside it",
        "the first: test/list.csv",
        "videos end in 3gp, avi,",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let told = data.list(Split::Train).unwrap().passed_over.concat();
    assert!(told.contains("1 folders that are no split; the first: validation"), "{told}");
    // A class without clips says what it has.
    fs::remove_file(root.join("test/push/x.mp4")).unwrap();
    write(root, "test/wave/x.mp4", VIDEO);
    let listing = videos(root, "{}").list(Split::Test).unwrap();
    assert!(listing.skipped[0].1.contains("only 2 folders (notes, sub), 3 other files (.asf, .vob)"), "{listing:?}");
}

#[cfg(unix)]
#[test]
fn video_folder_survives_links_and_odd_names() {
    use std::ffi::OsStr;
    use std::os::unix::{ffi::OsStrExt, fs::symlink};
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let odd = ["-rf.mp4", "a b.mp4", "it's \"so\".mp4", "line\nbreak.mp4", "跑步.mp4"];
    for name in odd {
        write(root, &format!("train/-a class\n/{name}"), VIDEO);
    }
    let class = root.join("train/-a class\n");
    symlink(root.join("train"), class.join("loop.mp4")).unwrap();
    symlink(class.join("self.mp4"), class.join("self.mp4")).unwrap();
    symlink(class.join("a b.mp4"), class.join("linked.mp4")).unwrap();
    fs::write(class.join(OsStr::from_bytes(b"bad\xff.mp4")), VIDEO).unwrap();
    fs::write(class.join(OsStr::from_bytes(b"bad\xff.txt")), VIDEO).unwrap();
    fs::create_dir(root.join("train").join(OsStr::from_bytes(b"bad\xff"))).unwrap();
    let data = videos(root, "{}");
    let listing = data.list(Split::Train).unwrap();
    let mut expected: Vec<String> =
        odd.iter().chain(&["linked.mp4"]).map(|name| format!("train/-a class\n/{name}")).collect();
    let mut listed = listing.classes[0].clips.clone();
    listed.iter().for_each(|id| assert!(data.files(id).is_ok(), "{id}"));
    expected.sort();
    listed.sort();
    assert_eq!(listed, expected);
    let clips: Vec<&str> = listing.skipped.iter().map(|(clip, _)| clip.as_str()).collect();
    let class = "train/-a class\n";
    assert_eq!(clips, ["train/bad\u{fffd}", &format!("{class}/bad\u{fffd}.mp4"), &format!("{class}/self.mp4")]);
}

#[test]
fn video_folder_says_what_it_found_and_what_it_reads() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let refusal = |rest: &str| refused("video_folder", root, rest, Split::Train);
    write(root, "x.mp4", VIDEO);
    (1..=3).for_each(|i| write(root, &format!("{i}.txt"), VIDEO));
    let flat = refusal("{}");
    for words in ["found 1 videos, 3 other files (.txt)", "<root>/<split>/<class>/<clip>.mp4", "dataset.draw"] {
        assert!(flat.contains(words), "{flat}");
    }
    write(root, "train/deep/class/x.mp4", VIDEO);
    let deep = refusal("{}");
    assert!(deep.contains("train/deep: class left out: no video, only 1 folders (class)"), "{deep}");
    assert!(deep.contains("<root>/<split>/<class>/<clip>.mp4"), "{deep}");
    let missing = refused("video_folder", Path::new(""), "{}", Split::Train);
    assert!(missing.contains("videos: --set dataset.root=…"), "{missing}");
}

#[test]
fn both_datasets_tell_whether_classes_have_a_direction() {
    for kind in ["video_folder", "frame_folder"] {
        for (rest, expected) in [("{}", false), (r#"{"directed": true}"#, true)] {
            let mut facts = Facts::default();
            describe_choice(slot("dataset").unwrap(), &choice(kind, Path::new("x"), rest), &mut facts);
            assert_eq!(facts.directed, Some(expected), "{kind}");
        }
    }
}
