//! Appending: rows in, two tables changed by one commit.
//!
//! Order of a commit: data files of both tables (durable, but named by nothing), the commit of `quarantine`, then the
//! commit of `cases`, which names the ingest and is the switch. A process killed before the switch leaves the version
//! before: rows of `quarantine` whose ingest no commit of `cases` names are not read, and files that
//! nothing names are deleted by the next ingest.

mod case_columns;
mod quarantine_columns;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::data_file::DataFiles;
use crate::index::CaseIndex;
use crate::outcome::{Outcomes, key};
use crate::record::{Act, CommitRecord, IngestRecord, IngestedFile, OutcomeCount, RECORD_KEY};
use crate::rewrite::Going;
use crate::schema::{self, Column, Schema};
use crate::slots::{SlotRule, Strata};
use crate::{CaseRow, Lake, LakeError, QuarantineRow, QuarantinedRow, table};
use case_columns::CaseColumns;
use quarantine_columns::QuarantineColumns;

/// Rows gathered before they go to the writer: a megabyte, which stays in the processor's cache until it is written.
const CHUNK_ROWS: usize = 1 << 13;

/// What an ingest is about.
#[derive(Debug, Clone)]
pub struct IngestMeta {
    /// Where the files come from (an EHR, a registry); named in the dataset's history.
    pub source: String,
    /// The time to record, given by the caller.
    pub now: OffsetDateTime,
    /// The study's inputs.
    pub schema: Schema,
}

/// What became of a pushed row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Added,
    /// A row with this case identifier (or this refused row) is stored already, or came earlier in this ingest.
    Duplicate,
}

/// What an ingest did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct IngestReport {
    pub ingest_id: Uuid,
    /// The new dataset version; `None` where no row was added.
    pub new_version: Option<u64>,
    /// The newest dataset version now (0: none yet).
    pub dataset_version: u64,
    /// Rows added to `cases`.
    pub accepted: u64,
    /// Accepted rows that were stored already and not stored again.
    pub duplicates: u64,
    /// Refused rows in the input, whether or not they were quarantined before.
    pub refused: u64,
    /// Refused rows added to `quarantine`.
    pub quarantined: u64,
    /// Refused rows of earlier ingests that left `quarantine`.
    pub released: u64,
    /// All refused rows of the input by reason (`field:code`); a row counts once for each of its reasons.
    pub refused_by_reason: BTreeMap<String, u64>,
    /// Rows added to `cases` by outcome, ascending.
    pub outcomes: Vec<OutcomeCount>,
    pub files: Vec<IngestedFile>,
}

/// An append under way. Dropped without [`Ingest::commit`], it leaves nothing.
pub struct Ingest {
    /// A writer: until the end, nobody else changes the lake.
    lake: Lake,
    meta: IngestMeta,
    rule: Box<dyn SlotRule>,
    record: IngestRecord,
    index: CaseIndex,
    strata: Strata,
    outcomes: Outcomes,
    outcome_rows: Vec<u64>,
    all_columns: Vec<Column>,
    cases: CaseColumns,
    case_files: DataFiles,
    accepted_duplicates: u64,
    quarantine: QuarantineColumns,
    quarantine_files: DataFiles,
    quarantined: HashSet<u64>,
    refused: u64,
    refused_by_reason: BTreeMap<String, u64>,
    /// Same refused rows so far in the file being read: identical rows of one file are different rows.
    repeats: HashMap<u64, u64>,
    repeats_of: String,
    /// Refused rows of earlier ingests that leave the quarantine: ingest and key.
    released: HashSet<(Uuid, u64)>,
    failed: bool,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").field("ingest_id", &self.record.ingest_id).finish_non_exhaustive()
    }
}

