//! The parameters as the file gives them, turned to the default study's order of levels.

use std::{collections::BTreeMap, fmt, str::FromStr};

use clinical::{Rarity, Severity};
use serde::{Deserialize, Serialize};

use super::{BLOOD_PRESSURES, BLOOD_TYPES, DIMS, GENDERS, SEVERITIES};
use crate::error::{Error, Result};

const FILE: &str = include_str!("cohort.json");

/// How sharply the diseases differ from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// As little as six routine values tell of a disease in reality.
    Epidemiology,
    Hard,
    Reference,
    Easy,
}

impl Preset {
    pub const ALL: [Self; 4] = [Self::Epidemiology, Self::Hard, Self::Reference, Self::Easy];

    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Epidemiology => "epidemiology",
            Self::Hard => "hard",
            Self::Reference => "reference",
            Self::Easy => "easy",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(code: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|p| p.code() == code).ok_or_else(|| Error::NoSuchPreset(code.to_owned()))
    }
}

/// One disease (or health) of the cohort.
#[derive(Debug, Clone, PartialEq)]
pub struct Disease {
    pub name: String,
    /// `ICD-10:…` or `ORPHA:…`; `None` for healthy people.
    pub code: Option<String>,
    pub severity: Severity,
    /// `None` for healthy people.
    pub rarity: Option<Rarity>,
    /// Share of the cohort.
    pub prior: f64,
}

#[derive(Deserialize)]
struct File {
    age_share_per_decade: Vec<f64>,
    gender_share: BTreeMap<String, f64>,
    blood_share: BTreeMap<String, f64>,
    bands: Vec<Band>,
    blood_pressure_given_band: BTreeMap<String, Vec<[f64; 5]>>,
    exercise_bins: Vec<[usize; 2]>,
    exercise_given_band: Vec<Vec<f64>>,
    pressure_given_category_mmhg: BTreeMap<String, Pressure>,
    common: Vec<Profile>,
    orphan: Vec<Profile>,
    novel_orphan: Vec<Profile>,
    presets: BTreeMap<String, Contrast>,
}

#[derive(Deserialize)]
struct Band {
    from_age: usize,
}

/// Means and standard deviations of both pressures within one category, mmHg.
#[derive(Deserialize, Clone, Copy)]
pub(super) struct Pressure {
    pub(super) systolic: [f64; 2],
    pub(super) diastolic: [f64; 2],
}

#[derive(Deserialize, Clone, Copy)]
struct Contrast {
    contrast_common: f64,
    contrast_orphan: f64,
}

#[derive(Deserialize)]
struct Profile {
    name: String,
    disease_code: Option<String>,
    prior: f64,
    severity: String,
    age_mean: f64,
    age_sd: f64,
    ln_female: f64,
    ln_blood: BTreeMap<String, f64>,
    ln_blood_pressure: BTreeMap<String, f64>,
    exercise_mean: f64,
    exercise_sd: f64,
}

/// Unnormalised p(cell | disease), as factors: age x gender x blood x pressure(age, gender) x exercise(age).
pub(super) struct Factors {
    pub(super) age: Vec<f64>,
    pub(super) gender: [f64; 2],
    pub(super) blood: [f64; 4],
    /// `[age][gender]`
    pub(super) pressure: Vec<[[f64; 5]; 2]>,
    /// `[age]`
    pub(super) exercise: Vec<[f64; 32]>,
}

/// All that one preset says.
pub(super) struct Parameters {
    pub(super) diseases: Vec<Disease>,
    /// One per disease.
    pub(super) factors: Vec<Factors>,
    /// One per pressure category.
    pub(super) pressures: [Pressure; 5],
}

impl Parameters {
    pub(super) fn new(preset: Preset, novel: bool) -> Result<Self> {
        let file: File = serde_json::from_str(FILE).map_err(|e| Error::Parameters(e.to_string()))?;
        let contrast = *get(&file.presets, preset.code())?;
        let base = base(&file)?;
        let novel = if novel { file.novel_orphan.as_slice() } else { &[] };
        let profiles: Vec<&Profile> = file.common.iter().chain(&file.orphan).chain(novel).collect();
        let total: f64 = profiles.iter().map(|p| p.prior).sum();
        let mut pressures = [Pressure { systolic: [0.0; 2], diastolic: [0.0; 2] }; 5];
        for (slot, code) in pressures.iter_mut().zip(BLOOD_PRESSURES) {
            *slot = *get(&file.pressure_given_category_mmhg, code)?;
        }
        let diseases = profiles.iter().map(|p| p.disease(total)).collect::<Result<Vec<_>>>()?;
        let factors = profiles.iter().zip(&diseases).map(|(p, d)| {
            let orphan = d.rarity == Some(Rarity::Orphan);
            p.tilt(&base, if orphan { contrast.contrast_orphan } else { contrast.contrast_common })
        });
        Ok(Self { factors: factors.collect::<Result<Vec<_>>>()?, diseases, pressures })
    }
}

