//! Arithmetic on the gradients of a module: split, add, measure and clip them.

use crate::model::parameters::Path;
use crate::recipe::device::is_host;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use std::collections::{BTreeMap, HashSet};

/// Moves the gradients of the parameters `ids` out of `gradients`.
pub(crate) fn take_gradients<M: Module>(
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

/// `factor` times the sum of `all`, parameter by parameter. Added in the order of `all`, so that rounding is the same
/// in every run; with `factor` 1/n it is the mean of n gradients. A parameter that only some of `all` have counts 0 in
/// the others.
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

/// L2 norm of all gradients together, as if they were one long vector.
pub fn gradient_norm<M: Module>(module: &M, grads: &GradientsParams) -> f64 {
    let parts = flat(module, grads);
    // Read at once: a card computes on meanwhile, and each number read makes the program wait for it.
    let sums = match parts.first() {
        None => return 0.0,
        Some(first) if is_host(&first.device()) => parts.into_iter().map(|part| part.square().sum()).collect(),
        Some(_) => vec![Tensor::cat(parts, 0).square().sum()],
    };
    Tensor::cat(sums, 0).into_data().iter::<f32>().map(f64::from).sum::<f64>().sqrt()
}

/// L2 norm of each parameter's gradient, by the parameter's path. Parameters without a gradient are left out.
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
                let norm = (grad.square().sum().into_scalar::<f32>() as f64).sqrt();
                self.2.insert(self.0.dotted(), norm);
            }
        }
    }
    let mut norms = Norms(Path::default(), grads, BTreeMap::new());
    module.visit(&mut norms);
    norms.2
}

/// Clips `grads` to the norm `limit`, as torch's `clip_grad_norm_` does: where [`gradient_norm`] is above `limit`, all
/// gradients are multiplied by limit / (norm + 1e-6). Returns the norm before clipping, and the gradients. (burn's own
/// clipping works on each tensor alone.)
pub fn clip_gradients<M: Module>(module: &M, grads: GradientsParams, limit: Option<f64>) -> (f64, GradientsParams) {
    let factor = |norm: f64| limit.filter(|limit| norm > *limit).map(|limit| limit / (norm + 1e-6));
    let parts = flat(module, &grads);
    if parts.first().is_some_and(|part| !is_host(&part.device())) {
        return clip_joined(module, grads, parts, factor);
    }
    let norm = gradient_norm(module, &grads);
    match factor(norm) {
        Some(factor) => (norm, sum_gradients(module, vec![grads], factor)),
        None => (norm, grads),
    }
}

/// Each gradient as one row of values, in the order of the module's parameters.
fn flat<M: Module>(module: &M, grads: &GradientsParams) -> Vec<Tensor<1>> {
    struct Flat<'a>(&'a GradientsParams, Vec<Tensor<1>>);
    impl ModuleVisitor for Flat<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.extend(self.0.get::<D>(param.id).map(|grad| grad.flatten(0, D - 1)));
        }
    }
    let mut flat = Flat(grads, Vec::new());
    module.visit(&mut flat);
    flat.1
}

/// [`clip_gradients`] with `parts`, the gradients as [`flat`] gives them, in one tensor: for cards, which compute an
/// operation on many values in less time than they need to begin one for each parameter.
fn clip_joined<M: Module>(
    module: &M,
    grads: GradientsParams,
    parts: Vec<Tensor<1>>,
    factor: impl Fn(f64) -> Option<f64>,
) -> (f64, GradientsParams) {
    struct Cut<'a> {
        before: &'a GradientsParams,
        joined: Tensor<1>,
        from: usize,
        after: GradientsParams,
    }
    impl ModuleVisitor for Cut<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            let Some(shape) = self.before.get::<D>(param.id).map(|grad| grad.shape()) else { return };
            let length = shape.num_elements();
            let own: Tensor<D> = self.joined.clone().narrow(0, self.from, length).reshape(shape);
            self.after.register(param.id, own);
            self.from += length;
        }
    }
    let joined = Tensor::cat(parts, 0);
    let norm = f64::from(joined.clone().square().sum().into_scalar::<f32>()).sqrt();
    let Some(factor) = factor(norm) else { return (norm, grads) };
    let mut cut = Cut { before: &grads, joined: joined * factor, from: 0, after: GradientsParams::new() };
    module.visit(&mut cut);
    (norm, cut.after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::nn::LinearConfig;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn gradients_in_one_tensor_are_clipped_as_each_by_itself() {
        let device = Device::flex().autodiff();
        let layer = LinearConfig::new(2, 3).init(&device);
        let gradients = || {
            let mut grads = GradientsParams::new();
            let plain = device.clone().inner();
            let weight = TensorData::from([[1.0f32, -2.0, 3.0], [0.5, 0.25, 4.0]]);
            grads.register(layer.weight.id, Tensor::<2>::from_data(weight, &plain));
            let bias = TensorData::from([2.0f32, 0.0, -1.0]);
            grads.register(layer.bias.as_ref().unwrap().id, Tensor::<1>::from_data(bias, &plain));
            grads
        };
        let values = |grads: &GradientsParams| {
            flat(&layer, grads)
                .into_iter()
                .map(|part| part.into_data().try_to_vec::<f32>().unwrap())
                .collect::<Vec<_>>()
        };
        // √(1 + 4 + 9 + 1/4 + 1/16 + 16 + 4 + 1)
        let norm = 35.3125f64.sqrt();
        for limit in [None, Some(1.0), Some(100.0)] {
            let (one, each) = clip_gradients(&layer, gradients(), limit);
            let grads = gradients();
            let parts = flat(&layer, &grads);
            let factor = |norm: f64| limit.filter(|limit| norm > *limit).map(|limit| limit / (norm + 1e-6));
            let (other, joined) = clip_joined(&layer, grads, parts, factor);
            assert!((one - norm).abs() < 1e-6 && (other - norm).abs() < 1e-6, "{one} {other}");
            assert_eq!(values(&each), values(&joined), "{limit:?}");
            assert_eq!(joined.get::<2>(layer.weight.id).unwrap().dims(), [2, 3]);
        }
    }
}
