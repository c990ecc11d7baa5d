//! Runs that the command line changes, runs that have nothing left to do, and runs that fail at once.

mod common;

use common::own_clips::{ALL, OwnClips};
use common::{clip, fails, maclip, ok, run_directory};
use serde_json::Value;
use std::path::{Path, PathBuf};

#[test]
fn a_trial_has_a_name_of_its_own_and_the_report_is_of_all() {
    let mine = OwnClips::new(&ALL, "");
    ok(&mine.run(&[]));
    let own = mine.directory("default");
    assert!(own.file_name().unwrap().to_str().unwrap().starts_with("default-s"));
    let said = ok(&mine.run(&["--set", "adapter.type=none", "--set", "frames.count=3"]));
    assert!(said.contains("mine+adapter=none+count=3") && !said.contains("mine  "), "only its own row:\n{said}");
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let trials: Vec<PathBuf> = std::fs::read_dir(mine.folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| name(path).starts_with("default+"))
        .collect();
    assert!(trials.len() == 1 && name(&trials[0]).starts_with("default+adapter=none+count=3-s"), "{trials:?}");

    // The page has both, also after a call that ran one of them.
    for call in [&["--set", "adapter.type=none", "--set", "frames.count=3"][..], &[]] {
        ok(&mine.run(call));
        let table = std::fs::read_to_string(mine.folder().join("report/variants.csv")).unwrap();
        assert_eq!(table.lines().count(), 3, "{table}");
        assert!(table.contains("adapter=none"), "{table}");
    }

    // What the recipe expects is not expected of the trial.
    let frozen = |run: &Path| std::fs::read_to_string(run.join("recipe.resolved.yaml")).unwrap();
    assert!(frozen(&own).contains("a guess") && !frozen(&trials[0]).contains("a guess"));
    // It is, where the command line says so.
    ok(&mine.run(&[
        "--set",
        "adapter.type=none",
        "--set",
        "expect=[{metric: accuracy, value: 1, tolerance: 1, source: me}]",
    ]));
    let asked = mine.folder().read_dir().unwrap().map(|entry| entry.unwrap().path());
    assert!(
        asked
            .filter(|path| name(path).starts_with("default+adapter=none-s"))
            .any(|run| frozen(&run).contains("source: me"))
    );

    // The value that the recipe has, another seed, the device and another name make no trial.
    for (set, begins) in
        [("adapter.rank=2", "default-s"), ("seed=7", "default-s7-"), ("compute.workers=1", "default-s")]
    {
        let listed: Value = serde_json::from_str(&ok(&mine.run(&["--set", set, "--dry-run", "--json"]))).unwrap();
        assert!(name(Path::new(listed["runs"][0]["dir"].as_str().unwrap())).starts_with(begins), "{set}: {listed}");
    }
    let named = ok(&mine.run(&["--set", "name=other", "--set", "adapter.type=none", "--dry-run"]));
    assert!(named.contains("other/default-s"), "{named}");
    let status = ok(&["status", &mine.recipe, "--runs", &mine.runs]);
    assert!(status.contains("2 more runs in"), "{status}");
}

#[test]
fn a_trial_is_found_by_the_name_of_its_variant() {
    let mine = OwnClips::new(&ALL, "study: {variants: {small: {}, none: {adapter.type: none}}}\n");
    let said = ok(&mine.run(&["--only", "none", "--set", "frames.count=3", "--dry-run"]));
    assert!(said.contains("none+count=3-s") && !said.contains("small+"), "{said}");
    // A change of one variant is one of that alone.
    let said = ok(&mine.run(&["--set", "study.variants.small.frames.count=3", "--dry-run"]));
    assert!(said.contains("small+count=3-s") && said.contains("none-s"), "{said}");
}

