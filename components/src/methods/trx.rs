//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "trx",
        title: "TRX",
        paper: "Perrett et al., CVPR 2021. Ordered tuples of a query's frames attend to those of all shots of a class.",
        code: &[("tobyperrett/trx", "390c20aa8ed7e309ae4949464fdcf015c4009329"),
            ("tobyperrett/few-shot-action-recognition", "3687f3a972b496d5010f879a4b0dce7c1ac408ea")],
        slots: "adapter: {type: full}\n\
                alignment: {type: trx, cardinalities: [2, 3], width: 1152, position_scale: 0.1, shots: joint}\n\
                objective: {type: metric}",
        recipes: &["methods/trx"],
        compared: &[
            Compared {
                what: "distances and gradients, tuples of two and of two and three. The largest error is in a gradient that is \
                       zero but for rounding: the bias of the values cancels",
                cases: &["trx_2_3", "trx_fsar_2"],
                error: 0.96,
            },
            Compared {
                what: "frames that are taken from a clip, in training and in the test",
                cases: &["trx_8"],
                error: 0.0,
            },
            Compared {
                what: "pictures: resize and crop (within one grey level)",
                cases: &["trx_short_side_40x57"],
                error: 1.0,
            },
        ],
        left_out: &[
            "The published backbone is ResNet-50 with ImageNet weights, which is not here. Recipes take CLIP's RN50.",
            "Pixels are normalised as CLIP's. There, they stay between 0 and 1.",
            "Batch norms keep the statistics of the checkpoint.",
            "Dropout masks are drawn from other random numbers; the rate is 0.1, as there.",
            "The number of tasks is not in the code.",
        ],
        protocol: &[
            ("training", "16 tasks a step; five queries of each class; five shots"),
            ("optimizer", "SGD without momentum, rate 1e-3 on the sum over queries"),
            ("frames", "8; short side 256, crop of 224; mirrored, on SSv2 too"),
            ("chosen on", "nothing: the last weights are tested"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
