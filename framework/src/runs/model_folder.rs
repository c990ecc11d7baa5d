//! A model folder: the trained tensors of a run under PyTorch's names and in its layouts, and `config.json`, which says
//! what they are. `maclip export` writes it; a training can begin with it, and `maclip import` makes a run of it.
//!
//! ```text
//! config.json  model.safetensors            what was trained, and everything else that a forward pass needs
//! recipe.yaml                               the recipe, of which `maclip import` makes a run
//! backbone.safetensors                      the frozen backbone, where it was asked for
//! README.md  ma_clip.py  otam.py  check.py  check.safetensors  peft/   for people and other programs
//! ```

use crate::error::{Error, Result};
use crate::files::{TEXT, read_regular, sha256};
use crate::model::parameters::Fit;
use crate::recipe::expectation::TestResult;
use crate::recipe::study::names_a_run;
use crate::runs::provenance::{BackboneConfig, DataConfig, StartConfig};
use crate::weights::{self, HostTensor, Layout};
use maclip_language::{Node, identity};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The value of `model_type` in `config.json`, by which a model folder is known.
pub const KIND: &str = "maclip";
/// Version of the folder's format. A newer one is refused.
pub const FORMAT: u32 = 1;
/// The largest file of tensors that is read, in bytes.
const LARGEST: u64 = 8 << 30;

/// `config.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ModelConfig {
    /// [`KIND`].
    pub model_type: String,
    /// [`FORMAT`] of the program that wrote it.
    pub format: u32,
    /// Version of that program.
    pub maclip_version: String,
    /// The run that was exported.
    pub run: Origin,
    /// Frames T of a clip.
    pub frames: usize,
    /// The images that the backbone takes.
    pub image: ImageConfig,
    /// The frozen backbone that the tensors belong to.
    pub backbone: BackboneConfig,
    /// The component of each slot with all its options, by the name of the slot.
    pub slots: Map<String, Value>,
    /// Sentences of the tested classes, and what the backbone's tokenizer makes of them; empty where no text is read.
    pub classes: BTreeMap<String, ClassText>,
    /// The result of the run's test, where it has one.
    pub test: Option<TestResult>,
    /// What the tensors were trained on, and what that test was made of.
    #[serde(default)]
    pub data: DataConfig,
    /// Each tensor of `model.safetensors` by its name there.
    pub tensors: BTreeMap<String, Placed>,
    /// SHA-256 (hex) of the other files that make the model, by their names in the folder.
    pub files: BTreeMap<String, String>,
    /// SHA-256 (hex) of all of this but the seal itself. It finds what a slip of an editor changed; it is no protection
    /// from somebody who wants to cheat.
    #[serde(default)]
    pub seal: String,
}

impl ModelConfig {
    /// The same with the seal over all else.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn sealed(mut self) -> Result<Self> {
        let unwritten = |error| Error::failed(format!("{} cannot be written: {error}", ModelFolder::CONFIG));
        // As a reader will find it: a short float has other digits in a text than in memory.
        let text = serde_json::to_vec(&self).map_err(unwritten)?;
        self.seal = seal_of(&serde_json::from_slice(&text).map_err(unwritten)?);
        Ok(self)
    }
}

/// SHA-256 (hex) of the content of a `config.json` without its seal.
fn seal_of(config: &Value) -> String {
    identity(&Node::from_json(config), &["seal"])
}

/// Where exported tensors come from.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the recipe.
    pub name: String,
    /// Variant of its study.
    pub variant: String,
    /// Seed of the training.
    pub seed: u64,
    /// Identity of the run, see [`crate::runs::records::Manifest::hash`].
    pub hash: String,
    /// SHA-256 (hex) of the trained tensors in the run's checkpoint; `None` where nothing was trained.
    pub trained_sha256: Option<String>,
    /// The weights that the training began with; `None` where it began as the recipe says.
    #[serde(default)]
    pub start: Option<StartConfig>,
}

/// Images of a backbone: `size` × `size` pixels in 0..1, less `mean`, divided by `std`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Side of the image in pixels.
    pub size: usize,
    /// Of red, green and blue.
    pub mean: [f32; 3],
    /// Of red, green and blue.
    pub std: [f32; 3],
}

/// The texts of one class.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ClassText {
    /// What the prompt makes of the class's name.
    pub sentences: Vec<String>,
    /// Token ids of each sentence, start and end included.
    pub tokens: Vec<Vec<i32>>,
}

/// What a tensor of the file is in the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// Path of the parameter, such as `adapter.blocks.3.joint.down.weight`.
    pub path: String,
    /// How it lies in the file.
    pub layout: Layout,
}

