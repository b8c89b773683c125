//! The recipe: one model per fold, each stopped and scored on the cases that it has not seen.
//!
//! The model is the mean of the members' distributions. Calibration and the alarm's threshold come
//! from out-of-fold scores, so no case ever judges a score that it helped to fit; the answers kept
//! for evaluation go one step further and take them from the other folds alone.

use serde::{Deserialize, Serialize};

use crate::alarm::{Operating, Rule, curve};
use crate::calibrate::{Platt, Scored, Temperature, class_calibration_error};
use crate::combine::{Classes, Combination};
use crate::learner::{Fit, Job, Learner, Parameters, Progress, Target, Trainer};
use crate::probability::softmax_into;
use crate::{Error, Matrix, Result};

/// Points of the kept trade-off curve.
const CURVE_POINTS: usize = 200;

/// Counted cases in folds.
#[derive(Debug, Clone)]
pub struct Training {
    /// Encoded features of the distinct patients, `n x columns`.
    pub x: Matrix<f32>,
    /// Cases of each group per patient, `n x groups`, one matrix per fold, at least two. All cases
    /// of one person belong to one fold.
    pub folds: Vec<Matrix<f64>>,
    pub classes: Classes,
    /// Encoded features of the patients to answer: every possible one where there is a table.
    pub score: Matrix<f32>,
}

/// How to fit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    pub parameters: Parameters,
    /// Seed of every draw.
    pub seed: u64,
    pub alarm: Rule,
}

/// One fold's model.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The model file in its learner's own form.
    pub model: Vec<u8>,
    /// Learner and version that fitted it, e.g. `xgboost 3.4.1`.
    pub engine: String,
    pub rounds: usize,
    /// Mean log loss of the fold after each round.
    pub held_out_loss: Vec<f64>,
}

/// What calibration found and did, on out-of-fold scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Expected calibration error of the orphan probability before and after.
    pub orphan_before: f64,
    pub orphan_after: f64,
    /// Mean class-wise expected calibration error of the groups before and after.
    pub groups_before: f64,
    pub groups_after: f64,
}

/// A fitted model.
#[derive(Debug, Clone)]
pub struct Fitted {
    pub learner: Learner,
    pub members: Vec<Member>,
    pub combination: Combination,
    pub calibration: Calibration,
    /// Displayed probabilities of the scored patients, `m x (severities + 1)`.
    pub answers: Matrix<f64>,
    /// The same without the alarm's effect on the severities.
    pub answers_without_alarm: Matrix<f64>,
    /// Per fold, displayed probabilities of `x` by what that fold's cases had no part in (member,
    /// calibration and threshold), `n x (severities + 1)`: compare them with that fold's counts.
    pub unseen: Vec<Matrix<f64>>,
    /// The same without the alarm's effect on the severities.
    pub unseen_without_alarm: Vec<Matrix<f64>>,
    /// Whether those answers raise the alarm, per fold and row.
    pub unseen_alarm: Vec<Vec<bool>>,
    /// The orphan probability's trade-off on out-of-fold scores.
    pub curve: Vec<Operating>,
}

