//! `action_clip`: ActionCLIP's 16 sentences. The class text is the mean of their unit vectors; objective `ma_clip` with
//! `text_prediction: each_sentence` averages their softmaxes, as that code does.
//!
//! Source: ActionCLIP (arXiv 2109.08472) by MA-CLIP's authors, public code. The wordings are that code's.

use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::prompt::{Average, Prompt};
use serde::{Deserialize, Serialize};

/// Options of ActionCLIP's sentences.
#[derive(Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ActionClip {
    /// How the features of the sentences become one.
    average: Average,
}

const SENTENCES: [&str; 16] = [
    "a photo of action {}",
    "a picture of action {}",
    "Human action of {}",
    "{}, an action",
    "{} this is an action",
    "{}, a video of action",
    "Playing action of {}",
    "{}",
    "Playing a kind of action, {}",
    "Doing a kind of action, {}",
    "Look, the human is {}",
    "Can you recognize the action of {}?",
    "Video classification of {}",
    "A video of {}",
    "The man is {}",
    "The woman is {}",
];

register!(dyn Prompt, ActionClip, name: "action_clip", summary: "ActionCLIP's 16 sentences",
    paper: Some("ActionCLIP, arXiv 2109.08472"), stability: Stable, usage: "{}");

impl Component for ActionClip {
    type Slot = dyn Prompt;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Prompt>> {
        Ok(Box::new(self))
    }
}

impl Prompt for ActionClip {
    fn sentences(&self, class: &str) -> Result<Vec<String>> {
        Ok(SENTENCES.iter().map(|sentence| sentence.replace("{}", class)).collect())
    }

    fn average(&self) -> Average {
        self.average
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prompt::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prompt::holds::<ActionClip>(Traits::default());
    }
}
