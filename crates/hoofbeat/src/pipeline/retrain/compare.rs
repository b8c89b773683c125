//! Compare: champion and challenger on the same patients, held against the study's limits.

use std::collections::BTreeMap;

use ::evaluate::{Contrast, Figures, Metric};
use anyhow::Result;
use clinical::Study;
use clinical::study::Cycle;
use learn::answers::Answers;
use learn::difference::{self, Extent};
use prepare::{Cohort, Set};
use serde::Serialize;
use serde_json::Value;

use super::making::Mode;
use crate::pipeline::evaluate;
use crate::pipeline::score::Scorer;
use crate::pipeline::verify;

/// A champion and its challenger side by side.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// Figures of both, by name.
    pub compared: BTreeMap<String, Pair>,
    /// The study's limits on the difference.
    pub limits: Vec<Limit>,
    /// Whose answers change; none of models without a table, and of models that are asked different questions.
    pub difference: Option<Changed>,
    /// The champion's figures on the patients that the challenger was measured on.
    #[serde(skip)]
    pub champion: Option<Figures>,
}

/// One figure of the champion and of the challenger.
#[derive(Debug, Serialize)]
pub struct Pair {
    pub champion: Option<f64>,
    pub challenger: Option<f64>,
    /// Challenger less champion, with its paired 95 % interval.
    pub difference: ::evaluate::Figure,
}

/// One limit, whether it holds, and why, in a sentence.
#[derive(Debug, Clone, Serialize)]
pub struct Limit {
    pub limit: &'static str,
    pub holds: bool,
    pub because: String,
}

/// Whose shown severity or alarm changes.
#[derive(Debug, Clone, Serialize)]
pub struct Changed {
    /// Possible patients, and people of the cohort.
    pub all: Extent,
    pub changed: Extent,
    pub status_changed: Extent,
    pub alarm_gained: Extent,
    pub alarm_lost: Extent,
}

impl Comparison {
    /// Compares on the validation set. Models that cannot be compared are not equal: no limit holds for them.
    /// `judge` has the margins ([`crate::deployment::Deployment::study_in_force`]).
    pub(super) fn of(mode: Mode, models: [&Scorer; 2], cohort: &Cohort, judge: &Study) -> Result<Comparison> {
        let mut plan = judge.cycle.clone();
        if mode == Mode::Orphan {
            // The alarms of new diseases cost the others something, and the study has said how much they may.
            plan.worse_by.f1_common += judge.few_shot.false_alarms;
        }
        let plan = &plan;
        let beside = match evaluate::beside(models, cohort, Set::Validation) {
            Ok(beside) => beside,
            Err(error) => return Ok(Comparison::impossible(format!("they cannot be compared: {error:#}"))),
        };
        let mut limits: Vec<Limit> =
            beside.contrasts.iter().filter_map(|contrast| not_worse(contrast, plan)).collect();
        let difference = match models.iter().all(|scorer| scorer.model().table().is_some()) {
            true => match changed(models, cohort) {
                Ok(changed) => Some(changed),
                Err(error) => {
                    return Ok(Comparison::impossible(format!("they cannot be compared: {error:#}")));
                }
            },
            false => None,
        };
        limits.extend(difference.as_ref().map(|changed| few_changed(changed, plan)));
        let pair = |contrast: &Contrast| {
            let name = serde_json::to_value(contrast.metric).ok();
            let name = name.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            let Contrast { first, second, difference, .. } = contrast.clone();
            (name, Pair { champion: first, challenger: second, difference })
        };
        let compared = beside.contrasts.iter().map(pair).collect();
        Ok(Comparison { compared, limits, difference, champion: Some(beside.first) })
    }

    fn impossible(because: String) -> Comparison {
        let limit = Limit { limit: "comparable", holds: false, because };
        Comparison { compared: BTreeMap::new(), limits: vec![limit], difference: None, champion: None }
    }

    pub(super) fn holds(&self) -> bool {
        self.limits.iter().all(|limit| limit.holds)
    }

    /// What does not hold: of the study's gates, of the verification, of the limits. Empty where all does.
    pub(super) fn because(&self, validation: &Value) -> Vec<String> {
        let gates = validation["gates"].as_array().into_iter().flatten();
        let failed = gates.filter(|gate| match gate["outcome"].as_str() {
            Some("holds") => false,
            Some("undetermined") => gate["group"].is_null(),
            _ => true,
        });
        let text = |gate: &Value| gate["because"].as_str().map(str::to_owned);
        let mut because: Vec<String> = failed.filter_map(text).collect();
        if validation["verification"]["holds"] == false {
            because.push("the verification of every possible patient does not hold".to_owned());
        }
        because.extend(self.limits.iter().filter(|limit| !limit.holds).map(|limit| limit.because.clone()));
        because
    }
}

/// The study's margin for a figure, and whether higher is better.
fn margin(metric: Metric, plan: &Cycle) -> Option<(f64, bool)> {
    let worse_by = &plan.worse_by;
    Some(match metric {
        Metric::F1Common => (worse_by.f1_common, true),
        Metric::OrphanRecall => (worse_by.orphan_recall, true),
        Metric::LogLoss => (worse_by.log_loss, false),
        Metric::CalibrationError => (worse_by.calibration_error, false),
        _ => return None,
    })
}

