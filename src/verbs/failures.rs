//! `maclip failures RUN`: the test queries that were answered wrongly, the surest mistakes first.

use crate::terminal::columns::columns;
use crate::terminal::run_list::run_path;
use crate::terminal::{say, say_data, shown};
use clap::Args;
use maclip_framework::error::{Error, Result};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::EpisodeRecord;
use maclip_reports::format::percent;
use serde_json::{Value, json};
use std::path::PathBuf;

/// List the test queries that were answered wrongly, with their clips
#[derive(Args)]
pub struct Arguments {
    /// Run directory, or FOLDER/VARIANT where it has one run
    run: PathBuf,
    /// Only queries of this class
    #[arg(long)]
    class: Option<String>,
    /// At most this many, the surest mistakes first
    #[arg(long, value_name = "N", default_value_t = 20)]
    most: usize,
    /// One JSON object on stdout, with every mistake
    #[arg(long)]
    json: bool,
}

crate::verb!("failures", 168, Arguments, failures);

/// A query that was answered wrongly.
struct Failure {
    episode: u64,
    query: String,
    class: String,
    predicted: String,
    /// Support clips of the right class, and of the class that was said.
    support: [Vec<String>; 2],
    /// Probability of the class that was said, less that of the right one, 0 to 1. `None` in old records.
    margin: Option<f32>,
}

/// The wrong answers of an episode.
fn of_episode(episode: EpisodeRecord) -> Vec<Failure> {
    let EpisodeRecord { id, classes, support, queries, labels, predictions, probabilities, .. } = episode;
    let wrong = (0..queries.len()).filter(|&query| labels[query] != predictions[query]);
    wrong
        .map(|query| {
            let (label, said) = (labels[query], predictions[query]);
            let of = |class: usize| support.get(class).cloned().unwrap_or_default();
            Failure {
                episode: id,
                query: queries[query].clone(),
                class: classes[label].clone(),
                predicted: classes[said].clone(),
                support: [of(label), of(said)],
                margin: probabilities.get(query).map(|row| row[said] - row[label]),
            }
        })
        .collect()
}

impl Failure {
    fn json(&self) -> Value {
        json!({
            "episode": self.episode, "query": self.query, "class": self.class, "predicted": self.predicted,
            "margin": self.margin, "support": self.support[0], "support_of_predicted": self.support[1],
        })
    }

    fn row(&self) -> [String; 6] {
        let margin = self.margin.map_or_else(String::new, |margin| percent(f64::from(margin)));
        let (right, said) = (self.support[0].join(", "), self.support[1].join(", "));
        [
            self.episode.to_string(),
            self.class.clone(),
            self.predicted.clone(),
            margin,
            self.query.clone(),
            format!("{right} | {said}"),
        ]
    }
}

fn failures(mut arguments: Arguments) -> Result<()> {
    arguments.run = run_path(&arguments.run)?;
    let run = RunDirectory::open(&arguments.run)?;
    run.verify()?;
    let episodes = run.episodes()?;
    if episodes.is_empty() {
        return Err(Error::failed(format!("{} has no tested episodes", arguments.run.display()))
            .help("finish it with `maclip run`"));
    }
    let whole = |episode: &EpisodeRecord| {
        let (queries, way) = (episode.queries.len(), episode.classes.len());
        let known = |labels: &[usize]| labels.len() == queries && labels.iter().all(|label| *label < way);
        let rows = &episode.probabilities;
        let wide = rows.is_empty() || rows.len() == queries && rows.iter().all(|row| row.len() == way);
        known(&episode.labels) && known(&episode.predictions) && wide
    };
    if let Some(episode) = episodes.iter().find(|episode| !whole(episode)) {
        return Err(Error::failed(format!("the record of episode {} does not fit together", episode.id)));
    }
    if let Some(class) = &arguments.class
        && !episodes.iter().any(|episode| episode.classes.contains(class))
    {
        let mut names: Vec<String> = episodes.into_iter().flat_map(|episode| episode.classes).collect();
        names.sort();
        names.dedup();
        return Err(
            Error::failed(format!("the test has no class `{class}`")).help(format!("it has: {}", names.join(", ")))
        );
    }
    let asked = |label: &String| arguments.class.as_ref().is_none_or(|class| class == label);
    let of_class =
        |episode: &EpisodeRecord| episode.labels.iter().filter(|label| asked(&episode.classes[**label])).count();
    let queries: usize = episodes.iter().map(of_class).sum();
    let mut found: Vec<Failure> = episodes.into_iter().flat_map(of_episode).filter(|one| asked(&one.class)).collect();
    found.sort_by(|one, other| other.margin.unwrap_or(0.0).total_cmp(&one.margin.unwrap_or(0.0)));
    if arguments.json {
        let list: Vec<Value> = found.iter().map(Failure::json).collect();
        return say_data(
            json!({"run": shown(&arguments.run), "queries": queries, "wrong": found.len(), "failures": list}),
        );
    }
    let of = arguments.class.as_ref().map_or_else(String::new, |class| format!(" of class `{class}`"));
    let many = if queries == 1 { "query" } else { "queries" };
    say(format!("{} of {queries} {many}{of} answered wrongly", found.len()))?;
    if found.is_empty() {
        return Ok(());
    }
    let mut rows =
        vec![["episode", "class", "said", "margin, %", "query", "support | of what was said"].map(str::to_owned)];
    rows.extend(found.iter().take(arguments.most).map(Failure::row));
    say(columns(&rows, 6).join("\n"))?;
    match found.len().saturating_sub(arguments.most) {
        0 => Ok(()),
        more => say(format!("and {more} more: `--most N` shows more of them, `--json` all")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_answers_come_with_their_clips_and_margin() {
        let episode = EpisodeRecord {
            id: 7,
            classes: vec!["push".into(), "pull".into()],
            support: vec![vec!["push/1".into()], vec!["pull/1".into()]],
            queries: vec!["push/2".into(), "pull/2".into()],
            labels: vec![0, 1],
            predictions: vec![1, 1],
            correct: 1,
            distances: Vec::new(),
            probabilities: vec![vec![0.25, 0.75], vec![0.1, 0.9]],
        };
        let found = of_episode(episode);
        assert_eq!(found.len(), 1);
        let row = found[0].row();
        assert_eq!(row.each_ref().map(String::as_str), ["7", "push", "pull", "50.0", "push/2", "push/1 | pull/1"]);
    }
}
