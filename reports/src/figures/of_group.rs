//! The figures of one group of variants.

use super::curves::Along;
use super::map::{self, Projection};
use super::scale::{decades, durations};
use super::seeds::{Panel, Seed};
use super::tradeoff::{self, Price};
use super::{Album, Figure, Line, Named, Point, Way, Ways, bars, classes, curves, heat, phases, seeds};
use crate::curve::{At, BINS};
use crate::format;
use crate::palette::Colour;
use crate::summary::{Classes, Difference, Group, Variant};
use maclip_framework::model::plan::short;
use maclip_framework::runs::embedding::{Embedding, Map};

/// The most bars of a figure that can still be read.
const MOST_BARS: usize = 24;
/// The most lines.
const MOST_LINES: usize = 10;
/// The most small panels.
const MOST_PANELS: usize = 12;
/// What the line of a figure of accuracy against its cost is.
const PARETO: &str = "; the dashed Pareto line joins what no other beats in both";
/// The switches of the page.
static COSTS: Ways = Ways { word: "against", about: "Accuracy against its costs" };
static PROJECTIONS: Ways = Ways { word: "by", about: "Test clips as points of a plane" };
/// The most classes of a confusion matrix.
const MOST_CLASSES: usize = 40;

pub fn draw(prefix: &str, group: &Group, map: Option<&(String, Embedding)>) -> Vec<Figure> {
    let metric = format::words(group.metric());
    let (name, unit, over) = (format::capitalized(&metric), format!("{metric} (%)"), group.interval());
    let mut album = Album { prefix: prefix.to_owned(), figures: Vec::new() };
    let all = points(group);
    let points = best(&all, MOST_BARS, |point| point.value.mean, |point| point.baseline);
    let base = group.baseline().map(|baseline| baseline.number);
    let fewer = |shown: &[usize], all: usize| {
        let also = if base.is_some_and(|base| shown.contains(&base)) { ", the baseline among them" } else { "" };
        match shown.len() < all {
            true => format!(" {} of {all}, the best{also}; the table has all.", shown.len()),
            false => String::new(),
        }
    };
    let several = group.variants.iter().any(|variant| variant.seeds.len() > 1);
    let mean_of = |rest: &str| if several { format!("Mean over the seeds{rest}") } else { format!("Mean{rest}") };
    let chance = group.measure.as_ref().filter(|measure| measure.way > 0).map(|measure| 1.0 / measure.way as f64);
    let title = format!("{name} of each variant");
    let dots = if points.iter().any(|point| point.seeds.len() > 1) { "; dots are single seeds" } else { "" };
    let line = if chance.is_some() { "; the dashed line is chance" } else { "" };
    let delta = if group.baseline().is_some() { ". Δ: points against the baseline on the same episodes" } else { "" };
    // A single result compares with chance at most.
    let drawn = if points.len() > 1 || chance.is_some() { bars::draw(&title, &unit, &points, chance) } else { None };
    let caption = format!(
        "Bars are means, whiskers the {over}{dots}{line}{delta}.{}",
        fewer(&numbers(&points, |point| point.number), all.len())
    );
    album.add("bars", &title, caption, drawn);

    for (id, price, about) in prices() {
        let title = format!("{name} against {}", price.name);
        let caption = format!(
            "Higher is better, further left is cheaper{}. Whiskers are the {over}. {about}",
            if tradeoff::has_line(&all, &price) { PARETO } else { "" }
        );
        // A single point compares nothing.
        let drawn = if all.len() > 1 { tradeoff::draw(&title, &unit, &all, &price) } else { None };
        album.add_way(id, Way { among: &COSTS, name: price.short }, &title, caption, drawn);
    }

    let lines = |of: fn(&Variant) -> &Vec<At>| -> (Vec<Line>, String) {
        let all = lines(group, of);
        let shown = best(&all, MOST_LINES, |line| end(group, &line.label), |line| base == Some(line.number));
        let note = fewer(&numbers(&shown, |line| line.number), all.len());
        (shown, note)
    };
    let title = "Training loss";
    let (loss, note) = lines(|variant| &variant.curve.loss);
    let band = if several { "; the band spans the seeds" } else { "" };
    let within =
        mean_of(&format!(" within at most {BINS} equal spans of steps, which smooths the noise of single steps"));
    let caption = format!("{within}{band}.{note}");
    album.add("loss", title, caption, curves::draw(title, "loss", Along::Steps, &loss, false));
    let title = format!("Validation {metric}");
    let (validation, note) = lines(|variant| &variant.curve.validation);
    let caption = match several {
        true => format!("Mean over the seeds; the band spans them, or, with one seed, is the {over}.{note}"),
        false => format!("The band is the {over}.{note}"),
    };
    album.add("validation", &title, caption, curves::draw(&title, &unit, Along::Steps, &validation, true));

    let title = "Every seed";
    let panels: Vec<Panel> = group.variants.iter().filter_map(panel).collect();
    let shown = best(&panels, MOST_PANELS, |panel| mean(&panel.seeds), |panel| base == Some(panel.named.number));
    let caption = format!(
        "A panel for each variant: thin lines are the validations of its seeds, dots at the right their tests. All panels have the same \
         axes.{}",
        fewer(&numbers(&shown, |panel| panel.named.number), panels.len())
    );
    album.add("seeds", title, caption, seeds::draw(title, &unit, &shown));

    of_classes(&mut album, group, &name, &unit);
    if let Some((variant, embedding)) = map {
        of_clips(&mut album, variant, embedding);
    }

    let title = "Where the time went";
    let all: Vec<&Variant> = group.variants.iter().filter(|variant| !variant.phases.is_empty()).collect();
    let baseline = |variant: &&Variant| variant.difference == Difference::IsBaseline;
    let shown = best(&all, MOST_BARS, |variant| variant.mean().unwrap_or(0.0), baseline);
    let spent: Vec<_> = shown.iter().map(|variant| (Named::of(variant), &variant.phases)).collect();
    let caption = format!(
        "{}: two threads spend two seconds in one.{}",
        mean_of(" of the time of all threads together, by phase"),
        fewer(&numbers(&shown, |variant| variant.number), all.len())
    );
    album.add("phases", title, caption, phases::draw(title, &spent));
    album.figures
}

