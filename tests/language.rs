//! The recipe language and the verbs around it, as a user sees them.

mod common;

use common::{command, fails, finish, generated, maclip, names, needs, ok, root};
use maclip_language::codes::TABLE;
use serde_json::Value;
use std::path::Path;

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(arguments)).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn generated_files_are_as_the_code_says() {
    for (file, words) in [
        ("recipes/schema.json", &["schema"][..]),
        ("docs/components.md", &["describe", "--markdown"]),
        ("docs/methods.md", &["describe", "--markdown=methods"]),
        ("docs/audit.md", &["audit", "--markdown"]),
    ] {
        generated(file, &ok(words), "cargo xtask regenerate");
    }
}

#[test]
fn every_component_is_described_with_an_example_that_builds() {
    let slots = json(&["list", "--json"]);
    let mut all = Vec::new();
    for (slot, about) in slots["slots"].as_object().unwrap() {
        for component in about["components"].as_array().unwrap() {
            let name = component["name"].as_str().unwrap();
            let text = ok(&["describe", &format!("{slot}/{name}")]);
            let first = format!("{slot}/{name}: {}", component["summary"].as_str().unwrap());
            assert!(text.starts_with(&first) && text.contains(&format!(" {slot}: {{type: {name}")), "{text}");
            let data = json(&["describe", &format!("{slot}.{name}"), "--json"]);
            let described = &data["described"][0];
            for option in described["options"].as_array().unwrap() {
                let path = option["path"].as_str().unwrap();
                let heading = format!("\n  {path}: ");
                assert!(text.contains(&heading), "{slot}/{name} {path}");
                let said = option["description"].as_str().unwrap().len() > 3 || path.contains("[]");
                assert!(said, "{slot}/{name}: {path} has no description");
                for choice in option["choices"].as_array().into_iter().flatten() {
                    assert!(
                        !choice[1].as_str().unwrap().is_empty(),
                        "{slot}/{name}: {path} does not explain {}",
                        choice[0]
                    );
                }
            }
            all.push(format!("{slot}/{name}"));
        }
    }
    all.sort();
    assert_eq!(all, names());
    let otam = json(&["describe", "alignment/otam", "--json"]);
    let lambda = &otam["described"][0]["options"][0];
    assert_eq!((lambda["path"].as_str(), lambda["default"].as_f64()), (Some("lambda"), Some(0.1)));
    assert_eq!(lambda["range"], "≥ 1e-6");
    assert!(otam["described"][0]["recipes"].as_array().unwrap().contains(&"quickstart".into()));
    // Table 4 of the paper: three adapters and TextFC in twelve blocks.
    let adapter = json(&["describe", "adapter/multimodal", "--json"]);
    assert_eq!(adapter["described"][0]["trainable_vit_b16"], 15_379_200);
    assert!(ok(&["describe", "compute"]).contains("workers"));
    let otam = ok(&["describe", "method/otam"]);
    assert!(otam.contains("few-shot-action-recognition@3687f3a") && otam.contains("compared"), "{otam}");
    let otam = json(&["describe", "method/otam", "--json"]);
    assert!(otam["described"][0]["components"].as_array().unwrap().contains(&"alignment/otam".into()));
    fails(2, &["describe", "otan"], &["MC008", "`otam`"]);
    fails(2, &["describe", "alignment"], &["maclip list alignment"]);
}

