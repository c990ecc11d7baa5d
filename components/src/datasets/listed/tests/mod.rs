//! The benchmarks on lists and folders written for each test.

mod lists;

use super::lists::key;
use super::*;
use crate::datasets::class_text::class_text;
use crate::datasets::{hmdb51, kinetics100, readers, ssv2_full, ssv2_small, ucf101};
use maclip_framework::slots::dataset::Split::{Test, Train, Val};
use std::collections::HashSet;
use std::fs;
use std::time::Instant;

const ALL: [&Benchmark; 5] =
    [&kinetics100::BENCHMARK, &ssv2_full::BENCHMARK, &ssv2_small::BENCHMARK, &hmdb51::BENCHMARK, &ucf101::BENCHMARK];

/// A benchmark small enough to write down; its val class has no published name.
const SMALL: Benchmark = Benchmark {
    name: "small",
    classes: [&["air drumming", "hurling (sport)"], &["val0"], &["Closing [something]", "HandstandPushups"]],
    fewest: [2, 1, 1],
    directed: false,
    youtube: true,
    whole: false,
    published: &["somebody/lists"],
};

fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A video that nobody decodes, or, where the name has no extension, a folder of frames.
fn clip(root: &Path, path: &str) {
    if readers::is_video(path) { write(root, path, "") } else { write(root, &format!("{path}/00001.jpg"), "") }
}

fn clips(root: &Path, paths: &[&str]) {
    paths.iter().for_each(|path| clip(root, path));
}

/// The benchmark on `root`.
fn listed(benchmark: &'static Benchmark, root: &Path, change: impl FnOnce(&mut Settings)) -> Listed {
    let mut settings = Settings { root: Some(root.to_path_buf()), ..Settings::default() };
    change(&mut settings);
    Listed::new(benchmark, settings).unwrap()
}

/// What `split` comes to when all clips that are found can be read.
fn list(data: &Listed, split: Split) -> Listing {
    data.listing(split, &data.index(split).unwrap(), |_| Ok(PassedOver::default()))
}

fn refusal(data: &Listed, split: Split) -> String {
    data.index(split).err().unwrap().to_string()
}

/// Where the clips of the train list `lines` are found below a root that holds `clips`, relative to it.
fn places(clips: &[&str], lines: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    self::clips(&root, clips);
    write(dir.path(), "lists/train.txt", lines);
    let data = listed(&SMALL, &root, |settings| settings.lists = Some(dir.path().join("lists")));
    let index = data.index(Train).unwrap();
    let relative = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    let place = |clip: &index::Clip| clip.place.as_ref().map_or_else(|reason| reason.clone(), relative);
    index.classes.iter().flat_map(|class| class.clips.iter().map(place)).collect()
}

#[test]
fn class_splits_have_their_sizes_and_share_no_class() {
    // Sizes: the papers that made the splits.
    let sizes = [[64, 12, 24], [64, 12, 24], [64, 12, 24], [31, 10, 10], [70, 10, 21]];
    for (benchmark, sizes) in ALL.into_iter().zip(sizes) {
        assert_eq!(benchmark.classes.map(<[_]>::len), sizes, "{}", benchmark.name);
        let names: Vec<&str> = benchmark.classes.concat();
        let distinct = |by: fn(&str) -> String| names.iter().map(|name| by(name)).collect::<HashSet<_>>().len();
        let all: usize = sizes.iter().sum();
        // Names must differ as keys of lists, as folders in records and as class texts.
        assert_eq!([key, index::snake, class_text].map(distinct), [all; 3], "{}", benchmark.name);
        for split in Split::ALL {
            for (place, name) in benchmark.names(split).iter().enumerate() {
                assert_eq!(benchmark.find(name), Some((split, place)));
                assert_eq!(benchmark.find(&format!("{}{place}", split.name())), Some((split, place)));
            }
        }
    }
    assert!((0..12).all(|id| ssv2_full::BENCHMARK.names(Val)[id] == format!("val{id}")));
}

