//! Sizes of a CLIP: what every CLIP has, and those of one with a vision transformer, from a published name, from a
//! recipe or from the tensors of a checkpoint.

use super::block::{Activation, BlockSizes};
use super::checkpoint::Source;
use super::config::{Described, Said};
use super::settings::{Number, Settings};
use super::vision_tower::VisionSizes;
use maclip_framework::error::{Error, Result};
use maclip_framework::weights::HostTensor;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// ε of CLIP's layer norms.
pub const EPSILON: f64 = 1e-5;
/// The largest size of a model that is accepted, from a recipe or from a checkpoint.
pub const LARGEST: usize = 8192;

/// Declares the sizes of a CLIP: those of its image tower, then those that every CLIP has (the joint embedding and the
/// text tower). One struct, because serde's `flatten` loses the place of an error.
macro_rules! architecture {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$image_about:meta])* $image:ident: $image_type:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$image_about])* pub $image: $image_type,)*
            /// Width E of the joint embedding.
            #[schemars(range(min = 1, max = LARGEST))]
            pub embed_dim: usize,
            /// Longest text in tokens, start and end included.
            #[schemars(range(min = 1, max = LARGEST))]
            pub context_length: usize,
            /// Width of the text tower's tokens.
            #[schemars(range(min = 1, max = LARGEST))]
            pub text_width: usize,
            /// Blocks of the text tower.
            #[schemars(range(min = 1, max = LARGEST))]
            pub text_layers: usize,
            /// Attention heads of the text tower; must divide its width.
            #[schemars(range(min = 1, max = LARGEST))]
            pub text_heads: usize,
            /// Activation of the transformer blocks' feed-forward layers.
            #[serde(default)]
            pub activation: $crate::backbones::clip::block::Activation,
            /// ε of the transformers' layer norms.
            #[serde(
                default = "crate::backbones::clip::sizes::usual_epsilon",
                skip_serializing_if = "crate::backbones::clip::sizes::is_usual_epsilon"
            )]
            #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
            pub epsilon: f64,
        }

        impl $name {
            /// The text tower.
            pub fn text(&self) -> $crate::backbones::clip::sizes::TextSizes {
                let (width, layers, heads) = (self.text_width, self.text_layers, self.text_heads);
                let sizes = [self.context_length, width, layers, heads, self.embed_dim];
                $crate::backbones::clip::sizes::TextSizes::new(sizes, self.activation, self.epsilon)
            }

            /// These sizes with the values of `other` that no shape shows.
            pub(crate) fn with_hidden_of(&self, other: &Self) -> Self {
                let Self { vision_heads, text_heads, activation, epsilon, .. } = *other;
                Self { vision_heads, text_heads, activation, epsilon, ..self.clone() }
            }
        }
    };
}
pub(crate) use architecture;

architecture! {
    /// Sizes of a ViT CLIP.
    Architecture {
        /// Side of the square input in pixels; a multiple of `patch_size`.
        #[schemars(range(min = 1, max = LARGEST))]
        image_size: usize,
        /// Side of a patch in pixels.
        #[schemars(range(min = 1, max = LARGEST))]
        patch_size: usize,
        /// Width D of the image tower's tokens.
        #[schemars(range(min = 1, max = LARGEST))]
        vision_width: usize,
        /// Blocks of the image tower.
        #[schemars(range(min = 1, max = LARGEST))]
        vision_layers: usize,
        /// Attention heads of the image tower; must divide its width.
        #[schemars(range(min = 1, max = LARGEST))]
        vision_heads: usize,
    }
}

/// [`EPSILON`], which recipes and files leave out.
pub(crate) fn usual_epsilon() -> f64 {
    EPSILON
}

/// Whether it is [`EPSILON`].
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(crate) fn is_usual_epsilon(epsilon: &f64) -> bool {
    *epsilon == EPSILON
}

/// Sizes of a text tower.
#[derive(Clone, Copy, Debug)]
pub struct TextSizes {
    /// Its transformer blocks.
    pub blocks: BlockSizes,
    /// Longest text in tokens, start and end included.
    pub context_length: usize,
    /// Width E of the joint embedding.
    pub embed_dim: usize,
}

impl TextSizes {
    /// From context length, width, layers, heads and E.
    pub(crate) fn new(
        [context_length, width, layers, heads, embed_dim]: [usize; 5],
        activation: Activation,
        epsilon: f64,
    ) -> Self {
        let blocks = BlockSizes { width, heads, layers, hidden: 4 * width, activation, epsilon };
        Self { blocks, context_length, embed_dim }
    }

