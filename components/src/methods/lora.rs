//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::Method;

inventory::submit! {
    Method {
        name: "lora",
        title: "LoRA",
        paper: "Hu et al., ICLR 2022. A product of two thin matrices is added to projections of a frozen tower. Here it is an \
                adapter under any few-shot head.",
        code: &[],
        slots: "adapter: {type: lora}",
        recipes: &[],
        compared: &[],
        left_out: &["It has not been compared with other code. Its tests hold the formula by hand-computed cases."],
        protocol: None,
    }
}
