//! Figures of several rounds.

/// The one in the middle; 0 where there are none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A count, for ratios.
#[expect(clippy::cast_precision_loss, reason = "for printing")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
