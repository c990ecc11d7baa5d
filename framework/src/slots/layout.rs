//! The values of a frame: its feature, and the parts that a backbone hands out or a prototype module adds.
//!
//! Most components read one feature vector of a frame. Some need more: a feature map, the tokens after some blocks, or
//! the pixels themselves. A component says in `Component::describe` which [`Part`]s it reads ([`Facts::parts`]), and
//! the recipe is refused where nothing gives them. The backbone then hands them out behind the feature, so that a frame
//! is one row of values: `[B, T, F]` in place of `[B, T, E]`. A [`Layout`] says where each part is.
//!
//! [`Facts::parts`]: crate::registry::Facts::parts

use crate::error::{Error, Result};
use burn::tensor::Tensor;
use serde::Serialize;
use std::cmp::Ordering;
use std::fmt;

/// Values of a frame beside its feature. The order is that in which a tower knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The normalised pixels, `[3, H · W]`, rows of the image one after the other.
    Pixels,
    /// All tokens after this number of blocks, class token first, `[N + 1, D]`; 0 are those that the first block reads.
    /// Transformers only.
    Block(usize),
    /// The same tokens through the last norm and the projection, `[N + 1, E]`. Transformers only.
    Joint(usize),
    /// The features at N positions of the frame, in row-major order, before they become one: the patch tokens after the
    /// last block of a transformer, without its last norm, or the map after the last stage of a ResNet. `[N, D]`.
    Map,
    /// What a prototype module adds to the frames that it returns.
    Added {
        /// The name of the prototype module.
        by: &'static str,
        /// The name of the part there.
        name: &'static str,
    },
}

impl Part {
    /// What orders the parts: where in a tower they are known, then the kind.
    fn order(&self) -> (usize, usize, &str, &str) {
        match self {
            Part::Pixels => (0, 0, "", ""),
            Part::Block(count) => (1 + count, 0, "", ""),
            Part::Joint(count) => (1 + count, 1, "", ""),
            Part::Map => (usize::MAX, 0, "", ""),
            Part::Added { by, name } => (usize::MAX, 1, by, name),
        }
    }
}

impl PartialOrd for Part {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Part {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Part::Pixels => f.write_str("the pixels"),
            Part::Block(0) => f.write_str("the tokens before the first block"),
            Part::Block(count) => write!(f, "the tokens after block {count}"),
            Part::Joint(count) => write!(f, "the tokens after block {count} in the joint embedding"),
            Part::Map => f.write_str("the feature map"),
            Part::Added { by, name } => write!(f, "`{name}` of the prototype `{by}`"),
        }
    }
}

/// Where the values of a frame are: first the feature, then each part with its rows and the width of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    feature: usize,
    parts: Vec<(Part, [usize; 2])>,
}

impl Layout {
    /// A feature of `width` values alone.
    pub fn of_feature(width: usize) -> Self {
        Self { feature: width, parts: Vec::new() }
    }

    /// The same with `part` of shape `[rows, width]` behind the others.
    pub fn with(mut self, part: Part, shape: [usize; 2]) -> Self {
        self.parts.push((part, shape));
        self
    }

    /// Values of the feature.
    pub fn feature_width(&self) -> usize {
        self.feature
    }

    /// All values of a frame.
    pub fn width(&self) -> usize {
        self.feature + self.parts.iter().map(|(_, [rows, width])| rows * width).sum::<usize>()
    }

    /// Whether there is the feature alone.
    pub fn is_plain(&self) -> bool {
        self.parts.is_empty()
    }

    /// Whether there is this part.
    pub fn has(&self, part: Part) -> bool {
        self.parts.iter().any(|(own, _)| *own == part)
    }

    /// The parts with their shapes, in order.
    pub fn parts(&self) -> &[(Part, [usize; 2])] {
        &self.parts
    }

    /// Shape `[rows, width]` of a part.
    ///
    /// # Errors
    /// Where there is no such part, because the component does not say that it reads it.
    pub fn shape(&self, part: Part) -> Result<[usize; 2]> {
        self.parts.iter().find(|(own, _)| *own == part).map(|(_, shape)| *shape).ok_or_else(|| {
            Error::failed(format!("{part} is not among the values of a frame here"))
                .help("the component's `describe` must call `Facts::reads` for it")
        })
    }

    /// The features of frames: `[…, F]` → `[…, E]`.
    pub fn feature<const D: usize>(&self, frames: Tensor<D>) -> Tensor<D> {
        if self.is_plain() { frames } else { frames.narrow(D - 1, 0, self.feature) }
    }

    /// A part of frames: `[…, F]` → `[…, rows · width]`.
    ///
    /// # Panics
    /// Where there is no such part; [`Layout::shape`] says so before.
    pub fn part<const D: usize>(&self, part: Part, frames: Tensor<D>) -> Tensor<D> {
        let mut from = self.feature;
        for (own, [rows, width]) in &self.parts {
            if *own == part {
                return frames.narrow(D - 1, from, rows * width);
            }
            from += rows * width;
        }
        panic!("{part} is not among {:?}", self.parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_part_is_found_behind_the_feature_and_the_parts_before_it() {
        let own = Part::Added { by: "some", name: "mean" };
        let layout = Layout::of_feature(2).with(Part::Map, [2, 2]).with(own, [1, 1]);
        assert_eq!((layout.width(), layout.feature_width(), layout.is_plain()), (7, 2, false));
        assert_eq!((layout.shape(Part::Map).unwrap(), layout.has(Part::Pixels)), ([2, 2], false));
        let frames = Tensor::<2>::from_floats([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], &Device::flex());
        let values = |tensor: Tensor<2>| tensor.into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(values(layout.feature(frames.clone())), [0.0, 1.0]);
        assert_eq!(values(layout.part(Part::Map, frames.clone())), [2.0, 3.0, 4.0, 5.0]);
        assert_eq!(values(layout.part(own, frames)), [6.0]);
        let message = layout.shape(Part::Block(3)).unwrap_err().to_string();
        assert!(message.contains("the tokens after block 3"), "{message}");
    }

    #[test]
    fn parts_are_in_the_order_in_which_a_tower_knows_them() {
        let mut parts = [Part::Map, Part::Block(12), Part::Block(3), Part::Pixels];
        parts.sort_unstable();
        assert_eq!(parts, [Part::Pixels, Part::Block(3), Part::Block(12), Part::Map]);
    }
}
