//! The few-shot half of a model: disease profiles, and prototypes in an embedding where the cohort
//! allows one. It gives its opinion beside the boosters', names the orphan diseases that a patient
//! resembles, and follows every confirmed case at once.

use serde::{Deserialize, Serialize};

use super::counts::{Disease as Coded, DiseaseCounts};
use super::embedding::Embedding;
use super::margins::Margins;
use super::novelty::{NoveltyAlarm, NoveltyBudget, Population};
use super::prototypes::Prototypes;
use super::training::Episodes;
use crate::combine::Disease;
use crate::prior::Prior;
use crate::profile::{Axis, Profiles, Tally};
use crate::{Matrix, Result};

/// Rarity margins are kept within this: beyond it nothing changes any more.
const SUREST: f64 = 30.0;
/// Orphan diseases that an answer names.
pub const NEAREST: usize = 3;

/// Settings of the few-shot half.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FewShotPlan {
    /// How the embedding is trained; none: profiles only.
    pub episodes: Option<Episodes>,
    /// False alarms that diseases first seen after training may raise.
    pub budget: NoveltyBudget,
    /// How frequent orphan diseases are beside each other.
    pub prior: Prior,
}

/// Patients as both learners of this half read them, row by row the same.
#[derive(Debug, Clone, Copy)]
pub struct Patients<'a> {
    /// Encoded features, `n x columns`.
    pub x: &'a Matrix<f32>,
    /// Levels of the clinical features, `n x features`.
    pub levels: &'a Matrix<u32>,
}

/// The fitted half.
#[derive(Debug, Clone, PartialEq)]
pub struct Half {
    pub profiles: Profiles,
    pub network: Option<Network>,
}

/// An embedding with the prototypes in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    pub embedding: Embedding,
    pub prototypes: Prototypes,
    pub novelty: NoveltyAlarm,
}

/// A confirmed case of an orphan disease.
#[derive(Debug, Clone, Copy)]
pub struct Confirmed<'a> {
    /// Identifies the case: the same one is never counted twice.
    pub id: &'a str,
    pub disease: &'a Disease,
    /// The patient's encoded features, one row.
    pub x: &'a Matrix<f32>,
    /// The patient's levels.
    pub levels: &'a [u32],
}

impl Half {
    /// Fits on counted cases, `n x diseases`.
    ///
    /// # Errors
    /// When the shapes do not fit each other.
    pub fn fit(
        plan: &FewShotPlan,
        seed: u64,
        axes: &[Axis],
        patients: Patients<'_>,
        counts: &Matrix<f64>,
        diseases: &[Disease],
    ) -> Result<Half> {
        let profiles = Profiles::fit(axes, patients.levels, counts, diseases, plan.prior.clone())?;
        let network = match &plan.episodes {
            Some(episodes) if learnable(counts, diseases) => {
                let coded = coded_counts(counts, diseases)?;
                let episodes = Episodes { seed, ..episodes.clone() };
                let (embedding, _) = Embedding::train(patients.x, &coded, &episodes)?;
                let prototypes = Prototypes::fit(&embedding.embed(patients.x)?, &coded)?;
                let prototypes = prototypes.weighed(plan.prior.clone());
                Some(Network { embedding, prototypes, novelty: NoveltyAlarm::none() })
            }
            _ => None,
        };
        Ok(Half { profiles, network })
    }