#[test]
fn components_share_their_options() {
    use maclip_framework::registry::SlotTrait;
    let shared =
        ["root", "lists", "missing", "broken", "class_names", "class_text", "decoder", "pattern", "allow_shared"];
    for benchmark in ALL {
        let entry = <dyn Dataset>::entries().into_iter().find(|entry| entry.info.name == benchmark.name).unwrap();
        let schema = (entry.info.schema)().to_value();
        let labels = benchmark.name.starts_with("ssv2");
        let names: HashSet<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, shared.into_iter().chain(labels.then_some("labels")).collect(), "{}", benchmark.name);
        let mut facts = Facts::default();
        benchmark.describe(&mut facts);
        assert_eq!(facts.directed, Some(labels));
    }
    let problems = |class_names: &[(&str, &str)]| {
        let class_names = class_names.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
        let mut problems = Problems::default();
        Settings { class_names, ..Settings::default() }.validate(&hmdb51::BENCHMARK, &mut problems);
        problems.into_vec().into_iter().map(|(_, message)| message).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(problems(&[("brush hair", "brushing hair"), ("test0", "fencing match")]), "");
    assert!(problems(&[("brush_hairs", "x")]).contains("did you mean `brush_hair`?"));
    assert!(problems(&[("kick", " ")]).contains("empty text for `kick`"));
    assert!(problems(&[("kick", "a"), ("test1", "b")]).contains("one class twice"));
}

#[test]
fn clips_are_found_in_every_layout() {
    // Clip `a` of class 0: (where it lies, the line that names it).
    let lines = ["air drumming/a", "train0/a.mp4", "train0//train_256/air_drumming/a.mp4"];
    let inside = [
        "train/air drumming/a",
        "train/air_drumming/a.webm",
        "train/train0/a",
        "air_drumming/a",
        "Air Drumming/a.mkv",
        "train0/a.avi",
        "a",
        "a.mp4",
        "train_256/air_drumming/a.avi",
        "val_256/air drumming/a.mp4",
        "test_256/air_drumming/a",
        "val/air_drumming/a",
        "train_256/a.mp4",
    ];
    for path in inside {
        for base in ["", "videos/", "frames/", "rawframes/"] {
            let path = format!("{base}{path}");
            for line in lines {
                // Beside clips of other classes and names.
                let others = ["hurling_(sport)/a", "air_drumming/ab.mp4", "aa"];
                let clips: Vec<&str> = if path.contains("drumming") || path.contains("train0") {
                    [&others[..], &[&path]].concat()
                } else {
                    vec!["aa", &path]
                };
                assert_eq!(places(&clips, line), [path.as_str()], "{line}");
            }
        }
    }
    // The path of the list comes first, whatever its folders are called.
    let line = "train0//some/where/a.mp4";
    assert_eq!(places(&["some/where/a.webm", "air_drumming/a.mp4"], line), ["some/where/a.webm"]);
    assert_eq!(places(&["videos/some/where/a", "a.mp4"], line), ["videos/some/where/a"]);
    // Names: exact before case; the extension of the list, frames, then any other video.
    assert_eq!(places(&["A.mp4", "a.webm"], "train0/a"), ["a.webm"]);
    assert_eq!(places(&["A.mp4"], "train0/a"), ["A.mp4"]);
    assert_eq!(places(&["a.webm", "a", "a.mp4"], "train0/a.mp4"), ["a.mp4"]);
    assert_eq!(places(&["a.webm", "a", "a.mp4"], "train0/a"), ["a"]);
    // Another class's folder is not looked in, and other files are no clips.
    let found = places(&["hurling_(sport)/a", "b"], "train0/a\ntrain0/b");
    let missing = "not found: looked for a video or a folder of frames called `a` in the root, below the root";
    assert_eq!(found, [missing, "b"]);
    // What people write behind a clip is named, as the clip of that name is not there.
    for (line, beside) in [("train0/b.mp4 7", " 7"), ("train0/b.mp4,7", ",7"), ("train0/b.mp4 164 ; 12", " 164 ; 12")] {
        let found = places(&["b.mp4", "c"], &format!("{line}\ntrain0/c"));
        assert!(found[0].ends_with(&format!("so take `{beside}` out of it")), "{found:?}");
    }
}

#[test]
fn clips_of_kinetics_are_found_by_their_youtube_id() {
    let id = "-kYzxMKp514";
    for (file, listed) in [
        ("-kYzxMKp514.mp4", "-kYzxMKp514_000086_000096"),
        ("-kYzxMKp514_86_96.mp4", "-kYzxMKp514_000086_000096"),
        ("-kYzxMKp514_000086_000096", "-kYzxMKp514"),
        ("-kYzxMKp514_000086_000096.avi", "-kYzxMKp514_86_96"),
        ("-kyzxmkp514.avi", "-kYzxMKp514"),
    ] {
        assert_eq!(places(&[file, "-kYzxMKp515.mp4"], &format!("train0/{listed}.mp4")), [file]);
    }
    // Another part of the same video, another video, and a name that only begins like an id.
    for other in ["-kYzxMKp514_000087_000097.mp4", "-KYzxMKp514_000086_000096_x", "-kYzxMKp514b"] {
        let found = places(&[other, "b"], &format!("train0/{id}_000086_000096\ntrain0/b"));
        assert!(found[0].starts_with("not found: looked for ") && found[1] == "b", "{other}: {found:?}");
    }
    // Frames and video of one part are one clip.
    let both = ["-kYzxMKp514_1_11.mp4", "-kYzxMKp514_1_11"];
    assert_eq!(places(&both, &format!("train0/{id}")), [both[1]]);
    let two = places(&["-kYzxMKp514_1_11.mp4", "-kYzxMKp514_2_12.mp4", "b"], &format!("train0/{id}\ntrain0/b"));
    assert!(two[0].contains("may be -kYzxMKp514_1_11.mp4 or -kYzxMKp514_2_12.mp4"), "{two:?}");
}

