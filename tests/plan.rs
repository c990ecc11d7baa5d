//! `maclip plan` and `describe`, and `weights` on good, odd and hostile files.

mod common;

use common::{SMALL, fails, ok, small_quickstart};
use std::path::Path;

#[test]
fn the_plan_of_the_paper_s_model_has_its_counts_without_data_and_weights() {
    let plan = |architecture: &str| -> serde_json::Value {
        let set = format!("backbone.architecture={architecture}");
        serde_json::from_str(&ok(&["plan", "recipes/kinetics_5w5s.yaml", "--json", "--set", &set])).unwrap()
    };
    for (architecture, total) in [("ViT-B/32", 169_806_849), ("ViT-B/16", 168_150_273)] {
        let plan = &plan(architecture)["plans"][0]["plan"];
        assert_eq!(plan["params"]["trainable"], 18_529_536);
        assert_eq!(plan["params"]["total"], total);
        let part = |name: &str| -> u64 {
            let parts = plan["params"]["parts"].as_array().unwrap().iter();
            parts
                .filter(|part| part["part"] == name || part["slot"] == name)
                .map(|p| p["trainable"].as_u64().unwrap())
                .sum()
        };
        let parts = ["temporal", "multimodal", "joint", "text_fc", "prototype"].map(part);
        assert_eq!(parts, [3_550_464, 3_550_464, 3_550_464, 4_727_808, 3_150_336]);
    }
    let text = ok(&["plan", "recipes/kinetics_5w5s.yaml"]);
    assert!(text.contains("18,529,536") && text.contains("once per support clip"), "{text}");
    let chart = ok(&["plan", "recipes/methods/hyrsm.yaml", "--format", "mermaid"]);
    assert!(
        chart.starts_with("%%") && chart.contains("prototypes --> related") && chart.contains("related --> distances"),
        "{chart}"
    );
}

/// With finished runs, without any, and without a recipe.
#[test]
fn an_interval_is_planned_from_finished_runs_or_from_the_usual_case() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().display().to_string();
    let needed = |words: &[&str]| -> serde_json::Value {
        let all = [&["plan", "--interval", "2", "--json", "--runs", &runs], words].concat();
        serde_json::from_str::<serde_json::Value>(&ok(&all)).unwrap()["needed"].clone()
    };
    // √(1/4 / 5) is 22.4 points; (1.96 · 22.4 / 2)² is 480.2.
    let usual = needed(&[]);
    assert_eq!((usual.as_array().unwrap().len(), &usual[0]["episodes"]), (1, &serde_json::json!(481)), "{usual}");
    fails(2, &["plan"], &["RECIPE"]);
    fails(1, &["plan", "--interval", "2", "--set", "seed=2"], &["without a recipe", "--unset"]);

    let two_seeds = ["--set", "study.seeds=[1, 2]"];
    ok(&small_quickstart(&runs, &two_seeds));
    let small = needed(&[&["recipes/quickstart.yaml"], &SMALL[..], &two_seeds].concat());
    let all = needed(&[]);
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    for (own, of_recipe) in all.as_array().unwrap().iter().zip(small.as_array().unwrap()) {
        assert_eq!(own["variant"], format!("quickstart/{}", of_recipe["variant"].as_str().unwrap()));
        assert_eq!(own["runs"], 2);
        for key in ["runs", "episode_deviation", "episodes", "seed_deviation", "seeds"] {
            assert_eq!(own[key], of_recipe[key], "{key}");
        }
    }
}

