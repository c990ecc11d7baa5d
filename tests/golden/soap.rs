//! SOAP: the gates on pixels before the backbone.

use crate::named::{self, Peer, leaf, of_leaf, values};
use crate::peers::recipe;
use crate::set::{Check, list};
use burn::tensor::Tensor;
use maclip_framework::registry::BuildContext;
use maclip_framework::slots::adapter::Adapter;
use maclip_framework::slots::module::Slot;
use serde_json::json;
use std::collections::BTreeMap;

fn find(path: &str) -> Option<Peer> {
    Some(match path {
        "space_time" => Peer::same("conv_st.weight"),
        "reduce" => Peer::turned("conv_ch1.weight"),
        "expand" => Peer::turned("conv_ch2.weight"),
        "over_time" => Peer::same("conv_ch_1d.weight"),
        "over_time_bias" => Peer::same("conv_ch_1d.bias"),
        _ => match path.strip_prefix("motion.") {
            Some(rest) => {
                let (span, kind) = rest.split_once('.')?;
                Peer::same(format!("hmem_ls.{span}.conv.{kind}"))
            }
            None => Peer::layer("hm_lin", path.strip_prefix("windows.")?),
        },
    })
}

/// The adapter of a case, with its weights; `published` keeps the motion gate untrained, as the public code does.
fn adapter(check: &mut Check, published: bool) -> Slot<dyn Adapter> {
    let case = check.case;
    let recipe = recipe(&json!({"adapter": {
        "type": "soap", "spans": case["spans"], "reduced": case["reduced"], "as_published": published,
    }}));
    let plain = BuildContext::new(0, check.set.device.clone());
    let context =
        plain.with_sizes(maclip_framework::slots::backbone::Geometry::clip_vit_b16(), named::number(check, "frames"));
    let adapter = Slot::new(recipe.build::<dyn Adapter>(&context).unwrap_or_else(|error| panic!("{error}")));
    named::import(check, adapter, &find, &|_| false)
}

pub fn case(check: &mut Check) {
    let adapter = adapter(check, false);
    let (support, query): (Tensor<5>, Tensor<5>) = (leaf(check, "support"), leaf(check, "query"));
    let outputs = [("support_out", &support), ("query_out", &query)].map(|(name, x)| (name, adapter.pixels(x.clone())));
    let got: BTreeMap<String, Vec<f64>> =
        outputs.iter().map(|(name, output)| ((*name).to_owned(), list(output))).collect();
    values(check, &got);
    as_published(check, &support);
    let device = check.set.device.clone();
    let terms =
        outputs.map(|(name, output)| (output * check.input(&format!("cotangent.{name}")).tensor::<5>(&device)).sum());
    let grads = terms.into_iter().reduce(|a, b| a + b).expect("two outputs").backward();
    let leaves = [of_leaf("support", &support, &grads), of_leaf("query", &query, &grads)];
    named::gradients(check, &adapter, grads, &find, &leaves);
}

/// With the fault of the public code the output is the same, and the motion gate has no gradient.
fn as_published(check: &mut Check, support: &Tensor<5>) {
    let adapter = adapter(check, true);
    let output = adapter.pixels(support.clone());
    check.value("support_out", &list(&output));
    let trained = named::trained(&adapter, output.sum().backward());
    assert!(trained.iter().any(|name| name.contains("space_time")));
    assert!(!trained.iter().any(|name| name.contains("motion")), "{trained:?}");
}
