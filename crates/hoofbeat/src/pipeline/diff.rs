//! Diff: two models side by side, over the people of one dataset version.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use interop::{ColumnType, PossiblePatientWriter, TableFormat, Value, answer_columns, answer_values};
use learn::answers::{Answers, People};
use learn::difference::{self, Difference};

use super::score::Scorer;
use super::{cohort, verify};
use crate::deployment::Deployment;

/// Two opened models with the people that weigh their difference.
#[derive(Debug)]
pub struct Pair {
    first: Scorer,
    second: Scorer,
    people: People,
    pub dataset_version: u64,
}

impl Pair {
    /// `dataset_version`: whose people; the second model's own where none is given.
    pub fn open(
        deployment: &Deployment,
        [first, second]: [&registry::Model; 2],
        dataset_version: Option<u64>,
    ) -> Result<Pair> {
        let dataset_version = dataset_version.unwrap_or(second.dataset_version);
        let (first, second) = (Scorer::open(deployment, first)?, Scorer::open(deployment, second)?);
        let counted = cohort::count(deployment, second.study(), dataset_version)?;
        let people = verify::people(second.study(), &counted.cohort)?;
        Ok(Pair { first, second, people, dataset_version })
    }

    pub fn compare(&self) -> Result<Difference> {
        let (first, second) = (Answers::of(self.first.model())?, Answers::of(self.second.model())?);
        Ok(difference::compare(&first, &second, &self.people)?)
    }

    /// Writes every possible patient whose shown severity or alarm changes: its people, and both answers, the first
    /// model's columns with `from_` before their names and the second's with `to_`. Answers the number of rows.
    pub fn write_changed(&self, path: &Path) -> Result<usize> {
        let study = self.second.study();
        let format = TableFormat::from_path(path)?;
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut columns = vec![("people".to_owned(), ColumnType::Integer)];
        for side in ["from", "to"] {
            columns.extend(
                answer_columns(study).into_iter().map(|(name, kind)| (format!("{side}_{name}"), kind)),
            );
        }
        let mut table = PossiblePatientWriter::create(format, Box::new(file), study, columns)?;
        let (first, second) = (Answers::of(self.first.model())?, Answers::of(self.second.model())?);
        let mut rows = 0;
        for cell in difference::changed(&first, &second) {
            let mut row = vec![Value::Integer(i64::try_from(self.people.of(cell)).unwrap_or(i64::MAX))];
            for scorer in [&self.first, &self.second] {
                let assessed = scorer.assess(cell)?;
                let rarity = scorer.model().rarity(&assessed);
                let (probabilities, orphan) = (&assessed.probabilities, assessed.orphan);
                row.extend(answer_values(study, probabilities, orphan, assessed.decided, rarity));
            }
            table.push(cell, &row)?;
            rows += 1;
        }
        table.finish()?;
        Ok(rows)
    }
}
