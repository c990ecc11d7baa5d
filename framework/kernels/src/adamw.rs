//! A step of AdamW in one pass over the weight, its gradient and both moments.

use crate::memory::buffer;
use crate::simd::{Kernel, Lanes, Level, run};
use rayon::prelude::*;

/// Values of a block of work.
const BLOCK: usize = 16_384;

/// Numbers of a step, as [`crate::operations::AdamW`] has them.
#[derive(Clone, Copy)]
pub struct Numbers {
    pub rate: f32,
    /// 1 − rate · weight decay.
    pub kept: f32,
    pub beta: [f32; 2],
    pub epsilon: f32,
    /// 1 − βᵗ for each moment.
    pub correction: [f32; 2],
}

struct Block<'a> {
    numbers: Numbers,
    /// Weight, gradient, first and second moment.
    from: [&'a [f32]; 4],
    /// Weight, first and second moment.
    to: [&'a mut [f32]; 3],
}

impl Kernel for Block<'_> {
    type Out = ();
    // The compiler makes vectors of this loop, for whatever instructions it is inlined into. It rounds after each
    // operation, so all of them give the same bits.
    #[inline(always)]
    unsafe fn call<L: Lanes>(self) {
        let Numbers { rate, kept, beta, epsilon, correction } = self.numbers;
        let ([weight, gradient, first, second], [new_weight, new_first, new_second]) = (self.from, self.to);
        let read = weight.iter().zip(gradient).zip(first).zip(second);
        let written = new_weight.iter_mut().zip(new_first).zip(new_second);
        for ((((w, g), m), v), ((new_w, new_m), new_v)) in read.zip(written) {
            let m = m * beta[0] + g * (1.0 - beta[0]);
            let v = v * beta[1] + g * g * (1.0 - beta[1]);
            let change = m / correction[0] / ((v / correction[1]).sqrt() + epsilon);
            (*new_w, *new_m, *new_v) = (w * kept - change * rate, m, v);
        }
    }
}

/// Weight, gradient, first and second moment → the weight and both moments after the step.
///
/// # Panics
/// Where they have different lengths.
pub fn step(level: Level, numbers: Numbers, from: [&[f32]; 4]) -> [Vec<f32>; 3] {
    let len = from[0].len();
    assert!(from.iter().all(|values| values.len() == len), "sizes of a step of AdamW");
    // Safety: the blocks write all of them.
    let mut to: [Vec<f32>; 3] = std::array::from_fn(|_| unsafe { buffer(len) });
    let [weight, first, second] = &mut to;
    weight
        .par_chunks_mut(BLOCK)
        .zip(first.par_chunks_mut(BLOCK))
        .zip(second.par_chunks_mut(BLOCK))
        .enumerate()
        .for_each(|(at, ((weight, first), second))| {
            let part = at * BLOCK..at * BLOCK + weight.len();
            let from = from.map(|values| &values[part.clone()]);
            // Safety: `run` calls it with instructions that the processor has; the loop itself is safe.
            unsafe { run(level, Block { numbers, from, to: [weight, first, second] }) }
        });
    to
}
