//! Checking every possible patient of a finished model: what no sample of patients could show.
//!
//! Always asked: that every answer is a proper distribution. Beyond that a study declares what it asks
//! ([`clinical::study::Verification`]): how far neighbours may be apart, which probabilities keep a direction, how
//! unlike the answers to groups of people may be, and how far an answer may depend on one code alone. Everything is
//! computed on all possible patients; the cohort's people weigh them where people are counted.

mod groups;
mod neighbours;
mod proper;
mod swaps;

use clinical::study::{Direction, GroupLimits, Limit, SwapLimits, Verification as Declared};
use serde::{Deserialize, Serialize};

pub use groups::{GroupShares, Groups, Spread};
pub use neighbours::{Jump, Jumps, MonotoneSteps};
pub use proper::Proper;
pub use swaps::{Swap, SwapPair, Swaps};

use crate::Result;
use crate::answers::{Answers, People};

/// How many of the worst cases are named.
const NAMED: usize = 5;

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Possible patients checked: all of them.
    pub patients: usize,
    /// People of the cohort that weigh them.
    pub people: u64,
    #[serde(flatten)]
    pub proper: Proper,
    /// Between neighbours along a number, with the same alarm.
    pub jumps: Jumps,
    /// Between neighbours along a category, with the same alarm.
    pub category_jumps: Jumps,
    /// Between neighbours of whom one is alarmed.
    pub jumps_across_alarm: Jumps,
    /// The study's declared directions, in its order.
    pub monotone: Vec<MonotoneSteps>,
    /// By each of the study's features for it.
    pub groups: Vec<Groups>,
    /// By each of the study's features for it.
    pub swaps: Vec<Swaps>,
    /// The study's declared limits, and how the model stands to them.
    pub bounds: Vec<Bound>,
    /// Every answer is proper, and no gate among the limits is exceeded.
    pub holds: bool,
}

/// A declared limit with what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    pub kind: Limited,
    /// The feature by which, where there is one.
    pub feature: Option<String>,
    /// The probability that keeps a direction: a severity's code, or `orphan`.
    pub output: Option<String>,
    /// The same three in English words.
    pub what: String,
    pub found: f64,
    pub at_most: f64,
    /// Whether exceeding it fails the verification.
    pub gate: bool,
    pub holds: bool,
}

/// What a study may limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limited {
    Jump,
    CategoryJump,
    JumpAcrossAlarm,
    /// A probability that must not fall as a feature rises.
    Fall,
    /// A probability that must not rise as a feature rises.
    Rise,
    AlarmRate,
    AlarmRatio,
    OrphanProbability,
    SeverityShare,
    StatusChanged,
    AlarmChanged,
    MeanChange,
    LargestChange,
}

impl Limited {
    fn what(self, feature: &str, output: &str) -> String {
        match self {
            Limited::Jump => "jump between neighbours along a number".to_owned(),
            Limited::CategoryJump => "jump between neighbours along a category".to_owned(),
            Limited::JumpAcrossAlarm => "jump between neighbours across the alarm".to_owned(),
            Limited::Fall => format!("fall of p({output}) as {feature} rises"),
            Limited::Rise => format!("rise of p({output}) as {feature} rises"),
            Limited::AlarmRate => format!("difference of the alarm rate between groups by {feature}"),
            Limited::AlarmRatio => format!("ratio of the alarm rate between groups by {feature}"),
            Limited::OrphanProbability => {
                format!("difference of the mean orphan probability between groups by {feature}")
            }
            Limited::SeverityShare => format!("difference of a severity's share between groups by {feature}"),
            Limited::StatusChanged => format!("share of people whose status another {feature} changes"),
            Limited::AlarmChanged => format!("share of people whose alarm another {feature} changes"),
            Limited::MeanChange => format!("mean change of a probability by another {feature}"),
            Limited::LargestChange => format!("largest change of a probability by another {feature}"),
        }
    }
}

/// Collects the declared limits that something was found for.
#[derive(Default)]
struct Bounds(Vec<Bound>);

impl Bounds {
    fn add(&mut self, limit: Option<Limit>, kind: Limited, feature: Option<&str>, found: Option<f64>) {
        self.add_of(limit, kind, feature, None, found);
    }

