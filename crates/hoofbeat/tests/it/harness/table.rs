//! An exported predictor table, read back.

use std::path::Path;

use serde_json::Value;

use super::aha_category;

pub(crate) const COLUMNS: [&str; 12] = [
    "age_years",
    "gender",
    "blood_type",
    "blood_pressure",
    "exercise_days_per_month",
    "p_healthy",
    "p_mild",
    "p_acute",
    "p_chronic",
    "p_orphan",
    "severity",
    "rarity",
];
const GENDERS: [&str; 2] = ["female", "male"];
const BLOOD_TYPES: [&str; 4] = ["A", "B", "AB", "O"];
const CATEGORIES: [&str; 5] = ["normal", "elevated", "stage_1", "stage_2", "crisis"];
/// 121 ages x 2 genders x 4 blood groups x 5 categories x 32 exercise counts.
pub(crate) const POSSIBLE_PATIENTS: usize = 154_880;

/// One row per possible patient.
pub(crate) struct Table {
    rows: Vec<Option<Answered>>,
}

/// What a model answers about one possible patient.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered {
    /// Healthy, mild, acute, chronic.
    pub(crate) probabilities: [f64; 4],
    pub(crate) orphan: f64,
    pub(crate) severity: String,
    /// Empty for healthy.
    pub(crate) rarity: String,
}

impl Table {
    /// Reads a CSV file; every possible patient must be in it, once.
    pub(crate) fn read(path: &Path) -> Table {
        let mut reader = csv::Reader::from_path(path).unwrap();
        assert_eq!(reader.headers().unwrap(), COLUMNS.as_slice());
        let mut rows = vec![None; POSSIBLE_PATIENTS];
        for record in reader.records().map(Result::unwrap) {
            let number = |column: usize| record[column].parse::<f64>().unwrap();
            let place = place(&record[0], &record[1], &record[2], &record[3], &record[4]);
            let answered = Answered {
                probabilities: [number(5), number(6), number(7), number(8)],
                orphan: number(9),
                severity: record[10].to_owned(),
                rarity: record[11].to_owned(),
            };
            assert!(rows[place].replace(answered).is_none(), "{record:?} is there twice");
        }
        assert!(rows.iter().all(Option::is_some), "some possible patient is missing");
        Table { rows }
    }

    /// What the model answers about a patient.
    pub(crate) fn of(&self, patient: &Value) -> &Answered {
        let word = |field: &str| patient[field].as_str().unwrap();
        let pressure = |field: &str| patient[field].as_i64().unwrap();
        let category = aha_category(pressure("systolic_mmhg"), pressure("diastolic_mmhg"));
        let (age, exercise) = (&patient["age_years"], &patient["exercise_days_per_month"]);
        let place =
            place(&age.to_string(), word("gender"), word("blood_type"), category, &exercise.to_string());
        self.rows[place].as_ref().unwrap()
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Answered> {
        self.rows.iter().flatten()
    }
}

fn place(age: &str, gender: &str, blood: &str, category: &str, exercise: &str) -> usize {
    let of = |words: &[&str], word: &str| words.iter().position(|known| *known == word).unwrap();
    let (age, exercise): (usize, usize) = (age.parse().unwrap(), exercise.parse().unwrap());
    assert!(age <= 120 && exercise <= 31);
    let group = (age * 2 + of(&GENDERS, gender)) * 4 + of(&BLOOD_TYPES, blood);
    (group * 5 + of(&CATEGORIES, category)) * 32 + exercise
}

impl Answered {
    /// The same out of an answer of the interface.
    pub(crate) fn of_answer(answer: &Value) -> Answered {
        let probabilities = &answer["severity"]["probabilities"];
        Answered {
            probabilities: ["healthy", "mild", "acute", "chronic"]
                .map(|class| probabilities[class].as_f64().unwrap()),
            orphan: answer["rarity"]["probability_orphan"].as_f64().unwrap(),
            severity: answer["severity"]["class"].as_str().unwrap().to_owned(),
            rarity: answer["rarity"]["class"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// The same to within `tolerance` in every probability.
    pub(crate) fn agrees(&self, other: &Answered, tolerance: f64) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= tolerance;
        self.probabilities.iter().zip(&other.probabilities).all(|(a, b)| close(*a, *b))
            && close(self.orphan, other.orphan)
            && (&self.severity, &self.rarity) == (&other.severity, &other.rarity)
    }
}
