//! A few queries of the test, for a person to look at: chosen by rule, with the frames that the model saw and how its
//! alignment compared them.
//!
//! Here belongs how these examples are chosen, computed and written.
//! Not here: the types of the file (`runs::examples`), and how a page shows them (the crate `maclip-reports`).

mod choose;
mod occlusion;
mod strip;

pub(crate) use strip::strip;

use crate::engine::evaluation::{EpisodeEncoder, EpisodeEncoding, Outcome, SplitEpisodes};
use crate::engine::features::ClipSource;
use crate::error::{Error, Result};
use crate::files::sha256;
use crate::model::few_shot::FewShotModel;
use crate::profile::{self, Phase};
use crate::progress::stop_requested;
use crate::runs::examples::{Example, ExampleAlignment, ExampleClass, Examples};
use crate::runs::store::RunStore;
use crate::slots::dataset::Class;
use crate::slots::explanation::{Explanation, frame_costs};
use burn::tensor::{Int, Tensor};
use choose::{Choice, choose};
use occlusion::{Query, occluded};
use std::collections::BTreeMap;

/// What is kept of a test.
#[derive(Clone, Copy, Debug)]
pub struct GalleryOptions {
    /// The most examples by each rule.
    pub examples: usize,
    /// Of the first example of each rule: the cells along a side of a frame that are covered, see
    /// [`Example::occlusion`]; 0 covers nothing.
    pub occlusion: usize,
}

/// The examples of a test, with their pictures.
pub struct Gallery {
    /// The content of `examples.json`.
    pub examples: Examples,
    /// JPEG files by name. The name is a hash of the bytes, so that the same picture has the same name in all runs.
    strips: BTreeMap<String, Vec<u8>>,
}

impl Gallery {
    /// Chooses up to `kept.examples` queries by each rule among those of `split`, whose test had the `outcomes`, and
    /// encodes their episodes again. `model` must be without autodiff (`valid()`).
    ///
    /// # Errors
    /// Where a clip cannot be opened or is no pictures, the frames do not fit into one picture, the
    /// alignment's explanation is not valid, and [`Error::Interrupted`] after a request to stop.
    pub fn new(
        model: &FewShotModel,
        source: &ClipSource,
        split: &SplitEpisodes,
        outcomes: &[Outcome],
        kept: GalleryOptions,
    ) -> Result<Self> {
        if source.loader().geometry.passes_features() {
            return Err(Error::failed("the clips are ready features, of which there are no pictures"));
        }
        let encoder = EpisodeEncoder::new(model, source, split);
        let frames = source.loader().clips.frames.count();
        let examples = Examples {
            format: Examples::FORMAT,
            frames,
            explanation: String::new(),
            clips: BTreeMap::new(),
            examples: Vec::new(),
        };
        let mut gallery = Self { examples, strips: BTreeMap::new() };
        for choice in choose(split.list, outcomes, kept.examples) {
            let names = gallery.picture(&encoder, source, choice.episode)?;
            let encoding = encoder.encode(choice.episode)?;
            let outcome = &outcomes[choice.episode];
            let mut occlusion = None;
            if gallery.examples.examples.iter().all(|example| example.rule != choice.rule) {
                let (clips, at) = (encoder.clips(choice.episode), choice.query);
                let view = encoder.view(choice.episode, clips.support.len() + at);
                let pixels = source.loader().open(&[(clips.queries[at], view)])?.remove(0);
                let (shot, prediction) = (split.list.shape.shot, outcome.predictions[at]);
                let query = Query { encoding: &encoding, at, pixels: &pixels, shot, prediction };
                occlusion = occluded(model, source.loader(), &query, kept.occlusion);
            }
            if stop_requested() {
                return Err(Error::Interrupted);
            }
            let example = gallery.example(model, encoding, split, outcome, choice, names)?;
            gallery.examples.examples.push(Example { occlusion, ..example });
        }
        Ok(gallery)
    }

