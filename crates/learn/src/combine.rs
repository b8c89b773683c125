//! Two halves, one answer: a distribution over severities and the suspicion of an orphan disease.
//!
//! Each half is an expert that gives every group a probability; the pool of both is what is answered from.
//! One softmax over *groups* (a severity with a rarity) holds both halves without contradiction: its
//! marginals are the severity s(x) and the gate g(x) = P(orphan | x), its conditionals are the
//! severity given either rarity. The gate hears the prototypes too and is calibrated by itself, and the answer is
//! (1 - h) s(x | common) + h s(x | orphan), so that more evidence of an orphan disease never lowers
//! the alarm and always moves the severity towards what orphan diseases do.

use serde::{Deserialize, Serialize};

use crate::abstain::Abstention;
use crate::alarm::Alarm;
use crate::calibrate::Temperature;
use crate::fewshot::Heard;
use crate::gate::Gate;
use crate::pool::Pool;
use crate::{Error, Result};

/// A severity with a rarity: one class of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Group {
    /// Position among the study's severities.
    pub severity: usize,
    pub orphan: bool,
}

/// One disease of a cohort, or the absence of one: what the few-shot half tells apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disease {
    /// Position of its group among [`Classes::groups`].
    pub group: usize,
    pub orphan: bool,
    /// `ICD-10:I10`, `ORPHA:586`; none where the records do not say.
    pub code: Option<String>,
}

/// The classes of a study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// Number of severities, K >= 2.
    pub severities: usize,
    /// The severity of a patient without a disease, which an alarm excludes; none where the study
    /// has no such class.
    pub healthy: Option<usize>,
    /// The model's classes, in the order of the counts' columns; each once.
    pub groups: Vec<Group>,
}

impl Classes {
    /// # Errors
    /// When a severity is out of range or a group stands twice.
    pub fn check(&self) -> Result<()> {
        let invalid = |why: &str| Err(Error::Invalid(format!("the classes of the model: {why}")));
        if self.severities < 2 || self.groups.len() < 2 {
            return invalid("at least two severities and two groups are needed");
        }
        if self
            .groups
            .iter()
            .map(|group| group.severity)
            .chain(self.healthy)
            .any(|severity| severity >= self.severities)
        {
            return invalid("a severity is out of range");
        }
        let mut seen = self.groups.clone();
        seen.sort_by_key(|group| (group.severity, group.orphan));
        seen.dedup();
        if seen.len() != self.groups.len() {
            return invalid("a group stands twice");
        }
        Ok(())
    }

    /// Numbers of one answer: the severities, then the orphan probability.
    pub fn outputs(&self) -> usize {
        self.severities + 1
    }
}

/// The answer's rule: opinions in, displayed probabilities out. The opinions on one patient are the boosters'
/// margins of the groups, the profiles' margins of the groups, and the prototypes' rarity margin; see [`opinions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Combination {
    pub classes: Classes,
    pub pool: Pool,
    pub temperature: Temperature,
    pub gate: Gate,
    pub alarm: Alarm,
    /// None of a model that answers everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abstention: Option<Abstention>,
    /// What each member's margins of the groups fall by before members are pooled: the synthetic cases that it was
    /// trained on made the groups that much more frequent. Empty without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shifts: Vec<Vec<f64>>,
}

impl Combination {
    /// The calibrated orphan probability, h, of one patient.
    pub fn orphan(&self, opinions: &[f64]) -> f64 {
        let (g, r) = self.rarity(opinions);
        self.calibrated(g, r)
    }

    /// The two scores of the gate: the pooled orphan probability and the prototypes' margin.
    pub fn rarity(&self, opinions: &[f64]) -> (f64, f64) {
        (self.orphan_share(&self.distribution(opinions)), rarity_margin(opinions))
    }

    /// How far the few-shot half is heard: its profiles in the pool, its prototypes in the gate.
    pub fn heard(&self) -> Heard {
        let profiles = self.pool.weights.get(1).copied().unwrap_or_default();
        Heard { profiles, prototypes: self.gate.prototypes }
    }

    /// The calibrated distribution over the groups.
    fn distribution(&self, opinions: &[f64]) -> Vec<f64> {
        let mut pooled = vec![0.0; self.classes.groups.len()];
        self.pool.apply(opinions, &mut pooled);
        let mut p = vec![0.0; pooled.len()];
        self.temperature.apply(&pooled, &mut p);
        p
    }

    fn orphan_share(&self, p: &[f64]) -> f64 {
        p.iter().zip(&self.classes.groups).filter(|(_, group)| group.orphan).map(|(p, _)| p).sum()
    }

