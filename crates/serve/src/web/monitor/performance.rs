//! How right the model is: now, over time, and disease by disease.

use clinical::{Rarity, Study};
use registry::{MonitoringRun, Reign};

use super::view::{Tagged, figure, light};
use crate::record::rfc3339;
use crate::watched::{Figure, Measured, Report};
use crate::web::{
    Words,
    chart::{LineChart, Sample, Series},
};

/// Figures over time.
pub(super) struct Trend {
    /// None where no run had confirmed cases.
    pub(super) figures: Option<LineChart>,
    /// None where no run had enough patients to compare.
    pub(super) drift: Option<LineChart>,
    /// Newest first: date, model, F1, recall, drift rate.
    pub(super) rows: Vec<[String; 5]>,
}

pub(super) struct PerformanceView {
    pub(super) lead: String,
    pub(super) classes: Vec<ClassRow>,
    pub(super) diseases: Vec<DiseaseRow>,
    /// What is known beside it: the model's own promise, and reviewed answers.
    pub(super) beside: Vec<Beside>,
    /// Class, patients confirmed, patients promised.
    pub(super) calibration: Vec<[String; 3]>,
}

/// A severity, or the orphan diseases.
pub(super) struct ClassRow {
    pub(super) name: String,
    pub(super) cases: u64,
    pub(super) precision: String,
    pub(super) recall: String,
    pub(super) f1: String,
    pub(super) state: Option<Tagged>,
}

pub(super) struct DiseaseRow {
    pub(super) code: String,
    pub(super) rarity: String,
    pub(super) patients: u64,
    pub(super) precision: String,
    pub(super) recall: String,
    /// Width of the precision's bar in per cent.
    pub(super) width: String,
}

pub(super) struct Beside {
    pub(super) title: String,
    pub(super) note: String,
    pub(super) f1: String,
    pub(super) recall: String,
}

impl Trend {
    pub(super) fn new(runs: &[MonitoringRun], reigns: &[Reign], w: Words) -> Trend {
        let reports: Vec<(&MonitoringRun, Report)> = runs.iter().map(|run| (run, Report::of(run))).collect();
        let oldest_first = || reports.iter().rev();
        let date = |run: &MonitoringRun| w.date(&rfc3339(run.at));
        let sample = |run: &MonitoringRun, (value, low, high): (f64, f64, f64)| Sample {
            at: run.at.unix_timestamp(),
            date: date(run),
            value,
            low,
            high,
        };
        let targets = reports.first().map(|(_, report)| report.performance.targets).unwrap_or_default();
        let series = |label: &str, target: f64, of: fn(&Measured) -> &Figure| Series {
            label: w.t(label),
            samples: oldest_first()
                .filter_map(|(run, report)| {
                    let e = of(report.performance.arrived.as_ref()?).estimate()?;
                    Some(sample(run, (e.value, e.low, e.high)))
                })
                .collect(),
            target: Some((target, w.with("chart-target", "target", &w.number(target, 2)))),
        };
        let figures = [
            series("chart-f1", targets.f1_common, |found| &found.f1_common),
            series("chart-recall", targets.orphan_recall, |found| &found.orphan_recall),
        ];
        let rate = Series {
            label: w.t("chart-drift"),
            samples: oldest_first()
                .filter_map(|(run, report)| report.drift.rate.map(|rate| sample(run, (rate, rate, rate))))
                .collect(),
            target: None,
        };
        let events: Vec<(i64, String)> =
            reigns.iter().map(|reign| (reign.at.unix_timestamp(), reign.model.to_string())).collect();
        let chart = |id, key: &str, series: &[Series]| {
            series.iter().any(|one| !one.samples.is_empty()).then(|| {
                let title = w.t(&format!("{key}-title"));
                LineChart::new(id, title, summary(series, w), series, &events, w)
            })
        };
        Trend {
            figures: chart("trend", "chart-figures", &figures),
            drift: chart("rate", "chart-rate", std::slice::from_ref(&rate)),
            rows: reports.iter().map(|(run, report)| trend_row(date(run), run, report, w)).collect(),
        }
    }
}

/// What a chart shows, for who cannot see it: the latest values.
fn summary(series: &[Series], w: Words) -> String {
    let last = series.iter().filter_map(|one| Some((one, one.samples.last()?)));
    let told =
        last.map(|(one, sample)| format!("{}: {} ({})", one.label, w.number(sample.value, 2), sample.date));
    told.collect::<Vec<_>>().join("; ")
}

