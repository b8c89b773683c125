//! The report on one model and one set of patients.

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::{Bootstrap, percentile_interval},
    calibration::CalibrationBin,
    cells::{Cells, require_length},
    confusion::Confusion,
    error::{Error, Result},
    figure::{Estimate, Figure},
    proportion::{clopper_pearson, proportion},
    ranking::{OperatingPoint, operating_points, thin},
    statistics::{Measures, Statistics},
};

/// About how many points of the trade-off curve a report keeps.
const CURVE_POINTS: usize = 200;

/// The figures, each with a 95 % interval: exact (Clopper-Pearson) for proportions, else by bootstrap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Macro F1 of all severities over patients whose true disease is not orphan, as shown (alarms included).
    pub f1_common: Figure,
    /// Macro F1 of all severities over everyone.
    pub macro_f1: Figure,
    /// F1 of each severity over everyone, in the order of [`Report::classes`]; `n` is the class's patients.
    pub f1: Vec<Figure>,
    /// Alarmed orphan patients / orphan patients.
    pub orphan_recall: Figure,
    /// Alarmed orphan patients / alarms.
    pub orphan_precision: Figure,
    pub alerts_per_1000: Figure,
    /// Alarms per orphan patient that they find: 1 / precision.
    pub number_needed_to_review: Figure,
    /// Area under the precision-recall curve as step sum, ties grouped; `n` is the orphan patients.
    pub orphan_average_precision: Figure,
    /// Share of orphan patients: the average precision of a score that knows nothing.
    pub orphan_base_rate: Figure,
    pub orphan_roc_auc: Figure,
    /// Squared error summed over the severities, 0 to 2 (Brier 1950).
    pub brier: Figure,
    /// Mean negative natural logarithm of the true severity's probability.
    pub log_loss: Figure,
    /// Expected calibration error of the most probable severity, ten bins of equal mass.
    pub calibration_error: Figure,
    /// Squared error of the orphan probability, 0 to 1.
    pub orphan_brier: Figure,
    pub orphan_log_loss: Figure,
    pub orphan_calibration_error: Figure,
}

/// Names of single figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    F1Common,
    MacroF1,
    OrphanRecall,
    OrphanPrecision,
    #[serde(rename = "alerts_per_1000")]
    AlertsPer1000,
    NumberNeededToReview,
    OrphanAveragePrecision,
    OrphanRocAuc,
    Brier,
    LogLoss,
    CalibrationError,
    OrphanBrier,
    OrphanLogLoss,
    OrphanCalibrationError,
}

impl Figures {
    /// One figure by its name.
    #[must_use]
    pub fn figure(&self, metric: Metric) -> &Figure {
        match metric {
            Metric::F1Common => &self.f1_common,
            Metric::MacroF1 => &self.macro_f1,
            Metric::OrphanRecall => &self.orphan_recall,
            Metric::OrphanPrecision => &self.orphan_precision,
            Metric::AlertsPer1000 => &self.alerts_per_1000,
            Metric::NumberNeededToReview => &self.number_needed_to_review,
            Metric::OrphanAveragePrecision => &self.orphan_average_precision,
            Metric::OrphanRocAuc => &self.orphan_roc_auc,
            Metric::Brier => &self.brier,
            Metric::LogLoss => &self.log_loss,
            Metric::CalibrationError => &self.calibration_error,
            Metric::OrphanBrier => &self.orphan_brier,
            Metric::OrphanLogLoss => &self.orphan_log_loss,
            Metric::OrphanCalibrationError => &self.orphan_calibration_error,
        }
    }
}

/// Calibration curves, predicted against observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Of the most probable severity.
    pub severity: Vec<CalibrationBin>,
    pub orphan: Vec<CalibrationBin>,
}

/// Everything about one model on one set of patients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub patients: u64,
    pub orphans: u64,
    /// Codes of the severities.
    pub classes: Vec<String>,
    #[serde(flatten)]
    pub figures: Figures,
    /// Patients by `[true severity][shown severity]`.
    pub confusion: Vec<Vec<u64>>,
    pub calibration: Calibration,
    /// The trade-off of the orphan probability used alone as the alarm, from few alarms to all.
    pub operating_points: Vec<OperatingPoint>,
}

/// A division of the cells, such as by gender or age band.
#[derive(Debug, Clone)]
pub struct Grouping<'a> {
    pub names: &'a [String],
    /// The group of each cell, as an index into `names`, in the order in which the cells were pushed.
    pub of_cell: &'a [u16],
}

/// The figures of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subgroup {
    pub name: String,
    pub patients: u64,
    pub orphans: u64,
    #[serde(flatten)]
    pub figures: Figures,
}

/// Evaluates a model's answers against what was true. The same cells and seed give the same report.
///
/// # Errors
/// None that a caller of [`Cells::push`] could cause: what cannot be computed is an undefined figure.
pub fn evaluate(cells: &Cells, bootstrap: &Bootstrap) -> Result<Report> {
    let statistics = Statistics::new(cells);
    let (figures, everyone, orphans) = figures(cells, &statistics, bootstrap)?;
    let (severity, orphan) = statistics.curves();
    let k = cells.classes().len();
    let points = operating_points(&cells.orphan, |i| {
        let counts = cells.counts[2 * k * i..2 * k * (i + 1)].chunks(2);
        counts.fold((0.0, 0.0), |(h, m), c| (h + c[1] as f64, m + c[0] as f64))
    });
    Ok(Report {
        patients: cells.patients(),
        orphans,
        classes: cells.classes().to_vec(),
        figures,
        confusion: everyone.rows(),
        calibration: Calibration { severity, orphan },
        operating_points: thin(points, CURVE_POINTS),
    })
}

