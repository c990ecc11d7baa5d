//! Published weights that a backbone here reads, by name: where they are on the Hugging Face hub, and their sizes.
//!
//! Sources: the repositories are those of open_clip's table of pretrained models, and of OpenAI and of the authors of
//! TinyCLIP (Wu et al. 2023, arXiv 2309.12314) for transformers. The sizes are those of OpenAI (arXiv 2103.00020), of
//! open_clip's configs and of TinyCLIP's. A repository's card says its licence; OpenAI's weights have that of
//! github.com/openai/CLIP.

use super::clip::block::Activation;
use super::clip::sizes::{Architecture, Choice, EPSILON};

/// Weights on the hub.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    /// Its name here.
    pub name: &'static str,
    /// The component that reads it.
    pub backbone: &'static str,
    /// The architecture in the field's words.
    pub architecture: &'static str,
    /// What a recipe's `weights` says.
    pub weights: &'static str,
    /// The images that it was trained on.
    pub data: &'static str,
    /// The licence of the weights.
    pub licence: &'static str,
    /// Side of its images in pixels.
    pub image_size: usize,
    /// Number of values, both towers together.
    pub parameters: u64,
    sizes: Sizes,
}

/// The sizes of a model.
#[derive(Clone, Copy, Debug)]
enum Sizes {
    /// Of a published architecture.
    Named,
    /// Patch, width, layers and heads of the image tower; E; width and layers of the text tower; activation.
    Own([usize; 7], Activation),
    /// Those of a ResNet are its component's.
    ResNet,
}

/// Declares [`ALL`]: one model in three lines.
macro_rules! published {
    ($($name:literal $architecture:literal $weights:literal $data:literal $licence:literal
        $image_size:literal $parameters:literal $backbone:literal $sizes:expr;)*) => {
        /// All of them: OpenAI's first, then by size.
        pub const ALL: &[Published] = &[$(Published {
            name: $name, architecture: $architecture, weights: $weights, data: $data, licence: $licence,
            image_size: $image_size, parameters: $parameters, backbone: $backbone, sizes: $sizes,
        }),*];
    };
}

published! {
    "ViT-B-16-openai" "ViT-B/16" "hf:openai/clip-vit-base-patch16" "OpenAI, 400 M pairs" "MIT"
        224 149_620_737 "clip_vit" Sizes::Named;
    "ViT-B-32-openai" "ViT-B/32" "hf:openai/clip-vit-base-patch32" "OpenAI, 400 M pairs" "MIT"
        224 151_277_313 "clip_vit" Sizes::Named;
    "ViT-L-14-openai" "ViT-L/14" "hf:openai/clip-vit-large-patch14" "OpenAI, 400 M pairs" "MIT"
        224 427_616_513 "clip_vit" Sizes::Named;
    "ViT-L-14-336-openai" "ViT-L/14@336" "hf:openai/clip-vit-large-patch14-336" "OpenAI, 400 M pairs" "MIT"
        336 427_944_193 "clip_vit" Sizes::Named;
    "RN50-openai" "RN50" "hf:timm/resnet50_clip.openai/open_clip_model.safetensors" "OpenAI, 400 M pairs" "MIT"
        224 102_007_137 "clip_resnet" Sizes::ResNet;
    "ViT-B-16-laion2b" "ViT-B/16" "hf:laion/CLIP-ViT-B-16-laion2B-s34B-b88K" "LAION-2B" "MIT"
        224 149_620_737 "clip_vit" Sizes::Named;
    "ViT-B-32-laion2b" "ViT-B/32" "hf:laion/CLIP-ViT-B-32-laion2B-s34B-b79K" "LAION-2B" "MIT"
        224 151_277_313 "clip_vit" Sizes::Named;
    "ViT-L-14-laion2b" "ViT-L/14" "hf:laion/CLIP-ViT-L-14-laion2B-s32B-b82K" "LAION-2B" "MIT"
        224 427_616_513 "clip_vit" Sizes::Named;
    "ViT-H-14-laion2b" "ViT-H/14" "hf:laion/CLIP-ViT-H-14-laion2B-s32B-b79K" "LAION-2B" "MIT"
        224 986_109_441 "clip_vit" Sizes::Own([14, 1280, 32, 16, 1024, 1024, 24], Activation::Gelu);
    "ViT-B-16-datacomp" "ViT-B/16" "hf:laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K" "DataComp-1B" "MIT"
        224 149_620_737 "clip_vit" Sizes::Named;
    "ViT-B-32-datacomp" "ViT-B/32" "hf:laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K" "DataComp-1B" "MIT"
        224 151_277_313 "clip_vit" Sizes::Named;
    "ViT-B-32-256-datacomp" "ViT-B/32@256" "hf:laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K" "DataComp-1B" "MIT"
        256 151_288_833 "clip_vit" Sizes::Own([32, 768, 12, 12, 512, 512, 12], Activation::Gelu);
    "ViT-L-14-datacomp" "ViT-L/14" "hf:laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K" "DataComp-1B" "MIT"
        224 427_616_513 "clip_vit" Sizes::Named;
    "TinyCLIP-8M-16" "ViT-8M/16" "hf:wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M" "YFCC-15M" "MIT"
        224 23_446_017 "clip_vit" Sizes::Own([16, 256, 10, 4, 512, 256, 3], Activation::Gelu);
    "TinyCLIP-39M-16" "ViT-39M/16" "hf:wkcn/TinyCLIP-ViT-39M-16-Text-19M-YFCC15M" "YFCC-15M" "MIT"
        224 83_101_185 "clip_vit" Sizes::Own([16, 512, 12, 8, 512, 512, 6], Activation::Gelu);
    "TinyCLIP-40M-32" "ViT-40M/32" "hf:wkcn/TinyCLIP-ViT-40M-32-Text-19M-LAION400M" "LAION-400M" "MIT"
        224 84_205_569 "clip_vit" Sizes::Own([32, 512, 12, 8, 512, 512, 6], Activation::Gelu);
    "TinyCLIP-61M-32" "ViT-61M/32" "hf:wkcn/TinyCLIP-ViT-61M-32-Text-29M-LAION400M" "LAION-400M" "MIT"
        224 115_382_145 "clip_vit" Sizes::Own([32, 640, 12, 10, 512, 512, 9], Activation::Gelu);
}

