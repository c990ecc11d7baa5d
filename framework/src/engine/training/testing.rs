//! A very small model and optimizer for tests of the training.

use super::Stepper;
use crate::error::Result;
use crate::model::parameters;
use crate::slots::optimizer::{GroupOptions, Optimizer};
use burn::module::{Module, Param};
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Tensor};
use std::collections::BTreeMap;

#[derive(Module, Debug)]
pub struct Line {
    pub slope: Param<Tensor<1>>,
    pub offset: Param<Tensor<1>>,
}

pub fn line() -> Line {
    let param = |values: [f32; 2]| Param::from_tensor(Tensor::from_floats(values, &Device::flex().autodiff()));
    parameters::with_stable_ids(Line { slope: param([1.0, 2.0]), offset: param([3.0, -1.0]) })
}

/// SGD with momentum.
#[derive(Debug, Default)]
pub struct Sgd(pub BTreeMap<String, GroupOptions>);

impl Optimizer for Sgd {
    fn learning_rate(&self) -> f64 {
        0.1
    }
    fn groups(&self) -> &BTreeMap<String, GroupOptions> {
        &self.0
    }
    fn init(&self, group: &GroupOptions) -> Result<ModuleOptimizer> {
        let decay = group.weight_decay.unwrap_or(0.0) as f32;
        let momentum = burn::optim::momentum::MomentumConfig::new();
        let config = SgdConfig::new().with_momentum(Some(momentum));
        let decay = (decay > 0.0).then(|| burn::optim::decay::WeightDecayConfig::new(decay));
        Ok(config.with_weight_decay(decay).init())
    }
}

pub fn sgd(model: &Line) -> Stepper {
    Stepper::new(&Sgd::default(), model).unwrap()
}

/// One step down the sum of squares: the gradient is twice the value.
pub fn step(model: Line, stepper: &mut Stepper) -> Line {
    let loss = model.slope.val().powf_scalar(2.0).sum() + model.offset.val().powf_scalar(2.0).sum();
    let grads = GradientsParams::from_grads(loss.backward(), &model);
    stepper.step(1.0, model, grads)
}