    /// Number of values of the tower, about, with `vocabulary` token ids.
    pub(crate) fn values(&self, vocabulary: usize) -> f64 {
        let BlockSizes { width, layers, hidden, .. } = self.blocks;
        let rows = vocabulary as f64 + self.context_length as f64 + self.embed_dim as f64;
        stack_values(layers, width, hidden) + rows * width as f64
    }
}

/// A published name, or sizes of your own.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Choice<T> {
    /// A published name, such as `ViT-B/16`.
    Name(String),
    /// Sizes of your own.
    Sizes(T),
}

/// Text is a name, a map is sizes: so an error inside the sizes keeps its place, which serde's own untagged enums lose.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for Choice<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = Choice<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a published name or a map of sizes")
            }

            fn visit_str<E>(self, name: &str) -> std::result::Result<Self::Value, E> {
                Ok(Choice::Name(name.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Choice::Sizes)
            }
        }
        deserializer.deserialize_any(Either(PhantomData))
    }
}

/// Published sizes: name, image, patch, width, layers, heads, E and text width.
const PUBLISHED: [(&str, [usize; 6]); 4] = [
    ("ViT-B/32", [224, 32, 768, 12, 12, 512]),
    ("ViT-B/16", [224, 16, 768, 12, 12, 512]),
    ("ViT-L/14", [224, 14, 1024, 24, 16, 768]),
    ("ViT-L/14@336", [336, 14, 1024, 24, 16, 768]),
];

/// All published names, for messages.
pub(crate) fn published_names() -> String {
    PUBLISHED.map(|(name, _)| name).join(", ")
}

impl Choice<Architecture> {
    /// The sizes; `None` for a name that is not a published one.
    pub fn sizes(&self) -> Option<Architecture> {
        match self {
            Choice::Sizes(sizes) => Some(sizes.clone()),
            Choice::Name(name) => {
                let (_, [image, patch, width, layers, heads, embed]) =
                    *PUBLISHED.iter().find(|(known, _)| known == name)?;
                Some(Architecture {
                    image_size: image,
                    patch_size: patch,
                    vision_width: width,
                    vision_layers: layers,
                    vision_heads: heads,
                    embed_dim: embed,
                    context_length: 77,
                    text_width: embed,
                    text_layers: 12,
                    text_heads: embed / 64,
                    activation: Activation::QuickGelu,
                    epsilon: EPSILON,
                })
            }
        }
    }
}

