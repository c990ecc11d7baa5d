//! Colours: of variants, text and lines, each on a light and on a dark ground; and the shapes of variants that share one.

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
    /// Of variants. Black is for the one that is called the baseline. The next four are Okabe and Ito's, for all kinds of colour
    /// vision; the last 21 were chosen so that each is as far as possible from those before it, on both grounds. All reach a
    /// contrast of 3 to the ground, also where a tenth of it shows through.
    pub const SERIES: [Self; 28] = [
        colour("v0", "#30343a"),
        colour("v1", "#0072b2"),
        colour("v2", "#d55e00"),
        colour("v3", "#00916a"),
        colour("v4", "#c2689a"),
        colour("v5", "#a87400"),
        colour("v6", "#5b4bc4"),
        colour("v7", "#ba40ea"),
        colour("v8", "#4f0e78"),
        colour("v9", "#b2000c"),
        colour("v10", "#555b2a"),
        colour("v11", "#671224"),
        colour("v12", "#fc007c"),
        colour("v13", "#284d76"),
        colour("v14", "#373bff"),
        colour("v15", "#2000c7"),
        colour("v16", "#842a9e"),
        colour("v17", "#157819"),
        colour("v18", "#fd10e2"),
        colour("v19", "#7b6be2"),
        colour("v20", "#c0078a"),
        colour("v21", "#e81320"),
        colour("v22", "#1a4e0a"),
        colour("v23", "#95541d"),
        colour("v24", "#693907"),
        colour("v25", "#993b69"),
        colour("v26", "#727850"),
        colour("v27", "#179b13"),
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
    /// Of a variant by its number. Colours come again after as many variants as there are colours, and then with the next shape.
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
    ("v7", "#91678a"),
    ("v8", "#e405da"),
    ("v9", "#fd1400"),
    ("v10", "#35d71e"),
    ("v11", "#be5a31"),
    ("v12", "#fa0f97"),
    ("v13", "#297ba4"),
    ("v14", "#0072f8"),
    ("v15", "#94b5e3"),
    ("v16", "#bb00ff"),
    ("v17", "#72f1b9"),
    ("v18", "#ffc6ff"),
    ("v19", "#9948c4"),
    ("v20", "#f490ff"),
    ("v21", "#b88d7c"),
    ("v22", "#cfd909"),
    ("v23", "#997100"),
    ("v24", "#ffc58f"),
    ("v25", "#fc5fc5"),
    ("v26", "#2d911f"),
    ("v27", "#31fe85"),
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

    /// Distance in OKLab: about 0.02 is the least that is seen of two patches side by side.
    pub fn distance(one: &str, other: &str) -> f64 {
        let lab = |hex: &str| {
            let [r, g, b] = linear(hex);
            let l = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b).cbrt();
            let m = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b).cbrt();
            let s = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b).cbrt();
            [
                0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
                1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
                0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
            ]
        };
        lab(one).iter().zip(lab(other)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
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
    use super::measured::{contrast, distance};
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
