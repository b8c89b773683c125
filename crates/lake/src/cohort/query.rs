//! The pass over the rows.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, AsArray, DictionaryArray, Int8Array, Int32Array, RecordBatch};
use arrow::datatypes::Int32Type;

use super::count::{Counter, PLACE_BITS, Run, merge};
use super::{Cohort, CohortCount, CohortQuery, MarginCounts, NO_CELL};
use crate::scan;
use crate::schema::{Kind, columns};
use crate::selection::Selection;
use crate::{Lake, LakeError, Outcome, SLOTS};

/// How often a count begins again because a rewriting deleted a file under its hands: the same rows lie in others now.
const RETRIES: u32 = 3;

/// Outcome number of a row that is not counted.
pub(super) const SKIP: u32 = u32::MAX;

impl Lake {
    /// Counts the rows of a dataset version.
    ///
    /// # Errors
    /// [`LakeError::NoSuchVersion`]; [`LakeError::NoSuchColumn`] when the plan needs an input that the table lacks;
    /// [`LakeError::BadCell`] when the plan gives a cell that it does not have.
    pub fn cohort(&self, version: u64, query: &CohortQuery<'_>) -> Result<Cohort, LakeError> {
        let mut attempts = 0..RETRIES;
        loop {
            match self.rows(version)?.cohort(query) {
                Err(error) if error.is_missing_file() && attempts.next().is_some() => {}
                counted => return counted,
            }
        }
    }
}

impl Selection {
    /// Counts the rows.
    ///
    /// # Errors
    /// As [`Lake::cohort`].
    pub fn cohort(&self, query: &CohortQuery<'_>) -> Result<Cohort, LakeError> {
        let margins = query.margins.iter().map(|margin| &margin.column);
        for column in query.cells.columns().iter().chain(margins) {
            self.expect_column(column)?;
        }
        let units = self.open_all()?;
        let pass = Pass::new(query, self.outcomes());
        let next = AtomicUsize::new(0);
        let work = || -> Result<Part, LakeError> {
            let mut worker = Worker::new(&pass);
            while let Some(unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
                for batch in unit.read(&pass.columns)? {
                    worker.add(&batch?)?;
                }
            }
            Ok(worker.finish())
        };
        let threads = query.threads.clamp(1, units.len().max(1));
        let parts = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|w| w.join().unwrap_or(Err(LakeError::WorkerStopped)));
            joined.collect::<Result<Vec<_>, _>>()
        })?;
        pass.gather(parts)
    }
}

/// What the threads share.
struct Pass<'a> {
    query: &'a CohortQuery<'a>,
    /// Columns to read.
    columns: Vec<String>,
    /// Slot groups.
    groups: u64,
    /// Outcomes expected.
    expected: u64,
    /// Outcomes met, in any order.
    outcomes: Mutex<Vec<Outcome>>,
}

/// What one thread counted.
struct Part {
    runs: Vec<Run>,
    outside: u64,
    margins: Vec<MarginCounts>,
}

impl<'a> Pass<'a> {
    fn new(query: &'a CohortQuery<'a>, expected: u64) -> Pass<'a> {
        let mut wanted = query.cells.columns().to_vec();
        for margin in query.margins {
            if !wanted.contains(&margin.column) {
                wanted.push(margin.column.clone());
            }
        }
        let more = [columns::SEVERITY, columns::RARITY, columns::DISEASE_CODE, columns::SLOT];
        wanted.extend(more.map(str::to_owned));
        Pass { query, columns: wanted, groups: query.groups(), expected, outcomes: Mutex::default() }
    }

    fn places(&self) -> u64 {
        u64::from(self.query.cells.len()) * self.groups
    }

    fn number(&self, outcome: Outcome) -> u32 {
        let mut known = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().position(|one| *one == outcome);
        found.unwrap_or_else(|| {
            known.push(outcome);
            known.len() - 1
        }) as u32
    }

    fn margins(&self) -> Vec<MarginCounts> {
        self.query.margins.iter().map(|margin| MarginCounts::new(margin, self.groups)).collect()
    }

    /// Sums the threads' parts and puts the outcomes in order.
    fn gather(self, parts: Vec<Part>) -> Result<Cohort, LakeError> {
        let mut margins = self.margins();
        for part in &parts {
            margins = super::margin::add(&margins, &part.margins)?;
        }
        let outside = parts.iter().map(|part| part.outside).sum();
        let runs = parts.into_iter().map(|part| part.runs).reduce(|a, b| merge(&a, &b)).unwrap_or_default();
        let met = self.outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut order: Vec<usize> = (0..met.len()).collect();
        order.sort_by(|&a, &b| met[a].cmp(&met[b]));
        let (mut outcomes, mut counts) = (Vec::new(), Vec::with_capacity(runs.len()));
        for number in order {
            let start = runs.partition_point(|run| run.key >> PLACE_BITS < number as u64);
            let end = runs.partition_point(|run| run.key >> PLACE_BITS <= number as u64);
            if start == end {
                continue; // only rows outside the domain have it
            }
            let outcome = outcomes.len() as u32;
            outcomes.push(met[number].clone());
            counts.extend(runs[start..end].iter().map(|run| count(run, outcome, self.groups)));
        }
        Ok(Cohort {
            cells: self.query.cells.len(),
            outcomes,
            rows: counts.iter().map(|count| count.rows).sum(),
            counts,
            outside,
            margins,
        })
    }
}

impl CohortQuery<'_> {
    fn groups(&self) -> u64 {
        u64::from(self.slot_group.iter().copied().max().unwrap_or(0)) + 1
    }
}

