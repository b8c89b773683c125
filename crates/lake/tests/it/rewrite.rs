//! Compaction, a person's erasure, retention, release from quarantine.

use std::collections::{BTreeMap, HashSet};

use lake::{CaseRow, Lake, Outcome, Purpose, QuarantineFilter, Retention, columns};
use time::macros::datetime;

use crate::support::{
    Site, assert_clean, begin, case_ids, erase, key_bytes, made, on_disk, on_each_storage, push_all, quietly,
    refuse, texts,
};

on_each_storage! {
    compaction_puts_files_together_and_every_version_stays
    an_erased_person_is_gone_from_every_version_and_from_the_disk
    retention_takes_old_rows_of_a_source_out
    released_rows_become_cases_and_leave_the_quarantine
    a_study_may_change_and_compaction_keeps_all_columns
}

const NOW: time::OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

/// Ten small ingests, with a branch that was left: versions 1 to 5, 6 = 3 once more, 7 to 11.
fn many_files(site: &Site) -> Lake {
    let lake = site.lake();
    for n in 0..10 {
        if n == 5 {
            lake.restore(3, NOW).unwrap();
        }
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, n * 50..(n + 1) * 50);
        refuse(&mut ingest, "bad.csv", 1, &format!("{{\"patient_id\":\"p-{}\"}}", n * 25));
        ingest.commit().unwrap();
    }
    lake
}

fn data_files(site: &Site) -> usize {
    let files = std::fs::read_dir(site.dir.join("cases")).unwrap();
    files
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "parquet"))
        .count()
}

fn all_versions(lake: &Lake) -> BTreeMap<u64, Vec<String>> {
    lake.versions().unwrap().iter().map(|known| (known.version, case_ids(lake, known.version))).collect()
}

fn compaction_puts_files_together_and_every_version_stays(site: &Site) {
    let lake = many_files(site);
    let (before, versions) = (all_versions(&lake), lake.versions().unwrap());
    let plan = lake.compact(true, &quietly(true)).unwrap();
    assert_eq!(
        (plan.cases.files_before, plan.cases.files_after, plan.cases.rows_rewritten, plan.deleted),
        (10, 1, 500, 10)
    );
    assert_eq!((data_files(site), all_versions(&lake)), (10, before.clone()), "a dry run changes nothing");

    let done = lake.compact(false, &quietly(false)).unwrap();
    assert_eq!((done.cases.files_before, done.cases.files_after, done.deleted), (10, 1, 0));
    assert_eq!(data_files(site), 11, "without vacuum the replaced files stay");
    assert_eq!(all_versions(&lake), before);
    assert_eq!(lake.versions().unwrap(), versions);
    assert_eq!(lake.rows(11).unwrap().files().len(), 1);
    assert_eq!(lake.rows(11).unwrap().removals(), 0, "no cached cohort is wrong now");
    assert_clean(&lake);

    let again = lake.compact(true, &quietly(false)).unwrap();
    assert_eq!((again.cases.files_rewritten, again.deleted), (0, 10));
    assert_eq!((data_files(site), lake.compact(true, &quietly(false)).unwrap().deleted), (1, 0));
    assert_eq!(all_versions(&lake), before);
    // Life goes on: later ingests know what is stored, whatever file it lies in.
    let mut ingest = begin(&lake, "ehr").unwrap();
    assert_eq!(push_all(&mut ingest, 480..520), 20);
    assert_eq!(ingest.commit().unwrap().new_version, Some(12));
    assert_eq!(lake.compact(true, &quietly(false)).unwrap().cases.files_after, 1);
    assert_eq!(case_ids(&lake, 12).len(), 8 * 50 + 20);
    assert_clean(&lake);
}

