//! A grid of shares: confusion of classes, metrics against datasets.

use super::Drawn;
use super::canvas::{self, Anchor, Of, WIDTH};
use super::text::{Font, SMALL, TEXT, shorten_all, widest, wrap_all};
use crate::format;
use crate::palette::Colour;

/// A grid to draw.
pub struct Grid<'a> {
    pub title: &'a str,
    /// What rows and columns are.
    pub rows_are: &'a str,
    pub columns_are: &'a str,
    pub rows: Vec<String>,
    pub columns: Vec<String>,
    /// `[row][column]`, 0 to 1; `None` where there is no value.
    pub shares: Vec<Vec<Option<f64>>>,
    /// Half widths to write under the shares, where there are some.
    pub half_widths: Vec<Vec<Option<f64>>>,
    /// Of the variant that the grid is of, or [`Colour::SCALE`].
    pub colour: Colour,
}

/// Opacity of the largest share where cells hold text, which stays legible on light and dark ground, and where they
/// hold none.
const BEHIND_TEXT: f64 = 0.42;
const FULLEST: f64 = 0.9;
/// Cells smaller than this hold no number.
const NUMBERED: f64 = 30.0;
/// Room for the names of rows.
const NAMES: f64 = 235.0;
const TOP: f64 = 44.0;