/// Trained parameters of methods at their published sizes, as their public code counts them. Each is a recipe, changes,
/// the slots whose parameters count, and the number.
#[test]
fn methods_have_as_many_parameters_as_published() {
    let cases: [(&str, &[&str], &[&str], u64); 11] = [
        ("d2st/ssv2_small_5w1s", &[], &["adapter", "backbone"], 7_282_752),
        ("d2st/ssv2_small_rn50_5w1s", &[], &["adapter"], 5_683_776),
        ("strm/ssv2_small_5w1s", STRM, &["prototype", "alignment"], 35_672_977),
        ("strm/ssv2_small_5w1s", STRM_TRIPLES, &["alignment"], 14_162_688),
        ("molo/ssv2_small_5w1s", &[], &["prototype", "alignment", "objective"], 66_096_597),
        ("hyrsm_plus_plus/ssv2_small_5w1s", &[], &["prototype", "objective"], 42_088_512),
        ("ts_fsar/ssv2_small_5w1s", &[], &["prototype", "alignment", "objective"], 13_252_620 + 2_105_344),
        ("emp_net/ssv2_small_5w1s", &[], &["prototype"], 7_495_296),
        ("clip_spm/ssv2_small_5w1s", CLIP_SPM, &["prototype", "objective"], 39_867_394),
        ("clip_spm/ssv2_small_5w1s", CLIP_SPM_VIT, &["prototype", "objective"], 17_315_330),
        // The adapters of both towers, and the places in time.
        ("task_adapter_plus_plus/ssv2_small_5w1s", &[], &["adapter"], 7_100_928 + 6_144 + 263_424),
    ];
    for (recipe, changes, slots, wanted) in cases {
        let file = format!("recipes/methods/{recipe}.yaml");
        let sets = changes.iter().flat_map(|change| ["--set", change]);
        let words: Vec<&str> = ["plan", &file, "--json"].into_iter().chain(sets).collect();
        let plan: serde_json::Value = serde_json::from_str(&ok(&words)).unwrap();
        let parts = plan["plans"][0]["plan"]["params"]["parts"].as_array().unwrap().clone();
        let own = parts.iter().filter(|part| slots.iter().any(|slot| part["slot"] == *slot));
        let trained: u64 = own.map(|part| part["trainable"].as_u64().unwrap()).sum();
        assert_eq!(trained, wanted, "{recipe} {changes:?} {slots:?}: {parts:#?}");
    }
}

/// With what the public code holds and does not train, or never uses.
const STRM: &[&str] = &["alignment.as_published=true", "alignment.alignment.unused_norm=true"];
const STRM_TRIPLES: &[&str] =
    &["alignment.as_published=true", "alignment.alignment.unused_norm=true", "alignment.alignment.cardinalities=[3]"];
const CLIP_SPM: &[&str] = &["objective.as_published=true"];
const CLIP_SPM_VIT: &[&str] =
    &["objective.as_published=true", "backbone.type=clip_vit", "backbone.architecture=ViT-B/16"];

#[test]
fn a_plan_may_be_for_a_device_that_is_not_here() {
    for device in ["cuda:0", "tch:cuda:1", "wgpu:0", "vulkan:0"] {
        let set = format!("device={device}");
        let said = ok(&["plan", "recipes/kinetics_5w5s.yaml", "--set", &set]);
        assert!(said.contains(device) && said.contains("12 GB") && said.contains("80 GB"), "{said}");
    }
    fails(2, &["plan", "recipes/quickstart.yaml", "--set", "device=tpu:0"], &["no device `tpu:0`"]);
}

/// A study of two variants with two seeds on `machines`, as data.
fn study(runs: &Path, more: &[&str]) -> serde_json::Value {
    let runs = runs.to_str().unwrap();
    let words = ["plan", "recipes/quickstart.yaml", "--json", "--runs", runs, "--set", "study.seeds=[1, 2]"];
    let all: Vec<&str> = words.iter().copied().chain(SMALL).chain(more.iter().copied()).collect();
    serde_json::from_str::<serde_json::Value>(&ok(&all)).unwrap()["study"].clone()
}

