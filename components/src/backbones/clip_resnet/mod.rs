//! `clip_resnet`: CLIP with its modified ResNet (RN50, RN101): three-convolution stem, average pooling before every
//! stride, attention pooling at the end.
//!
//! Source: Radford et al. 2021 (arXiv 2103.00020), section 2.4, and the OpenAI state dict. Batch norms keep the
//! checkpoint's running statistics, also when the tower is fine-tuned: episodes are small and their statistics noisy.
//!
//! Here belong the options and sizes; the network is in `tower`. Not here: the text tower, tokenizers and names, which
//! all CLIPs share (`clip`).

mod tower;

use crate::backbones::clip::block::Activation;
use crate::backbones::clip::checkpoint::{self, Source};
use crate::backbones::clip::config::{Described, Shown, TowerSizes, described};
use crate::backbones::clip::preparation::{self, Asked, Normal, Pixels, Preparation};
use crate::backbones::clip::settings::Settings;
use crate::backbones::clip::sizes::{
    Choice, EPSILON, Given, Hidden, LARGEST, Shapes, architecture, hidden, no_multiple, out_of_range, refuse_bloat,
    too_large,
};
use crate::backbones::clip::tokenizer::Tokenizer;
use crate::backbones::clip::{Clip, geometry, names};
use crate::backbones::clip_vit::{check_given, check_key, check_source};
use crate::layers::Init;
use burn::module::Module;
use burn::tensor::Device;
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::backbone::{Backbone, TextGeometry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tower::ResNet;

/// Options of the ResNet CLIP.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClipResNetConfig {
    /// A safetensors file or torch state dict with OpenAI's names, or `hf:OWNER/NAME/FILE` on the Hugging Face hub.
    pub weights: String,
    /// Which of several models in one file is read: the key of a training checkpoint, such as `state_dict_ema`, or what
    /// stands before the names of its tensors, such as `teacher`. Needed where more than one could be meant.
    pub key: Option<String>,
    /// A published name (`RN50`, `RN101`) or sizes of your own. Only needed for `maclip plan` without weights;
    /// otherwise the checkpoint must have these sizes.
    pub architecture: Option<Choice<Architecture>>,
    /// Heads of the pooling, where no config of the checkpoint says them and they are not the last stage's channels /
    /// 64, which is guessed with a warning.
    #[schemars(range(min = 1))]
    pub vision_heads: Option<usize>,
    /// Heads of the text tower, where no config of the checkpoint says them and they are not width / 64, which is
    /// guessed with a warning.
    #[schemars(range(min = 1))]
    pub text_heads: Option<usize>,
    /// Activation of the text tower's feed-forward layers. Needed where no config of the checkpoint says it and it is
    /// not OpenAI's QuickGELU, which is guessed with a warning (open_clip's own models: `gelu`).
    pub text_activation: Option<Activation>,
    /// ε of the text tower's layer norms; `null` takes the config's, else 1e-5.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub epsilon: Option<f64>,
    /// How pixels in 0..1 are normalised; `null` takes what the checkpoint's configs say, else `clip`.
    pub pixels: Option<Pixels>,
    /// Who says how images are prepared for the model.
    pub preparation: Preparation,
}

architecture! {
    /// Sizes of a ResNet CLIP.
    Architecture {
        /// Side of the square input in pixels; a multiple of 32.
        #[schemars(range(min = 1, max = LARGEST))]
        image_size: usize,
        /// Width of the first stage's bottlenecks; the last stage has 32 times as many channels.
        #[schemars(range(min = 1, max = LARGEST))]
        vision_width: usize,
        /// Bottlenecks of the four stages.
        #[schemars(inner(range(min = 1, max = LARGEST)))]
        vision_layers: [usize; 4],
        /// Heads of the attention pooling.
        #[schemars(range(min = 1, max = LARGEST))]
        vision_heads: usize,
    }
}

