//! What a tower hands out of a frame behind its feature, and carries along until it knows the feature.
//!
//! Between two steps of a tower a frame is `[what is known of the parts | what the next block reads]`; at the end it is
//! `[feature | parts]`, as `Geometry::layout` says.

use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::slots::backbone::{GIVES_MORE, Geometry, cannot_give};
use maclip_framework::slots::layout::Part;
use maclip_framework::slots::module::on_graph;

/// The parts that are handed out, in order, each with its number of values.
#[derive(Clone, Debug, Default)]
pub struct HandedOut {
    parts: Vec<Part>,
    values: Vec<usize>,
}

impl HandedOut {
    /// `parts` of a backbone of these sizes.
    ///
    /// # Errors
    /// Where it does not have one of them.
    pub fn new(parts: &[Part], geometry: &Geometry) -> Result<Self> {
        let values = |part: &Part| {
            let shape = geometry.shape_of(*part).ok_or_else(|| match part {
                Part::Block(_) | Part::Joint(_) if geometry.transformer => {
                    cannot_give(*part).help(format!("this backbone has {} blocks", geometry.blocks))
                }
                _ => cannot_give(*part).help(GIVES_MORE),
            });
            shape.map(|[rows, width]| rows * width)
        };
        Ok(Self { values: parts.iter().map(values).collect::<Result<_>>()?, parts: parts.to_vec() })
    }

    /// The parts, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether this part is handed out.
    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Values of the parts that are known before block `index` is computed.
    pub fn known(&self, index: usize) -> usize {
        let known = |part: &Part| match part {
            Part::Block(count) | Part::Joint(count) => *count <= index,
            part => *part == Part::Pixels,
        };
        self.parts.iter().zip(&self.values).filter(|(part, _)| known(part)).map(|(_, values)| values).sum()
    }

    /// Values of all parts.
    pub fn all(&self) -> usize {
        self.values.iter().sum()
    }

    /// Nothing is known yet.
    pub fn begin(&self) -> Carried<'_> {
        Carried { of: self, kept: Vec::new() }
    }

    /// The first `known` values of each frame x `[B, T, known + V]` are parts; the others, `[B, T, V]`, are what comes
    /// next.
    pub fn split(&self, known: usize, x: Tensor<3>) -> (Carried<'_>, Tensor<3>) {
        if known == 0 {
            return (self.begin(), x);
        }
        let values = x.dims()[2];
        let kept = vec![x.clone().narrow(2, 0, known)];
        (Carried { of: self, kept }, x.narrow(2, known, values - known))
    }
}

/// The parts of some clips that are known so far.
pub struct Carried<'a> {
    of: &'a HandedOut,
    kept: Vec<Tensor<3>>,
}

impl Carried<'_> {
    /// Keeps `part`, `[B, T, V]`, if it is handed out. It is computed only then.
    pub fn keep(&mut self, part: Part, values: impl FnOnce() -> Tensor<3>) {
        if self.of.has(part) {
            self.kept.push(values());
        }
    }

    /// The parts with `x` `[B, T, V]` behind them, for the next step.
    pub fn before(mut self, x: Tensor<3>) -> Tensor<3> {
        self.kept.push(x);
        joined(self.kept)
    }

    /// The features `x` `[B, T, E]` with the parts behind them.
    pub fn behind(mut self, x: Tensor<3>) -> Tensor<3> {
        self.kept.insert(0, x);
        joined(self.kept)
    }
}

/// All values of each frame in one row. Where some are in a graph, the others are constants in it.
fn joined(mut rows: Vec<Tensor<3>>) -> Tensor<3> {
    if rows.len() == 1 {
        return rows.remove(0);
    }
    if let Some(tracked) = rows.iter().find(|row| row.is_autodiff()) {
        let strategy = tracked.device().gradient_checkpointing_strategy();
        let on = |row: Tensor<3>| if row.is_autodiff() { row } else { on_graph(row, strategy) };
        rows = rows.into_iter().map(on).collect();
    }
    Tensor::cat(rows, 2)
}

#[cfg(test)]
mod tests {
    use super::super::clip::ImageTower;
    use super::super::clip::block::{Activation, BlockSizes};
    use super::super::clip::vision_tower::{VisionSizes, VisionTower};
    use super::*;
    use crate::conformance::tensors::{difference, random};
    use crate::layers::Init;
    use burn::tensor::Device;
    use maclip_framework::random::Stream;
    use maclip_framework::registry::{BuildContext, build_choice};
    use maclip_framework::slots::adapter::{Adapter, Branch};
    use maclip_language::read_str;

