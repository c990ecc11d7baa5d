//! Wrong input: one screen that names file and place, exit 2 for the recipe and the command line, 1 for the work.

mod common;

use common::{command, fails, finish, maclip, root, small_quickstart};
use std::path::Path;

fn recipe(folder: &Path, text: &str) -> String {
    let path = folder.join("recipe.yaml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn an_unknown_component_or_key_is_placed_and_has_a_suggestion() {
    let folder = tempfile::tempdir().unwrap();
    let path = recipe(
        folder.path(),
        "name: x\ndataset: {type: shapes_in_motion}\nbackbone: {type: clip_vit, weights: \"builtin:shapes_clip\"}\n\
         alignment:\n  type: otan\nadapter:\n  type: multimodal\n  ratoi: 0.5\nprototpye: {type: none}\n",
    );
    for verb in ["run", "validate"] {
        let words = [
            "recipe.yaml:5:9",
            "no alignment called `otan`",
            "`otam`",
            "recipe.yaml:8:3",
            "`ratoi`",
            "`ratio`",
            "recipe.yaml:9:1",
            "`prototpye`",
            "`prototype`",
        ];
        fails(2, &[verb, &path], &words);
    }
    let json = maclip(&["validate", &path, "--json"]);
    assert_eq!(json.code, Some(2));
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["diagnostics"].as_array().unwrap().len(), 3);
}

#[test]
fn values_out_of_range_and_of_the_wrong_type_are_placed() {
    let set = |change: &str, words: &[&str]| {
        fails(2, &["validate", "recipes/quickstart.yaml", "--set", change], words);
    };
    set("alignment.lambda=0", &["--set alignment.lambda=0", "must be at least 1e-6"]);
    set("alignment.lambda=low", &["alignment.lambda", "low"]);
    set("task.way=1", &["task.way", "within 2 and 10000"]);
    set("device=tpu", &["no device `tpu`", "flex"]);
    set("augment.type=nothing", &["no augment called `nothing`"]);
    set("backbone.weights=builtin:other", &["builtin:shapes_clip"]);
    set("task.train.clip_norm=-1", &["clip_norm", "above 0"]);
}

#[test]
fn instructions_that_the_processor_lacks_are_refused() {
    let asked = |name: &str| finish(command(&["list"]).env("MACLIP_SIMD", name).output().unwrap());
    let wrong = asked("v9");
    assert_eq!(wrong.code, Some(1), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("MACLIP_SIMD is `v9`") && wrong.stderr.contains("plain"), "{}", wrong.stderr);
    assert_eq!(asked("plain").code, Some(0));
}

#[test]
fn a_recipe_that_cannot_be_read_is_named() {
    fails(2, &["run", "recipes/no_such.yaml"], &["recipes/no_such.yaml"]);
    fails(2, &["run", "recipes"], &["recipes is a folder, not a recipe"]);
    let folder = tempfile::tempdir().unwrap();
    let path = recipe(folder.path(), "name: x\n  dataset: {\n");
    fails(2, &["run", &path], &["recipe.yaml:"]);
    let task = recipe(folder.path(), "name: x\ntask: {type: contrastive}\nalignment: {type: otam}\n");
    fails(2, &["validate", &task], &["the task does not use `alignment`", "recipe.yaml:3:1"]);
}

#[test]
fn a_way_that_the_split_cannot_fill_names_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_str().unwrap();
    let words = ["MC011", "`way` is 13, and split val has 12 classes", "--set task.way=13"];
    fails(2, &small_quickstart(runs, &["--set", "task.way=13"]), &words);
    let words = ["6 shots and 1 queries are 7 clips of a class, and split train has 6", "--set task.shot=6"];
    fails(2, &small_quickstart(runs, &["--set", "task.shot=6"]), &words);
}

#[test]
fn a_missing_root_or_weights_file_says_how_to_give_it() {
    let kinetics =
        ["parts/data/kinetics.yaml:", "dataset.root", "parts/benchmark.yaml:", "backbone.weights", "safetensors"];
    fails(2, &["run", "recipes/kinetics_5w5s.yaml"], &kinetics);
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_str().unwrap();
    let missing = folder.path().join("nowhere");
    let root = format!("dataset.root={}", missing.display());
    let frames = ["run", "recipes/benchmarks/frames_5w1s.yaml", "--runs", runs, "--set", &root];
    fails(1, &frames, &["nowhere", "--set dataset.root="]);
    fails(
        1,
        &small_quickstart(runs, &["--set", "backbone.weights=gone.safetensors"]),
        &["gone.safetensors", "--set backbone.weights="],
    );
}

#[test]
fn weights_of_the_wrong_shape_are_listed_and_hostile_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let original = root().join("components/weights/shapes_clip/model.safetensors");
    let bytes = std::fs::read(original).unwrap();
    let run = |name: &str, bytes: &[u8], words: &[&str]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let set = format!("backbone.weights={}", path.display());
        fails(1, &small_quickstart(runs.to_str().unwrap(), &["--set", &set]), words);
    };
    // The same bytes with another name for one tensor, and with another shape for one.
    let header = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let position = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        let mut changed = bytes.clone();
        changed[position..position + to.len()].copy_from_slice(to.as_bytes());
        changed
    };
    run(
        "renamed.safetensors",
        &header("visual.proj", "visual.porj"),
        &["visual.proj", "visual.porj", "missing", "unused"],
    );
    run("reshaped.safetensors", &header("\"shape\":[192,96]", "\"shape\":[96,192]"), &["wrong shape", "[96, 192]"]);
    run("cut.safetensors", &bytes[..bytes.len() / 2], &["cut.safetensors", "not a whole safetensors file"]);
    run("empty.safetensors", &[], &["empty.safetensors"]);
    run("noise.safetensors", &[255; 4096], &["noise.safetensors"]);
}

