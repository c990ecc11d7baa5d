//! Test episodes in columns: 10,000 records in a few bytes for each query.

use maclip_framework::error::Result;
use maclip_framework::runs::read::each_line;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The episodes of a test: N episodes of `way` classes, `supports` support clips and `queries` queries each. Runs that
/// were tested on the same list share one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct List {
    /// `[N]`
    pub ids: Vec<u64>,
    /// Names of all classes, in the order in which the episodes name them.
    pub classes: Vec<String>,
    /// Names of all clips, likewise. Empty where the records name none.
    pub clips: Vec<String>,
    pub class_of_clip: Vec<u32>,
    pub way: usize,
    pub supports: usize,
    pub queries: usize,
    /// `[N · way]`, positions in `classes`.
    pub classes_of: Vec<u32>,
    /// `[N · supports]`, positions in `clips`.
    pub support_of: Vec<u32>,
    /// `[N · queries]`, positions in `clips`.
    pub queries_of: Vec<u32>,
    /// `[N · queries]`, positions among the classes of the episode.
    pub labels: Vec<u16>,
}

impl List {
    pub fn classes_of(&self, episode: usize) -> &[u32] {
        &self.classes_of[episode * self.way..(episode + 1) * self.way]
    }

    pub fn support_of(&self, episode: usize) -> &[u32] {
        part(&self.support_of, episode, self.supports)
    }

    pub fn queries_of(&self, episode: usize) -> &[u32] {
        part(&self.queries_of, episode, self.queries)
    }
}

/// Empty where the records name no clips.
fn part(all: &[u32], episode: usize, size: usize) -> &[u32] {
    all.get(episode * size..(episode + 1) * size).unwrap_or_default()
}

/// Whether both are the same episodes. Equal lists are mostly one shared list, which is quick to see.
pub fn same_list(one: &Arc<List>, other: &Arc<List>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

/// The episodes of a run and its answers.
#[derive(Clone, Debug)]
pub struct Episodes {
    pub list: Arc<List>,
    /// `[N · queries]`, positions among the classes of the episode.
    pub predictions: Vec<u16>,
}

/// Right answers of the runs (seeds) of a variant on one list.
#[derive(Clone, Debug)]
pub struct Right {
    pub list: Arc<List>,
    pub seeds: usize,
    /// `[N · queries]`: how many of the seeds answered rightly.
    pub counts: Vec<u16>,
}

impl Right {
    /// `None` where there are no runs, one has no records, or the lists differ.
    pub fn of(runs: &[Option<&Episodes>]) -> Option<Self> {
        let list = runs.first().copied().flatten()?.list.clone();
        let mut counts = vec![0; list.labels.len()];
        for run in runs {
            let run = run.filter(|run| same_list(&run.list, &list))?;
            let right = run.predictions.iter().zip(&list.labels).map(|(prediction, label)| prediction == label);
            counts.iter_mut().zip(right).for_each(|(count, right)| *count += u16::from(right));
        }
        Some(Self { list, seeds: runs.len(), counts })
    }

    /// Right answers of each episode, over all seeds.
    pub fn per_episode(&self) -> impl Iterator<Item = u64> {
        self.counts.chunks(self.list.queries.max(1)).map(|counts| counts.iter().map(|count| u64::from(*count)).sum())
    }

    /// Share of the seeds that answered each query rightly.
    pub fn shares(&self) -> impl Iterator<Item = f64> {
        self.counts.iter().map(|count| f64::from(*count) / self.seeds as f64)
    }
}

/// A name of a record, borrowed where the JSON has no escapes in it.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> std::result::Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

/// The fields of an `EpisodeRecord` that are kept; distances and probabilities are passed over.
#[derive(Deserialize)]
struct Line<'a> {
    id: u64,
    #[serde(borrow)]
    classes: Vec<Name<'a>>,
    #[serde(borrow)]
    support: Vec<Vec<Name<'a>>>,
    #[serde(borrow)]
    queries: Vec<Name<'a>>,
    labels: Vec<u16>,
    predictions: Vec<u16>,
}

/// Positions of names, in the order in which they come.
#[derive(Default)]
struct Names {
    known: HashMap<String, u32>,
    all: Vec<String>,
}

impl Names {
    fn position(&mut self, name: &str) -> u32 {
        if let Some(position) = self.known.get(name) {
            return *position;
        }
        let position = self.all.len() as u32;
        self.known.insert(name.to_owned(), position);
        self.all.push(name.to_owned());
        position
    }
}

