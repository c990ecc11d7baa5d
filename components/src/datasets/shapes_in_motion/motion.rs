//! How things move: directed and undirected motions, and what they are called.
//!
//! A directed motion is a path walked forwards or backwards. The backward class is rendered from the same courses
//! with time reversed, so no single frame, nor any unordered set of frames, can tell the two apart.

use super::objects::{What, with_article};
use super::played::{Happening, Played, Words};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    Across,
    Rise,
    Spin,
    Grow,
    Circle,
    Fade,
    Spiral,
    Fall,
    Hide,
    Approach,
    Divide,
    Bounce,
    Collide,
    Flash,
    Swing,
}

impl Happening for Path {
    const ALL: &'static [Path] = &[
        Path::Across,
        Path::Rise,
        Path::Spin,
        Path::Grow,
        Path::Circle,
        Path::Fade,
        Path::Spiral,
        Path::Fall,
        Path::Hide,
        Path::Approach,
        Path::Divide,
        Path::Bounce,
        Path::Collide,
        Path::Flash,
        Path::Swing,
    ];

    fn words(self) -> (Words, Option<Words>) {
        let words = |doing: &'static [&'static str], plain: &'static [&'static str]| Words { doing, plain };
        match self {
            Path::Across => (
                words(
                    &["moving from left to right", "going to the right", "gliding to the right"],
                    &["move from left to right", "go to the right", "glide to the right"],
                ),
                Some(words(
                    &["moving from right to left", "going to the left", "gliding to the left"],
                    &["move from right to left", "go to the left", "glide to the left"],
                )),
            ),
            Path::Rise => (
                words(&["moving upwards", "rising", "going up"], &["move upwards", "rise", "go up"]),
                Some(words(&["moving downwards", "sinking", "going down"], &["move downwards", "sink", "go down"])),
            ),
            Path::Spin => (
                words(&["spinning clockwise", "rotating clockwise"], &["spin clockwise", "rotate clockwise"]),
                Some(words(
                    &["spinning counter-clockwise", "rotating counter-clockwise"],
                    &["spin counter-clockwise", "rotate counter-clockwise"],
                )),
            ),
            Path::Grow => (
                words(&["growing", "getting bigger"], &["grow", "get bigger"]),
                Some(words(&["shrinking", "getting smaller"], &["shrink", "get smaller"])),
            ),
            Path::Circle => (
                words(&["circling clockwise", "going round clockwise"], &["circle clockwise", "go round clockwise"]),
                Some(words(
                    &["circling counter-clockwise", "going round counter-clockwise"],
                    &["circle counter-clockwise", "go round counter-clockwise"],
                )),
            ),
            Path::Fade => (
                words(&["appearing"], &["appear"]),
                Some(words(&["fading away", "vanishing"], &["fade away", "vanish"])),
            ),
            Path::Spiral => (
                words(&["spiralling inwards"], &["spiral inwards"]),
                Some(words(&["spiralling outwards"], &["spiral outwards"])),
            ),
            Path::Fall => (
                words(&["falling over", "toppling over"], &["fall over", "topple over"]),
                Some(words(&["standing up", "rising to its feet"], &["stand up", "rise to its feet"])),
            ),
            Path::Hide => (
                words(&["hiding behind a wall", "going behind a wall"], &["hide behind a wall", "go behind a wall"]),
                Some(words(
                    &["coming out from behind a wall", "showing up from behind a wall"],
                    &["come out from behind a wall", "show up from behind a wall"],
                )),
            ),
            Path::Approach => (
                words(
                    &["moving towards each other", "approaching each other"],
                    &["move towards each other", "approach each other"],
                ),
                Some(words(&["moving apart", "parting"], &["move apart", "part"])),
            ),
            Path::Divide => (
                words(&["splitting in two", "dividing"], &["split in two", "divide"]),
                Some(words(&["merging into one", "joining"], &["merge into one", "join"])),
            ),
            Path::Bounce => (
                words(&["bouncing up and down", "hopping up and down"], &["bounce up and down", "hop up and down"]),
                None,
            ),
            Path::Collide => (words(&["colliding", "crashing"], &["collide", "crash"]), None),
            Path::Flash => (words(&["flashing", "blinking"], &["flash", "blink"]), None),
            Path::Swing => (
                words(
                    &["swinging from side to side", "swaying from side to side"],
                    &["swing from side to side", "sway from side to side"],
                ),
                None,
            ),
        }
    }
}

/// How something moves: the second half of a class.
pub type Motion = Played<Path>;

impl Played<Path> {
    /// Whether there are two objects at the start.
    pub fn two(self) -> bool {
        match self.kind {
            Path::Approach | Path::Collide => true,
            // One becomes two; seen backwards, two become one.
            Path::Divide => self.backwards,
            _ => false,
        }
    }

    /// The class text, such as "two striped discs colliding".
    pub fn sentence(self, what: What) -> String {
        let subject = if self.two() { format!("two {}", what.text(true)) } else { with_article(&what.text(false)) };
        format!("{subject} {}", self.words().doing[0])
    }
}
