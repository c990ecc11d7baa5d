//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "hyrsm_plus_plus",
        title: "HyRSM++",
        paper: "Wang et al., 2023 (arXiv 2301.03330). HyRSM with a loss that keeps frames near in time alike and frames \
                far apart different.",
        code: &[("alibaba-mmai-research/MoLo", "f7f73b6dd8cba446b414b1c47652ab26033bc88e")],
        slots: "backbone: {type: resnet, architecture: resnet50}\n\
                adapter: {type: full}\n\
                prototype: {type: hyrsm, heads: 8, feature_divisor: 10, position_scale: 1, average_shots: after}\n\
                alignment: {type: bi_mhm, cosine: normalized, shots: mean_distances}\n\
                objective: {type: temporal_coherence, weight: 0.3, window: 1, sigma: 51, balance: 10,\n\
                  objective: {type: with_class_loss, objective: {type: metric}, weight: 0.6}}",
        recipes: &["methods/hyrsm_plus_plus"],
        compared: &[
            Compared {
                what: "heads with one and several shots: distances, class logits, all losses, the targets of the temporal loss, \
                       gradients",
                cases: &["hyrsm_plus_plus.1shot_ssv2", "hyrsm_plus_plus.1shot_kinetics_window3", "hyrsm_plus_plus.1shot_class_two_shots", "hyrsm_plus_plus.5shot_ssv2", "hyrsm_plus_plus.5shot_hmdb"],
                error: 0.038,
            },
        ],
        left_out: &[
            "The rates and the numbers of tasks could not be read. The recipes take those of HyRSM, which has the same \
             code base.",
            "The heads for unlabelled clips are not here.",
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "Dropout masks are drawn from other random numbers; the rates are those of the code.",
        ],
        protocol: &[
            ("training", "tasks as HyRSM; 7, 6, 5, 4 and 3 queries of each class for one to five shots, each trained apart"),
            ("optimizer", "Adam with coupled weight decay; warm-up, then factors at milestones"),
            ("frames", "8; side 256, crop of 224; queries mirrored and with other colours"),
            ("chosen on", "the running best of the test classes"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