/// The published marginals p0 as factors.
fn base(file: &File) -> Result<Factors> {
    let damaged = |what: &str| Error::Parameters(format!("{what} has another length than its companions"));
    let age: Vec<f64> =
        file.age_share_per_decade.iter().flat_map(|share| [share / 10.0; 10]).take(DIMS[0]).collect();
    let total: f64 = age.iter().sum();
    if age.len() != DIMS[0] {
        return Err(damaged("age_share_per_decade"));
    }
    let (mut pressure, mut exercise) = (Vec::new(), Vec::new());
    for years in 0..DIMS[0] {
        let band = file.bands.iter().rposition(|b| b.from_age <= years).ok_or_else(|| damaged("bands"))?;
        let mut by_gender = [[0.0; 5]; 2];
        for (slot, gender) in by_gender.iter_mut().zip(GENDERS) {
            let shares = get(&file.blood_pressure_given_band, gender)?.get(band);
            *slot = normalised(*shares.ok_or_else(|| damaged("blood_pressure_given_band"))?);
        }
        pressure.push(by_gender);
        let shares = file.exercise_given_band.get(band).ok_or_else(|| damaged("exercise_given_band"))?;
        let mut days = [0.0; 32];
        for (&[from, to], share) in file.exercise_bins.iter().zip(shares) {
            let bin = days.get_mut(from..=to).ok_or_else(|| damaged("exercise_bins"))?;
            let width = bin.len() as f64;
            bin.iter_mut().for_each(|day| *day += share / width);
        }
        exercise.push(normalised(days));
    }
    let mut blood = [0.0; 4];
    for (slot, code) in blood.iter_mut().zip(BLOOD_TYPES) {
        *slot = *get(&file.blood_share, code)?;
    }
    let gender = [*get(&file.gender_share, GENDERS[0])?, *get(&file.gender_share, GENDERS[1])?];
    Ok(Factors { age: age.iter().map(|a| a / total).collect(), gender, blood, pressure, exercise })
}

impl Profile {
    fn disease(&self, total: f64) -> Result<Disease> {
        let severity = SEVERITIES.iter().position(|s| *s == self.severity);
        let severity =
            severity.ok_or_else(|| Error::Parameters(format!("no severity '{}'", self.severity)))?;
        let orphan = self.disease_code.as_deref().is_some_and(|code| code.starts_with("ORPHA"));
        let rarity = if orphan { Rarity::Orphan } else { Rarity::Common };
        Ok(Disease {
            name: self.name.clone(),
            code: self.disease_code.clone(),
            severity: Severity(severity as u8),
            rarity: (severity != 0).then_some(rarity),
            prior: self.prior / total,
        })
    }

    /// p0 exp(contrast tilt): the tilt is a sum over features, so each factor is tilted by itself.
    fn tilt(&self, base: &Factors, contrast: f64) -> Result<Factors> {
        let gaussian =
            |x: usize, mean: f64, sd: f64| (contrast * -0.5 * ((x as f64 - mean) / sd).powi(2)).exp();
        let by_age = |(years, share): (usize, &f64)| share * gaussian(years, self.age_mean, self.age_sd);
        let gender = [0.5, -0.5].map(|sign| (contrast * sign * self.ln_female).exp());
        let mut blood = base.blood;
        for (slot, code) in blood.iter_mut().zip(BLOOD_TYPES) {
            *slot *= (contrast * get(&self.ln_blood, code)?).exp();
        }
        let mut category = [0.0; 5];
        for (slot, code) in category.iter_mut().zip(BLOOD_PRESSURES) {
            *slot = (contrast * get(&self.ln_blood_pressure, code)?).exp();
        }
        let (mut pressure, mut exercise) = (base.pressure.clone(), base.exercise.clone());
        for share in pressure.iter_mut().flatten() {
            share.iter_mut().zip(category).for_each(|(s, tilt)| *s *= tilt);
        }
        for share in &mut exercise {
            let days = share.iter_mut().enumerate();
            days.for_each(|(day, s)| *s *= gaussian(day, self.exercise_mean, self.exercise_sd));
        }
        Ok(Factors {
            age: base.age.iter().enumerate().map(by_age).collect(),
            gender: [base.gender[0] * gender[0], base.gender[1] * gender[1]],
            blood,
            pressure,
            exercise,
        })
    }
}

fn get<'a, T>(map: &'a BTreeMap<String, T>, key: &str) -> Result<&'a T> {
    map.get(key).ok_or_else(|| Error::Parameters(format!("'{key}' is missing")))
}

fn normalised<const N: usize>(shares: [f64; N]) -> [f64; N] {
    let sum: f64 = shares.iter().sum();
    shares.map(|s| s / sum)
}
