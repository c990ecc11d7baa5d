//! The clips behind the answers of a variant: for each pair of a true and a predicted class, those that were asked.

use crate::format;
use crate::gallery::Clip;
use crate::load::Run;
use crate::strips::Strip;
use crate::summary::Variant;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Clips of a pair that the page names.
const MOST_CLIPS: usize = 6;
/// Pairs that are listed where there are no scripts.
const LISTED: usize = 12;
/// Pairs that the page can show; the others have only their number.
const MOST_PAIRS: usize = 1600;

/// Answers of one variant over all its runs.
#[derive(Clone, Debug, Serialize)]
pub struct Answers {
    variant: String,
    /// Names of the classes and ids of the clips that the pairs speak of.
    classes: Vec<String>,
    clips: Vec<Clip>,
    /// By number of answers, the most frequent first.
    pairs: Vec<Pair>,
    /// The most frequent mistakes, in words.
    listed: Vec<Listed>,
    /// What is said of a clip without a picture.
    bare: &'static str,
}

/// Queries of a class that got an answer. Serialised as a list: true class, predicted class, queries, number of clips,
/// and some of them with counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Pair(usize, usize, u64, usize, Vec<(usize, u64)>);

#[derive(Clone, Debug, Serialize)]
struct Listed {
    class: String,
    taken_for: String,
    queries: String,
    /// How many of its clips are shown, where they are not all.
    shown: String,
    clips: Vec<ListedClip>,
}

#[derive(Clone, Debug, Serialize)]
struct ListedClip {
    id: String,
    strip: Option<Strip>,
    times: String,
}

impl Answers {
    /// Of the runs of a variant; `None` where they did not record which clips they asked about. `pictured` are the
    /// clips whose pictures may be shown, and of others `bare` is said.
    pub fn of<'a>(
        variant: &Variant,
        runs: &[Run],
        pictured: impl Iterator<Item = &'a Clip>,
        bare: &'static str,
    ) -> Option<Self> {
        let own = runs.iter().filter(|run| variant.paths.contains(&run.directory.path));
        let mut counts: HashMap<(&str, &str), HashMap<&str, u64>> = HashMap::new();
        for episodes in own.filter_map(|run| run.episodes.as_ref()) {
            let list = &episodes.list;
            let answers = list.labels.iter().zip(&episodes.predictions).zip(&list.queries_of);
            for (number, ((label, prediction), clip)) in answers.enumerate() {
                let asked = list.classes_of(number / list.queries);
                let name = |position: u16| list.classes[asked[usize::from(position)] as usize].as_str();
                let pair = counts.entry((name(*label), name(*prediction))).or_default();
                *pair.entry(list.clips[*clip as usize].as_str()).or_default() += 1;
            }
        }
        if counts.is_empty() {
            return None;
        }
        let mut found: Vec<_> = counts
            .into_iter()
            .map(|(pair, clips)| {
                let mut clips: Vec<(&str, u64)> = clips.into_iter().collect();
                clips.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
                (clips.iter().map(|(_, times)| times).sum::<u64>(), pair, clips)
            })
            .collect();
        found.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        found.truncate(MOST_PAIRS);
        let strips: BTreeMap<&str, &Clip> =
            pictured.filter(|clip| clip.strip.is_some()).map(|clip| (clip.id.as_str(), clip)).collect();
        let mut answers = Self {
            variant: variant.label.clone(),
            classes: Vec::new(),
            clips: Vec::new(),
            pairs: Vec::new(),
            listed: Vec::new(),
            bare,
        };
        let (mut classes, mut clips) = (HashMap::new(), HashMap::new());
        for (queries, (class, prediction), asked) in found {
            let all = asked.len();
            let strip = |id: &str| strips.get(id).and_then(|clip| clip.strip.clone());
            // Clips with a picture come first: they show most.
            let (mut shown, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(|(id, _)| strip(id).is_some());
            shown.extend(others);
            shown.truncate(MOST_CLIPS);
            if class != prediction && answers.listed.len() < LISTED {
                let clips = shown.iter().map(|(id, times)| ListedClip {
                    id: (*id).to_owned(),
                    strip: strip(id),
                    times: format::times(*times),
                });
                answers.listed.push(Listed {
                    class: class.to_owned(),
                    taken_for: prediction.to_owned(),
                    queries: format::plural(queries as usize, "answer"),
                    shown: if shown.len() < all { some(shown.len(), all) } else { String::new() },
                    clips: clips.collect(),
                });
            }
            let mut place = |name: &str| {
                *classes.entry(name.to_owned()).or_insert_with(|| {
                    answers.classes.push(name.to_owned());
                    answers.classes.len() - 1
                })
            };
            let (class, prediction) = (place(class), place(prediction));
            let shown = shown.into_iter().map(|(id, times)| {
                let place = *clips.entry(id.to_owned()).or_insert_with(|| {
                    answers.clips.push(Clip { id: id.to_owned(), strip: strip(id) });
                    answers.clips.len() - 1
                });
                (place, times)
            });
            let pair = Pair(class, prediction, queries, all, shown.collect());
            answers.pairs.push(pair);
        }
        Some(answers)
    }

    /// For the script of the page. `<` is written as an escape, so that no name can end the element that holds it.
    pub fn json(&self) -> String {
        let strip = |clip: &Clip| clip.strip.as_ref().map(|strip| (strip.id.clone(), strip.frames));
        let clips: Vec<_> = self.clips.iter().map(|clip| (&clip.id, strip(clip))).collect();
        let (classes, pairs, bare) = (&self.classes, &self.pairs, self.bare);
        let value = serde_json::json!({"classes": classes, "clips": clips, "pairs": pairs, "bare": bare});
        value.to_string().replace('<', "\\u003c")
    }
}

/// `; shown: 6 of 12 clips`
pub fn some(shown: usize, all: usize) -> String {
    format!("; shown: {} of {} clips", format::whole(shown as u64), format::whole(all as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::study;

    #[test]
    fn every_answer_is_counted_and_its_clips_are_named() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let loaded = load(&[folder.path().to_owned()]).unwrap();
        let group = summarise(&loaded).groups.remove(0);
        let best = group.best().unwrap();
        let answers = Answers::of(best, &loaded.runs, std::iter::empty(), "bare").unwrap();
        // Three seeds, 200 episodes, five classes, four queries of each.
        assert_eq!(answers.pairs.iter().map(|pair| pair.2).sum::<u64>(), 3 * 200 * 20);
        let classes = best.classes.as_ref().unwrap();
        for Pair(class, prediction, queries, all, clips) in &answers.pairs {
            assert!(clips.len() <= *all && (clips.len() == *all || clips.len() == MOST_CLIPS));
            let place = |at: &usize| classes.names.binary_search(&answers.classes[*at]).unwrap();
            assert_eq!(*queries, classes.answers[place(class)][place(prediction)]);
            // A clip's name begins with its class.
            assert!(clips.iter().all(|(clip, _)| answers.clips[*clip].id.starts_with(&answers.classes[*class])));
        }
        assert!(answers.listed.iter().all(|pair| pair.class != pair.taken_for) && !answers.listed.is_empty());
    }
}