#[test]
fn lists_are_filtered() {
    let named = ok(&["list", "alignment", "--filter", "*hausdorff"]);
    assert!(named.contains("modified_hausdorff") && !named.contains("otam"), "{named}");
    let otam = ok(&["list", "--filter", "cvpr 2020"]);
    assert!(otam.contains("otam") && !otam.contains("trx"), "{otam}");
    assert_eq!(ok(&["list", "alignment", "--filter", "nothing such"]).trim(), "nothing fits");
    // Methods and baselines are no components, and they are listed with their recipes.
    let methods = ok(&["list", "methods"]);
    assert!(methods.contains("D²ST-Adapter") && methods.contains("recipes/methods/d2st.yaml"), "{methods}");
    assert!(!methods.contains("linear_probe") && !methods.contains("alignment"), "{methods}");
    let baselines = json(&["list", "baselines", "--json"]);
    let listed: Vec<&Value> = baselines["baselines"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    for name in ["cosine_classifier", "fine_tuned", "linear_probe", "ridge", "tip_adapter", "zero_shot_ensemble"] {
        assert!(listed.contains(&&Value::from(name)), "{name}: {listed:?}");
    }
    // A component that somebody begins is experimental; the filter and the mark agree.
    let mut found = 0;
    for stability in ["stable", "experimental"] {
        let listed = json(&["list", "--stability", stability, "--json"]);
        let slots = listed["slots"].as_object().unwrap().values();
        let components: Vec<&Value> = slots.flat_map(|slot| slot["components"].as_array().unwrap()).collect();
        assert!(components.iter().all(|component| component["stability"] == stability), "{listed}");
        found += components.len();
    }
    assert_eq!(found, names().len(), "every component is one or the other");
}

#[test]
fn codes_are_explained() {
    let all = ok(&["explain"]);
    let codes: Vec<&str> = all.lines().filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(codes, TABLE.iter().map(|code| code.code).collect::<Vec<_>>());
    for code in codes {
        let page = ok(&["explain", code]);
        assert!(page.contains("Why it happens") && page.contains("What to do") && page.contains("Example"), "{page}");
    }
    fails(2, &["explain", "MC999"], &["there is no code"]);
    let message = maclip(&["validate", "recipes/quickstart.yaml", "--set", "task.way=1"]).stderr;
    assert!(message.contains("`maclip explain MC010`"), "{message}");
}

#[test]
fn problems_are_data_and_colours_are_asked_for() {
    let ran = maclip(&["run", "recipes/quickstart.yaml", "--json", "--set", "task.way=1"]);
    let data: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, data["diagnostics"][0]["code"].as_str()), (Some(2), Some("MC010")));
    assert_eq!(data["diagnostics"][0]["argument"], "--set task.way=1");
    let with =
        |color: &str| maclip(&["--color", color, "validate", "recipes/quickstart.yaml", "--set", "task.way=1"]).stderr;
    assert!(
        with("always").contains("\u{1b}[") && !with("never").contains('\u{1b}') && !with("auto").contains('\u{1b}')
    );
}

#[test]
fn notes_and_arguments_are_told() {
    let ran = maclip(&["validate", "recipes/quickstart.yaml", "--set", "alignment.type=bi_mhm"]);
    assert!(ran.stderr.contains("`otam` becomes `bi_mhm`, which has no option lambda: dropped"), "{}", ran.stderr);
    assert!(ran.stderr.contains("reaches 1 of 2 runs"), "{}", ran.stderr);
    let lost = ["validate", "recipes/ablations/modules.yaml", "--set", "seed=5"];
    fails(2, &lost, &["MC012", "reaches no run", "study.seeds"]);
    let data = json(&["validate", "recipes/ablations/modules.yaml", "--unset", "study", "--json"]);
    assert_eq!(data["runs"].as_array().unwrap().len(), 1);
    let set = ["validate", "recipes/quickstart.yaml", "--json", "--set", "study.variants.ma_clip.alignment.lambda=0.3"];
    assert!(json(&set)["notes"].as_array().unwrap().iter().all(|note| note["code"] != "MC012"));
}

#[test]
fn a_changed_component_keeps_the_options_that_both_have() {
    let shape = |sets: &[&str]| {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let words: Vec<&str> = ["plan", "recipes/quickstart.yaml", "--json"].into_iter().chain(sets).collect();
        json(&words)["plans"][0]["plan"]["nodes"][0]["shape"].clone()
    };
    let as_given = shape(&["frames.count=4"]);
    assert_ne!(as_given, shape(&[]));
    assert_eq!(shape(&["frames.count=4", "frames.type=linspace"]), as_given);
    // A run says nothing of it; what is dropped is for `validate`.
    let words = ["recipes/quickstart.yaml", "--set", "alignment.type=bi_mhm"];
    let run = maclip(&[&["run"], &words[..], &["--dry-run"]].concat());
    assert!(run.code == Some(0) && !run.stderr.contains("MC014"), "{}", run.stderr);
    assert!(maclip(&[&["validate"], &words[..]].concat()).stderr.contains("MC014"));
}

