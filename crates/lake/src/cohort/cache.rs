//! Counted cohorts kept, so that a new dataset version costs its own rows only.
//!
//! Cohorts add, and a version has the rows of the version that it came from: the cohort of a version is the kept one of its
//! nearest counted ancestor plus the count of the rows in between. Where rows were taken out of versions that exist (erasure, retention)
//! everything is counted anew. A kept cohort is never trusted blindly: its file says what it is a count of, and its name the checksum.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, PrimitiveArray, RecordBatch, UInt8Array, UInt32Array, UInt64Array};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, Schema, UInt8Type, UInt32Type, UInt64Type};
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Cohort, CohortCount, CohortQuery, MarginCounts};
use crate::outcome::key;
use crate::{Lake, LakeError, Outcome};

/// Kept cohorts of one question; older ones are deleted.
const KEPT: usize = 8;
/// Key of the description in a file.
const ABOUT: &str = "hoofbeat.cohort";
/// Version of the files' form.
const FORM: u32 = 1;

/// Counted cohorts in a folder, as Arrow files that any Arrow reader opens. Deleting it costs time only.
#[derive(Debug, Clone)]
pub struct CohortCache {
    dir: PathBuf,
}

/// A file of the cache, as its name says.
struct Kept {
    version: u64,
    /// CRC-32 of its bytes: what was not written to its end, or rotted, is not read.
    checksum: u32,
    path: PathBuf,
}

/// What a kept cohort is a count of, and its parts that are no column.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    form: u32,
    question: String,
    version: u64,
    /// The ingest that made the version: a number may come again in another lake.
    ingest: Uuid,
    removals: u64,
    cells: u32,
    outcomes: Vec<Outcome>,
    rows: u64,
    outside: u64,
    margins: Vec<MarginCounts>,
}

impl CohortCache {
    /// A cache in `dir`, which need not exist.
    pub fn open(dir: &Path) -> CohortCache {
        CohortCache { dir: dir.to_owned() }
    }

    /// The cohort of a dataset version: kept, brought up to date, or counted. `plan` names what the query's cells mean; queries
    /// with the same text must have the same map.
    ///
    /// A cache that cannot be read or written is said in the log and does no harm.
    ///
    /// # Errors
    /// As [`Lake::cohort`].
    pub fn cohort(
        &self,
        lake: &Lake,
        version: u64,
        plan: &str,
        query: &CohortQuery<'_>,
    ) -> Result<Cohort, LakeError> {
        let question = question(plan, query);
        let removals = lake.history()?.removals();
        let (known, counted) = match self.nearest(lake, version, &question, removals)? {
            Some((of, cohort)) if of == version => return Ok(cohort),
            Some((of, cohort)) => {
                let between = lake.rows_between(of, version)?;
                (of, cohort.add(&between.cohort(query)?)?)
            }
            None => (0, lake.cohort(version, query)?),
        };
        // Rows that went away while they were counted: the count is neither the old one nor the new one.
        if lake.history()?.removals() != removals {
            return lake.cohort(version, query);
        }
        tracing::debug!(version, known, rows = counted.rows, "counted a cohort");
        let ingest = lake.version(version)?.ingest.ingest_id;
        if let Err(error) = self.keep(&question, version, ingest, removals, &counted) {
            tracing::warn!(%error, "a counted cohort could not be kept");
        }
        Ok(counted)
    }

    /// Deletes all kept cohorts: after a person's erasure, counts that the person was part of must go, too.
    ///
    /// # Errors
    /// [`LakeError::Io`].
    pub fn forget(&self) -> Result<(), LakeError> {
        for entry in std::fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            std::fs::remove_file(entry.path()).map_err(LakeError::io(&entry.path()))?;
        }
        Ok(())
    }

    /// The kept cohort of the nearest version that `version` has all rows of.
    fn nearest(
        &self,
        lake: &Lake,
        version: u64,
        question: &str,
        removals: u64,
    ) -> Result<Option<(u64, Cohort)>, LakeError> {
        let mut kept = self.kept(question);
        kept.retain(|kept| kept.version <= version);
        for Kept { version: of, checksum, path } in kept {
            // Of another lake, perhaps: an unknown version is none of this one's ancestors.
            if !lake.is_ancestor(of, version).unwrap_or(false) {
                continue;
            }
            let ingest = lake.version(of)?.ingest.ingest_id;
            match read(&path, checksum) {
                Ok(Some((about, cohort)))
                    if about.question == question
                        && (about.version, about.ingest, about.removals) == (of, ingest, removals) =>
                {
                    return Ok(Some((of, cohort)));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, "a kept cohort cannot be read and is counted anew"),
            }
        }
        Ok(None)
    }

    /// The kept cohorts of a question, newest version first.
    fn kept(&self, question: &str) -> Vec<Kept> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let of = |entry: std::fs::DirEntry| {
            let name = entry.file_name();
            let rest = name.to_str()?.strip_prefix(question)?.strip_prefix("-v")?.strip_suffix(".arrow")?;
            let (version, checksum) = rest.split_once('-')?;
            let checksum = u32::from_str_radix(checksum, 16).ok()?;
            Some(Kept { version: version.parse().ok()?, checksum, path: entry.path() })
        };
        let mut kept: Vec<Kept> = entries.filter_map(of).collect();
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.version));
        kept
    }

    fn keep(
        &self,
        question: &str,
        version: u64,
        ingest: Uuid,
        removals: u64,
        cohort: &Cohort,
    ) -> Result<(), LakeError> {
        std::fs::create_dir_all(&self.dir).map_err(LakeError::io(&self.dir))?;
        let about = About {
            form: FORM,
            question: question.to_owned(),
            version,
            ingest,
            removals,
            cells: cohort.cells,
            outcomes: cohort.outcomes.clone(),
            rows: cohort.rows,
            outside: cohort.outside,
            margins: cohort.margins.clone(),
        };
        let bytes = written(&about, cohort)?;
        let name = format!("{question}-v{version}-{:08x}.arrow", crc32fast::hash(&bytes));
        let (path, half) = (self.dir.join(name), self.dir.join(format!("{question}.{}", std::process::id())));
        let written = std::fs::write(&half, bytes).and_then(|()| std::fs::rename(&half, &path));
        if written.is_err() {
            let _ = std::fs::remove_file(&half);
        }
        written.map_err(LakeError::io(&path))?;
        for old in self.kept(question).into_iter().skip(KEPT) {
            let _ = std::fs::remove_file(old.path);
        }
        Ok(())
    }
}

