//! `clip_vit`: CLIP with a vision transformer, any size.
//!
//! Source: Radford et al. 2021 (arXiv 2103.00020) and the OpenAI state dict: pre-norm blocks, QuickGELU, LayerNorm ε
//! 1e-5, class token → ln_post → projection; causal text tower read at the end token.

use super::clip::block::Activation;
use super::clip::checkpoint::{self, Source};
use super::clip::config::{Described, Shown, TowerSizes, described};
use super::clip::preparation::{self, Asked, Normal, Pixels, Preparation};
use super::clip::settings::Settings;
use super::clip::sizes::{Architecture, Choice, Given, Hidden, hidden, published_names, refuse_bloat};
use super::clip::tokenizer::{LongTexts, Tokenizer};
use super::clip::vision_tower::VisionTower;
use super::clip::words::Words;
use super::clip::{Clip, geometry, names, positions};
use super::published;
use crate::layers::Init;
use burn::module::Module;
use burn::tensor::Device;
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::backbone::{Backbone, Geometry, TextGeometry};
use maclip_framework::weights::hub::Address;
use serde::{Deserialize, Serialize};

/// Options of the CLIP backbone.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClipVitConfig {
    /// Where the weights come from: a safetensors file or torch state dict with OpenAI's or Hugging Face's names, a
    /// Hugging Face folder, `hf:OWNER/NAME` (fetched from the Hugging Face hub, also with `@REVISION` and `/FILE`),
    /// `builtin:shapes_clip` (part of the program), or `random`, to train from scratch with `task: contrastive`.
    pub weights: String,
    /// Which of several models in one file is read: the key of a training checkpoint, such as `state_dict_ema`, or what
    /// stands before the names of its tensors, such as `teacher`. Needed where more than one could be meant.
    pub key: Option<String>,
    /// Sizes: a published name (`ViT-B/32`, `ViT-B/16`, `ViT-L/14`, `ViT-L/14@336`) or sizes of your own. Needed with
    /// `weights: random`; otherwise the checkpoint decides the sizes, and those that are given must be the same.
    pub architecture: Option<Choice<Architecture>>,
    /// Heads of the image tower. Needed where neither the checkpoint nor a config of it says them and they are not
    /// width / 64, which is guessed with a warning.
    #[schemars(range(min = 1))]
    pub vision_heads: Option<usize>,
    /// Heads of the text tower. Needed where neither the checkpoint nor a config of it says them and they are not
    /// width / 64, which is guessed with a warning.
    #[schemars(range(min = 1))]
    pub text_heads: Option<usize>,
    /// Activation of the feed-forward layers. Needed where neither the checkpoint nor a config of it says it and it is
    /// not OpenAI's QuickGELU, which is guessed with a warning (open_clip's own models: `gelu`).
    pub activation: Option<Activation>,
    /// ε of the layer norms; `null` takes the config's, else 1e-5.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub epsilon: Option<f64>,
    /// How pixels in 0..1 are normalised; `null` takes what the checkpoint's configs say, else `clip`.
    pub pixels: Option<Pixels>,
    /// Who says how images are prepared for the model.
    pub preparation: Preparation,
    /// What the features of a frame are.
    pub features: Features,
    /// Run at another image size than the checkpoint's, by bicubic interpolation of its positional embeddings.
    pub image_size: Option<usize>,
    /// Texts with more tokens than the text tower reads: `refuse`, or `cut` as open_clip does.
    pub long_texts: LongTexts,
}

/// What the features of a frame are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Features {
    /// The class token after the last norm, mapped to the joint embedding of images and texts.
    #[default]
    Joint,
    /// The class token after the last norm itself. There are no texts to compare it with: no component can read them.
    ClassToken,
}

register!(dyn Backbone, ClipVitConfig, name: "clip_vit", summary: "CLIP with a vision transformer and its text tower",
    paper: Some("CLIP, arXiv 2103.00020"), stability: Stable, usage: "{weights: \"builtin:shapes_clip\"}");

impl Component for ClipVitConfig {
    type Slot = dyn Backbone;