/// SHA-256 (hex) of tensors: of the name, a zero byte, the shape as text (`2,3`), a zero byte, and the values as
/// little-endian f32 of each tensor, in order of name.
pub fn tensors_sha256<'a>(tensors: impl IntoIterator<Item = (&'a String, &'a HostTensor)>) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for (name, tensor) in tensors {
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        hash.update(format!("{name}\0{}\0", shape.join(",")));
        tensor.values.chunks(1 << 14).for_each(|values| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            hash.update(bytes);
        });
    }
    crate::files::hex(&hash.finalize())
}

/// A model folder, opened for reading.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    /// The folder.
    pub path: PathBuf,
    /// Its `config.json`.
    pub config: ModelConfig,
    /// Whether that is as it was exported.
    sealed: bool,
}

/// The trained tensors of a model folder.
#[derive(Clone, Debug)]
pub struct Trained {
    /// By the paths of their parameters, in the module's layouts.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Name of the first file of the folder that is not as it was exported.
    pub changed: Option<String>,
}

impl ModelFolder {
    /// Name of the file that says what the tensors are.
    pub const CONFIG: &'static str = "config.json";
    /// Name of the file of trained tensors.
    pub const TENSORS: &'static str = "model.safetensors";
    /// Name of the file of the frozen backbone.
    pub const BACKBONE: &'static str = "backbone.safetensors";
    /// Name of the recipe's file.
    pub const RECIPE: &'static str = "recipe.yaml";

    /// Whether `path` is a folder with a `config.json` and without the manifest of a run.
    pub fn is_at(path: &Path) -> bool {
        path.join(Self::CONFIG).exists() && !path.join(crate::runs::records::Manifest::FILE).exists()
    }

    /// Opens the folder `path`.
    ///
    /// # Errors
    /// Where `path` has no `config.json` that `maclip export` wrote, or its format is newer than this program.
    pub fn open(path: &Path) -> Result<Self> {
        let file = path.join(Self::CONFIG);
        let bytes = read_regular(&file, TEXT).map_err(|error| {
            Error::io("read", &file, error).help("give a folder that `maclip export RUN --to FOLDER` wrote")
        })?;
        let unreadable = |error| Error::failed(format!("{} cannot be read: {error}", file.display()));
        let value: Value = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if value["model_type"] != KIND {
            let message = format!("{} is no config of a model that maclip exported", file.display());
            return Err(Error::failed(message).help("give a folder that `maclip export RUN --to FOLDER` wrote"));
        }
        let named = |path: &str| path.split('.').fold(&value, |value, key| &value[key]).to_string();
        let wrong = |path: &str, what: &str| {
            let message = format!("{}: `{path}` is {}, which is no {what}", file.display(), named(path));
            Err(Error::failed(message).help("copy the folder again; `maclip export` writes no such value"))
        };
        match value["format"].as_u64() {
            Some(1..) if value["format"].as_u64() > Some(FORMAT.into()) => {
                let message =
                    format!("{} has format {}; this maclip reads up to {FORMAT}", file.display(), named("format"));
                return Err(Error::failed(message).help("use the maclip version that wrote it, or a newer one"));
            }
            Some(1..) => {}
            _ => return wrong("format", "version of the format"),
        }
        let sealed = value["seal"] == seal_of(&value);
        let config: ModelConfig = serde_json::from_value(value.clone()).map_err(unreadable)?;
        // Folders of runs are named after them, and the config may come from anybody.
        if !names_a_run(&config.run.name) {
            return wrong("run.name", "name of a folder");
        }
        if !names_a_run(&config.run.variant) {
            return wrong("run.variant", "name of a folder");
        }
        if !is_sha256(&config.run.hash) {
            return wrong("run.hash", "SHA-256");
        }
        Ok(Self { path: path.to_owned(), config, sealed })
    }

    /// The file `name` of the folder, and whether its checksum is that of the config.
    fn read(&self, name: &str) -> Result<(Vec<u8>, bool)> {
        let file = self.path.join(name);
        let bytes = read_regular(&file, LARGEST).map_err(|error| Error::io("read", &file, error))?;
        let same = self.config.files.get(name) == Some(&sha256(&bytes));
        Ok((bytes, same))
    }