/// The figures of every group, in the order of its names; groups without patients have undefined figures.
///
/// # Errors
/// The grouping does not fit the cells.
pub fn subgroups(cells: &Cells, grouping: &Grouping<'_>, bootstrap: &Bootstrap) -> Result<Vec<Subgroup>> {
    require_length("the grouping", grouping.of_cell, cells.len())?;
    if let Some(cell) = grouping.of_cell.iter().position(|&g| usize::from(g) >= grouping.names.len()) {
        return Err(Error::NoSuchGroup { cell, group: usize::from(grouping.of_cell[cell]) });
    }
    let one = |(group, name): (usize, &String)| {
        let members = cells.subset(|i| usize::from(grouping.of_cell[i]) == group);
        let (figures, _, orphans) = figures(&members, &Statistics::new(&members), bootstrap)?;
        Ok(Subgroup { name: name.clone(), patients: members.patients(), orphans, figures })
    };
    grouping.names.iter().enumerate().map(one).collect()
}

/// Counts of alarms.
struct Alarms {
    raised: u64,
    /// Of those, for orphan patients.
    right: u64,
    orphans: u64,
}

impl Alarms {
    fn count(cells: &Cells) -> Self {
        let mut alarms = Self { raised: 0, right: 0, orphans: 0 };
        for (counts, &alarm) in cells.counts.chunks(2 * cells.classes().len()).zip(&cells.alarm) {
            let orphans: u64 = counts.iter().skip(1).step_by(2).sum();
            alarms.orphans += orphans;
            if alarm {
                alarms.raised += counts.iter().sum::<u64>();
                alarms.right += orphans;
            }
        }
        alarms
    }

    fn number_needed_to_review(&self) -> Figure {
        match clopper_pearson(self.right, self.raised) {
            Some((low, high)) if self.right > 0 => Figure::Measured(Estimate {
                value: self.raised as f64 / self.right as f64,
                low: 1.0 / high,
                high: 1.0 / low,
                n: self.raised,
            }),
            _ => Figure::undefined("no alarm found an orphan patient"),
        }
    }
}

fn figures(
    cells: &Cells,
    statistics: &Statistics,
    bootstrap: &Bootstrap,
) -> Result<(Figures, Confusion, u64)> {
    let point = statistics.measure(&statistics.counts.iter().map(|&c| c as f64).collect::<Vec<_>>());
    let replicates = if cells.patients() == 0 {
        Vec::new()
    } else {
        bootstrap.replicate(&statistics.counts, |weights| statistics.measure(weights))?
    };
    let Alarms { raised, right, orphans } = Alarms::count(cells);
    let nnr = Alarms { raised, right, orphans }.number_needed_to_review();
    let patients = cells.patients();
    let (common, of_orphans) = statistics.confusions();
    let mut everyone = common.clone();
    everyone.add_all(&of_orphans);

    let nobody = patients == 0;
    let lacking = |matrix: &Confusion, whose: &str| match matrix.missing() {
        _ if nobody => "no patient".to_owned(),
        Some(class) => format!("no patient {whose}of class {}", cells.classes()[class]),
        None => "not defined".to_owned(),
    };
    let bounded = |of: fn(&Measures) -> Option<f64>, n, because: &str| {
        resampled(of(&point), replicates.iter().map(of).collect(), (0.0, 1.0), n, because)
    };
    let unbounded = |of: fn(&Measures) -> Option<f64>, because: &str| {
        resampled(of(&point), replicates.iter().map(of).collect(), (0.0, f64::MAX), patients, because)
    };
    let f1_of = |class: usize| {
        let one = |m: &Measures| m.f1.get(class).copied().flatten();
        let because = format!("no patient of class {}", cells.classes()[class]);
        let n = everyone.truly(class) as u64;
        resampled(one(&point), replicates.iter().map(one).collect(), (0.0, 1.0), n, &because)
    };
    let ranks = if orphans == 0 { "no orphan patient" } else { "no patient without an orphan disease" };
    let loss = if nobody { "no patient" } else { "what happened had been given probability 0" };
    let figures = Figures {
        f1_common: bounded(
            |m| m.f1_common,
            patients - orphans,
            &lacking(&common, "without an orphan disease "),
        ),
        macro_f1: bounded(|m| m.macro_f1, patients, &lacking(&everyone, "")),
        f1: (0..cells.classes().len()).map(f1_of).collect(),
        orphan_recall: proportion(right, orphans, "no orphan patient"),
        orphan_precision: proportion(right, raised, "no alarm"),
        alerts_per_1000: proportion(raised, patients, "no patient").scaled(1000.0),
        number_needed_to_review: nnr,
        orphan_average_precision: bounded(|m| m.average_precision, orphans, ranks),
        orphan_base_rate: proportion(orphans, patients, "no patient"),
        orphan_roc_auc: bounded(|m| m.roc_auc, orphans, ranks),
        brier: unbounded(|m| m.brier, "no patient"),
        log_loss: unbounded(|m| m.log_loss, loss),
        calibration_error: bounded(|m| m.calibration_error, patients, "no patient"),
        orphan_brier: unbounded(|m| m.orphan_brier, "no patient"),
        orphan_log_loss: unbounded(|m| m.orphan_log_loss, loss),
        orphan_calibration_error: bounded(|m| m.orphan_calibration_error, patients, "no patient"),
    };
    Ok((figures, everyone, orphans))
}

fn resampled(
    value: Option<f64>,
    replicates: Vec<Option<f64>>,
    range: (f64, f64),
    n: u64,
    because_of_none: &str,
) -> Figure {
    let Some(value) = value else { return Figure::undefined(because_of_none) };
    let (low, high) = percentile_interval(value, &replicates, range);
    Figure::Measured(Estimate { value, low, high, n })
}
