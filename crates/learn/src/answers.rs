//! Every answer of a tabulated model at once, and the people of a cohort over the same possible patients.

use clinical::{Cell, Language, Study};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::Model;
use crate::predict::Table;
use crate::{Error, Result};

/// What a model shows every possible patient.
#[derive(Debug)]
pub struct Answers<'a> {
    study: &'a Study,
    table: &'a Table,
    alarm: Vec<bool>,
    decided: Vec<u8>,
}

impl<'a> Answers<'a> {
    /// # Errors
    /// When the model has no table: then there is no list of its answers.
    pub fn of(model: &'a Model) -> Result<Self> {
        let table = model.table().ok_or_else(|| {
            Error::Invalid(
                "the model answers from its trees, not from a table: there is no list of possible patients"
                    .into(),
            )
        })?;
        let (mut alarm, mut decided) = (Vec::new(), Vec::new());
        for cell in 0..table.patients() {
            let (alarmed, shown) = model.verdict(table.predict_cell(cell));
            alarm.push(alarmed);
            decided.push(shown.0);
        }
        Ok(Answers { study: model.study(), table, alarm, decided })
    }

    /// Answers that are not a model's: `alarm` and `decided` have one entry per possible patient.
    ///
    /// # Errors
    /// When the table does not fit the study, or an entry is missing.
    pub fn new(study: &'a Study, table: &'a Table, alarm: Vec<bool>, decided: Vec<u8>) -> Result<Self> {
        let fits = table.dims() == study.domain().dims() && table.outputs() == study.severities().len() + 1;
        if !fits || alarm.len() != table.patients() || decided.len() != table.patients() {
            return Err(Error::shape("answers", "the study's possible patients and outputs", alarm.len()));
        }
        Ok(Answers { study, table, alarm, decided })
    }

    pub fn study(&self) -> &'a Study {
        self.study
    }

    /// Possible patients.
    pub fn patients(&self) -> usize {
        self.table.patients()
    }

    /// The shown probabilities: the severities, then the orphan probability.
    pub fn shown(&self, cell: Cell) -> &[f64] {
        self.table.predict_cell(cell)
    }

    pub fn alarmed(&self, cell: Cell) -> bool {
        self.alarm.get(cell).copied().unwrap_or_default()
    }

    /// Position of the shown severity.
    pub fn decided(&self, cell: Cell) -> usize {
        self.decided.get(cell).copied().unwrap_or_default().into()
    }

    /// The name of an output: a severity's code, or `orphan`.
    pub fn output(&self, output: usize) -> &'a str {
        self.study.severities().get(output).map_or("orphan", |class| class.code.as_str())
    }
}

/// How many people of a cohort each possible patient stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct People {
    of_cell: Vec<u64>,
    total: u64,
}

impl People {
    /// # Errors
    /// When a count is about a cell outside `0..patients`.
    pub fn new(patients: usize, counts: impl IntoIterator<Item = (Cell, u64)>) -> Result<Self> {
        let mut of_cell = vec![0u64; patients];
        let mut total = 0;
        for (cell, count) in counts {
            let place = of_cell.get_mut(cell);
            *place.ok_or_else(|| Error::shape("cell of a person", format!("below {patients}"), cell))? +=
                count;
            total += count;
        }
        Ok(People { of_cell, total })
    }

    /// # Errors
    /// When these are people among another number of possible patients.
    pub(crate) fn require(&self, patients: usize) -> Result<()> {
        match self.of_cell.len() {
            given if given == patients => Ok(()),
            given => Err(Error::shape("people", format!("counts of {patients} possible patients"), given)),
        }
    }

    pub fn of(&self, cell: Cell) -> u64 {
        self.of_cell.get(cell).copied().unwrap_or_default()
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    /// The possible patients that somebody is, with their numbers.
    pub fn cells(&self) -> impl Iterator<Item = (Cell, u64)> {
        self.of_cell.iter().copied().enumerate().filter(|(_, people)| *people > 0)
    }
}

/// A possible patient, named so that a person can look at the case: no one in particular.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PossiblePatient {
    pub cell: Cell,
    /// People of the cohort with these values.
    pub people: u64,
    /// As a table of possible patients names them: `{"age_years": 54, "gender": "female", ...}`.
    pub values: Map<String, Value>,
    /// The same in English words.
    pub text: String,
}

impl PossiblePatient {
    pub fn of(study: &Study, cell: Cell, people: &People) -> Self {
        let levels = study.domain().levels(cell);
        let values = study.features().iter().zip(&levels).map(|(feature, &level)| {
            let value = match feature.level_number(level) {
                Some(number) => number.into(),
                None => feature.level_code(level).into(),
            };
            (study.table_name(feature).to_owned(), value)
        });
        PossiblePatient {
            cell,
            people: people.of(cell),
            values: values.collect(),
            text: study.levels_text(&levels, Language::En),
        }
    }
}

/// The largest of many, in a stable order: by size, then as they came.
#[derive(Debug)]
pub(crate) struct Largest<T> {
    keep: usize,
    found: Vec<(f64, T)>,
}

impl<T> Largest<T> {
    pub(crate) fn new(keep: usize) -> Self {
        Largest { keep, found: Vec::with_capacity(keep + 1) }
    }

    /// Offers one of `size`, made only where it is kept. Nothing of size 0 is.
    pub(crate) fn offer(&mut self, size: f64, make: impl FnOnce() -> T) {
        let smaller = |(kept, _): &(f64, T)| kept.total_cmp(&size).is_lt();
        if size > 0.0 && (self.found.len() < self.keep || self.found.last().is_some_and(smaller)) {
            let place = self.found.iter().position(smaller).unwrap_or(self.found.len());
            self.found.insert(place, (size, make()));
            self.found.truncate(self.keep);
        }
    }

    pub(crate) fn into_vec(self) -> Vec<T> {
        self.found.into_iter().map(|(_, item)| item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_in_order_and_the_first_of_equals_stays() {
        let mut largest = Largest::new(3);
        for (size, name) in
            [(0.1, 'a'), (0.3, 'b'), (0.0, 'z'), (0.3, 'c'), (0.2, 'd'), (0.3, 'e'), (0.3, 'f')]
        {
            largest.offer(size, || name);
        }
        assert_eq!(largest.into_vec(), ['b', 'c', 'e']);
    }

    #[test]
    fn a_possible_patient_is_named_with_values_and_words() {
        let study = Study::default_study();
        let cell = study.domain().cell(&[54, 0, 3, 2, 6]);
        let people = People::new(study.domain().size().unwrap(), [(cell, 2), (cell, 1), (0, 4)]).unwrap();
        let patient = PossiblePatient::of(study, cell, &people);
        assert_eq!(
            patient.text,
            "Age 54 years, Gender Female, Blood group O, Blood pressure Stage 1, Exercise 6 days a month"
        );
        assert_eq!(
            serde_json::to_value(&patient.values).unwrap(),
            serde_json::json!({
                "age_years": 54, "gender": "female", "blood_type": "O", "blood_pressure": "stage_1",
                "exercise_days_per_month": 6,
            })
        );
        assert_eq!((patient.people, people.total(), people.cells().count()), (3, 7, 2));
        assert!(People::new(3, [(3, 1)]).is_err());
    }
}
