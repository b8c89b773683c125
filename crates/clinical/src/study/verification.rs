//! What the study asks of a model's answers to every possible patient, beyond being proper distributions.

use serde::{Deserialize, Serialize};

use super::{Feature, Kind, SeverityClass, StudyError, parse::invalid};

/// A limit on something that verification finds. A model beyond a gate fails; a limit that is no gate is reported.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub at_most: f64,
    #[serde(default)]
    pub gate: bool,
}

/// The `[verification]` stanza; nothing is asked where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Verification {
    /// Change of a shown probability between neighbours: possible patients that differ by one in one number.
    pub jump: Option<Limit>,
    /// The same between neighbouring levels of a category, which are further apart in life.
    pub category_jump: Option<Limit>,
    /// The same where one of the two neighbours is alarmed and the other not: an alarm excludes the first severity, so
    /// the others jump.
    pub jump_across_alarm: Option<Limit>,
    pub monotone: Vec<Monotone>,
    pub groups: GroupLimits,
    pub swaps: SwapLimits,
}

/// A direction that a shown probability must keep along a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Monotone {
    /// A severity's code, or `orphan`.
    pub output: String,
    /// A number or a category.
    pub feature: String,
    pub direction: Direction,
    /// Steps against the direction up to this are let pass.
    #[serde(default)]
    pub tolerance: f64,
    #[serde(default)]
    pub gate: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// As the feature rises, the probability must not fall.
    Rising,
    /// As the feature rises, the probability must not rise.
    Falling,
}

/// How far apart the answers to groups of the cohort's people may be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupLimits {
    /// The features whose groups are compared; every code and number where it is not given.
    pub features: Option<Vec<String>>,
    /// Largest difference between two groups' shares of alarmed people.
    pub alarm_rate: Option<Limit>,
    /// Largest share of alarmed people over the smallest.
    pub alarm_ratio: Option<Limit>,
    /// Largest difference between two groups' mean orphan probability.
    pub orphan_probability: Option<Limit>,
    /// Largest difference between two groups' shares of people who are shown a severity.
    pub severity_share: Option<Limit>,
}

/// How much an answer may depend on one code alone: the same possible patient with another code of one feature.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SwapLimits {
    /// The features that are swapped; every code where it is not given.
    pub features: Option<Vec<String>>,
    /// Share of the cohort's people whose shown severity changes.
    pub status_changed: Option<Limit>,
    /// Share of the cohort's people whose alarm is raised or silenced.
    pub alarm_changed: Option<Limit>,
    /// Mean over the cohort's people of the largest change of a shown probability.
    pub mean_change: Option<Limit>,
    /// Largest change of a shown probability among all possible patients.
    pub largest_change: Option<Limit>,
}

impl Verification {
    /// # Errors
    /// Names what the study does not have, or a limit that is none.
    pub(super) fn check(&self, features: &[Feature], severities: &[SeverityClass]) -> Result<(), StudyError> {
        let of = |name: &str| features.iter().find(|feature| feature.name == name);
        let is_code = |feature: &Feature| matches!(feature.kind, Kind::Code(_));
        for monotone in &self.monotone {
            let place = "[[verification.monotone]]";
            if of(&monotone.feature).is_none_or(is_code) {
                return Err(invalid(place, format!("`{}` is no number or category", monotone.feature)));
            }
            if monotone.output != "orphan" && severities.iter().all(|class| class.code != monotone.output) {
                return Err(invalid(
                    place,
                    format!("`{}` is neither a severity nor `orphan`", monotone.output),
                ));
            }
            if !(0.0..1.0).contains(&monotone.tolerance) {
                return Err(invalid(place, "`tolerance` is at least 0 and below 1"));
            }
        }
        let groups = self.groups.features.iter().flatten();
        if let Some(unknown) = groups.into_iter().find(|name| of(name).is_none()) {
            return Err(invalid("[verification.groups]", format!("`{unknown}` is no feature")));
        }
        let swaps = self.swaps.features.iter().flatten();
        if let Some(other) = swaps.into_iter().find(|name| !of(name).is_some_and(is_code)) {
            return Err(invalid("[verification.swaps]", format!("`{other}` is no feature with codes")));
        }
        let limits = self.limits();
        if limits.iter().flatten().any(|limit| !(limit.at_most >= 0.0 && limit.at_most.is_finite())) {
            return Err(invalid("[verification]", "`at_most` is a number that is not negative"));
        }
        Ok(())
    }

    fn limits(&self) -> [Option<Limit>; 11] {
        let Verification { jump, category_jump, jump_across_alarm, groups, swaps, .. } = self;
        [
            *jump,
            *category_jump,
            *jump_across_alarm,
            groups.alarm_rate,
            groups.alarm_ratio,
            groups.orphan_probability,
            groups.severity_share,
            swaps.status_changed,
            swaps.alarm_changed,
            swaps.mean_change,
            swaps.largest_change,
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::Study;
    use crate::study::DEFAULT_TOML;

    /// The default study with another stanza of this name.
    fn with(stanza: &str) -> Result<Study, String> {
        let before = DEFAULT_TOML.split("[verification").next().unwrap();
        let after = DEFAULT_TOML.split("# ── Targets and gates").nth(1).unwrap();
        Study::parse(&format!("{before}{stanza}\n# ── Targets and gates{after}"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_asked_where_nothing_is_said() {
        let study = with("").unwrap();
        assert_eq!(study.verification, super::Verification::default());
        let study = with("[verification]\njump = { at_most = 0.5 }").unwrap();
        assert_eq!(study.verification.jump, Some(super::Limit { at_most: 0.5, gate: false }));
    }

    #[test]
    fn what_the_study_does_not_have_is_refused_with_its_place() {
        let monotone = |output: &str, feature: &str| {
            format!(
                "[[verification.monotone]]\noutput = \"{output}\"\nfeature = \"{feature}\"\ndirection = \"rising\""
            )
        };
        assert!(with(&monotone("chronic", "blood_pressure")).is_ok());
        assert!(with(&monotone("orphan", "age")).is_ok());
        for (stanza, place) in [
            (monotone("chronic", "gender"), "`gender` is no number or category"),
            (monotone("chronic", "pulse"), "`pulse`"),
            (monotone("dead", "age"), "`dead`"),
            ("[verification.groups]\nfeatures = [\"pulse\"]".to_owned(), "[verification.groups]"),
            ("[verification.swaps]\nfeatures = [\"age\"]".to_owned(), "[verification.swaps]"),
            ("[verification]\njump = { at_most = -1.0 }".to_owned(), "at_most"),
            ("[verification]\njump = { at_least = 1.0 }".to_owned(), "at_least"),
        ] {
            let error = with(&stanza).unwrap_err();
            assert!(error.contains(place), "{error}");
        }
    }
}