    fn validate(&self, problems: &mut Problems) {
        check_source(&self.weights, problems);
        match &self.architecture {
            Some(choice) => match choice.sizes() {
                None => problems.push(
                    "architecture",
                    format!("is no published size; there are {}, or give own sizes", published_names()),
                ),
                Some(sizes) => {
                    if let Some(problem) = sizes.misfit() {
                        problems.push("architecture", format!("cannot be built: {problem}"));
                    }
                }
            },
            None => problems.when(self.weights == "random", "architecture", "is needed with `weights: random`"),
        }
        if let Some(sizes) = self.known().filter(|sizes| sizes.misfit().is_none()) {
            for (name, heads, width) in [
                ("vision_heads", self.vision_heads, sizes.vision_width),
                ("text_heads", self.text_heads, sizes.text_width),
            ] {
                let wrong = heads.is_some_and(|heads| !width.is_multiple_of(heads.max(1)));
                problems.when(wrong, name, format!("must divide {width}, the tower's width"));
            }
            let wrong = self.image_size.is_some_and(|side| side == 0 || !side.is_multiple_of(sizes.patch_size));
            problems.when(
                wrong,
                "image_size",
                format!("must be a multiple of {}, the side of a patch", sizes.patch_size),
            );
        }
        check_key(self.key.as_deref(), &self.weights, problems);
        problems.when(
            self.image_size.is_some() && self.weights == "random",
            "image_size",
            "is for checkpoints; with `weights: random` give it in `architecture`",
        );
    }

    fn required_inputs(&self, problems: &mut Problems) {
        let architecture = match &self.architecture {
            Some(Choice::Name(name)) => Some(&**name),
            _ => None,
        };
        check_given(&self.weights, architecture, problems);
    }

    fn describe(&self, facts: &mut Facts) {
        facts.text_tower = Some(self.features == Features::Joint);
        (facts.transformer, facts.hands_out) = (Some(true), Some(true));
        let Some(sizes) = self.known().filter(|sizes| sizes.problem().is_none()) else { return };
        facts.backbone(
            self.geometry(&Architecture { image_size: self.image_size.unwrap_or(sizes.image_size), ..sizes }),
        );
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Backbone>> {
        Ok(Box::new(self.clip(context)?))
    }
}

/// Reports built-in weights that do not exist, and what only looks like an address on the hub.
pub(crate) fn check_source(weights: &str, problems: &mut Problems) {
    if let Err(Error::Failed { message, help, .. }) = Address::of(weights) {
        problems.push("weights", format!("is wrong: {message}; {}", help.unwrap_or_default()));
    }
    if let Some(name) = weights.strip_prefix("builtin:")
        && !checkpoint::is_builtin(name)
    {
        problems.push("weights", format!("names no built-in weights; there are: {}", checkpoint::builtin_names()));
    }
}

/// Reports a key for what is no file.
pub(crate) fn check_key(key: Option<&str>, weights: &str, problems: &mut Problems) {
    let no_file = weights == "random" || weights.starts_with("builtin:");
    problems.when(key.is_some() && no_file, "key", "is for files, and these weights are in none");
}

/// Reports that no weights are given, for a model of `architecture`.
pub(crate) fn check_given(weights: &str, architecture: Option<&str>, problems: &mut Problems) {
    if weights.trim().is_empty() {
        let example = published::example(architecture);
        problems.push(
            "weights",
            format!(
                "is missing: give `{example}`, which is fetched (`maclip weights list` has more), or the path of a \
                 safetensors file, a torch file or a Hugging Face folder, in the recipe's environment variable or with \
                 `--set backbone.weights={example}`"
            ),
        );
    }
}

impl ClipVitConfig {
    /// The sizes, where they are known before the weights are opened.
    fn known(&self) -> Option<Architecture> {
        let asked = self.architecture.as_ref().and_then(Choice::<Architecture>::sizes);
        asked
            .or_else(|| checkpoint::builtin_architecture(&self.weights))
            .or_else(|| published::named(&self.weights)?.vit())
    }

