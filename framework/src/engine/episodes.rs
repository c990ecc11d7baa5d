//! Episodes: small classification tasks, drawn from the classes of one split.

use crate::error::{Error, Result};
use crate::files::{TEXT, read_regular, sha256, write_atomically};
use crate::random::Stream;
use crate::slots::dataset::{Class, Split};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Numbers of classes and clips of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Number of classes.
    pub way: usize,
    /// Support clips of each class.
    pub shot: usize,
    /// Query clips of each class.
    pub queries: usize,
}

/// One episode. Classes are positions in the split's list of classes, clips are positions in the class's list of clips.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episode {
    /// The classes, `[way]`.
    pub classes: Vec<usize>,
    /// The support clips, `[way][shot]`.
    pub support: Vec<Vec<usize>>,
    /// The queries in random order, `[way · queries]`: (label, clip). The label is a position in `classes`.
    pub queries: Vec<(usize, usize)>,
}

/// Checks that a split has enough classes and clips for episodes of `shape`.
///
/// # Errors
/// Where it does not. The message names the first class that has too few clips.
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

/// Draws episode `index` of a stream: classes uniformly, clips without replacement inside the episode, queries in
/// random order. The same arguments give the same episode.
///
/// The split must have passed [`check`].
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

/// Divides the clips of a split among at most `most` episodes. A class with more clips left is drawn more often, so
/// that few are left over when no episode can be made any more.
fn divide(shape: Shape, classes: &[Class], clips: &Stream, draws: &Stream, most: usize) -> Vec<Episode> {
    let needed = shape.shot + shape.queries;
    let shuffled = |(at, class): (usize, &Class)| clips.at(at as u64).distinct(class.clips.len(), class.clips.len());
    let mut left: Vec<Vec<usize>> = classes.iter().enumerate().map(shuffled).collect();
    let mut episodes = Vec::new();
    while episodes.len() < most {
        let mut rng = draws.at(episodes.len() as u64);
        let mut able: Vec<usize> = (0..left.len()).filter(|&class| left[class].len() >= needed).collect();
        if able.len() < shape.way {
            break;
        }
        let mut episode = Episode { classes: Vec::new(), support: Vec::new(), queries: Vec::new() };
        for label in 0..shape.way {
            let mut at = rng.below(able.iter().map(|&class| left[class].len()).sum());
            let place = able.iter().position(|&class| {
                let here = at < left[class].len();
                at = at.saturating_sub(left[class].len());
                here
            });
            let class = able.remove(place.expect("the number is below the sum"));
            let rest = left[class].len() - needed;
            let own = left[class].split_off(rest);
            episode.classes.push(class);
            episode.queries.extend(own[shape.shot..].iter().map(|&clip| (label, clip)));
            episode.support.push(own[..shape.shot].to_vec());
        }
        let order = rng.distinct(episode.queries.len(), episode.queries.len());
        episode.queries = order.into_iter().map(|i| episode.queries[i]).collect();
        episodes.push(episode);
    }
    episodes
}

/// A fixed list of episodes. Two lists with the same hash have the same clips in the same episodes.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeList {
    /// The shape of every episode.
    pub shape: Shape,
    /// The episodes, in order.
    pub episodes: Vec<Episode>,
    /// SHA-256 (hex) over shape, class names, clip ids and episodes.
    pub hash: String,
}

/// An episode list as a file. Its positions are those in its own `classes`.
#[derive(Serialize, Deserialize)]
struct ListFile {
    /// Missing in a file that was not written by a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    shape: Shape,
    classes: Vec<Class>,
    episodes: Vec<Episode>,
}

/// SHA-256 (hex) of the names of classes and the ids of their clips.
///
/// # Errors
/// Where they cannot be written as JSON.
pub fn list_checksum(classes: &[Class]) -> Result<String> {
    let named: Vec<_> = classes.iter().map(|class| (&class.name, &class.clips)).collect();
    checksum(&named)
}

fn checksum(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_vec(value)
        .map_err(|error| Error::failed(format!("the episode list cannot be written: {error}")))?;
    Ok(sha256(&text))
}

impl EpisodeList {
    /// Draws `count` episodes of `split`. `seed` is that of the evaluation and not of the training, so that all runs of
    /// a study have the same list.
    ///
    /// # Errors
    /// Where the split is too small, see [`check`].
    pub fn new(shape: Shape, split: Split, classes: &[Class], seed: u64, count: usize) -> Result<Self> {
        check(shape, split, classes)?;
        let stream = Stream::new(seed, &format!("episodes/{}", split.name()));
        let episodes: Vec<Episode> = (0..count as u64).map(|index| draw(shape, classes, &stream, index)).collect();
        Self::of(shape, classes, episodes)
    }

