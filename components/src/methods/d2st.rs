//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "d2st",
        title: "D²ST-Adapter",
        paper: "Pei et al., ICCV 2025. Behind every block of a frozen CLIP an adapter attends to a few points of the clip, dense in \
                space and dense in time; the bidirectional mean Hausdorff metric; on some data sets a loss over all training \
                classes.",
        code: &[("qizhongtan/D2ST-Adapter", "44387fae1149226125481d5f1e1fa1589936e132")],
        slots: "backbone: {type: clip_vit, architecture: ViT-B/16, features: class_token}\n\
                adapter: {type: d2st, ratio: 0.25, heads: 4, groups: 4}\n\
                alignment: {type: bi_mhm, shots: mean_features, cosine: normalized}\n\
                objective: {type: with_class_loss, objective: {type: metric}, of: clips, weight: 2.0}",
        recipes: &["methods/d2st"],
        compared: &[
            Compared {
                what: "one path: points, samples, output, gradients",
                cases: &["d2st.attention_spatial", "d2st.attention_temporal", "d2st.attention_spatial_published"],
                error: 0.1,
            },
            Compared {
                what: "the adapter of a block, and its gradients",
                cases: &["d2st.adapter_published_kernels", "d2st.adapter_small_kernels"],
                error: 0.13,
            },
            Compared {
                what: "from pixels to losses with two and three blocks, and the gradients of all that is trained",
                cases: &["d2st.tower_2_blocks", "d2st.tower_3_blocks_small_kernels"],
                error: 0.18,
            },
            Compared { what: "head and losses", cases: &["d2st.head_1shot", "d2st.head_3shot"], error: 0.036 },
        ],
        left_out: &[
            "The form for ResNet-50 is not here: adapters go around transformer blocks.",
            "Test frames are random on SSv2, HMDB51 and UCF101 there, and in the recipes of this folder.",
        ],
        protocol: &[
            ("training", "tasks of two GPUs: SSv2-Full 120,000, SSv2-Small 40,000, HMDB51 and Kinetics 3,000, UCF101 2,400; 16 \
                          tasks a step; one shot whatever the test has, one query of each class"),
            ("optimizer", "Adam with coupled weight decay 5e-4; rates 1e-3 and 5e-4; warm-up, then factors at milestones"),
            ("frames", "8; side 256, crop of 224; queries mirrored"),
            ("chosen on", "the running best on the test classes is logged; the last checkpoint is tested"),
            ("test", "10,000 tasks, one query of each class, with 1 and 5 shots"),
        ],
    }
}
