//! Parameters of a module by path: counted, exported, imported, given stable ids; and arithmetic on gradients.

use crate::error::{Error, Result};
use crate::slots::backbone::Precision;
use crate::slots::module::{GraphStrategy, on_graph};
use crate::weights::HostTensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};

#[derive(Default)]
struct Path(Vec<String>);

impl Path {
    fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }
    fn exit(&mut self) {
        self.0.pop();
    }
    fn dotted(&self) -> String {
        self.0.join(".")
    }
}

/// The tensors of `module` by path; only the trainable ones with `trainable_only`.
pub fn export<M: Module>(module: &M, trainable_only: bool) -> BTreeMap<String, HostTensor> {
    struct Export {
        path: Path,
        trainable_only: bool,
        tensors: BTreeMap<String, HostTensor>,
    }
    impl ModuleVisitor for Export {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.trainable_only && !param.val().is_require_grad() {
                return;
            }
            let tensor = param.val();
            let shape = tensor.dims().to_vec();
            let values = tensor.into_data().iter::<f32>().collect();
            self.tensors.insert(self.path.dotted(), HostTensor { shape, values });
        }
    }
    let mut export = Export { path: Path::default(), trainable_only, tensors: BTreeMap::new() };
    module.visit(&mut export);
    export.tensors
}

/// Puts `tensors` into the parameters of the same path. Every tensor must find its place with its shape, and every parameter
/// (of those that are trainable, with `trainable_only`) must find a tensor; otherwise an error lists what is missing, unused
/// and misshapen and nothing is changed.
pub fn import<M: Module>(module: M, tensors: BTreeMap<String, HostTensor>, trainable_only: bool) -> Result<M> {
    try_import(module, tensors, trainable_only).map_err(|fit| Error::failed(fit.problem().unwrap_or_default()))
}

/// [`import`], with what does not fit as lists.
pub fn try_import<M: Module>(
    module: M,
    tensors: BTreeMap<String, HostTensor>,
    trainable_only: bool,
) -> std::result::Result<M, Fit> {
    struct Import {
        path: Path,
        trainable_only: bool,
        tensors: BTreeMap<String, HostTensor>,
        missing: Vec<String>,
        misshapen: Vec<String>,
    }
    impl ModuleMapper for Import {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if self.trainable_only && !is_trainable(&param) {
                return param;
            }
            let path = self.path.dotted();
            let expected = param.lazy_shape().to_vec();
            match self.tensors.remove(&path) {
                None => {
                    self.missing.push(format!("{path} {expected:?}"));
                    param
                }
                Some(tensor) if tensor.shape != expected => {
                    self.misshapen.push(format!("{path} is {:?}, the model has {expected:?}", tensor.shape));
                    param
                }
                Some(tensor) => replace(param, tensor),
            }
        }
    }
    let mut import =
        Import { path: Path::default(), trainable_only, tensors, missing: Vec::new(), misshapen: Vec::new() };
    let module = module.map(&mut import);
    let unused = import.tensors.iter().map(|(path, t)| format!("{path} {:?}", t.shape)).collect();
    let fit = Fit { missing: import.missing, unused, misshapen: import.misshapen };
    if fit.problem().is_none() { Ok(module) } else { Err(fit) }
}

/// How tensors fit a module: each entry is a path with its shape.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Fit {
    /// Parameters without a tensor.
    pub missing: Vec<String>,
    /// Tensors without a parameter.
    pub unused: Vec<String>,
    pub misshapen: Vec<String>,
}

impl Fit {
    /// What is wrong, in words and with the first names of each kind; `None` where all fits.
    pub fn problem(&self) -> Option<String> {
        let lists = [("missing", &self.missing), ("unused", &self.unused), ("of the wrong shape", &self.misshapen)];
        let problems = lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(what, list)| {
            let more = list.len().saturating_sub(8);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            format!("{what}: {}{more}", list.iter().take(8).cloned().collect::<Vec<_>>().join("; "))
        });
        let problems: Vec<String> = problems.collect();
        (!problems.is_empty()).then(|| problems.join("\n  "))
    }
}

/// The same parameter (id, device, training state) with other values of the same shape.
fn replace<const D: usize>(param: Param<Tensor<D>>, tensor: HostTensor) -> Param<Tensor<D>> {
    if !param.is_initialized() {
        // Its initial values are of no use to anybody.
        let data = TensorData::new(tensor.values, tensor.shape);
        let (id, device) = (param.id, param.lazy_device());
        return param.transform_for_load(Tensor::from_data(data, (&device, DType::F32)), id);
    }
    let active = param.val().is_require_grad();
    param.map(|old| {
        let data = TensorData::new(tensor.values, tensor.shape);
        // Built beside the old tensor, so that device and autodiff association stay.
        let autodiff = old.is_autodiff();
        let new = Tensor::<D>::from_data(data, (&old.clone().without_autodiff().device(), DType::F32));
        if autodiff { on_graph(new, old.gradient_checkpointing_strategy()).set_require_grad(active) } else { new }
    })
}

