//! How a query was aligned with a class: the distance of every pair of frames, and the pairs that decide the metric.

use super::Drawn;
use super::canvas::{self, Anchor, Canvas, Of, Picture};
use super::text::Font;
use crate::format;
use crate::palette::Colour;

/// Frame distances and the metric's weights, `[query frame][support frame]`; weights are 0 to 1.
pub struct Matrix<'a> {
    pub title: &'a str,
    /// What the weights are.
    pub explanation: &'a str,
    pub costs: &'a [Vec<f32>],
    pub weights: &'a [Vec<f32>],
    /// The smallest and the largest distance of the colours: those of all matrices that are compared, see [`range`].
    pub range: [f64; 2],
    /// The strip of the query, and those of the support clips one after another, as the page knows them.
    pub query: Option<Picture<'a>>,
    pub support: &'a [Picture<'a>],
}

/// Two of them stand side by side, beside the strips.
const WIDTH: f64 = 400.0;
/// Above and left of the cells without their frames.
const HEAD: f64 = 88.0;
const SIDE: f64 = 30.0;
/// Opacity of the largest and of the smallest distance.
const OPACITIES: [f64; 2] = [0.04, 0.6];
const LARGEST_CELL: f64 = 52.0;
/// Frames in smaller cells show nothing.
const SMALLEST_FRAME: f64 = 16.0;

/// The smallest and the largest of some distances; those that are not finite do not count.
pub fn range<'a>(costs: impl IntoIterator<Item = &'a Vec<f32>>) -> [f64; 2] {
    let finite = costs.into_iter().flatten().map(|cost| f64::from(*cost)).filter(|cost| cost.is_finite());
    finite.fold([f64::MAX, f64::MIN], |[low, high], cost| [low.min(cost), high.max(cost)])
}

/// Fuller cells are nearer frames; the dots are as large as the weight of their pair. The frames themselves stand at
/// both axes. `None` for a matrix without entries, or where the two do not fit together.
pub fn draw(matrix: &Matrix) -> Option<Drawn> {
    let (rows, columns) = (matrix.costs.len(), matrix.costs.first().map_or(0, Vec::len));
    let fits = |of: &[Vec<f32>]| of.len() == rows && of.iter().all(|row| row.len() == columns);
    if rows == 0 || columns == 0 || !fits(matrix.costs) || !fits(matrix.weights) {
        return None;
    }
    let beside: Vec<(&str, usize)> = matrix.query.iter().flat_map(Picture::all).collect();
    let above: Vec<(&str, usize)> = matrix.support.iter().flat_map(Picture::all).collect();
    let pictured = beside.len() == rows && above.len() == columns;
    let cells = columns as f64 + if pictured { 1.0 } else { 0.0 };
    let cell = ((WIDTH - SIDE - 6.0) / cells).min(LARGEST_CELL);
    let frame = if pictured && cell >= SMALLEST_FRAME { cell + 4.0 } else { 0.0 };
    let (left, top) = (SIDE + frame, HEAD + frame);
    let [low, high] = matrix.range;
    let near = |cost: f64| if high > low { 1.0 - (cost - low) / (high - low) } else { 1.0 };
    let bottom = top + cell * rows as f64;
    let alt = alt(matrix, rows, columns);
    let svg = canvas::draw_sized((WIDTH, bottom + 4.0), &alt, |canvas| {
        let axes = "rows: query frames; columns: support frames";
        canvas.head(&[(matrix.title, Font::TITLE, Colour::INK), (axes, Font::SMALL, Colour::MUTED)], 36.0);
        legend(canvas, [low, high].map(format::loss));
        if frame > 0.0 {
            for (row, (strip, at)) in beside.iter().enumerate() {
                canvas.frame(strip, *at, (SIDE, top + cell * row as f64 + 0.5), cell - 1.0);
            }
            for (column, (strip, at)) in above.iter().enumerate() {
                canvas.frame(strip, *at, (left + cell * column as f64 + 0.5, HEAD), cell - 1.0);
            }
        }
        // Where numbers would touch, every second or fifth is left.
        let widest = Font::SMALL.width(&columns.to_string()) + 3.0;
        let step = [1, 2, 5, 10].into_iter().find(|step| cell * *step as f64 >= widest).unwrap_or(20);
        let numbered = |number: usize| step == 1 || (number + 1).is_multiple_of(step);
        for column in (0..columns).filter(|column| numbered(*column)) {
            let middle = left + cell * (column as f64 + 0.5);
            canvas.small(&(column + 1).to_string(), (middle, HEAD - 9.0), Anchor::Middle, Colour::MUTED);
        }
        for (row, (costs, weights)) in matrix.costs.iter().zip(matrix.weights).enumerate() {
            let from = top + cell * row as f64;
            if cell >= 13.0 || numbered(row) {
                canvas.small(&(row + 1).to_string(), (SIDE - 6.0, from + cell / 2.0), Anchor::End, Colour::MUTED);
            }
            for (column, (cost, weight)) in costs.iter().zip(weights).enumerate() {
                let across = left + cell * column as f64;
                let (corner, end) = ((across + 0.5, from + 0.5), (across + cell - 0.5, from + cell - 0.5));
                let cost = f64::from(*cost);
                if cost.is_finite() {
                    let opacity = OPACITIES[0] + (OPACITIES[1] - OPACITIES[0]) * near(cost);
                    canvas.rect(corner, end, Colour::SCALE, opacity);
                }
                let weight = f64::from(*weight).clamp(0.0, 1.0);
                if weight > 0.02 {
                    let centre = (across + cell / 2.0, from + cell / 2.0);
                    canvas.dot(centre, cell * 0.36 * weight.sqrt(), Colour::SERIES[2]);
                }
                let distance = format::loss(cost);
                let text = format!("frames {} and {}: distance {distance}, weight {weight:.2}", row + 1, column + 1);
                canvas.spot(corner, end, &Of::default(), &text);
            }
        }
    });
    let number = |value: &f32| format::loss(f64::from(*value));
    let mut data = vec![["query frame", "support frame", "distance", "weight"].map(str::to_owned).to_vec()];
    for (row, (costs, weights)) in matrix.costs.iter().zip(matrix.weights).enumerate() {
        data.extend(costs.iter().zip(weights).enumerate().map(|(column, (cost, weight))| {
            vec![(row + 1).to_string(), (column + 1).to_string(), number(cost), number(weight)]
        }));
    }
    Some(Drawn { svg, data })
}

