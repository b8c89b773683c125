//! NDJSON: strict types, one object a line.

use interop::{FileError, Format};

use crate::{cases, read, reasons};

const GOOD: &str = r#"{"case_id":"a","age_years":54,"gender":"female","blood_type":"O","systolic_mmhg":138,"diastolic_mmhg":86.0,"exercise_days_per_month":6,"recorded_at":"2025-01-01","extra":{"deep":[1,{"x":null}]},"severity":"mild","rarity":"common"}"#;

fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[test]
fn types_are_strict_and_broken_lines_cost_themselves_only() {
    let lines = [
        (GOOD.to_owned(), vec!["accepted"]),
        (with("54", "\"54\""), vec!["age_years:wrong_type"]),
        (with("54", "54.5"), vec!["age_years:wrong_type"]),
        (with("54", "true"), vec!["age_years:wrong_type"]),
        (with("54", "[54]"), vec!["age_years:wrong_type"]),
        (with("54", "null"), vec!["age_years:missing"]),
        (with("54", "18446744073709551616"), vec!["age_years:out_of_range"]),
        (with("\"female\"", "1"), vec!["gender:wrong_type"]),
        (with("\"2025-01-01\"", "20250101"), vec!["recorded_at:wrong_type"]),
        (with("\"a\"", "7"), vec!["accepted"]),
        (with("\"a\"", "7.5"), vec!["case_id:wrong_type"]),
        (with("\"a\"", "\"a\\u0000\""), vec!["case_id:wrong_type"]),
        (with("\"mild\"", "3"), vec!["severity:wrong_type"]),
        (with("\"case_id\":\"a\"", "\"age_years\":54"), vec!["age_years:inconsistent"]),
        (GOOD[..60].to_owned(), vec!["row:wrong_type"]),
        (format!("{GOOD} {GOOD}"), vec!["row:wrong_type"]),
        ("[1,2]".to_owned(), vec!["row:wrong_type"]),
        ("54".to_owned(), vec!["row:wrong_type"]),
        ("[".repeat(100_000), vec!["row:wrong_type"]),
        (with("{\"deep\"", &format!("{}{{\"deep\"", "[".repeat(100_000))), vec!["row:wrong_type"]),
    ];
    let text: String = lines.iter().flat_map(|(line, _)| [line.as_str(), "\n"]).collect();
    let rows = read(text, Some(Format::Ndjson), None).unwrap();
    for (row, (line, expected)) in rows.iter().zip(&lines) {
        assert_eq!(reasons(row), *expected, "{}", &line[..line.len().min(200)]);
    }
    assert_eq!(rows.len(), lines.len());
}

#[test]
fn it_is_recognised_by_its_first_byte() {
    assert_eq!(cases(read(format!("\n {GOOD}\n"), None, None).unwrap()).len(), 1);
}

#[test]
fn a_column_that_no_row_has_fails_the_file_at_its_end() {
    let error = read(with("\"age_years\":54,", ""), Some(Format::Ndjson), None).unwrap_err();
    assert!(matches!(&error, FileError::MissingColumns(columns) if *columns == ["age_years"]), "{error}");
}
