//! Verify: every possible patient of a model, weighed by the people of a cohort.

use anyhow::Result;
use clinical::Study;
use learn::answers::{Answers, People};
use learn::verify::{self, Verification};
use prepare::Cohort;

use super::score::Scorer;

/// Checks a model against what the study that judges it declares; `None` for a model without a table, which has no list of answers.
pub fn verify(scorer: &Scorer, cohort: &Cohort, judge: &Study) -> Result<Option<Verification>> {
    if scorer.model().table().is_none() {
        return Ok(None);
    }
    let answers = Answers::of(scorer.model())?;
    Ok(Some(verify::verify(&answers, &people(scorer.study(), cohort)?, &judge.verification)?))
}

/// The confirmed cases of all three sets. Only their inputs are looked at, so the test set stays closed.
pub fn people(study: &Study, cohort: &Cohort) -> Result<People> {
    let patients = study.domain().size().unwrap_or_default();
    Ok(People::new(patients, cohort.counts().iter().map(|count| (count.cell, count.count)))?)
}
