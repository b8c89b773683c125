//! The counted training cases in the learner's form.

use std::collections::BTreeMap;

use anyhow::Result;
use clinical::{Feature, Kind, Severity, Study};
use lake::DatasetVersion;
use learn::Matrix;
use learn::combine::{Classes, Disease, Group};
use learn::crossfit::Training;
use learn::profile::Axis;
use prepare::{Cohort, Folds, Groups, Preprocessor, Set, Stratum};

use crate::deployment::Deployment;
use crate::pipeline::cohort::{self, Counted};

/// A dataset version, counted, with what was learned from its training set alone.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) dataset: DatasetVersion,
    pub(super) counted: Counted,
    pub(super) preprocessor: Preprocessor,
    pub(super) groups: Groups,
    pub(super) training: Training,
    /// Training cases per possible patient.
    pub(super) weights: Vec<(usize, f64)>,
}

impl Prepared {
    pub(super) fn of(deployment: &Deployment, study: &Study, dataset_version: u64) -> Result<Prepared> {
        let dataset = deployment.lake.version(dataset_version)?;
        let counted = {
            let _task = deployment.progress.task("counting the cohort", None);
            cohort::count(deployment, study, dataset.version)?
        };
        counted.cohort.require_trainable(study)?;
        let preprocessor = Preprocessor::fit(study, &counted.cohort);
        let groups = Groups::of(study, &counted.cohort);
        let (training, weights) = training(study, &counted.cohort, &groups, &preprocessor)?;
        Ok(Prepared { dataset, counted, preprocessor, groups, training, weights })
    }

    /// Whether every possible patient is answered in advance.
    pub(super) fn tabulated(&self) -> bool {
        self.training.score.rows() > 0
    }
}

/// The training set's counts by fold, and its cases per possible patient.
fn training(
    study: &Study,
    cohort: &Cohort,
    groups: &Groups,
    preprocessor: &Preprocessor,
) -> Result<(Training, Vec<(usize, f64)>)> {
    let folds = Folds::new(&study.split, study.training.folds);
    let classes = classes(study, groups);
    let disease = |(index, stratum)| disease(groups.of_stratum(index), stratum);
    let diseases = cohort.strata().iter().enumerate().map(disease).collect::<Vec<_>>();
    // Only diseases that the training set has: a profile of nobody would say nothing.
    let mut trained = vec![false; diseases.len()];
    cohort.of_set(study, Set::Train).for_each(|count| trained[count.stratum] = true);
    let mut column_of = vec![0; diseases.len()];
    let mut kept = Vec::new();
    for ((disease, trained), column) in diseases.into_iter().zip(trained).zip(&mut column_of) {
        *column = kept.len();
        kept.extend(disease.filter(|_| trained));
    }
    let mut rows: BTreeMap<usize, usize> = BTreeMap::new();
    for count in cohort.of_set(study, Set::Train) {
        let next = rows.len();
        rows.entry(count.cell).or_insert(next);
    }
    let mut weights: Vec<(usize, f64)> = vec![(0, 0.0); rows.len()];
    let mut counts = vec![Matrix::zeros(rows.len(), kept.len()); folds.count()];
    for count in cohort.of_set(study, Set::Train) {
        let (Some(&row), Some(fold)) = (rows.get(&count.cell), folds.of_slot(count.slot)) else { continue };
        counts[fold].row_mut(row)[column_of[count.stratum]] += count.count as f64;
        weights[row].0 = count.cell;
        weights[row].1 += count.count as f64;
    }
    let seen = || weights.iter().map(|(cell, _)| *cell);
    let possible = 0..tabulated(study, classes.outputs()).unwrap_or(0);
    let training = Training {
        x: encode(study, preprocessor, seen())?,
        levels: levels(study, seen())?,
        axes: study.features().iter().map(axis).collect(),
        folds: counts,
        diseases: kept,
        score: encode(study, preprocessor, possible.clone())?,
        score_levels: levels(study, possible)?,
        classes,
    };
    Ok((training, weights))
}

/// How a feature's levels are described in a disease's profile.
fn axis(feature: &Feature) -> Axis {
    match feature.kind {
        Kind::Number { .. } => Axis::Number { levels: feature.dim() },
        Kind::Code(_) | Kind::Category(_) => Axis::Code { levels: feature.dim() },
    }
}

/// A stratum among the model's classes; none when the training set has no case of its group.
fn disease(group: Option<usize>, stratum: &Stratum) -> Option<Disease> {
    Some(Disease { group: group?, orphan: stratum.is_orphan(), code: stratum.disease_code.clone() })
}

fn levels(study: &Study, cells: impl ExactSizeIterator<Item = usize>) -> Result<Matrix<u32>> {
    let (n, features) = (cells.len(), study.features().len());
    let mut data = Vec::with_capacity(n * features);
    for cell in cells {
        data.extend(study.domain().levels(cell).into_iter().map(|level| level as u32));
    }
    Ok(Matrix::from_vec(n, features, data)?)
}

/// How many possible patients a table of this study would hold, where it may have one.
fn tabulated(study: &Study, outputs: usize) -> Option<usize> {
    learn::predict::Table::possible(study.domain().dims(), outputs, study.predictor.table_limit)
}

fn encode(
    study: &Study,
    preprocessor: &Preprocessor,
    cells: impl ExactSizeIterator<Item = usize>,
) -> Result<Matrix<f32>> {
    let (n, width) = (cells.len(), preprocessor.width());
    let mut data = Vec::with_capacity(n * width);
    for cell in cells {
        preprocessor.encode_into(&study.domain().levels(cell), &mut data);
    }
    Ok(Matrix::from_vec(n, width, data)?)
}

/// The groups as the model's classes, in the same order.
fn classes(study: &Study, groups: &Groups) -> Classes {
    let group = |&(severity, orphan): &(Severity, bool)| Group { severity: severity.index(), orphan };
    Classes {
        severities: study.severities().len(),
        healthy: Some(study.healthy().index()),
        groups: groups.pairs().iter().map(group).collect(),
    }
}
