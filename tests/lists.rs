//! The dataset `video_list` on lists, archives and features that the tests make, as a user runs it.

mod common;

use common::needs::no_ffmpeg;
use common::videos::{CLASSES, videos, write, write_marked};
use common::{Ran, clip, command, finish, maclip, records, run_directory};
use maclip_components as _;
use maclip_framework::clips::loader::{ClipLoader, View};
use maclip_framework::clips::sources::Clips;
use maclip_framework::engine::features::ClipSource;
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::recipe::Recipe;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder for clips, lists, a recipe and its runs.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// A recipe without training, whose dataset has these options. `@` stands for the folder, and `more` replaces
    /// slots.
    fn recipe(&self, options: &str, more: &str) -> String {
        let mut slots = BTreeMap::from([
            ("frames", "{type: uniform_segments, count: 2}"),
            ("backbone", "{type: clip_vit, weights: \"builtin:shapes_clip\"}"),
            ("adapter", "{type: none}"),
            ("alignment", "{type: otam, lambda: 0.1}"),
            ("objective", "{type: metric}"),
            ("task", "{type: few_shot, way: 2, shot: 1, test: {episodes: 8, queries: 1}}"),
        ]);
        for line in more.lines() {
            let (slot, value) = line.split_once(": ").unwrap();
            slots.insert(slot, value);
        }
        let slots: String = slots.iter().map(|(slot, value)| format!("{slot}: {value}\n")).collect();
        let options = options.replace('@', &format!("{}/", self.0.path().display()));
        let path = self.at("lists.yaml");
        fs::write(&path, format!("name: lists\nseed: 1\ndataset: {{type: video_list, {options}}}\n{slots}")).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn maclip(&self, verb: &[&str], recipe: &str) -> Ran {
        let runs = self.at("runs").display().to_string();
        let (verb, rest) = verb.split_first().unwrap();
        let runs: &[&str] = if *verb == "run" { &["--runs", &runs] } else { &[] };
        finish(command(&[&[*verb, recipe], runs, rest].concat()).output().unwrap())
    }

    /// Runs the recipe, and gives its manifest and the records of its episodes.
    #[track_caller]
    fn run(&self, options: &str, more: &str) -> (Value, Vec<Value>) {
        fs::remove_dir_all(self.at("runs/lists")).ok();
        let recipe = self.recipe(options, more);
        let ran = self.maclip(&["run"], &recipe);
        assert_eq!(ran.code, Some(0), "{options}\n{}\n{}", ran.stdout, ran.stderr);
        let run = run_directory(&self.at("runs"), "lists", "default");
        let manifest = serde_json::from_slice(&fs::read(run.join("manifest.json")).unwrap()).unwrap();
        let episodes = records(&run.join("episodes.jsonl"));
        assert_eq!(episodes.len(), 8);
        (manifest, episodes)
    }

    /// What a run says that fails.
    #[track_caller]
    fn fails(&self, code: i32, options: &str, more: &str, words: &[&str]) -> String {
        fs::remove_dir_all(self.at("runs/lists")).ok();
        let recipe = self.recipe(options, more);
        let ran = self.maclip(&["run"], &recipe);
        assert_eq!(ran.code, Some(code), "{options}\n{}\n{}", ran.stdout, ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is not in:\n{}", ran.stderr);
        }
        assert!(!ran.stderr.contains("panicked") && ran.stderr.lines().count() <= 40, "{}", ran.stderr);
        ran.stderr
    }
}

/// The notes of a manifest as one text.
fn notes(manifest: &Value) -> String {
    manifest["notes"].to_string()
}

/// All clips and class names of the episodes.
fn seen(episodes: &[Value]) -> (Vec<String>, Vec<String>) {
    let texts = |value: &Value| -> Vec<String> {
        fn all(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::String(text) => found.push(text.clone()),
                Value::Array(values) => values.iter().for_each(|value| all(value, found)),
                _ => {}
            }
        }
        let mut found = Vec::new();
        all(value, &mut found);
        found
    };
    let unique = |of: &dyn Fn(&Value) -> Vec<String>| {
        let mut found: Vec<String> = episodes.iter().flat_map(of).collect();
        found.sort();
        found.dedup();
        found
    };
    (unique(&|e| [texts(&e["support"]), texts(&e["queries"])].concat()), unique(&|e| texts(&e["classes"])))
}