#[test]
fn a_slot_without_a_type_has_its_default() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = |more: &str| {
        let path = folder.path().join("own.yaml");
        let text = "name: own\ndataset: {type: shapes_in_motion}\ntask: {type: few_shot}\n\
                    backbone: {type: clip_vit, weights: \"builtin:shapes_clip\"}\n";
        std::fs::write(&path, format!("{text}{more}")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    ok(&["validate", &recipe("frames: {count: 4}\noptimizer: {learning_rate: 0.002}\n")]);
    let words = ["without a `type`, `adapter` is `none`", "`rank` is an option of lora"];
    fails(2, &["validate", &recipe("adapter: {rank: 4}\n")], &words);
    // Where there is no default, one must be named.
    fails(2, &["validate", &recipe("objective: {type: product, first: {}}\n")], &["objective.first"]);
}

#[test]
fn hostile_files_end_in_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let large = format!("name: x\nl:\n{}", "- aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n".repeat(120_000));
    let many: String = (0..5_000).map(|i| format!("key{i:06}: ${{zz}}\n")).collect();
    let bomb: String = (1..30).map(|i| format!("a{i}: &a{i} [{0}, {0}, {0}]\n", format!("*a{}", i - 1))).collect();
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("large.yaml", large.into_bytes(), "MC001"),
        ("deep-flow.yaml", ["[".repeat(10_000), "]".repeat(10_000)].concat().into_bytes(), "MC002"),
        (
            "deep-block.yaml",
            (0..10_000).map(|i| " ".repeat(i.min(400)) + "a:\n").collect::<String>().into_bytes(),
            "MC002",
        ),
        ("bomb.yaml", format!("a0: &a0 [1]\n{bomb}").into_bytes(), "MC002"),
        ("latin.yaml", b"name: caf\xe9\n".to_vec(), "MC001"),
        ("nul.yaml", b"name: a\0b\n".to_vec(), "MC002"),
        ("references.yaml", many.into_bytes(), "MC005"),
        ("wide.yaml", (0..8_000).map(|i| format!("k{i}: 1\n")).collect::<String>().into_bytes(), "MC007"),
        ("checkpoint.yaml", vec![0x80; 100_000], "MC001"),
    ];
    for (name, bytes, code) in cases {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let ran = maclip(&["validate", &path(name), "--json"]);
        assert_eq!(ran.code, Some(2), "{name}: {}", &ran.stderr[..ran.stderr.len().min(2000)]);
        assert!(!ran.stderr.contains("panicked"), "{name}");
        let data: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(data["diagnostics"][0]["code"], code, "{name}");
    }
    fails(2, &["validate", folder.path().to_str().unwrap()], &["MC001", "it is a directory"]);
    fails(2, &["validate", "/dev/null/x.yaml"], &["MC001"]);
}

#[test]
fn init_writes_a_recipe_with_what_it_extends() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("mine");
    let to = to.to_str().unwrap();
    assert!(ok(&["init"]).contains("ablations/modules"));
    let wrote = ok(&["init", "ablations/modules", "--folder", to]);
    assert!(
        wrote.contains("modules.yaml") && wrote.contains("quickstart.yaml") && wrote.contains("schema.json"),
        "{wrote}"
    );
    let recipe = format!("{to}/ablations/modules.yaml");
    assert!(ok(&["validate", &recipe]).contains("12 runs"));
    // Again is nothing; over changes only by force.
    ok(&["init", "quickstart", "--folder", to]);
    std::fs::write(&recipe, "name: mine\n").unwrap();
    fails(1, &["init", "ablations/modules", "--folder", to], &["is there already", "--force"]);
    assert_eq!(std::fs::read_to_string(&recipe).unwrap(), "name: mine\n");
    ok(&["init", "ablations/modules", "--folder", to, "--force"]);
    fails(2, &["init", "quikstart"], &["`quickstart`"]);
}

#[test]
fn the_shell_completes_components_recipes_and_paths() {
    let complete = |words: &[&str]| {
        let mut all = vec!["--", "maclip"];
        all.extend(words);
        let mut command = command(&all);
        let index = words.len().to_string();
        command.env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
        command.env("_CLAP_COMPLETE_COMP_TYPE", "9").env("_CLAP_COMPLETE_SPACE", "false");
        finish(command.output().unwrap()).stdout
    };
    let has = |words: &[&str], wanted: &[&str]| {
        let found = complete(words);
        let lines: Vec<&str> = found.lines().collect();
        assert!(wanted.iter().all(|word| lines.contains(word)), "{words:?}: {found}");
    };
    has(&["describe", "alignment/o"], &["alignment/otam", "alignment/optimal_transport"]);
    has(&["run", "recipes/qu"], &["recipes/quickstart.yaml"]);
    has(&["run", "recipes/ab"], &["recipes/ablations/"]);
    has(&["run", "x", "--set", "alignment.la"], &["alignment.lambda="]);
    has(&["run", "x", "--set", "alignment.type=tr"], &["alignment.type=trx"]);
    has(&["run", "x", "--set", "alignment.direction=q"], &["alignment.direction=query_to_support"]);
    has(&["list", "al"], &["alignment"]);
    has(&["list", "ba"], &["backbone", "baselines"]);
    has(&["explain", "MC00"], &["MC001", "MC009"]);
    has(&["init", "abl"], &["ablations/modules"]);
    // What each shell calls to register a completion.
    for (shell, call) in [
        ("bash", "-F _clap_complete_maclip maclip"),
        ("zsh", "#compdef maclip"),
        ("fish", "complete --keep-order --exclusive --command maclip "),
        ("elvish", "set edit:completion:arg-completer[maclip] = "),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName maclip "),
    ] {
        let script = ok(&["completions", shell]);
        assert!(script.contains(call), "{shell}: {script}");
    }
    let page = ok(&["man"]);
    assert!(page.contains("\n.TH maclip 1 "), "{page}");
}