#[test]
fn a_result_is_not_taken_for_that_of_other_clips() {
    let mine = OwnClips::new(&ALL, "");
    ok(&mine.run(&[]));
    let again = maclip(&mine.run(&[]));
    assert!(again.code == Some(0) && again.stderr.contains("done already"), "{}", again.stderr);
    clip(&mine.root.join("data/test/test_1/clip_2"), 5, 99, 4);
    let said = fails(1, &mine.run(&[]), &["made of other inputs", "test/test_1/clip_2", "--force"]);
    assert!(!said.contains("clip_1"), "{said}");
    ok(&mine.run(&["--force"]));

    // A training does not go on with other clips.
    let stopped = mine.directory("default");
    std::fs::remove_file(stopped.join("episodes.jsonl")).unwrap();
    let status = stopped.join("status.json");
    let text = std::fs::read_to_string(&status).unwrap().replace("\"done\"", "\"interrupted\"");
    std::fs::write(&status, text).unwrap();
    clip(&mine.root.join("data/train/train_0/clip_0"), 6, 98, 4);
    fails(1, &mine.run(&[]), &["train/train_0/clip_0", "trained with so far", "maclip runs rm"]);
}

#[test]
fn a_recipe_that_trains_nothing_needs_no_training_classes() {
    let mine = OwnClips::new(&["test"], "");
    fails(1, &mine.run(&[]), &["train"]);
    let said = maclip(&mine.run(&["--set", "adapter.type=none"]));
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    ok(&["validate", "--deep", &mine.recipe, "--set", "adapter.type=none"]);
}

#[test]
fn a_recipe_that_trains_nothing_shares_no_clip_with_the_training_classes_that_are_there() {
    let mine = OwnClips::new(&ALL, "");
    let data = mine.root.join("data");
    std::fs::remove_dir_all(data.join("val")).unwrap();
    std::fs::remove_dir_all(data.join("test/test_1/clip_2")).unwrap();
    std::os::unix::fs::symlink(data.join("train/train_0/clip_1"), data.join("test/test_1/clip_2")).unwrap();
    let frozen = ["--set", "adapter.type=none"];
    let words = ["`test/test_1/clip_2` of split test", "`train/train_0/clip_1` of split train", "allow_shared=true"];
    fails(1, &mine.run(&frozen), &words);
    fails(2, &["validate", "--deep", &mine.recipe, frozen[0], frozen[1]], &words);
    ok(&mine.run(&[&frozen[..], &["--set", "dataset.allow_shared=true"]].concat()));
}

#[test]
fn a_training_does_not_go_on_where_the_weights_are_read_in_another_way() {
    let mine = OwnClips::new(&ALL, "");
    let weights = mine.root.join("clip.safetensors").display().to_string();
    ok(&["weights", "convert", "builtin:shapes_clip", &weights]);
    let set = format!("backbone.weights={weights}");
    let run = ["--set", &set, "--set", "name=mine"];
    ok(&mine.run(&run));
    let folder = std::fs::read_dir(mine.folder()).unwrap().map(|entry| entry.unwrap().path());
    let stopped = folder.into_iter().find(|path| path.join("manifest.json").is_file()).unwrap();
    std::fs::remove_file(stopped.join("episodes.jsonl")).unwrap();
    for (file, from, to) in [
        ("status.json", "\"done\"", "\"interrupted\""),
        // As if the program, or a file beside the weights, had said another number of heads before.
        ("manifest.json", "backbone.vision_heads\": \"", "backbone.vision_heads\": \"9"),
    ] {
        let text = std::fs::read_to_string(stopped.join(file)).unwrap();
        assert!(text.contains(from), "{file}: {text}");
        std::fs::write(stopped.join(file), text.replace(from, to)).unwrap();
    }
    fails(1, &mine.run(&run), &["vision_heads is", "was trained with 9", "maclip runs rm"]);
}