/// Fits, calibrates and combines.
///
/// # Errors
/// When the data are malformed or a training process fails.
pub fn fit(
    training: &Training,
    recipe: &Recipe,
    trainer: &Trainer,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fitted> {
    training.check()?;
    recipe.alarm.check()?;
    let fits = trainer.fit_all(&training.jobs(recipe)?, progress)?;
    let n = training.x.rows();
    // Each fold's margins of `x`, by the member that has not seen the fold.
    let unseen: Vec<Matrix<f64>> = fits.iter().map(|fit| logs(fit, 0..n)).collect();
    let scores = OutOfFold { margins: &unseen, counts: &training.folds, classes: &training.classes };
    let every: Vec<usize> = (0..fits.len()).collect();
    let combination = scores.combination(recipe.alarm, &every);
    let mut fitted = Fitted {
        learner: recipe.parameters.learner(),
        calibration: scores.calibration(&combination),
        curve: curve(&scores.orphan(&combination, &every), CURVE_POINTS),
        answers: Matrix::zeros(training.score.rows(), training.classes.outputs()),
        answers_without_alarm: Matrix::zeros(training.score.rows(), training.classes.outputs()),
        unseen: Vec::new(),
        unseen_without_alarm: Vec::new(),
        unseen_alarm: Vec::new(),
        members: Vec::new(),
        combination,
    };
    for (i, row) in pool(&fits, n..n + training.score.rows()).iter_rows().enumerate() {
        fitted.combination.answer(row, fitted.answers.row_mut(i));
        fitted.combination.answer_without_alarm(row, fitted.answers_without_alarm.row_mut(i));
    }
    for (fold, margins) in unseen.iter().enumerate() {
        let others: Vec<usize> = every.iter().copied().filter(|&other| other != fold).collect();
        let combination = scores.combination(recipe.alarm, &others);
        let mut with = Matrix::zeros(n, training.classes.outputs());
        let mut without = with.clone();
        let mut alarm = Vec::with_capacity(n);
        for (i, row) in margins.iter_rows().enumerate() {
            combination.answer(row, with.row_mut(i));
            combination.answer_without_alarm(row, without.row_mut(i));
            alarm.push(combination.alarmed(combination.orphan(row)));
        }
        fitted.unseen.push(with);
        fitted.unseen_without_alarm.push(without);
        fitted.unseen_alarm.push(alarm);
    }
    fitted.members = fits
        .into_iter()
        .map(|fit| Member {
            model: fit.model,
            engine: fit.engine,
            rounds: fit.rounds,
            held_out_loss: fit.held_out_loss,
        })
        .collect();
    Ok(fitted)
}

impl Training {
    /// # Errors
    /// Names what has the wrong shape.
    pub fn check(&self) -> Result<()> {
        self.classes.check()?;
        if self.folds.len() < 2 {
            return Err(Error::shape("folds", "at least 2", self.folds.len()));
        }
        let shape = (self.x.rows(), self.classes.groups.len());
        for fold in &self.folds {
            if (fold.rows(), fold.columns()) != shape {
                return Err(Error::shape(
                    "counts of a fold",
                    format!("{shape:?}"),
                    format!("{:?}", (fold.rows(), fold.columns())),
                ));
            }
        }
        if self.score.columns() != self.x.columns() {
            return Err(Error::shape("columns of the rows to score", self.x.columns(), self.score.columns()));
        }
        Ok(())
    }

    /// One job per fold: train on the others, stop on it, score `x` and then the rows to answer.
    fn jobs(&self, recipe: &Recipe) -> Result<Vec<Job>> {
        let (n, columns) = (self.x.rows(), self.x.columns());
        let rows = [self.x.as_slice(), self.score.as_slice()].concat();
        let score = Matrix::from_vec(n + self.score.rows(), columns, rows)?;
        (0..self.folds.len())
            .map(|fold| {
                let mut train = vec![0.0; n * self.classes.groups.len()];
                for (_, other) in self.folds.iter().enumerate().filter(|(other, _)| *other != fold) {
                    train.iter_mut().zip(other.as_slice()).for_each(|(sum, count)| *sum += count);
                }
                let train = Matrix::from_vec(n, self.classes.groups.len(), train)?;
                // Members draw their cases and columns independently.
                let seed = recipe.seed.wrapping_mul(1_000_003).wrapping_add(fold as u64);
                let target = Target::Counts { train, held_out: self.folds.get(fold).cloned() };
                // One thread a process, folds side by side: the same result whatever the machine.
                let job = Job::new(self.x.clone(), target, recipe.parameters.clone());
                Ok(Job { score: Some(score.clone()), seed, ..job })
            })
            .collect()
    }
}

/// Log probabilities of some scored rows by one member.
fn logs(fit: &Fit, rows: std::ops::Range<usize>) -> Matrix<f64> {
    pool(std::slice::from_ref(fit), rows)
}

/// Log of the members' mean probabilities of some scored rows.
fn pool(fits: &[Fit], rows: std::ops::Range<usize>) -> Matrix<f64> {
    let groups = fits.first().map_or(0, |fit| fit.margins.columns());
    let mut pooled = Matrix::zeros(rows.len(), groups);
    for (i, row) in rows.enumerate() {
        pool_margins(fits.iter().map(|fit| fit.margins.row(row)), pooled.row_mut(i));
    }
    pooled
}

/// Log of the mean of the distributions that the members' margins stand for.
pub(crate) fn pool_margins<'a>(members: impl ExactSizeIterator<Item = &'a [f32]>, pooled: &mut [f64]) {
    let count = members.len() as f64;
    let mut p = vec![0.0; pooled.len()];
    pooled.fill(0.0);
    for margins in members {
        softmax_into(margins.iter().map(|&margin| f64::from(margin)), &mut p);
        pooled.iter_mut().zip(&p).for_each(|(sum, p)| *sum += p);
    }
    pooled.iter_mut().for_each(|sum| *sum = (*sum / count).max(f64::MIN_POSITIVE).ln());
}

