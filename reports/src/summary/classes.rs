//! How often each class was recognised, and which classes it was taken for.

use crate::episodes::Episodes;

/// Answers by class, over all runs of a variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classes {
    /// Sorted.
    pub names: Vec<String>,
    /// Queries of class `[true]` that were taken for class `[predicted]`.
    pub answers: Vec<Vec<u64>>,
    /// Queries of class `[true]` in episodes with class `[other]`: how often it could have been taken for that.
    pub chances: Vec<Vec<u64>>,
}

impl Classes {
    /// `None` where no run has records of its episodes.
    pub fn of(runs: &[&Episodes]) -> Option<Self> {
        let mut names: Vec<String> = runs.iter().flat_map(|run| run.list.classes.iter().cloned()).collect();
        names.sort();
        names.dedup();
        let count = names.len();
        let mut classes = Self { answers: vec![vec![0; count]; count], chances: vec![vec![0; count]; count], names };
        runs.iter().for_each(|run| classes.add(run));
        (count > 0).then_some(classes)
    }

    fn add(&mut self, run: &Episodes) {
        let list = &run.list;
        let place = |name: &String| self.names.binary_search(name).unwrap_or_default();
        let places: Vec<usize> = list.classes.iter().map(place).collect();
        let answers = list.labels.iter().zip(&run.predictions);
        for (number, (label, prediction)) in answers.enumerate() {
            let episode = list.classes_of(number / list.queries);
            let at = |position: u16| places[episode[usize::from(position)] as usize];
            let class = at(*label);
            self.answers[class][at(*prediction)] += 1;
            episode.iter().for_each(|other| self.chances[class][places[*other as usize]] += 1);
        }
    }

    /// Share of the queries of `class` that were recognised; `None` where it was never asked.
    pub fn accuracy(&self, class: usize) -> Option<f64> {
        self.share(class, class)
    }

    /// Share of the queries of `class` that were taken for `other`, of those that could have been.
    pub fn share(&self, class: usize, other: usize) -> Option<f64> {
        let chances = self.chances[class][other];
        (chances > 0).then(|| self.answers[class][other] as f64 / chances as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::episodes::List;
    use std::sync::Arc;

    /// Episodes (a, b) and (c, a), one query of each class: a is taken for b, b for b; c for a, a for a.
    #[test]
    fn answers_are_counted_by_class() {
        let list = List {
            ids: vec![0, 1],
            classes: ["a", "b", "c"].map(String::from).into(),
            way: 2,
            queries: 2,
            classes_of: vec![0, 1, 2, 0],
            labels: vec![0, 1, 0, 1],
            ..List::default()
        };
        let run = Episodes { list: Arc::new(list), predictions: vec![1, 1, 1, 1] };
        let classes = Classes::of(&[&run]).unwrap();
        assert_eq!(classes.answers, [[1, 1, 0], [0, 1, 0], [1, 0, 0]]);
        assert_eq!([0, 1, 2].map(|class| classes.accuracy(class)), [Some(0.5), Some(1.0), Some(0.0)]);
        // Class a met b once, in the episode where it was taken for it.
        assert_eq!((classes.share(0, 1), classes.share(1, 2)), (Some(1.0), None));
        assert_eq!(Classes::of(&[]), None);
    }
}
