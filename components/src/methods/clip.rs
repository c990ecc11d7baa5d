//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::Repository;
use maclip_framework::registry::{Compared, Method};

/// The public code, as it was read.
const CODE: Repository = Repository { name: "openai/CLIP", commit: "d05afc436d78f1c48dc0dbf8e5980a9d471f35f6" };

/// An independent implementation.
const OPEN_CLIP: Repository =
    Repository { name: "mlfoundations/open_clip", commit: "89fb801f1e6087880e951fc8354b8a2077b79c6d" };

inventory::submit! {
    Method {
        name: "clip",
        title: "CLIP",
        paper: "Radford et al., ICML 2021. The towers that the methods adapt: frozen, by class texts alone (`zero_shot`) or by \
                prototypes (`frozen_clip`).",
        code: &[CODE, OPEN_CLIP],
        slots: "objective: {type: ma_clip, alpha: 1.0, text_scale: 100}",
        recipes: &["methods/zero_shot", "methods/frozen_clip", "methods/baselines"],
        compared: &[
            Compared {
                what: "image and text tower of OpenAI's code, ViT",
                cases: &["openai_vision", "openai_text"],
                error: 0.019,
            },
            Compared { what: "its ResNet", cases: &["openai_resnet"], error: 0.012 },
            Compared {
                what: "both towers of open_clip",
                cases: &["open_clip_quick_vision", "open_clip_quick_text"],
                error: 0.016,
            },
            Compared {
                what: "tokens",
                cases: &["openai_tokenizer", "openai_tokenizer_special_tokens_in_text"],
                error: 0.0,
            },
        ],
        left_out: &[],
        protocol: None,
    }
}
