//! The components of one size, each as a function of inputs that another implementation can make too.

use burn::module::{Module, ModuleVisitor, Param};
use burn::nn::Linear;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use maclip_components::backbones::clip::block::{Activation, Block, BlockSizes};
use maclip_components::layers::{Bottleneck, Init, LayerNorm, linear};
use maclip_framework::engine::training::Stepper;
use maclip_framework::error::{Error, Result};
use maclip_framework::model::parameters::with_stable_ids;
use maclip_framework::random::Stream;
use maclip_framework::registry::{BuildContext, SlotTrait, build_choice, resolve_choice, slot};
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::backbone::Geometry;
use maclip_framework::slots::block::FrozenBlock;
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::optimizer::Optimizer;
use maclip_framework::slots::prototype::Prototype;
use maclip_language::read_str;
use std::cell::RefCell;
use std::time::Instant;

const WAY: usize = 5;
/// Queries Q of an episode, and frames T of a clip.
const QUERIES: usize = 25;
const FRAMES: usize = 8;

/// Sizes of a tower, and how many clips go through it at once.
pub struct Size {
    /// As scripts/peer_components.py calls it.
    pub name: &'static str,
    /// Clips B.
    clips: usize,
    /// N + 1 tokens of a frame.
    tokens: usize,
    /// Width D.
    width: usize,
    heads: usize,
    /// Blocks whose adapters an optimizer step changes.
    blocks: usize,
    /// E.
    embed: usize,
}

/// The clips are those of a training step of `cargo bench --bench engine`: 5-way 1-shot, with 5 queries and 1 of a
/// class.
pub const SIZES: [Size; 2] = [
    Size { name: "tiny", clips: 30, tokens: 37, width: 128, heads: 4, blocks: 4, embed: 64 },
    Size { name: "vit-b-32", clips: 10, tokens: 50, width: 768, heads: 12, blocks: 12, embed: 512 },
];

/// One repetition.
pub struct Measured {
    pub milliseconds: f64,
    /// The sum of the output's values.
    pub sum: f64,
}

/// A component with its inputs.
pub struct Part {
    pub name: String,
    /// Whether it has no weights, so that the sum of its output is that of every right implementation.
    pub weightless: bool,
    /// Whether it has a forward and backward pass, and not only one that changes weights.
    pub differentiable: bool,
    /// Measures one repetition, with the backward pass where the argument is true.
    run: Box<dyn Fn(bool) -> Measured>,
}

impl Part {
    /// Measures a forward pass without gradients, or with `backward` one with the gradients of inputs and weights.
    pub fn measure(&self, backward: bool) -> Measured {
        (self.run)(backward)
    }

    /// `forward` of a module with trainable weights (or none) and inputs `[a, b, c]`, which get gradients.
    fn new<M: Module + 'static>(
        name: &str,
        module: M,
        inputs: Vec<Tensor<3>>,
        forward: impl Fn(&M, &[Tensor<3>]) -> Tensor<3> + 'static,
    ) -> Self {
        let plain = module.valid();
        // Drawn when they are first used.
        let factors = RefCell::new(None);
        let run = move |backward: bool| {
            if !backward {
                let started = Instant::now();
                let out = forward(&plain, &inputs);
                return Measured { milliseconds: since(started), sum: sum(out) };
            }
            let mut factors = factors.borrow_mut();
            let factors = factors.get_or_insert_with(|| wave(forward(&plain, &inputs).dims(), 6.0));
            let leaves: Vec<Tensor<3>> =
                inputs.iter().map(|input| Tensor::from_inner(input.clone()).require_grad()).collect();
            let started = Instant::now();
            let out = forward(&module, &leaves);
            let gradients = (out.clone() * Tensor::from_inner(factors.clone())).sum().backward();
            let milliseconds = since(started);
            drop(gradients);
            Measured { milliseconds, sum: sum(out.inner()) }
        };
        Self { name: name.to_owned(), weightless: false, differentiable: true, run: Box::new(run) }
    }
}

fn since(started: Instant) -> f64 {
    1e3 * started.elapsed().as_secs_f64()
}

fn sum(tensor: Tensor<3>) -> f64 {
    tensor.into_data().iter::<f32>().map(f64::from).sum()
}

/// The values that the peer also makes: sin(0.7 i + `seed`) at position i.
fn wave<const D: usize>(shape: [usize; D], seed: f64) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|at| (0.7 * at as f64 + seed).sin() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// The component of a slot that `options` choose, as a recipe would: `{type: otam}`.
fn built<T: SlotTrait + ?Sized>(options: &str, context: &BuildContext) -> Result<Box<T>> {
    let slot = slot(T::NAME).ok_or_else(|| Error::failed(format!("there is no slot {}", T::NAME)))?;
    build_choice(&resolve_choice(slot, &read_str("bench", options)?)?, context)
}

