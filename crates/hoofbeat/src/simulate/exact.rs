//! Exact: what a model is worth over everybody who may come, without a sample's noise.
//!
//! Table and truth are both finite: every possible patient has a known weight, a known distribution of what is true, and
//! one answer.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use clinical::Rarity;
use evaluate::reference::{Conditional, Reference, SIZE};
use serde::Serialize;

use super::world::{Diseases, Era, PRESET, RISE};
use crate::pipeline::score::Scorer;

/// The least probability that the log loss takes: what a model calls impossible stays finite.
const LEAST: f64 = 1e-12;

/// Exact figures of a model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Exact {
    /// Macro F1 of the severities among patients without an orphan disease, as shown.
    pub f1_common: f64,
    /// Share of the orphan patients who are alarmed.
    pub orphan_recall: f64,
    /// Of the severities, in nats, before an alarm takes `healthy` away; of everybody but the new disease's patients, of whom
    /// nothing that a hospital has can tell before they are confirmed.
    pub log_loss: f64,
    /// Share of the new disease's patients who are alarmed, whether or not there are any yet.
    pub new_disease_recall: f64,
}

/// The truth of every era, computed when it is first asked for.
pub(super) struct Oracle {
    diseases: Diseases,
    eras: BTreeMap<Era, People>,
}

/// What is true of everybody in an era.
struct People {
    everybody: Reference,
    /// Those without the new disease.
    known: Reference,
    /// Those without an orphan disease.
    common: Reference,
    /// p(cell | the new disease)
    new: Vec<f64>,
}

impl Oracle {
    pub(super) fn new(diseases: &Diseases) -> Oracle {
        Oracle { diseases: diseases.clone(), eras: BTreeMap::new() }
    }

    pub(super) fn exact(&mut self, model: &Scorer, era: Era) -> Result<Exact> {
        if !self.eras.contains_key(&era) {
            let people = People::of(&self.diseases, era)?;
            self.eras.insert(era, people);
        }
        self.eras.get(&era).context("the era is known by now")?.exact(model)
    }
}

impl People {
    fn of(diseases: &Diseases, era: Era) -> Result<People> {
        let cohort = Conditional::new(PRESET, if era.has_risen { RISE } else { [0, 0] })?;
        let shares = diseases.shares(era.has_new_disease);
        let of_common = diseases.all.iter().zip(&shares).map(|(disease, &share)| match disease.rarity {
            Some(Rarity::Orphan) => 0.0,
            _ => share,
        });
        Ok(People {
            everybody: cohort.mixed(&shares)?,
            known: cohort.mixed(&diseases.shares(false))?,
            common: cohort.mixed(&of_common.collect::<Vec<f64>>())?,
            new: cohort.given(diseases.new).context("the new disease is unknown to the cohort")?.to_vec(),
        })
    }

    fn exact(&self, model: &Scorer) -> Result<Exact> {
        if model.study().domain().size() != Some(SIZE) {
            bail!("the model is asked other questions than the reference cohort answers");
        }
        let mut decided = Vec::with_capacity(SIZE);
        let (mut found, mut orphans, mut found_new, mut loss) = (0.0, 0.0, 0.0, 0.0);
        for cell in 0..SIZE {
            let said = model.assess(cell)?;
            let weight = self.everybody.weight()[cell];
            let (_, orphan) = self.everybody.of_cell(cell).context("a cell of the cohort")?;
            orphans += weight * orphan;
            if said.alarm {
                found += weight * orphan;
                found_new += self.new[cell];
            }
            let (severity, _) = self.known.of_cell(cell).context("a cell of the cohort")?;
            let terms = severity.iter().zip(&said.before_alarm);
            loss -= self.known.weight()[cell] * terms.map(|(p, q)| p * q.max(LEAST).ln()).sum::<f64>();
            decided.push(said.decided.0);
        }
        Ok(Exact {
            f1_common: self.common.macro_f1(&decided)?,
            orphan_recall: found / orphans,
            log_loss: loss,
            new_disease_recall: found_new,
        })
    }
}