    fn calibrated(&self, g: f64, r: f64) -> f64 {
        match self.classes.groups.iter().any(|group| group.orphan) {
            true => self.gate.apply(g, r).clamp(0.0, 1.0),
            false => 0.0,
        }
    }

    /// Whether an orphan probability raises the alarm.
    pub fn alarmed(&self, orphan: f64) -> bool {
        self.alarm.threshold.is_some_and(|threshold| orphan >= threshold)
    }

    /// The displayed probabilities: K severities, which sum to 1, then the orphan probability. An
    /// alarmed patient is not called healthy: the severities are renormalised without that class.
    /// `raised`: a disease that was first seen after training alarms the patient by itself; then the orphan
    /// probability is shown as at least the threshold. `answer` has room for K + 1 numbers.
    pub fn answer(&self, opinions: &[f64], raised: bool, answer: &mut [f64]) {
        let orphan = self.mix(opinions, raised, answer);
        self.exclude_healthy(orphan, answer);
    }

    /// What an alarm does to the severities.
    pub fn without_healthy(&self, severities: &mut [f64]) {
        if let Some(healthy) = self.classes.healthy.and_then(|healthy| severities.get_mut(healthy)) {
            *healthy = 0.0;
            normalise(severities);
        }
    }

    /// The same without the alarm's effect on the severities.
    pub fn answer_without_alarm(&self, opinions: &[f64], raised: bool, answer: &mut [f64]) {
        self.mix(opinions, raised, answer);
    }

    /// Both at once: as [`Combination::answer`], and without the alarm's effect.
    pub fn answer_both(&self, opinions: &[f64], raised: bool, with: &mut [f64], without: &mut [f64]) {
        let orphan = self.mix(opinions, raised, without);
        with.copy_from_slice(without);
        self.exclude_healthy(orphan, with);
    }

    fn exclude_healthy(&self, orphan: f64, answer: &mut [f64]) {
        if self.alarmed(orphan) {
            self.without_healthy(answer.get_mut(..self.classes.severities).unwrap_or_default());
        }
    }

    /// The share of each severity's probability that orphan diseases have, before the alarm: with
    /// [`Combination::answer_without_alarm`] the probability of every severity with either rarity. `shares` has
    /// room for K numbers.
    pub fn orphan_shares(&self, opinions: &[f64], raised: bool, shares: &mut [f64]) {
        let mut joint = vec![0.0; 2 * self.classes.severities];
        self.joint(opinions, raised, &mut joint);
        for (share, pair) in shares.iter_mut().zip(joint.chunks_exact(2)) {
            let sum = pair.iter().sum::<f64>();
            *share = if sum > 0.0 { pair.last().copied().unwrap_or_default() / sum } else { 0.0 };
        }
    }

    fn mix(&self, opinions: &[f64], raised: bool, answer: &mut [f64]) -> f64 {
        let k = self.classes.severities;
        let mut joint = vec![0.0; 2 * k];
        let h = self.joint(opinions, raised, &mut joint);
        answer.fill(0.0);
        for (place, pair) in answer.iter_mut().zip(joint.chunks_exact(2)) {
            *place = pair.iter().sum();
        }
        normalise(answer.get_mut(..k).unwrap_or_default());
        if let Some(place) = answer.get_mut(k) {
            *place = h;
        }
        h
    }

    /// Each severity with either rarity, `[severity][common, orphan]`; answers the calibrated orphan probability.
    fn joint(&self, opinions: &[f64], raised: bool, joint: &mut [f64]) -> f64 {
        let p = self.distribution(opinions);
        let mut h = self.calibrated(self.orphan_share(&p), rarity_margin(opinions));
        if raised {
            h = h.max(self.alarm.threshold.unwrap_or(0.0)).min(1.0);
        }
        let total = |orphan: bool| -> f64 {
            p.iter()
                .zip(&self.classes.groups)
                .filter(|(_, group)| group.orphan == orphan)
                .map(|(p, _)| p)
                .sum()
        };
        let (common, orphan) = (total(false), total(true));
        for (p, group) in p.iter().zip(&self.classes.groups) {
            let share = match group.orphan {
                true if orphan > 0.0 => h * p / orphan,
                false if common > 0.0 => (1.0 - h) * p / common,
                _ => 0.0,
            };
            if let Some(place) = joint.get_mut(2 * group.severity + usize::from(group.orphan)) {
                *place += share;
            }
        }
        h
    }
}

/// The prototypes' margin stands last.
fn rarity_margin(opinions: &[f64]) -> f64 {
    opinions.last().copied().unwrap_or_default()
}

