//! Words to token ids for small text towers: every known word is one token, and any other word is spelled in bytes, so
//! that every class name can be encoded.

use maclip_framework::error::{Error, Result};
use std::collections::BTreeMap;

/// A vocabulary of words. Ids 0 to 255 are bytes; then come the words, then start and end.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    words: Vec<String>,
    ids: BTreeMap<String, i32>,
}

impl Words {
    /// `words` in the order of their ids.
    ///
    /// # Errors
    /// Where a word is there twice.
    pub fn new(words: Vec<String>) -> Result<Self> {
        let ids: BTreeMap<String, i32> =
            words.iter().enumerate().map(|(i, word)| (word.clone(), 256 + i as i32)).collect();
        if ids.len() != words.len() {
            return Err(Error::failed("the vocabulary of the text tower names a word twice"));
        }
        Ok(Self { words, ids })
    }

    /// The words in the order of their ids.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Number of token ids.
    pub fn size(&self) -> usize {
        256 + self.words.len() + 2
    }

    /// Start, the text's tokens, end. The text is lower-cased; punctuation separates words and is dropped. A word with
    /// a `~` before it is spelled in bytes, also if it is known.
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
