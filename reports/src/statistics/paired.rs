//! The difference of two variants on the same episodes.

use super::{Interval, moments, over_clusters, sign_flip};
use crate::episodes::{Right, same_list};

/// A difference in accuracy, paired by episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    /// 1.96·s/√n over episodes, given these videos and these trained models.
    pub over_episodes: Interval,
    /// The same over classes and videos, where the records name them.
    pub over_clusters: Option<Interval>,
    /// Of no difference, two-sided: exact sign-flip permutation over episodes. Not corrected for other comparisons.
    pub p: f64,
}

/// `variant` less `baseline`, each averaged over its seeds before the difference, so that pairing removes the
/// difficulty of an episode.
///
/// # Errors
/// The reason, where the two were not tested on the same episodes or there are fewer than two.
pub fn paired(variant: &Right, baseline: &Right) -> Result<Paired, String> {
    if !same_list(&variant.list, &baseline.list) {
        return Err("the records of the episodes are not of the same episodes".into());
    }
    let whole: Vec<i64> = variant
        .per_episode()
        .zip(baseline.per_episode())
        .map(|(own, other)| own as i64 * baseline.seeds as i64 - other as i64 * variant.seeds as i64)
        .collect();
    let one = (variant.seeds * baseline.seeds * variant.list.queries) as f64;
    let differences: Vec<f64> = whole.iter().map(|difference| *difference as f64 / one).collect();
    let (mean, deviation) = moments(&differences).ok_or("fewer than two episodes are no comparison")?;
    let half_width = 1.96 * deviation / (differences.len() as f64).sqrt();
    let (own, other) = (variant.shares(), baseline.shares());
    let queries: Vec<f64> = own.zip(other).map(|(own, other)| own - other).collect();
    Ok(Paired {
        over_episodes: Interval { mean, half_width },
        over_clusters: over_clusters(&variant.list, &queries),
        p: sign_flip(&whole),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::right;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    /// By hand: five queries an episode, differences 0.2, 0.4, 0.0, 0.2; mean 0.2; s² = 0.08/3; half width
    /// 1.96·√(0.08/3/4). Signs: the sum is 4 fifths of ±1 ±2 ±1, so 2 of 8.
    #[test]
    fn differences_are_paired_by_episode() {
        let variant = right(&[&[3, 5, 1, 2]]);
        let baseline = right(&[&[2, 3, 1, 1]]);
        let difference = paired(&variant, &baseline).unwrap();
        close(difference.over_episodes.mean, 0.2);
        close(difference.over_episodes.half_width, 1.96 * (0.08f64 / 12.0).sqrt());
        close(difference.p, 2.0 / 8.0);
        // Two seeds that err in opposite directions on an episode average out before the difference.
        let seeds = right(&[&[4, 5, 2, 3], &[2, 5, 0, 1]]);
        close(paired(&seeds, &baseline).unwrap().over_episodes.half_width, difference.over_episodes.half_width);
        close(paired(&seeds, &baseline).unwrap().p, 2.0 / 8.0);
    }

    #[test]
    fn other_episodes_have_no_difference() {
        let reason = paired(&right(&[&[3, 5, 1]]), &right(&[&[3, 5, 1, 2]])).unwrap_err();
        assert!(reason.contains("not of the same episodes"), "{reason}");
        assert!(paired(&right(&[&[3]]), &right(&[&[2]])).unwrap_err().contains("fewer than two"));
    }
}
