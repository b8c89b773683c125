//! Synthetic cases in a member's training, and the way back to the real odds.
//!
//! A member that was trained on more orphan cases than there are calls them more probable than they are. How much more
//! is known exactly: by Bayes' rule p(group | x) is proportional to p(x | group) times the group's share, so the
//! logarithm of each group's share before and after is all that has changed in the margins (Saerens, Latinne and
//! Decaestecker 2002). The correction comes before everything that is fitted to real cases.

use prepare::Synthetic;
use serde::{Deserialize, Serialize};

use crate::calibrate::Scored;
use crate::combine::Group;
use crate::probability::softmax_into;
use crate::{Error, Matrix, Result};

/// The synthetic cases of one member, in its learner's form.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmented {
    left_out: usize,
    /// Encoded features of the distinct synthetic patients, `s x columns`.
    x: Matrix<f32>,
    /// Synthetic cases of each group per patient, `s x groups`.
    counts: Matrix<f64>,
}

/// A member's training data with synthetic cases, and what they did to the odds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extended {
    pub(crate) x: Matrix<f32>,
    /// Real and synthetic cases.
    pub(crate) train: Matrix<f64>,
    /// Real cases of the fold that was left out, each counted as many times as its group has grown: the loss that
    /// stops the training then asks for the odds that the training has.
    pub(crate) held_out: Matrix<f64>,
    /// What each group's margin has to fall by: the logarithm of the factor that it has grown by.
    pub(crate) shift: Vec<f64>,
}

impl Augmented {
    /// `encode` appends the encoded row of a cell.
    ///
    /// # Errors
    /// When a row has another length than `columns`.
    pub fn of(
        synthetic: &Synthetic,
        columns: usize,
        mut encode: impl FnMut(usize, &mut Vec<f32>),
    ) -> Result<Augmented> {
        let (mut x, mut counts) = (Vec::new(), Vec::new());
        for (i, &cell) in synthetic.cells().iter().enumerate() {
            encode(cell, &mut x);
            counts.extend(synthetic.counts(i).iter().map(|&count| count as f64));
        }
        let rows = synthetic.cells().len();
        Ok(Augmented {
            left_out: synthetic.left_out(),
            x: Matrix::from_vec(rows, columns, x)?,
            counts: Matrix::from_vec(rows, synthetic.groups(), counts)?,
        })
    }

    /// Adds the synthetic cases to the training data of the member that leaves `fold` out: `x` is `n x columns`,
    /// `train` and `held_out` are `n x groups`.
    ///
    /// # Errors
    /// When the synthetic cases were made for another member, or the shapes differ.
    pub(crate) fn extend(
        &self,
        fold: usize,
        x: &Matrix<f32>,
        train: &Matrix<f64>,
        held_out: &Matrix<f64>,
    ) -> Result<Extended> {
        if self.left_out != fold {
            return Err(Error::Invalid(format!(
                "the synthetic cases of the member without fold {} may know fold {fold}: they are not for it",
                self.left_out
            )));
        }
        let shift = growth(train, &self.counts);
        let stacked = |real: &Matrix<f64>, more: &[f64]| {
            let rows = real.rows() + self.counts.rows();
            Matrix::from_vec(rows, self.counts.columns(), [real.as_slice(), more].concat())
        };
        let mut weighed = held_out.clone();
        for row in 0..weighed.rows() {
            weighed.row_mut(row).iter_mut().zip(&shift).for_each(|(count, shift)| *count *= shift.exp());
        }
        Ok(Extended {
            x: Matrix::from_vec(
                x.rows() + self.x.rows(),
                self.x.columns(),
                [x.as_slice(), self.x.as_slice()].concat(),
            )?,
            train: stacked(train, self.counts.as_slice())?,
            held_out: stacked(&weighed, &vec![0.0; self.counts.as_slice().len()])?,
            shift,
        })
    }
}

/// Logarithm of the factor that each group's cases have grown by; 0 for a group without a case.
fn growth(real: &Matrix<f64>, synthetic: &Matrix<f64>) -> Vec<f64> {
    let totals = |counts: &Matrix<f64>| {
        let mut totals = vec![0.0; real.columns()];
        for row in counts.iter_rows() {
            totals.iter_mut().zip(row).for_each(|(total, count)| *total += count);
        }
        totals
    };
    let factor =
        |(real, synthetic): (f64, f64)| if real > 0.0 { ((real + synthetic) / real).ln() } else { 0.0 };
    totals(real).into_iter().zip(totals(synthetic)).map(factor).collect()
}

/// What synthetic cases did to the members' orphan probability before their effect on the odds was taken back, on real
/// cases that no member had seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Inflation {
    /// Expected calibration error with the odds of the training and with the real ones.
    pub error_before: f64,
    pub error_after: f64,
    /// Mean probability with the odds of the training and with the real ones, and the share of orphan cases.
    pub mean_before: f64,
    pub mean_after: f64,
    pub share: f64,
}

/// The members' orphan probabilities of unseen real cases, before and after.
#[derive(Debug, Default)]
pub(crate) struct Odds {
    before: Scored,
    after: Scored,
}

