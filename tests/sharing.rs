//! A run as a folder for others and back: `export`, `import`, `run --from`, and the forward pass in plain PyTorch.

mod common;

use common::own_clips::{ALL, OwnClips};
use common::{clip, fails, maclip, needs, ok, root, run_directory, small_quickstart};
use maclip_framework::files::sha256;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with small runs of the quickstart.
struct Runs {
    folder: tempfile::TempDir,
}

impl Runs {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs the variant `ma_clip` with `more` arguments into the folder `name`, and gives its directory.
    fn run(&self, name: &str, more: &[&str]) -> String {
        let runs = self.path(name);
        ok(&small_quickstart(&runs, &[&["--only", "ma_clip"], more].concat()));
        run_directory(Path::new(&runs), "quickstart", "ma_clip").to_str().unwrap().to_owned()
    }

    /// Exports the run `run` to the folder `name` with `more` arguments.
    fn export(&self, run: &str, name: &str, more: &[&str]) -> (PathBuf, Value) {
        let to = self.path(name);
        let told = ok(&[&["export", run, "--to", &to, "--json"], more].concat());
        (PathBuf::from(to), serde_json::from_str(&told).unwrap())
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The only folder below `runs`/`name` whose name begins with `with`.
fn only(runs: &str, name: &str, with: &str) -> PathBuf {
    let entries = std::fs::read_dir(Path::new(runs).join(name)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(with)).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_run_goes_out_and_comes_back_as_the_same_model() {
    let runs = Runs::new();
    let run = runs.run("runs", &[]);
    let (folder, told) = runs.export(&run, "model", &["--license", "cc-by-4.0"]);
    assert!(told["not_covered"].is_null() && told["tensors"] == 92, "{told}");
    let config = json(&folder.join("config.json"));
    let status = json(&Path::new(&run).join("status.json"));
    assert_eq!(config["test"], status["test"]);
    assert_eq!(
        (&config["data"]["trained"], &config["data"]["tested"]),
        (&"shapes_in_motion".into(), &"shapes_in_motion".into())
    );
    assert_eq!(config["files"]["model.safetensors"], sha256(&std::fs::read(folder.join("model.safetensors")).unwrap()));

    // The card: a head that is YAML, and the numbers of the run.
    let card = text(&folder.join("README.md"));
    let head = card.strip_prefix("---\n").unwrap().split_once("---\n").unwrap().0;
    let head = maclip_language::read_str("README.md", head).unwrap().to_json();
    let indexed = &head["model-index"][0]["results"][0]["metrics"][0];
    let percent = 100.0 * status["test"]["value"].as_f64().unwrap();
    assert!((indexed["value"].as_f64().unwrap() - percent).abs() < 0.0051, "{head:#}");
    assert_eq!((&head["license"], &head["datasets"][0]), (&"cc-by-4.0".into(), &"shapes_in_motion".into()));
    let interval = format!("{percent:.2} ± {:.2} %", 100.0 * status["test"]["ci95"].as_f64().unwrap());
    assert!(card.contains(&interval) && card.contains("5-way 1-shot"), "{card}");

    // Back: the same predictions, and the same files again.
    let imported = runs.path("imported");
    ok(&["import", folder.to_str().unwrap(), "--runs", &imported]);
    let own = only(&imported, "quickstart", "ma_clip+imported-s1-");
    let own = own.to_str().unwrap();
    let manifest = json(&Path::new(own).join("manifest.json"));
    assert_eq!(manifest["imported"]["test"], status["test"]);
    fails(1, &["test", folder.to_str().unwrap()], &["no manifest.json", "maclip import"]);
    fails(1, &["import", folder.to_str().unwrap(), "--runs", &imported], &["is there already", "maclip runs rm"]);
    // The number of the card is not one of other data.
    let other = ["--set", "dataset={type: hmdb51, root: data/hmdb51}", "--set", "name=other"];
    ok(&[&["import", folder.to_str().unwrap(), "--runs", &imported], &other[..]].concat());
    let elsewhere = only(&imported, "other", "ma_clip+imported-s1-");
    let (elsewhere, _) = runs.export(elsewhere.to_str().unwrap(), "elsewhere", &[]);
    assert!(text(&elsewhere.join("README.md")).contains("| shapes_in_motion, 5-way 1-shot |"));
    assert_eq!(json(&elsewhere.join("config.json"))["data"], config["data"]);

    // It needs the folder no more.
    let away = folder.with_file_name("moved");
    std::fs::rename(&folder, &away).unwrap();
    let folder = away;
    assert!(ok(&["runs", "list", &imported]).contains("ma_clip+imported"));
    ok(&["report", &imported]);
    let again: Value = serde_json::from_str(&ok(&["test", own, "--json"])).unwrap();
    assert_eq!(again["test"], status["test"]);
    let (twice, _) = runs.export(own, "twice", &["--with-backbone"]);
    // An imported run has tested no classes, so its check is on other names.
    for file in ["model.safetensors", "backbone.safetensors", "ma_clip.py", "recipe.yaml"] {
        assert_eq!(std::fs::read(folder.join(file)).unwrap(), std::fs::read(twice.join(file)).unwrap(), "{file}");
    }
    let out = json(&twice.join("config.json"));
    for part in ["run", "backbone", "slots", "data", "test"] {
        assert_eq!(out[part], config[part], "{part}");
    }
    ok(&["import", twice.to_str().unwrap(), "--runs", &runs.path("third")]);
    let (tested, _) = runs.export(again["dir"].as_str().unwrap(), "tested", &[]);
    assert_eq!(json(&tested.join("config.json"))["data"]["trained"], "shapes_in_motion");
    assert!(text(&tested.join("recipe.yaml")).contains("# The run trained nothing"));
    assert!(text(&twice.join("README.md")).contains("measured before these weights were imported"));
    fails(1, &["verify", own], &["no test of episodes", "maclip test"]);

    // Clips are recognised with it as with the run.
    for (class, number) in [(0, 1), (0, 2), (0, 3), (1, 4), (1, 5), (1, 6)] {
        clip(&runs.folder.path().join(format!("support/class {class}/clip {number}")), class, number, 8);
    }
    clip(&runs.folder.path().join("new"), 1, 9, 8);
    let (support, new) = (runs.path("support"), runs.path("new"));
    let classify = |run: &str| -> Value {
        let place = runs.path("classify");
        let told = ok(&["classify", "--run", run, "--support", &support, &new, "--json", "--runs", &place]);
        serde_json::from_str::<Value>(&told).unwrap()["queries"][0]["classes"].clone()
    };
    assert_eq!(classify(own), classify(&run));
}

#[test]
fn what_is_not_what_was_exported_is_refused() {
    let runs = Runs::new();
    let run = runs.run("runs", &[]);
    let (folder, _) = runs.export(&run, "model", &[]);
    let place = folder.to_str().unwrap();
    let to = runs.path("to");
    let import = |more: &[&str]| -> Vec<String> {
        ["import", place, "--runs", &to].iter().chain(more).map(|word| (*word).to_owned()).collect()
    };
    let refused = |more: &[&str], words: &[&str]| {
        let arguments = import(more);
        let code = if words[0].contains("belongs to") { 2 } else { 1 };
        fails(code, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), words);
    };
    // Another backbone: the lowest bit of its last value.
    let weights = runs.folder.path().join("other.safetensors");
    let mut bytes = std::fs::read(root().join("components/weights/shapes_clip/model.safetensors")).unwrap();
    let set = format!("backbone.weights={}", weights.display());
    std::fs::write(&weights, &bytes).unwrap();
    // The same tensors in a file of another name are the same backbone.
    ok(&["import", place, "--runs", &runs.path("same"), "--set", &set]);
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    refused(
        &["--set", &set],
        &["is not the one that the tensors were trained on", "builtin:shapes_clip", "--set backbone"],
    );
    refused(&["--set", "adapter.ratio=0.5"], &["belongs to the model", "--set adapter.ratio"]);
    refused(&["--set", "backbone.activation=gelu"], &["belongs to the model", "--set backbone.activation"]);
    // Other options: one that the config tells apart, one that only the seal does.
    for (name, from, to, words) in [
        ("recipe.yaml", "joint_scale: 0.5", "joint_scale: 0.6", "`adapter.joint_scale` is 0.5 in config.json"),
        ("config.json", "\"frames\": 8", "\"frames\": 4", "`frames` is 4 in config.json"),
        ("config.json", "\"joint_scale\": 0.5", "\"joint_scale\": 0.6", "`adapter.joint_scale` is 0.6 in config.json"),
    ] {
        let file = folder.join(name);
        let before = text(&file);
        assert!(before.contains(from), "{before}");
        std::fs::write(&file, before.replace(from, to)).unwrap();
        refused(&[], &[&format!("{name} is not the file that was exported"), "--changed"]);
        refused(&["--changed"], &[words]);
        std::fs::write(&file, before).unwrap();
    }
    fails(1, &["export", &run, "--to", place], &["is there and not empty", "--force"]);
    ok(&["export", &run, "--to", place, "--force"]);
    fails(1, &["export", &run, "--to", &runs.path("runs"), "--force"], &["config.json", "maclip export"]);
    fails(1, &["export", &run, "--to", &to, "--license", "My Own"], &["no name of a licence", "apache-2.0"]);

    // Other tensors: asked for, or not.
    let file = folder.join("model.safetensors");
    let mut tensors = std::fs::read(&file).unwrap();
    let last = tensors.len() - 2;
    tensors[last] ^= 1;
    std::fs::write(&file, &tensors).unwrap();
    refused(&[], &["is not the file that was exported", "--changed"]);
    let begun = runs.path("begun");
    let begin = |from: &str, words: &[&str]| {
        fails(1, &small_quickstart(&begun, &["--only", "ma_clip", "--from", from]), words);
    };
    begin(place, &["model.safetensors is not the file that was exported", "--changed"]);
    ok(&["import", place, "--runs", &to, "--changed"]);
    let own = only(&to, "quickstart", "ma_clip+imported");
    assert_eq!(json(&own.join("manifest.json"))["imported"]["changed"], true);
    let (again, _) = runs.export(own.to_str().unwrap(), "again", &[]);
    let config = json(&again.join("config.json"));
    assert!(config["test"].is_null() && config["data"]["tested"].is_null(), "the result is not that of these tensors");
    std::fs::write(&file, &tensors[..100]).unwrap();
    refused(&["--changed"], &["model.safetensors", "not a whole safetensors file"]);
    std::fs::write(folder.join("config.json"), "{}").unwrap();
    refused(&[], &["no config of a model that maclip exported"]);

    // A run that is not done has no model to give away.
    std::fs::remove_file(Path::new(&run).join("status.json")).unwrap();
    fails(1, &["export", &run, "--to", &runs.path("open")], &["is not finished", "maclip run"]);
    begin(&run, &["is not finished", "maclip run"]);
}

#[test]
fn a_training_begins_with_a_run_or_with_its_folder() {
    let runs = Runs::new();
    let first = runs.run("first", &[]);
    let second = runs.run("second", &["--set", "seed=2"]);
    let (folder, _) = runs.export(&first, "model", &[]);
    let place = runs.path("begun");
    let from = |source: &str, more: &[&str]| {
        let ran = maclip(&small_quickstart(&place, &[&["--only", "ma_clip", "--from", source], more].concat()));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr
    };
    // The same weights make the same run, wherever they lie; others make another one.
    let told = from(&first, &[]);
    assert!(told.contains("begins with the trained weights of") && told.contains("92 of 92 tensors"), "{told}");
    let own = run_directory(Path::new(&place), "quickstart", "ma_clip");
    let own_text = own.to_str().unwrap();
    assert!(from(folder.to_str().unwrap(), &[]).contains("done already"));
    from(&second, &["--set", "task.train.steps=4"]);
    let entries = std::fs::read_dir(Path::new(&place).join("quickstart")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("ma_clip-s1")).count(), 2);
    let manifest = text(&own.join("manifest.json"));
    let start = json(&own.join("manifest.json"))["weights"].as_object().unwrap().clone();
    let sum = start.iter().find(|(name, _)| name.starts_with("start: ")).unwrap().1.clone();
    assert_eq!(sum, json(&folder.join("config.json"))["run"]["trained_sha256"]);
    assert!(manifest.contains("92 of 92 tensors"), "{manifest}");
    ok(&["verify", own_text]);
    // What it began with goes with it.
    let (exported, _) = runs.export(own_text, "begun model", &[]);
    assert_eq!(json(&exported.join("config.json"))["run"]["start"]["sha256"], sum);
    for (file, words) in [("README.md", "began with the trained weights of `"), ("recipe.yaml", "# The training began")]
    {
        assert!(text(&exported.join(file)).contains(words), "{file}");
    }
    // The same backbone by other names: that of an imported run, and a file that holds the values in another form.
    ok(&["import", folder.to_str().unwrap(), "--runs", &runs.path("imported")]);
    let imported = only(&runs.path("imported"), "quickstart", "ma_clip+imported");
    from(imported.to_str().unwrap(), &["--set", "name=of_imported", "--set", "task.train.steps=4"]);
    let long = runs.path("long.safetensors");
    ok(&["weights", "convert", "builtin:shapes_clip", &long, "--precision", "f32"]);
    let long = format!("backbone.weights={long}");
    for source in [first.as_str(), imported.to_str().unwrap(), folder.to_str().unwrap()] {
        let place = runs.path(&format!("of {}", Path::new(source).file_name().unwrap().to_str().unwrap()));
        let two = ["--only", "ma_clip", "--from", source, "--set", &long, "--set", "task.train.steps=4"];
        ok(&small_quickstart(&place, &two));
    }

    // Interrupted, it goes on to the same weights.
    let step = own.join("checkpoints/step-00000006");
    let before = std::fs::read(step.join("weights.safetensors")).unwrap();
    std::fs::remove_dir_all(&step).unwrap();
    std::fs::remove_file(own.join("status.json")).unwrap();
    from(&first, &[]);
    assert_eq!(std::fs::read(step.join("weights.safetensors")).unwrap(), before);

    // Parts: what is new and what is left is told, and a wrong shape is an error.
    let told = from(&first, &["--set", "adapter={type: lora, rank: 2}", "--set", "name=parts"]);
    assert!(told.contains("not in it, so they start as the recipe says: adapter.blocks.0.query.a"), "{told}");
    assert!(told.contains("of its weights, not taken: adapter.blocks.0.joint"), "{told}");
    let fails_from = |source: &str, more: &[&str], words: &[&str]| {
        fails(1, &small_quickstart(&place, &[&["--only", "ma_clip", "--from", source], more].concat()), words);
    };
    let wider = ["--set", "prototype.ffn_ratio=2"];
    let shape = "prototype.layer.fc1.weight is [96, 384], the model has [96, 192]";
    fails_from(&first, &wider, &[shape, "task.start.only=[adapter]"]);
    let told = from(&first, &[&wider[..], &["--set", "task.start.only=[adapter]", "--set", "name=some"]].concat());
    assert!(told.contains("84 of 92 tensors"), "{told}");
    ok(&["verify", run_directory(Path::new(&place), "some", "ma_clip").to_str().unwrap()]);
    fails_from(&first, &["--set", "adapter.type=none", "--set", "prototype.type=none"], &["nothing to train"]);
    fails_from(&runs.path("first"), &[], &["is not a run directory", "maclip export"]);
    let weights = runs.folder.path().join("other.safetensors");
    let mut bytes = std::fs::read(root().join("components/weights/shapes_clip/model.safetensors")).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    let set = format!("backbone.weights={}", weights.display());
    fails_from(&first, &["--set", &set], &["was trained on other backbone weights", "other.safetensors"]);
    fails_from(folder.to_str().unwrap(), &["--set", &set], &["is not the one that the tensors were trained on"]);
}

#[test]
fn folders_of_this_machine_do_not_leave_it_and_lora_goes_to_peft() {
    let clips = OwnClips::new(&ALL, "");
    let weights = clips.root.join("my own clip.safetensors");
    std::fs::copy(root().join("components/weights/shapes_clip/model.safetensors"), &weights).unwrap();
    let mine = format!("backbone.weights={}", weights.display());
    ok(&clips.run(&["--set", &mine, "--set", "prompt={type: template, template: \"../a b/{}\"}"]));
    let run = run_directory(Path::new(&clips.runs), "mine", "default");
    let folder = clips.root.join("model");
    let (run, place) = (run.to_str().unwrap(), folder.to_str().unwrap());
    ok(&["export", run, "--to", place, "--with-backbone"]);
    let config = json(&folder.join("config.json"));
    assert_eq!(config["backbone"]["source"], "my own clip.safetensors");
    // A prompt is no place.
    assert_eq!(config["slots"]["prompt"]["template"], "../a b/{}");
    for file in ["config.json", "recipe.yaml", "README.md", "peft/adapter_config.json"] {
        let text = text(&folder.join(file));
        assert!(!text.contains(clips.root.to_str().unwrap()), "{file}:\n{text}");
    }
    let peft = json(&folder.join("peft/adapter_config.json"));
    assert_eq!((&peft["r"], &peft["peft_type"]), (&2.into(), &"LORA".into()));
    assert!(folder.join("peft/adapter_model.safetensors").is_file());
    // A killed export leaves the earlier one; the next one replaces it.
    std::fs::create_dir(folder.join(".unfinished")).unwrap();
    std::fs::write(folder.join(".unfinished/model.safetensors"), "half").unwrap();
    ok(&["export", run, "--to", place, "--force", "--with-backbone"]);
    assert!(!folder.join(".unfinished").exists());

    // Where the data lie is this machine's to say.
    let to = clips.root.join("imported");
    let to = to.to_str().unwrap();
    ok(&["import", place, "--runs", to, "--set", &format!("dataset.root={}", clips.root.join("data").display())]);
    let own = only(to, "mine", "default");
    // The backbone came along, and neither its first file nor the folder is needed any more.
    std::fs::remove_file(weights).unwrap();
    std::fs::rename(&folder, clips.root.join("moved")).unwrap();
    let out = clips.root.join("out");
    ok(&["export", own.to_str().unwrap(), "--to", out.to_str().unwrap(), "--with-backbone"]);
    assert_eq!(json(&out.join("config.json"))["backbone"], config["backbone"]);
    let peft = json(&out.join("peft/adapter_config.json"));
    assert_eq!(peft["r"], 2);
    let again: Value = serde_json::from_str(&ok(&["test", own.to_str().unwrap(), "--json"])).unwrap();
    assert_eq!(again["test"], json(&Path::new(run).join("status.json"))["test"]);
}

#[test]
fn the_forward_pass_in_pytorch_gives_the_same_features() {
    let Some(python) = needs::torch() else { return };
    let runs = Runs::new();
    let check = |folder: &Path| -> (bool, f64, String) {
        let output = Command::new(&python).arg("check.py").arg(".").current_dir(folder).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let found: Option<Value> = serde_json::from_str(&told).ok();
        let largest =
            found.iter().flat_map(|found| found.as_object().unwrap().values()).map(|part| part.as_f64().unwrap());
        (output.status.success(), largest.fold(-1.0, f64::max), told + &String::from_utf8_lossy(&output.stderr))
    };
    // The card's own example, on any clips.
    let example = |folder: &Path| {
        let card = text(&folder.join("README.md"));
        let code = card.split_once("```python\n").unwrap().1.split_once("```").unwrap().0;
        let config = json(&folder.join("config.json"));
        let classes = config["classes"].as_object().unwrap().len();
        let (classes, shot) = (if classes == 0 { 3 } else { classes }, config["test"]["shot"].as_u64().unwrap());
        let program = format!(
            "import torch\nT, S = {}, {}\nclips = torch.rand({classes} * {shot}, T, 3, S, S)\n\
             queries = torch.rand(2, T, 3, S, S)\n{code}\n\
             assert 'found' not in globals() or found.shape == (2, {classes}), found.shape\n",
            config["frames"], config["image"]["size"]
        );
        let output = Command::new(&python).args(["-c", &program]).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{program}\n{}", String::from_utf8_lossy(&output.stderr));
        code.to_owned()
    };
    // Options far from their defaults, so that none is read by chance.
    let variants: [&[&str]; 4] = [
        &[],
        &[
            "adapter={type: multimodal, temporal_adapters: 2, normalize_text: true, temporal_residual: false, joint_skip: true, at: {list: [1, 4]}}",
            "prototype={type: text_guided, norm: post, heads: 4}",
            "alignment={type: otam, direction: query_to_support, cosine: {clamp: 0.5}, shots: joint}",
            "task.shot=2",
        ],
        &[
            "adapter={type: multimodal, shared_text_fc: true, parts: {only: [temporal]}, at: {last: 2}}",
            "prompt.type=action_clip",
            "alignment={type: otam, cosine: {plus: 0.5}, shots: mean_distances}",
        ],
        &[
            "adapter={type: lora, rank: 4, alpha: 6, on: [query, key, value]}",
            "prototype.type=none",
            "alignment.type=bi_mhm",
            "objective.type=metric",
        ],
    ];
    for (number, changes) in variants.iter().enumerate() {
        let sets: Vec<&str> = changes.iter().flat_map(|change| ["--set", change]).collect();
        let run = runs.run(&format!("runs {number}"), &sets);
        let (folder, told) = runs.export(&run, &format!("model {number}"), &[]);
        assert!(told["not_covered"].is_null(), "{told}");
        let (same, largest, told) = check(&folder);
        assert!(same && (0.0..=1e-5).contains(&largest), "{changes:?}: {told}");
        let code = example(&folder);
        assert_eq!(code.contains("shots=2"), number == 1, "{code}");
        assert_eq!((code.contains("distances"), code.contains("texts")), (number < 3, number < 3), "{code}");
    }
    // It can fail: another scale, other tensors, another backbone.
    let folder = PathBuf::from(runs.path("model 0"));
    let config = text(&folder.join("config.json"));
    std::fs::write(folder.join("config.json"), config.replace("\"joint_scale\": 0.5", "\"joint_scale\": 0.6")).unwrap();
    let (same, largest, told) = check(&folder);
    assert!(!same && largest > 1e-5, "{told}");
    std::fs::write(folder.join("config.json"), config).unwrap();
    let backbone = folder.join("backbone.safetensors");
    let mut bytes = std::fs::read(&backbone).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&backbone, bytes).unwrap();
    let (same, _, told) = check(&folder);
    assert!(!same && told.contains("is not the backbone of this model"), "{told}");
}

