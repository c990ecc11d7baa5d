//! The dataset on lists and clips that the tests make.

use super::*;
use crate::conformance;
use jpeg_encoder::{ColorType, Encoder};
use maclip_framework::registry::BuildContext;
use std::fs;
use std::path::Path;

/// A clip of so many grey frames, each a bit brighter than the one before it.
fn frames(folder: &Path, first: u8, count: usize) {
    fs::create_dir_all(folder).unwrap();
    for at in 0..count {
        let mut bytes = Vec::new();
        let pixels = [first + 4 * at as u8; 16 * 16 * 3];
        Encoder::new(&mut bytes, 95).encode(&pixels, 16, 16, ColorType::Rgb).unwrap();
        fs::write(folder.join(format!("{:05}.jpg", at + 1)), bytes).unwrap();
    }
}

/// A folder with clips `NAME` of four frames, and files.
struct Made(tempfile::TempDir);

impl Made {
    fn new(clips: &[&str], files: &[(&str, &str)]) -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        for (at, clip) in clips.iter().enumerate() {
            frames(&made.at(clip), 10 + 5 * at as u8, 4);
        }
        files.iter().for_each(|(name, text)| made.write(name, text));
        made
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// The dataset with `options`, where `@` stands for the folder.
    fn dataset(&self, options: &str) -> Box<dyn Dataset> {
        let options = options.replace('@', &format!("{}/", self.0.path().display()));
        conformance::built::<VideoListConfig>(&options, &BuildContext::new(1, burn::tensor::Device::flex()))
    }

    fn error(&self, options: &str) -> String {
        let dataset = self.dataset(options);
        let error = [Split::Test, Split::Train, Split::Val].into_iter().find_map(|split| dataset.list(split).err());
        error.unwrap_or_else(|| panic!("no error with {options}")).to_string()
    }
}

/// Class and clips of a split.
fn listed(dataset: &dyn Dataset, split: Split) -> Vec<(String, Vec<String>)> {
    let listing = dataset.list(split).unwrap();
    assert_eq!(listing.skipped, [], "{:?}", listing.notes);
    listing.classes.into_iter().map(|class| (class.name, class.clips)).collect()
}

fn named(classes: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let clips = |of: &[&str]| of.iter().map(|clip| (*clip).to_owned()).collect();
    classes.iter().map(|(name, of)| ((*name).to_owned(), clips(of))).collect()
}

