//! What is behind everything: a pattern or a place.

use super::colour::Colour;
use super::pattern::Pattern;
use super::raster::Canvas;
use super::scenery::{Place, Scenery};
use maclip_framework::random::Rng;

/// A background.
#[derive(Clone, Debug)]
pub enum Backdrop {
    Pattern(Pattern),
    Scenery(Scenery),
}

impl Backdrop {
    /// Any pattern or place, each kind half of the time.
    pub fn draw(rng: &mut Rng) -> Self {
        if rng.chance(0.5) { Backdrop::Pattern(Pattern::draw(rng)) } else { Self::of(*rng.pick(&Place::ALL), rng) }
    }

    /// A place of this kind.
    pub fn of(place: Place, rng: &mut Rng) -> Self {
        Backdrop::Scenery(Scenery::draw(place, rng))
    }

    /// The colours that an object has to stand out from.
    pub fn colours(&self) -> [Colour; 2] {
        match self {
            Backdrop::Pattern(pattern) => pattern.colours(),
            Backdrop::Scenery(scenery) => scenery.colours(),
        }
    }

    /// Paints a `frame`-pixel square with `margin` pixels more on each side, for the camera to move in.
    pub fn paint(&self, frame: usize, margin: usize) -> Canvas {
        match self {
            Backdrop::Pattern(pattern) => pattern.paint(frame, margin),
            Backdrop::Scenery(scenery) => scenery.paint(frame, margin),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::shapes_in_motion::palette::{Paint, nearest};
    use maclip_framework::random::Stream;

    #[test]
    fn shapes_in_motion_objects_stand_out_from_backgrounds() {
        let stream = Stream::new(0, "palette test");
        for index in 0..500 {
            let mut rng = stream.at(index);
            let backdrop = Backdrop::draw(&mut rng);
            let paint = Paint::apart_from(&backdrop.colours(), &mut rng);
            assert!(nearest(paint.colour, &backdrop.colours()) > 0.4, "{backdrop:?} {paint:?}");
        }
    }

    #[test]
    fn shapes_in_motion_backgrounds_cover_their_margins() {
        for index in 0..60 {
            let mut rng = Stream::new(1, "margin test").at(index);
            let canvas = Backdrop::draw(&mut rng).paint(32, 5);
            assert_eq!((canvas.size, canvas.pixels.len()), (42, 42 * 42));
        }
    }
}
