//! The backend of plotters that the figures are drawn on: SVG with fractions of a pixel, and with colours by class, so
//! that a browser can show them on a dark ground.

use super::text::{Font, clean};
use crate::palette::Colour;
use plotters::prelude::*;
use plotters_backend::text_anchor::HPos;
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind, FontStyle};
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

/// Units of plotters for each pixel: it places things on whole units.
const UNITS: f64 = 100.0;

/// A point in pixels, in units.
pub fn units(point: (f64, f64)) -> (i32, i32) {
    (unit(point.0), unit(point.1))
}

pub fn unit(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

/// Shapes in the order in which they were drawn, which others may add their own to.
#[derive(Clone, Default)]
pub struct Shapes(Rc<RefCell<String>>);

impl Shapes {
    pub fn add(&self, shape: &str) {
        let mut shapes = self.0.borrow_mut();
        shapes.push_str(shape);
        shapes.push('\n');
    }

    pub fn take(&self) -> String {
        self.0.take()
    }
}

/// Writes shapes of plotters. Nothing of it can fail.
pub struct Svg {
    pub shapes: Shapes,
    /// In units.
    pub size: (u32, u32),
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// The colour of the palette, which decides what it is on a dark ground.
fn colour(of: BackendColor) -> Colour {
    let (r, g, b) = of.rgb;
    Colour::with_light(&format!("#{r:02x}{g:02x}{b:02x}")).expect("figures are drawn in colours of the palette")
}

fn pixels(units: i32) -> f64 {
    f64::from(units) / UNITS
}

fn point((x, y): BackendCoord) -> (f64, f64) {
    (pixels(x), pixels(y))
}

fn painted(style: &impl BackendStyle, filled: bool) -> String {
    let colour = colour(style.color());
    match filled {
        true => fill(colour, style.color().alpha),
        false => stroke(colour, f64::from(style.stroke_width()) / UNITS),
    }
}

fn points(points: impl IntoIterator<Item = BackendCoord>) -> String {
    path(&points.into_iter().map(point).collect::<Vec<_>>())
}

impl DrawingBackend for Svg {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Drawn {
        self.draw_rect(at, (at.0 + 1, at.1 + 1), &color, true)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, filled: bool) -> Drawn {
        self.shapes.add(&format!("<rect {} {}/>", corners(point(from), point(to)), painted(style, filled)));
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        self.shapes.add(&format!("<polyline points=\"{}\" {}/>", points(path), painted(style, false)));
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, centre: BackendCoord, radius: u32, style: &S, filled: bool) -> Drawn {
        let ((x, y), radius) = (point(centre), f64::from(radius) / UNITS);
        let [x, y, radius] = [x, y, radius].map(number);
        self.shapes.add(&format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" {}/>", painted(style, filled)));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        self.shapes.add(&format!("<polygon points=\"{}\" {}/>", points(path), painted(style, true)));
        Ok(())
    }

    /// The middle height of the text is at `at`.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let anchor = match style.anchor().h_pos {
            HPos::Left => "",
            HPos::Center => " text-anchor=\"middle\"",
            HPos::Right => " text-anchor=\"end\"",
        };
        let font = Font { size: style.size() / UNITS, bold: matches!(style.style(), FontStyle::Bold) };
        self.shapes.add(&letters(text, point(at), anchor, colour(style.color()), font));
        Ok(())
    }
}

/// Text whose middle height is at `at`; `anchor` is an attribute, or empty for the text's begin.
pub fn letters(text: &str, (x, y): (f64, f64), anchor: &str, colour: Colour, font: Font) -> String {
    let weight = if font.bold { " font-weight=\"bold\"" } else { "" };
    format!(
        "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{weight}{anchor} font-family=\"sans-serif\" {}>{}</text>",
        number(x),
        // Capitals and digits are about 0.72 of the size high: half of that lies below the middle.
        number(y + 0.36 * font.size),
        number(font.size),
        fill(colour, 1.0),
        escape(text)
    )
}

/// At most two decimals: a hundredth of a pixel.
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

pub fn path(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect::<Vec<_>>().join(" ")
}

pub fn fill(colour: Colour, opacity: f64) -> String {
    let opacity = if opacity < 1.0 { format!(" fill-opacity=\"{}\"", number(opacity)) } else { String::new() };
    format!("class=\"fill-{}\" fill=\"{}\"{opacity}", colour.class, colour.light)
}

pub fn stroke(colour: Colour, width: f64) -> String {
    format!(
        "class=\"stroke-{}\" stroke=\"{}\" stroke-width=\"{}\" fill=\"none\"",
        colour.class,
        colour.light,
        number(width)
    )
}

/// Place and size of the rectangle from corner to corner.
pub fn corners(from: (f64, f64), to: (f64, f64)) -> String {
    let size = ((to.0 - from.0).max(0.0), (to.1 - from.1).max(0.0));
    format!(
        "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"",
        number(from.0),
        number(from.1),
        number(size.0),
        number(size.1)
    )
}

/// `text` inside of an element or an attribute.
pub fn escape(text: &str) -> String {
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
    fn numbers_are_short() {
        assert_eq!([1.0, 0.126, -0.001, 12.5].map(number), ["1", "0.13", "0", "12.5"]);
    }
}