    /// The model, with its weights.
    ///
    /// # Errors
    /// Where the weights cannot be read, are of another architecture than the recipe says, or do not fit the model; and
    /// where `weights: random` comes without an architecture.
    pub fn clip(&self, context: &BuildContext) -> Result<Clip> {
        let asked = self.architecture.as_ref().and_then(Choice::<Architecture>::sizes);
        if self.weights == "random" {
            let sizes = asked.ok_or_else(|| Error::failed("backbone.architecture is missing"))?;
            if context.untrained {
                let init = &mut Init::new(context.init("backbone"), context.device.clone());
                return Ok(self.new_clip(&sizes, Normal::CLIP, Tokenizer::OpenAi, init).no_grad());
            }
            let tokenizer = Tokenizer::Words(Words::new(context.vocabulary.clone())?);
            let init = &mut Init::new(context.init("backbone"), context.trainable_device());
            return Ok(self.new_clip(&sizes, Normal::CLIP, tokenizer, init));
        }
        if context.sizes_only
            && !self.weights.starts_with("builtin:")
            && let Some(mut sizes) = self.known()
        {
            sizes.vision_heads = self.vision_heads.unwrap_or(sizes.vision_heads);
            sizes.text_heads = self.text_heads.unwrap_or(sizes.text_heads);
            sizes.activation = self.activation.unwrap_or(sizes.activation);
            sizes.epsilon = self.epsilon.unwrap_or(sizes.epsilon);
            sizes.image_size = self.image_size.unwrap_or(sizes.image_size);
            self.refuse(&self.weights, &sizes)?;
            return Ok(self.blank(&sizes, Normal::CLIP, Tokenizer::OpenAi, &context.device));
        }
        let mut source = checkpoint::open(&self.weights, context.pin(&self.weights), self.key.as_deref())
            .map_err(checkpoint::where_to_give)?;
        source.note(context);
        source.expect("clip_vit")?;
        let mut settings = Settings::of(&self.weights);
        let found = self.sizes(&source, &mut settings);
        settings.note(context);
        let (mut sizes, normal) = found?;
        settings.refuse_differences()?;
        if let Some(mut asked) = asked {
            // A published name says no activation: the file or the options do.
            (asked.activation, asked.epsilon) = (sizes.activation, sizes.epsilon);
            if asked != sizes {
                return Err(Error::failed(format!(
                    "{} holds another architecture than the recipe asks for: {sizes:?}, not {asked:?}",
                    self.weights
                ))
                .help("remove backbone.architecture, or choose the matching weights"));
            }
        }
        if let Some(image_size) = self.image_size.filter(|size| *size != sizes.image_size) {
            sizes.image_size = image_size;
            self.refuse(&self.weights, &sizes)?;
            if let Some(embedding) = source.tensors.remove("visual.positional_embedding") {
                let resized = positions::resize(embedding, image_size / sizes.patch_size)?;
                source.tensors.insert("visual.positional_embedding".to_owned(), resized);
            }
        }
        let empty = self.blank(&sizes, normal, source.tokenizer()?, &context.device);
        source.check(&empty.fit(&source))?;
        empty.with_weights(&self.weights, names::from_openai(source.tensors)?)
    }

    /// A model of these sizes without weights.
    pub(crate) fn blank(&self, sizes: &Architecture, normal: Normal, tokenizer: Tokenizer, device: &Device) -> Clip {
        self.new_clip(sizes, normal, tokenizer, &mut Init::blank(device.clone())).no_grad()
    }

    /// What a model of these sizes reports to other components.
    fn geometry(&self, sizes: &Architecture) -> Geometry {
        let tokens = (sizes.image_size / sizes.patch_size).pow(2) + 1;
        let joint = self.features == Features::Joint;
        let width = if joint { sizes.embed_dim } else { sizes.vision_width };
        let text = TextGeometry { width: sizes.text_width, blocks: sizes.text_layers };
        let geometry = geometry(sizes.image_size, sizes.vision_width, width, sizes.vision_layers, tokens, text);
        Geometry { text: geometry.text.filter(|_| joint), ..geometry }
    }

    fn new_clip(&self, sizes: &Architecture, normal: Normal, tokenizer: Tokenizer, init: &mut Init) -> Clip {
        let mut geometry = self.geometry(sizes);
        (geometry.mean, geometry.std) = (normal.mean, normal.std);
        let visual = VisionTower::new(sizes.vision(), init);
        let visual = match self.features {
            Features::Joint => visual,
            Features::ClassToken => visual.without_projection(),
        };
        let mut clip = Clip::new(Box::new(visual), sizes.text(), tokenizer, geometry, sizes, init);
        clip.text = clip.text.with_long_texts(self.long_texts);
        clip
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
                let tower = |width, layers, patch| TowerSizes { width, layers: vec![layers], patch };
                let vision = tower(shown.vision_width, shown.vision_layers, Some(shown.patch_size));
                let text = Some(tower(shown.text_width, shown.text_layers, None));
                let said = described(configs, &Shown { vision, text }, source.names.hugging_face, settings)?;
                (shown, said)
            }
        };
        let asked = self.architecture.as_ref().and_then(Choice::<Architecture>::sizes);
        let published = shown.published();
        let published = published.as_ref().map(|(name, sizes)| (*name, of(sizes)));
        let widths = [shown.vision_width, shown.text_width];
        let given = Given {
            vision_heads: self.vision_heads,
            text_heads: self.text_heads,
            activation: ("activation", self.activation),
            epsilon: self.epsilon,
        };
        let asked = asked.as_ref().map(of);
        let Hidden { vision_heads, text_heads, activation, epsilon } =
            hidden(given, &said, asked, published, widths, source, settings)?;
        let sizes = Architecture { vision_heads, text_heads, activation, epsilon, ..shown };
        self.refuse(&source.label, &sizes)?;
        refuse_bloat(&source.label, sizes.values(source.tokenizer()?.size()), &source.tensors)?;
        let asked = Asked { pixels: self.pixels, preparation: self.preparation };
        let usual = (Normal::CLIP, true);
        let normal =
            preparation::normal(configs, &said, sizes.image_size, asked, source.own_normal()?, usual, settings)?;
        Ok((sizes, normal))
    }

    fn refuse(&self, source: &str, sizes: &Architecture) -> Result<()> {
        match sizes.problem() {
            None => Ok(()),
            Some(problem) => Err(Error::failed(format!("{source} holds a model that cannot be built: {problem}"))
                .help("heads are given with the options vision_heads and text_heads")),
        }
    }
}

