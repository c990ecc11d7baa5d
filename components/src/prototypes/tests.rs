//! What prototype modules must hold.

use burn::tensor::{Device, Tensor, TensorData};
use maclip_framework::model::parameters;
use maclip_framework::random::Stream;
use maclip_framework::registry::{BuildContext, SlotTrait, build_choice, resolve_choice, slot};
use maclip_framework::slots::Scope;
use maclip_framework::slots::backbone::Geometry;
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype};
use maclip_language::read_str;

fn build(choice: &str, width: usize) -> Slot<dyn Prototype> {
    let node = read_str("test.yaml", &format!("{{type: {choice}}}")).unwrap();
    let node = resolve_choice(slot("prototype").unwrap(), &node).unwrap();
    let geometry = Geometry {
        image_size: 1,
        width,
        embed_dim: width,
        blocks: 1,
        transformer: true,
        tokens: 2,
        has_text_tower: true,
        mean: [0.0; 3],
        std: [1.0; 3],
    };
    Slot::new(build_choice(&node, &BuildContext::new(1, Device::flex()).with_sizes(geometry, 4)).unwrap())
}

fn random<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<D> {
    let mut rng = Stream::new(seed, "test").at(0);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

fn difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    let a = if a.is_autodiff() { a.inner() } else { a };
    let b = if b.is_autodiff() { b.inner() } else { b };
    (a - b).abs().max().into_scalar::<f32>()
}

#[test]
fn parameter_counts_are_those_of_the_papers() {
    // TPCM at E = 512: an attention of 1,050,624 and a feed-forward layer of 2,099,712 (MA-CLIP, table 4: 3.15 M).
    for name in ["text_guided", "unimodal_transformer", "multimodal_transformer"] {
        assert_eq!(parameters::count(&build(name, 512)).total, 3_150_336, "{name}");
    }
    // CLIP-FSAR: no biases of queries, keys and values, one norm more.
    assert_eq!(parameters::count(&build("clip_fsar", 512)).total, 3_150_336 - 3 * 512 + 2 * 512);
}

#[test]
fn a_clip_is_rewritten_without_the_other_clips() {
    for name in <dyn Prototype>::entries().iter().map(|entry| entry.info.name) {
        let prototype = build(name, 16);
        let (frames, text) = (random(1, [3, 4, 16]), random(2, [3, 16]));
        let all = prototype.support(frames.clone(), text.clone());
        let one = prototype.support(frames.clone().narrow(0, 1, 1), text.clone().narrow(0, 1, 1));
        assert!(difference(all.clone().narrow(0, 1, 1), one) < 1e-5, "{name}");
        // Only those that say so read the text.
        let other = prototype.support(frames.clone(), text * 2.0);
        assert_eq!(difference(all, other) > 1e-6, prototype.needs_text(), "{name}");
        let query = prototype.query(frames.clone());
        let alone = prototype.query(frames.narrow(0, 2, 1));
        assert!(difference(query.narrow(0, 2, 1), alone) < 1e-5, "{name}");
    }
}

#[test]
fn averaging_equal_shots_first_or_last_is_the_same() {
    for name in ["text_guided", "clip_fsar"] {
        let after = build(name, 16);
        let before = build(&format!("{name}, average_shots: before"), 16);
        assert_eq!((after.scope(), before.scope()), (Scope::LabelledClip, Scope::Episode));
        let (frames, text, query) = (random(1, [2, 4, 16]), random(2, [2, 16]), random(3, [1, 3, 4, 16]));
        let want = after.support(frames.clone(), text.clone());
        // Two classes with three equal shots each.
        let support = before.support(frames, text.clone()).reshape([1, 2, 1, 4, 16]).expand([1, 2, 3, 4, 16]);
        let related = before.relate(EpisodeFeatures { query, support, text: text.unsqueeze() });
        assert_eq!(related.support.dims(), [1, 1, 2, 1, 4, 16]);
        assert!(difference(related.support.reshape([2, 4, 16]), want) < 1e-5, "{name}");
    }
}

