//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::Repository;
use maclip_framework::registry::{Compared, Method};

/// The public code, as it was read.
const CODE: Repository =
    Repository { name: "taoyang1122/adapt-image-models", commit: "b3580d2d3a78ff5cffa6c7a82ce993165166f00f" };

inventory::submit! {
    Method {
        name: "aim",
        title: "AIM",
        paper: "Yang et al., ICLR 2023. Adapters for time, space and both in every block of a frozen tower. Published for \
                recognition with all training clips; here it is an adapter under any few-shot head.",
        code: &[CODE],
        slots: "adapter: {type: aim, ratio: 0.25, scale: 0.5, temporal_adapters: 1}",
        recipes: &["methods/aim_otam"],
        compared: &[Compared {
            what: "tower with one temporal adapter (Kinetics) and with two (SSv2), and its gradients (drop path 0)",
            cases: &["aim_k400", "aim_ssv2"],
            error: 0.057,
        }],
        left_out: &[
            "The classifier and its training on all clips are not here: few-shot heads take its place.",
            "Drop path has the rate 0.2 and the form of the code; its masks are drawn from other random numbers.",
        ],
        protocol: None,
    }
}
