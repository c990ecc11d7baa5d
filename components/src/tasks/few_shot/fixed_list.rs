//! A fixed list of episodes: the options of the validation and of the test.

use maclip_framework::engine::episodes::{EpisodeList, Shape};
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::dataset::{Class, Split};
use serde::{Deserialize, Serialize};

/// A fixed list of episodes.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Evaluation {
    /// Split whose classes the episodes are drawn from; `null` is val for the validation and test for the test. The
    /// checkpoint may be chosen on `val` or `train`, never on `test`.
    pub split: Option<Split>,
    /// Number of episodes; without replacement at most so many.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub episodes: usize,
    /// Whether two episodes may share clips.
    pub sampling: Sampling,
    /// Query clips of each class. 1 in most published work.
    #[schemars(range(min = 1, max = 10_000))]
    pub queries: usize,
    /// Seed that the episodes are drawn with. It is not the recipe's seed, so that all runs of a study share one list.
    pub seed: u64,
    /// Use only this many first clips of each class; `null` uses all.
    pub clips_per_class: Option<usize>,
    /// Test queries that are kept as examples to look at, by each of three rules: most confident mistakes, closest
    /// calls, random ones. `null` keeps 3 by each rule, 0 none. Only for the test.
    #[schemars(range(max = 20))]
    pub examples: Option<usize>,
    /// Cells along a side of a frame, each of which is covered once in the query of the first example of each rule: the
    /// report shows where the prediction becomes less probable. 4 encodes the query 16 times for every frame; 0 covers
    /// nothing. Only for the test.
    #[schemars(range(max = 32))]
    pub occlusion: usize,
    /// Clips that are drawn as points of a map, as many of each class: by what the backbone gives before the training,
    /// and by what is compared after it. 0 draws none. It encodes them twice. Only for the test.
    #[schemars(range(max = 1000))]
    pub map_clips: usize,
    /// A file of episodes in place of drawn ones, as a run writes it; `maclip run --episodes FILE` sets it for the
    /// test.
    pub list: Option<ListFile>,
}

/// How the clips of a split come into episodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Sampling {
    /// Each episode is drawn from all clips, as in published work. The interval over episodes then speaks of these
    /// clips alone, and more episodes make it as small as one likes.
    #[default]
    WithReplacement,
    /// No two episodes share a clip, and there are as many as the clips allow. The interval also speaks of other clips
    /// of these classes, and is wider (Lafargue et al., arXiv 2409.02850).
    WithoutReplacement,
}

/// A file of episodes.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListFile {
    /// The file, such as runs/NAME/episodes-HASH.json.
    pub path: String,
    /// Hash of the list, as the file says it; with any other the file is refused. The hash is part of a run's identity
    /// and the path is not: the same episodes are the same run, wherever the file lies.
    hash: String,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            split: None,
            episodes: 10_000,
            sampling: Sampling::default(),
            queries: 1,
            seed: 0,
            clips_per_class: None,
            examples: None,
            occlusion: 0,
            map_clips: 0,
            list: None,
        }
    }
}

impl Evaluation {
    /// The episodes of the file, where one is given, else drawn ones.
    pub fn episodes(&self, shape: Shape, split: Split, classes: &[Class]) -> Result<EpisodeList> {
        let Some(file) = &self.list else {
            let draw = match self.sampling {
                Sampling::WithReplacement => EpisodeList::new,
                Sampling::WithoutReplacement => EpisodeList::without_replacement,
            };
            return draw(shape, split, classes, self.seed, self.episodes);
        };
        let list = EpisodeList::read(std::path::Path::new(&file.path), split, classes)?;
        if list.shape != shape {
            let Shape { way, shot, queries } = list.shape;
            return Err(Error::failed(format!(
                "{} has {way}-way {shot}-shot episodes with {queries} queries per class, the recipe {}-way {}-shot with {}",
                file.path, shape.way, shape.shot, shape.queries
            ))
            .help("change task.way, task.shot and the queries to those of the file"));
        }
        if file.hash != list.hash {
            return Err(Error::failed(format!(
                "{} has the hash {}, the recipe wants {}",
                file.path, list.hash, file.hash
            ))
            .help("the file has changed; `maclip run --episodes FILE` takes it as it is"));
        }
        Ok(list)
    }
}
