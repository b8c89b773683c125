//! The objective: the models of the cross-fitted training, one fold after the other.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use clinical::Study;
use clinical::study::{Parameters, Resampling};

use super::run::Objective;
use super::score::{FoldScore, score};
use super::space::Point;
use crate::augment::Augmented;
use crate::crossfit::Training;
use crate::learner::{Job, Trainer};
use crate::{Error, Matrix, Result};

/// Trains and scores points of a study's search space. A winner's models are those that
/// [`crate::crossfit::fit`] makes of its settings with the same seed.
#[derive(Debug)]
pub struct CrossValidation<'a> {
    study: &'a Study,
    training: &'a Training,
    /// Cases of each group per patient, by fold.
    counts: Vec<Matrix<f64>>,
    /// Each member's synthetic cases, by the way of making them; none where they are not made.
    resampled: &'a BTreeMap<Resampling, Vec<Augmented>>,
    seed: u64,
    trainer: &'a Trainer,
}

impl<'a> CrossValidation<'a> {
    pub fn new(
        study: &'a Study,
        training: &'a Training,
        resampled: &'a BTreeMap<Resampling, Vec<Augmented>>,
        seed: u64,
        trainer: &'a Trainer,
    ) -> Self {
        CrossValidation { study, training, counts: training.group_counts(), resampled, seed, trainer }
    }

    /// All settings of a point: its own, and the study's for the others.
    ///
    /// # Errors
    /// When the point is not of the study's space.
    pub fn parameters(study: &Study, point: &Point) -> Result<Parameters> {
        study.parameters(point.learner).with(&point.settings).map_err(Error::Invalid)
    }
}

impl Objective for CrossValidation<'_> {
    fn folds(&self) -> usize {
        self.counts.len()
    }

    /// The loss of boosting depends on the sum of the rounds' learning rates; a perceptron's rate
    /// follows a schedule over its epochs.
    fn pace(&self, point: &Point) -> f64 {
        match Self::parameters(self.study, point) {
            Ok(Parameters::Xgboost(settings)) => settings.eta,
            Ok(Parameters::Lightgbm(settings)) => settings.eta,
            Ok(Parameters::Mlp(_)) | Err(_) => 1.0,
        }
    }

    fn fold(
        &self,
        point: &Point,
        fold: usize,
        watch: &mut dyn FnMut(usize, f64) -> bool,
    ) -> Result<Option<FoldScore>> {
        let parameters = Self::parameters(self.study, point)?;
        let augmented =
            self.resampled.get(&point.resampling(self.study)).and_then(|members| members.get(fold));
        let (job, shift) = self.training.job(&self.counts, augmented, &parameters, self.seed, fold)?;
        let held_out = self.counts.get(fold).ok_or_else(|| Error::shape("folds", self.counts.len(), fold))?;
        let rows: Vec<usize> =
            (0..held_out.rows()).filter(|&row| held_out.row(row).iter().any(|&n| n > 0.0)).collect();
        let counts = held_out.select(&rows);
        let job = Job { score: Some(self.training.x.select(&rows)), ..job };
        let mut fits =
            self.trainer.fit_until(std::slice::from_ref(&job), &mut |step| match step.held_out_loss {
                Some(loss) if !step.done && !watch(step.round, loss) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })?;
        let Some(mut fit) = fits.pop().flatten() else { return Ok(None) };
        // Scored at the real odds.
        for row in 0..fit.margins.rows() {
            fit.margins
                .row_mut(row)
                .iter_mut()
                .zip(&shift)
                .for_each(|(margin, shift)| *margin -= *shift as f32);
        }
        let scored = score(&fit.margins, &counts, &self.training.classes)?;
        Ok(Some(FoldScore { rounds: fit.rounds, bytes: fit.model.len(), ..scored }))
    }
}