/// The components of `size`.
///
/// # Errors
/// Where a component cannot be built.
pub fn all(size: &Size) -> Result<Vec<Part>> {
    let &Size { clips, tokens, width, heads, blocks, embed, .. } = size;
    let geometry = Geometry { width, embed_dim: embed, blocks, tokens, ..Geometry::clip_vit_b16() };
    let context = BuildContext::new(1, Device::flex()).with_sizes(geometry, FRAMES);
    let mut trained = Init::new(context.init("trained"), context.trainable_device());
    let mut frozen = Init::new(Stream::new(1, "frozen"), Device::flex());
    let x = || vec![wave([clips * FRAMES, tokens, width], 1.0)];
    let sizes =
        BlockSizes { width, heads, layers: 1, hidden: 4 * width, activation: Activation::QuickGelu, epsilon: 1e-5 };
    let block = Block::stack(sizes, &mut frozen).remove(0).no_grad();

    let mut parts = vec![
        Part::new("linear", trained.linear(width, 4 * width), x(), |layer: &Linear, x| linear(layer, x[0].clone())),
        Part::new("frozen_linear", frozen.linear(width, 4 * width).no_grad(), x(), |layer: &Linear, x| {
            linear(layer, x[0].clone())
        }),
        Part::new("layer_norm", trained.layer_norm(width), x(), |norm: &LayerNorm, x| norm.forward(x[0].clone())),
        Part::new("frozen_layer_norm", block.clone(), x(), |block: &Block, x| block.ln_2(x[0].clone())),
        Part::new("attention", block.clone(), x(), |block: &Block, x| block.attention(x[0].clone())),
        Part::new("feed_forward", block.clone(), x(), |block: &Block, x| block.mlp(x[0].clone())),
        Part::new(
            "bottleneck",
            Bottleneck::new(width, width / 4, true, &mut trained),
            x(),
            |adapter: &Bottleneck, x| adapter.forward(x[0].clone()),
        ),
        Part::new("frozen_block", block.clone(), x(), |block: &Block, x| FrozenBlock::forward(block, x[0].clone())),
    ];

    let adapters = || Ok::<_, Error>(Slot::new(built::<dyn Adapter>("{type: multimodal}", &context)?));
    let text: Tensor<2> = wave([clips, embed], 2.0);
    for (name, labelled) in [("adapted_query", false), ("adapted_support", true)] {
        let (block, text) = (block.clone(), text.clone());
        parts.push(Part::new(name, adapters()?, x(), move |adapter: &Slot<dyn Adapter>, x| {
            let branch = if labelled { Branch::Support { text: &text } } else { Branch::Query };
            let tokens_of_clips = x[0].clone().reshape([clips, FRAMES, tokens, width]);
            adapter.forward(0, &block, tokens_of_clips, &branch, tokens).reshape([clips * FRAMES, tokens, width])
        }));
    }

    let query = || wave([QUERIES, FRAMES, embed], 3.0);
    let class_text: Tensor<2> = wave([WAY, embed], 4.0);
    let prototype = Slot::new(built::<dyn Prototype>("{type: text_guided}", &context)?);
    let support = wave([WAY, FRAMES, embed], 5.0);
    parts.push(Part::new(
        "text_guided",
        prototype,
        vec![support, query()],
        move |prototype: &Slot<dyn Prototype>, x| {
            let support = prototype.support(x[0].clone(), class_text.clone());
            Tensor::cat(vec![support, prototype.query(x[1].clone())], 0)
        },
    ));

    for shot in [1, 5] {
        for metric in ["otam", "bi_mhm", "mean_cosine", "trx"] {
            let alignment = Slot::new(built::<dyn Alignment>(&format!("{{type: {metric}}}"), &context)?);
            let support = wave([WAY * shot, FRAMES, embed], 5.0);
            let inputs = vec![query(), support];
            let distances = move |alignment: &Slot<dyn Alignment>, x: &[Tensor<3>]| {
                let support = x[1].clone().reshape([1, WAY, shot, FRAMES, embed]);
                alignment.distances(x[0].clone().unsqueeze(), support)
            };
            let part = Part::new(&format!("{metric}_{shot}shot"), alignment, inputs, distances);
            parts.push(Part { weightless: metric != "trx", ..part });
        }
    }
    parts.push(adamw(adapters()?, &context)?);
    Ok(parts)
}

/// A step of AdamW on all adapters. As in training, the weights before it are kept until it is done.
fn adamw(adapters: Slot<dyn Adapter>, context: &BuildContext) -> Result<Part> {
    let optimizer = built::<dyn Optimizer>("{type: adamw, learning_rate: 1e-4, weight_decay: 0.05}", context)?;
    let model = with_stable_ids(adapters);
    let state = RefCell::new((Stepper::new(&*optimizer, &model)?, model));
    let run = move |_| {
        let (stepper, model) = &mut *state.borrow_mut();
        let gradients = gradients(model);
        let started = Instant::now();
        *model = stepper.step(1.0, model.clone(), gradients);
        Measured { milliseconds: since(started), sum: 0.0 }
    };
    Ok(Part { name: "adamw".to_owned(), weightless: false, differentiable: false, run: Box::new(run) })
}

/// The weights themselves as gradients.
fn gradients<M: Module>(module: &M) -> GradientsParams {
    struct Take(GradientsParams);
    impl ModuleVisitor for Take {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.register(param.id, param.val().inner());
        }
    }
    let mut take = Take(GradientsParams::new());
    module.visit(&mut take);
    take.0
}