#[test]
fn video_list_gives_each_split_its_list_or_shares_one() {
    let made = Made::new(
        &["wave/a 1", "wave/b", "push/c", "run/d"],
        &[
            ("train.txt", "\u{feff}wave/a 1 0\r\nwave/b 0\r\npush/c 1\r\n"),
            ("test.txt", "run/d 2\n"),
            ("labels.txt", "waveHand\npush_up\nrun\n"),
        ],
    );
    let dataset = made.dataset("train: {file: @train.txt}, test: {file: @test.txt}, labels: @labels.txt");
    let expected = named(&[("push up", &["push/c"]), ("wave Hand", &["wave/a 1", "wave/b"])]);
    assert_eq!(listed(&*dataset, Split::Train), expected, "classes in natural order, clips in that of the list");
    assert_eq!(listed(&*dataset, Split::Test), named(&[("run", &["run/d"])]));
    let error = dataset.list(Split::Val).unwrap_err().to_string();
    assert!(error.contains("no list of split val") && error.contains("dataset.val.file"), "{error}");
    let listing = dataset.list(Split::Train).unwrap();
    assert_eq!(listing.sums.keys().collect::<Vec<_>>(), ["labels.txt", "train.txt"]);
    assert!(listing.notes.iter().any(|note| note.contains("read as `mmaction2`")), "{:?}", listing.notes);
    let opened = dataset.open("wave/b", &[3, 0]).unwrap();
    assert!(opened.images[0][0] > opened.images[1][0]);
    assert_eq!((dataset.frame_count("wave/b").unwrap(), dataset.files("wave/b").unwrap().len()), (4, 4));

    let rows = "path,label,split\nwave/a 1,wave,train\nwave/b,wave,train\npush/c,push,val\nrun/d,run,test\n";
    made.write("all.csv", rows);
    let dataset = made.dataset("all: {file: @all.csv}");
    assert_eq!(listed(&*dataset, Split::Train), named(&[("wave", &["wave/a 1", "wave/b"])]));
    assert_eq!(listed(&*dataset, Split::Val), named(&[("push", &["push/c"])]));
    // Classes by name count before the column.
    let dataset =
        made.dataset("all: {file: @all.csv}, splits: {train: [run, wave], test: [push]}, class_names: {run: jog}");
    assert_eq!(listed(&*dataset, Split::Train), named(&[("jog", &["run/d"]), ("wave", &["wave/a 1", "wave/b"])]));
    assert_eq!(listed(&*dataset, Split::Test), named(&[("push", &["push/c"])]));
    let drawn = "all: {file: @all.csv}, draw: {train: 1, val: 1, test: 1, seed: 3}";
    let classes = |split| made.dataset(drawn).list(split).unwrap();
    let all: Vec<String> =
        Split::ALL.into_iter().flat_map(|split| classes(split).classes).map(|class| class.name).collect();
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!(sorted, ["push", "run", "wave"], "each class in one split");
    assert!(classes(Split::Test).notes.iter().any(|note| note.contains("classes drawn with seed 3")));
    made.write("classes/train.txt", "wave\n");
    made.write("classes/val.txt", "push\n");
    made.write("classes/test.txt", "run\n");
    let dataset = made.dataset("all: {file: @all.csv}, split_file: @classes");
    assert_eq!(listed(&*dataset, Split::Test), named(&[("run", &["run/d"])]));
    assert_eq!(dataset.list(Split::Test).unwrap().sums.keys().collect::<Vec<_>>(), ["all.csv", "test.txt"]);
}

#[test]
fn video_list_errors_name_the_file_and_every_line() {
    let made = Made::new(&["wave/a", "push/b"], &[("labels.txt", "wave\npush\n")]);
    for (list, options, words) in [
        (
            "wave/a 0\npush/b 2\nwave/c x\npush/d\n",
            "labels: @labels.txt",
            &["list.txt:3: the label `x`", "list.txt:4: it has one"][..],
        ),
        (
            "wave/a 0\npush/b 2\nx 3\n",
            "labels: @labels.txt",
            &["list.txt:2: there is no class 2: labels.txt has the numbers 0 to 1", "list.txt:3:"],
        ),
        (
            "path,label\nwave/a,wavee\n",
            "labels: @labels.txt",
            &["list.txt:2: there is no class `wavee`", "did you mean `wave`?"],
        ),
        (
            "wave/a 0\nwave/a 0\npush/b 1\npush/b 0\n",
            "",
            &[
                "list.txt:2: `wave/a` is in line 1 too",
                "list.txt:4: `push/b` is in line 3 too as a clip of `1`, and here of `0`",
            ],
        ),
        ("", "", &["list.txt: it names no clip"]),
        ("path,label\n", "", &["list.txt names no clip"]),
        ("wave/a 0\nnone 0\n", "format", &["list.txt: it names no clip"]),
    ] {
        if options == "format" {
            continue;
        }
        made.write("list.txt", list);
        let error = made.error(&format!("test: {{file: @list.txt}}, {options}"));
        assert!(words.iter().all(|words| error.contains(words)), "{words:?}: {error}");
        assert!(error.contains("help"), "{error}");
    }
    // Many are counted.
    let text: String = (0..30).map(|at| format!("clip{at} 9\n")).collect();
    made.write("list.txt", text);
    let error = made.error("test: {file: @list.txt}, labels: @labels.txt");
    assert!(error.contains("and 20 more") && error.lines().count() < 15, "{error}");
    made.write("list.txt", b"wave/a 0\n\xff 1\n");
    assert!(made.error("test: {file: @list.txt}").contains("list.txt:2: it is not UTF-8 text"));
    assert!(made.error("test: {file: @gone.txt}").contains("gone.txt"));
    assert!(made.error("all: {file: @labels.txt, format: webdataset}").contains("names end in .tar"));
    made.write("list.txt", "wave/a 0\npush/b 1\n");
    let error = made.error("all: {file: @list.txt}");
    assert!(error.contains("does not say which clip is in which split") && error.contains("dataset.draw"), "{error}");
    let error = made.error("all: {file: @list.txt}, splits: {test: [\"0\", \"7\"]}");
    assert!(error.contains("no class `7`") && error.contains("2 classes (0, 1)"), "{error}");
    let error = made.error("all: {file: @list.txt}, draw: {train: 2, val: 1, test: 1}");
    assert!(error.contains("asks for 4 classes") && error.contains("2 classes (0, 1)"), "{error}");
    made.write("other.txt", "push/b 1\n");
    let error =
        made.error("train: {file: @list.txt}, test: {file: @other.txt}, splits: {train: [\"1\"], test: [\"0\"]}");
    assert!(error.contains("other.txt has no clip of class `0`, which is a class of split test"), "{error}");
    let error = made.error("test: {file: @list.txt}, root: @nowhere");
    assert!(error.contains("does not exist") && error.contains("dataset.root"), "{error}");
}

