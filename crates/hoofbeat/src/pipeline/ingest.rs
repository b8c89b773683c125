//! Ingest: case files -> accepted and refused rows, both stored, as one new dataset version.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clinical::quality::Tally;
use clinical::{Case, Issue, QualityByFile, Study};
use interop::{Mapping, Reading, Row};
use lake::{CaseRow, Ingest, IngestMeta, IngestReport, IngestedFile, Pushed, QuarantineRow, Reason, Schema};
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::deployment::Deployment;
use crate::pipeline::reading::{self, Set};
use crate::pipeline::sources::{ColumnChange, Origin};

/// Rows that the lake is told of before they are pushed.
const AHEAD: usize = 64;

/// What an ingest did, file by file and in all.
#[derive(Debug, Serialize)]
pub struct Ingested {
    #[serde(flatten)]
    pub report: IngestReport,
    /// Rows that the mapping left out, by its reason.
    pub skipped: BTreeMap<String, u64>,
    /// Columns that nobody asked for, by file.
    pub ignored_columns: BTreeMap<String, Vec<String>>,
    /// Fields that a file lacked and that were derived, by file.
    pub derived_fields: BTreeMap<String, Vec<&'static str>>,
    /// What is other in a file's columns than when its source was registered.
    pub changed_columns: BTreeMap<String, ColumnChange>,
    /// What was found in the rows of each file.
    pub quality: QualityByFile,
}

/// Reads a mapping file.
pub fn mapping(path: &Path) -> Result<Mapping> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("the mapping {} cannot be read", path.display()))?;
    Mapping::parse(&text).with_context(|| format!("the mapping {} is not valid", path.display()))
}

/// The rule that deals split slots to new patients: the study's seed and the stratum's name decide.
pub(super) fn slot_rule(study: &Study) -> impl FnMut(&str, u64) -> u8 + Send + 'static {
    let mut slots = prepare::split::Slots::new(study.split.seed);
    move |stratum, n| slots.slot(stratum, n)
}

/// Begins an append of rows as the deployment's study asks for them.
pub(super) fn begin(deployment: &Deployment, source: &str, now: OffsetDateTime) -> Result<Ingest> {
    let study = &deployment.study;
    let schema = Schema {
        inputs: study.inputs().iter().map(|input| input.name.clone()).collect(),
        note: study.note().map(|note| note.name.clone()),
    };
    let meta = IngestMeta { source: source.to_owned(), now, schema };
    Ok(deployment.lake.begin_ingest(meta, slot_rule(study))?)
}

/// Adds an accepted case.
pub(super) fn push(ingest: &mut Ingest, study: &Study, case: &Case) -> Result<Pushed> {
    let inputs: Vec<Option<i32>> = case.patient.values().iter().copied().map(Some).collect();
    push_with(ingest, study, case, &inputs)
}

fn push_with(ingest: &mut Ingest, study: &Study, case: &Case, inputs: &[Option<i32>]) -> Result<Pushed> {
    let outcome = case.outcome.as_ref();
    Ok(ingest.push(&CaseRow {
        case_id: &case.case_id,
        patient_id: &case.patient_id,
        source: &case.source,
        recorded_at: Some(case.recorded_at),
        inputs,
        note: case.note.as_ref().map(clinical::Note::text),
        severity: outcome.map(|outcome| study.severity(outcome.severity).code.as_str()),
        rarity: outcome.and_then(|outcome| outcome.rarity).map(clinical::Rarity::code),
        disease_code: outcome.and_then(|outcome| outcome.disease_code.as_deref()),
        confirmed_at: case.confirmed_at,
    })?)
}

