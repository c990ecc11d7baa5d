//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "ma_clip",
        title: "MA-CLIP",
        paper: "Xing et al., arXiv 2308.01532v1. Adapters in every block of a frozen CLIP, with text in the support branch; \
                a text-guided prototype module; any alignment.",
        code: &[],
        slots: "adapter: {type: multimodal, ratio: 0.25}\n\
                prototype: {type: text_guided, heads: 8}\n\
                alignment: {type: otam, lambda: 0.1}\n\
                objective: {type: ma_clip, alpha: 0.5}",
        recipes: &["methods/ma_clip", "benchmarks"],
        compared: &[
            Compared {
                what: "an episode: adapters, prototypes, distances, losses, predictions (independent implementation in \
                       PyTorch, float64)",
                cases: &["maclip.text", "maclip.variant.shared_text_fc", "maclip.variant.two_temporal_adapters",
                    "maclip.variant.no_text", "maclip.episode"],
                error: 0.061,
            },
            Compared {
                what: "the gradient of every trained tensor, and one step of AdamW (the same implementation)",
                cases: &["maclip.gradients", "maclip.step.adamw1"],
                error: 0.92,
            },
            Compared {
                what: "losses and predictions under 13 metrics and settings (the same implementation)",
                cases: &["maclip.score.otam01_distances", "maclip.score.otam_one_way", "maclip.score.bi_mhm",
                    "maclip.score.alpha0", "maclip.score.alpha1", "maclip.score.loss_ce",
                    "maclip.score.loss_kl_elements", "maclip.score.loss_kl_onehot"],
                error: 0.013,
            },
            Compared { what: "parameters of the paper's tables", cases: &["counts"], error: 0.0 },
        ],
        left_out: &[
            "There is no public code. Figures and text of the paper are the source, and the numbers it is compared with come \
             from an implementation that was written from them too.",
            "The paper does not give α, the temperatures, the optimizer, the rate, the number of tasks on HMDB51, UCF101 and \
             SSv2-Full, or the words of the prompt.",
            "Whether TPCM has dropout is not said. Options have it, and the default is none.",
        ],
        protocol: &[
            ("training", "20,000 tasks on SSv2-Small and 1,000 on Kinetics (table 9)"),
            ("test", "10,000 tasks"),
            ("chosen on", "not said"),
        ],
    }
}
