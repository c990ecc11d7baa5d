//! Where the numbers of a group come from.

use crate::format;
use crate::load::Run;
use std::collections::BTreeSet;

/// What the runs of a group were made with: each a name and its values, those without a value left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    pub facts: Vec<(&'static str, Vec<String>)>,
}

impl Provenance {
    pub fn of(runs: &[&Run]) -> Self {
        let manifests = || runs.iter().map(|run| &run.directory.manifest);
        let attempts = || manifests().filter_map(|manifest| manifest.last_attempt());
        let seeds: BTreeSet<u64> = manifests().map(|manifest| manifest.seed).collect();
        let days: BTreeSet<String> =
            attempts().map(|attempt| attempt.started_unix).filter(|start| *start > 0).map(format::date).collect();
        let days = match (days.first(), days.last()) {
            (Some(first), Some(last)) if first != last => vec![format!("{first} to {last}")],
            (first, _) => first.into_iter().cloned().collect(),
        };
        let tests = runs.iter().filter_map(|run| run.result());
        let device = |attempt: &maclip_framework::runs::records::Attempt| match &attempt.accelerator {
            Some(name) => format!("{} ({name})", attempt.device),
            None => format!("{} ({}, {})", attempt.device, attempt.cpu, format::plural(attempt.threads, "thread")),
        };
        let facts = vec![
            ("seeds", seeds.into_iter().map(|seed| seed.to_string()).collect()),
            ("test list", distinct(tests.map(|test| format::short_hash(&test.episodes_hash)))),
            ("data", distinct(manifests().filter_map(|m| m.lists.get("test")).map(|sum| format::short_hash(sum)))),
            ("device", distinct(attempts().map(device))),
            ("host", distinct(attempts().filter_map(|attempt| attempt.host.clone()))),
            ("maclip", distinct(attempts().map(|attempt| attempt.maclip_version.clone()))),
            ("commit", distinct(attempts().filter_map(|attempt| attempt.commit.clone()))),
            ("records", distinct(manifests().map(|manifest| format!("format {}", manifest.format)))),
            ("date", days),
        ];
        Self { facts: facts.into_iter().filter(|(_, values)| !values.is_empty()).collect() }
    }
}

fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    values.filter(|value| !value.is_empty()).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::study;
    use maclip_framework::runs::records::FORMAT;

    #[test]
    fn facts_that_all_runs_share_are_said_once() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let group = summarise(&load(&[folder.path().to_owned()]).unwrap()).groups.remove(0);
        let fact = |name: &str| {
            let found = group.provenance.facts.iter().find(|(known, _)| *known == name);
            found.map(|(_, values)| values.join("; ")).unwrap_or_default()
        };
        assert_eq!((fact("seeds"), fact("test list")), ("0; 1; 2".into(), "5f0c2a91".into()));
        assert_eq!((fact("device"), fact("date")), ("flex (Example CPU, 2 threads)".into(), "1970-01-01".into()));
        assert_eq!((fact("commit"), fact("records")), (String::new(), format!("format {FORMAT}")));
    }
}
