//! Two variants against each other, on the episodes that both were tested on.

use crate::format;
use crate::lines::{Grid, GridCell, GridColumn, Kind, Look};
use crate::load::{Loaded, Problem, Run, display, load};
use crate::statistics::{self, Interval, Paired};
use crate::summary::{self, Variant};
use crate::table::LEVEL;
use maclip_framework::error::{Error, Result};
use serde::Serialize;
use std::path::Path;

/// Two variants on the episodes that both were tested on. Accuracies and differences are shares from 0 to 1.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The first variant.
    pub a: Side,
    /// The variant that it is compared with.
    pub b: Side,
    /// Accuracy of `a` minus that of `b`.
    pub difference: f64,
    /// Half width of the 95 % interval of `difference`, paired over episodes.
    pub ci95_episodes: f64,
    /// What intervals over episodes are about: these videos, or other videos of these classes too.
    pub interval: &'static str,
    /// The same over classes and videos; `None` where the records do not name them.
    pub ci95_clusters: Option<f64>,
    /// p-value of `difference`: two-sided, exact sign-flip permutation over episodes.
    pub p: f64,
    /// Number of episodes that both were tested on.
    pub episodes: usize,
    /// Accuracies of each class, the largest gain of `a` first.
    pub classes: Vec<ClassDifference>,
    /// What limits the comparison, such as runs that do not count.
    pub warnings: Vec<String>,
}

/// One variant of a [`Comparison`], over all its seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Name of its recipe.
    pub name: String,
    /// Name of the variant in its study.
    pub variant: String,
    /// What the recipe calls it, else the name of the variant.
    pub label: String,
    /// Seeds of the runs that count.
    pub seeds: Vec<u64>,
    /// Mean accuracy over the seeds.
    pub accuracy: f64,
    /// Half width of its 95 % interval over episodes.
    pub ci95_episodes: f64,
    /// The same over classes and videos; `None` where the records do not name them.
    pub ci95_clusters: Option<f64>,
    /// The same over seeds; `None` for a single seed.
    pub ci95_seeds: Option<f64>,
    /// Number of trainable parameters.
    pub trainable: Option<usize>,
}

/// How well both variants of a [`Comparison`] recognise one class.
#[derive(Clone, Debug, Serialize)]
pub struct ClassDifference {
    /// The class text.
    pub class: String,
    /// Accuracy of the first variant on queries of this class.
    pub a: f64,
    /// Accuracy of the second one.
    pub b: f64,
}

/// How many classes the text names at the top and at the bottom of the list.
const NAMED: usize = 5;

/// Compares the runs of `a` with those of `b`. Each is a run directory, a folder with the runs of one variant, or
/// `<folder>/<variant>`: the runs of that variant in the folder, all seeds.
///
/// # Errors
/// Where a path does not exist or no run of it can be read; where it holds runs of several variants; and where the two
/// were tested on different episodes.
pub fn compare(a: &Path, b: &Path) -> Result<Comparison> {
    let mut warnings = Vec::new();
    let (one, other) = (variant(a, &mut warnings)?, variant(b, &mut warnings)?);
    between((a, &one), (b, &other), warnings)
}

/// Compares two variants, which were read from these paths.
pub(crate) fn between(a: (&Path, &Variant), b: (&Path, &Variant), warnings: Vec<String>) -> Result<Comparison> {
    let ((a, one), (b, other)) = (a, b);
    let paired: Paired = summary::compare(one, other).map_err(|reason| {
        Error::failed(format!("{} and {} cannot be compared: {reason}", display(a), display(b))).help(
            "test both on one list: `maclip run RECIPE --episodes FILE`, with the other's runs/NAME/episodes-HASH.json",
        )
    })?;
    let episodes = one.result.as_ref().and_then(|result| result.right.as_ref()).map_or(0, |right| right.list.ids.len());
    Ok(Comparison {
        difference: paired.over_episodes.mean,
        ci95_episodes: paired.over_episodes.half_width,
        interval: statistics::over_episodes_of([&one.settings, &other.settings].into_iter()),
        ci95_clusters: paired.over_clusters.map(|interval| interval.half_width),
        p: paired.p,
        episodes,
        classes: classes(one, other),
        warnings,
        a: side(one)?,
        b: side(other)?,
    })
}