impl Architecture {
    /// The published name of these sizes, if they have one.
    pub fn name(&self) -> Option<&'static str> {
        PUBLISHED
            .iter()
            .map(|(name, _)| *name)
            .find(|name| Choice::Name((*name).to_owned()).sizes().as_ref() == Some(self))
    }

    /// The image tower.
    pub fn vision(&self) -> VisionSizes {
        VisionSizes {
            image_size: self.image_size,
            patch_size: self.patch_size,
            blocks: BlockSizes {
                width: self.vision_width,
                heads: self.vision_heads,
                layers: self.vision_layers,
                hidden: 4 * self.vision_width,
                activation: self.activation,
                epsilon: self.epsilon,
            },
            projection: Some(self.embed_dim),
            clip_stem: true,
        }
    }

    /// Number of values of the model, about, with `vocabulary` token ids.
    pub fn values(&self, vocabulary: usize) -> f64 {
        let tokens = (self.image_size / self.patch_size.max(1)).pow(2) as f64;
        stack_values(self.vision_layers, self.vision_width, 4 * self.vision_width)
            + (tokens + 3.0 * (self.patch_size as f64).powi(2) + self.embed_dim as f64) * self.vision_width as f64
            + self.text().values(vocabulary)
    }

    fn sizes(&self) -> [(&'static str, usize); 10] {
        [
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
            ("vision_width", self.vision_width),
            ("vision_layers", self.vision_layers),
            ("vision_heads", self.vision_heads),
            ("embed_dim", self.embed_dim),
            ("context_length", self.context_length),
            ("text_width", self.text_width),
            ("text_layers", self.text_layers),
            ("text_heads", self.text_heads),
        ]
    }

    /// Why no model of these sizes can be built, in words. It also refuses files that claim absurd sizes.
    pub fn problem(&self) -> Option<String> {
        out_of_range(&self.sizes()).or_else(|| self.misfit())
    }

    /// Sizes that do not go together, in words; `None` where one of them is out of range by itself.
    pub fn misfit(&self) -> Option<String> {
        let sizes = self.sizes();
        if out_of_range(&sizes).is_some() {
            return None;
        }
        no_multiple(sizes[0], sizes[1])
            .or_else(|| no_multiple(sizes[2], sizes[4]))
            .or_else(|| no_multiple(sizes[7], sizes[9]))
            .or_else(|| too_large(self.values(0)))
    }

    /// The published name of a model with these shapes, and its sizes.
    pub(crate) fn published(&self) -> Option<(&'static str, Self)> {
        let known = PUBLISHED.iter().filter_map(|(name, _)| Some((*name, Choice::Name((*name).to_owned()).sizes()?)));
        known.into_iter().find(|(_, known)| known.with_hidden_of(self) == *self)
    }

    /// Sizes from the shapes of tensors. Shapes do not show heads, activation and ε: these are 1 and CLIP's own here.
    ///
    /// # Errors
    /// Where a tensor that shows a size is missing or has another number of axes.
    pub(crate) fn from_shapes(source: &Source) -> Result<Self> {
        let shapes = Shapes::of_clip(source);
        let conv = shapes.of("visual.conv1.weight", 4)?;
        let (width, patch_size) = (conv[0], conv[3]);
        let grid = (shapes.of("visual.positional_embedding", 2)?[0].saturating_sub(1)).isqrt();
        Ok(Self {
            image_size: grid.saturating_mul(patch_size),
            patch_size,
            vision_width: width,
            vision_layers: shapes.layers("visual.transformer.resblocks."),
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

/// What a recipe or a command line gives of what shapes do not show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    pub vision_heads: Option<usize>,
    pub text_heads: Option<usize>,
    /// With the name of the option that gives it.
    pub activation: (&'static str, Option<Activation>),
    pub epsilon: Option<f64>,
}

/// Values that shapes do not show, of a whole CLIP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hidden {
    pub vision_heads: usize,
    pub text_heads: usize,
    pub activation: Activation,
    pub epsilon: f64,
}

/// The heads of a tower whose width is a multiple of 64, as published models have them, or why none are guessed.
pub(crate) fn usual_heads(width: usize) -> std::result::Result<(usize, &'static str), String> {
    match width {
        0 => Err("its tower has no width".to_owned()),
        width if width.is_multiple_of(64) => Ok((width / 64, "width / 64")),
        width => Err(format!("its tower's width, {width}, is no multiple of 64, so there is no usual number")),
    }
}

/// Decides what shapes do not show: what is `given`, else what the `described` configs say, else what the recipe's
/// architecture says (`asked`), else what is published for the shapes, else a guess that is said. `widths` are those
/// from which the heads of the image and the text tower are guessed.
///
/// # Errors
/// Where heads are said nowhere and cannot be guessed.
pub(crate) fn hidden(
    given: Given,
    described: &Described,
    asked: Option<Hidden>,
    published: Option<(&str, Hidden)>,
    widths: [usize; 2],
    source: &Source,
    settings: &mut Settings,
) -> Result<Hidden> {
    let of_openai = source.of_openai.then_some(Activation::QuickGelu);
    let heads = |given: Option<usize>, said: &Said<usize>, of: &dyn Fn(&Hidden) -> usize| {
        [
            (given, "given".to_owned()),
            (said.as_ref().map(|said| said.0), said.as_ref().map(|said| said.1.clone()).unwrap_or_default()),
            (asked.as_ref().map(of), "the recipe's architecture".to_owned()),
            (
                published.as_ref().map(|(_, sizes)| of(sizes)),
                published.map(|(name, _)| format!("the sizes are those of {name}")).unwrap_or_default(),
            ),
        ]
    };
    let vision = heads(given.vision_heads, &described.vision_heads, &|sizes| sizes.vision_heads);
    let text = heads(given.text_heads, &described.text_heads, &|sizes| sizes.text_heads);
    Ok(Hidden {
        vision_heads: settings.decide("vision_heads", vision, usual_heads(widths[0]))?,
        text_heads: settings.decide("text_heads", text, usual_heads(widths[1]))?,
        activation: {
            let said = described.activation.clone();
            let said = [
                (given.activation.1, "given".to_owned()),
                (said.as_ref().map(|said| said.0), said.map(|said| said.1).unwrap_or_default()),
                (of_openai, "a file of OpenAI".to_owned()),
            ];
            settings.decide(
                given.activation.0,
                said,
                Ok((Activation::QuickGelu, "OpenAI's; open_clip's own models have gelu")),
            )?
        },
        epsilon: {
            let said = described.epsilon.clone();
            let said = [
                (given.epsilon.map(Number), "given".to_owned()),
                (said.as_ref().map(|said| Number(said.0)), said.map(|said| said.1).unwrap_or_default()),
                (source.of_openai.then_some(Number(EPSILON)), "a file of OpenAI".to_owned()),
            ];
            settings.decide("epsilon", said, Ok((Number(EPSILON), "CLIP's")))?.0
        },
    })
}

/// Refuses a model that needs far more values than its file holds, before memory is allocated: sizes come from names
/// and shapes, and a hostile file can claim any.
pub(crate) fn refuse_bloat(source: &str, needed: f64, tensors: &BTreeMap<String, HostTensor>) -> Result<()> {
    let held: f64 = tensors.values().map(|tensor| tensor.values.len() as f64).sum();
    if needed <= 4.0 * held + 1e7 {
        return Ok(());
    }
    Err(Error::failed(format!(
        "{source} holds {held:.1e} values, but its names and shapes say a model of {needed:.1e}"
    ))
    .help("the file is damaged or no whole checkpoint"))
}

/// Number of values of a stack of blocks, without norms and biases.
pub(crate) fn stack_values(layers: usize, width: usize, hidden: usize) -> f64 {
    layers as f64 * (4.0 * (width as f64).powi(2) + 2.0 * width as f64 * hidden as f64)
}

/// The first size that is 0 or above [`LARGEST`], in words.
pub(crate) fn out_of_range(sizes: &[(&str, usize)]) -> Option<String> {
    let (name, value) = sizes.iter().find(|(_, value)| !(1..=LARGEST).contains(value))?;
    Some(format!("{name} is {value}; it must be within 1 and {LARGEST}"))
}

/// A number of values that no CLIP has, in words. The largest open CLIP has 18 thousand million.
pub(crate) fn too_large(values: f64) -> Option<String> {
    (values > 2e10).then(|| format!("it would have {values:.1e} values"))
}

/// Two sizes of which the first should be a multiple of the second and is not, in words.
pub(crate) fn no_multiple(a: (&str, usize), b: (&str, usize)) -> Option<String> {
    (!a.1.is_multiple_of(b.1)).then(|| format!("{} ({}) is not a multiple of {} ({})", a.0, a.1, b.0, b.1))
}

/// Shapes of a checkpoint's tensors, with errors that have the file's names.
pub(crate) struct Shapes<'a> {
    pub source: &'a str,
    pub tensors: &'a BTreeMap<String, HostTensor>,
    /// The file's name of a tensor.
    pub theirs: Box<dyn Fn(&str) -> String + 'a>,
}

impl<'a> Shapes<'a> {
    /// Those of a CLIP, by OpenAI's names.
    pub fn of_clip(source: &'a Source) -> Self {
        Self { source: &source.label, tensors: &source.tensors, theirs: Box::new(|name| source.names.of(name)) }
    }

    /// The shape of the tensor `name`, which must have `rank` axes.
    pub fn of(&self, name: &str, rank: usize) -> Result<&[usize]> {
        let (source, theirs) = (self.source, (self.theirs)(name));
        match self.tensors.get(name) {
            Some(tensor) if tensor.shape.len() == rank => Ok(&tensor.shape),
            Some(tensor) => {
                Err(Error::failed(format!("{source}: {theirs} has shape {:?}, not {rank} axes", tensor.shape)))
            }
            None => Err(Error::failed(format!("{source} has no tensor {theirs}, which every model of its kind has"))),
        }
    }

    /// One more than the largest number that follows `prefix`.
    pub fn layers(&self, prefix: &str) -> usize {
        let numbers =
            self.tensors.keys().filter_map(|name| name.strip_prefix(prefix)?.split('.').next()?.parse::<usize>().ok());
        numbers.max().map_or(0, |last| last.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_values_is_about_the_published_one() {
        for (name, want) in [("ViT-B/32", 151_277_313.0), ("ViT-L/14", 427_616_513.0)] {
            let values = Choice::Name(name.to_owned()).sizes().unwrap().values(49408);
            assert!((values / want - 1.0f64).abs() < 0.01, "{name}: {values}");
        }
    }

    #[test]
    fn published_sizes_have_their_names() {
        for name in ["ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336"] {
            let sizes = Choice::Name(name.to_owned()).sizes().unwrap();
            assert_eq!((sizes.name(), sizes.problem()), (Some(name), None));
        }
        assert_eq!(Choice::<Architecture>::Name("ViT-B/64".to_owned()).sizes(), None);
    }
}
