//! Sources of data: registered once, every file held to them, their quality kept.

use serde_json::{Value, json};

use crate::harness::{Deployment, sample};

const MAP: &str = "[columns]\ncase_id = \"no\"\nage_years = \"age\"\ngender = \"sex\"\nblood_type = \"abo\"\n\
                   systolic_mmhg = \"sys\"\ndiastolic_mmhg = \"dia\"\nexercise_days_per_month = \"walks\"\n";

const HEADER: &str = "no,age,sex,abo,sys,dia,walks,ward\n";

fn deployment() -> Deployment {
    let deployment = Deployment::empty();
    deployment.write("map.toml", MAP);
    deployment.write("sample.csv", &format!("{HEADER}1,54,female,O,138,86,6,3B\n"));
    deployment
}

/// Runs a command that must fail; the line that says why.
fn fails(deployment: &Deployment, line: &str) -> String {
    deployment.run(line).exits(1).reason().to_owned()
}

#[test]
fn a_source_that_lacks_a_required_feature_is_refused_with_the_whole_list() {
    let deployment = deployment();
    deployment.write("lacking.csv", "no,age,sex,sys\n1,54,female,138\n");
    let error = fails(&deployment, "source add ehr --map map.toml --schema-from lacking.csv");
    for missing in ["`abo`", "`dia`", "`walks`", "source `ehr` is refused"] {
        assert!(error.contains(missing), "{error}");
    }
    deployment.write("half.toml", "[columns]\nage_years = \"age\"\n");
    let error = fails(&deployment, "source add ehr --map half.toml --schema-from sample.csv");
    for missing in ["gender", "blood_type", "systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month"] {
        assert!(error.contains(missing), "{error}");
    }
    // A FHIR mapping says all by itself; this study's pressures have a code, the new input has none.
    let study = format!(
        "{}\n[[feature]]\nname = \"stairs\"\nkind = \"number\"\ninput = \"stairs\"\nlabel = {{ es = \"x\", en = \"x\" }}\n\
         unit = \"n\"\nmin = 0\nmax = 3\n",
        clinical::study::DEFAULT_TOML
    );
    let strict = Deployment::with_study(&study);
    strict.write("fhir.toml", "[fhir]\n");
    assert!(fails(&strict, "source add ehr --map fhir.toml").contains("stairs"));
    assert_eq!(deployment.json("source list"), json!([]));
    // Nothing is stored of a file that does not fit.
    deployment.ok("source add ehr --map map.toml --schema-from sample.csv");
    let error = fails(&deployment, "ingest lacking.csv --source ehr");
    assert!(error.contains("`abo`") && error.contains("`walks`"), "{error}");
    assert_eq!(deployment.json("dataset list"), json!([]));
}

#[test]
fn a_registered_source_brings_its_mapping_and_names_changed_columns() {
    let deployment = deployment();
    let added = deployment.json("source add ehr --map map.toml --schema-from sample.csv --kind registry");
    assert_eq!((&added["kind"], &added["columns"][7]), (&json!("registry"), &json!("ward")));
    assert_eq!(added["mapping_hash"].as_str().unwrap().len(), 64);
    assert_eq!(
        deployment.json("source add ehr --map map.toml --schema-from sample.csv --kind registry"),
        added
    );
    let ingested = deployment.json("ingest sample.csv --source ehr");
    assert_eq!((&ingested["accepted"], &ingested["changed_columns"]), (&json!(1), &json!({})));
    deployment.write("new.csv", "no,age,sex,abo,sys,dia,walks,bed\n2,54,female,O,138,86,6,9\n");
    let ingested = deployment.json("ingest new.csv --source ehr");
    assert_eq!(ingested["changed_columns"]["new.csv"], json!({ "gone": ["ward"], "new": ["bed"] }));
    // Checking stores nothing, and says by its status that something is other.
    let checked = deployment.run("source check ehr new.csv --json").exits(3).json();
    assert_eq!((&checked["accepted"], &checked["changed_columns"]["gone"]), (&json!(1), &json!(["ward"])));
    deployment.ok("source check ehr sample.csv");
    assert_eq!(deployment.json("dataset list").as_array().unwrap().len(), 2);
    // Another mapping is a decision.
    deployment.write("other.toml", &format!("{MAP}severity = \"ward\"\n"));
    assert!(fails(&deployment, "ingest sample.csv --source ehr --map other.toml").contains("--replace"));
    assert!(fails(&deployment, "source add ehr --map other.toml").contains("--replace"));
    deployment.ok("source add ehr --map other.toml --replace");
    assert!(deployment.ok("source show ehr").contains("severity = \"ward\""));
    deployment.ok("source remove ehr");
    assert!(fails(&deployment, "source check ehr sample.csv").contains("no source `ehr`"));
}

