//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "clip_spm",
        title: "CLIP-SPM",
        paper: "2025 (hnlxy/CLIP-SPM). A token of text guides the frames of each clip, the clips of an episode attend to \
                each other, and the motion of a clip is predicted twice.",
        code: &[("hnlxy/CLIP-SPM", "63f436152a67ad87a39d667a25032ebece3589cf")],
        slots: "adapter: {type: full}\n\
                prototype: {type: clip_spm, heads: 8, head_width: 256, hidden: 2048}\n\
                alignment: {type: clip_spm, semantic: 0.5}\n\
                objective: {type: motion_consistency, objective: {type: metric}, weight: 0.0008}",
        recipes: &["methods/clip_spm"],
        compared: &[
            Compared {
                what: "the head as published: distances, loss on motion, gradients",
                cases: &["clip_spm.train_1shot", "clip_spm.train_2shot_ucf"],
                error: 0.095,
            },
            Compared {
                what: "the same with another number of queries of each class, which enters through the mean of their texts",
                cases: &["clip_spm.eval_unbalanced"],
                error: 0.034,
            },
        ],
        left_out: &[
            "By default a prediction does not depend on the other queries of its episode. In the public code it does; \
             `as_published: true` does so, and the compared cases are of this form.",
            "By default the factor of the motion stays 1. There it is trained and can only fall.",
            "The mean text there is that of all clips' true classes, queries included. With as many queries of each \
             class it is the mean over the classes, as here.",
            "Losses on text and on consistency are in the paper. The public code computes them and leaves them out of \
             its sum.",
            "A scalar that the public code never uses is not here.",
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "Dropout masks are drawn from other random numbers; the rates are those of the code.",
        ],
        protocol: &[
            ("training", "16 tasks a step: SSv2-Full 100,000, others 20,000; four queries of each class; five shots"),
            ("optimizer", "Adam, rate 1e-5 and weight decay 5e-5 (SSv2-Full 1.6e-5 and 9.7e-4)"),
            ("frames", "8; crop of 224"),
            ("chosen on", "the test classes: the list `val` is replaced by `test` while training"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