#[test]
fn a_file_is_one_clip() {
    // One video for two parts, and one name in two classes.
    let lines = "train0/-kYzxMKp514_000086_000096\ntrain0/-kYzxMKp514_000001_000011";
    let found = places(&["-kYzxMKp514.mp4"], lines);
    assert!(found[0] == "-kYzxMKp514.mp4" && found[1].contains("which is the clip `-kYzxMKp514_000086"), "{found:?}");
    let found = places(&["a.mp4", "b.mp4"], "train0/a\ntrain1/a\ntrain1/b");
    assert!(found[0] == "a.mp4" && found[1].contains("not found: for `a` there is only") && found[2] == "b.mp4");
    // In the case of the list first.
    let found = places(&["aBc.mp4", "b.mp4"], "train0/ABC\ntrain0/aBc\ntrain0/b");
    assert!(found[0].contains("which is the clip `aBc`") && found[1] == "aBc.mp4", "{found:?}");
}

#[test]
fn a_folder_of_frames_may_be_called_as_a_video() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "air drumming/a.mp4/00001.jpg", "");
    write(dir.path(), "train.txt", "train0/a.mp4\n");
    let data = listed(&SMALL, dir.path(), |settings| settings.lists = settings.root.clone());
    assert!(data.index(Train).unwrap().classes[0].clips[0].place.as_ref().is_ok_and(|path| path.ends_with("a.mp4")));
}

#[test]
fn names_in_records_do_not_depend_on_lists_or_layouts() {
    let name = |clips: &[&str], split: Split, lines: &str| {
        let dir = tempfile::tempdir().unwrap();
        self::clips(dir.path(), clips);
        write(dir.path(), &format!("{}.txt", split.name()), lines);
        let data = listed(&SMALL, dir.path(), |settings| settings.lists = settings.root.clone());
        let index = data.index(split).unwrap();
        let ids: Vec<String> =
            index.classes.iter().flat_map(|class| class.clips.iter().map(|c| c.id.clone())).collect();
        assert!(ids.iter().all(|id| data.locate(id).is_ok()));
        ids
    };
    assert_eq!(name(&["test/Closing_something/7.webm"], Test, "test0/7"), ["closing_something/7"]);
    assert_eq!(name(&["7"], Test, "closing something//7.mp4"), ["closing_something/7"]);
    assert_eq!(name(&["x.avi"], Test, "HandstandPushups/x.avi"), ["handstand_pushups/x"]);
    assert_eq!(name(&["val0/7"], Val, "val0/7"), ["val0/7"]);
    // The order of the benchmark, then that of the list; of clips with one name, both have their paths.
    let lines = "train1/b\ntrain0//p/z.mp4\ntrain0/y\ntrain0//q/z.mp4\ntrain1/a";
    let ids = ["air_drumming/p/z", "air_drumming/y", "air_drumming/q/z", "hurling_sport/b", "hurling_sport/a"];
    assert_eq!(name(&["p/z.mp4", "q/z.mp4", "y", "a", "b"], Train, lines), ids);
}

