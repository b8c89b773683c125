use std::collections::{BTreeMap, HashMap};

use lake::{
    CaseRow, Ingest, IngestedFile, Lake, LakeError, Leftover, Pushed, QuarantineFilter, Schema, columns,
};

use crate::support::{Site, begin, made, meta, on_each_storage, push_all, refuse, rule};

on_each_storage! {
    ingest_is_counted_stored_and_idempotent
    rows_come_back_as_they_went_in_and_old_versions_stay
    slots_are_stable_balanced_and_one_per_patient
    refused_rows_are_found_by_source_reason_and_version
    a_study_may_gain_and_lose_an_input
    a_study_may_gain_a_note_and_long_ones_end_a_chunk_sooner
    one_ingest_at_a_time_and_an_abandoned_one_leaves_nothing
    misuse_is_an_error_and_the_ingest_cannot_be_committed_after_it
    check_names_what_is_missing_and_what_is_left_over
    callable_from_inside_an_async_runtime
    history_outlives_the_checkpoints_of_the_table
}

fn files_in(site: &Site, table: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(site.dir.join(table)).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect()
}

/// 3,000 cases with some repeated, and some refused rows.
fn first_file(ingest: &mut Ingest) {
    ingest.file(IngestedFile { name: "a.csv".into(), bytes: 1, sha256: None, rows: 3110, header: None });
    push_all(ingest, 0..3000);
    push_all(ingest, 500..600);
    for row in 1..=10 {
        // Texts repeat, with the same reasons too: different refused rows all the same.
        refuse(ingest, "a.csv", row, &format!("{{\"text\":{}}}", row % 4));
    }
}

fn ingest_is_counted_stored_and_idempotent(site: &Site) {
    let lake = site.lake();
    assert!(lake.versions().unwrap().is_empty());
    let mut ingest = begin(&lake, "ehr").unwrap();
    first_file(&mut ingest);
    let first = ingest.commit().unwrap();
    assert_eq!((first.new_version, first.accepted, first.duplicates), (Some(1), 3000, 100));
    assert_eq!((first.refused, first.quarantined), (10, 10));
    let reasons =
        BTreeMap::from([("gender:unknown_code".into(), 5), ("systolic_mmhg:out_of_range".into(), 10)]);
    assert_eq!(first.refused_by_reason, reasons);

    let mut ingest = begin(&lake, "ehr").unwrap();
    first_file(&mut ingest);
    let again = ingest.commit().unwrap();
    assert_eq!((again.new_version, again.dataset_version, again.accepted), (None, 1, 0));
    assert_eq!((again.duplicates, again.refused, again.quarantined), (3100, 10, 0));
    assert_eq!(again.refused_by_reason, reasons);

    let versions = lake.versions().unwrap();
    assert_eq!(versions.len(), 1);
    assert_eq!(lake.ingests().unwrap().len(), 1);
    assert_eq!((versions[0].totals.rows, versions[0].totals.quarantined), (3000, 10));
    assert_eq!(versions[0].ingest.duplicates, 100);
    assert_eq!(versions[0].ingest.files[0].name, "a.csv");
    assert_eq!(versions[0].totals.quarantined_by["ehr"], reasons);
    assert_eq!(versions[0].totals.outcomes, first.outcomes);
    let mut expected: BTreeMap<_, u64> = BTreeMap::new();
    for case in (0..3000).map(made) {
        *expected.entry((case.severity, case.rarity, case.disease)).or_default() += 1;
    }
    let counted = first.outcomes.iter().map(|count| {
        let outcome = &count.outcome;
        let key = (outcome.severity.as_deref(), outcome.rarity.as_deref(), outcome.disease_code.as_deref());
        (key, count.rows)
    });
    assert_eq!(counted.collect::<BTreeMap<_, _>>(), expected);
}

