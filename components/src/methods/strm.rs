//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "strm",
        title: "STRM",
        paper: "Thatipelli et al., CVPR 2022. Attention among the patches of a frame and a mixer over the frames of a \
                clip; TRX's cross-attention between pairs of frames, and the distance of each pair to the nearest pair of \
                a class.",
        code: &[("Anirudh257/strm", "54368fe94ac76d495f018b28a0d8d19dcdc23504")],
        slots: "backbone: {type: resnet, architecture: resnet50}\n\
                adapter: {type: full}\n\
                prototype: {type: strm, patches: 4}\n\
                alignment: {type: strm, alignment: {type: trx, cardinalities: [2], width: 1152}}\n\
                objective: {type: weighted_distances, weights: {frames: 1, patches: 0.1}}",
        recipes: &["methods/strm"],
        compared: &[
            Compared {
                what: "patch and frame enrichment, and their gradients",
                cases: &["strm.patch_enrichment", "strm.frame_enrichment"],
                error: 0.021,
            },
            Compared {
                what: "the similarity of pairs and of triples, and its gradients",
                cases: &["strm.similarity_pairs", "strm.similarity_triples_1shot"],
                error: 0.023,
            },
            Compared {
                what: "the head from maps: tokens, frames, both distances, loss, gradients",
                cases: &["strm.head_5shot_pairs", "strm.head_1shot_published_pool", "strm.head_pairs_and_triples"],
                error: 0.23,
            },
        ],
        left_out: &[
            "The projection of the similarity is trained, as the paper says. In the public code it is in no list of \
             parameters and keeps its random start; `as_published: true` does so.",
            "In the public code the dropout of the similarity stays on in the test, so its predictions are random. \
             Here it is off.",
            "A layer norm of TRX's values is in the public code and never used. It is not here: 2,304 parameters less \
             for each cardinality.",
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "Dropout masks are drawn from other random numbers; the rates are those of the code.",
        ],
        protocol: &[
            ("training", "16 tasks a step, 75,000 on SSv2 and 10,000 elsewhere; four queries of each class (Kinetics five); five \
                 shots"),
            ("optimizer", "SGD without momentum, rate 1e-3 on SSv2 and 1e-4 elsewhere, on the sum over queries"),
            ("frames", "8; short side 256, crop of 224; mirrored, on SSv2 too; pixels from 0 to 1"),
            ("chosen on", "nothing: tested at fixed iterations"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
