//! How a query was aligned with a class: the distance of every pair of frames, and the pairs that decide the metric.

use super::Drawn;
use super::canvas::{self, Anchor, Colour, WIDTH};
use crate::format;
use maclip_framework::error::Result;

/// Frame distances and the metric's weights, `[query frame][support frame]`; weights are 0 to 1.
pub struct Matrix<'a> {
    pub title: &'a str,
    /// What the weights are.
    pub explanation: &'a str,
    pub costs: &'a [Vec<f32>],
    pub weights: &'a [Vec<f32>],
}

const LEFT: f64 = 34.0;
const TOP: f64 = 52.0;
/// Opacity of the smallest distance.
const DARKEST: f64 = 0.5;

/// Darker cells are nearer frames; the dots are as large as the weight of their pair. `None` for a matrix without entries, or where the
/// two do not fit together.
pub fn draw(matrix: &Matrix) -> Result<Option<Drawn>> {
    let (rows, columns) = (matrix.costs.len(), matrix.costs.first().map_or(0, Vec::len));
    let fits = |of: &[Vec<f32>]| of.len() == rows && of.iter().all(|row| row.len() == columns);
    if rows == 0 || columns == 0 || !fits(matrix.costs) || !fits(matrix.weights) {
        return Ok(None);
    }
    let cell = ((WIDTH - LEFT - 4.0) / columns as f64).min(34.0);
    let all = || matrix.costs.iter().flatten().map(|cost| f64::from(*cost)).filter(|cost| cost.is_finite());
    let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
    let near = |cost: f64| if high > low { 1.0 - (cost - low) / (high - low) } else { 1.0 };
    let bottom = TOP + cell * rows as f64;
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
    let alt = format!(
        "{}: distances of {rows} query frames (rows) and {columns} support frames (columns), and the {}. The pairs with most weight: {}.",
        matrix.title,
        matrix.explanation,
        named.join(", ")
    );
    let svg = canvas::draw(bottom + 10.0, &alt, |canvas| {
        canvas.title(matrix.title)?;
        canvas.small("support frames →, query frames ↓", (0.0, 36.0), Anchor::Start, Colour::MUTED)?;
        for (row, (costs, weights)) in matrix.costs.iter().zip(matrix.weights).enumerate() {
            let from = TOP + cell * row as f64;
            canvas.small(&(row + 1).to_string(), (LEFT - 8.0, from + cell / 2.0), Anchor::End, Colour::MUTED)?;
            for (column, (cost, weight)) in costs.iter().zip(weights).enumerate() {
                let across = LEFT + cell * column as f64;
                let (corner, end) = ((across + 0.5, from + 0.5), (across + cell - 0.5, from + cell - 0.5));
                let cost = f64::from(*cost);
                if cost.is_finite() {
                    canvas.rect(corner, end, Colour::SERIES[1], 0.04 + DARKEST * near(cost))?;
                }
                let weight = f64::from(*weight).clamp(0.0, 1.0);
                if weight > 0.02 {
                    canvas.dot(
                        (across + cell / 2.0, from + cell / 2.0),
                        cell * 0.36 * weight.sqrt(),
                        Colour::SERIES[2],
                    )?;
                }
                let text = format!("frames {} and {}: distance {cost:.3}, weight {weight:.2}", row + 1, column + 1);
                canvas.spot(corner, end, &text);
            }
        }
        Ok(())
    })?;
    let number = |value: &f32| format::loss(f64::from(*value));
    let mut data = vec![["query frame", "support frame", "distance", "weight"].map(str::to_owned).to_vec()];
    for (row, (costs, weights)) in matrix.costs.iter().zip(matrix.weights).enumerate() {
        data.extend(costs.iter().zip(weights).enumerate().map(|(column, (cost, weight))| {
            vec![(row + 1).to_string(), (column + 1).to_string(), number(cost), number(weight)]
        }));
    }
    Ok(Some(Drawn { svg, data }))
}
