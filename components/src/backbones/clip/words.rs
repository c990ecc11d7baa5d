//! Words to token ids for small text towers: every known word is one token, and any other text is spelled in bytes, so
//! that no class name is out of vocabulary.

use maclip_framework::error::{Error, Result};
use std::collections::BTreeMap;

/// 256 byte tokens, then words, then start and end.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    words: Vec<String>,
    ids: BTreeMap<String, i32>,
}

impl Words {
    /// `words` in the order of their ids. Duplicates are refused.
    pub fn new(words: Vec<String>) -> Result<Self> {
        let ids: BTreeMap<String, i32> =
            words.iter().enumerate().map(|(i, word)| (word.clone(), 256 + i as i32)).collect();
        if ids.len() != words.len() {
            return Err(Error::failed("the vocabulary of the text tower names a word twice"));
        }
        Ok(Self { words, ids })
    }

    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Number of token ids.
    pub fn size(&self) -> usize {
        256 + self.words.len() + 2
    }

    /// Start, the text's tokens, end. The text is lower-cased; punctuation separates words and is dropped, but for a `~`
    /// before a word, which asks for it to be spelled.
    pub fn encode(&self, text: &str) -> Vec<i32> {
        let (start, end) = (self.size() as i32 - 2, self.size() as i32 - 1);
        let mut ids = vec![start];
        let lower = text.to_lowercase();
        let separates = |c: char| !(c.is_alphanumeric() || c == '-' || c == '~');
        for word in lower.split(separates).filter(|word| !word.is_empty()) {
            let bare = word.trim_start_matches('~');
            match self.ids.get(bare).filter(|_| bare == word) {
                Some(&id) => ids.push(id),
                None => {
                    let word = bare;
                    ids.extend(word.bytes().map(i32::from));
                    // A word end, so that two spelled words are not read as one.
                    ids.push(i32::from(b' '));
                }
            }
        }
        ids.push(end);
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_are_one_token_and_others_are_spelled() {
        let words = Words::new(vec!["disc".into(), "red".into()]).unwrap();
        assert_eq!(words.encode("A red, disc"), [258, 97, 32, 257, 256, 259]);
        assert_ne!(words.encode("ab c"), words.encode("a bc"));
        assert_eq!(words.encode(""), [258, 259]);
    }
}
