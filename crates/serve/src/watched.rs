//! What monitoring stored, read back: only what is shown. A report of an older program may lack parts; they are then empty.

use registry::MonitoringRun;
use serde::{Deserialize, de::IgnoredAny};

/// Runs that charts over time show.
pub(crate) const HISTORY: u32 = 60;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Report {
    pub(crate) window: Window,
    pub(crate) seen: Seen,
    pub(crate) drift: Drifts,
    pub(crate) performance: Performance,
    pub(crate) quality: Quality,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Window {
    pub(crate) from: String,
    pub(crate) to: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Seen {
    pub(crate) served: u64,
    pub(crate) arrived: u64,
    pub(crate) confirmed: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Drifts {
    pub(crate) limits: DriftLimits,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) rate: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DriftLimits {
    pub(crate) notable: f64,
    pub(crate) major: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) group: String,
    /// `input`, `category` or `answer`.
    pub(crate) about: String,
    pub(crate) name: String,
    pub(crate) distance: f64,
    pub(crate) psi: f64,
    pub(crate) p_adjusted: f64,
    pub(crate) reference: u64,
    pub(crate) window: u64,
    /// `few`, `stable`, `slight`, `notable` or `major`.
    pub(crate) drift: String,
    pub(crate) bars: Bars,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Bars {
    pub(crate) labels: Vec<String>,
    pub(crate) reference: Vec<u64>,
    pub(crate) window: Vec<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Performance {
    pub(crate) targets: Targets,
    pub(crate) arrived: Option<Measured>,
    pub(crate) reviewed: Option<Measured>,
    pub(crate) followed_up: Option<Measured>,
    pub(crate) expected: Option<Expected>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Targets {
    pub(crate) f1_common: f64,
    pub(crate) orphan_recall: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Measured {
    pub(crate) patients: u64,
    pub(crate) orphans: u64,
    pub(crate) f1_common: Figure,
    pub(crate) orphan_recall: Figure,
    pub(crate) orphan_precision: Figure,
    pub(crate) f1: Vec<Figure>,
    pub(crate) precision: Vec<Figure>,
    pub(crate) recall: Vec<Figure>,
    #[serde(default)]
    pub(crate) diseases: Vec<Disease>,
    #[serde(default)]
    pub(crate) calibration: Vec<Promised>,
    pub(crate) lights: Lights,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Lights {
    pub(crate) f1_common: Light,
    pub(crate) orphan_recall: Light,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Disease {
    pub(crate) code: String,
    pub(crate) rarity: String,
    pub(crate) patients: u64,
    pub(crate) recall: Figure,
    pub(crate) precision: Figure,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Promised {
    pub(crate) class: String,
    pub(crate) patients: u64,
    pub(crate) observed: u64,
    pub(crate) expected: f64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Expected {
    pub(crate) f1_common: Figure,
    pub(crate) orphan_recall: Figure,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Quality {
    pub(crate) sources: Vec<Source>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Source {
    pub(crate) source: String,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) duplicates: u64,
    pub(crate) reasons: std::collections::BTreeMap<String, u64>,
    pub(crate) refused_share: Share,
    pub(crate) swapped_share: Share,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Share {
    pub(crate) now: Figure,
    pub(crate) light: Light,
}

/// State of a target, from what says nothing to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Light {
    Grey,
    Green,
    Amber,
    Red,
}

/// A number with its interval, or none.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Figure {
    Measured(Estimate),
    Undefined(IgnoredAny),
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Estimate {
    pub(crate) value: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) n: u64,
}

impl Figure {
    pub(crate) fn estimate(&self) -> Option<Estimate> {
        match self {
            Figure::Measured(estimate) => Some(*estimate),
            Figure::Undefined(_) => None,
        }
    }
}

impl Report {
    /// The report of a run; an empty one where it cannot be read, which is logged.
    pub(crate) fn of(run: &MonitoringRun) -> Report {
        Report::deserialize(&run.report).unwrap_or_else(|error| {
            tracing::error!(run = run.id, %error, "a monitoring report cannot be read");
            Report::default()
        })
    }
}
