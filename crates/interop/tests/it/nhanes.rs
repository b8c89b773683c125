//! The two NHANES samples, unedited, with their mapping files and study. Every expected count was
//! taken from the files by an independent Python script (csv and gzip only).

use std::collections::BTreeMap;

use clinical::{Case, Study};
use interop::{CaseFile, Mapping, Reading, Row};

use crate::{NOW, reasons, sample};

struct Count {
    accepted: Vec<Case>,
    refused: u64,
    reasons: BTreeMap<String, u64>,
    skipped: BTreeMap<String, u64>,
}

fn study() -> Study {
    Study::parse(&std::fs::read_to_string(sample("nhanes/nhanes.study.toml")).unwrap()).unwrap()
}

fn count(file: &str, mapping: &str, study: &Study) -> Count {
    let mapping = Mapping::parse(mapping).unwrap();
    let reading = Reading { study, mapping: Some(&mapping), source: "nhanes", ingested_at: NOW };
    let mut count =
        Count { accepted: Vec::new(), refused: 0, reasons: BTreeMap::new(), skipped: BTreeMap::new() };
    for row in CaseFile::open(&sample(file), reading).unwrap() {
        match row.unwrap() {
            Row::Accepted(case) => count.accepted.push(case),
            Row::Skipped { reason, .. } => *count.skipped.entry(reason.to_string()).or_default() += 1,
            row @ Row::Refused { .. } => {
                count.refused += 1;
                for reason in reasons(&row) {
                    *count.reasons.entry(reason).or_default() += 1;
                }
            }
        }
    }
    count
}

fn shipped(name: &str) -> String {
    std::fs::read_to_string(sample(name)).unwrap()
}

/// Cases by severity and rarity, the unconfirmed under `-`.
fn outcomes(cases: &[Case], study: &Study) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for case in cases {
        let key = case.outcome.as_ref().map_or("-".to_owned(), |outcome| {
            let severity = &study.severity(outcome.severity).code;
            outcome.rarity.map_or(severity.clone(), |rarity| format!("{severity} {}", rarity.code()))
        });
        *counts.entry(key).or_default() += 1;
    }
    counts
}

fn table<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
    counts.map(|(key, count)| (key.to_owned(), count)).into()
}

fn sum(cases: &[Case], study: &Study, input: &str) -> i64 {
    let position = study.inputs().iter().position(|found| found.name == input).unwrap();
    cases.iter().map(|case| i64::from(case.patient.values()[position])).sum()
}

#[test]
fn the_2013_2014_cycle_is_read_whole() {
    let study = study();
    let count = count("nhanes/nhanes_2013_2014.csv.gz", &shipped("nhanes/nhanes-2013-2014.map.toml"), &study);
    assert_eq!((count.accepted.len(), count.refused), (5_689, 424));
    assert_eq!(count.skipped, table([("under 18", 4_062)]));
    assert_eq!(
        count.reasons,
        table([
            ("systolic_mmhg:missing", 397),
            ("diastolic_mmhg:missing", 413),
            ("diastolic_mmhg:out_of_range", 9),
            ("exercise_days_per_month:missing", 2),
        ])
    );
    assert_eq!(
        outcomes(&count.accepted, &study),
        table([
            ("healthy", 2_593),
            ("mild common", 482),
            ("acute common", 155),
            ("chronic common", 2_435),
            ("chronic orphan", 24),
        ])
    );
    // The values themselves. The copy also carries days a month as its preparer converted them: the
    // mapping's conversion of days a week gives the same sum.
    let sums = ["age_years", "systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month"]
        .map(|input| sum(&count.accepted, &study, input));
    assert_eq!(sums, [268_883, 696_922, 395_391, 51_605]);
    let orphan =
        count.accepted.iter().find(|case| case.outcome.as_ref().is_some_and(clinical::Outcome::is_orphan));
    let code = orphan.unwrap().outcome.as_ref().unwrap().disease_code.as_deref().unwrap();
    assert!(code.starts_with("ICD-10:"), "{code}");
    assert_eq!(count.accepted[0].case_id, "nhanes-73557");
    assert_eq!(count.accepted[0].recorded_at, 1_419_984_000_000_000); // 2014-12-31
}

#[test]
fn the_2003_2004_cycle_is_read_whole() {
    let study = study();
    let count = count("nhanes/nhanes_2003_2004.csv.gz", &shipped("nhanes/nhanes-2003-2004.map.toml"), &study);
    assert_eq!((count.accepted.len(), count.refused), (4_350, 691));
    assert_eq!(count.skipped, table([("under 20", 5_081)]));
    assert_eq!(
        count.reasons,
        table([
            ("systolic_mmhg:missing", 639),
            ("diastolic_mmhg:missing", 677),
            ("diastolic_mmhg:out_of_range", 14),
        ])
    );
    assert_eq!(
        outcomes(&count.accepted, &study),
        table([("healthy", 3_268), ("chronic common", 1_021), ("-", 61)])
    );
}

/// Traps of the raw readings: silent diastolic pressures written as 0, means that are no whole numbers.
#[test]
fn the_raw_readings_can_be_averaged_instead() {
    let study = study();
    let mapping = shipped("nhanes/nhanes-2013-2014.map.toml")
        .replace("from = \"sbp\"", "from = [\"BPXSY1\", \"BPXSY2\", \"BPXSY3\"]")
        .replace("from = \"dbp\"", "from = [\"BPXDI1\", \"BPXDI2\", \"BPXDI3\"]");
    let count = count("nhanes/nhanes_2013_2014.csv.gz", &mapping, &study);
    assert_eq!((count.accepted.len(), count.refused), (5_688, 425));
    assert_eq!(count.reasons["diastolic_mmhg:missing"], 417);
    assert_eq!(count.reasons["diastolic_mmhg:out_of_range"], 6);
    let sums = ["systolic_mmhg", "diastolic_mmhg", "exercise_days_per_month"]
        .map(|input| sum(&count.accepted, &study, input));
    assert_eq!(sums, [697_460, 396_149, 51_640]);
}

#[test]
fn reading_the_same_file_twice_gives_the_same_cases() {
    let study = study();
    let mapping = shipped("nhanes/nhanes-2013-2014.map.toml")
        .replace("[columns.case_id]\nfrom = \"seqn\"\nprefix = \"nhanes-\"\n", "");
    let ids = |cases: Vec<Case>| cases.into_iter().map(|case| case.case_id).collect::<Vec<_>>();
    let first = ids(count("nhanes/nhanes_2013_2014.csv.gz", &mapping, &study).accepted);
    let second = ids(count("nhanes/nhanes_2013_2014.csv.gz", &mapping, &study).accepted);
    assert_eq!(first, second);
    assert!(first[0].starts_with("derived-"));
}
