//! Clips of the test as points of a plane, before the training and after it.

use super::Drawn;
use super::canvas::{self, Anchor, Canvas, Of, WIDTH};
use super::text::{Font, SMALL, widest, wrap_all};
use crate::format;
use crate::palette::Colour;
use maclip_framework::runs::embedding::{Embedding, Map, Stage};
use std::collections::BTreeSet;

const TOP: f64 = 84.0;
const GAP: f64 = 16.0;
/// A panel of two, and one alone.
const SIDE: f64 = (WIDTH - GAP) / 2.0;
const ALONE: f64 = 380.0;
/// Pixels around the outermost points.
const MARGIN: f64 = 14.0;
const RADIUS: f64 = 6.0;
/// Disc, square, diamond, and two triangles.
const SHAPES: usize = 5;
/// Columns of the list of classes, where its names are short, and a row of it.
const COLUMNS: usize = 3;
const ROW: f64 = 20.0;
/// What the mark of a class takes of its column.
const KEY: f64 = 26.0;

/// How the features became points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    Pca,
    Tsne,
}

impl Projection {
    fn points(self, map: &Map) -> &[[f32; 2]] {
        match self {
            Projection::Pca => &map.pca,
            Projection::Tsne => &map.tsne,
        }
    }
}

/// A panel for each stage; a clip has the shape and the tint of its class, which the list below names. `None` where a
/// map does not have a point for each clip.
pub fn draw(title: &str, embedding: &Embedding, projection: Projection) -> Option<Drawn> {
    let Embedding { clips, maps, .. } = embedding;
    if clips.is_empty() || maps.is_empty() || maps.iter().any(|map| projection.points(map).len() != clips.len()) {
        return None;
    }
    let classes: Vec<&str> =
        clips.iter().map(|clip| clip.class.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let number = |class: &str| classes.binary_search(&class).unwrap_or_default();
    let side = if maps.len() > 1 { SIDE } else { ALONE };
    let bottom = TOP + side;
    let names: Vec<String> = classes.iter().map(|class| (*class).to_owned()).collect();
    let room = |columns: usize| WIDTH / columns as f64 - KEY;
    let columns = if widest(&names, Font::SMALL) <= room(COLUMNS) { COLUMNS } else { COLUMNS - 1 };
    let names = wrap_all(&names, room(columns), Font::SMALL);
    let lines = names.iter().map(Vec::len).max().unwrap_or(1);
    let row = ROW + SMALL * 1.15 * (lines - 1) as f64;
    let rows = classes.len().div_ceil(columns);
    let said = |map: &Map| {
        let alike = format::percent(map.nearest_is_same_class);
        format!("{}, {alike} % have a clip of their class as the nearest", when(map.stage))
    };
    let alt = format!("{title}: {}.", maps.iter().map(said).collect::<Vec<_>>().join("; "));
    let svg = canvas::draw(bottom + 20.0 + row * rows as f64, &alt, |canvas| {
        canvas.title(title);
        let about = "and the share of the clips whose nearest other clip is of their class";
        canvas.small(about, (0.0, 38.0), Anchor::Start, Colour::MUTED);
        for (panel, map) in maps.iter().enumerate() {
            let left = panel as f64 * (side + GAP);
            let alike = format::percent(map.nearest_is_same_class);
            let head = format!("{}: {alike} %", when(map.stage));
            canvas.text(&head, (left, TOP - 18.0), Anchor::Start, Colour::INK);
            frame(canvas, (left, TOP), side);
            for (clip, at) in clips.iter().zip(placed(projection.points(map), (left, TOP), side)) {
                mark(canvas, number(&clip.class), at);
                let (corner, end) = ((at.0 - RADIUS, at.1 - RADIUS), (at.0 + RADIUS, at.1 + RADIUS));
                canvas.spot(corner, end, &Of::class(&clip.class), &format!("{}: {}", clip.class, clip.id));
            }
        }
        for (at, name) in names.iter().enumerate() {
            let left = (at / rows) as f64 * WIDTH / columns as f64;
            let middle = bottom + 20.0 + row * ((at % rows) as f64 + 0.5);
            mark(canvas, at, (left + RADIUS + 2.0, middle));
            canvas.lines(name, (left + 2.0 * RADIUS + 8.0, middle), Anchor::Start, Font::SMALL);
        }
    });
    let mut data = vec![["clip", "class", "stage", "x", "y"].map(str::to_owned).to_vec()];
    for map in maps {
        data.extend(clips.iter().zip(projection.points(map)).map(|(clip, [x, y])| {
            let [x, y] = [x, y].map(|value| format::signed(&value.to_string()));
            vec![clip.id.clone(), clip.class.clone(), when(map.stage).to_owned(), x, y]
        }));
    }
    Some(Drawn { svg, data })
}

/// The stage in words.
pub fn when(stage: Stage) -> &'static str {
    match stage {
        Stage::Before => "before the training",
        Stage::After => "as tested",
    }
}

