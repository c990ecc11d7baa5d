//! What is on the page, with links to it.

use super::group::GroupView;
use crate::format;
use crate::summary::{ARROW, Group};
use serde::Serialize;

/// A link, and what lies below it.
#[derive(Debug, Serialize)]
pub struct Entry {
    anchor: String,
    title: String,
    below: Vec<Entry>,
}

impl Entry {
    pub fn new(anchor: &str, title: &str) -> Self {
        Self { anchor: anchor.to_owned(), title: title.to_owned(), below: Vec::new() }
    }

    /// A group, with its parts where it is open.
    pub fn of(group: &GroupView, title: &str) -> Self {
        let parts = if group.open { group.parts() } else { Vec::new() };
        let below = parts.into_iter().map(|(part, title)| Self::new(&format!("{}-{part}", group.anchor), title));
        Self { below: below.collect(), ..Self::new(&group.anchor, title) }
    }
}

/// What tells each group from the others, in a few words: `motion, 1-shot`.
pub fn short_titles(groups: &[Group]) -> Vec<String> {
    let data = short_data(groups.iter().map(|group| group.data.label.as_str()));
    let facts = groups.iter().zip(data).map(|(group, data)| {
        let measure = group.measure.as_ref();
        let shots = |of: fn(&crate::summary::Measure) -> String| measure.map(of).unwrap_or_default();
        [
            group.study.clone().unwrap_or_default(),
            format::words(&group.task),
            data,
            shots(|measure| format!("{}-way", measure.way)),
            shots(|measure| format!("{}-shot", measure.shot)),
            shots(|measure| format::words(&measure.metric)),
            group.shared.join(", "),
        ]
    });
    let facts: Vec<[String; 7]> = facts.collect();
    let differs = |at: usize| facts.iter().any(|other| other[at] != facts[0][at]);
    let title = |own: &[String; 7]| {
        let shown = own.iter().enumerate().filter(|(at, fact)| !fact.is_empty() && differs(*at));
        shown.map(|(_, fact)| fact.as_str()).collect::<Vec<_>>().join(", ")
    };
    let titles: Vec<String> = facts.iter().map(title).collect();
    let alone = |number: usize, title: String| match title.is_empty() {
        true if groups.len() == 1 => "Results".to_owned(),
        true => format!("table {}", number + 1),
        false => title,
    };
    titles.into_iter().enumerate().map(|(number, title)| alone(number, title)).collect()
}

/// Labels of data; where all are of one dataset, only the options in which they differ.
pub fn short_data<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let split = |side: &str| {
        let (name, options) = side.split_once(" (")?;
        Some((name.to_owned(), options.strip_suffix(')')?.to_owned()))
    };
    let sides: Vec<Vec<&str>> = labels.map(|label| label.split(ARROW).collect()).collect();
    let mut names = sides.iter().flatten().map(|side| split(side).map(|(name, _)| name));
    let first = names.next().flatten();
    let one = first.is_some() && names.all(|name| name == first);
    let short = |side: &&str| match split(side).filter(|_| one) {
        Some((_, options)) => options,
        None => format::words(side),
    };
    sides.iter().map(|sides| sides.iter().map(short).collect::<Vec<_>>().join(ARROW)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::Study;

    #[test]
    fn contents_say_only_what_differs() {
        let folder = tempfile::tempdir().unwrap();
        Study::default().write(folder.path(), 1);
        let titles = || short_titles(&summarise(&load(&[folder.path().to_owned()]).unwrap()).groups);
        assert_eq!(titles(), ["Results"]);
        Study { shot: 5, folder: "five".into(), ..Study::default() }.write(folder.path(), 1);
        assert_eq!(titles(), ["1-shot", "5-shot"]);
    }

    #[test]
    fn datasets_of_one_component_are_called_by_their_options() {
        let folder = tempfile::tempdir().unwrap();
        Study::default().write(folder.path(), 1);
        let mut group = summarise(&load(&[folder.path().to_owned()]).unwrap()).groups.remove(0);
        let labelled = |labels: &[&str], group: &mut Group| {
            let each = labels.iter().map(|label| {
                group.data.label = (*label).to_owned();
                group.clone()
            });
            short_titles(&each.collect::<Vec<_>>())
        };
        let one = ["shapes (motion)", "shapes (motion) → shapes (figures)"];
        assert_eq!(labelled(&one, &mut group), ["motion", "motion → figures"]);
        assert_eq!(labelled(&["shapes (motion)", "hmdb51"], &mut group), ["shapes (motion)", "hmdb51"]);
    }
}
