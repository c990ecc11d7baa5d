//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::Repository;
use maclip_framework::registry::{Compared, Method};

/// The public code, as it was read.
const CODE: Repository = Repository { name: "sallymmx/ActionCLIP", commit: "31c34df17dce917d67127b7fb155922c4744f680" };

inventory::submit! {
    Method {
        name: "action_clip",
        title: "ActionCLIP",
        paper: "Wang et al., arXiv 2109.08472. Class texts in 16 sentences, and a KL loss between clips and texts. Its sentences and \
                its loss are here, as MA-CLIP has the same authors' form of the loss; the method as a whole is not.",
        code: &[CODE],
        slots: "prompt: {type: action_clip}\n\
                objective: {type: ma_clip, alpha: 1.0, text_loss: kl_elements, text_prediction: each_sentence}",
        recipes: &[],
        compared: &[
            Compared { what: "the loss and its gradient", cases: &["actionclip_kl"], error: 0.0054 },
            Compared { what: "the 16 sentences", cases: &["actionclip_prompts"], error: 0.0 },
        ],
        left_out: &[
            "The loss from texts to clips, the temporal heads and the training of the text tower are not here.",
            "It trains with one random sentence for a clip. Here the loss takes the mean of the sentences.",
            "The mean of 16 softmaxes in the prediction was compared with a case computed by hand.",
        ],
        protocol: None,
    }
}