impl Odds {
    /// Adds one fold: its member's margins of the groups, `n x groups`, before and after, and its cases.
    pub(crate) fn add(
        &mut self,
        before: &Matrix<f32>,
        after: &Matrix<f32>,
        counts: &Matrix<f64>,
        groups: &[Group],
    ) {
        let mut p = vec![0.0; groups.len()];
        let orphan = |of: &[f64]| -> f64 {
            of.iter().zip(groups).filter(|(_, group)| group.orphan).map(|(value, _)| value).sum()
        };
        for ((before, after), counts) in before.iter_rows().zip(after.iter_rows()).zip(counts.iter_rows()) {
            let (orphans, all) = (orphan(counts), counts.iter().sum::<f64>());
            for (scored, margins) in [(&mut self.before, before), (&mut self.after, after)] {
                softmax_into(margins.iter().map(|&margin| f64::from(margin)), &mut p);
                scored.entries.push((orphan(&p), orphans, all - orphans));
            }
        }
    }

    pub(crate) fn inflation(&self) -> Inflation {
        let mean = |scored: &Scored, of: fn(&(f64, f64, f64)) -> f64| {
            let cases = scored.entries.iter().map(|(_, with, without)| with + without).sum::<f64>();
            if cases > 0.0 { scored.entries.iter().map(of).sum::<f64>() / cases } else { 0.0 }
        };
        let probability = |&(p, with, without): &(f64, f64, f64)| p * (with + without);
        Inflation {
            error_before: self.before.calibration_error(),
            error_after: self.after.calibration_error(),
            mean_before: mean(&self.before, probability),
            mean_after: mean(&self.after, probability),
            share: mean(&self.after, |(_, with, _)| *with),
        }
    }
}

#[cfg(test)]
mod tests {
    use clinical::{Rarity, Severity, Study};
    use prepare::{Cohort, Folds, Groups, Stratum, TrainingCounts};

    use super::*;
    use crate::probability::softmax_into;

    const LIKELIHOOD: [[f64; 3]; 4] =
        [[0.5, 0.1, 0.05], [0.3, 0.2, 0.1], [0.15, 0.4, 0.15], [0.05, 0.3, 0.7]];
    const REAL: [f64; 3] = [10_000.0, 2_000.0, 100.0];

    fn counts(totals: [f64; 3]) -> Matrix<f64> {
        let counts = LIKELIHOOD.iter().flat_map(|row| row.iter().zip(totals).map(|(p, n)| (p * n).round()));
        Matrix::from_vec(4, 3, counts.collect()).unwrap()
    }

    /// Synthetic orphan cases, 1,900 of them, like the real ones, for the member without fold 1.
    fn augmented() -> Augmented {
        let study = Study::default_study();
        let groups = [(0, None), (1, Some(Rarity::Common)), (1, Some(Rarity::Orphan))];
        let cohort = Cohort::new(groups.map(|(severity, rarity)| {
            (0, 0, Stratum { severity: Severity(severity), rarity, disease_code: None }, 1)
        }));
        let folds = Folds::new(&study.split, 2);
        let training =
            TrainingCounts::without_fold(study, &cohort, &Groups::of(study, &cohort), folds, 1).unwrap();
        let made = LIKELIHOOD.iter().enumerate().map(|(cell, p)| (2, cell, (p[2] * 1900.0).round() as u64));
        let synthetic = Synthetic::of(&training, made);
        Augmented::of(&synthetic, 1, |cell, row| row.push(cell as f32)).unwrap()
    }

    fn extended() -> Extended {
        let x = Matrix::from_vec(4, 1, vec![0.0, 1.0, 2.0, 3.0]).unwrap();
        augmented().extend(1, &x, &counts(REAL), &counts([100.0, 20.0, 40.0])).unwrap()
    }

    #[test]
    fn the_shift_gives_the_real_odds_back() {
        let extended = extended();
        let mut p = [0.0; 3];
        for x in 0..4 {
            // What a perfect learner makes of the extended cases: the log of its shares at x.
            let at =
                extended.x.as_slice().iter().zip(extended.train.iter_rows()).filter(|(v, _)| **v == x as f32);
            let mut shares = [0.0; 3];
            at.for_each(|(_, row)| shares.iter_mut().zip(row).for_each(|(sum, count)| *sum += count));
            softmax_into(shares.iter().zip(&extended.shift).map(|(n, shift)| n.ln() - shift), &mut p);
            let real = counts(REAL);
            let all: f64 = real.row(x).iter().sum();
            for (p, count) in p.iter().zip(real.row(x)) {
                assert!((p - count / all).abs() < 1e-12, "{p} {}", count / all);
            }
        }
        assert_eq!(extended.shift[..2], [0.0, 0.0]);
        assert!((extended.shift[2] - 20f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn held_out_cases_stay_real_and_are_weighed_as_the_training_is() {
        let extended = extended();
        assert_eq!((extended.x.rows(), extended.train.rows(), extended.held_out.rows()), (8, 8, 8));
        let real = counts([100.0, 20.0, 40.0]);
        for (row, (held_out, real)) in extended.held_out.iter_rows().zip(real.iter_rows()).enumerate() {
            assert_eq!(held_out[..2], real[..2]);
            assert!((held_out[2] - 20.0 * real[2]).abs() < 1e-9, "{row}");
        }
        assert!(extended.held_out.as_slice()[12..].iter().all(|count| *count == 0.0));
    }

    #[test]
    fn another_members_synthetic_cases_are_refused() {
        let x = Matrix::zeros(4, 1);
        let error = augmented().extend(0, &x, &counts(REAL), &counts(REAL)).unwrap_err().to_string();
        assert!(error.contains("may know fold 0"), "{error}");
    }

    #[test]
    fn a_group_without_cases_has_nothing_to_shift() {
        let (real, none) = (Matrix::from_vec(1, 2, vec![5.0, 0.0]).unwrap(), Matrix::zeros(1, 2));
        assert_eq!(growth(&real, &none), [0.0, 0.0]);
    }
}
