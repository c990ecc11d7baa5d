//! Heads from given feature maps or features: a model around a backbone that hands out what a case holds.

use crate::peers::{labels, recipe};
use crate::set::Check;
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::model::few_shot::{ClassTexts, Encoded, FewShotModel};
use maclip_framework::registry::BuildContext;
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::backbone::{Backbone, Geometry, Published};
use maclip_framework::slots::layout::Part;
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::objective::{Labels, Loss, Scores};
use maclip_framework::slots::prototype::{Prototype, Related};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A backbone whose output is given.
#[derive(Module, Debug)]
struct Given {
    #[module(skip)]
    geometry: Geometry,
    #[module(skip)]
    parts: Vec<Part>,
}

impl Backbone for Given {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }
    fn handed_out(&self) -> &[Part] {
        &self.parts
    }
    fn prefix(&self, _: Tensor<5>, _: &dyn Adapter) -> Tensor<3> {
        unreachable!("a case gives the output")
    }
    fn encode_steps(&self, _: &dyn Adapter) -> Vec<usize> {
        Vec::new()
    }
    fn encode_step(&self, _: usize, x: Tensor<3>, _: &dyn Adapter, _: &Branch) -> Tensor<3> {
        x
    }
    fn tune(&mut self, _: &dyn Fn(TowerPart) -> bool) {}
    fn encode_texts(&self, _: &[String]) -> Result<Tensor<2>> {
        unreachable!("a case gives the texts")
    }
    fn logit_scale(&self) -> Option<Tensor<1>> {
        None
    }
    fn published(&self) -> Option<Published> {
        None
    }
    fn export(&self, _: &Path, _: &BTreeMap<String, String>) -> Result<()> {
        unreachable!("nothing is written")
    }
}

/// A model with these entries of a recipe, for features of `width` values and maps of `side` × `side` positions of as
/// many; images have a side of 32 times that of a map.
pub fn model(check: &Check, entries: &Value, [width, side]: [usize; 2], frames: usize) -> FewShotModel {
    let recipe = recipe(entries);
    let plain = BuildContext::new(0, check.set.device.clone());
    let geometry = Geometry {
        image_size: 32 * side,
        width,
        embed_dim: width,
        tokens: side * side + 1,
        transformer: false,
        ..Geometry::clip_vit_b16()
    };
    let given = geometry.layout(&recipe.parts);
    let context = plain.with_sizes(geometry.clone(), frames).with_given(given.clone()).with_read(&recipe.read_parts());
    let built = |error| panic!("{error}");
    let prototype: Box<dyn Prototype> = recipe.build(&context).unwrap_or_else(built);
    let context = context.with_compared(prototype.layout(&given));
    let alignment: Box<dyn Alignment> = recipe.build(&context).unwrap_or_else(|error| panic!("{error}"));
    FewShotModel {
        backbone: Slot::new(Box::new(Given { geometry, parts: recipe.parts.clone() })),
        adapter: Slot::new(recipe.build(&context).unwrap()),
        prototype: Slot::new(prototype),
        alignment: Slot::new(alignment),
        objective: Slot::new(recipe.build(&context).unwrap_or_else(|error| panic!("{error}"))),
    }
}

/// The values of frames with maps `[B, T, E, h, w]`: their means as features, behind `before` the pixels where the
/// model reads them, and the map.
pub fn values(model: &FewShotModel, maps: Tensor<5>, pixels: Option<Tensor<5>>) -> Tensor<3> {
    let [b, t, e, h, w] = maps.dims();
    let positions: Tensor<4> = maps.reshape([b, t, e, h * w]).swap_dims(2, 3);
    let feature: Tensor<3> = positions.clone().mean_dim(2).squeeze_dim(2);
    let mut rows = vec![feature];
    for part in model.backbone.handed_out() {
        rows.push(match part {
            Part::Map => positions.clone().reshape([b, t, h * w * e]),
            Part::Pixels => pixels.clone().expect("the case has images").flatten(2, 4),
            other => panic!("{other} is in no case"),
        });
    }
    Tensor::cat(rows, 2)
}

/// Scores and loss of the case's episode from encoded clips, supports ordered by class.
pub fn scored(
    check: &Check,
    model: &FewShotModel,
    support: Encoded,
    query: Encoded,
    texts: ClassTexts,
) -> (Scores, Loss) {
    let shot = crate::named::number(check, "shot");
    let [clips, _, e] = support.frames.dims();
    let of_query = check.input("query_labels").labels();
    let of_support: Vec<usize> = (0..clips).map(|clip| clip / shot).collect();
    let all = model.objective.all_classes().then(|| {
        let classes = check.input("training_classes").labels();
        let all: Vec<usize> = of_query.iter().chain(&of_support).map(|&class| classes[class]).collect();
        model.all_classes(&support, &query, Tensor::zeros([1, e], &check.set.device), labels(check, &all))
    });
    let mut scores = model.scores(support, query, texts, shot);
    scores.all_classes = all;
    let labels = Labels { query: labels(check, &of_query), support: labels(check, &of_support) };
    let loss = model.objective.loss(&scores, &labels);
    (scores, loss)
}

/// No class texts, for features of `width` values.
pub fn no_texts(check: &Check, width: usize) -> ClassTexts {
    ClassTexts::of(Tensor::zeros([crate::named::number(check, "way"), width], &check.set.device))
}

/// Scores and labels of the case's episode from what is aligned.
pub fn of_related(check: &Check, model: &FewShotModel, related: Related) -> (Scores, Labels) {
    let (way, shot) = (crate::named::number(check, "way"), crate::named::number(check, "shot"));
    let of_query = labels(check, &check.input("query_labels").labels());
    let of_support: Vec<usize> = (0..way * shot).map(|clip| clip / shot).collect();
    let scores = Scores::aligned(model.align_related(related));
    (scores, Labels { query: of_query, support: labels(check, &of_support) })
}