/// Two classes of three clips of four frames: `clips/wave/take 0` and so on.
fn folders(bench: &Bench) {
    for (class, name) in ["wave", "push"].iter().enumerate() {
        for take in 0..3 {
            clip(&bench.at(&format!("clips/{name}/take {take}")), class, 10 * class + take, 4);
        }
    }
}

#[test]
fn lists_of_frame_folders_are_read_as_mmaction2_and_others_have_them() {
    let bench = Bench::new();
    folders(&bench);
    let all = ["push/take 0", "push/take 1", "push/take 2", "wave/take 0", "wave/take 1", "wave/take 2"];
    let lines = |line: &dyn Fn(&str, usize) -> String| -> String {
        all.iter().map(|clip| line(clip, usize::from(clip.starts_with("push")))).collect()
    };
    write(&bench.at("labels.txt"), "wave\npush_up\n");
    // With a byte order mark, the line ends of Windows, and blanks in names.
    let rawframes = format!("\u{feff}{}", lines(&|clip, label| format!("{clip} 4 {label}\r\n")));
    write(&bench.at("rawframes.txt"), rawframes);
    let (manifest, episodes) = bench.run("root: @clips, test: {file: @rawframes.txt}, labels: @labels.txt", "");
    let (clips, classes) = seen(&episodes);
    assert_eq!(classes, ["push up", "wave"]);
    assert!(!clips.is_empty() && clips.iter().all(|clip| all.contains(&clip.as_str())), "{clips:?}");
    assert!(
        notes(&manifest).contains("rawframes.txt: read as `mmaction2`: each line ends with a number"),
        "{manifest}"
    );
    let inputs = manifest.to_string();
    assert!(inputs.contains("rawframes.txt") && inputs.contains("labels.txt"), "{inputs}");

    write(&bench.at("commas.txt"), lines(&|clip, label| format!("{clip},{label}\n")));
    let (manifest, commas) = bench.run("root: @clips, test: {file: @commas.txt}, labels: @labels.txt", "");
    assert!(notes(&manifest).contains("behind `,`"), "{manifest}");
    let distances = |episodes: &[Value]| episodes.iter().map(|e| e["distances"].clone()).collect::<Vec<_>>();
    assert_eq!(distances(&episodes), distances(&commas), "the same clips in the same order");

    let table = lines(&|clip, label| format!("\"{clip}\",{}\n", ["wave", "push"][label]));
    write(&bench.at("clips/table.csv"), format!("path,label\n{table}"));
    let (_, episodes) = bench.run("test: {file: @clips/table.csv}, class_names: {push: shove}", "");
    assert_eq!(seen(&episodes).1, ["shove", "wave"], "clips are beside their list");

    write(&bench.at("trx.txt"), lines(&|clip, _| format!("{clip}\n")));
    bench.run("root: @clips, test: {file: @trx.txt, format: class_clip}", "");
    // Names that end with a number look like a list of mmaction2, and then clips are there twice.
    bench.fails(1, "root: @clips, test: {file: @trx.txt}", "", &["trx.txt:2: `push/take` is in line 1 too"]);
}

#[test]
fn lists_are_trained_on_with_classes_by_name_by_file_and_by_draw() {
    let bench = Bench::new();
    let mut rows = "path,label,split\n".to_owned();
    for class in 0..6 {
        for take in 0..2 {
            clip(&bench.at(&format!("data/c{class}_{take}")), class, 10 * take + class, 4);
            rows += &format!("c{class}_{take},class {class},{}\n", ["train", "val", "test"][class / 2]);
        }
    }
    write(&bench.at("data/all.csv"), &rows);
    let more = "adapter: {type: lora, rank: 2}\n\
                task: {type: few_shot, way: 2, shot: 1, queries: 1, episodes_per_step: 1, train: {steps: 2, \
                validate_every_steps: 2, checkpoint_every_steps: 2}, validation: {episodes: 4}, test: {episodes: 8}}";
    let list = "all: {file: @data/all.csv}";
    let classes = |options: &str| seen(&bench.run(&format!("{list}{options}"), more).1).1;
    assert_eq!(classes(""), ["class 4", "class 5"], "the column split");
    let named = ", splits: {train: [class 4, class 5], val: [class 2, class 3], test: [class 0, class 1]}";
    assert_eq!(classes(named), ["class 0", "class 1"]);
    write(&bench.at("s/split.yaml"), "train: [class 0, class 1]\nval: [class 4, class 5]\ntest: [class 2, class 3]\n");
    assert_eq!(classes(", split_file: @s/split.yaml"), ["class 2", "class 3"]);
    let (manifest, _) = bench.run(&format!("{list}, draw: {{train: 2, val: 2, test: 2, seed: 7}}"), more);
    assert!(notes(&manifest).contains("classes drawn with seed 7"), "{manifest}");

    // One clip in two splits.
    write(&bench.at("data/test.csv"), "path,label\nc0_0,class 9\nc0_1,class 9\nc1_0,class 8\nc1_1,class 8\n");
    let options = "all: {file: @data/all.csv}, test: {file: @data/test.csv}";
    bench.fails(1, options, more, &["in common", "clip `c0_0` is in split", "allow_shared"]);
    let (manifest, _) = bench.run(&format!("{options}, allow_shared: true"), more);
    assert!(notes(&manifest).contains("dataset.allow_shared allows it"), "{manifest}");
}

