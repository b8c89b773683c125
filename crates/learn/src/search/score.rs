//! What a fold's held-out cases say of the model that has not seen them.

use clinical::study::search::SearchMetric;
use serde::{Deserialize, Serialize};

use crate::combine::Classes;
use crate::probability::{highest, softmax_into};
use crate::{Matrix, Result};

/// One fold of a trial. Counts, so that folds add up and every F1 follows from them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldScore {
    /// Rounds kept by early stopping.
    pub rounds: usize,
    /// Held-out cases.
    pub cases: f64,
    /// Their mean log loss over the groups (severity with rarity).
    pub log_loss: f64,
    /// Cases by `[true severity][decided severity]`, of patients whose disease is not orphan. A
    /// severity is decided before the alarm, whose threshold is chosen later.
    pub common: Vec<Vec<f64>>,
    /// The same of patients whose disease is orphan.
    pub orphan: Vec<Vec<f64>>,
    /// Size of the saved model.
    pub bytes: usize,
    /// Lowest held-out loss so far, at every judged round.
    pub curve: Vec<f64>,
}

/// Scores margins (`rows x groups`) against the same rows' held-out cases; the rest of the score is
/// left empty.
///
/// # Errors
/// When the shapes differ.
pub(super) fn score(margins: &Matrix<f32>, counts: &Matrix<f64>, classes: &Classes) -> Result<FoldScore> {
    if (margins.rows(), margins.columns()) != (counts.rows(), counts.columns())
        || counts.columns() != classes.groups.len()
    {
        return Err(crate::Error::shape(
            "held-out margins",
            format!("{} x {}", counts.rows(), classes.groups.len()),
            format!("{} x {}", margins.rows(), margins.columns()),
        ));
    }
    let k = classes.severities;
    let mut confusion = [vec![vec![0.0; k]; k], vec![vec![0.0; k]; k]];
    let (mut p, mut severity) = (vec![0.0; classes.groups.len()], vec![0.0; k]);
    let (mut loss, mut cases) = (0.0, 0.0);
    for (margins, counts) in margins.iter_rows().zip(counts.iter_rows()) {
        softmax_into(margins.iter().map(|&margin| f64::from(margin)), &mut p);
        severity.fill(0.0);
        for (p, group) in p.iter().zip(&classes.groups) {
            if let Some(sum) = severity.get_mut(group.severity) {
                *sum += p;
            }
        }
        let decided = highest(&severity);
        for ((&count, &p), group) in counts.iter().zip(&p).zip(&classes.groups) {
            if count <= 0.0 {
                continue;
            }
            loss -= count * p.max(f64::MIN_POSITIVE).ln();
            cases += count;
            let row = confusion[usize::from(group.orphan)].get_mut(group.severity);
            if let Some(cell) = row.and_then(|row| row.get_mut(decided)) {
                *cell += count;
            }
        }
    }
    let [common, orphan] = confusion;
    Ok(FoldScore { rounds: 0, cases, log_loss: loss / cases, common, orphan, bytes: 0, curve: Vec::new() })
}

/// A metric of some folds together, higher is better (log loss with its sign turned).
pub(super) fn metric<'a>(metric: SearchMetric, folds: impl Iterator<Item = &'a FoldScore> + Clone) -> f64 {
    match metric {
        SearchMetric::LogLoss => -log_loss(folds),
        SearchMetric::F1Common => macro_f1(folds.map(|fold| &fold.common)),
        SearchMetric::MacroF1 => macro_f1(folds.flat_map(|fold| [&fold.common, &fold.orphan])),
    }
}

/// Mean log loss of the cases of some folds.
pub(super) fn log_loss<'a>(folds: impl Iterator<Item = &'a FoldScore>) -> f64 {
    let (loss, cases) =
        folds.fold((0.0, 0.0), |(loss, cases), fold| (loss + fold.log_loss * fold.cases, cases + fold.cases));
    loss / cases
}

