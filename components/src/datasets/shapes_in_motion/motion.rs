//! How things move: directed and undirected motions, and what they are called.
//!
//! A directed motion is a path walked forwards or backwards. The backward class is rendered from the same courses
//! with time reversed, so no single frame, nor any unordered set of frames, can tell the two apart.

use super::objects::{What, with_article};

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

impl Path {
    /// The text of the path walked forwards and backwards; one text where the direction of time does not show.
    fn texts(self) -> (&'static str, Option<&'static str>) {
        match self {
            Path::Across => ("moving from left to right", Some("moving from right to left")),
            Path::Rise => ("moving upwards", Some("moving downwards")),
            Path::Spin => ("spinning clockwise", Some("spinning counter-clockwise")),
            Path::Grow => ("growing", Some("shrinking")),
            Path::Circle => ("circling clockwise", Some("circling counter-clockwise")),
            Path::Fade => ("appearing", Some("fading away")),
            Path::Spiral => ("spiralling inwards", Some("spiralling outwards")),
            Path::Fall => ("falling over", Some("standing up")),
            Path::Hide => ("hiding behind a wall", Some("coming out from behind a wall")),
            Path::Approach => ("moving towards each other", Some("moving apart")),
            Path::Divide => ("splitting in two", Some("merging into one")),
            Path::Bounce => ("bouncing up and down", None),
            Path::Collide => ("colliding", None),
            Path::Flash => ("flashing", None),
            Path::Swing => ("swinging from side to side", None),
        }
    }
}

/// How something moves: the second half of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Motion {
    pub path: Path,
    /// The course is played from its end to its start.
    pub backwards: bool,
}

impl Motion {
    pub fn forward(path: Path) -> Self {
        Self { path, backwards: false }
    }

    /// The motion seen with time reversed; an undirected motion is its own reverse.
    pub fn reverse(self) -> Self {
        match self.path.texts().1 {
            Some(_) => Self { backwards: !self.backwards, ..self },
            None => self,
        }
    }

    /// The path forwards and, where that is another motion, backwards.
    pub fn both_ways(path: Path) -> Vec<Motion> {
        let forward = Motion::forward(path);
        if forward.reverse() == forward { vec![forward] } else { vec![forward, forward.reverse()] }
    }

    pub fn text(self) -> &'static str {
        let (forward, backward) = self.path.texts();
        if self.backwards { backward.unwrap_or(forward) } else { forward }
    }

    /// The class text, such as "two striped discs colliding".
    pub fn sentence(self, what: What) -> String {
        let two = match self.path {
            Path::Approach | Path::Collide => true,
            // One becomes two; seen backwards, two become one.
            Path::Divide => self.backwards,
            _ => false,
        };
        let subject = if two { format!("two {}", what.text(true)) } else { with_article(&what.text(false)) };
        format!("{subject} {}", self.text())
    }
}
