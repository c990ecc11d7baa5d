//! Checkpoints as people have them, read by the three backbones: configs, keys, prefixes, and what must be refused.

use super::clip::block::Activation;
use super::clip::preparation::{Normal, Pixels, Preparation};
use super::clip::sizes::{Architecture, EPSILON};
use super::clip::tokenizer::Tokenizer;
use super::clip::{Clip, names};
use super::clip_resnet::{self, ClipResNetConfig};
use super::clip_vit::ClipVitConfig;
use super::inspect::{Hints, Inspection, inspect};
use super::vit::VitConfig;
use crate::adapters::no_adapter;
use crate::fixtures;
use burn::tensor::{Device, Tensor};
use maclip_framework::error::Result;
use maclip_framework::model::parameters;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::adapter::Branch;
use maclip_framework::slots::backbone::Backbone;
use maclip_framework::weights::{ElementType, HostTensor, serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

type Tensors = BTreeMap<String, HostTensor>;

/// A folder with a checkpoint and what lies beside it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(tensors: &Tensors) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let bytes = serialize(tensors, &BTreeMap::new(), ElementType::F32).unwrap();
        // Without the metadata that maclip writes, as other programs' files are.
        let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
        let length = u64::from_le_bytes(*length) as usize;
        let mut header: Value = serde_json::from_slice(&rest[..length]).unwrap();
        header.as_object_mut().unwrap().remove("__metadata__");
        let header = header.to_string().into_bytes();
        let bytes = [&(header.len() as u64).to_le_bytes()[..], &header, &rest[length..]].concat();
        std::fs::write(folder.path("model.safetensors"), bytes).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(self, name: &str, content: &Value) -> Self {
        std::fs::write(self.path(name), content.to_string()).unwrap();
        self
    }

    fn text(&self) -> String {
        self.0.path().display().to_string()
    }

    fn inspect(&self) -> Inspection {
        inspect(&self.text(), &Hints::default()).unwrap()
    }
}

/// What a run knows about a checkpoint after it was read.
struct Read<T> {
    model: Result<T>,
    settings: BTreeMap<String, String>,
    notes: String,
    files: Vec<String>,
}

impl<T> Read<T> {
    fn of(build: impl FnOnce(&BuildContext) -> Result<T>) -> Self {
        let context = BuildContext::new(1, Device::flex());
        let model = build(&context);
        let files = context.weights().into_keys().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned());
        Self { model, settings: context.settings(), notes: context.notes().join("\n"), files: files.collect() }
    }

    fn message(&self) -> String {
        self.model.as_ref().err().unwrap().to_string()
    }

    fn setting(&self, name: &str) -> &str {
        &self.settings[&format!("backbone.{name}")]
    }
}

fn clip(config: ClipVitConfig) -> Read<Clip> {
    Read::of(|context| config.clip(context))
}

fn read(folder: &Folder) -> Read<Clip> {
    clip(ClipVitConfig { weights: folder.text(), ..ClipVitConfig::default() })
}

const SIZES: Architecture = Architecture {
    image_size: 32,
    patch_size: 16,
    vision_width: 192,
    vision_layers: 1,
    vision_heads: 3,
    embed_dim: 8,
    context_length: 5,
    text_width: 64,
    text_layers: 1,
    text_heads: 1,
    activation: Activation::QuickGelu,
    epsilon: EPSILON,
};

/// Values that differ from each other, small, and around 1 in norms.
fn filled(name: &str, shape: &[usize]) -> HostTensor {
    let count = shape.iter().product();
    let middle =
        if name.contains("ln_") && name.ends_with("weight") || name.contains("running_var") { 1.0 } else { 0.0 };
    let value = |at: usize| middle + 0.1 * ((at * 7919 + name.len() * 31) as f32).sin();
    HostTensor { shape: shape.to_vec(), values: (0..count).map(value).collect() }
}

