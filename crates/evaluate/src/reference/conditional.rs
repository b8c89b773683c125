//! The cohort disease by disease, so that a population of other shares, or of higher pressures, is known as exactly.

use super::{
    DIMS, SIZE,
    parameters::{Disease, Parameters, Preset},
    pressure,
    truth::{Reference, likelihood},
};
use crate::{cells::require_length, error::Result};

/// Where the pressure stands among the features.
const PRESSURE: usize = 3;

/// p(cell | disease) of every disease of a preset, about 25 MB.
#[derive(Debug, Clone)]
pub struct Conditional {
    preset: Preset,
    diseases: Vec<Disease>,
    given: Vec<Vec<f64>>,
}

impl Conditional {
    /// Every disease, also those that are kept for few-shot tests, among people whose pressures are higher than the
    /// cohort's by `rise` mmHg (systolic, diastolic; see [`risen`](super::risen)).
    ///
    /// # Errors
    /// The built-in parameters are damaged.
    pub fn new(preset: Preset, rise: [i32; 2]) -> Result<Self> {
        let Parameters { diseases, factors, pressures } = Parameters::new(preset, true)?;
        let moves = (rise != [0, 0]).then(|| pressure::moves(&pressures, rise));
        let given = factors.iter().map(|factors| {
            let likelihood = likelihood(factors);
            let total: f64 = likelihood.iter().sum();
            let p: Vec<f64> = likelihood.into_iter().map(|p| p / total).collect();
            match &moves {
                Some(moves) => moved(&p, moves),
                None => p,
            }
        });
        Ok(Self { preset, given: given.collect(), diseases })
    }

    /// Healthy first, the ones that are kept for few-shot tests last.
    #[must_use]
    pub fn diseases(&self) -> &[Disease] {
        &self.diseases
    }

    /// p(cell | disease), one per possible patient; none of a disease that there is not.
    #[must_use]
    pub fn given(&self, disease: usize) -> Option<&[f64]> {
        self.given.get(disease).map(Vec::as_slice)
    }

    /// The population in which each disease has this share; shares need not add up to 1.
    ///
    /// # Errors
    /// Another number of shares than of diseases; shares that are none.
    pub fn mixed(&self, shares: &[f64]) -> Result<Reference> {
        require_length("the shares", shares, self.diseases.len())?;
        let total: f64 = shares.iter().sum();
        let mut diseases = self.diseases.clone();
        diseases.iter_mut().zip(shares).for_each(|(disease, share)| disease.prior = share / total);
        let mixed = Reference::mix(self.preset, diseases, self.given.iter().map(|given| given.as_slice()));
        mixed.population()?;
        Ok(mixed)
    }
}

/// A distribution after everybody's pressure category has moved.
fn moved(p: &[f64], moves: &[[f64; 5]; 5]) -> Vec<f64> {
    let stride: usize = DIMS[PRESSURE + 1..].iter().product();
    let mut out = vec![0.0; SIZE];
    for (cell, p) in p.iter().enumerate() {
        let category = cell / stride % DIMS[PRESSURE];
        for (to, share) in moves[category].iter().enumerate() {
            out[cell - category * stride + to * stride] += p * share;
        }
    }
    out
}