#[test]
fn lists_of_kinetics_and_ssv2_find_videos_as_crawlers_name_them() {
    if no_ffmpeg() {
        return;
    }
    let bench = Bench::new();
    let files = videos(bench.0.path());
    let (mut kinetics, mut ssv2) = ("label,youtube_id,time_start,time_end,split,is_cc\n".to_owned(), Vec::new());
    for class in 0..2 {
        for take in 0..3 {
            let (id, label) = (format!("abcdefgh-{class}{take}"), ["push up", "wave"][class]);
            let name = format!("k400/train/{label}/{id}_000010_000020.mp4");
            write_marked(&bench.at(&name), &files[class], &format!("k{take}"));
            kinetics += &format!("{label},{id},10,20,train,0\n");
            let number = 100 + 10 * class + take;
            write_marked(&bench.at(&format!("ssv2/{number}.webm")), &files[class], &format!("s{take}"));
            let template = ["Holding [something]", "Turning [something] over"][class];
            let id = number.to_string();
            ssv2.push(serde_json::json!({"id": id, "label": "x", "template": template, "placeholders": ["y"]}));
        }
    }
    write(&bench.at("train.csv"), kinetics);
    write(&bench.at("something.json"), serde_json::to_vec(&ssv2).unwrap());
    let labels = r#"{"Holding something":"0", "Turning something over":"1"}"#;
    write(&bench.at("something-something-v2-labels.json"), labels);
    let (manifest, episodes) = bench.run("root: @k400, test: {file: @train.csv}", "");
    let (clips, classes) = seen(&episodes);
    assert_eq!((classes, clips[0].as_str()), (vec!["push up".into(), "wave".into()], "abcdefgh-00_000010_000020"));
    assert!(notes(&manifest).contains("read as `kinetics`") && notes(&manifest).contains("that of Kinetics itself"));
    let options = "root: @ssv2, test: {file: @something.json}, labels: @something-something-v2-labels.json";
    let (_, episodes) = bench.run(options, "");
    assert_eq!(seen(&episodes).1, ["Holding something", "Turning something over"]);

    // Parts of one video: the first and the last frames of twelve at 25 frames a second.
    let mut rows = "path,label,start,end\n".to_owned();
    for (class, file) in files.iter().enumerate().take(CLASSES).skip(3) {
        write(&bench.at(&format!("parts/{class}.mp4")), file);
        rows += &format!("{class}.mp4,class {class},0,0.2\n{class}.mp4,class {class},0.24,0.48\n");
    }
    write(&bench.at("parts/parts.csv"), rows);
    let (_, episodes) = bench.run("test: {file: @parts/parts.csv}", "");
    assert_eq!(seen(&episodes).0, ["3#0.24s-0.48s", "3#0s-0.2s", "4#0.24s-0.48s", "4#0s-0.2s"]);
    write(&bench.at("parts/late.csv"), "path,label,start,end\n3.mp4,a,0,9\n3.mp4,a,8,9\n4.mp4,b,0,9\n4.mp4,b,9,10\n");
    bench.fails(1, "test: {file: @parts/late.csv}", "", &["3#8s-9s", "has no frame: the file has 12 frames (0.48 s)"]);
}

