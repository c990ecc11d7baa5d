//! Holm's correction for several comparisons in one table.

/// Adjusted p-values in the order given (Holm, Scandinavian Journal of Statistics 1979): the smallest times the number
/// of comparisons, the next times one less, …, never below the one before and at most 1.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0f64;
    for (rank, position) in order.into_iter().enumerate() {
        largest = largest.max((p.len() - rank) as f64 * p[position]).min(1.0);
        adjusted[position] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of textbooks: 0.01, 0.04, 0.03, 0.005. By hand: 4 · 0.005 = 0.02, 3 · 0.01 = 0.03, 2 · 0.03 = 0.06,
    /// and 0.04 stays at the 0.06 before it.
    #[test]
    fn a_hand_computed_case() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (adjusted, wanted) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((adjusted - wanted).abs() < 1e-12, "{adjusted} is not {wanted}");
        }
        assert_eq!(holm(&[0.7, 0.9]), [1.0, 1.0]);
        assert_eq!(holm(&[]), Vec::<f64>::new());
    }
}