#[test]
fn video_list_missing_clips_say_what_was_looked_for() {
    let made = Made::new(&["wave/a", "push/b"], &[("list.txt", "wave/a 0\nwave/c.mp4 0\npush/b 1\npush/d 1\n")]);
    let listing = made.dataset("test: {file: @list.txt}").list(Split::Test).unwrap();
    assert!(listing.strict && listing.skipped.len() == 2, "{:?}", listing.skipped);
    let (clip, why) = &listing.skipped[0];
    assert_eq!(clip, "wave/c");
    assert!(why.starts_with("list.txt:2: not found: looked for") && why.contains("`wave`"), "{why}");
    let listing = made.dataset("test: {file: @list.txt}, missing: skip").list(Split::Test).unwrap();
    assert!(!listing.strict && listing.classes.iter().all(|class| class.clips.len() == 1));
    made.write("list.txt", "x 0\ny 1\n");
    let error = made.error("test: {file: @list.txt}");
    assert!(
        error.contains("none of the 2 clips of split test in") && error.contains("has 2 folders (push, wave)"),
        "{error}"
    );
    // A number of frames that is not that of the folder.
    made.write("list.txt", "wave/a 4 0\npush/b 9 1\n");
    let notes = made.dataset("test: {file: @list.txt}").list(Split::Test).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("push/b has 4 frames, and the list says 9")), "{notes:?}");
}

#[test]
fn video_list_tells_clips_of_one_name_in_two_folders_apart() {
    let lists = [("one/list.txt", "a/1 0\n"), ("two/list.txt", "a/1 1\n")];
    let made = Made::new(&["one/a/1", "two/a/1"], &lists);
    let dataset = made.dataset("train: {file: @one/list.txt}, test: {file: @two/list.txt}");
    assert_eq!(listed(&*dataset, Split::Train), named(&[("0", &["a/1"])]));
    assert_eq!(listed(&*dataset, Split::Test), named(&[("1", &["test/a/1"])]));
    let grey = |clip: &str| dataset.open(clip, &[0]).unwrap().images[0][0];
    assert_ne!(grey("a/1"), grey("test/a/1"));
}

