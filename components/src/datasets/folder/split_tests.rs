//! The three ways to say the classes of each split.

use super::tests::{VIDEO, clips, dataset, refused, write};
use super::*;
use crate::needs;
use std::fs;

/// A root with one clip in each class folder.
fn root_with(classes: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    classes.iter().for_each(|class| write(dir.path(), &format!("data/{class}/x.mp4"), VIDEO));
    dir
}

fn refusal(root: &Path, rest: &str) -> String {
    refused("video_folder", &root.join("data"), rest, Split::Train)
}

/// Class names of each split, and its listing.
fn listed(root: &Path, rest: &str) -> [(Vec<String>, Listing); 3] {
    let data = dataset("video_folder", &root.join("data"), rest);
    Split::ALL.map(|split| {
        let listing = data.list(split).unwrap();
        (clips(&listing).iter().map(|(name, _)| name.to_string()).collect(), listing)
    })
}

fn file_option(path: &Path) -> String {
    serde_json::json!({ "split_file": path }).to_string()
}

#[test]
fn class_split_of_the_recipe() {
    let dir = root_with(&["a", "b", "c10", "c9", "unused"]);
    let [train, val, test] = listed(dir.path(), r#"{"splits": {"train": ["c10", "c9"], "val": ["b"], "test": ["a"]}}"#)
        .map(|(names, _)| names);
    assert_eq!((train, val, test), (vec!["c9".into(), "c10".into()], vec!["b".to_owned()], vec!["a".to_owned()]));
    let twice = refusal(dir.path(), r#"{"splits": {"train": ["a", "b", "a"]}}"#);
    assert!(twice.contains("`splits` names the class `a` in train twice"), "{twice}");
}

#[test]
fn class_split_of_a_file() {
    let dir = root_with(&["jump", "run", "sit", "walk"]);
    let root = dir.path();
    let text = "# published\ntrain: [run, jump]\nval: [sit]\ntest:\n  - walk\n";
    let json = r#"{"train": ["run", "jump"], "val": ["sit"], "test": ["walk"]}"#;
    for (name, text) in [("splits.yaml", text), ("splits.json", json)] {
        write(root, name, text.as_bytes());
        let [train, val, test] = listed(root, &file_option(&root.join(name)));
        assert_eq!(
            (train.0, val.0, test.0),
            (vec!["jump".into(), "run".into()], vec!["sit".into()], vec!["walk".into()])
        );
        let sum = maclip_framework::files::sha256(text.as_bytes());
        for listing in [train.1, val.1, test.1] {
            assert_eq!(listing.sums, BTreeMap::from([(name.to_owned(), sum.clone())]));
        }
    }
    // Wherever something is wrong, the line is named.
    for (text, words) in [
        (
            "train: [jump]\nval: [sitt]\ntest: [walk]\n",
            &["bad.yaml:2:7: no class folder `sitt`", "did you mean `sit`?"][..],
        ),
        (
            "train: [jump]\nval: [sit]\ntest: [walk,\n  jump]\n",
            &["bad.yaml:4:3: the class `jump` is in train and test"],
        ),
        ("train: [jump]\nval: sit\ntest: [walk]\n", &["bad.yaml:2:6: "]),
        ("train: [jump]\nvalidation: [sit]\n", &["bad.yaml:2:1: ", "validation"]),
        ("train: [jump\n", &["bad.yaml:"]),
        ("val: [sit]\ntest: [walk]\n", &["bad.yaml names no class for train"]),
        ("", &["bad.yaml:1:1: "]),
    ] {
        write(root, "bad.yaml", text.as_bytes());
        let refusal = refusal(root, &file_option(&root.join("bad.yaml")));
        assert!(words.iter().all(|words| refusal.contains(words)), "{text}: {refusal}");
    }
    write(root, "bad.yaml", b"train: [\xff]");
    assert!(refusal(root, &file_option(&root.join("bad.yaml"))).contains("not UTF-8"));
    assert!(refusal(root, &file_option(&root.join("gone.yaml"))).contains("gone.yaml"));
    assert!(refusal(root, &file_option(Path::new(""))).contains("`split_file` is empty"));
}

#[test]
fn class_split_of_a_folder_of_lists() {
    let dir = root_with(&["jump", "run up", "sit", "walk"]);
    let root = dir.path();
    write(root, "lists/train.txt", "\u{feff}run up\r\n\r\njump\r\n".as_bytes());
    write(root, "lists/val.txt", b"sit");
    write(root, "lists/test.txt", b"walk\n");
    let [train, val, test] = listed(root, &file_option(&root.join("lists")));
    assert_eq!(
        (train.0, val.0, test.0),
        (vec!["jump".into(), "run up".into()], vec!["sit".into()], vec!["walk".into()])
    );
    // Each split was read from its own file.
    let sum = maclip_framework::files::sha256(b"walk\n");
    assert_eq!(test.1.sums, BTreeMap::from([("test.txt".to_owned(), sum)]));

    write(root, "lists/val.txt", b"sit\nwolk\n");
    let unknown = refusal(root, &file_option(&root.join("lists")));
    assert!(unknown.contains("val.txt:2: no class folder `wolk`") && unknown.contains("`walk`?"), "{unknown}");
    write(root, "lists/val.txt", b"sit\n\nsit\n");
    let twice = refusal(root, &file_option(&root.join("lists")));
    assert!(twice.contains("val.txt:3: the class `sit` is in val twice"), "{twice}");
    fs::remove_file(root.join("lists/val.txt")).unwrap();
    let missing = refusal(root, &file_option(&root.join("lists")));
    assert!(missing.contains("val.txt") && missing.contains("one class folder a line"), "{missing}");
}

#[test]
fn class_split_by_a_draw() {
    let dir = root_with(&["c1", "c2", "c10", "c11", "c20", "c21", "c30"]);
    let draw = |seed: u64| format!(r#"{{"draw": {{"seed": {seed}, "train": 3, "val": 1, "test": 2}}}}"#);
    let [train, val, test] = listed(dir.path(), &draw(0));
    // ChaCha8 and the partial shuffle, written anew in Python, draw 2 6 5, 0, 1 4 of the folders in natural order.
    assert_eq!(train.0, ["c10", "c21", "c30"]);
    assert_eq!(val.0, ["c1"]);
    assert_eq!(test.0, ["c2", "c20"]);
    let note = "classes drawn with seed 0: train c10, c21, c30; val c1; test c2, c20";
    assert!([train, val, test].iter().all(|(_, listing)| listing.notes == [note]));
    // And 6 2 3, 4, 5 1.
    assert_eq!(listed(dir.path(), &draw(1)).map(|(names, _)| names.join(" ")), ["c10 c11 c30", "c20", "c2 c21"]);

    let many = refusal(dir.path(), r#"{"draw": {"train": 4, "val": 2, "test": 2}}"#);
    assert!(many.contains("8 classes (4 train, 2 val, 2 test)") && many.contains("7 folders (c1, c2, c10, "), "{many}");
    let huge =
        refusal(dir.path(), r#"{"draw": {"train": 9000000000000000000, "val": 9000000000000000000, "test": 1}}"#);
    assert!(huge.contains("7 folders"), "{huge}");
    let none = refusal(dir.path(), r#"{"draw": {"train": 4, "val": 0, "test": 2}}"#);
    assert!(none.contains("draw.val"), "{none}");
    assert!(refusal(dir.path(), r#"{"draw": {"train": 4, "val": 1}}"#).contains("test"));
}

#[test]
fn class_split_is_said_once() {
    let dir = root_with(&["train/a", "val/b", "test/c"]);
    let draw = r#""draw": {"train": 1, "val": 1, "test": 1}"#;
    let two = refusal(dir.path(), &format!(r#"{{"split_file": "x", {draw}}}"#));
    assert!(two.contains("`draw`") && two.contains("`split_file`"), "{two}");
    let three = refusal(dir.path(), &format!(r#"{{"splits": {{"train": ["a"]}}, "split_file": "x", {draw}}}"#));
    assert!(three.contains("`split_file` and `splits`") && three.contains("`draw` and `splits`"), "{three}");
    // Split folders are no classes.
    let folders = refusal(dir.path(), &format!("{{{draw}}}"));
    assert!(
        folders.contains("has split folders: 3 folders (test, train, val)")
            && folders.contains("leave out dataset.draw"),
        "{folders}"
    );
    let folders = refusal(dir.path(), r#"{"splits": {"train": ["a"]}}"#);
    assert!(folders.contains("split folders"), "{folders}");
}

#[test]
fn class_split_serves_frames_too() {
    let dir = root_with(&[]);
    let root = dir.path();
    fs::create_dir_all(root.join("data")).unwrap();
    let none =
        refused("frame_folder", &root.join("data"), r#"{"draw": {"train": 1, "val": 1, "test": 1}}"#, Split::Train);
    assert!(none.contains("dataset.draw asks for 3 classes"), "{none}");
}

#[test]
fn class_split_of_real_videos() {
    let Some(root) = needs::data("MACLIP_DATA", "jhmdb14") else { return };
    let rest = r#"{"splits": {"train": ["catch", "clap", "golf", "jump", "pick", "pullup", "run"], "val": ["push", "wave"],
        "test": ["pour", "sit", "stand", "throw", "walk"]}}"#;
    let data = dataset("video_folder", &root, rest);
    let listings = Split::ALL.map(|split| data.list(split).unwrap());
    assert_eq!([0, 1, 2].map(|i| listings[i].classes.len()), [7, 2, 5]);
    // The README beside the clips: 609 of them, 36 to 55 a class.
    let counts: Vec<usize> = listings.iter().flat_map(|l| &l.classes).map(|class| class.clips.len()).collect();
    assert_eq!(counts.iter().sum::<usize>(), 609);
    assert!(counts.iter().all(|count| (36..=55).contains(count)), "{counts:?}");
    assert!(listings.iter().all(|listing| listing.skipped.is_empty()));
}
