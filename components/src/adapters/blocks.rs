//! Which blocks an adapter adapts, and the moves between frames, tokens and clips that adapters share.

use burn::tensor::Tensor;
use maclip_framework::registry::{Facts, Problems};
use serde::{Deserialize, Serialize};

/// Transformer blocks, counted from 0 at the input: `all`, `{last: 4}` or `{list: [0, 5]}`. To adapt none, use `type:
/// none`.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blocks {
    /// Every block.
    All,
    /// This many blocks at the output side.
    Last(#[schemars(range(min = 1))] usize),
    /// The blocks with these numbers.
    List(#[schemars(length(min = 1))] Vec<usize>),
}

impl Blocks {
    /// Reports what does not go with the backbone: it has no transformer blocks, or not as many as are named.
    pub fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        if facts.transformer == Some(false) {
            problems.push(
                "type",
                "is an adapter around transformer blocks, and the backbone has none: with a ResNet choose none, full, \
                 last_blocks or d2st",
            );
        } else if let Some(blocks) = facts.geometry.as_ref().map(|geometry| geometry.blocks) {
            self.within("at", "the backbone", blocks, problems);
        }
    }

    /// Reports blocks that `tower`, which has `blocks` of them, has not. `field` is the option that names them.
    pub fn within(&self, field: &str, tower: &str, blocks: usize, problems: &mut Problems) {
        let wrong = match self {
            Blocks::All => None,
            Blocks::Last(count) => (*count > blocks).then(|| (format!("{field}.last"), format!("the last {count}"))),
            Blocks::List(list) => {
                let beyond = list.iter().position(|&index| index >= blocks);
                beyond.map(|at| (format!("{field}.list[{at}]"), format!("block {}", list[at])))
            }
        };
        if let Some((field, wrong)) = wrong {
            problems.push(&field, format!("names {wrong}; {tower} has blocks 0 to {}", blocks.saturating_sub(1)));
        }
    }

    /// For each of `blocks` blocks, whether it is adapted.
    pub fn of(&self, blocks: usize) -> Vec<bool> {
        (0..blocks)
            .map(|index| match self {
                Blocks::All => true,
                Blocks::Last(count) => index + count >= blocks,
                Blocks::List(list) => list.contains(&index),
            })
            .collect()
    }
}

/// The adapter of block `index`, out of one for each block.
///
/// # Panics
/// Where that block has none: the backbone calls `forward` for adapted blocks only.
pub fn adapted<T>(blocks: &[Option<T>], index: usize) -> &T {
    blocks[index].as_ref().expect("forward is called for adapted blocks only")
}

/// `[B, T, N, D]` → `[B T, N, D]`: each frame's tokens.
pub fn frames(x: Tensor<4>) -> Tensor<3> {
    let [b, t, n, d] = x.dims();
    x.reshape([b * t, n, d])
}

/// Runs `f` over time: every token of a clip sees the same token of the other frames. `[B, T, N, D]` → the same shape.
pub fn over_time(x: Tensor<4>, f: impl Fn(Tensor<3>) -> Tensor<3>) -> Tensor<4> {
    let [b, t, n, d] = x.dims();
    f(x.swap_dims(1, 2).reshape([b * n, t, d])).reshape([b, n, t, d]).swap_dims(1, 2)
}

/// Runs `f` over clips: every token sees the same token of the same frame of the other clips. `[B, T, N, D]` → the same
/// shape.
pub fn over_clips(x: Tensor<4>, f: impl Fn(Tensor<3>) -> Tensor<3>) -> Tensor<4> {
    let [b, t, n, d] = x.dims();
    f(x.permute([1, 2, 0, 3]).reshape([t * n, b, d])).reshape([t, n, b, d]).permute([2, 0, 1, 3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use maclip_framework::slots::backbone::Geometry;

    #[test]
    fn blocks_are_chosen_and_a_wrong_one_is_named() {
        assert_eq!(Blocks::Last(2).of(3), [false, true, true]);
        assert_eq!(Blocks::List(vec![0, 2]).of(3), [true, false, true]);
        let mut facts = Facts::default();
        facts.backbone(Geometry { blocks: 3, ..Geometry::clip_vit_b16() });
        let wrong = |blocks: Blocks| {
            let mut problems = Problems::default();
            blocks.compatible(&facts, &mut problems);
            problems.into_vec()
        };
        assert_eq!(wrong(Blocks::List(vec![0, 3]))[0].0, "at.list[1]");
        assert!(wrong(Blocks::List(vec![0, 3]))[0].1.contains("block 3"));
        assert_eq!((wrong(Blocks::Last(4)).len(), wrong(Blocks::Last(3)).len(), wrong(Blocks::All).len()), (1, 0, 0));
    }

    #[test]
    fn axes_come_back_where_they_were() {
        let values: Vec<f32> = (0..2 * 3 * 4 * 5).map(|v| v as f32).collect();
        let x = Tensor::<4>::from_data(TensorData::new(values, [2, 3, 4, 5]), &Device::flex());
        let sum = |x: Tensor<3>| {
            let shape = x.dims();
            x.sum_dim(1).expand(shape)
        };
        let time = over_time(x.clone(), sum) - x.clone().sum_dim(1);
        let clips = over_clips(x.clone(), sum) - x.sum_dim(0);
        assert_eq!(time.abs().max().into_scalar::<f32>() + clips.abs().max().into_scalar::<f32>(), 0.0);
    }
}
