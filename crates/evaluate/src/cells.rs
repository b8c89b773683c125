//! What is evaluated: cells with their true outcomes as counts and a model's answer for each.

use clinical::Severity;

use crate::error::{Error, Result};

/// What a model answers for one cell.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// One per severity class, adding up to 1 within 1e-6. For the log loss give the calibrated probabilities
    /// before an alarm takes the healthy class away: a class that occurs at probability 0 has no finite loss.
    pub probabilities: &'a [f64],
    /// Calibrated probability of an orphan disease.
    pub orphan: f64,
    /// The severity that is shown, alarm included.
    pub decided: Severity,
    /// Whether an orphan disease is reported as suspected.
    pub alarm: bool,
}

/// Cells, counts and answers: all that an evaluation knows. Equal values may be pushed more than once; counts add.
#[derive(Debug, Clone)]
pub struct Cells {
    classes: Vec<String>,
    pub(crate) probabilities: Vec<f64>,
    pub(crate) orphan: Vec<f64>,
    pub(crate) decided: Vec<u8>,
    pub(crate) alarm: Vec<bool>,
    pub(crate) abstains: Vec<bool>,
    /// `[cell][severity][common or none, orphan]`
    pub(crate) counts: Vec<u64>,
    patients: u64,
}

impl Cells {
    /// No cells yet. `classes`: the codes of the study's severities, in its order.
    ///
    /// # Errors
    /// [`Error::Classes`] for fewer than 2 or more than 100.
    pub fn new<S: AsRef<str>>(classes: &[S]) -> Result<Self> {
        if !(2..=100).contains(&classes.len()) {
            return Err(Error::Classes { found: classes.len() });
        }
        Ok(Self {
            classes: classes.iter().map(|c| c.as_ref().to_owned()).collect(),
            probabilities: Vec::new(),
            orphan: Vec::new(),
            decided: Vec::new(),
            alarm: Vec::new(),
            abstains: Vec::new(),
            counts: Vec::new(),
            patients: 0,
        })
    }

    /// Adds one cell and returns its number. `counts`: patients by `[severity][not orphan, orphan]`, flattened, two
    /// per class.
    ///
    /// # Errors
    /// A length that does not fit the classes, a value that is no probability, an unknown class, too many patients.
    pub fn push(&mut self, answer: &Answer<'_>, counts: &[u64]) -> Result<usize> {
        let (cell, classes) = (self.len(), self.classes.len());
        require_length("the severity probabilities", answer.probabilities, classes)?;
        require_length("the counts", counts, 2 * classes)?;
        let is_probability = |p: &f64| (0.0..=1.0).contains(p);
        if !answer.probabilities.iter().all(is_probability) {
            return Err(Error::NotAProbability { cell, what: "a severity probability" });
        }
        if !is_probability(&answer.orphan) {
            return Err(Error::NotAProbability { cell, what: "the orphan probability" });
        }
        if (answer.probabilities.iter().sum::<f64>() - 1.0).abs() > 1e-6 {
            return Err(Error::Sum { cell });
        }
        if answer.decided.index() >= classes {
            return Err(Error::NoSuchClass { cell, class: answer.decided.index() });
        }
        // Sums of counts are taken in f64, which is exact up to here.
        let patients = counts.iter().try_fold(self.patients, |sum, &c| sum.checked_add(c));
        self.patients = patients.filter(|&sum| sum <= 1 << 53).ok_or(Error::TooMany)?;
        self.probabilities.extend_from_slice(answer.probabilities);
        self.orphan.push(answer.orphan);
        self.decided.push(answer.decided.0);
        self.alarm.push(answer.alarm);
        self.abstains.push(false);
        self.counts.extend_from_slice(counts);
        Ok(cell)
    }

    /// Marks a cell whose patients are told "not sure" instead of the pushed answer; a cell that was never pushed is none.
    pub fn abstain(&mut self, cell: usize) {
        if let Some(abstains) = self.abstains.get_mut(cell) {
            *abstains = true;
        }
    }

    /// Number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.orphan.len()
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.orphan.is_empty()
    }

    /// Number of patients.
    #[must_use]
    pub fn patients(&self) -> u64 {
        self.patients
    }

    /// Codes of the severity classes.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The cells for which `keep` holds.
    pub(crate) fn subset(&self, keep: impl Fn(usize) -> bool) -> Self {
        let (k, chosen) = (self.classes.len(), (0..self.len()).filter(|&i| keep(i)).collect::<Vec<_>>());
        let pick = |i: &usize| 2 * k * i..2 * k * (i + 1);
        let counts: Vec<u64> = chosen.iter().flat_map(|i| &self.counts[pick(i)]).copied().collect();
        Self {
            classes: self.classes.clone(),
            probabilities: chosen
                .iter()
                .flat_map(|i| &self.probabilities[k * i..k * (i + 1)])
                .copied()
                .collect(),
            orphan: chosen.iter().map(|&i| self.orphan[i]).collect(),
            decided: chosen.iter().map(|&i| self.decided[i]).collect(),
            alarm: chosen.iter().map(|&i| self.alarm[i]).collect(),
            abstains: chosen.iter().map(|&i| self.abstains[i]).collect(),
            patients: counts.iter().sum(),
            counts,
        }
    }
}

pub(crate) fn require_length<T>(what: &'static str, given: &[T], needed: usize) -> Result<()> {
    if given.len() == needed { Ok(()) } else { Err(Error::Length { what, found: given.len(), needed }) }
}
