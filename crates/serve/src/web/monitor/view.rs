//! What the page shows, in the reader's words.

use clinical::Study;
use registry::{Alert, AlertState, Reign, ReignKind};
use serde_json::Value;

use super::drift::{DriftView, group_words, name_words};
use super::performance::{PerformanceView, Trend};
use super::{Known, is_open};
use crate::record::rfc3339;
use crate::watched::{Figure, Light, Report, Source};
use crate::web::Words;

/// Open alerts shown at once.
const SHOWN: usize = 4;
/// Ended alerts shown.
const ENDED: usize = 20;
/// Reasons of refusal named for each source.
const REASONS: usize = 4;

pub(super) struct View {
    pub(super) lead: String,
    pub(super) banner: Tagged,
    pub(super) tiles: Vec<Tile>,
    pub(super) trend: Trend,
    pub(super) alerts: Vec<AlertView>,
    /// Open ones beyond the first few.
    pub(super) more: Vec<AlertView>,
    pub(super) ended: Vec<AlertView>,
    pub(super) drift: DriftView,
    pub(super) performance: PerformanceView,
    pub(super) quality: Vec<QualityRow>,
    pub(super) timeline: Vec<Change>,
}

/// A short text with a tone and an icon.
#[derive(Clone)]
pub(super) struct Tagged {
    pub(super) tone: &'static str,
    pub(super) icon: &'static str,
    pub(super) text: String,
}

pub(super) struct Tile {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) of: String,
    pub(super) state: Tagged,
}

pub(super) struct AlertView {
    pub(super) id: u64,
    pub(super) title: String,
    pub(super) detail: String,
    pub(super) state: Tagged,
    pub(super) date: String,
    pub(super) may_acknowledge: bool,
}

pub(super) struct QualityRow {
    pub(super) source: String,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) duplicates: u64,
    /// Widths in per cent of the bar: accepted, refused.
    pub(super) bar: (String, String),
    pub(super) swapped: String,
    pub(super) swapped_state: Tagged,
    pub(super) refused_share: String,
    pub(super) refused_state: Tagged,
    pub(super) reasons: String,
}

pub(super) struct Change {
    pub(super) date: String,
    pub(super) model: String,
    pub(super) what: String,
    pub(super) actor: String,
    pub(super) reason: String,
}

impl View {
    /// None before the first look.
    pub(super) fn new(known: &Known, study: &Study, w: Words) -> Option<View> {
        let run = known.runs.first()?;
        let report = Report::of(run);
        let looked = w.moment(&rfc3339(run.at));
        let window = [("from", w.date(&report.window.from)), ("to", w.date(&report.window.to))];
        let (open, ended): (Vec<&Alert>, Vec<&Alert>) = known.alerts.iter().partition(|alert| is_open(alert));
        let drift = DriftView::new(&report, study, w);
        Some(View {
            lead: w.args(
                "monitor-lead",
                &[
                    ("model", &run.model.to_string()),
                    (window[0].0, &window[0].1),
                    (window[1].0, &window[1].1),
                    ("at", &looked),
                ],
            ),
            banner: banner(open.len(), w),
            tiles: tiles(&report, &drift, known.waiting, w),
            trend: Trend::new(&known.runs, &known.reigns, w),
            more: open.iter().skip(SHOWN).map(|alert| AlertView::new(alert, study, w)).collect(),
            alerts: open.iter().take(SHOWN).map(|alert| AlertView::new(alert, study, w)).collect(),
            ended: ended.into_iter().take(ENDED).map(|alert| AlertView::new(alert, study, w)).collect(),
            performance: PerformanceView::new(&report, study, w),
            quality: report.quality.sources.iter().map(|source| QualityRow::new(source, study, w)).collect(),
            timeline: known.reigns.iter().map(|reign| Change::new(reign, w)).collect(),
            drift,
        })
    }
}

fn banner(open: usize, w: Words) -> Tagged {
    match open {
        0 => Tagged { tone: "ok", icon: "i-check", text: w.t("monitor-quiet") },
        n => Tagged { tone: "crit", icon: "i-siren", text: w.count("monitor-alarmed", n as u32) },
    }
}

/// A target's state in words.
pub(super) fn light(light: Light, w: Words) -> Tagged {
    let (tone, icon, key) = match light {
        Light::Green => ("ok", "i-check", "light-green"),
        Light::Amber => ("warn", "i-warn", "light-amber"),
        Light::Red => ("crit", "i-siren", "light-red"),
        Light::Grey => ("", "i-help", "light-grey"),
    };
    Tagged { tone, icon, text: w.t(key) }
}

