//! Trainable components as trait objects: [`Slot<dyn Trait>`] is a burn [`Module`].
//!
//! `Module::visit` and `Module::map` are generic over the visitor, so `dyn Module` cannot exist. [`DynModule`] is a
//! form of it that can be a trait object, implemented once for every module: the visitor is passed as `dyn` and the
//! parameter as `&dyn Any`. The receiver tries the ranks 1 to 6 and downcasts. All other operations of `Module` are
//! maps over parameters.

use burn::module::{Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, GradientCheckpointingStrategy, Tensor};
use std::any::Any;
use std::fmt::Debug;
use std::ops::{Deref, DerefMut};

/// Receives the float parameters of a module behind a trait object. The object-safe form of [`ModuleVisitor`].
pub trait DynVisitor {
    /// The parameters that follow belong to the field `name` of a module of the kind `container`.
    fn enter(&mut self, name: &str, container: &str);
    /// The field `name` ends.
    fn exit(&mut self, name: &str, container: &str);
    /// One parameter. `param` is a `Param<Tensor<D>>` with D in 1..=6.
    fn float(&mut self, param: &dyn Any);
}

/// Replaces the float parameters of a module behind a trait object. The object-safe form of [`ModuleMapper`].
pub trait DynMapper {
    /// As [`DynVisitor::enter`].
    fn enter(&mut self, name: &str, container: &str);
    /// As [`DynVisitor::exit`].
    fn exit(&mut self, name: &str, container: &str);
    /// One parameter. `param` is an `Option<Param<Tensor<D>>>` with D in 1..=6 that holds a value. It must hold
    /// one of the same rank afterwards.
    fn float(&mut self, param: &mut dyn Any);
}

/// The object-safe form of [`Module`]. Every module has it.
pub trait DynModule: Send + Sync + Debug {
    /// As [`Module::visit`].
    fn visit_dyn(&self, visitor: &mut dyn DynVisitor);
    /// As [`Module::map`].
    fn map_dyn(&mut self, mapper: &mut dyn DynMapper);
}

impl<M: Module + Sync + 'static> DynModule for M {
    fn visit_dyn(&self, visitor: &mut dyn DynVisitor) {
        self.visit(&mut OutwardVisitor(visitor));
    }

    fn map_dyn(&mut self, mapper: &mut dyn DynMapper) {
        // A clone shares its tensors, so this costs no copy.
        *self = self.clone().map(&mut OutwardMapper(mapper));
    }
}

struct OutwardVisitor<'a>(&'a mut dyn DynVisitor);

impl ModuleVisitor for OutwardVisitor<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.float(param);
    }
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }
    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container);
    }
}

struct OutwardMapper<'a>(&'a mut dyn DynMapper);

impl ModuleMapper for OutwardMapper<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let mut place = Some(param);
        self.0.float(&mut place);
        place.expect("a DynMapper leaves a parameter where it took one")
    }
    fn enter_module(&mut self, name: &str, container: &str) {
        self.0.enter(name, container);
    }
    fn exit_module(&mut self, name: &str, container: &str) {
        self.0.exit(name, container);
    }
}

struct InwardVisitor<'a, V>(&'a mut V);

macro_rules! each_rank {
    ($body:ident) => {
        $body!(1);
        $body!(2);
        $body!(3);
        $body!(4);
        $body!(5);
        $body!(6);
    };
}

impl<V: ModuleVisitor> DynVisitor for InwardVisitor<'_, V> {
    fn enter(&mut self, name: &str, container: &str) {
        self.0.enter_module(name, container);
    }
    fn exit(&mut self, name: &str, container: &str) {
        self.0.exit_module(name, container);
    }
    fn float(&mut self, param: &dyn Any) {
        macro_rules! try_rank {
            ($d:literal) => {
                if let Some(param) = param.downcast_ref::<Param<Tensor<$d>>>() {
                    return self.0.visit_float(param);
                }
            };
        }
        each_rank!(try_rank);
        unreachable!("parameters have rank 1 to 6");
    }
}

struct InwardMapper<'a, M>(&'a mut M);

impl<M: ModuleMapper> DynMapper for InwardMapper<'_, M> {
    fn enter(&mut self, name: &str, container: &str) {
        self.0.enter_module(name, container);
    }
    fn exit(&mut self, name: &str, container: &str) {
        self.0.exit_module(name, container);
    }
    fn float(&mut self, param: &mut dyn Any) {
        macro_rules! try_rank {
            ($d:literal) => {
                if let Some(place) = param.downcast_mut::<Option<Param<Tensor<$d>>>>() {
                    *place = place.take().map(|param| self.0.map_float(param));
                    return;
                }
            };
        }
        each_rank!(try_rank);
        unreachable!("parameters have rank 1 to 6");
    }
}

/// A component in the model: a boxed trait object that is a [`Module`].
#[derive(Debug)]
pub struct Slot<T: ?Sized>(Box<T>);

impl<T: ?Sized> Slot<T> {
    /// `component` as a part of a model.
    pub fn new(component: Box<T>) -> Self {
        Self(component)
    }
}