/// What the shapes of a model do not show.
fn of(sizes: &Architecture) -> Hidden {
    let Architecture { vision_heads, text_heads, activation, epsilon, .. } = *sizes;
    Hidden { vision_heads, text_heads, activation, epsilon }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::counts::FRAME;
    use crate::adapters::no_adapter;
    use crate::conformance::model;
    use crate::fixtures;
    use burn::tensor::{Int, Tensor, TensorData};
    use maclip_framework::slots::adapter::Branch;

    #[test]
    fn flops_of_a_frame_are_those_of_an_independent_count() {
        for (architecture, flops) in FRAME {
            let model = model::sized(&[], architecture);
            let prefix = |clips| model.backbone.prefix_cost(clips, &*model.adapter).unwrap().flops;
            assert_eq!((prefix([1, 1]), prefix([3, 8])), (flops, 24.0 * flops), "{architecture}");
        }
    }

    #[test]
    fn a_clip_with_exact_gelu_agrees_with_open_clip() {
        let mut fixture = fixtures::open("clip_gelu_tiny");
        let [input, ids, image, text] =
            ["input", "ids", "image_features", "text_features"].map(|name| fixture.take(name));
        let config = ClipVitConfig {
            weights: fixture.checkpoint().display().to_string(),
            vision_heads: Some(3),
            text_heads: Some(4),
            activation: Some(Activation::Gelu),
            ..ClipVitConfig::default()
        };
        let clip = config.clip(&BuildContext::new(0, Device::flex())).unwrap();
        let features =
            clip.encode_clips(fixtures::tensor::<4>(&input).unsqueeze_dim(1), &*no_adapter(), &Branch::Query);
        fixtures::close(features, &image, 2e-5);
        let rows = ids.values.chunks(ids.shape[1]);
        let ends: Vec<usize> = rows
            .map(|row| {
                let largest = row.iter().cloned().fold(f32::MIN, f32::max);
                row.iter().position(|id| *id == largest).unwrap()
            })
            .collect();
        let values: Vec<i32> = ids.values.iter().map(|id| *id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(values, ids.shape.clone()), &Device::flex());
        fixtures::close(clip.text.forward(ids, &ends), &text, 2e-5);
        // Its vocabulary is nobody's, which is an error only where a text is read.
        let message = clip.encode_texts(&["a".to_owned()]).unwrap_err().to_string();
        assert!(message.contains("64 token ids"), "{message}");
    }

    #[test]
    fn absurd_sizes_are_refused_before_memory_is_asked_for() {
        use maclip_framework::weights::{self, ElementType, HostTensor};
        let mut tensors = checkpoint::open("builtin:shapes_clip", None, None).unwrap().tensors;
        let one = HostTensor { shape: vec![1], values: vec![0.0] };
        tensors.insert("visual.transformer.resblocks.8000.ln_1.weight".to_owned(), one);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absurd.safetensors");
        let bytes = weights::serialize(&tensors, &Default::default(), ElementType::F32).unwrap();
        maclip_framework::files::write_atomically(&path, &bytes).unwrap();
        let config = ClipVitConfig {
            weights: path.display().to_string(),
            vision_heads: Some(6),
            text_heads: Some(5),
            ..ClipVitConfig::default()
        };
        let message = config.clip(&BuildContext::new(0, Device::flex())).unwrap_err().to_string();
        assert!(message.contains("absurd.safetensors holds") && message.contains("say a model of"), "{message}");
    }

    #[test]
    fn another_image_size_is_used_only_when_asked() {
        let mut config = ClipVitConfig { weights: "builtin:shapes_clip".to_owned(), ..ClipVitConfig::default() };
        let tokens = |config: &ClipVitConfig| {
            config.clip(&BuildContext::new(0, Device::flex())).map(|clip| clip.geometry().tokens)
        };
        assert_eq!(tokens(&config).unwrap(), 17);
        config.image_size = Some(96);
        assert_eq!(tokens(&config).unwrap(), 37);
        config.image_size = Some(100);
        assert!(tokens(&config).unwrap_err().to_string().contains("not a multiple"));
    }
}
