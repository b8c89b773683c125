//! The cohort query in SQL: what several machines count, and the [`Cohort`] that comes of it.
//!
//! The cell of a row is integer arithmetic over its inputs, so each task aggregates its own rows to cells first, and
//! only cells travel.

use std::collections::BTreeMap;
use std::fmt::Write;

use datafusion::arrow::array::{Array, AsArray, Int64Array, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::arrow::record_batch::RecordBatch;
use lake::{Cohort, CohortCount, NO_SLOT, Outcome, SLOTS};

use crate::QueryError;

/// What to count, as [`lake::CohortQuery`] says it to one machine.
#[derive(Debug, Clone)]
pub struct CohortPlan {
    /// SQL over the columns of `cases`: the number of a row's cell, null for a row that is in none.
    pub cell: String,
    /// Number of cells.
    pub cells: u32,
    /// Group of each slot, then of rows without one.
    pub slot_group: [u8; SLOTS as usize + 1],
}

impl CohortPlan {
    pub(crate) fn statement(&self) -> String {
        format!(
            "SELECT cell, place, severity, rarity, disease_code, count(*) AS cases FROM (SELECT {} AS cell, {} AS place, \
             severity, rarity, disease_code FROM cases) AS placed GROUP BY cell, place, severity, rarity, disease_code",
            self.cell,
            self.group()
        )
    }

    /// The slot's group.
    fn group(&self) -> String {
        let mut sql = "CASE slot".to_owned();
        for slot in 0..SLOTS {
            // Writing to a string cannot fail.
            let _ = write!(sql, " WHEN {slot} THEN {}", self.slot_group[usize::from(slot)]);
        }
        format!("{sql} ELSE {} END", self.slot_group[usize::from(NO_SLOT)])
    }

    /// The cohort that the answer's rows are.
    pub(crate) fn gather(&self, batches: &[RecordBatch]) -> Result<Cohort, QueryError> {
        let (mut by_outcome, mut outside) = (BTreeMap::<Outcome, Vec<CohortCount>>::new(), 0);
        for batch in batches {
            let answer = Answer::of(batch)?;
            for row in 0..batch.num_rows() {
                let rows = answer.cases.value(row).unsigned_abs();
                if answer.cell.is_null(row) {
                    outside += rows;
                    continue;
                }
                let cell = u32::try_from(answer.cell.value(row)).ok().filter(|cell| *cell < self.cells);
                let cell = cell.ok_or_else(|| QueryError::Failed("a cell outside the domain".into()))?;
                let group = answer.group.value(row) as u8;
                let counts = by_outcome.entry(answer.outcome(row)).or_default();
                counts.push(CohortCount { cell, outcome: 0, group, rows });
            }
        }
        let (mut outcomes, mut counts) = (Vec::new(), Vec::new());
        for (outcome, mut of_outcome) in by_outcome {
            of_outcome.sort_unstable_by_key(|count| (count.cell, count.group));
            let number = outcomes.len() as u32;
            counts.extend(of_outcome.into_iter().map(|count| CohortCount { outcome: number, ..count }));
            outcomes.push(outcome);
        }
        let rows = counts.iter().map(|count| count.rows).sum();
        Ok(Cohort { cells: self.cells, outcomes, counts, rows, outside, margins: Vec::new() })
    }
}

/// The columns of an answer.
struct Answer {
    cell: Int64Array,
    group: Int64Array,
    texts: [StringArray; 3],
    cases: Int64Array,
}

impl Answer {
    fn of(batch: &RecordBatch) -> Result<Answer, QueryError> {
        let column = |at: usize, kind: &DataType| {
            cast(batch.column(at), kind).map_err(|error| QueryError::Failed(error.to_string()))
        };
        let number = |at| column(at, &DataType::Int64).map(|a| a.as_primitive::<Int64Type>().clone());
        let text = |at| column(at, &DataType::Utf8).map(|a| a.as_string::<i32>().clone());
        Ok(Answer {
            cell: number(0)?,
            group: number(1)?,
            texts: [text(2)?, text(3)?, text(4)?],
            cases: number(5)?,
        })
    }

    fn outcome(&self, row: usize) -> Outcome {
        let [severity, rarity, disease] =
            self.texts.each_ref().map(|text| text.is_valid(row).then(|| text.value(row).to_owned()));
        Outcome { severity, rarity, disease_code: disease }
    }
}
