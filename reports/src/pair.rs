//! A page for two variants: the report of both, and before it what differs between their answers.

use crate::answers::some;
use crate::compare::{Comparison, between, variant};
use crate::episodes::Right;
use crate::gallery::{Clip, Galleries, Gallery};
use crate::load::load;
use crate::strips::Strip;
use crate::summary::Variant;
use crate::table::LEVEL;
use crate::{Contents, Options, Summarised, format, summarised, write};
use maclip_framework::error::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Clips of each kind that the page shows.
const MOST_CLIPS: usize = 6;

/// What the page says of two variants before their tables.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    a: String,
    b: String,
    /// A − B with its intervals and p-value.
    difference: String,
    over_clusters: Option<String>,
    p: String,
    clear: bool,
    episodes: String,
    answers: Vec<Kind>,
    warnings: Vec<String>,
}

/// Queries that both, one or neither answered rightly.
#[derive(Clone, Debug, Serialize)]
struct Kind {
    title: String,
    queries: String,
    share: String,
    value: f64,
    /// How many of the clips are shown, where they are not all.
    shown: String,
    /// Some of them, those with a picture first.
    clips: Vec<Asked>,
}

#[derive(Clone, Debug, Serialize)]
struct Asked {
    id: String,
    strip: Option<Strip>,
    times: String,
}

/// Writes a page with all that is known of two variants to `out`, with the figures and tables of a report. The paths
/// are those of [`compare`](crate::compare). Returns the comparison and the page.
///
/// # Errors
/// As [`compare`](crate::compare), and where `out` cannot be written.
pub fn compare_page(a: &Path, b: &Path, out: &Path) -> Result<(Comparison, PathBuf)> {
    let mut warnings = Vec::new();
    let (one, other) = (variant(a, &mut warnings)?, variant(b, &mut warnings)?);
    let comparison = between((a, &one), (b, &other), warnings)?;
    let paths: Vec<PathBuf> = one.paths.iter().chain(&other.paths).cloned().collect();
    let mut loaded = load(&paths)?;
    loaded.only(&paths);
    loaded.left_out.clear();
    loaded.waiting.clear();
    let summarised = summarised(&loaded);
    let pair = Pair::of(&comparison, [&one, &other], &summarised);
    let contents = Contents { loaded: &loaded, summarised: &summarised, pair: Some(&pair) };
    write(&contents, &paths, out, &Options::default())?;
    Ok((comparison, out.join("index.html")))
}

impl Pair {
    fn of(found: &Comparison, variants: [&Variant; 2], summarised: &Summarised) -> Self {
        // They are called as in the tables below; runs of one variant in two places have the names of these.
        let all = || summarised.summary.groups.iter().flat_map(|group| &group.variants);
        let labels = variants.map(|own| all().find(|variant| variant.hash == own.hash).map(|v| v.label.clone()));
        let [a, b] = match labels {
            [Some(a), Some(b)] if a != b => [a, b],
            _ => found.names(),
        };
        let right = variants.map(|variant| variant.result.as_ref().and_then(|result| result.right.as_ref()));
        let answers = match right {
            [Some(one), Some(other)] => kinds([one, other], [&a, &b], &summarised.galleries),
            _ => Vec::new(),
        };
        Self {
            difference: format::points_interval(found.difference, found.ci95_episodes),
            over_clusters: found.ci95_clusters.map(format::percent),
            p: format::p_value(found.p),
            clear: found.p <= LEVEL,
            episodes: format::plural(found.episodes, "shared episode"),
            answers,
            warnings: found.warnings.clone(),
            a,
            b,
        }
    }
}

/// Counts queries by who answered them rightly: of several seeds, more than half.
fn kinds(right: [&Right; 2], [a, b]: [&String; 2], galleries: &Galleries) -> Vec<Kind> {
    let list = &right[0].list;
    let most = |right: &Right, query: usize| 2 * usize::from(right.counts[query]) > right.seeds;
    let mut counts = [0u64; 4];
    let mut clips: [BTreeMap<u32, u64>; 4] = Default::default();
    for query in 0..list.labels.len() {
        let kind = match [most(right[0], query), most(right[1], query)] {
            [true, true] => 0,
            [true, false] => 1,
            [false, true] => 2,
            [false, false] => 3,
        };
        counts[kind] += 1;
        if let Some(clip) = list.queries_of.get(query) {
            *clips[kind].entry(*clip).or_default() += 1;
        }
    }
    let strips: BTreeMap<&str, &Clip> = galleries
        .of_groups
        .iter()
        .flatten()
        .flat_map(|gallery: &Gallery| &gallery.clips)
        .filter(|clip| clip.strip.is_some())
        .map(|clip| (clip.id.as_str(), clip))
        .collect();
    let titles =
        ["both are right".into(), format!("only {a} is right"), format!("only {b} is right"), "both are wrong".into()];
    let kind = |((title, queries), clips): ((String, u64), BTreeMap<u32, u64>)| {
        let mut clips: Vec<(&String, u64)> =
            clips.into_iter().map(|(at, times)| (&list.clips[at as usize], times)).collect();
        // Clips with a picture first: they show most.
        let bare = |id: &String| !strips.contains_key(id.as_str());
        clips.sort_by(|a, b| bare(a.0).cmp(&bare(b.0)).then(b.1.cmp(&a.1)).then(a.0.cmp(b.0)));
        let asked = |(id, times): (&String, u64)| Asked {
            id: id.clone(),
            strip: strips.get(id.as_str()).and_then(|clip| clip.strip.clone()),
            times: format::times(times),
        };
        let share = queries as f64 / list.labels.len().max(1) as f64;
        let all = clips.len();
        Kind {
            title,
            shown: if all > MOST_CLIPS { some(MOST_CLIPS, all) } else { String::new() },
            queries: format::whole(queries),
            share: format::percent(share),
            value: share,
            clips: clips.into_iter().take(MOST_CLIPS).map(asked).collect(),
        }
    };
    titles.into_iter().zip(counts).zip(clips).map(kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::study;

    #[test]
    fn two_variants_have_a_page_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let at = |name: &str| folder.path().join("ablation").join(name);
        let (found, page) = compare_page(&at("both"), &at("none"), &folder.path().join("out")).unwrap();
        assert_eq!(found.a.variant, "both");
        let html = std::fs::read_to_string(page).unwrap();
        assert!(html.contains("only both is right") && html.contains("6 runs, 6 with a result"), "{}", &html[..2000]);
        assert!(!html.contains("tpcm"));
        // One headline, of both.
        assert_eq!(html.matches("class=\"headline\"").count(), 1);
        assert!(folder.path().join("out/figures/bars.svg").exists());
    }

    #[test]
    fn answers_are_counted_by_who_is_right() {
        use crate::testing::right;
        // Of five queries the first is right 5 and 3 times of 5, the others never.
        let (one, other) = (right(&[&[5, 0]]), right(&[&[3, 1]]));
        let empty = Galleries::of(&[]);
        let found = kinds([&one, &other], [&"a".into(), &"b".into()], &empty);
        let queries: Vec<&str> = found.iter().map(|kind| kind.queries.as_str()).collect();
        assert_eq!(queries, ["3", "2", "1", "4"]);
    }
}
