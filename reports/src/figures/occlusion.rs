//! Where an answer comes from: how much less probable it is with a part of a frame covered.

use super::Drawn;
use super::canvas::{self, Anchor, Of, Picture};
use super::text::Font;
use crate::format;
use crate::palette::Colour;
use maclip_framework::runs::examples::Occlusion;

/// Changes of a probability below this are not shown: they are rounded to 0.0 points.
const LEAST: f32 = 0.0005;
/// It stands beside the matrices of its example.
const WIDTH: f64 = 400.0;
const TOP: f64 = 78.0;
const GAP: f64 = 6.0;
/// Frames in a row.
const IN_A_ROW: usize = 4;
/// The number of a frame below it.
const NUMBER: f64 = 18.0;
/// Opacity of the cell that matters most.
const FULL: f64 = 0.75;
/// What makes an answer more probable, and less.
const FOR: Colour = Colour::SERIES[2];
const AGAINST: Colour = Colour::SERIES[1];

/// The frames of `picture`, their cells coloured by what it costs the answer to cover them. `None` without cells.
pub fn draw(prediction: &str, picture: Option<Picture>, occlusion: &Occlusion) -> Option<Drawn> {
    let Occlusion { side, falls } = occlusion;
    if *side == 0 || falls.is_empty() || falls.iter().any(|frame| frame.len() != side * side) {
        return None;
    }
    let cell = |fall: &f32| f64::from(*fall);
    let most = falls.iter().flatten().map(|fall| fall.abs()).fold(0.0, f32::max);
    let strip: Vec<(&str, usize)> = picture.iter().flat_map(Picture::all).collect();
    let frame = (WIDTH - GAP * (IN_A_ROW - 1) as f64) / IN_A_ROW as f64;
    let rows = falls.len().div_ceil(IN_A_ROW);
    let place =
        |at: usize, cell: usize| format!("frame {}, row {}, column {}", at + 1, cell / side + 1, cell % side + 1);
    let mut order: Vec<(usize, usize)> =
        (0..falls.len()).flat_map(|at| (0..side * side).map(move |cell| (at, cell))).collect();
    order.sort_by(|a, b| falls[b.0][b.1].total_cmp(&falls[a.0][a.1]).then(a.cmp(b)));
    let said = |(at, covered): &(usize, usize)| {
        let fall = cell(&falls[*at][*covered]);
        format!("{} covered: {} points", place(*at, *covered), format::points(-fall))
    };
    let title = "Where the answer comes from";
    let three: Vec<String> = order.iter().take(3).map(said).collect();
    let alt = format!("{title}: how the probability of {prediction} changes. {}.", three.join("; "));
    let seen = most >= LEAST;
    let about = match seen {
        true => format!("one cell covered at a time; the probability of {prediction}"),
        false => format!("no covered cell changes the probability of {prediction} by 0.1 points"),
    };
    let height = TOP + rows as f64 * (frame + NUMBER + GAP);
    let svg = canvas::draw_sized((WIDTH, height), &alt, |canvas| {
        canvas.head(&[(title, Font::TITLE, Colour::INK), (&about, Font::SMALL, Colour::MUTED)], 36.0);
        let ends = [-1.0, 1.0].map(|sign| format!("{} points", format::points(sign * f64::from(most))));
        if seen {
            canvas.colour_scale(["0", &ends[0]], [0.0, FULL], FOR, WIDTH / 2.0 - 8.0, 58.0);
            canvas.colour_scale(["0", &ends[1]], [0.0, FULL], AGAINST, WIDTH, 58.0);
        }
        for (at, falls) in falls.iter().enumerate() {
            let left = (at % IN_A_ROW) as f64 * (frame + GAP);
            let top = TOP + (at / IN_A_ROW) as f64 * (frame + NUMBER + GAP);
            if let Some((strip, number)) = strip.get(at) {
                canvas.frame(strip, *number, (left, top), frame);
            }
            canvas.small(
                &(at + 1).to_string(),
                (left + frame / 2.0, top + frame + 10.0),
                Anchor::Middle,
                Colour::MUTED,
            );
            let step = frame / *side as f64;
            for (covered, fall) in falls.iter().enumerate() {
                let corner = (left + step * (covered % side) as f64, top + step * (covered / side) as f64);
                let end = (corner.0 + step, corner.1 + step);
                let share = if seen { cell(fall).abs() / f64::from(most) } else { 0.0 };
                if share > 0.02 {
                    canvas.rect(corner, end, if *fall > 0.0 { FOR } else { AGAINST }, FULL * share);
                }
                canvas.spot(corner, end, &Of::default(), &said(&(at, covered)));
            }
        }
    });
    let mut data = vec![["frame", "row", "column", "fall"].map(str::to_owned).to_vec()];
    for (at, falls) in falls.iter().enumerate() {
        data.extend(falls.iter().enumerate().map(|(covered, fall)| {
            let place = [at + 1, covered / side + 1, covered % side + 1].map(|number| number.to_string());
            [place.to_vec(), vec![format::signed(&format!("{fall:.4}"))]].concat()
        }));
    }
    Some(Drawn { svg, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cell_that_matters_most_is_said_first_and_every_cell_has_a_text() {
        let occlusion = Occlusion { side: 2, falls: vec![vec![0.0, 0.25, -0.125, 0.0], vec![0.5, 0.0, 0.0, 0.0]] };
        let picture = Picture { strip: "q", frames: 2 };
        let Drawn { svg, data } = draw("<wave>", Some(picture), &occlusion).unwrap();
        let alt = &svg[svg.find("aria-label").unwrap()..][..200];
        let [first, second] = ["frame 2, row 1, column 1 covered: −50.0 points", "frame 1, row 1, column 2"]
            .map(|text| alt.find(text).unwrap_or_else(|| panic!("{text}: {alt}")));
        assert!(first < second && svg.contains("&lt;wave&gt;") && !svg.contains("<wave>"));
        assert_eq!((svg.matches("class=\"spot\"").count(), svg.matches("href=\"#q\"").count()), (8, 2));
        assert!(svg.contains("frame 1, row 2, column 1 covered: +12.5 points"), "{svg}");
        assert_eq!((data.len(), &data[5][..]), (9, &["2", "1", "1", "0.5000"].map(str::to_owned)[..]));
        let long = draw("a class whose name alone takes most of a line of the figure", None, &occlusion).unwrap().svg;
        assert!(
            long.contains(">one cell covered at a time; the probability of a class whose name") && !long.contains('…')
        );
        let nothing = Occlusion { side: 2, falls: vec![vec![0.0, 0.0004, 0.0, 0.0]] };
        let svg = draw("a wave", None, &nothing).unwrap().svg;
        assert!(svg.contains(">no covered cell changes the probability of") && !svg.contains(">+0.0 points<"), "{svg}");
        let broken = Occlusion { side: 2, falls: vec![vec![0.0; 3]] };
        assert!(draw("a", None, &broken).is_none());
    }
}
