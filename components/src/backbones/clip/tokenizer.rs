//! Texts to token ids: OpenAI's byte pairs for published weights, whole words for the small vocabularies of maclip's
//! own weights.

use super::openai_tokens;
use super::words::Words;
use maclip_framework::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What happens to a text with more tokens than the text tower reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LongTexts {
    /// An error that names the text.
    #[default]
    Refuse,
    /// Its last tokens are dropped, as open_clip does; the end token stays.
    Cut,
}

/// How a text tower turns texts into ids.
#[derive(Clone, Debug, PartialEq)]
pub enum Tokenizer {
    /// OpenAI's 49,408 byte pairs.
    OpenAi,
    /// The vocabulary in the metadata of a checkpoint.
    Words(Words),
    /// This many ids, of which the checkpoint does not say what they mean. No text can be encoded.
    Unknown(usize),
}

impl Tokenizer {
    /// The tokenizer of a checkpoint with `rows` token embeddings that names no vocabulary.
    pub fn for_rows(rows: usize) -> Self {
        if rows == openai_tokens::VOCABULARY { Tokenizer::OpenAi } else { Tokenizer::Unknown(rows) }
    }

    /// Number of token ids.
    pub fn size(&self) -> usize {
        match self {
            Tokenizer::OpenAi => openai_tokens::VOCABULARY,
            Tokenizer::Words(words) => words.size(),
            Tokenizer::Unknown(rows) => *rows,
        }
    }

    /// Start, the text's tokens, end: at most `context_length` ids.
    ///
    /// # Errors
    /// Where the text is longer and `long` is [`LongTexts::Refuse`], or the tokenizer is [`Tokenizer::Unknown`].
    pub fn encode(&self, text: &str, context_length: usize, long: LongTexts) -> Result<Vec<i32>> {
        let mut ids = self.ids(text)?;
        if ids.len() <= context_length {
            return Ok(ids);
        }
        match (long, ids.pop()) {
            (LongTexts::Cut, Some(end)) if context_length > 0 => {
                ids.truncate(context_length - 1);
                ids.push(end);
                Ok(ids)
            }
            _ => Err(Error::failed(format!(
                "the text `{text}` has {} tokens; the text tower reads at most {context_length}",
                ids.len() + 1
            ))
            .help("shorten the class name or the prompt, or set backbone.long_texts=cut")),
        }
    }

    fn ids(&self, text: &str) -> Result<Vec<i32>> {
        match self {
            Tokenizer::OpenAi => Ok(openai_tokens::encode(text)),
            Tokenizer::Words(words) => Ok(words.encode(text)),
            Tokenizer::Unknown(rows) => Err(Error::failed(format!(
                "the text tower has {rows} token ids, not OpenAI's {}, and its file carries no vocabulary",
                openai_tokens::VOCABULARY
            ))
            .help("use weights with OpenAI's vocabulary, or a recipe that reads no class texts")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_named_or_cut() {
        let words = Tokenizer::Words(Words::new(Vec::new()).unwrap());
        let message = words.encode("spinning", 8, LongTexts::Refuse).unwrap_err().to_string();
        assert!(message.contains("`spinning` has 11 tokens"), "{message}");
        let whole = words.encode("spinning", 11, LongTexts::Refuse).unwrap();
        let cut = words.encode("spinning", 8, LongTexts::Cut).unwrap();
        assert_eq!((cut.len(), &cut[..7], cut[7]), (8, &whole[..7], whole[10]));
    }
}
