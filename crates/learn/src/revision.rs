//! A model's next version, made from its bundle and confirmed cases of orphan diseases alone.
//!
//! The learner's models, the pool, the calibration and the threshold stay as they are; the few-shot half takes
//! the cases, and the answers to every possible patient are made anew from its opinion and the learner's
//! margins, which the bundle keeps. Hence no booster and no training row is needed, and it takes a fraction of a second.

use std::collections::BTreeMap;
use std::ops::Range;

use clinical::{Cell, Severity, Study};
use prepare::Preprocessor;
use serde_json::Value;

use crate::bundle::{Bundle, Manifest, files};
use crate::combine::{Combination, Disease};
use crate::crossfit::{Said, answer_all, orphan_shares, say};
use crate::fewshot::{Confirmed, Half, NoveltyBudget, Population};
use crate::model::{self, Tabulated};
use crate::nearest::NearestTable;
use crate::noted;
use crate::{Error, Matrix, Result};

/// Where a bundle's report lists the revisions that led to it, oldest first.
const REVISIONS: &str = "revisions";
/// Possible patients that are measured at a time: everything of theirs stays in the processor's cache.
const BLOCK: usize = 1 << 10;

/// A model that takes confirmed cases.
#[derive(Debug)]
pub struct Revision<'a> {
    parent: &'a Bundle,
    study: Study,
    preprocessor: Preprocessor,
    combination: Combination,
    half: Half,
}

/// A confirmed case of an orphan disease.
#[derive(Debug, Clone, Copy)]
pub struct OrphanCase<'a> {
    /// Identifies the case: the same one is never counted twice.
    pub id: &'a str,
    pub severity: Severity,
    /// None where the records do not say.
    pub disease_code: Option<&'a str>,
    /// The possible patient.
    pub cell: Cell,
}

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Added,
    /// The model has it already.
    Held,
    /// The model was trained without an orphan disease of this severity and has no class for it.
    Unclassed,
}

/// Training cases of one possible patient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainingCases {
    pub cell: Cell,
    pub cases: f64,
    /// Those of them that have an orphan disease.
    pub orphans: f64,
}

/// What the new version says of itself.
#[derive(Debug, Clone)]
pub struct Edition {
    pub version: String,
    /// RFC 3339.
    pub created_at: String,
    pub dataset_version: u64,
    /// Added to the parent's lineage, in place of entries of the same name.
    pub lineage: BTreeMap<String, String>,
    /// Added to the report.
    pub record: Value,
}

