//! plotters' SVG backend with three things it lacks: fractions of a pixel, colours that follow the reader's light or
//! dark scheme, and a description for those who do not see the figure.

use maclip_framework::error::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::cell::RefCell;

/// Units of the drawing for each pixel of the figure: plotters places things on whole units.
const UNITS: f64 = 4.0;

/// Width of every figure in pixels. Text is 14 to 17 px there: legible at 400 px and not coarse at 1,000 px.
pub const WIDTH: f64 = 560.0;

pub const TEXT: f64 = 14.0;

/// Second lines and crowded labels.
pub const SMALL: f64 = 12.0;

/// A colour. Those that change with the reader's colour scheme have a CSS class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    rgb: (u8, u8, u8),
    class: &'static str,
}

impl Colour {
    pub const INK: Self = Self { rgb: (0x1f, 0x23, 0x28), class: "ink" };
    pub const MUTED: Self = Self { rgb: (0x5b, 0x63, 0x6d), class: "muted" };
    pub const GRID: Self = Self { rgb: (0xdd, 0xe1, 0xe6), class: "grid" };
    /// Okabe and Ito's palette for all kinds of colour vision, without its yellow, which vanishes on white.
    pub const SERIES: [Self; 7] = [
        Self { rgb: (0x30, 0x34, 0x3a), class: "base" },
        Self { rgb: (0x00, 0x72, 0xb2), class: "blue" },
        Self { rgb: (0xd5, 0x5e, 0x00), class: "" },
        Self { rgb: (0x00, 0x9e, 0x73), class: "" },
        Self { rgb: (0xcc, 0x79, 0xa7), class: "" },
        Self { rgb: (0xe6, 0x9f, 0x00), class: "" },
        Self { rgb: (0x56, 0xb4, 0xe9), class: "" },
    ];

    pub fn hex(self) -> String {
        format!("#{:02X}{:02X}{:02X}", self.rgb.0, self.rgb.1, self.rgb.2)
    }

    /// The colour on a dark ground.
    pub fn dark(self) -> String {
        DARK.iter().find(|(class, _)| *class == self.class).map_or_else(|| self.hex(), |(_, hex)| (*hex).to_owned())
    }

    fn with_class() -> impl Iterator<Item = Self> {
        [Self::INK, Self::MUTED, Self::GRID].into_iter().chain(Self::SERIES).filter(|colour| !colour.class.is_empty())
    }
}

/// What the classes become on a dark ground. The other colours are bright enough on both.
pub const DARK: [(&str, &str); 5] =
    [("ink", "#e6e9ed"), ("muted", "#a3abb5"), ("grid", "#343a42"), ("base", "#c9ced6"), ("blue", "#3a9fdc")];

