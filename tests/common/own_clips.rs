//! A small recipe on clips that the test makes: two classes of three clips in each split, four training steps.

use super::{clip, run_directory};
use std::path::{Path, PathBuf};

/// The splits that a training needs.
pub const ALL: [&str; 3] = ["train", "val", "test"];

/// A recipe on frame folders in `folder`, which trains four steps; returns its path.
fn recipe(folder: &Path, more: &str) -> PathBuf {
    let text = format!(
        "name: mine\ndataset: {{type: frame_folder, root: \"recipe:data\", min_frames: 4}}\n\
         frames: {{type: uniform_segments, count: 2}}\nbackbone: {{type: clip_vit, weights: \"builtin:shapes_clip\"}}\n\
         adapter: {{type: lora, rank: 2}}\nalignment: {{type: otam, lambda: 0.1}}\n\
         expect: [{{metric: accuracy, value: 50, tolerance: 50, source: a guess}}]\n\
         task:\n  type: few_shot\n  way: 2\n  shot: 1\n  queries: 1\n  episodes_per_step: 1\n  train: {{steps: 4, checkpoint_every_steps: 2, validate_every_steps: 4}}\n  \
         validation: {{episodes: 4}}\n  test: {{episodes: 8}}\n{more}"
    );
    let path = folder.join("mine.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Two classes of three clips in each of `splits`, below `folder`/data.
fn data(folder: &Path, splits: &[&str]) {
    for (number, split) in splits.iter().enumerate() {
        for class in 0..2 {
            for take in 0..3 {
                let path = folder.join(format!("data/{split}/{split}_{class}/clip_{take}"));
                clip(&path, class, number * 10 + take, 4);
            }
        }
    }
}

/// A folder with clips, a recipe `mine.yaml` on them, and a place for its runs.
pub struct OwnClips {
    _folder: tempfile::TempDir,
    /// The folder with `data` and the recipe.
    pub root: PathBuf,
    /// Path of the recipe.
    pub recipe: String,
    /// Folder of the runs.
    pub runs: String,
}

impl OwnClips {
    /// With clips in `splits`, and `more` lines in the recipe.
    pub fn new(splits: &[&str], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        data(folder.path(), splits);
        let recipe = recipe(folder.path(), more).to_str().unwrap().to_owned();
        let runs = folder.path().join("runs").to_str().unwrap().to_owned();
        Self { root: folder.path().to_owned(), _folder: folder, recipe, runs }
    }

    /// `run` with the recipe and `more` arguments.
    pub fn run<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&["run", &self.recipe, "--runs", &self.runs], more].concat()
    }

    /// Folder of the recipe's runs.
    pub fn folder(&self) -> PathBuf {
        Path::new(&self.runs).join("mine")
    }

    /// The run directory of `variant`.
    pub fn directory(&self, variant: &str) -> PathBuf {
        run_directory(Path::new(&self.runs), "mine", variant)
    }
}