/// `0,81 (0,75–0,86; n = 120)`, or why there is none.
pub(super) fn figure(figure: &Figure, w: Words) -> String {
    match figure.estimate() {
        Some(e) => {
            let number = |value| w.number(value, 2);
            w.args(
                "figure-long",
                &[
                    ("value", &number(e.value)),
                    ("low", &number(e.low)),
                    ("high", &number(e.high)),
                    ("n", &e.n.to_string()),
                ],
            )
        }
        None => w.t("figure-undefined"),
    }
}

fn tiles(report: &Report, drift: &DriftView, waiting: usize, w: Words) -> Vec<Tile> {
    let plain = |text: String| Tagged { tone: "", icon: "i-info", text };
    let performance = &report.performance;
    let target = |name: &str, figure: Option<(&Figure, Light)>, promised: Option<&Figure>, target: f64| {
        let goal = w.with("tile-target", "target", &w.number(target, 2));
        match figure.and_then(|(figure, state)| Some((figure.estimate()?, state))) {
            Some((e, state)) => Tile {
                name: w.t(name),
                value: w.number(e.value, 2),
                of: String::new(),
                state: Tagged { text: goal, ..light(state, w) },
            },
            None => Tile {
                name: w.t(name),
                value: "–".to_owned(),
                of: String::new(),
                state: plain(promised.and_then(Figure::estimate).map_or_else(
                    || w.t("tile-unconfirmed"),
                    |e| w.with2("tile-promised", "low", &w.number(e.low, 2), "high", &w.number(e.high, 2)),
                )),
            },
        }
    };
    let arrived = performance.arrived.as_ref();
    let expected = performance.expected.as_ref();
    let (new, refused) = report
        .quality
        .sources
        .iter()
        .fold((0, 0), |sum, source| (sum.0 + source.accepted + source.refused, sum.1 + source.refused));
    let worst = report
        .quality
        .sources
        .iter()
        .flat_map(|source| [source.refused_share.light, source.swapped_share.light])
        .max();
    vec![
        Tile {
            name: w.t("tile-served"),
            value: report.seen.served.to_string(),
            of: String::new(),
            state: plain(w.with2(
                "tile-arrived",
                "arrived",
                &report.seen.arrived.to_string(),
                "confirmed",
                &report.seen.confirmed.to_string(),
            )),
        },
        target(
            "tile-f1",
            arrived.map(|found| (&found.f1_common, found.lights.f1_common)),
            expected.map(|promised| &promised.f1_common),
            performance.targets.f1_common,
        ),
        target(
            "tile-recall",
            arrived.map(|found| (&found.orphan_recall, found.lights.orphan_recall)),
            expected.map(|promised| &promised.orphan_recall),
            performance.targets.orphan_recall,
        ),
        Tile {
            name: w.t("tile-drift"),
            value: if drift.compared > 0 { drift.drifting.to_string() } else { "–".to_owned() },
            of: match drift.compared {
                0 => String::new(),
                compared => w.with("tile-of", "n", &compared.to_string()),
            },
            state: match (drift.drifting, drift.compared) {
                (_, 0) => Tagged { text: w.t("drift-few"), ..light(Light::Grey, w) },
                (0, _) => Tagged { tone: "ok", icon: "i-check", text: w.t("tile-same-patients") },
                _ => Tagged { tone: "crit", icon: "i-siren", text: w.t("tile-drifting") },
            },
        },
        Tile {
            name: w.t("tile-refused"),
            value: if new > 0 { w.percent(refused as f64 / new as f64, 1) } else { "–".to_owned() },
            of: String::new(),
            state: Tagged {
                text: w.with("tile-rows", "n", &new.to_string()),
                ..light(worst.unwrap_or(Light::Grey), w)
            },
        },
        Tile {
            name: w.t("tile-waiting"),
            value: waiting.to_string(),
            of: String::new(),
            state: plain(w.t("tile-waiting-note")),
        },
    ]
}

impl AlertView {
    fn new(alert: &Alert, study: &Study, w: Words) -> AlertView {
        let (tone, icon, key) = match alert.state {
            AlertState::Raised => ("crit", "i-siren", "alert-raised"),
            AlertState::Acknowledged => ("warn", "i-warn", "alert-acknowledged"),
            AlertState::Resolved => ("ok", "i-check", "alert-resolved"),
        };
        let by = alert.resolved_by.as_ref().or(alert.acknowledged_by.as_ref());
        let text = by.map_or_else(|| w.t(key), |by| format!("{} · {by}", w.t(key)));
        AlertView {
            id: alert.id,
            title: title(alert, study, w),
            detail: detail(alert, study, w),
            state: Tagged { tone, icon, text },
            date: w.date(&rfc3339(alert.raised_at)),
            may_acknowledge: alert.state == AlertState::Raised,
        }
    }
}