#[test]
fn clips_that_cannot_be_used_are_counted_under_their_policy() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    clips(root, &["a", "b", "c"]);
    write(root, "train.txt", "train0/a\ntrain0/b\ntrain0/gone\ntrain1/c");
    let run = |missing, broken| {
        let data = listed(&SMALL, root, |settings| {
            *settings = Settings { lists: settings.root.clone(), missing, broken, ..settings.clone() };
        });
        data.listing(Train, &data.index(Train).unwrap(), |path| match path.ends_with("b") || path.ends_with("c") {
            true => Err("damaged".to_owned()),
            false => Ok(PassedOver::default()),
        })
    };
    let skipped = |listing: &Listing| listing.skipped.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
    let (gone, damaged) = ("air_drumming/gone", ["air_drumming/b", "hurling_sport/c"]);
    let all = run(Policy::Skip, Policy::Skip);
    assert!(!all.strict && all.classes.len() == 1 && all.classes[0].clips == ["air_drumming/a"]);
    assert_eq!(skipped(&all), ["air_drumming/b", gone, "hurling_sport/c"]);
    assert!(all.notes.iter().any(|note| note.contains("`hurling (sport)` is left out")), "{:?}", all.notes);
    assert_eq!(all.sums.keys().collect::<Vec<_>>(), ["train.txt"]);
    let some = run(Policy::Fail, Policy::Skip);
    assert_eq!((some.strict, skipped(&some)), (true, vec![gone.to_owned()]));
    let some = run(Policy::Skip, Policy::Fail);
    assert_eq!((some.strict, skipped(&some)), (true, damaged.map(str::to_owned).to_vec()));
    assert_eq!(run(Policy::Fail, Policy::Fail).skipped.len(), 3);

    let data = listed(&SMALL, root, |settings| settings.lists = settings.root.clone());
    assert!(data.locate("air_drumming/none").unwrap_err().to_string().contains("val"), "the val list is not there");
    write(root, "train.txt", "train0/gone\ntrain1/gone");
    let none = refusal(&data, Val) + &refusal(&listed(&SMALL, root, |s| s.lists = s.root.clone()), Train);
    assert!(none.contains("none of the 2 clips in the list of split train") && none.contains("(a, b, c)"), "{none}");
    let nowhere = listed(&SMALL, &root.join("nowhere"), |settings| settings.lists = Some(root.to_path_buf()));
    assert!(refusal(&nowhere, Train).contains("does not exist"));
    assert!(Listed::new(&SMALL, Settings::default()).err().unwrap().to_string().contains("no root folder"));
}

#[test]
fn folders_stand_for_lists_where_they_say_as_much() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    clip(root, "a");
    let message = refusal(&listed(&SMALL, root, |_| ()), Train);
    assert!(message.contains("dataset.lists is not given") && message.contains("somebody/lists"), "{message}");
    clips(root, &["frames/train/hurling_(sport)/b", "frames/train/train0/d.mp4", "frames/train/air_drumming/c.webm"]);
    let data = listed(&SMALL, root, |_| ());
    let train = list(&data, Train);
    let clips: Vec<&Vec<String>> = train.classes.iter().map(|class| &class.clips).collect();
    assert_eq!(clips, [&["air_drumming/c", "air_drumming/d"][..], &["hurling_sport/b"]]);
    assert_eq!((train.skipped.len(), train.strict), (0, false));
    assert!(refusal(&data, Test).contains("no class folder with clips in it of split test"));
    clip(root, "test/Closing [something]/x");
    let test = list(&listed(&SMALL, root, |_| ()), Test);
    assert_eq!((test.strict, test.skipped[0].0.as_str()), (true, "handstand_pushups/*"));
    clip(root, "train/air_druming/x");
    let message = refusal(&listed(&SMALL, root, |_| ()), Train);
    assert!(message.contains("air_druming") && message.contains("did you mean `air drumming`?"), "{message}");

    // HMDB51 and UCF101 use every clip of their classes.
    let dir = tempfile::tempdir().unwrap();
    hmdb51::BENCHMARK.classes.concat().iter().for_each(|class| {
        for name in ["x", "y"] {
            clip(dir.path(), &format!("videos/{class}/{class}_{name}.avi"));
        }
    });
    let data = listed(&hmdb51::BENCHMARK, dir.path(), |_| ());
    for (split, size) in Split::ALL.into_iter().zip([31, 10, 10]) {
        let listing = list(&data, split);
        assert_eq!((listing.classes.len(), listing.skipped.len()), (size, 0));
        assert!(listing.classes.iter().all(|class| class.clips.len() == 2));
    }
    assert_eq!(list(&data, Test).classes[2].clips, ["kick_ball/kick_ball_x", "kick_ball/kick_ball_y"]);
}

