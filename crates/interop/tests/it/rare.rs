//! Orphanet's product files and phenopackets.

use std::io::Cursor;

use clinical::{Language, Study};
use interop::{CaseFile, FileError, Format, Mapping, Row, orphanet};
use serde_json::{Value, json};

use crate::{cases, read, reading, reasons, sample};

#[test]
fn product_files_add_up_to_a_dictionary() {
    let mut dictionary = clinical::orphanet::Dictionary::default();
    for (file, diseases) in [
        ("en_product9_prev.xml", 3),
        ("en_product9_ages.xml", 3),
        ("es_product1.xml", 3),
        ("en_product4.xml", 1),
    ] {
        let found = orphanet::read(&sample(&format!("orphanet/{file}"))).unwrap();
        assert_eq!(found.diseases.len(), diseases, "{file}");
        dictionary.extend(found);
    }
    let fibrosis = dictionary.get("ORPHA:586").unwrap();
    assert_eq!(fibrosis.name(Language::En), Some("Cystic fibrosis"));
    assert_eq!(fibrosis.name(Language::Es), Some("Fibrosis quística"));
    let icd: Vec<_> = fibrosis.references["ICD-10"].iter().map(String::as_str).collect();
    assert_eq!(icd, ["E84.0", "E84.9"]);
    let prevalence = fibrosis.prevalence.as_ref().unwrap();
    assert_eq!(
        (prevalence.class.as_str(), prevalence.per_100_000, prevalence.geography.as_str()),
        ("1-5 / 10 000", Some(11.1319), "Europe")
    );
    // What is built in came from the same files by the same rule.
    for code in ["ORPHA:586", "ORPHA:58", "ORPHA:166024"] {
        let (read, built_in) = (dictionary.get(code).unwrap(), clinical::orphanet::disease(code).unwrap());
        assert_eq!(read.prevalence, built_in.prevalence, "{code}");
        assert_eq!((&read.onset, &read.inheritance), (&built_in.onset, &built_in.inheritance), "{code}");
        assert_eq!(read.name(Language::En), built_in.name(Language::En));
    }
    let alexander = dictionary.get("ORPHA:58").unwrap();
    assert_eq!((alexander.findings.len(), alexander.findings[0].code.as_str()), (2, "HP:0000256"));
}

#[test]
fn a_table_of_the_same_is_read_and_another_file_is_refused() {
    let read = |text: &str| orphanet::read_stream(Box::new(Cursor::new(text.as_bytes().to_vec())));
    let table = "orpha_code,name,prevalence_type,prevalence_class,val_moy,prevalence_geographic,prevalence_validation_status\n\
                 58,Alexander disease,Point prevalence,<1 / 1 000 000,0.0,Worldwide,Validated\n\
                 58,Alexander disease,Point prevalence,1-5 / 10 000,9,Worldwide,Not yet validated\n\
                 58,Alexander disease,Annual incidence,1-5 / 10 000,9,Worldwide,Validated\n";
    let found = read(table).unwrap();
    assert_eq!(found.get("ORPHA:58").unwrap().prevalence.as_ref().unwrap().class, "<1 / 1 000 000");
    for other in ["a,b\n1,2\n", "<html></html>", "{}", "<a/>", ""] {
        assert!(matches!(read(other), Err(FileError::NoDiseases)), "{other}");
    }
    for damaged in
        ["<JDBOR><Disorder><OrphaCode>58</OrphaCode>", "<JDBOR><a></b></JDBOR>", "<a>&#xFFFFFFFF;</a>"]
    {
        assert!(
            matches!(read(damaged), Err(FileError::Damaged { .. } | FileError::Truncated(_))),
            "{damaged}"
        );
    }
    let entities = read(
        "<Disorder><OrphaCode>7</OrphaCode><Name lang=\"en\">A &amp; B &lt;&#233;&gt;</Name></Disorder>",
    )
    .unwrap();
    assert_eq!(entities.get("ORPHA:7").unwrap().name(Language::En), Some("A & B <é>"));
}

fn mapping() -> Mapping {
    Mapping::parse(&std::fs::read_to_string(sample("phenopackets/rare.map.toml")).unwrap()).unwrap()
}

fn packet() -> Value {
    serde_json::from_str(&std::fs::read_to_string(sample("phenopackets/jacobsen.json")).unwrap()).unwrap()
}

/// The sample with the measurements that the built-in study asks for.
fn measured() -> Value {
    let mut packet = packet();
    let quantity = |code: &str, value: f64, unit: &str| json!({"assay": {"id": code}, "value": {"quantity": {"value": value, "unit": {"id": unit}}}});
    packet["measurements"] = json!([
        quantity("LOINC:8480-6", 100.0, "UCUM:mm[Hg]"),
        quantity("LOINC:8462-4", 60.0, "UCUM:mm[Hg]"),
        quantity("LOINC:89555-7", 12.0, "days a month"),
        {"assay": {"id": "LOINC:883-9"}, "value": {"ontologyClass": {"id": "own:AB"}}},
        {"assay": {"id": "LOINC:1-1"}, "value": {"quantity": {"value": "x"}}},
    ]);
    packet
}

