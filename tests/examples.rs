//! The examples of a test: what a run keeps to look at, against its records.

mod common;

use common::{maclip, ok, run_directory, small_quickstart};
use maclip_framework::images::decode_jpeg;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::examples::{Example, Examples, Rule};
use maclip_framework::runs::records::EpisodeRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// All files of the examples of a run by name.
fn files(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(run.join("examples")).unwrap().map(|entry| entry.unwrap());
    entries.map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap())).collect()
}

/// Probabilities of a query, the highest first.
fn sorted(probabilities: &[f32]) -> Vec<f32> {
    let mut sorted = probabilities.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    sorted
}

/// The three largest values that `of` finds among the queries, at most one of an episode and of a clip, and none of a
/// clip in `shown`.
fn best(
    episodes: &[EpisodeRecord],
    shown: &BTreeSet<String>,
    of: impl Fn(&EpisodeRecord, usize) -> Option<f32>,
) -> Vec<f32> {
    let of_episode = |episode: &EpisodeRecord| -> Vec<(f32, u64, String)> {
        let value = |query| Some((of(episode, query)?, episode.id, episode.queries[query].clone()));
        (0..episode.queries.len()).filter_map(value).collect()
    };
    let mut all: Vec<(f32, u64, String)> = episodes.iter().flat_map(of_episode).collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut clips, mut used, mut found) = (shown.clone(), BTreeSet::new(), Vec::new());
    for (value, episode, clip) in all {
        if found.len() < 3 && !used.contains(&episode) && clips.insert(clip) {
            used.insert(episode);
            found.push(value);
        }
    }
    found
}

/// Place of the query of `example` in its episode.
fn place(episodes: &[EpisodeRecord], example: &Example) -> (usize, usize) {
    let episode = example.episode as usize;
    (episode, episodes[episode].queries.iter().position(|clip| *clip == example.query).unwrap())
}

fn check(run: &RunDirectory) -> Examples {
    let (examples, episodes) = (run.examples().unwrap().unwrap(), run.episodes().unwrap());
    let files = files(&run.path);
    let named: BTreeSet<&String> = examples.clips.values().collect();
    assert_eq!(files.len(), named.len() + 1, "every file is named");
    for name in named {
        let image = decode_jpeg(&files[name]).unwrap();
        assert_eq!((image.width, image.height), (64 * examples.frames, 64), "{name}");
        assert!(image.pixels.iter().any(|value| *value != image.pixels[0]), "{name} shows nothing");
    }
    for example in &examples.examples {
        let (episode, query) = place(&episodes, example);
        let record = &episodes[episode];
        assert_eq!((example.label, example.prediction), (record.labels[query], record.predictions[query]));
        for (class, found) in example.classes.iter().enumerate() {
            assert_eq!((&found.name, &found.support), (&record.classes[class], &record.support[class]));
            let numbers = (record.distances[query][class], record.probabilities[query][class]);
            assert_eq!((found.distance, found.probability), numbers);
            assert!(found.support.iter().all(|clip| examples.clips.contains_key(clip)));
            let shown = class == example.label || class == example.prediction;
            assert_eq!(found.alignment.is_some(), shown);
            for matrix in found.alignment.iter().flat_map(|alignment| [&alignment.costs, &alignment.weights]) {
                assert!(matrix.len() == examples.frames && matrix.iter().all(|row| row.len() == examples.frames));
            }
            let weights = found.alignment.iter().flat_map(|alignment| alignment.weights.concat());
            assert_eq!(weights.fold(0.0, f32::max), if shown { 1.0 } else { 0.0 });
        }
        assert!(examples.clips.contains_key(&example.query));
    }
    let of = |rule: Rule| -> Vec<(usize, usize)> {
        examples.examples.iter().filter(|e| e.rule == rule).map(|example| place(&episodes, example)).collect()
    };
    let (mistakes, close, drawn) = (of(Rule::ConfidentMistake), of(Rule::CloseCall), of(Rule::Random));
    assert_eq!((mistakes.len(), close.len(), drawn.len()), (3, 3, 3));
    let confidence = |episode: &EpisodeRecord, query: usize| {
        (episode.labels[query] != episode.predictions[query]).then(|| sorted(&episode.probabilities[query])[0])
    };
    let found: Vec<f32> =
        mistakes.iter().map(|&(episode, query)| confidence(&episodes[episode], query).unwrap()).collect();
    assert_eq!(found, best(&episodes, &BTreeSet::new(), confidence), "the most confident mistakes");
    let nearness = |episode: &EpisodeRecord, query: usize| {
        let sorted = sorted(&episode.probabilities[query]);
        Some(sorted[1] - sorted[0])
    };
    let clip = |&(episode, query): &(usize, usize)| episodes[episode].queries[query].clone();
    let shown: BTreeSet<String> = mistakes.iter().map(clip).collect();
    let found: Vec<f32> = close.iter().map(|&(episode, query)| nearness(&episodes[episode], query).unwrap()).collect();
    assert_eq!(found, best(&episodes, &shown, nearness), "the closest calls");
    let clips: BTreeSet<String> = mistakes.iter().chain(&close).chain(&drawn).map(clip).collect();
    assert_eq!(clips.len(), 9, "a clip is shown once");
    examples
}

#[test]
fn a_run_keeps_examples_that_hold_against_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let [first, none, again] = ["first", "none", "again"].map(|name| folder.path().join(name));
    ok(&small_quickstart(first.to_str().unwrap(), &[]));
    let variants = [("ma_clip", "soft alignment path"), ("frozen_clip", "by occlusion")];
    for (variant, what) in variants {
        let directory = run_directory(&first, "quickstart", variant);
        let examples = check(&RunDirectory::open(&directory).unwrap());
        assert!(examples.explanation.contains(what), "{}", examples.explanation);
    }

    // Whether there are any is no part of a run's identity, and one that is done stays as it is.
    let without = ["--set", "task.test.examples=0"];
    let trained = run_directory(&first, "quickstart", "ma_clip");
    let before = files(&trained);
    let ran = maclip(&small_quickstart(first.to_str().unwrap(), &without));
    assert_eq!(ran.stderr.matches("done already, nothing to do").count(), 2, "{}", ran.stderr);
    assert_eq!(files(&trained), before);

    let frozen = |runs: &Path| run_directory(runs, "quickstart", "frozen_clip");
    let only = ["--only", "frozen_clip"];
    ok(&small_quickstart(none.to_str().unwrap(), &[without, only].concat()));
    assert_eq!(frozen(&none).file_name(), frozen(&first).file_name());
    assert!(!frozen(&none).join("examples").exists());
    assert_eq!(RunDirectory::open(&frozen(&none)).unwrap().examples().unwrap(), None);
    ok(&small_quickstart(again.to_str().unwrap(), &[only, ["--set", "compute.feature_cache=false"]].concat()));
    assert!(files(&frozen(&again)) == files(&frozen(&first)), "the same run keeps the same bytes");
}