impl Lake {
    /// Begins an append. Reads the keys of all stored cases (8 bytes a case and a patient stay in memory), and
    /// sweeps what killed ingests left. `rule` gives new patients their split slot.
    ///
    /// # Errors
    /// [`LakeError::Busy`] while another ingest runs, here or in another process; [`LakeError::ReservedColumn`];
    /// [`LakeError::Io`] and the like.
    pub fn begin_ingest(&self, meta: IngestMeta, rule: impl SlotRule + 'static) -> Result<Ingest, LakeError> {
        let all_columns = schema::case_columns(&meta.schema)?;
        let lake = self.writer()?;
        let history = lake.history()?;
        lake.sweep(&history)?;
        let parent = history.head();
        let ingest_id = Uuid::now_v7();
        let quarantine_columns = schema::quarantine_columns();
        let prefix = table::file_prefix(&ingest_id.to_string());
        let cases = CaseColumns::new(&meta.schema, &all_columns, parent + 1);
        let quarantine = QuarantineColumns::new(ingest_id, &quarantine_columns);
        // Files are opened with their first rows only; the folders must be there.
        let (case_folder, quarantine_folder) = (lake.cases().folder, lake.quarantine_table().folder);
        case_folder.create()?;
        quarantine_folder.create()?;
        let case_files = DataFiles::start(&case_folder, prefix.clone(), &all_columns, cases.schema())?;
        let quarantine_files =
            DataFiles::start(&quarantine_folder, prefix, &quarantine_columns, quarantine.schema())?;
        Ok(Ingest {
            index: lake.load_index(&history)?,
            quarantined: lake.load_quarantined(&history)?,
            strata: Strata::resume(&history.strata()),
            record: IngestRecord {
                ingest_id,
                dataset_version: parent,
                parent: Some(parent),
                created_at: meta.now,
                source: meta.source.clone(),
                files: Vec::new(),
                accepted: 0,
                quarantined: 0,
                duplicates: 0,
                released: 0,
                outcomes: Vec::new(),
                sources: BTreeMap::new(),
                reasons: BTreeMap::new(),
                inputs: meta.schema.inputs.clone(),
                note: meta.schema.note.clone(),
                quality: None,
            },
            meta,
            rule: Box::new(rule),
            lake,
            outcomes: Outcomes::default(),
            outcome_rows: Vec::new(),
            all_columns,
            cases,
            case_files,
            accepted_duplicates: 0,
            quarantine,
            quarantine_files,
            refused: 0,
            refused_by_reason: BTreeMap::new(),
            repeats: HashMap::new(),
            repeats_of: String::new(),
            released: HashSet::new(),
            failed: false,
        })
    }
}

impl Ingest {
    /// Names a file of this ingest in the dataset's history; before or after its rows.
    pub fn file(&mut self, file: IngestedFile) {
        self.record.files.push(file);
    }

    /// Keeps what was measured of the rows with the ingest's record.
    pub fn quality(&mut self, quality: serde_json::Value) {
        self.record.quality = Some(quality);
    }

