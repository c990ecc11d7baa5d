//! What every registered alignment must hold; a new one is held to it by being registered.

use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_framework::random::Stream;
use maclip_framework::registry::{BuildContext, SlotTrait, build_choice, resolve_choice, slot};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::backbone::Geometry;
use maclip_language::read_str;

/// Metrics that a permutation of the frames must not change.
const ORDER_BLIND: [&str; 9] = [
    "bi_mhm",
    "chamfer",
    "hausdorff",
    "max_similarity",
    "mean_cosine",
    "mean_similarity",
    "mean_squared_l2",
    "modified_hausdorff",
    "optimal_transport",
];
/// A sum over all pairs of frames is not largest for equal sequences.
const NOT_NEAREST_TO_ITSELF: [&str; 1] = ["mean_similarity"];

const FRAMES: usize = 4;
const WIDTH: usize = 6;

fn names() -> Vec<&'static str> {
    <dyn Alignment>::entries().iter().map(|entry| entry.info.name).collect()
}

/// The metric called `name` with more options in YAML, such as `shots: joint`.
fn metric(name: &str, options: &str, device: &Device) -> Box<dyn Alignment> {
    let small = if name == "trx" { "width: 8, " } else { "" };
    let text = format!("{{type: {name}, {small}{options}}}");
    let node = read_str("test.yaml", &text).unwrap();
    let node = resolve_choice(slot("alignment").unwrap(), &node).unwrap();
    let geometry = Geometry {
        image_size: 1,
        width: WIDTH,
        embed_dim: WIDTH,
        blocks: 1,
        transformer: true,
        tokens: 2,
        has_text_tower: false,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    let context = BuildContext::new(3, device.clone()).with_sizes(geometry, FRAMES);
    build_choice(&node, &context).unwrap()
}

fn features<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    let mut rng = Stream::new(seed, "test").at(0);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn values(tensor: Tensor<3>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn close(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + b.abs()))
}

/// query `[2, 3, T, E]` and support `[2, 3, 2, T, E]`.
fn clips() -> (Tensor<4>, Tensor<5>) {
    (features(1, [2, 3, FRAMES, WIDTH]), features(2, [2, 3, 2, FRAMES, WIDTH]))
}

#[test]
fn a_sequence_is_nearest_to_itself() {
    for name in names().into_iter().filter(|name| !NOT_NEAREST_TO_ITSELF.contains(name)) {
        let support = features(1, [2, 3, FRAMES, WIDTH]);
        // The same directions: cosines do not see a common factor, Euclidean distances do.
        let factor = if ["mean_squared_l2", "trx"].contains(&name) { 1.0 } else { 1.5 };
        let d = values(metric(name, "", &Device::flex()).distances(support.clone() * factor, support.unsqueeze_dim(2)));
        for row in 0..6 {
            let (own, row) = (row % 3, &d[row * 3..row * 3 + 3]);
            assert!((0..3).all(|w| w == own || row[own] < row[w]), "{name}: {row:?}");
        }
    }
}

#[test]
fn the_order_of_classes_and_shots_only_permutes() {
    for name in names() {
        for shots in ["mean_features", "mean_distances"] {
            let metric = metric(name, &format!("shots: {shots}"), &Device::flex());
            let (query, support) = clips();
            let d = values(metric.distances(query.clone(), support.clone()));
            assert!(d.iter().all(|value| value.is_finite()), "{name} {shots}");
            let flipped = values(metric.distances(query.clone(), support.clone().flip([1])).flip([2]));
            assert!(close(&flipped, &d, 1e-5), "{name} {shots}: classes\n{flipped:?}\n{d:?}");
            let shuffled = values(metric.distances(query, support.flip([2])));
            assert!(close(&shuffled, &d, 1e-5), "{name} {shots}: shots");
        }
    }
}