#[test]
fn video_list_a_part_of_a_clip_is_a_clip_of_its_own() {
    let made = Made::new(
        &["long", "other"],
        &[("list.csv", "path,label,start_frame,end_frame\nlong,wave,0,2\nlong,push,2,4\nother,push,,\n")],
    );
    let dataset = made.dataset("test: {file: @list.csv}");
    let expected = named(&[("push", &["long#2-4", "other"]), ("wave", &["long#0-2"])]);
    assert_eq!(listed(&*dataset, Split::Test), expected);
    assert_eq!([dataset.frame_count("long#2-4").unwrap(), dataset.frame_count("other").unwrap()], [2, 4]);
    let grey = |clip: &str, at: usize| dataset.open(clip, &[at]).unwrap().images[0][0];
    let all: Vec<u8> =
        [("long#0-2", 0), ("long#0-2", 1), ("long#2-4", 0), ("long#2-4", 1)].map(|(c, at)| grey(c, at)).into();
    assert!(all.is_sorted() && all[0] < all[3], "{all:?}");
    let (one, two) = (dataset.files("long#0-2").unwrap(), dataset.files("long#2-4").unwrap());
    assert!(one.len() == 4 && one != two, "the store must tell them apart");
    assert!(dataset.open("long#0-2", &[2]).is_err(), "a frame behind its end");
    made.write("list.csv", "path,label,start,end\nlong,wave,0,2\nother,push,,\n");
    let dataset = made.dataset("test: {file: @list.csv}");
    let error = dataset.open("long#0s-2s", &[0]).unwrap_err().to_string();
    assert!(error.contains("no frame rate") && error.contains("start_frame"), "{error}");
}

#[test]
fn video_list_features_are_arrays_of_one_width() {
    let array = |width: usize, first: f32| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': (3, {width}), }}");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend((0..3 * width).flat_map(|at| (first + at as f32).to_le_bytes()));
        bytes
    };
    let made = Made::new(&[], &[("list.txt", "a.mp4 0\nsub/b 0\nc.npy 1\n")]);
    made.write("a.npy", array(2, 0.0));
    made.write("sub/b.npy", array(2, 100.0));
    made.write("c.npy", array(2, 200.0));
    let options = "test: {file: @list.txt}, clips: features";
    let dataset = made.dataset(options);
    assert_eq!(listed(&*dataset, Split::Test), named(&[("0", &["a", "sub/b"]), ("1", &["c"])]));
    let ready = dataset.features().unwrap();
    let found = ready.features("sub/b", &|timeline| Ok(vec![timeline.frames - 1, 0])).unwrap();
    assert_eq!((found.width, found.values), (2, vec![104.0, 105.0, 100.0, 101.0]));
    assert_eq!(dataset.frame_count("a").unwrap(), 3);
    assert!(dataset.open("a", &[0]).is_err(), "there are no pixels");
    made.write("c.npy", array(3, 0.0));
    let listing = made.dataset(options).list(Split::Test).unwrap();
    assert_eq!(listing.skipped, [("c".to_owned(), "has features of 3 values, and a of 2".to_owned())]);
    made.write("c.npy", b"junk");
    let listing = made.dataset(options).list(Split::Test).unwrap();
    assert!(listing.skipped[0].1.contains("no NPY file"), "{:?}", listing.skipped);
    fs::remove_file(made.at("c.npy")).unwrap();
    let listing = made.dataset(options).list(Split::Test).unwrap();
    assert!(listing.skipped[0].1.contains("list.txt:3: not found: looked for c.npy"), "{:?}", listing.skipped);
    assert!(made.dataset("test: {file: @list.txt}").features().is_none());
}

/// An NPY file with these values of two a frame.
fn array(values: &[f32]) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 2), }}", values.len() / 2);
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

