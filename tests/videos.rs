//! The recipes of the benchmarks on videos made here, in the layouts and with the lists that are published; and
//! `video_folder` on names that only a computer would give.

mod common;

use common::needs::no_ffmpeg;
use common::videos::{CLASSES, videos, weights, write, write_marked};
use common::{Ran, command, finish, records, run_directory};
use maclip_framework::files::sha256;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const SPLITS: [&str; 3] = ["train", "val", "test"];
/// Clips of a class: as many as a 5-shot episode with one query takes.
const CLIPS: usize = 6;
/// A file that may be a video, for tests that decode none: the first bytes of Matroska.
const UNDECODED: &[u8] = b"\x1aE\xdf\xa3 and so on";

/// A benchmark on disk: clips below `videos`, lists in `lists`, weights beside them.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { folder: tempfile::tempdir().unwrap() };
        weights(&bench.at("clip.safetensors"));
        bench
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Six clips of five classes in each split. `place` gives the line of a list for (split, class, clip) and the path
    /// below the root; `files` are the clips of each class.
    fn fill(
        &self,
        files: &[Vec<u8>],
        list: impl Fn(&str) -> String,
        place: impl Fn(usize, usize, usize) -> [String; 2],
    ) {
        for (split, name) in SPLITS.iter().enumerate() {
            let mut lines = String::new();
            for (class, clip) in (0..CLASSES).flat_map(|class| (0..CLIPS).map(move |clip| (class, clip))) {
                let [line, path] = place(split, class, clip);
                lines += &format!("{line}\n");
                write_marked(&self.at("videos").join(path), &files[class % files.len()], name);
            }
            write(&self.at("lists").join(list(name)), lines);
        }
    }

    /// `maclip VERB` on the shipped recipe of that name, made small: the sizes of the weights, and seconds in place of
    /// hours.
    fn maclip(&self, verb: &[&str], recipe: &str, more: &[&str]) -> Command {
        // One of them lies beside the quickstart.
        let folder = if recipe == "kinetics_5w5s" { "recipes" } else { "recipes/benchmarks" };
        let recipe = format!("{folder}/{recipe}.yaml");
        let runs = self.at("runs").display().to_string();
        let small = [
            "backbone.architecture=null",
            "resize.side=40",
            "augment.steps[0].size=32",
            "task.train={steps: 2, validate_every_steps: 2, checkpoint_every_steps: 1}",
            "task.validation.episodes=10",
            "task.test.episodes=20",
        ];
        let sets = small.iter().chain(more).flat_map(|set| ["--set", set]);
        let words: Vec<&str> = verb.iter().copied().chain([&*recipe, "--runs", &runs]).chain(sets).collect();
        let mut command = command(&words);
        let weights = self.at("clip.safetensors");
        command.env("CLIP_WEIGHTS", &weights).env("CLIP_B32_WEIGHTS", &weights);
        for name in ["KINETICS", "SSV2", "HMDB51", "UCF101"] {
            command.env(format!("{name}_ROOT"), self.at("videos"));
        }
        for name in ["KINETICS", "SSV2_SMALL", "SSV2_FULL", "HMDB51", "UCF101"] {
            command.env(format!("{name}_LISTS"), self.at("lists"));
        }
        command
    }

    fn run(&self, recipe: &str, more: &[&str]) -> Ran {
        finish(self.maclip(&["run", "--json"], recipe, more).output().unwrap())
    }

    /// The directory of the one run of `recipe`.
    fn directory(&self, recipe: &str) -> PathBuf {
        run_directory(&self.at("runs"), recipe, "default")
    }
}

fn json(path: PathBuf) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// Names and ids of five classes of each split.
const KINETICS: [[(usize, &str); CLASSES]; 3] = [
    [(0, "air drumming"), (1, "arm wrestling"), (16, "deadlifting"), (33, "playing accordion"), (63, "weaving basket")],
    [(0, "baking cookies"), (2, "dunking basketball"), (5, "high kick"), (8, "scuba diving"), (10, "ski jumping")],
    [(0, "blasting sand"), (6, "diving cliff"), (10, "hurling (sport)"), (17, "riding elephant"), (23, "unboxing")],
];

