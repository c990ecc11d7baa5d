//! What figures are drawn with: plotters' shapes, and beside them frames of clips, dashes and marks that a page can
//! link. There is a description for those who do not see the figure.

use super::svg::{Shapes, Svg, corners, escape, letters, number, path, stroke, unit, units};
use super::text::{Font, paragraph};
use crate::palette::{Colour, DARK, Shape};
use plotters::coord::Shift;
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Width of every figure in pixels. Text is 12 to 17 px there: legible at 400 px and not coarse at 1,000 px.
pub const WIDTH: f64 = 560.0;

/// Presentation attributes hold the light colours for programs that read no style; a browser follows the scheme.
fn style() -> String {
    let rule = |(class, hex): &(&str, &str)| {
        format!(".maclip-figure .fill-{class}{{fill:{hex}}}.maclip-figure .stroke-{class}{{stroke:{hex}}}")
    };
    format!(
        "<style>.maclip-figure text{{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}}\
         @media screen and (prefers-color-scheme:dark){{{}}}</style>",
        DARK.iter().map(rule).collect::<String>()
    )
}

/// Which part of a text is at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// What a mark of a figure stands for, so that a page can link all marks of one thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Of {
    /// Number of a variant in the report, see `Variant::number`.
    pub variant: Option<usize>,
    /// A class.
    pub class: Option<String>,
    /// A second class: what the first was taken for.
    pub taken_for: Option<String>,
}

impl Of {
    pub fn variant(number: usize) -> Self {
        Self { variant: Some(number), ..Self::default() }
    }

    pub fn class(name: &str) -> Self {
        Self { class: Some(name.to_owned()), ..Self::default() }
    }

    fn attributes(&self) -> String {
        let mut text = self.variant.map(|number| format!(" data-variant=\"{number}\"")).unwrap_or_default();
        for (name, value) in [("class", &self.class), ("taken-for", &self.taken_for)] {
            if let Some(value) = value {
                text += &format!(" data-{name}=\"{}\"", escape(value));
            }
        }
        text
    }
}

/// A strip of frames that the page holds: see the template `strips.html`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture<'a> {
    /// Its id on the page.
    pub strip: &'a str,
    pub frames: usize,
}

impl<'a> Picture<'a> {
    /// Strip and number of each frame.
    pub fn all(&self) -> impl Iterator<Item = (&'a str, usize)> + use<'a> {
        let strip = self.strip;
        (0..self.frames).map(move |frame| (strip, frame))
    }
}

/// Takes shapes in the order in which they lie above each other.
pub struct Canvas {
    width: f64,
    area: DrawingArea<Svg, Shift>,
    /// What was drawn in `area`, and what plotters has no shape for.
    shapes: Shapes,
    /// Rectangles that show a text when pointed at; above all shapes.
    spots: String,
    /// Where the figure begins: above 0 where its title has more lines than there is room for.
    top: f64,
}

/// Draws a figure of [`WIDTH`] × `height` pixels.
pub fn draw(height: f64, alt: &str, figure: impl FnOnce(&mut Canvas)) -> String {
    draw_sized((WIDTH, height), alt, figure)
}

/// Draws a figure of so many pixels in width and height.
pub fn draw_sized(size: (f64, f64), alt: &str, figure: impl FnOnce(&mut Canvas)) -> String {
    let shapes = Shapes::default();
    let area = Svg { shapes: shapes.clone(), size: (unit(size.0) as u32, unit(size.1) as u32) }.into_drawing_area();
    let mut canvas = Canvas { width: size.0, area, shapes, spots: String::new(), top: 0.0 };
    figure(&mut canvas);
    let (width, top, height) = (number(size.0), number(canvas.top), number(size.1 - canvas.top));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"maclip-figure\" viewBox=\"0 {top} {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">\n{}\n{}{}</svg>\n",
        escape(alt),
        style(),
        canvas.shapes.take(),
        canvas.spots
    )
}

/// The figure without its style sheet, for a page with a style sheet of its own.
pub fn without_style(svg: &str) -> String {
    match (svg.find("<style>"), svg.find("</style>")) {
        (Some(start), Some(end)) => svg[..start].to_owned() + &svg[end + "</style>".len()..],
        _ => svg.to_owned(),
    }
}

impl Canvas {
    fn draw<E>(&mut self, shape: &E)
    where
        E: Drawable<Svg>,
        for<'a> &'a E: PointCollection<'a, (i32, i32)>,
    {
        self.area.draw(shape).expect("shapes are written into a string, which cannot fail");
    }

    pub fn line(&mut self, points: &[(f64, f64)], colour: Colour, width: f64) {
        let points: Vec<(i32, i32)> = points.iter().copied().map(units).collect();
        self.draw(&PathElement::new(points, rgb(colour).stroke_width(unit(width) as u32)));
    }

    /// A line of dashes.
    pub fn dashes(&mut self, points: &[(f64, f64)], colour: Colour, width: f64) {
        self.dashed(points, colour, width, "4 3");
    }

