//! A model folder: the trained tensors of a run under PyTorch's names and in its layouts, and `config.json`, which says
//! what they are. `maclip export` writes it; a training can begin with it, and `maclip import` makes a run of it.
//!
//! ```text
//! config.json        model.safetensors      what was trained, and everything else that a forward pass needs
//! backbone.safetensors                      the frozen backbone, where it was asked for
//! recipe.yaml  README.md  ma_clip.py  peft/ for people and other programs
//! ```

use crate::error::{Error, Result};
use crate::files::{TEXT, read_regular, sha256};
use crate::model::parameters::Fit;
use crate::recipe::expectation::TestResult;
use crate::weights::{self, HostTensor, Layout};
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
    /// Each tensor of `model.safetensors` by its name there.
    pub tensors: BTreeMap<String, Placed>,
    /// SHA-256 (hex) of the other files that hold tensors, by their names in the folder.
    pub files: BTreeMap<String, String>,
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

/// A backbone, and how to know it again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct BackboneConfig {
    /// Sizes, as the backbone writes them into its own files; `null` where it writes none.
    pub architecture: Value,
    /// SHA-256 (hex) of its files, by name, as the run's manifest has them.
    pub weights: BTreeMap<String, String>,
    /// SHA-256 (hex) of its tensors, whatever file they lie in: see [`tensors_sha256`].
    pub tensors_sha256: String,
    /// Its file in this folder, where it came along.
    pub file: Option<String>,
    /// Words of a small vocabulary, by which texts become tokens; `None` for OpenAI's byte pairs.
    pub vocabulary: Option<Vec<String>>,
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
        if value["format"].as_u64().is_none_or(|format| format > u64::from(FORMAT)) {
            let (found, most) = (&value["format"], FORMAT);
            let message = format!("{} has format {found}; this maclip reads up to {most}", file.display());
            return Err(Error::failed(message).help("use the maclip version that wrote it, or a newer one"));
        }
        let config = serde_json::from_value(value).map_err(unreadable)?;
        Ok(Self { path: path.to_owned(), config })
    }

    /// The trained tensors by the paths of their parameters, in the module's layouts; and whether the file is still the
    /// one that was exported.
    ///
    /// # Errors
    /// Where the file cannot be read or is damaged, and where its tensors are not those that `config.json` names.
    pub fn tensors(&self) -> Result<(BTreeMap<String, HostTensor>, bool)> {
        let file = self.path.join(Self::TENSORS);
        let bytes = read_regular(&file, LARGEST).map_err(|error| Error::io("read", &file, error))?;
        let exported = self.config.files.get(Self::TENSORS) == Some(&sha256(&bytes));
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
            None => Ok((tensors, exported)),
            Some(problem) => {
                let message = format!("{} and its {} do not fit: {problem}", file.display(), Self::CONFIG);
                Err(Error::failed(message).help("copy the folder again, as a whole; names must stay as they were"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::{ElementType, serialize};

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let tensor = HostTensor { shape: vec![2, 3], values: (0..6).map(|value| value as f32).collect() };
        let tensors = names.iter().map(|name| ((*name).to_owned(), tensor.clone())).collect();
        let bytes = serialize(&tensors, &BTreeMap::new(), ElementType::F32).unwrap();
        std::fs::write(folder.path().join(ModelFolder::TENSORS), &bytes).unwrap();
        let placed = Placed { path: "adapter.up.weight".to_owned(), layout: Layout::Transposed };
        let config = ModelConfig {
            model_type: KIND.to_owned(),
            format: FORMAT,
            tensors: BTreeMap::from([("up.weight".to_owned(), placed)]),
            files: BTreeMap::from([(ModelFolder::TENSORS.to_owned(), sha256(&bytes))]),
            ..ModelConfig::default()
        };
        crate::files::write_json(&folder.path().join(ModelFolder::CONFIG), &config).unwrap();
        folder
    }

    #[test]
    fn tensors_come_back_under_their_paths_and_other_names_are_told() {
        let whole = folder(&["up.weight"]);
        let (tensors, exported) = ModelFolder::open(whole.path()).unwrap().tensors().unwrap();
        assert_eq!((tensors["adapter.up.weight"].shape.as_slice(), exported), (&[3, 2][..], true));
        assert_eq!(tensors["adapter.up.weight"].values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        let renamed = folder(&["up.wieght"]);
        let message = ModelFolder::open(renamed.path()).unwrap().tensors().unwrap_err().to_string();
        assert!(message.contains("missing: up.weight") && message.contains("unused: up.wieght"), "{message}");
    }

    #[test]
    fn other_configs_and_newer_formats_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for (text, word) in [
            (r#"{"model_type": "clip"}"#, "no config of a model that maclip exported"),
            (r#"{"model_type": "maclip", "format": 2}"#, "reads up to 1"),
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
                let _ = ModelFolder::open(whole.path()).and_then(|folder| folder.tensors());
            });
            std::fs::write(whole.path().join(name), text).unwrap();
        }
    }
}