fn openai(shapes: BTreeMap<String, Vec<usize>>) -> Tensors {
    let empty = shapes.into_iter().map(|(path, shape)| (path, HostTensor { shape, values: Vec::new() })).collect();
    let named = names::to_openai(empty).into_iter();
    named.map(|(name, tensor)| (name.clone(), filled(&name, &tensor.shape))).collect()
}

/// A CLIP with OpenAI's names.
fn tensors() -> Tensors {
    let blank = ClipVitConfig::default().blank(&SIZES, Normal::CLIP, Tokenizer::Unknown(20), &Device::flex());
    openai(parameters::shapes(&blank))
}

fn renamed(tensors: &Tensors, rename: impl Fn(&str) -> String) -> Tensors {
    tensors.iter().map(|(name, tensor)| (rename(name), tensor.clone())).collect()
}

/// The features of one image.
fn features(clip: &dyn Backbone) -> Vec<f32> {
    let values: Vec<f32> = (0..3 * 32 * 32).map(|at| (at as f32 * 0.37).cos()).collect();
    let pixels = Tensor::<1>::from_floats(&values[..], &Device::flex()).reshape([1, 1, 3, 32, 32]);
    clip.encode_clips(pixels, &*no_adapter(), &Branch::Query).into_data().iter::<f32>().collect()
}

fn config(vision: Value, text: Value) -> Value {
    json!({"model_type": "clip", "vision_config": vision, "text_config": text})
}

fn vision() -> Value {
    json!({"hidden_size": 192, "num_hidden_layers": 1, "patch_size": 16})
}

fn text() -> Value {
    json!({"hidden_size": 64, "num_hidden_layers": 1})
}

#[test]
fn the_library_s_defaults_hold_where_a_config_leaves_values_out() {
    let left_out = Folder::new(&tensors()).with("config.json", &config(vision(), text()));
    let found = read(&left_out);
    assert_eq!(found.setting("vision_heads"), "12 (config.json, where transformers's default holds)");
    assert_eq!(found.setting("text_heads"), "8 (config.json, where transformers's default holds)");
    assert_eq!(found.setting("activation"), "quick_gelu (config.json, where transformers's default holds)");
    assert_eq!(found.notes, "");
    assert!(found.files.contains(&"config.json".to_owned()), "{:?}", found.files);
    // The same as with the values written out, and other than by the guess.
    let mut explicit = (vision(), text());
    (explicit.0["num_attention_heads"], explicit.1["num_attention_heads"]) = (json!(12), json!("8"));
    let explicit = Folder::new(&tensors()).with("config.json", &config(explicit.0, explicit.1));
    let guessed = read(&Folder::new(&tensors()));
    let all = [&found, &read(&explicit), &guessed].map(|read| features(read.model.as_ref().unwrap()));
    assert_eq!(all[0], all[1]);
    assert_ne!(all[0], all[2]);
    for words in ["guessed", "vision_heads 3 (width / 64)", "text_heads 1 (width / 64)", "activation quick_gelu"] {
        assert!(guessed.notes.contains(words), "`{words}` is not in {}", guessed.notes);
    }
    assert_eq!(guessed.setting("vision_heads"), "3 (guessed)");
    let shown = left_out.inspect();
    let heads = shown.settings.iter().find(|setting| setting.name == "vision_heads").unwrap();
    assert_eq!((heads.value.as_str(), shown.problem()), ("12", None));
}

