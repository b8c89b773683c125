//! FHIR: real exports and the ways in which they differ, break and contradict themselves.

use std::{fmt::Write as _, io::Write as _, path::PathBuf};

use clinical::{Case, Study};
use interop::{CaseFile, FileError, Format, Mapping, Row};
use serde_json::{Value, json};

use crate::{cases, read, reading, reasons, sample};

fn hospital() -> Mapping {
    Mapping::parse(&std::fs::read_to_string(sample("fhir/hospital.map.toml")).unwrap()).unwrap()
}

/// The sample's resources, without their Bundle.
fn resources() -> Vec<Value> {
    let bundle: Value =
        serde_json::from_str(&std::fs::read_to_string(sample("fhir/bundle.json")).unwrap()).unwrap();
    bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect()
}

fn lines(resources: &[Value]) -> String {
    resources.iter().fold(String::new(), |mut text, one| {
        writeln!(text, "{one}").unwrap();
        text
    })
}

/// Reads NDJSON by the sample's mapping.
fn rows(resources: &[Value]) -> Vec<Row> {
    read(lines(resources), None, Some(&hospital())).unwrap()
}

/// The sample's resources with one of them changed.
fn changed(id: &str, change: impl FnOnce(&mut Value)) -> Vec<Value> {
    // References of the sample's Bundle by urn:uuid mean nothing outside of it.
    let mut all = resources();
    all[0]["subject"]["reference"] = json!("Patient/a");
    change(all.iter_mut().find(|one| one["id"] == id).unwrap());
    all
}

fn found(rows: &[Row], id: &str) -> Case {
    let mut accepted = rows.iter().filter_map(|row| match row {
        Row::Accepted(case) => Some(case.clone()),
        _ => None,
    });
    accepted.find(|case| case.case_id == id).unwrap_or_else(|| panic!("{id} is not in {rows:?}"))
}

/// Reasons of all rows that are no case.
fn refused(rows: &[Row]) -> Vec<String> {
    let mut all: Vec<String> =
        rows.iter().filter(|row| !matches!(row, Row::Accepted(_))).flat_map(reasons).collect();
    all.sort();
    all
}

const ERROR: &str = "skipped: Observation entered in error or cancelled";

#[test]
fn a_bundle_s_resources_are_joined_whatever_their_order_units_and_references() {
    let path = sample("fhir/bundle.json");
    let mapping = hospital();
    let study = Study::default_study();
    let mut file = CaseFile::open(&path, reading(study, Some(&mapping))).unwrap();
    assert_eq!(file.format(), Format::Fhir);
    let rows: Vec<Row> = file.by_ref().map(Result::unwrap).collect();
    assert_eq!(file.done(), Some(1.0));
    assert_eq!(refused(&rows), [ERROR]);
    let first = found(&rows, "Condition/c-1");
    assert_eq!((first.patient_id.as_str(), first.patient.values()), ("a", &[54, 0, 3, 138, 86, 13][..]));
    assert_eq!(first.outcome.unwrap().disease_code.as_deref(), Some("ICD-10:I10"));
    let second = found(&rows, "Condition/c-2");
    // 16.0 kPa and 10.4 kPa; the ORPHAcode decides, although the ICD-10 code comes first.
    assert_eq!(second.patient.values(), &[34, 1, 0, 120, 78, 22]);
    let outcome = second.outcome.unwrap();
    assert!(outcome.is_orphan() && outcome.disease_code.as_deref() == Some("ORPHA:586"));
    assert_eq!(second.recorded_at, 1_743_552_000_000_000);
}

#[test]
fn lines_bundles_and_compressed_files_give_the_same_cases_in_any_order() {
    let mapping = hospital();
    let mut resources = changed("a", |_| {});
    let sorted = |text: Vec<u8>| {
        let mut all = cases(
            read(text, None, Some(&mapping))
                .unwrap()
                .into_iter()
                .filter(|row| matches!(row, Row::Accepted(_)))
                .collect(),
        );
        all.sort_by(|a, b| a.case_id.cmp(&b.case_id));
        all
    };
    let expected = sorted(lines(&resources).into_bytes());
    assert_eq!(expected.len(), 2);
    for _ in 0..resources.len() {
        resources.rotate_left(5);
        resources.swap(0, 7);
        assert_eq!(sorted(lines(&resources).into_bytes()), expected);
        let entries: Vec<Value> = resources.iter().map(|one| json!({ "resource": one })).collect();
        for kind in ["transaction", "searchset"] {
            let bundle = json!({ "resourceType": "Bundle", "type": kind, "entry": entries });
            assert_eq!(sorted(bundle.to_string().into_bytes()), expected);
            assert_eq!(sorted(format!("{bundle}\n{bundle}\n").into_bytes()), expected);
            assert_eq!(sorted(format!("{bundle:#}").into_bytes()), expected);
        }
    }
    let zipped = zstd::encode_all(lines(&resources).as_bytes(), 1).unwrap();
    assert_eq!(sorted(zipped), expected);
}

