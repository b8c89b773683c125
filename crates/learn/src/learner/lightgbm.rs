//! LightGBM: rounds of its own `multiclass` objective on weighted rows, one per cell and class.
//!
//! The library counts rows where it should count cases: in `min_data_in_leaf`, in the bins of a column,
//! in bagging. So the first is switched off (`min_sum_hessian_in_leaf` counts cases), bins come from a
//! sample of cases, and bagging is a draw of each row's weight. Then weights equal repeated rows.

use std::collections::BTreeMap;

use clinical::study::Lightgbm;

use super::cases::{Cases, mean_log_loss, totals, weighted};
use super::job::{Fit, Job};
use super::stopping::Stopping;
use crate::ffi::{Dataset, LightGbm, Saved, Training};
use crate::{Matrix, Result};

/// Cases that the bins of a column are found from; with more, each value gets its share of so many.
const SAMPLED: usize = 200_000;

/// Fits one model; `progress` gets the rounds done and the latest held-out loss.
///
/// # Errors
/// When the library fails.
pub(super) fn fit(
    library: &LightGbm,
    settings: &Lightgbm,
    job: &Job,
    mut progress: impl FnMut(usize, Option<f64>) -> Result<()>,
) -> Result<Fit> {
    let parameters = parameters(settings, job);
    let (counts, held_out) = job.counts();
    let cases = Cases::of(&counts, 0);
    let rows = Rows::of(&cases.counts);
    let x = job.x.select(&cases.rows).select(&rows.cells);
    let of_class = job.weights();
    let held_out = held_out.map(|counts| Watched::of(job, counts));
    let start = job.start.as_deref().map(|model| Saved::read(library, model)).transpose()?;

    let sample = Sample::of(&job.x.select(&cases.rows), &weighted(&cases.counts, &of_class));
    let mut train = Dataset::new(library, &x, sample.columns, sample.size, &parameters)?;
    train.set(c"label", &rows.labels)?;
    train.set(c"weight", &rows.weights(&cases.counts, &of_class))?;
    let mut watched = held_out.as_ref().map(|held_out| train.like(&held_out.x)).transpose()?;
    let mut at_start = None;
    if let Some(start) = &start {
        train.set_margins(&start.margins(&x, &parameters)?)?;
        if let (Some(held_out), Some(watched)) = (&held_out, &mut watched) {
            let margins = start.margins(&held_out.x, &parameters)?;
            watched.set_margins(&margins)?;
            at_start = Some(held_out.loss(&single(&margins)));
        }
    }
    let mut stopping = Stopping::new(settings.early_stopping, at_start);
    let before = start.as_ref().map_or(0, Saved::rounds);
    let mut training = Training::new(train, watched, start.as_ref(), job.classes(), &parameters)?;
    let mut rounds = 0;
    for round in 0..settings.rounds {
        if settings.subsample < 1.0 {
            let drawn = cases.thinned(settings.subsample, job.seed, before + round)?;
            training.reweight(&rows.weights(&drawn, &of_class))?;
        }
        if !training.update()? {
            break;
        }
        rounds = round + 1;
        let mut stop = false;
        if let (Some(p), Some(held_out)) = (training.held_out()?, &held_out) {
            stop = stopping.after_round(held_out.loss(&logs(&p)));
        }
        progress(rounds, stopping.last())?;
        if stop {
            break;
        }
    }
    let rounds = before + stopping.best().unwrap_or(rounds);
    let model = match &job.start {
        // Nothing was added that helps.
        Some(start) if rounds == before => start.clone(),
        _ => training.save(rounds.max(1))?,
    };
    let fitted = Saved::read(library, &model)?;
    Ok(Fit {
        margins: single(&fitted.margins(job.score.as_ref().unwrap_or(&job.x), &parameters)?),
        rounds: fitted.rounds(),
        engine: format!("{} {}", job.parameters.learner().name(), library.version()),
        model,
        held_out_loss: stopping.into_losses(),
    })
}

/// The held-out rows that have cases.
struct Watched {
    x: Matrix<f32>,
    /// Their cases times the classes' weights.
    counts: Matrix<f64>,
}

impl Watched {
    fn of(job: &Job, counts: &Matrix<f64>) -> Self {
        let cases = Cases::of(counts, 0);
        Watched { x: job.x.select(&cases.rows), counts: weighted(&cases.counts, &job.weights()) }
    }

    fn loss(&self, margins: &Matrix<f32>) -> f64 {
        mean_log_loss(margins, &self.counts)
    }
}

fn parameters(settings: &Lightgbm, job: &Job) -> String {
    let seed = job.seed & 0x7fff_ffff;
    let named = [
        ("objective", "multiclass".to_owned()),
        ("num_class", job.classes().to_string()),
        ("metric", "none".to_owned()),
        ("learning_rate", settings.eta.to_string()),
        ("num_leaves", settings.leaves.to_string()),
        ("max_depth", settings.depth.to_string()),
        ("feature_fraction_bynode", settings.columns.to_string()),
        ("max_bin", settings.bins.to_string()),
        ("min_sum_hessian_in_leaf", settings.min_child_weight.to_string()),
        ("lambda_l2", settings.lambda.to_string()),
        ("min_data_in_leaf", "0".to_owned()),
        ("min_data_in_bin", "1".to_owned()),
        ("feature_pre_filter", "false".to_owned()),
        ("enable_bundle", "false".to_owned()),
        ("use_missing", "false".to_owned()),
        ("deterministic", "true".to_owned()),
        ("force_row_wise", "true".to_owned()),
        ("num_threads", job.threads.to_string()),
        ("seed", seed.to_string()),
        ("feature_fraction_seed", seed.to_string()),
        ("verbosity", "-1".to_owned()),
    ];
    named.map(|(name, value)| format!("{name}={value}")).join(" ")
}