/// Pixels of `points` in a square panel, all by one factor, so that distances in both directions are alike.
fn placed(points: &[[f32; 2]], corner: (f64, f64), side: f64) -> impl Iterator<Item = (f64, f64)> {
    let ends = |axis: usize| {
        let of = points.iter().map(|point| f64::from(point[axis]));
        of.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (across, down) = (ends(0), ends(1));
    let extent = (across.1 - across.0).max(down.1 - down.0).max(1e-9);
    let factor = (side - 2.0 * MARGIN) / extent;
    let middle = |(low, high): (f64, f64)| (low + high) / 2.0;
    points.iter().map(move |[x, y]| {
        let from = |value: &f32, ends| (f64::from(*value) - middle(ends)) * factor + side / 2.0;
        (corner.0 + from(x, across), corner.1 + side - from(y, down))
    })
}

fn frame(canvas: &mut Canvas, (left, top): (f64, f64), side: f64) {
    let (right, bottom) = (left + side, top + side);
    canvas.line(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], Colour::GRID, 1.0);
}

/// The mark of class number `class`, from 0: no two of the first 40 are alike, and none has a variant's colour.
fn mark(canvas: &mut Canvas, class: usize, (x, y): (f64, f64)) {
    let (tint, r) = (Colour::TINTS[class % Colour::TINTS.len()], RADIUS);
    let corners = match class / Colour::TINTS.len() % SHAPES {
        0 => {
            canvas.dot((x, y), r, tint);
            canvas.circle((x, y), r, Colour::MUTED, 1.0);
            return;
        }
        1 => vec![
            (x - 0.85 * r, y - 0.85 * r),
            (x + 0.85 * r, y - 0.85 * r),
            (x + 0.85 * r, y + 0.85 * r),
            (x - 0.85 * r, y + 0.85 * r),
        ],
        2 => vec![(x, y - 1.2 * r), (x + 1.2 * r, y), (x, y + 1.2 * r), (x - 1.2 * r, y)],
        3 => vec![(x, y - 1.1 * r), (x + 1.1 * r, y + 0.9 * r), (x - 1.1 * r, y + 0.9 * r)],
        _ => vec![(x, y + 1.1 * r), (x + 1.1 * r, y - 0.9 * r), (x - 1.1 * r, y - 0.9 * r)],
    };
    canvas.area(&corners, tint, 1.0);
    canvas.line(&[&corners[..], &corners[..1]].concat(), Colour::MUTED, 1.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::runs::embedding::EmbeddedClip;

    fn embedding() -> Embedding {
        let clip = |id: &str, class: &str| EmbeddedClip { id: id.to_owned(), class: class.to_owned() };
        let map = |stage, nearest_is_same_class| Map {
            stage,
            nearest_is_same_class,
            pca: vec![[0.0, 0.0], [1.0, 0.0], [0.0, 0.5]],
            variance: [0.5, 0.25],
            tsne: Vec::new(),
        };
        let clips = vec![clip("a/1", "wave"), clip("a/2", "wave"), clip("b/1", "<sit>")];
        Embedding { format: 1, clips, maps: vec![map(Stage::Before, 0.25), map(Stage::After, 0.75)] }
    }

    #[test]
    fn every_clip_stands_in_every_panel_and_every_class_in_the_list() {
        let Drawn { svg, data } = draw("Map", &embedding(), Projection::Pca).unwrap();
        assert_eq!((svg.matches("class=\"spot\"").count(), svg.matches("<circle").count()), (6, 2 * (6 + 2)));
        assert!(svg.contains(">before the training: 25.0 %<") && svg.contains(">as tested: 75.0 %<"), "{svg}");
        assert!(svg.contains("&lt;sit&gt;: b/1") && !svg.contains("<sit>"));
        assert_eq!(data.len(), 1 + 6);
        // There are no points by t-SNE.
        assert!(draw("Map", &embedding(), Projection::Tsne).is_none());
    }

    #[test]
    fn names_of_classes_that_begin_and_end_alike_are_whole() {
        let mut embedding = embedding();
        let name = |word: &str| format!("a red triangle {word} slowly downwards and then to the left");
        ["moving", "turning", "moving"]
            .iter()
            .zip(&mut embedding.clips)
            .for_each(|(word, clip)| clip.class = name(word));
        let svg = draw("Map", &embedding, Projection::Pca).unwrap().svg;
        assert!(
            svg.contains("triangle moving slowly") && svg.contains("triangle turning slowly") && !svg.contains('…')
        );
    }

    #[test]
    fn distances_in_both_directions_are_alike() {
        let at: Vec<(f64, f64)> = placed(&[[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]], (0.0, 0.0), 128.0).collect();
        assert_eq!(at, [(14.0, 89.0), (114.0, 89.0), (14.0, 39.0)]);
        assert!(placed(&[[3.0, 3.0]], (0.0, 0.0), 100.0).all(|at| at == (50.0, 50.0)));
    }
}
