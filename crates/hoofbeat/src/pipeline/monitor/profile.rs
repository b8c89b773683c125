//! The reference: what a model's training cohort looked like, and what the model answers to it. Counted once per model.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clinical::{Cell, Study};
use learn::model::Assessed;
use prepare::Set;
use registry::Model;
use serde::{Deserialize, Serialize};

use super::sample::{self, Sample};
use crate::deployment::Deployment;
use crate::pipeline::cohort;
use crate::pipeline::score::Scorer;

/// Bins of the orphan probability: twentieths of the reference's patients.
const BINS: usize = 20;

/// A model's training cohort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Profile {
    pub dataset_version: u64,
    pub everybody: Sample,
    pub sources: BTreeMap<String, Sample>,
    /// Per feature of the study: patients by level.
    pub features: Vec<Vec<u64>>,
    pub answers: Answers,
    /// Confirmed severities, in the study's order.
    pub severities: Vec<u64>,
    /// Lower ends of the bins of the orphan probability, ascending.
    pub orphan_bins: Vec<f64>,
}

/// What a model answers to some patients.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub patients: u64,
    /// Patients by severity shown.
    pub severities: Vec<u64>,
    /// Patients without and with an alarm.
    pub alarms: [u64; 2],
    /// Patients by bin of the orphan probability.
    pub orphan_bins: Vec<u64>,
    pub mean_orphan: f64,
}

/// Possible patients with their number and what the model says of them.
pub(super) struct Answered {
    pub patients: Vec<(Cell, u64)>,
    pub assessed: Vec<Assessed>,
}

impl Answered {
    pub(super) fn of(scorer: &Scorer, patients: &BTreeMap<Cell, u64>) -> Result<Answered> {
        let patients: Vec<(Cell, u64)> = patients.iter().map(|(&cell, &n)| (cell, n)).collect();
        let assessed = patients.iter().map(|(cell, _)| scorer.assess(*cell)).collect::<Result<Vec<_>>>()?;
        Ok(Answered { patients, assessed })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Assessed, u64)> {
        self.assessed.iter().zip(self.patients.iter().map(|(_, n)| *n))
    }

    /// Counted by severity, alarm, and bin of the orphan probability.
    pub(super) fn count(&self, study: &Study, orphan_bins: &[f64]) -> Answers {
        let mut answers = Answers {
            severities: vec![0; study.severities().len()],
            orphan_bins: vec![0; orphan_bins.len().max(1)],
            ..Answers::default()
        };
        let mut sum = 0.0;
        for (assessed, n) in self.iter() {
            answers.patients += n;
            answers.severities[assessed.decided.index()] += n;
            answers.alarms[usize::from(assessed.alarm)] += n;
            let bin = orphan_bins.partition_point(|&from| from <= assessed.orphan);
            answers.orphan_bins[bin.saturating_sub(1)] += n;
            sum += n as f64 * assessed.orphan;
        }
        answers.mean_orphan = if answers.patients > 0 { sum / answers.patients as f64 } else { 0.0 };
        answers
    }

    /// Patients by level of every feature.
    pub(super) fn levels(&self, study: &Study) -> Vec<Vec<u64>> {
        let domain = study.domain();
        let mut counts: Vec<Vec<u64>> = domain.dims().iter().map(|&dim| vec![0; dim]).collect();
        for &(cell, n) in &self.patients {
            for (counts, level) in counts.iter_mut().zip(domain.levels(cell)) {
                counts[level] += n;
            }
        }
        counts
    }

    /// Lower ends of bins that hold about equally many patients.
    fn orphan_bins(&self) -> Vec<f64> {
        let mut by_probability: Vec<(f64, u64)> = self.iter().map(|(a, n)| (a.orphan, n)).collect();
        by_probability.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: u64 = by_probability.iter().map(|(_, n)| n).sum();
        let (mut below, mut bins) = (0, vec![0.0]);
        for (probability, n) in by_probability {
            let full = below * BINS as u64 >= total * bins.len() as u64;
            if full && bins.last().is_some_and(|&last| probability > last) {
                bins.push(probability);
            }
            below += n;
        }
        bins
    }
}

impl Profile {
    /// The profile of a registered model, counted where it was not yet.
    pub(super) fn of(deployment: &Deployment, model: &Model, scorer: &Scorer) -> Result<Profile> {
        if let Some(kept) = deployment.registry.monitoring_reference(model.version)? {
            return serde_json::from_value(kept)
                .with_context(|| format!("the kept profile of {} cannot be read", model.version));
        }
        let profile = Profile::count(deployment, model.dataset_version, scorer)?;
        deployment.registry.keep_monitoring_reference(model.version, &serde_json::to_value(&profile)?)?;
        Ok(profile)
    }

    fn count(deployment: &Deployment, version: u64, scorer: &Scorer) -> Result<Profile> {
        let (lake, study) = (&deployment.lake, scorer.study());
        let sources = sample::by_source(lake, study, None, version)?;
        let (cohort, ..) = cohort::tally(deployment, study, version)?;
        let mut patients: BTreeMap<Cell, u64> = BTreeMap::new();
        let mut severities = vec![0; study.severities().len()];
        for count in cohort.of_set(study, Set::Train) {
            *patients.entry(count.cell).or_default() += count.count;
            severities[cohort.strata()[count.stratum].severity.index()] += count.count;
        }
        let answered = Answered::of(scorer, &patients)?;
        let orphan_bins = answered.orphan_bins();
        Ok(Profile {
            dataset_version: version,
            everybody: sample::everybody(study, &sources),
            sources,
            features: answered.levels(study),
            answers: answered.count(study, &orphan_bins),
            severities,
            orphan_bins,
        })
    }
}