fn rows_come_back_as_they_went_in_and_old_versions_stay(site: &Site) {
    let lake = site.lake();
    for (numbers, version) in [(0..700, 1), (600..1500, 2)] {
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, numbers);
        assert_eq!(ingest.commit().unwrap().new_version, Some(version));
    }
    for (version, rows) in [(1, 700), (2, 1500)] {
        let wanted =
            [columns::CASE_ID, "systolic_mmhg", columns::SEVERITY, columns::RECORDED_AT, columns::SLOT];
        let mut seen = 0;
        for chunk in lake.scan_cases(version, &wanted).unwrap() {
            let chunk = chunk.unwrap();
            let (ids, pressures) =
                (chunk.texts(columns::CASE_ID).unwrap(), chunk.ints("systolic_mmhg").unwrap());
            let (severities, slots) =
                (chunk.texts(columns::SEVERITY).unwrap(), chunk.ints(columns::SLOT).unwrap());
            assert_eq!(chunk.instants(columns::RECORDED_AT).unwrap()[0], Some(1_700_000_000_000_000));
            for at in 0..chunk.rows() {
                let case = made(seen);
                assert_eq!(ids[at].as_deref(), Some(case.case_id.as_str()));
                assert_eq!(pressures[at], case.inputs[1]);
                assert_eq!(severities[at].as_deref(), case.severity);
                assert_eq!(slots[at].is_some(), case.severity.is_some());
                seen += 1;
            }
        }
        assert_eq!(seen, rows);
    }
    let since = |after, version| -> Vec<Option<String>> {
        let chunks = lake.scan_cases_since(after, version, &[columns::CASE_ID]).unwrap();
        chunks.flat_map(|chunk| chunk.unwrap().texts(columns::CASE_ID).unwrap()).collect()
    };
    let new: Vec<_> = (700..1500).map(|n| Some(made(n).case_id)).collect();
    assert_eq!((since(1, 2), since(2, 2).len(), since(1, 1).len()), (new, 0, 0));
    assert!(matches!(lake.scan_cases_since(1, 3, &[]), Err(LakeError::NoSuchVersion { version: 3, .. })));
    assert!(matches!(lake.scan_cases(3, &[]), Err(LakeError::NoSuchVersion { version: 3, newest: 2 })));
    assert!(matches!(lake.scan_cases(1, &["glucose"]), Err(LakeError::NoSuchColumn { .. })));
}

fn slots_by_patient(lake: &Lake, version: u64) -> HashMap<String, i32> {
    let mut slots = HashMap::new();
    for chunk in lake.scan_cases(version, &[columns::PATIENT_ID, columns::SLOT]).unwrap() {
        let chunk = chunk.unwrap();
        let patients = chunk.texts(columns::PATIENT_ID).unwrap();
        for (patient, slot) in patients.into_iter().zip(chunk.ints(columns::SLOT).unwrap()) {
            if let (Some(patient), Some(slot)) = (patient, slot) {
                let before = slots.insert(patient, slot);
                assert!(before.is_none_or(|before| before == slot), "a patient has two slots");
            }
        }
    }
    slots
}

fn slots_are_stable_balanced_and_one_per_patient(site: &Site) {
    let lake = site.lake();
    // The second file holds the second case of patients of the first, with other outcomes.
    let files: [Box<dyn Iterator<Item = u64>>; 3] =
        [Box::new((0..4000).step_by(2)), Box::new((1..4000).step_by(2)), Box::new(4000..8000)];
    let mut before = HashMap::new();
    for (numbers, version) in files.into_iter().zip(1..) {
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, numbers);
        ingest.commit().unwrap();
        let slots = slots_by_patient(&lake, version);
        assert!(before.iter().all(|(patient, slot)| slots.get(patient) == Some(slot)), "a slot changed");
        before = slots;
    }
    assert_eq!(before.len(), 4000);
    // Every stratum fills its blocks in turn, so no slot of the whole differs by more than one per open block.
    let mut sizes = [0u64; 20];
    before.values().for_each(|&slot| sizes[slot as usize] += 1);
    let strata = 8;
    assert!(sizes.iter().all(|&size| size.abs_diff(200) <= strata), "{sizes:?}");
}

