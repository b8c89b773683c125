//! Random histories against a simple model of them in memory: every version has the model's rows, always.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use lake::{CaseRow, Lake, Retention, columns};
use time::macros::datetime;

use crate::support::{Dice, assert_clean, begin, case_ids, erase, key_bytes, made, on_disk, quietly, texts};

const NOW: time::OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

/// Cases are numbers, as [`made`] makes them.
#[derive(Debug, Default)]
struct Model {
    /// Of each version: the one it came from, and its own cases.
    versions: BTreeMap<u64, (u64, BTreeSet<u64>)>,
    slots: HashMap<String, i32>,
}

fn source(n: u64) -> &'static str {
    if n.is_multiple_of(3) { "lab" } else { "ehr" }
}

impl Model {
    fn head(&self) -> u64 {
        self.versions.last_key_value().map_or(0, |(&version, _)| version)
    }

    fn rows(&self, version: u64) -> BTreeSet<u64> {
        let Some((parent, own)) = self.versions.get(&version) else { return BTreeSet::new() };
        self.rows(*parent).union(own).copied().collect()
    }

    /// Takes cases out of every version; answers how many there were.
    fn remove(&mut self, gone: impl Fn(u64) -> bool) -> u64 {
        let mut removed = 0;
        for (_, own) in self.versions.values_mut() {
            let before = own.len();
            own.retain(|&n| !gone(n));
            removed += (before - own.len()) as u64;
        }
        removed
    }
}

/// One random step, on both.
fn step(lake: &Lake, dir: &Path, model: &mut Model, dice: &mut Dice) -> String {
    let head = model.head();
    match dice.below(if head == 0 { 3 } else { 12 }) {
        0..=4 => {
            let first = dice.below(400);
            let numbers = first..first + 1 + dice.below(120);
            let known = model.rows(head);
            let mut ingest = begin(lake, "ehr").unwrap();
            for n in numbers.clone() {
                let recorded_at = Some(n as i64 * 1_000_000);
                ingest.push(&CaseRow { source: source(n), recorded_at, ..made(n).row() }).unwrap();
            }
            let new: BTreeSet<u64> = numbers.clone().filter(|n| !known.contains(n)).collect();
            let report = ingest.commit().unwrap();
            assert_eq!(report.accepted, new.len() as u64);
            if !new.is_empty() {
                model.versions.insert(head + 1, (head, new));
            }
            format!("ingest {numbers:?}")
        }
        5 | 6 => {
            let version = 1 + dice.below(head);
            let newest = lake.restore(version, NOW).unwrap();
            if newest.version > head {
                model.versions.insert(head + 1, (version, BTreeSet::new()));
            }
            format!("restore {version}")
        }
        7 | 8 => {
            let vacuum = dice.below(2) == 0;
            lake.compact(vacuum, &quietly(false)).unwrap();
            format!("compact, vacuum {vacuum}")
        }
        9 | 10 => {
            let person = dice.below(260);
            let patient = format!("p-{person}");
            let removed = model.remove(|n| n / 2 == person);
            assert_eq!(erase(lake, &[&patient], false).rows, removed);
            assert!(!on_disk(&dir.join("lake"), &key_bytes(&patient)), "{patient} is still on the disk");
            model.slots.remove(&patient);
            format!("erase {patient}")
        }
        _ => {
            let (limit, only) = (dice.below(200), dice.below(2) == 0);
            let removed = model.remove(|n| n < limit && (!only || source(n) == "lab"));
            let retention = Retention {
                recorded_before: limit as i64 * 1_000_000,
                source: only.then(|| "lab".to_owned()),
                predictions: HashSet::new(),
            };
            assert_eq!(lake.retain(&retention, &quietly(false)).unwrap().rows, removed);
            // A patient without a confirmed row is unknown and may get another slot when it comes back.
            let rows = model.versions.values().flat_map(|(_, own)| own).map(|&n| made(n));
            let confirmed = rows.filter(|case| case.severity.is_some()).map(|case| case.patient_id);
            let alive: BTreeSet<String> = confirmed.collect();
            model.slots.retain(|patient, _| alive.contains(patient));
            format!("retain from {limit}, lab only {only}")
        }
    }
}

fn names(rows: &BTreeSet<u64>) -> Vec<String> {
    let mut names: Vec<String> = rows.iter().map(|&n| made(n).case_id).collect();
    names.sort();
    names
}

fn assert_same(lake: &Lake, model: &mut Model, dice: &mut Dice, history: &[String]) {
    let versions = lake.versions().unwrap();
    assert_eq!(versions.len(), model.versions.len(), "{history:#?}");
    for known in &versions {
        let expected = model.rows(known.version);
        assert_eq!(
            case_ids(lake, known.version),
            names(&expected),
            "version {}: {history:#?}",
            known.version
        );
        assert_eq!(known.totals.rows, expected.len() as u64, "version {}: {history:#?}", known.version);
        let counted: u64 = known.totals.sources.values().sum();
        assert_eq!(counted, known.totals.rows, "version {}: {history:#?}", known.version);
    }
    let head = model.head();
    if head > 0 {
        let (a, b) = (1 + dice.below(head), 1 + dice.below(head));
        let between = lake.rows_between(a, b).unwrap();
        let expected: BTreeSet<u64> = model.rows(b).difference(&model.rows(a)).copied().collect();
        let own: BTreeSet<u64> = lineage(model, b)
            .difference(&lineage(model, a))
            .flat_map(|version| model.versions[version].1.clone())
            .collect();
        // A case may have come into two branches, each with a row of its own.
        assert!(expected.is_subset(&own));
        let found = texts(between.scan(&[columns::CASE_ID]).unwrap(), columns::CASE_ID);
        assert_eq!(found, names(&own), "between {a} and {b}: {history:#?}");
        for chunk in lake.scan_cases(head, &[columns::PATIENT_ID, columns::SLOT]).unwrap() {
            let chunk = chunk.unwrap();
            let patients = chunk.texts(columns::PATIENT_ID).unwrap();
            for (patient, slot) in patients.into_iter().zip(chunk.ints(columns::SLOT).unwrap()) {
                if let (Some(patient), Some(slot)) = (patient, slot) {
                    let before = *model.slots.entry(patient).or_insert(slot);
                    assert_eq!(before, slot, "a slot changed: {history:#?}");
                }
            }
        }
    }
}

fn lineage(model: &Model, version: u64) -> BTreeSet<u64> {
    let parent = |version: &u64| Some(model.versions[version].0).filter(|&parent| parent > 0);
    std::iter::successors(Some(version), parent).collect()
}

#[test]
fn random_histories_are_what_the_model_says() {
    for seed in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let (lake, mut model, mut dice) = (Lake::open(dir.path()), Model::default(), Dice(seed));
        let mut history = Vec::new();
        for _ in 0..14 {
            history.push(step(&lake, dir.path(), &mut model, &mut dice));
            assert_same(&lake, &mut model, &mut dice, &history);
        }
        assert_clean(&lake);
    }
}