/// Ingests files from one source: all of them or, on an error, none.
pub fn ingest(deployment: &Deployment, files: &[PathBuf], origin: &Origin) -> Result<Ingested> {
    let study = &deployment.study;
    let (source, mapping) = (origin.source.as_str(), origin.mapping.as_ref());
    let sets = reading::sets(files, mapping)?;
    let now = deployment.now();
    let mut ingest = begin(deployment, source, now)?;
    let reading = Reading { study, mapping, source, ingested_at: (now.unix_timestamp_nanos() / 1000) as i64 };
    let mut done =
        Reader { ingest: &mut ingest, skipped: BTreeMap::new(), source, quality: QualityByFile::default() };
    let (mut ignored_columns, mut derived_fields) = (BTreeMap::new(), BTreeMap::new());
    let mut changed_columns = BTreeMap::new();
    for set in &sets {
        let columns = done.set(deployment, set, reading)?;
        let name = set.names().join(", ");
        if let Some(change) = origin.change(&columns) {
            changed_columns.insert(name.clone(), change);
        }
        if !columns.ignored.is_empty() {
            ignored_columns.insert(name.clone(), columns.ignored);
        }
        if !columns.derived.is_empty() {
            derived_fields.insert(name, columns.derived);
        }
    }
    let Reader { skipped, quality, .. } = done;
    ingest.quality(serde_json::to_value(&quality)?);
    let report = ingest.commit()?;
    Ok(Ingested { report, skipped, ignored_columns, derived_fields, changed_columns, quality })
}

/// Feeds the rows of files to one ingest.
struct Reader<'a> {
    ingest: &'a mut Ingest,
    skipped: BTreeMap<String, u64>,
    source: &'a str,
    quality: QualityByFile,
}

impl Reader<'_> {
    fn set(&mut self, deployment: &Deployment, set: &Set, reading: Reading<'_>) -> Result<interop::Columns> {
        let study = reading.study;
        let names = set.names();
        let mut tallies: Vec<Tally<'_>> = names.iter().map(|_| Tally::new(study)).collect();
        let mut inputs = Vec::new();
        // Beside the reading: both wait for the same pages, and neither for the other.
        let (read, digests) = std::thread::scope(|scope| {
            let digests = scope.spawn(|| set.paths.iter().map(|path| digest(path)).collect::<Vec<_>>());
            let read = set.read(reading, &deployment.progress, |rows| {
                for rows in rows.chunks(AHEAD) {
                    self.ingest.expect(rows.iter().filter_map(|(_, row)| match row {
                        Row::Accepted(case) => Some((case.case_id.as_str(), case.patient_id.as_str())),
                        _ => None,
                    }));
                    for (file, row) in rows {
                        self.row(study, row, &names[*file], &mut tallies[*file], &mut inputs)?;
                    }
                }
                Ok(())
            });
            (read, digests.join())
        });
        let (columns, header) = read?;
        let digests = digests.map_err(|_| anyhow!("the checksum of a file could not be made"))?;
        for (((path, name), tally), digest) in set.paths.iter().zip(names).zip(tallies).zip(digests) {
            let profile = tally.finish();
            self.quality.add(&name, &profile);
            let (bytes, sha256) = digest.with_context(|| path.display().to_string())?;
            let header = header.clone();
            self.ingest.file(IngestedFile { name, bytes, sha256: Some(sha256), rows: profile.rows, header });
        }
        Ok(columns)
    }

    fn row(
        &mut self,
        study: &Study,
        row: &Row,
        file: &str,
        tally: &mut Tally<'_>,
        inputs: &mut Vec<Option<i32>>,
    ) -> Result<()> {
        match row {
            Row::Accepted(case) => {
                tally.accept(case);
                if self.accept(study, case, inputs)? == Pushed::Duplicate {
                    tally.duplicate();
                }
            }
            Row::Refused { line, issues, raw, .. } => {
                tally.refuse(issues);
                self.refuse(file, *line, issues, raw)?;
            }
            Row::Skipped { reason, .. } => {
                tally.skip();
                *self.skipped.entry(reason.to_string()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn accept(&mut self, study: &Study, case: &Case, inputs: &mut Vec<Option<i32>>) -> Result<Pushed> {
        inputs.clear();
        inputs.extend(case.patient.values().iter().copied().map(Some));
        push_with(self.ingest, study, case, inputs)
    }

    fn refuse(&mut self, file: &str, row: u64, issues: &[Issue], raw: &str) -> Result<()> {
        let reasons: Vec<Reason<'_>> =
            issues.iter().map(|issue| Reason { field: &issue.field, code: issue.code.as_str() }).collect();
        self.ingest.quarantine(&QuarantineRow { source: self.source, file, row, reasons: &reasons, raw })?;
        Ok(())
    }
}

/// Length and SHA-256 of a file.
fn digest(path: &Path) -> std::io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        hash.update(buffer.get(..read).unwrap_or_default());
    }
    Ok((bytes, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}