    /// Sets the prototypes' sharpness and open set by cases that this half has not seen.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn calibrate(&mut self, x: &Matrix<f32>, counts: &Matrix<f64>, diseases: &[Disease]) -> Result<()> {
        if let Some(network) = &mut self.network {
            let held = coded_counts(counts, diseases)?;
            if held.diseases().iter().enumerate().any(|(j, _)| held.total(j) > 0.0) {
                network.prototypes.calibrate(&network.embedding.embed(x)?, &held)?;
            }
        }
        Ok(())
    }

    /// Takes over how sure to be, as halves were calibrated by cases that they had not seen.
    pub fn adopt_sharpness(&mut self, calibrated: &[Half]) {
        let of_half = |half: &Half| half.network.as_ref().map(|network| network.prototypes.sharpness().ln());
        let logs: Vec<f64> = calibrated.iter().filter_map(of_half).collect();
        if let Some(network) = self.network.as_mut().filter(|_| !logs.is_empty()) {
            network.prototypes.set_sharpness((logs.iter().sum::<f64>() / logs.len() as f64).exp());
        }
    }

    /// What the prototypes say of patients; none without a network.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn margins(&self, x: &Matrix<f32>) -> Result<Option<Margins>> {
        let of_network = |network: &Network| network.prototypes.margins(&network.embedding.embed(x)?);
        self.network.as_ref().map(of_network).transpose()
    }

    /// Counts one confirmed case of an orphan disease, known or new; false when it was counted before. The alarms
    /// of the watched diseases are set again by [`Half::set_alarms`].
    ///
    /// # Errors
    /// When the case does not fit the half, or another case has its identifier.
    pub fn add(&mut self, case: &Confirmed<'_>) -> Result<bool> {
        if let (Some(network), Some(code)) = (&mut self.network, &case.disease.code) {
            let point = network.embedding.embed(case.x)?;
            let coded = Coded { code: code.clone(), orphan: true };
            if network.prototypes.add(&coded, case.id, &point)?.is_none() {
                return Ok(false);
            }
        }
        self.profiles.add(case.disease, case.levels, 1.0)?;
        Ok(true)
    }

    /// Codes of the diseases with an alarm of their own: the new ones, and those of [`Half::watch`].
    pub fn watched(&self) -> Vec<String> {
        let of_network =
            |network: &Network| network.prototypes.watched().map(|one| one.code.clone()).collect();
        self.network.as_ref().map(of_network).unwrap_or_default()
    }

    /// Gives these of the trained orphan diseases an alarm of their own, and no other trained one.
    pub fn watch(&mut self, codes: &[String]) {
        if let Some(network) = &mut self.network {
            network.prototypes.watch(codes);
        }
    }

    /// Sets the alarms of the watched diseases within their budget, by the training cohort. `novelty`: their margins
    /// ([`Half::say`], after the last case was added) of the patients whom `population` counts.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn set_alarms(
        &mut self,
        budget: &NoveltyBudget,
        novelty: &Matrix<f64>,
        population: &Population<'_>,
    ) -> Result<()> {
        if let Some(network) = &mut self.network {
            network.novelty = match network.prototypes.watched().next() {
                Some(_) => budget.fit(novelty, population)?,
                None => NoveltyAlarm::none(),
            };
        }
        Ok(())
    }

    /// Whether a watched disease alarms a patient with these margins, a row of [`Half::say`].
    pub fn raised(&self, novelty: &[f64]) -> bool {
        self.network.as_ref().is_some_and(|network| network.novelty.raised(novelty))
    }

    /// By how much a patient with these margins falls short of the nearest alarm of a watched disease, in log odds; none
    /// without such an alarm.
    pub fn short_of_alarm(&self, novelty: &[f64]) -> Option<f64> {
        self.network.as_ref().and_then(|network| network.novelty.short_of_alarm(novelty))
    }

    /// Codes of the orphan diseases, ascending.
    fn orphan_codes(&self) -> Vec<String> {
        let orphan = self.profiles.tallies().iter().filter(|tally| tally.disease.orphan);
        let mut codes: Vec<String> = orphan.filter_map(|tally| tally.disease.code.clone()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// Which orphan disease a patient has, if any: see [`Posterior::of`].
    pub fn posterior(&self) -> Posterior<'_> {
        let codes = self.orphan_codes();
        let place = |code: &str| codes.binary_search_by(|known| known.as_str().cmp(code)).ok();
        let tallies = self.profiles.tallies().iter().enumerate();
        let profiles = tallies.filter(|(_, tally)| tally.disease.orphan);
        let profiles = profiles.map(|(at, tally)| (at, tally.disease.code.as_deref().and_then(place)));
        let networks = self.network.iter().flat_map(|network| network.prototypes.orphans());
        Posterior {
            profiles: profiles.collect(),
            prototypes: networks.map(|disease| place(&disease.code)).collect(),
            half: self,
            joint: Vec::new(),
            p: vec![0.0; codes.len()],
            codes,
        }
    }

    /// Numbers of this half in an opinion: the profiles' margins of the groups, then the prototypes' rarity margin.
    pub fn width(groups: usize) -> usize {
        groups + 1
    }

    /// What this half says of every patient. `say(row, opinion, novelty)` is called once per patient with the numbers of
    /// [`Half::width`] (the rarity margin is 0 without prototypes), and the margin of every watched disease against the common
    /// ones: the log odds of that expert of this half which is `heard` more. Of the hard new disease of the
    /// simulated year a mean of both found less than the better one alone; which is the better one the known diseases tell.
    pub fn say(
        &self,
        groups: usize,
        heard: Heard,
        levels: &Matrix<u32>,
        margins: Option<&Margins>,
        mut say: impl FnMut(usize, &[f64], &[f64]),
    ) {
        let watched = Watched::of(self, groups, heard);
        let mut opinion = vec![0.0; Half::width(groups)];
        let mut novelty = vec![0.0; watched.tallies.len()];
        let mut joint = Vec::new();
        for (i, levels) in levels.iter_rows().enumerate() {
            let (profile, rarity) = opinion.split_at_mut(groups);
            let evidence = self.profiles.margins(levels, &mut joint, profile);
            let margin = margins.and_then(|margins| margins.rarity.get(i)).copied().unwrap_or_default();
            rarity.fill(margin.clamp(-SUREST, SUREST));
            if let Some(margins) = margins.filter(|_| !novelty.is_empty()) {
                watched.margins(&joint, profile, evidence, margins.novelty.row(i), &mut novelty);
            }
            say(i, &opinion, &novelty);
        }
    }
}

