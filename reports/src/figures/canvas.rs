//! An SVG that is written shape by shape: colours follow the reader's light or dark scheme, and a description is there for those
//! who do not see the figure.

use super::text::{Font, clean, shorten};
use crate::palette::{Colour, DARK};
use std::fmt::Write;

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
#[derive(Default)]
pub struct Canvas {
    width: f64,
    shapes: String,
    /// Rectangles that show a text when pointed at; above all shapes.
    spots: String,
}

/// Draws a figure of [`WIDTH`] × `height` pixels.
pub fn draw(height: f64, alt: &str, figure: impl FnOnce(&mut Canvas)) -> String {
    draw_sized((WIDTH, height), alt, figure)
}

/// Draws a figure of so many pixels in width and height.
pub fn draw_sized(size: (f64, f64), alt: &str, figure: impl FnOnce(&mut Canvas)) -> String {
    let mut canvas = Canvas { width: size.0, ..Canvas::default() };
    figure(&mut canvas);
    let (width, height) = (number(size.0), number(size.1));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"maclip-figure\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{}\">\n{}\n{}{}</svg>\n",
        escape(alt),
        style(),
        canvas.shapes,
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

/// At most two decimals: a hundredth of a pixel.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn path(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect::<Vec<_>>().join(" ")
}

fn fill(colour: Colour, opacity: f64) -> String {
    let opacity = if opacity < 1.0 { format!(" fill-opacity=\"{}\"", number(opacity)) } else { String::new() };
    format!("class=\"fill-{}\" fill=\"{}\"{opacity}", colour.class, colour.light)
}

fn stroke(colour: Colour, width: f64) -> String {
    format!(
        "class=\"stroke-{}\" stroke=\"{}\" stroke-width=\"{}\" fill=\"none\"",
        colour.class,
        colour.light,
        number(width)
    )
}

impl Canvas {
    fn add(&mut self, shape: std::fmt::Arguments) {
        self.shapes.write_fmt(shape).expect("a string can be written to");
        self.shapes.push('\n');
    }

    pub fn line(&mut self, points: &[(f64, f64)], colour: Colour, width: f64) {
        self.add(format_args!("<polyline points=\"{}\" {}/>", path(points), stroke(colour, width)));
    }

    /// A line of dashes.
    pub fn dashes(&mut self, points: &[(f64, f64)], colour: Colour, width: f64) {
        self.add(format_args!(
            "<polyline points=\"{}\" {} stroke-dasharray=\"4 3\"/>",
            path(points),
            stroke(colour, width)
        ));
    }

    /// A thin dotted line from a label to what it names, which nobody takes for data.
    pub fn leader(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.add(format_args!(
            "<polyline class=\"leader stroke-muted\" points=\"{}\" stroke=\"{}\" stroke-width=\"1\" fill=\"none\" \
             stroke-dasharray=\"1 2.5\"/>",
            path(&[from, to]),
            Colour::MUTED.light
        ));
    }

    pub fn area(&mut self, points: &[(f64, f64)], colour: Colour, opacity: f64) {
        self.add(format_args!("<polygon points=\"{}\" {}/>", path(points), fill(colour, opacity)));
    }

    /// A filled rectangle from corner to corner.
    pub fn rect(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour, opacity: f64) {
        self.add(format_args!("<rect {} {}/>", corners(from, to), fill(colour, opacity)));
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
        self.add(format_args!(
            "<svg {} viewBox=\"{frame} 0 1 1\" preserveAspectRatio=\"none\"><use href=\"#{}\"/></svg>",
            corners(corner, end),
            escape(strip)
        ));
    }

    pub fn dot(&mut self, centre: (f64, f64), radius: f64, colour: Colour) {
        self.add(format_args!("<circle {} {}/>", circle(centre, radius), fill(colour, 1.0)));
    }

    pub fn ring(&mut self, centre: (f64, f64), radius: f64, colour: Colour) {
        self.add(format_args!("<circle {} {}/>", circle(centre, radius), stroke(colour, 2.0)));
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
        self.styled(&shorten(text, self.width, Font::TITLE), (0.0, 16.0), Anchor::Start, Colour::INK, Font::TITLE);
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
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let weight = if font.bold { " font-weight=\"bold\"" } else { "" };
        // Capitals and digits are about 0.72 of the size high: half of that lies below the middle.
        let baseline = at.1 + 0.36 * font.size;
        self.add(format_args!(
            "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{weight}{anchor} font-family=\"sans-serif\" {}>{}</text>",
            number(at.0),
            number(baseline),
            number(font.size),
            fill(colour, 1.0),
            escape(text)
        ));
    }

    /// The scale of a matrix: patches from the palest to the fullest colour, with what its two ends are, right-aligned at `right`.
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

fn corners(from: (f64, f64), to: (f64, f64)) -> String {
    let size = ((to.0 - from.0).max(0.0), (to.1 - from.1).max(0.0));
    format!(
        "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
        number(from.0),
        number(from.1),
        number(size.0),
        number(size.1)
    )
}

fn circle(centre: (f64, f64), radius: f64) -> String {
    format!("cx=\"{}\" cy=\"{}\" r=\"{}\"", number(centre.0), number(centre.1), number(radius))
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in clean(text).chars() {
        match c {
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '&' => escaped += "&amp;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
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
    fn numbers_are_short() {
        assert_eq!([1.0, 0.126, -0.001, 12.5].map(number), ["1", "0.13", "0", "12.5"]);
    }
}
