//! `samples/dirty/dirty.csv`: one row per way in which real exports are wrong.

use clinical::Study;
use interop::{CaseFile, Row};

use crate::{reading, reasons, sample};

/// Line, case id as far as it can be read, reasons.
const EXPECTED: &[(u64, &str, &[&str])] = &[
    (4, "d-04", &["systolic_mmhg:out_of_range"]),
    (5, "d-05", &["systolic_mmhg:out_of_range", "diastolic_mmhg:out_of_range"]),
    (6, "d-06", &["systolic_mmhg:out_of_range"]),
    (7, "d-07", &["systolic_mmhg:inconsistent"]),
    (8, "d-08", &["systolic_mmhg:inconsistent"]),
    (9, "d-09", &["age_years:out_of_range"]),
    (10, "d-10", &["age_years:wrong_type"]),
    (11, "d-11", &["gender:unknown_code", "blood_type:unknown_code"]),
    (12, "d-12", &["gender:missing", "exercise_days_per_month:missing"]),
    (13, "", &["row:inconsistent"]),
    (14, "", &["row:inconsistent"]),
    (15, "", &["row:wrong_type"]),
    (16, "", &["row:wrong_type"]),
    (17, "", &["row:wrong_type"]),
    (19, "d-19", &["recorded_at:wrong_type"]),
    (20, "d-20", &["recorded_at:wrong_type"]),
    (21, "d-21", &["recorded_at:out_of_range"]),
    (22, "d-22", &["confirmed_at:wrong_type"]),
    (23, "d-23", &["severity:unknown_code"]),
    (24, "d-24", &["rarity:inconsistent"]),
    (25, "d-25", &["rarity:inconsistent"]),
    (26, "d-26", &["severity:missing"]),
    (27, "d-27", &["disease_code:wrong_type"]),
    (
        28,
        "d-28",
        &[
            "age_years:out_of_range",
            "gender:unknown_code",
            "blood_type:missing",
            "systolic_mmhg:out_of_range",
            "diastolic_mmhg:wrong_type",
            "exercise_days_per_month:wrong_type",
            "severity:unknown_code",
            "rarity:unknown_code",
            "disease_code:wrong_type",
            "recorded_at:wrong_type",
        ],
    ),
    (29, "", &["case_id:out_of_range"]),
    (30, "", &["case_id:wrong_type"]),
    (31, "d-31", &["severity:missing"]),
    (32, "d-32", &["exercise_days_per_month:out_of_range"]),
    (33, "d-33", &["systolic_mmhg:wrong_type"]),
    (34, "d-34", &["disease_code:inconsistent"]),
    (35, "", &["row:wrong_type"]),
    (40, "d-40", &["age_years:out_of_range"]),
];

#[test]
fn every_row_of_the_dirty_file_gets_its_reasons() {
    let file = CaseFile::open(&sample("dirty/dirty.csv"), reading(Study::default_study(), None)).unwrap();
    assert_eq!(file.columns().ignored, ["ward"]);
    assert!(file.columns().derived.is_empty());
    let rows: Vec<Row> = file.map(Result::unwrap).collect();
    let refused: Vec<_> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Refused { line, case_id, .. } => {
                Some((*line, case_id.clone().unwrap_or_default(), reasons(row)))
            }
            _ => None,
        })
        .collect();
    let expected: Vec<_> = EXPECTED
        .iter()
        .map(|(line, id, reasons)| {
            (*line, (*id).to_owned(), reasons.iter().map(ToString::to_string).collect())
        })
        .collect();
    assert_eq!(refused, expected);
}

#[test]
fn the_good_rows_between_them_are_kept() {
    let file = CaseFile::open(&sample("dirty/dirty.csv"), reading(Study::default_study(), None)).unwrap();
    let cases: Vec<_> = file
        .filter_map(|row| match row.unwrap() {
            Row::Accepted(case) => Some(case),
            _ => None,
        })
        .collect();
    let ids: Vec<&str> = cases.iter().map(|case| case.case_id.as_str()).collect();
    // A repeated id is for the store to judge: it may have come with an earlier file.
    assert_eq!(&ids[..3], ["d-02", "d-03", "d-02"]);
    assert!(ids[3].starts_with("derived-") && ids[4] == format!("{}-2", ids[3]));
    assert_ne!(cases[3].patient_id, cases[4].patient_id);
    assert_eq!(&ids[5..], ["d-38", "d-41"]);
    assert_eq!(cases[1].recorded_at, 1_748_759_400_000_000); // 2025-06-01T06:30:00Z
    assert_eq!(cases[3].recorded_at, crate::NOW);
    assert_eq!(cases[0].source, "hospital");
    assert!(cases[6].outcome.as_ref().unwrap().is_orphan());
}

#[test]
fn a_refused_row_keeps_its_text_for_the_quarantine() {
    let raw = |wanted: u64| {
        let path = sample("dirty/dirty.csv");
        let rows = CaseFile::open(&path, reading(Study::default_study(), None)).unwrap();
        rows.map(Result::unwrap).find_map(|row| match row {
            Row::Refused { line, raw, .. } if line == wanted => Some(raw),
            _ => None,
        })
    };
    assert_eq!(raw(13).unwrap(), "d-13,,p-1,,2025-06-01,54,female,O,138");
    assert!(raw(16).unwrap().contains("Mu\u{fffd}oz"));
    assert!(raw(35).unwrap().ends_with(r#""never closed"#));
}