    const BLOCKS: usize = 3;

    fn geometry() -> Geometry {
        Geometry { image_size: 8, width: 8, embed_dim: 6, blocks: BLOCKS, tokens: 5, ..Geometry::clip_vit_b16() }
    }

    fn tower(parts: &[Part]) -> VisionTower {
        let blocks = BlockSizes {
            width: 8,
            heads: 2,
            layers: BLOCKS,
            hidden: 16,
            activation: Activation::QuickGelu,
            epsilon: 1e-5,
        };
        let sizes = VisionSizes { image_size: 8, patch_size: 4, blocks, projection: Some(6), clip_stem: true };
        let init = &mut Init::new(Stream::new(3, "init/test"), Device::flex());
        let mut tower = VisionTower::new(sizes, init);
        tower.hand_out(HandedOut::new(parts, &geometry()).unwrap());
        tower
    }

    fn run(tower: &VisionTower, adapter: &dyn Adapter, pixels: Tensor<5>) -> Tensor<3> {
        let steps = tower.encode_steps(adapter);
        (0..steps.len()).fold(tower.prefix(pixels, adapter), |x, step| {
            assert_eq!(x.dims()[2], steps[step], "step {step}");
            tower.encode_step(step, x, adapter, &Branch::Query)
        })
    }

    #[test]
    fn the_parts_are_the_same_wherever_the_frozen_part_ends() {
        let parts = [Part::Pixels, Part::Block(0), Part::Block(2), Part::Block(3), Part::Map];
        let (tower, plain) = (tower(&parts), tower(&[]));
        let context = BuildContext::new(1, Device::flex()).with_sizes(geometry(), 2);
        let pixels = random::<5>(1, [2, 2, 3, 8, 8]);
        let layout = geometry().layout(&parts);
        let adapter = |text: &str| build_choice::<dyn Adapter>(&read_str("adapter", text).unwrap(), &context).unwrap();
        let frozen = run(&tower, &*adapter("{type: none}"), pixels.clone());
        assert_eq!(frozen.dims(), [2, 2, layout.width()]);
        let features = run(&plain, &*adapter("{type: none}"), pixels.clone());
        assert!(difference(&layout.feature(frozen.clone()), &features) < 1e-6);
        let last: Tensor<3> = layout.part(Part::Block(3), frozen.clone());
        let map = layout.part(Part::Map, frozen.clone());
        assert_eq!(difference(&last.narrow(2, 8, 32), &map), 0.0);
        assert_eq!(difference(&layout.part(Part::Pixels, frozen.clone()), &pixels.clone().flatten(2, 4)), 0.0);
        for text in ["{type: last_blocks, count: 1}", "{type: last_blocks, count: 2}", "{type: full}"] {
            let got = run(&tower, &*adapter(text), pixels.clone());
            assert!(difference(&frozen, &got) < 1e-6, "{text}");
        }
    }

    #[test]
    fn constants_and_what_is_trained_stand_in_one_row() {
        let handed_out = HandedOut::new(&[Part::Pixels], &geometry()).unwrap();
        let x = random::<3>(1, [1, 1, 6]);
        let tracked = Tensor::<3>::from_data(x.clone().into_data(), &Device::flex().autodiff()).require_grad();
        let mut carried = handed_out.begin();
        carried.keep(Part::Pixels, || random::<3>(2, [1, 1, 192]));
        let row = carried.behind(tracked.clone() * 2.0);
        let gradients = row.sum().backward();
        let gradient = tracked.grad(&gradients).unwrap();
        assert_eq!(gradient.into_data().try_to_vec::<f32>().unwrap(), [2.0; 6]);
    }

    #[test]
    fn a_part_that_there_is_not_is_refused() {
        let message = HandedOut::new(&[Part::Block(4)], &geometry()).unwrap_err().to_string();
        assert!(message.contains("block 4") && message.contains("3 blocks"), "{message}");
        let stages = Geometry { transformer: false, ..geometry() };
        let message = HandedOut::new(&[Part::Block(1)], &stages).unwrap_err().to_string();
        assert!(message.contains("does not hand out"), "{message}");
    }
}
