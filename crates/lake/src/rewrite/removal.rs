//! Rows that must go from every version: a person's, or those older than a limit.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use uuid::Uuid;

use super::cases::{CaseWriter, texts, versions_of};
use super::quarantine::{Goes, Going, RefusedRow};
use super::{Exchange, Rewriting};
use crate::lineage::History;
use crate::outcome::key;
use crate::record::{FileVersions, OutcomeCount, Removed, RemovedRefused};
use crate::schema::{Kind, columns};
use crate::served::ServedRemoval;
use crate::table::DataFile;
use crate::{Lake, LakeError, Outcome, Purpose, scan, schema};

/// Whether a refused row is of a person that is to be erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    Theirs,
    NotTheirs,
    /// Its text does not tell whose it is.
    Unknown,
}

/// A person's right to be forgotten.
pub struct Erasure<'a> {
    /// The pseudonyms under which the person's cases are stored.
    pub patients: &'a HashSet<String>,
    /// The person's answers, by their identifiers, as far as the tables do not tell themselves.
    pub predictions: &'a HashSet<String>,
    /// Reads in a refused row's text whose it is.
    pub refused: &'a dyn Fn(&RefusedRow<'_>) -> Refused,
}

impl std::fmt::Debug for Erasure<'_> {
    /// Leaves the pseudonyms out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Erasure").field("patients", &self.patients.len()).finish_non_exhaustive()
    }
}

/// Which rows have been kept long enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Cases recorded before it go: microseconds since 1970-01-01T00:00:00Z. Refused rows go with their ingest's time.
    pub recorded_before: i64,
    /// Only rows of this source, which answers have not: they stay, with their outcomes.
    pub source: Option<String>,
    /// Answers that are as old, by their identifiers, as far as the tables do not tell themselves: their outcomes go.
    pub predictions: HashSet<String>,
}

/// What was taken out, or in a dry run would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Removal {
    /// Names the change in the table's history; none where nothing was changed.
    pub id: Option<Uuid>,
    /// Rows of `cases`.
    pub rows: u64,
    /// The same by the version that had brought them.
    pub removed: Vec<Removed>,
    /// All dataset versions that had some of them.
    pub versions: Vec<u64>,
    pub files_rewritten: u64,
    /// Rows of `quarantine`.
    pub quarantined: u64,
    pub quarantine: Vec<RemovedRefused>,
    /// Rows of `quarantine` that stay because their text does not tell whose they are.
    pub quarantine_unknown: u64,
    /// Rows of the tables of what was served.
    pub served: ServedRemoval,
    pub dry_run: bool,
}

/// Which rows of `cases` go, and the columns that tell.
struct Gone<'a> {
    purpose: Purpose,
    columns: &'a [&'a str],
    of: &'a dyn Fn(&RecordBatch) -> Result<BooleanArray, LakeError>,
}

impl Lake {
    /// Takes a person's rows out of `predictions` and `outcomes`, of every dataset version, of `quarantine` where the text tells
    /// whose a row is, and deletes the files that held them, with all files that were replaced before. Repeating it changes
    /// nothing.
    ///
    /// # Errors
    /// [`LakeError::Busy`] and the like. After an error either every version is as it was, or the rows are gone and the next
    /// change of the lake deletes the files.
    pub fn erase(&self, erasure: &Erasure<'_>, how: &Rewriting<'_>) -> Result<Removal, LakeError> {
        let served = self.erase_served(erasure.patients, erasure.predictions, how)?;
        let keys: HashSet<i64> = erasure.patients.iter().map(|id| key(id).cast_signed()).collect();
        let theirs = |batch: &RecordBatch| -> Result<BooleanArray, LakeError> {
            let patient_keys = scan::longs(batch, columns::PATIENT_KEY)?;
            if !patient_keys.values().iter().any(|key| keys.contains(key)) {
                return Ok(BooleanArray::from(vec![false; batch.num_rows()]));
            }
            // The key is a hash: the text decides.
            let ids = texts(batch, columns::PATIENT_ID)?;
            let ids = ids.as_string::<i32>().iter();
            Ok(ids.map(|id| Some(id.is_some_and(|id| erasure.patients.contains(id)))).collect())
        };
        let gone = Gone {
            purpose: Purpose::Erase,
            columns: &[columns::PATIENT_KEY, columns::PATIENT_ID],
            of: &theirs,
        };
        let mut unknown = 0;
        let removal = self.remove(&gone, how, &mut |row| match (erasure.refused)(row) {
            Refused::Theirs => true,
            Refused::NotTheirs => false,
            Refused::Unknown => {
                unknown += 1;
                false
            }
        })?;
        Ok(Removal { quarantine_unknown: unknown, served, ..removal })
    }