fn of_classes(album: &mut Album, group: &Group, name: &str, unit: &str) {
    let Some((best, classes)) = group.best().and_then(|best| Some((best, best.classes.as_ref()?))) else {
        return;
    };
    let baseline = group.baseline().filter(|baseline| baseline.label != best.label);
    let other = |name: &str| {
        let classes = baseline?.classes.as_ref()?;
        classes.accuracy(classes.names.binary_search_by(|known| known.as_str().cmp(name)).ok()?)
    };
    let rows: Vec<classes::Row> = classes
        .names
        .iter()
        .enumerate()
        .filter_map(|(at, name)| {
            Some(classes::Row { name: name.clone(), value: classes.accuracy(at)?, other: other(name) })
        })
        .collect();
    let title = format!("{name} of each novel class");
    let baseline = baseline.map(Named::of);
    let drawn = classes::draw(&title, unit, &Named::of(best), baseline.as_ref(), &rows);
    let caption = "Queries of each class over all test episodes, from the hardest class to the easiest.".to_owned();
    album.add("classes", &title, caption, drawn);

    let title = format!("What {} takes for what", best.label);
    let (shown, all) = (most_confused(classes), classes.names.len());
    let names: Vec<String> = shown.iter().map(|class| classes.names[*class].clone()).collect();
    let shares = shown.iter().map(|class| shown.iter().map(|other| classes.share(*class, *other)).collect()).collect();
    let grid = heat::Grid {
        title: &title,
        rows_are: "true class",
        columns_are: "predicted class",
        rows: names.clone(),
        columns: names,
        shares,
        half_widths: Vec::new(),
        colour: Colour::of(best.swatch),
    };
    let fewer =
        if shown.len() < all { format!(" The {} most confused of {all} classes.", shown.len()) } else { String::new() };
    let caption = format!(
        "Share of the queries of a class (row) that were taken for another (column), of those in episodes with both, in percent; \
         fuller colour is more. Columns have the numbers of the rows.{fewer}"
    );
    album.add("confusion", &title, caption, heat::draw(&grid));
}

/// The clips of the test by what `variant` makes of them.
fn of_clips(album: &mut Album, variant: &str, embedding: &Embedding) {
    let title = format!("Test clips as {variant} sees them");
    let about = "Each mark is a clip, in the shape and tint of its class. The percentages are of clips whose nearest other clip, by the \
                 cosine of the whole features, is of their class: a plane cannot show all of that.";
    let shares = |map: &Map| {
        let [first, second] = map.variance.map(format::percent);
        format!("{first} and {second} % {}", map::when(map.stage))
    };
    let shares = embedding.maps.iter().map(shares).collect::<Vec<_>>().join(", ");
    let all = [
        (
            "map-pca",
            "PCA",
            Projection::Pca,
            format!("The axes are the two principal components, with {shares} of the variance."),
        ),
        (
            "map-tsne",
            "t-SNE",
            Projection::Tsne,
            "t-SNE keeps neighbours together; how far groups are from each other says nothing.".to_owned(),
        ),
    ];
    for (id, name, projection, how) in all {
        album.add_way(
            id,
            Way { among: &PROJECTIONS, name },
            &title,
            format!("{about} {how}"),
            map::draw(&title, embedding, projection),
        );
    }
}