impl Episodes {
    /// The episodes of `path`, an `episodes.jsonl`; `None` where it does not exist or is empty.
    ///
    /// # Errors
    /// A damaged line, by its number; an episode of another shape than the first, or one that contradicts itself.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let mut reader = Reader::default();
        each_line(path, |line| reader.line(line))?;
        Ok(reader.finish())
    }

    /// Share of an episode's queries that got its most frequent answer, mean over the episodes; `None` where an episode
    /// asks fewer queries than it has classes, which says nothing.
    pub fn same_answer(&self) -> Option<f64> {
        let queries = self.list.queries;
        if queries < self.list.way.max(1) {
            return None;
        }
        let mut counts = vec![0u32; self.list.way];
        let shares = self.predictions.chunks(queries).map(|answers| {
            counts.fill(0);
            answers.iter().for_each(|answer| counts[usize::from(*answer)] += 1);
            f64::from(counts.iter().copied().max().unwrap_or(0)) / answers.len() as f64
        });
        crate::statistics::mean(shares)
    }

    /// Share of right predictions of each episode.
    pub fn shares(&self) -> Vec<f64> {
        let queries = self.list.queries.max(1);
        let right = |(predictions, labels): (&[u16], &[u16])| {
            predictions.iter().zip(labels).filter(|(prediction, label)| prediction == label).count()
        };
        let episodes = self.predictions.chunks(queries).zip(self.list.labels.chunks(queries));
        episodes.map(|episode| right(episode) as f64 / queries as f64).collect()
    }
}

#[derive(Default)]
struct Reader {
    list: List,
    classes: Names,
    clips: Names,
    predictions: Vec<u16>,
    /// Whether the queries have names.
    named: bool,
}

impl Reader {
    /// Adds a record, or says what is wrong with it.
    fn line(&mut self, line: &str) -> std::result::Result<(), String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let supports = line.support.iter().map(Vec::len).sum();
        let shape = (line.classes.len(), supports, line.labels.len());
        let named = !line.queries.is_empty();
        let list = &mut self.list;
        if list.ids.is_empty() {
            (list.way, list.supports, list.queries) = shape;
            self.named = named;
        }
        if (shape, named) != ((list.way, list.supports, list.queries), self.named) {
            return Err("the episode has another shape than the first".into());
        }
        let asked = line.predictions.len() == line.labels.len() && (!named || line.queries.len() == line.labels.len());
        if !asked || list.queries == 0 {
            return Err("labels, predictions and queries are not one for each query".into());
        }
        if !line.support.is_empty() && line.support.len() != list.way {
            return Err("the support clips are not of each class".into());
        }
        if line.labels.iter().chain(&line.predictions).any(|position| usize::from(*position) >= list.way) {
            return Err("a label or prediction is none of the episode's classes".into());
        }
        let classes: Vec<u32> = line.classes.iter().map(|name| self.classes.position(&name.0)).collect();
        let mut clip = |name: &Name, class: u32| {
            let position = self.clips.position(&name.0);
            if position as usize == list.class_of_clip.len() {
                list.class_of_clip.push(class);
            }
            position
        };
        for (names, class) in line.support.iter().zip(&classes) {
            list.support_of.extend(names.iter().map(|name| clip(name, *class)));
        }
        for (name, label) in line.queries.iter().zip(&line.labels) {
            list.queries_of.push(clip(name, classes[usize::from(*label)]));
        }
        list.ids.push(line.id);
        list.classes_of.extend(classes);
        list.labels.extend(line.labels);
        self.predictions.extend(line.predictions);
        Ok(())
    }

    fn finish(self) -> Option<Episodes> {
        let list = List { classes: self.classes.all, clips: self.clips.all, ..self.list };
        (!list.ids.is_empty()).then(|| Episodes { list: Arc::new(list), predictions: self.predictions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id":3,"classes":["a","b"],"support":[["a/1"],["b/1"]],"queries":["b/2","a\u0020/2"],"labels":[1,0],"predictions":[1,1],"correct":1,"distances":[[0.1,0.2]]}"#;

    fn read(text: &str) -> Result<Option<Episodes>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("episodes.jsonl");
        std::fs::write(&path, text).unwrap();
        Episodes::read(&path)
    }

    #[test]
    fn a_record_becomes_positions() {
        let episodes = read(&format!("{LINE}\n")).unwrap().unwrap();
        let list = &episodes.list;
        assert_eq!((list.way, list.supports, list.queries), (2, 2, 2));
        assert_eq!(list.clips, ["a/1", "b/1", "b/2", "a /2"]);
        assert_eq!(list.class_of_clip, [0, 1, 1, 0]);
        assert_eq!((list.support_of(0), list.queries_of(0)), (&[0, 1][..], &[2, 3][..]));
        let right = Right::of(&[Some(&episodes)]).unwrap();
        assert_eq!(right.per_episode().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_contradicts_itself_is_named_by_its_line() {
        let cases = [
            (LINE.replace("\"predictions\":[1,1]", "\"predictions\":[1,2]"), "none of the episode's classes"),
            (LINE.replace("\"predictions\":[1,1]", "\"predictions\":[1]"), "not one for each query"),
            (LINE.replace("[\"a\",\"b\"]", "[\"a\",\"b\",\"c\"]"), "another shape"),
        ];
        for (line, wanted) in cases {
            let error = read(&format!("{LINE}\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains("episodes.jsonl:2") && error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn no_records_are_no_episodes() {
        assert!(read("").unwrap().is_none());
        assert!(Episodes::read(Path::new("not/here")).unwrap().is_none());
        assert!(Right::of(&[None]).is_none());
    }
}