/// Presentation attributes hold the light colours for programs that read no style; a browser follows the scheme.
fn style() -> String {
    let rule = |(class, hex): &(&str, &str)| {
        format!(".maclip-figure .fill-{class}{{fill:{hex}}}.maclip-figure .stroke-{class}{{stroke:{hex}}}")
    };
    format!(
        "<style>.maclip-figure text{{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}}\
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

pub struct Canvas<'a> {
    area: DrawingArea<SVGBackend<'a>, Shift>,
    /// Rectangles that show a text when pointed at, as SVG.
    spots: RefCell<String>,
}

/// Draws a figure of [`WIDTH`] × `height` pixels.
pub fn draw(height: f64, alt: &str, figure: impl FnOnce(&Canvas) -> Result<()>) -> Result<String> {
    let mut svg = String::new();
    let size = ((WIDTH * UNITS) as u32, (height * UNITS) as u32);
    let spots = {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let canvas = Canvas { area, spots: RefCell::default() };
        figure(&canvas)?;
        canvas.area.present().map_err(failed)?;
        canvas.spots.take()
    };
    let svg = finish(&svg, size, height, alt);
    Ok(svg.trim_end().strip_suffix("</svg>").map_or(svg.clone(), |body| format!("{body}{spots}</svg>\n")))
}

/// The figure without its style sheet, for a page with a style sheet of its own.
pub fn without_style(svg: &str) -> String {
    match (svg.find("<style>"), svg.find("</style>")) {
        (Some(start), Some(end)) => svg[..start].to_owned() + &svg[end + "</style>".len()..],
        _ => svg.to_owned(),
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::failed(format!("cannot draw a figure: {error}"))
}

fn unit(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

fn units(point: (f64, f64)) -> (i32, i32) {
    (unit(point.0), unit(point.1))
}

impl Canvas<'_> {
    pub fn line(&self, points: &[(f64, f64)], colour: Colour, width: f64) -> Result<()> {
        let style = rgb(colour).stroke_width(unit(width) as u32);
        let path = PathElement::new(points.iter().copied().map(units).collect::<Vec<_>>(), style);
        self.area.draw(&path).map_err(failed)
    }

    /// A straight line of dashes.
    pub fn dashes(&self, from: (f64, f64), to: (f64, f64), colour: Colour, width: f64) -> Result<()> {
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |along: f64| {
            let share = (along / length).min(1.0);
            (from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1))
        };
        let mut starts = (0..).map(|number| f64::from(number) * 7.0).take_while(|start| *start < length);
        starts.try_for_each(|start| self.line(&[at(start), at(start + 4.0)], colour, width))
    }

    pub fn area(&self, points: &[(f64, f64)], colour: Colour, opacity: f64) -> Result<()> {
        let polygon = Polygon::new(points.iter().copied().map(units).collect::<Vec<_>>(), rgb(colour).mix(opacity));
        self.area.draw(&polygon).map_err(failed)
    }

    /// A filled rectangle from corner to corner.
    pub fn rect(&self, from: (f64, f64), to: (f64, f64), colour: Colour, opacity: f64) -> Result<()> {
        let style = rgb(colour).mix(opacity).filled();
        self.area.draw(&Rectangle::new([units(from), units(to)], style)).map_err(failed)
    }

    /// Shows `text` when the pointer is on the rectangle from corner to corner.
    pub fn spot(&self, from: (f64, f64), to: (f64, f64), text: &str) {
        let ((x, y), (right, bottom)) = (units(from), units(to));
        self.spots.borrow_mut().push_str(&format!(
            "<rect class=\"spot\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"none\" pointer-events=\"all\"><title>{}</title></rect>\n",
            (right - x).max(0),
            (bottom - y).max(0),
            escape(text)
        ));
    }

    pub fn dot(&self, centre: (f64, f64), radius: f64, colour: Colour) -> Result<()> {
        self.area.draw(&Circle::new(units(centre), unit(radius), rgb(colour).filled())).map_err(failed)
    }

    pub fn ring(&self, centre: (f64, f64), radius: f64, colour: Colour) -> Result<()> {
        let style = rgb(colour).stroke_width(unit(2.0) as u32);
        self.area.draw(&Circle::new(units(centre), unit(radius), style)).map_err(failed)
    }

    /// Small text, such as a second line.
    pub fn small(&self, text: &str, at: (f64, f64), anchor: Anchor, colour: Colour) -> Result<()> {
        self.styled(text, at, anchor, colour, SMALL, FontStyle::Normal)
    }

    /// Text whose middle height is at `at`.
    pub fn text(&self, text: &str, at: (f64, f64), anchor: Anchor, colour: Colour) -> Result<()> {
        self.styled(text, at, anchor, colour, TEXT, FontStyle::Normal)
    }

    pub fn title(&self, text: &str) -> Result<()> {
        // The estimate is for normal letters; bold ones of 17 pixels are wider.
        let text = shorten(text, WIDTH * TEXT / 17.0 / 1.14);
        self.styled(&text, (0.0, 16.0), Anchor::Start, Colour::INK, 17.0, FontStyle::Bold)
    }

    pub fn bold(&self, text: &str, at: (f64, f64), anchor: Anchor) -> Result<()> {
        self.styled(text, at, anchor, Colour::INK, TEXT, FontStyle::Bold)
    }

    fn styled(
        &self,
        text: &str,
        at: (f64, f64),
        anchor: Anchor,
        colour: Colour,
        size: f64,
        font: FontStyle,
    ) -> Result<()> {
        let horizontal = match anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        // The backend divides by 1.24 again.
        let fill = rgb(colour);
        let style = TextStyle::from((FontFamily::SansSerif, size * UNITS * 1.24, font).into_font())
            .color(&fill)
            .pos(Pos::new(horizontal, VPos::Center));
        self.area.draw(&Text::new(clean(text), units(at), style)).map_err(failed)
    }
}

fn rgb(colour: Colour) -> RGBColor {
    RGBColor(colour.rgb.0, colour.rgb.1, colour.rgb.2)
}

/// About how wide a text is at [`TEXT`]. An estimate, on the wide side for a proportional font.
pub fn text_width(text: &str) -> f64 {
    let narrow = |c: char| " .,:;'|!iljtf-()".contains(c);
    text.chars()
        .map(|c| {
            if narrow(c) {
                0.36
            } else if "mwMW@%_&#$".contains(c) {
                0.85
            } else if c.is_uppercase() {
                0.72
            } else {
                0.61
            }
        })
        .sum::<f64>()
        * TEXT
}

/// At most `width` pixels of a label, without what would make the SVG ill-formed.
pub fn shorten(label: &str, width: f64) -> String {
    let clean = clean(label);
    if text_width(&clean) <= width {
        return clean;
    }
    let mut text = String::new();
    for c in clean.chars() {
        if text_width(&text) + 0.72 * TEXT * 2.0 > width {
            break;
        }
        text.push(c);
    }
    text.trim_end().to_owned() + "…"
}

/// Replaces the opening tag and gives classes to the colours that follow the scheme.
fn finish(svg: &str, size: (u32, u32), height: f64, alt: &str) -> String {
    let body = svg.find('>').map_or(svg, |end| &svg[end + 1..]);
    let alt = escape(alt);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"maclip-figure\" viewBox=\"0 0 {} {}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{alt}\">\n{}",
        size.0,
        size.1,
        style()
    );
    for line in body.split_inclusive('>') {
        let mut classes = Vec::new();
        for colour in Colour::with_class() {
            for attribute in ["fill", "stroke"] {
                if line.contains(&format!("{attribute}=\"{}\"", colour.hex())) {
                    classes.push(format!("{attribute}-{}", colour.class));
                }
            }
        }
        match (line.find('<'), classes.is_empty()) {
            (Some(start), false) => {
                let name = line[start + 1..].find([' ', '/', '>']).map_or(line.len(), |end| start + 1 + end);
                text += &format!("{} class=\"{}\"{}", &line[..name], classes.join(" "), &line[name..]);
            }
            _ => text += line,
        }
    }
    text
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

/// Without characters that XML forbids.
fn clean(text: &str) -> String {
    let forbidden = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    text.chars().map(|c| if forbidden(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_follow_the_scheme_and_text_is_escaped() {
        let svg =
            draw(40.0, "a \"quoted\" <alt>", |canvas| canvas.text("<b>&", (10.0, 10.0), Anchor::Start, Colour::INK))
                .unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("<text class=\"fill-ink\"") && svg.contains("&lt;b&gt;&amp;"), "{svg}");
        assert!(svg.contains("aria-label=\"a &quot;quoted&quot; &lt;alt&gt;\""), "{svg}");
        assert!(svg.contains("viewBox=\"0 0 2240 160\""));
    }

    #[test]
    fn long_labels_end_with_an_ellipsis() {
        assert_eq!(shorten("short", 100.0), "short");
        let long = shorten("a rather long name of a variant", 100.0);
        assert!(long.ends_with('…') && text_width(&long) <= 100.0, "{long}");
    }
}
