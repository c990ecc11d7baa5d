//! Colours: of variants, text and lines, each on a light and on a dark ground.

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
    /// vision; the last sixteen were chosen to be as far as possible from those before. All reach a contrast of 3 to both grounds.
    pub const SERIES: [Self; 28] = [
        colour("v0", "#30343a"),
        colour("v1", "#0072b2"),
        colour("v2", "#d55e00"),
        colour("v3", "#00916a"),
        colour("v4", "#c2689a"),
        colour("v5", "#a87400"),
        colour("v6", "#5b4bc4"),
        colour("v7", "#2f8ab5"),
        colour("v8", "#8c2155"),
        colour("v9", "#6f7a12"),
        colour("v10", "#7d5a3c"),
        colour("v11", "#4a7774"),
        colour("v12", "#e347d9"),
        colour("v13", "#27a034"),
        colour("v14", "#cd0229"),
        colour("v15", "#183d00"),
        colour("v16", "#fa07a0"),
        colour("v17", "#6d0b14"),
        colour("v18", "#78668a"),
        colour("v19", "#2d2b72"),
        colour("v20", "#790774"),
        colour("v21", "#f01669"),
        colour("v22", "#779461"),
        colour("v23", "#b47d7f"),
        colour("v24", "#907efc"),
        colour("v25", "#1a1ae0"),
        colour("v26", "#a200fc"),
        colour("v27", "#1b6300"),
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
    fn dark(self) -> &'static str {
        DARK.iter().find(|(class, _)| *class == self.class).map_or(self.light, |(_, dark)| dark)
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
    ("v7", "#7cc8ee"),
    ("v8", "#d0507f"),
    ("v9", "#b8c24a"),
    ("v10", "#c49a78"),
    ("v11", "#86b5b1"),
    ("v12", "#dd41d3"),
    ("v13", "#1e9b2f"),
    ("v14", "#f74046"),
    ("v15", "#6b9151"),
    ("v16", "#fd12a3"),
    ("v17", "#f4877e"),
    ("v18", "#8f819c"),
    ("v19", "#cbbefb"),
    ("v20", "#f689eb"),
    ("v21", "#fd2c72"),
    ("v22", "#bcdba4"),
    ("v23", "#ffc3c4"),
    ("v24", "#9c1ffc"),
    ("v25", "#246ca2"),
    ("v26", "#9048ab"),
    ("v27", "#00d800"),
    ("t0", "#7c3c38"),
    ("t1", "#2b4c80"),
    ("t2", "#74551f"),
    ("t3", "#2e6031"),
    ("t4", "#533d86"),
    ("t5", "#5c5e1c"),
    ("t6", "#1e5e5c"),
    ("t7", "#713a60"),
];

/// The colours of variants in their light and their dark form, as CSS values.
pub fn palette() -> Vec<(&'static str, &'static str)> {
    Colour::SERIES.iter().map(|colour| (colour.light, colour.dark())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Relative luminance of WCAG 2.2.
    fn luminance(hex: &str) -> f64 {
        let part = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

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
}