fn refused_rows_are_found_by_source_reason_and_version(site: &Site) {
    let lake = site.lake();
    let mut ingest = begin(&lake, "ehr").unwrap();
    refuse(&mut ingest, "only-bad.csv", 1, "{\"a\":\"1\"}");
    refuse(&mut ingest, "only-bad.csv", 2, "{\"a\":\"2\"}");
    let report = ingest.commit().unwrap();
    assert_eq!((report.new_version, report.dataset_version, report.quarantined), (None, 0, 2));
    let all = QuarantineFilter::default();
    assert_eq!(lake.quarantine(0, &all, 10).unwrap().len(), 2);

    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 0..5);
    assert_eq!(refuse(&mut ingest, "more.csv", 7, "{\"a\":\"2\"}"), Pushed::Added);
    let copy = refuse(&mut ingest, "copy-of-the-first.csv", 1, "{\"a\":\"1\"}");
    assert_eq!(copy, Pushed::Duplicate);
    ingest.commit().unwrap();
    assert_eq!(lake.quarantine(0, &all, 10).unwrap().len(), 2);
    let rows = lake.quarantine(1, &all, 10).unwrap();
    assert_eq!(rows.len(), 2 + 1);
    assert_eq!(rows[0].reasons, ["systolic_mmhg:out_of_range", "gender:unknown_code"]);
    assert_eq!((rows[1].row, rows[1].raw.as_str()), (2, "{\"a\":\"2\"}"));
    assert!(!format!("{rows:?}").contains("\"a\""), "debug output holds a raw row");
    assert_eq!(lake.quarantine(1, &all, 1).unwrap().len(), 1);
    for (reason, expected) in [("gender", 2), ("gender:unknown_code", 2), ("gender:missing", 0), ("age", 0)] {
        let filter = QuarantineFilter { reason: Some(reason.into()), ..Default::default() };
        assert_eq!(lake.quarantine(1, &filter, 10).unwrap().len(), expected, "{reason}");
    }
    let filter = QuarantineFilter { source: Some("registry".into()), ..Default::default() };
    assert!(lake.quarantine(1, &filter, 10).unwrap().is_empty());
    assert!(matches!(lake.quarantine(9, &all, 1), Err(LakeError::NoSuchVersion { .. })));
}

fn a_study_may_gain_and_lose_an_input(site: &Site) {
    let lake = site.lake();
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 0..10);
    ingest.commit().unwrap();
    let inputs = [Some(40), Some(99)];
    let with_glucose =
        Schema { inputs: vec!["age_years".into(), "fasting_glucose_mg_dl".into()], note: None };
    let mut ingest =
        lake.begin_ingest(lake::IngestMeta { schema: with_glucose, ..meta("lab") }, rule).unwrap();
    let case = made(100);
    ingest.push(&CaseRow { inputs: &inputs, ..case.row() }).unwrap();
    assert_eq!(ingest.commit().unwrap().new_version, Some(2));
    let wanted = ["systolic_mmhg", "fasting_glucose_mg_dl"];
    let (mut pressures, mut glucose) = (Vec::new(), Vec::new());
    for chunk in lake.scan_cases(2, &wanted).unwrap() {
        let chunk = chunk.unwrap();
        pressures.extend(chunk.ints(wanted[0]).unwrap());
        glucose.extend(chunk.ints(wanted[1]).unwrap());
    }
    assert_eq!(pressures.iter().flatten().count(), 9); // one of ten has none, the lab's row has none
    assert_eq!(glucose.iter().flatten().collect::<Vec<_>>(), [&99]);
    assert!(lake.scan_cases(1, &["fasting_glucose_mg_dl"]).is_err());
    assert_eq!(lake.check().unwrap().problems, Vec::<String>::new());
}

fn a_study_may_gain_a_note_and_long_ones_end_a_chunk_sooner(site: &Site) {
    let lake = site.lake();
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 0..10);
    ingest.commit().unwrap();
    let noted = Schema { note: Some("note".into()), ..crate::support::schema() };
    let mut ingest = lake.begin_ingest(lake::IngestMeta { schema: noted, ..meta("ehr") }, rule).unwrap();
    let long = "fiebre ñ ".repeat(2_000);
    for n in 10..3_010 {
        let note = if n % 2 == 0 { Some(long.as_str()) } else { None };
        ingest.push(&CaseRow { note, ..made(n).row() }).unwrap();
    }
    assert_eq!(ingest.commit().unwrap().new_version, Some(2));
    let (mut notes, mut without) = (0, 0);
    for chunk in lake.scan_cases(2, &["age_years", "note"]).unwrap() {
        let chunk = chunk.unwrap();
        assert_eq!(chunk.ints("age_years").unwrap().len(), chunk.rows());
        for note in chunk.texts("note").unwrap() {
            match note {
                Some(note) => notes += usize::from(note == long),
                None => without += 1,
            }
        }
    }
    assert_eq!((notes, without), (1_500, 1_510));
    assert!(lake.scan_cases(1, &["note"]).is_err(), "a version before it has no such column");
    assert_eq!(lake.check().unwrap().problems, Vec::<String>::new());
}

