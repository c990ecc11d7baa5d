//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::{
    About, Protocol, Selection, Source, Statement, TestFrames, TrainedShots, Transduction,
};
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
        protocol: Some(Protocol {
            selection: Selection::Unknown,
            test_tasks: None,
            test_frames: TestFrames::Unknown,
            transduction: Transduction::None,
            transduction_here: Transduction::None,
            shots: TrainedShots::Unknown,
            statements: &[
                Statement::new(
                    About::Selection,
                    "There is no public code. Which weights were tested could not be read.",
                    &[Source::Paper("arXiv 2308.01532v1")],
                ),
                Statement::new(
                    About::Training,
                    "20,000 tasks on SSv2-Small and 1,000 on Kinetics, with one shot and ViT-B/32. Tasks of other \
                     settings, queries and tasks of a step could not be read.",
                    &[Source::Paper("arXiv 2308.01532v1, table 9")],
                ),
                Statement::new(
                    About::Optimizer,
                    "It could not be read.",
                    &[Source::Paper("arXiv 2308.01532v1")],
                ),
                Statement::new(
                    About::Frames,
                    "They could not be read.",
                    &[Source::Paper("arXiv 2308.01532v1")],
                ),
                Statement::new(
                    About::Test,
                    "The number of test tasks could not be read; the cost is given for 10,000 tasks.",
                    &[Source::Paper("arXiv 2308.01532v1, table 8")],
                ),
                Statement::new(
                    About::TestFrames,
                    "It could not be read.",
                    &[Source::Paper("arXiv 2308.01532v1")],
                ),
                Statement::new(
                    About::Transduction,
                    "No: figures 2 to 4 show no path from one query to another.",
                    &[Source::Paper("arXiv 2308.01532v1, figures 2 to 4")],
                ),
                Statement::finding(
                    "Table 9 calls the backbone of its baselines on Kinetics INet-ViT-B/32, with the accuracies that \
                     table 7 has for CLIP-ViT-B/32.",
                    None,
                    &[Source::Paper("arXiv 2308.01532v1, tables 7 and 9")],
                ),
            ],
        }),
    }
}
