//! The test of the chosen weights, and its records.

use super::{FewShot, Parts};
use burn::module::Module;
use maclip_framework::engine::context::RunContext;
use maclip_framework::engine::embedding::embedding;
use maclip_framework::engine::episodes::{Episode, EpisodeList};
use maclip_framework::engine::evaluation::{self, Outcome};
use maclip_framework::engine::examples::{Gallery, GalleryOptions};
use maclip_framework::engine::features::ClipSource;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::copy_atomically;
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::recipe::expectation::{TestResult, mean_ci95};
use maclip_framework::runs::embedding::Embedding;
use maclip_framework::runs::records::EpisodeRecord;
use maclip_framework::slots::dataset::{Class, Split};
use std::path::Path;

/// Test queries that are kept as examples by each rule, where the recipe does not say it.
const EXAMPLES: usize = 3;

impl FewShot {
    /// Tests the chosen weights and writes the records. The texts say why there are no examples or no map, where they
    /// could not be made.
    pub(super) fn test(
        &self,
        context: &RunContext,
        model: &FewShotModel,
        source: &ClipSource,
        parts: &Parts,
    ) -> Result<(TestResult, Vec<String>)> {
        let (list, test) = (&parts.test, &parts.data[Split::Test as usize]);
        // All runs on one list share its file.
        let shared = context.shared.join(EpisodeList::file_name(&list.hash));
        if !shared.is_file() {
            match &self.test.list {
                Some(file) => copy_atomically(Path::new(&file.path), &shared)?,
                None => list.write(&shared, &test.classes)?,
            }
        }
        let outcomes = self.learner(parts, source, context).outcomes(model, (test, list), context.progress)?;
        let mut records = context.store.fresh_records("episodes.jsonl")?;
        let lines: Vec<EpisodeRecord> = list
            .episodes
            .iter()
            .zip(&outcomes)
            .enumerate()
            .map(|(id, (episode, outcome))| record(id, episode, outcome, &test.classes))
            .collect();
        records.append_all(&lines)?;
        let kept = GalleryOptions { examples: self.test.examples.unwrap_or(EXAMPLES), occlusion: self.test.occlusion };
        let split = evaluation::SplitEpisodes { classes: &test.classes, texts: &test.texts, list };
        // The weights of each episode are gone.
        let gallery = match self.fine_tune {
            Some(_) => Err(Error::failed("every episode was judged with weights of its own")),
            None => Gallery::new(&model.valid(), source, &split, &outcomes, kept),
        };
        let mut notes = Vec::new();
        match gallery {
            Ok(gallery) => {
                let mut examples = gallery.examples.examples.iter();
                if kept.occlusion > 0 && kept.examples > 0 && examples.all(|example| example.occlusion.is_none()) {
                    notes.push(
                        "no frame of an example was covered (`task.test.occlusion`): the clips of an episode see each \
                         other, or a frame has fewer pixels along a side than cells"
                            .to_owned(),
                    );
                }
                gallery.write(context.store)?;
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            // The test is done, and its result holds without examples.
            Err(error) => notes.push(format!("no examples of the test: {}", error.reason())),
        }
        if self.test.map_clips > 0 {
            match self.embedding(context, model, source, parts) {
                Ok(embedding) => context.store.write_json(Embedding::FILE, &embedding)?,
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => notes.push(format!("no map of the test's clips: {}", error.reason())),
            }
        }
        let (value, ci95) = mean_ci95(&outcomes.iter().map(Outcome::accuracy).collect::<Vec<_>>());
        let result = TestResult {
            metric: "accuracy".to_owned(),
            value,
            ci95,
            episodes: outcomes.len() as u64,
            episodes_hash: list.hash.clone(),
            way: self.way,
            shot: self.shot,
        };
        Ok((result, notes))
    }

    /// The map of the test's clips.
    fn embedding(
        &self,
        context: &RunContext,
        model: &FewShotModel,
        source: &ClipSource,
        parts: &Parts,
    ) -> Result<Embedding> {
        if self.fine_tune.is_some() {
            return Err(Error::failed("every episode was judged with weights of its own"));
        }
        let before = match parts.params.trainable > 0 && self.trains() {
            true => Some(parts.begun(context.recipe)?.valid()),
            false => None,
        };
        let classes = &parts.data[Split::Test as usize].classes;
        embedding((before.as_ref(), &model.valid()), source, classes, self.test.map_clips)
    }
}

pub(in crate::tasks) fn record(id: usize, episode: &Episode, outcome: &Outcome, classes: &[Class]) -> EpisodeRecord {
    let clip = |class: usize, clip: usize| classes[class].clips[clip].clone();
    EpisodeRecord {
        id: id as u64,
        classes: episode.classes.iter().map(|&class| classes[class].name.clone()).collect(),
        support: episode
            .classes
            .iter()
            .zip(&episode.support)
            .map(|(&class, clips)| clips.iter().map(|&i| clip(class, i)).collect())
            .collect(),
        queries: episode.queries.iter().map(|&(label, i)| clip(episode.classes[label], i)).collect(),
        labels: episode.queries.iter().map(|&(label, _)| label).collect(),
        predictions: outcome.predictions.clone(),
        correct: outcome.correct,
        distances: outcome.distances.clone(),
        probabilities: outcome.probabilities.clone(),
    }
}