/// Unweighted mean over the classes that occur of 2 TP / (2 TP + FP + FN), from the sum of some
/// confusion matrices; 0 where no class occurs.
fn macro_f1<'a>(matrices: impl Iterator<Item = &'a Vec<Vec<f64>>>) -> f64 {
    let mut sum: Vec<Vec<f64>> = Vec::new();
    for matrix in matrices {
        if sum.is_empty() {
            sum.clone_from(matrix);
            continue;
        }
        for (sum, row) in sum.iter_mut().zip(matrix) {
            sum.iter_mut().zip(row).for_each(|(sum, cases)| *sum += cases);
        }
    }
    let (mut total, mut classes) = (0.0, 0.0);
    for (class, row) in sum.iter().enumerate() {
        let truly: f64 = row.iter().sum();
        if truly > 0.0 {
            let decided: f64 = sum.iter().filter_map(|row| row.get(class)).sum();
            total += 2.0 * row.get(class).copied().unwrap_or_default() / (truly + decided);
            classes += 1.0;
        }
    }
    if classes > 0.0 { total / classes } else { 0.0 }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::combine::Group;

    /// A fold whose common cases have this confusion matrix.
    pub(in crate::search) fn fold(log_loss: f64, common: [[f64; 2]; 2]) -> FoldScore {
        let common: Vec<Vec<f64>> = common.map(|row| row.to_vec()).to_vec();
        FoldScore {
            rounds: 10,
            cases: common.iter().flatten().sum(),
            log_loss,
            orphan: vec![vec![0.0; 2]; 2],
            common,
            bytes: 100,
            curve: Vec::new(),
        }
    }

    #[test]
    fn cases_are_counted_by_what_was_decided() {
        let group = |severity, orphan| Group { severity, orphan };
        let classes = Classes {
            severities: 2,
            healthy: Some(0),
            groups: vec![group(0, false), group(1, false), group(1, true)],
        };
        // Severity 1 wins the second row by the sum of its groups only.
        let ln = |p: [f32; 3]| p.map(f32::ln);
        let margins = [ln([0.7, 0.2, 0.1]), ln([0.4, 0.35, 0.25])].concat();
        let margins = Matrix::from_vec(2, 3, margins).unwrap();
        let counts = Matrix::from_vec(2, 3, vec![5.0, 1.0, 0.0, 2.0, 0.0, 3.0]).unwrap();
        let scored = score(&margins, &counts, &classes).unwrap();
        assert_eq!(scored.cases, 11.0);
        assert_eq!(scored.common, [[5.0, 2.0], [1.0, 0.0]]);
        assert_eq!(scored.orphan, [[0.0, 0.0], [0.0, 3.0]]);
        let expected = -(5.0 * 0.7f64.ln() + 0.2f64.ln() + 2.0 * 0.4f64.ln() + 3.0 * 0.25f64.ln()) / 11.0;
        assert!((scored.log_loss - expected).abs() < 1e-7);
        assert!(score(&margins, &Matrix::zeros(1, 3), &classes).is_err());
    }

    #[test]
    fn metrics_of_several_folds_are_of_their_sum() {
        let folds = [fold(0.5, [[8.0, 2.0], [4.0, 6.0]]), fold(1.0, [[1.0, 0.0], [0.0, 0.0]])];
        assert!((metric(SearchMetric::LogLoss, folds.iter()) + 11.0 / 21.0).abs() < 1e-12);
        // Sum [[9, 2], [4, 6]]: F1 of 18/24 and 12/18.
        let expected = (18.0 / 24.0 + 12.0 / 18.0) / 2.0;
        assert!((metric(SearchMetric::F1Common, folds.iter()) - expected).abs() < 1e-12);
        // The second class does not occur in the second fold.
        assert_eq!(metric(SearchMetric::F1Common, folds[1..].iter()), 1.0);
        let mut with_orphans = folds[0].clone();
        with_orphans.orphan = vec![vec![0.0, 0.0], vec![3.0, 0.0]];
        // Sum [[8, 2], [7, 6]].
        let expected = (16.0 / 25.0 + 12.0 / 21.0) / 2.0;
        assert!((metric(SearchMetric::MacroF1, [with_orphans].iter()) - expected).abs() < 1e-12);
    }
}