fn an_erased_person_is_gone_from_every_version_and_from_the_disk(site: &Site) {
    let lake = many_files(site);
    // A copy of the person's rows in a replaced file, and both cases in different versions.
    lake.compact(false, &quietly(false)).unwrap();
    assert!(on_disk(&site.dir, &key_bytes("p-75")));
    let before = all_versions(&lake);
    let plan = erase(&lake, &["p-75"], true);
    assert_eq!((plan.rows, plan.quarantined, plan.id), (2, 1, None));
    assert_eq!(plan.versions, [4, 5], "the only versions that had the person");
    assert_eq!(all_versions(&lake), before);

    let done = erase(&lake, &["p-75"], false);
    assert_eq!((done.rows, done.quarantined, &done.versions), (2, 1, &plan.versions));
    assert!(done.id.is_some());
    for (version, ids) in &before {
        let mut expected = ids.clone();
        expected.retain(|id| id != "c-150" && id != "c-151");
        assert_eq!(case_ids(&lake, *version), expected, "version {version}");
        assert_eq!(lake.version(*version).unwrap().totals.rows, expected.len() as u64);
        assert_eq!(lake.rows(*version).unwrap().rows(), expected.len() as u64);
    }
    assert!(!on_disk(&site.dir, &key_bytes("p-75")), "a file still holds the person");
    assert!(on_disk(&site.dir, &key_bytes("p-76")));
    let all = lake.quarantine(4, &QuarantineFilter::default(), 99).unwrap();
    assert_eq!(all.iter().filter(|row| row.raw.contains("p-75\"")).count(), 0);
    assert_eq!(lake.version(4).unwrap().totals.quarantined, 3);
    assert_eq!(lake.rows(1).unwrap().removals(), 1);
    assert_clean(&lake);

    let again = erase(&lake, &["p-75"], false);
    assert_eq!((again.rows, again.quarantined, again.id), (0, 0, None));
    assert_eq!(lake.rows(1).unwrap().removals(), 1, "nothing was left to take out");
    // Somebody of whom there is nothing but a refused row.
    let mut ingest = begin(&lake, "ehr").unwrap();
    refuse(&mut ingest, "bad.csv", 9, "{\"patient_id\":\"q-1\"}");
    ingest.commit().unwrap();
    let refused_only = erase(&lake, &["q-1"], false);
    assert_eq!((refused_only.rows, refused_only.quarantined, refused_only.versions.len()), (0, 1, 0));
    assert_eq!(erase(&lake, &["q-1"], false).id, None);
    assert_eq!(lake.rows(1).unwrap().removals(), 1, "every version has its cases");
    // Somebody who comes back is a new patient.
    let mut ingest = begin(&lake, "ehr").unwrap();
    assert_eq!(push_all(&mut ingest, 150..152), 2);
    ingest.commit().unwrap();
    assert_clean(&lake);
}

fn retention_takes_old_rows_of_a_source_out(site: &Site) {
    let lake = site.lake();
    let day = 86_400_000_000;
    let mut ingest = begin(&lake, "ehr").unwrap();
    for n in 0..100 {
        let case = made(n);
        let source = if n % 2 == 0 { "ehr" } else { "lab" };
        let recorded_at = (n % 10 != 0).then_some(n as i64 * day);
        ingest.push(&CaseRow { source, recorded_at, ..case.row() }).unwrap();
    }
    refuse(&mut ingest, "bad.csv", 1, "{}");
    ingest.commit().unwrap();
    let limit = |source: Option<&str>| Retention {
        recorded_before: 51 * day,
        source: source.map(str::to_owned),
        predictions: HashSet::new(),
    };
    let done = lake.retain(&limit(Some("lab")), &quietly(false)).unwrap();
    assert_eq!((done.rows, done.quarantined), (25, 0), "the ingest itself is younger than the limit");
    assert_eq!(done.removed[0].sources, BTreeMap::from([("lab".to_owned(), 25)]));
    let totals = lake.version(1).unwrap().totals;
    assert_eq!(
        (totals.rows, &totals.sources),
        (75, &[("ehr".to_owned(), 50), ("lab".to_owned(), 25)].into())
    );
    let counted: u64 = totals.outcomes.iter().map(|count| count.rows).sum();
    assert_eq!(counted, 75);
    let done = lake.retain(&limit(None), &quietly(false)).unwrap();
    assert_eq!(done.rows, 20, "those without a time stay");
    let after = |at: i64| Retention { recorded_before: at, source: None, predictions: HashSet::new() };
    let later = datetime!(2027-01-01 00:00 UTC).unix_timestamp() * 1_000_000;
    let done = lake.retain(&after(later), &quietly(false)).unwrap();
    assert_eq!((done.rows, done.quarantined, lake.version(1).unwrap().totals.rows), (45, 1, 10));
    assert_eq!(lake.version(1).unwrap().totals.quarantined, 0);
    assert_clean(&lake);
}