impl<T: ?Sized> Deref for Slot<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> DerefMut for Slot<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: ?Sized> Clone for Slot<T>
where
    Box<T>: Clone,
{
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: ?Sized + DynModule + 'static> Module for Slot<T>
where
    Box<T>: Clone,
{
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.0.visit_dyn(&mut InwardVisitor(visitor));
    }

    fn map<M: ModuleMapper>(mut self, mapper: &mut M) -> Self {
        self.0.map_dyn(&mut InwardMapper(mapper));
        self
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        struct Collect(Devices);
        impl ModuleVisitor for Collect {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let device = param.lazy_device();
                if !self.0.contains(&device) {
                    self.0.push(device);
                }
            }
        }
        let mut collect = Collect(devices);
        self.visit(&mut collect);
        collect.0
    }

    fn fork(self, device: &Device) -> Self {
        self.map(&mut EachParam(Operation::Fork(device)))
    }

    fn to_device(self, device: &Device) -> Self {
        self.map(&mut EachParam(Operation::ToDevice(device)))
    }

    fn train(self) -> Self {
        self.map(&mut EachParam(Operation::Train))
    }

    fn valid(&self) -> Self {
        self.clone().map(&mut EachParam(Operation::Valid))
    }

    fn materialize(self) -> Self {
        self.map(&mut EachParam(Operation::Materialize))
    }
}

enum Operation<'a> {
    Fork(&'a Device),
    ToDevice(&'a Device),
    Train,
    Valid,
    Materialize,
}

struct EachParam<'a>(Operation<'a>);

impl ModuleMapper for EachParam<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.0 {
            Operation::Fork(device) => param.fork(device),
            Operation::ToDevice(device) => param.to_device(device),
            Operation::Train => param.train(),
            Operation::Valid => param.valid(),
            Operation::Materialize => param.materialize(),
        }
    }
}

impl<T: ?Sized + DynModule> ModuleDisplayDefault for Slot<T> {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&format!("{:?}", &self.0)).optional()
    }
}

impl<T: ?Sized + DynModule> ModuleDisplay for Slot<T> {}

/// How activations are kept between the forward and the backward pass; `None` keeps all. burn refuses to mix two ways
/// in one graph.
pub type GraphStrategy = Option<GradientCheckpointingStrategy>;

/// A tensor of a plain device, moved to the same device with autodiff.
pub fn on_graph<const D: usize>(plain: Tensor<D>, strategy: GraphStrategy) -> Tensor<D> {
    let tensor = Tensor::from_inner(plain);
    match strategy {
        Some(strategy) => tensor.with_gradient_checkpointing_strategy(strategy),
        None => tensor,
    }
}

/// Makes `Box<dyn $Trait>` clonable, which a [`Slot`] needs: `$Trait` must have `$CloneBoxed` as a supertrait.
#[macro_export]
macro_rules! clone_boxed {
    ($Trait:ident, $CloneBoxed:ident) => {
        #[doc = concat!("Clones a `", stringify!($Trait), "` behind its trait object; implemented for every one.")]
        pub trait $CloneBoxed {
            /// A clone, in a box of its own.
            fn clone_boxed(&self) -> Box<dyn $Trait>;
        }
        impl<T: $Trait + Clone + 'static> $CloneBoxed for T {
            fn clone_boxed(&self) -> Box<dyn $Trait> {
                Box::new(self.clone())
            }
        }
        impl Clone for Box<dyn $Trait> {
            fn clone(&self) -> Self {
                (**self).clone_boxed()
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::optim::{GradientsParams, SgdConfig};

    pub trait Scale: DynModule + CloneScale {
        fn forward(&self, x: Tensor<1>) -> Tensor<1>;
    }
    clone_boxed!(Scale, CloneScale);

    #[derive(Module, Debug)]
    struct Doubler {
        factor: Param<Tensor<1>>,
    }
    impl Scale for Doubler {
        fn forward(&self, x: Tensor<1>) -> Tensor<1> {
            x * self.factor.val()
        }
    }

    #[derive(Module, Debug)]
    struct Model {
        scale: Slot<dyn Scale>,
    }

    fn model(device: &Device) -> Model {
        let factor = Param::from_tensor(Tensor::from_floats([2.0, 3.0], device));
        Model { scale: Slot::new(Box::new(Doubler { factor })) }
    }

    fn factor(model: &Model) -> Vec<f32> {
        model.scale.forward(Tensor::ones([2], &Device::flex())).into_data().try_to_vec().unwrap()
    }

    #[test]
    fn an_optimizer_steps_a_component_behind_its_trait_object() {
        let device = Device::flex().autodiff();
        let model = model(&device);
        assert_eq!(Module::num_params(&model), 2);
        // A plain (frozen) input: d/df sum(x f) = x.
        let loss = model.scale.forward(Tensor::from_floats([1.0, 10.0], &Device::flex())).sum();
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        assert_eq!(grads.len(), 1);
        let model = SgdConfig::new().init().step(0.1, model, grads);
        assert_eq!(factor(&model.valid()), [1.9, 2.0]);
    }

    #[test]
    fn a_record_loads_back_through_the_slot() {
        let device = Device::flex();
        let record = model(&device).into_record();
        let mut other = model(&device);
        other = other.map(&mut Zero);
        assert_eq!(factor(&other), [0.0, 0.0]);
        assert_eq!(factor(&other.try_load_record(record).unwrap()), [2.0, 3.0]);
    }

    struct Zero;
    impl ModuleMapper for Zero {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|tensor| tensor.zeros_like())
        }
    }
}