    fn add_of(
        &mut self,
        limit: Option<Limit>,
        kind: Limited,
        feature: Option<&str>,
        output: Option<&str>,
        found: Option<f64>,
    ) {
        self.0.extend(limit.zip(found).map(|(Limit { at_most, gate }, found)| Bound {
            kind,
            feature: feature.map(str::to_owned),
            output: output.map(str::to_owned),
            what: kind.what(feature.unwrap_or_default(), output.unwrap_or_default()),
            found,
            at_most,
            gate,
            holds: found <= at_most,
        }));
    }

    fn add_neighbours(&mut self, declared: &Declared, found: &neighbours::Neighbours) {
        self.add(declared.jump, Limited::Jump, None, Some(found.numbers.largest));
        self.add(declared.category_jump, Limited::CategoryJump, None, Some(found.categories.largest));
        let across = Some(found.across_alarm.largest);
        self.add(declared.jump_across_alarm, Limited::JumpAcrossAlarm, None, across);
        for steps in &found.monotone {
            let kind = match steps.direction {
                Direction::Rising => Limited::Fall,
                Direction::Falling => Limited::Rise,
            };
            let limit = Some(Limit { at_most: steps.tolerance, gate: steps.gate });
            self.add_of(limit, kind, Some(&steps.feature), Some(&steps.output), Some(steps.largest));
        }
    }

    fn add_groups(&mut self, limits: &GroupLimits, by: &Groups) {
        let feature = Some(by.feature.as_str());
        let difference = |spread: &Option<Spread>| spread.as_ref().map(|spread| spread.difference);
        self.add(limits.alarm_rate, Limited::AlarmRate, feature, difference(&by.alarm_rate));
        let ratio = by.alarm_rate.as_ref().and_then(|spread| spread.ratio);
        self.add(limits.alarm_ratio, Limited::AlarmRatio, feature, ratio);
        let orphan = difference(&by.orphan_probability);
        self.add(limits.orphan_probability, Limited::OrphanProbability, feature, orphan);
        let shares = by.severity_shares.iter().flatten().map(|spread| spread.difference);
        self.add(limits.severity_share, Limited::SeverityShare, feature, shares.max_by(f64::total_cmp));
    }

    fn add_swaps(&mut self, limits: &SwapLimits, by: &Swaps) {
        let feature = Some(by.feature.as_str());
        self.add(limits.status_changed, Limited::StatusChanged, feature, by.status_changed);
        self.add(limits.alarm_changed, Limited::AlarmChanged, feature, by.alarm_changed);
        self.add(limits.mean_change, Limited::MeanChange, feature, by.mean_change);
        self.add(limits.largest_change, Limited::LargestChange, feature, Some(by.largest_change));
    }
}

/// Checks every possible patient against what is declared: by the model's own study, or by another one that judges it. What
/// that one says of features and severities that the model does not have is left out.
///
/// # Errors
/// When `people` are those of another study.
pub fn verify(answers: &Answers<'_>, people: &People, declared: &Declared) -> Result<Verification> {
    people.require(answers.patients())?;
    let proper = proper::check(answers, people);
    let neighbours = neighbours::walk(answers, people, declared);
    let groups = groups::compare(answers, people, declared.groups.features.as_deref());
    let swaps = swaps::swap(answers, people, declared.swaps.features.as_deref());
    let mut bounds = Bounds::default();
    bounds.add_neighbours(declared, &neighbours);
    groups.iter().for_each(|by| bounds.add_groups(&declared.groups, by));
    swaps.iter().for_each(|by| bounds.add_swaps(&declared.swaps, by));
    let Bounds(bounds) = bounds;
    let holds = proper.holds() && bounds.iter().all(|bound| bound.holds || !bound.gate);
    Ok(Verification {
        patients: answers.patients(),
        people: people.total(),
        proper,
        jumps: neighbours.numbers,
        category_jumps: neighbours.categories,
        jumps_across_alarm: neighbours.across_alarm,
        monotone: neighbours.monotone,
        groups,
        swaps,
        bounds,
        holds,
    })
}

/// The largest change of a shown probability between two answers: `(output, second minus first)`, the first of equals.
fn largest_change(from: &[f64], to: &[f64]) -> (usize, f64) {
    let changes = from.iter().zip(to).map(|(from, to)| to - from).enumerate();
    changes.fold(
        (0, 0.0),
        |largest: (usize, f64), (output, change)| {
            if change.abs() > largest.1.abs() { (output, change) } else { largest }
        },
    )
}

#[cfg(test)]
mod tests;