/// A zip file without compression, as TRX publishes its frames.
fn zip(path: &Path, entries: &[(String, Vec<u8>)]) {
    use std::io::Write;
    let mut archive = rawzip::ZipArchiveWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in entries {
        let (mut entry, config) =
            archive.new_file(name).compression_method(rawzip::CompressionMethod::STORE).start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(bytes).unwrap();
        let (_, output) = writer.finish().unwrap();
        entry.finish(output).unwrap();
    }
    archive.finish().unwrap();
}

fn tar(path: &Path, entries: &[(String, Vec<u8>)]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut archive = tar::Builder::new(fs::File::create(path).unwrap());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    archive.finish().unwrap();
}

/// The frames of the clips of [`folders`], by names that `name` makes of class, take and frame.
fn entries(bench: &Bench, name: impl Fn(&str, usize, usize) -> String) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for class in ["wave", "push"] {
        for (take, frame) in (0..3).flat_map(|take| (1..=4).map(move |frame| (take, frame))) {
            let bytes = fs::read(bench.at(&format!("clips/{class}/take {take}/{frame:08}.jpg"))).unwrap();
            all.push((name(class, take, frame), bytes));
        }
    }
    all
}

#[test]
fn archives_give_the_same_numbers_as_folders_and_a_change_is_noticed() {
    let bench = Bench::new();
    folders(&bench);
    write(&bench.at("list.csv"), {
        let rows = |class: &str| (0..3).map(|take| format!("{class}/take {take},{class}\n")).collect::<String>();
        format!("path,label\n{}{}", rows("push"), rows("wave"))
    });
    let distances = |episodes: &[Value]| episodes.iter().map(|e| e["distances"].clone()).collect::<Vec<_>>();
    let (first, folder) = bench.run("root: @clips, test: {file: @list.csv}", "");
    let make = || {
        zip(
            &bench.at("data.zip"),
            &entries(&bench, |class, take, frame| format!("x/test/{class}/take {take}/{frame:08}.jpg")),
        )
    };
    make();
    // As its own list, and as the place of the clips of a list.
    let (manifest, own) = bench.run("test: {file: @data.zip}", "");
    assert_eq!(distances(&folder), distances(&own));
    assert!(notes(&manifest).contains("read as `zip`"), "{manifest}");
    let (_, listed) = bench.run("root: @data.zip, test: {file: @list.csv}", "");
    assert_eq!(distances(&folder), distances(&listed));
    assert_eq!(seen(&folder).0, seen(&listed).0);
    // The checksums of the clips do not depend on where their bytes are.
    let (second, _) = bench.run("root: @data.zip, test: {file: @list.csv}", "");
    assert_eq!(first["clips"], second["clips"]);

    let samples = |at: &dyn Fn(&str, usize) -> bool| {
        let mut all = Vec::new();
        for (name, bytes) in entries(&bench, |class, take, frame| format!("{class}_{take}.{frame:04}.jpg")) {
            let (class, take) = (&name[..4], name[5..6].parse().unwrap());
            if at(class, take) {
                all.push((name.clone(), bytes));
                if name.ends_with("0004.jpg") {
                    let label = usize::from(class == "wave");
                    all.push((format!("{class}_{take}.cls"), label.to_string().into_bytes()));
                }
            }
        }
        all
    };
    tar(&bench.at("shards/000.tar"), &samples(&|class, take| class == "push" || take == 0));
    tar(&bench.at("shards/001.tar"), &samples(&|class, take| class == "wave" && take > 0));
    write(&bench.at("labels.txt"), "push\nwave\n");
    let options = "test: {file: \"@shards/{000..001}.tar\"}, labels: @labels.txt";
    let (manifest, sharded) = bench.run(options, "");
    assert_eq!(distances(&folder), distances(&sharded));
    assert!(notes(&manifest).contains("read as `webdataset`"), "{manifest}");
    bench.fails(
        1,
        "test: {file: \"@shards/{000..003}.tar\"}",
        "",
        &["2 of 4 archives cannot be read", "002.tar", "003.tar"],
    );

    // Another picture in the zip file: another clip, another checksum, and other distances.
    let sum = |manifest: &Value| manifest.to_string();
    let (before, _) = bench.run("test: {file: @data.zip}", "");
    clip(&bench.at("clips/wave/take 0"), 1, 90, 4);
    make();
    let (after, changed) = bench.run("test: {file: @data.zip}", "");
    assert_ne!(before["clips"], after["clips"], "{}", sum(&after));
    assert_ne!(distances(&own), distances(&changed));
    let mut cut = fs::read(bench.at("data.zip")).unwrap();
    cut.truncate(cut.len() - 30);
    fs::write(bench.at("data.zip"), cut).unwrap();
    bench.fails(1, "test: {file: @data.zip}", "", &["data.zip", "no whole zip file"]);
}

