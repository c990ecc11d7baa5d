//! The classes of both variants, and which split each class belongs to.

use super::Variant;
use super::motion::{Motion, Path};
use super::objects::{Shape, Texture, What};
use maclip_framework::slots::dataset::Split;

/// One class: what moves and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Combination {
    pub what: What,
    pub motion: Motion,
    pub split: Split,
    /// The class text.
    pub name: String,
    /// The class part of a clip id; also names the random stream of the class.
    pub slug: String,
}

/// Four kinds that look different when turned by any angle below 180°.
const FEW_WHATS: [What; 4] = [
    What::new(Texture::Striped, Shape::Disc),
    What::new(Texture::Plain, Shape::Arrow),
    What::new(Texture::Dotted, Shape::Heart),
    What::new(Texture::Checkered, Shape::Triangle),
];

const MANY_WHATS: [What; 25] = [
    What::new(Texture::Plain, Shape::Disc),
    What::new(Texture::Striped, Shape::Disc),
    What::new(Texture::Dotted, Shape::Disc),
    What::new(Texture::Plain, Shape::Square),
    What::new(Texture::Dotted, Shape::Square),
    What::new(Texture::Checkered, Shape::Square),
    What::new(Texture::Plain, Shape::Triangle),
    What::new(Texture::Striped, Shape::Triangle),
    What::new(Texture::Plain, Shape::Star),
    What::new(Texture::Striped, Shape::Star),
    What::new(Texture::Plain, Shape::Cross),
    What::new(Texture::Dotted, Shape::Cross),
    What::new(Texture::Plain, Shape::Ring),
    What::new(Texture::Striped, Shape::Ring),
    What::new(Texture::Plain, Shape::Heart),
    What::new(Texture::Dotted, Shape::Heart),
    What::new(Texture::Checkered, Shape::Heart),
    What::new(Texture::Plain, Shape::Crescent),
    What::new(Texture::Striped, Shape::Diamond),
    What::new(Texture::Checkered, Shape::Diamond),
    What::new(Texture::Plain, Shape::Hexagon),
    What::new(Texture::Striped, Shape::Hexagon),
    What::new(Texture::Checkered, Shape::Hexagon),
    What::new(Texture::Plain, Shape::Arrow),
    What::new(Texture::Striped, Shape::Arrow),
];

/// Eleven directed paths, each walked both ways, and three undirected ones: 25 hows.
const MANY_PATHS: [Path; 14] = [
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
];

const FEW_PATHS: [Path; 4] = [Path::Spin, Path::Bounce, Path::Grow, Path::Swing];

/// Group `group` of the long axis meets entry `short` (0..4) of the short axis: which split is that?
///
/// Each group gives at most one entry to test and another to val, so at least two stay in train, and the entry
/// rotates from group to group, so every entry is met in train too. In the motion variant a group is a motion with
/// its reverse: both directions go to the same split, where only the order of frames tells them apart.
fn split_of(variant: Variant, group: usize, short: usize) -> Split {
    let (test_groups, val_groups) = match variant {
        Variant::Motion => (13, 11),
        Variant::Appearance => (24, 24),
    };
    let held_out = group % 4;
    if group < test_groups && short == held_out {
        Split::Test
    } else if group < val_groups && group.is_multiple_of(2) && short == (held_out + 1 + group / 4 % 3) % 4 {
        Split::Val
    } else {
        Split::Train
    }
}

/// All classes of a variant, in a fixed order that no seed changes.
pub fn combinations(variant: Variant) -> Vec<Combination> {
    let cell = |what: What, motion: Motion, group: usize, short: usize| {
        let name = motion.sentence(what);
        let slug = name
            .trim_start_matches("a ")
            .trim_start_matches("an ")
            .split(|c: char| !c.is_ascii_alphanumeric())
            .collect::<Vec<_>>()
            .join("-");
        let slug = format!("{}/{slug}", variant.name());
        Combination { what, motion, split: split_of(variant, group, short), name, slug }
    };
    match variant {
        Variant::Motion => {
            let groups = MANY_PATHS.iter().enumerate();
            let hows =
                groups.flat_map(|(group, &path)| Motion::both_ways(path).into_iter().map(move |how| (group, how)));
            hows.flat_map(|(group, how)| {
                FEW_WHATS.iter().enumerate().map(move |(short, &what)| cell(what, how, group, short))
            })
            .collect()
        }
        Variant::Appearance => (MANY_WHATS.iter().enumerate())
            .flat_map(|(group, &what)| {
                FEW_PATHS.iter().enumerate().map(move |(short, &path)| cell(what, Motion::forward(path), group, short))
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn shapes_in_motion_splits_hold_out_combinations_only() {
        for variant in [Variant::Motion, Variant::Appearance] {
            let all = combinations(variant);
            let of = |split: Split| all.iter().filter(move |c| c.split == split);
            assert_eq!(Split::ALL.map(|split| of(split).count()), [64, 12, 24]);
            assert_eq!(all.iter().map(|c| &c.name).collect::<HashSet<_>>().len(), 100);
            assert_eq!(all.iter().map(|c| &c.slug).collect::<HashSet<_>>().len(), 100);
            for class in &all {
                assert!(of(Split::Train).any(|c| c.what == class.what), "{}", class.name);
                assert!(of(Split::Train).any(|c| c.motion == class.motion), "{}", class.name);
                let reverse = all.iter().find(|c| c.what == class.what && c.motion == class.motion.reverse());
                if variant == Variant::Motion {
                    assert_eq!(reverse.map(|c| c.split), Some(class.split), "{}", class.name);
                }
            }
        }
    }

    #[test]
    fn shapes_in_motion_names_are_grammatical() {
        let names: HashSet<String> = combinations(Variant::Motion).into_iter().map(|c| c.name).collect();
        for name in [
            "a striped disc spinning clockwise",
            "an arrow moving from right to left",
            "two dotted hearts moving towards each other",
            "a checkered triangle splitting in two",
            "two checkered triangles merging into one",
            "two arrows colliding",
        ] {
            assert!(names.contains(name), "{name}");
        }
        assert_eq!(Shape::Cross.many(), "crosses");
    }
}
