//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "otam",
        title: "OTAM",
        paper: "Cao et al., CVPR 2020. Frames of query and support are aligned in order, by a soft minimum over paths. The \
                authors' code is not public.",
        code: &[("tobyperrett/few-shot-action-recognition", "3687f3a972b496d5010f879a4b0dce7c1ac408ea")],
        slots: "adapter: {type: full}\n\
                alignment: {type: otam, lambda: 0.1, shots: mean_distances, cosine: plus_epsilon}\n\
                objective: {type: metric}",
        recipes: &["methods/otam"],
        compared: &[
            Compared {
                what: "distances of episodes and their gradients, one shot and three",
                cases: &["otam_fsar_1shot", "otam_fsar_3shot"],
                error: 0.035,
            },
            Compared {
                what: "alignment of cost matrices, square and not",
                cases: &["otam_matrix_fsar", "otam_matrix_fsar_uneven"],
                error: 0.062,
            },
            Compared {
                what: "the baseline TSN of that code: cosine, and squared distance",
                cases: &["tsn_fsar_cosine", "tsn_fsar_squared"],
                error: 0.0075,
            },
            Compared { what: "frames that are taken from a clip", cases: &["linspace_fsar"], error: 0.0 },
        ],
        left_out: &[
            "The published backbone is ResNet-50 with ImageNet weights, which is not here. Recipes take CLIP's RN50.",
            "Pixels are normalised as CLIP's. There, they stay between 0 and 1.",
            "Batch norms keep the statistics of the checkpoint.",
        ],
        protocol: &[
            ("training", "50,000 tasks, one a step; five queries of each class"),
            ("optimizer", "SGD without momentum, rate 1e-3"),
            ("frames", "8; square of 256, crop of 224; mirrored, on SSv2 too"),
            ("chosen on", "nothing: the last weights are tested"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