    /// Writes all files to the run directory, in place of those of an earlier attempt. Where nothing was chosen, it
    /// removes those.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn write(self, store: &RunStore) -> Result<()> {
        let mut files = self.strips;
        if !self.examples.examples.is_empty() {
            let mut bytes = serde_json::to_vec(&self.examples)
                .map_err(|error| Error::failed(format!("the examples of the test cannot be written: {error}")))?;
            bytes.push(b'\n');
            files.insert(Examples::FILE.to_owned(), bytes);
        }
        store.replace_folder(Examples::FOLDER, &files)
    }

    /// Makes a picture of each clip of an episode that has none yet. Returns the clips' keys in [`Examples::clips`],
    /// support clips first.
    fn picture(&mut self, encoder: &EpisodeEncoder, source: &ClipSource, episode: usize) -> Result<Vec<String>> {
        let clips = encoder.clips(episode);
        let ids: Vec<&str> = clips.support.iter().chain(&clips.queries).copied().collect();
        let name = |id: &&str| match encoder.drawn() {
            true => format!("{id} in episode {episode}"),
            false => (*id).to_owned(),
        };
        let names: Vec<String> = ids.iter().map(name).collect();
        let new: Vec<usize> = (0..ids.len()).filter(|&at| !self.examples.clips.contains_key(&names[at])).collect();
        let views: Vec<_> = new.iter().map(|&at| (ids[at], encoder.view(episode, at))).collect();
        let size = source.loader().geometry.image_size;
        for (at, pixels) in new.into_iter().zip(source.loader().open(&views)?) {
            let bytes = strip(&pixels, size)?;
            let file = format!("{}.jpg", &sha256(&bytes)[..16]);
            self.strips.insert(file.clone(), bytes);
            self.examples.clips.insert(names[at].clone(), file);
        }
        Ok(names)
    }

    fn example(
        &mut self,
        model: &FewShotModel,
        encoding: EpisodeEncoding,
        split: &SplitEpisodes,
        outcome: &Outcome,
        choice: Choice,
        names: Vec<String>,
    ) -> Result<Example> {
        let Choice { rule, episode, query } = choice;
        let shot = split.list.shape.shot;
        let drawn = &split.list.episodes[episode];
        let (label, prediction) = (drawn.queries[query].0, outcome.predictions[query]);
        let mut shown = vec![label, prediction];
        shown.dedup();
        let seen = Seen::new(model, encoding, shot, query, &shown);
        let (what, alignments) = seen.explained(model)?;
        self.examples.explanation = what;
        let mut alignments: BTreeMap<usize, ExampleAlignment> = shown.into_iter().zip(alignments).collect();
        let classes = drawn.classes.iter().enumerate().map(|(class, &at)| {
            let Class { name, .. } = &split.classes[at];
            ExampleClass {
                name: name.clone(),
                support: names[class * shot..(class + 1) * shot].to_vec(),
                distance: outcome.distances[query][class],
                probability: outcome.probabilities[query][class],
                alignment: alignments.remove(&class),
            }
        });
        let classes = classes.collect();
        let query = names[drawn.classes.len() * shot + query].clone();
        Ok(Example { rule, episode: episode as u64, query, label, prediction, classes, occlusion: None })
    }
}

/// The input of the alignment for one query and P classes.
pub struct Seen {
    /// The features of the query, P times the same: `[P, T, E]`.
    pub query: Tensor<3>,
    /// The features of the support clips of each class: `[P, K, T, E]`.
    pub support: Tensor<4>,
}

impl Seen {
    /// The input for query number `query` and the classes `classes` (positions in the episode) of an encoded episode
    /// with `shot` support clips of each class.
    pub fn new(model: &FewShotModel, encoding: EpisodeEncoding, shot: usize, query: usize, classes: &[usize]) -> Self {
        let EpisodeEncoding { support, query: queries, class_text } = encoding;
        let [clips, t, e] = support.prototypes.dims();
        let support = support.prototypes.reshape([1, clips / shot, shot, t, e]);
        let (queries, support) = model.related(queries.prototypes.unsqueeze(), support, class_text.mean.unsqueeze());
        // See `FewShotModel::related`: each query may have become an episode of its own.
        let (episode, query) = if queries.dims()[0] > 1 { (query, 0) } else { (0, query) };
        let rows: Vec<i32> = classes.iter().map(|class| *class as i32).collect();
        let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &support.device());
        let queries: Tensor<3> = queries.narrow(0, episode, 1).squeeze_dim(0);
        Self {
            query: queries.narrow(0, query, 1).repeat_dim(0, classes.len()),
            support: support.narrow(0, episode, 1).squeeze_dim::<4>(0).select(0, rows),
        }
    }

    /// What the weights are, in words, and the alignment with each class.
    pub(crate) fn explained(self, model: &FewShotModel) -> Result<(String, Vec<ExampleAlignment>)> {
        let _span = profile::span(Phase::Align);
        let hint = "`task.test.examples: 0` writes no examples; see `Explanation` for what an alignment must report";
        let explained = model.alignment.explain(self.query.clone(), self.support.clone());
        let Explanation { what, weights, shots } = explained.map_err(|error| error.help(hint))?;
        let costs = frame_costs(self.query, self.support, shots);
        let [pairs, rows, columns] = costs.dims();
        let fits = |pair: &Vec<Vec<f32>>| pair.len() == rows && pair.iter().all(|row| row.len() == columns);
        if weights.len() != pairs || !weights.iter().all(fits) {
            return Err(Error::failed(format!(
                "the alignment's explanation ({what}) does not have {pairs} matrices of {rows} × {columns} weights, \
                 the frames of the query and of {shots} shots"
            ))
            .help(hint));
        }
        // Adding 0 makes −0 a plain 0.
        let rounded = |value: f32| (value * 1e4).round() / 1e4 + 0.0;
        let costs: Vec<f32> = costs.into_data().iter::<f32>().map(rounded).collect();
        let alignments = costs.chunks(rows * columns).zip(weights).map(|(costs, weights)| ExampleAlignment {
            costs: costs.chunks(columns).map(<[f32]>::to_vec).collect(),
            weights: weights.into_iter().map(|row| row.into_iter().map(rounded).collect()).collect(),
        });
        Ok((what, alignments.collect()))
    }
}
