//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "matching",
        title: "Matching functions",
        paper: "Bertrand et al., Rethinking matching-based few-shot action recognition, SCIA 2023. Functions from the \
                similarities of frames to a similarity of clips, Chamfer++ among them.",
        code: &[("jbertrand89/matching_based_fsar", "03e4e405ff94ec24aec89e11951ccb4e8da485a4")],
        slots: "alignment: {type: chamfer, side: both, shots: joint, cosine: plus_epsilon}",
        recipes: &[],
        compared: &[
            Compared {
                what: "mean, max, Chamfer and Chamfer++ on episodes, and their gradients",
                cases: &["mean", "max", "chamfer", "chamfer_pp"],
                error: 0.074,
            },
            Compared {
                what: "diagonal and linear on cost matrices (independent implementation in PyTorch, float64)",
                cases: &["metrics.t8x5.diagonal", "metrics.t8x5.linear"],
                error: 0.0095,
            },
        ],
        left_out: &["Its backbones, its feature projection and its clips instead of frames are not here: the functions are."],
        protocol: &[("test", "10,000 tasks, which it publishes")],
    }
}
