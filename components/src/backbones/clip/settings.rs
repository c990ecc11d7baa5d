//! Values that the shapes of tensors do not show, such as heads: who says them, and what is guessed where nobody does.

use maclip_framework::error::{Error, Result};
use maclip_framework::registry::BuildContext;
use serde::Serialize;
use std::fmt::Display;

/// A value that shapes do not show, and who says it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The option of the backbone that could set it, such as `vision_heads`.
    pub name: &'static str,
    /// The value in words.
    pub value: String,
    /// Who says it, such as `config.json` or `guessed`.
    pub from: String,
}

/// A number in its shortest form, such as 1e-5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Number(pub f64);

impl Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// All such values of one checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    source: String,
    /// In the order in which they were decided.
    pub list: Vec<Setting>,
    guesses: Vec<String>,
    /// What else the user must know, as sentences.
    pub notes: Vec<String>,
    /// Paths and checksums of the configs that are used.
    pub configs: Vec<(String, String)>,
    /// How the checkpoint wants images prepared otherwise than the program does.
    pub differences: Vec<String>,
}

impl Settings {
    /// Of the checkpoint `source`, with nothing decided.
    pub fn of(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            list: Vec::new(),
            guesses: Vec::new(),
            notes: Vec::new(),
            configs: Vec::new(),
            differences: Vec::new(),
        }
    }

    /// The value of the option `name`: the first of `said` that is there, each with who says it; else the `guess`, with
    /// its reason.
    ///
    /// # Errors
    /// Where nobody says the value and it cannot be guessed.
    pub fn decide<T: Display>(
        &mut self,
        name: &'static str,
        said: impl IntoIterator<Item = (Option<T>, String)>,
        guess: std::result::Result<(T, &str), String>,
    ) -> Result<T> {
        let said = said.into_iter().find_map(|(value, from)| Some((value?, from)));
        let (value, from) = match said {
            Some(said) => said,
            None => {
                let (value, reason) = guess.map_err(|reason| {
                    let option = if name == "heads" { "vision-heads".to_owned() } else { name.replace('_', "-") };
                    Error::failed(format!("{}: nothing says {name}, and {reason}", self.source))
                        .help(format!("give `{name}` of the backbone in a recipe, or `--{option}` of `maclip weights`"))
                })?;
                self.guess(name, &value, reason);
                (value, "guessed".to_owned())
            }
        };
        self.list.push(Setting { name, value: value.to_string(), from });
        Ok(value)
    }

    /// Says that the value of `name` was guessed.
    pub fn guess(&mut self, name: &str, value: &dyn Display, reason: &str) {
        self.guesses.push(format!("{name} {value} ({reason})"));
    }

    /// All that the user must know, as sentences.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = self.notes.clone();
        if !self.guesses.is_empty() {
            let (one, are) = if self.guesses.len() == 1 { ("it", "is") } else { ("they", "are") };
            sentences.push(format!(
                "{}: guessed, as neither the file nor a config of it says: {}; where {one} {are} otherwise, give the \
                 option of that name",
                self.source,
                self.guesses.join(", ")
            ));
        }
        sentences
    }

    /// Refuses images that would be prepared otherwise than the checkpoint wants.
    ///
    /// # Errors
    /// Where it wants that.
    pub fn refuse_differences(&self) -> Result<()> {
        match self.differences.is_empty() {
            true => Ok(()),
            false => Err(Error::failed(format!(
                "{}: its images are to be prepared otherwise than is done here: {}",
                self.source,
                self.differences.join("; ")
            ))
            .help("set `backbone.preparation: recipe`, which leaves size, filter and crop to the recipe's `resize`")),
        }
    }

    /// Notes everything for the manifest of a run.
    pub fn note(&self, context: &BuildContext) {
        for Setting { name, value, from } in &self.list {
            context.note_setting(&format!("backbone.{name}"), format!("{value} ({from})"));
        }
        self.configs.iter().for_each(|(path, sum)| context.note_weights(path, sum.clone()));
        self.sentences().into_iter().for_each(|text| context.note(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_says_a_value_decides_and_a_guess_is_said() {
        let mut settings = Settings::of("a.pt");
        let said =
            |values: [Option<usize>; 2]| [(values[0], "given".to_owned()), (values[1], "config.json".to_owned())];
        assert_eq!(settings.decide("vision_heads", said([None, Some(12)]), Ok((3, "width / 64"))).unwrap(), 12);
        assert_eq!(settings.decide("text_heads", said([Some(4), Some(12)]), Ok((3, "width / 64"))).unwrap(), 4);
        assert!(settings.sentences().is_empty());
        assert_eq!(settings.decide("heads", said([None, None]), Ok((3, "width / 64"))).unwrap(), 3);
        assert!(
            settings.sentences()[0].contains("a.pt: guessed")
                && settings.sentences()[0].contains("heads 3 (width / 64)")
        );
        assert_eq!(settings.list[0].from, "config.json");
        let error = settings.decide("heads", said([None, None]), Err("it cannot be guessed".to_owned())).unwrap_err();
        assert!(error.to_string().contains("nothing says heads, and it cannot be guessed"), "{error}");
    }
}
