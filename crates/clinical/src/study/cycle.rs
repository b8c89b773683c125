//! What the study lets the cycle change by itself: the predetermined plan for changes.

use serde::{Deserialize, Serialize};

use super::{Learner, Parameters};

/// The `[cycle]` stanza.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cycle {
    /// Share of the cohort's people whose shown severity or alarm a challenger may change, at most.
    pub changed_people: f64,
    /// Days for which a challenger answers unseen beside the champion before it may take its place; 0: none.
    pub shadow_days: u32,
    /// How much worse than the champion a challenger may be, on the same patients.
    pub worse_by: WorseBy,
    pub full: Full,
    pub incremental: Incremental,
}

/// How a full training finds its settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Full {
    /// Trials of a search before it; 0: none. Not stated, the study's `[search] trials`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<usize>,
    /// What learns. Not stated: in a search whichever of the study's is best, else the champion's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learner: Option<Learner>,
}

/// Margins of the comparison with the champion. Beyond a margin, or beyond half of it where the paired 95 % interval
/// excludes that it is as good, a challenger does not take its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorseBy {
    pub f1_common: f64,
    pub orphan_recall: f64,
    pub log_loss: f64,
    pub calibration_error: f64,
}

/// How an incremental training goes on from the champion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Incremental {
    /// Share of the learner's own learning rate.
    pub rate: f64,
    /// Rounds or epochs at most, on top of the champion's.
    pub rounds: usize,
    /// Rounds or epochs without a lower held-out loss that end it.
    pub early_stopping: usize,
    /// What a case counts that the champion has learned from already; a new one counts 1. At 0 old patterns are forgotten.
    pub replay: f64,
}

impl Default for Cycle {
    fn default() -> Self {
        Cycle {
            changed_people: 0.20,
            shadow_days: 0,
            worse_by: WorseBy::default(),
            full: Full::default(),
            incremental: Incremental::default(),
        }
    }
}

impl Default for WorseBy {
    fn default() -> Self {
        WorseBy { f1_common: 0.01, orphan_recall: 0.10, log_loss: 0.02, calibration_error: 0.02 }
    }
}

impl Default for Incremental {
    fn default() -> Self {
        Incremental { rate: 0.25, rounds: 200, early_stopping: 20, replay: 1.0 }
    }
}

impl Cycle {
    /// # Errors
    /// Names what is out of its range.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let share = |share: f64| (0.0..=1.0).contains(&share);
        let WorseBy { f1_common, orphan_recall, log_loss, calibration_error } = self.worse_by;
        match () {
            () if !share(self.changed_people) => Err("changed_people is a share, 0 to 1"),
            () if self.shadow_days > 365 => Err("shadow_days is 0 to 365"),
            () if ![f1_common, orphan_recall, log_loss, calibration_error].into_iter().all(share) => {
                Err("worse_by gives differences from 0 to 1")
            }
            () if self.full.trials.is_some_and(|trials| trials > 100_000) => {
                Err("full.trials is at most 100000")
            }
            () if !(self.incremental.rate > 0.0 && self.incremental.rate <= 1.0) => {
                Err("incremental.rate is a share of the learning rate, above 0 to 1")
            }
            () if !(1..=100_000).contains(&self.incremental.rounds) => {
                Err("incremental.rounds is 1 to 100000")
            }
            () if self.incremental.early_stopping == 0 => Err("incremental.early_stopping is at least 1"),
            () if !share(self.incremental.replay) => {
                Err("incremental.replay is what an old case counts, 0 to 1")
            }
            () => Ok(()),
        }
    }
}

impl Incremental {
    /// A learner's settings for going on from what it has learned.
    #[must_use]
    pub fn of(&self, parameters: &Parameters) -> Parameters {
        let (rounds, stopping) = (self.rounds, Some(self.early_stopping));
        // Cases that count less than one cannot be drawn case by case.
        let whole = self.replay == 0.0 || self.replay == 1.0;
        let mut continued = parameters.clone();
        match &mut continued {
            Parameters::Xgboost(settings) => {
                (settings.rounds, settings.early_stopping) = (rounds, stopping);
                settings.eta = rounded(settings.eta * self.rate);
                settings.subsample = if whole { settings.subsample } else { 1.0 };
            }
            Parameters::Lightgbm(settings) => {
                (settings.rounds, settings.early_stopping) = (rounds, stopping);
                settings.eta = rounded(settings.eta * self.rate);
                settings.subsample = if whole { settings.subsample } else { 1.0 };
            }
            Parameters::Mlp(settings) => {
                (settings.epochs, settings.early_stopping) = (rounds, stopping);
                settings.learning_rate = rounded(settings.learning_rate * self.rate);
            }
        }
        continued
    }
}

/// Few enough digits that JSON gives the number back.
fn rounded(number: f64) -> f64 {
    (number * 1e12).round() / 1e12
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Study;
    use crate::study::{DEFAULT_TOML, Xgboost};

    #[test]
    fn the_default_study_says_what_the_defaults_are() {
        assert_eq!(Study::default_study().cycle, Cycle::default());
        let without = DEFAULT_TOML.split("# ── The cycle").next().unwrap();
        let rest = DEFAULT_TOML.split_once("# ── Model card").unwrap().1;
        assert_eq!(Study::parse(&format!("{without}# ── Model card{rest}")).unwrap().cycle, Cycle::default());
        for wrong in [
            "changed_people = 2",
            "full = { trials = 100001 }",
            "incremental = { rate = 0 }",
            "worse_by = { f1_common = -1 }",
        ] {
            let text = format!("{without}[cycle]\n{wrong}\n# ── Model card{rest}");
            assert!(Study::parse(&text).unwrap_err().to_string().contains("[cycle]"), "{wrong}");
        }
    }

    #[test]
    fn an_incremental_training_takes_small_steps() {
        let base = Parameters::Xgboost(Xgboost { eta: 0.08, subsample: 0.8, ..Xgboost::default() });
        let Parameters::Xgboost(small) = Incremental::default().of(&base) else { panic!() };
        assert_eq!((small.eta, small.rounds, small.subsample), (0.02, 200, 0.8));
        let partly = Incremental { replay: 0.5, ..Incremental::default() };
        assert_eq!(partly.of(&base).subsample(), 1.0);
    }
}
