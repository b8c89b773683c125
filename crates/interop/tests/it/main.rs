//! The crate against whole files: real ones, made ones and arbitrary bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod csv_rows;
mod dirty;
mod fhir;
mod files;
mod fuzz;
mod mapping;
mod ndjson;
mod nhanes;
mod notes;
mod parquet;
mod rare;
mod tables;

use std::{
    io::Cursor,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use clinical::{Case, Issue, Study};
use interop::{CaseFile, FileError, Format, Mapping, Reading, Row, TableFormat};

/// 2026-01-01T00:00:00Z.
pub const NOW: i64 = 1_767_225_600_000_000;

pub const HEADER: &str = "case_id,patient_id,source,recorded_at,age_years,gender,blood_type,systolic_mmhg,\
                          diastolic_mmhg,exercise_days_per_month,severity,rarity,disease_code,confirmed_at";

pub fn reading<'a>(study: &'a Study, mapping: Option<&'a Mapping>) -> Reading<'a> {
    Reading { study, mapping, source: "hospital", ingested_at: NOW }
}

/// Reads bytes to the end.
pub fn read(
    bytes: impl Into<Vec<u8>>,
    format: Option<Format>,
    mapping: Option<&Mapping>,
) -> Result<Vec<Row>, FileError> {
    let bytes = Cursor::new(bytes.into());
    CaseFile::stream(Box::new(bytes), format, reading(Study::default_study(), mapping))?.collect()
}

/// Reads a CSV of the default study.
pub fn csv(text: impl Into<Vec<u8>>) -> Vec<Row> {
    read(text, Some(Format::Csv), None).unwrap()
}

pub fn reasons(row: &Row) -> Vec<String> {
    match row {
        Row::Refused { issues, .. } => issues.iter().map(Issue::reason).collect(),
        Row::Accepted(_) => vec!["accepted".to_owned()],
        Row::Skipped { reason, .. } => vec![format!("skipped: {reason}")],
    }
}

pub fn cases(rows: Vec<Row>) -> Vec<Case> {
    rows.into_iter()
        .map(|row| match row {
            Row::Accepted(case) => case,
            other => panic!("{other:?}"),
        })
        .collect()
}

pub fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(name)
}

/// A writer whose bytes can be looked at after it has been given away.
#[derive(Clone, Debug, Default)]
pub struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }
}

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub fn form(name: &str) -> TableFormat {
    TableFormat::from_path(name.as_ref()).unwrap()
}
