//! Refused rows, read again: by another mapping, or to know whose they are.

use std::io::Cursor;

use super::layout::Field;
use super::{CaseFile, Content, Format, Reading, Row};
use crate::FileError;

/// Reads rows as [`Row::Refused`] handed them out, all of one file: with the `header` of a CSV file, or JSON objects without
/// one, which is also how the rows of a Parquet file and the joined rows of a FHIR export were handed out. (A refused resource
/// of an export is no row by itself: it stays refused.) The answer has one entry per row, `None` where its text
/// is no row any more: it was cut off because it was long, or its quotes are broken.
///
/// # Errors
/// The header lacks a required column, or the mapping does not fit it.
pub fn read_again(
    rows: &[&str],
    header: Option<&[String]>,
    reading: Reading<'_>,
) -> Result<Vec<Option<Row>>, FileError> {
    let together = read(rows, header, reading)?;
    if together.len() == rows.len() {
        return Ok(together.into_iter().map(Some).collect());
    }
    // A broken row swallowed others, or was passed over: each by itself.
    let alone = rows.iter().map(|row| {
        let mut read = read(&[row], header, reading)?;
        Ok(if read.len() == 1 { read.pop() } else { None })
    });
    alone.collect()
}

/// The patient's pseudonym in a refused row, whatever else is wrong with it. `None` where it has none or cannot be read.
/// `header` as for [`read_again`].
pub fn patient_id_of(row: &str, header: Option<&[String]>, reading: Reading<'_>) -> Option<String> {
    let mut file = open(&[row], header, reading).ok()?;
    let Content::Cells(cells) = file.records.next_record().ok()??.content else {
        return None;
    };
    let id = file.assembler.layout.text(Field::PatientId, &cells).ok()??;
    Some(id.into_owned())
}

fn read(rows: &[&str], header: Option<&[String]>, reading: Reading<'_>) -> Result<Vec<Row>, FileError> {
    // The last item may say that no row had some column: these rows need not be all of their file.
    Ok(open(rows, header, reading)?.map_while(Result::ok).collect())
}

fn open<'a>(
    rows: &[&str],
    header: Option<&[String]>,
    reading: Reading<'a>,
) -> Result<CaseFile<'a>, FileError> {
    let mut text = String::new();
    if header.is_none() && reading.mapping.is_some_and(crate::Mapping::is_fhir) {
        return CaseFile::joined(&rows.join("\n"), reading);
    }
    if let Some(header) = header {
        let delimiter = reading.mapping.map_or(b',', |mapping| mapping.delimiter);
        let names = header.iter().map(|name| format!("\"{}\"", name.replace('"', "\"\"")));
        text = names.collect::<Vec<_>>().join(&char::from(delimiter).to_string());
        text.push('\n');
    }
    for row in rows {
        text.push_str(row);
        text.push('\n');
    }
    let format = if header.is_some() { Format::Csv } else { Format::Ndjson };
    CaseFile::stream(Box::new(Cursor::new(text.into_bytes())), Some(format), reading)
}

#[cfg(test)]
mod tests {
    use clinical::Study;

    use super::*;
    use crate::Mapping;

    const HEADER: [&str; 8] = [
        "patient_id",
        "note, free",
        "age_years",
        "gender",
        "blood_type",
        "systolic_mmhg",
        "diastolic_mmhg",
        "exercise_days_per_month",
    ];

    fn mapping() -> Mapping {
        Mapping::parse("[columns.gender]\nfrom = \"gender\"\nrecode = { H = \"male\" }\n").unwrap()
    }

    fn reading(mapping: Option<&Mapping>) -> Reading<'_> {
        Reading { study: Study::default_study(), mapping, source: "ehr", ingested_at: 0 }
    }

    #[test]
    fn csv_rows_are_read_again_by_their_header() {
        let header = HEADER.map(str::to_owned);
        let row = r#"p-1,"two
lines, ""quoted""",40,H,A,120,70,3"#;
        let rows = [row, row, r#"p-2,x,40,X,A,120,70,3"#];
        let by_old = read_again(&rows, Some(&header), reading(None)).unwrap();
        assert!(by_old.iter().all(|row| matches!(row, Some(Row::Refused { .. }))));
        let mapping = mapping();
        let read = read_again(&rows, Some(&header), reading(Some(&mapping))).unwrap();
        let Some(Row::Accepted(first)) = &read[0] else { panic!("not accepted") };
        let Some(Row::Accepted(second)) = &read[1] else { panic!("not accepted") };
        assert_ne!(first.case_id, second.case_id, "two rows that are alike stay two");
        assert!(matches!(&read[2], Some(Row::Refused { issues, .. }) if issues.len() == 1));
        assert_eq!(patient_id_of(row, Some(&header), reading(None)).as_deref(), Some("p-1"));
    }

    #[test]
    fn a_broken_row_costs_itself_only() {
        let (header, mapping) = (HEADER.map(str::to_owned), mapping());
        let good = "p-1,x,40,H,A,120,70,3";
        let rows = [good, "p-2,\"never closed,40,H,A,120,70,3", "", good];
        let read = read_again(&rows, Some(&header), reading(Some(&mapping))).unwrap();
        assert_eq!(read.len(), 4);
        assert!(matches!(&read[0], Some(Row::Accepted(_))) && matches!(&read[3], Some(Row::Accepted(_))));
        assert!(matches!(&read[1], Some(Row::Refused { .. })) && read[2].is_none());
        assert_eq!(patient_id_of("\"p", Some(&header), reading(None)), None);
    }

    #[test]
    fn json_rows_need_no_header() {
        let mapping = mapping();
        let row = r#"{"patient_id":"p-9","age_years":40,"gender":"H","blood_type":"A","systolic_mmhg":120,"diastolic_mmhg":70,"exercise_days_per_month":3}"#;
        let cut = &row[..60];
        let read = read_again(&[row, cut], None, reading(Some(&mapping))).unwrap();
        assert!(matches!(&read[0], Some(Row::Accepted(case)) if case.patient_id == "p-9"));
        assert!(matches!(&read[1], Some(Row::Refused { .. })));
        assert_eq!(patient_id_of(row, None, reading(None)).as_deref(), Some("p-9"));
    }

    #[test]
    fn a_mapping_that_does_not_fit_the_header_is_an_error() {
        let header = HEADER.map(str::to_owned);
        let mapping = Mapping::parse("[columns.gender]\nfrom = \"sex\"\n").unwrap();
        let read = read_again(&["p-1,x,40,H,A,120,70,3"], Some(&header), reading(Some(&mapping)));
        assert!(matches!(read, Err(FileError::MappedColumnMissing { .. })));
    }
}