    fn dashed(&mut self, points: &[(f64, f64)], colour: Colour, width: f64, dashes: &str) {
        self.shapes.add(&format!(
            "<polyline points=\"{}\" {} stroke-dasharray=\"{dashes}\"/>",
            path(points),
            stroke(colour, width)
        ));
    }

    /// A thin dotted line from a label to what it names, which nobody takes for data.
    pub fn leader(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.shapes.add(&format!(
            "<polyline class=\"leader stroke-muted\" points=\"{}\" stroke=\"{}\" stroke-width=\"1\" fill=\"none\" \
             stroke-dasharray=\"1 2.5\"/>",
            path(&[from, to]),
            Colour::MUTED.light
        ));
    }

    pub fn area(&mut self, points: &[(f64, f64)], colour: Colour, opacity: f64) {
        let points: Vec<(i32, i32)> = points.iter().copied().map(units).collect();
        self.draw(&Polygon::new(points, rgb(colour).mix(opacity)));
    }

    /// A filled rectangle from corner to corner.
    pub fn rect(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour, opacity: f64) {
        self.draw(&Rectangle::new([units(from), units(to)], rgb(colour).mix(opacity).filled()));
    }

    /// Shows `text` when the pointer is on the rectangle from corner to corner.
    pub fn spot(&mut self, from: (f64, f64), to: (f64, f64), of: &Of, text: &str) {
        self.spots.push_str(&format!(
            "<rect class=\"spot\"{} {} fill=\"none\" pointer-events=\"all\"><title>{}</title></rect>\n",
            of.attributes(),
            corners(from, to),
            escape(text)
        ));
    }

    /// One frame of a strip, `side` pixels high and wide. A strip is as many units wide as it has frames.
    pub fn frame(&mut self, strip: &str, frame: usize, corner: (f64, f64), side: f64) {
        let end = (corner.0 + side, corner.1 + side);
        self.shapes.add(&format!(
            "<svg {} viewBox=\"{frame} 0 1 1\" preserveAspectRatio=\"none\"><use href=\"#{}\"/></svg>",
            corners(corner, end),
            escape(strip)
        ));
    }

    pub fn dot(&mut self, centre: (f64, f64), radius: f64, colour: Colour) {
        self.draw(&Circle::new(units(centre), unit(radius), rgb(colour).filled()));
    }

    pub fn ring(&mut self, centre: (f64, f64), radius: f64, colour: Colour) {
        self.circle(centre, radius, colour, 2.0);
    }

    /// A circle of a line of this width.
    pub fn circle(&mut self, centre: (f64, f64), radius: f64, colour: Colour, width: f64) {
        self.draw(&Circle::new(units(centre), unit(radius), rgb(colour).stroke_width(unit(width) as u32)));
    }

    /// Text whose middle height is at `at`.
    pub fn text(&mut self, text: &str, at: (f64, f64), anchor: Anchor, colour: Colour) {
        self.styled(text, at, anchor, colour, Font::TEXT);
    }

    /// Small text, such as a second line.
    pub fn small(&mut self, text: &str, at: (f64, f64), anchor: Anchor, colour: Colour) {
        self.styled(text, at, anchor, colour, Font::SMALL);
    }

    pub fn bold(&mut self, text: &str, at: (f64, f64), anchor: Anchor) {
        self.styled(text, at, anchor, Colour::INK, Font::BOLD);
    }

    pub fn title(&mut self, text: &str) {
        self.head(&[(text, Font::TITLE, Colour::INK)], 16.0);
    }

    /// The title and what is said below it, in as many lines as they need. The last one has its middle at `last`, and
    /// the figure begins further up where the others need it.
    pub fn head(&mut self, texts: &[(&str, Font, Colour)], last: f64) {
        let mut lines = Vec::new();
        let mut middle = last;
        for (number, (text, font, colour)) in texts.iter().enumerate().rev() {
            for line in paragraph(text, self.width, *font).into_iter().rev() {
                self.top = self.top.min(middle - 16.0);
                lines.push((line, middle, *font, *colour));
                middle -= font.size * 1.25;
            }
            // What stands above it may be larger.
            middle -= number.checked_sub(1).map_or(0.0, |above| (texts[above].1.size - font.size).max(0.0));
        }
        // In the order in which they are read. Plotters has no place above 0.
        for (line, middle, font, colour) in lines.into_iter().rev() {
            self.shapes.add(&letters(&line, (0.0, middle), "", colour, font));
        }
    }

    /// What a variant has in the place of a number: a point.
    pub fn point(&mut self, centre: (f64, f64), radius: f64, colour: Colour, shape: Shape) {
        let (x, y) = centre;
        let (side, long) = (0.9 * radius, 1.3 * radius);
        let corners = match shape {
            Shape::Disc => return self.dot(centre, radius, colour),
            Shape::Square => {
                vec![(x - side, y - side), (x + side, y - side), (x + side, y + side), (x - side, y + side)]
            }
            Shape::Diamond => vec![(x, y - long), (x + long, y), (x, y + long), (x - long, y)],
            Shape::Triangle => vec![(x, y - long), (x + long, y + side), (x - long, y + side)],
        };
        self.area(&corners, colour, 1.0);
    }