impl Choice<Architecture> {
    fn resnet(&self) -> Option<Architecture> {
        let (layers, embed_dim) = match self {
            Choice::Sizes(sizes) => return Some(sizes.clone()),
            Choice::Name(name) if name == "RN50" => ([3, 4, 6, 3], 1024),
            Choice::Name(name) if name == "RN101" => ([3, 4, 23, 3], 512),
            Choice::Name(_) => return None,
        };
        Some(Architecture {
            image_size: 224,
            vision_width: 64,
            vision_layers: layers,
            vision_heads: 32,
            embed_dim,
            context_length: 77,
            text_width: 512,
            text_layers: 12,
            text_heads: 8,
            activation: Activation::QuickGelu,
            epsilon: EPSILON,
        })
    }
}

impl Architecture {
    /// Channels of the last stage.
    fn channels(&self) -> usize {
        32 * self.vision_width
    }

    /// The published name of these sizes, if they have one.
    pub(crate) fn name(&self) -> Option<&'static str> {
        ["RN50", "RN101"].into_iter().find(|name| Choice::Name((*name).to_owned()).resnet().as_ref() == Some(self))
    }

    /// The published name of a model with these shapes, and its sizes.
    fn published(&self) -> Option<(&'static str, Self)> {
        let known =
            ["RN50", "RN101"].into_iter().filter_map(|name| Some((name, Choice::Name(name.to_owned()).resnet()?)));
        known.into_iter().find(|(_, known)| known.with_hidden_of(self) == *self)
    }

    /// Number of values of the model, about, with `vocabulary` token ids.
    fn values(&self, vocabulary: usize) -> f64 {
        let stage = |(number, layers): (usize, &usize)| {
            // Per bottleneck: 1 × 1 in, 3 × 3, 1 × 1 out, of w, w and 4 w channels.
            *layers as f64 * 17.0 * ((self.vision_width << number) as f64).powi(2)
        };
        let channels = self.channels() as f64;
        self.vision_layers.iter().enumerate().map(stage).sum::<f64>()
            + channels * (3.0 * channels + self.embed_dim as f64 + (self.image_size / 32).pow(2) as f64)
            + self.text().values(vocabulary)
    }

    fn sizes(&self) -> [(&'static str, usize); 12] {
        let [a, b, c, d] = self.vision_layers;
        [
            ("image_size", self.image_size),
            ("vision_width", self.vision_width),
            ("vision_heads", self.vision_heads),
            ("embed_dim", self.embed_dim),
            ("context_length", self.context_length),
            ("text_width", self.text_width),
            ("text_layers", self.text_layers),
            ("text_heads", self.text_heads),
            ("vision_layers", a),
            ("vision_layers", b),
            ("vision_layers", c),
            ("vision_layers", d),
        ]
    }

    fn problem(&self) -> Option<String> {
        out_of_range(&self.sizes()).or_else(|| self.misfit())
    }

    /// Sizes that do not go together, in words; `None` where one of them is out of range by itself.
    fn misfit(&self) -> Option<String> {
        let sizes = self.sizes();
        if out_of_range(&sizes).is_some() {
            return None;
        }
        no_multiple(sizes[0], ("32", 32))
            .or_else(|| no_multiple(("vision_width", self.vision_width), ("2", 2)))
            .or_else(|| no_multiple(("the last stage's channels", self.channels()), sizes[2]))
            .or_else(|| no_multiple(sizes[5], sizes[7]))
            .or_else(|| too_large(self.values(0)))
    }

    /// Sizes from the shapes of tensors. Shapes do not show heads, activation and ε: these are 1 and CLIP's own here.
    fn from_shapes(source: &Source) -> Result<Self> {
        let shapes = Shapes::of_clip(source);
        let grid = (shapes.of("visual.attnpool.positional_embedding", 2)?[0].saturating_sub(1)).isqrt();
        Ok(Self {
            image_size: grid.saturating_mul(32),
            vision_width: shapes.of("visual.layer1.0.conv1.weight", 4)?[0],
            vision_layers: [1, 2, 3, 4].map(|stage| shapes.layers(&format!("visual.layer{stage}."))),
            vision_heads: 1,
            embed_dim: shapes.of("text_projection", 2)?[1],
            context_length: shapes.of("positional_embedding", 2)?[0],
            text_width: shapes.of("ln_final.weight", 1)?[0],
            text_layers: shapes.layers("transformer.resblocks."),
            text_heads: 1,
            activation: Activation::QuickGelu,
            epsilon: EPSILON,
        })
    }
}

