//! Outcome files: what happened to patients who were answered before. CSV, NDJSON or Parquet, also compressed, with the
//! columns `prediction_id` or `case_id`, `severity`, `rarity`, `disease_code` and `confirmed_at`.

use std::path::Path;

use clinical::{Issue, IssueCode, Outcome, Raw, Study};

use crate::case_file::Meter;
use crate::case_file::csv::CsvRecords;
use crate::case_file::format::{self, Opened};
use crate::case_file::ndjson::JsonRecords;
use crate::case_file::parquet::ParquetFile;
use crate::case_file::record::{Cells, Content, Records};
use crate::cell::Cell;
use crate::{FileError, Format, instant};

const COLUMNS: [&str; 6] = ["prediction_id", "case_id", "severity", "rarity", "disease_code", "confirmed_at"];
const PREDICTION: usize = 0;
const CASE: usize = 1;
const SEVERITY: usize = 2;
const RARITY: usize = 3;
const CODE: usize = 4;
const CONFIRMED: usize = 5;
/// Longest identifier or disease code, in characters.
const TEXT_CHARS: usize = 128;

/// What became of one row.
#[derive(Debug, Clone, PartialEq)]
pub enum OutcomeRow {
    Accepted {
        line: u64,
        /// At least one of the two is there.
        prediction_id: Option<String>,
        case_id: Option<String>,
        outcome: Outcome,
        /// UTC microseconds since 1970.
        confirmed_at: i64,
    },
    /// All issues of the row at once.
    Refused { line: u64, issues: Vec<Issue> },
}

/// Reads an outcome file row by row.
///
/// # Errors
/// The file cannot be read, is empty, or lacks a required column (all are named).
pub fn read_outcomes(path: &Path, study: &Study, row: &mut dyn FnMut(OutcomeRow)) -> Result<(), FileError> {
    let (mut records, places) = open(path)?;
    while let Some(record) = records.next_record()? {
        let line = record.line;
        row(match record.content {
            // Formats that leave rows out are no outcome files.
            Content::Left(_) => continue,
            Content::Broken(broken) => OutcomeRow::Refused { line, issues: broken.issues },
            Content::Cells(cells) => match outcome(&cells, &places, study) {
                Ok((prediction_id, case_id, outcome, confirmed_at)) => {
                    OutcomeRow::Accepted { line, prediction_id, case_id, outcome, confirmed_at }
                }
                Err(issues) => OutcomeRow::Refused { line, issues },
            },
        });
    }
    Ok(())
}

/// The place of each of [`COLUMNS`], where the file has it.
type Places = [Option<usize>; COLUMNS.len()];

fn open(path: &Path) -> Result<(Box<dyn Records>, Places), FileError> {
    let parquet = |file: ParquetFile| -> Result<(Box<dyn Records>, Places), FileError> {
        let places = places(&file.names)?;
        let wanted: Vec<usize> = places.iter().flatten().copied().collect();
        Ok((Box::new(file.read(&wanted)?), places))
    };
    match format::open_path(path, &Meter::default())? {
        Opened::ParquetFile(file) => parquet(ParquetFile::open_file(file)?),
        Opened::ParquetBytes(bytes) => parquet(ParquetFile::open_bytes(bytes)?),
        Opened::Text { format: Format::Fhir | Format::Phenopacket, .. } => Err(FileError::Damaged {
            format: "outcome",
            problem: "it is FHIR or a phenopacket: `hoofbeat ingest` takes it as cases".to_owned(),
        }),
        Opened::Text { format: Format::Ndjson, reader } => {
            let names = COLUMNS.map(str::to_owned);
            Ok((Box::new(JsonRecords::open(reader, &names)?), places(&names)?))
        }
        Opened::Text { format: Format::Csv | Format::Parquet, reader } => {
            let (records, header) = CsvRecords::open(reader, b',')?;
            let places = places(&header)?;
            Ok((Box::new(records), places))
        }
    }
}

fn places(header: &[String]) -> Result<Places, FileError> {
    let places: Places = COLUMNS.map(|name| header.iter().position(|column| column == name));
    let mut missing: Vec<String> = Vec::new();
    if places[PREDICTION].is_none() && places[CASE].is_none() {
        missing.push("prediction_id (or case_id)".to_owned());
    }
    let required = [SEVERITY, CONFIRMED].into_iter().filter(|&column| places[column].is_none());
    missing.extend(required.map(|column| COLUMNS[column].to_owned()));
    if missing.is_empty() { Ok(places) } else { Err(FileError::MissingColumns(missing)) }
}

type Read = (Option<String>, Option<String>, Outcome, i64);

