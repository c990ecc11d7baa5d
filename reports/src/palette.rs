//! Colours: of variants, text and lines, each on a light and on a dark ground; and the shapes of variants that share
//! one.

/// A colour with its CSS class, which decides what it is on a dark ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// The part of the CSS class after `fill-` and `stroke-`.
    pub class: &'static str,
    /// On a light ground, as `#rrggbb`.
    pub light: &'static str,
}

const fn colour(class: &'static str, light: &'static str) -> Colour {
    Colour { class, light }
}

impl Colour {
    pub const INK: Self = colour("ink", "#1f2328");
    pub const MUTED: Self = colour("muted", "#5b636d");
    pub const GRID: Self = colour("grid", "#dde1e6");
    /// Of matrices that belong to no variant.
    pub const SCALE: Self = colour("scale", "#46627f");
    /// Of variants. Black is for the one that is called the baseline. The next four are Okabe and Ito's, for all kinds
    /// of colour vision; the last 21 were chosen so that each is as far as possible from those before it, on both
    /// grounds, with one hue on both. All reach a contrast of 3 to the ground, also where a tenth of it shows through.
    pub const SERIES: [Self; 28] = [
        colour("v0", "#30343a"),
        colour("v1", "#0072b2"),
        colour("v2", "#d55e00"),
        colour("v3", "#00916a"),
        colour("v4", "#c2689a"),
        colour("v5", "#a87400"),
        colour("v6", "#5b4bc4"),
        colour("v7", "#a01642"),
        colour("v8", "#d12ef2"),
        colour("v9", "#5b5c21"),
        colour("v10", "#a32b9e"),
        colour("v11", "#120b7a"),
        colour("v12", "#672675"),
        colour("v13", "#520401"),
        colour("v14", "#6b3725"),
        colour("v15", "#395d6f"),
        colour("v16", "#3e015a"),
        colour("v17", "#f42886"),
        colour("v18", "#124391"),
        colour("v19", "#ac6ad8"),
        colour("v20", "#d73246"),
        colour("v21", "#825d68"),
        colour("v22", "#58828f"),
        colour("v23", "#a94620"),
        colour("v24", "#0f3206"),
        colour("v25", "#005725"),
        colour("v26", "#7a6eb7"),
        colour("v27", "#4d7800"),
    ];

    /// Of classes, inside a line: pale, so that nobody takes them for variants.
    pub const TINTS: [Self; 8] = [
        colour("t0", "#f6c9c5"),
        colour("t1", "#c5daf8"),
        colour("t2", "#fde0ae"),
        colour("t3", "#c8e8c3"),
        colour("t4", "#ddd0f6"),
        colour("t5", "#ecefaa"),
        colour("t6", "#bce6e4"),
        colour("t7", "#f4cde6"),
    ];

    /// Of a variant by the position that the report gave it.
    pub fn of(swatch: usize) -> Self {
        Self::SERIES[swatch % Self::SERIES.len()]
    }

    /// The colour whose light form is `hex`.
    pub fn with_light(hex: &str) -> Option<Self> {
        let all = [Self::INK, Self::MUTED, Self::GRID, Self::SCALE].into_iter().chain(Self::SERIES).chain(Self::TINTS);
        all.into_iter().find(|colour| colour.light == hex)
    }

    /// Red, green and blue on a light ground.
    pub fn rgb(self) -> [u8; 3] {
        let part = |at: usize| u8::from_str_radix(&self.light[at..at + 2], 16).expect("colours are written as #rrggbb");
        [1, 3, 5].map(part)
    }

    /// The colour on a dark ground.
    pub fn dark(self) -> &'static str {
        DARK.iter().find(|(class, _)| *class == self.class).map_or(self.light, |(_, dark)| dark)
    }
}

/// What tells variants of one colour apart: how their points and lines are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Disc,
    Square,
    Diamond,
    Triangle,
}

impl Shape {
    /// Of a variant by its number. Colours come again after as many variants as there are colours, and then with the
    /// next shape.
    pub fn of(number: usize) -> Self {
        let shapes = [Self::Disc, Self::Square, Self::Diamond, Self::Triangle];
        shapes[number / (Colour::SERIES.len() - 1) % shapes.len()]
    }

    /// Of its class in the style sheet of a page.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disc => "disc",
            Self::Square => "square",
            Self::Diamond => "diamond",
            Self::Triangle => "triangle",
        }
    }
}