#[test]
fn a_batch_of_episodes_equals_one_by_one() {
    for name in names() {
        for shots in ["mean_features", "mean_distances", "joint"] {
            if name == "linear" && shots == "joint" {
                continue;
            }
            let metric = metric(name, &format!("shots: {shots}"), &Device::flex());
            let (query, support) = clips();
            let d = values(metric.distances(query.clone(), support.clone()));
            for n in 0..2 {
                for q in 0..3 {
                    let one = query.clone().narrow(0, n, 1).narrow(1, q, 1);
                    let alone = values(metric.distances(one, support.clone().narrow(0, n, 1)));
                    let row = (n * 3 + q) * 3;
                    assert!(close(&alone, &d[row..row + 3], 1e-5), "{name} {shots}");
                }
            }
        }
    }
}

#[test]
fn a_permutation_of_frames_changes_order_aware_metrics_only() {
    for name in names() {
        let metric = metric(name, "", &Device::flex());
        let (query, support) = clips();
        let d = values(metric.distances(query.clone(), support.clone()));
        let order = Tensor::<1, Int>::from_data([2, 0, 3, 1], &Device::flex());
        let permuted = values(metric.distances(query.select(2, order), support));
        assert_eq!(close(&permuted, &d, 1e-5), ORDER_BLIND.contains(&name), "{name}");
    }
}

#[test]
fn sequences_of_different_length_are_compared() {
    // The weights of `linear` are for T × T.
    for name in names().into_iter().filter(|name| *name != "linear") {
        let metric = metric(name, "", &Device::flex());
        let (query, support) = clips();
        for (query, support) in
            [(query.clone().narrow(2, 0, 3), support.clone()), (query.clone(), support.clone().narrow(3, 1, 3))]
        {
            let d = values(metric.distances(query, support));
            assert!(d.len() == 18 && d.iter().all(|value| value.is_finite()), "{name}");
        }
    }
}

#[test]
fn gradients_equal_finite_differences() {
    let device = Device::flex().autodiff();
    for name in names() {
        let metric = metric(name, "", &Device::flex());
        // Far from ties of minima, where a difference quotient is no derivative.
        let (query, support) = (features(5, [1, 1, FRAMES, WIDTH]), features(6, [1, 2, 1, FRAMES, WIDTH]));
        let cotangent = [0.7f32, -0.4];
        let value = |query: Tensor<4>| -> f64 {
            let d = values(metric.distances(query, support.clone()));
            d.iter().zip(cotangent).map(|(d, c)| (d * c) as f64).sum()
        };
        let tracked = Tensor::<4>::from_data(query.to_data(), &device).require_grad();
        let weights = Tensor::<3>::from_data([[cotangent]], &Device::flex());
        let grads = (metric.distances(tracked.clone(), support.clone()) * weights).sum().backward();
        let gradient: Vec<f32> = tracked.grad(&grads).unwrap().into_data().try_to_vec().unwrap();
        let base: Vec<f32> = query.to_data().try_to_vec().unwrap();
        let step = 4e-3f32;
        let largest = gradient.iter().fold(0.0f32, |m, g| m.max(g.abs()));
        assert!(largest > 1e-4, "{name}: no gradient");
        for i in 0..base.len() {
            let at = |delta: f32| {
                let mut moved = base.clone();
                moved[i] += delta;
                value(Tensor::from_data(TensorData::new(moved, query.dims()), &Device::flex()))
            };
            let quotient = ((at(step) - at(-step)) / (2.0 * step as f64)) as f32;
            assert!((quotient - gradient[i]).abs() < 0.02 * largest + 1e-3, "{name}: {quotient} {}", gradient[i]);
        }
    }
}

#[test]
fn long_sequences_and_a_small_softness_stay_finite() {
    for (name, options) in
        [("otam", "lambda: 0.01"), ("soft_dtw", "gamma: 0.01"), ("optimal_transport", "epsilon: 0.01")]
    {
        let device = Device::flex().autodiff();
        let metric = metric(name, options, &Device::flex());
        let query = Tensor::<4>::from_data(features(7, [1, 1, 32, WIDTH]).into_data(), &device).require_grad();
        let distances = metric.distances(query.clone(), features(8, [1, 2, 1, 28, WIDTH]));
        let grads = distances.clone().sum().backward();
        let gradient: Vec<f32> = query.grad(&grads).unwrap().into_data().try_to_vec().unwrap();
        assert!(values(distances.inner()).into_iter().chain(gradient).all(|value| value.is_finite()), "{name}");
    }
}