impl<'a> Revision<'a> {
    /// Begins with a verified bundle.
    ///
    /// # Errors
    /// When a file is missing or not what it should be.
    pub fn of(parent: &'a Bundle) -> Result<Revision<'a>> {
        Ok(Revision {
            study: model::study(parent)?,
            preprocessor: parent.json(files::PREPROCESSOR)?,
            combination: parent.json(files::CALIBRATION)?,
            half: model::half(parent)?,
            parent,
        })
    }

    pub fn study(&self) -> &Study {
        &self.study
    }

    /// Takes one case.
    ///
    /// # Errors
    /// When the patient is not possible under the study, the disease is known as a common one, or another case
    /// has the identifier.
    pub fn add(&mut self, case: &OrphanCase<'_>) -> Result<Taken> {
        let is_its = |group: &crate::combine::Group| group.orphan && group.severity == case.severity.index();
        let Some(group) = self.combination.classes.groups.iter().position(is_its) else {
            return Ok(Taken::Unclassed);
        };
        let disease = Disease { group, orphan: true, code: case.disease_code.map(str::to_owned) };
        let (x, levels) = self.as_read(std::iter::once(case.cell))?;
        let confirmed = Confirmed { id: case.id, disease: &disease, x: &x, levels: levels.as_slice() };
        Ok(if self.half.add(&confirmed)? { Taken::Added } else { Taken::Held })
    }

    /// By how much each of some possible patients falls short of the nearest alarm of a watched disease, in log odds; none
    /// where there is no such alarm.
    ///
    /// # Errors
    /// When a patient is not possible under the study.
    pub fn short_of_alarm(&self, cells: &[Cell]) -> Result<Vec<Option<f64>>> {
        if self.half.watched().is_empty() {
            return Ok(vec![None; cells.len()]);
        }
        let (x, levels) = self.as_read(cells.iter().copied())?;
        let (margins, mut short) = (self.half.margins(&x)?, Vec::with_capacity(cells.len()));
        self.half.say(
            self.combination.classes.groups.len(),
            self.combination.heard(),
            &levels,
            margins.as_ref(),
            |_, _, said| {
                short.push(self.half.short_of_alarm(said));
            },
        );
        Ok(short)
    }

    /// The new version's bundle, in no folder yet. `training`: the cohort that the alarms of new diseases keep their
    /// budget in, and that explanations compare with, ascending by cell, each once. `threads` changes no byte.
    ///
    /// # Errors
    /// When the bundle's files do not fit each other, or `training` is not in order.
    pub fn finish(
        mut self,
        edition: Edition,
        training: &[TrainingCases],
        budget: &NoveltyBudget,
        threads: usize,
    ) -> Result<Bundle> {
        if !training.is_sorted_by(|a, b| a.cell < b.cell) {
            return Err(Error::Invalid("the training cohort is not in the order of its cells".into()));
        }
        let boosted = model::boosted(self.parent, self.combination.classes.groups.len())?;
        let made = match boosted {
            Some(boosted) => {
                let parts = over(boosted.rows(), threads, |cells| self.part(cells, &boosted))?;
                let (mut novelty, mut alarmed) = (Vec::new(), Vec::new());
                for (opinions, of_watched) in parts.iter().flat_map(|part| part.of_training(training)) {
                    novelty.extend_from_slice(of_watched);
                    alarmed.push(self.combination.alarmed(self.combination.orphan(opinions)));
                }
                self.set_alarms(budget, training, novelty, &alarmed)?;
                let weights: Vec<_> = training.iter().map(|of| (of.cell, of.cases)).collect();
                self.tabulate(parts, &weights, threads)?
            }
            None => {
                let (x, levels) = self.as_read(training.iter().map(|of| of.cell))?;
                let margins = self.half.margins(&x)?;
                let (groups, mut novelty) = (self.combination.classes.groups.len(), Vec::new());
                self.half.say(groups, self.combination.heard(), &levels, margins.as_ref(), |_, _, said| {
                    novelty.extend_from_slice(said)
                });
                // Whom the gate alarms is known where the bundle keeps its answers.
                self.set_alarms(budget, training, novelty, &vec![false; training.len()])?;
                Vec::new()
            }
        };
        let mut contents: BTreeMap<String, Vec<u8>> = made.into_iter().collect();
        contents.extend(model::half_files(&self.half)?);
        contents.insert(files::REPORT.to_owned(), self.report(edition.record)?);
        for (name, bytes) in self.parent.contents() {
            if !contents.contains_key(name) {
                contents.insert(name.clone(), bytes.clone());
            }
        }
        let parent = self.parent.manifest.clone();
        let mut lineage = parent.lineage;
        lineage.extend(edition.lineage);
        let manifest = Manifest {
            version: edition.version,
            created_at: edition.created_at,
            dataset_version: edition.dataset_version,
            lineage,
            ..parent
        };
        Bundle::new(manifest, contents)
    }

    /// `novelty`: margins of the watched diseases of the training cohort's patients, row after row; `alarmed`: whom of them
    /// the gate alarms.
    fn set_alarms(
        &mut self,
        budget: &NoveltyBudget,
        training: &[TrainingCases],
        novelty: Vec<f64>,
        alarmed: &[bool],
    ) -> Result<()> {
        let rows = training.len();
        let population = Population {
            negatives: &training.iter().map(|of| of.cases - of.orphans).collect::<Vec<_>>(),
            everyone: &training.iter().map(|of| of.cases).collect::<Vec<_>>(),
            alarmed,
        };
        let novelty = Matrix::from_vec(rows, novelty.len() / rows.max(1), novelty)?;
        self.half.set_alarms(budget, &novelty, &population)
    }

    /// What is to be said of some possible patients before the alarms of watched diseases are set.
    fn part(&self, cells: Range<Cell>, boosted: &Matrix<f32>) -> Result<Part> {
        let (mut opinions, mut novelty, mut nearest) = (Vec::new(), Vec::new(), NearestTable::default());
        for start in cells.clone().step_by(BLOCK) {
            let block = start..(start + BLOCK).min(cells.end);
            let (x, levels) = self.as_read(block.clone())?;
            let margins = self.half.margins(&x)?;
            let boosted = boosted.select(&block.collect::<Vec<_>>());
            let said = say(&boosted, &self.half, self.combination.heard(), &levels, margins.as_ref());
            opinions.extend_from_slice(said.opinions.as_slice());
            novelty.extend_from_slice(said.novelty.as_slice());
            nearest.append(NearestTable::of(&self.half, &levels, margins.as_ref()));
        }
        let rows = cells.len();
        Ok(Part {
            said: Said {
                opinions: Matrix::from_vec(rows, opinions.len() / rows.max(1), opinions)?,
                novelty: Matrix::from_vec(rows, novelty.len() / rows.max(1), novelty)?,
            },
            nearest,
            cells,
        })
    }

    /// Possible patients as the few-shot half reads them.
    fn as_read(&self, cells: impl ExactSizeIterator<Item = Cell>) -> Result<(Matrix<f32>, Matrix<u32>)> {
        let (n, width, features) = (cells.len(), self.preprocessor.width(), self.study.features().len());
        let (mut x, mut all) = (Vec::with_capacity(n * width), Vec::with_capacity(n * features));
        let mut levels = vec![0; features];
        for cell in cells {
            self.study.domain().levels_into(cell, &mut levels);
            self.preprocessor.encode_into(&levels, &mut x);
            all.extend(levels.iter().map(|&level| level as u32));
        }
        Ok((Matrix::from_vec(n, width, x)?, Matrix::from_vec(n, features, all)?))
    }

    /// The files of the answers to every possible patient.
    fn tabulate(
        &self,
        parts: Vec<Part>,
        weights: &[(Cell, f64)],
        threads: usize,
    ) -> Result<Vec<(String, Vec<u8>)>> {
        let answered = over(parts.len(), threads, |of| {
            let parts = parts.get(of).unwrap_or_default();
            Ok(parts.iter().map(|part| self.answer(part)).collect::<Vec<_>>())
        })?;
        let (mut answers, mut healthy, mut shares) = (Vec::new(), Vec::new(), Vec::new());
        for part in answered.into_iter().flatten() {
            answers.extend(part.answers.into_vec());
            healthy.extend(part.healthy);
            shares.extend(part.shares.into_vec());
        }
        let mut nearest = NearestTable::default();
        parts.into_iter().for_each(|part| nearest.append(part.nearest));
        let outputs = self.combination.classes.outputs();
        let answers = Matrix::from_vec(answers.len() / outputs, outputs, answers)?;
        let tabulated = Tabulated { answers: &answers, healthy: &healthy, nearest: &nearest };
        let mut files: Vec<_> = tabulated.files(&self.study, weights)?.into();
        if !shares.is_empty() {
            let severities = self.combination.classes.severities;
            files.push(noted::shares_file(&Matrix::from_vec(healthy.len(), severities, shares)?)?);
        }
        Ok(files)
    }

    fn answer(&self, part: &Part) -> Answered {
        let raised = |row| self.half.raised(part.said.novelty.row(row));
        let (answers, before) = answer_all(&self.combination, &part.said.opinions, raised);
        let healthy = self.study.healthy().index();
        let shares = match noted::needs_shares(self.parent) {
            true => orphan_shares(&self.combination, &part.said.opinions, raised),
            false => Matrix::default(),
        };
        let healthy = before.iter_rows().filter_map(|row| row.get(healthy)).copied().collect();
        Answered { answers, healthy, shares }
    }

    /// The parent's report with this revision at the end of its list.
    fn report(&self, record: Value) -> Result<Vec<u8>> {
        let mut report: serde_json::Map<String, Value> = self.parent.json(files::REPORT)?;
        match report.get_mut(REVISIONS) {
            Some(Value::Array(revisions)) => revisions.push(record),
            _ => drop(report.insert(REVISIONS.to_owned(), Value::Array(vec![record]))),
        }
        serde_json::to_vec_pretty(&report).map_err(|error| Error::malformed(files::REPORT, error))
    }
}

/// A range of possible patients with what is said of them.
struct Part {
    cells: Range<Cell>,
    said: Said,
    nearest: NearestTable,
}

/// The answers to a part.
struct Answered {
    /// Displayed probabilities.
    answers: Matrix<f64>,
    /// Probability of `healthy` without the alarm.
    healthy: Vec<f64>,
    /// Orphan diseases' shares of the severities; empty where no note asks for them.
    shares: Matrix<f64>,
}

impl Part {
    /// What is said of those patients of the cohort that are in this part, in the cohort's order: opinions, and the watched
    /// diseases' margins.
    fn of_training<'a>(
        &'a self,
        training: &'a [TrainingCases],
    ) -> impl Iterator<Item = (&'a [f64], &'a [f64])> {
        let here = training.iter().filter(|of| self.cells.contains(&of.cell));
        let row = |of: &TrainingCases| of.cell - self.cells.start;
        here.map(move |of| (self.said.opinions.row(row(of)), self.said.novelty.row(row(of))))
    }
}

/// `work` on consecutive ranges of `0..n`, one per thread; their results in order.
fn over<T: Send>(
    n: usize,
    threads: usize,
    work: impl Fn(Range<usize>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let each = n.div_ceil(threads.max(1)).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let ranges = (0..n).step_by(each).map(|start| start..(start + each).min(n));
        let threads: Vec<_> = ranges.map(|range| scope.spawn(move || work(range))).collect();
        let failed = || Err(Error::Invalid("a thread failed".into()));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| failed())).collect()
    })
}
