//! `maclip verify RUN`: runs the recorded episodes again from the checkpoint and compares every prediction.

use super::test::runs_of;
use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::run_list::run_path;
use crate::terminal::{say, say_data};
use clap::Args;
use maclip_framework::engine::episodes::EpisodeList;
use maclip_framework::engine::execute::{self, Options};
use maclip_framework::engine::retest;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::as_value;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::EpisodeRecord;
use maclip_language::{Arguments as Changes, Change, Node, Origin};
use maclip_reports::format::percent_interval;
use serde_json::json;
use std::path::PathBuf;

/// Test a run again on its recorded episodes, and compare every prediction
#[derive(Args)]
pub struct Arguments {
    /// Run directory, or FOLDER/VARIANT where it has one run
    run: PathBuf,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("verify", 165, Arguments, verify);

/// A folder that is removed in the end, whatever happens.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // What is left there is of no use to anybody; the next start of the system removes it too.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn verify(mut arguments: Arguments) -> Result<()> {
    arguments.run = run_path(&arguments.run)?;
    let run = RunDirectory::open(&arguments.run)?;
    run.verify()?;
    let Some(test) = run.test().filter(|test| test.metric == "accuracy") else {
        let help = match run.manifest.imported {
            Some(_) => "it was imported: `maclip test` tests it here",
            None => "finish it with `maclip run`",
        };
        return Err(Error::failed(format!("{} has no test of episodes", arguments.run.display())).help(help));
    };
    let runs = runs_of(&arguments.run)?;
    let list = arguments.run.join("..").join(EpisodeList::file_name(&test.episodes_hash));
    let mut changes = vec![("task.test.examples", json!(0))];
    if list.is_file() {
        let path = list.canonicalize().map_err(|error| Error::io("find", &list, error))?;
        changes.push(("task.test.list", json!({"path": as_value(&path)?, "hash": test.episodes_hash})));
    }
    // Kept frames and features are those of the run's own folder.
    let caches = maclip_framework::recipe::Recipe::frozen(&arguments.run)?.compute.caches(&runs);
    changes.push(("compute.cache_folder", json!(as_value(&caches)?)));
    let change = |(path, value): (&str, serde_json::Value)| Change {
        path: path.to_owned(),
        origin: Origin::Default,
        value: Some(Node::from_json(&value)),
    };
    let progress = Console::new();
    stop_on_ctrl_c(&progress)?;
    let again = retest::of(
        &arguments.run,
        &Changes { others: changes.into_iter().map(change).collect(), ..Changes::default() },
        &progress,
    )?;
    let place = Temporary(std::env::temp_dir().join(format!("maclip-verify-{}", std::process::id())));
    let made = execute::execute(&again, &place.0, Options::default(), &progress)?;
    let inputs = run.manifest.inputs(&run.path).changed(&made.manifest.inputs(&made.path));
    let compared = compare(&run.episodes()?, &made.episodes()?)?;
    let Compared { predictions, different, first, probability } = &compared;
    if arguments.json {
        say_data(json!({
            "run": arguments.run, "predictions": predictions, "different": different, "first": first,
            "largest_difference_of_a_probability": probability, "changed_inputs": inputs, "recorded": test, "again": made.test(),
        }))?;
    } else {
        let value = percent_interval(test.value, test.ci95);
        say(format!("{}: {value} % of {} episodes", arguments.run.display(), test.episodes))?;
        say(format!("  {} of {predictions} predictions are the same", predictions - different))?;
        say(format!("  largest difference of a probability: {probability:.1e}"))?;
        inputs.iter().try_for_each(|name| say(format!("  not as it was: {name}")))?;
    }
    match (different, first) {
        (0, _) if inputs.is_empty() => Ok(()),
        (0, _) => Err(Error::failed("what the run was made of has changed, though the predictions are the same")),
        (count, first) => {
            let first = first.as_ref().map_or_else(String::new, |first| format!("; the first: {first}"));
            Err(Error::failed(format!("{count} of {predictions} predictions differ{first}")).help(
                "another device, processor or version of the program rounds differently, which turns close calls; \
                 `maclip runs show` says what made the run",
            ))
        }
    }
}

#[derive(Debug, PartialEq)]
struct Compared {
    predictions: usize,
    different: usize,
    /// The first query that was answered otherwise.
    first: Option<String>,
    /// Largest difference of a probability, 0 to 1.
    probability: f32,
}

/// # Errors
/// Where the episodes are not the same ones.
fn compare(before: &[EpisodeRecord], now: &[EpisodeRecord]) -> Result<Compared> {
    let mut compared = Compared { predictions: 0, different: 0, first: None, probability: 0.0 };
    if before.len() != now.len() {
        return Err(Error::failed(format!("{} episodes were recorded, and {} made again", before.len(), now.len())));
    }
    for (before, now) in before.iter().zip(now) {
        let clips = |record: &EpisodeRecord| {
            (record.classes.clone(), record.support.clone(), record.queries.clone(), record.labels.clone())
        };
        if clips(before) != clips(now) {
            return Err(Error::failed(format!("episode {} has other clips now", before.id))
                .help("the list of the dataset has changed since"));
        }
        compared.predictions += before.predictions.len();
        for (query, (then, again)) in before.predictions.iter().zip(&now.predictions).enumerate() {
            if then != again {
                compared.different += 1;
                compared.first.get_or_insert_with(|| {
                    let class = |at: &usize| before.classes.get(*at).map_or("?", String::as_str);
                    let clip = &before.queries[query];
                    format!("episode {}, {clip}: {} then, {} now", before.id, class(then), class(again))
                });
            }
        }
        let all = |record: &EpisodeRecord| record.probabilities.concat();
        let largest = all(before).iter().zip(all(now)).map(|(then, now)| (then - now).abs()).fold(0.0, f32::max);
        compared.probability = compared.probability.max(largest);
    }
    Ok(compared)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(predictions: Vec<usize>, probabilities: Vec<Vec<f32>>) -> EpisodeRecord {
        EpisodeRecord {
            id: 0,
            classes: vec!["push".into(), "pull".into()],
            support: vec![vec!["push/1".into()], vec!["pull/1".into()]],
            queries: vec!["push/2".into(), "pull/2".into()],
            labels: vec![0, 1],
            correct: 0,
            predictions,
            distances: Vec::new(),
            probabilities,
        }
    }

    #[test]
    fn every_prediction_is_compared() {
        let before = [record(vec![0, 1], vec![vec![0.75, 0.25], vec![0.5, 0.5]])];
        let same = compare(&before, &before).unwrap();
        assert_eq!(same, Compared { predictions: 2, different: 0, first: None, probability: 0.0 });
        let now = [record(vec![0, 0], vec![vec![0.75, 0.25], vec![0.75, 0.25]])];
        let other = compare(&before, &now).unwrap();
        assert_eq!((other.different, other.probability), (1, 0.25));
        assert_eq!(other.first.unwrap(), "episode 0, pull/2: pull then, push now");
        let mut moved = before.clone();
        moved[0].queries.swap(0, 1);
        assert!(compare(&before, &moved).unwrap_err().to_string().contains("other clips"));
        assert!(compare(&before, &[]).is_err());
    }
}
