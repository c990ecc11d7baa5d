//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "hyrsm",
        title: "HyRSM",
        paper: "Wang et al., CVPR 2022. Attention inside each clip and among the clips that a query meets; the bidirectional \
                mean Hausdorff metric; a loss over all training classes.",
        code: &[("alibaba-mmai-research/HyRSM", "82100b62b34f9efa440b27f2591e10e2d370d8aa"),
            ("alibaba-mmai-research/CLIP-FSAR", "30cf0a8cf5287a56a9f37bfceb28e82be776fc5d")],
        slots: "adapter: {type: full}\n\
                prototype: {type: hyrsm, heads: 8, feature_divisor: 10, position_scale: 1}\n\
                alignment: {type: bi_mhm, cosine: normalized}\n\
                objective: {type: with_class_loss, objective: {type: metric}, of: frames_after_prototype}",
        recipes: &["methods/hyrsm"],
        compared: &[
            Compared {
                what: "head: related features, distances, gradients, with the settings of both repositories",
                cases: &["hyrsm_1shot", "hyrsm_1shot_kinetics", "hyrsm_5shot"],
                error: 0.028,
            },
            Compared {
                what: "Bi-MHM (D2ST-Adapter's code: qizhongtan/D2ST-Adapter, commit 44387fa)",
                cases: &["bi_mhm_d2st"],
                error: 0.011,
            },
        ],
        left_out: &[
            "The published backbone is ResNet-50 with ImageNet weights, which is not here. Recipes take CLIP's RN50.",
            "The loss over all training classes is a component, `with_class_loss`; it was compared with a case computed by hand, \
             not with the public code.",
            "Batch norms keep the statistics of the checkpoint, and all tensors have weight decay.",
            "Dropout masks are drawn from other random numbers; its rates are those of the code.",
        ],
        protocol: &[
            ("training", "tasks of one GPU of four: Kinetics 1,200, HMDB51 2,000, UCF101 2,500, SSv2-Small 20,000, SSv2-Full \
                          40,000; 16 tasks a step; seven queries of each class with one shot, three with five"),
            ("optimizer", "Adam with coupled weight decay; warm-up, then factors at milestones"),
            ("frames", "8; side 256, crop of 224; queries mirrored and with other colours"),
            ("chosen on", "10,000 episodes of the test classes"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
