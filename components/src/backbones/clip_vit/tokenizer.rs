//! Words to token ids for small text towers: every known word is one token, and any other text is spelled in bytes, so
//! that no class name is out of vocabulary.

use maclip_framework::error::{Error, Result};
use std::collections::BTreeMap;

/// 256 byte tokens, then words, then start and end.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokenizer {
    words: Vec<String>,
    ids: BTreeMap<String, i32>,
}

impl Tokenizer {
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
    pub fn encode(&self, text: &str, context_length: usize) -> Result<Vec<i32>> {
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
        if ids.len() > context_length {
            return Err(Error::failed(format!(
                "the text `{text}` has {} tokens; the text tower reads at most {context_length}",
                ids.len()
            ))
            .help("shorten the class name or the prompt"));
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_are_one_token_and_others_are_spelled() {
        let tokenizer = Tokenizer::new(vec!["disc".into(), "red".into()]).unwrap();
        assert_eq!(tokenizer.encode("A red, disc", 77).unwrap(), [258, 97, 32, 257, 256, 259]);
        assert_ne!(tokenizer.encode("ab c", 9).unwrap(), tokenizer.encode("a bc", 9).unwrap());
        assert_eq!(tokenizer.encode("", 2).unwrap(), [258, 259]);
    }

    #[test]
    fn a_text_that_is_too_long_is_named() {
        let message = Tokenizer::new(Vec::new()).unwrap().encode("spinning", 8).unwrap_err().to_string();
        assert!(message.contains("`spinning` has 11 tokens"), "{message}");
    }
}
