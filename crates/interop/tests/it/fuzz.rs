//! Arbitrary bytes: nothing panics, nothing hangs, and what the reference CSV crate agrees on is the
//! same here.

use std::io::{Cursor, Read};

use clinical::{Outcome, Rarity, Raw, Severity, Study};
use interop::{CaseFile, CaseWriter, Format, Mapping, Row};
use proptest::prelude::*;

use crate::{HEADER, NOW, Written, cases, form, read, reading, sample};

/// Hands out a few bytes at a time, so that every boundary falls somewhere else.
struct Trickle(Cursor<Vec<u8>>, usize);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(self.1);
        self.0.read(&mut buffer[..length])
    }
}

/// Bytes that are likely to mean something to a parser.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => proptest::sample::select(vec![
            &b","[..], b"\n", b"\r\n", b"\"", b"\"\"", b"{", b"}", b":", b"[", b"]", b"54", b"female", b"O", b"138", b"\0",
            b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xa9", b" ", b"null", b"1e999", b"-", b"\\u0000", b"\\ud800",
            b"\"age_years\"", b"2025-01-01", b"chronic", b"common",
        ]).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..200).prop_map(|pieces| pieces.concat())
}

fn swallow(bytes: Vec<u8>, format: Option<Format>) {
    let length = bytes.len();
    if let Ok(file) =
        CaseFile::stream(Box::new(Cursor::new(bytes)), format, reading(Study::default_study(), None))
    {
        // A reader that does not advance would give more rows than bytes.
        assert!(file.take(length + 2).count() <= length + 1);
    }
}