    /// The trained tensors, and which file is not the one that was exported.
    ///
    /// # Errors
    /// Where a file cannot be read or is damaged, and where the tensors are not those that `config.json` names.
    pub fn trained(&self) -> Result<Trained> {
        let file = self.path.join(Self::TENSORS);
        let (bytes, same) = self.read(Self::TENSORS)?;
        let changed = [(Self::CONFIG, self.sealed), (Self::TENSORS, same), (Self::RECIPE, self.read(Self::RECIPE)?.1)];
        let changed = changed.into_iter().find(|(_, same)| !same).map(|(name, _)| name.to_owned());
        let (mut found, _) = weights::parse(&file.display().to_string(), &bytes)?;
        let mut tensors = BTreeMap::new();
        let mut fit = Fit::default();
        for (name, Placed { path, layout }) in &self.config.tensors {
            match found.remove(name) {
                Some(tensor) => drop(tensors.insert(path.clone(), layout.read(tensor))),
                None => fit.missing.push(name.clone()),
            }
        }
        fit.unused = found.into_iter().map(|(name, tensor)| format!("{name} {:?}", tensor.shape)).collect();
        match fit.problem() {
            None => Ok(Trained { tensors, changed }),
            Some(problem) => {
                let message = format!("{} and its {} do not fit: {problem}", file.display(), Self::CONFIG);
                Err(Error::failed(message).help("copy the folder again, as a whole; names must stay as they were"))
            }
        }
    }

    /// The error for a folder whose file `name` is not as it was exported.
    pub fn refuse_changed(&self, name: &str) -> Error {
        let file = self.path.join(name);
        Error::failed(format!("{} is not the file that was exported: its checksum differs", file.display()))
    }

    /// The backbone's file in the folder, where it came along.
    ///
    /// # Errors
    /// Where the config names no file of the folder.
    pub fn backbone(&self) -> Result<Option<PathBuf>> {
        let Some(name) = &self.config.backbone.file else { return Ok(None) };
        // The config comes from somebody else, and may name anything.
        match Path::new(name).file_name().is_some_and(|file| file == name.as_str()) {
            true => Ok(Some(self.path.join(name))),
            false => {
                let file = self.path.join(Self::CONFIG);
                let message = format!("{}: `backbone.file` is {name:?}, which is no file name", file.display());
                Err(Error::failed(message).help("copy the folder again; `maclip export` writes no such value"))
            }
        }
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{ElementType, serialize};

    const RECIPE: &str = "name: a\n";

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let tensor = HostTensor { shape: vec![2, 3], values: (0..6).map(|value| value as f32).collect() };
        let tensors = names.iter().map(|name| ((*name).to_owned(), tensor.clone())).collect();
        let bytes = serialize(&tensors, &BTreeMap::new(), ElementType::F32).unwrap();
        std::fs::write(folder.path().join(ModelFolder::TENSORS), &bytes).unwrap();
        std::fs::write(folder.path().join(ModelFolder::RECIPE), RECIPE).unwrap();
        let placed = Placed { path: "adapter.up.weight".to_owned(), layout: Layout::Transposed };
        let config = ModelConfig {
            model_type: KIND.to_owned(),
            format: FORMAT,
            run: Origin {
                name: "a".to_owned(),
                variant: "b+c=0.5".to_owned(),
                hash: sha256(b"a run"),
                ..Origin::default()
            },
            image: ImageConfig { size: 4, mean: [0.481_454_66; 3], std: [0.1; 3] },
            tensors: BTreeMap::from([("up.weight".to_owned(), placed)]),
            files: BTreeMap::from([
                (ModelFolder::TENSORS.to_owned(), sha256(&bytes)),
                (ModelFolder::RECIPE.to_owned(), sha256(RECIPE.as_bytes())),
            ]),
            ..ModelConfig::default()
        };
        crate::files::write_json(&folder.path().join(ModelFolder::CONFIG), &config.sealed().unwrap()).unwrap();
        folder
    }

