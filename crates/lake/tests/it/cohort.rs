use std::collections::BTreeMap;

use lake::{CellMap, Cohort, CohortQuery, EACH_SLOT, LakeError, NO_CELL, NO_SLOT, Outcome};

use crate::support::{Site, begin, made, on_each_storage, push_all};

on_each_storage! {
    cohort_equals_a_naive_count_and_adds
    slot_groups_sum_slots_and_unconfirmed_rows_have_none
    a_large_domain_counts_the_same
    a_plan_that_does_not_fit_is_an_error
}

/// Age by pressure category; ages above a limit are outside the domain.
struct AgeByPressure {
    columns: Vec<String>,
    oldest: i32,
}

impl AgeByPressure {
    fn new(oldest: i32) -> Self {
        AgeByPressure { columns: vec!["age_years".into(), "systolic_mmhg".into()], oldest }
    }
}

impl CellMap for AgeByPressure {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn len(&self) -> u32 {
        121 * 3
    }

    fn cells(&self, columns: &[&[i32]], out: &mut [u32]) {
        for ((&age, &pressure), cell) in columns[0].iter().zip(columns[1]).zip(out) {
            let category = i32::from(pressure >= 120) + i32::from(pressure >= 140);
            *cell = if age <= self.oldest { (age * 3 + category) as u32 } else { NO_CELL };
        }
    }
}

type Key = (u32, Option<&'static str>, Option<&'static str>, Option<&'static str>);

/// Counts without slots, straight from the made rows.
fn naive(numbers: impl Iterator<Item = u64>, oldest: i32) -> (BTreeMap<Key, u64>, u64) {
    let (mut counts, mut outside) = (BTreeMap::new(), 0);
    for case in numbers.map(made) {
        match case.inputs {
            [Some(age), Some(pressure), _] if age <= oldest => {
                let category = u32::from(pressure >= 120) + u32::from(pressure >= 140);
                let key = (age as u32 * 3 + category, case.severity, case.rarity, case.disease);
                *counts.entry(key).or_default() += 1;
            }
            _ => outside += 1,
        }
    }
    (counts, outside)
}

fn without_groups(cohort: &Cohort) -> BTreeMap<(u32, &Outcome), u64> {
    let mut sums = BTreeMap::new();
    for count in &cohort.counts {
        *sums.entry((count.cell, &cohort.outcomes[count.outcome as usize])).or_default() += count.rows;
    }
    sums
}

fn owned(counts: &BTreeMap<Key, u64>) -> BTreeMap<(u32, Outcome), u64> {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let outcome = |k: &Key| Outcome { severity: text(k.1), rarity: text(k.2), disease_code: text(k.3) };
    counts.iter().map(|(key, &rows)| ((key.0, outcome(key)), rows)).collect()
}

fn assert_equals_naive(cohort: &Cohort, naive: &(BTreeMap<Key, u64>, u64)) {
    let found =
        without_groups(cohort).into_iter().map(|((cell, outcome), rows)| ((cell, outcome.clone()), rows));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), owned(&naive.0));
    assert_eq!(cohort.outside, naive.1);
    assert_eq!(cohort.rows, naive.0.values().sum::<u64>());
}

fn cohort_equals_a_naive_count_and_adds(site: &Site) {
    let lake = site.lake();
    for numbers in [0..40_000, 40_000..50_000] {
        let mut ingest = begin(&lake, "ehr").unwrap();
        push_all(&mut ingest, numbers);
        ingest.commit().unwrap();
    }
    let map = AgeByPressure::new(100);
    let query = |threads| CohortQuery { cells: &map, slot_group: EACH_SLOT, margins: &[], threads };
    let both = lake.cohort(2, &query(2)).unwrap();
    assert_equals_naive(&both, &naive(0..50_000, 100));
    assert_eq!(both, lake.cohort(2, &query(1)).unwrap());
    assert!(both.counts.is_sorted_by_key(|count| (count.outcome, count.cell, count.group)));

    let first = lake.cohort(1, &query(2)).unwrap();
    assert_equals_naive(&first, &naive(0..40_000, 100));
    // The second month alone, from a lake of its own, in which slots were given anew: compare without them.
    let other_site = Site::local();
    let other = other_site.lake();
    let mut ingest = begin(&other, "ehr").unwrap();
    push_all(&mut ingest, 40_000..50_000);
    ingest.commit().unwrap();
    let second = other.cohort(1, &query(2)).unwrap();
    let sum = first.add(&second).unwrap();
    assert_eq!(without_groups(&sum), without_groups(&both));
    assert_eq!((sum.rows, sum.outside), (both.rows, both.outside));
    assert_eq!(sum, second.add(&first).unwrap());
    assert_eq!(first.add(&Cohort { cells: first.cells, ..Cohort::default() }).unwrap(), first);
    assert!(matches!(first.add(&Cohort::default()), Err(LakeError::DifferentCohorts)));
}

