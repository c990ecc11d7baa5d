//! What happens in a picture or a clip, and how it is said.

use super::figures::{Action, Facing, Prop};
use super::hands::Handling;
use super::motion::Motion;
use super::objects::What;
use super::played::Words;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Things move by themselves.
    Thing { what: What, motion: Motion },
    /// A person does something.
    Figure {
        action: Action,
        /// Where it looks or goes; `None` leaves that to chance.
        facing: Option<Facing>,
        /// What it has with it beside the action.
        carried: Option<Prop>,
    },
    /// A hand does something with a thing.
    Hand { what: What, handling: Handling },
}

impl Content {
    /// The class text.
    pub fn sentence(self) -> String {
        match self {
            Content::Thing { what, motion } => motion.sentence(what),
            Content::Figure { action, facing, carried } => {
                let way = facing.map(|facing| if action.travels() { facing.way() } else { facing.looking() });
                let with = carried.and_then(Prop::phrase);
                let verb = action.words().doing[0];
                [Some("a person"), Some(verb), way, with].into_iter().flatten().collect::<Vec<_>>().join(" ")
            }
            Content::Hand { what, handling } => handling.sentence(what),
        }
    }

    /// The class part of a clip id.
    pub fn slug(self) -> String {
        let sentence = self.sentence();
        let bare = sentence.trim_start_matches("a ").trim_start_matches("an ");
        bare.split(|c: char| !c.is_ascii_alphanumeric()).collect::<Vec<_>>().join("-")
    }

    /// What is done.
    pub fn words(self) -> Words {
        match self {
            Content::Thing { motion, .. } => motion.words(),
            Content::Figure { action, .. } => action.words(),
            Content::Hand { handling, .. } => handling.words(),
        }
    }

    /// The same happening with time reversed, where that is another class.
    pub fn reverse(self) -> Option<Self> {
        let other = match self {
            Content::Thing { what, motion } => Content::Thing { what, motion: motion.reverse() },
            Content::Hand { what, handling } => Content::Hand { what, handling: handling.reverse() },
            Content::Figure { action, facing, carried } => {
                Content::Figure { action: action.reverse()?, facing, carried }
            }
        };
        (other != self).then_some(other)
    }

    /// The kind of thing, where there is one.
    #[cfg(test)]
    pub fn what(self) -> Option<What> {
        match self {
            Content::Thing { what, .. } | Content::Hand { what, .. } => Some(what),
            Content::Figure { .. } => None,
        }
    }
}