/// Share of a margin within which even a loss beyond chance is let pass: on many patients any difference is beyond chance.
const NEGLIGIBLE: f64 = 0.5;

/// Whether a figure is not worse: within the margin, and not proved worse by more than a negligible part of it. A figure
/// that neither model has decides nothing.
fn not_worse(contrast: &Contrast, plan: &Cycle) -> Option<Limit> {
    let (margin, higher_is_better) = margin(contrast.metric, plan)?;
    let limit = match contrast.metric {
        Metric::F1Common => "f1_common",
        Metric::OrphanRecall => "orphan_recall",
        Metric::LogLoss => "log_loss",
        _ => "calibration_error",
    };
    let metric = contrast.metric;
    let Some(apart) = contrast.difference.estimate() else {
        let lost = contrast.first.is_some() && contrast.second.is_none();
        return lost.then(|| Limit {
            limit,
            holds: false,
            because: format!("the champion has a figure of {metric} and the challenger has none"),
        });
    };
    // A calibration error is shifted by resampling itself, so its interval proves nothing.
    let proved = metric != Metric::CalibrationError;
    let (worse, best) = match higher_is_better {
        true => (-apart.value, apart.high),
        false => (apart.value, -apart.low),
    };
    let beyond = worse > margin;
    let surely = proved && best < 0.0 && worse > NEGLIGIBLE * margin;
    let verdict = match (beyond, surely) {
        (true, _) => format!("more than {margin} worse"),
        (false, true) => "worse beyond chance".to_owned(),
        (false, false) => format!("not worse by more than {margin}"),
    };
    let figures =
        [contrast.first, contrast.second].map(|f| f.map_or("none".to_owned(), |f| format!("{f:.4}")));
    Some(Limit {
        limit,
        holds: !beyond && !surely,
        because: format!(
            "{metric} {} after {} ({:+.4}, paired interval {:+.4} to {:+.4}): {verdict}",
            figures[1], figures[0], apart.value, apart.low, apart.high
        ),
    })
}

fn changed([first, second]: [&Scorer; 2], cohort: &Cohort) -> Result<Changed> {
    let people = verify::people(second.study(), cohort)?;
    let (before, after) = (Answers::of(first.model())?, Answers::of(second.model())?);
    let found = difference::compare(&before, &after, &people)?;
    Ok(Changed {
        all: found.all,
        changed: found.changed,
        status_changed: found.status_changed,
        alarm_gained: found.alarm_gained,
        alarm_lost: found.alarm_lost,
    })
}

fn few_changed(changed: &Changed, plan: &Cycle) -> Limit {
    let share = changed.changed.people as f64 / (changed.all.people.max(1)) as f64;
    let holds = share <= plan.changed_people;
    let word = if holds { "at most" } else { "above" };
    Limit {
        limit: "changed_people",
        holds,
        because: format!(
            "the answer changes for {} of {} people ({:.1} %): {word} {:.1} %",
            changed.changed.people,
            changed.all.people,
            100.0 * share,
            100.0 * plan.changed_people
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::evaluate::{Estimate, Figure};

    fn contrast(metric: Metric, value: f64, low: f64, high: f64) -> Contrast {
        let difference = Figure::Measured(Estimate { value, low, high, n: 100 });
        Contrast { metric, first: Some(0.8), second: Some(0.8 + value), difference }
    }

    #[test]
    fn worse_is_beyond_the_margin_or_beyond_chance() {
        let plan = Cycle::default();
        let holds = |metric, value, low, high| {
            not_worse(&contrast(metric, value, low, high), &plan).is_none_or(|limit| limit.holds)
        };
        for (metric, [value, low, high], expected) in [
            (Metric::F1Common, [0.02, 0.01, 0.03], true),
            (Metric::F1Common, [-0.005, -0.02, 0.01], true),
            (Metric::F1Common, [-0.006, -0.008, -0.001], false),
            (Metric::F1Common, [-0.004, -0.006, -0.001], true),
            (Metric::F1Common, [-0.02, -0.05, 0.01], false),
            (Metric::LogLoss, [-0.05, -0.06, -0.04], true),
            (Metric::LogLoss, [0.01, -0.01, 0.03], true),
            (Metric::LogLoss, [0.012, 0.005, 0.03], false),
            (Metric::LogLoss, [0.03, -0.01, 0.07], false),
            (Metric::MacroF1, [-0.5, -0.6, -0.4], true),
            (Metric::F1Common, [0.0, 0.0, 0.0], true),
        ] {
            assert_eq!(holds(metric, value, low, high), expected, "{metric:?} {value} {low} {high}");
        }
    }

    #[test]
    fn a_figure_that_only_the_champion_has_is_a_loss() {
        let lost = Contrast {
            metric: Metric::OrphanRecall,
            first: Some(0.8),
            second: None,
            difference: Figure::undefined("none"),
        };
        assert!(!not_worse(&lost, &Cycle::default()).unwrap().holds);
        assert!(not_worse(&Contrast { first: None, ..lost }, &Cycle::default()).is_none());
    }
}
