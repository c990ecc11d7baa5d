//! Parameters and FLOPs at the sizes that papers count at, for the tests of each adapter.

use crate::conformance::model;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use maclip_framework::model::parameters::{self, Params};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch};

/// FLOPs of CLIP's image tower for one frame, counted by torch.utils.flop_counter (PyTorch 2.9) on a module written by
/// hand from the paper; 17.6, 4.4 and 81 GMACs in the literature.
pub const FRAME: [(&str, f64); 3] =
    [("ViT-B/16", 35_126_906_880.0), ("ViT-B/32", 8_817_623_040.0), ("ViT-L/14", 162_025_537_536.0)];

/// Parameters of a CLIP of a published size with this adapter and prototype module.
pub fn count(adapter: &str, prototype: &str, architecture: &str) -> Params {
    let [adapter, prototype] = [adapter, prototype].map(|choice| format!("{{type: {choice}}}"));
    parameters::count(&model::sized(&[("adapter", &adapter), ("prototype", &prototype)], architecture))
}

/// FLOPs of one clip of 8 frames through ViT-B/32 with this adapter; of five clips where they are an episode.
pub fn flops(adapter: &str, branch: &Branch) -> f64 {
    let model = model::sized(&[("adapter", &format!("{{type: {adapter}}}"))], "ViT-B/32");
    let clips = [if matches!(branch, Branch::Episode { .. }) { 5 } else { 1 }, model::FRAMES];
    let prefix = model.backbone.prefix_cost(clips, &*model.adapter);
    let rest = model.backbone.encode_cost(clips, &*model.adapter, branch);
    (prefix.unwrap() + rest.unwrap()).flops
}

/// Class texts of so many clips for [`flops`], `[S, E]`.
pub fn text(clips: usize) -> Tensor<2> {
    Tensor::zeros([clips, 512], &Device::flex())
}

/// ViT-B/32 with 8 frames: 50 tokens of width 768, 12 blocks, bottlenecks of 192.
pub struct Sizes {
    /// T
    pub t: f64,
    /// N + 1
    pub n: f64,
    /// D
    pub d: f64,
    pub blocks: f64,
}

pub const B32: Sizes = Sizes { t: 8.0, n: 50.0, d: 768.0, blocks: 12.0 };

impl Sizes {
    /// All frames through the tower as it is.
    pub fn tower(&self) -> f64 {
        self.t * FRAME[1].1
    }

    /// An attention over so many sequences of this length.
    pub fn attention(&self, sequences: f64, length: f64) -> f64 {
        2.0 * sequences * length * (4.0 * self.d * self.d + 2.0 * length * self.d)
    }

    /// A bottleneck of 192 for so many rows.
    pub fn bottleneck(&self, rows: f64) -> f64 {
        2.0 * 2.0 * rows * self.d * 192.0
    }
}

/// An adapter as a user writes it first: without a word about its cost.
#[derive(Module, Debug)]
struct Uncounted {}

impl Adapter for Uncounted {
    fn adapts(&self, index: usize) -> bool {
        index > 3
    }
    fn scope(&self) -> Scope {
        Scope::Clip
    }
    fn needs_text(&self) -> bool {
        false
    }
}

#[test]
fn an_adapter_that_does_not_say_its_cost_makes_no_number_wrong() {
    let model = model::sized(&[], "ViT-B/32");
    assert!(model.backbone.encode_cost([1, 8], &Uncounted {}, &Branch::Query).is_none());
    // What lies below it is known: patches and four of twelve blocks.
    let prefix = model.backbone.prefix_cost([1, 8], &Uncounted {}).unwrap().flops;
    assert!((0.32..0.36).contains(&(prefix / (8.0 * FRAME[1].1))), "{prefix}");
}