#[test]
fn an_unwritable_runs_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // A file where a folder must go: refused for every user, root too.
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    fails(1, &small_quickstart(file.to_str().unwrap(), &[]), &["file/quickstart", "--runs DIR"]);
}

#[test]
fn usage_errors_are_exit_2() {
    assert_eq!(maclip(&["run"]).code, Some(2));
    assert_eq!(maclip(&["fly"]).code, Some(2));
    fails(2, &["list", "alignmnet"], &["no slot `alignmnet`", "did you mean `alignment`?"]);
    let nothing = tempfile::tempdir().unwrap();
    let out = nothing.path().join("out");
    fails(1, &["report", nothing.path().to_str().unwrap(), "--out", out.to_str().unwrap()], &["help:"]);
}

/// Verbs of `maclip COMMAND --help`, without `help` itself.
fn verbs(of: &[&str]) -> Vec<String> {
    let help = common::ok(&[of, &["--help"]].concat());
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    names.filter(|name| name != "help").collect()
}

/// A program that asks for JSON gets one object, also where something is wrong: what is wrong is in it, and the exit
/// code says of what kind it is.
#[test]
fn every_verb_that_has_json_gives_its_errors_as_json() {
    // What a verb cannot do; `doctor` looks at this machine and has no argument that could be wrong.
    let wrong: &[(&str, &[&str])] = &[
        ("run", &["gone.yaml"]),
        ("validate", &["gone.yaml"]),
        ("plan", &["gone.yaml"]),
        ("classify", &["gone", "--support", "gone"]),
        ("prepare", &["gone.yaml"]),
        ("init", &["gone"]),
        ("list", &["gone"]),
        ("describe", &["gone"]),
        ("audit", &["gone"]),
        ("explain", &["MC999"]),
        ("status", &["gone"]),
        ("table", &["gone"]),
        ("cancel", &["gone"]),
        ("compare", &["gone", "gone"]),
        ("check", &["gone"]),
        ("docs", &["gone"]),
        ("export", &["gone", "--to", "gone"]),
        ("failures", &["gone"]),
        ("import", &["gone"]),
        ("replay", &["gone", "--step", "1"]),
        ("test", &["gone"]),
        ("verify", &["gone"]),
        ("runs list", &["gone"]),
        ("runs show", &["gone"]),
        ("runs diff", &["gone", "gone"]),
        ("weights inspect", &["gone.safetensors"]),
        ("weights fetch", &["gone"]),
    ];
    let mut with_json = Vec::new();
    for verb in verbs(&[]) {
        let below = verbs(&[&verb]);
        let all = if below.is_empty() {
            vec![vec![verb]]
        } else {
            below.into_iter().map(|b| vec![verb.clone(), b]).collect()
        };
        for words in all {
            let arguments: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
            if common::ok(&arguments).contains("--json") {
                with_json.push(words.join(" "));
            }
        }
    }
    let mut known: Vec<&str> = wrong.iter().map(|(verb, _)| *verb).chain(["doctor", "weights list"]).collect();
    known.sort_unstable();
    with_json.sort();
    assert_eq!(with_json, known, "verbs that have --json: each needs a case here");
    for (verb, arguments) in wrong {
        let all: Vec<&str> = verb.split(' ').chain(arguments.iter().copied()).chain(["--json"]).collect();
        let ran = maclip(&all);
        assert!(ran.code == Some(1) || ran.code == Some(2), "{verb}: {:?} {}", ran.code, ran.stderr);
        let object: serde_json::Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{verb}: {error}: {:?}", ran.stdout));
        let message = match ran.code {
            Some(2) => object["diagnostics"][0]["message"].as_str(),
            _ => object["error"]["message"].as_str(),
        };
        let message = message.unwrap_or_else(|| panic!("{verb}: {object}"));
        assert!(ran.stderr.contains(message), "{verb}: {message} {}", ran.stderr);
    }
    // Also where the command line cannot be read.
    for verb in &known {
        let all: Vec<&str> = verb.split(' ').chain(["--no-such-option", "--json"]).collect();
        let ran = maclip(&all);
        let object: serde_json::Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{verb}: {error}: {:?}", ran.stdout));
        let message = object["diagnostics"][0]["message"].as_str().unwrap();
        assert!(ran.code == Some(2) && message.contains("--no-such-option"), "{verb}: {object}");
        assert!(ran.stderr.contains(message), "{verb}: {message} {}", ran.stderr);
    }
    let plan = maclip(&["plan", "gone.yaml", "--format", "json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&plan.stdout).unwrap()["diagnostics"].is_array());
}

#[test]
fn a_shipped_recipe_that_moved_says_where_it_is() {
    let moved = "`benchmarks/hmdb51_5w1s`, without `.yaml`, is a shipped recipe";
    fails(2, &["validate", "recipes/hmdb51_5w1s.yaml"], &[moved]);
    // The card of the project names this one.
    assert!(root().join("recipes/kinetics_5w5s.yaml").is_file());
}
