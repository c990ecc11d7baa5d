//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "ts_fsar",
        title: "TS-FSAR",
        paper: "AAAI 2026. A side network reads the tokens of all blocks of a frozen CLIP; frames are distance covariances of its \
                patches, matched by a matrix of the episode; losses with texts and a divergence from CLIP's own logits.",
        code: &[("yaozhang0417/TS-FSAR", "1a91053")],
        slots: "prompt: {type: descriptions}\n\
                prototype: {type: ts_fsar, blocks: 12, width: 256, heads: 4, temporal: [6, 8, 10], alpha: 0.4}\n\
                alignment: {type: ts_dcm}\n\
                objective: {type: ts_fsar, vision_weight: 1, class_weight: 1, side_weight: 1, distillation_weight: 6}",
        recipes: &["methods/ts_fsar"],
        compared: &[
            Compared {
                what: "distance covariance, and its gradient",
                cases: &["ts_fsar.alpha_distance_covariance"],
                error: 0.31,
            },
            Compared {
                what: "a block of the side network, over tokens and over time, and its gradients",
                cases: &["ts_fsar.side_block_space", "ts_fsar.side_block_time"],
                error: 0.058,
            },
            Compared {
                what: "matching of frames, with one and three shots, and its gradients",
                cases: &["ts_fsar.ts_dcm_1shot", "ts_fsar.ts_dcm_3shot"],
                error: 0.11,
            },
            Compared {
                what: "everything behind the tower: losses and the gradients of all that is trained (dropout 0), prediction",
                cases: &["ts_fsar.train_1shot", "ts_fsar.train_2shot_kinetics", "ts_fsar.predict_1shot",
                    "ts_fsar.predict_5shot"],
                error: 0.34,
            },
        ],
        left_out: &[
            "The side network starts with random weights. There, it starts from a principal component analysis of CLIP's own.",
            "Numbers are in 32 bit. There, 16 bit in training, with a scaled loss.",
            "The exponents of the prediction differ by data set and number of shots there, and were chosen on test classes. The \
             recipes have them.",
            "Dropout masks are drawn from other random numbers; its rates are those of the code.",
        ],
        protocol: &[
            ("training", "SSv2-Full 50,000 tasks, elsewhere 10,000; one a step; five queries of each class; with the shots of the test"),
            ("optimizer", "AdamW, weight decay 0.1, cosine to 0; rates 5e-5 to 3e-4 for the matrix, the side network and the classifier"),
            ("frames", "8; side 256, crop of 224"),
            ("chosen on", "episodes of the test classes"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