    /// Draws at most `most` episodes of `split` of which no two share a clip. There are fewer where the clips do not
    /// suffice. Then the episodes are independent, and an interval over them also speaks of other clips of these
    /// classes. The sampling without replacement of Lafargue et al., 2024 (arXiv 2409.02850).
    ///
    /// # Errors
    /// Where the split is too small for two episodes.
    pub fn without_replacement(shape: Shape, split: Split, classes: &[Class], seed: u64, most: usize) -> Result<Self> {
        check(shape, split, classes)?;
        let stream = |what: &str| Stream::new(seed, &format!("{what}/{}", split.name()));
        let episodes = divide(shape, classes, &stream("divided clips"), &stream("divided episodes"), most);
        if episodes.len() < 2 {
            return Err(Error::failed(format!(
                "the clips of split {} make {} episode without replacement, and an interval needs 2",
                split.name(),
                episodes.len()
            ))
            .help("lower task.way, task.shot or the queries per class, or draw with replacement"));
        }
        Self::of(shape, classes, episodes)
    }

    fn of(shape: Shape, classes: &[Class], episodes: Vec<Episode>) -> Result<Self> {
        let named: Vec<_> = classes.iter().map(|class| (&class.name, &class.clips)).collect();
        let hash = checksum(&(shape, named, &episodes))?;
        Ok(Self { shape, episodes, hash })
    }

    /// Name of the file with the list of this hash, in the folder of a recipe's runs.
    pub fn file_name(hash: &str) -> String {
        let digits: String = hash.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        format!("episodes-{digits}.json")
    }

    /// Writes the list to `path`, with the `classes` that it was drawn from.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path, classes: &[Class]) -> Result<()> {
        let file = ListFile {
            hash: Some(self.hash.clone()),
            shape: self.shape,
            classes: classes.to_vec(),
            episodes: self.episodes.clone(),
        };
        let bytes = serde_json::to_vec(&file)
            .map_err(|error| Error::failed(format!("{} cannot be written: {error}", path.display())))?;
        write_atomically(path, &bytes)
    }

    /// The hash of the list in the file at `path`. One that is written there is not checked.
    ///
    /// # Errors
    /// Where the file cannot be read, or is no episode list.
    pub fn hash_of(path: &Path) -> Result<String> {
        let file: ListFile = read_file(path)?;
        match file.hash {
            Some(hash) => Ok(hash),
            None => Ok(Self::of(file.shape, &file.classes, file.episodes)?.hash),
        }
    }

    /// The shape of the episodes in the file at `path`.
    ///
    /// # Errors
    /// Where the file cannot be read, or is no episode list.
    pub fn shape_of(path: &Path) -> Result<Shape> {
        #[derive(Deserialize)]
        struct Shaped {
            shape: Shape,
        }
        Ok(read_file::<Shaped>(path)?.shape)
    }

    /// Reads a list that [`EpisodeList::write`] wrote, or that was written by hand without a hash, for the dataset as
    /// it is now: `classes` are those of `split`. They may have another order and more clips than the list was drawn
    /// from.
    ///
    /// # Errors
    /// Where the file cannot be read, its hash does not fit its episodes, an episode does not have the list's shape, or
    /// a class or clip of an episode is not in `classes`.
    pub fn read(path: &Path, split: Split, classes: &[Class]) -> Result<Self> {
        let file: ListFile = read_file(path)?;
        let wrong = |what: String| {
            Error::failed(format!("{}: {what}", path.display()))
                .help("an episode list is what a run writes as episodes-*.json; take it as it was written")
        };
        let whole = Self::of(file.shape, &file.classes, file.episodes)?;
        if file.hash.is_some_and(|hash| hash != whole.hash) {
            return Err(wrong("its hash does not fit its episodes".to_owned()));
        }
        // Positions there → positions here.
        let mut places: Vec<Option<(usize, Vec<Option<usize>>)>> = Vec::new();
        for class in &file.classes {
            places.push(classes.iter().position(|other| other.name == class.name).map(|place| {
                let here: HashMap<&str, usize> =
                    classes[place].clips.iter().enumerate().map(|(at, clip)| (clip.as_str(), at)).collect();
                (place, class.clips.iter().map(|clip| here.get(clip.as_str()).copied()).collect())
            }));
        }
        let Shape { way, shot, queries } = whole.shape;
        let class_of = |class: usize| -> Result<&(usize, Vec<Option<usize>>)> {
            let known = file.classes.get(class).ok_or_else(|| wrong(format!("it has no class {class}")))?;
            places[class].as_ref().ok_or_else(|| wrong(format!("split {} has no class `{}`", split.name(), known.name)))
        };
        let clip_of = |class: usize, clip: usize| -> Result<usize> {
            let known = file.classes.get(class).and_then(|class| class.clips.get(clip));
            let known = known.ok_or_else(|| wrong(format!("class {class} has no clip {clip}")))?;
            class_of(class)?.1[clip].ok_or_else(|| wrong(format!("split {} has no clip `{known}`", split.name())))
        };
        if whole.episodes.is_empty() {
            return Err(wrong("it has no episode".to_owned()));
        }
        let moved = whole.episodes.iter().map(|episode| {
            let fits = episode.classes.len() == way
                && episode.support.len() == way
                && episode.support.iter().all(|clips| clips.len() == shot)
                && episode.queries.len() == way * queries
                && episode.queries.iter().all(|&(label, _)| label < way);
            if !fits {
                return Err(wrong("an episode does not have the list's shape".to_owned()));
            }
            if let Some((class, clip)) = repeated(episode) {
                return Err(wrong(format!("an episode has clip {clip} of class {class} twice")));
            }
            Ok(Episode {
                classes: episode.classes.iter().map(|&class| Ok(class_of(class)?.0)).collect::<Result<_>>()?,
                support: (episode.classes.iter().zip(&episode.support))
                    .map(|(&class, clips)| clips.iter().map(|&clip| clip_of(class, clip)).collect())
                    .collect::<Result<_>>()?,
                queries: (episode.queries.iter())
                    .map(|&(label, clip)| Ok((label, clip_of(episode.classes[label], clip)?)))
                    .collect::<Result<_>>()?,
            })
        });
        Ok(Self { episodes: moved.collect::<Result<_>>()?, ..whole })
    }
}

