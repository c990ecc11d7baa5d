//! What a run survives, and what it says when it cannot: kills, signals, damage, a full disk, vanished data, old
//! records.

mod common;

use common::{command, fails, finish, maclip, ok, quoted, records, root, run_directory, small_quickstart, with_mount};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// MA-CLIP of the quickstart alone, 12 steps.
const ONE: [&str; 4] = ["--set", "study.variants=null", "--set", "task.train.steps=12"];

fn arguments<'a>(runs: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = small_quickstart(runs.to_str().unwrap(), &ONE);
    all.extend(more);
    all
}

fn trained(runs: &Path) -> PathBuf {
    run_directory(runs, "quickstart", "default")
}

fn start(arguments: &[&str]) -> Child {
    command(arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until the trained run below `runs` has recorded `lines` steps.
fn wait_for_steps(runs: &Path, lines: usize) {
    let started = Instant::now();
    let steps = || -> Option<usize> {
        let mut entries = std::fs::read_dir(runs.join("quickstart")).ok()?;
        let run = entries.find_map(|entry| {
            let path = entry.ok()?.path();
            path.file_name()?.to_str()?.starts_with("default").then_some(path)
        })?;
        Some(std::fs::read_to_string(run.join("train.jsonl")).ok()?.lines().count())
    };
    while steps().unwrap_or(0) < lines {
        assert!(started.elapsed() < Duration::from_secs(120), "{} does not get to step {lines}", runs.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Starts, waits for `lines` steps, kills for good.
fn killed(arguments: &[&str], runs: &Path, lines: usize) {
    let mut child = start(arguments);
    wait_for_steps(runs, lines);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Records and the newest weights are the same bytes.
fn assert_same(a: &Path, b: &Path) {
    for file in ["train.jsonl", "validation.jsonl", "episodes.jsonl", "checkpoints/step-00000012/weights.safetensors"] {
        let read = |run: &Path| std::fs::read(run.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(read(a) == read(b), "{file} of {} differs", a.display());
    }
}

/// Every registered optimizer, with augmentation, dropout, several episodes a step and worker threads: k steps, a stop
/// and the rest equal all steps at once, also with other numbers of threads before and after the stop. Of an optimizer
/// it takes what the slot's contract asks of each: the options `learning_rate` and `groups`. The part before the stop
/// is divided between two devices.
#[test]
fn a_resumed_run_equals_an_undisturbed_one() {
    let listed: serde_json::Value = serde_json::from_str(&ok(&["list", "optimizer", "--json"])).unwrap();
    let optimizers = listed["slots"]["optimizer"]["components"].as_array().unwrap();
    assert!(!optimizers.is_empty());
    for optimizer in optimizers {
        let name = optimizer["name"].as_str().unwrap();
        let described = ok(&["describe", &format!("optimizer/{name}"), "--json"]);
        let described: serde_json::Value = serde_json::from_str(&described).unwrap();
        let options = described["described"][0]["options"].as_array().unwrap();
        for option in ["learning_rate", "groups"] {
            let has = options.iter().any(|has| has["path"] == option);
            assert!(has, "the optimizer `{name}` has no option `{option}`: see the trait `Optimizer`");
        }
        let choice =
            format!("optimizer={{type: {name}, learning_rate: 1e-2, groups: {{prototype: {{learning_rate: 1e-3}}}}}}");
        let recipe = [
            "--set",
            &choice,
            "--set",
            "augment={type: random_crop, scale: 0.7, flip: 0.5}",
            "--set",
            "task.episodes_per_step=3",
            // Draws inside the forward pass too.
            "--set",
            "adapter.drop_path=0.2",
            "--set",
            "prototype.dropout=0.2",
        ];
        let folder = tempfile::tempdir().unwrap();
        let (straight, stopped) = (folder.path().join("straight"), folder.path().join("stopped"));
        ok(&arguments(&straight, &recipe));

        let more = |compute| -> Vec<&str> { recipe.iter().copied().chain(["--set", compute]).collect() };
        let mut first = more("compute={workers: 3, prefetch: 5, episodes_at_once: 2}");
        first.extend(["--set", "device=[flex, flex]"]);
        let child = start(&arguments(&stopped, &first));
        wait_for_steps(&stopped, 5);
        signal(&child, "-TERM");
        let ran = finish(child.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(130), "{}", ran.stderr);
        let status = std::fs::read_to_string(trained(&stopped).join("status.json")).unwrap();
        assert!(status.contains("\"interrupted\""), "{status}");
        ok(&arguments(&stopped, &more("compute={workers: 0}")));
        assert_same(&trained(&stopped), &trained(&straight));
        let manifest = std::fs::read_to_string(trained(&stopped).join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        let attempts = manifest["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 2);
        assert!(attempts[1]["first_step"].as_u64().unwrap() >= 5, "{manifest}");
        assert!(attempts.iter().all(|attempt| attempt["seconds"]["train"].as_f64().unwrap() > 0.0));
        assert!(attempts.iter().all(|attempt| attempt["phases"]["backward"].as_f64().unwrap() > 0.0));
    }
}

#[test]
fn threads_prefetch_devices_and_micro_batches_do_not_change_the_episodes() {
    let folder = tempfile::tempdir().unwrap();
    let mut lists = Vec::new();
    let mut losses: Vec<Vec<f64>> = Vec::new();
    let ways = [
        "compute={workers: 0, prefetch: 0}",
        "compute={workers: 4, prefetch: 1}",
        "compute={workers: 1, prefetch: 9}",
        "device=[flex, flex, flex]",
        "compute={micro_batch: 3}",
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let runs = folder.path().join(number.to_string());
        ok(&arguments(&runs, &["--set", way]));
        let run = trained(&runs);
        let episodes: Vec<_> = records(&run.join("episodes.jsonl"))
            .iter()
            .map(|record| [record["support"].clone(), record["queries"].clone(), record["classes"].clone()])
            .collect();
        lists.push(episodes);
        losses.push(records(&run.join("train.jsonl")).iter().map(|r| r["loss"].as_f64().unwrap()).collect());
        let shared = std::fs::read_dir(runs.join("quickstart"))
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("episodes-"));
        assert_eq!(shared.count(), 1);
    }
    assert!(lists.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(losses[..4].iter().all(|losses_of_way| *losses_of_way == losses[0]));
    let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
    assert!(near(&losses[0], &losses[4]), "{:?} {:?}", losses[0], losses[4]);
}

#[test]
fn damage_is_told_and_recovered_from() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, damaged) = (folder.path().join("straight"), folder.path().join("damaged"));
    ok(&arguments(&straight, &[]));
    let arguments = arguments(&damaged, &[]);
    killed(&arguments, &damaged, 7);
    let run = trained(&damaged);

    // A byte of the newest checkpoint flipped, records cut in the middle of a line, a status from the future.
    let mut steps: Vec<PathBuf> = std::fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("step-"))
        .collect();
    steps.sort();
    let weights = steps.last().unwrap().join("weights.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&weights, bytes).unwrap();
    let train = std::fs::read(run.join("train.jsonl")).unwrap();
    std::fs::write(run.join("train.jsonl"), &train[..train.len() - 17]).unwrap();
    let status = std::fs::read_to_string(run.join("status.json")).unwrap();
    let (before, after) = status.split_once("\"updated_unix\": ").unwrap();
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap();
    std::fs::write(run.join("status.json"), format!("{before}\"updated_unix\": 99999999999{}", &after[end..])).unwrap();

    let shown = ok(&["status", damaged.to_str().unwrap()]);
    assert!(shown.contains("interrupted") && shown.contains("the clock was set back"), "{shown}");
    let ran = maclip(&arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("checksum") && ran.stderr.contains("put aside"), "{}", ran.stderr);
    assert_same(&run, &trained(&straight));
}

#[test]
fn a_lost_best_or_lost_records_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, damaged) = (folder.path().join("straight"), folder.path().join("damaged"));
    ok(&arguments(&straight, &[]));
    let arguments = arguments(&damaged, &[]);
    ok(&arguments);
    let run = trained(&damaged);
    let status: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("status.json")).unwrap()).unwrap();
    let best = status["best_step"].as_u64().unwrap();
    let unfinished = || std::fs::write(run.join("status.json"), "{ cut").unwrap();

    // The best checkpoint is gone: what led to it is trained again.
    std::fs::remove_dir_all(run.join(format!("checkpoints/step-{best:08}"))).unwrap();
    unfinished();
    let ran = maclip(&arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same(&run, &trained(&straight));

    // So it is where the records have a hole.
    let train = std::fs::read_to_string(run.join("train.jsonl")).unwrap();
    std::fs::write(run.join("train.jsonl"), train.lines().take(4).map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
    unfinished();
    let ran = maclip(&arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("the records do not reach step 12"), "{}", ran.stderr);
    assert_same(&run, &trained(&straight));
}

#[test]
fn a_line_that_is_no_record_is_named_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = arguments(folder.path(), &[]);
    killed(&arguments, folder.path(), 7);
    let path = trained(folder.path()).join("train.jsonl");
    let text = std::fs::read_to_string(&path).unwrap().replacen("{\"step\":2,", "{\"st", 1);
    std::fs::write(&path, &text).unwrap();
    fails(1, &arguments, &["train.jsonl:2"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_full_disk_is_told_and_the_run_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let (straight, runs) = (folder.path().join("straight"), folder.path().join("small"));
    ok(&arguments(&straight, &[]));
    std::fs::create_dir(&runs).unwrap();
    let small = runs.to_str().unwrap();
    let kept = folder.path().join("kept");
    let line = quoted(&arguments(&runs, &[]));
    // Room for one checkpoint and a bit: the second does not fit. Then more room, and the same command again.
    let script = format!(
        "mount -t tmpfs -o size=10m tmpfs '{small}' && export NO_COLOR=1\n\
         '{maclip}' {line}; echo \"first: $?\"\n\
         ls '{small}'/quickstart/default*/checkpoints; wc -l '{small}'/quickstart/default*/train.jsonl\n\
         mount -o remount,size=64m '{small}' && '{maclip}' {line}; echo \"second: $?\"\n\
         cp -r '{small}' '{}'",
        kept.display(),
        maclip = env!("CARGO_BIN_EXE_maclip"),
    );
    let Some(output) = with_mount(&runs, &script) else { return };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("first: 1") && said.contains("second: 0"), "{said}");
    assert!(said.contains("No space left on device") && said.contains("make room"), "{said}");
    assert!(said.contains("resuming at step"), "{said}");
    assert_same(&trained(&kept), &trained(&straight));
}

#[test]
fn a_read_only_folder_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let line = quoted(&arguments(folder.path(), &[]));
    let script = format!(
        "mount -t tmpfs -o ro tmpfs '{}' && export NO_COLOR=1 && '{}' {line}; echo \"code: $?\"",
        folder.path().display(),
        env!("CARGO_BIN_EXE_maclip")
    );
    let Some(output) = with_mount(folder.path(), &script) else { return };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("code: 1") && said.contains("Read-only file system") && said.contains("--runs DIR"),
        "{said}"
    );
}

#[test]
fn records_of_the_first_format_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let run = "tests/records_v1";
    let shown = ok(&["runs", "show", run]);
    assert!(shown.contains("maclip run recipes/quickstart.yaml") && shown.contains("done"), "{shown}");
    let listed: serde_json::Value = serde_json::from_str(&ok(&["runs", "list", run, "--json"])).unwrap();
    assert_eq!(listed["runs"][0]["test"]["episodes"], 4);
    ok(&["report", run, "--out", folder.path().to_str().unwrap()]);

    // A newer one is refused.
    let newer = folder.path().join("newer");
    std::fs::create_dir(&newer).unwrap();
    let manifest = std::fs::read_to_string(root().join(run).join("manifest.json")).unwrap();
    std::fs::write(newer.join("manifest.json"), manifest.replace("\"format\": 1", "\"format\": 99")).unwrap();
    fails(1, &["runs", "show", newer.to_str().unwrap()], &["record format 99", "newer"]);
}

#[test]
fn a_step_is_replayed_and_a_step_without_numbers_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good");
    ok(&arguments(&good, &[]));
    let run = trained(&good);
    let before = std::fs::read(run.join("train.jsonl")).unwrap();
    let found: serde_json::Value =
        serde_json::from_str(&ok(&["replay", run.to_str().unwrap(), "--step", "3", "--json"])).unwrap();
    let recorded = records(&run.join("train.jsonl"))[2]["loss"].as_f64().unwrap();
    let losses: Vec<f64> =
        found["found"].as_array().unwrap().iter().map(|episode| episode["loss"].as_f64().unwrap()).collect();
    assert!((losses.iter().sum::<f64>() / 2.0 - recorded).abs() < 1e-6, "{losses:?} {recorded}");
    fails(1, &["replay", run.to_str().unwrap(), "--step", "13"], &["12 steps, and no step 13"]);

    // A factor that leaves the numbers: the step and its episode are named, and can be looked at.
    let bad = folder.path().join("bad");
    let ran = maclip(&arguments(&bad, &["--set", "objective.metric_scale=1e39"]));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("training episode") && ran.stderr.contains("its classes are"), "{}", ran.stderr);
    let hint = ran.stderr.split_once("`maclip replay ").unwrap().1.split_once('`').unwrap().0;
    let words: Vec<&str> = hint.split(' ').collect();
    let step = *words.last().unwrap();
    let found: serde_json::Value = serde_json::from_str(&ok(&["replay", words[0], "--step", step, "--json"])).unwrap();
    let episodes = found["found"].as_array().unwrap();
    assert_eq!(episodes.len(), 2);
    assert!(episodes.iter().any(|episode| episode["loss"].is_string()), "{found}");
    assert!(episodes[0]["support"].as_array().unwrap().len() == 5 && episodes[0]["values"]["distances"].is_object());
    assert_eq!(std::fs::read(run.join("train.jsonl")).unwrap(), before);
}