#[test]
fn what_the_forward_pass_does_not_cover_is_said() {
    let runs = Runs::new();
    let run = runs.run("runs", &["--set", "adapter={type: st_adapter}"]);
    let (folder, told) = runs.export(&run, "model", &[]);
    assert!(told["not_covered"].as_str().unwrap().contains("st_adapter"), "{told}");
    assert!(!folder.join("ma_clip.py").exists() && !folder.join("check.safetensors").exists());
    assert!(text(&folder.join("README.md")).contains("no `ma_clip.py` in this folder: it has no adapter `st_adapter`"));
    let tensors = &json(&folder.join("config.json"))["tensors"];
    assert_eq!(
        tensors["visual.transformer.resblocks.0.adapter_pre_mlp.conv.weight"]["path"],
        "adapter.blocks.0.kernel"
    );
    ok(&["import", folder.to_str().unwrap(), "--runs", &runs.path("back")]);

    // A run that trains nothing has a model too.
    let frozen = runs.path("frozen");
    ok(&small_quickstart(&frozen, &["--only", "frozen_clip"]));
    let run = run_directory(Path::new(&frozen), "quickstart", "frozen_clip");
    let (folder, told) = runs.export(run.to_str().unwrap(), "frozen model", &[]);
    assert_eq!(told["tensors"], 0);
    let card = text(&folder.join("README.md"));
    assert!(card.contains("Nothing was trained.") && card.contains("Tested on `shapes_in_motion`."), "{card}");
    assert!(!card.contains("one training") && !card.contains("Trained and tested"), "{card}");
    ok(&["import", folder.to_str().unwrap(), "--runs", &runs.path("frozen back")]);
    let own = only(&runs.path("frozen back"), "quickstart", "frozen_clip+imported");
    let again: Value = serde_json::from_str(&ok(&["test", own.to_str().unwrap(), "--json"])).unwrap();
    assert_eq!(again["test"], json(&run.join("status.json"))["test"]);
}
