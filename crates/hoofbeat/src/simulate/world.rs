//! World: who comes to the hospital, and what is true of them.
//!
//! The patients are the reference cohort's: made up, no medical knowledge, and of a distribution that is known.

use anyhow::{Context, Result};
use clinical::{Patient, Rarity, Raw, Severity, Study};
use evaluate::reference::{BLOOD_TYPES, Conditional, Disease, GENDERS, Preset, SEVERITIES, Sampler, risen};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use time::{Date, Duration};

use super::plan::{Plan, What};

/// Where patients come from, with percent of them.
pub(super) const SOURCES: [(&str, u64); 3] = [("outpatients", 50), ("emergency", 30), ("ward", 20)];
/// The source with the broken device, and percent of its pairs that come exchanged.
pub(super) const DEVICE_AT: &str = "emergency";
const EXCHANGED: u64 = 30;
/// mmHg by which systolic and diastolic pressures rise.
pub(super) const RISE: [i32; 2] = [9, 6];
/// Share of the new orphan disease among who comes.
const NEW_SHARE: f64 = 0.01;
/// Percent of the patients whose outcome comes to be known without anybody asking, and the days that it takes.
const CONFIRMED: u64 = 70;
const DELAY: std::ops::Range<u64> = 7..42;
const DAYS_BEFORE: u64 = 365;
pub(super) const PRESET: Preset = Preset::Reference;

/// What a patient has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Truth {
    pub severity: Severity,
    pub rarity: Option<Rarity>,
    pub code: Option<String>,
    /// The disease that nobody has seen before.
    pub is_new: bool,
}

impl Truth {
    pub(super) fn severity_code(&self) -> &'static str {
        SEVERITIES.get(self.severity.index()).copied().unwrap_or_default()
    }

    /// Empty for healthy people.
    pub(super) fn rarity_code(&self) -> &'static str {
        self.rarity.map_or("", Rarity::code)
    }
}

/// Who came.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub number: u64,
    pub day: Date,
    pub source: &'static str,
    /// As they were sent, which is not always as they are: age, gender, blood group, both pressures, exercise.
    pub values: [i32; 6],
    pub truth: Truth,
    /// When the outcome is known without anybody asking.
    pub confirmed_on: Option<Date>,
}

impl Arrival {
    pub(super) fn gender(&self) -> &'static str {
        named(&GENDERS, self.values[1])
    }

    pub(super) fn blood_type(&self) -> &'static str {
        named(&BLOOD_TYPES, self.values[2])
    }

    /// The patient as the study takes them; none where a value is refused.
    pub(super) fn patient(&self, study: &Study) -> Option<Patient> {
        let mut inputs = 0_usize..;
        let checked = study.check(|_| match inputs.next() {
            Some(1) => Raw::Text(self.gender()),
            Some(2) => Raw::Text(self.blood_type()),
            Some(at @ 0..6) => Raw::Integer(self.values[at].into()),
            _ => Raw::Missing,
        });
        checked.ok()
    }
}

