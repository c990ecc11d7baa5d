//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "task_adapter_plus_plus",
        title: "Task-Adapter++",
        paper: "Cao et al., arXiv 2505.06002. Task-Adapter, with order adapters in the text tower that see the sub-actions of a \
                class together, and frames that are compared with these sub-actions in their order. Transductive: a clip and \
                its score see the other queries.",
        code: &[("Jaulin-Bage/Task-Adapter-pp", "3a29783a443250a17f990149bd0c0e61984f2ccb")],
        slots: "prompt: {type: descriptions, template: \"A video of action about {class}: {sentence}\"}\n\
                adapter: {type: task_adapter, ratio: 0.25, at: {last: 2}, scale: 1, across: branch, text_at: {last: 8}}\n\
                alignment: {type: mean_cosine, shots: mean_features, cosine: normalized}\n\
                objective: {type: sub_action_product, scale: 64, sub_actions: 3}",
        recipes: &["methods/task_adapter_plus_plus"],
        compared: &[
            Compared {
                what: "a block of the text tower with an order adapter, and all its gradients",
                cases: &["task_adapter_pp.order_block"],
                error: 0.03,
            },
            Compared {
                what: "text tower from token ids, and the gradients of the order adapters",
                cases: &["task_adapter_pp.text_order_adapters", "task_adapter_pp.text_one_block"],
                error: 0.051,
            },
            Compared {
                what: "image tower from pixels, and its gradients",
                cases: &["task_adapter_pp.visual_last_block"],
                error: 0.062,
            },
            Compared {
                what: "scores, product, loss, prediction and gradients, with the product as published and with the right one",
                cases: &["task_adapter_pp.alignment_1shot", "task_adapter_pp.alignment_5shot",
                    "task_adapter_pp.alignment_ssv2_full"],
                error: 0.015,
            },
        ],
        left_out: &[
            "The product there multiplies a transposed matrix, so that the score of a query depends on its label. Here that is \
             the option `as_published`, which is off.",
            "Numbers are in 32 bit. There, scores, text features and order adapters are in 16 bit.",
            "All frames of a clip have the same crop in training. There, each frame has its own.",
            "All clips of a branch see each other. There, with three GPUs, a clip sees those on the same GPU.",
        ],
        protocol: &[
            ("training", "10,000 tasks, one a step, on every data set"),
            ("optimizer", "SGD, rate 1e-3, no momentum"),
            ("frames", "8; square of 257, crop of 224"),
            ("chosen on", "1,000 episodes of the test classes"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