#[test]
fn the_older_form_and_values_as_texts_are_read_as_the_library_does() {
    // What `vision_config_dict` leaves out has the default, whatever `vision_config` says.
    let mut newer = vision();
    newer["num_attention_heads"] = json!(3);
    let mut both = config(newer, text());
    both["vision_config_dict"] = json!({"hidden_size": "192", "num_hidden_layers": 1, "patch_size": " 16 "});
    both["text_config_dict"] = Value::Null;
    let found = read(&Folder::new(&tensors()).with("config.json", &both));
    assert!(found.setting("vision_heads").starts_with("12 "), "{:?}", found.settings);
    let mut wrong = vision();
    wrong["num_attention_heads"] = json!("twelve");
    let found = read(&Folder::new(&tensors()).with("config.json", &config(wrong, text())));
    let message = found.message();
    assert!(message.contains("vision_config.num_attention_heads is \"twelve\", not a number"), "{message}");
    // ε and activation are used, and must be the same in both towers.
    let with = |value: Value| {
        let mut of_both = (vision(), text());
        (of_both.0["layer_norm_eps"], of_both.1["layer_norm_eps"]) = (json!(1e-3), value);
        (of_both.0["hidden_act"], of_both.1["hidden_act"]) = (json!("gelu"), json!("gelu"));
        read(&Folder::new(&tensors()).with("config.json", &config(of_both.0, of_both.1)))
    };
    let found = with(json!("0.001"));
    assert_eq!((found.setting("epsilon"), found.setting("activation")), ("0.001 (config.json)", "gelu (config.json)"));
    assert!(with(json!(1e-5)).message().contains("both towers have one"));
}

#[test]
fn a_config_of_another_model_is_not_used_and_that_is_said() {
    for (key, value) in [("hidden_size", 1280), ("num_hidden_layers", 32), ("patch_size", 14)] {
        let mut other = vision();
        (other[key], other["num_attention_heads"]) = (json!(value), json!(16));
        let folder = Folder::new(&tensors())
            .with("config.json", &config(other, text()))
            .with("preprocessor_config.json", &json!({"image_mean": [0.5, 0.5, 0.5], "crop_size": 224}));
        for path in [folder.text(), folder.path("model.safetensors").display().to_string()] {
            let found = clip(ClipVitConfig { weights: path, ..ClipVitConfig::default() });
            assert!(found.model.is_ok(), "{}", found.message());
            for words in
                ["is the config of another model", &value.to_string(), "guessed", "preprocessor_config.json lies"]
            {
                assert!(found.notes.contains(words), "`{words}` is not in {}", found.notes);
            }
            assert_eq!((found.setting("vision_heads"), found.files.len()), ("3 (guessed)", 1));
        }
    }
    let siglip = Folder::new(&tensors()).with("config.json", &json!({"model_type": "siglip"}));
    assert!(read(&siglip).notes.contains("of the type `siglip`"));
}