/// A name for what is asked: the same for the same question, in every version of this program.
fn question(plan: &str, query: &CohortQuery<'_>) -> String {
    let margins: Vec<_> = query.margins.iter().map(|m| (&m.column, m.min, m.len)).collect();
    let asked = format!(
        "{FORM} {plan} {:?} {} {:?} {margins:?}",
        query.cells.columns(),
        query.cells.len(),
        query.slot_group
    );
    format!("{:016x}{:016x}", key(&asked), key(&format!("2 {asked}")))
}

fn columns() -> Arc<Schema> {
    let column = |name, kind| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![
        column("outcome", DataType::UInt32),
        column("cell", DataType::UInt32),
        column("slot_group", DataType::UInt8),
        column("rows", DataType::UInt64),
    ]))
}

fn written(about: &About, cohort: &Cohort) -> Result<Vec<u8>, LakeError> {
    let counts = &cohort.counts;
    let batch = RecordBatch::try_new(
        columns(),
        vec![
            Arc::new(UInt32Array::from_iter_values(counts.iter().map(|count| count.outcome))),
            Arc::new(UInt32Array::from_iter_values(counts.iter().map(|count| count.cell))),
            Arc::new(UInt8Array::from_iter_values(counts.iter().map(|count| count.group))),
            Arc::new(UInt64Array::from_iter_values(counts.iter().map(|count| count.rows))),
        ],
    )?;
    let about = serde_json::to_string(about)
        .map_err(|source| LakeError::io(Path::new("cohort"))(std::io::Error::other(source)))?;
    let mut bytes = Vec::with_capacity(batch.get_array_memory_size() + about.len() + (1 << 12));
    let mut writer = FileWriter::try_new(&mut bytes, &columns())?;
    writer.write_metadata(ABOUT, about);
    writer.write(&batch)?;
    writer.finish()?;
    drop(writer);
    Ok(bytes)
}

/// `None`: the file is none of ours, of another form, or not as it was written.
fn read(path: &Path, checksum: u32) -> Result<Option<(About, Cohort)>, LakeError> {
    let bytes = std::fs::read(path).map_err(LakeError::io(path))?;
    if crc32fast::hash(&bytes) != checksum {
        return Ok(None);
    }
    let reader = FileReader::try_new(Cursor::new(bytes), None)?;
    let Some(about) = reader.custom_metadata().get(ABOUT) else { return Ok(None) };
    let Ok(mut about) = serde_json::from_str::<About>(about) else { return Ok(None) };
    if about.form != FORM || reader.schema().as_ref() != columns().as_ref() {
        return Ok(None);
    }
    let mut counts = Vec::new();
    for batch in reader {
        let batch = batch?;
        let (outcome, cell) = (typed::<UInt32Type>(&batch, 0), typed::<UInt32Type>(&batch, 1));
        let (group, rows) = (typed::<UInt8Type>(&batch, 2), typed::<UInt64Type>(&batch, 3));
        let keys = outcome.values().iter().zip(cell.values()).zip(group.values()).zip(rows.values());
        counts.extend(keys.map(|(((&outcome, &cell), &group), &rows)| CohortCount {
            cell,
            outcome,
            group,
            rows,
        }));
    }
    let cohort = Cohort {
        cells: about.cells,
        outcomes: std::mem::take(&mut about.outcomes),
        rows: about.rows,
        outside: about.outside,
        margins: std::mem::take(&mut about.margins),
        counts,
    };
    Ok(Some((about, cohort)))
}

fn typed<T: ArrowPrimitiveType>(batch: &RecordBatch, column: usize) -> &PrimitiveArray<T> {
    batch.column(column).as_primitive()
}