/// What the shapes of a model do not show.
fn of(sizes: &Architecture) -> Hidden {
    let Architecture { vision_heads, text_heads, activation, epsilon, .. } = *sizes;
    Hidden { vision_heads, text_heads, activation, epsilon }
}

register!(dyn Backbone, ClipResNetConfig, name: "clip_resnet", summary: "CLIP with a ResNet (RN50) and its text tower",
    paper: Some("CLIP, arXiv 2103.00020; MA-CLIP's fully fine-tuned rows"), stability: Stable,
    usage: "{weights: RN50.safetensors}");

impl Component for ClipResNetConfig {
    type Slot = dyn Backbone;

    fn validate(&self, problems: &mut Problems) {
        check_source(&self.weights, problems);
        check_key(self.key.as_deref(), &self.weights, problems);
        problems.when(self.weights == "random", "weights", "cannot be random: batch norms need running statistics");
        if let Some(choice) = &self.architecture {
            match choice.resnet().map(|sizes| sizes.misfit()) {
                None => problems.push("architecture", "is no published size; there are RN50, RN101, or give own sizes"),
                Some(Some(problem)) => problems.push("architecture", format!("cannot be built: {problem}")),
                Some(None) => {}
            }
        }
    }

    fn required_inputs(&self, problems: &mut Problems) {
        check_given(&self.weights, Some("RN50"), problems);
    }

    fn describe(&self, facts: &mut Facts) {
        (facts.text_tower, facts.transformer, facts.hands_out) = (Some(true), Some(false), Some(true));
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Backbone>> {
        Ok(Box::new(self.clip(context)?))
    }
}

impl ClipResNetConfig {
    /// The model, with its weights.
    ///
    /// # Errors
    /// Where the weights cannot be read, are of another architecture than the recipe says, or do not fit the model.
    pub fn clip(&self, context: &BuildContext) -> Result<Clip> {
        let asked = self.architecture.as_ref().and_then(Choice::<Architecture>::resnet);
        if context.sizes_only
            && let Some(sizes) = asked
        {
            return self.blank(&sizes, Normal::CLIP, Tokenizer::OpenAi, &context.device);
        }
        let source = checkpoint::open(&self.weights, context.pin(&self.weights), self.key.as_deref())
            .map_err(checkpoint::where_to_give)?;
        source.note(context);
        source.expect("clip_resnet")?;
        let mut settings = Settings::of(&self.weights);
        let found = self.sizes(&source, &mut settings);
        settings.note(context);
        let (sizes, normal) = found?;
        settings.refuse_differences()?;
        // A published name says no activation: the file or the options do.
        let asked = asked.map(|asked| Architecture { activation: sizes.activation, epsilon: sizes.epsilon, ..asked });
        if let Some(asked) = asked
            && asked != sizes
        {
            return Err(Error::failed(format!(
                "{} holds another architecture than the recipe asks for: {sizes:?}, not {asked:?}",
                self.weights
            ))
            .help("remove backbone.architecture, or choose the matching weights"));
        }
        let tokenizer = source.tokenizer()?;
        source.check(&self.blank(&sizes, normal, tokenizer.clone(), &context.device)?.fit(&source))?;
        let mut tensors = names::from_openai(source.tensors)?;
        let mut blank = Init::blank(context.device.clone());
        let tower = ResNet::new(&sizes, &mut tensors, &mut blank)
            .map_err(|error| Error::failed(format!("{} does not fit the model:\n  {error}", self.weights)))?;
        assemble(tower, &sizes, normal, tokenizer, &mut blank).with_weights(&self.weights, tensors)
    }