fn one_ingest_at_a_time_and_an_abandoned_one_leaves_nothing(site: &Site) {
    let lake = site.lake();
    let mut ingest = begin(&lake, "ehr").unwrap();
    assert!(matches!(begin(&lake, "ehr"), Err(LakeError::Busy { .. })));
    push_all(&mut ingest, 0..70_000); // more than a chunk: a file was begun
    drop(ingest);
    assert!(lake.versions().unwrap().is_empty());
    assert!(files_in(site, "cases").is_empty());
    push_all(&mut begin(&lake, "ehr").unwrap(), 0..10);
}

fn misuse_is_an_error_and_the_ingest_cannot_be_committed_after_it(site: &Site) {
    let lake = site.lake();
    for reserved in [
        Schema { inputs: vec!["slot".into()], note: None },
        Schema { inputs: vec!["age_years".into()], note: Some("age_years".into()) },
    ] {
        let refused = lake.begin_ingest(lake::IngestMeta { schema: reserved, ..meta("x") }, rule);
        assert!(matches!(refused, Err(LakeError::ReservedColumn { .. })));
    }
    let mut ingest = lake.begin_ingest(meta("x"), |_: &str, _: u64| 20).unwrap();
    let case = made(1);
    assert!(matches!(ingest.push(&case.row()), Err(LakeError::BadSlot { .. })));
    assert!(matches!(ingest.commit(), Err(LakeError::IngestFailed)));
    let mut ingest = begin(&lake, "x").unwrap();
    let narrow = CaseRow { inputs: &[], ..case.row() };
    assert!(matches!(ingest.push(&narrow), Err(LakeError::WrongWidth { found: 0, expected: 3 })));
    drop(ingest);
    assert!(lake.versions().unwrap().is_empty());
}

fn check_names_what_is_missing_and_what_is_left_over(site: &Site) {
    let lake = site.lake();
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 0..100);
    refuse(&mut ingest, "a.csv", 1, "{}");
    ingest.commit().unwrap();
    let check = lake.check().unwrap();
    assert_eq!((check.dataset_version, check.files, check.rows), (1, 2, 100));
    assert_eq!((check.problems.len(), check.leftovers.len()), (0, 0));

    let stray = site.dir.join("cases/hoofbeat-0190b8e2-stray-00000.parquet");
    std::fs::write(&stray, b"half a file").unwrap();
    let leftover = lake.storage().place().trim_end_matches('/').to_owned();
    let leftover = format!("{leftover}/cases/hoofbeat-0190b8e2-stray-00000.parquet");
    assert_eq!(lake.check().unwrap().leftovers, [Leftover::File(leftover)]);
    let foreign = site.dir.join("cases/part-00000-of-another-writer.parquet");
    std::fs::write(&foreign, b"being written").unwrap();
    drop(begin(&lake, "ehr").unwrap());
    assert!(!stray.exists(), "the next ingest sweeps");
    std::fs::remove_file(&foreign).unwrap();

    let file = files_in(site, "cases").remove(0);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    assert!(lake.check().unwrap().problems[0].contains("bytes, not"));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(lake.check().unwrap().problems.len(), 1);
}

fn callable_from_inside_an_async_runtime(site: &Site) {
    let lake = site.lake();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, 0..10);
        assert_eq!(ingest.commit().unwrap().accepted, 10);
        assert_eq!(lake.versions().unwrap().len(), 1);
    });
}

fn history_outlives_the_checkpoints_of_the_table(site: &Site) {
    let lake = site.lake();
    for n in 0..25 {
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, n..n + 1);
        ingest.commit().unwrap();
    }
    assert!(site.dir.join("cases/_delta_log/_last_checkpoint").exists());
    let versions = lake.versions().unwrap();
    assert_eq!(
        versions.iter().map(|version| version.version).collect::<Vec<_>>(),
        (1..=25).collect::<Vec<_>>()
    );
    for (version, rows) in [(1, 1), (19, 19), (25, 25)] {
        let scan = lake.scan_cases(version, &[columns::CASE_ID]).unwrap();
        assert_eq!(scan.map(|chunk| chunk.unwrap().rows()).sum::<usize>(), rows);
    }
    assert_eq!(lake.check().unwrap().problems, Vec::<String>::new());
}
