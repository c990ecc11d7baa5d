//! That no class and no clip stands in two splits, and that no two classes are one to CLIP: otherwise a result says
//! nothing about classes that the training has not seen.

use crate::backbones::clip::tokenizer::{LongTexts, Tokenizer};
use crate::datasets::folded;
use maclip_framework::clips::shared::{Shared, shared};
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::dataset::{Class, Dataset, Split};
use std::collections::HashMap;

/// The most places that a message names; the others are counted.
const NAMED: usize = 20;
/// Tokens that CLIP's text tower reads.
const CONTEXT: usize = 77;

/// An error that names what the splits have in common. Where the dataset allows it, that is a note for the result in
/// place of the error; `None` where they have nothing in common.
///
/// # Errors
/// Also where two classes of one split have one text for CLIP, or a clip stands twice in one split, which nothing
/// allows; and where the files of a clip cannot be read.
pub(super) fn keep_apart(classes: &[(Split, &Class)], dataset: &dyn Dataset) -> Result<Option<String>> {
    let (mut twice, mut common) = (Vec::new(), Vec::new());
    let mut names: HashMap<String, (Split, &str)> = HashMap::new();
    let mut texts: HashMap<Vec<i32>, (Split, &str)> = HashMap::new();
    let mut clips: HashMap<&str, Split> = HashMap::new();
    for &(split, Class { name, clips: of }) in classes {
        let here = (split, name.as_str());
        let text = *texts.entry(Tokenizer::OpenAi.encode(name, CONTEXT, LongTexts::Cut)?).or_insert(here);
        let spelt = *names.entry(folded(name)).or_insert(here);
        // Spellings that CLIP tells apart may be two classes of one split, and not of two.
        let (other, same) = if spelt.0 == split { text } else { spelt };
        match (other == split, same.as_ptr() == name.as_ptr()) {
            (true, true) => {}
            (true, false) => {
                twice.push(format!("the classes `{same}` and `{name}` of split {} are one text to CLIP", split.name()));
            }
            (false, _) => {
                common.push(match same == name {
                    true => format!("class `{name}` is in split {} and in split {}", other.name(), split.name()),
                    false => {
                        let (split, other) = (split.name(), other.name());
                        format!("class `{name}` of split {split} is class `{same}` of split {other}")
                    }
                });
            }
        }
        for clip in of {
            match clips.insert(clip, split) {
                Some(other) if other == split => {
                    twice.push(format!("clip `{clip}` is twice in split {}", split.name()))
                }
                Some(other) => {
                    common.push(format!("clip `{clip}` is in split {} and in split {}", other.name(), split.name()));
                }
                None => {}
            }
        }
    }
    if !twice.is_empty() {
        return Err(
            Error::failed(named(&twice)).help("tell classes apart with dataset.class_names; name each clip once")
        );
    }
    let all: Vec<(Split, &str)> =
        classes.iter().flat_map(|(split, class)| class.clips.iter().map(|clip| (*split, clip.as_str()))).collect();
    for Shared { places: [(first, one), (second, other)], same_file } in shared(&all, &|clip| dataset.files(clip))? {
        // The same name in two splits was told above.
        if one != other {
            let how = if same_file { "is the same file as" } else { "has the same bytes as" };
            common.push(format!("clip `{other}` of split {} {how} `{one}` of split {}", second.name(), first.name()));
        }
    }
    if common.is_empty() {
        return Ok(None);
    }
    let what = format!("the splits have classes or clips in common:\n  {}", named(&common));
    match dataset.allows_shared() {
        // A note has one line.
        true => {
            Ok(Some(format!("{what}\n  dataset.allow_shared allows it").replace(":\n  ", ": ").replace("\n  ", "; ")))
        }
        false => Err(Error::failed(what).help(
            "a result on clips or classes of the training says nothing about new ones: take them out of one split, or \
             say --set dataset.allow_shared=true, which the result records",
        )),
    }
}

/// The first of these sentences, one a line, and how many there are beyond those.
fn named(sentences: &[String]) -> String {
    let more = sentences.len().saturating_sub(NAMED);
    let named: Vec<&str> = sentences.iter().take(NAMED).map(String::as_str).collect();
    format!("{}{}", named.join("\n  "), if more > 0 { format!("\n  and {more} more") } else { String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::slots::dataset::{FilePart, Frames, Listing};

    /// Clips without files.
    struct NoFiles(bool);

    impl Dataset for NoFiles {
        fn list(&self, _: Split) -> Result<Listing> {
            Ok(Listing::default())
        }

        fn frame_count(&self, _: &str) -> Result<usize> {
            Ok(1)
        }

        fn open(&self, clip: &str, _: &[usize]) -> Result<Frames> {
            Err(Error::failed(format!("clip {clip} is never opened")))
        }

        fn files(&self, _: &str) -> Result<Vec<FilePart>> {
            Ok(Vec::new())
        }

        fn allows_shared(&self) -> bool {
            self.0
        }
    }

    fn look(allow: bool, classes: &[(Split, &str)]) -> Result<Option<String>> {
        let classes: Vec<(Split, Class)> = classes
            .iter()
            .map(|(split, name)| (*split, Class { name: (*name).to_owned(), clips: vec![format!("{split:?}/{name}")] }))
            .collect();
        keep_apart(&classes.iter().map(|(split, class)| (*split, class)).collect::<Vec<_>>(), &NoFiles(allow))
    }

    #[test]
    fn few_shot_classes_of_two_splits_are_told_apart_by_letters_and_digits() {
        let (train, val, test) = (Split::Train, Split::Val, Split::Test);
        let apart = [(train, "push up"), (train, "push-up!"), (val, "push"), (test, "pull up")];
        assert_eq!(look(false, &apart).unwrap(), None);
        let shared = [(train, "Push Up"), (val, "kick"), (test, "push-up"), (test, "kick")];
        let error = look(false, &shared).unwrap_err().to_string();
        for words in [
            "class `push-up` of split test is class `Push Up` of split train",
            "class `kick` is in split val and in split test",
            "dataset.allow_shared=true",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
        let note = look(true, &shared).unwrap().unwrap();
        assert!(note.contains("`Push Up` of split train") && note.ends_with("allow_shared allows it"), "{note}");
    }

    #[test]
    fn few_shot_classes_that_are_one_text_to_clip_are_refused() {
        let train = Split::Train;
        for (one, other) in [("Shoot Ball", "shoot  ball"), ("a &amp; b", "a & b"), ("caf\u{e9}", "CAFE\u{301}")] {
            for allow in [false, true] {
                let error = look(allow, &[(train, one), (train, other)]).unwrap_err().to_string();
                let told = format!("the classes `{one}` and `{other}` of split train are one text to CLIP");
                assert!(error.contains(&told) && error.contains("class_names"), "{error}");
            }
        }
        // Longer than CLIP reads, and different only behind that.
        let long = "word ".repeat(90);
        let error = look(false, &[(train, &format!("{long} a")), (train, &format!("{long} b"))]).unwrap_err();
        assert!(error.to_string().contains("one text to CLIP"));
        assert_eq!(look(false, &[(train, "shoot ball"), (train, "shoot-ball")]).unwrap(), None);
    }
}