#[test]
fn archives_hold_videos_too() {
    if no_ffmpeg() {
        return;
    }
    let bench = Bench::new();
    let files = videos(bench.0.path());
    let (mut shard, mut zipped, mut rows) = (Vec::new(), Vec::new(), "path,label\n".to_owned());
    for (class, take) in (0..2).flat_map(|class| (0..3).map(move |take| (class, take))) {
        let name = format!("k{class}{take}");
        write_marked(&bench.at(&format!("videos/{name}.mp4")), &files[class], &format!("t{take}"));
        let bytes = fs::read(bench.at(&format!("videos/{name}.mp4"))).unwrap();
        shard.push((format!("{name}.mp4"), bytes.clone()));
        shard.push((format!("{name}.json"), format!("{{\"label\": \"class {class}\"}}").into_bytes()));
        zipped.push((format!("class {class}/{name}.mp4"), bytes));
        rows += &format!("{name}.mp4,class {class}\n");
    }
    write(&bench.at("videos/list.csv"), rows);
    tar(&bench.at("000.tar"), &shard);
    zip(&bench.at("videos.zip"), &zipped);
    let distances = |episodes: &[Value]| episodes.iter().map(|e| e["distances"].clone()).collect::<Vec<_>>();
    // Without the store, so that every clip is decoded where it lies.
    let more = "clip_store: {use: false}";
    let (_, folder) = bench.run("test: {file: @videos/list.csv}", more);
    let (_, sharded) = bench.run("test: {file: @000.tar}", more);
    let (_, in_zip) = bench.run("test: {file: @videos.zip}", more);
    assert_eq!(distances(&folder), distances(&sharded));
    assert_eq!(distances(&folder), distances(&in_zip));
    // A broken video is named as the clip that it is, not as the copy that FFmpeg saw.
    let mut broken = shard.clone();
    broken[0].1.truncate(200);
    tar(&bench.at("bad.tar"), &broken);
    let said = bench.fails(1, "test: {file: @bad.tar}", "", &["k00"]);
    assert!(!said.contains("maclip-clip-"), "{said}");
    let (manifest, episodes) = bench.run("test: {file: @bad.tar}, broken: skip", more);
    assert!(!seen(&episodes).0.contains(&"k00".to_owned()) && notes(&manifest).contains("k00"), "{manifest}");
    let mut broken = zipped;
    broken[0].1.truncate(200);
    zip(&bench.at("bad.zip"), &broken);
    let (_, episodes) = bench.run("test: {file: @bad.zip}, broken: skip", more);
    assert!(!seen(&episodes).0.contains(&"class 0/k00".to_owned()), "{episodes:?}");
}