#[test]
fn explanations_are_finite_weights_of_the_pair_alone() {
    // Two pairs of a query and two shots.
    let (query, support) = (features(9, [2, FRAMES, WIDTH]), features(10, [2, 2, 3, WIDTH]));
    for name in names() {
        for rule in ["mean_features", "mean_distances", "joint"] {
            // The weights of `linear` are for T × T.
            let frames = if name == "linear" { FRAMES } else { 3 };
            if name == "linear" && rule == "joint" {
                continue;
            }
            let support = if frames == 3 { support.clone() } else { features(10, [2, 2, FRAMES, WIDTH]) };
            let metric = metric(name, &format!("shots: {rule}"), &Device::flex());
            let explain = |pair: usize, pairs: usize| {
                metric.explain(query.clone().narrow(0, pair, pairs), support.clone().narrow(0, pair, pairs)).unwrap()
            };
            let found = explain(0, 2);
            assert!(!found.what.is_empty() && [1, 2].contains(&found.shots), "{name} {rule}: {found:?}");
            assert_eq!(found.weights.len(), 2, "{name} {rule}");
            for (pair, weights) in found.weights.iter().enumerate() {
                assert_eq!(weights.len(), FRAMES, "{name} {rule}");
                assert!(weights.iter().all(|row| row.len() == found.shots * frames), "{name} {rule}");
                let values = weights.concat();
                assert!(values.iter().all(|value| (0.0..=1.0).contains(value)), "{name} {rule}: {values:?}");
                assert_eq!(values.iter().copied().fold(0.0, f32::max), 1.0, "{name} {rule}");
                let alone = explain(pair, 1).weights[0].concat();
                assert!(close(&alone, &values, 1e-4), "{name} {rule}: {alone:?} {values:?}");
            }
        }
    }
}

#[test]
fn costs_are_the_hand_computed_ones() {
    // Two episodes: three queries, three classes of two shots, T = 4, E = 6.
    let (query, support) = ([2, 3, FRAMES, WIDTH], [2, 3, 2, FRAMES, WIDTH]);
    let flops =
        |name: &str, options: &str| metric(name, options, &Device::flex()).cost(query, support).map(|cost| cost.flops);
    let cosines = |a: f64, b: f64| Some(2.0 * 2.0 * a * b * WIDTH as f64);
    let mut counted = 0;
    for name in names() {
        let want = match name {
            // No products.
            "mean_squared_l2" => Some(0.0),
            "mean_cosine" => cosines(3.0, 3.0),
            // All shots together: two cardinalities of 6 and 4 tuples, 8 wide; keys and values of 6 queries and 12 supports, then
            // scores and mixtures of 2 · 3 groups.
            "trx" => Some(
                [(2.0, 6.0), (3.0, 4.0)]
                    .map(|(c, tuples)| {
                        let projected = 2.0 * 2.0 * (18.0 * tuples) * (c * WIDTH as f64) * 8.0;
                        projected + 2.0 * 2.0 * 6.0 * (3.0 * tuples) * (2.0 * tuples) * 8.0
                    })
                    .iter()
                    .sum(),
            ),
            // The product of norms besides.
            "otam" => Some(cosines(12.0, 12.0).unwrap() * 7.0 / 6.0),
            "bi_mhm" | "chamfer" | "diagonal" | "dtw" | "hausdorff" | "linear" | "max_similarity"
            | "mean_similarity" | "modified_hausdorff" | "optimal_transport" | "soft_dtw" => cosines(12.0, 12.0),
            // A component need not tell its cost; `maclip plan` then says that it is not counted.
            _ => continue,
        };
        counted += 1;
        assert_eq!(flops(name, ""), want, "{name}");
    }
    assert_eq!(counted, 15, "shipped alignments are counted");
    for rule in ["mean_distances", "joint"] {
        assert_eq!(flops("dtw", &format!("shots: {rule}")), cosines(12.0, 24.0), "{rule}");
    }
}