/// What the classes become on a dark ground.
pub const DARK: &[(&str, &str)] = &[
    ("ink", "#e6e9ed"),
    ("muted", "#a3abb5"),
    ("grid", "#343a42"),
    ("scale", "#8fb0d0"),
    ("v0", "#c9ced6"),
    ("v1", "#3a9fdc"),
    ("v2", "#f0803c"),
    ("v3", "#2fc79a"),
    ("v4", "#e08fbd"),
    ("v5", "#e6a817"),
    ("v6", "#9a8df0"),
    ("v7", "#d03275"),
    ("v8", "#ac1cf1"),
    ("v9", "#817b59"),
    ("v10", "#f63dee"),
    ("v11", "#4f6bee"),
    ("v12", "#9764a3"),
    ("v13", "#c94c18"),
    ("v14", "#b99683"),
    ("v15", "#3b859b"),
    ("v16", "#e781fe"),
    ("v17", "#fb5c99"),
    ("v18", "#94b2e4"),
    ("v19", "#bf5ad6"),
    ("v20", "#fc274b"),
    ("v21", "#c56e7d"),
    ("v22", "#60d8eb"),
    ("v23", "#feaf83"),
    ("v24", "#5e8a21"),
    ("v25", "#9ed691"),
    ("v26", "#8689ab"),
    ("v27", "#96a856"),
    ("t0", "#7c3c38"),
    ("t1", "#2b4c80"),
    ("t2", "#74551f"),
    ("t3", "#2e6031"),
    ("t4", "#533d86"),
    ("t5", "#5c5e1c"),
    ("t6", "#1e5e5c"),
    ("t7", "#713a60"),
];

/// What colours written as `#rrggbb` are measured by: the contrast of WCAG 2.2, and Björn Ottosson's OKLab.
#[cfg(test)]
pub mod measured {
    fn linear(hex: &str) -> [f64; 3] {
        [1, 3, 5].map(|at| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        })
    }

    pub fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |hex: &str| {
            let [r, g, b] = linear(hex);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Lightness, green to red, and blue to yellow.
    fn lab(hex: &str) -> [f64; 3] {
        let [r, g, b] = linear(hex);
        let l = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b).cbrt();
        let m = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b).cbrt();
        let s = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b).cbrt();
        [
            0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
            1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
            0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
        ]
    }

    /// Distance in OKLab: about 0.02 is the least that is seen of two patches side by side.
    pub fn distance(one: &str, other: &str) -> f64 {
        lab(one).iter().zip(lab(other)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    /// Angle between the hues, in degrees from 0 to 180.
    pub fn between_hues(one: &str, other: &str) -> f64 {
        let hue = |hex: &str| {
            let [_, a, b] = lab(hex);
            b.atan2(a).to_degrees()
        };
        let apart = (hue(one) - hue(other)).abs();
        apart.min(360.0 - apart)
    }

    /// `colour` with this opacity over `ground`.
    pub fn over(colour: &str, opacity: f64, ground: &str) -> String {
        let part = |hex: &str, at: usize| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        let mixed = [1, 3, 5].map(|at| opacity * part(colour, at) + (1.0 - opacity) * part(ground, at));
        let [r, g, b] = mixed.map(|value| value.round() as u8);
        format!("#{r:02x}{g:02x}{b:02x}")
    }
}

/// The colours of variants in their light and their dark form, as CSS values.
pub fn palette() -> Vec<(&'static str, &'static str)> {
    Colour::SERIES.iter().map(|colour| (colour.light, colour.dark())).collect()
}

#[cfg(test)]
mod tests {
    use super::measured::{between_hues, contrast, distance};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_variant_is_seen_on_both_grounds() {
        for (light, dark) in palette() {
            assert!(contrast(light, "#ffffff") >= 3.0, "{light} on white: {}", contrast(light, "#ffffff"));
            assert!(contrast(dark, "#15181c") >= 3.0, "{dark} on black: {}", contrast(dark, "#15181c"));
        }
        let known = |colour: &Colour| {
            let [r, g, b] = colour.rgb();
            Colour::with_light(&format!("#{r:02x}{g:02x}{b:02x}")) == Some(*colour)
        };
        assert!(Colour::SERIES.iter().chain(&Colour::TINTS).all(known), "a colour is known by its parts");
        assert_eq!(palette().into_iter().collect::<BTreeSet<_>>().len(), Colour::SERIES.len());
        assert!(Colour::SERIES.iter().all(|colour| DARK.iter().any(|(class, _)| *class == colour.class)));
    }

    #[test]
    fn a_variant_has_one_hue_on_both_grounds() {
        for (light, dark) in palette() {
            assert!(between_hues(light, dark) < 12.0, "{light} and {dark}: {}", between_hues(light, dark));
        }
        assert!(between_hues("#ff0000", "#00ffff") > 150.0, "red and cyan are opposite");
    }

    #[test]
    fn no_two_variants_have_nearly_the_same_colour() {
        const NEAREST: f64 = 0.09;
        let (light, dark): (Vec<&str>, Vec<&str>) = palette().into_iter().unzip();
        for theme in [light, dark] {
            for (at, one) in theme.iter().enumerate() {
                for other in &theme[at + 1..] {
                    assert!(distance(one, other) >= NEAREST, "{one} and {other}: {}", distance(one, other));
                }
            }
        }
    }

    #[test]
    fn shapes_change_where_colours_come_again() {
        let colours = Colour::SERIES.len() - 1;
        let shapes = [0, colours - 1, colours, 2 * colours, 3 * colours, 4 * colours].map(Shape::of);
        assert_eq!(shapes, [Shape::Disc, Shape::Disc, Shape::Square, Shape::Diamond, Shape::Triangle, Shape::Disc]);
    }
}