#[test]
fn episodes_of_another_run_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    ok(&arguments(&first, &[]));
    let list = std::fs::read_dir(first.join("quickstart"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("episodes-"))
        .unwrap();
    let list = list.to_str().unwrap();
    // Another seed for the test's episodes would draw others.
    let more = ["--set", "task.test.seed=77", "--episodes", list];
    ok(&arguments(&second, &more));
    assert_same(&trained(&second), &trained(&first));

    let third = folder.path().join("third");
    fails(1, &arguments(&third, &["--episodes", list, "--set", "task.way=4"]), &["5-way", "4-way"]);
    let mut file = std::fs::OpenOptions::new().append(true).open(list).unwrap();
    file.write_all(b" x").unwrap();
    fails(1, &arguments(&third, &["--episodes", list]), &["is no episode list"]);
}

#[test]
fn runs_are_compared_checked_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_str().unwrap();
    let expecting = |value: f64| -> Vec<String> {
        let expect = format!("[{{metric: accuracy, value: {value}, tolerance: 0.1, source: chance}}]");
        ["frozen_clip", "ma_clip"].map(|variant| format!("study.variants.{variant}.expect={expect}")).into()
    };
    let low = expecting(0.1);
    let label = "study.variants.ma_clip.label=MA-CLIP & <co>";
    let both = ["--set", "task.train.steps=2", "--set", &low[0], "--set", &low[1], "--set", label];
    ok(&small_quickstart(runs, &both));
    let (a, b) = (
        run_directory(folder.path(), "quickstart", "frozen_clip"),
        run_directory(folder.path(), "quickstart", "ma_clip"),
    );
    let (a, b) = (a.to_str().unwrap(), b.to_str().unwrap());

    let shown = ok(&["runs", "diff", a, b]);
    assert!(shown.contains("adapter.type") && shown.contains("\"multimodal\""), "{shown}");
    // The frozen one reads the test alone.
    assert!(shown.contains("list train") && !shown.contains("list test") && shown.contains("trainable"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&ok(&["runs", "diff", a, b, "--json"])).unwrap();
    assert_eq!(json["differences"]["recipe"]["prototype.type"]["b"], "\"text_guided\"");
    assert!(json["differences"]["recipe"].get("seed").is_none());
    let page = folder.path().join("pair");
    let compared = ok(&["compare", b, a, "--out", page.to_str().unwrap()]);
    assert!(compared.contains("A  MA-CLIP & <co>") && compared.contains("A − B"), "{compared}");
    let html = std::fs::read_to_string(page.join("index.html")).unwrap();
    assert!(html.contains("One against the other") && html.contains("MA-CLIP &amp; &lt;co&gt;"));
    assert!(page.join("tables/table-1.tex").is_file() && !html.contains("<co>"));
    let json: serde_json::Value = serde_json::from_str(&ok(&["compare", b, a, "--json"])).unwrap();
    assert_eq!((&json["a"]["label"], &json["b"]["label"]), (&"MA-CLIP & <co>".into(), &"frozen_clip".into()));
    let listed = ok(&["runs", "list", runs]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
    let status = ok(&["status", runs]);
    assert_eq!(status.matches(" done ").count(), 2, "{status}");

    let met = ok(&["check", runs]);
    assert!(met.matches(" met,").count() == 2 && met.contains("≥ 0.0"), "{met}");
    let dream = expecting(99.9);
    let high = folder.path().join("high");
    let both = ["--set", "task.train.steps=2", "--set", &dream[0], "--set", &dream[1]];
    ok(&small_quickstart(high.to_str().unwrap(), &both));
    fails(1, &["check", high.to_str().unwrap()], &["2 of 2 expectations are not met"]);
    fails(1, &["check", "tests/records_v1"], &["no run expects anything"]);
    let wrong = "study.variants.ma_clip.expect=[{metric: accuracy, value: 0.9, tolerance: -1, source: x}]";
    fails(2, &small_quickstart(runs, &["--set", wrong]), &["tolerance"]);

    // One that cannot be read is named and hides no other.
    let status = Path::new(a).join("status.json");
    let kept = std::fs::read(&status).unwrap();
    std::fs::write(&status, &kept[..kept.len() / 2]).unwrap();
    for verb in [["runs", "list", runs].as_slice(), &["status", runs], &["check", runs]] {
        let ran = maclip(verb);
        assert_eq!(ran.code, Some(1), "{verb:?}");
        assert!(ran.stderr.contains("status.json cannot be read") && ran.stdout.contains("ma_clip"), "{}", ran.stderr);
    }
    std::fs::write(&status, kept).unwrap();

    fails(1, &["runs", "rm", a], &["nothing was removed", "--yes"]);
    assert!(Path::new(a).is_dir());
    fails(1, &["runs", "rm", folder.path().join("quickstart").to_str().unwrap(), "--yes"], &["not a run directory"]);
    ok(&["runs", "rm", a, "--yes"]);
    assert!(!Path::new(a).exists() && Path::new(b).is_dir());
}

#[test]
fn choosing_on_the_test_classes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_str().unwrap();
    fails(2, &small_quickstart(runs, &["--set", "task.validation.split=test"]), &["validation.split", "honest test"]);
    ok(&arguments(folder.path(), &["--set", "task.validation.split=train", "--set", "task.train.steps=2"]));
}

#[test]
fn patience_ends_a_training_that_does_not_get_better() {
    let folder = tempfile::tempdir().unwrap();
    // A rate of almost nothing: the first validation stays the best.
    let still = [
        "--set",
        "optimizer={type: sgd, learning_rate: 1e-12}",
        "--set",
        "task.train.patience=2",
        "--set",
        "task.train.steps=300",
    ];
    let arguments = arguments(folder.path(), &still);
    let ran = maclip(&arguments);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("stopped at step 9"), "{}", ran.stderr);
    let run = trained(folder.path());
    assert_eq!(records(&run.join("train.jsonl")).len(), 9);
    let status: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("status.json")).unwrap()).unwrap();
    assert_eq!(status["best_step"], 3);
}
