//! Parameters of a module by path: counted, exported, imported, made trainable, given stable ids.

use crate::error::{Error, Result};
use crate::slots::backbone::Precision;
use crate::slots::module::{GraphStrategy, on_graph};
use crate::weights::HostTensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, Device, Tensor, TensorData};
use maclip_language::first_of;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Where a visitor of a module is: the names of the fields around it.
#[derive(Default)]
pub(super) struct Path(Vec<String>);

impl Path {
    pub(super) fn enter(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }
    pub(super) fn exit(&mut self) {
        self.0.pop();
    }
    pub(super) fn dotted(&self) -> String {
        self.0.join(".")
    }
}

/// The tensors of `module` as f32, by dotted path (`adapter.blocks.3.joint.weight`). With `trainable_only`, those that
/// are trained.
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

/// The shapes of all parameters of `module` by dotted path. Computes no initial values.
pub fn shapes<M: Module>(module: &M) -> BTreeMap<String, Vec<usize>> {
    struct Shapes(Path, BTreeMap<String, Vec<usize>>);
    impl ModuleVisitor for Shapes {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.0.enter(name);
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.0.exit();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.insert(self.0.dotted(), param.lazy_shape().to_vec());
        }
    }
    let mut shapes = Shapes(Path::default(), BTreeMap::new());
    module.visit(&mut shapes);
    shapes.1
}

/// Paths of the matrices of linear layers, which are `[in, out]` here and `[out, in]` in PyTorch.
pub fn linear_weights<M: Module>(module: &M) -> BTreeSet<String> {
    #[derive(Default)]
    struct Linear {
        path: Path,
        /// Whether the field that is entered is the weight of a linear layer.
        inside: Vec<bool>,
        found: BTreeSet<String>,
    }
    impl ModuleVisitor for Linear {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.path.enter(name);
            self.inside.push(container.ends_with("Linear") && name == "weight");
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.exit();
            self.inside.pop();
        }
        fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
            if self.inside.last() == Some(&true) {
                self.found.insert(self.path.dotted());
            }
        }
    }
    let mut linear = Linear::default();
    module.visit(&mut linear);
    linear.found
}

/// Puts `tensors` into the parameters of the same path. With `trainable_only`, only the trainable parameters take part.
///
/// # Errors
/// Where a parameter has no tensor, a tensor has no parameter, or the shapes differ. The message lists the paths.
pub fn import<M: Module>(module: M, tensors: BTreeMap<String, HostTensor>, trainable_only: bool) -> Result<M> {
    try_import(module, tensors, trainable_only).map_err(|fit| Error::failed(fit.problem().unwrap_or_default()))
}

/// [`import`], with what does not fit as lists.
///
/// # Errors
/// As [`import`].
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

/// What does not fit between a module and tensors. Each entry is a path with its shape.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Fit {
    /// Parameters without a tensor.
    pub missing: Vec<String>,
    /// Tensors without a parameter.
    pub unused: Vec<String>,
    /// Paths where the tensor and the parameter have different shapes.
    pub misshapen: Vec<String>,
}

impl Fit {
    /// The three lists as a message, with the first eight entries of each; `None` where all fits.
    pub fn problem(&self) -> Option<String> {
        let lists = [("missing", &self.missing), ("unused", &self.unused), ("of the wrong shape", &self.misshapen)];
        let problems = lists
            .into_iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(what, list)| format!("{what}: {}", first_of(list.iter(), 8, "; ")));
        let problems: Vec<String> = problems.collect();
        (!problems.is_empty()).then(|| problems.join("\n  "))
    }
}

/// The same parameter (id, device, training state) with other values of the same shape.
fn replace<const D: usize>(param: Param<Tensor<D>>, tensor: HostTensor) -> Param<Tensor<D>> {
    if !param.is_initialized() {
        // It has no values yet, and its initial values are not needed.
        let data = TensorData::new(tensor.values, tensor.shape);
        let (id, device) = (param.id, param.lazy_device());
        return param.transform_for_load(Tensor::from_data(data, (&device, DType::F32)), id);
    }
    let active = param.val().is_require_grad();
    param.map(|old| {
        let data = TensorData::new(tensor.values, tensor.shape);
        // On the old tensor's device, with or without autodiff as before.
        let autodiff = old.is_autodiff();
        let new = Tensor::<D>::from_data(data, (&old.clone().without_autodiff().device(), DType::F32));
        if autodiff { on_graph(new, old.gradient_checkpointing_strategy()).set_require_grad(active) } else { new }
    })
}