/// The variant that `path` names.
pub(crate) fn variant(path: &Path, warnings: &mut Vec<String>) -> Result<Variant> {
    let (loaded, wanted) = match (path.exists(), path.parent(), path.file_name()) {
        (false, Some(folder), Some(name)) if folder.is_dir() => {
            (load(&[folder.to_owned()])?, Some(name.to_string_lossy().into_owned()))
        }
        _ => (load(&[path.to_owned()])?, None),
    };
    let named = |run: &&Run| wanted.as_ref().is_none_or(|wanted| run.directory.manifest.variant == *wanted);
    let runs: Vec<&Run> = loaded.runs.iter().filter(named).collect();
    let variants = variants(&loaded);
    let list = || variants.iter().map(|(_, variant)| *variant).collect::<Vec<_>>().join(", ");
    let several = |runs: &[&Run]| {
        let of = |run: &Run| {
            let manifest = &run.directory.manifest;
            let asked = run.result().map(|test| (test.way, test.shot));
            (manifest.name.clone(), manifest.variant.clone(), manifest.lists.get("test").cloned(), asked)
        };
        runs.iter().any(|run| of(run) != of(runs[0]))
    };
    if runs.is_empty() {
        return Err(
            Error::failed(format!("{}: no such run or variant", display(path))).help(format!("there are: {}", list()))
        );
    }
    if several(&runs) {
        return Err(Error::failed(format!("{} holds the runs of several variants", display(path))).help(format!(
            "name a run directory, or FOLDER/VARIANT with the folder of one recipe; there are: {}",
            list()
        )));
    }
    let of_runs = |problem: &&Problem| runs.iter().any(|run| run.path() == problem.path);
    if let Some(problem) = loaded.problems.iter().find(of_runs) {
        return Err(Error::failed(format!("{} cannot be compared: {}", problem.path, problem.reason)));
    }
    let label = runs[0].label().unwrap_or(&runs[0].directory.manifest.variant);
    Ok(Variant::of(label.to_owned(), runs, warnings))
}

fn variants(loaded: &Loaded) -> Vec<(&str, &str)> {
    let manifests = loaded.runs.iter().map(|run| &run.directory.manifest);
    let mut variants: Vec<_> = manifests.map(|manifest| (manifest.name.as_str(), manifest.variant.as_str())).collect();
    variants.dedup();
    variants
}

fn side(variant: &Variant) -> Result<Side> {
    let result = variant.result.as_ref().ok_or_else(|| Error::failed(format!("{} has no result", variant.label)))?;
    let half = |interval: Interval| interval.half_width;
    Ok(Side {
        name: variant.name.clone(),
        variant: variant.variant.clone(),
        label: variant.label.clone(),
        seeds: variant.seeds.clone(),
        accuracy: result.over_episodes.mean,
        ci95_episodes: result.over_episodes.half_width,
        ci95_clusters: result.over_clusters.map(half),
        ci95_seeds: result.over_seeds.map(half),
        trainable: variant.trainable,
    })
}

fn classes(a: &Variant, b: &Variant) -> Vec<ClassDifference> {
    let (Some(a), Some(b)) = (&a.classes, &b.classes) else { return Vec::new() };
    let difference = |(at, class): (usize, &String)| {
        let other = b.names.binary_search(class).ok()?;
        Some(ClassDifference { class: class.clone(), a: a.accuracy(at)?, b: b.accuracy(other)? })
    };
    let mut classes: Vec<ClassDifference> = a.names.iter().enumerate().filter_map(difference).collect();
    classes.sort_by(|x, y| (y.a - y.b).total_cmp(&(x.a - x.b)).then(x.class.cmp(&y.class)));
    classes
}

impl Comparison {
    /// The comparison as text for a terminal.
    pub fn text(&self, look: &Look) -> String {
        let (shots, note) = (format::plural(self.episodes, "shared episode"), |text: &str| look.note(text, 2));
        let mut text = format!("{}\n\n", look.bold(&format!("paired on {shots}")));
        text += &self.sides().lines(look).join("\n");
        text += &format!("\n\n{}\n", look.bold(&note(&self.sentence())));
        if !self.classes.is_empty() {
            text += &format!("\n{}\n", self.classes().lines(look).join("\n"));
            let more = self.classes.len().saturating_sub(2 * NAMED);
            if more > 0 {
                text += &format!("{}\n", look.faint(&note(&format!("… {more} more between them"))));
            }
        }
        text.extend(self.warnings.iter().map(|warning| format!("\n{}", note(warning))));
        let about = [
            format!("±: {}", self.interval),
            format!("classes & videos: {}", statistics::OVER_CLUSTERS),
            format!("over seeds: {}", statistics::OVER_SEEDS),
            format!("p: {}", statistics::SIGN_FLIP),
        ];
        let said = |line: &&String| match line.split(':').next() {
            Some("classes & videos") => self.difference_clusters(),
            Some("over seeds") => self.a.ci95_seeds.or(self.b.ci95_seeds).is_some(),
            _ => true,
        };
        about.iter().filter(said).for_each(|line| text += &format!("\n{}", note(line)));
        text
    }

    /// What the two are called: their labels; without those, their variants, with the recipes where these differ. Two
    /// of one name have both.
    pub(crate) fn names(&self) -> [String; 2] {
        let sides = [&self.a, &self.b];
        let whole = sides.map(|side| format!("{} / {}", side.name, side.variant));
        let [a, b] = sides.map(|side| match side.label == side.variant && self.a.name != self.b.name {
            true => format!("{} / {}", side.name, side.variant),
            false => side.label.clone(),
        });
        if a == b { whole } else { [a, b] }
    }

    /// Whether something has an interval over classes and videos.
    fn difference_clusters(&self) -> bool {
        [self.a.ci95_clusters, self.b.ci95_clusters, self.ci95_clusters].iter().any(Option::is_some)
    }

