//! What a model's own probabilities promise of its figures while nothing is confirmed (confidence-based estimation).
//!
//! True only as far as the model is calibrated on the patients of the window, which is what monitoring wants to find out.
//! On shifted patients the estimate of recall has been seen to err by about 0.10; so it comes as a band of at least that
//! width and is never proof.

use serde::{Deserialize, Serialize};

use crate::{
    cells::Answer,
    confusion::Confusion,
    figure::{Estimate, Figure},
};

/// Half the width of the band beyond chance.
pub const MARGIN: f64 = 0.10;
/// Normal quantile of a 95 % interval.
const Z: f64 = 1.96;

/// Figures as the probabilities promise them; the interval is the band, `n` the expected number of cases, rounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    pub f1_common: Figure,
    pub orphan_recall: Figure,
    pub orphan_precision: Figure,
}

/// `answers`: one per kind of patient, with their number. Among the ill, an orphan disease is supposed to be as probable at every severity.
#[must_use]
pub fn expected<'a>(classes: usize, answers: impl Iterator<Item = (Answer<'a>, u64)>) -> Expected {
    let mut common = Confusion::new(classes);
    let (mut patients, mut orphans, mut found, mut alarms) = (0.0, 0.0, 0.0, 0.0);
    for (answer, n) in answers {
        let n = n as f64;
        let healthy = answer.probabilities.first().copied().unwrap_or(0.0);
        let among_ill = if healthy < 1.0 { (answer.orphan / (1.0 - healthy)).min(1.0) } else { 0.0 };
        for (truth, &p) in answer.probabilities.iter().enumerate() {
            let share = if truth == 0 { p } else { p * (1.0 - among_ill) };
            common.add(truth, answer.decided.index(), n * share);
        }
        patients += n;
        orphans += n * answer.orphan;
        if answer.alarm {
            alarms += n;
            found += n * answer.orphan;
        }
    }
    let share = |part: f64, of: f64, nobody: &str| {
        if of > 0.0 { band(part / of, of) } else { Figure::undefined(nobody) }
    };
    Expected {
        f1_common: common
            .macro_f1()
            .map_or_else(|| Figure::undefined("no patient"), |f1| band(f1, patients - orphans)),
        orphan_recall: share(found, orphans, "no orphan patient is expected"),
        orphan_precision: share(found, alarms, "no alarm"),
    }
}

fn band(value: f64, n: f64) -> Figure {
    let chance = Z * (value * (1.0 - value) / n.max(1.0)).max(0.0).sqrt();
    let (low, high) = ((value - MARGIN - chance).max(0.0), (value + MARGIN + chance).min(1.0));
    Figure::Measured(Estimate { value, low, high, n: n.round() as u64 })
}

#[cfg(test)]
mod tests {
    use clinical::Severity;

    use super::*;

    #[test]
    fn a_certain_model_expects_to_be_right_and_says_how_little_that_proves() {
        let sure = Answer { probabilities: &[1.0, 0.0], orphan: 0.0, decided: Severity(0), alarm: false };
        let ill = Answer { probabilities: &[0.0, 1.0], orphan: 0.0, decided: Severity(1), alarm: false };
        let found = expected(2, [(sure, 50), (ill, 50)].into_iter());
        let f1 = found.f1_common.estimate().unwrap();
        assert_eq!((f1.value, f1.low, f1.high, f1.n), (1.0, 0.9, 1.0, 100));
        assert_eq!(found.orphan_recall, Figure::undefined("no orphan patient is expected"));
        assert_eq!(found.orphan_precision, Figure::undefined("no alarm"));
    }

    #[test]
    fn recall_and_precision_by_hand() {
        let alarmed = Answer { probabilities: &[0.2, 0.8], orphan: 0.6, decided: Severity(1), alarm: true };
        let missed = Answer { probabilities: &[0.9, 0.1], orphan: 0.05, decided: Severity(0), alarm: false };
        let found = expected(2, [(alarmed, 100), (missed, 400)].into_iter());
        // 60 of 80 expected orphans are alarmed, 60 of 100 alarms right.
        assert!((found.orphan_recall.value().unwrap() - 0.75).abs() < 1e-12);
        assert_eq!(found.orphan_recall.estimate().unwrap().n, 80);
        assert!((found.orphan_precision.value().unwrap() - 0.6).abs() < 1e-12);
        // Common: healthy 20 + 360, ill 20 + 20 expected; shown healthy 380 (360 right), shown ill 40 (20 right).
        let healthy = 2.0 * 360.0 / (380.0 + 380.0);
        let ill = 2.0 * 20.0 / (40.0 + 40.0);
        assert!((found.f1_common.value().unwrap() - (healthy + ill) / 2.0).abs() < 1e-12);
    }
}
