//! That no class and no clip stands in two splits, and that no two classes are one to CLIP: otherwise a result says
//! nothing about classes that the training has not seen.

use crate::backbones::clip::tokenizer::{LongTexts, Tokenizer};
use crate::datasets::folded;
use maclip_framework::clips::shared::{Shared, shared};
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::dataset::{Class, Dataset, Split};
use maclip_language::first_of;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// What becomes of classes of the training that the test has too, where the two are of different datasets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Overlap {
    /// They stay, and the result names them.
    #[default]
    Report,
    /// They are taken out of the training and the validation, and the result names them.
    LeaveOut,
    /// The run is refused.
    Refuse,
}

/// Takes the classes that `test` has too out of `trained`, and returns a sentence that names them.
pub(super) fn leave_out(trained: &mut Vec<Class>, test: &[Class], split: Split) -> Option<String> {
    let tested: HashSet<String> = test.iter().map(|class| folded(&class.name)).collect();
    let (out, stay): (Vec<Class>, _) =
        std::mem::take(trained).into_iter().partition(|class| tested.contains(&folded(&class.name)));
    *trained = stay;
    let names: Vec<String> = out.iter().map(|class| format!("`{}`", class.name)).collect();
    (!names.is_empty()).then(|| {
        let (count, split) = (names.len(), split.name());
        format!("classes of split {split} that the test has too are left out, {count} of them: {}", named(&names, ", "))
    })
}

/// The most places that a message names; the others are counted.
const NAMED: usize = 20;
/// Tokens that CLIP's text tower reads.
const CONTEXT: usize = 77;

/// An error that names what the splits have in common. Where the dataset allows it, that is a note for the result in
/// place of the error; `None` where they have nothing in common. With `across`, the test is of another dataset than the
/// training, and this says what becomes of classes that both have.
///
/// # Errors
/// Also where two classes of one split have one text for CLIP, or a clip stands twice in one split, which nothing
/// allows; and where the files of a clip cannot be read.
pub(super) fn keep_apart(
    classes: &[(Split, &Class)],
    dataset: &dyn Dataset,
    across: Option<Overlap>,
) -> Result<Option<String>> {
    let (mut twice, mut common, mut seen) = (Vec::new(), Vec::new(), Vec::new());
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
                let reported = across == Some(Overlap::Report) && (split == Split::Test) != (other == Split::Test);
                let told = if reported { &mut seen } else { &mut common };
                told.push(match same == name {
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
        return Err(Error::failed(named(&twice, "\n  "))
            .help("tell classes apart with dataset.class_names; name each clip once"));
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
    let seen = (!seen.is_empty())
        .then(|| format!("the training has seen {} of the test's classes: {}", seen.len(), named(&seen, "; ")));
    if common.is_empty() {
        return Ok(seen);
    }
    let what = "the splits have classes or clips in common:";
    if dataset.allows_shared() {
        let note = format!("{what} {}; dataset.allow_shared allows it", named(&common, "; "));
        return Ok(Some(seen.into_iter().chain([note]).collect::<Vec<_>>().join("; ")));
    }
    Err(Error::failed(format!("{what}\n  {}", named(&common, "\n  "))).help(match across {
        None => {
            "a result on clips or classes of the training says nothing about new ones: take them out of one split, or \
             say --set dataset.allow_shared=true, which the result records"
        }
        Some(_) => {
            "a result on clips or classes of the training says nothing about new ones: `task.overlap: leave_out` takes \
             classes out of the training, `report` names them beside the result; clips must be taken out of one dataset"
        }
    }))
}

/// The first of these texts, with `between` between them, and how many there are beyond those.
fn named(texts: &[String], between: &str) -> String {
    first_of(texts.iter(), NAMED, between)
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
        keep_apart(&classes.iter().map(|(split, class)| (*split, class)).collect::<Vec<_>>(), &NoFiles(allow), None)
    }

    #[test]
    fn few_shot_classes_that_two_datasets_share_are_named_left_out_or_refused() {
        let class = |name: &str| Class { name: name.to_owned(), clips: vec![format!("{name}.mp4")] };
        let (mut train, test) = (vec![class("Push Up"), class("walk")], [class("push-up"), class("run")]);
        let look = |train: &[Class], across| {
            let all =
                train.iter().map(|class| (Split::Train, class)).chain(test.iter().map(|class| (Split::Test, class)));
            keep_apart(&all.collect::<Vec<_>>(), &NoFiles(false), Some(across))
        };
        let note = look(&train, Overlap::Report).unwrap().unwrap();
        assert!(note.contains("seen 1 of the test's classes") && note.contains("`push-up`"), "{note}");
        let error = look(&train, Overlap::Refuse).unwrap_err().to_string();
        assert!(error.contains("`Push Up`") && error.contains("task.overlap: leave_out"), "{error}");
        let told = leave_out(&mut train, &test, Split::Train).unwrap();
        assert!(told.contains("split train") && told.ends_with("1 of them: `Push Up`"), "{told}");
        assert_eq!(train.iter().map(|class| class.name.as_str()).collect::<Vec<_>>(), ["walk"]);
        assert_eq!(look(&train, Overlap::Refuse).unwrap(), None);
        assert_eq!(leave_out(&mut train, &test, Split::Train), None);
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
