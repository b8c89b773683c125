//! Dataset versions as a tree: going back, building on, what lies between.

use lake::{CohortQuery, EACH_SLOT, Lake, LakeError, QuarantineFilter, columns};
use time::macros::datetime;

use crate::support::{Site, assert_clean, begin, case_ids, made, on_each_storage, push_all, refuse, texts};

on_each_storage! {
    going_back_loses_nothing_and_the_next_ingest_builds_on_it
    rows_between_follow_the_lineage
    a_cohort_between_two_versions_adds_to_the_first
    a_patient_keeps_the_slot_that_a_version_left_behind_gave_and_counters_go_back
    refused_rows_follow_the_lineage_too
}

const NOW: time::OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

fn lake_with(site: &Site, files: &[std::ops::Range<u64>]) -> Lake {
    let lake = site.lake();
    for numbers in files {
        add(&lake, numbers.clone());
    }
    lake
}

fn add(lake: &Lake, numbers: std::ops::Range<u64>) -> u64 {
    let mut ingest = begin(lake, "ehr").unwrap();
    push_all(&mut ingest, numbers);
    ingest.commit().unwrap().dataset_version
}

fn ids(numbers: std::ops::Range<u64>) -> Vec<String> {
    let mut ids: Vec<String> = numbers.map(|n| made(n).case_id).collect();
    ids.sort();
    ids
}

fn going_back_loses_nothing_and_the_next_ingest_builds_on_it(site: &Site) {
    let lake = lake_with(site, &[0..100, 100..300, 300..400]);
    let restored = lake.restore(1, NOW).unwrap();
    assert_eq!((restored.version, restored.parent, restored.restored), (4, Some(1), Some(1)));
    assert_eq!((restored.totals.rows, restored.created_at), (100, NOW));
    assert_eq!(lake.restore(1, NOW).unwrap().version, 4, "these rows are the newest already");
    assert_eq!(lake.restore(4, NOW).unwrap().version, 4);
    assert_eq!(case_ids(&lake, 4), ids(0..100));

    // The cases of the versions that were left are no duplicates here.
    assert_eq!(add(&lake, 50..150), 5);
    assert_eq!(case_ids(&lake, 5), ids(0..150));
    assert_eq!(lake.version(5).unwrap().parent, Some(4));
    assert_eq!(lake.version(5).unwrap().ingest.duplicates, 50);
    assert_eq!((case_ids(&lake, 3), case_ids(&lake, 2)), (ids(0..400), ids(0..300)));
    assert_eq!(lake.restore(3, NOW).unwrap().version, 6);
    assert_eq!(add(&lake, 390..410), 7);
    assert_eq!(case_ids(&lake, 7), ids(0..410));
    assert!(matches!(lake.restore(9, NOW), Err(LakeError::NoSuchVersion { version: 9, newest: 7 })));
    assert_clean(&lake);
}

fn rows_between_follow_the_lineage(site: &Site) {
    let lake = lake_with(site, &[0..100, 100..300]);
    lake.restore(1, NOW).unwrap();
    add(&lake, 200..350);
    let between = |a, b| {
        let selection = lake.rows_between(a, b).unwrap();
        let rows = selection.rows();
        let found = texts(selection.scan(&[columns::CASE_ID]).unwrap(), columns::CASE_ID);
        assert_eq!(found.len() as u64, rows, "the commits' count");
        found
    };
    assert_eq!(between(1, 4), ids(200..350));
    assert_eq!(between(2, 4), ids(200..350));
    assert_eq!(between(4, 2), ids(100..300));
    assert_eq!((between(0, 1), between(4, 4).len(), between(3, 1).len()), (ids(0..100), 0, 0));
    let ancestor = |a, b| lake.is_ancestor(a, b).unwrap();
    assert!(ancestor(1, 4) && ancestor(3, 4) && ancestor(1, 2) && !ancestor(2, 4) && !ancestor(4, 2));

    let difference = lake.difference(2, 4).unwrap();
    assert_eq!((difference.added, difference.removed, difference.builds_on), (150, 200, false));
    assert_eq!((difference.rows.before, difference.rows.after), (300, 250));
    // Two cases a patient: those of 300..350 are new, those of 100..200 are gone.
    assert_eq!((difference.patients_added, difference.patients_removed), (25, 50));
    let before: u64 = difference.outcomes.iter().map(|change| change.rows.before).sum();
    assert_eq!((before, difference.sources["ehr"].after), (300, 250));
}