/// What an alert is about; its own sentence where this program has no words for the rule.
fn title(alert: &Alert, study: &Study, w: Words) -> String {
    let subject = match alert.rule.as_str() {
        "drift.feature" | "drift.answer" => {
            let (group, name) = alert.subject.split_once(':').unwrap_or(("", &alert.subject));
            // An alert is about a whole feature, not about its category alone.
            let feature = study.feature(name).map(|feature| feature.label.get(w.0).to_owned());
            let name = feature.unwrap_or_else(|| name_words(name, study, w));
            let group = group_words(group, w);
            return w.with2("alert-drift", "name", &name, "group", &group);
        }
        "calibration" => name_words(&alert.subject, study, w),
        _ => alert.subject.clone(),
    };
    let key = format!("alert-{}", alert.rule.replace(['.', '_'], "-"));
    if w.knows(&key) { w.with(&key, "subject", &subject) } else { alert.message.clone() }
}

/// The numbers behind an alert.
fn detail(alert: &Alert, study: &Study, w: Words) -> String {
    let detail = &alert.detail;
    let number = |value: &Value, decimals| value.as_f64().map_or("–".to_owned(), |n| w.number(n, decimals));
    let percent = |value: &Value| value.as_f64().map_or("–".to_owned(), |share| w.percent(share, 1));
    match alert.rule.as_str() {
        "drift.feature" | "drift.answer" => {
            let names = detail["features"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let names: Vec<String> = names.map(|name| name_words(name, study, w)).collect();
            let figures = w.args(
                "detail-drift",
                &[
                    ("distance", &number(&detail["distance"], 2)),
                    ("psi", &number(&detail["psi"], 2)),
                    ("n", &number(&detail["patients"], 0)),
                ],
            );
            // With one name the title has said it.
            if names.len() > 1 { format!("{}. {figures}", names.join(", ")) } else { figures }
        }
        "performance.f1_common" | "performance.orphan_recall" => w.args(
            "detail-performance",
            &[
                ("value", &number(&detail["figure"]["value"], 2)),
                ("low", &number(&detail["figure"]["low"], 2)),
                ("high", &number(&detail["figure"]["high"], 2)),
                ("n", &number(&detail["figure"]["n"], 0)),
                ("target", &number(&detail["target"], 2)),
            ],
        ),
        "calibration" => w.args(
            "detail-calibration",
            &[
                ("observed", &number(&detail["observed"], 0)),
                ("expected", &number(&detail["expected"], 1)),
                ("n", &number(&detail["patients"], 0)),
            ],
        ),
        "quality.swapped" | "quality.refused" => w.args(
            "detail-quality",
            &[
                ("share", &percent(&detail["now"]["value"])),
                ("n", &number(&detail["now"]["n"], 0)),
                ("limit", &percent(&detail["limit"])),
            ],
        ),
        _ => String::new(),
    }
}

impl QualityRow {
    fn new(source: &Source, study: &Study, w: Words) -> QualityRow {
        let rows = (source.accepted + source.refused).max(1) as f64;
        let width = |part: u64| format!("{:.2}", 100.0 * part as f64 / rows);
        let share = |figure: &Figure| figure.estimate().map_or("–".to_owned(), |e| w.percent(e.value, 1));
        let mut reasons: Vec<(&String, &u64)> = source.reasons.iter().collect();
        reasons.sort_by_key(|(reason, rows)| (std::cmp::Reverse(**rows), (*reason).clone()));
        let words = |(reason, rows): &(&String, &u64)| format!("{}: {rows}", reason_words(reason, study, w));
        QualityRow {
            source: source.source.clone(),
            accepted: source.accepted,
            refused: source.refused,
            duplicates: source.duplicates,
            bar: (width(source.accepted), width(source.refused)),
            swapped: share(&source.swapped_share.now),
            swapped_state: light(source.swapped_share.light, w),
            refused_share: share(&source.refused_share.now),
            refused_state: light(source.refused_share.light, w),
            reasons: reasons.iter().take(REASONS).map(words).collect::<Vec<_>>().join("; "),
        }
    }
}

/// `systolic_mmhg:out_of_range` in words.
fn reason_words(reason: &str, study: &Study, w: Words) -> String {
    let (field, code) = reason.split_once(':').unwrap_or((reason, ""));
    let label = study.input(field).map_or(field, |input| input.label.get(w.0));
    let key = format!("reason-{}", code.replace('_', "-"));
    let code = if w.knows(&key) { w.t(&key) } else { code.to_owned() };
    format!("{label}, {code}")
}

impl Change {
    fn new(reign: &Reign, w: Words) -> Change {
        let key = match reign.kind {
            ReignKind::Promotion => "change-promotion",
            ReignKind::Rollback => "change-rollback",
        };
        Change {
            date: w.moment(&rfc3339(reign.at)),
            model: reign.model.to_string(),
            what: w.t(key),
            actor: reign.actor.clone(),
            reason: reign.reason.clone(),
        }
    }
}
