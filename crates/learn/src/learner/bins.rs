//! Candidate splits of columns with many values.
//!
//! XGBoost chooses a column's candidate splits from a sketch of its values, which is exact while each value
//! has a bin of its own and an approximation beyond, a different one when the rows are divided among processes.
//! So a column with more values is binned here first: each value becomes the least value of its bin. A split `x < s`
//! then lies at a least value, where it parts the original values as it parts the binned ones: the
//! model is one of the original values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use clinical::study::Parameters;

use super::cases::weighted;
use super::job::Job;
use crate::Matrix;

/// The job with its many-valued columns binned, where XGBoost is to fit it from nothing: a model that
/// is continued has splits elsewhere.
pub(super) fn binned(job: &Job) -> Cow<'_, Job> {
    let Parameters::Xgboost(settings) = &job.parameters else { return Cow::Borrowed(job) };
    if job.start.is_some() {
        return Cow::Borrowed(job);
    }
    let (counts, _) = job.counts();
    let counts = weighted(&counts, &job.weights());
    let weights: Vec<f64> = counts.iter_rows().map(|row| row.iter().sum()).collect();
    let mut x = Cow::Borrowed(&job.x);
    for column in 0..job.x.columns() {
        if let Some(least) = least_values(&job.x, column, &weights, settings.bins) {
            let x: &mut Matrix<f32> = x.to_mut();
            for row in 0..x.rows() {
                let value = &mut x.row_mut(row)[column];
                let above = least.partition_point(|least| least <= value);
                *value = least.get(above.saturating_sub(1)).copied().unwrap_or(*value);
            }
        }
    }
    match x {
        Cow::Borrowed(_) => Cow::Borrowed(job),
        // What is scored by default are the rows themselves: the same margins.
        Cow::Owned(x) => Cow::Owned(Job { x, ..job.clone() }),
    }
}

/// The least value of each bin, ascending: bins of about equal weight, never more than `bins`. None where each
/// value has a bin of its own.
fn least_values(x: &Matrix<f32>, column: usize, weights: &[f64], bins: usize) -> Option<Vec<f32>> {
    let mut values = BTreeMap::new();
    for (row, weight) in x.iter_rows().zip(weights).filter(|(_, weight)| **weight > 0.0) {
        // Bits of a finite number in the order of the numbers.
        let bits = (row[column] + 0.0).to_bits();
        let order = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
        values.entry(order).or_insert((row[column], 0.0)).1 += weight;
    }
    if values.len() <= bins {
        return None;
    }
    let total: f64 = values.values().map(|(_, weight)| weight).sum();
    let (mut least, mut last, mut before) = (Vec::with_capacity(bins), None, 0.0);
    for (value, weight) in values.into_values() {
        let bin = (before / total * bins as f64) as usize;
        if last != Some(bin) {
            least.push(value);
            last = Some(bin);
        }
        before += weight;
    }
    Some(least)
}

#[cfg(test)]
mod tests {
    use clinical::study::Xgboost;

    use super::super::job::Target;
    use super::*;

    fn job(values: Vec<f32>, bins: usize) -> Job {
        let rows = values.len();
        let x = Matrix::from_vec(rows, 1, values).unwrap();
        let counts = (0..rows).flat_map(|row| [1.0, f64::from(u8::from(row % 2 == 0))]).collect();
        let target = Target::Counts { train: Matrix::from_vec(rows, 2, counts).unwrap(), held_out: None };
        Job::new(x, target, Parameters::Xgboost(Xgboost { bins, ..Xgboost::default() }))
    }

    #[test]
    fn bins_have_equal_weight_and_their_least_value() {
        let job = job((-50..50).map(|value| value as f32).collect(), 4);
        let binned = binned(&job);
        let mut sums = BTreeMap::new();
        let (counts, _) = job.counts();
        for (row, value) in binned.x.as_slice().iter().enumerate() {
            *sums.entry(*value as i32).or_insert(0.0) += counts.row(row).iter().sum::<f64>();
        }
        let least: Vec<i32> = sums.keys().copied().collect();
        assert_eq!(least, [-50, -25, 0, 25]);
        assert!(sums.values().all(|sum: &f64| (sum - 37.5).abs() < 2.0), "{sums:?}");
        // A split at a least value parts the original values alike.
        for (original, binned) in job.x.as_slice().iter().zip(binned.x.as_slice()) {
            assert!(least.iter().all(|&s| (*original < s as f32) == (*binned < s as f32)));
        }
    }

    #[test]
    fn few_values_and_continued_models_are_left_alone() {
        let few = job((0..4).map(|value| value as f32).collect(), 4);
        assert!(matches!(binned(&few), Cow::Borrowed(_)));
        let many = job((0..100).map(|value| value as f32).collect(), 4);
        assert!(matches!(binned(&many), Cow::Owned(_)));
        assert!(matches!(binned(&Job { start: Some(Vec::new()), ..many }), Cow::Borrowed(_)));
    }
}
