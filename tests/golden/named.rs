//! Cases of published code with parameters under its own names: into our modules, and gradients back to these names.

use crate::method::gradients_of;
use crate::set::{Array, Check, list};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Gradients, Tensor};
use maclip_framework::model::parameters;
use maclip_framework::weights::HostTensor;
use std::collections::{BTreeMap, BTreeSet};

/// Where a parameter of ours stands in the peer's code.
pub struct Peer {
    /// Its names there: one, or those of tensors that are stacked along their first axis.
    names: Vec<String>,
    /// Whether ours is the transpose, with the axes after the first one flattened.
    turned: bool,
    /// Which half of the columns it is, 0 or 1, where ours is one half.
    half: Option<usize>,
}

impl Peer {
    /// As it is.
    pub fn same(name: impl Into<String>) -> Self {
        Self { names: vec![name.into()], turned: false, half: None }
    }

    /// A weight `[out, in, …]`, which is `[in …, out]` here.
    pub fn turned(name: impl Into<String>) -> Self {
        Self { names: vec![name.into()], turned: true, half: None }
    }

    /// The first or the second half of the inputs of a weight `[out, in, …]`, which is `[in / 2, out]` here.
    pub fn half(name: impl Into<String>, half: usize) -> Self {
        Self { names: vec![name.into()], turned: true, half: Some(half) }
    }

    /// The columns of a tensor of so many rows that are this one.
    fn columns(&self, values: usize, rows: usize) -> std::ops::Range<usize> {
        let columns = values / rows.max(1);
        match self.half {
            Some(half) => half * columns / 2..(half + 1) * columns / 2,
            None => 0..columns,
        }
    }

    /// A layer's weight or bias: `kind` is the end of our path.
    pub fn layer(name: &str, kind: &str) -> Self {
        Self::stacked([name], kind)
    }

    /// Weight or bias of layers that are one here: `kind` is the end of our path.
    pub fn stacked<const N: usize>(names: [&str; N], kind: &str) -> Self {
        Self {
            names: names.iter().map(|name| format!("{name}.{kind}")).collect(),
            turned: kind == "weight",
            half: None,
        }
    }

    /// Factor or shift of a norm: `kind` is the end of our path.
    pub fn norm(name: &str, kind: &str) -> Self {
        Self::same(format!("{name}.{}", if kind == "gamma" { "weight" } else { "bias" }))
    }
}

/// A part of a CLIP tower by its path there, such as `resblocks.0.attn.in_proj.weight`, under OpenAI's names after
/// `prefix`.
pub fn clip(path: &str, prefix: &str) -> Option<Peer> {
    let (owner, kind) = path.rsplit_once('.').unwrap_or(("", path));
    let layer = owner.rsplit_once('.').map_or(owner, |(_, layer)| layer);
    let name = if owner.starts_with("resblocks.") { format!("transformer.{owner}") } else { owner.to_owned() };
    let name = format!("{prefix}{name}");
    Some(match (layer, kind) {
        ("", "patch") => Peer::turned(format!("{prefix}conv1.weight")),
        ("", "token_embedding") => Peer::same(format!("{prefix}token_embedding.weight")),
        ("", _) => Peer::same(format!("{prefix}{kind}")),
        ("in_proj", "weight") => Peer::turned(format!("{name}_weight")),
        ("in_proj", _) => Peer::same(format!("{name}_{kind}")),
        ("c_fc" | "c_proj", _) => {
            let (block, _) = name.rsplit_once('.')?;
            Peer::layer(&format!("{block}.mlp.{layer}"), kind)
        }
        (_, "gamma" | "beta") => Peer::norm(&name, kind),
        _ => Peer::layer(&name, kind),
    })
}

/// The peer's parameters of a case.
pub fn weights(check: &Check) -> BTreeMap<String, Array> {
    let tensors = check.set.tensors(check.case["file"].as_str().unwrap());
    let named = tensors.iter().filter_map(|(name, array)| Some((name.strip_prefix("weights.")?.to_owned(), array)));
    named.map(|(name, array)| (name, array.clone())).collect()
}

