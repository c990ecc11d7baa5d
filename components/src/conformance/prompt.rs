//! What a prompt must hold.

use super::{built, choice, ok, variants};
use burn::tensor::Device;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::prompt::Prompt;

/// What a prompt claims of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits<'a> {
    /// Options, in YAML without braces, that are tried beside those of the registration.
    pub also: &'static [&'static str],
    /// Options that are tried in place of those of the registration.
    pub instead: Option<&'a str>,
}

/// Names of classes, whose sentences must differ.
const CLASSES: [&str; 3] = ["a dog jumping", "a dog", "pushing something from left to right"];

/// Holds the prompt with configuration `C` to its contract.
///
/// # Panics
/// Where a property does not hold.
pub fn holds<C: Component<Slot = dyn Prompt>>(traits: Traits) {
    let tried = match traits.instead {
        Some(options) => vec![options],
        None => variants::<C>(traits.also),
    };
    for options in tried {
        let choice = choice::<C>(options);
        let prompt = built::<C>(options, &BuildContext::new(1, Device::flex()));
        let all = CLASSES.map(|class| ok(prompt.sentences(class), "the sentences"));
        for (at, sentences) in all.iter().enumerate() {
            let said = !sentences.is_empty() && sentences.iter().all(|sentence| !sentence.trim().is_empty());
            assert!(said, "{choice}: at least one sentence, and none empty: {sentences:?}");
            assert_eq!(
                *sentences,
                ok(prompt.sentences(CLASSES[at]), "the sentences"),
                "{choice}: sentences are the same every time"
            );
            assert!(all[..at].iter().all(|other| other != sentences), "{choice}: two classes have the same sentences");
        }
    }
}
