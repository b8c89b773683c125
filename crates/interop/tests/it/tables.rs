//! Tables out, and cases out and in again.

use clinical::{
    Case, Contribution, Explained, Explanation, Issue, IssueCode, Outcome, Prediction, Rarity, Raw, Severity,
    Study,
};
use interop::{
    CaseWriter, ColumnType, Format, PredictionWriter, PredictorTableWriter, TableError, TableFormat,
    TableWriter, Value,
};

use crate::{NOW, Written, cases, form, read};

fn case(id: &str, outcome: Option<Outcome>) -> Case {
    let patient = Study::default_study()
        .check(|input| match input.name.as_str() {
            "age_years" => Raw::Integer(54),
            "gender" => Raw::Text("female"),
            "blood_type" => Raw::Text("AB"),
            "systolic_mmhg" => Raw::Integer(138),
            "diastolic_mmhg" => Raw::Integer(86),
            _ => Raw::Integer(6),
        })
        .unwrap();
    Case {
        case_id: id.to_owned(),
        patient_id: "p, \"one\"".to_owned(),
        source: "north\nwing".replace('\n', " "),
        recorded_at: NOW + 1,
        patient,
        note: None,
        confirmed_at: outcome.as_ref().map(|_| NOW),
        outcome,
    }
}

#[test]
fn cases_written_in_every_form_are_read_back_the_same() {
    let orphan = Outcome {
        severity: Severity(2),
        rarity: Some(Rarity::Orphan),
        disease_code: Some("ORPHA:586".to_owned()),
    };
    let healthy = Outcome { severity: Severity(0), rarity: None, disease_code: None };
    let written = vec![case("a", None), case("b", Some(orphan)), case("c", Some(healthy))];
    for name in ["x.csv", "x.csv.gz", "x.csv.zst", "x.ndjson", "x.jsonl.gz", "x.NDJSON.zst", "x.parquet"] {
        let out = Written::default();
        let extra = vec![("p_true".to_owned(), ColumnType::Real)];
        let mut writer =
            CaseWriter::create(form(name), Box::new(out.clone()), Study::default_study(), extra).unwrap();
        for case in &written {
            writer.push(case, &[Value::Real(0.1)]).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(cases(read(out.bytes(), None, None).unwrap()), written, "{name}");
    }
}

#[test]
fn an_identifier_like_a_formula_is_no_formula_in_csv_and_comes_back_as_it_was() {
    for (name, expected) in [("x.csv", "'=cmd|"), ("x.ndjson", "\"=cmd|")] {
        let out = Written::default();
        let study = Study::default_study();
        let mut writer = CaseWriter::create(form(name), Box::new(out.clone()), study, Vec::new()).unwrap();
        writer.push(&case("=cmd|' /C calc'!A0", None), &[]).unwrap();
        writer.finish().unwrap();
        let text = String::from_utf8(out.bytes()).unwrap();
        assert!(text.contains(expected), "{text}");
        assert_eq!(cases(read(out.bytes(), None, None).unwrap())[0].case_id, "=cmd|' /C calc'!A0", "{name}");
    }
}

#[test]
fn reals_keep_every_bit_and_types_are_held() {
    let out = Written::default();
    let columns = vec![("name".to_owned(), ColumnType::Text), ("p".to_owned(), ColumnType::Real)];
    let mut table = TableWriter::create(TableFormat::CSV, Box::new(out.clone()), columns).unwrap();
    let numbers = [0.1 + 0.2, 1.0 / 3.0, 1e-300, f64::MIN_POSITIVE, 1.0, 0.0, 123_456_789.123_456_79];
    for number in numbers {
        table.push(&[Value::Text("a,\"b\""), Value::Real(number)]).unwrap();
    }
    assert!(matches!(table.push(&[Value::Missing]), Err(TableError::Width { expected: 2, got: 1 })));
    assert!(matches!(table.push(&[Value::Missing, Value::Integer(1)]), Err(TableError::Type { .. })));
    assert!(matches!(table.push(&[Value::Missing, Value::Real(f64::NAN)]), Err(TableError::NotFinite(_))));
    table.finish().unwrap();
    let text = out.text();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("name,p"));
    for (line, number) in lines.zip(numbers) {
        let written: f64 = line.strip_prefix("\"a,\"\"b\"\"\",").unwrap().parse().unwrap();
        assert_eq!(written.to_bits(), number.to_bits(), "{line}");
    }
    assert_eq!(text.lines().count(), 8);
}

