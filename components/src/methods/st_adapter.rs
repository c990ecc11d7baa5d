//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::Repository;
use maclip_framework::registry::{Compared, Method};

/// The public code, as it was read.
const CODE: Repository =
    Repository { name: "linziyi96/st-adapter", commit: "b914b388f45ddd1968348ae2b1590a17eca75f8f" };

inventory::submit! {
    Method {
        name: "st_adapter",
        title: "ST-Adapter",
        paper: "Pan et al., NeurIPS 2022. A bottleneck with a depth-wise space-time convolution in every block of a frozen tower. \
                Published for recognition with all training clips; here it is an adapter under any few-shot head.",
        code: &[CODE],
        slots: "adapter: {type: st_adapter, ratio: 0.5}",
        recipes: &[],
        compared: &[Compared {
            what: "tower with adapters before the attention and, as released for Kinetics-400, before the MLP, and its gradients",
            cases: &["st_adapter_pre_attn_311", "st_adapter_pre_attn_333", "st_adapter_released_k400_pre_mlp"],
            error: 0.045,
        }],
        left_out: &["The classifier and its training on all clips are not here: few-shot heads take its place."],
        protocol: None,
    }
}
