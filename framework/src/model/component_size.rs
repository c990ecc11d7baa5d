//! How many parameters a component adds, without a recipe around it.

use crate::model::parameters;
use crate::registry::{BuildContext, Info, build_choice};
use crate::slots::adapter::Adapter;
use crate::slots::alignment::Alignment;
use crate::slots::backbone::Geometry;
use crate::slots::module::Slot;
use crate::slots::objective::Objective;
use crate::slots::prototype::Prototype;
use burn::tensor::Device;
use maclip_language::{Node, Origin, read_str};

/// Number of trainable parameters of the component `info` of the slot `slot`, with the options of its usage line, on
/// CLIP ViT-B/16 with 8 frames. `None` for slots without parameters, and where the component cannot be built on that
/// backbone.
pub fn trainable(slot: &str, info: &Info) -> Option<usize> {
    let mut node = read_str("example", info.usage).ok()?;
    node.as_map_mut()?.insert("type", Origin::Default, Node::from_json(&info.name.into()));
    let mut context = BuildContext::new(0, Device::flex());
    context.sizes_only = true;
    let context = context.with_sizes(Geometry::clip_vit_b16(), 8);
    let count = match slot {
        "adapter" => parameters::count(&Slot::new(build_choice::<dyn Adapter>(&node, &context).ok()?)),
        "prototype" => parameters::count(&Slot::new(build_choice::<dyn Prototype>(&node, &context).ok()?)),
        "alignment" => parameters::count(&Slot::new(build_choice::<dyn Alignment>(&node, &context).ok()?)),
        "objective" => parameters::count(&Slot::new(build_choice::<dyn Objective>(&node, &context).ok()?)),
        _ => return None,
    };
    Some(count.trainable)
}