const MAP: &str = "[columns.age_years]\nfrom = [\"a\", \"b\"]\nmissing = [7, \"x\"]\n[[skip]]\nreason = \"r\"\nwhen = { a = { below = 2 } }\n[[outcome]]\nunconfirmed = true\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        for format in [None, Some(Format::Csv), Some(Format::Ndjson), Some(Format::Parquet)] {
            swallow(bytes.clone(), format);
        }
    }

    #[test]
    fn likely_rows_never_panic(bytes in likely()) {
        swallow([format!("{HEADER}\n").as_bytes(), &bytes].concat(), None);
        swallow([b"{\"age_years\":54,".as_slice(), &bytes].concat(), None);
    }

    #[test]
    fn damaged_parquet_and_compression_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), name in prop::sample::select(vec!["x.parquet", "x.csv.gz", "x.csv.zst"])) {
        let mut bytes = small(name);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        swallow(bytes, None);
    }

    #[test]
    fn damaged_fhir_never_panics(
        at in any::<prop::sample::Index>(), length in 0usize..400, piece in likely(), by_line in any::<bool>(),
        mapped in any::<bool>(),
    ) {
        let map = std::fs::read_to_string(sample("fhir/hospital.map.toml")).unwrap();
        let mapping = Mapping::parse(&map).unwrap();
        let bundle = std::fs::read(sample("fhir/bundle.json")).unwrap();
        let at = at.index(bundle.len());
        let end = (at + length).min(bundle.len());
        let mut bytes = [&bundle[..at], &piece, &bundle[end..]].concat();
        if by_line {
            bytes.retain(|&byte| byte != b'\n');
            bytes.extend(bytes.clone());
        }
        let length = bytes.len();
        let reading = reading(Study::default_study(), mapped.then_some(&mapping));
        if let Ok(file) = CaseFile::stream(Box::new(Cursor::new(bytes)), None, reading) {
            assert!(file.take(length + 2).count() <= length + 1);
        }
    }

    #[test]
    fn resources_of_any_form_never_panic(
        key in prop::sample::select(vec![
            "id", "status", "subject", "code", "component", "valueQuantity", "effectiveDateTime", "birthDate", "gender",
            "contained", "meta", "extension", "identifier", "recordedDate", "verificationStatus", "resourceType",
        ]),
        value in prop::sample::select(vec![
            "null", "[]", "{}", "1", "-1e308", "true", "\"\"", "\"#\"", "[[[]]]", "[null]", "{\"coding\":[{}]}",
            "{\"reference\":\"Patient/\"}", "\"0000\"", "\"9999-12-31T23:59:59+14:00\"", "{\"value\":1e300,\"code\":\"kPa\"}",
        ]),
        which in 0usize..12,
    ) {
        let mapping = Mapping::parse(&std::fs::read_to_string(sample("fhir/hospital.map.toml")).unwrap()).unwrap();
        let bundle: serde_json::Value = serde_json::from_slice(&std::fs::read(sample("fhir/bundle.json")).unwrap()).unwrap();
        let mut lines = String::new();
        for (place, entry) in bundle["entry"].as_array().unwrap().iter().enumerate() {
            let mut resource = entry["resource"].clone();
            if place == which {
                resource[key] = serde_json::from_str(value).unwrap();
            }
            lines.push_str(&resource.to_string());
            lines.push('\n');
        }
        let reading = reading(Study::default_study(), Some(&mapping));
        let file = CaseFile::stream(Box::new(Cursor::new(lines.into_bytes())), None, reading).unwrap();
        prop_assert!(file.map(Result::unwrap).count() <= 24);
    }

    #[test]
    fn mappings_never_panic(at in any::<prop::sample::Index>(), piece in likely()) {
        let at = at.index(MAP.len() + 1);
        let text = [&MAP.as_bytes()[..at], &piece, &MAP.as_bytes()[at..]].concat();
        let _ = Mapping::parse(&String::from_utf8_lossy(&text));
    }

    #[test]
    fn the_stream_s_pieces_do_not_matter(bytes in likely(), size in 1usize..9) {
        let bytes = [format!("{HEADER}\n").as_bytes(), &bytes].concat();
        let read = |reader: Box<dyn Read + Send>| -> Vec<Row> {
            CaseFile::stream(reader, Some(Format::Csv), reading(Study::default_study(), None)).unwrap().map(Result::unwrap).collect()
        };
        prop_assert_eq!(read(Box::new(Cursor::new(bytes.clone()))), read(Box::new(Trickle(Cursor::new(bytes), size))));
    }

    #[test]
    fn well_formed_csv_means_what_the_reference_reader_says(ids in proptest::collection::vec("[a-z\"\\n, é]{1,12}", 1..20)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(HEADER.split(',')).unwrap();
        for id in &ids {
            let row = ["x", id, "s", "2025-01-01", "54", "female", "O", "138", "86", "6", "", "", "", ""];
            writer.write_record(row).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let mut reference = csv::Reader::from_reader(bytes.as_slice());
        let expected: Vec<String> = reference.records().map(|record| record.unwrap()[1].trim().to_owned()).collect();
        let rows = read(bytes, Some(Format::Csv), None).unwrap();
        prop_assert_eq!(rows.len(), expected.len());
        for (row, id) in rows.iter().zip(&expected) {
            match row {
                Row::Accepted(case) => prop_assert!(case.patient_id == *id || id.is_empty()),
                Row::Refused { issues, .. } => prop_assert!(id.contains('\n') && issues[0].field == "patient_id"),
                Row::Skipped { .. } => prop_assert!(false),
            }
        }
    }

    #[test]
    fn written_cases_are_read_back(
        id in "[^\\p{Cc}]{1,40}", age in 0i64..=120, days in 0i64..=31, diastolic in 30i64..=180, over in 1i64..=100,
        micros in -2_000_000_000_000_000i64..4_000_000_000_000_000, severity in proptest::option::of(0u8..4),
        name in prop::sample::select(vec!["x.csv", "x.ndjson", "x.parquet", "x.csv.gz"]),
    ) {
        prop_assume!(id.trim() == id);
        let study = Study::default_study();
        let patient = study.check(|input| match input.name.as_str() {
            "age_years" => Raw::Integer(age),
            "gender" => Raw::Text("male"),
            "blood_type" => Raw::Text("B"),
            "systolic_mmhg" => Raw::Integer((diastolic + over).max(50)),
            "diastolic_mmhg" => Raw::Integer(diastolic),
            _ => Raw::Integer(days),
        }).unwrap();
        let outcome = severity.map(|code| Outcome {
            severity: Severity(code),
            rarity: (code > 0).then_some(Rarity::Common),
            disease_code: None,
        });
        let case = clinical::Case {
            case_id: id.clone(), patient_id: id, source: "s".to_owned(), recorded_at: micros, patient, note: None,
            confirmed_at: outcome.as_ref().map(|_| micros), outcome,
        };
        let out = Written::default();
        let mut writer = CaseWriter::create(form(name), Box::new(out.clone()), study, Vec::new()).unwrap();
        writer.push(&case, &[]).unwrap();
        writer.finish().unwrap();
        prop_assert_eq!(cases(read(out.bytes(), None, None).unwrap()), [case]);
    }
}

fn small(name: &str) -> Vec<u8> {
    let rows = read(
        format!("{HEADER}\na,p,s,2025-01-01,54,female,O,138,86,6,mild,common,ICD-10:I10,\n"),
        None,
        None,
    )
    .unwrap();
    let out = Written::default();
    let mut writer =
        CaseWriter::create(form(name), Box::new(out.clone()), Study::default_study(), Vec::new()).unwrap();
    for case in cases(rows) {
        assert!(case.recorded_at < NOW);
        writer.push(&case, &[]).unwrap();
    }
    writer.finish().unwrap();
    out.bytes()
}