#[test]
fn quality_is_kept_by_file_and_source() {
    let deployment = Deployment::empty();
    let mut rows =
        "case_id,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,exercise_days_per_month\n"
            .to_owned();
    for number in 0..200 {
        // Every reading rounded to ten.
        rows.push_str(&format!(
            "{number},54,female,O,{},{},6\n",
            120 + 10 * (number % 3),
            70 + 10 * (number % 2)
        ));
    }
    rows.push_str("x,54,female,,80,120,6\ny,154,other,O,138,86,6\nz,54,female,O,90,90,6\n");
    deployment.write("rounded.csv", &rows);
    deployment.ok("ingest rounded.csv --source ward");
    deployment.ok("synth --rows 400 --seed 1 --out even.csv");
    deployment.ok("ingest even.csv --source reference");
    let quality = deployment.json("dataset quality");
    let ward = &quality["sources"]["ward"];
    let (profile, fields) = (&ward["profile"], &ward["profile"]["fields"]);
    assert_eq!(
        (&profile["rows"], &profile["accepted"], &profile["refused"]),
        (&json!(203), &json!(200), &json!(3))
    );
    assert_eq!(fields["systolic_mmhg"]["issues"], json!({ "inconsistent": 2 }));
    assert_eq!(fields["systolic_mmhg"]["swapped"], 1);
    assert_eq!(fields["blood_type"]["issues"], json!({ "missing": 1 }));
    assert_eq!(fields["gender"]["issues"], json!({ "unknown_code": 1 }));
    let systolic = &ward["digit_preference"]["systolic_mmhg"];
    assert_eq!((&systolic["share_0_5"], &systolic["effect"]), (&json!(1.0), &json!(3.0)));
    let even = &quality["sources"]["reference"]["digit_preference"]["systolic_mmhg"];
    assert!(even["effect"].as_f64().unwrap() < 0.4, "{even}");
    assert!(quality["sources"]["reference"]["digit_preference"]["age_years"].is_null());
    // The same file again is all duplicates, beside a new one.
    deployment.ok("synth --rows 5 --seed 2 --out more.csv");
    deployment.ok("ingest even.csv more.csv --source reference");
    let again = deployment.json("dataset quality --source reference");
    assert_eq!(again["sources"]["reference"]["profile"]["duplicates"], 400);
    let ingest = quality["ingests"][0]["ingest_id"].as_str().unwrap();
    assert!(deployment.ok(&format!("dataset quality --ingest {ingest}")).contains("rounded.csv"));
    let text = deployment.ok("dataset quality --source ward");
    assert!(text.contains("preferred") && !text.contains("reference"), "{text}");
    assert!(deployment.ok("dataset show 1").contains("quality of the rows"));
    assert!(fails(&deployment, "dataset quality --source nowhere").contains("no ingest"));
}

#[test]
fn a_fhir_export_of_several_files_is_one_ingest_and_its_parts_are_counted() {
    let deployment = Deployment::empty();
    let map = sample("fhir/hospital.map.toml");
    deployment.ok(&format!("source add ehr --map {}", map.display()));
    let bundle = sample("fhir/bundle.json");
    let ingested = deployment.json(&format!("ingest {} --source ehr", bundle.display()));
    assert_eq!((&ingested["accepted"], &ingested["refused"]), (&json!(2), &json!(0)));
    assert_eq!(ingested["skipped"], json!({ "Observation entered in error or cancelled": 1 }));
    let files =
        ["Condition", "Observation", "Patient"].map(|kind| sample(&format!("fhir/export/{kind}.ndjson.gz")));
    let files = files.map(|path| path.display().to_string()).join(" ");
    // No blood group and no exercise: every joined case is refused, and says so.
    let ingested = deployment.json(&format!("ingest {files} --source ehr"));
    assert_eq!(ingested["accepted"], 0);
    assert_eq!(ingested["refused_by_reason"]["blood_type:missing"], ingested["refused"]);
    let shown = deployment.json("dataset quality --source ehr");
    let names: Vec<&String> = shown["ingests"][1]["files"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["Condition.ndjson.gz", "Observation.ndjson.gz", "Patient.ndjson.gz"]);
    let raw = deployment.json("dataset quarantine --reason blood_type:missing --limit 1 --raw");
    let raw: Value = serde_json::from_str(raw[0]["raw"].as_str().unwrap()).unwrap();
    assert!(raw["resources"][0].as_str().unwrap().starts_with("Patient.ndjson.gz:"), "{raw}");
    deployment.assert_well();
}

#[test]
fn orphanet_s_files_name_diseases_in_spanish_and_say_how_frequent_they_are() {
    let deployment = Deployment::empty();
    let built_in = deployment.json("disease show ORPHA:586");
    assert_eq!(built_in["disease"]["names"], json!({ "en": "Cystic fibrosis" }));
    assert_eq!(built_in["disease"]["prevalence"]["class"], "1-5 / 10 000");
    assert!(fails(&deployment, "disease show ICD-10:I10").contains("ORPHA:586"));
    let files = ["es_product1.xml", "en_product9_prev.xml", "en_product4.xml"]
        .map(|file| sample(&format!("orphanet/{file}")).display().to_string());
    let imported = deployment.json(&format!("disease import {}", files.join(" ")));
    assert_eq!(imported["diseases"], 3);
    let text = deployment.ok("disease show ORPHA:586");
    for part in
        ["Fibrosis quística", "Cystic fibrosis", "1-5 / 10 000", "11.1319", "Autosomal recessive", "E84.0"]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(deployment.ok("disease show ORPHA:58").contains("HP:0000256 Macrocephaly"));
    deployment.write("none.xml", "<html></html>");
    assert!(fails(&deployment, "disease import none.xml").contains("Orphanet"));
}

#[test]
fn a_published_rare_case_is_refused_with_what_it_lacks() {
    let deployment = Deployment::empty();
    let (packet, map) = (sample("phenopackets/jacobsen.json"), sample("phenopackets/rare.map.toml"));
    let line = format!("ingest {} --source phenopackets --map {}", packet.display(), map.display());
    let ingested = deployment.json(&line);
    let lacking = ["blood_type", "diastolic_mmhg", "exercise_days_per_month", "systolic_mmhg"];
    let reasons: Vec<&String> = ingested["refused_by_reason"].as_object().unwrap().keys().collect();
    assert_eq!(reasons, lacking.map(|field| format!("{field}:missing")).iter().collect::<Vec<_>>());
}
