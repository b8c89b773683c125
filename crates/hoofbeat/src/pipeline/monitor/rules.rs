//! From figures to alerts: every rule that was looked at, with its light. Red is an alert, amber a warning, green ends an
//! alert, grey says nothing.

use evaluate::drift::Drift;
use evaluate::{Estimate, Figure, InTheLarge, Light};
use serde::Serialize;
use serde_json::{Value, json};

use super::Report;
use super::drift::{About, Comparison};
use super::performance::Measured;
use super::quality::{Share, SourceQuality};

/// Difference of a severity's share from what was promised, from which on it matters.
const APART: f64 = 0.05;
/// The same for the orphan diseases, as a ratio: they are few.
const TIMES: f64 = 1.5;
/// Cases that a ratio needs.
const FEWEST: f64 = 9.0;
/// Chance of a false alarm over all classes of one look.
const ALPHA: f64 = 0.05;

/// The adjusted p-value of a change from which on it is an alert and no warning.
const CERTAIN: f64 = 0.01;
/// Rules of drift.
pub(super) const DRIFT_FEATURE: &str = "drift.feature";
pub(super) const DRIFT_ANSWER: &str = "drift.answer";

/// One rule about one subject.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    pub rule: &'static str,
    pub subject: String,
    pub light: Light,
    /// One sentence with counts and shares, no patient's value.
    pub message: String,
    pub detail: Value,
}

/// Every rule of a report.
pub(super) fn check(report: &Report) -> Vec<Checked> {
    let mut all: Vec<Checked> = report.drift.comparisons.iter().map(drift).collect();
    if let Some(measured) = &report.performance.arrived {
        all.extend(performance(measured, report));
        all.extend(measured.calibration.iter().map(|class| calibration(class, measured.calibration.len())));
    }
    for source in &report.quality.sources {
        all.extend(quality(source, report));
    }
    all
}

/// What a comparison means for an alert. The false discovery rate of a comparison is that of one look; a hospital that
/// looks every week has fifty chances a year to be called for nothing, so an alert asks for more than a warning does.
pub(super) fn drift_light(one: &Comparison) -> Light {
    match one.change.drift {
        Drift::Notable | Drift::Major if one.change.p_adjusted > CERTAIN => Light::Amber,
        Drift::Few => Light::Grey,
        Drift::Stable => Light::Green,
        Drift::Slight => Light::Amber,
        Drift::Notable | Drift::Major => Light::Red,
    }
}

fn drift(one: &Comparison) -> Checked {
    let change = &one.change;
    let rule = if one.about == About::Answer { DRIFT_ANSWER } else { DRIFT_FEATURE };
    Checked {
        rule,
        subject: one.subject(),
        light: drift_light(one),
        message: format!(
            "{} of {} differs from the training cohort: distance {:.3}, PSI {:.3}, adjusted p {:.4}, {} patients",
            one.name, one.group, change.distance, change.psi, change.p_adjusted, change.window
        ),
        detail: json!({
            "group": one.group, "name": one.name, "about": one.about, "distance": change.distance, "psi": change.psi,
            "p_adjusted": change.p_adjusted, "drift": change.drift, "patients": change.window,
        }),
    }
}

fn performance(measured: &Measured, report: &Report) -> [Checked; 2] {
    let targets = &report.performance.targets;
    let one = |rule, name: &str, figure: &Figure, target: f64, light| {
        let estimate = figure.estimate();
        Checked {
            rule,
            subject: "arrived".to_owned(),
            light,
            message: match estimate {
                Some(Estimate { value, low, high, n }) => format!(
                    "{name} of confirmed cases is {value:.3} ({low:.3} to {high:.3}, n = {n}); the target is {target}"
                ),
                None => format!("{name} of confirmed cases is not defined"),
            },
            detail: json!({ "figure": estimate, "target": target }),
        }
    };
    let (figures, lights) = (&measured.figures, &measured.lights);
    [
        one(
            "performance.f1_common",
            "F1 of the common diseases",
            &figures.f1_common,
            targets.f1_common,
            lights.f1_common,
        ),
        one(
            "performance.orphan_recall",
            "orphan recall",
            &figures.orphan_recall,
            targets.orphan_recall,
            lights.orphan_recall,
        ),
    ]
}

/// How many patients of a class there were, beside the promised number.
fn calibration(class: &InTheLarge, classes: usize) -> Checked {
    let (observed, expected) = (class.observed as f64, class.expected);
    let matters = if class.class == "orphan" {
        let (few, many) = (observed.min(expected), observed.max(expected));
        many >= FEWEST && many >= TIMES * few
    } else {
        (observed - expected).abs() >= APART * class.patients as f64
    };
    let light = match (class.p * classes as f64 <= ALPHA, matters) {
        (true, true) => Light::Red,
        (true, false) => Light::Amber,
        (false, _) => Light::Green,
    };
    Checked {
        rule: "calibration",
        subject: class.class.clone(),
        light,
        message: format!(
            "{observed} confirmed cases are {}, the model had promised {expected:.1} among {} (p = {:.2e})",
            class.class, class.patients, class.p
        ),
        detail: json!(class),
    }
}

fn quality(source: &SourceQuality, report: &Report) -> [Checked; 2] {
    let one = |rule, share: &Share, limit: f64, what: &str| Checked {
        rule,
        subject: source.source.clone(),
        light: share.light,
        message: match share.now.estimate() {
            Some(e) => format!(
                "source {}: {:.1} % of {} rows {what} (limit {:.0} %)",
                source.source,
                100.0 * e.value,
                e.n,
                100.0 * limit
            ),
            None => format!("source {}: no new row", source.source),
        },
        detail: json!({ "now": share.now, "before": share.before, "limit": limit }),
    };
    let limits = &report.quality.limits;
    [
        one(
            "quality.swapped",
            &source.swapped_share,
            limits.swapped,
            "have the higher and the lower pressure exchanged, or another ordered pair",
        ),
        one("quality.refused", &source.refused_share, limits.refused, "were refused"),
    ]
}