    #[test]
    fn tensors_come_back_under_their_paths_and_other_names_are_told() {
        let whole = folder(&["up.weight"]);
        let Trained { tensors, changed } = ModelFolder::open(whole.path()).unwrap().trained().unwrap();
        assert_eq!((tensors["adapter.up.weight"].shape.as_slice(), changed), (&[3, 2][..], None));
        assert_eq!(tensors["adapter.up.weight"].values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let renamed = folder(&["up.wieght"]);
        let message = ModelFolder::open(renamed.path()).unwrap().trained().unwrap_err().to_string();
        assert!(message.contains("missing: up.weight") && message.contains("unused: up.wieght"), "{message}");
    }

    #[test]
    fn a_change_of_any_file_that_makes_the_model_is_noticed() {
        let change = |name: &str, from: &str, to: &str| {
            let whole = folder(&["up.weight"]);
            let file = whole.path().join(name);
            let bytes = std::fs::read(&file).unwrap();
            let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
            assert!(text.contains(from), "{name}: {text}");
            let text: Vec<u8> = text.replace(from, to).chars().map(|c| c as u8).collect();
            std::fs::write(&file, text).unwrap();
            ModelFolder::open(whole.path()).unwrap().trained().unwrap().changed
        };
        for (name, from, to) in [
            (ModelFolder::CONFIG, "\"frames\": 0", "\"frames\": 8"),
            (ModelFolder::CONFIG, "\"transposed\"", "\"same\""),
            (ModelFolder::CONFIG, "\"seal\"", "\"other\""),
            (ModelFolder::RECIPE, "a", "b"),
            (ModelFolder::TENSORS, "\u{40}\u{40}", "\u{40}\u{41}"),
        ] {
            assert_eq!(change(name, from, to).as_deref(), Some(name), "{from}");
        }
        // A program that writes the same values in another form changes nothing.
        let whole = folder(&["up.weight"]);
        let file = whole.path().join(ModelFolder::CONFIG);
        let value: BTreeMap<String, Value> = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        std::fs::write(&file, serde_json::to_vec(&value).unwrap()).unwrap();
        assert_eq!(ModelFolder::open(whole.path()).unwrap().trained().unwrap().changed, None);
    }

    #[test]
    fn what_would_name_a_folder_elsewhere_is_refused() {
        let whole = folder(&["up.weight"]);
        let file = whole.path().join(ModelFolder::CONFIG);
        let config: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        for (key, wrong) in [
            ("variant", "../../evil"),
            ("variant", "/tmp/evil"),
            ("variant", ""),
            ("variant", ".hidden"),
            ("name", "a/b"),
            ("hash", "zz"),
            ("hash", ""),
        ] {
            let mut config = config.clone();
            config["run"][key] = wrong.into();
            crate::files::write_json(&file, &config).unwrap();
            let message = ModelFolder::open(whole.path()).unwrap_err().to_string();
            assert!(message.contains(&format!("`run.{key}` is \"{wrong}\", which is no")), "{message}");
        }
        let mut config = config.clone();
        config["backbone"]["file"] = "../backbone.safetensors".into();
        crate::files::write_json(&file, &config).unwrap();
        let message = ModelFolder::open(whole.path()).unwrap().backbone().unwrap_err().to_string();
        assert!(message.contains("which is no file name"), "{message}");
    }

    #[test]
    fn other_configs_and_newer_formats_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (text, word) in [
            (r#"{"model_type": "clip"}"#, "no config of a model that maclip exported"),
            (r#"{"model_type": "maclip", "format": 2}"#, "reads up to 1"),
            (r#"{"model_type": "maclip", "format": 0}"#, "which is no version of the format"),
            (r#"{"model_type": "maclip"}"#, "which is no version of the format"),
            ("{", "cannot be read"),
        ] {
            std::fs::write(folder.path().join(ModelFolder::CONFIG), text).unwrap();
            let message = ModelFolder::open(folder.path()).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn the_checksum_of_tensors_is_that_of_their_names_shapes_and_values() {
        let tensor = |shape: &[usize], values: &[f32]| HostTensor { shape: shape.to_vec(), values: values.to_vec() };
        let tensors =
            BTreeMap::from([("a".to_owned(), tensor(&[2], &[1.0, -2.0])), ("b".to_owned(), tensor(&[1, 1], &[0.5]))]);
        // Python: hashlib.sha256(b"a\x002\x00" + struct.pack("<2f", 1, -2) + b"b\x001,1\x00" + struct.pack("<f", .5))
        assert_eq!(tensors_sha256(&tensors), "9371dd8a75e78f671b9f3931503fb9cbacb3c848bc19bbbb330d412144c140a5");
    }

    #[test]
    fn fuzz_model_folders() {
        let whole = folder(&["up.weight"]);
        let read = |name: &str| std::fs::read(whole.path().join(name)).unwrap();
        let (config, tensors) = (read(ModelFolder::CONFIG), read(ModelFolder::TENSORS));
        for (name, text) in [(ModelFolder::CONFIG, &config), (ModelFolder::TENSORS, &tensors)] {
            maclip_fuzzing::each(name, &[text.as_slice()], |bytes| {
                std::fs::write(whole.path().join(name), bytes).unwrap();
                let _ = ModelFolder::open(whole.path()).and_then(|folder| folder.trained());
            });
            std::fs::write(whole.path().join(name), text).unwrap();
        }
    }
}