#[test]
fn an_export_of_several_files_is_one_and_a_row_names_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let all = changed("c-2", |condition| condition["code"] = json!({}));
    let mut paths: Vec<PathBuf> = Vec::new();
    for kind in ["Condition", "Observation", "Patient"] {
        let path = folder.path().join(format!("{kind}.ndjson"));
        let own: Vec<Value> = all.iter().filter(|one| one["resourceType"] == kind).cloned().collect();
        std::fs::File::create(&path).unwrap().write_all(lines(&own).as_bytes()).unwrap();
        assert_eq!(Format::of_file(&path).unwrap(), Format::Fhir);
        paths.push(path);
    }
    let mapping = hospital();
    let study = Study::default_study();
    let mut file = CaseFile::open_export(&paths, reading(study, Some(&mapping))).unwrap();
    let mut seen = Vec::new();
    while let Some(row) = file.next() {
        seen.push((file.file(), reasons(&row.unwrap())));
    }
    seen.sort();
    let text = |text: &str| vec![text.to_owned()];
    // Patient b has no usable condition any more, and is healthy by the mapping.
    assert_eq!(
        seen,
        [(0, text("Condition.code:missing")), (0, text("accepted")), (1, text(ERROR)), (2, text("accepted")),]
    );
}

#[test]
fn what_is_wrong_with_a_resource_is_named_and_the_rest_is_read() {
    for (id, change, expected) in [
        ("bp-2", json!({"valueQuantity": {"value": "16", "code": "kPa"}}), "systolic_mmhg:wrong_type"),
        ("bp-2", json!({"valueQuantity": {"value": 16, "code": "cm[H2O]"}}), "systolic_mmhg:unknown_code"),
        ("bp-2", json!({"valueQuantity": {"value": 120}}), "systolic_mmhg:unknown_code"),
        (
            "bp-2",
            json!({"valueQuantity": {"value": 16, "code": "kPa", "comparator": ">"}}),
            "systolic_mmhg:inconsistent",
        ),
        ("bp-2", json!({"effectiveDateTime": "yesterday"}), "Observation.effective:wrong_type"),
        ("bp-2", json!({"effectiveDateTime": null}), "Observation.effective:missing"),
        (
            "bp-2",
            json!({"subject": {"reference": "Patient?identifier=x|1"}}),
            "Observation.subject:unknown_code",
        ),
        ("bp-2", json!({"subject": {}}), "Observation.subject:missing"),
        ("bp-2", json!({"code": "8480-6"}), "Observation:wrong_type"),
        ("abo-2", json!({"valueCodeableConcept": {"coding": [{"code": "Z"}]}}), "blood_type:unknown_code"),
        ("b", json!({"birthDate": "30/11/1990"}), "Patient.birthDate:wrong_type"),
        ("c-2", json!({"recordedDate": "2025-02-30"}), "Condition.recordedDate:wrong_type"),
    ] {
        let all = changed(id, |one| {
            change.as_object().unwrap().iter().for_each(|(key, value)| one[key] = value.clone());
        });
        let rows = rows(&all);
        found(&rows, "Condition/c-1");
        assert!(refused(&rows).contains(&expected.to_owned()), "{expected}: {:?}", refused(&rows));
        let raw = rows.iter().find_map(|row| match row {
            Row::Refused { raw, .. } if reasons(row) == [expected] => Some(raw.clone()),
            _ => None,
        });
        let raw: Value = serde_json::from_str(&raw.unwrap()).unwrap();
        assert_eq!(raw["id"], id, "the resource itself is kept");
    }
}

#[test]
fn a_missing_value_refuses_the_case_and_names_the_resources() {
    let rows = rows(&changed("evs-2", |one| one["effectiveDateTime"] = json!("2023-01-01")));
    let case = rows.iter().find(|row| reasons(row) == ["exercise_days_per_month:missing"]).unwrap();
    let Row::Refused { case_id, raw, line, .. } = case else { unreachable!() };
    assert_eq!((case_id.as_deref(), *line), (Some("Condition/c-2"), 12));
    let raw: Value = serde_json::from_str(raw).unwrap();
    assert_eq!((&raw["patient.gender"], &raw["systolic_mmhg"]), (&json!("male"), &json!(120.0)));
    assert!(raw["resources"].as_array().unwrap().len() >= 4);
}