/// What the colours and the dots are worth.
fn legend(canvas: &mut Canvas, distances: [String; 2]) {
    const MIDDLE: f64 = 60.0;
    let [near, far] = distances;
    let far = format!("distance {far}");
    let right = Font::SMALL.width(&far) + Font::SMALL.width(&near) + 84.0;
    canvas.colour_scale([&far, &near], OPACITIES, Colour::SCALE, right, MIDDLE);
    let mut across = right + 16.0;
    canvas.small("weight", (across, MIDDLE), Anchor::Start, Colour::MUTED);
    across += Font::SMALL.width("weight") + 8.0;
    for weight in [0.1, 1.0f64] {
        let (radius, text) = (6.0 * weight.sqrt(), weight.to_string());
        canvas.dot((across + radius, MIDDLE), radius, Colour::SERIES[2]);
        canvas.small(&text, (across + 2.0 * radius + 4.0, MIDDLE), Anchor::Start, Colour::MUTED);
        across += 2.0 * radius + 14.0 + Font::SMALL.width(&text);
    }
}

fn alt(matrix: &Matrix, rows: usize, columns: usize) -> String {
    let mut heaviest: Vec<(f32, usize, usize)> = Vec::new();
    for (row, weights) in matrix.weights.iter().enumerate() {
        heaviest.extend(weights.iter().enumerate().map(|(column, weight)| (*weight, row, column)));
    }
    heaviest.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let named: Vec<String> = heaviest
        .iter()
        .take(rows)
        .filter(|(weight, ..)| *weight > 0.0)
        .map(|(_, row, column)| format!("{}–{}", row + 1, column + 1))
        .collect();
    format!(
        "{}: distances of {rows} query frames (rows) and {columns} support frames (columns), and the {}. The pairs with most weight: {}.",
        matrix.title,
        matrix.explanation,
        named.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_stand_at_both_axes_and_a_scale_above() {
        let (costs, weights) = (vec![vec![0.1, 0.9]; 2], vec![vec![1.0, 0.0]; 2]);
        let picture = |strip| Picture { strip, frames: 2 };
        let mut matrix = Matrix {
            title: "Query against the predicted class: a <red> triangle moving downwards",
            explanation: "e",
            costs: &costs,
            weights: &weights,
            range: range(&costs),
            query: Some(picture("q")),
            support: &[picture("s")],
        };
        let svg = draw(&matrix).unwrap().svg;
        assert!(svg.contains(">Query against the predicted class: a<"), "{svg}");
        assert!(svg.contains(">&lt;red&gt; triangle moving downwards<"), "the whole name, on a second line: {svg}");
        assert_eq!((svg.matches("href=\"#q\"").count(), svg.matches("href=\"#s\"").count()), (2, 2));
        assert!(svg.contains("distance 0.900") && svg.contains(">0.100<"));
        // With a matrix whose frames are farther, the nearest cell has the same colour as before, and the farthest has
        // not.
        let fill = |svg: &str| {
            format!(
                "{:?}",
                svg.match_indices("fill-opacity").map(|(at, _)| svg[at..at + 20].to_owned()).collect::<Vec<_>>()
            )
        };
        let alone = fill(&svg);
        matrix.range = range(costs.iter().chain(&[vec![1.7, f32::INFINITY]]));
        let beside = draw(&matrix).unwrap().svg;
        assert!(beside.contains("distance 1.70") && fill(&beside) != alone, "{beside}");
        // Frames that do not fit the matrix are left out.
        matrix.support = &[];
        assert!(!draw(&matrix).unwrap().svg.contains("href="));
        matrix.weights = &weights[..1];
        assert!(draw(&matrix).is_none());
    }
}
