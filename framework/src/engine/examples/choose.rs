//! The choice of the queries that are shown.

use crate::engine::episodes::EpisodeList;
use crate::engine::evaluation::Outcome;
use crate::random::Stream;
use crate::runs::examples::Rule;
use std::collections::BTreeSet;

/// A chosen query: its episode, and its position among the queries of that episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub rule: Rule,
    pub episode: usize,
    pub query: usize,
}

/// A query of the test and its result.
struct Asked {
    place: (usize, usize),
    /// The class in the split and the clip in the class.
    clip: (usize, usize),
    right: bool,
    /// The highest probability, and how much higher it is than the second.
    probability: f32,
    lead: f32,
}

impl Asked {
    fn new(
        place: (usize, usize),
        label: usize,
        clip: (usize, usize),
        prediction: usize,
        probabilities: &[f32],
    ) -> Self {
        let probability = probabilities[prediction];
        let others = probabilities.iter().enumerate().filter(|(class, _)| *class != prediction);
        let second = others.map(|(_, probability)| *probability).fold(f32::NEG_INFINITY, f32::max);
        Self { place, clip, right: label == prediction, probability, lead: probability - second }
    }
}

/// Chooses up to `count` queries by each rule, in the order of the rules. A clip is chosen at most once, by the first
/// rule that selects it in some episode, and a rule chooses at most one query of an episode. Of equal ones, the first
/// in the list is chosen.
pub fn choose(list: &EpisodeList, outcomes: &[Outcome], count: usize) -> Vec<Choice> {
    let asked: Vec<Asked> = list
        .episodes
        .iter()
        .zip(outcomes)
        .enumerate()
        .flat_map(|(episode, (drawn, outcome))| {
            drawn.queries.iter().enumerate().map(move |(query, &(label, clip))| {
                let clip = (drawn.classes[label], clip);
                Asked::new((episode, query), label, clip, outcome.predictions[query], &outcome.probabilities[query])
            })
        })
        .collect();
    let mut mistakes: Vec<&Asked> = asked.iter().filter(|asked| !asked.right).collect();
    mistakes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    let mut close: Vec<&Asked> = asked.iter().collect();
    close.sort_by(|a, b| a.lead.total_cmp(&b.lead));
    let order = Stream::new(0, &format!("examples of {}", list.hash)).at(0).distinct(asked.len(), asked.len());
    let drawn: Vec<&Asked> = order.into_iter().map(|at| &asked[at]).collect();

    let mut chosen = BTreeSet::new();
    let mut choices = Vec::new();
    for (rule, candidates) in [(Rule::ConfidentMistake, mistakes), (Rule::CloseCall, close), (Rule::Random, drawn)] {
        let mut episodes = BTreeSet::new();
        for Asked { place: (episode, query), clip, .. } in candidates {
            if episodes.len() == count {
                break;
            }
            let (episode, query) = (*episode, *query);
            if !episodes.contains(&episode) && chosen.insert(*clip) {
                episodes.insert(episode);
                choices.push(Choice { rule, episode, query });
            }
        }
    }
    choices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::episodes::{Episode, Shape};

    /// Episodes of three classes: label and probabilities of each query.
    fn test(episodes: &[&[(usize, [f32; 3])]]) -> (EpisodeList, Vec<Outcome>) {
        let shape = Shape { way: 3, shot: 1, queries: 1 };
        let mut clip = 0;
        let drawn = episodes.iter().map(|queries| Episode {
            classes: vec![0, 1, 2],
            support: vec![vec![0]; 3],
            queries: queries
                .iter()
                .map(|(label, _)| {
                    clip += 1;
                    (*label, clip)
                })
                .collect(),
        });
        let list = EpisodeList { shape, episodes: drawn.collect(), hash: "a list".to_owned() };
        let outcome = |queries: &&[(usize, [f32; 3])]| Outcome {
            predictions: queries.iter().map(|(_, p)| (0..3).fold(0, |b, c| if p[c] > p[b] { c } else { b })).collect(),
            correct: 0,
            distances: vec![vec![0.0; 3]; queries.len()],
            probabilities: queries.iter().map(|(_, p)| p.to_vec()).collect(),
        };
        (list, episodes.iter().map(outcome).collect())
    }

    #[test]
    fn the_rules_choose_what_they_say() {
        let (list, outcomes) = test(&[
            // Right; wrong with 0.7; wrong with 0.9.
            &[(0, [0.8, 0.1, 0.1]), (1, [0.7, 0.2, 0.1]), (2, [0.9, 0.1, 0.0])],
            // Wrong with 0.8; right by 0.02.
            &[(2, [0.1, 0.8, 0.1]), (0, [0.5, 0.48, 0.02])],
            // Wrong by 0.01: the closest call, and the third mistake.
            &[(1, [0.45, 0.44, 0.11])],
        ]);
        let chosen = |count: usize| -> Vec<(Rule, usize, usize)> {
            choose(&list, &outcomes, count).into_iter().map(|c| (c.rule, c.episode, c.query)).collect()
        };
        assert_eq!(chosen(0), []);
        let (mistake, close) = (Rule::ConfidentMistake, Rule::CloseCall);
        let two = chosen(2);
        // One of each episode; the mistake of 0.7 is in the episode of the one of 0.9.
        assert_eq!(two[..4], [(mistake, 0, 2), (mistake, 1, 0), (close, 2, 0), (close, 1, 1)]);
        // What is left is in one episode.
        assert!(two.len() == 5 && (two[4].0, two[4].1) == (Rule::Random, 0), "{two:?}");
        // The third mistake is the closest call, and is shown once.
        let three = chosen(3);
        assert_eq!(three[..3], [(mistake, 0, 2), (mistake, 1, 0), (mistake, 2, 0)]);
        assert_eq!(three[3..5], [(close, 1, 1), (close, 0, 1)]);
        let places: BTreeSet<(usize, usize)> = three.iter().map(|(_, episode, query)| (*episode, *query)).collect();
        // All six queries are asked for and there are no more.
        assert_eq!((places.len(), three.len()), (6, 6));
        assert_eq!(three[5], (Rule::Random, 0, 0));
    }

    #[test]
    fn a_clip_is_chosen_once_whatever_the_episodes() {
        let wrong = (0, [0.1, 0.8, 0.1]);
        let (mut list, outcomes) = test(&[&[wrong], &[wrong], &[wrong]]);
        list.episodes.iter_mut().for_each(|episode| episode.queries[0].1 = 7);
        assert_eq!(choose(&list, &outcomes, 3).len(), 1);
        list.episodes[2].queries[0].1 = 8;
        assert_eq!(choose(&list, &outcomes, 3).len(), 2);
    }

    #[test]
    fn the_list_decides_the_draw() {
        let queries: Vec<(usize, [f32; 3])> = (0..40).map(|_| (0, [0.6, 0.3, 0.1])).collect();
        let episodes: Vec<&[(usize, [f32; 3])]> = queries.chunks(1).collect();
        let (mut list, outcomes) = test(&episodes);
        let drawn = |list: &EpisodeList| -> Vec<Choice> {
            choose(list, &outcomes, 3).into_iter().filter(|choice| choice.rule == Rule::Random).collect()
        };
        let before = drawn(&list);
        assert_eq!(before, drawn(&list));
        list.hash = "another".to_owned();
        assert_ne!(before, drawn(&list));
    }
}