fn a_cohort_between_two_versions_adds_to_the_first(site: &Site) {
    struct Ages([String; 1]);
    impl lake::CellMap for Ages {
        fn columns(&self) -> &[String] {
            &self.0
        }
        fn len(&self) -> u32 {
            121
        }
        fn cells(&self, columns: &[&[i32]], out: &mut [u32]) {
            for (cell, &age) in out.iter_mut().zip(columns[0]) {
                *cell = age as u32;
            }
        }
    }
    let lake = lake_with(site, &[0..1000, 1000..3000]);
    lake.restore(1, NOW).unwrap();
    add(&lake, 2000..2500);
    let ages = Ages(["age_years".to_owned()]);
    let query = CohortQuery { cells: &ages, slot_group: EACH_SLOT, margins: &[], threads: 2 };
    let first = lake.cohort(1, &query).unwrap();
    let more = lake.rows_between(1, 4).unwrap().cohort(&query).unwrap();
    assert_eq!((more.rows, first.rows), (500, 1000));
    assert_eq!(first.add(&more).unwrap(), lake.cohort(4, &query).unwrap());
}

fn a_patient_keeps_the_slot_that_a_version_left_behind_gave_and_counters_go_back(site: &Site) {
    let lake = lake_with(site, &[0..2000, 2000..6000]);
    let slots = |version| -> std::collections::HashMap<u64, i32> {
        let mut slots = std::collections::HashMap::new();
        for chunk in lake.scan_cases(version, &[columns::PATIENT_KEY, columns::SLOT]).unwrap() {
            let chunk = chunk.unwrap();
            let keys = chunk.keys(columns::PATIENT_KEY).unwrap();
            for (key, slot) in keys.into_iter().zip(chunk.ints(columns::SLOT).unwrap()) {
                if let (Some(key), Some(slot)) = (key, slot) {
                    assert!(slots.insert(key, slot).is_none_or(|before| before == slot));
                }
            }
        }
        slots
    };
    let (first, left) = (slots(1), slots(2));
    lake.restore(1, NOW).unwrap();
    add(&lake, 5000..9000);
    let now = slots(4);
    for (patient, slot) in &now {
        assert!(left.get(patient).is_none_or(|before| before == slot), "a slot changed by going back");
    }
    let new = now.iter().filter(|(patient, _)| !left.contains_key(patient));
    // The counters are those of version 1: the newcomers alone go on with its blocks, so they are balanced with it.
    let mut sizes = [0u64; 20];
    first.values().chain(new.map(|(_, slot)| slot)).for_each(|&slot| sizes[slot as usize] += 1);
    let mean = sizes.iter().sum::<u64>() / 20;
    assert!(sizes.iter().all(|&size| size.abs_diff(mean) <= 8), "{sizes:?}");
}

fn refused_rows_follow_the_lineage_too(site: &Site) {
    let lake = site.lake();
    add(&lake, 0..10);
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 10..20);
    refuse(&mut ingest, "a.csv", 1, "{\"a\":1}");
    ingest.commit().unwrap();
    lake.restore(1, NOW).unwrap();
    let all = QuarantineFilter::default();
    assert_eq!(lake.quarantine(3, &all, 9).unwrap().len(), 0);
    assert_eq!(
        (lake.version(3).unwrap().totals.quarantined, lake.version(2).unwrap().totals.quarantined),
        (0, 1)
    );
    let mut ingest = begin(&lake, "ehr").unwrap();
    refuse(&mut ingest, "a.csv", 1, "{\"a\":1}");
    assert_eq!(ingest.commit().unwrap().quarantined, 1, "it was refused in a version that was left");
    assert_eq!(lake.quarantine(3, &all, 9).unwrap().len(), 1);
    assert_eq!(lake.quarantine(2, &all, 9).unwrap().len(), 1);
}