/// `module` with the case's weights: `find` says where each path stands; what it does not find keeps its start. Weights
/// of the case that stand nowhere in the module must be among `others`.
pub fn import<M: Module>(
    check: &mut Check,
    module: M,
    find: &dyn Fn(&str) -> Option<Peer>,
    others: &dyn Fn(&str) -> bool,
) -> M {
    let weights = weights(check);
    let mut used = BTreeSet::new();
    let mut tensors = parameters::export(&module, false);
    for (path, tensor) in &mut tensors {
        let Some(peer) = find(path) else { continue };
        let mut rows = Vec::new();
        let mut first = 0;
        for name in &peer.names {
            let array = weights.get(name).unwrap_or_else(|| panic!("{path}: the case has no {name}"));
            first += array.shape.first().copied().unwrap_or(1);
            let count = array.shape.first().copied().unwrap_or(1);
            let columns = peer.columns(array.values.len(), count);
            let values = array.f32();
            let width = values.len() / count;
            rows.extend(values.chunks(width).flat_map(|row| row[columns.clone()].iter().copied()));
            used.insert(name.clone());
        }
        let values = if peer.turned { turned(&rows, first) } else { rows };
        assert_eq!(values.len(), tensor.values.len(), "{path} {:?} and {:?}", tensor.shape, peer.names);
        *tensor = HostTensor { shape: tensor.shape.clone(), values };
    }
    for name in weights.keys().filter(|name| !used.contains(*name) && !others(name)) {
        check.fail(format!("{name} stands nowhere in the model"));
    }
    parameters::import(module, tensors, false).unwrap_or_else(|error| panic!("{error}"))
}

/// The transpose of a matrix of so many rows.
fn turned<T: Copy>(values: &[T], rows: usize) -> Vec<T> {
    let columns = values.len() / rows;
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| (row, column)))
        .map(|(r, c)| values[r * columns + c])
        .collect()
}

/// Compares the gradients that the case expects: of the inputs `leaves`, and of the module's trained tensors under the
/// peer's names. A tensor that cannot change the result has none, and there zeros are expected.
pub fn gradients<M: Module>(
    check: &mut Check,
    module: &M,
    mut grads: Gradients,
    find: &dyn Fn(&str) -> Option<Peer>,
    leaves: &[(&str, Vec<f64>)],
) {
    let mut wanted: BTreeSet<String> = check.expected().into_iter().filter(|name| name.starts_with("grad.")).collect();
    for (name, gradient) in leaves {
        let name = format!("grad.{name}");
        if wanted.remove(&name) {
            check.value(&name, gradient);
        }
    }
    let weights = weights(check);
    let mut theirs: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let found = gradients_of(module, &GradientsParams::from_module(&mut grads, module));
    for (path, tensor) in parameters::export(module, true) {
        let Some(peer) = find(&path) else { continue };
        let gradient = found.get(&path).cloned().unwrap_or_else(|| vec![0.0; tensor.values.len()]);
        let rows: usize = peer.names.iter().map(|name| weights[name].shape.first().copied().unwrap_or(1)).sum();
        let gradient = if peer.turned { turned(&gradient, gradient.len() / rows) } else { gradient };
        let mut values = gradient.into_iter();
        for name in &peer.names {
            let array = &weights[name];
            let count = array.shape.first().copied().unwrap_or(1);
            let (columns, width) = (peer.columns(array.values.len(), count), array.values.len() / count);
            let all = theirs.entry(name.clone()).or_insert_with(|| vec![f64::NAN; array.values.len()]);
            all.chunks_mut(width).for_each(|row| {
                row[columns.clone()].iter_mut().for_each(|value| *value = values.next().expect("as many as ours"));
            });
        }
    }
    for (name, gradient) in theirs {
        let name = format!("grad.{name}");
        if wanted.remove(&name) {
            check.value(&name, &gradient);
        }
    }
    for name in wanted {
        check.fail(format!("{name} is not computed"));
    }
}

/// Paths of the parameters that get a gradient.
pub fn trained<M: Module>(module: &M, mut grads: Gradients) -> Vec<String> {
    gradients_of(module, &GradientsParams::from_module(&mut grads, module)).into_keys().collect()
}

/// An input that gets a gradient.
pub fn leaf<const D: usize>(check: &Check, name: &str) -> Tensor<D> {
    check.input(name).tensor(&check.set.device.clone().autodiff()).require_grad()
}

/// The gradient of an input, for [`gradients`].
pub fn of_leaf<'a, const D: usize>(name: &'a str, leaf: &Tensor<D>, grads: &Gradients) -> (&'a str, Vec<f64>) {
    let gradient = leaf.grad(grads);
    (name, gradient.map_or_else(|| vec![0.0; leaf.shape().num_elements()], |gradient| list(&gradient)))
}

/// Compares all expected values that are no gradients.
pub fn values(check: &mut Check, got: &BTreeMap<String, Vec<f64>>) {
    for name in check.expected().into_iter().filter(|name| !name.contains("grad.")) {
        match got.get(&name) {
            Some(values) => check.value(&name, values),
            None => check.fail(format!("{name} is not computed")),
        }
    }
}

/// A size or another number of the case.
pub fn number(check: &Check, key: &str) -> usize {
    check.case[key].as_u64().unwrap_or_else(|| panic!("the case has no number `{key}`")) as usize
}