    /// Takes rows that have been kept long enough out of all tables and every dataset version, and deletes the files that held them, with
    /// all files that were replaced before. Repeating it changes nothing.
    ///
    /// # Errors
    /// As [`Lake::erase`].
    pub fn retain(&self, retention: &Retention, how: &Rewriting<'_>) -> Result<Removal, LakeError> {
        let served = match retention.source {
            None => self.retain_served(retention.recorded_before, &retention.predictions, how)?,
            Some(_) => ServedRemoval::default(),
        };
        let of_source =
            |source: Option<&str>| retention.source.as_deref().is_none_or(|wanted| source == Some(wanted));
        let old = |batch: &RecordBatch| -> Result<BooleanArray, LakeError> {
            let recorded = scan::column(batch, columns::RECORDED_AT, Kind::Instant)?;
            let sources = texts(batch, columns::SOURCE)?;
            let recorded = recorded.as_primitive::<TimestampMicrosecondType>().iter();
            let rows = recorded.zip(sources.as_string::<i32>()).map(|(at, source)| {
                Some(at.is_some_and(|at| at < retention.recorded_before) && of_source(source))
            });
            Ok(rows.collect())
        };
        let gone =
            Gone { purpose: Purpose::Retain, columns: &[columns::RECORDED_AT, columns::SOURCE], of: &old };
        let limit = i128::from(retention.recorded_before) * 1000;
        let ingested_before = |history: &History| -> HashSet<Uuid> {
            let old = history.ingests().filter(|ingest| ingest.created_at.unix_timestamp_nanos() < limit);
            old.map(|ingest| ingest.ingest_id).collect()
        };
        let old_ingests = ingested_before(&self.history()?);
        let removal = self.remove(&gone, how, &mut |row| {
            old_ingests.contains(&row.ingest_id) && of_source(Some(row.source))
        })?;
        Ok(Removal { served, ..removal })
    }

    fn remove(&self, gone: &Gone<'_>, how: &Rewriting<'_>, refused: Goes<'_>) -> Result<Removal, LakeError> {
        let mut removal = Removal { dry_run: how.dry_run, ..Removal::default() };
        if !self.cases().exists()? {
            return Ok(removal);
        }
        let lake = self.writer()?;
        let history = lake.history()?;
        if !how.dry_run {
            lake.sweep(&history)?;
        }
        let survey = lake.survey(&history, gone, how)?;
        let going = lake.refused_to_go(&history, refused)?;
        removal.rows = survey.removed.iter().map(|removed| removed.rows).sum();
        removal.files_rewritten = survey.files.len() as u64;
        removal.quarantined = going.rows();
        removal.quarantine.clone_from(&going.removed);
        removal.versions = versions_with(&history, &survey.removed)?;
        removal.removed.clone_from(&survey.removed);
        if !how.dry_run && removal.rows + removal.quarantined > 0 {
            removal.id = Some(lake.take_out(&history, gone, survey, &going, how)?);
        }
        Ok(removal)
    }

    /// Looks at all rows.
    fn survey(&self, history: &History, gone: &Gone<'_>, how: &Rewriting<'_>) -> Result<Survey, LakeError> {
        let table = self.cases();
        let files = table.snapshot(None)?.files;
        let (mut read, all) = (0, files.iter().map(|file| file.rows).sum());
        let mut wanted = gone.columns.to_vec();
        let counted = [columns::SOURCE, columns::SEVERITY, columns::RARITY, columns::DISEASE_CODE];
        wanted.extend(counted.iter().filter(|name| !gone.columns.contains(name)));
        wanted.push(columns::DATASET_VERSION);
        let mut survey = Survey::default();
        let mut counts = Counts::default();
        for file in files {
            let Some(versions) = history.versions_of_file(&file.name) else { continue };
            let before = counts.rows;
            for batch in scan::batches(&table, std::slice::from_ref(&file), &wanted)? {
                let batch = batch?;
                let mask = (gone.of)(&batch)?;
                if mask.true_count() > 0 {
                    counts.add(&batch, versions, &mask)?;
                }
                read += batch.num_rows() as u64;
                (how.progress)(read, all);
            }
            if counts.rows > before {
                survey.files.push((file, versions));
            }
        }
        survey.removed = counts.removed();
        Ok(survey)
    }