/// Makes the numbers sum to 1, where they sum to anything.
fn normalise(p: &mut [f64]) {
    let sum = p.iter().sum::<f64>();
    if sum > 0.0 {
        p.iter_mut().for_each(|p| *p /= sum);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alarm::Rule;
    use crate::calibrate::Platt;

    fn combination(platt: Platt, threshold: Option<f64>) -> Combination {
        let groups = [(0, false), (1, false), (2, false), (3, false), (1, true), (3, true)];
        Combination {
            classes: Classes {
                severities: 4,
                healthy: Some(0),
                groups: groups.map(|(severity, orphan)| Group { severity, orphan }).to_vec(),
            },
            pool: Pool::first(2),
            temperature: Temperature::IDENTITY,
            gate: Gate { platt, prototypes: 0.5 },
            alarm: Alarm { rule: Rule::default(), positives: 50, index: 10, threshold },
            abstention: None,
            shifts: Vec::new(),
        }
    }

    /// Of one expert that is heard, one that is not, and prototypes without an opinion.
    fn opinions(margins: &[f64]) -> Vec<f64> {
        margins.iter().chain(&[-1.0; 6]).chain(&[0.0]).copied().collect()
    }

    fn answer(combination: &Combination, margins: &[f64]) -> [f64; 5] {
        let mut out = [0.0; 5];
        combination.answer(&opinions(margins), false, &mut out);
        out
    }

    #[test]
    fn an_uncalibrated_answer_is_the_marginal_of_the_groups() {
        let p: [f64; 6] = [0.4, 0.2, 0.1, 0.15, 0.05, 0.1];
        let got = answer(&combination(Platt::IDENTITY, None), &p.map(f64::ln));
        for (got, expected) in got.iter().zip([0.4, 0.25, 0.1, 0.25, 0.15]) {
            assert!((got - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn an_alarm_excludes_healthy_and_keeps_the_orphan_probability() {
        let p: [f64; 6] = [0.4, 0.2, 0.1, 0.15, 0.05, 0.1];
        let got = answer(&combination(Platt::IDENTITY, Some(0.1)), &p.map(f64::ln));
        for (got, expected) in got.iter().zip([0.0, 0.25 / 0.6, 0.1 / 0.6, 0.25 / 0.6, 0.15]) {
            assert!((got - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_new_disease_alarms_at_the_threshold_and_prototypes_move_the_gate() {
        let combination = combination(Platt::IDENTITY, Some(0.3));
        let margins = [0.4f64, 0.2, 0.1, 0.15, 0.05, 0.1].map(f64::ln);
        let (mut raised, mut closer) = ([0.0; 5], opinions(&margins));
        combination.answer(&opinions(&margins), true, &mut raised);
        assert_eq!((raised[0], raised[4]), (0.0, 0.3));
        *closer.last_mut().unwrap() = 2.0;
        assert!(combination.orphan(&closer) > combination.orphan(&opinions(&margins)) + 0.1);
    }

    proptest! {
        #[test]
        fn answers_are_distributions(
            margins in proptest::collection::vec(-30.0f64..30.0, 6),
            slope in 0.2f64..3.0,
            intercept in -3.0f64..3.0,
            threshold in proptest::option::of(0.0f64..1.0),
        ) {
            let combination = combination(Platt { slope, intercept }, threshold);
            let got = answer(&combination, &margins);
            prop_assert!((got[..4].iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(got.iter().all(|p| (0.0..=1.0).contains(p)));
            prop_assert_eq!(got[4], combination.orphan(&opinions(&margins)));
        }

        #[test]
        fn shares_split_every_severity_and_add_up_to_the_orphan_probability(
            margins in proptest::collection::vec(-8.0f64..8.0, 6),
            slope in 0.2f64..3.0,
        ) {
            let combination = combination(Platt { slope, intercept: -0.3 }, None);
            let (mut shown, mut shares) = ([0.0; 5], [0.0; 4]);
            combination.answer_without_alarm(&opinions(&margins), false, &mut shown);
            combination.orphan_shares(&opinions(&margins), false, &mut shares);
            prop_assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
            prop_assert_eq!((shares[0], shares[2]), (0.0, 0.0), "nobody healthy or acute has an orphan disease here");
            let orphan: f64 = shown.iter().zip(shares).map(|(p, share)| p * share).sum();
            prop_assert!((orphan - shown[4]).abs() < 1e-9);
        }

        #[test]
        fn more_orphan_evidence_never_lowers_the_orphan_probability(
            margins in proptest::collection::vec(-8.0f64..8.0, 6),
            group in 4usize..6,
            more in 0.0f64..5.0,
        ) {
            let combination = combination(Platt { slope: 1.3, intercept: 0.2 }, Some(0.2));
            let before = combination.orphan(&opinions(&margins));
            let mut margins = margins;
            margins[group] += more;
            prop_assert!(combination.orphan(&opinions(&margins)) >= before - 1e-12);
        }
    }
}
