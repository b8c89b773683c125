//! Training XGBoost on counted cells gives the model that its own objective gives on the rows.

use std::collections::BTreeMap;

use learn::Matrix;
use learn::learner::{Fit, Job, Parameters, Target, Xgboost};

use crate::cohort::{cells, difference, encode, every, rows};
use crate::worker::trainer;

fn fit(x: Matrix<f32>, target: Target, score: &Matrix<f32>, change: fn(&mut Xgboost)) -> Fit {
    let mut settings = Xgboost {
        rounds: 50,
        early_stopping: None,
        subsample: 1.0,
        columns: 1.0,
        depth: 6,
        eta: 0.1,
        bins: 256,
        ..Xgboost::default()
    };
    change(&mut settings);
    let job = Job::new(x, target, Parameters::Xgboost(settings));
    trainer(1).fit(&Job { score: Some(score.clone()), seed: 7, ..job }, &mut |_| {}).unwrap()
}

/// The largest differences seen with XGBoost 3.4.1 on large cohorts are 1.2e-7 (merged by features
/// and label) and 2e-7 (merged by features, exact gradients on counts); single precision leaves no
/// smaller ones. Ten times that is allowed.
const TOLERANCE: f64 = 2e-6;

fn compare(change: fn(&mut Xgboost)) {
    let rows = rows();
    let every = every();

    let labels = rows.iter().map(|(_, label)| *label).collect::<Vec<_>>();
    let by_row = Target::Labels { weights: vec![1.0; rows.len()], labels, classes: 3 };
    let by_row = fit(encode(rows.iter().map(|(features, _)| *features)), by_row, &every, change);

    let mut merged = BTreeMap::<_, f32>::new();
    rows.iter().for_each(|&row| *merged.entry(row).or_default() += 1.0);
    let labels = merged.keys().map(|(_, label)| *label).collect();
    let weighted = Target::Labels { labels, weights: merged.values().copied().collect(), classes: 3 };
    let weighted = fit(encode(merged.keys().map(|(features, _)| *features)), weighted, &every, change);

    let (x, train) = cells(&rows);
    assert!(x.rows() * 9 < rows.len(), "merging must merge");
    let counted = fit(x, Target::Counts { train, held_out: None }, &every, change);

    assert!(difference(&by_row, &weighted) < TOLERANCE, "weighted cells: {}", difference(&by_row, &weighted));
    assert!(difference(&by_row, &counted) < TOLERANCE, "counted cells: {}", difference(&by_row, &counted));
}

#[test]
fn cells_train_the_model_of_the_rows() {
    compare(|_| {});
}

#[test]
fn so_they_do_with_column_sampling_penalties_and_few_bins() {
    compare(|settings| {
        settings.columns = 0.5;
        settings.min_child_weight = 5.0;
        settings.lambda = 2.0;
        settings.bins = 12;
    });
}