#[test]
fn a_query_of_hyrsm_has_its_own_view_of_the_supports() {
    let hyrsm = build("hyrsm, average_shots: after", 16);
    let (support, query) = (random(1, [1, 2, 2, 4, 16]), random(2, [1, 3, 4, 16]));
    let relate = |query: Tensor<4>| {
        hyrsm.relate(EpisodeFeatures {
            query,
            support: support.clone(),
            text: Tensor::zeros([1, 2, 16], &Device::flex()),
        })
    };
    let all = relate(query.clone());
    assert_eq!((all.query.dims(), all.support.dims()), ([1, 3, 4, 16], [1, 3, 2, 2, 4, 16]));
    let alone = relate(query.narrow(1, 1, 1));
    assert!(difference(all.query.narrow(1, 1, 1), alone.query) < 1e-5);
    assert!(difference(all.support.clone().narrow(1, 1, 1), alone.support) < 1e-5);
    let views = all.support;
    assert!(difference(views.clone().narrow(1, 0, 1), views.narrow(1, 1, 1)) > 1e-4);
    let averaged = build("hyrsm", 16);
    let text = Tensor::zeros([1, 2, 16], &Device::flex());
    let related = averaged.relate(EpisodeFeatures { query: random(2, [1, 3, 4, 16]), support: support.clone(), text });
    assert_eq!(related.support.dims(), [1, 3, 2, 1, 4, 16]);
}

#[test]
fn costs_are_the_hand_computed_ones() {
    let (s, t, e) = (3.0, 4.0, 16.0);
    // Projections of n queries and m tokens of context, scores and mixture, output, and a feed-forward layer of 4 E.
    let layer = |n: f64, m: f64| 2.0 * (2.0 * n * e * e + 2.0 * m * e * e + 2.0 * n * m * e + 8.0 * n * e * e);
    for name in ["text_guided", "clip_fsar", "multimodal_transformer"] {
        let prototype = build(name, 16);
        assert_eq!(prototype.support_cost([3, 4, 16]).unwrap().flops, s * layer(t, t + 1.0), "{name}");
        assert_eq!(prototype.query_cost([3, 4, 16]).unwrap().flops, s * layer(t, t), "{name}");
    }
    assert_eq!(build("unimodal_transformer", 16).support_cost([3, 4, 16]).unwrap().flops, s * layer(t, t));
    assert_eq!(build("none", 16).support_cost([3, 4, 16]).unwrap().flops, 0.0);
    let attention = |n: f64| 2.0 * (4.0 * n * e * e + 2.0 * n * n * e);
    let hyrsm = build("hyrsm, average_shots: after", 16);
    assert_eq!(hyrsm.query_cost([3, 4, 16]).unwrap().flops, s * attention(t));
    // Three queries with views of four supports: attention among five clips each, W₂ of each clip, W₁ of all frames.
    let (cost, _) = hyrsm.relate_cost([1, 3, 4, 16], [1, 2, 2, 4, 16]).unwrap();
    assert_eq!(cost.flops, 3.0 * attention(5.0) + 2.0 * e * e * (15.0 + 4.0 * t + 3.0 * t));
}

#[test]
fn the_shape_that_a_cost_tells_is_the_one_that_comes_out() {
    let episode = || EpisodeFeatures {
        query: random(1, [1, 3, 4, 16]),
        support: random(2, [1, 2, 2, 4, 16]),
        text: random(3, [1, 2, 16]),
    };
    for name in [
        "hyrsm",
        "hyrsm, average_shots: after",
        "text_guided, average_shots: before",
        "clip_fsar, average_shots: before",
    ] {
        let prototype = build(name, 16);
        let (_, shape) = prototype.relate_cost([1, 3, 4, 16], [1, 2, 2, 4, 16]).unwrap();
        assert_eq!(prototype.relate(episode()).support.dims(), shape, "{name}");
    }
    // A component need not tell its cost; `maclip plan` then says that it is not counted. The shipped ones do.
    for name in ["clip_fsar", "hyrsm", "multimodal_transformer", "none", "text_guided", "unimodal_transformer"] {
        let prototype = build(name, 16);
        assert!(prototype.support_cost([1, 4, 16]).is_some() && prototype.query_cost([1, 4, 16]).is_some(), "{name}");
    }
}
