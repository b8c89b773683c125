//! The figures of one set of patients, and their names.

use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// The figures, each with a 95 % interval: exact (Clopper-Pearson) for proportions, else by bootstrap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Macro F1 of all severities over patients whose true disease is not orphan, as shown (alarms included).
    pub f1_common: Figure,
    /// The same with the most probable severity shown whether or not there is an alarm: what the alarm costs the others.
    pub f1_common_without_alarm: Figure,
    /// Macro F1 of all severities over everyone.
    pub macro_f1: Figure,
    /// F1 of each severity over everyone, in the order of [`Report::classes`](crate::Report::classes); `n` is the class's patients.
    pub f1: Vec<Figure>,
    /// Of the patients who are shown each severity, the share who have it.
    pub precision: Vec<Figure>,
    /// Of the patients who have each severity, the share who are shown it.
    pub recall: Vec<Figure>,
    /// Alarmed orphan patients / orphan patients.
    pub orphan_recall: Figure,
    /// Alarmed orphan patients / alarms.
    pub orphan_precision: Figure,
    /// Orphan patients / patients without an alarm (false omission rate).
    pub orphan_omission: Figure,
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