#[test]
fn video_list_rows_that_are_one_file_are_told_with_both_lines() {
    let made = Made::new(&["wave/a", "wave/b", "push/c"], &[]);
    let error = |list: &str| {
        made.write("list.csv", format!("path,label\n{list}"));
        made.error("test: {file: @list.csv}")
    };
    // By another spelling, through a link, and without the folder of the list.
    let absolute = format!("wave/a,wave\n{},wave\npush/c,push\n", made.at("wave/a").display());
    let said = error(&absolute);
    assert!(said.contains("list.csv:3: lines 2 and 3 are both") && said.contains("wave/a"), "{said}");
    std::os::unix::fs::symlink(made.at("wave/a"), made.at("push/d")).unwrap();
    let said = error("wave/a,wave\npush/c,push\npush/d,push\n");
    assert!(said.contains("lines 2 and 4 are both") && said.contains("as clips of `wave` and of `push`"), "{said}");
    let said = error("wave/a,wave\nwave//a,wave\npush/c,push\n");
    assert!(said.contains("list.csv:3: `wave//a` is in line 2 too"), "{said}");
    let said = error("one/b,wave\ntwo/b,wave\npush/c,push\n");
    assert!(said.contains("lines 2 and 3 are both") && said.contains("(`one/b` and `two/b`)"), "{said}");
    // The row whose path it is has the file, and the other is missing.
    made.write("list.csv", "path,label\ngone/b,wave\nwave/b,wave\npush/c,push\n");
    let listing = made.dataset("test: {file: @list.csv}").list(Split::Test).unwrap();
    let (clip, why) = &listing.skipped[0];
    assert!(clip == "gone/b" && why.contains("list.csv:2: not found") && why.contains("the clip of line 3"), "{why}");
    let skip = made.dataset("test: {file: @list.csv}, missing: skip").list(Split::Test).unwrap();
    assert_eq!(skip.classes[1].clips, ["wave/b"]);
    // Parts of one file are clips of their own.
    made.write("list.csv", "path,label,start_frame,end_frame\nwave/a,wave,0,2\nwave/a,wave,2,4\npush/c,push,,\n");
    assert_eq!(listed(&*made.dataset("test: {file: @list.csv}"), Split::Test)[1].1.len(), 2);
    let notes = |dataset: Box<dyn Dataset>| dataset.list(Split::Test).unwrap().notes.join("; ");
    assert!(!notes(made.dataset("test: {file: @list.csv}")).contains("frames in common"));
    made.write(
        "list.csv",
        "path,label,start_frame,end_frame\nwave/a,wave,0,3\nwave/a,wave,2,4\nwave/b,wave,,\npush/c,push,,\n",
    );
    let said = notes(made.dataset("test: {file: @list.csv}"));
    assert!(said.contains("1 clips of split test have frames in common") && said.contains("lines 2 and 3"), "{said}");
    // A part of the file of another row is no part of this one.
    made.write("list.csv", "path,label,start_frame,end_frame\nwave/a,wave,0,2\ngone/a,wave,2,4\npush/c,push,,\n");
    let listing = made.dataset("test: {file: @list.csv}").list(Split::Test).unwrap();
    assert!(listing.skipped[0].0 == "gone/a#2-4" && listing.skipped[0].1.contains("the clip of line 2"), "{listing:?}");
    // A clip that is found elsewhere is counted.
    made.write("list.csv", "path,label\nsome/b,wave\npush/c,push\n");
    let notes = made.dataset("test: {file: @list.csv}").list(Split::Test).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("1 clips of split test lie elsewhere")), "{notes:?}");
}

#[test]
fn video_list_names_that_differ_in_case_are_two_clips() {
    let made =
        Made::new(&["wave/aBc", "push/c"], &[("list.csv", "path,label\nwave/aBc,wave\nwave/ABC,wave\npush/c,push\n")]);
    let listing = made.dataset("test: {file: @list.csv}").list(Split::Test).unwrap();
    assert!(listing.strict && listing.skipped[0].0 == "wave/ABC", "{:?}", listing.skipped);
    assert!(listing.skipped[0].1.contains("the clip of line 2"), "{:?}", listing.skipped);
    // Some file systems change the case of names.
    made.write("list.csv", "path,label\nwave/ABC,wave\npush/c,push\n");
    let listing = made.dataset("test: {file: @list.csv}").list(Split::Test).unwrap();
    assert!(listing.skipped.is_empty() && listing.notes.iter().any(|note| note.contains("lie elsewhere")));
}

