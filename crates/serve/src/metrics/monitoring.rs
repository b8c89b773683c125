//! What monitoring found, as gauges: set anew from the registry whenever they are read.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use registry::{Alert, AlertState, MonitoringRun};

use crate::watched::{Figure, Report};

type Number = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlertLabels {
    rule: String,
    subject: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FigureLabels {
    figure: &'static str,
    end: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabels {
    figure: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DriftLabels {
    group: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RowLabels {
    source: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RunLabels {
    model: String,
}

#[derive(Debug, Default)]
pub(super) struct Watch {
    alerts: Family<AlertLabels, Gauge>,
    figures: Family<FigureLabels, Number>,
    targets: Family<TargetLabels, Number>,
    distance: Family<DriftLabels, Number>,
    stability: Family<DriftLabels, Number>,
    rows: Family<RowLabels, Gauge>,
    ran: Family<RunLabels, Gauge>,
}

impl Watch {
    pub(super) fn register(registry: &mut Registry) -> Watch {
        let watch = Watch::default();
        registry.register("alerts", "Open alerts", watch.alerts.clone());
        let figures = "Figures on confirmed cases, with the ends of their 95 % intervals";
        registry.register("monitoring_figure", figures, watch.figures.clone());
        registry.register("monitoring_target", "What the figures should reach", watch.targets.clone());
        let distance = "Distance from the training cohort, 0 to 1";
        registry.register("monitoring_drift_distance", distance, watch.distance.clone());
        registry.register("monitoring_drift_psi", "Population stability index", watch.stability.clone());
        registry.register("monitoring_rows", "Rows of the window by source and result", watch.rows.clone());
        let ran = "When monitoring last looked, Unix time";
        registry.register("monitoring_run_timestamp_seconds", ran, watch.ran.clone());
        watch
    }

    /// `alerts`: the open ones.
    pub(super) fn set(&self, run: Option<&MonitoringRun>, alerts: &[Alert]) {
        self.alerts.clear();
        for alert in alerts {
            let state = if alert.state == AlertState::Raised { "raised" } else { "acknowledged" };
            let labels = AlertLabels { rule: alert.rule.clone(), subject: alert.subject.clone(), state };
            self.alerts.get_or_create(&labels).set(1);
        }
        self.figures.clear();
        self.targets.clear();
        self.distance.clear();
        self.stability.clear();
        self.rows.clear();
        self.ran.clear();
        if let Some(run) = run {
            self.ran.get_or_create(&RunLabels { model: run.model.to_string() }).set(run.at.unix_timestamp());
            self.report(&Report::of(run));
        }
    }

    fn report(&self, report: &Report) {
        let targets = report.performance.targets;
        for (figure, target) in [("f1_common", targets.f1_common), ("orphan_recall", targets.orphan_recall)] {
            self.targets.get_or_create(&TargetLabels { figure }).set(target);
        }
        if let Some(measured) = &report.performance.arrived {
            self.figure("f1_common", &measured.f1_common);
            self.figure("orphan_recall", &measured.orphan_recall);
            self.figure("orphan_precision", &measured.orphan_precision);
        }
        for one in &report.drift.comparisons {
            let labels = DriftLabels { group: one.group.clone(), name: one.name.clone() };
            self.distance.get_or_create(&labels).set(one.distance);
            self.stability.get_or_create(&labels).set(one.psi);
        }
        for source in &report.quality.sources {
            let results = [
                ("accepted", source.accepted),
                ("refused", source.refused),
                ("duplicate", source.duplicates),
            ];
            for (result, rows) in results {
                let labels = RowLabels { source: source.source.clone(), result };
                self.rows.get_or_create(&labels).set(i64::try_from(rows).unwrap_or(i64::MAX));
            }
        }
    }

    fn figure(&self, figure: &'static str, found: &Figure) {
        if let Some(e) = found.estimate() {
            for (end, number) in [("value", e.value), ("low", e.low), ("high", e.high)] {
                self.figures.get_or_create(&FigureLabels { figure, end }).set(number);
            }
        }
    }
}