/// How far unseen cases of the known diseases gain by each expert of this half.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Heard {
    pub profiles: f64,
    pub prototypes: f64,
}

/// The watched diseases among the profiles.
struct Watched {
    /// Whether the profiles say the margins, or else the prototypes.
    by_profiles: bool,
    /// Positions of each one's tallies: one per severity that it has.
    tallies: Vec<Vec<usize>>,
    /// Which groups are not orphan.
    common: Vec<bool>,
}

impl Watched {
    fn of(half: &Half, groups: usize, heard: Heard) -> Watched {
        let all = half.profiles.tallies();
        let of_code = |code: &str| {
            let its = |tally: &Tally| tally.disease.orphan && tally.disease.code.as_deref() == Some(code);
            all.iter().enumerate().filter(|(_, tally)| its(tally)).map(|(at, _)| at).collect()
        };
        let mut common = vec![false; groups];
        for tally in all.iter().filter(|tally| !tally.disease.orphan) {
            common.iter_mut().skip(tally.disease.group).take(1).for_each(|common| *common = true);
        }
        let by_profiles = heard.profiles >= heard.prototypes;
        Watched { by_profiles, tallies: half.watched().iter().map(|code| of_code(code)).collect(), common }
    }

    /// `joint`, `groups` and `evidence` are what the profiles say of a patient; `prototypes` what those say.
    fn margins(&self, joint: &[f64], groups: &[f64], evidence: f64, prototypes: &[f64], margins: &mut [f64]) {
        let common: f64 =
            groups.iter().zip(&self.common).filter(|(_, common)| **common).map(|(ln, _)| ln.exp()).sum();
        let common = evidence + common.max(f64::MIN_POSITIVE).ln();
        for ((margin, tallies), by_prototypes) in margins.iter_mut().zip(&self.tallies).zip(prototypes) {
            if !self.by_profiles {
                *margin = *by_prototypes;
                continue;
            }
            let of_disease = tallies.iter().filter_map(|&at| joint.get(at));
            let highest = of_disease.clone().copied().fold(f64::NEG_INFINITY, f64::max);
            *margin = match highest.is_finite() {
                true => highest + of_disease.map(|log| (log - highest).exp()).sum::<f64>().ln() - common,
                false => *by_prototypes,
            };
        }
    }
}