#[test]
fn a_done_run_is_reported_where_nothing_can_be_written() {
    let mine = OwnClips::new(&ALL, "");
    ok(&mine.run(&[]));
    // A file in the place of the report's folder: not even the superuser can write into it.
    std::fs::remove_dir_all(mine.folder().join("report")).unwrap();
    std::fs::write(mine.folder().join("report"), "").unwrap();
    let again = maclip(&mine.run(&[]));
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.stdout.contains("mine") && again.stderr.contains("the report is not written"), "{}", again.stderr);
    // Where there is work, it is said before it.
    fails(1, &mine.run(&["--set", "seed=3"]), &["make the report's folder"]);
}

#[test]
fn a_run_that_fails_at_once_leaves_no_litter() {
    let mine = OwnClips::new(&ALL, "");
    let weights = mine.root.join("w.safetensors");
    std::fs::write(&weights, "no weights").unwrap();
    let set = format!("backbone.weights={}", weights.display());
    fails(1, &mine.run(&["--set", &set]), &["w.safetensors"]);
    let listed = maclip(&["runs", "list", &mine.runs]);
    assert!(!listed.stdout.contains("default") && listed.stderr.contains("1 run failed before the first step"));
    assert!(ok(&["status", &mine.runs]).contains("w.safetensors"));
    ok(&mine.run(&[]));
    assert!(!ok(&["status", &mine.runs]).contains("w.safetensors"), "the next call sweeps it away");
}

#[test]
fn a_run_is_found_by_the_name_of_its_variant() {
    let mine = OwnClips::new(&ALL, "study: {seeds: [1, 2], variants: {small: {}, none: {adapter.type: none}}}\n");
    ok(&mine.run(&["--only", "small", "--set", "study.seeds=[1]"]));
    let named = mine.folder().join("small").display().to_string();
    assert!(ok(&["runs", "show", &named]).contains("small"));
    assert!(ok(&["failures", &named]).contains("answered wrongly"));
    ok(&mine.run(&["--only", "small"]));
    fails(1, &["runs", "show", &named], &["has 2 runs", "name one of", "small-s1-", "small-s2-"]);
    fails(1, &["runs", "show", &mine.folder().join("other").display().to_string()], &["is not a run directory"]);
}

#[test]
fn a_pipe_is_no_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("recipe.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for verb in ["validate", "run", "plan"] {
        fails(2, &[verb, pipe.to_str().unwrap()], &["a pipe or a device"]);
    }
}