#[test]
fn windows_conflicts_and_pairs() {
    // Newer, but after the window.
    let mut later = changed("a", |_| {});
    let mut one = later[0].clone();
    one["id"] = json!("bp-9");
    one["effectiveDateTime"] = json!("2025-03-13T00:00:00Z");
    one["component"][0]["valueQuantity"]["value"] = json!(190);
    later.push(one.clone());
    assert_eq!(found(&rows(&later), "Condition/c-1").patient.values()[3], 138);
    // In the window: the last one counts, systolic and diastolic of the same moment.
    later.last_mut().unwrap()["effectiveDateTime"] = json!("2025-03-12");
    assert_eq!(found(&rows(&later), "Condition/c-1").patient.values()[3..5], [190, 86]);
    later.last_mut().unwrap()["component"].as_array_mut().unwrap().pop();
    assert_eq!(found(&rows(&later), "Condition/c-1").patient.values()[3..5], [138, 86]);
    // Two readings of one moment that differ.
    one["effectiveDateTime"] = later[0]["effectiveDateTime"].clone();
    *later.last_mut().unwrap() = one;
    assert!(refused(&rows(&later)).contains(&"systolic_mmhg:inconsistent".to_owned()));
    // Two blood groups, years apart.
    let mut groups = changed("a", |_| {});
    let mut other = groups[2].clone();
    other["id"] = json!("abo-9");
    other["effectiveDateTime"] = json!("2001-01-01");
    groups.push(other.clone());
    found(&rows(&groups), "Condition/c-1");
    groups.last_mut().unwrap()["valueCodeableConcept"]["coding"][0]["code"] = json!("LA19710-5");
    assert!(refused(&rows(&groups)).contains(&"blood_type:inconsistent".to_owned()));
    // Systolic and diastolic of different moments are no pair.
    let apart = changed("bp-3", |one| one["effectiveDateTime"] = json!("2025-04-02T09:00:00Z"));
    assert!(refused(&rows(&apart)).contains(&"systolic_mmhg:inconsistent".to_owned()));
}

#[test]
fn the_newest_version_of_a_resource_counts_and_may_withdraw_it() {
    let mut all = changed("bp-2", |one| one["meta"] = json!({"lastUpdated": "2025-04-03T00:00:00Z"}));
    let mut newer = all.iter().find(|one| one["id"] == "bp-2").unwrap().clone();
    newer["valueQuantity"]["value"] = json!(18.0);
    newer["meta"]["lastUpdated"] = json!("2025-04-02T23:00:00Z");
    all.push(newer.clone());
    assert_eq!(found(&rows(&all), "Condition/c-2").patient.values()[3], 120);
    all.last_mut().unwrap()["meta"]["lastUpdated"] = json!("2025-04-04T00:00:00Z");
    assert_eq!(found(&rows(&all), "Condition/c-2").patient.values()[3], 135);
    all.last_mut().unwrap()["status"] = json!("entered-in-error");
    assert!(refused(&rows(&all)).contains(&"systolic_mmhg:missing".to_owned()));
    // Neither refuted nor unconfirmed conditions are cases.
    for status in ["refuted", "provisional", "entered-in-error"] {
        let all = changed("c-2", |one| one["verificationStatus"]["coding"][0]["code"] = json!(status));
        let rows = rows(&all);
        let healthy = rows.iter().filter(|row| matches!(row, Row::Accepted(case) if case.patient_id == "b"));
        let healthy: Vec<_> = healthy.collect();
        assert_eq!(healthy.len(), 1);
        assert!(refused(&rows).iter().any(|reason| reason.starts_with("skipped: Condition")), "{status}");
    }
}

