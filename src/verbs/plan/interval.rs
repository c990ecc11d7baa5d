//! `maclip plan [RECIPE] --interval 0.5`: how many test episodes and how many seeds an interval of this half width
//! needs.
//!
//! Two things move a result. The drawn episodes do: over n of them the half width is 1.96 · s / √n, with the standard
//! deviation s of an episode's accuracy. The training does, by its seed: over k seeds it is t · σ / √k with Student's t
//! for k − 1 degrees of freedom and the standard deviation σ of the seeds' results. Both s and σ are those of finished
//! runs of the recipe, whatever the size of their tests. Without any, s is that of queries that are right or wrong
//! independently of each other, half of them right: √(1/4 / queries); and σ is taken from the study of all methods.
//! Without a recipe, it is said of all finished runs below a folder.

use crate::terminal::columns::columns;
use crate::terminal::{say, say_data};
use maclip_framework::error::Result;
use maclip_framework::recipe::Recipe;
use maclip_framework::recipe::expectation::TestResult;
use maclip_framework::recipe::study::StudyRun;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::State;
use maclip_reports::format::whole;
use maclip_reports::{mean, moments, t_quantile};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

/// More seeds than this are not recommended; the number is then not said.
const SEEDS: usize = 100;
/// The deviation of seeds in points of a percent that is taken where no run says it: the median over methods and tables
/// of docs/comparison.md, where it is 0.0 to 4.5.
const USUAL_SEED_DEVIATION: f64 = 0.8;
/// What does not change how much an episode or a seed moves the result.
const WITHOUT: [&str; 9] = ["seed", "device", "compute", "clip_store", "log", "expect", "study", "name", "description"];

/// What one variant needs. Deviations are in points of a percent.
#[derive(Debug, PartialEq, Serialize)]
struct Needed {
    variant: String,
    /// Finished runs that say it.
    runs: usize,
    /// Standard deviation of an episode's accuracy.
    episode_deviation: f64,
    /// Test episodes for the half width.
    episodes: u64,
    /// Standard deviation over the seeds; `None` for fewer than two runs.
    seed_deviation: Option<f64>,
    /// Seeds for the half width; `None` where that is not known, or more than 100.
    seeds: Option<usize>,
}

impl Needed {
    /// For a half width of `points`. `results` are tests of finished runs, `queries` the queries of an episode.
    fn new(variant: &str, results: &[TestResult], queries: usize, points: f64) -> Self {
        let of_run = |test: &TestResult| 100.0 * test.ci95 * (test.episodes as f64).sqrt() / 1.96;
        let independent = 100.0 * (0.25 / queries.max(1) as f64).sqrt();
        let episode_deviation = mean(results.iter().map(of_run)).unwrap_or(independent);
        let values: Vec<f64> = results.iter().map(|test| 100.0 * test.value).collect();
        let seed_deviation = moments(&values).map(|(_, deviation)| deviation);
        Self {
            variant: variant.to_owned(),
            runs: results.len(),
            episode_deviation,
            episodes: (1.96 * episode_deviation / points).powi(2).ceil().max(2.0) as u64,
            seed_deviation,
            seeds: seed_deviation.and_then(|deviation| seeds(deviation, points)),
        }
    }
}

/// Seeds for a half width of `points` where results of seeds have this deviation. `None` where they are more than 100.
fn seeds(deviation: f64, points: f64) -> Option<usize> {
    let half_width = |seeds: usize| t_quantile(seeds - 1) * deviation / (seeds as f64).sqrt();
    (2..=SEEDS).find(|&seeds| half_width(seeds) <= points)
}

/// A number of seeds in words.
fn in_words(seeds: Option<usize>) -> String {
    seeds.map_or_else(|| format!("more than {SEEDS}"), |seeds| seeds.to_string())
}

