//! Decision curves: what an alarm is worth to a doctor, not only how well it ranks.
//!
//! A doctor who refers from a probability t on accepts (1 - t) / t needless referrals for one patient found. In that
//! currency the net benefit of an alarm is (found - needless * t / (1 - t)) / patients (Vickers and Elkin, Medical
//! Decision Making 26:565, 2006). It is compared with referring nobody, which has 0, and with referring everybody.

use serde::{Deserialize, Serialize};

use crate::{
    figure::{Estimate, Figure},
    proportion::proportion,
};

/// The probabilities from which doctors may want to refer, ascending; dense where rare diseases are.
pub(crate) const THRESHOLDS: [f64; 16] =
    [0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50];

/// Net benefits at one threshold, in orphan patients found per patient, needless referrals deducted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetBenefit {
    /// Refer from this orphan probability on.
    pub threshold: f64,
    /// Of referring whoever has this orphan probability or a higher one.
    pub by_probability: Figure,
    /// Of referring whoever the alarm, as it is shown, suspects.
    pub by_alarm: Figure,
    /// Of referring everybody.
    pub everybody: Figure,
}

/// Needless referrals that weigh as much as one patient found, inverted.
pub(crate) fn odds(threshold: f64) -> f64 {
    threshold / (1.0 - threshold)
}

pub(crate) fn net_benefit(found: f64, needless: f64, patients: f64, threshold: f64) -> f64 {
    (found - needless * odds(threshold)) / patients
}

/// Of referring everybody; it rises with the share of orphan patients, whose exact interval gives its own.
pub(crate) fn everybody(orphans: u64, patients: u64, threshold: f64) -> Figure {
    let of = |share: f64| share - (1.0 - share) * odds(threshold);
    match proportion(orphans, patients, "no patient") {
        Figure::Measured(e) => {
            Figure::Measured(Estimate { value: of(e.value), low: of(e.low), high: of(e.high), n: e.n })
        }
        undefined @ Figure::Undefined { .. } => undefined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // 10 found and 40 needless of 1,000 at 20 %: 4 needless referrals weigh as much as one patient.
        assert!((net_benefit(10.0, 40.0, 1000.0, 0.2) - 0.0).abs() < 1e-15);
        assert!((net_benefit(10.0, 40.0, 1000.0, 0.5) + 0.03).abs() < 1e-15);
        let all = everybody(20, 1000, 0.01);
        assert!((all.value().unwrap() - (0.02 - 0.98 / 99.0)).abs() < 1e-15);
        assert!(all.estimate().is_some_and(|e| e.low < e.value && e.value < e.high && e.n == 1000));
        assert_eq!(everybody(0, 0, 0.1), Figure::undefined("no patient"));
    }
}
