//! Colours and their mixtures.

/// RGB, each 0..=1.
pub type Colour = [f32; 3];

/// `a` with the share `amount` of `b`.
#[inline]
pub fn mix(a: Colour, b: Colour, amount: f32) -> Colour {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * amount)
}

/// The second colour of a texture: the main one made clearly lighter or darker.
pub fn second_colour(main: Colour) -> Colour {
    let light = 0.3 * main[0] + 0.59 * main[1] + 0.11 * main[2];
    if light > 0.45 { mix(main, [0.0; 3], 0.68) } else { mix(main, [1.0; 3], 0.72) }
}
