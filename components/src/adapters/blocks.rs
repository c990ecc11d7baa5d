//! Which blocks an adapter adapts, and the moves between frames, tokens and clips that adapters share.

use burn::tensor::Tensor;
use maclip_framework::error::{Error, Result};
use maclip_framework::registry::Problems;
use serde::{Deserialize, Serialize};

/// Transformer blocks, counted from 0 at the input: `all`, `{last: 4}` or `{list: [0, 5]}`.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blocks {
    /// Every block.
    All,
    /// So many at the output side.
    Last(usize),
    /// These.
    List(Vec<usize>),
}

impl Blocks {
    pub fn check(&self, problems: &mut Problems) {
        let none = match self {
            Blocks::All => false,
            Blocks::Last(count) => *count == 0,
            Blocks::List(list) => list.is_empty(),
        };
        problems.when(none, "at", "adapts no block; use `type: none` for that");
    }

    /// For each of `blocks` blocks, whether it is adapted.
    pub fn of(&self, blocks: usize) -> Result<Vec<bool>> {
        let wrong = match self {
            Blocks::All => None,
            Blocks::Last(count) => (*count > blocks).then(|| format!("the last {count}")),
            Blocks::List(list) => list.iter().find(|&&index| index >= blocks).map(|index| format!("block {index}")),
        };
        if let Some(wrong) = wrong {
            let last = blocks.saturating_sub(1);
            return Err(Error::failed(format!("adapter.at names {wrong}; the backbone has blocks 0 to {last}")));
        }
        Ok((0..blocks)
            .map(|index| match self {
                Blocks::All => true,
                Blocks::Last(count) => index + count >= blocks,
                Blocks::List(list) => list.contains(&index),
            })
            .collect())
    }
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

/// Runs `f` over clips: every token sees the same token of the same frame of the other clips. `[B, T, N, D]` → the same shape.
pub fn over_clips(x: Tensor<4>, f: impl Fn(Tensor<3>) -> Tensor<3>) -> Tensor<4> {
    let [b, t, n, d] = x.dims();
    f(x.permute([1, 2, 0, 3]).reshape([t * n, b, d])).reshape([t, n, b, d]).permute([2, 0, 1, 3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn blocks_are_chosen_and_a_wrong_one_is_named() {
        assert_eq!(Blocks::Last(2).of(3).unwrap(), [false, true, true]);
        assert_eq!(Blocks::List(vec![0, 2]).of(3).unwrap(), [true, false, true]);
        assert!(Blocks::List(vec![3]).of(3).unwrap_err().to_string().contains("block 3"));
        assert!(Blocks::Last(4).of(3).is_err());
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