#[test]
fn a_published_case_lacks_what_the_study_asks_and_says_so() {
    let mapping = mapping();
    let study = Study::default_study();
    let mut file =
        CaseFile::open(&sample("phenopackets/jacobsen.json"), reading(study, Some(&mapping))).unwrap();
    assert_eq!(file.format(), Format::Phenopacket);
    let row = file.next().unwrap().unwrap();
    assert!(file.next().is_none());
    assert_eq!(
        reasons(&row),
        [
            "blood_type:missing",
            "systolic_mmhg:missing",
            "diastolic_mmhg:missing",
            "exercise_days_per_month:missing"
        ]
    );
    let Row::Refused { case_id, .. } = row else { unreachable!() };
    assert_eq!(case_id.as_deref(), Some("phenopacket:PMID_15266616_100"));
}

#[test]
fn a_measured_case_is_a_confirmed_orphan_case_with_its_findings_as_note() {
    let study = Study::parse(&format!(
        "{}\n[[feature]]\nname = \"note\"\nkind = \"text\"\nlabel = {{ es = \"Nota\", en = \"Note\" }}\n",
        clinical::study::DEFAULT_TOML
    ))
    .unwrap();
    let mapping = mapping();
    let text = format!("{}\n{}\n", measured(), measured().to_string().replace("SOLVED", "IN_PROGRESS"));
    let file =
        CaseFile::stream(Box::new(Cursor::new(text.into_bytes())), None, reading(&study, Some(&mapping)))
            .unwrap();
    let found = cases(file.map(Result::unwrap).collect());
    assert_eq!(found[0].patient.values(), &[6, 0, 2, 100, 60, 12]);
    let outcome = found[0].outcome.as_ref().unwrap();
    assert!(outcome.is_orphan() && outcome.disease_code.as_deref() == Some("OMIM:147791"));
    let note = found[0].note.as_ref().unwrap().text();
    assert!(note.contains(". ") && !note.contains("HP:"), "{note}");
    assert_eq!(found[1].outcome, None, "nothing is confirmed while the diagnosis is in progress");
}

#[test]
fn what_is_wrong_with_a_packet_is_named() {
    let mapping = mapping();
    for (change, expected) in [
        (
            json!({"subject": {"id": "a", "sex": "UNKNOWN_SEX", "timeAtLastEncounter": {"age": {"iso8601duration": "P6Y"}}}}),
            "gender:missing",
        ),
        (
            json!({"subject": {"id": "a", "sex": "OTHER_SEX", "timeAtLastEncounter": {"age": {"iso8601duration": "P6Y"}}}}),
            "gender:unknown_code",
        ),
        (
            json!({"subject": {"id": "a", "sex": "MALE", "timeAtLastEncounter": {"ageRange": {}}}}),
            "age_years:missing",
        ),
        (
            json!({"subject": {"id": "a", "sex": "MALE", "timeAtLastEncounter": {"age": {"iso8601duration": "6 years"}}}}),
            "age_years:wrong_type",
        ),
        (
            json!({"interpretations": [], "diseases": [{"term": {"id": "OMIM:1"}}, {"term": {"id": "OMIM:2"}}]}),
            "disease_code:inconsistent",
        ),
        (json!({"interpretations": 3}), "row:wrong_type"),
        (
            json!({"measurements": [{"assay": {"id": "LOINC:8480-6"}, "value": {"quantity": {"value": 12, "unit": {"id": "UCUM:kPa"}}}}]}),
            "systolic_mmhg:unknown_code",
        ),
    ] {
        let mut packet = measured();
        change.as_object().unwrap().iter().for_each(|(key, value)| packet[key] = value.clone());
        let rows = read(packet.to_string(), None, Some(&mapping)).unwrap();
        assert!(reasons(&rows[0]).contains(&expected.to_owned()), "{expected}: {:?}", reasons(&rows[0]));
    }
    let listed = measured();
    let text = listed
        .to_string()
        .replace("\"interpretations\"", "\"others\"")
        .replace("\"phenotypicFeatures\"", "\"phenotypic_features\"");
    let mut listed: Value = serde_json::from_str(&text).unwrap();
    listed["diseases"] =
        json!([{"term": {"id": "Orphanet:2308"}}, {"term": {"id": "OMIM:9"}, "excluded": true}]);
    let found = cases(read(listed.to_string(), None, Some(&mapping)).unwrap());
    assert_eq!(found[0].outcome.as_ref().unwrap().disease_code.as_deref(), Some("ORPHA:2308"));
}