fn count(run: &Run, outcome: u32, groups: u64) -> CohortCount {
    let place = run.key & ((1 << PLACE_BITS) - 1);
    CohortCount { cell: (place / groups) as u32, outcome, group: (place % groups) as u8, rows: run.rows }
}

/// One thread's state.
struct Worker<'a> {
    pass: &'a Pass<'a>,
    counter: Counter,
    cells: Vec<u32>,
    places: Vec<u64>,
    outcomes: Vec<u32>,
    /// Slot group of each row.
    group: Vec<u8>,
    outside: u64,
    margins: Vec<MarginCounts>,
}

impl<'a> Worker<'a> {
    fn new(pass: &'a Pass<'a>) -> Worker<'a> {
        Worker {
            pass,
            counter: Counter::new(pass.places(), pass.expected),
            cells: Vec::new(),
            places: Vec::new(),
            outcomes: Vec::new(),
            group: Vec::new(),
            outside: 0,
            margins: pass.margins(),
        }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        self.number_outcomes(batch)?;
        self.find_cells(batch)?;
        self.find_groups(&scan::bytes(batch, columns::SLOT)?);
        self.find_places()?;
        self.counter.add(&self.outcomes, &self.places);
        for counts in &mut self.margins {
            counts.count(&scan::ints(batch, &counts.margin.column)?, &self.group);
        }
        Ok(())
    }

    fn finish(self) -> Part {
        Part { runs: self.counter.finish(), outside: self.outside, margins: self.margins }
    }

    /// Cell of each row; rows with a null input get [`NO_CELL`].
    fn find_cells(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let inputs = self.pass.query.cells.columns().iter().map(|name| scan::ints(batch, name));
        let inputs: Vec<Int32Array> = inputs.collect::<Result<_, _>>()?;
        let values: Vec<&[i32]> = inputs.iter().map(|input| input.values().as_ref()).collect();
        self.cells.resize(batch.num_rows(), NO_CELL);
        self.pass.query.cells.cells(&values, &mut self.cells);
        for input in &inputs {
            let nulls = input.nulls().into_iter().filter(|nulls| nulls.null_count() > 0);
            for nulls in nulls {
                for (cell, valid) in self.cells.iter_mut().zip(nulls.iter()) {
                    *cell = if valid { *cell } else { NO_CELL };
                }
            }
        }
        Ok(())
    }

    fn find_groups(&mut self, slots: &Int8Array) {
        let slot_group = &self.pass.query.slot_group;
        let group = |slot: i8| slot_group[usize::from(u8::try_from(slot).unwrap_or(SLOTS).min(SLOTS))];
        self.group.clear();
        if slots.null_count() == 0 {
            self.group.extend(slots.values().iter().map(|&slot| group(slot)));
        } else {
            self.group.extend(slots.iter().map(|slot| group(slot.unwrap_or(-1))));
        }
    }

    /// Place of each row from its cell and group; rows without a cell are marked to be skipped.
    fn find_places(&mut self) -> Result<(), LakeError> {
        let (groups, cells) = (self.pass.groups, self.pass.query.cells.len());
        self.places.clear();
        let place = |(&cell, &group): (&u32, &u8)| u64::from(cell) * groups + u64::from(group);
        self.places.extend(self.cells.iter().zip(&self.group).map(place));
        for (&cell, outcome) in self.cells.iter().zip(&mut self.outcomes) {
            if cell >= cells {
                if cell != NO_CELL {
                    return Err(LakeError::BadCell { cell, cells });
                }
                *outcome = SKIP;
                self.outside += 1;
            }
        }
        Ok(())
    }

    /// Outcome number of each row: dictionary codes -> one table look-up.
    fn number_outcomes(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let code = |name: &str| -> Result<Codes, LakeError> {
            let column = scan::column(batch, name, Kind::Code)?;
            Ok(Codes(column.as_dictionary::<Int32Type>().clone()))
        };
        let (severity, rarity, disease) =
            (code(columns::SEVERITY)?, code(columns::RARITY)?, code(columns::DISEASE_CODE)?);
        let (rarities, diseases) = (rarity.len(), disease.len());
        let mut numbers = vec![SKIP; severity.len() * rarities * diseases];
        let codes = severity.codes().zip(rarity.codes()).zip(disease.codes());
        self.outcomes.resize(batch.num_rows(), SKIP);
        for (outcome, ((s, r), d)) in self.outcomes.iter_mut().zip(codes) {
            let number = &mut numbers[(s * rarities + r) * diseases + d];
            if *number == SKIP {
                *number = self.pass.number(Outcome {
                    severity: severity.text(s),
                    rarity: rarity.text(r),
                    disease_code: disease.text(d),
                });
            }
            *outcome = *number;
        }
        Ok(())
    }
}

/// A dictionary-encoded column whose nulls have the number after the last text.
struct Codes(DictionaryArray<Int32Type>);

impl Codes {
    fn len(&self) -> usize {
        self.0.values().len() + 1
    }

    /// Code of each row.
    fn codes(&self) -> impl Iterator<Item = usize> + '_ {
        let (keys, null) = (self.0.keys(), self.0.values().len());
        let nulls = keys.nulls().filter(|nulls| nulls.null_count() > 0);
        let code = move |(row, &key): (usize, &i32)| match nulls {
            Some(nulls) if nulls.is_null(row) => null,
            _ => key as usize,
        };
        keys.values().iter().enumerate().map(code)
    }

    fn text(&self, code: usize) -> Option<String> {
        let texts = self.0.values().as_string::<i32>();
        (code < texts.len() && texts.is_valid(code)).then(|| texts.value(code).to_owned())
    }
}
