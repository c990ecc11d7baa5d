//! What happens, played forwards or backwards, and how it is said.

/// Words for what happens; `{}` stands for the thing that somebody does it with.
pub struct Words {
    /// One is what: "throwing a ball". The first is the class name's.
    pub doing: &'static [&'static str],
    /// Several do what: "throw a ball", in the same order.
    pub plain: &'static [&'static str],
}

/// A kind of happening that can be played backwards.
pub trait Happening: Copy + PartialEq + 'static {
    const ALL: &'static [Self];

    /// The words forwards and backwards; one set where the direction of time does not show.
    fn words(self) -> (Words, Option<Words>);
}

/// A happening in one of the two directions of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Played<T> {
    pub kind: T,
    /// It is played from its end to its start.
    pub backwards: bool,
}

impl<T: Happening> Played<T> {
    pub fn forward(kind: T) -> Self {
        Self { kind, backwards: false }
    }

    /// The same seen with time reversed; what has no direction is its own reverse.
    pub fn reverse(self) -> Self {
        match self.kind.words().1 {
            Some(_) => Self { backwards: !self.backwards, ..self },
            None => self,
        }
    }

    pub fn words(self) -> Words {
        let (forward, backward) = self.kind.words();
        if self.backwards { backward.unwrap_or(forward) } else { forward }
    }

    /// All kinds forwards and, where that is another happening, backwards.
    pub fn all() -> Vec<Self> {
        let both_ways = |&kind: &T| {
            let forward = Self::forward(kind);
            let reverse = Some(forward.reverse()).filter(|reverse| *reverse != forward);
            [forward].into_iter().chain(reverse)
        };
        T::ALL.iter().flat_map(both_ways).collect()
    }
}
