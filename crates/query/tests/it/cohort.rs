//! The cohort in SQL is the cohort that the lake counts, number by number; a profile says what is there.

use lake::{CellMap, CohortQuery, EACH_SLOT, NO_CELL};
use query::{CohortPlan, Dataset, Engine};

use crate::support::{BOTH, case, inputs, limits, made, run};

/// Age by pressure category; ages above 100 are outside the domain.
struct AgeByPressure([String; 2]);

const OLDEST: i32 = 100;

impl CellMap for AgeByPressure {
    fn columns(&self) -> &[String] {
        &self.0
    }

    fn len(&self) -> u32 {
        101 * 3
    }

    fn cells(&self, columns: &[&[i32]], out: &mut [u32]) {
        for ((&age, &pressure), cell) in columns[0].iter().zip(columns[1]).zip(out) {
            let category = i32::from(pressure >= 120) + i32::from(pressure >= 140);
            *cell = if age <= OLDEST { (age * 3 + category) as u32 } else { NO_CELL };
        }
    }
}

const CELL: &str = "CASE WHEN age_years BETWEEN 0 AND 100 AND systolic_mmhg IS NOT NULL THEN age_years * 3 + \
                    CASE WHEN systolic_mmhg < 120 THEN 0 WHEN systolic_mmhg < 140 THEN 1 ELSE 2 END END";

#[test]
fn the_cohort_in_sql_is_the_cohort() {
    let made = made();
    let engine = Engine::Local(limits(made.folder.path()));
    let cells = AgeByPressure(["age_years".to_owned(), "systolic_mmhg".to_owned()]);
    let mut halves = [0; 21];
    halves[10..20].fill(1);
    halves[20] = 2;
    for version in [1, 2] {
        for slot_group in [EACH_SLOT, halves, [0; 21]] {
            let counted = made
                .lake
                .cohort(version, &CohortQuery { cells: &cells, slot_group, margins: &[], threads: 2 })
                .unwrap();
            let plan = CohortPlan { cell: CELL.to_owned(), cells: cells.len(), slot_group };
            let dataset = Dataset::pin(&made.lake, version, &inputs()).unwrap();
            let in_sql = run(engine.cohort(&dataset, &plan)).unwrap();
            assert_eq!(in_sql, counted);
            assert!(counted.outside > 0 && counted.rows > 100);
        }
    }
}

#[test]
fn a_profile_says_what_is_there() {
    let made = made();
    let dataset = Dataset::pin(&made.lake, 2, &inputs()).unwrap();
    let profile = run(Engine::Local(limits(made.folder.path())).profile(&dataset)).unwrap();
    assert_eq!(profile.rows, BOTH);
    let column = |name: &str| profile.columns.iter().find(|column| column.name == name).unwrap();
    let ages: Vec<i64> = (0..BOTH).filter_map(|n| case(n).0[0]).map(i64::from).collect();
    let age = column("age_years");
    assert_eq!(age.min.as_deref(), Some("0"));
    assert_eq!(age.max, ages.iter().max().map(i64::to_string));
    let mean = ages.iter().sum::<i64>() as f64 / ages.len() as f64;
    assert_eq!(age.mean, Some(mean));
    assert_eq!(age.histogram.iter().map(|bar| bar.rows).sum::<u64>(), BOTH);
    let missing = (0..BOTH).filter(|&n| case(n).0[2].is_none()).count() as u64;
    assert_eq!(column("systolic_mmhg").nulls, missing);
    let genders: Vec<&str> = column("gender").histogram.iter().map(|bar| bar.from.as_str()).collect();
    assert_eq!(genders, ["female", "male"]);
    let patients = column("patient_id");
    assert!(patients.estimated && patients.distinct.abs_diff(BOTH / 2) <= 20, "{patients:?}");
    assert!(patients.min.is_none() && patients.histogram.is_empty());
    assert!(profile.columns.iter().all(|column| column.name != "note" && !column.name.ends_with("_key")));
}
