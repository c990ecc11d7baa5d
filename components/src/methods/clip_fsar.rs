//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "clip_fsar",
        title: "CLIP-FSAR",
        paper: "Wang et al., IJCV 2023. A fine-tuned CLIP; the class text joins the support frames in a transformer layer; OTAM; \
                a loss over the texts of all training classes.",
        code: &[("alibaba-mmai-research/CLIP-FSAR", "30cf0a8cf5287a56a9f37bfceb28e82be776fc5d")],
        slots: "adapter: {type: full}\n\
                prototype: {type: clip_fsar, heads: 8, hidden: 2048}\n\
                alignment: {type: otam, lambda: 0.5, shots: mean_features, cosine: plus_epsilon}\n\
                objective: {type: clip_fsar, text_exponent: 0.0, text_scale: 1.0}",
        recipes: &["methods/clip_fsar"],
        compared: &[
            Compared {
                what: "head in training: distances, losses, gradients (dropout 0)",
                cases: &["clip_fsar_train_1shot", "clip_fsar_train_merge_before", "clip_fsar_train_merge_after",
                    "clip_fsar_train_small_norms"],
                error: 0.11,
            },
            Compared {
                what: "prediction by the metric, and combined with the text",
                cases: &["clip_fsar_combine", "clip_fsar_metric"],
                error: 0.0075,
            },
            Compared {
                what: "its OTAM, λ 0.5 and λ 0.1",
                cases: &["otam_clipfsar_base", "otam_matrix_clipfsar_v2"],
                error: 0.056,
            },
            Compared {
                what: "frames that are taken from a clip, in training and in the test",
                cases: &["interval_kinetics", "interval_backwards_short_clips", "segments_ssv2"],
                error: 0.0,
            },
            Compared {
                what: "pictures: resize, crop, normalisation (within half a grey level)",
                cases: &["clip_fsar_square_30x44"],
                error: 0.51,
            },
            Compared { what: "changes of colours", cases: &["color_changes"], error: 0.04 },
        ],
        left_out: &[
            "Batch norms of CLIP's ResNet keep the statistics of the checkpoint. There, each training batch has its own.",
            "All tensors have weight decay. There, most norms have none.",
            "Dropout masks are drawn from other random numbers; its rates are those of the code.",
            "Released settings are for RN50 alone.",
        ],
        protocol: &[
            ("training", "tasks of one GPU of four: Kinetics and HMDB51 5,000, UCF101 3,000, SSv2 30,000; 16 tasks a step; five \
                          queries of each class; one shot whatever the test has"),
            ("optimizer", "Adam with coupled weight decay; rates 2e-6 to 5e-5; warm-up, then factors 0.1 and 0.01"),
            ("frames", "8; side 256, crop of 224; queries of Kinetics mirrored and with other colours"),
            ("chosen on", "10,000 episodes of the test classes"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
