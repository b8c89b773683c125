//! Synth: made-up patients from the reference cohort, whose true probabilities are known.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use clinical::{Rarity, Study};
use evaluate::reference::{BLOOD_TYPES, GENDERS, Preset, Reference, SEVERITIES, Sampler, SyntheticPatient};
use interop::{ColumnType, TableFormat, TableWriter, Value};

use super::evaluate::reference_source_name;
use crate::progress::Progress;

const REPORT_EVERY: u64 = 1 << 14;

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Cohort {
    pub rows: u64,
    pub seed: u64,
    pub preset: Preset,
    /// With the diseases that the other cohorts lack.
    pub novel: bool,
    /// With the true probabilities of each row.
    pub truth: bool,
}

/// Writes a case file in constant memory.
pub fn write(cohort: &Cohort, path: &Path, progress: &Progress) -> Result<()> {
    let format = TableFormat::from_path(path)?;
    let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
    let mut table = TableWriter::create(format, Box::new(file), columns(cohort.truth))?;
    let sampler = Sampler::new(cohort.preset, cohort.novel, cohort.seed)?;
    let truth = cohort.truth.then(|| Reference::new(cohort.preset, cohort.novel)).transpose()?;
    let diseases = sampler.diseases().to_vec();
    let source = reference_source_name(cohort.preset, cohort.novel);
    let task = progress.task("drawing patients", Some(cohort.rows));
    for patient in sampler.take(usize::try_from(cohort.rows).unwrap_or(usize::MAX)) {
        if patient.index.is_multiple_of(REPORT_EVERY) {
            task.at(patient.index);
        }
        let disease = diseases.get(patient.disease).and_then(|disease| disease.code.as_deref());
        let probabilities = truth.as_ref().map(|truth| truth.of_cell(patient.cell).unwrap_or_default());
        push(&mut table, &patient, cohort.seed, &source, disease, probabilities)
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    table.finish().with_context(|| format!("{} cannot be written", path.display()))
}

/// The columns of a case file, and the truth's where asked.
fn columns(truth: bool) -> Vec<(String, ColumnType)> {
    use ColumnType::{Integer, Real, Text};
    let [age, gender, blood, systolic, diastolic, exercise] = inputs();
    let mut columns =
        ["case_id", "patient_id", "source", "recorded_at"].map(|name| (name.to_owned(), Text)).to_vec();
    columns.extend([
        (age, Integer),
        (gender, Text),
        (blood, Text),
        (systolic, Integer),
        (diastolic, Integer),
        (exercise, Integer),
    ]);
    columns
        .extend(["severity", "rarity", "disease_code", "confirmed_at"].map(|name| (name.to_owned(), Text)));
    if truth {
        columns.extend(SEVERITIES.map(|code| (format!("true_p_{code}"), Real)));
        columns.push(("true_p_orphan".to_owned(), Real));
    }
    columns
}

/// The names of the six values that a synthetic patient has: the default study's inputs.
fn inputs() -> [String; 6] {
    let names = Study::default_study().inputs();
    std::array::from_fn(|index| names.get(index).map(|input| input.name.clone()).unwrap_or_default())
}

fn push(
    table: &mut TableWriter,
    patient: &SyntheticPatient,
    seed: u64,
    source: &str,
    disease: Option<&str>,
    truth: Option<(&[f64], f64)>,
) -> Result<()> {
    let (case_id, patient_id, day) = (patient.case_id(seed), patient.patient_id(seed), patient.day());
    let [age, gender, blood, systolic, diastolic, exercise] = patient.values;
    let code = |codes: &[&'static str], index: i32| {
        let found = usize::try_from(index).ok().and_then(|index| codes.get(index)).copied();
        found.map(Value::Text).ok_or_else(|| anyhow!("the reference cohort has no code {index}"))
    };
    let number = |value: i32| Value::Integer(value.into());
    let mut row =
        vec![Value::Text(&case_id), Value::Text(&patient_id), Value::Text(source), Value::Text(&day)];
    row.extend([number(age), code(&GENDERS, gender)?, code(&BLOOD_TYPES, blood)?]);
    row.extend([number(systolic), number(diastolic), number(exercise)]);
    row.push(code(&SEVERITIES, patient.severity.0.into())?);
    row.extend([patient.rarity.map(Rarity::code).into(), disease.into(), Value::Text(&day)]);
    if let Some((severity, orphan)) = truth {
        row.extend(severity.iter().map(|&p| Value::Real(p)));
        row.push(Value::Real(orphan));
    }
    Ok(table.push(&row)?)
}