#[test]
fn archives_drop_no_clip_in_silence() {
    let bench = Bench::new();
    folders(&bench);
    let sample = |class: &str, take: usize, frame: usize| format!("{class}_{take}.{frame:04}.jpg");
    let mut samples = entries(&bench, sample);
    for (class, take) in [("wave", 0), ("wave", 1), ("push", 0), ("push", 1), ("push", 2)] {
        samples.push((format!("{class}_{take}.cls"), class.as_bytes().to_vec()));
    }
    tar(&bench.at("some.tar"), &samples);
    bench.fails(1, "test: {file: @some.tar}", "", &["wave_2", "it has no class", "dataset.broken=skip"]);
    let (manifest, episodes) = bench.run("test: {file: @some.tar}, broken: skip", "");
    assert!(!seen(&episodes).0.contains(&"wave_2".to_owned()) && notes(&manifest).contains("wave_2"), "{manifest}");

    // Clips in none of the splits that others are in.
    let at = |class: &str, take: usize| if take == 2 { format!("extra/{class}") } else { format!("test/{class}") };
    let outside = |class: &str, take, frame| format!("d/{}/take {take}/{frame:08}.jpg", at(class, take));
    zip(&bench.at("extra.zip"), &entries(&bench, outside));
    let words = ["2 clips of", "the first is `d/extra/push/take 2`", "dataset.splits"];
    bench.fails(1, "test: {file: @extra.zip}", "", &words);
    let (_, episodes) = bench.run("test: {file: @extra.zip}, splits: {test: [wave, push]}", "");
    assert!(seen(&episodes).0.contains(&"d/extra/wave/take 2".to_owned()), "classes are said: {episodes:?}");

    // The lists of CLIP-FSAR, and a row whose clip is there in the folder of another class only.
    let inside = |class: &str, take: usize, frame: usize| format!("k100/train_256/{class}/take {take}/{frame:08}.jpg");
    zip(&bench.at("k100.zip"), &entries(&bench, inside));
    let rows = |class: usize, name: &str| -> String {
        (0..3).map(|take| format!("test{class}//train_256/{name}/take {take}.mp4\n")).collect()
    };
    write(&bench.at("few_shot.txt"), rows(0, "wave") + &rows(1, "push"));
    let list = "test: {file: @few_shot.txt, format: class_clip}";
    let (_, episodes) = bench.run(&format!("root: @k100.zip, {list}"), "");
    assert_eq!(seen(&episodes).1, ["push", "wave"]);
    let named = |class: &str, take: usize, frame: usize| format!("k/{class}/{class} {take}/{frame:08}.jpg");
    zip(&bench.at("named.zip"), &entries(&bench, named));
    let rows = "path,label\nwave 0,wave\nwave 1,wave\npush 0,push\npush 1,push\npush 2,wave\n";
    write(&bench.at("named.csv"), rows);
    let words = ["named.csv:6: not found", "k/push/push 2 in the folder of class `push`"];
    bench.fails(1, "root: @named.zip, test: {file: @named.csv}", "", &words);
}

/// Writes `[frames, width]` as an NPY file of version 1.
fn npy(path: &Path, width: usize, values: &[f32]) {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {width}), }}", values.len() / width);
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    write(path, bytes);
}

/// The features of all four frames of each clip of a run's test, from its frozen backbone, and their width.
fn embedded(run: &Path) -> (usize, BTreeMap<String, Vec<f32>>) {
    let (recipe, device) = (Recipe::frozen(run).unwrap(), burn::tensor::Device::flex());
    let build = recipe.build_context(&device).unwrap();
    let clips = Clips::build(&recipe, &build).unwrap();
    let model = FewShotModel::build(&recipe, &build, clips.frames.count()).unwrap();
    let geometry = model.backbone.geometry().clone();
    let loader = ClipLoader { clips: &clips, geometry: &geometry, device: &device, store: None };
    let source = ClipSource::new(loader, &model, None);
    let listing = clips.dataset.list(maclip_framework::slots::dataset::Split::Test).unwrap();
    let ids: Vec<&str> = listing.classes.iter().flat_map(|class| &class.clips).map(String::as_str).collect();
    let features = source.prefixes(&ids, |_| View::Evaluation).unwrap();
    let [_, t, width] = features.dims();
    let values: Vec<f32> = features.into_data().iter::<f32>().collect();
    (width, ids.into_iter().map(str::to_owned).zip(values.chunks(t * width).map(<[f32]>::to_vec)).collect())
}

