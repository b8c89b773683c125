//! FHIR R4: bulk exports (NDJSON, one type per file or mixed) and Bundles of any size -> rows of cases.
//!
//! Two passes in bounded memory. The first reads the resources in whatever order and file they come and writes what
//! each says of its patient, a few dozen bytes, into sorted runs (32 MiB in memory, the rest in a temporary file). The
//! second merges the runs patient by patient and joins what belongs together. What is wrong with a resource is a
//! refused row with the resource itself; a broken line is not the end of its file.
//!
//! Which codes, units, windows and conditions count is said by the study's LOINC codes and the mapping (`[fhir]`); a
//! joined case is a row with columns like any other, so a mapping's `[columns]`, `[[skip]]` and `[[outcome]]` work on it.

mod date;
mod fact;
mod join;
mod plan;
mod read;
mod reference;
mod resource;
mod sorter;
mod value;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use clinical::{Issue, IssueCode, Study};

use self::{
    fact::Fact,
    read::{Read as Outcome, Reader},
    reference::Key,
    sorter::{Patients, Sorter},
};
pub(crate) use self::{
    fact::Found,
    plan::{Plan, Source},
    resource::{AnyValue, Coding, Concept, Leaf, Quantity},
    value::reading,
};
use crate::{
    FileError, Mapping,
    built::{BuiltRecord, Shared},
    case_file::{Broken, Cells, Content, Record, Records, stream_error},
    split::{Part, Splitter, has_key},
};

/// Whether the beginning of a JSON text names a type of resource.
pub(crate) fn is_fhir(first: &[u8]) -> bool {
    has_key(first, "resourceType")
}

/// The rows of one export.
pub(crate) struct FhirRecords {
    plan: Plan,
    shared: Arc<Shared>,
    waiting: VecDeque<Part>,
    current: Option<Splitter>,
    file: usize,
    sorter: Option<Sorter>,
    patients: Option<Patients>,
    rows: VecDeque<BuiltRecord>,
    row: Option<BuiltRecord>,
    ignored: BTreeMap<String, u64>,
}

impl FhirRecords {
    /// # Errors
    /// A value of the mapping has no code.
    pub(crate) fn open(
        parts: Vec<Part>,
        study: &Study,
        mapping: Option<&Mapping>,
    ) -> Result<FhirRecords, FileError> {
        let plan = Plan::new(study, mapping)?;
        let files = parts.iter().map(|part| part.name.clone()).collect();
        Ok(FhirRecords {
            shared: Arc::new(Shared { header: plan.header.clone(), files }),
            plan,
            waiting: parts.into(),
            current: None,
            file: 0,
            sorter: Some(Sorter::new()),
            patients: None,
            rows: VecDeque::new(),
            row: None,
            ignored: BTreeMap::new(),
        })
    }

    pub(crate) fn header(&self) -> &[String] {
        &self.plan.header
    }

    /// Reads resources until one of them is a row of its own: refused, or left out.
    fn gather(&mut self) -> Result<Option<Record<'static>>, FileError> {
        loop {
            let Some(splitter) = &mut self.current else {
                let Some(part) = self.waiting.pop_front() else {
                    return Ok(None);
                };
                self.current = Some(Splitter::open(part.reader, part.by_line).map_err(stream_error)?);
                continue;
            };
            let Some(piece) = splitter.next_piece().map_err(stream_error)? else {
                self.current = None;
                self.file += 1;
                continue;
            };
            let (file, line) = (self.file, piece.line);
            let text = match piece.text() {
                Ok(text) => text,
                Err(broken) => return Ok(Some(Record { file, line, content: Content::Broken(broken) })),
            };
            let place = piece.place(file);
            let mut reader = Reader { plan: &self.plan, place, alias: None };
            let read = reader.read(text, piece.entry);
            let sorter = &mut self.sorter;
            let content = match (known(sorter, reader.alias), read) {
                (false, _) => Content::Broken(Broken::new(vec![too_many_names()], text.as_bytes())),
                (true, Outcome::Taken(facts)) => {
                    keep(sorter, facts)?;
                    continue;
                }
                (true, Outcome::Withdrawn(facts, reason)) => {
                    keep(sorter, facts)?;
                    Content::Left(reason.into())
                }
                (true, Outcome::Refused(issues)) => Content::Broken(Broken::new(issues, text.as_bytes())),
                (true, Outcome::Ignored(kind)) => {
                    self.ignore(kind);
                    continue;
                }
            };
            return Ok(Some(Record { file, line, content }));
        }
    }

    /// Counts a resource of no interest; hostile files may name any number of types.
    fn ignore(&mut self, kind: String) {
        const TYPES: usize = 256;
        if self.ignored.len() < TYPES || self.ignored.contains_key(&kind) {
            let named = !kind.is_empty()
                && kind.len() <= 64
                && kind.chars().all(|c| c.is_ascii_alphabetic() || c == ' ');
            *self.ignored.entry(if named { kind } else { "unknown types".to_owned() }).or_default() += 1;
        }
    }

    /// The next joined row.
    fn join(&mut self) -> Result<bool, FileError> {
        if let Some(sorter) = self.sorter.take() {
            self.patients = Some(sorter.finish().map_err(FileError::Spill)?);
        }
        while self.rows.is_empty() {
            let Some(patients) = &mut self.patients else { return Ok(false) };
            match patients.next_patient().map_err(FileError::Spill)? {
                Some(facts) => self.rows = join::rows(&self.plan, &self.shared, facts).into(),
                None => self.patients = None,
            }
        }
        self.row = self.rows.pop_front();
        Ok(self.row.is_some())
    }
}

impl Records for FhirRecords {
    fn next_record(&mut self) -> Result<Option<Record<'_>>, FileError> {
        if self.sorter.is_some()
            && let Some(record) = self.gather()?
        {
            return Ok(Some(record));
        }
        if !self.join()? {
            return Ok(None);
        }
        Ok(self.row.as_ref().map(|row| Record {
            file: row.place.file as usize,
            line: row.place.line,
            content: Content::Cells(Cells::Built(row)),
        }))
    }

    fn ignored(&self) -> Vec<String> {
        self.ignored.iter().map(|(kind, count)| format!("{kind} ({count})")).collect()
    }
}

/// Remembers that two keys are one patient; `false` where too many are.
fn known(sorter: &mut Option<Sorter>, alias: Option<(Key, Key)>) -> bool {
    match (sorter, alias) {
        (Some(sorter), Some((other, key))) => sorter.alias(other, key),
        _ => true,
    }
}

fn keep(sorter: &mut Option<Sorter>, facts: Vec<(Key, Fact)>) -> Result<(), FileError> {
    for (key, fact) in facts {
        if let Some(sorter) = sorter {
            sorter.push(key, &fact).map_err(FileError::Spill)?;
        }
    }
    Ok(())
}

fn too_many_names() -> Issue {
    Issue::new("Patient.id", IssueCode::Inconsistent)
        .expecting("igual que el final de fullUrl", "equal to the end of fullUrl")
}