/// Prints what the variants of `runs` need for an interval of half width `points`, from finished runs below `folder`.
/// Without `runs`, what those of all finished runs need.
pub fn plan(runs: Option<&[StudyRun]>, points: f64, folder: &Path, as_json: bool) -> Result<()> {
    let needed = match runs {
        Some(runs) => of_recipe(runs, points, folder)?,
        None => of_folder(points, folder)?,
    };
    match as_json {
        true => {
            let usual = json!({"seed_deviation": USUAL_SEED_DEVIATION, "seeds": seeds(USUAL_SEED_DEVIATION, points)});
            say_data(json!({"half_width": points, "needed": needed, "usual": usual}))
        }
        false => say(text(&needed, points, folder)),
    }
}

/// What each variant of a recipe needs.
fn of_recipe(runs: &[StudyRun], points: f64, folder: &Path) -> Result<Vec<Needed>> {
    let mut needed: Vec<Needed> = Vec::new();
    let mut read: BTreeMap<&str, Vec<Finished>> = BTreeMap::new();
    for run in runs {
        if needed.iter().any(|known| known.variant == run.variant) {
            continue;
        }
        let wanted = design(&run.recipe);
        // Variants share a folder, whose runs are read once.
        let done = match read.entry(run.recipe.name.as_str()) {
            Entry::Vacant(place) => place.insert(finished(&folder.join(&run.recipe.name))?),
            Entry::Occupied(place) => place.into_mut(),
        };
        let alike = done.iter().filter(|done| done.design == wanted);
        let results: Vec<TestResult> = alike.map(|done| done.test.clone()).collect();
        needed.push(Needed::new(&run.variant, &results, queries(&run.recipe), points));
    }
    Ok(needed)
}

/// What each variant of the finished runs below `folder` needs. Where there is none, what the usual test of one query
/// for each of five classes needs.
fn of_folder(points: f64, folder: &Path) -> Result<Vec<Needed>> {
    let mut alike: Vec<(Finished, Vec<TestResult>)> = Vec::new();
    for done in finished(folder)? {
        let test = done.test.clone();
        match alike.iter_mut().find(|(first, _)| first.design == done.design && first.name == done.name) {
            Some((_, tests)) => tests.push(test),
            None => alike.push((done, vec![test])),
        }
    }
    if alike.is_empty() {
        return Ok(vec![Needed::new("5 queries", &[], 5, points)]);
    }
    Ok(alike.iter().map(|(first, tests)| Needed::new(&first.name, tests, first.queries, points)).collect())
}

/// A finished run.
struct Finished {
    /// Its recipe and its variant, `methods/ma_clip`.
    name: String,
    design: Value,
    /// Queries of an episode.
    queries: usize,
    test: TestResult,
}

/// The finished runs below `folder` whose accuracy is known.
fn finished(folder: &Path) -> Result<Vec<Finished>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let done = RunDirectory::find(folder)?.into_iter().flatten().filter(|run| run.state() == Some(State::Done));
    let known = |test: &TestResult| test.metric == "accuracy" && test.value.is_finite() && test.ci95.is_finite();
    let read = |run: RunDirectory| {
        // A recipe that this version refuses says nothing.
        let (test, recipe) = (run.test().filter(|test| known(test))?.clone(), Recipe::frozen(&run.path).ok()?);
        let name = format!("{}/{}", run.manifest.name, run.manifest.variant);
        Some(Finished { name, design: design(&recipe), queries: queries(&recipe), test })
    };
    Ok(done.filter_map(read).collect())
}

/// What runs have in common that differ in their seed or in their number of test episodes.
fn design(recipe: &Recipe) -> Value {
    let mut tree = recipe.resolved.to_json();
    if let Some(keys) = tree.as_object_mut() {
        keys.retain(|key, _| !WITHOUT.contains(&key.as_str()));
    }
    if let Some(test) = tree.pointer_mut("/task/test").and_then(Value::as_object_mut) {
        test.retain(|key, _| key == "queries");
    }
    tree
}

/// Queries of a test episode.
fn queries(recipe: &Recipe) -> usize {
    let number = |path: &str| recipe.resolved.at(path).and_then(|node| node.to_json().as_u64()).unwrap_or(1) as usize;
    number("task.way") * number("task.test.queries")
}