#[test]
fn video_list_a_kinetics_video_is_one_clip() {
    let made = Made::new(&["abcdefghijk", "lmnopqrstuv_000001_000011"], &[]);
    let rows = |rows: &str| made.write("k.csv", format!("label,youtube_id,time_start,time_end\n{rows}"));
    rows("a,abcdefghijk,10,20\nb,abcdefghijk,50,60\nb,lmnopqrstuv,1,11\n");
    let error = made.error("test: {file: @k.csv}");
    assert!(error.contains("k.csv:3: lines 2 and 3 are both") && error.contains("abcdefghijk"), "{error}");
    assert!(error.contains("as clips of `a` and of `b`"), "{error}");
    rows("a,abcdefghijk,10,20\nb,lmnopqrstuv,1,11\n");
    assert_eq!(listed(&*made.dataset("test: {file: @k.csv}"), Split::Test).len(), 2);
}

#[test]
fn video_list_arrays_are_no_clips_of_two_classes() {
    let made = Made::new(&[], &[("list.csv", "path,label\npush/000,push\nwave/000,wave\n")]);
    made.write("000.npy", array(&[1.0, 2.0]));
    let error = made.error("test: {file: @list.csv}, clips: features");
    assert!(error.contains("lines 2 and 3 are both") && error.contains("000.npy"), "{error}");
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, 1], &[0; 4]).unwrap();
    made.write("all.safetensors", safetensors::serialize([("000", view)], None).unwrap());
    let error = made.error("root: @all.safetensors, test: {file: @list.csv}, clips: features");
    assert!(error.contains("lines 2 and 3 are both `000`"), "{error}");
}

#[test]
fn video_list_arrays_are_looked_at_whole() {
    let made = Made::new(&[], &[("list.txt", "a 0\nb 0\nc 1\n")]);
    made.write("a.npy", array(&[1.0, 2.0, 3.0, 4.0]));
    made.write("b.npy", array(&[1.0, 2.0, f32::NAN, 4.0]));
    made.write("c.npy", array(&[1.0, 2.0, 3.0, 4.0]));
    let options = "test: {file: @list.txt}, clips: features";
    let listing = made.dataset(options).list(Split::Test).unwrap();
    let expected = ("b".to_owned(), "value 0 of frame 1 is no finite number".to_owned());
    assert_eq!((listing.strict, listing.skipped), (true, vec![expected]));
    let listing = made.dataset(&format!("{options}, broken: skip")).list(Split::Test).unwrap();
    assert_eq!((listing.strict, &listing.classes[0].clips), (false, &vec!["a".to_owned()]));
    // A part without that frame is whole.
    made.write("parts.csv", "path,label,start_frame,end_frame\nb,x,0,1\nc,y,,\n");
    assert_eq!(listed(&*made.dataset("test: {file: @parts.csv}, clips: features"), Split::Test).len(), 2);
    // Broken since it was looked at.
    let dataset = made.dataset(options);
    dataset.list(Split::Test).unwrap();
    made.write("a.npy", array(&[f32::INFINITY, 2.0]));
    let error = dataset.features().unwrap().features("a", &|_| Ok(vec![0])).err().unwrap().to_string();
    assert!(error.contains("clip a: value 0") && error.contains("dataset.broken=skip"), "{error}");
}