/// The line and the place of a clip of Kinetics: as CLIP-FSAR's list has it, in the folder that it names.
fn kinetics(split: usize, class: usize, clip: usize) -> [String; 2] {
    let (id, name) = KINETICS[split][class];
    // A YouTube id may begin with a dash. The train list leads into the folder of val too.
    let folder = if clip == 0 { "val_256" } else { "train_256" };
    let path = format!("{folder}/{}/-{split}{class:02}_{clip:06}_000086_000096.mp4", name.replace(' ', "_"));
    [format!("{}{id}//{path}", SPLITS[split]), path]
}

fn few_shot(split: &str) -> String {
    format!("{split}_few_shot.txt")
}

#[test]
fn kinetics_runs_from_published_lists_to_a_result() {
    if no_ffmpeg() {
        return;
    }
    let bench = Bench::new();
    bench.fill(&videos(bench.folder.path()), few_shot, kinetics);
    let ran = bench.run("kinetics_5w5s", &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let run = &told["runs"][0];
    assert_eq!((&run["name"], &run["status"]), (&"kinetics_5w5s".into(), &"done".into()));
    assert_eq!(run["test"]["episodes"], 20);

    let directory = bench.directory("kinetics_5w5s");
    let manifest = json(directory.join("manifest.json"));
    assert_eq!(manifest["components"]["dataset"], "kinetics100");
    for (split, classes) in SPLITS.iter().zip([64, 12, 24]) {
        let file = few_shot(split);
        let sum = sha256(&fs::read(bench.at("lists").join(&file)).unwrap());
        assert_eq!(manifest["lists"][format!("{split}: {file}")], sum, "{manifest}");
        let note = format!("split {split} has clips of 5 of its {classes} classes");
        assert!(manifest["notes"].as_array().unwrap().contains(&note.as_str().into()), "{manifest}");
    }
    let episodes = records(&directory.join("episodes.jsonl"));
    assert_eq!(episodes.len(), 20);
    for episode in &episodes {
        let mut classes: Vec<&str> =
            episode["classes"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
        classes.sort_unstable();
        assert_eq!(classes, KINETICS[2].map(|(_, name)| name));
        let supports = episode["support"].as_array().unwrap();
        assert!(supports.iter().all(|clips| clips.as_array().unwrap().len() == 5), "{episode}");
    }
    // Names of clips say neither where the data lie nor which list it was.
    let clips = episodes[0]["support"].to_string();
    assert!(clips.contains("\"hurling_sport/-202_00000") && clips.contains("_000086_000096\""), "{clips}");
}

#[cfg(feature = "libav")]
#[test]
fn every_decoder_gives_the_same_episodes() {
    if no_ffmpeg() {
        return;
    }
    let episodes = ["ffmpeg", "libav", "libav_trusted"].map(|decoder| {
        let bench = Bench::new();
        bench.fill(&videos(bench.folder.path()), few_shot, kinetics);
        let ran = bench.run("kinetics_5w1s", &[&*format!("dataset.decoder={decoder}")]);
        assert_eq!(ran.code, Some(0), "{decoder}: {}", ran.stderr);
        fs::read_to_string(bench.directory("kinetics_5w1s").join("episodes.jsonl")).unwrap()
    });
    assert!(episodes[0] == episodes[1] && episodes[0] == episodes[2]);
}

#[cfg(feature = "libav")]
#[test]
fn a_child_that_ends_does_not_end_the_program() {
    use std::os::unix::fs::PermissionsExt;
    if no_ffmpeg() {
        return;
    }
    let bench = Bench::new();
    bench.fill(&videos(bench.folder.path()), few_shot, kinetics);
    let child = bench.at("child");
    write(&child, "#!/bin/sh\nprintf 'maclip decodes 1'\n");
    fs::set_permissions(&child, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = bench.maclip(&["run"], "kinetics_5w1s", &["dataset.decoder=libav"]);
    let ran = finish(command.env("MACLIP_PROGRAM", &child).output().unwrap());
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("the process that decodes it failed"), "{}", ran.stderr);
}

#[cfg(not(feature = "libav"))]
#[test]
fn a_decoder_that_was_not_built_is_named_with_the_way_to_it() {
    let bench = Bench::new();
    bench.fill(&[UNDECODED.to_vec()], few_shot, kinetics);
    let ran = bench.run("kinetics_5w1s", &["dataset.decoder=libav"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for words in ["dataset.decoder", "needs the cargo feature `libav`", "cargo build --release --features libav"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
}

#[test]
fn clips_that_are_missing_stop_the_run_or_are_recorded() {
    if no_ffmpeg() {
        return;
    }
    let bench = Bench::new();
    bench.fill(&videos(bench.folder.path()), few_shot, kinetics);
    for (class, clip) in [(2, 1), (2, 4), (3, 5)] {
        let [_, path] = kinetics(2, class, clip);
        fs::remove_file(bench.at("videos").join(path)).unwrap();
    }
    let ran = bench.run("kinetics_5w1s", &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for words in [
        "3 clips of split test cannot be used",
        "hurling_sport/-202_000001_000086_000096: not found: looked for a video or a folder of frames called `-202_",
        "by class: hurling_sport 2, riding_elephant 1",
        "skipped_test.json",
        "dataset.broken=skip",
    ] {
        assert!(ran.stderr.contains(words), "`{words}` is not in\n{}", ran.stderr);
    }
    let all = json(bench.directory("kinetics_5w1s").join("skipped_test.json"));
    assert_eq!(all.as_array().unwrap().len(), 3, "{all}");

    let ran = bench.run("kinetics_5w1s", &["name=skipping", "dataset.missing=skip"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(json(bench.directory("skipping").join("skipped_test.json")), all);
    let notes = json(bench.directory("skipping").join("manifest.json"))["notes"].to_string();
    assert!(notes.contains("3 clips of split test left out; the first: hurling_sport/"), "{notes}");
    let episodes = fs::read_to_string(bench.directory("skipping").join("episodes.jsonl")).unwrap();
    assert!(!episodes.contains("hurling_sport/-202_000001") && episodes.contains("hurling_sport/-202_000002"));
}

#[test]
fn a_list_that_leads_out_of_the_root_is_refused_with_its_line() {
    let bench = Bench::new();
    bench.fill(&[UNDECODED.to_vec()], few_shot, kinetics);
    let list = bench.at("lists/val_few_shot.txt");
    let lines = fs::read_to_string(&list).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    for away in ["val0//../../etc/passwd", "val0///etc/passwd"] {
        fs::write(&list, [&lines[..2], &[away], &lines[3..]].concat().join("\n")).unwrap();
        for (verb, code) in [("run", 1), ("validate --deep", 2)] {
            let verb: Vec<&str> = verb.split(' ').collect();
            let ran = finish(bench.maclip(&verb, "kinetics_5w1s", &[]).output().unwrap());
            assert_eq!(ran.code, Some(code), "{}", ran.stderr);
            let told = format!("lists/val_few_shot.txt:3: `{away}` leads out of the root");
            assert!(ran.stderr.contains(&told), "`{told}` is not in\n{}", ran.stderr);
        }
    }
}

#[test]
fn without_ffmpeg_the_way_to_it_is_said() {
    let bench = Bench::new();
    bench.fill(&[UNDECODED.to_vec()], few_shot, kinetics);
    let mut elsewhere = bench.maclip(&["run"], "kinetics_5w1s", &[]);
    elsewhere.env("MACLIP_FFMPEG", "/nowhere/ffmpeg").env("MACLIP_FFPROBE", "/nowhere/ffprobe");
    let mut nowhere = bench.maclip(&["run"], "kinetics_5w1s", &[]);
    nowhere.env("PATH", "");
    let mut doctor = command(&["doctor"]);
    let told = finish(doctor.env("MACLIP_FFMPEG", "/nowhere/ffmpeg").output().unwrap()).stdout;
    assert!(told.contains("/nowhere/ffmpeg: not found; only video files need it"), "{told}");
    for (mut command, program) in [(elsewhere, "/nowhere/ffmpeg"), (nowhere, "ffmpeg")] {
        let ran = finish(command.output().unwrap());
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let found = format!("the program `{program}` is not found");
        for words in [&found, "apt install ffmpeg", "brew install ffmpeg", "MACLIP_FFMPEG"] {
            assert!(ran.stderr.contains(words), "`{words}` is not in\n{}", ran.stderr);
        }
    }
}

/// Another benchmark, as it is published.
struct Layout {
    recipe: &'static str,
    /// Name of the list of a split.
    list: fn(&str) -> String,
    /// Line and place of a clip.
    place: fn(usize, usize, usize) -> [String; 2],
    /// Exit status and words of a validation without lists.
    without_lists: (i32, &'static str),
}

/// Numbers of SSv2 in the folders of few-shot-action-recognition, with its lists.
const SSV2_FULL: Layout = Layout {
    recipe: "ssv2_full_5w5s_b32",
    list: |split| format!("{split}.txt"),
    place: |split, class, clip| {
        let (number, split) = (1000 * split + 10 * class + clip, SPLITS[split]);
        [format!("{split}{class}/{number}"), format!("{split}/{split}{class}/{number}.mp4")]
    },
    without_lists: (0, "is valid"),
};

/// Numbers of SSv2 side by side, with the lists of CLIP-FSAR.
const SSV2_SMALL: Layout = Layout {
    recipe: "ssv2_small_5w5s",
    list: few_shot,
    place: |split, class, clip| {
        let number = 1000 * split + 10 * class + clip;
        [format!("{}{class}/{number}", SPLITS[split]), format!("{number}.webm")]
    },
    without_lists: (2, "ssv2_small is read with lists of its clips, and dataset.lists is not given"),
};

/// HMDB51 as its archive is unpacked, with the lists of CLIP-FSAR. Without lists all clips of its classes are used, of
/// which few are here.
const HMDB51: Layout = Layout {
    recipe: "hmdb51_5w5s",
    list: few_shot,
    place: |split, class, clip| {
        let name = [
            ["brush_hair", "catch", "chew", "clap", "climb"],
            ["cartwheel", "eat", "golf", "hit", "laugh"],
            ["fencing", "kick", "kick_ball", "pick", "pour"],
        ][split][class];
        let path = format!("{name}/(Film)_{name}_f_cm_np1_le_med_{clip}.avi");
        [format!("{}{class}//videos/{path}", SPLITS[split]), path]
    },
    without_lists: (0, "5 clips of split test left out; the first: pushup/*"),
};

/// UCF101 as its archive is unpacked, with the lists of TRX.
const UCF101: Layout = Layout {
    recipe: "ucf101_5w5s_b32",
    list: |split| format!("{split}list03.txt"),
    place: |split, class, clip| {
        let name = [
            ["ApplyEyeMakeup", "Archery", "BabyCrawling", "BalanceBeam", "BandMarching"],
            ["ApplyLipstick", "CricketShot", "HammerThrow", "HandstandPushups", "HighJump"],
            ["BlowingCandles", "CleanAndJerk", "CliffDiving", "CuttingInKitchen", "Diving"],
        ][split][class];
        let clip = format!("{name}/v_{name}_g01_c{:02}", clip + 1);
        [clip.clone(), format!("{clip}.avi")]
    },
    without_lists: (0, "16 clips of split test left out; the first: floor_gymnastics/*"),
};

#[test]
fn the_other_benchmarks_are_found_in_their_own_layouts() {
    if no_ffmpeg() {
        return;
    }
    let made = tempfile::tempdir().unwrap();
    let files = videos(made.path());
    for Layout { recipe, list, place, without_lists } in [SSV2_FULL, SSV2_SMALL, HMDB51, UCF101] {
        let bench = Bench::new();
        bench.fill(&files, list, place);
        let validate = || finish(bench.maclip(&["validate", "--deep", "--json"], recipe, &[]).output().unwrap());
        let ran = validate();
        assert_eq!(ran.code, Some(0), "{recipe}\n{}\n{}", ran.stdout, ran.stderr);
        let told: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        // The weights that this test makes say neither heads nor activation.
        let guessed = |note: &serde_json::Value| note["message"].as_str().unwrap().contains(": guessed, as neither");
        let notes = told["notes"].as_array().unwrap();
        assert!(told["deep"] == true && notes.len() == 1 && guessed(&notes[0]), "{recipe}: {notes:#?}");

        // It was this tree that was read.
        let [_, path] = place(2, 3, 0);
        let path = bench.at("videos").join(path);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, b"").unwrap();
        let ran = validate();
        assert!(ran.code == Some(2) && ran.stdout.contains("the file is empty"), "{recipe}\n{}", ran.stdout);
        fs::write(&path, bytes).unwrap();

        let mut command = bench.maclip(&["validate", "--deep"], recipe, &["dataset.missing=skip"]);
        for name in ["SSV2_SMALL", "SSV2_FULL", "HMDB51", "UCF101"] {
            command.env_remove(format!("{name}_LISTS"));
        }
        let ran = finish(command.output().unwrap());
        let (code, words) = without_lists;
        let told = ran.stdout + &ran.stderr;
        assert!(ran.code == Some(code) && told.contains(words), "{recipe}\n{told}");
    }
}

#[test]
fn texts_that_no_list_has_come_from_the_labels() {
    let bench = Bench::new();
    let Layout { recipe, list, place, .. } = SSV2_FULL;
    bench.fill(&[UNDECODED.to_vec()], list, place);
    let labels = bench.at("labels");
    let validate = |templates: [&str; CLASSES]| {
        let label = |(class, template): (usize, &&str)| {
            let [line, _] = place(1, class, 0);
            serde_json::json!({"id": line.rsplit('/').next(), "template": template})
        };
        let all: Vec<_> = templates.iter().enumerate().map(label).filter(|label| label["template"] != "").collect();
        write(&labels.join("something-something-v2-train.json"), serde_json::to_string(&all).unwrap());
        let mut command = bench.maclip(&["validate", "--deep", "--json"], recipe, &[]);
        finish(command.env("SSV2_LABELS", &labels).output().unwrap()).stdout
    };
    let told =
        validate(["Opening [something]", "Hiding [something]", "", "Holding [something]", "Rolling [something]"]);
    assert!(told.contains("no clip of class `val2` has a template"), "{told}");
    // The texts are those of the labels: this one is a class of train too.
    let told = validate(["Opening [something]", "Hiding [something]", "Closing [something]", "Holding", "Rolling"]);
    assert!(told.contains("class `Closing something` is in split train and in split val"), "{told}");
}

/// Whether a process runs; one that has ended and that nobody waited for does not.
#[cfg(target_os = "linux")]
fn runs(process: &str) -> bool {
    let about = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    about.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[cfg(target_os = "linux")]
#[test]
fn what_decodes_ends_with_a_program_that_is_killed() {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};
    let bench = Bench::new();
    bench.fill(&[UNDECODED.to_vec()], few_shot, kinetics);
    // A program that hangs, and has started another one.
    let (program, told) = (bench.at("ffprobe"), bench.at("processes"));
    let (file, here) = (told.display(), "[ \"$1\" = -version ] && exit 0");
    write(&program, format!("#!/bin/sh\n{here}\nsleep 600 &\necho $$ $! >> {file}\nwait\n"));
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = bench.maclip(&["prepare"], "kinetics_5w1s", &[]);
    let ffmpeg = bench.at("ffmpeg");
    write(&ffmpeg, "#!/bin/sh\nexit 0\n");
    fs::set_permissions(&ffmpeg, fs::Permissions::from_mode(0o755)).unwrap();
    command.env("MACLIP_FFPROBE", &program).env("MACLIP_FFMPEG", &ffmpeg);
    let mut run = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let wait = |until: &dyn Fn() -> bool, what: &str| {
        while !until() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let processes = || fs::read_to_string(&told).unwrap_or_default();
    wait(&|| processes().ends_with('\n'), "the program does not start");
    // SIGKILL: no code of maclip runs any more.
    run.kill().unwrap();
    run.wait().unwrap();
    wait(&|| processes().split_whitespace().all(|process| !runs(process)), "the programs go on");
}

#[test]
fn validation_tells_what_is_passed_over_and_why_a_class_is_gone() {
    if no_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let files = videos(folder.path());
    let root = folder.path().join("root");
    for split in SPLITS {
        for (class, bytes) in files.iter().enumerate() {
            for clip in 0..2 {
                write_marked(
                    &root.join(format!("{split}/{split}{class}/{clip}.mp4")),
                    bytes,
                    &format!("{split}{clip}"),
                );
            }
        }
    }
    let validate = |more: &[&str]| {
        let given = format!("dataset.root={}", root.display());
        let mut words = vec!["validate", "--deep", "recipes/benchmarks/jhmdb14_5w1s.yaml"];
        for set in ["dataset.splits=null", "dataset.broken=skip", &given].iter().chain(more) {
            words.extend(["--set", set]);
        }
        let ran = finish(command(&words).output().unwrap());
        (ran.code, ran.stdout + &ran.stderr)
    };
    write(&root.join("test/test0/x.asf"), "x");
    write(&root.join("test/test0/more/x.mp4"), &files[0]);
    let (_, told) = validate(&[]);
    for words in ["2 files and folders of split test are passed over", "1 .asf", "1 videos in folders inside it"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    for clip in ["0.mp4", "1.mp4"] {
        fs::remove_file(root.join("test/test0").join(clip)).unwrap();
    }
    let (code, told) = validate(&[]);
    for words in ["test/test0: class left out: no video, only 1 folders (more), 1 other files (.asf)", "5 classes"] {
        assert!(code == Some(2) && told.contains(words), "{words}: {told}");
    }
}

#[test]
fn a_clip_in_two_splits_is_refused_unless_the_recipe_says_otherwise() {
    if no_ffmpeg() {
        return;
    }
    let bench = Bench::new();
    bench.fill(&videos(bench.folder.path()), few_shot, kinetics);
    let at = |split: usize, class: usize, clip: usize| bench.at("videos").join(&kinetics(split, class, clip)[1]);
    fs::copy(at(0, 0, 1), at(2, 3, 2)).unwrap();
    fs::remove_file(at(1, 1, 1)).unwrap();
    fs::hard_link(at(0, 2, 2), at(1, 1, 1)).unwrap();
    let words = [
        "`riding_elephant/-203_000002_000086_000096` of split test has the same bytes as `air_drumming/",
        "` of split val is the same file as `deadlifting/",
        "dataset.allow_shared=true",
    ];
    for (verb, code) in [("run", 1), ("prepare", 1), ("validate --deep", 2)] {
        let verb: Vec<&str> = verb.split(' ').collect();
        let ran = finish(bench.maclip(&verb, "kinetics_5w1s", &[]).output().unwrap());
        let told = ran.stdout + &ran.stderr;
        assert!(ran.code == Some(code), "{told}");
        words.iter().for_each(|words| assert!(told.contains(words), "{words}: {told}"));
    }
    let ran = bench.run("kinetics_5w1s", &["name=shared", "dataset.allow_shared=true"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let notes = json(bench.directory("shared").join("manifest.json"))["notes"].to_string();
    assert!(notes.contains("the splits have classes or clips in common") && notes.contains("deadlifting/"), "{notes}");
}

#[cfg(unix)]
#[test]
fn a_folder_of_odd_names_runs_to_a_result() {
    use std::ffi::OsStr;
    use std::os::unix::{ffi::OsStrExt, fs::symlink};
    if no_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let files = videos(folder.path());
    let root = folder.path().join("-odd root's \"clips\"");
    for split in SPLITS {
        let classes = [
            format!("-{split}"),
            format!("{split} 'of' \"two\" words"),
            format!("{split}\nlines"),
            format!("%d {split}: {{}} ${{env:HOME}}"),
            format!("跑步 {split}"),
        ];
        for (class, bytes) in classes.iter().zip(&files) {
            for clip in ["-rf.mp4", "a b.mp4", "it's \"so\".mp4", "line\nbreak.mp4", "concat:a|b%d.mp4"] {
                write_marked(&root.join(split).join(class).join(clip), bytes, split);
            }
        }
    }
    let class = root.join("test/-test");
    symlink(&root, class.join("loop")).unwrap();
    symlink(class.join("self.mp4"), class.join("self.mp4")).unwrap();
    fs::write(class.join(OsStr::from_bytes(b"bad\xff.mp4")), &files[0]).unwrap();

    let runs = folder.path().join("runs");
    let (given, to) = (format!("dataset.root={}", serde_json::to_string(&root).unwrap()), runs.to_str().unwrap());
    let recipe = "recipes/benchmarks/jhmdb14_5w1s.yaml";
    let mut words = vec!["run", recipe, "--runs", to, "--only", "ma_clip", "--set", &given];
    for set in [
        "dataset.splits=null",
        "dataset.broken=skip",
        "task.train={steps: 2, validate_every_steps: 2, checkpoint_every_steps: 1}",
        "task.validation.episodes=10",
        "task.test.episodes=40",
    ] {
        words.extend(["--set", set]);
    }
    let ran = finish(command(&words).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let directory = run_directory(&runs, "jhmdb14_5w1s", "ma_clip");
    let episodes = records(&directory.join("episodes.jsonl"));
    let seen =
        episodes.iter().map(|episode| format!("{}{}", episode["support"], episode["queries"])).collect::<String>();
    for clip in [
        "test/-test/-rf.mp4",
        r#"test/-test/it's \"so\".mp4"#,
        r"test/test\nlines/line\nbreak.mp4",
        "跑步 test/a b.mp4",
    ] {
        assert!(seen.contains(clip), "{clip} is not in {seen}");
    }
    let skipped = json(directory.join("skipped_test.json"));
    let skipped: Vec<&str> = skipped.as_array().unwrap().iter().map(|clip| clip[0].as_str().unwrap()).collect();
    assert_eq!(skipped, ["test/-test/bad\u{fffd}.mp4", "test/-test/self.mp4"]);
}