#[test]
fn class_texts_come_from_the_recipe_or_the_labels() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    clips(root, &["1", "2", "3"]);
    write(root, "val.txt", "val0/1\nval0/2.webm");
    write(root, "test.txt", "test0/3\ntest1/1");
    let texts = |split, change: &dyn Fn(&mut Settings)| {
        let data = listed(&SMALL, root, |settings| {
            settings.lists = settings.root.clone();
            change(settings);
        });
        data.index(split)
            .map(|index| (index.classes.iter().map(|c| c.name.clone()).collect::<Vec<_>>(), list(&data, split)))
    };
    assert_eq!(texts(Test, &|_| ()).unwrap().0, ["Closing something", "Handstand Pushups"]);
    let (val, listing) = texts(Val, &|_| ()).unwrap();
    assert_eq!(val, ["val0"]);
    assert!(listing.notes[0].contains("placeholders such as `val0`"), "{:?}", listing.notes);
    let named = |settings: &mut Settings| {
        settings.class_names = [("val0", "Opening a door"), ("closing something", "Shut")]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into();
    };
    assert_eq!(texts(Val, &named).unwrap().0, ["Opening a door"]);
    assert_eq!(texts(Test, &named).unwrap().0, ["Shut", "Handstand Pushups"]);
    let as_written = |settings: &mut Settings| settings.class_text = ClassText::ClipFsar;
    assert_eq!(texts(Test, &as_written).unwrap().0, ["Closing [something]", "HandstandPushups"]);

    let labelled = |settings: &mut Settings| settings.labels = Some(root.join("labels"));
    let message = || texts(Val, &labelled).unwrap_err().to_string();
    fs::create_dir(root.join("labels")).unwrap();
    write(root, "labels/something-something-v2-labels.json", r#"{"Opening something": "0"}"#);
    assert!(message().contains("no label file"));
    let file = "labels/something-something-v2-train.json";
    write(root, file, r#"[{"id": "9", "label": "x", "template": "Folding [something]", "placeholders": []}]"#);
    assert!(message().contains("no clip of class `val0` has a template"));
    let entry = |id, template| format!(r#"{{"id": "{id}", "label": "opening a door", "template": "{template}"}}"#);
    write(root, file, format!("[{}]", entry(1, "Opening [something]")));
    write(root, "labels/something-something-v2-validation.json", "[]");
    let (val, listing) = texts(Val, &labelled).unwrap();
    assert_eq!(val, ["Opening something"]);
    assert_eq!(listing.sums.len(), 3);
    write(root, file, format!("[{},\n{}]", entry(1, "Opening [something]"), entry(2, "Closing [something]")));
    assert!(message().contains("two templates"));
    write(root, file, "[{\n\"id\": 1}]");
    assert!(message().contains("train.json:2: "), "{}", message());
}

#[cfg(unix)]
#[test]
fn links_and_odd_names_do_no_harm() {
    use std::ffi::OsStr;
    use std::os::unix::{ffi::OsStrExt, fs::symlink};
    let dir = tempfile::tempdir().unwrap();
    let (root, elsewhere) = (dir.path().join("root"), dir.path().join("elsewhere"));
    fs::create_dir(&root).unwrap();
    clips(&elsewhere, &["store/a.mp4", "folder/b"]);
    symlink(elsewhere.join("folder"), root.join("air_drumming")).unwrap();
    symlink(elsewhere.join("store/a.mp4"), root.join("a.mp4")).unwrap();
    symlink(&root, root.join("videos")).unwrap();
    symlink(root.join("train"), root.join("train")).unwrap();
    symlink(root.join("gone"), root.join("c.mp4")).unwrap();
    fs::create_dir(root.join(OsStr::from_bytes(b"bad\xff"))).unwrap();
    write(&root, "notes.txt", "");
    write(&root, "train.txt", "train0/a\ntrain0/b\ntrain0/c\ntrain0/notes.txt");
    let data = listed(&SMALL, &root, |settings| settings.lists = settings.root.clone());
    let listing = list(&data, Train);
    assert_eq!(listing.classes[0].clips, ["air_drumming/a", "air_drumming/b"]);
    assert_eq!(listing.skipped.len(), 2);
}

#[test]
fn a_list_of_the_largest_size_is_looked_up_in_one_flat_folder() {
    const CLIPS: usize = 67_013;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("videos");
    fs::create_dir(&root).unwrap();
    (0..CLIPS).for_each(|id| fs::write(root.join(format!("{id}.webm")), "").unwrap());
    let lines: Vec<String> = (0..CLIPS).map(|id| format!("train{}/{id}", id % 64)).collect();
    write(dir.path(), "lists/train_few_shot.txt", lines.join("\n"));
    let data = listed(&ssv2_full::BENCHMARK, dir.path(), |s| s.lists = Some(dir.path().join("lists")));
    let start = Instant::now();
    let listing = list(&data, Train);
    eprintln!("{CLIPS} clips: {:?}", start.elapsed());
    assert_eq!(listing.classes.iter().map(|class| class.clips.len()).sum::<usize>(), CLIPS);
    assert_eq!(listing.classes[1].clips[1], "closing_something/65");
    assert_eq!((listing.classes.len(), listing.skipped.len()), (64, 0));
}