#[test]
fn doctor_tells_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let data = json(&["doctor", "--json", "--runs", runs.to_str().unwrap()]);
    assert_eq!(data["healthy"], true);
    let finding = |what: &str| {
        let all = data["findings"].as_array().unwrap();
        all.iter().find(|finding| finding["what"] == what).unwrap_or_else(|| panic!("{what}: {data}")).clone()
    };
    assert_eq!(
        (finding("device")["verdict"].as_str(), finding("components")["verdict"].as_str()),
        (Some("good"), Some("good"))
    );
    fails(1, &["doctor", "--runs", "/proc/runs"], &["1 of"]);
    let mut command = command(&["doctor"]);
    let ran = finish(command.env("CLIP_WEIGHTS", "/gone").output().unwrap());
    assert!(ran.code == Some(1) && ran.stdout.contains("/gone, which is not there"), "{}", ran.stdout);
}

#[test]
fn deep_validation_looks_at_the_machine() {
    let ran = maclip(&["validate", "recipes/quickstart.yaml", "--deep", "--json"]);
    let data: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        (ran.code, data["deep"].as_bool(), data["valid"].as_bool()),
        (Some(0), Some(true), Some(true)),
        "{}",
        ran.stderr
    );
    assert_eq!(maclip(&["validate", "recipes/pretrain/shapes_clip.yaml", "--deep"]).code, Some(0));
    let gone = ["validate", "recipes/quickstart.yaml", "--deep", "--set", "backbone.weights=gone.safetensors"];
    fails(2, &gone, &["MC016", "gone.safetensors", "--set backbone.weights="]);
}

#[test]
fn standard_output_that_is_full_is_an_error() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return needs::skip("this system has no /dev/full", "run the test on Linux");
    }
    let mut command = command(&["list"]);
    let out = std::fs::OpenOptions::new().write(true).open(full).unwrap();
    let ran = finish(command.stdout(out).output().unwrap());
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("cannot write to standard output") && !ran.stderr.contains("panicked"),
        "{}",
        ran.stderr
    );
}

#[test]
fn paths_start_where_the_recipe_says() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = write(
        folder.path(),
        "sub/r.yaml",
        "name: x\ndataset: {type: frame_folder, root: recipe:clips}\nbackbone: {type: clip_vit, weights: \"builtin:shapes_clip\"}\n",
    );
    let deep = fails(2, &["validate", &recipe, "--deep"], &["MC015"]);
    assert!(deep.contains("sub/clips"), "{deep}");
}

/// The book is in the program: its chapters in reading order, each with a sentence that says what it is for.
#[test]
fn the_book_is_read_in_the_terminal() {
    let contents = std::fs::read_to_string(root().join("docs/README.md")).unwrap();
    let linked = contents.split("](").skip(1).filter_map(|rest| rest.split(')').next()?.strip_suffix(".md"));
    let linked: Vec<&str> = linked.filter(|name| !name.contains('/')).collect();
    let listed: serde_json::Value = serde_json::from_str(&ok(&["docs", "--json"])).unwrap();
    let topics = listed["topics"].as_array().unwrap();
    assert_eq!(topics.iter().map(|topic| topic["topic"].as_str().unwrap()).collect::<Vec<_>>(), linked);
    let mut files: Vec<String> = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().unwrap().strip_suffix(".md").map(str::to_owned))
        .filter(|name| name != "README")
        .collect();
    files.sort();
    let mut sorted = linked.clone();
    sorted.sort_unstable();
    assert_eq!(files, sorted, "every chapter is in the table of contents");
    let shown = ok(&["docs"]);
    for topic in topics {
        let (name, summary) = (topic["topic"].as_str().unwrap(), topic["summary"].as_str().unwrap());
        assert!(summary.ends_with('.') && summary.len() > 30, "{name}: {summary}");
        assert!(shown.contains(summary), "{name}");
        let text = std::fs::read_to_string(root().join(format!("docs/{name}.md"))).unwrap();
        assert_eq!(ok(&["docs", name]).trim_end(), text.trim_end(), "{name}");
    }
    fails(2, &["docs", "recipe"], &["no topic `recipe`", "did you mean `recipes`?"]);
}
