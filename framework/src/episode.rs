//! Episodes: C-way K-shot tasks drawn from one split.

use crate::error::{Error, Result};
use crate::random::Stream;
use crate::slots::dataset::{Class, Split};
use serde::{Deserialize, Serialize};

/// Shape of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Number of classes.
    pub way: usize,
    /// Support clips of each class.
    pub shot: usize,
    /// Query clips of each class.
    pub queries: usize,
}

/// One episode by positions: `classes[c]` in the split's class list, clips as positions in that class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    pub classes: Vec<usize>,
    /// `[way][shot]`
    pub support: Vec<Vec<usize>>,
    /// (label, clip), shuffled.
    pub queries: Vec<(usize, usize)>,
}

/// Refuses a shape that a split cannot fill; the message names the class that falls short.
pub fn check(shape: Shape, split: Split, classes: &[Class]) -> Result<()> {
    if classes.len() < shape.way {
        return Err(Error::failed(format!(
            "{}-way episodes need {} classes, but split {} has {}",
            shape.way,
            shape.way,
            split.name(),
            classes.len()
        ))
        .help("lower task.way, or use a split with more classes"));
    }
    let needed = shape.shot + shape.queries;
    match classes.iter().find(|class| class.clips.len() < needed) {
        None => Ok(()),
        Some(class) => Err(Error::failed(format!(
            "class `{}` of split {} has {} clips; {} shots and {} queries need {needed}",
            class.name,
            split.name(),
            class.clips.len(),
            shape.shot,
            shape.queries
        ))
        .help("lower task.shot or the queries per class, or leave the class out")),
    }
}

/// Episode `index` of a stream: classes uniformly, clips without replacement inside the episode, queries in random
/// order. The split must have passed [`check`].
pub fn draw(shape: Shape, classes: &[Class], stream: &Stream, index: u64) -> Episode {
    let mut rng = stream.at(index);
    let chosen = rng.distinct(shape.way, classes.len());
    let mut support = Vec::with_capacity(shape.way);
    let mut queries = Vec::with_capacity(shape.way * shape.queries);
    for (label, &class) in chosen.iter().enumerate() {
        let clips = rng.distinct(shape.shot + shape.queries, classes[class].clips.len());
        queries.extend(clips[shape.shot..].iter().map(|&clip| (label, clip)));
        support.push(clips[..shape.shot].to_vec());
    }
    let order = rng.distinct(queries.len(), queries.len());
    let queries = order.into_iter().map(|i| queries[i]).collect();
    Episode { classes: chosen, support, queries }
}

/// A fixed list of episodes with its hash: equal hashes mean the same clips in the same episodes.
#[derive(Clone, Debug)]
pub struct EpisodeList {
    pub shape: Shape,
    pub episodes: Vec<Episode>,
    /// SHA-256 (hex) over shape, class names, clip ids and episodes.
    pub hash: String,
}

impl EpisodeList {
    /// `count` episodes of `split`. `seed` is the evaluation's own, so that all runs of a study share the list.
    pub fn new(shape: Shape, split: Split, classes: &[Class], seed: u64, count: usize) -> Result<Self> {
        use sha2::{Digest, Sha256};
        check(shape, split, classes)?;
        let stream = Stream::new(seed, &format!("episodes/{}", split.name()));
        let episodes: Vec<Episode> = (0..count as u64).map(|index| draw(shape, classes, &stream, index)).collect();
        let mut hash = Sha256::new();
        let named: Vec<_> = classes.iter().map(|class| (&class.name, &class.clips)).collect();
        let text = serde_json::to_vec(&(shape, named, &episodes))
            .map_err(|error| Error::failed(format!("the episode list cannot be written: {error}")))?;
        hash.update(text);
        let hash = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { shape, episodes, hash })
    }
}

/// Mean and half width of its 95 % interval over episodes: 1.96 · s / √n with s² = Σ(x − mean)² / n, as the field's
/// public code has it (TRX, few-shot-action-recognition).
pub fn mean_ci95(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    (mean, 1.96 * (variance / n).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(n: usize, clips: usize) -> Vec<Class> {
        (0..n)
            .map(|c| Class { name: format!("class {c}"), clips: (0..clips).map(|i| format!("{c}/{i}")).collect() })
            .collect()
    }

    #[test]
    fn an_episode_holds_distinct_classes_and_clips() {
        let shape = Shape { way: 5, shot: 2, queries: 3 };
        let list = EpisodeList::new(shape, Split::Test, &classes(8, 6), 1, 50).unwrap();
        for episode in &list.episodes {
            for label in 0..5 {
                let mut clips = episode.support[label].clone();
                clips.extend(episode.queries.iter().filter(|(l, _)| *l == label).map(|(_, clip)| *clip));
                clips.sort_unstable();
                clips.dedup();
                assert_eq!(clips.len(), 5);
            }
            let mut chosen = episode.classes.clone();
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), 5);
        }
    }

    #[test]
    fn the_hash_tells_lists_apart() {
        let shape = Shape { way: 2, shot: 1, queries: 1 };
        let hash = |seed, clips| EpisodeList::new(shape, Split::Val, &classes(4, clips), seed, 9).unwrap().hash;
        assert_eq!(hash(1, 5), hash(1, 5));
        assert_ne!(hash(1, 5), hash(2, 5));
        assert_ne!(hash(1, 5), hash(1, 6));
    }

    #[test]
    fn a_split_that_is_too_small_is_named() {
        let shape = Shape { way: 5, shot: 5, queries: 1 };
        let few = check(shape, Split::Val, &classes(3, 9)).unwrap_err().to_string();
        assert!(few.contains("split val has 3"), "{few}");
        let short = check(shape, Split::Test, &classes(5, 5)).unwrap_err().to_string();
        assert!(short.contains("`class 0`") && short.contains("need 6"), "{short}");
    }

    #[test]
    fn the_interval_is_the_hand_computed_one() {
        // mean 0.5, population variance 0.25, n 4: 1.96 * 0.5 / 2.
        let (mean, ci) = mean_ci95(&[0.0, 1.0, 0.0, 1.0]);
        assert!((mean - 0.5).abs() < 1e-12 && (ci - 0.49).abs() < 1e-12);
    }
}