    /// Writes what stays, and commits.
    fn take_out(
        &self,
        history: &History,
        gone: &Gone<'_>,
        survey: Survey,
        going: &Going,
        how: &Rewriting<'_>,
    ) -> Result<Uuid, LakeError> {
        let (id, table) = (Uuid::now_v7(), self.cases());
        let mut writer = CaseWriter::start(self, history, id)?;
        let names = writer.columns();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (mut read, all) = (0, survey.files.iter().map(|(file, _)| file.rows).sum());
        for (file, versions) in &survey.files {
            for batch in scan::batches(&table, std::slice::from_ref(file), &names)? {
                let batch = batch?;
                writer.write(&batch, *versions, Some(&(gone.of)(&batch)?))?;
                read += batch.num_rows() as u64;
                (how.progress)(read, all);
            }
        }
        let quarantine = self.quarantine_table();
        let mut refused = self.write_files(&quarantine, id, &schema::quarantine_columns())?;
        self.write_staying(going, &mut refused)?;
        let exchange = Exchange {
            id,
            purpose: gone.purpose,
            purge: true,
            old: survey.files.into_iter().map(|(file, _)| file).collect(),
            new: writer.finish()?,
            removed: survey.removed,
            refused: refused.finish()?,
            quarantine: going.change(),
        };
        self.exchange(history, exchange, how.now)?;
        Ok(id)
    }
}

/// What a look at all rows found.
#[derive(Debug, Default)]
struct Survey {
    /// Files with rows that go.
    files: Vec<(DataFile, FileVersions)>,
    removed: Vec<Removed>,
}

/// Rows that go, counted.
#[derive(Default)]
struct Counts {
    rows: u64,
    outcomes: BTreeMap<(u64, Outcome), u64>,
    sources: BTreeMap<(u64, String), u64>,
}

impl Counts {
    fn add(
        &mut self,
        batch: &RecordBatch,
        versions: FileVersions,
        gone: &BooleanArray,
    ) -> Result<(), LakeError> {
        let versions = versions_of(batch, versions)?;
        let columns = [columns::SEVERITY, columns::RARITY, columns::DISEASE_CODE, columns::SOURCE];
        let columns = columns.map(|name| texts(batch, name));
        let [severity, rarity, disease, source] = columns;
        let (severity, rarity, disease, source) = (severity?, rarity?, disease?, source?);
        for row in (0..batch.num_rows()).filter(|&row| gone.value(row)) {
            let text = |column: &ArrayRef| {
                let column = column.as_string::<i32>();
                column.is_valid(row).then(|| column.value(row).to_owned())
            };
            let outcome =
                Outcome { severity: text(&severity), rarity: text(&rarity), disease_code: text(&disease) };
            let version = u64::from(versions.value(row).unsigned_abs());
            *self.outcomes.entry((version, outcome)).or_default() += 1;
            *self.sources.entry((version, text(&source).unwrap_or_default())).or_default() += 1;
            self.rows += 1;
        }
        Ok(())
    }

    fn removed(self) -> Vec<Removed> {
        let mut removed: BTreeMap<u64, Removed> = BTreeMap::new();
        for ((version, outcome), rows) in self.outcomes {
            let of_version = removed.entry(version).or_default();
            of_version.version = version;
            of_version.rows += rows;
            of_version.outcomes.push(OutcomeCount { outcome, rows });
        }
        for ((version, source), rows) in self.sources {
            removed.entry(version).or_default().sources.insert(source, rows);
        }
        removed.into_values().collect()
    }
}

/// All versions that have rows which one of these brought.
fn versions_with(history: &History, removed: &[Removed]) -> Result<Vec<u64>, LakeError> {
    let mut versions = Vec::new();
    for version in history.all().iter() {
        let lineage = history.ancestry(version)?;
        if removed.iter().any(|removed| lineage.contains(removed.version)) {
            versions.push(version);
        }
    }
    Ok(versions)
}