/// The cells' cases as the library's rows: one per cell and class that occurs there.
struct Rows {
    /// Cell of each row.
    cells: Vec<usize>,
    /// Class of each row.
    labels: Vec<f32>,
    /// Share of the row in a class that has no case at all.
    unseen: Vec<f64>,
}

impl Rows {
    /// A class without a case counts half of one, spread like all cases, so that the model knows of it
    /// and nothing more.
    fn of(counts: &Matrix<f64>) -> Self {
        let totals = totals(counts);
        let cases = totals.iter().sum::<f64>();
        let mut rows = Rows { cells: Vec::new(), labels: Vec::new(), unseen: Vec::new() };
        for (cell, row) in counts.iter_rows().enumerate() {
            for (class, (&count, &total)) in row.iter().zip(&totals).enumerate() {
                if count > 0.0 || total == 0.0 {
                    rows.cells.push(cell);
                    rows.labels.push(class as f32);
                    let unseen = 0.5 * row.iter().sum::<f64>() / cases;
                    rows.unseen.push(if total == 0.0 { unseen } else { 0.0 });
                }
            }
        }
        rows
    }

    /// The weights of the rows when their cells have these cases.
    fn weights(&self, counts: &Matrix<f64>, of_class: &[f64]) -> Vec<f32> {
        let rows = self.cells.iter().zip(&self.labels).zip(&self.unseen);
        rows.map(|((&cell, &class), &unseen)| {
            let class = class as usize;
            if unseen > 0.0 { unseen as f32 } else { (counts.row(cell)[class] * of_class[class]) as f32 }
        })
        .collect()
    }
}

/// Values of each column, each as often as it has cases.
struct Sample {
    /// Those that are not zero.
    columns: Vec<Vec<f64>>,
    /// All of them, the same for every column.
    size: usize,
}

impl Sample {
    fn of(x: &Matrix<f32>, counts: &Matrix<f64>) -> Self {
        let cases: Vec<f64> = counts.iter_rows().map(|row| row.iter().sum()).collect();
        let total = cases.iter().sum::<f64>();
        let whole = counts.as_slice().iter().all(|count| count.fract() == 0.0);
        let size = if whole && total <= SAMPLED as f64 { total as usize } else { SAMPLED };
        let columns = (0..x.columns()).map(|column| {
            let mut values = BTreeMap::new();
            for (row, cases) in x.iter_rows().zip(&cases) {
                // Adding zero makes one zero of two.
                *values.entry(Ordered(f64::from(row[column]) + 0.0)).or_insert(0.0) += cases;
            }
            let shares = shares(values.values().copied(), total, size);
            let repeated = values.keys().zip(shares).filter(|(value, _)| value.0 != 0.0);
            repeated.flat_map(|(value, times)| std::iter::repeat_n(value.0, times)).collect()
        });
        Sample { columns: columns.collect(), size }
    }
}

/// Numbers of places out of `size` in proportion to `weights`, at least one each where there are
/// enough; exact where the weights are whole and add up to `size`.
fn shares(weights: impl ExactSizeIterator<Item = f64>, total: f64, size: usize) -> Vec<usize> {
    let each = usize::from(total != size as f64 && weights.len() <= size);
    let rest = (size - each * weights.len()) as f64;
    let (mut sum, mut given) = (0.0, 0.0);
    let share = |weight| {
        sum += weight;
        let upto = (sum / total * rest).round();
        let share = upto - given;
        given = upto;
        share as usize + each
    };
    weights.map(share).collect()
}

/// A finite number in its order.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Logarithms of probabilities, which are margins of them.
fn logs(p: &Matrix<f64>) -> Matrix<f32> {
    converted(p, |p| p.max(f64::MIN_POSITIVE).ln() as f32)
}

fn single(margins: &Matrix<f64>) -> Matrix<f32> {
    converted(margins, |margin| margin as f32)
}

fn converted(matrix: &Matrix<f64>, convert: impl Fn(f64) -> f32) -> Matrix<f32> {
    let mut converted = Matrix::zeros(matrix.rows(), matrix.columns());
    for (i, row) in matrix.iter_rows().enumerate() {
        converted.row_mut(i).iter_mut().zip(row).for_each(|(to, from)| *to = convert(*from));
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_holds_every_value_as_often_as_it_weighs() {
        assert_eq!(shares([3.0, 0.0, 5.0].into_iter(), 8.0, 8), [3, 0, 5]);
        let rare = shares([1e9, 1.0, 1e9].into_iter(), 2e9 + 1.0, 1000);
        assert!(rare.iter().sum::<usize>() == 1000 && (1..=2).contains(&rare[1]), "{rare:?}");
        let x = Matrix::from_vec(3, 2, vec![0.0, 2.0, 1.0, 2.0, 0.5, -0.0]).unwrap();
        let sample = Sample::of(&x, &Matrix::from_vec(3, 1, vec![2.0, 1.0, 3.0]).unwrap());
        assert_eq!(sample.size, 6);
        assert_eq!(sample.columns, [vec![0.5, 0.5, 0.5, 1.0], vec![2.0, 2.0, 2.0]]);
    }

    #[test]
    fn a_class_without_a_case_counts_half_of_one() {
        let counts = Matrix::from_vec(2, 3, vec![3.0, 0.0, 1.0, 0.0, 0.0, 4.0]).unwrap();
        let rows = Rows::of(&counts);
        assert_eq!(rows.cells, [0, 0, 0, 1, 1]);
        assert_eq!(rows.labels, [0.0, 1.0, 2.0, 1.0, 2.0]);
        assert_eq!(rows.weights(&counts, &[1.0, 1.0, 2.0]), [3.0, 0.25, 2.0, 0.25, 8.0]);
    }
}