#[test]
fn a_study_is_planned_on_machines_that_are_not_here() {
    let folder = tempfile::tempdir().unwrap();
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let one = study(folder.path(), &["--machines", "1", "--rate", "0.001", "--price", "2.5"]);
    let [frozen, trained] = [0, 1].map(|at| one["cells"][at].clone());
    assert_eq!((&frozen["variant"], &frozen["runs"], &trained["runs"]), (&"frozen_clip".into(), &2.into(), &2.into()));
    assert_eq!((number(&frozen["work"]["training"]), number(&frozen["train_seconds"])), (0.0, 0.0));
    // Six steps: six times what one is.
    let plans: serde_json::Value = serde_json::from_str(&ok(&["plan", "recipes/quickstart.yaml", "--json"])).unwrap();
    let totals = plans["plans"][1]["plan"]["flops"]["totals"].as_array().unwrap();
    let step = totals.iter().find(|total| total["of"] == "training_step").unwrap()["flops"].as_f64().unwrap();
    assert!((number(&trained["work"]["training"]) / step - 6.0).abs() < 1e-9);
    let (hours, wall) = (number(&one["device_hours"]), number(&one["wall_seconds"]));
    assert!((hours * 3600.0 - wall).abs() < 1e-6 && (number(&one["cost"]) - 2.5 * hours).abs() < 1e-9);
    assert_eq!(number(&one["disk"]["clip_store"]), 0.0, "clips that are made by code are not kept");
    assert!(number(&one["disk"]["checkpoints"]) > 0.0 && number(&one["disk"]["records"]) > 0.0);
    // The two trained runs are the longest, and each has a device of its own.
    let many = study(folder.path(), &["--machines", "2", "--gpus", "4", "--rate", "0.001"]);
    assert_eq!((&many["devices"], &many["cost"]), (&8.into(), &serde_json::Value::Null));
    assert!((number(&many["device_hours"]) - hours).abs() < 1e-9);
    let took = |cell: &serde_json::Value| {
        ["start", "train", "test"].map(|of| number(&cell[format!("{of}_seconds")])).iter().sum::<f64>()
    };
    let shared = wall - 2.0 * (took(&frozen) + took(&trained));
    assert!(shared >= 0.0 && (number(&many["wall_seconds"]) - shared - took(&trained)).abs() < 1e-6);
    assert_eq!(many["compared"]["all"], serde_json::json!([]));
    // Twice as fast is half the time.
    let fast = study(folder.path(), &["--machines", "1", "--rate", "0.002"]);
    assert!((number(&fast["device_hours"]) * 2.0 - hours).abs() < 1e-9);
    let said =
        ok(&["plan", "recipes/kinetics_5w5s.yaml", "--machines", "8", "--gpus", "4", "--rate", "100", "--price", "2"]);
    for words in ["device hours", "wall time", "on 1 of 32 devices", "GB: clips", "cost", "given: 100 TFLOP/s"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(said.contains("the data is not here") && said.contains("not known: no finished run"), "{said}");
}

#[test]
fn a_study_without_a_rate_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().to_str().unwrap();
    let plan = ["plan", "recipes/quickstart.yaml", "--machines", "2", "--runs", runs];
    fails(1, &plan, &["no rate is known of `flex` in f32", "maclip doctor --measure", "--rate"]);
    let wrong = |rate: &str, code: i32, words: &[&str]| fails(code, &[&plan[..], &["--rate", rate]].concat(), words);
    wrong("fast", 2, &["`fast` is neither a file nor a number", "maclip doctor --measure"]);
    wrong("0", 2, &["`0` is neither a file nor a number"]);
    wrong("recipes/quickstart.yaml", 1, &["holds no rates"]);
    fails(2, &["plan", "recipes/quickstart.yaml", "--gpus", "2"], &["--machines"]);
    fails(1, &[&plan[..], &["--rate", "1", "--format", "mermaid"]].concat(), &["--format mermaid"]);
    let pretrain = ["plan", "recipes/pretrain/shapes_clip.yaml", "--machines", "1", "--rate", "1"];
    fails(1, &pretrain, &["does not say how much a whole run computes"]);
}