/// Classes by position: all, or those that are recognised least.
fn most_confused(classes: &Classes) -> Vec<usize> {
    let mut order: Vec<usize> = (0..classes.names.len()).filter(|class| classes.accuracy(*class).is_some()).collect();
    let accuracy = |class: &usize| classes.accuracy(*class).unwrap_or(0.0);
    order.sort_by(|a, b| accuracy(a).total_cmp(&accuracy(b)).then(a.cmp(b)));
    order.truncate(MOST_CLASSES);
    order.sort_unstable();
    order
}

fn prices() -> [(&'static str, Price, &'static str); 4] {
    let parameters = Price {
        name: "trainable parameters",
        short: "parameters",
        of: |point| point.trainable.map(|count| count as f64),
        said: |count| format::count(count as usize),
        round: format::round_count,
        ticks: decades,
    };
    let time = Price {
        name: "training time",
        short: "time",
        of: |point| point.train_seconds,
        said: format::duration,
        round: format::round_duration,
        ticks: durations,
    };
    let memory = Price {
        name: "peak memory",
        short: "memory",
        of: |point| point.peak_memory.map(|bytes| bytes as f64),
        said: |bytes| format::bytes(bytes as u64),
        round: |bytes| format!("{}B", format::round_count(bytes)),
        ticks: decades,
    };
    let flops = Price {
        name: "FLOPs of the test",
        short: "FLOPs",
        of: |point| point.test_flops,
        said: |flops| format!("{}FLOPs", short(flops)),
        round: |flops| short(flops).trim_end().to_owned(),
        ticks: decades,
    };
    [
        ("parameters", parameters, "What trains nothing stands at 0, left of the logarithmic axis."),
        ("time", time, "Wall clock of a seed's training with its validations, on the machine that ran it."),
        ("memory", memory, "Largest resident memory of the process; what an accelerator holds is not in it."),
        ("flops", flops, "As `maclip plan` counts them: each clip of the test encoded once, and its episodes."),
    ]
}

/// At most `most` items: those of the highest value, and those to keep in any case, in their order.
fn best<T: Clone>(items: &[T], most: usize, value: impl Fn(&T) -> f64, keep: impl Fn(&T) -> bool) -> Vec<T> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| keep(&items[*b]).cmp(&keep(&items[*a])).then(value(&items[*b]).total_cmp(&value(&items[*a]))));
    order.truncate(most);
    order.sort_unstable();
    order.into_iter().map(|at| items[at].clone()).collect()
}

/// The numbers of the variants that are shown.
fn numbers<T>(shown: &[T], of: impl Fn(&T) -> usize) -> Vec<usize> {
    shown.iter().map(of).collect()
}

/// The result of the variant that a line is of.
fn end(group: &Group, label: &str) -> f64 {
    group.variants.iter().find(|variant| variant.label == label).and_then(Variant::mean).unwrap_or(0.0)
}

/// The seeds of a variant with a result.
fn panel(variant: &Variant) -> Option<Panel> {
    let result = variant.result.as_ref()?;
    let seeds = variant.seeds.iter().zip(&result.values).zip(&variant.curve.seeds);
    let seeds =
        seeds.map(|((seed, result), validation)| Seed { seed: *seed, result: *result, validation: validation.clone() });
    Some(Panel { named: Named::of(variant), seeds: seeds.collect() })
}

fn mean(seeds: &[Seed]) -> f64 {
    crate::statistics::mean(seeds.iter().map(|seed| seed.result)).unwrap_or(0.0)
}

fn points(group: &Group) -> Vec<Point> {
    let of = |variant: &Variant| {
        variant.result.as_ref().map(|result| Point {
            label: variant.label.clone(),
            value: result.over_episodes,
            difference: match &variant.difference {
                Difference::Paired(compared) => {
                    let interval = compared.paired.over_episodes;
                    Some(format::points_interval(interval.mean, interval.half_width))
                }
                _ => None,
            },
            seeds: result.values.clone(),
            trainable: variant.trainable,
            train_seconds: variant.train_seconds,
            peak_memory: variant.peak_memory,
            test_flops: variant.test_flops,
            number: variant.number,
            swatch: variant.swatch,
            baseline: variant.difference == Difference::IsBaseline,
        })
    };
    group.variants.iter().filter_map(of).collect()
}

fn lines(group: &Group, of: fn(&Variant) -> &Vec<At>) -> Vec<Line> {
    let line = |variant: &Variant| {
        let points = of(variant).clone();
        let Named { label, number, swatch } = Named::of(variant);
        (!points.is_empty()).then_some(Line { label, points, number, swatch })
    };
    group.variants.iter().filter_map(line).collect()
}
