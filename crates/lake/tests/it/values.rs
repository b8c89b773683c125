use std::collections::BTreeMap;

use lake::{CaseRow, Lake, ValueColumn, ValueCounts};

use crate::support::{begin, made};

#[test]
fn values_are_counted_by_source_slot_and_version_as_a_naive_count_does() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path());
    let source = |n: u64| if n.is_multiple_of(5) { "er" } else { "ehr" };
    for numbers in [0..3000u64, 3000..4000] {
        let mut ingest = begin(&lake, "ehr").unwrap();
        for n in numbers {
            ingest.push(&CaseRow { source: source(n), ..made(n).row() }).unwrap();
        }
        ingest.commit().unwrap();
    }
    let column = |name: &str, min: i32, len: usize| ValueColumn { name: name.to_owned(), min, len };
    // Pressures from 60 up only: the lowest ten values are outside.
    let wanted = [column("age_years", 0, 121), column("systolic_mmhg", 60, 221)];
    let naive = |numbers: std::ops::Range<u64>, confirmed: bool| {
        let mut sources: BTreeMap<String, ValueCounts> = BTreeMap::new();
        for n in numbers {
            let case = made(n);
            if confirmed && case.severity.is_none() {
                continue;
            }
            let counted = sources.entry(source(n).to_owned()).or_insert_with(|| ValueCounts {
                counts: vec![vec![0; 121], vec![0; 221]],
                missing: vec![0; 2],
                outside: vec![0; 2],
                rows: 0,
            });
            counted.rows += 1;
            for (at, min) in [0, 60].into_iter().enumerate() {
                match case.inputs[at] {
                    None => counted.missing[at] += 1,
                    Some(value) if value < min => counted.outside[at] += 1,
                    Some(value) => counted.counts[at][(value - min) as usize] += 1,
                }
            }
        }
        sources
    };
    assert_eq!(lake.value_counts(None, 2, &wanted, |_| true).unwrap(), naive(0..4000, false));
    assert_eq!(lake.value_counts(None, 1, &wanted, |slot| slot.is_some()).unwrap(), naive(0..3000, true));
    assert_eq!(lake.value_counts(Some(1), 2, &wanted, |_| true).unwrap(), naive(3000..4000, false));
    assert!(lake.value_counts(Some(2), 2, &wanted, |_| true).unwrap().is_empty());
}