fn trend_row(date: String, run: &MonitoringRun, report: &Report, w: Words) -> [String; 5] {
    let found = report.performance.arrived.as_ref();
    let shown = |of: Option<&Figure>| of.map_or("–".to_owned(), |of| figure(of, w));
    [
        date,
        run.model.to_string(),
        shown(found.map(|found| &found.f1_common)),
        shown(found.map(|found| &found.orphan_recall)),
        report.drift.rate.map_or("–".to_owned(), |rate| w.percent(rate, 0)),
    ]
}

impl PerformanceView {
    pub(super) fn new(report: &Report, study: &Study, w: Words) -> PerformanceView {
        let performance = &report.performance;
        let found = performance.arrived.as_ref();
        let mut beside = Vec::new();
        if let Some(promised) = &performance.expected {
            beside.push(Beside {
                title: w.t("beside-expected"),
                note: w.t("beside-expected-note"),
                f1: figure(&promised.f1_common, w),
                recall: figure(&promised.orphan_recall, w),
            });
        }
        let known = [
            ("beside-reviewed", "beside-reviewed-note", &performance.reviewed),
            ("beside-followed", "beside-followed-note", &performance.followed_up),
        ];
        for (title, note, found) in known {
            beside.extend(found.as_ref().map(|found| Beside {
                title: w.count(title, found.patients as u32),
                note: w.t(note),
                f1: figure(&found.f1_common, w),
                recall: figure(&found.orphan_recall, w),
            }));
        }
        PerformanceView {
            lead: found.map_or_else(
                || w.t("performance-none"),
                |found| w.count("performance-lead", found.patients as u32),
            ),
            classes: found.map(|found| classes(found, study, w)).unwrap_or_default(),
            diseases: found.map(|found| diseases(found, study, w)).unwrap_or_default(),
            beside,
            calibration: found.map(|found| promised(found, study, w)).unwrap_or_default(),
        }
    }
}

fn short(figure: &Figure, w: Words) -> String {
    figure.estimate().map_or("–".to_owned(), |e| w.number(e.value, 2))
}

fn classes(found: &Measured, study: &Study, w: Words) -> Vec<ClassRow> {
    let of =
        |figures: &[Figure], at: usize| figures.get(at).map_or("–".to_owned(), |figure| short(figure, w));
    let severities = study.severities().iter().enumerate().map(|(at, class)| ClassRow {
        name: class.short.get(w.0).to_owned(),
        cases: found.recall.get(at).and_then(Figure::estimate).map_or(0, |e| e.n),
        precision: of(&found.precision, at),
        recall: of(&found.recall, at),
        f1: of(&found.f1, at),
        state: None,
    });
    let mut rows: Vec<ClassRow> = severities.collect();
    rows.push(ClassRow {
        name: w.t("class-common"),
        cases: found.patients - found.orphans,
        precision: String::new(),
        recall: String::new(),
        f1: figure(&found.f1_common, w),
        state: Some(light(found.lights.f1_common, w)),
    });
    rows.push(ClassRow {
        name: study.rarity_label(Rarity::Orphan).get(w.0).to_owned(),
        cases: found.orphans,
        precision: short(&found.orphan_precision, w),
        recall: figure(&found.orphan_recall, w),
        f1: String::new(),
        state: Some(light(found.lights.orphan_recall, w)),
    });
    rows
}

fn diseases(found: &Measured, study: &Study, w: Words) -> Vec<DiseaseRow> {
    let row = |disease: &crate::watched::Disease| DiseaseRow {
        code: disease.code.clone(),
        rarity: Rarity::from_code(&disease.rarity)
            .map_or_else(String::new, |rarity| study.rarity_label(rarity).get(w.0).to_owned()),
        patients: disease.patients,
        precision: short(&disease.precision, w),
        recall: short(&disease.recall, w),
        width: format!("{:.2}", disease.precision.estimate().map_or(0.0, |e| 100.0 * e.value)),
    };
    found.diseases.iter().map(row).collect()
}

fn promised(found: &Measured, study: &Study, w: Words) -> Vec<[String; 3]> {
    let row = |one: &crate::watched::Promised| {
        let name = super::drift::name_words(&one.class, study, w);
        let share = |part: f64| w.percent(part / one.patients.max(1) as f64, 1);
        [
            name,
            format!("{} ({})", one.observed, share(one.observed as f64)),
            format!("{} ({})", w.number(one.expected, 1), share(one.expected)),
        ]
    };
    found.calibration.iter().map(row).collect()
}
