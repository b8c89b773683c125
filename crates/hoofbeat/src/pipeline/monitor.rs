//! Monitor: a model's training cohort and a window of what came since -> drift, quality and performance, the rules that they
//! break, and alerts.
//!
//! [`look`] measures and changes nothing but the cache of the reference; [`turn`] also keeps what was measured and settles the
//! alerts. The clock is the caller's, so that a simulated year is monitored by the same code.

mod causes;
mod drift;
mod performance;
mod profile;
mod quality;
mod rules;
mod sample;

use anyhow::{Result, bail};
use evaluate::Light;
use lake::predictions::PredictionReader;
use registry::{Act, AlertChanges, AlertFinding, Model, ModelVersion};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::deployment::Deployment;
use crate::pipeline::collect::SOURCE as REVIEW_SOURCE;
use crate::pipeline::notify;
use crate::pipeline::score::Scorer;

pub use drift::{Comparison, Drifts};
pub use performance::{Measured, Performance};
pub use quality::Quality;
pub use rules::Checked;

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    /// The model whose training cohort is the reference; none: the champion.
    pub model: Option<ModelVersion>,
    /// The window, `from` inclusive.
    pub from: OffsetDateTime,
    pub to: OffsetDateTime,
}

impl Asked {
    /// The champion over the last `days` days.
    pub fn last_days(days: u32, now: OffsetDateTime) -> Asked {
        Asked { model: None, from: now - Duration::days(days.into()), to: now }
    }
}

/// A window.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Span {
    #[serde(with = "time::serde::rfc3339")]
    pub from: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub to: OffsetDateTime,
}

/// What there was to look at.
#[derive(Debug, Serialize)]
pub struct Seen {
    /// Answers served in the window.
    pub served: u64,
    /// Answers of a model of another study: not compared.
    pub other_study: u64,
    /// Cases that came into the lake, and those of them with a confirmed outcome that no review chose.
    pub arrived: u64,
    pub confirmed: u64,
    /// Rows that are no possible patient of the model's study.
    pub outside: u64,
}

/// One look.
#[derive(Debug, Serialize)]
pub struct Report {
    pub model: ModelVersion,
    pub dataset_version: u64,
    pub window: Span,
    pub seen: Seen,
    pub drift: Drifts,
    pub performance: Performance,
    pub quality: Quality,
}

/// A look that was kept.
#[derive(Debug, Serialize)]
pub struct Turn {
    /// Number of the run in the registry.
    pub run: u64,
    #[serde(flatten)]
    pub report: Report,
    pub rules: Vec<Checked>,
    pub alerts: AlertChanges,
}

impl Turn {
    /// Whether a rule is broken.
    pub fn is_alarming(&self) -> bool {
        self.rules.iter().any(|rule| rule.light == Light::Red)
    }
}

/// Measures a window.
pub fn look(deployment: &Deployment, asked: &Asked) -> Result<Report> {
    let model = match asked.model {
        Some(version) => deployment.registry.model(version)?,
        None => deployment.champion()?,
    };
    if asked.from >= asked.to {
        bail!("the window ends before it begins: give an earlier date");
    }
    let scorer = Scorer::open(deployment, &model)?;
    if scorer.study().domain().size().is_none_or(|size| size > MOST_PATIENTS) {
        bail!("the study of {} has too many possible patients to be counted one by one", model.version);
    }
    measure(deployment, &model, &scorer, asked)
}

/// Studies with more possible patients than this cannot be counted by cell.
const MOST_PATIENTS: usize = u32::MAX as usize - 1;

fn measure(deployment: &Deployment, model: &Model, scorer: &Scorer, asked: &Asked) -> Result<Report> {
    let (lake, study) = (&deployment.lake, scorer.study());
    let &Asked { from, to, .. } = asked;
    let log = PredictionReader::open(&deployment.data_dir.join("predictions"));
    let served = sample::served(&log, study, from, to)?;
    let news = sample::window_versions(&lake.versions()?, model.dataset_version, from, to);
    let (arrived, mut sources) = match news {
        Some((after, newest)) => (
            sample::arrived(lake, study, after, newest)?,
            sample::by_source(lake, study, Some(after), newest)?,
        ),
        None => Default::default(),
    };
    sources.remove(REVIEW_SOURCE);
    let profile = profile::Profile::of(deployment, model, scorer)?;
    let arrived_sample = sample::everybody(study, &sources);
    let answered = profile::Answered::of(scorer, &served.patients)?;
    let window = drift::Window {
        served: &served,
        answered: &answered,
        arrived: &arrived,
        sources: &sources,
        arrived_sample: &arrived_sample,
    };
    let outcomes = performance::on_outcomes(&deployment.registry, &log, study, from, to)?;
    Ok(Report {
        model: model.version,
        dataset_version: model.dataset_version,
        window: Span { from, to },
        seen: Seen {
            served: served.sample.patients,
            other_study: served.other_study,
            arrived: arrived_sample.patients,
            confirmed: arrived.confirmed.values().sum(),
            outside: arrived.outside,
        },
        drift: drift::compare(scorer, &profile, &window, deployment.config.threads())?,
        performance: Performance {
            targets: performance::targets(study),
            arrived: performance::on_arrived(scorer, &arrived, &served, &outcomes)?,
            reviewed: outcomes.reviewed,
            followed_up: outcomes.followed_up,
            expected: performance::expected(scorer, &answered),
        },
        quality: quality::of_window(study, &lake.ingests()?, from, to),
    })
}

/// How the values of one dataset version differ from another's, input by input. Rows that both have make the p-values larger
/// than they need be, never smaller.
pub fn between(deployment: &Deployment, before: u64, after: u64) -> Result<Vec<Comparison>> {
    let (lake, study) = (&deployment.lake, deployment.study.as_ref());
    let of = |version| sample::of_version(lake, study, version);
    drift::between(study, &of(before)?, &of(after)?, deployment.config.threads())
}

/// Measures a window, keeps the figures and settles the alerts. `act`: who asks, when, and a key, with which a repeated turn
/// changes nothing.
pub fn turn(deployment: &Deployment, asked: &Asked, act: &Act<'_>) -> Result<Turn> {
    let report = look(deployment, asked)?;
    let rules = rules::check(&report);
    let causes = causes::of(&deployment.study, &report.drift.comparisons, &rules);
    let mut kept = serde_json::to_value(&report)?;
    kept["rules"] = serde_json::to_value(&rules)?;
    let run = deployment.registry.record_monitoring(act.key, report.model, act.at, &kept)?.id;
    let findings: Vec<AlertFinding<'_>> = causes
        .iter()
        .filter(|rule| rule.light == Light::Red)
        .map(|rule| AlertFinding {
            rule: rule.rule,
            subject: &rule.subject,
            message: &rule.message,
            detail: &rule.detail,
        })
        .collect();
    let cleared: Vec<(&str, &str)> = causes
        .iter()
        .filter(|rule| rule.light == Light::Green)
        .map(|rule| (rule.rule, rule.subject.as_str()))
        .collect();
    let sinks = notify::names(&deployment.config.alerts);
    let sinks: Vec<&str> = sinks.iter().map(String::as_str).collect();
    let alerts = deployment.registry.settle_alerts(&findings, &cleared, &sinks, act)?;
    Ok(Turn { run, report, rules, alerts })
}
