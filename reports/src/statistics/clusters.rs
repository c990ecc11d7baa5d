//! The interval over classes and videos: what another set of novel classes and other videos of them would change.

use super::{Interval, mean, t_quantile};
use crate::episodes::List;

/// The mean of `values`, one for each query of `list` in order, with its 95 % interval over classes and videos; `None`
/// where the records name no clips, or there are fewer than three classes, or no more than an episode has.
///
/// Episodes share classes and videos, so they are no independent draws of either. The interval is that of a cluster
/// bootstrap: classes are drawn with replacement, and videos with replacement within each class drawn. The mean is a
/// U-statistic of classes and videos; to first order (Hájek's projection) a draw changes it by the sum of the
/// influences
///
/// ```text
/// I_class = Σ (x − x̄) / M  over the queries of all episodes with that class
/// I_video = Σ (x − x̄) / M  over its own queries, and over all queries of the episodes that it supports
/// ```
///
/// of M queries x; the deviation of a class is stretched by (C − 1) / (C − way), see below. The bootstrap variance of
/// such a sum needs no resampling: Σ (I_class − mean)² + Σ (I_video − mean of its class)². The half width is Student's
/// t with C − 1 degrees of freedom, times √(C / (C − 1)), as C classes are few.
pub fn over_clusters(list: &List, values: &[f64]) -> Option<Interval> {
    let classes = list.classes.len();
    if list.clips.is_empty() || classes < 3 || classes <= list.way || values.is_empty() {
        return None;
    }
    let mean = mean(values.iter().copied())?;
    let (of_classes, of_clips) = influences(list, values, mean);
    let mut videos: Vec<(f64, usize)> = vec![(0.0, 0); classes];
    for (clip, influence) in of_clips.iter().enumerate() {
        let class = &mut videos[list.class_of_clip[clip] as usize];
        *class = (class.0 + influence, class.1 + 1);
    }
    let average = of_classes.iter().sum::<f64>() / classes as f64;
    let between: f64 = of_classes.iter().map(|influence| (stretch(list) * (influence - average)).powi(2)).sum();
    let within = of_clips.iter().enumerate().map(|(clip, influence)| {
        let (sum, number) = videos[list.class_of_clip[clip] as usize];
        (influence - sum / number as f64).powi(2)
    });
    let variance = between + within.sum::<f64>();
    let few = classes as f64 / (classes - 1) as f64;
    Some(Interval { mean, half_width: t_quantile(classes - 1) * (variance * few).sqrt() })
}

/// What the influence of a class counts for. The other classes of its episodes come out of the same C, not out of all
/// that could be: that shrinks how it deviates by (C − way) / (C − 1).
fn stretch(list: &List) -> f64 {
    (list.classes.len() - 1) as f64 / (list.classes.len() - list.way) as f64
}

/// Influence of each class and of each clip on the mean.
fn influences(list: &List, values: &[f64], mean: f64) -> (Vec<f64>, Vec<f64>) {
    let share = 1.0 / values.len() as f64;
    let mut of_classes = vec![0.0; list.classes.len()];
    let mut of_clips = vec![0.0; list.clips.len()];
    for (episode, values) in values.chunks(list.queries).enumerate() {
        let whole: f64 = values.iter().map(|value| (value - mean) * share).sum();
        list.classes_of(episode).iter().for_each(|class| of_classes[*class as usize] += whole);
        list.support_of(episode).iter().for_each(|clip| of_clips[*clip as usize] += whole);
        for (clip, value) in list.queries_of(episode).iter().zip(values) {
            of_clips[*clip as usize] += (value - mean) * share;
        }
    }
    (of_classes, of_clips)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::drawn;
    use maclip_framework::random::Stream;

    /// The closed form against drawing: classes and videos with replacement, 20,000 times, by the linear weights.
    #[test]
    fn the_closed_form_is_the_bootstrap_it_stands_for() {
        let (list, values) = drawn(7, 8, 6, 400);
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let (of_classes, of_clips) = influences(&list, &values, mean);
        let average = of_classes.iter().sum::<f64>() / of_classes.len() as f64;
        let of_classes: Vec<f64> =
            of_classes.iter().map(|influence| average + stretch(&list) * (influence - average)).collect();
        let clips: Vec<Vec<usize>> = (0..list.classes.len())
            .map(|class| (0..list.clips.len()).filter(|clip| list.class_of_clip[*clip] as usize == class).collect())
            .collect();
        let stream = Stream::new(1, "bootstrap");
        let draws: Vec<f64> = (0..20_000)
            .map(|index| {
                let mut rng = stream.at(index);
                let mut change = -of_classes.iter().sum::<f64>();
                for _ in 0..list.classes.len() {
                    let class = rng.below(list.classes.len());
                    change += of_classes[class];
                    change -= clips[class].iter().map(|clip| of_clips[*clip]).sum::<f64>();
                    for _ in &clips[class] {
                        change += of_clips[clips[class][rng.below(clips[class].len())]];
                    }
                }
                change
            })
            .collect();
        let (_, deviation) = crate::statistics::moments(&draws).unwrap();
        let classes = list.classes.len();
        let wanted = t_quantile(classes - 1) * deviation * (classes as f64 / (classes - 1) as f64).sqrt();
        let interval = over_clusters(&list, &values).unwrap();
        assert!((interval.half_width / wanted - 1.0).abs() < 0.03, "{} is not {wanted}", interval.half_width);
    }

    /// By hand: two-way episodes of three classes A, B, C with one clip each, (A, B), (A, C), (B, C); right 1, 1, 0 of
    /// one query of the first class. M = 3, mean 2/3. Influences ×9: A 1 + 1 = 2, B 1 − 2 = −1, C −1; the videos of a
    /// class that has one are their own mean, so only the classes vary: variance 2² · (4 + 1 + 1) / 81, stretched by (3
    /// − 1) / (3 − 2).
    #[test]
    fn three_classes_by_hand() {
        let list = List {
            ids: vec![0, 1, 2],
            classes: ["A", "B", "C"].map(String::from).into(),
            clips: ["a", "b", "c"].map(String::from).into(),
            class_of_clip: vec![0, 1, 2],
            way: 2,
            supports: 0,
            queries: 1,
            classes_of: vec![0, 1, 0, 2, 1, 2],
            support_of: vec![],
            queries_of: vec![0, 0, 1],
            labels: vec![0, 0, 0],
        };
        let interval = over_clusters(&list, &[1.0, 1.0, 0.0]).unwrap();
        let wanted = 4.302653 * (24.0f64 / 81.0 * 1.5).sqrt();
        assert!((interval.half_width - wanted).abs() < 1e-5, "{} is not {wanted}", interval.half_width);
    }

    #[test]
    fn records_without_clips_have_no_such_interval() {
        let (mut list, values) = drawn(7, 8, 6, 10);
        list.clips.clear();
        assert_eq!(over_clusters(&list, &values), None);
    }
}