#[test]
fn endings_choose_the_form() {
    assert_eq!(form("a.b.CSV.GZ").format, Format::Csv);
    assert!(
        matches!(TableFormat::from_path("x.xlsx".as_ref()), Err(TableError::UnknownEnding(name)) if name == "x.xlsx")
    );
    assert!(
        matches!(TableFormat::from_path("x.parquet.gz".as_ref()), Err(TableError::CompressedParquet(name)) if name == "x.parquet")
    );
}

#[test]
fn a_batchs_answers_have_ids_probabilities_categories_contributions_and_errors() {
    let study = Study::default_study();
    let out = Written::default();
    let mut writer = PredictionWriter::create(TableFormat::CSV, Box::new(out.clone()), study, true).unwrap();
    let contributions =
        vec![Contribution { feature: 3, value: 0.31 }, Contribution { feature: 0, value: -0.1 }];
    let prediction = Prediction {
        severity: Severity(1),
        probabilities: vec![0.2, 0.6, 0.05, 0.15],
        rarity: Some(Rarity::Common),
        probability_orphan: 0.01,
        threshold: 0.08,
        nearest: Vec::new(),
        explanation: Explanation { of: Explained::Severity(Severity(1)), base_value: 0.21, contributions },
        warnings: Vec::new(),
        note: None,
    };
    writer.push(&case("a", None), "m-7", &prediction).unwrap();
    let issues =
        [Issue::new("systolic_mmhg", IssueCode::OutOfRange), Issue::new("gender", IssueCode::UnknownCode)];
    writer.refuse(3, Some("b"), &issues).unwrap();
    writer.finish().unwrap();
    assert_eq!(
        out.text(),
        "case_id,patient_id,model_version,severity,rarity,p_healthy,p_mild,p_acute,p_chronic,p_orphan,blood_pressure,\
         contribution_age,contribution_gender,contribution_blood_type,contribution_blood_pressure,contribution_exercise,error\n\
         a,\"p, \"\"one\"\"\",m-7,mild,common,0.2,0.6,0.05,0.15,0.01,stage_1,-0.1,,,0.31,,\n\
         b,,,,,,,,,,,,,,,,line 3: systolic_mmhg:out_of_range; gender:unknown_code\n"
    );
}

#[test]
fn the_predictor_table_has_the_contracts_columns() {
    let study = Study::default_study();
    for name in ["t.csv", "t.parquet"] {
        let out = Written::default();
        let mut writer = PredictorTableWriter::create(form(name), Box::new(out.clone()), study).unwrap();
        for cell in 0..154_880 {
            let orphan = (cell % 7 == 0).then_some(Rarity::Orphan);
            writer.push(cell, &[0.7, 0.1, 0.1, 0.1], 1.0 / 3.0, Severity(3), orphan).unwrap();
        }
        writer.finish().unwrap();
        if name == "t.csv" {
            let text = out.text();
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 154_881);
            assert_eq!(
                lines[0],
                "age_years,gender,blood_type,blood_pressure,exercise_days_per_month,p_healthy,p_mild,p_acute,p_chronic,p_orphan,severity,rarity"
            );
            assert_eq!(lines[1], "0,female,A,normal,0,0.7,0.1,0.1,0.1,0.3333333333333333,chronic,orphan");
            assert_eq!(lines[154_880], "120,male,O,crisis,31,0.7,0.1,0.1,0.1,0.3333333333333333,chronic,");
        } else {
            let bytes = bytes::Bytes::from(out.bytes());
            let reader =
                ::parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(bytes, 100_000).unwrap();
            assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 154_880);
        }
    }
}
