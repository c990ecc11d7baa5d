//! What adapters see of one transformer block: its frozen parts, not its source.

use crate::slots::cost::Cost;
use burn::tensor::Tensor;

/// The frozen parts of one transformer block with a norm before attention and MLP, for adapters. Functions take and
/// return `[b, n, D]`, for any b and n, where they do not say otherwise.
pub trait FrozenBlock {
    /// The norm before the attention.
    fn ln_1(&self, x: Tensor<3>) -> Tensor<3>;
    /// Multi-head self-attention with its output projection.
    fn attention(&self, x: Tensor<3>) -> Tensor<3>;
    /// The same, with `shift` `[b, n, 3 D]` added to queries, keys and values, in this order, before the attention is
    /// computed.
    fn attention_shifted(&self, x: Tensor<3>, shift: Tensor<3>) -> Tensor<3>;
    /// [`FrozenBlock::attention`] with `mask` `[n, n]` added to the scores, as a text tower has it.
    fn attention_masked(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3>;
    /// The norm before the MLP.
    fn ln_2(&self, x: Tensor<3>) -> Tensor<3>;
    /// The feed-forward layer.
    fn mlp(&self, x: Tensor<3>) -> Tensor<3>;

    /// [`FrozenBlock::attention`] of x, added to `residual`: one step where the device has one for it.
    fn attention_onto(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        residual + self.attention(x)
    }

    /// [`FrozenBlock::mlp`] of x, added to `residual`: one step where the device has one for it.
    fn mlp_onto(&self, x: Tensor<3>, residual: Tensor<3>) -> Tensor<3> {
        residual + self.mlp(x)
    }

    /// The first `first` tokens of [`FrozenBlock::attention`]: x `[b, n, D]` → `[b, first, D]`. Of the others only keys
    /// and values are needed.
    fn attention_first(&self, x: Tensor<3>, first: usize) -> Tensor<3> {
        self.attention(x).narrow(1, 0, first)
    }

    /// The first `first` tokens of [`FrozenBlock::forward`]: x `[b, n, D]` → `[b, first, D]`.
    fn forward_first(&self, x: Tensor<3>, first: usize) -> Tensor<3> {
        if first == x.dims()[1] {
            return self.forward(x);
        }
        let y = self.attention_first(self.ln_1(x.clone()), first) + x.narrow(1, 0, first);
        self.mlp_onto(self.ln_2(y.clone()), y)
    }

    /// [`FrozenBlock::forward_first`] of each frame by itself: x `[B, T, n, D]` → `[B, T, first, D]`.
    fn forward_frames(&self, x: Tensor<4>, first: usize) -> Tensor<4> {
        let [b, t, n, d] = x.dims();
        self.forward_first(x.reshape([b * t, n, d]), first).reshape([b, t, first, d])
    }

    /// The block as it was pre-trained: y = x + MSA(LN1 x), result y + MLP(LN2 y).
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let y = self.attention_onto(self.ln_1(x.clone()), x);
        self.mlp_onto(self.ln_2(y.clone()), y)
    }

    /// [`FrozenBlock::forward`] with [`FrozenBlock::attention_masked`].
    fn forward_masked(&self, x: Tensor<3>, mask: Tensor<2>) -> Tensor<3> {
        let y = x.clone() + self.attention_masked(self.ln_1(x), mask);
        self.mlp_onto(self.ln_2(y.clone()), y)
    }

    /// Cost of [`FrozenBlock::attention`] for x of this shape; `None` where it was not counted.
    fn attention_cost(&self, _x: [usize; 3]) -> Option<Cost> {
        None
    }

    /// Cost of [`FrozenBlock::mlp`] for x of this shape; `None` where it was not counted.
    fn mlp_cost(&self, _x: [usize; 3]) -> Option<Cost> {
        None
    }

    /// Cost of [`FrozenBlock::forward`]: attention, feed-forward layer, and the norm before each.
    fn cost(&self, x: [usize; 3]) -> Option<Cost> {
        let norms = Cost::norm(x.iter().product()) * 2.0;
        Some(self.attention_cost(x)? + self.mlp_cost(x)? + norms)
    }
}