impl Published {
    /// The sizes of one with a vision transformer. Its file has the last word on heads and activation.
    pub fn vit(&self) -> Option<Architecture> {
        match self.sizes {
            Sizes::Named => Choice::Name(self.architecture.to_owned()).sizes(),
            Sizes::ResNet => None,
            Sizes::Own([patch, width, layers, heads, embed, text_width, text_layers], activation) => {
                Some(Architecture {
                    image_size: self.image_size,
                    patch_size: patch,
                    vision_width: width,
                    vision_layers: layers,
                    vision_heads: heads,
                    embed_dim: embed,
                    context_length: 77,
                    text_width,
                    text_layers,
                    text_heads: text_width / 64,
                    activation,
                    epsilon: EPSILON,
                })
            }
        }
    }
}

/// The one that a recipe names with `weights`.
pub fn named(weights: &str) -> Option<&'static Published> {
    ALL.iter().find(|known| known.weights == weights)
}

/// The address of published weights of the architecture with this name, or of the most used ones, for messages.
pub(crate) fn example(architecture: Option<&str>) -> &'static str {
    let known = ALL.iter().find(|known| architecture == Some(known.architecture));
    known.unwrap_or(&ALL[0]).weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::weights::hub::Address;
    use std::collections::BTreeSet;

    /// Values of a CLIP, counted by hand from its tensors: those of OpenAI's files are 151,277,313 for ViT-B/32.
    fn count(sizes: &Architecture) -> usize {
        let Architecture { image_size, patch_size, vision_width: d, embed_dim: e, text_width: w, .. } = *sizes;
        let block = |width: usize| 12 * width * width + 13 * width;
        let tokens = (image_size / patch_size).pow(2) + 1;
        let vision = 3 * patch_size * patch_size * d + d + tokens * d + 4 * d + sizes.vision_layers * block(d) + d * e;
        let text = (49408 + sizes.context_length) * w + sizes.text_layers * block(w) + 2 * w + w * e;
        vision + text + 1
    }

    #[test]
    fn all_are_addresses_of_models_that_can_be_built() {
        let mut names = BTreeSet::new();
        for known in ALL {
            let address = Address::of(known.weights).unwrap().unwrap();
            assert_eq!(address.to_string(), known.weights);
            assert!(names.insert(known.name) && names.insert(known.weights), "{} is there twice", known.name);
            assert_eq!(named(known.weights).unwrap().name, known.name);
            match known.vit() {
                Some(sizes) => {
                    assert_eq!((sizes.problem(), sizes.image_size), (None, known.image_size), "{}", known.name);
                    assert_eq!(count(&sizes) as u64, known.parameters, "{}", known.name);
                }
                None => assert_eq!(known.backbone, "clip_resnet"),
            }
        }
    }

    #[test]
    fn an_example_is_of_the_architecture() {
        assert_eq!(example(Some("ViT-B/32")), "hf:openai/clip-vit-base-patch32");
        assert_eq!(example(None), "hf:openai/clip-vit-base-patch16");
        assert!(example(Some("RN50")).starts_with("hf:timm/resnet50_clip.openai/"));
    }
}
