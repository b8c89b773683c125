//! Kept cohorts equal counted ones, whatever happened to the data and to the files.

use std::path::Path;

use lake::{CellMap, CohortCache, CohortQuery, EACH_SLOT, Lake, Margin, NO_CELL};
use time::macros::datetime;

use crate::support::{Dice, begin, erase, made, push_all};

const NOW: time::OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

struct Ages([String; 1]);

impl CellMap for Ages {
    fn columns(&self) -> &[String] {
        &self.0
    }

    fn len(&self) -> u32 {
        100
    }

    fn cells(&self, columns: &[&[i32]], out: &mut [u32]) {
        for (cell, &age) in out.iter_mut().zip(columns[0]) {
            *cell = if age < 100 { age as u32 } else { NO_CELL };
        }
    }
}

fn ages() -> Ages {
    Ages(["age_years".to_owned()])
}

fn margins() -> [Margin; 2] {
    // One that the cells read as well, and one that only the margin reads; both leave values out.
    [("age_years", 10, 80), ("systolic_mmhg", 60, 100)].map(|(column, min, len)| Margin {
        column: column.to_owned(),
        min,
        len,
    })
}

fn query<'a>(ages: &'a Ages, margins: &'a [Margin]) -> CohortQuery<'a> {
    CohortQuery { cells: ages, slot_group: EACH_SLOT, margins, threads: 2 }
}

fn add(lake: &Lake, numbers: std::ops::Range<u64>) -> u64 {
    let mut ingest = begin(lake, "ehr").unwrap();
    push_all(&mut ingest, numbers);
    ingest.commit().unwrap().dataset_version
}

fn kept(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

#[test]
fn margins_count_every_value_by_slot() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path());
    add(&lake, 0..3000);
    let (ages, margins) = (ages(), margins());
    let cohort = lake.cohort(1, &query(&ages, &margins)).unwrap();
    for (counts, input) in cohort.margins.iter().zip([0, 1]) {
        for value in counts.margin.min..counts.margin.min + counts.margin.len as i32 {
            let expected = (0..3000).filter(|&n| made(n).inputs[input] == Some(value)).count() as u64;
            let found: u64 = counts.iter().filter(|one| one.0 == value).map(|one| one.2).sum();
            assert_eq!(found, expected, "{} {value}", counts.margin.column);
        }
        let unconfirmed: u64 = counts.iter().filter(|one| one.1 == lake::NO_SLOT).map(|one| one.2).sum();
        let expected = (0..3000).map(made).filter(|made| made.severity.is_none());
        let inside = counts.margin.min..counts.margin.min + counts.margin.len as i32;
        let expected = expected.filter(|made| made.inputs[input].is_some_and(|v| inside.contains(&v)));
        assert_eq!(unconfirmed, expected.count() as u64);
    }
}

#[test]
fn a_kept_cohort_brought_up_to_date_is_the_counted_one() {
    for seed in 0..6 {
        let (dir, mut dice) = (tempfile::tempdir().unwrap(), Dice(seed));
        let (lake, cache) = (Lake::open(dir.path()), CohortCache::open(&dir.path().join("cohorts")));
        let (ages, margins) = (ages(), margins());
        let (mut next, mut versions) = (0, vec![add(&lake, 0..50)]);
        for _ in 0..14 {
            match dice.below(6) {
                0 => versions.push(
                    lake.restore(versions[dice.below(versions.len() as u64) as usize], NOW).unwrap().version,
                ),
                1 => drop(erase(&lake, &[&format!("p-{}", dice.below(200))], false)),
                _ => {
                    next += 100;
                    versions.push(add(&lake, next..next + 1 + dice.below(90)));
                }
            }
            for _ in 0..3 {
                let version = versions[dice.below(versions.len() as u64) as usize];
                let got = cache.cohort(&lake, version, "ages", &query(&ages, &margins)).unwrap();
                assert_eq!(got, lake.cohort(version, &query(&ages, &margins)).unwrap(), "seed {seed}");
            }
        }
    }
}

#[test]
fn another_question_or_another_lake_gets_its_own_answer() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lake, others) = (Lake::open(dir.path()), Lake::open(other.path()));
    let cache = CohortCache::open(&dir.path().join("cohorts"));
    add(&lake, 0..500);
    add(&others, 500..900);
    let (ages, margins) = (ages(), margins());
    let full = query(&ages, &margins);
    assert_eq!(cache.cohort(&lake, 1, "ages", &full).unwrap().margins.len(), 2);
    let plain = query(&ages, &[]);
    assert_eq!(cache.cohort(&lake, 1, "ages", &plain).unwrap().margins.len(), 0);
    assert_eq!(cache.cohort(&others, 1, "ages", &full).unwrap(), others.cohort(1, &full).unwrap());
}

#[test]
fn a_damaged_file_costs_time_only() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, folder) = (Lake::open(dir.path()), dir.path().join("cohorts"));
    let cache = CohortCache::open(&folder);
    add(&lake, 0..2000);
    let (ages, margins) = (ages(), margins());
    let query = query(&ages, &margins);
    let right = cache.cohort(&lake, 1, "ages", &query).unwrap();
    let file = kept(&folder).pop().unwrap();
    let whole = std::fs::read(&file).unwrap();
    let mut dice = Dice(7);
    for _ in 0..200 {
        let mut bytes = whole.clone();
        match dice.below(3) {
            0 => bytes.truncate(dice.below(whole.len() as u64) as usize),
            // A page that never reached the disk.
            1 => {
                let from = dice.below(whole.len() as u64) as usize;
                let to = (from + 512).min(whole.len());
                bytes[from..to].fill(0);
            }
            _ => bytes.clear(),
        }
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(cache.cohort(&lake, 1, "ages", &query).unwrap(), right);
    }
    cache.forget().unwrap();
    assert!(kept(&folder).is_empty());
}

#[test]
fn old_cohorts_make_room_for_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, folder) = (Lake::open(dir.path()), dir.path().join("cohorts"));
    let ages = ages();
    for n in 0..12 {
        let version = add(&lake, n * 10..n * 10 + 5);
        CohortCache::open(&folder).cohort(&lake, version, "ages", &query(&ages, &[])).unwrap();
    }
    assert_eq!(kept(&folder).len(), 8);
}