fn released_rows_become_cases_and_leave_the_quarantine(site: &Site) {
    let lake = many_files(site);
    let rows = lake.quarantine(11, &QuarantineFilter::default(), 99).unwrap();
    assert_eq!(rows.len(), 8);
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 1000..1001);
    ingest.release(&rows[1]);
    ingest.release(&rows[6]);
    let report = ingest.commit().unwrap();
    assert_eq!((report.released, report.new_version), (2, Some(12)));
    let left = lake.quarantine(12, &QuarantineFilter::default(), 99).unwrap();
    assert_eq!(left.len(), 6);
    assert!(!left.contains(&rows[1]) && !left.contains(&rows[6]) && left.contains(&rows[0]));
    let totals = lake.version(12).unwrap().totals;
    assert_eq!((totals.quarantined, totals.quarantined_by["ehr"]["gender:unknown_code"]), (6, 6));
    // Refused once more, it is quarantined once more.
    let mut ingest = begin(&lake, "ehr").unwrap();
    refuse(&mut ingest, "bad.csv", 1, &rows[1].raw);
    assert_eq!(ingest.commit().unwrap().quarantined, 1);
    // A release that adds no case is no new version.
    let mut ingest = begin(&lake, "ehr").unwrap();
    ingest.release(&rows[0]);
    assert_eq!(ingest.commit().unwrap().new_version, None);
    assert_eq!(lake.quarantine(12, &QuarantineFilter::default(), 99).unwrap().len(), 6);
    assert_clean(&lake);
}

fn a_study_may_change_and_compaction_keeps_all_columns(site: &Site) {
    let lake = many_files(site);
    let schema = lake::Schema { inputs: vec!["glucose".into()], note: Some("note".into()) };
    let mut ingest = lake
        .begin_ingest(lake::IngestMeta { schema, ..crate::support::meta("lab") }, crate::support::rule)
        .unwrap();
    let case = made(5000);
    ingest.push(&CaseRow { inputs: &[Some(99)], note: Some("fiebre"), ..case.row() }).unwrap();
    ingest.commit().unwrap();
    lake.compact(true, &quietly(false)).unwrap();
    let scan = lake.scan_cases(12, &["glucose", "age_years"]).unwrap();
    let chunks: Vec<_> = scan.map(Result::unwrap).collect();
    let ints = |name: &str| chunks.iter().flat_map(|chunk| chunk.ints(name).unwrap()).flatten().count();
    assert_eq!((ints("glucose"), ints("age_years")), (1, 400));
    assert_eq!(texts(lake.scan_cases(12, &["note"]).unwrap(), "note"), ["fiebre"]);
    assert!(lake.scan_cases(11, &["note"]).is_err(), "an older version has no such column");
    let outcomes = |version| lake.version(version).unwrap().totals.outcomes;
    assert!(outcomes(12).iter().any(|count| count.outcome != Outcome::default()));
    assert_clean(&lake);
    assert_eq!(serde_json::to_value(Purpose::Compact).unwrap(), "compact");
    let slots = lake.scan_cases(12, &[columns::SLOT]).unwrap();
    assert!(slots.flat_map(|chunk| chunk.unwrap().ints(columns::SLOT).unwrap()).flatten().count() > 300);
}