/// Whether a parameter is trained, without making its values where they do not exist yet.
pub fn is_trainable<const D: usize>(param: &Param<Tensor<D>>) -> bool {
    if param.is_initialized() {
        return param.val().is_require_grad();
    }
    let device = param.lazy_device();
    if !device.is_autodiff() {
        return false;
    }
    // burn keeps what was asked for to itself, but gives it to whatever is loaded in the parameter's place.
    let one = Tensor::<D>::zeros([1; D], &device);
    param.clone().transform_for_load(one, param.id).val().is_require_grad()
}

/// The module with every parameter trainable, on the autodiff twin of its device.
pub fn trainable<M: Module>(module: M) -> M {
    struct Train;
    impl ModuleMapper for Train {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !param.is_initialized() {
                let (id, shape, device) = (param.id, param.lazy_shape(), param.lazy_device().autodiff());
                let values = move |device: &Device, active: bool| {
                    let plain = param.val().without_autodiff();
                    Tensor::from_inner(plain).to_device(device).detach().set_require_grad(active)
                };
                return Param::uninitialized(id, values, device, true, shape);
            }
            param.map(|tensor| {
                if tensor.is_autodiff() { tensor } else { Tensor::from_inner(tensor) }.set_require_grad(true)
            })
        }
    }
    module.map(&mut Train)
}

/// What the first trainable parameter of `module` says of [`GraphStrategy`].
pub fn trainable_graph_strategy<M: Module>(module: &M) -> GraphStrategy {
    struct First(Option<GraphStrategy>);
    impl ModuleVisitor for First {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let tensor = param.val();
            if tensor.is_require_grad() {
                self.0.get_or_insert(tensor.gradient_checkpointing_strategy());
            }
        }
    }
    let mut first = First(None);
    module.visit(&mut first);
    first.0.flatten()
}

/// The module with all trainable parameters in graphs that keep activations as `graph_strategy` says.
pub fn with_graph_strategy<M: Module>(module: M, graph_strategy: GraphStrategy) -> M {
    struct Keep(GraphStrategy);
    impl ModuleMapper for Keep {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !param.val().is_require_grad() {
                return param;
            }
            param.map(|tensor| on_graph(tensor.inner(), self.0).set_require_grad(true))
        }
    }
    module.map(&mut Keep(graph_strategy))
}

/// Gives every parameter the id that its path hashes to, so that optimizer state finds its parameter again in another
/// process.
pub fn with_stable_ids<M: Module>(module: M) -> M {
    struct Name(Path);
    impl ModuleMapper for Name {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn map_float<const D: usize>(&mut self, mut param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let digest = Sha256::digest(self.0.dotted().as_bytes());
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&digest[..8]);
            param.id = ParamId::from(u64::from_le_bytes(bytes));
            param
        }
    }
    module.map(&mut Name(Path::default()))
}

/// The trainable parameters by path.
pub fn trainable_ids<M: Module>(module: &M) -> BTreeMap<String, ParamId> {
    struct Ids(Path, BTreeMap<String, ParamId>);
    impl ModuleVisitor for Ids {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.val().is_require_grad() {
                self.1.insert(self.0.dotted(), param.id);
            }
        }
    }
    let mut ids = Ids(Path::default(), BTreeMap::new());
    module.visit(&mut ids);
    ids.1
}

/// Moves the gradients of the parameters `ids` out of `gradients`.
pub fn take_gradients<M: Module>(
    module: &M,
    gradients: &mut GradientsParams,
    ids: &HashSet<ParamId>,
) -> GradientsParams {
    struct Take<'a>(&'a mut GradientsParams, &'a HashSet<ParamId>, GradientsParams);
    impl ModuleVisitor for Take<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.1.contains(&param.id)
                && let Some(gradient) = self.0.remove::<D>(param.id)
            {
                self.2.register(param.id, gradient);
            }
        }
    }
    let mut take = Take(gradients, ids, GradientsParams::new());
    module.visit(&mut take);
    take.2
}

/// `params.json`: counted from the built model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Params {
    pub trainable: usize,
    pub total: usize,
    /// One entry for each part of a component, in the order of the model.
    pub parts: Vec<ParamsPart>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParamsPart {
    pub slot: String,
    /// Part inside the component, such as `temporal`; equals the slot where the component has one part.
    pub part: String,
    pub trainable: usize,
    pub total: usize,
}

