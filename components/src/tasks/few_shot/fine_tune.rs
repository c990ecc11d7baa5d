//! Fine-tuning on the supports: before an episode is judged, the weights take some steps on its support clips.
//!
//! Source: the transfer baselines of few-shot learning, such as Chen et al. 2019 (arXiv 1904.04232), with the loss of
//! the recipe in place of a new classifier, so that it works with every method. The episode of a step has the support
//! clips twice: as supports, and, with other random frames and augmentation, as the queries. Each episode begins with
//! the same weights, and no query is looked at.

use super::SplitData;
use super::learner::EpisodeLearner;
use burn::module::Module;
use maclip_framework::engine::episodes::{Episode, EpisodeList, Shape};
use maclip_framework::engine::evaluation::{self, Outcome, SplitEpisodes};
use maclip_framework::engine::training::Stepper;
use maclip_framework::error::{Error, Result};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::gradients::clip_gradients;
use maclip_framework::progress::{Progress, Silent, stop_requested};
use maclip_framework::random::Stream;
use maclip_framework::slots::optimizer::Optimizer;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};

/// Options of the fine-tuning on the supports.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FineTune {
    /// Optimizer steps on the support clips of each episode.
    #[schemars(range(min = 1, max = 1000))]
    pub steps: u64,
    /// Their learning rate; `null` is that of the optimizer. Groups of the optimizer keep their ratio to it.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub learning_rate: Option<f64>,
    /// Whether this is the only training: the weights of the recipe are fine-tuned, and `train` is not used, except for
    /// its `clip_norm`.
    pub alone: bool,
}

impl Default for FineTune {
    fn default() -> Self {
        Self { steps: 10, learning_rate: None, alone: false }
    }
}

/// The episode of a step: the support clips are also the queries.
fn of_supports(Episode { classes, support, .. }: &Episode) -> Episode {
    let queries = support.iter().enumerate();
    Episode {
        classes: classes.clone(),
        support: support.clone(),
        queries: queries.flat_map(|(label, clips)| clips.iter().map(move |clip| (label, *clip))).collect(),
    }
}

impl FineTune {
    /// The shape of the episodes of the steps, before an episode of the shape `judged`.
    pub(super) fn shape(&self, Shape { way, shot, .. }: Shape) -> Shape {
        Shape { way, shot, queries: shot }
    }

    /// The outcomes of the episodes `list` of `data`, each with weights that begin as those of `model` and take
    /// [`FineTune::steps`] steps of `optimizer`. `learner` is that of the training; frames and augmentation of the
    /// steps are drawn by the number of the episode.
    ///
    /// # Errors
    /// Where a clip cannot be opened or a loss is not finite; [`Error::Interrupted`] after a request to stop.
    pub(super) fn evaluate(
        &self,
        learner: &EpisodeLearner,
        optimizer: &dyn Optimizer,
        model: &FewShotModel,
        (data, list): (&SplitData, &EpisodeList),
        progress: &dyn Progress,
    ) -> Result<Vec<Outcome>> {
        let source = learner.source;
        let texts = (0..source.devices()).map(|at| data.texts.to_device(source.on(at).loader().device));
        let learner = EpisodeLearner {
            shape: self.shape(list.shape),
            train: data,
            texts: texts.collect(),
            clips: Stream::new(learner.seed, "fine_tune/clips"),
            ..learner.clone()
        };
        let factor = self.learning_rate.map_or(1.0, |rate| rate / optimizer.learning_rate());
        progress.begin("test", 0, list.episodes.len() as u64);
        let done = AtomicU64::new(0);
        let one = |(at, episode): (usize, &Episode)| {
            if stop_requested() {
                return Err(Error::Interrupted);
            }
            let mut tuned = model.clone().fork(source.loader().device);
            let (supports, mut stepper) = (of_supports(episode), Stepper::new(optimizer, &tuned)?);
            for step in 0..self.steps {
                let input = learner.prepared(at as u64 * self.steps + step, supports.clone(), 0)?;
                let stepped = learner.episode_step(&tuned, &input);
                let (_, gradients) = stepped.map_err(|error| {
                    Error::failed(format!("fine-tuning on the supports of episode {at}: {}", error.reason()))
                })?;
                let (_, gradients) = clip_gradients(&tuned, gradients, learner.task.train.clip_norm);
                tuned = stepper.step(factor, tuned, gradients);
            }
            let alone = EpisodeList { episodes: vec![episode.clone()], shape: list.shape, hash: String::new() };
            let split = SplitEpisodes { classes: &data.classes, texts: &data.texts, list: &alone };
            let outcome = evaluation::evaluate(&tuned.valid(), source, &split, &Silent)?.remove(0);
            progress.at(done.fetch_add(1, Ordering::Relaxed) + 1, "");
            Ok(outcome)
        };
        let outcomes = list.episodes.par_iter().enumerate().map(one).collect::<Result<_>>()?;
        progress.end();
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_shot_fine_tunes_on_the_supports_alone() {
        let episode =
            Episode { classes: vec![7, 3], support: vec![vec![0, 2], vec![1, 4]], queries: vec![(0, 5), (1, 6)] };
        let of = of_supports(&episode);
        assert_eq!((of.classes, of.support), (episode.classes, episode.support));
        assert_eq!(of.queries, [(0, 0), (0, 2), (1, 1), (1, 4)]);
    }
}
