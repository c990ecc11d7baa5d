//! What the tests of several prototype modules share: sizes, costs by hand, and the two ways to average shots.

use crate::conformance::tensors::{difference, random};
use crate::conformance::{built, context};
use maclip_framework::model::parameters;
use maclip_framework::registry::Component;
use maclip_framework::slots::Scope;
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype};

/// The module for features of `width` values and clips of 4 frames.
pub fn module<C: Component<Slot = dyn Prototype>>(options: &str, width: usize) -> Slot<dyn Prototype> {
    Slot::new(built::<C>(options, &context(1, width, 4)))
}

/// Parameters at E = 512.
pub fn parameters<C: Component<Slot = dyn Prototype>>() -> usize {
    parameters::count(&module::<C>("", 512)).total
}

/// FLOPs of [`Prototype::support`] and [`Prototype::query`] for three clips of 4 frames with 16 features.
pub fn flops<C: Component<Slot = dyn Prototype>>(options: &str) -> (f64, f64) {
    let module = module::<C>(options, 16);
    (module.support_cost([3, 4, 16]).unwrap().flops, module.query_cost([3, 4, 16]).unwrap().flops)
}

/// The same of three times a transformer layer at E = 16: projections of n queries and m tokens of context, scores and
/// mixture, output, and a feed-forward layer of 4 E.
pub fn layer_flops(n: f64, m: f64) -> f64 {
    let e = 16.0;
    3.0 * 2.0 * (2.0 * n * e * e + 2.0 * m * e * e + 2.0 * n * m * e + 8.0 * n * e * e)
}

/// Equal shots give the same prototype, whether they are averaged before the module or after it.
pub fn equal_shots_are_averaged_first_or_last<C: Component<Slot = dyn Prototype>>() {
    let [after, before] = ["", "average_shots: before"].map(|options| module::<C>(options, 16));
    assert_eq!((after.scope(), before.scope()), (Scope::LabelledClip, Scope::Episode));
    let (frames, text, query) = (random::<3>(1, [2, 4, 16]), random::<2>(2, [2, 16]), random(3, [1, 3, 4, 16]));
    let want = after.support(frames.clone(), text.clone());
    // Two classes with three equal shots each.
    let support = before.support(frames, text.clone()).reshape([1, 2, 1, 4, 16]).expand([1, 2, 3, 4, 16]);
    let related = before.relate(EpisodeFeatures { query, support, text: text.unsqueeze() });
    assert_eq!(related.support.dims(), [1, 1, 2, 1, 4, 16]);
    assert!(difference(&related.support.reshape([2, 4, 16]), &want) < 1e-5);
}