#[test]
fn a_contained_patient_and_one_that_is_nowhere() {
    let mut all = changed("a", |_| {});
    let condition = all.iter_mut().find(|one| one["id"] == "c-1").unwrap();
    condition["subject"]["reference"] = json!("#p");
    condition["contained"] = json!([
        {"resourceType": "Organization", "id": "o", "gender": [1], "birthDate": {}},
        {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1971-02-03"}
    ]);
    let reasons = refused(&rows(&all));
    // It is a patient, but nobody's pressure is its own; patient a has no condition any more.
    for field in ["blood_type", "systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month"] {
        assert!(reasons.contains(&format!("{field}:missing")), "{reasons:?}");
    }
    let all: Vec<Value> = changed("a", |_| {}).into_iter().filter(|one| one["id"] != "a").collect();
    assert!(refused(&rows(&all)).contains(&"Patient:missing".to_owned()));
}

#[test]
fn a_broken_line_a_foreign_type_and_a_cut_bundle_cost_themselves() {
    let mut text = lines(&changed("a", |_| {}));
    text.insert_str(0, "{\"resourceType\": \"Immunization\", \"code\": [[]], \"identifier\": 3}\n");
    text.push_str("{\"resourceType\": \"Patient\", \"id\":\n{\"resourceType\": 7}\n[1]\nnull\n{\"resourceType\": \"Patient\"}\n");
    let found = read(text, None, Some(&hospital())).unwrap();
    let expected = [
        "Patient.id:missing",
        "resourceType:missing",
        "row:wrong_type",
        "row:wrong_type",
        "row:wrong_type",
        ERROR,
    ];
    assert_eq!(refused(&found), expected);
    let bundle = std::fs::read_to_string(sample("fhir/bundle.json")).unwrap();
    let cut = &bundle[..bundle.rfind("E84.0").unwrap()];
    let found = read(cut, None, Some(&hospital())).unwrap();
    assert!(refused(&found).contains(&"row:wrong_type".to_owned()));
    self::found(&found, "Condition/c-1");
}

#[test]
fn cases_of_patients_and_encounters() {
    let study = Study::default_study();
    let text = std::fs::read_to_string(sample("fhir/hospital.map.toml")).unwrap();
    let of = |case: &str| {
        let by = text.replace("case = \"condition\"\nwithout_condition = true", case);
        Mapping::parse(&by).unwrap()
    };
    let mut all = changed("a", |_| {});
    let by_patient = cases(
        read(lines(&all), None, Some(&of("case = \"patient\"")))
            .unwrap()
            .into_iter()
            .filter(|row| matches!(row, Row::Accepted(_)))
            .collect(),
    );
    let mut ids: Vec<_> = by_patient.iter().map(|case| case.case_id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["Patient/a@2025-03-10T08:20:00Z", "Patient/b@2025-04-02T08:00:00Z"]);
    assert!(by_patient.iter().all(|case| case.outcome.is_some()));
    all.push(json!({
        "resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"},
        "subject": {"reference": "Patient/b"}, "period": {"start": "2025-04-02", "end": "2025-04-05"}
    }));
    all.iter_mut().find(|one| one["id"] == "c-2").unwrap()["encounter"] = json!({"reference": "Encounter/e"});
    let rows = read(lines(&all), None, Some(&of("case = \"encounter\""))).unwrap();
    assert!(found(&rows, "Encounter/e").outcome.unwrap().is_orphan());
    // Without any mapping: the study's LOINC codes, nothing confirmed, and no unit is guessed.
    let rows: Vec<Row> = read(lines(&all), None, None).unwrap();
    assert!(refused(&rows).contains(&"exercise_days_per_month:unknown_code".to_owned()));
    assert!(study.inputs().iter().all(|input| input.loinc.is_some()));
}

