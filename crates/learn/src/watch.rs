//! Watched diseases: orphan diseases with an alarm of their own, until the gate finds them.
//!
//! A disease that was first seen after training gets one at once. A training that has then learned from three of its cases
//! among thousands finds nobody by them, so it goes on watching, and measures out of fold whether it still has to.

use crate::combine::Combination;
use crate::crossfit::{Training, say};
use crate::fewshot::{Half, NoveltyBudget, Population};
use crate::{Matrix, Result};

/// Cases from which on a recall of 0.70 can be shown at all: nine of nine have a one-sided lower 95 %
/// bound of 0.717.
const ENOUGH_TO_TELL: f64 = 9.0;
/// Share of a watched disease's cases that the gate has to find. More than it promises of all orphan diseases: who was
/// confirmed had been suspected, so these cases are easier to find than others.
const FOUND: f64 = 0.9;

/// Diseases that get alarms of their own.
pub(crate) struct Watch<'a> {
    pub(crate) codes: &'a [String],
    pub(crate) budget: &'a NoveltyBudget,
    pub(crate) combination: &'a Combination,
}

impl Watch<'_> {
    /// Gives the watched diseases their alarms in a half, within their budget among the cases of the folds that it has
    /// seen; whether they alarm the patients of `x`. `boosted`: the margins of those, by boosters that have seen the same folds.
    pub(crate) fn set_alarms(
        &self,
        training: &Training,
        half: &mut Half,
        boosted: &Matrix<f32>,
        seen: impl Fn(usize) -> bool,
    ) -> Result<Vec<bool>> {
        let n = training.x.rows();
        half.watch(self.codes);
        if half.watched().is_empty() {
            return Ok(vec![false; n]);
        }
        let margins = half.margins(&training.x)?;
        let said = say(boosted, half, self.combination.heard(), &training.levels, margins.as_ref());
        let (mut everyone, mut negatives) = (vec![0.0; n], vec![0.0; n]);
        for (_, fold) in training.folds.iter().enumerate().filter(|(fold, _)| seen(*fold)) {
            for (row, cases) in fold.iter_rows().enumerate() {
                for (disease, cases) in training.diseases.iter().zip(cases) {
                    everyone[row] += cases;
                    negatives[row] += if disease.orphan { 0.0 } else { *cases };
                }
            }
        }
        let alarmed: Vec<bool> = said
            .opinions
            .iter_rows()
            .map(|row| self.combination.alarmed(self.combination.orphan(row)))
            .collect();
        let population = Population { negatives: &negatives, everyone: &everyone, alarmed: &alarmed };
        half.set_alarms(self.budget, &said.novelty, &population)?;
        Ok(said.novelty.iter_rows().map(|margins| half.raised(margins)).collect())
    }
}

/// Those of the watched diseases whose cases the gate does not find by itself, or of which there are too few to tell.
/// `unseen`: each fold's opinions of the patients of `x`, by experts that have not seen it.
pub(crate) fn not_found(
    training: &Training,
    unseen: &[Matrix<f64>],
    combination: &Combination,
    watched: &[String],
) -> Vec<String> {
    let is_not_found = |code: &&String| {
        let its: Vec<usize> = (0..training.diseases.len())
            .filter(|&at| {
                let disease = &training.diseases[at];
                disease.orphan && disease.code.as_ref() == Some(code)
            })
            .collect();
        let (mut cases, mut found) = (0.0, 0.0);
        for (opinions, counts) in unseen.iter().zip(&training.folds) {
            for (opinions, counts) in opinions.iter_rows().zip(counts.iter_rows()) {
                let here: f64 = its.iter().map(|&at| counts[at]).sum();
                if here > 0.0 {
                    cases += here;
                    found += if combination.alarmed(combination.orphan(opinions)) { here } else { 0.0 };
                }
            }
        }
        cases < ENOUGH_TO_TELL || found < FOUND * cases
    };
    watched.iter().filter(is_not_found).cloned().collect()
}