fn text(needed: &[Needed], points: f64, folder: &Path) -> String {
    let head = ["variant", "runs", "deviation of an episode", "episodes", "deviation of a seed", "seeds"];
    let rows = needed.iter().map(|needed| {
        let seeds = needed.seed_deviation.map_or_else(|| "–".to_owned(), |_| in_words(needed.seeds));
        [
            needed.variant.clone(),
            needed.runs.to_string(),
            format!("{:.1} %", needed.episode_deviation),
            whole(needed.episodes),
            needed.seed_deviation.map_or_else(|| "–".to_owned(), |deviation| format!("{deviation:.2} %")),
            seeds,
        ]
    });
    let mut lines = vec![format!("for a 95 % interval of ± {points} points"), String::new()];
    lines.extend(columns(&[head.map(str::to_owned)].into_iter().chain(rows).collect::<Vec<_>>(), 5));
    lines.push(String::new());
    if needed.iter().any(|needed| needed.runs == 0) {
        lines.push(format!(
            "Without a finished run in {}, an episode is taken to deviate as queries do that are right half of the time, \
             each by itself.",
            folder.display()
        ));
    }
    if needed.iter().any(|needed| needed.seed_deviation.is_none()) {
        lines.push(format!(
            "The deviation of seeds is known after runs with two seeds. With {USUAL_SEED_DEVIATION} points, the median of the \
             methods in docs/comparison.md, {} seeds are needed.",
            in_words(seeds(USUAL_SEED_DEVIATION, points))
        ));
    }
    lines.push(
        "More episodes make the interval over episodes narrow, and say nothing of other videos: for that draw with \
         task.test.sampling=without_replacement."
            .to_owned(),
    );
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(value: f64, ci95: f64, episodes: u64) -> TestResult {
        let text = json!({"metric": "accuracy", "value": value, "ci95": ci95, "episodes": episodes,
            "episodes_hash": "", "way": 5, "shot": 1, "queries": 1});
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn the_usual_deviation_of_seeds_is_that_of_the_comparison() {
        let page = crate::shipped::TOPICS.iter().find(|topic| topic.name == "comparison").unwrap().text;
        let rows = page.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 12);
        let deviations = rows.flat_map(|row| row.split('(').skip(1).filter_map(|part| part.split(')').next()));
        let mut deviations: Vec<f64> = deviations.map(|value| value.parse().unwrap()).collect();
        deviations.sort_by(f64::total_cmp);
        let middle = deviations.len() / 2;
        assert!(deviations.len() > 50, "{}", deviations.len());
        assert_eq!((deviations[middle - 1] + deviations[middle]) / 2.0, USUAL_SEED_DEVIATION);
        assert_eq!((deviations[0], deviations.last()), (0.0, Some(&4.5)));
    }

    #[test]
    fn episodes_and_seeds_are_those_of_the_formulas() {
        // 0.2 points over 10,000 episodes: a deviation of 10.2 points; (1.96 · 10.2 / 0.5)² = 1600.
        let needed = Needed::new("a", &[result(0.6, 0.002, 10_000)], 5, 0.5);
        assert!((needed.episode_deviation - 20.0 / 1.96).abs() < 1e-9);
        assert_eq!((needed.episodes, needed.seed_deviation, needed.seeds), (1600, None, None));
        // Three seeds with the deviation 1: t₂ / √3 = 2.48, t₅ / √6 = 1.05, t₆ / √7 = 0.92.
        let seeds = [0.59, 0.60, 0.61].map(|value| result(value, 0.002, 10_000));
        let needed = Needed::new("a", &seeds, 5, 1.0);
        assert!((needed.seed_deviation.unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(needed.seeds, Some(7));
        assert_eq!(Needed::new("a", &seeds, 5, 0.01).seeds, None);
        // t₁₂ · 0.8 / √13 = 0.483, t₁₁ · 0.8 / √12 = 0.508.
        assert_eq!(super::seeds(USUAL_SEED_DEVIATION, 0.5), Some(13));
        // No run: √(0.25 / 5) = 22.36 points; (1.96 · 22.36 / 0.5)² = 7683.2.
        let needed = Needed::new("a", &[], 5, 0.5);
        assert_eq!((needed.runs, needed.episodes), (0, 7684));
    }
}
