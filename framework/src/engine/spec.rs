//! One run as a file, for another process: a pool, a job of a cluster, or a program of one's own executes it.
//!
//! The recipe in it is complete, so that no file that it was written from, and no option of a command line, can make it
//! another run.

use crate::error::{Error, Result};
use crate::files::{TEXT, read_regular, write_json};
use crate::recipe::study::StudyRun;
use crate::recipe::{Purpose, Recipe};
use maclip_language::{Arguments, Change, Node, Origin, load_text};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Version of the file. A newer one is refused.
const FORMAT: u32 = 1;

/// What the file holds.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    /// As [`StudyRun::design`].
    design: String,
    /// As [`StudyRun::variant`].
    variant: String,
    /// Identity of the run, so that a recipe that this program reads in another way is noticed.
    hash: String,
    /// The folder that run directories go to, as an absolute path.
    runs: PathBuf,
    /// Whether the records of the same run under another name may be copied.
    reuse: bool,
    /// The recipe with every default.
    recipe: String,
}

/// One run, and where it goes.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The run.
    pub run: StudyRun,
    /// The folder that run directories go to.
    pub runs: PathBuf,
    /// Whether the records of the same run under another name may be copied in place of making it.
    pub reuse: bool,
}

impl Spec {
    /// Writes the spec to `path`. The run is made on `device`, or on that of its recipe.
    ///
    /// # Errors
    /// Where the file cannot be written, or the folder of the runs is not UTF-8.
    pub fn write(&self, path: &Path, device: Option<&str>) -> Result<()> {
        let StudyRun { design, variant, recipe } = &self.run;
        let mut tree = recipe.resolved.clone();
        if let (Some(device), Some(map)) = (device, tree.as_map_mut()) {
            map.insert("device", Origin::Default, Node::from_json(&device.into()));
        }
        let runs = std::path::absolute(&self.runs).map_err(|error| Error::io("find", &self.runs, error))?;
        if runs.to_str().is_none() {
            return Err(Error::failed(format!(
                "{} is not UTF-8, and a spec, which is text, must name it",
                runs.display()
            ))
            .help("give a folder of plain characters with `--runs`"));
        }
        let content = Content {
            format: FORMAT,
            design: design.clone(),
            variant: variant.clone(),
            hash: recipe.hash.clone(),
            runs,
            reuse: self.reuse,
            recipe: tree.to_yaml(),
        };
        write_json(path, &content)
    }

    /// Reads the spec at `path`, with `change` in its recipe, which must not make it another run.
    ///
    /// # Errors
    /// Where the file cannot be read or is none, and where this program makes another run of its recipe than the one
    /// that wrote it.
    pub fn read(path: &Path, change: Option<Change>) -> Result<Self> {
        let bytes = read_regular(path, TEXT).map_err(|error| Error::io("read the spec", path, error))?;
        let bad = |why: String| {
            Error::failed(format!("{} is no spec of a run: {why}", path.display()))
                .help("`maclip run STUDY --jobs N` and launchers write them; a run is made with `maclip run RECIPE`")
        };
        let content: Content = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if content.format != FORMAT {
            return Err(bad(format!("its format is {}, and this program reads {FORMAT}", content.format)));
        }
        let changes = Arguments { others: change.into_iter().collect(), ..Arguments::default() };
        let document = load_text(&path.display().to_string(), &content.recipe, &changes)?;
        let recipe = Recipe::check_for(&document.root, Purpose::Run)?;
        if recipe.hash != content.hash {
            return Err(Error::failed(format!(
                "{} was written by another version of maclip: its recipe is another run here",
                path.display()
            ))
            .help("use one version for all processes of a study, and write the spec again"));
        }
        let run = StudyRun { design: content.design, variant: content.variant, recipe };
        Ok(Self { run, runs: content.runs, reuse: content.reuse })
    }
}