/// The first class and clip that an episode has twice, such as a query that is a support clip too.
fn repeated(episode: &Episode) -> Option<(usize, usize)> {
    let supports = episode.classes.iter().zip(&episode.support);
    let supports = supports.flat_map(|(&class, clips)| clips.iter().map(move |&clip| (class, clip)));
    let queries = episode.queries.iter().map(|&(label, clip)| (episode.classes[label], clip));
    let mut seen = HashSet::new();
    supports.chain(queries).find(|clip| !seen.insert(*clip))
}

fn read_file<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = read_regular(path, TEXT).map_err(|error| Error::io("read", path, error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Error::failed(format!("{} is no episode list: {error}", path.display()))
            .help("an episode list is what a run writes as episodes-*.json")
    })
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
    fn fuzz_episode_files() {
        let shape = Shape { way: 2, shot: 1, queries: 1 };
        let classes = classes(3, 4);
        let list = EpisodeList::new(shape, Split::Test, &classes, 1, 3).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("episodes.json");
        list.write(&path, &classes).unwrap();
        let written = std::fs::read(&path).unwrap();
        let mut by_hand: serde_json::Value = serde_json::from_slice(&written).unwrap();
        by_hand.as_object_mut().unwrap().remove("hash");
        let by_hand = serde_json::to_vec(&by_hand).unwrap();
        maclip_fuzzing::each("episode-files", &[&written, &by_hand], |bytes| {
            std::fs::write(&path, bytes).unwrap();
            let read = EpisodeList::read(&path, Split::Test, &classes);
            // What is read can be used: every position is that of a class and a clip.
            for episode in read.iter().flat_map(|list| &list.episodes) {
                let clips = episode
                    .support
                    .iter()
                    .enumerate()
                    .flat_map(|(label, clips)| clips.iter().map(move |&clip| (label, clip)));
                for (label, clip) in clips.chain(episode.queries.iter().copied()) {
                    assert!(clip < classes[episode.classes[label]].clips.len());
                }
            }
            let _ = (EpisodeList::hash_of(&path), EpisodeList::shape_of(&path));
        });
    }

    #[test]
    fn without_replacement_no_clip_is_in_two_episodes() {
        let shape = Shape { way: 3, shot: 1, queries: 2 };
        let mut uneven = classes(5, 9);
        uneven[0].clips.truncate(4);
        for (classes, made) in [(classes(3, 9), 3), (classes(6, 9), 6), (uneven, 4)] {
            let list = EpisodeList::without_replacement(shape, Split::Test, &classes, 1, 1000).unwrap();
            let mut clips: Vec<(usize, usize)> = Vec::new();
            for episode in &list.episodes {
                assert_eq!(repeated(episode), None);
                assert_eq!((episode.classes.len(), episode.queries.len()), (3, 6));
                let support = episode.classes.iter().zip(&episode.support);
                clips.extend(support.flat_map(|(&class, clips)| clips.iter().map(move |&clip| (class, clip))));
                clips.extend(episode.queries.iter().map(|&(label, clip)| (episode.classes[label], clip)));
            }
            let all = clips.len();
            clips.sort_unstable();
            clips.dedup();
            assert_eq!((clips.len(), all), (list.episodes.len() * 9, list.episodes.len() * 9));
            assert!(list.episodes.len() >= made, "{} episodes of {made}", list.episodes.len());
        }
        let list =
            |seed, most| EpisodeList::without_replacement(shape, Split::Test, &classes(6, 9), seed, most).unwrap();
        assert_eq!(list(1, 1000), list(1, 1000));
        assert_ne!(list(1, 1000).hash, list(2, 1000).hash);
        // Fewer episodes are the first of them.
        assert_eq!(list(1, 2).episodes, list(1, 1000).episodes[..2]);
        let error = EpisodeList::without_replacement(shape, Split::Test, &classes(3, 5), 1, 9).unwrap_err();
        assert!(error.reason().contains("make 1 episode"), "{error}");
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
    fn a_list_is_replayed_on_a_dataset_that_has_grown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        let shape = Shape { way: 3, shot: 2, queries: 1 };
        let old = classes(4, 5);
        let list = EpisodeList::new(shape, Split::Test, &old, 1, 20).unwrap();
        list.write(&path, &old).unwrap();
        assert_eq!(EpisodeList::hash_of(&path).unwrap(), list.hash);
        assert_eq!(EpisodeList::read(&path, Split::Test, &old).unwrap(), list);

        let mut new = classes(5, 7);
        new.reverse();
        new.iter_mut().for_each(|class| class.clips.reverse());
        let moved = EpisodeList::read(&path, Split::Test, &new).unwrap();
        assert_eq!(moved.hash, list.hash);
        for (before, after) in list.episodes.iter().zip(&moved.episodes) {
            for ((&a, clips_a), (&b, clips_b)) in
                before.classes.iter().zip(&before.support).zip(after.classes.iter().zip(&after.support))
            {
                let names = |class: &Class, clips: &[usize]| -> Vec<String> {
                    clips.iter().map(|&clip| class.clips[clip].clone()).collect()
                };
                assert_eq!(names(&old[a], clips_a), names(&new[b], clips_b));
            }
        }

        let message = EpisodeList::read(&path, Split::Test, &classes(2, 5)).unwrap_err().to_string();
        assert!(message.contains("split test has no class"), "{message}");
        let message = EpisodeList::read(&path, Split::Test, &classes(4, 3)).unwrap_err().to_string();
        assert!(message.contains("has no clip `"), "{message}");
        let text = std::fs::read_to_string(&path).unwrap().replacen("\"shot\":2", "\"shot\":1", 1);
        std::fs::write(&path, text).unwrap();
        let message = EpisodeList::read(&path, Split::Test, &old).unwrap_err().to_string();
        assert!(message.contains("hash does not fit"), "{message}");
    }

    #[test]
    fn a_list_can_be_written_by_hand_and_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            EpisodeList::read(&path, Split::Test, &classes(3, 4))
        };
        let text = r#"{"shape": {"way": 2, "shot": 1, "queries": 1},
            "classes": [{"name": "class 2", "clips": ["2/0", "2/3"]}, {"name": "class 0", "clips": ["0/1", "0/2"]}],
            "episodes": [{"classes": [0, 1], "support": [[0], [1]], "queries": [[0, 1], [1, 0]]}]}"#;
        let list = read(text).unwrap();
        assert_eq!(EpisodeList::hash_of(&path).unwrap(), list.hash);
        assert_eq!(EpisodeList::shape_of(&path).unwrap(), Shape { way: 2, shot: 1, queries: 1 });
        let episode = &list.episodes[0];
        assert_eq!((&episode.classes[..], &episode.queries[..]), (&[2, 0][..], &[(0, 3), (1, 1)][..]));
        let twice = read(&text.replace("[[0, 1], [1, 0]]", "[[0, 0], [1, 0]]")).unwrap_err().to_string();
        assert!(twice.contains("clip 0 of class 0 twice"), "{twice}");
        let none = read(r#"{"shape": {"way": 2, "shot": 1, "queries": 1}, "classes": [], "episodes": []}"#);
        assert!(none.unwrap_err().to_string().contains("no episode"));
    }

    #[test]
    fn a_split_that_is_too_small_is_named() {
        let shape = Shape { way: 5, shot: 5, queries: 1 };
        let few = check(shape, Split::Val, &classes(3, 9)).unwrap_err().to_string();
        assert!(few.contains("split val has 3"), "{few}");
        let short = check(shape, Split::Test, &classes(5, 5)).unwrap_err().to_string();
        assert!(short.contains("`class 0`") && short.contains("need 6"), "{short}");
    }
}