#[test]
fn a_run_that_was_changed_after_it_was_done_is_believed_by_nobody() {
    let mine = OwnClips::new(&ALL, "");
    ok(&mine.run(&[]));
    let run = run_directory(Path::new(&mine.runs), "mine", "default");
    let out = mine.root.join("report").display().to_string();
    let asks = [
        mine.run(&[]),
        mine.run(&["--json"]),
        vec!["status", &mine.runs],
        vec!["status", &mine.recipe, "--runs", &mine.runs],
        vec!["report", &mine.runs, "--out", &out],
        vec!["check", &mine.runs],
    ];
    let changes: [(&str, &str, Value); 9] = [
        ("status.json", "/test/metric", "top5".into()),
        ("status.json", "/test/episodes_hash", "0".repeat(64).into()),
        ("status.json", "/test/way", 7.into()),
        ("status.json", "/test/value", Value::Null),
        ("status.json", "/test", Value::Null),
        ("status.json", "/best_step", 1.into()),
        ("params.json", "/trainable", 1.into()),
        ("validation.jsonl", "/accuracy", 1.0.into()),
        ("manifest.json", "/seed", 77.into()),
    ];
    for (file, place, value) in changes {
        let path = run.join(file);
        let before = std::fs::read_to_string(&path).unwrap();
        let (first, rest) = if file.ends_with('l') { before.split_once('\n').unwrap() } else { (before.as_str(), "") };
        let mut changed: Value = serde_json::from_str(first).unwrap();
        *changed.pointer_mut(place).unwrap() = value;
        std::fs::write(&path, format!("{changed}\n{rest}")).unwrap();
        for arguments in &asks {
            let ran = maclip(arguments);
            let told = ran.stderr.contains("changed after the run was done") || ran.stderr.contains("status.json");
            assert!(ran.code == Some(1) && told, "{file}{place} {arguments:?}: {:?} {}", ran.code, ran.stderr);
        }
        std::fs::write(&path, before).unwrap();
    }
    let again = maclip(&mine.run(&[]));
    assert!(again.code == Some(0) && again.stderr.contains("done already"), "{}", again.stderr);
    // What the error says helps.
    let text = std::fs::read_to_string(run.join("status.json")).unwrap();
    std::fs::write(run.join("status.json"), text.replace("\"best_step\":", "\"best_step\": 9, \"was\":")).unwrap();
    fails(1, &mine.run(&[]), &["changed after the run was done", "--force"]);
    ok(&mine.run(&["--force"]));
    ok(&["status", &mine.runs]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_whose_name_is_no_text_is_a_folder() {
    use std::os::unix::ffi::OsStrExt;
    let mine = OwnClips::new(&ALL, "");
    let runs = mine.root.join(std::ffi::OsStr::from_bytes(b"q\xff"));
    let call = |arguments: &[&std::ffi::OsStr]| {
        let ran = common::command(&[]).args(arguments).output().unwrap();
        (ran.status.code(), String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    let word = |text: &'static str| std::ffi::OsStr::new(text);
    let recipe = std::ffi::OsStr::new(&mine.recipe);
    let done = call(&[word("run"), recipe, word("--runs"), runs.as_os_str(), word("--json")]);
    assert_eq!(done.0, Some(0), "{}", done.1);
    let run = runs
        .join("mine")
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("manifest.json").is_file());
    let run = run.unwrap();
    for words in [
        vec![word("status"), runs.as_os_str(), word("--json")],
        vec![word("status"), recipe, word("--runs"), runs.as_os_str(), word("--json")],
        vec![word("run"), recipe, word("--runs"), runs.as_os_str(), word("--dry-run"), word("--json")],
        vec![word("runs"), word("list"), runs.as_os_str(), word("--json")],
        vec![word("runs"), word("show"), run.as_os_str(), word("--json")],
        vec![word("runs"), word("diff"), run.as_os_str(), run.as_os_str(), word("--json")],
        vec![word("failures"), run.as_os_str(), word("--json")],
        vec![word("replay"), word("--step"), word("1"), run.as_os_str(), word("--json")],
        vec![word("check"), run.as_os_str(), word("--json")],
        vec![word("prepare"), recipe, word("--runs"), runs.as_os_str(), word("--json")],
        vec![word("prepare"), recipe, word("--runs"), runs.as_os_str(), word("--verify"), word("--json")],
    ] {
        let (code, told) = call(&words);
        assert!(code == Some(0), "{words:?}: {code:?} {told}");
    }
    for words in [vec![word("verify"), run.as_os_str()], vec![word("test"), word("--shot"), word("1"), run.as_os_str()]]
    {
        let (code, told) = call(&words);
        assert!(
            code == Some(1) && told.contains("is not UTF-8") && told.contains("move the folder"),
            "{words:?}: {told}"
        );
    }
}

#[test]
fn a_pipe_in_a_run_is_told_and_not_waited_for() {
    let mine = OwnClips::new(&ALL, "");
    ok(&mine.run(&[]));
    let run = run_directory(Path::new(&mine.runs), "mine", "default");
    let pipe = |name: &str| {
        let path = run.join(name);
        std::fs::rename(&path, run.join("kept")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    };
    let back = |name: &str| std::fs::rename(run.join("kept"), run.join(name)).unwrap();
    pipe("lock");
    fails(1, &mine.run(&["--force"]), &["lock", "a pipe or a device"]);
    fails(1, &["runs", "rm", run.to_str().unwrap(), "--yes"], &["lock"]);
    back("lock");
    for name in ["manifest.json", "train.jsonl", "status.json"] {
        pipe(name);
        fails(1, &["status", &mine.runs], &["a pipe or a device"]);
        back(name);
    }
    ok(&["status", &mine.runs]);
}
