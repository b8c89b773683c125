//! What is true of every possible patient of the reference cohort.

use clinical::{Cell, Rarity};

use super::{
    DIMS, SEVERITIES, SIZE,
    parameters::{Disease, Factors, Parameters, Preset},
};
use crate::{error::Result, population::Population};

/// The exact distribution of one preset, about 12 MB.
#[derive(Debug, Clone)]
pub struct Reference {
    preset: Preset,
    diseases: Vec<Disease>,
    weight: Vec<f64>,
    severity: Vec<f64>,
    orphan: Vec<f64>,
}

impl Reference {
    /// Computes the distribution. `novel` adds the orphan diseases that are kept for few-shot tests.
    ///
    /// # Errors
    /// The built-in parameters are damaged.
    pub fn new(preset: Preset, novel: bool) -> Result<Self> {
        let Parameters { diseases, factors, .. } = Parameters::new(preset, novel)?;
        let given = factors.iter().map(|factors| {
            let likelihood = likelihood(factors);
            let total: f64 = likelihood.iter().sum();
            likelihood.into_iter().map(|p| p / total).collect::<Vec<f64>>()
        });
        Ok(Self::mix(preset, diseases, given))
    }

    /// The mixture of `given`, p(cell | disease), by the diseases' priors.
    pub(super) fn mix<P: AsRef<[f64]>>(
        preset: Preset,
        diseases: Vec<Disease>,
        given: impl IntoIterator<Item = P>,
    ) -> Self {
        let classes = SEVERITIES.len();
        let (mut weight, mut severity, mut orphan) =
            (vec![0.0; SIZE], vec![0.0; SIZE * classes], vec![0.0; SIZE]);
        for (disease, given) in diseases.iter().zip(given) {
            let k = disease.severity.index();
            for (cell, p) in given.as_ref().iter().enumerate() {
                let joint = disease.prior * p;
                weight[cell] += joint;
                severity[cell * classes + k] += joint;
                if disease.rarity == Some(Rarity::Orphan) {
                    orphan[cell] += joint;
                }
            }
        }
        for (cell, &w) in weight.iter().enumerate().filter(|(_, w)| **w > 0.0) {
            severity[cell * classes..(cell + 1) * classes].iter_mut().for_each(|p| *p /= w);
            orphan[cell] /= w;
        }
        Self { preset, diseases, weight, severity, orphan }
    }

    #[must_use]
    pub fn preset(&self) -> Preset {
        self.preset
    }

    /// The diseases, healthy first; their priors add up to 1.
    #[must_use]
    pub fn diseases(&self) -> &[Disease] {
        &self.diseases
    }

    /// p(cell), one per possible patient.
    #[must_use]
    pub fn weight(&self) -> &[f64] {
        &self.weight
    }

    /// p(severity | cell), four per possible patient; all 0 where nobody lives (ages above 99).
    #[must_use]
    pub fn severity(&self) -> &[f64] {
        &self.severity
    }

    /// p(orphan | cell), one per possible patient.
    #[must_use]
    pub fn orphan(&self) -> &[f64] {
        &self.orphan
    }

    /// The true probabilities of one patient: of each severity, and of an orphan disease. `None` outside the domain.
    #[must_use]
    pub fn of_cell(&self, cell: Cell) -> Option<(&[f64], f64)> {
        Some((self.severity.get(4 * cell..4 * cell + 4)?, *self.orphan.get(cell)?))
    }

    /// The distribution as a population, for other exact figures.
    ///
    /// # Errors
    /// None: the distribution is one.
    pub fn population(&self) -> Result<Population<'_>> {
        Population::new(SEVERITIES.len(), &self.weight, &self.severity, &self.orphan)
    }
}

/// Unnormalised p(cell | disease) of all cells.
pub(super) fn likelihood(f: &Factors) -> Vec<f64> {
    let mut out = Vec::with_capacity(SIZE);
    for age in 0..DIMS[0] {
        for gender in 0..DIMS[1] {
            for blood in f.blood {
                let person = f.age[age] * f.gender[gender] * blood;
                for pressure in f.pressure[age][gender] {
                    let so_far = person * pressure;
                    out.extend(f.exercise[age].iter().map(|days| so_far * days));
                }
            }
        }
    }
    out
}