fn open_clip(rest: Value) -> Value {
    let vision = json!({"image_size": 32, "layers": 1, "width": 192, "patch_size": 16});
    let mut model = json!({"embed_dim": 8, "vision_cfg": vision,
                           "text_cfg": {"width": 64, "heads": 2, "layers": 1}});
    for (key, value) in rest.as_object().unwrap() {
        match value {
            Value::Object(map) => map.iter().for_each(|(inner, value)| model[key][inner] = value.clone()),
            value => model[key] = value.clone(),
        }
    }
    json!({"model_cfg": model, "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}})
}

#[test]
fn open_clip_s_config_says_heads_activation_and_pixels() {
    let folder =
        Folder::new(&tensors()).with("open_clip_config.json", &open_clip(json!({"vision_cfg": {"head_width": 48}})));
    let found = read(&folder);
    assert_eq!(found.setting("vision_heads"), "4 (open_clip_config.json)");
    assert_eq!(found.setting("text_heads"), "2 (open_clip_config.json)");
    // Without `quick_gelu` it is the exact one.
    assert_eq!(found.setting("activation"), "gelu (open_clip_config.json, where open_clip's default holds)");
    assert_eq!(found.notes, "");
    let model = found.model.unwrap();
    assert_eq!((model.geometry().mean, model.geometry().std), ([0.5; 3], [0.25; 3]));
    let quick = Folder::new(&tensors()).with("open_clip_config.json", &open_clip(json!({"quick_gelu": true})));
    assert_eq!(read(&quick).setting("activation"), "quick_gelu (open_clip_config.json)");
    let pooled =
        Folder::new(&tensors()).with("open_clip_config.json", &open_clip(json!({"vision_cfg": {"pool_type": "avg"}})));
    assert!(read(&pooled).message().contains("vision_cfg.pool_type is \"avg\""));
    // An option of the recipe comes before every config.
    let given = clip(ClipVitConfig { weights: folder.text(), vision_heads: Some(6), ..ClipVitConfig::default() });
    assert_eq!(given.setting("vision_heads"), "6 (given)");
}

#[test]
fn the_preparation_of_images_is_used_or_refused() {
    let plain = || Folder::new(&tensors()).with("config.json", &config(vision(), text()));
    let with = |content: Value| plain().with("preprocessor_config.json", &content);
    let half = json!({"image_mean": [0.5, 0.5, 0.5], "image_std": ["0.5", 0.5, 0.5], "resample": 3,
                      "size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}});
    let found = read(&with(half.clone()));
    assert!(found.setting("pixels").contains("half") && found.setting("pixels").contains("(preprocessor_config.json)"));
    assert!(found.files.contains(&"preprocessor_config.json".to_owned()));
    assert_eq!(found.model.unwrap().geometry().mean, [0.5; 3]);
    assert_eq!(read(&plain()).model.unwrap().geometry().mean, Normal::CLIP.mean);
    for (key, value, words) in [
        ("resample", json!(2), "resample is bilinear"),
        ("crop_size", json!(24), "the height of the crop is 24"),
        ("size", json!({"shortest_edge": 36}), "the shorter side is 36"),
        ("size", json!({"height": 32, "width": 32}), "squeezed to 32 × 32"),
        ("do_rescale", json!(false), "not divided by 255"),
        ("do_resize", json!("false"), "not resized"),
    ] {
        let mut other = half.clone();
        other[key] = value;
        let folder = with(other);
        let message = read(&folder).message();
        assert!(message.contains(words) && message.contains("backbone.preparation: recipe"), "{message}");
        assert!(folder.inspect().notes.iter().any(|note| note.contains("a run refuses") && note.contains(words)));
        let recipe = ClipVitConfig {
            weights: folder.text(),
            preparation: Preparation::Recipe,
            pixels: Some(Pixels::Half),
            ..ClipVitConfig::default()
        };
        assert_eq!(clip(recipe).model.unwrap().geometry().mean, [0.5; 3]);
    }
    let mut none = half;
    none["do_normalize"] = json!(false);
    assert_eq!(read(&with(none)).model.unwrap().geometry().std, [1.0; 3]);
    assert!(read(&with(json!({"image_std": [0, 1, 1]}))).message().contains("must be above 0"));
}

#[test]
fn heads_of_an_odd_width_are_not_guessed() {
    let sizes = Architecture { vision_width: 96, ..SIZES };
    let blank = ClipVitConfig::default().blank(&sizes, Normal::CLIP, Tokenizer::Unknown(20), &Device::flex());
    let folder = Folder::new(&openai(parameters::shapes(&blank)));
    let message = read(&folder).message();
    for words in ["nothing says vision_heads", "96, is no multiple of 64", "`--vision-heads`"] {
        assert!(message.contains(words), "`{words}` is not in {message}");
    }
    let inspected = folder.inspect();
    assert!(inspected.problem().unwrap().contains("nothing says vision_heads"));
    assert!(clip(ClipVitConfig { weights: folder.text(), vision_heads: Some(4), ..Default::default() }).model.is_ok());
}

#[test]
fn prefixes_text_towers_of_a_class_and_a_bias_are_understood() {
    let plain = tensors();
    let want = features(&read(&Folder::new(&plain)).model.unwrap());
    let custom = renamed(&plain, |name| match name.starts_with("visual.") || name == "logit_scale" {
        true => name.to_owned(),
        false => format!("text.{name}"),
    });
    let mut biased = plain.clone();
    biased.insert("logit_bias".to_owned(), HostTensor { shape: vec![], values: vec![f32::NAN] });
    for (tensors, words) in [
        (renamed(&plain, |name| format!("module._orig_mod.{name}")), "`_orig_mod.`, `module.`"),
        (renamed(&plain, |name| format!("base_model.model.{name}")), "`base_model.model.`"),
        (renamed(&custom, |name| format!("clip_model.{name}")), "`text.`"),
        (custom, "`text.`"),
        (biased, "`logit_bias`"),
    ] {
        let folder = Folder::new(&tensors);
        let found = read(&folder);
        assert!(found.notes.contains(words), "{words} is not in {}", found.notes);
        assert_eq!(features(&found.model.unwrap()), want, "{words}");
        let inspected = folder.inspect();
        assert_eq!(inspected.problem(), None);
        assert!(inspected.notes.iter().any(|note| note.contains(words)), "{:?}", inspected.notes);
    }
}

#[test]
fn several_models_in_one_file_need_a_key() {
    let mut both = renamed(&tensors(), |name| format!("teacher.{name}"));
    both.extend(renamed(&tensors(), |name| format!("student.{name}")));
    let folder = Folder::new(&both);
    assert!(read(&folder).message().contains("`student`, `teacher`"));
    let chosen = |key: &str| {
        clip(ClipVitConfig { weights: folder.text(), key: Some(key.to_owned()), ..ClipVitConfig::default() })
    };
    assert!(chosen("teacher").notes.contains("not used"));
    assert!(chosen("teacher").model.is_ok());
    assert!(chosen("other").message().contains("no tensors under the key `other`"));
    let hints = Hints { key: Some("student".to_owned()), ..Hints::default() };
    assert_eq!(inspect(&folder.text(), &hints).unwrap().problem(), None);
}

#[test]
fn a_file_without_one_of_the_towers_says_so() {
    let only = |begins: bool| -> Tensors {
        tensors().into_iter().filter(|(name, _)| name.starts_with("visual.") == begins).collect()
    };
    let bare = renamed(&only(true), |name| name.trim_start_matches("visual.").to_owned());
    for (tensors, words) in [
        (only(true), "has no text tower"),
        (renamed(&only(true), |name| format!("module.{name}")), "has no text tower"),
        (bare, "has no text tower"),
        (only(false), "has no image tower"),
    ] {
        let folder = Folder::new(&tensors);
        assert!(read(&folder).message().contains(words), "{}", read(&folder).message());
        let inspected = folder.inspect();
        assert!(inspected.problem().unwrap().contains(words), "{:?}", inspected.problem());
        // It was just inspected.
        assert!(!inspected.help.unwrap_or_default().contains("weights inspect"));
    }
    // Of the other backbones.
    let vit = VitConfig { weights: Folder::new(&tensors()).text(), ..VitConfig::default() };
    assert!(Read::of(|context| vit.build(context)).message().contains("No such file"));
    let folder = Folder::new(&tensors());
    let vit = VitConfig { weights: folder.text(), ..VitConfig::default() };
    assert!(Read::of(|context| vit.build(context)).message().contains("type: clip_vit"));
}

#[test]
fn messages_have_the_names_of_the_file() {
    let mut wrapped = renamed(&tensors(), |name| format!("module.{name}"));
    wrapped.remove("module.visual.proj");
    wrapped.insert("module.visual.porj".to_owned(), filled("x", &[3]));
    let message = read(&Folder::new(&wrapped)).message();
    assert!(message.contains("missing: module.visual.proj [192, 8]"), "{message}");
    assert!(message.contains("unused: module.visual.porj [3]"), "{message}");
}

#[test]
fn values_that_are_no_numbers_are_refused_where_they_are_used() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut tensors = renamed(&tensors(), |name| format!("model.{name}"));
        tensors.get_mut("model.token_embedding.weight").unwrap().values[5] = bad;
        let folder = Folder::new(&tensors);
        let message = read(&folder).message();
        assert!(message.contains("no finite numbers: model.token_embedding.weight (1 of 1280)"), "{message}");
        assert_eq!(folder.inspect().not_finite, 1);
        // Beside the model they are told.
        tensors.get_mut("model.token_embedding.weight").unwrap().values[5] = 0.0;
        tensors.insert("head.weight".to_owned(), HostTensor { shape: vec![2], values: vec![bad, 0.0] });
        let found = read(&Folder::new(&tensors));
        assert!(found.notes.contains("where they are not used: head.weight (1 of 2)"), "{}", found.notes);
        assert!(found.model.is_ok());
    }
}

#[test]
fn a_checkpoint_of_a_run_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let trained = BTreeMap::from([
        ("adapter.blocks.0.joint.weight".to_owned(), filled("a", &[2, 3])),
        ("objective.scale".to_owned(), filled("b", &[1])),
    ]);
    let path = folder.path().join("weights.safetensors");
    std::fs::write(&path, serialize(&trained, &BTreeMap::new(), ElementType::F32).unwrap()).unwrap();
    for path in [path.display().to_string(), folder.path().display().to_string()] {
        let found = inspect(&path, &Hints::default()).unwrap();
        assert_eq!(found.training, Some(BTreeMap::from([("adapter".to_owned(), 6), ("objective".to_owned(), 1)])));
        assert_eq!(found.problem(), None);
        let used = clip(ClipVitConfig { weights: path, ..ClipVitConfig::default() });
        assert!(used.message().contains("checkpoint of a run of maclip"), "{}", used.message());
    }
}

#[test]
fn an_export_carries_what_a_config_said() {
    let folder = Folder::new(&tensors()).with(
        "open_clip_config.json",
        &open_clip(json!({"vision_cfg": {"head_width": 48, "norm_kwargs": {"eps": 1e-4}},
                                                         "text_cfg": {"norm_kwargs": {"eps": 1e-4}}})),
    );
    let found = read(&folder).model.unwrap();
    let target = tempfile::tempdir().unwrap();
    let path = target.path().join("converted.safetensors");
    super::inspect::convert(&folder.text(), &path, ElementType::F32, &Hints::default()).unwrap();
    let converted = clip(ClipVitConfig { weights: path.display().to_string(), ..ClipVitConfig::default() });
    assert_eq!((converted.notes.as_str(), converted.setting("epsilon")), ("", "0.0001 (the file's own metadata)"));
    let converted = converted.model.unwrap();
    assert_eq!(converted.geometry(), found.geometry());
    assert_eq!(features(&converted), features(&found));
}

#[test]
fn a_resnet_s_config_is_used_too() {
    let sizes = clip_resnet::Architecture {
        image_size: 32,
        vision_width: 2,
        vision_layers: [1, 1, 1, 1],
        vision_heads: 1,
        embed_dim: 8,
        context_length: 5,
        text_width: 64,
        text_layers: 1,
        text_heads: 1,
        activation: Activation::QuickGelu,
        epsilon: EPSILON,
    };
    let blank =
        ClipResNetConfig::default().blank(&sizes, Normal::CLIP, Tokenizer::Unknown(20), &Device::flex()).unwrap();
    let mut shapes = parameters::shapes(&blank);
    shapes.extend(blank.visual.buffers().into_iter().map(|(path, tensor)| (format!("visual.{path}"), tensor.shape)));
    let tensors = openai(shapes);
    let read = |folder: &Folder| {
        let config = ClipResNetConfig { weights: folder.text(), ..ClipResNetConfig::default() };
        Read::of(|context| config.clip(context))
    };
    let guessed = read(&Folder::new(&tensors));
    assert!(guessed.notes.contains("vision_heads 1 (width / 64)") && guessed.model.is_ok(), "{}", guessed.notes);
    let config = |width: usize| {
        let vision = json!({"image_size": 32, "layers": [1, 1, 1, 1], "width": width, "head_width": 16});
        json!({"embed_dim": 8, "vision_cfg": vision,
               "text_cfg": {"width": 64, "heads": 4, "layers": 1}})
    };
    let found = read(&Folder::new(&tensors).with("open_clip_config.json", &config(2)));
    assert_eq!(
        (found.setting("vision_heads"), found.setting("text_heads")),
        ("4 (open_clip_config.json)", "4 (open_clip_config.json)")
    );
    assert!(found.setting("text_activation").starts_with("gelu ") && found.notes.is_empty(), "{}", found.notes);
    assert!(read(&Folder::new(&tensors).with("open_clip_config.json", &config(64))).notes.contains("another model"));
    let mut damaged = tensors;
    damaged.get_mut("visual.layer3.0.bn2.running_var").unwrap().values[0] = f32::NAN;
    assert!(read(&Folder::new(&damaged)).message().contains("visual.layer3.0.bn2.running_var"));
    damaged.remove("visual.layer3.0.bn2.running_var");
    assert!(read(&Folder::new(&damaged)).message().contains("missing: visual.layer3.0.bn2.running_var"));
}

#[test]
fn an_image_transformer_s_config_is_used_too() {
    let of = |name: &str| {
        let mut fixture = fixtures::open(name);
        fixture.take("input");
        fixture.take("expected");
        fixture.tensors
    };
    let read = |folder: &Folder| {
        let config = VitConfig { weights: folder.text(), ..VitConfig::default() };
        Read::of(|context| config.build(context))
    };
    let (theirs, timm) = (of("vit_hf_tiny"), of("vit_timm_tiny"));
    let layers = theirs.keys().filter(|name| name.ends_with("layernorm_before.bias")).count();
    let config = |heads: Value| {
        json!({"model_type": "vit", "hidden_size": 24, "num_hidden_layers": layers, "patch_size": 8,
               "num_attention_heads": heads})
    };
    let found = read(&Folder::new(&theirs).with("config.json", &config(json!("3"))));
    assert_eq!(found.setting("heads"), "3 (config.json)");
    assert_eq!(found.setting("epsilon"), "1e-12 (config.json, where transformers's default holds)");
    assert!(found.notes.contains("guessed") && found.notes.contains("pixels half"), "{}", found.notes);
    let prepared = json!({"image_processor_type": "ViTImageProcessor", "image_mean": [0.1, 0.2, 0.3], "resample": 3,
                          "size": {"shortest_edge": 32}, "do_center_crop": true, "crop_size": 32});
    let folder =
        Folder::new(&theirs).with("config.json", &config(json!(3))).with("preprocessor_config.json", &prepared);
    let model = read(&folder).model.unwrap();
    assert_eq!((model.geometry().mean, model.geometry().std), ([0.1, 0.2, 0.3], [0.5; 3]));
    let squeezed = json!({"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}});
    let folder = folder.with("preprocessor_config.json", &squeezed);
    let message = read(&folder).message();
    assert!(message.contains("squeezed to 32 × 32") && message.contains("bilinear"), "{message}");
    // Its width, 24, says no heads.
    assert!(read(&Folder::new(&timm)).message().contains("nothing says heads"));
    let other = Folder::new(&timm).with("config.json", &json!({"architecture": "vit_base_patch32_224.augreg_in21k"}));
    assert!(
        read(&other).notes.contains("another model (width 768, 12 layers, patches of 32)"),
        "{}",
        read(&other).notes
    );
    let mut wrapped = renamed(&theirs, |name| format!("module.vit.{name}"));
    wrapped.remove("module.vit.encoder.layer.0.attention.attention.key.bias");
    wrapped.insert("module.classifier.weight".to_owned(), filled("x", &[2, 24]));
    let folder = Folder::new(&wrapped).with("config.json", &config(json!(3)));
    let message = read(&folder).message();
    for words in [
        "missing: module.vit.encoder.layer.0.attention.attention.{query,key,value}.bias",
        "unused: module.vit.encoder.layer.0.attention.attention.query.bias",
    ] {
        assert!(message.contains(words), "`{words}` is not in {message}");
    }
}