    /// Tells of rows that are pushed next, by case and patient identifier: what is looked up for them comes out of memory
    /// together, not one after the other. Some dozens at a time; it changes nothing but speed.
    pub fn expect<'a>(&self, rows: impl Iterator<Item = (&'a str, &'a str)>) {
        self.index.touch(rows.map(|(case, patient)| (key(case), key(patient))));
    }

    /// Adds one accepted row.
    ///
    /// # Errors
    /// [`LakeError::WrongWidth`], [`LakeError::BadSlot`], or the writer's error; after one, the ingest cannot be committed.
    pub fn push(&mut self, row: &CaseRow<'_>) -> Result<Pushed, LakeError> {
        let pushed = self.push_row(row);
        self.failed |= pushed.is_err();
        pushed
    }

    fn push_row(&mut self, row: &CaseRow<'_>) -> Result<Pushed, LakeError> {
        let (found, expected) = (row.inputs.len(), self.meta.schema.inputs.len());
        if found != expected {
            return Err(LakeError::WrongWidth { found, expected });
        }
        let case_key = key(row.case_id);
        if !self.index.insert_case(case_key) {
            self.accepted_duplicates += 1;
            return Ok(Pushed::Duplicate);
        }
        let patient_key = key(row.patient_id);
        let (outcome, new) = self.outcomes.number(row);
        if new {
            self.strata.add_outcome(&self.outcomes.known()[outcome]);
            self.outcome_rows.push(0);
        }
        let slot = match row.severity {
            Some(_) => Some(self.slot(patient_key, outcome)?),
            None => None,
        };
        self.outcome_rows[outcome] += 1;
        self.record.accepted += 1;
        match self.record.sources.get_mut(row.source) {
            Some(rows) => *rows += 1,
            None => drop(self.record.sources.insert(row.source.to_owned(), 1)),
        }
        self.cases.push(row, outcome, slot, case_key, patient_key);
        if self.cases.is_full() {
            let chunk = self.cases.take(self.outcomes.known())?;
            self.case_files.write(chunk)?;
        }
        Ok(Pushed::Added)
    }

    fn slot(&mut self, patient_key: u64, outcome: usize) -> Result<u8, LakeError> {
        if let Some(slot) = self.index.slot(patient_key) {
            return Ok(slot);
        }
        let slot = self.strata.next(outcome, self.rule.as_mut())?;
        self.index.insert_patient(patient_key, slot);
        Ok(slot)
    }

    /// Stores one refused row with its reasons.
    pub fn quarantine(&mut self, row: &QuarantineRow<'_>) -> Result<Pushed, LakeError> {
        let pushed = self.quarantine_row(row);
        self.failed |= pushed.is_err();
        pushed
    }

    fn quarantine_row(&mut self, row: &QuarantineRow<'_>) -> Result<Pushed, LakeError> {
        let reasons: Vec<String> = row.reasons.iter().map(|r| format!("{}:{}", r.field, r.code)).collect();
        let distinct: HashSet<&String> = reasons.iter().collect();
        self.refused += 1;
        for &reason in &distinct {
            *self.refused_by_reason.entry(reason.clone()).or_default() += 1;
        }
        let joined = reasons.join(";");
        let row_key = self.refused_key(row, &joined);
        if !self.quarantined.insert(row_key) {
            return Ok(Pushed::Duplicate);
        }
        for &reason in &distinct {
            *self.record.reasons.entry(reason.clone()).or_default() += 1;
        }
        self.record.quarantined += 1;
        self.quarantine.push(row, &joined, row_key);
        if self.quarantine.len() == CHUNK_ROWS {
            let chunk = self.quarantine.take()?;
            self.quarantine_files.write(chunk)?;
        }
        Ok(Pushed::Added)
    }

    /// Takes a refused row of an earlier ingest out of quarantine, because it was read again and pushed as a case.
    pub fn release(&mut self, row: &QuarantinedRow) {
        self.released.insert(row.place());
    }

    /// The same for the same row of the same file content, whatever else the ingest holds.
    fn refused_key(&mut self, row: &QuarantineRow<'_>, reasons: &str) -> u64 {
        if self.repeats_of != row.file {
            row.file.clone_into(&mut self.repeats_of);
            self.repeats.clear();
        }
        let content = key(&format!("{}\0{reasons}\0{}", row.source, row.raw));
        let repeat = self.repeats.entry(content).or_default();
        *repeat += 1;
        key(&format!("{content:016x} {repeat}"))
    }

    /// Makes the rows a new dataset version, or nothing where none was added.
    ///
    /// # Errors
    /// [`LakeError::IngestFailed`] when an earlier call failed. On any error the dataset is unchanged.
    pub fn commit(mut self) -> Result<IngestReport, LakeError> {
        if self.failed {
            return Err(LakeError::IngestFailed);
        }
        self.finish_record();
        self.flush()?;
        let released = self.released;
        let going = match released.is_empty() {
            true => Going::default(),
            false => self.lake.refused_to_go(&self.lake.history()?, &mut |row| {
                released.contains(&(row.ingest_id, row.key))
            })?,
        };
        self.record.released = going.rows();
        self.lake.write_staying(&going, &mut self.quarantine_files)?;
        let case_files = self.case_files.finish()?;
        let quarantine_files = self.quarantine_files.finish()?;
        if self.record.accepted + self.record.quarantined + self.record.released > 0 {
            let (cases, quarantine) = (self.lake.cases(), self.lake.quarantine_table());
            quarantine.create(&schema::quarantine_columns())?;
            cases.create(&self.all_columns)?;
            cases.add_columns(&self.all_columns)?;
            if !quarantine_files.is_empty() {
                let record = serde_json::json!({ "ingest_id": self.record.ingest_id });
                quarantine.append(&quarantine_files, RECORD_KEY, record)?;
            }
            let act = Act::Ingest(self.record.clone());
            let quarantine = (self.record.released > 0).then(|| going.change());
            let record = CommitRecord { act, strata: self.strata.counts(), quarantine };
            cases.append(&case_files, RECORD_KEY, record.to_json(cases.name)?)?;
            if self.record.released > 0 {
                self.lake.sweep(&self.lake.history()?)?;
            }
        }
        drop(self.lake);
        Ok(IngestReport {
            ingest_id: self.record.ingest_id,
            new_version: (self.record.accepted > 0).then_some(self.record.dataset_version),
            dataset_version: self.record.dataset_version,
            accepted: self.record.accepted,
            duplicates: self.accepted_duplicates,
            refused: self.refused,
            quarantined: self.record.quarantined,
            released: self.record.released,
            refused_by_reason: self.refused_by_reason,
            outcomes: self.record.outcomes,
            files: self.record.files,
        })
    }

    fn finish_record(&mut self) {
        let counted = self.outcomes.known().iter().zip(&self.outcome_rows);
        let mut outcomes: Vec<_> =
            counted.map(|(outcome, &rows)| OutcomeCount { outcome: outcome.clone(), rows }).collect();
        outcomes.sort_by(|a, b| a.outcome.cmp(&b.outcome));
        self.record.outcomes = outcomes;
        self.record.duplicates = self.accepted_duplicates + (self.refused - self.record.quarantined);
        if self.record.accepted > 0 {
            self.record.dataset_version += 1;
        }
    }

    fn flush(&mut self) -> Result<(), LakeError> {
        if self.cases.len() > 0 {
            let chunk = self.cases.take(self.outcomes.known())?;
            self.case_files.write(chunk)?;
        }
        if self.quarantine.len() > 0 {
            let chunk = self.quarantine.take()?;
            self.quarantine_files.write(chunk)?;
        }
        Ok(())
    }
}

/// Dictionary-encoded text being gathered: a number per row, each text once.
#[derive(Debug, Default)]
struct Codes {
    numbers: Vec<i32>,
    texts: Vec<String>,
    by_text: HashMap<String, i32>,
}

impl Codes {
    fn push(&mut self, text: &str) {
        // Neighbouring rows mostly agree.
        if let Some(&last) = self.numbers.last()
            && self.texts[last as usize] == text
        {
            return self.numbers.push(last);
        }
        if let Some(&number) = self.by_text.get(text) {
            return self.numbers.push(number);
        }
        let number = self.texts.len() as i32;
        self.texts.push(text.to_owned());
        self.by_text.insert(text.to_owned(), number);
        self.numbers.push(number);
    }

    fn take(&mut self) -> Result<arrow::array::ArrayRef, LakeError> {
        let numbers = arrow::array::Int32Array::from(std::mem::take(&mut self.numbers));
        let texts = arrow::array::StringArray::from_iter_values(self.texts.drain(..));
        self.by_text.clear();
        Ok(Arc::new(arrow::array::DictionaryArray::try_new(numbers, Arc::new(texts))?))
    }
}
