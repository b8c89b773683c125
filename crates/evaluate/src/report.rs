//! The report on one model and one set of patients.

use serde::{Deserialize, Serialize};

use crate::{
    bootstrap::{Bootstrap, percentile_interval},
    calibration::CalibrationBin,
    cells::{Cells, require_length},
    confusion::Confusion,
    decision::{self, NetBenefit, THRESHOLDS, everybody},
    error::{Error, Result},
    figure::{Estimate, Figure},
    figures::Figures,
    proportion::{clopper_pearson, proportion},
    ranking::{OperatingPoint, operating_points, thin},
    statistics::{Measures, Statistics},
};

/// About how many points of the trade-off curve a report keeps.
const CURVE_POINTS: usize = 200;

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
    /// What alarms are worth to doctors who would refer from different probabilities on.
    pub decision_curve: Vec<NetBenefit>,
    /// Share of the patients who get an answer rather than "not sure".
    pub answered: Figure,
    /// The figures of those, where others get none. All other figures take the answer that would have been given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub among_answered: Option<Box<Figures>>,
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
    let measured = Measured::of(cells, &statistics, bootstrap)?;
    let (severity, orphan) = statistics.curves();
    let k = cells.classes().len();
    let points = operating_points(&cells.orphan, |i| {
        let counts = cells.counts[2 * k * i..2 * k * (i + 1)].chunks(2);
        counts.fold((0.0, 0.0), |(h, m), c| (h + c[1] as f64, m + c[0] as f64))
    });
    let answered = cells.subset(|i| !cells.abstains[i]);
    let among_answered = if answered.len() == cells.len() {
        None
    } else {
        Some(Box::new(Measured::of(&answered, &Statistics::new(&answered), bootstrap)?.figures(&answered)))
    };
    Ok(Report {
        patients: cells.patients(),
        orphans: measured.alarms.orphans,
        classes: cells.classes().to_vec(),
        figures: measured.figures(cells),
        confusion: measured.everyone.rows(),
        calibration: Calibration { severity, orphan },
        operating_points: thin(points, CURVE_POINTS),
        decision_curve: measured.decision_curve(cells.patients()),
        answered: proportion(answered.patients(), cells.patients(), "no patient"),
        among_answered,
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
        let measured = Measured::of(&members, &Statistics::new(&members), bootstrap)?;
        let (patients, orphans) = (members.patients(), measured.alarms.orphans);
        Ok(Subgroup { name: name.clone(), patients, orphans, figures: measured.figures(&members) })
    };
    grouping.names.iter().enumerate().map(one).collect()
}