#[test]
fn video_list_rawframe_lists_with_a_first_frame_are_parts() {
    let made = Made::new(&["a", "take 1"], &[("list.txt", "a 0 2 0\na 2 2 0\ntake 1 4 1\n")]);
    let dataset = made.dataset("test: {file: @list.txt}");
    assert_eq!(listed(&*dataset, Split::Test), named(&[("0", &["a#0-2", "a#2-4"]), ("1", &["take 1"])]));
    made.write("list.txt", "a 0 2 0\na 2 2 0\ntake 1 1 3 1\n");
    let dataset = made.dataset("test: {file: @list.txt}");
    assert_eq!(listed(&*dataset, Split::Test), named(&[("0", &["a#0-2", "a#2-4"]), ("1", &["take 1#1-4"])]));
    let grey = |clip: &str| dataset.open(clip, &[0]).unwrap().images[0][0];
    assert!(grey("a#0-2") < grey("a#2-4") && dataset.frame_count("take 1#1-4").unwrap() == 3);
    // The same numbers, where the first belongs to the name.
    made.write("list.txt", "a 0 4 0\ntake 1 4 1\n");
    fs::rename(made.at("a"), made.at("a 0")).unwrap();
    assert_eq!(listed(&*made.dataset("test: {file: @list.txt}"), Split::Test)[0].1, ["a 0"]);
    made.write("list.txt", "take 1 9 3 1\na 0 0 4 0\n");
    let listing = made.dataset("test: {file: @list.txt}").list(Split::Test).unwrap();
    assert!(listing.skipped[0].1.contains("the part 9-12 has no frame"), "{:?}", listing.skipped);
    // A video has no frames in a folder, whatever its row looks like.
    made.write("v.mp4", "x");
    made.write("list.txt", "v 3 0\ntake\t4\t1\n");
    fs::rename(made.at("take 1"), made.at("take")).unwrap();
    let error = made.error("test: {file: @list.txt}");
    assert!(error.contains("list.txt:1: `v` is a video") && error.contains("several labels"), "{error}");
}

#[test]
fn video_list_lists_of_clip_fsar_name_classes_by_their_folders() {
    let clips = ["train_256/blasting_sand/a", "train_256/blasting_sand/b", "val_256/busking/c"];
    let lines =
        "test0//train_256/blasting_sand/a.mp4\ntest0//train_256/blasting_sand/b.mp4\ntest1//val_256/busking/c.mp4\n";
    let made = Made::new(&clips, &[("list.txt", lines), ("names.json", r#"{"test": ["blowing sand", "busk"]}"#)]);
    let options = "test: {file: @list.txt, format: class_clip}";
    let dataset = made.dataset(options);
    let expected = named(&[("blasting sand", &clips[..2]), ("busking", &clips[2..])]);
    assert_eq!(listed(&*dataset, Split::Test), expected);
    let notes = dataset.list(Split::Test).unwrap().notes;
    assert!(notes.iter().any(|note| note.contains("`test0` is `blasting_sand`")), "{notes:?}");
    let dataset = made.dataset(&format!("{options}, labels: @names.json"));
    assert_eq!(listed(&*dataset, Split::Test)[0].0, "blowing sand");
    // Several classes in one folder keep their numbers.
    made.write("list.txt", "test0//train_256/blasting_sand/a\ntest1//train_256/blasting_sand/b\n");
    assert_eq!(listed(&*made.dataset(options), Split::Test)[0].0, "test0");
}

#[test]
fn video_list_labels_of_digits_do_not_merge_classes() {
    let made = Made::new(&["a", "b", "c"], &[("list.txt", "a 0\nb 1\nc 2\n"), ("labels.txt", "1\n2\n5\n")]);
    let options = "test: {file: @list.txt}, labels: @labels.txt";
    let dataset = made.dataset(options);
    assert_eq!(listed(&*dataset, Split::Test), named(&[("1", &["a"]), ("2", &["b"]), ("5", &["c"])]));
    assert!(dataset.list(Split::Test).unwrap().notes.iter().any(|note| note.contains("labels.txt: lines are read as")));
    made.write("list.txt", "a 1\nb 2\nc 2\n");
    let error = made.error(options);
    assert!(error.contains("list.txt:1: the label `1` is the number of class `2`"), "{error}");
}