    /// A line of a variant, in dashes where others have its colour.
    pub fn curve(&mut self, points: &[(f64, f64)], colour: Colour, width: f64, shape: Shape) {
        match shape {
            Shape::Disc => self.line(points, colour, width),
            Shape::Square => self.dashed(points, colour, width, "7 3"),
            Shape::Diamond => self.dashed(points, colour, width, "2 2.5"),
            Shape::Triangle => self.dashed(points, colour, width, "9 3 2 3"),
        }
    }

    /// Lines of a label, their middle at `at`.
    pub fn lines(&mut self, lines: &[String], at: (f64, f64), anchor: Anchor, font: Font) {
        let step = font.size * 1.15;
        let first = at.1 - step * (lines.len() as f64 - 1.0) / 2.0;
        for (number, line) in lines.iter().enumerate() {
            self.styled(line, (at.0, first + step * number as f64), anchor, Colour::INK, font);
        }
    }

    pub fn styled(&mut self, text: &str, at: (f64, f64), anchor: Anchor, colour: Colour, font: Font) {
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let weight = if font.bold { FontStyle::Bold } else { FontStyle::Normal };
        let fill = rgb(colour);
        let style = TextStyle::from((FontFamily::SansSerif, f64::from(unit(font.size)), weight).into_font());
        let style = style.color(&fill).pos(Pos::new(horizontal, VPos::Center));
        self.draw(&Text::new(text.to_owned(), units(at), style));
    }

    /// The scale of a matrix: patches from the palest to the fullest colour, with what its two ends are, right-aligned
    /// at `right`.
    pub fn colour_scale(&mut self, ends: [&str; 2], opacities: [f64; 2], colour: Colour, right: f64, middle: f64) {
        const STEPS: usize = 8;
        const PATCH: f64 = 9.0;
        let end = right - Font::SMALL.width(ends[1]);
        let from = end - 6.0 - PATCH * STEPS as f64;
        self.small(ends[1], (right, middle), Anchor::End, Colour::MUTED);
        for step in 0..STEPS {
            let share = step as f64 / (STEPS - 1) as f64;
            let left = from + PATCH * step as f64;
            let opacity = opacities[0] + share * (opacities[1] - opacities[0]);
            self.rect((left, middle - 5.0), (left + PATCH, middle + 5.0), colour, opacity);
        }
        self.small(ends[0], (from - 6.0, middle), Anchor::End, Colour::MUTED);
    }
}

fn rgb(colour: Colour) -> RGBColor {
    let [r, g, b] = colour.rgb();
    RGBColor(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_scheme_and_text_is_escaped() {
        let svg = draw(40.0, "a \"quoted\" <alt>", |canvas| {
            canvas.text("<b>&", (10.0, 10.0), Anchor::Start, Colour::INK);
            canvas.spot((0.0, 0.0), (5.0, 5.0), &Of::class("a \"b\""), "<told>");
        });
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("class=\"fill-ink\"") && svg.contains("&lt;b&gt;&amp;"), "{svg}");
        assert!(svg.contains("aria-label=\"a &quot;quoted&quot; &lt;alt&gt;\""), "{svg}");
        assert!(svg.contains("viewBox=\"0 0 560 40\""));
        assert!(svg.contains("data-class=\"a &quot;b&quot;\"") && svg.contains("<title>&lt;told&gt;</title>"), "{svg}");
    }

    #[test]
    fn a_long_title_has_all_its_words_and_the_figure_begins_further_up() {
        let words = "What a variant with a rather long name takes for what in all of its test episodes".to_owned();
        let svg = draw(40.0, "", |canvas| canvas.title(&words));
        assert!(svg.contains("viewBox=\"0 -21.25 560 61.25\""), "{svg}");
        assert!(svg.contains("y=\"0.87\"") && svg.contains("y=\"22.12\""), "a line and a quarter apart: {svg}");
        let texts = svg.split("</text>").filter_map(|part| part.rsplit_once('>').map(|(_, text)| text.trim()));
        assert_eq!(texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" "), words);
    }

    #[test]
    fn every_shape_has_points_and_lines_of_its_own() {
        let of = |shape| {
            draw(40.0, "", |canvas| {
                canvas.point((10.0, 10.0), 5.0, Colour::SERIES[1], shape);
                canvas.curve(&[(0.0, 0.0), (9.0, 9.0)], Colour::SERIES[1], 2.0, shape);
            })
        };
        let drawn = [Shape::Disc, Shape::Square, Shape::Diamond, Shape::Triangle].map(of);
        let lines: std::collections::BTreeSet<&str> =
            drawn.iter().flat_map(|svg| svg.lines().skip(2).take(2)).collect();
        assert_eq!(lines.len(), 8, "{lines:?}");
    }
}