/// P(disease | patient, orphan), the mean of what profiles and prototypes say.
#[derive(Debug)]
pub struct Posterior<'a> {
    half: &'a Half,
    codes: Vec<String>,
    /// The orphan diseases' positions among the profiles, and their codes' positions in `codes`.
    profiles: Vec<(usize, Option<usize>)>,
    /// The same of the prototypes, in their order.
    prototypes: Vec<Option<usize>>,
    joint: Vec<f64>,
    p: Vec<f64>,
}

impl Posterior<'_> {
    /// Codes of the orphan diseases, in the order of [`Posterior::of`].
    pub fn codes(&self) -> &[String] {
        &self.codes
    }

    /// One probability per code. They sum to 1 at most; the rest is a disease that nobody has seen, or one without
    /// a code. `margins` and `row`: what the half's prototypes say of the patient, and where.
    pub fn of(&mut self, levels: &[u32], margins: Option<&Margins>, row: usize) -> &[f64] {
        let experts = if self.half.network.is_some() { 2.0 } else { 1.0 };
        self.half.profiles.joint(levels, &mut self.joint);
        let log = |at: usize| self.joint.get(at).copied().unwrap_or(f64::NEG_INFINITY);
        let highest = self.profiles.iter().map(|(at, _)| log(*at)).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = self.profiles.iter().map(|(at, _)| (log(*at) - highest).exp()).sum();
        self.p.fill(0.0);
        for (at, place) in &self.profiles {
            if let Some(p) = place.and_then(|place| self.p.get_mut(place)) {
                *p += (log(*at) - highest).exp() / total / experts;
            }
        }
        if let Some(margins) = margins {
            for (place, said) in self.prototypes.iter().zip(margins.posterior.row(row)) {
                if let Some(p) = place.and_then(|place| self.p.get_mut(place)) {
                    *p += f64::from(*said) / experts;
                }
            }
        }
        &self.p
    }
}

/// An embedding needs two diseases with two cases each, and prototypes something that is not orphan.
fn learnable(counts: &Matrix<f64>, diseases: &[Disease]) -> bool {
    let total = |disease: usize| counts.iter_rows().filter_map(|row| row.get(disease)).sum::<f64>();
    let totals: Vec<f64> = (0..diseases.len()).map(total).collect();
    let several = totals.iter().filter(|total| **total >= 2.0).count() >= 2;
    let has = |orphan: bool| {
        diseases.iter().zip(&totals).any(|(disease, total)| disease.orphan == orphan && *total > 0.0)
    };
    several && has(false) && has(true)
}

/// Counts by code. Severities of one disease are one disease; what has no code is known by its group.
fn coded_counts(counts: &Matrix<f64>, diseases: &[Disease]) -> Result<DiseaseCounts> {
    let code = |disease: &Disease| {
        let code = disease.code.clone().unwrap_or_else(|| format!("group {}", disease.group));
        // Apart, should records call a disease orphan here and common there.
        if disease.orphan { code } else { format!("common {code}") }
    };
    let mut coded: Vec<Coded> = Vec::new();
    let mut column = Vec::with_capacity(diseases.len());
    for disease in diseases {
        let code = code(disease);
        column.push(match coded.iter().position(|known| known.code == code) {
            Some(position) => position,
            None => {
                coded.push(Coded { code, orphan: disease.orphan });
                coded.len() - 1
            }
        });
    }
    let column = &column;
    let entries = counts.iter_rows().enumerate().flat_map(|(row, cases)| {
        let seen = column.iter().zip(cases).filter(|(_, cases)| **cases > 0.0);
        seen.map(move |(column, cases)| (*column, row, *cases))
    });
    DiseaseCounts::new(coded, counts.rows(), entries)
}