fn outcome(cells: &Cells<'_>, places: &Places, study: &Study) -> Result<Read, Vec<Issue>> {
    let cell = |column: usize| places[column].map_or(Cell::Missing, |place| cells.get(place));
    let mut issues = Vec::new();
    let mut text = |column: usize| match cell(column) {
        empty if empty.is_empty() => None,
        Cell::Integer(number) => Some(number.to_string()),
        other => match other.text().filter(|text| text.chars().count() <= TEXT_CHARS) {
            Some(text) => Some(text.to_owned()),
            None => {
                issues.push(Issue::new(COLUMNS[column], IssueCode::WrongType).expecting(
                    format!("un texto de hasta {TEXT_CHARS} caracteres"),
                    format!("a text of at most {TEXT_CHARS} characters"),
                ));
                None
            }
        },
    };
    let (prediction, case, code) = (text(PREDICTION), text(CASE), text(CODE));
    if prediction.is_none() && case.is_none() && issues.is_empty() {
        issues.push(Issue::new(COLUMNS[PREDICTION], IssueCode::Missing));
    }
    let code = code.as_deref().map_or(Raw::Missing, Raw::Text);
    let outcome = match study.check_outcome(cell(SEVERITY).raw(), cell(RARITY).raw(), code) {
        Ok(Some(outcome)) => Some(outcome),
        Ok(None) => {
            issues.push(Issue::new(COLUMNS[SEVERITY], IssueCode::Missing));
            None
        }
        Err(wrong) => {
            issues.extend(wrong);
            None
        }
    };
    let confirmed_at = confirmed_at(cell(CONFIRMED)).map_err(|issue| issues.push(issue)).ok();
    match (outcome, confirmed_at) {
        (Some(outcome), Some(at)) if issues.is_empty() => Ok((prediction, case, outcome, at)),
        _ => Err(issues),
    }
}

fn confirmed_at(cell: Cell<'_>) -> Result<i64, Issue> {
    let issue = |code| {
        Issue::new(COLUMNS[CONFIRMED], code).expecting(
            "una fecha AAAA-MM-DD o RFC 3339, de 1900 a 2100",
            "a date YYYY-MM-DD or RFC 3339, from 1900 to 2100",
        )
    };
    if cell.is_empty() {
        return Err(issue(IssueCode::Missing));
    }
    let read = match (cell, cell.text()) {
        (Cell::Instant(micros), _) => instant::in_range(micros),
        (_, Some(text)) => instant::parse(text),
        _ => return Err(issue(IssueCode::WrongType)),
    };
    read.map_err(|error| {
        issue(match error {
            instant::NotAnInstant::Malformed => IssueCode::WrongType,
            instant::NotAnInstant::OutOfRange => IssueCode::OutOfRange,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<String>, FileError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut rows = Vec::new();
        let study = Study::default_study();
        read_outcomes(&path, study, &mut |row| {
            rows.push(match row {
                OutcomeRow::Accepted { line, prediction_id, case_id, outcome, .. } => format!(
                    "{line} {} {} {}",
                    prediction_id.unwrap_or_default(),
                    case_id.unwrap_or_default(),
                    study.severity(outcome.severity).code
                ),
                OutcomeRow::Refused { line, issues } => {
                    let reasons: Vec<_> = issues.iter().map(Issue::reason).collect();
                    format!("{line} {}", reasons.join(" "))
                }
            });
        })?;
        Ok(rows)
    }

    #[test]
    fn rows_are_outcomes_or_all_that_is_wrong_with_them() {
        let text = "prediction_id,severity,rarity,disease_code,confirmed_at,more\n\
                    p-1,mild,common,ICD-10:I10,2026-03-01,x\n\
                    p-2,healthy,,,2026-03-01T08:00:00Z,x\n\
                    ,mild,common,,2026-03-01,x\n\
                    p-4,ill,common,,soon,x\n\
                    p-5,healthy,orphan,,,x\n\
                    p-6,,,,2026-03-01,x\n\
                    p-7,mild\n";
        let expected = [
            "2 p-1  mild",
            "3 p-2  healthy",
            "4 prediction_id:missing",
            "5 severity:unknown_code confirmed_at:wrong_type",
            "6 rarity:inconsistent confirmed_at:missing",
            "7 severity:missing",
            "8 row:inconsistent",
        ];
        assert_eq!(read("o.csv", text).unwrap(), expected);
        let line = r#"{"case_id":"prediction:p-1","severity":"acute","rarity":"orphan","confirmed_at":"2026-03-01"}"#;
        assert_eq!(read("o.ndjson", line).unwrap(), ["1  prediction:p-1 acute"]);
    }

    #[test]
    fn a_file_without_its_columns_is_refused_with_all_of_them() {
        let error = read("o.csv", "patient,rarity\np,common\n").unwrap_err().to_string();
        for column in ["prediction_id", "severity", "confirmed_at"] {
            assert!(error.contains(column), "{error}");
        }
        assert!(read("o.csv", "").is_err());
    }
}
