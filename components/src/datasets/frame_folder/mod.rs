//! Dataset `frame_folder`: clips as folders of JPEG or PNG frames.
//!
//! Source: the layout of tobyperrett/few-shot-action-recognition, one folder of numbered frames for each clip. Here
//! belong the options; what is shared with `video_folder` is in `folder`.

use super::class_split::{ClassDraw, ClassSplits, SplitOptions};
use super::folder::{ClipKind, Folder, FolderOptions};
use super::policy::Policy;
use super::readers::Readers;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::dataset::Dataset;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options of the dataset `frame_folder`.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FrameFolderConfig {
    /// The folder that holds the frames, JPEG or PNG: `<root>/<split>/<class>/<clip>/*.jpg`, or
    /// `<root>/<class>/<clip>/*.jpg` where one of `splits`, `split_file` and `draw` is given. Required.
    root: Option<PathBuf>,
    /// The class folders of each split. Leave out where the root has the folders train, val and test.
    splits: Option<ClassSplits>,
    /// The class folders of each split, in place of `splits`: a YAML or JSON file with the lists train, val and test,
    /// or a folder with train.txt, val.txt and test.txt, one class folder a line.
    split_file: Option<PathBuf>,
    /// Draws the classes of each split with a seed, in place of `splits`.
    draw: Option<ClassDraw>,
    /// The class text for prompts, by class folder. The text of a folder that is not named here is its own name, with
    /// spaces for underscores, split at capitals and without square brackets.
    class_names: BTreeMap<String, String>,
    /// A clip with fewer frames than this is short and handled as `broken` says.
    #[schemars(range(min = 1))]
    min_frames: usize,
    /// The name pattern of the frames where clips hold several, such as `img_*` beside `flow_x_*` and `flow_y_*`: the
    /// name without its extension, with `*` in the place of each number. Other images are passed over.
    pattern: Option<String>,
    /// What to do about clips that are short, truncated or otherwise unusable.
    broken: Policy,
    /// Whether splits may have classes and clips in common; the result records it. Otherwise that is an error.
    allow_shared: bool,
    /// Whether classes have a direction, such as left and right, that a mirror image would change.
    directed: bool,
}

impl Default for FrameFolderConfig {
    fn default() -> Self {
        Self {
            root: None,
            splits: None,
            split_file: None,
            draw: None,
            class_names: BTreeMap::new(),
            min_frames: 8,
            pattern: None,
            broken: Policy::Fail,
            allow_shared: false,
            directed: false,
        }
    }
}

register!(dyn Dataset, FrameFolderConfig, name: "frame_folder",
    summary: "clips as folders of JPEG or PNG frames, split by folder, by a list of classes or by a draw",
    paper: Some("layout of tobyperrett/few-shot-action-recognition"), stability: Stable,
    usage: "{root: data/my_frames}");

impl FrameFolderConfig {
    fn options(&self) -> FolderOptions {
        let Self {
            root,
            splits,
            split_file,
            draw,
            class_names,
            min_frames,
            pattern,
            broken,
            allow_shared,
            directed: _,
        } = self.clone();
        let mut readers = Readers::default();
        (readers.images.min_frames, readers.images.pattern) = (min_frames, pattern);
        FolderOptions {
            clips: ClipKind::Folder,
            root,
            split: SplitOptions { splits, split_file, draw },
            class_names,
            broken,
            allow_shared,
            readers,
        }
    }
}

impl Component for FrameFolderConfig {
    type Slot = dyn Dataset;

    fn validate(&self, problems: &mut Problems) {
        self.options().validate(problems);
    }

    fn required_inputs(&self, problems: &mut Problems) {
        self.options().required_inputs(problems);
    }

    fn describe(&self, facts: &mut Facts) {
        facts.directed = Some(self.directed);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Dataset>> {
        Ok(Box::new(Folder::new(self.options())?))
    }
}

#[cfg(test)]
mod tests;
