//! A stream of synthetic patients, any number of them in constant memory.

use clinical::{Cell, Rarity, Severity};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{
    DIMS,
    parameters::{Disease, Factors, Parameters, Preset},
    pressure::Pairs,
};
use crate::{alias::Alias, cells::require_length, error::Result};

/// One drawn patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntheticPatient {
    /// Place in the stream, from 0.
    pub index: u64,
    /// The six inputs in the default study's order: age in years, index of the gender, index of the blood group, systolic
    /// and diastolic mmHg, days of exercise a month.
    pub values: [i32; 6],
    /// The possible patient that this one is.
    pub cell: Cell,
    /// Index into [`Sampler::diseases`].
    pub disease: usize,
    pub severity: Severity,
    /// `None` for healthy people.
    pub rarity: Option<Rarity>,
}

impl SyntheticPatient {
    /// `c<seed>-<index>`.
    #[must_use]
    pub fn case_id(&self, seed: u64) -> String {
        format!("c{seed}-{}", self.index)
    }

    /// `p<seed>-<index>`: every case is another patient.
    #[must_use]
    pub fn patient_id(&self, seed: u64) -> String {
        format!("p{seed}-{}", self.index)
    }

    /// The day on which the case was recorded and confirmed, `2025-MM-DD`.
    #[must_use]
    pub fn day(&self) -> String {
        format!("2025-{:02}-{:02}", 1 + self.index % 12, 1 + self.index % 28)
    }
}

/// Draws patients of the reference cohort. Endless: take as many as needed. The same seed gives the same patients.
#[derive(Debug, Clone)]
pub struct Sampler {
    seed: u64,
    next: u64,
    rng: ChaCha8Rng,
    diseases: Vec<Disease>,
    disease: Alias,
    profiles: Vec<Profile>,
    /// One per pressure category.
    pressures: Vec<Pairs>,
}

/// p(cell | disease), drawn factor by factor.
#[derive(Debug, Clone)]
struct Profile {
    /// Age and gender together, because pressures and exercise depend on them.
    age_gender: Alias,
    blood: Alias,
    /// `[2 age + gender]`; `None` where nobody lives.
    pressure: Vec<Option<Alias>>,
    /// `[age]`
    exercise: Vec<Option<Alias>>,
}

impl Sampler {
    /// Prepares the draws, under 20 MB whatever the number of patients.
    ///
    /// # Errors
    /// The built-in parameters are damaged.
    pub fn new(preset: Preset, novel: bool, seed: u64) -> Result<Self> {
        let parameters = Parameters::new(preset, novel)?;
        let priors: Vec<f64> = parameters.diseases.iter().map(|d| d.prior).collect();
        Self::with(parameters, &priors, seed)
    }

    /// The same of a population in which each disease of the preset, those that are kept for few-shot tests among them, has
    /// this share; shares need not add up to 1.
    ///
    /// # Errors
    /// Another number of shares than of diseases; shares that are none.
    pub fn of_shares(preset: Preset, shares: &[f64], seed: u64) -> Result<Self> {
        let parameters = Parameters::new(preset, true)?;
        require_length("the shares", shares, parameters.diseases.len())?;
        Self::with(parameters, shares, seed)
    }

    fn with(parameters: Parameters, shares: &[f64], seed: u64) -> Result<Self> {
        let pressures = parameters.pressures.iter().enumerate().map(|(category, p)| Pairs::new(category, p));
        Ok(Self {
            seed,
            next: 0,
            rng: ChaCha8Rng::seed_from_u64(seed),
            disease: Alias::new(shares)?,
            profiles: parameters.factors.iter().map(Profile::new).collect::<Result<_>>()?,
            pressures: pressures.collect::<Result<_>>()?,
            diseases: parameters.diseases,
        })
    }

    /// The seed, as ids carry it.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The diseases that patients refer to.
    #[must_use]
    pub fn diseases(&self) -> &[Disease] {
        &self.diseases
    }

    /// The code of a patient's disease; `None` for healthy people.
    #[must_use]
    pub fn disease_code(&self, patient: &SyntheticPatient) -> Option<&str> {
        self.diseases.get(patient.disease)?.code.as_deref()
    }
}

impl Profile {
    fn new(f: &Factors) -> Result<Self> {
        let alive = |age: usize, weights: &[f64]| (f.age[age] > 0.0).then(|| Alias::new(weights)).transpose();
        let (mut age_gender, mut pressure, mut exercise) = (Vec::new(), Vec::new(), Vec::new());
        for age in 0..DIMS[0] {
            let days: f64 = f.exercise[age].iter().sum();
            for gender in 0..DIMS[1] {
                let categories: f64 = f.pressure[age][gender].iter().sum();
                age_gender.push(f.age[age] * f.gender[gender] * categories * days);
                pressure.push(alive(age, &f.pressure[age][gender])?);
            }
            exercise.push(alive(age, &f.exercise[age])?);
        }
        Ok(Self { age_gender: Alias::new(&age_gender)?, blood: Alias::new(&f.blood)?, pressure, exercise })
    }
}

impl Iterator for Sampler {
    type Item = SyntheticPatient;

    #[inline]
    fn next(&mut self) -> Option<SyntheticPatient> {
        let rng = &mut self.rng;
        let disease = self.disease.draw(rng);
        let profile = &self.profiles[disease];
        let age_gender = profile.age_gender.draw(rng);
        let (age, gender) = (age_gender / 2, age_gender % 2);
        let blood = profile.blood.draw(rng);
        // Both exist: an age at which nobody lives is never drawn.
        let category = profile.pressure[age_gender].as_ref()?.draw(rng);
        let days = profile.exercise[age].as_ref()?.draw(rng);
        let pairs = &self.pressures[category];
        let (systolic, diastolic) = pairs.pairs[pairs.draw.draw(rng)];
        let cell = [gender, blood, category, days]
            .iter()
            .zip(&DIMS[1..])
            .fold(age, |c, (level, dim)| c * dim + level);
        let index = self.next;
        self.next += 1;
        let Disease { severity, rarity, .. } = self.diseases[disease];
        let values = [age as i32, gender as i32, blood as i32, systolic, diastolic, days as i32];
        Some(SyntheticPatient { index, values, cell, disease, severity, rarity })
    }
}