fn slot_groups_sum_slots_and_unconfirmed_rows_have_none(site: &Site) {
    let lake = site.lake();
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 0..20_000);
    ingest.commit().unwrap();
    let map = AgeByPressure::new(120);
    let slots = lake
        .cohort(1, &CohortQuery { cells: &map, slot_group: EACH_SLOT, margins: &[], threads: 2 })
        .unwrap();
    for count in &slots.counts {
        let confirmed = slots.outcomes[count.outcome as usize].severity.is_some();
        assert_eq!(confirmed, count.group != NO_SLOT);
    }
    let mut sets = [1; 21];
    sets[..14].fill(0);
    sets[17..20].fill(2);
    sets[20] = 3;
    let grouped =
        lake.cohort(1, &CohortQuery { cells: &map, slot_group: sets, margins: &[], threads: 2 }).unwrap();
    let of = |cohort: &Cohort, keep: &dyn Fn(u8) -> bool| -> u64 {
        cohort.counts.iter().filter(|count| keep(count.group)).map(|count| count.rows).sum()
    };
    assert_eq!(of(&grouped, &|group| group == 0), of(&slots, &|slot| slot < 14));
    assert_eq!(of(&grouped, &|group| group == 2), of(&slots, &|slot| (17..20).contains(&slot)));
    let share = of(&grouped, &|group| group == 0) as f64 / of(&grouped, &|group| group < 3) as f64;
    assert!((share - 0.70).abs() < 0.01, "training share {share}");
}

/// More places than are counted densely, with cells all over the range.
struct Wide(Vec<String>);

impl CellMap for Wide {
    fn columns(&self) -> &[String] {
        &self.0
    }

    fn len(&self) -> u32 {
        20_000_000
    }

    fn cells(&self, columns: &[&[i32]], out: &mut [u32]) {
        for (cell, at) in out.iter_mut().zip(0..) {
            let hash = columns[0][at] * 32 + columns[1][at];
            *cell = hash as u32 * 4_999;
        }
    }
}

fn a_large_domain_counts_the_same(site: &Site) {
    let lake = site.lake();
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 0..30_000);
    ingest.commit().unwrap();
    let map = Wide(vec!["age_years".into(), "exercise_days_per_month".into()]);
    let cohort = lake
        .cohort(1, &CohortQuery { cells: &map, slot_group: EACH_SLOT, margins: &[], threads: 2 })
        .unwrap();
    let mut expected: BTreeMap<(u32, Option<&str>), u64> = BTreeMap::new();
    for case in (0..30_000).map(made) {
        let cell = (case.inputs[0].unwrap() * 32 + case.inputs[2].unwrap()) as u32 * 4_999;
        *expected.entry((cell, case.severity)).or_default() += 1;
    }
    let mut found: BTreeMap<(u32, Option<&str>), u64> = BTreeMap::new();
    for count in &cohort.counts {
        let severity = cohort.outcomes[count.outcome as usize].severity.as_deref();
        *found.entry((count.cell, severity)).or_default() += count.rows;
    }
    assert_eq!(found, expected);
}

fn a_plan_that_does_not_fit_is_an_error(site: &Site) {
    struct Bad(Vec<String>);
    impl CellMap for Bad {
        fn columns(&self) -> &[String] {
            &self.0
        }
        fn len(&self) -> u32 {
            5
        }
        fn cells(&self, _: &[&[i32]], out: &mut [u32]) {
            out.fill(5);
        }
    }
    let lake = site.lake();
    let mut ingest = begin(&lake, "ehr").unwrap();
    push_all(&mut ingest, 0..10);
    ingest.commit().unwrap();
    let run = |column: &str| {
        let map = Bad(vec![column.into()]);
        lake.cohort(1, &CohortQuery { cells: &map, slot_group: EACH_SLOT, margins: &[], threads: 1 })
            .unwrap_err()
    };
    assert!(matches!(run("age_years"), LakeError::BadCell { cell: 5, cells: 5 }));
    assert!(matches!(run("glucose"), LakeError::NoSuchColumn { .. }));
}
