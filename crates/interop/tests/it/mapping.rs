//! Mapping files as a hospital writes them, and the errors it gets.

use interop::{FileError, Format, Mapping};

use crate::{cases, read, reasons};

const EXPORT: &str = "record;age_days;sex;group;bp_s;bp_d;walks;diag\n\
    1;19710;F;0;138;86;2;I10\n\
    2;6000;M;A;120;70;3;\n\
    3;20000;M;A;7777;86;3;\n\
    4;20000;X;A;120;70;99;\n\
    5;20000;M;A;120,5;70;7;I10\n";

const MAP: &str = r#"
[file]
delimiter = ";"

[columns]
patient_id = "record"
systolic_mmhg = "bp_s"
diastolic_mmhg = "bp_d"

[columns.case_id]
from = "record"
prefix = "north-"

[columns.age_years]
from = "age_days"
convert = "days_to_completed_years"

[columns.gender]
from = "sex"
recode = { F = "female", M = "male" }

[columns.blood_type]
from = "group"
recode = { 0 = "O" }

[columns.exercise_days_per_month]
from = "walks"
missing = [99]
convert = "days_a_week_to_days_a_month"
round = true

[[skip]]
reason = "under 18"
when = { age_days = { below = 6575 } }

[[skip]]
reason = "refused the measurement"
when_any = { bp_s = [7777, 9999], bp_d = [7777, 9999] }

[[outcome]]
when = { diag = { missing = false } }
severity = "chronic"
rarity = "common"
disease_code = "ICD-10:I10"

[[outcome]]
unconfirmed = true
"#;

#[test]
fn a_hospitals_own_export_is_read_unedited() {
    let mapping = Mapping::parse(MAP).unwrap();
    assert_eq!(mapping.skip_reasons().collect::<Vec<_>>(), ["under 18", "refused the measurement"]);
    let rows = read(EXPORT, Some(Format::Csv), Some(&mapping)).unwrap();
    let all: Vec<Vec<String>> = rows.iter().map(reasons).collect();
    assert_eq!(all[0], ["accepted"]);
    assert_eq!(all[1], ["skipped: under 18"]);
    assert_eq!(all[2], ["skipped: refused the measurement"]);
    assert_eq!(all[3], ["gender:unknown_code", "exercise_days_per_month:missing"]);
    assert_eq!(all[4], ["systolic_mmhg:wrong_type"]);
    let case = cases(rows[..1].to_vec()).remove(0);
    assert_eq!(case.case_id, "north-1");
    assert_eq!(case.patient_id, "1");
    assert_eq!(case.patient.values(), &[53, 0, 3, 138, 86, 9]);
    assert_eq!(case.outcome.unwrap().disease_code.as_deref(), Some("ICD-10:I10"));
}

#[test]
fn errors_name_key_and_line() {
    for (from, to, expected) in [
        ("delimiter", "delimeter", "mapping, line 3: [file] has no key `delimeter`; it has `delimiter`"),
        ("\";\"", "\"ab\"", "mapping, line 2: `delimiter` is one of"),
        ("round = true", "round = 1", "mapping, line 30: `round` must be true or false"),
        (
            "round = true",
            "rounded = true",
            "mapping, line 30: [columns.exercise_days_per_month] has no key `rounded`",
        ),
        ("days_to_completed_years", "days_to_years", "mapping, line 16: `convert` knows"),
        ("from = \"sex\"\n", "", "mapping, line 18: `columns.gender` needs either `from` or `constant`"),
        ("below = 6575", "below = \"x\"", "mapping, line 34: `below` must be a number"),
        (
            "below = 6575",
            "under = 6575",
            "mapping, line 34: [[skip]] `when`, a column's test has no key `under`",
        ),
        (
            "unconfirmed = true",
            "when = { diag = 1 }\nunconfirmed = true",
            "mapping, line 46: the last [[outcome]]",
        ),
        ("unconfirmed = true", "rarity = \"common\"", "mapping, line 46: [[outcome]] has either"),
        ("reason = \"under 18\"\n", "", "mapping, line 32: [[skip]] needs a `reason`"),
        (
            "[columns]",
            "[columns]\nrarity = \"diag\"",
            "mapping, line 6: `columns.rarity` and `[[outcome]]` both",
        ),
        ("[file]", "[fiel]", "mapping, line 2: the mapping has no key `fiel`"),
        (
            "prefix = \"north-\"",
            "convert = \"kpa_to_mmhg\"",
            "mapping, line 10: `columns.case_id` is not a number",
        ),
        ("[99]", "[99", "mapping, line"),
    ] {
        let text = MAP.replacen(from, to, 1);
        assert_ne!(text, MAP, "{from}");
        let error = Mapping::parse(&text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[test]
fn columns_that_the_file_lacks_and_fields_that_the_study_lacks_are_errors() {
    for (from, to, expected) in [
        (
            "\"bp_s\"",
            "\"bp_sys\"",
            "mapping, line 7: `columns.systolic_mmhg` refers to column `bp_sys`, which the file lacks",
        ),
        (
            "diag =",
            "diagnosis =",
            "mapping, line 41: `when.diagnosis` refers to column `diagnosis`, which the file lacks",
        ),
        (
            "systolic_mmhg",
            "systolic",
            "mapping, line 7: `columns.systolic` gives a value to `systolic`, which is no field of study `hoofbeat-default`",
        ),
    ] {
        let mapping = Mapping::parse(&MAP.replacen(from, to, 1)).unwrap();
        let error = read(EXPORT, Some(Format::Csv), Some(&mapping)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn ndjson_columns_are_held_to_the_mapping_at_the_end() {
    let mapping =
        Mapping::parse("[columns]\nage_years = \"years\"\n[[skip]]\nreason = \"x\"\nwhen = { kind = 1 }\n")
            .unwrap();
    let line = r#"{"years":54,"gender":"female","blood_type":"O","systolic_mmhg":138,"diastolic_mmhg":86,"exercise_days_per_month":6"#;
    let rows = read(format!("{line},\"kind\":2}}\n{line},\"kind\":1}}\n"), None, Some(&mapping)).unwrap();
    assert_eq!(rows.iter().map(reasons).collect::<Vec<_>>(), [["accepted"], ["skipped: x"]]);
    let error = read(format!("{line}}}\n"), None, Some(&mapping)).unwrap_err();
    assert!(matches!(error, FileError::MappedColumnMissing { line: 5, .. }), "{error}");
}
