//! The tables and views of one dataset version.

use std::sync::Arc;

use datafusion::arrow::array::{StringArray, TimestampMicrosecondArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::catalog::MemTable;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Expr, case, col, lit};
use datafusion::prelude::SessionContext;
use lake::{Bucket, DatasetVersion, Lake, LakeError, Served, TableFiles};

use crate::identifiers::Identifiers;
use crate::table::LakeTable;

/// An input of the study: a column of `cases`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    pub name: String,
    /// The codes that its stored numbers 0, 1, 2 ... stand for; none where the number is the value.
    pub codes: Vec<String>,
}

/// A pinned dataset version: its files do not change, whatever is ingested meanwhile. What was served belongs to no version
/// and is pinned as it is.
#[derive(Debug, Clone)]
pub struct Dataset {
    version: u64,
    versions: Vec<DatasetVersion>,
    pub(crate) cases: TableFiles,
    quarantine: TableFiles,
    /// What was served, as far as it was published at the time of the pin.
    served: [(Served, TableFiles); 2],
    inputs: Vec<Input>,
    notes: Vec<String>,
    /// Where the files lie, if not on this machine.
    bucket: Option<Bucket>,
}

impl Dataset {
    /// # Errors
    /// [`LakeError::NoSuchVersion`], or the tables cannot be read.
    pub fn pin(lake: &Lake, version: u64, inputs: &[Input]) -> std::result::Result<Dataset, LakeError> {
        let versions = lake.versions()?;
        let cases = lake.case_files(version)?;
        let served = |what: Served| lake.served_files(what).map(|files| (what, files));
        let stored = |input: &&Input| cases.schema.column_with_name(&input.name).is_some();
        let mut notes: Vec<String> =
            versions.iter().filter_map(|dataset| dataset.ingest.note.clone()).collect();
        notes.dedup();
        Ok(Dataset {
            version,
            quarantine: lake.refused_files(version)?,
            served: [served(Served::Predictions)?, served(Served::Outcomes)?],
            inputs: inputs.iter().filter(stored).cloned().collect(),
            versions: versions.into_iter().filter(|dataset| dataset.version <= version).collect(),
            cases,
            notes,
            bucket: lake.bucket(),
        })
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whether another pin has the same rows in the same files: an erasure changes those of a version that exists.
    pub(crate) fn is(&self, other: &Dataset) -> bool {
        let same_rows = self.cases == other.cases && self.quarantine == other.quarantine;
        self.version == other.version && same_rows && self.served == other.served
    }

    /// The study's inputs that the tables have.
    pub(crate) fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// Columns of free text.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Lets a context read the files where they lie.
    pub(crate) fn reach(&self, context: &SessionContext) {
        if let Some(Bucket { url, store }) = &self.bucket {
            context.register_object_store(url, Arc::clone(store));
        }
    }

    /// Whether every machine that has the lake's folder can read it.
    pub(crate) fn is_local(&self) -> bool {
        self.bucket.is_none()
    }

    /// Makes the tables and views known to a context.
    pub(crate) async fn register(&self, context: &SessionContext, identifiers: &Identifiers) -> Result<()> {
        self.reach(context);
        let shown =
            |field: &Field| match identifiers.stand_in(field.name(), field.data_type(), &self.notes)? {
                Some(stand_in) => Ok(Some(stand_in)),
                None => Ok(self.decoded(field)),
            };
        context.register_table("cases", Arc::new(LakeTable::new(&self.cases, shown)?))?;
        context.register_table("quarantine", Arc::new(LakeTable::new(&self.quarantine, shown)?))?;
        for (what, files) in &self.served {
            context.register_table(what.name(), Arc::new(LakeTable::new(files, shown)?))?;
        }
        context.register_table("dataset_versions", Arc::new(versions(&self.versions)?))?;
        for (name, statement) in [("cohort", self.cohort()), ("quality", QUALITY.to_owned())] {
            let plan = context.state().create_logical_plan(&statement).await?;
            context.register_table(name, Arc::new(ViewTable::new(plan, Some(statement))))?;
        }
        Ok(())
    }

    /// The code of a coded input in place of its number.
    fn decoded(&self, field: &Field) -> Option<Expr> {
        let input = self.inputs.iter().find(|input| input.name == *field.name())?;
        let column = col(format!("\"{}\"", input.name));
        let mut numbered = input.codes.iter().enumerate();
        let (_, first) = numbered.next()?;
        let mut decoded = case(column).when(lit(0i32), lit(first.as_str()));
        for (number, code) in numbered {
            decoded = decoded.when(lit(number as i32), lit(code.as_str()));
        }
        decoded.otherwise(lit(ScalarValue::Utf8(None))).ok()
    }

    /// How many cases each combination of inputs and outcome has.
    fn cohort(&self) -> String {
        let inputs: String = self.inputs.iter().map(|input| format!("\"{}\", ", input.name)).collect();
        let by = format!("{inputs}severity, rarity, disease_code, slot");
        format!("SELECT {by}, count(*) AS cases FROM cases GROUP BY {by}")
    }
}

/// Why rows were refused, by source and file.
const QUALITY: &str =
    "SELECT source, file, reasons, count(*) AS refused FROM quarantine GROUP BY source, file, reasons";

fn versions(versions: &[DatasetVersion]) -> Result<MemTable> {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![
        Field::new("version", DataType::UInt64, false),
        Field::new("parent", DataType::UInt64, true),
        Field::new("created_at", instant, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("added", DataType::UInt64, false),
        Field::new("refused", DataType::UInt64, false),
        Field::new("duplicates", DataType::UInt64, false),
        Field::new("cases", DataType::UInt64, false),
    ]));
    let numbers = |of: fn(&DatasetVersion) -> u64| Arc::new(versions.iter().map(of).collect::<UInt64Array>());
    let micros = |dataset: &DatasetVersion| (dataset.created_at.unix_timestamp_nanos() / 1000) as i64;
    let created: TimestampMicrosecondArray = versions.iter().map(micros).map(Some).collect();
    let sources = versions.iter().map(|dataset| dataset.ingest.source.as_str());
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            numbers(|dataset| dataset.version),
            Arc::new(versions.iter().map(|dataset| dataset.parent).collect::<UInt64Array>()),
            Arc::new(created.with_timezone("UTC")),
            Arc::new(StringArray::from_iter_values(sources)),
            numbers(|dataset| dataset.ingest.accepted),
            numbers(|dataset| dataset.ingest.quarantined),
            numbers(|dataset| dataset.ingest.duplicates),
            numbers(|dataset| dataset.totals.rows),
        ],
    )?;
    MemTable::try_new(schema, vec![vec![batch]])
}
