//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "molo",
        title: "MoLo",
        paper: "Wang et al., CVPR 2023. Frames and their changes in time, each with a class token behind a transformer \
                layer; contrasts of class tokens with frames; a decoder that must show how the pixels change.",
        code: &[("alibaba-mmai-research/MoLo", "f7f73b6dd8cba446b414b1c47652ab26033bc88e")],
        slots: "backbone: {type: resnet, architecture: resnet50}\n\
                adapter: {type: full}\n\
                prototype: {type: molo, heads: 8, hidden: 2048}\n\
                alignment: {type: molo, motion: 0.3}\n\
                objective: {type: molo, class_weight: 0.8, reconstruction_weight: 0.4, objective: {type: weighted_distances,\n\
                  own: 1, weights: {s2q: 0.05, q2s: 0.05, s2q_motion: 0.05, q2s_motion: 0.05}}}",
        recipes: &["methods/molo"],
        compared: &[
            Compared {
                what: "both branches, five logits, class logits, decoder, all losses, gradients",
                cases: &["molo.molo_train_1shot", "molo.molo_train_kinetics"],
                error: 0.2,
            },
            Compared {
                what: "the same with fixed statistics of the decoder, without a loss",
                cases: &["molo.molo_eval_2shot"],
                error: 0.21,
            },
        ],
        left_out: &[
            "The decoder runs in training alone. There it runs in the test too, where nothing reads it.",
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "Dropout masks are drawn from other random numbers; the rates are those of the code.",
        ],
        protocol: &[
            ("training", "tasks of one GPU of four: SSv2-Full 50,000, SSv2-Small 20,000, Kinetics 5,000, HMDB51 2,000, UCF101 \
                 6,000; 16 tasks a step; six queries of each class"),
            ("optimizer", "Adam with coupled weight decay; warm-up, then factors at milestones"),
            ("frames", "8; side 256, crop of 224; queries mirrored, with other colours and erased in part"),
            ("chosen on", "the running best of the test classes"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
