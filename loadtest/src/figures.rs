//! Figures of several rounds.

/// The one in the middle, or what is halfway between the two there; 0 where there are none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied();
    let (upper, lower) = (at(values.len() / 2), at(values.len().saturating_sub(1) / 2));
    upper.zip(lower).map(|(upper, lower)| f64::midpoint(upper, lower)).unwrap_or_default()
}

/// A count, for ratios.
#[expect(clippy::cast_precision_loss, reason = "for printing")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        for (values, middle) in
            [(vec![], 0.0), (vec![7.0], 7.0), (vec![4.0, 2.0], 3.0), (vec![9.0, 3.0, 4.0], 4.0), (vec![8.0, 1.0, 2.0, 6.0], 4.0)]
        {
            assert!((median(values.clone()) - middle).abs() < f64::EPSILON, "{values:?}");
        }
    }
}
