//! The recipe's `label`: what the report calls a run.

use serde::{Deserialize, Serialize};

/// Any text on one line, for people. Files and folders are called after the variant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Label(#[schemars(length(min = 1, max = 100))] pub String);

impl Label {
    /// What is wrong with it, apart from its length: a message and the way out.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        if self.0.trim() != self.0 {
            return Some(("a label begins and ends with a letter or sign, not with a blank", "take the blanks out"));
        }
        let hidden = maclip_language::printable(&self.0) != self.0;
        hidden.then_some(("a label has characters that cannot be shown", "write it in one line of text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_line_that_can_be_shown() {
        for good in ["MA-CLIP (ours)", "α = 0.5 & <b>", "动作", "50 %"] {
            assert_eq!(Label(good.to_owned()).problem(), None, "{good}");
        }
        for bad in [" a", "a ", "a\nb", "a\u{1b}[31m", "a\tb", " "] {
            assert!(Label(bad.to_owned()).problem().is_some(), "{bad:?}");
        }
    }
}
