//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "soap",
        title: "SOAP",
        paper: "Huang et al., ACM MM 2024. Three gates on the pixels of a clip before the backbone: in space and time, on \
                colours, and on motion; then TRX.",
        code: &[("hnlxy/CLIP-SPM", "63f436152a67ad87a39d667a25032ebece3589cf")],
        slots: "backbone: {type: resnet, architecture: resnet50}\n\
                adapter: {type: soap, spans: [1, 2, 3], reduced: 16, tower: trained}\n\
                alignment: {type: trx, cardinalities: [2, 3], width: 1152, position_scale: 0.1, shots: joint}\n\
                objective: {type: metric}",
        recipes: &["methods/soap"],
        compared: &[
            Compared {
                what: "the gates on pixels, and their gradients",
                cases: &["soap.priors", "soap.priors_three_spans"],
                error: 0.019,
            },
        ],
        left_out: &[
            "The public code that was read is that of CLIP-SPM. There the motion is the difference of a frame's \
             convolution and the same frame.",
            "The convolutions of the motion gate are trained. There they are in no list of parameters; `as_published: \
             true` does so.",
            "A loss on the distance of classes is left out: its factor there is drawn anew in every step.",
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "Dropout masks are drawn from other random numbers; the rates are those of the code.",
        ],
        protocol: &[
            ("training", "16 tasks a step: SSv2-Full 75,000, UCF101 20,000; four queries of each class; one shot"),
            ("optimizer", "SGD, rate 1e-3 (SSv2) and 1e-4 (UCF101) on the sum over queries"),
            ("frames", "8; crop of 224; pixels from 0 to 1"),
            ("chosen on", "the test classes: the list `val` is replaced by `test` while training"),
            ("test", "10,000 tasks (UCF101 3,000), one query of each class"),
        ],
    }
}