/// Counts parameters by the first two parts of their path: slot and part. Lists (`adapter.blocks.3.joint`) and digits
/// are passed over, so that all blocks add up under `joint`.
pub fn count<M: Module>(module: &M) -> Params {
    struct Count {
        path: Path,
        params: Params,
    }
    impl ModuleVisitor for Count {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let size = param.lazy_shape().num_elements();
            let trainable = if is_trainable(param) { size } else { 0 };
            let names: Vec<&String> =
                self.path.0.iter().filter(|name| *name != "blocks" && name.parse::<usize>().is_err()).collect();
            let slot = names.first().map_or("model", |name| name.as_str()).to_owned();
            let part = if names.len() > 2 { names[1].clone() } else { slot.clone() };
            self.params.total += size;
            self.params.trainable += trainable;
            match self.params.parts.iter_mut().find(|entry| entry.slot == slot && entry.part == part) {
                Some(entry) => {
                    entry.total += size;
                    entry.trainable += trainable;
                }
                None => self.params.parts.push(ParamsPart { slot, part, trainable, total: size }),
            }
        }
    }
    let mut count = Count { path: Path::default(), params: Params::default() };
    module.visit(&mut count);
    count.params
}

/// Bytes of a module's parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bytes {
    pub frozen: f64,
    pub trainable: f64,
}

/// Bytes of a model's parameters, frozen weights of linear layers in `precision` and all others in f32, without making them.
pub fn bytes<M: Module>(module: &M, precision: Precision) -> Bytes {
    struct Count {
        /// Names of the containers around.
        containers: Vec<String>,
        precision: Precision,
        bytes: Bytes,
    }
    impl ModuleVisitor for Count {
        fn enter_module(&mut self, _: &str, container: &str) {
            self.containers.push(container.to_owned());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.containers.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let size = param.lazy_shape().num_elements() as f64;
            let linear = D == 2 && self.containers.last().is_some_and(|name| name.ends_with("Linear"));
            match (is_trainable(param), self.precision) {
                (true, _) => self.bytes.trainable += 4.0 * size,
                (false, Precision::Bf16) if linear => self.bytes.frozen += 2.0 * size,
                (false, _) => self.bytes.frozen += 4.0 * size,
            }
        }
    }
    let mut count = Count { containers: Vec::new(), precision, bytes: Bytes::default() };
    module.visit(&mut count);
    count.bytes
}

/// Sum of gradients, added in the order given, times `factor`.
pub fn sum_gradients<M: Module>(module: &M, mut all: Vec<GradientsParams>, factor: f64) -> GradientsParams {
    struct Sum<'a>(&'a mut [GradientsParams], f64, GradientsParams);
    impl ModuleVisitor for Sum<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let sum = self.0.iter_mut().filter_map(|grads| grads.remove::<D>(param.id)).reduce(|a, b| a + b);
            if let Some(sum) = sum {
                self.2.register(param.id, if self.1 == 1.0 { sum } else { sum * self.1 });
            }
        }
    }
    if all.len() == 1 && factor == 1.0 {
        return all.remove(0);
    }
    let mut sum = Sum(&mut all, factor, GradientsParams::new());
    module.visit(&mut sum);
    sum.2
}

/// Global L2 norm of all gradients.
pub fn gradient_norm<M: Module>(module: &M, grads: &GradientsParams) -> f64 {
    struct Norm<'a>(&'a GradientsParams, f64);
    impl ModuleVisitor for Norm<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.0.get::<D>(param.id) {
                self.1 += grad.powf_scalar(2.0).sum().into_scalar::<f32>() as f64;
            }
        }
    }
    let mut norm = Norm(grads, 0.0);
    module.visit(&mut norm);
    norm.1.sqrt()
}

/// L2 norms of the gradients by parameter path.
pub fn gradient_norms<M: Module>(module: &M, grads: &GradientsParams) -> BTreeMap<String, f64> {
    struct Norms<'a>(Path, &'a GradientsParams, BTreeMap<String, f64>);
    impl ModuleVisitor for Norms<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(grad) = self.1.get::<D>(param.id) {
                let norm = (grad.powf_scalar(2.0).sum().into_scalar::<f32>() as f64).sqrt();
                self.2.insert(self.0.dotted(), norm);
            }
        }
    }
    let mut norms = Norms(Path::default(), grads, BTreeMap::new());
    module.visit(&mut norms);
    norms.2
}

/// [`gradient_norm`] before clipping; and the gradients scaled down to `limit` where the norm is above it (as torch's
/// `clip_grad_norm_`; burn's own clipping is per tensor).
pub fn clip_gradients<M: Module>(module: &M, grads: GradientsParams, limit: Option<f64>) -> (f64, GradientsParams) {
    let norm = gradient_norm(module, &grads);
    match limit {
        Some(limit) if norm > limit => (norm, sum_gradients(module, vec![grads], limit / (norm + 1e-6))),
        _ => (norm, grads),
    }
}