#[test]
fn features_give_the_same_result_as_the_clips_that_they_are_of() {
    let bench = Bench::new();
    folders(&bench);
    let rows: String = ["push", "wave"]
        .iter()
        .flat_map(|class| (0..3).map(move |take| format!("{class}/take {take},{class}\n")))
        .collect();
    write(&bench.at("list.csv"), format!("path,label\n{rows}"));
    let frames = "frames: {type: uniform_segments, count: 4}";
    let pixels = "root: @clips, test: {file: @list.csv}";
    let (_, expected) = bench.run(pixels, frames);
    let (width, features) = embedded(&run_directory(&bench.at("runs"), "lists", "default"));
    assert_eq!(features.len(), 6);
    features.iter().for_each(|(clip, values)| npy(&bench.at(&format!("features/{clip}.npy")), width, values));
    let more = format!("{frames}\nbackbone: {{type: precomputed, width: {width}}}");
    let options = "root: @features, test: {file: @list.csv}, clips: features";
    let (manifest, found) = bench.run(options, &more);
    let predictions = |episodes: &[Value]| episodes.iter().map(|e| e["predictions"].clone()).collect::<Vec<_>>();
    assert_eq!(predictions(&expected), predictions(&found));
    let distances = |episodes: &[Value]| -> Vec<f64> {
        let rows = episodes.iter().flat_map(|e| e["distances"].as_array().unwrap().clone());
        rows.flat_map(|row| row.as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect::<Vec<_>>())
            .collect()
    };
    let (expected, found) = (distances(&expected), distances(&found));
    assert!(expected.len() == found.len() && !expected.is_empty());
    for (expected, found) in expected.iter().zip(&found) {
        assert!((expected - found).abs() < 1e-5, "{expected} {found}");
    }
    assert!(notes(&manifest).contains("ready features, of which there are no pictures"), "{manifest}");

    // One file with an array for each clip.
    let bytes: Vec<(String, Vec<u8>)> = features
        .iter()
        .map(|(clip, values)| (clip.clone(), values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let views = bytes.iter().map(|(clip, bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![4, width], bytes).unwrap();
        (clip.as_str(), view)
    });
    fs::write(bench.at("all.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    let one = options.replace("@features", "@all.safetensors");
    let (_, episodes) = bench.run(&one, &more);
    assert_eq!(distances(&episodes), found);

    // What does not fit is said before anything is read, or with the name of the clip.
    bench.fails(2, pixels, &more, &["passes on ready features", "videos or frames"]);
    bench.fails(2, options, frames, &["ready features, and this backbone reads pixels", "precomputed"]);
    bench.fails(2, options, &format!("{more}\naugment: {{type: flip}}"), &["no pixels that `augment` could change"]);
    let lora = format!("{more}\nadapter: {{type: lora, rank: 2}}");
    bench.fails(2, options, &lora, &["adapter"]);
    let wide = more.replace(&format!("width: {width}"), &format!("width: {}", width + 1));
    bench.fails(1, options, &wide, &["take 0", &format!("of {width} values"), &format!("backbone.width={width}")]);
    npy(&bench.at("features/wave/take 1.npy"), 3, &[0.0; 12]);
    bench.fails(1, options, &more, &["wave/take 1", "has features of 3 values"]);
    let prepared = bench.maclip(&["prepare"], &bench.recipe(options, &more));
    assert!(prepared.stderr.contains("nothing is prepared"), "{}", prepared.stderr);
}

#[test]
fn lists_with_many_errors_fill_one_screen_and_a_long_list_is_read_at_once() {
    let bench = Bench::new();
    folders(&bench);
    let mut text: String = (0..500).map(|at| format!("wave/x{at}.mp4\n")).collect();
    text.insert_str(0, "wave/take 0.mp4 0\n");
    write(&bench.at("bad.txt"), &text);
    let said = bench.fails(
        1,
        "root: @clips, test: {file: @bad.txt, format: mmaction2, delimiter: \" \"}",
        "",
        &["bad.txt:2: it has one column", "bad.txt:11:", "and 490 more"],
    );
    assert!(!said.contains("bad.txt:12:"), "{said}");
    bench.fails(2, "test: {file: @bad.txt, delimiter: ab}", "", &["delimiter", "one sign"]);
    bench.fails(2, "root: @clips", "", &["`all` is missing", "all: {file: clips.csv}"]);
    bench.fails(1, "test: {file: @none.txt}", "", &["none.txt"]);
    // Each of a million lines names a clip that is not there, but for those of one folder.
    let mut long: String =
        ["wave", "push"].iter().flat_map(|c| (0..3).map(move |t| format!("{c}/take {t},{c}\n"))).collect();
    long.insert_str(0, "path,label\n");
    (0..1_000_000).for_each(|at| long += &format!("gone/{at}.mp4,gone\n"));
    write(&bench.at("long.csv"), &long);
    let begun = std::time::Instant::now();
    let splits = "splits: {test: [wave, push]}";
    bench.run(&format!("root: @clips, test: {{file: @long.csv}}, {splits}"), "");
    let seconds = begun.elapsed().as_secs_f64();
    // Seconds where it is linear; a minute leaves room for a busy machine.
    assert!(seconds < 60.0, "{seconds} s");
    println!("a list of a million lines: {seconds:.1} s with the run");
}

#[test]
fn validate_says_nothing_is_read_before_a_run() {
    let bench = Bench::new();
    let recipe = bench.recipe("all: {file: @clips.csv}, draw: {train: 2, val: 2, test: 2}", "");
    let ran = maclip(&["validate", &recipe]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = maclip(&["validate", "--deep", &recipe]);
    assert!(ran.code != Some(0) && (ran.stderr + &ran.stdout).contains("clips.csv"));
}