    /// What was found, in a sentence.
    fn sentence(&self) -> String {
        let clear = self.p <= LEVEL;
        let found = match (clear, self.difference > 0.0) {
            (true, true) => "A is better",
            (true, false) => "B is better",
            (false, _) => "no clear difference",
        };
        let p = format::p_value(self.p);
        let p = if p.starts_with('<') { format!("p {p}") } else { format!("p = {p}") };
        format!("A − B: {} points, {p}: {found}", format::points_interval(self.difference, self.ci95_episodes))
    }

    /// Both variants and their difference.
    fn sides(&self) -> Grid {
        let column = GridColumn::new;
        let columns = vec![
            column("", Kind::Number, 0),
            column("variant", Kind::Name, 0),
            column("accuracy", Kind::Number, 0),
            column("classes & videos", Kind::Number, 1),
            column("over seeds", Kind::Number, 2),
            column("seeds", Kind::Number, 3),
            column("trainable", Kind::Number, 4),
        ];
        let half = |half: Option<f64>| {
            half.map_or_else(|| format::NONE.to_owned(), |half| format!("± {}", format::percent(half)))
        };
        let mut grid = Grid::new(columns);
        for ((letter, side), name) in [("A", &self.a), ("B", &self.b)].into_iter().zip(self.names()) {
            let cells = [
                letter.to_owned(),
                name,
                format::percent_interval(side.accuracy, side.ci95_episodes),
                half(side.ci95_clusters),
                half(side.ci95_seeds),
                side.seeds.len().to_string(),
                side.trainable.map_or_else(|| format::NONE.to_owned(), format::count),
            ];
            grid.push(cells.iter().map(|cell| GridCell::new(cell)).collect());
        }
        let difference = [
            "Δ".to_owned(),
            "A − B, in points".to_owned(),
            format::points_interval(self.difference, self.ci95_episodes),
            half(self.ci95_clusters),
            String::new(),
            String::new(),
            String::new(),
        ];
        grid.push(difference.iter().map(|cell| GridCell::new(cell)).collect());
        grid
    }

    /// The classes with the largest gain of either.
    fn classes(&self) -> Grid {
        let columns = [("A − B", Kind::Number), ("A", Kind::Number), ("B", Kind::Number), ("class", Kind::Name)];
        let mut grid = Grid::new(columns.map(|(heading, kind)| GridColumn::new(heading, kind, 0)).into());
        let all = self.classes.iter().enumerate();
        let ends = all.filter(|(at, _)| *at < NAMED || *at + NAMED >= self.classes.len());
        for (_, class) in ends {
            let numbers = [format::points(class.a - class.b), format::percent(class.a), format::percent(class.b)];
            let cells = numbers.iter().chain([&class.class]);
            grid.push(cells.map(|cell| GridCell::new(cell)).collect());
        }
        grid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Study, study};
    use std::path::PathBuf;

    #[test]
    fn variants_and_runs_are_compared_on_their_episodes() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let study = folder.path().join("ablation");
        let found = compare(&study.join("both"), &study.join("none")).unwrap();
        assert_eq!((found.a.seeds.len(), found.episodes, found.classes.len()), (3, 200, 12));
        assert!((found.difference - (found.a.accuracy - found.b.accuracy)).abs() < 1e-9);
        assert!(found.p < 1e-6 && found.ci95_clusters.unwrap() > found.ci95_episodes);
        let text = found.text(&Look::default());
        assert!(text.contains("A − B: +") && text.contains("… 2 more") && text.contains(": A is better"), "{text}");
        let narrow = found.text(&Look { width: Some(80), colored: false });
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        assert!(!text.contains("± –"), "{text}");
        // Of one recipe, variants are enough; a label takes their place; two of one label have their whole names.
        assert_eq!(found.names(), ["both", "none"]);
        let labelled = |a: &str, b: &str| {
            let mut found = found.clone();
            (found.a.label, found.b.label) = (a.to_owned(), b.to_owned());
            found.names()
        };
        assert_eq!(labelled("MA-CLIP", "none"), ["MA-CLIP", "none"]);
        assert_eq!(labelled("ours", "ours"), ["ablation / both", "ablation / none"]);
        // The same the other way round, of single runs.
        let mut runs: Vec<PathBuf> = std::fs::read_dir(&study).unwrap().map(|entry| entry.unwrap().path()).collect();
        runs.sort();
        let (one, other) = (compare(&runs[0], &runs[9]).unwrap(), compare(&runs[9], &runs[0]).unwrap());
        assert_eq!((one.difference, one.p), (-other.difference, other.p));
    }

    #[test]
    fn what_cannot_be_compared_says_why() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let other = Study { episodes_hash: "feed".repeat(16), folder: "other".into(), ..Study::default() };
        other.write(folder.path(), 1);
        let at = |path: &str| folder.path().join(path);
        let message = |a: &str, b: &str| compare(&at(a), &at(b)).unwrap_err().to_string();
        assert!(message("ablation/both", "other/both").contains("tested on other episodes"));
        assert!(message("ablation", "other/both").contains("several variants"));
        let text = message("ablation/bth", "other/both");
        assert!(text.contains("no such run or variant") && text.contains("tpcm"), "{text}");
    }
}