    /// A model of these sizes without weights.
    pub(crate) fn blank(
        &self,
        sizes: &Architecture,
        normal: Normal,
        tokenizer: Tokenizer,
        device: &Device,
    ) -> Result<Clip> {
        let mut blank = Init::blank(device.clone());
        let tower = ResNet::new(sizes, &mut BTreeMap::new(), &mut blank)?;
        Ok(assemble(tower, sizes, normal, tokenizer, &mut blank).no_grad())
    }

    /// Sizes of a checkpoint, and mean and standard deviation of its pixels. Shapes show most sizes; the others are
    /// those of the options, else of the file's own metadata or of the configs beside it. `settings` has who says
    /// what.
    ///
    /// # Errors
    /// Where sizes make no model, and where the number of heads is said nowhere and cannot be guessed.
    pub(crate) fn sizes(&self, source: &Source, settings: &mut Settings) -> Result<(Architecture, Normal)> {
        let own: Option<Architecture> = source.own_architecture()?;
        let configs = if own.is_some() { &[][..] } else { &source.configs };
        let (shown, said) = match own {
            Some(own) => {
                let said = Described::by_the_file(own.vision_heads, own.text_heads, own.activation, own.epsilon);
                (own, said)
            }
            None => {
                let shown = Architecture::from_shapes(source)?;
                let (width, layers) = (shown.vision_width, shown.vision_layers.to_vec());
                let vision = TowerSizes { width, layers, patch: None };
                let text = TowerSizes { width: shown.text_width, layers: vec![shown.text_layers], patch: None };
                let said = described(configs, &Shown { vision, text: Some(text) }, false, settings)?;
                (shown, said)
            }
        };
        let asked = self.architecture.as_ref().and_then(Choice::<Architecture>::resnet);
        let asked = asked.as_ref().map(of);
        let published = shown.published();
        let published = published.as_ref().map(|(name, sizes)| (*name, of(sizes)));
        let given = Given {
            vision_heads: self.vision_heads,
            text_heads: self.text_heads,
            activation: ("text_activation", self.text_activation),
            epsilon: self.epsilon,
        };
        let widths = [shown.vision_width.saturating_mul(32), shown.text_width];
        let Hidden { vision_heads, text_heads, activation, epsilon } =
            hidden(given, &said, asked, published, widths, source, settings)?;
        let sizes = Architecture { vision_heads, text_heads, activation, epsilon, ..shown };
        if let Some(problem) = sizes.problem() {
            return Err(Error::failed(format!("{} holds a model that cannot be built: {problem}", source.label))
                .help("heads are given with the options vision_heads and text_heads"));
        }
        refuse_bloat(&source.label, sizes.values(source.tokenizer()?.size()), &source.tensors)?;
        let asked = Asked { pixels: self.pixels, preparation: self.preparation };
        let usual = (Normal::CLIP, true);
        let normal =
            preparation::normal(configs, &said, sizes.image_size, asked, source.own_normal()?, usual, settings)?;
        Ok((sizes, normal))
    }
}

fn assemble(tower: ResNet, sizes: &Architecture, normal: Normal, tokenizer: Tokenizer, init: &mut Init) -> Clip {
    let tokens = (sizes.image_size / 32).pow(2) + 1;
    let text = TextGeometry { width: sizes.text_width, blocks: sizes.text_layers };
    let mut geometry = geometry(sizes.image_size, sizes.channels(), sizes.embed_dim, 4, tokens, text);
    geometry.transformer = false;
    (geometry.mean, geometry.std) = (normal.mean, normal.std);
    Clip::new(Box::new(tower), sizes.text(), tokenizer, geometry, sizes, init)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backbones::clip::ImageTower;
    use crate::fixtures;
    use maclip_framework::model::parameters;
    use maclip_framework::registry::build_choice;
    use maclip_framework::slots::adapter::{Adapter, Branch};
    use maclip_framework::weights::HostTensor;
    use maclip_language::read_str;

    #[derive(Module, Debug)]
    struct Holder {
        visual: ResNet,
    }

    fn sizes() -> Architecture {
        let mut sizes = Choice::<Architecture>::Name("RN50".to_owned()).resnet().unwrap();
        (sizes.image_size, sizes.vision_width, sizes.vision_heads) = (64, 2, 4);
        (sizes.vision_layers, sizes.embed_dim) = ([1, 2, 1, 1], 16);
        sizes
    }

    #[test]
    fn flops_of_a_frame_are_those_of_an_independent_count() {
        let rn50 = Choice::<Architecture>::Name("RN50".to_owned()).resnet().unwrap();
        let clip = ClipResNetConfig::default().blank(&rn50, Normal::CLIP, Tokenizer::OpenAi, &Device::flex()).unwrap();
        // Counted by torch.utils.flop_counter (PyTorch 2.9) on a module written by hand; 5.8 GMACs, attention pooling
        // included.
        let frozen = crate::adapters::no_adapter();
        let flops = |cost: Option<maclip_framework::slots::cost::Cost>| cost.unwrap().flops;
        assert_eq!(flops(clip.prefix_cost([2, 3], &*frozen)), 6.0 * 11_586_306_048.0);
        assert_eq!(flops(clip.encode_cost([2, 3], &*frozen, &Branch::Query)), 0.0);
    }

    #[test]
    fn features_agree_with_open_clip() {
        let mut fixture = fixtures::open("rn50_tiny");
        let (input, expected) = (fixture.take("input_u8"), fixture.take("expected"));
        fixture.tensors.retain(|name, _| name.starts_with("visual.") && !names::is_no_weight(name));
        let mut tensors = names::from_openai(fixture.tensors).unwrap();
        let mut init = Init::blank(Device::flex());
        let visual = ResNet::new(&sizes(), &mut tensors, &mut init).unwrap();
        let tower = parameters::import(Holder { visual }, tensors, false).unwrap().visual;
        let images = (fixtures::tensor::<4>(&input) - 128.0) / 32.0;
        let pixels = images.unsqueeze_dim::<5>(1);
        // The same from wherever the frozen prefix ends.
        let mut sizes = geometry(64, 64, 16, 4, 5, TextGeometry { width: 16, blocks: 1 });
        sizes.transformer = false;
        let context = BuildContext::new(1, Device::flex()).with_sizes(sizes, 1);
        for text in ["{type: none}", "{type: full}", "{type: last_blocks, count: 1}", "{type: last_blocks, count: 3}"] {
            let adapter = build_choice::<dyn Adapter>(&read_str("adapter", text).unwrap(), &context).unwrap();
            let steps = tower.encode_steps(&*adapter);
            let features = (0..steps.len()).fold(tower.prefix(pixels.clone(), &*adapter), |x, step| {
                assert_eq!(x.dims()[2], steps[step], "{text}, step {step}");
                tower.encode_step(step, x, &*adapter, &Branch::Query)
            });
            fixtures::close(features.squeeze_dim::<2>(1), &expected, 2e-5);
        }
    }

    #[test]
    fn published_sizes_have_the_published_counts() {
        let config = ClipResNetConfig {
            weights: "absent".to_owned(),
            architecture: Some(Choice::Name("RN50".to_owned())),
            ..ClipResNetConfig::default()
        };
        let mut context = BuildContext::new(0, Device::flex());
        context.sizes_only = true;
        let clip = config.clip(&context).unwrap();
        let params = parameters::count(&clip);
        // Counted by open_clip: image tower 38,316,896, text tower 63,690,240, factor 1.
        assert_eq!(params.total, 102_007_137);
        let visual = params.parts.iter().filter(|part| part.slot == "visual").map(|part| part.total);
        assert_eq!(visual.sum::<usize>(), 38_316_896);
    }

    #[test]
    fn missing_statistics_are_named() {
        let mut tensors = BTreeMap::from([("visual.x".to_owned(), HostTensor { shape: vec![1], values: vec![0.0] })]);
        let message = ResNet::new(&sizes(), &mut tensors, &mut Init::blank(Device::flex())).unwrap_err().to_string();
        assert!(message.contains("running_mean"), "{message}");
    }
}