fn named(codes: &[&'static str], index: i32) -> &'static str {
    usize::try_from(index).ok().and_then(|index| codes.get(index)).copied().unwrap_or_default()
}

/// What is true of everybody for a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Era {
    pub has_new_disease: bool,
    pub has_risen: bool,
}

impl Era {
    pub(super) fn of(plan: &Plan, day: Date) -> Era {
        Era { has_new_disease: plan.is_on(What::Orphan, day), has_risen: plan.is_on(What::Pressure, day) }
    }
}

/// The diseases that there are.
#[derive(Debug, Clone)]
pub(super) struct Diseases {
    pub all: Vec<Disease>,
    /// How many of them were always there.
    known: usize,
    /// The one that is new.
    pub new: usize,
}

impl Diseases {
    /// Each of the diseases that are kept from other cohorts is some seed's new one.
    fn of_seed(seed: u64) -> Result<Diseases> {
        let all = Conditional::new(PRESET, [0, 0])?.diseases().to_vec();
        let known = Sampler::new(PRESET, false, seed)?.diseases().len();
        let kept = (all.len().saturating_sub(known)).max(1) as u64;
        Ok(Diseases { new: known + (seed % kept) as usize, known, all })
    }

    pub(super) fn new_disease(&self) -> Result<&Disease> {
        self.all.get(self.new).context("the reference cohort has no disease that is kept for the future")
    }

    /// Shares of the diseases, which need not add up to 1.
    pub(super) fn shares(&self, has_new: bool) -> Vec<f64> {
        let known: f64 = self.all.iter().take(self.known).map(|disease| disease.prior).sum();
        let of_new = known * NEW_SHARE / (1.0 - NEW_SHARE);
        let share = |(at, disease): (usize, &Disease)| match at {
            at if at < self.known => disease.prior,
            at if at == self.new && has_new => of_new,
            _ => 0.0,
        };
        self.all.iter().enumerate().map(share).collect()
    }
}

/// The stream of patients. The same seed and plan bring the same ones.
pub(super) struct World {
    plan: Plan,
    dice: ChaCha8Rng,
    /// Without and with the new disease among them.
    samplers: [Sampler; 2],
    pub diseases: Diseases,
    next: u64,
}

impl World {
    pub(super) fn new(plan: &Plan, seed: u64) -> Result<World> {
        let diseases = Diseases::of_seed(seed)?;
        let stream = |part: u64| seed.wrapping_mul(3).wrapping_add(part);
        let sampler = |has_new, part| Sampler::of_shares(PRESET, &diseases.shares(has_new), stream(part));
        Ok(World {
            plan: plan.clone(),
            dice: ChaCha8Rng::seed_from_u64(stream(2)),
            samplers: [sampler(false, 0)?, sampler(true, 1)?],
            diseases,
            next: 0,
        })
    }

    /// Those who came in the year before; their outcomes are known.
    pub(super) fn history(&mut self, patients: u64) -> Result<Vec<Arrival>> {
        let begin = self.plan.begin;
        (0..patients)
            .map(|_| {
                let day = begin - Duration::days(1 + self.below(DAYS_BEFORE) as i64);
                Ok(Arrival { confirmed_on: Some(day), ..self.arrive(day)? })
            })
            .collect()
    }

    /// Those who come on a day.
    pub(super) fn arrivals(&mut self, day: Date, patients: u32) -> Result<Vec<Arrival>> {
        (0..patients).map(|_| self.arrive(day)).collect()
    }

    fn arrive(&mut self, day: Date) -> Result<Arrival> {
        let era = Era::of(&self.plan, day);
        let drawn = self.samplers[usize::from(era.has_new_disease)].next();
        let patient = drawn.context("the reference cohort has no more patients")?;
        let disease = self.diseases.all.get(patient.disease).context("a patient has an unknown disease")?;
        let truth = Truth {
            severity: patient.severity,
            rarity: patient.rarity,
            code: disease.code.clone(),
            is_new: patient.disease == self.diseases.new,
        };
        let mut values = patient.values;
        if era.has_risen {
            [values[3], values[4]] = risen([values[3], values[4]], RISE);
        }
        // Drawn for everybody, so that whatever happens the others stay as they are.
        let (source, exchanged) = (self.source(), self.below(100) < EXCHANGED);
        let (confirmed, delay) = (self.below(100) < CONFIRMED, self.below(DELAY.end - DELAY.start));
        if exchanged && source == DEVICE_AT && self.plan.is_on(What::Device, day) {
            values.swap(3, 4);
        }
        // Nobody looks for a disease that nobody knows.
        let known = confirmed && !truth.is_new;
        let confirmed_on = known.then(|| day + Duration::days((DELAY.start + delay) as i64));
        let number = self.next;
        self.next += 1;
        Ok(Arrival { number, day, source, values, truth, confirmed_on })
    }

    fn source(&mut self) -> &'static str {
        let mut place = self.below(100);
        for (name, percent) in SOURCES {
            if place < percent {
                return name;
            }
            place -= percent;
        }
        SOURCES[0].0
    }

    /// A number below `n`, which is small: the bias of the remainder does not matter.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.dice.next_u64() % n.max(1)
    }
}