/// Fuller colour is more. Columns are named where there is room, else numbered as their rows are. `None` for an empty
/// grid.
pub fn draw(grid: &Grid) -> Option<Drawn> {
    let (rows, columns) = (grid.rows.len(), grid.columns.len());
    if rows == 0 || columns == 0 {
        return None;
    }
    let square = grid.rows == grid.columns;
    let numbered = |number: usize, name: &str| if square { format!("{} {name}", number + 1) } else { name.to_owned() };
    let names: Vec<String> = grid.rows.iter().enumerate().map(|(number, name)| numbered(number, name)).collect();
    let small = widest(&names, Font::TEXT) > NAMES - 8.0 || square && rows > 14;
    let font = if small { Font::SMALL } else { Font::TEXT };
    let names = shorten_all(&names, NAMES - 8.0, font);
    let left = 14.0 + widest(&names, font);
    let width = ((WIDTH - left - 1.0) / columns as f64).min(if square { 44.0 } else { 140.0 });
    let height = if square { width.clamp(17.0, 44.0) } else { 44.0 };
    let (top, right) = (TOP + 40.0, left + width * columns as f64);
    let bottom = top + height * rows as f64;
    let heads = wrap_all(&grid.columns, width - 4.0, Font::SMALL);
    let with_text = width >= NUMBERED;
    let fullest = if with_text { BEHIND_TEXT } else { FULLEST };
    let top_share = grid.shares.iter().flatten().flatten().fold(0.0f64, |most, share| most.max(*share)).max(1e-9);
    let percent = |row: usize, column: usize| grid.shares[row][column].map(format::percent);
    let alt = alt(grid);
    let svg = canvas::draw(bottom + 12.0, &alt, |canvas| {
        canvas.title(grid.title);
        let axes = format!("rows: {}; columns: {}", grid.rows_are, grid.columns_are);
        canvas.small(&axes, (0.0, 38.0), Anchor::Start, Colour::MUTED);
        let ends = ["0 %", &format!("{:.0} %", 100.0 * top_share)];
        canvas.colour_scale(ends, [0.0, fullest], grid.colour, WIDTH - 2.0, 38.0);
        for (column, head) in heads.iter().enumerate() {
            let middle = left + width * (column as f64 + 0.5);
            // Where there is no room for every number, every fifth is shown.
            if square && width < 19.0 && (column + 1) % 5 != 0 && column > 0 {
                continue;
            }
            let number = [(column + 1).to_string()];
            let lines = if square { &number[..] } else { &head[..] };
            for (above, line) in lines.iter().rev().enumerate() {
                let height = top - 12.0 - SMALL * 1.15 * above as f64;
                canvas.small(line, (middle, height), Anchor::Middle, Colour::MUTED);
            }
        }
        for (row, name) in names.iter().enumerate() {
            let from = top + height * row as f64;
            let font = if height < TEXT + 4.0 { Font::SMALL } else { font };
            canvas.styled(name, (left - 6.0, from + height / 2.0), Anchor::End, Colour::INK, font);
            for column in 0..columns {
                let across = left + width * column as f64;
                let middle = (across + width / 2.0, from + height / 2.0);
                let Some(share) = grid.shares[row][column] else {
                    if with_text {
                        canvas.text(format::NONE, middle, Anchor::Middle, Colour::MUTED);
                    }
                    continue;
                };
                let (corner, end) = ((across + 0.75, from + 0.75), (across + width - 0.75, from + height - 0.75));
                let opacity = fullest * share / top_share;
                // A share of 0 keeps the background, so that a rare confusion is seen.
                if opacity > 0.004 {
                    canvas.rect(corner, end, grid.colour, opacity);
                }
                let half = grid.half_widths.get(row).and_then(|row| row[column]);
                if with_text && (share > 0.0 || !square) {
                    let up = if half.is_some() { 8.0 } else { 0.0 };
                    let text = if square { format!("{:.0}", 100.0 * share) } else { format::percent(share) };
                    canvas.text(&text, (middle.0, middle.1 - up), Anchor::Middle, Colour::INK);
                }
                if let Some(half) = half.filter(|_| width >= 2.0 * NUMBERED) {
                    let text = format!("± {}", format::percent(half));
                    canvas.small(&text, (middle.0, middle.1 + SMALL * 0.8), Anchor::Middle, Colour::INK);
                }
                let said = percent(row, column).unwrap_or_default();
                let (class, other) = (&grid.rows[row], &grid.columns[column]);
                let of = match square {
                    true => Of { class: Some(class.clone()), taken_for: Some(other.clone()), ..Of::default() },
                    false => Of::default(),
                };
                let text = match square {
                    true if row == column => format!("{class}: {said} % recognised"),
                    true => format!("{class} taken for {other}: {said} %"),
                    false => format!("{class}, {other}: {said} %"),
                };
                canvas.spot(corner, end, &of, &text);
            }
        }
        canvas.line(&[(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], Colour::GRID, 1.0);
    });
    let mut data = vec![
        std::iter::once(format!("{} / {}", grid.rows_are, grid.columns_are))
            .chain(grid.columns.clone())
            .collect::<Vec<_>>(),
    ];
    data.extend(grid.rows.iter().enumerate().map(|(row, name)| {
        let shares = (0..columns).map(|column| percent(row, column).unwrap_or_default());
        std::iter::once(name.clone()).chain(shares).collect()
    }));
    Some(Drawn { svg, data })
}

/// The largest entries: of a confusion those off the diagonal.
fn alt(grid: &Grid) -> String {
    let square = grid.rows == grid.columns;
    let mut cells: Vec<(f64, String)> = Vec::new();
    for (row, shares) in grid.shares.iter().enumerate() {
        for (column, share) in shares.iter().enumerate().filter(|(column, _)| !square || *column != row) {
            let Some(share) = share.filter(|share| *share > 0.0) else { continue };
            cells.push((share, format!("{} – {} {}", grid.rows[row], grid.columns[column], format::percent(share))));
        }
    }
    cells.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let most: Vec<String> = cells.into_iter().take(8).map(|(_, text)| text).collect();
    format!(
        "{}, in percent, {} against {}. The largest: {}.",
        grid.title,
        grid.rows_are,
        grid.columns_are,
        most.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::palette::measured::{contrast, over};
    use crate::palette::palette;

    /// A confusion of so many classes.
    fn svg(classes: usize, hole: bool) -> String {
        let names: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
        let mut shares = vec![vec![Some(0.25); classes]; classes];
        shares[0][1] = if hole { None } else { Some(1.0) };
        let grid = Grid {
            title: "t",
            rows_are: "true class",
            columns_are: "predicted class",
            rows: names.clone(),
            columns: names,
            shares,
            half_widths: Vec::new(),
            colour: Colour::SCALE,
        };
        draw(&grid).unwrap().svg
    }

    #[test]
    fn cells_without_text_are_full_and_those_without_a_value_have_a_dash() {
        let fullest = |opacity: f64| format!("fill-opacity=\"{opacity}\"");
        let (few, many) = (svg(4, false), svg(30, false));
        assert!(few.contains(&fullest(BEHIND_TEXT)) && !few.contains(&fullest(FULLEST)), "{few}");
        // The scale ends as the cells do.
        assert_eq!(many.matches(&fullest(FULLEST)).count(), 2);
        assert!(svg(4, true).contains(">–<") && !few.contains(">–<"));
    }

    #[test]
    fn the_fullest_cell_stands_out_from_the_ground() {
        let scale = (Colour::SCALE.light, Colour::SCALE.dark());
        for (light, dark) in palette().into_iter().chain([scale]) {
            for (colour, ground) in [(light, "#ffffff"), (dark, "#15181c")] {
                let found = contrast(&over(colour, FULLEST, ground), ground);
                assert!(found >= 3.0, "{colour} on {ground}: {found}");
            }
        }
    }
}
