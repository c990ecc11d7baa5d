//! Dataset `video_folder`: clips as video files in class folders.
//!
//! Source: the way in which UCF101, HMDB51 and Kinetics are handed out, one folder of videos for each class.

use super::class_split::{ClassDraw, ClassSplits, SplitOptions};
use super::folder::{ClipKind, Folder, FolderOptions};
use super::policy::Policy;
use super::readers::Readers;
use super::readers::video::Decoder;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::dataset::Dataset;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Options of the dataset `video_folder`.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct VideoFolderConfig {
    /// The folder that holds the videos: `<root>/<split>/<class>/<clip>.mp4`, or `<root>/<class>/<clip>.mp4` where
    /// one of `splits`, `split_file` and `draw` is given. Required.
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
    /// What to do about clips that are empty or otherwise unusable.
    broken: Policy,
    /// What decodes the videos. The frames are the same.
    decoder: Decoder,
    /// Whether splits may have classes and clips in common; the result records it. Otherwise that is an error.
    allow_shared: bool,
    /// Whether classes have a direction, such as left and right, that a mirror image would change.
    directed: bool,
}

impl Default for VideoFolderConfig {
    fn default() -> Self {
        Self {
            root: None,
            splits: None,
            split_file: None,
            draw: None,
            class_names: BTreeMap::new(),
            broken: Policy::Fail,
            decoder: Decoder::Ffmpeg,
            allow_shared: false,
            directed: false,
        }
    }
}

register!(dyn Dataset, VideoFolderConfig, name: "video_folder",
    summary: "clips as video files in class folders, split by folder, by a list of classes or by a draw",
    paper: None, stability: Stable,
    usage: "{root: data/my_videos, draw: {train: 7, val: 2, test: 5}}");

impl VideoFolderConfig {
    fn options(&self) -> FolderOptions {
        let Self { root, splits, split_file, draw, class_names, broken, decoder, allow_shared, directed: _ } =
            self.clone();
        FolderOptions {
            clips: ClipKind::Video,
            root,
            split: SplitOptions { splits, split_file, draw },
            class_names,
            broken,
            allow_shared,
            readers: Readers::with(decoder),
        }
    }
}

impl Component for VideoFolderConfig {
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