/// Counts of alarms.
#[derive(Clone, Copy)]
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

    fn number_needed_to_review(self) -> Figure {
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

/// One set of cells, measured: its statistics, those of its resampled sets, and what is counted exactly.
struct Measured {
    point: Measures,
    replicates: Vec<Measures>,
    alarms: Alarms,
    common: Confusion,
    everyone: Confusion,
}

impl Measured {
    fn of(cells: &Cells, statistics: &Statistics, bootstrap: &Bootstrap) -> Result<Self> {
        let point = statistics.measure(&statistics.counts.iter().map(|&c| c as f64).collect::<Vec<_>>());
        let replicates = if cells.patients() == 0 {
            Vec::new()
        } else {
            bootstrap.replicate(&statistics.counts, |weights| statistics.measure(weights))?
        };
        let (common, of_orphans) = statistics.confusions();
        let mut everyone = common.clone();
        everyone.add_all(&of_orphans);
        Ok(Self { point, replicates, alarms: Alarms::count(cells), common, everyone })
    }

    /// A figure of the statistics, with its interval from the replicates.
    fn figure(
        &self,
        of: impl Fn(&Measures) -> Option<f64>,
        range: (f64, f64),
        n: u64,
        because_of_none: &str,
    ) -> Figure {
        let Some(value) = of(&self.point) else { return Figure::undefined(because_of_none) };
        let replicates: Vec<Option<f64>> = self.replicates.iter().map(of).collect();
        let (low, high) = percentile_interval(value, &replicates, range);
        Figure::Measured(Estimate { value, low, high, n })
    }

    fn figures(&self, cells: &Cells) -> Figures {
        let Alarms { raised, right, orphans } = self.alarms;
        let patients = cells.patients();
        let nobody = patients == 0;
        let lacking = |matrix: &Confusion, whose: &str| match matrix.missing() {
            _ if nobody => "no patient".to_owned(),
            Some(class) => format!("no patient {whose}of class {}", cells.classes()[class]),
            None => "not defined".to_owned(),
        };
        let bounded =
            |of: fn(&Measures) -> Option<f64>, n, because: &str| self.figure(of, (0.0, 1.0), n, because);
        let unbounded = |of: fn(&Measures) -> Option<f64>, because: &str| {
            self.figure(of, (0.0, f64::MAX), patients, because)
        };
        let common = lacking(&self.common, "without an orphan disease ");
        let ranks = if orphans == 0 { "no orphan patient" } else { "no patient without an orphan disease" };
        let loss = if nobody { "no patient" } else { "what happened had been given probability 0" };
        Figures {
            f1_common: bounded(|m| m.f1_common, patients - orphans, &common),
            f1_common_without_alarm: bounded(|m| m.f1_common_without_alarm, patients - orphans, &common),
            macro_f1: bounded(|m| m.macro_f1, patients, &lacking(&self.everyone, "")),
            f1: self.per_class(cells, |class, n, because| {
                self.figure(|m| m.f1.get(class).copied().flatten(), (0.0, 1.0), n, because)
            }),
            precision: (cells.classes().iter().enumerate())
                .map(|(class, code)| {
                    let shown = self.everyone.decided(class) as u64;
                    proportion(self.everyone.hit(class) as u64, shown, &format!("no patient is shown {code}"))
                })
                .collect(),
            recall: self.per_class(cells, |class, n, because| {
                proportion(self.everyone.hit(class) as u64, n, because)
            }),
            orphan_recall: proportion(right, orphans, "no orphan patient"),
            orphan_precision: proportion(right, raised, "no alarm"),
            orphan_omission: proportion(orphans - right, patients - raised, "every patient is alarmed"),
            alerts_per_1000: proportion(raised, patients, "no patient").scaled(1000.0),
            number_needed_to_review: self.alarms.number_needed_to_review(),
            orphan_average_precision: bounded(|m| m.average_precision, orphans, ranks),
            orphan_base_rate: proportion(orphans, patients, "no patient"),
            orphan_roc_auc: bounded(|m| m.roc_auc, orphans, ranks),
            brier: unbounded(|m| m.brier, "no patient"),
            log_loss: unbounded(|m| m.log_loss, loss),
            calibration_error: bounded(|m| m.calibration_error, patients, "no patient"),
            orphan_brier: unbounded(|m| m.orphan_brier, "no patient"),
            orphan_log_loss: unbounded(|m| m.orphan_log_loss, loss),
            orphan_calibration_error: bounded(|m| m.orphan_calibration_error, patients, "no patient"),
        }
    }

    /// One figure per class, from its number, its patients and the reason where it has none.
    fn per_class(&self, cells: &Cells, of: impl Fn(usize, u64, &str) -> Figure) -> Vec<Figure> {
        let one = |(class, code): (usize, &String)| {
            of(class, self.everyone.truly(class) as u64, &format!("no patient of class {code}"))
        };
        cells.classes().iter().enumerate().map(one).collect()
    }

    fn decision_curve(&self, patients: u64) -> Vec<NetBenefit> {
        let one = |(i, &threshold): (usize, &f64)| {
            let at = |m: &Measures| m.net_benefit.get(i).copied().flatten();
            let range = (-decision::odds(threshold), 1.0);
            NetBenefit {
                threshold,
                by_probability: self.figure(|m| at(m).map(|b| b.0), range, patients, "no patient"),
                by_alarm: self.figure(|m| at(m).map(|b| b.1), range, patients, "no patient"),
                everybody: everybody(self.alarms.orphans, patients, threshold),
            }
        };
        THRESHOLDS.iter().enumerate().map(one).collect()
    }
}