#[test]
fn an_estimate_is_compared_with_runs_that_are_done() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    ok(&small_quickstart(runs.to_str().unwrap(), &[]));
    let planned = study(&runs, &["--machines", "1", "--rate", "0.01"]);
    let ratios = |of: &str| -> Vec<f64> {
        planned["compared"][of].as_array().unwrap().iter().map(|ratio| ratio.as_f64().unwrap()).collect()
    };
    assert_eq!((ratios("all").len(), ratios("train").len()), (2, 1), "{planned}");
    assert!(ratios("all").iter().all(|ratio| ratio.is_finite() && *ratio > 0.0), "{planned}");
    // A rate that was measured elsewhere is compared with no run of this machine.
    let rates = folder.path().join("rates.json");
    let speed = r#"{"training": 1e10, "encoding": 1e10, "aligning": 1e8}"#;
    let rate = format!(
        r#"{{"device": "flex", "hardware": "another processor", "threads": 2, "precision": "f32", "tower": "a tower",
            "frame": 1e8, "speed": {speed}, "maclip_version": "0.1.0", "measured_unix": 1798761600}}"#
    );
    std::fs::write(&rates, format!(r#"{{"format": 1, "rates": [{rate}]}}"#)).unwrap();
    let planned = study(&runs, &["--machines", "1", "--rate", rates.to_str().unwrap()]);
    assert_eq!(planned["compared"]["all"], serde_json::json!([]));
    assert_eq!(planned["cells"][0]["rate"]["measured"]["hardware"], "another processor");
}

#[test]
fn an_option_is_described_by_its_path() {
    for (path, words) in [
        ("task.train.steps", &["task/few_shot", "train.steps: 1000", "Number of optimizer steps"][..]),
        ("few_shot.train.steps", &["task/few_shot"]),
        ("adapter/lora.rank", &["adapter/lora", "rank: "]),
        ("adapter.lora.rank", &["adapter/lora"]),
        ("augment.queries_only.augment.probability", &["augment/flip"]),
        ("backbone.weights", &["backbone/clip_vit", "backbone/clip_resnet", "backbone/vit"]),
        ("compute.recompute", &["compute", "recompute: auto"]),
        ("expect.value", &["expect", "[].value"]),
        ("expect[0].value", &["[].value"]),
        ("study.seeds", &["study", "seeds"]),
        ("task.train", &["train.steps", "train.patience"]),
    ] {
        let said = ok(&["describe", path]);
        words.iter().for_each(|word| assert!(said.contains(word), "{path}: {word}: {said}"));
    }
    let data: serde_json::Value = serde_json::from_str(&ok(&["describe", "task.way", "--json"])).unwrap();
    assert_eq!(data["described"][0]["of"], "task/few_shot");
    assert_eq!(data["described"][0]["option"]["default"], 5);
    fails(2, &["describe", "task.train.stepz"], &["no option `task.train.stepz`", "did you mean `task.train.steps`?"]);
    let unknown = fails(2, &["describe", "xyzzy"], &["no component or key `xyzzy`", "`maclip list`"]);
    assert!(unknown.len() < 400, "{unknown}");
}

#[test]
fn the_plan_says_what_a_run_costs() {
    let plan = |recipe: &str, sets: &[&str]| -> serde_json::Value {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let arguments: Vec<&str> = ["plan", recipe, "--json"].into_iter().chain(sets).collect();
        serde_json::from_str::<serde_json::Value>(&ok(&arguments)).unwrap()["plans"][0]["plan"].clone()
    };
    let node = |plan: &serde_json::Value, id: &str| -> f64 {
        let node = plan["nodes"].as_array().unwrap().iter().find(|node| node["id"] == id).unwrap();
        node["flops"].as_f64().unwrap()
    };
    let total = |plan: &serde_json::Value, of: &str| -> f64 {
        let total = plan["flops"]["totals"].as_array().unwrap().iter().find(|total| total["of"] == of).unwrap();
        assert_eq!(total["without"], serde_json::json!([]));
        total["flops"].as_f64().unwrap()
    };
    // ViT-B/16 for one frame, counted by torch.utils.flop_counter; 30 clips of 8 frames.
    let frame = 35_126_906_880.0;
    let kinetics = "recipes/kinetics_5w5s.yaml";
    let frozen = plan(kinetics, &["adapter.type=none"]);
    assert_eq!(node(&frozen, "frozen"), 30.0 * 8.0 * frame);
    assert_eq!(node(&frozen, "query"), 0.0);
    // TPCM beside it: attention over 8 frames and a feed-forward layer, E = 512.
    let tpcm = 2.0 * 8.0 * (12.0 * 512.0 * 512.0 + 2.0 * 8.0 * 512.0);
    assert_eq!(total(&frozen, "query_clip"), 8.0 * frame + tpcm);
    let full = plan(
        kinetics,
        &["adapter.type=full", "prototype.type=none", "objective={type: metric}", "compute.recompute=none"],
    );
    assert_eq!(node(&full, "query"), 5.0 * 8.0 * frame);
    // Four episodes of 30 clips, forward and backward, and the cosines of 40 query and 40 support frames.
    let step = total(&full, "training_step") - 4.0 * 30.0 * 3.0 * 8.0 * frame;
    assert_eq!(step, 4.0 * 3.0 * 2.0 * 40.0 * 40.0 * 513.0);
    // Less at once is less memory; half the bits of the tower too.
    let memory = |sets: &[&str]| plan(kinetics, &[sets, &["compute.recompute=none"]].concat())["memory"].clone();
    let training = |sets: &[&str]| memory(sets)["training_bytes"].as_f64().unwrap();
    assert!(training(&["compute.micro_batch=2"]) < 0.5 * training(&[]));
    assert!(training(&["task.shot=1"]) < 0.7 * training(&[]));
    // What is computed again is not kept.
    let block = plan(kinetics, &["compute.recompute=block"])["memory"]["training_bytes"].as_f64().unwrap();
    assert!(block < 0.5 * training(&[]), "{block}");
    // The flagship recipe fits the cards that people have, by a setting that the plan names.
    let fits = plan(kinetics, &[])["memory"]["fits"].clone();
    assert_eq!(fits[1]["gb"], 24.0);
    assert!(fits[1]["setting"].is_string(), "{fits}");
    let weights = |sets: &[&str]| memory(sets)["parts"][1]["bytes"].as_f64().unwrap();
    assert_eq!(weights(&[]), 4.0 * (168_150_273.0 - 18_529_536.0));
    assert!(weights(&["precision=bf16"]) < 0.65 * weights(&[]));
    let text = ok(&["plan", "recipes/quickstart.yaml"]);
    for word in ["FLOPs", "per multiply-add", "training step", "memory, estimated", "activations"] {
        assert!(text.contains(word), "`{word}` is not in:\n{text}");
    }
    let nothing = plan("recipes/methods/frozen_clip.yaml", &[]);
    assert!(nothing["memory"]["training_bytes"].is_null());
    let pretrain = plan("recipes/pretrain/shapes_clip.yaml", &[]);
    assert!(total(&pretrain, "training_step") > 3.0 * node(&pretrain, "image_features"));
    assert!(ok(&["plan", kinetics, "--format", "mermaid"]).contains("TFLOPs"));
}

#[test]
fn a_component_is_described_with_its_defaults() {
    let text = ok(&["describe", "multimodal"]);
    assert!(text.contains("ratio: 0.25   (number > 0, ≤ 4)") && text.contains("table 4"), "{text}");
    // A name that several slots have is described in each.
    let text = ok(&["describe", "clip_fsar"]);
    assert!(text.contains("prototype/clip_fsar:") && text.contains("objective/clip_fsar:"), "{text}");
    assert!(!ok(&["describe", "objective.clip_fsar"]).contains("prototype/clip_fsar:"));
    fails(2, &["describe", "otamm"], &["`otamm`", "otam"]);
}

#[test]
fn checkpoints_are_inspected_and_converted() {
    let golden = Path::new("tests/golden/small/clip_tiny_openai.pt").display().to_string();
    let heads = ["--vision-heads", "4", "--text-heads", "4"];
    let with_heads = |arguments: &[&str]| -> Vec<String> {
        arguments.iter().chain(&heads).map(|argument| argument.to_string()).collect()
    };
    let run = |arguments: &[&str]| {
        let arguments = with_heads(arguments);
        ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let text = run(&["weights", "inspect", &golden]);
    assert!(text.contains("torch zip archive, OpenAI names") && text.contains("missing       none"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("clip.safetensors").display().to_string();
    run(&["weights", "convert", &golden, &out, "--precision", "f32"]);
    // Its own metadata carries the heads on.
    let text = ok(&["weights", "inspect", &out]);
    assert!(text.contains("safetensors, OpenAI names") && text.contains("unused        none"), "{text}");
    fails(1, &["weights", "convert", &golden, &out], &["is there already", "--force"]);
    fails(1, &["weights", "inspect", "Cargo.toml"], &["Cargo.toml"]);
    // What is no weight of an image transformer is listed.
    let vit = ["weights", "inspect", "components/testdata/vit_timm_tiny.safetensors", "--vision-heads", "3"];
    let ran = common::maclip(&vit);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("backbone      vit") && ran.stdout.contains("expected [2, 24]"), "{}", ran.stdout);
    assert!(ran.stdout.contains("missing       none"), "{}", ran.stdout);
}

/// A safetensors file of float32 tensors, all `value`.
fn safetensors(path: &Path, tensors: &[(&str, &[usize])], value: f32) {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, shape)| value.to_le_bytes().repeat(shape.iter().product())).collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape), bytes)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.to_vec(), bytes).unwrap();
        (*name, view)
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn hostile_checkpoints_are_errors_that_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.safetensors");
    let text_tower: [(&str, &[usize]); 5] = [
        ("transformer.resblocks.0.ln_1.weight", &[64]),
        ("ln_final.weight", &[64]),
        ("text_projection", &[64, 8]),
        ("positional_embedding", &[4, 64]),
        ("token_embedding.weight", &[16, 64]),
    ];
    let with_text = |mut tensors: Vec<(&'static str, &'static [usize])>| {
        tensors.extend(text_tower);
        tensors
    };
    let resnet = with_text(vec![
        ("visual.layer1.0.conv1.weight", &[64, 64, 1, 1]),
        ("visual.layer1.99999999.conv1.weight", &[1]),
        ("visual.attnpool.positional_embedding", &[50, 2]),
    ]);
    let wide = with_text(vec![
        ("visual.conv1.weight", &[8192, 3, 0, 4096]),
        ("visual.positional_embedding", &[5, 0]),
        ("visual.transformer.resblocks.8191.ln_1.weight", &[1]),
    ]);
    let bloated_vit: Vec<(&str, &[usize])> = vec![
        ("patch_embed.proj.weight", &[1024, 3, 1, 1]),
        ("pos_embed", &[1, 67_108_865, 0]),
        ("blocks.0.mlp.fc1.weight", &[8, 1024]),
    ];
    let unequal_vit: Vec<(&str, &[usize])> = vec![
        ("embeddings.patch_embeddings.projection.weight", &[64, 3, 4, 4]),
        ("embeddings.position_embeddings", &[1, 5, 64]),
        ("encoder.layer.0.attention.attention.query.bias", &[64]),
        ("encoder.layer.0.attention.attention.key.bias", &[64, 2]),
        ("encoder.layer.0.attention.attention.value.bias", &[64]),
        ("encoder.layer.0.intermediate.dense.weight", &[8, 64]),
    ];
    let unknown: Vec<(&str, &[usize])> = vec![("something.else", &[2, 2])];
    for (tensors, backbone, words) in [
        (resnet, "clip_resnet", "it must be within 1 and 8192"),
        (wide, "clip_vit", "it would have"),
        (bloated_vit, "vit", "say a model of"),
        (unequal_vit, "vit", "encoder.layer.0.attention.attention.key.bias [64, 2]"),
        (unknown, "clip_vit", "something.else"),
    ] {
        safetensors(&path, &tensors, 0.5);
        let file = path.display().to_string();
        let ran = common::maclip(&["weights", "inspect", &file]);
        let all = ran.stdout + &ran.stderr;
        assert_eq!(ran.code, Some(1), "{all}");
        assert!(all.contains("hostile.safetensors") && !all.contains("panicked"), "{all}");
        assert!(all.contains(words), "`{words}` is not in:\n{all}");
        fails(1, &["weights", "convert", &file, &format!("{file}.out")], &["hostile.safetensors"]);
        let set = format!("backbone={{type: {backbone}, weights: '{file}'}}");
        let text_free =
            ["--set", "objective={type: metric}", "--set", "adapter={type: none}", "--set", "prototype={type: none}"];
        let mut arguments = vec!["plan", "recipes/benchmarks/frames_5w1s.yaml", "--set", &set];
        arguments.extend(text_free);
        fails(1, &arguments, &["hostile.safetensors"]);
    }
    // Names that become one, and values that are no numbers.
    let golden = Path::new("tests/golden/small/clip_tiny_openai.pt").display().to_string();
    let out = folder.path().join("copy.safetensors").display().to_string();
    ok(&["weights", "convert", &golden, &out, "--vision-heads", "4", "--text-heads", "4"]);
    let bytes = std::fs::read(&out).unwrap();
    let mut damaged = bytes.clone();
    let end = damaged.len();
    damaged[end - 2..].copy_from_slice(&0x7e00u16.to_le_bytes());
    std::fs::write(&path, damaged).unwrap();
    let file = path.display().to_string();
    assert!(ok(&["weights", "inspect", &file]).contains("not finite    1 values"));
    fails(1, &["weights", "convert", &file, &format!("{file}.out")], &["not finite numbers"]);
}