/// Scores of cases by members that have not seen them.
struct OutOfFold<'a> {
    margins: &'a [Matrix<f64>],
    counts: &'a [Matrix<f64>],
    classes: &'a Classes,
}

impl OutOfFold<'_> {
    /// Margins and counts of the cells of `folds` that have cases, one below the other.
    fn stack(&self, folds: &[usize]) -> (Matrix<f64>, Matrix<f64>) {
        let groups = self.classes.groups.len();
        let (mut margins, mut counts) = (Vec::new(), Vec::new());
        for (scores, cases) in
            folds.iter().filter_map(|&fold| Some((self.margins.get(fold)?, self.counts.get(fold)?)))
        {
            for (score, case) in scores.iter_rows().zip(cases.iter_rows()) {
                if case.iter().any(|&count| count > 0.0) {
                    margins.extend_from_slice(score);
                    counts.extend_from_slice(case);
                }
            }
        }
        let rows = counts.len() / groups;
        let matrix = |data| Matrix::from_vec(rows, groups, data).unwrap_or_default();
        (matrix(margins), matrix(counts))
    }

    /// Orphan probabilities as `combination` has them, with the cases.
    fn orphan(&self, combination: &Combination, folds: &[usize]) -> Scored {
        let (margins, counts) = self.stack(folds);
        orphan(combination, &margins, &counts)
    }

    /// The maps and the threshold that the cases of `folds` give.
    fn combination(&self, rule: Rule, folds: &[usize]) -> Combination {
        let (margins, counts) = self.stack(folds);
        let mut combination = Combination {
            classes: self.classes.clone(),
            temperature: Temperature::fit(&margins, &counts),
            gate: Platt::IDENTITY,
            alarm: rule.choose(&Scored::default()),
        };
        combination.gate = Platt::fit(&orphan(&combination, &margins, &counts));
        combination.alarm = rule.choose(&orphan(&combination, &margins, &counts));
        combination
    }

    fn calibration(&self, combination: &Combination) -> Calibration {
        let folds: Vec<usize> = (0..self.counts.len()).collect();
        let (margins, counts) = self.stack(&folds);
        let raw =
            Combination { temperature: Temperature::IDENTITY, gate: Platt::IDENTITY, ..combination.clone() };
        Calibration {
            orphan_before: orphan(&raw, &margins, &counts).calibration_error(),
            orphan_after: orphan(combination, &margins, &counts).calibration_error(),
            groups_before: class_calibration_error(Temperature::IDENTITY, &margins, &counts),
            groups_after: class_calibration_error(combination.temperature, &margins, &counts),
        }
    }
}

fn orphan(combination: &Combination, margins: &Matrix<f64>, counts: &Matrix<f64>) -> Scored {
    let groups = &combination.classes.groups;
    let entries = margins
        .iter_rows()
        .zip(counts.iter_rows())
        .map(|(margins, counts)| {
            let orphans = counts
                .iter()
                .zip(groups)
                .filter(|(_, group)| group.orphan)
                .map(|(count, _)| count)
                .sum::<f64>();
            (combination.orphan(margins), orphans, counts.iter().sum::<f64>() - orphans)
        })
        .collect();
    Scored { entries }
}