#[test]
fn a_real_export_gives_one_case_per_patient_with_the_last_pressure() {
    let mapping = Mapping::parse(
        "[fhir]\n[columns.blood_type]\nconstant = \"O\"\n[columns.exercise_days_per_month]\nconstant = 0\n\
         [fhir.values.systolic_mmhg]\nround = true\n[fhir.values.diastolic_mmhg]\nround = true\n",
    )
    .unwrap();
    let paths =
        ["Observation", "Condition", "Patient"].map(|kind| sample(&format!("fhir/export/{kind}.ndjson.gz")));
    let study = Study::default_study();
    let file = CaseFile::open_export(&paths, reading(study, Some(&mapping))).unwrap();
    let rows: Vec<Row> = file.map(Result::unwrap).collect();
    // Counted by hand from the files: the last panel of each patient.
    let read = |path: &PathBuf| -> Vec<Value> {
        let mut text = String::new();
        let file = std::fs::File::open(path).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let observations = read(&paths[0]);
    let mut last = std::collections::BTreeMap::new();
    for one in &observations {
        if one["code"]["coding"][0]["code"] == "85354-9" {
            let at = time::OffsetDateTime::parse(
                one["effectiveDateTime"].as_str().unwrap(),
                &time::format_description::well_known::Rfc3339,
            )
            .unwrap();
            let value = |code: &str| {
                let parts = one["component"].as_array().unwrap();
                let part = parts.iter().find(|part| part["code"]["coding"][0]["code"] == code).unwrap();
                part["valueQuantity"]["value"].as_f64().unwrap().round() as i32
            };
            let patient = one["subject"]["reference"].as_str().unwrap().replace("urn:uuid:", "");
            let found = (at, [value("8480-6"), value("8462-4")]);
            let entry = last.entry(patient).or_insert(found);
            *entry = (*entry).max(found);
        }
    }
    assert_eq!(last.len(), 30);
    assert_eq!(rows.len(), 30);
    for row in &rows {
        match row {
            Row::Accepted(case) => assert_eq!(case.patient.values()[3..5], last[&case.patient_id].1),
            Row::Refused { issues, .. } => {
                assert!(issues.iter().all(|issue| issue.field.ends_with("_mmhg")), "{issues:?}");
            }
            Row::Skipped { .. } => unreachable!(),
        }
    }
    assert!(rows.iter().filter(|row| matches!(row, Row::Accepted(_))).count() >= 28);
}

#[test]
fn a_mapping_s_fhir_part_is_checked() {
    let parse = |text: &str| Mapping::parse(text).map(|_| ()).unwrap_err().to_string();
    for (text, expected) in [
        ("[fhir]\ncase = \"visit\"", "mapping, line 2: `case` is one of `patient`, `condition`, `encounter`"),
        ("[fhir]\nkase = 1", "mapping, line 2: [fhir] has no key `kase`"),
        ("[fhir.values.x]\nchoose = \"any\"", "mapping, line 2: `choose` is one of"),
        ("[fhir.values.x]\nunits = { kPa = 0 }", "mapping, line 2: `units.kPa` is the factor"),
        (
            "[fhir.values.x]\nlasting = true\ndays_before = 3",
            "mapping, line 1: `fhir.values.x`: what is `lasting`",
        ),
        ("[fhir]\nwithout_condition = true", "mapping, line 1: `at` is for"),
    ] {
        assert!(parse(text).starts_with(expected), "{}", parse(text));
    }
    let no_code = Mapping::parse("[fhir.values.pulse]\n").unwrap();
    let error = read("{\"resourceType\":\"Patient\"}", None, Some(&no_code)).unwrap_err();
    assert!(matches!(error, FileError::ValueWithoutCode(_)), "{error}");
    let lacking = Mapping::parse("[columns]\nage_years = \"patient.ages\"\n[fhir]\n").unwrap();
    let error = read("{\"resourceType\":\"Patient\"}", None, Some(&lacking)).unwrap_err();
    assert!(matches!(error, FileError::MappedColumnMissing { line: 2, .. }), "{error}");
}

#[test]
fn a_joined_row_that_was_refused_is_read_again_by_a_corrected_mapping() {
    let all = changed("c-2", |one| {
        one["code"] = json!({"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "Q99 x"}]})
    });
    let map = std::fs::read_to_string(sample("fhir/hospital.map.toml")).unwrap();
    let rare = |rarity: &str| {
        map.replacen("[[outcome]]", &format!("[[outcome]]\nwhen = {{ \"condition.code\" = \"ICD-10:Q99 x\" }}\nseverity = \"mild\"\n{rarity}\n\n[[outcome]]"), 1)
    };
    let wrong = Mapping::parse(&rare("")).unwrap();
    let rows = read(lines(&all), None, Some(&wrong)).unwrap();
    let refused = rows.iter().find_map(|row| match row {
        Row::Refused { raw, .. } if reasons(row) == ["rarity:inconsistent"] => Some(raw.clone()),
        _ => None,
    });
    let raw = refused.unwrap();
    let right = Mapping::parse(&rare("rarity = \"common\"")).unwrap();
    let study = Study::default_study();
    let again = interop::read_again(&[&raw], None, reading(study, Some(&right))).unwrap();
    let Some(Row::Accepted(case)) = &again[0] else { panic!("{again:?}") };
    assert_eq!((case.case_id.as_str(), case.recorded_at), ("Condition/c-2", 1_743_552_000_000_000));
    assert_eq!(interop::patient_id_of(&raw, None, reading(study, Some(&right))).as_deref(), Some("b"));
    // A resource is no row by itself.
    let resource = all[0].to_string();
    let again = interop::read_again(&[&resource], None, reading(study, Some(&right))).unwrap();
    assert!(matches!(again[0], Some(Row::Refused { .. })));
    assert_eq!(interop::patient_id_of(&resource, None, reading(study, Some(&right))), None);
}
