//! Ingest: case files -> accepted and refused rows, both stored, as one new dataset version.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use anyhow::{Context, Result, anyhow};
use clinical::{Case, Issue, Study};
use interop::{CaseFile, Columns, FileError, Mapping, Reading, Row};
use lake::{CaseRow, Ingest, IngestMeta, IngestReport, IngestedFile, Pushed, QuarantineRow, Reason, Schema};
use serde::Serialize;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::deployment::{self, Deployment};

/// Rows that the reading thread hands over at once.
const HANDED_ROWS: usize = 1 << 11;
/// Such portions that may wait.
const WAITING: usize = 4;

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
pub fn ingest(
    deployment: &Deployment,
    files: &[PathBuf],
    source: &str,
    mapping: Option<&Mapping>,
) -> Result<Ingested> {
    let (study, now) = (&deployment.study, deployment::now());
    let mut ingest = begin(deployment, source, now)?;
    let reading = Reading { study, mapping, source, ingested_at: (now.unix_timestamp_nanos() / 1000) as i64 };
    let mut done = Reader { ingest: &mut ingest, skipped: BTreeMap::new(), source };
    let (mut ignored_columns, mut derived_fields) = (BTreeMap::new(), BTreeMap::new());
    for path in files {
        let name = file_name(path);
        let columns = done.file(deployment, path, &name, reading)?;
        if !columns.ignored.is_empty() {
            ignored_columns.insert(name.clone(), columns.ignored);
        }
        if !columns.derived.is_empty() {
            derived_fields.insert(name, columns.derived);
        }
    }
    let skipped = done.skipped;
    let report = ingest.commit()?;
    Ok(Ingested { report, skipped, ignored_columns, derived_fields })
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Feeds the rows of files to one ingest.
struct Reader<'a> {
    ingest: &'a mut Ingest,
    skipped: BTreeMap<String, u64>,
    source: &'a str,
}

impl Reader<'_> {
    fn file(
        &mut self,
        deployment: &Deployment,
        path: &Path,
        name: &str,
        reading: Reading<'_>,
    ) -> Result<Columns> {
        let place = || path.display().to_string();
        let task = deployment.progress.task(&format!("reading {name}"), None);
        let mut rows = 0;
        let (columns, header) = std::thread::scope(|scope| {
            let (portions, inbox) = sync_channel(WAITING);
            let reader = scope.spawn(move || read(path, reading, &portions));
            let mut inputs = Vec::new();
            for portion in inbox {
                for row in portion {
                    rows += 1;
                    match row {
                        Row::Accepted(case) => self.accept(reading.study, &case, &mut inputs)?,
                        Row::Refused { line, issues, raw, .. } => self.refuse(name, line, &issues, &raw)?,
                        Row::Skipped { reason, .. } => {
                            *self.skipped.entry(reason.to_string()).or_default() += 1;
                        }
                    }
                }
                task.at(rows);
            }
            let read = reader.join().map_err(|_| anyhow!("{}: the reading thread stopped", place()))?;
            read.with_context(|| match rows {
                0 => place(),
                rows => format!("{}, after {rows} rows; nothing was stored", place()),
            })
        })?;
        let (bytes, sha256) = digest(path).with_context(place)?;
        self.ingest.file(IngestedFile { name: name.to_owned(), bytes, sha256: Some(sha256), rows, header });
        Ok(columns)
    }

    fn accept(&mut self, study: &Study, case: &Case, inputs: &mut Vec<Option<i32>>) -> Result<()> {
        inputs.clear();
        inputs.extend(case.patient.values().iter().copied().map(Some));
        push_with(self.ingest, study, case, inputs)?;
        Ok(())
    }

    fn refuse(&mut self, file: &str, row: u64, issues: &[Issue], raw: &str) -> Result<()> {
        let reasons: Vec<Reason<'_>> =
            issues.iter().map(|issue| Reason { field: &issue.field, code: issue.code.as_str() }).collect();
        self.ingest.quarantine(&QuarantineRow { source: self.source, file, row, reasons: &reasons, raw })?;
        Ok(())
    }
}

/// Reads a file on a thread of its own, so that parsing and storing each have a core.
fn read(
    path: &Path,
    reading: Reading<'_>,
    portions: &SyncSender<Vec<Row>>,
) -> Result<(Columns, Option<Vec<String>>), FileError> {
    let mut cases = CaseFile::open(path, reading)?;
    let told = |cases: &CaseFile<'_>| (cases.columns(), cases.header().map(<[String]>::to_vec));
    let mut portion = Vec::with_capacity(HANDED_ROWS);
    for row in cases.by_ref() {
        match row {
            Ok(row) => portion.push(row),
            Err(error) => {
                let _ = portions.send(portion); // so that the error can say after how many rows it came
                return Err(error);
            }
        }
        if portion.len() == HANDED_ROWS {
            let full = std::mem::replace(&mut portion, Vec::with_capacity(HANDED_ROWS));
            if portions.send(full).is_err() {
                return Ok(told(&cases)); // the receiver failed and says why
            }
        }
    }
    let _ = portions.send(portion);
    Ok(told(&cases))
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