/// Whether a parameter is trained. Does not compute its initial values where they do not exist yet.
pub fn is_trainable<const D: usize>(param: &Param<Tensor<D>>) -> bool {
    if param.is_initialized() {
        return param.val().is_require_grad();
    }
    let device = param.lazy_device();
    if !device.is_autodiff() {
        return false;
    }
    // burn does not show the flag of a parameter without values, but passes it on to a tensor that is loaded into it.
    let one = Tensor::<D>::zeros([1; D], &device);
    param.clone().transform_for_load(one, param.id).val().is_require_grad()
}

/// The module with every parameter trainable, on the same device with autodiff.
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

/// The [`GraphStrategy`] of the first trainable parameter of `module`; the default where nothing is trainable.
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

/// `copy`, which is `module` on `device` as it was at some time, with the values that the parameters `ids` of `module`
/// have now. Those that are trained are leaves of their own, so that both can have a graph at the same time.
pub(crate) fn with_values_of<M: Module>(copy: M, module: &M, ids: &HashSet<ParamId>, device: &Device) -> M {
    struct Take<'a>(&'a HashSet<ParamId>, HashMap<ParamId, Box<dyn Any>>);
    impl ModuleVisitor for Take<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if self.0.contains(&param.id) {
                self.1.insert(param.id, Box::new(param.val()));
            }
        }
    }
    struct Put<'a>(HashMap<ParamId, Box<dyn Any>>, &'a Device);
    impl ModuleMapper for Put<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(value) = self.0.remove(&param.id).and_then(|value| value.downcast::<Tensor<D>>().ok()) else {
                return param;
            };
            let active = value.is_require_grad();
            param.map(|_| match value.is_autodiff() {
                true => {
                    let strategy = value.gradient_checkpointing_strategy();
                    on_graph(value.inner().to_device(self.1), strategy).set_require_grad(active)
                }
                false => value.to_device(self.1),
            })
        }
    }
    let mut take = Take(ids, HashMap::new());
    module.visit(&mut take);
    copy.map(&mut Put(take.1, device))
}

/// The module with `graph_strategy` for all its trainable parameters: which activations its graphs keep for the
/// backward pass.
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

/// The module with an id for every parameter that is a hash of its path. So another process finds the parameter that an
/// optimizer's state belongs to.
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

/// The ids of the trainable parameters, by dotted path.
pub(crate) fn trainable_ids<M: Module>(module: &M) -> BTreeMap<String, ParamId> {
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

/// Numbers of parameters, counted from the built model. A run keeps them as `params.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Params {
    /// Parameters that are trained.
    pub trainable: usize,
    /// All parameters, trained and frozen.
    pub total: usize,
    /// One entry for each part of a component, in the order of the model.
    pub parts: Vec<ParamsPart>,
}

/// Numbers of parameters of one part of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParamsPart {
    /// The slot of the component, such as `adapter`.
    pub slot: String,
    /// The part of the component, such as `temporal`; the slot again where the component has one part.
    pub part: String,
    /// Parameters of the part that are trained.
    pub trainable: usize,
    /// All parameters of the part.
    pub total: usize,
}

/// Counts parameters by the first two names of their path: slot and part. `blocks` and numbers do not count as names,
/// so `adapter.blocks.3.joint.…` of all blocks adds up under `adapter`, `joint`.
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

/// Memory of a module's parameters, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bytes {
    /// Of the frozen parameters.
    pub frozen: f64,
    /// Of the trainable parameters.
    pub trainable: f64,
}

/// Memory of a model's parameters: frozen weights of linear layers in `precision`, all others in f32. Does not compute
/// their initial values.
pub fn bytes<M: Module>(module: &M, precision: Precision) -> Bytes {
    struct Count {
        /// Names of the module types around the parameter.
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
