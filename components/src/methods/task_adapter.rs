//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "task_adapter",
        title: "Task-Adapter",
        paper: "Cao et al., ACM MM 2024. Adapters, and attention across the clips of an episode, in the last blocks of a frozen \
                CLIP; the score is the product of a visual cosine and a text cosine. Transductive: a clip sees the other queries.",
        code: &[("Jaulin-Bage/Task-Adapter-pp", "3a29783a443250a17f990149bd0c0e61984f2ccb"),
            ("bedman367/Task-Adapter", "178b21a")],
        slots: "adapter: {type: task_adapter, ratio: 0.25, at: {last: 6}, scale: 1, across: branch}\n\
                alignment: {type: mean_cosine, shots: mean_features, cosine: normalized}\n\
                objective: {type: product, scale: 64}",
        recipes: &["methods/task_adapter"],
        compared: &[
            Compared {
                what: "tower on supports and queries, and its gradients",
                cases: &["task_adapter_last2"],
                error: 0.05,
            },
            Compared {
                what: "frames that are taken from a clip, in training and in the test",
                cases: &["segments_task_adapter", "segments_task_adapter_training"],
                error: 0.0,
            },
        ],
        left_out: &[
            "All frames of a clip have the same crop in training. There, each frame has its own.",
            "All clips of a branch see each other. There, with two GPUs, a clip sees those on the same GPU.",
            "The product score was compared with a case computed by hand, not with the public code.",
        ],
        protocol: &[
            ("training", "2,000 tasks on Kinetics, HMDB51 and UCF101, 20,000 on SSv2-Small, 50,000 on SSv2-Full; one a step"),
            ("optimizer", "SGD, rate 1e-3"),
            ("frames", "8; square of 257, crop of 224"),
            ("test", "one query of each class"),
        ],
    }
}
