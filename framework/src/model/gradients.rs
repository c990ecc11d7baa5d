//! Arithmetic on the gradients of a module: split, add, measure and clip them.

use crate::model::parameters::Path;
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
    struct Squares<'a>(&'a GradientsParams, Vec<Tensor<1>>);
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.1.extend(self.0.get::<D>(param.id).map(|grad| grad.square().sum()));
        }
    }
    let mut squares = Squares(grads, Vec::new());
    module.visit(&mut squares);
    // Read at once: a card computes on meanwhile, and each number read makes the program wait for it.
    match squares.1 {
        none if none.is_empty() => 0.0,
        sums => Tensor::cat(sums, 0).into_data().iter::<f32>().map(f64::from).sum::<f64>().sqrt(),
    }
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
pub(crate) fn clip_gradients<M: Module>(
    module: &M,
    grads: GradientsParams,
    limit: Option<f64>,
) -> (f64, GradientsParams) {
    let norm = gradient_norm(module, &grads);
    match limit {
        Some(limit) if norm > limit => (norm, sum_gradients(module, vec![grads], limit / (norm + 1e-6))),
        _ => (norm, grads),
    }
}
