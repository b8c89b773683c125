//! Maps from scores to probabilities that mean what they say, fitted on scores of cases that the
//! score's model has not seen.

use serde::{Deserialize, Serialize};

use crate::Matrix;
use crate::minimum::minimum;
use crate::probability::{logit, sigmoid, softmax_into};

/// Calibration errors below this are left alone: a map fitted to noise makes them worse.
pub const NEGLIGIBLE_ECE: f64 = 0.01;
const BINS: usize = 15;

/// A set of scored cases of a binary outcome.
#[derive(Debug, Clone, Default)]
pub struct Scored {
    /// (probability, cases with the outcome, cases without), one entry per scored cell.
    pub entries: Vec<(f64, f64, f64)>,
}

/// Platt scaling: P(outcome) = sigmoid(slope * logit(p) + intercept). The identity is slope 1, intercept 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    pub slope: f64,
    pub intercept: f64,
}

impl Platt {
    pub const IDENTITY: Platt = Platt { slope: 1.0, intercept: 0.0 };

    /// The calibrated probability of a score `p` in [0, 1]; rises with `p`.
    pub fn apply(&self, p: f64) -> f64 {
        if *self == Platt::IDENTITY { p } else { sigmoid(self.slope * logit(p) + self.intercept) }
    }

    /// The maximum of the likelihood with a weak pull (variance 1) towards the identity, by Newton's
    /// method; the identity where the calibration error is negligible, one outcome is missing or the
    /// score would be turned round (Platt 1999; Lin, Lin and Weng 2007).
    pub fn fit(scored: &Scored) -> Platt {
        let (positives, negatives) = scored.totals();
        if positives == 0.0 || negatives == 0.0 || scored.calibration_error() < NEGLIGIBLE_ECE {
            return Platt::IDENTITY;
        }
        let mut platt = Platt::IDENTITY;
        for _ in 0..100 {
            let (mut g0, mut g1) = (platt.intercept, platt.slope - 1.0);
            let (mut h00, mut h01, mut h11) = (1.0, 0.0, 1.0);
            for &(p, with, without) in &scored.entries {
                let score = logit(p);
                let q = sigmoid(platt.slope * score + platt.intercept);
                let (n, error) = (with + without, (with + without) * q - with);
                let w = n * q * (1.0 - q);
                g0 += error;
                g1 += error * score;
                h00 += w;
                h01 += w * score;
                h11 += w * score * score;
            }
            let determinant = h00 * h11 - h01 * h01;
            let (d0, d1) = ((h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant);
            if !d0.is_finite() || !d1.is_finite() {
                return Platt::IDENTITY;
            }
            // Far steps of Newton's method overshoot; the log-likelihood is concave, short ones arrive.
            let step = (1.0 / d0.abs().max(d1.abs()).max(1.0)).min(1.0);
            platt.intercept -= step * d0;
            platt.slope -= step * d1;
            if d0.abs().max(d1.abs()) < 1e-10 {
                break;
            }
        }
        if platt.slope > 0.0 { platt } else { Platt::IDENTITY }
    }
}

impl Scored {
    fn totals(&self) -> (f64, f64) {
        self.entries.iter().fold((0.0, 0.0), |(a, b), &(_, with, without)| (a + with, b + without))
    }

    /// Average precision by step sum, equal scores taken together; none without a case of the outcome.
    pub fn average_precision(&self) -> Option<f64> {
        let mut entries = self.entries.clone();
        entries.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (positives, _) = self.totals();
        let (mut found, mut alarmed, mut area) = (0.0, 0.0, 0.0);
        for tie in entries.chunk_by(|a, b| a.0 == b.0) {
            let with = tie.iter().map(|entry| entry.1).sum::<f64>();
            found += with;
            alarmed += with + tie.iter().map(|entry| entry.2).sum::<f64>();
            if with > 0.0 {
                area += with * found / alarmed;
            }
        }
        (positives > 0.0).then(|| area / positives)
    }

    /// Expected calibration error over 15 bins of equal numbers of cases; 0 without cases.
    pub fn calibration_error(&self) -> f64 {
        let mut entries: Vec<_> =
            self.entries.iter().copied().filter(|&(_, with, without)| with + without > 0.0).collect();
        entries.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (positives, negatives) = self.totals();
        let cases = positives + negatives;
        let (mut error, mut n, mut sum_p, mut sum_y, mut seen) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (i, &(p, with, without)) in entries.iter().enumerate() {
            n += with + without;
            sum_p += p * (with + without);
            sum_y += with;
            // A bin ends where its share is full, never between equal scores.
            let last_of_score = entries.get(i + 1).is_none_or(|next| next.0 != p);
            if last_of_score
                && (seen + n) * BINS as f64 >= cases * ((seen * BINS as f64 / cases).floor() + 1.0)
                || i + 1 == entries.len()
            {
                error += (sum_p - sum_y).abs();
                seen += n;
                (n, sum_p, sum_y) = (0.0, 0.0, 0.0);
            }
        }
        if cases > 0.0 { error / cases } else { 0.0 }
    }
}

/// The temperature that divides the logarithms of a class distribution; 1 changes nothing
/// (Guo et al. 2017).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Temperature(pub f64);

impl Temperature {
    pub const IDENTITY: Temperature = Temperature(1.0);

    /// Margins, `K`, to the calibrated distribution over the K classes.
    pub fn apply(&self, margins: &[f64], p: &mut [f64]) {
        softmax_into(margins.iter().map(|margin| margin / self.0), p);
    }

    /// The temperature with the lowest log loss of the counted cases, by golden section on its
    /// logarithm in [1/4, 4]; 1 where the mean class-wise calibration error is negligible.
    /// `margins` and `counts` are `n x K`.
    pub fn fit(margins: &Matrix<f64>, counts: &Matrix<f64>) -> Temperature {
        if class_calibration_error(Temperature::IDENTITY, margins, counts) < NEGLIGIBLE_ECE {
            return Temperature::IDENTITY;
        }
        let loss = |log: f64| log_loss(Temperature(log.exp()), margins, counts);
        Temperature(minimum(loss, 0.25f64.ln(), 4f64.ln(), 1e-4).exp())
    }
}

fn log_loss(temperature: Temperature, margins: &Matrix<f64>, counts: &Matrix<f64>) -> f64 {
    let mut p = vec![0.0; counts.columns()];
    let mut loss = 0.0;
    for (margins, counts) in margins.iter_rows().zip(counts.iter_rows()) {
        if counts.iter().any(|&count| count > 0.0) {
            temperature.apply(margins, &mut p);
            loss -=
                counts.iter().zip(&p).map(|(count, p)| count * p.max(f64::MIN_POSITIVE).ln()).sum::<f64>();
        }
    }
    loss
}

/// Mean over the classes of the binary calibration error of each.
pub(crate) fn class_calibration_error(
    temperature: Temperature,
    margins: &Matrix<f64>,
    counts: &Matrix<f64>,
) -> f64 {
    let classes = counts.columns();
    let mut scored = vec![Scored::default(); classes];
    let mut p = vec![0.0; classes];
    for (margins, counts) in margins.iter_rows().zip(counts.iter_rows()) {
        let n = counts.iter().sum::<f64>();
        temperature.apply(margins, &mut p);
        for ((scored, &p), &count) in scored.iter_mut().zip(&p).zip(counts) {
            scored.entries.push((p, count, n - count));
        }
    }
    scored.iter().map(Scored::calibration_error).sum::<f64>() / classes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platt_undoes_a_known_distortion() {
        // True log odds are 2 z - 1; the score says z.
        let entries = (-40..=40)
            .map(|i| {
                let z = f64::from(i) / 10.0;
                let truth = sigmoid(2.0 * z - 1.0);
                (sigmoid(z), 1000.0 * truth, 1000.0 * (1.0 - truth))
            })
            .collect();
        let platt = Platt::fit(&Scored { entries });
        assert!((platt.slope - 2.0).abs() < 1e-3 && (platt.intercept + 1.0).abs() < 1e-3, "{platt:?}");
    }

    #[test]
    fn a_calibrated_score_is_left_alone() {
        let entries: Vec<_> =
            (1..100).map(|i| f64::from(i) / 100.0).map(|p| (p, 1000.0 * p, 1000.0 * (1.0 - p))).collect();
        assert_eq!(Platt::fit(&Scored { entries }), Platt::IDENTITY);
    }

    #[test]
    fn an_inverted_score_is_not_turned_round() {
        let entries = vec![(0.1, 90.0, 10.0), (0.9, 10.0, 90.0)];
        assert_eq!(Platt::fit(&Scored { entries }), Platt::IDENTITY);
    }

    #[test]
    fn average_precision_by_hand() {
        // Above: 1 of 1; then a tie with 1 of 3; then 2 without.
        let entries = vec![(0.5, 1.0, 0.0), (0.9, 1.0, 0.0), (0.5, 0.0, 2.0), (0.1, 0.0, 2.0)];
        assert!((Scored { entries }.average_precision().unwrap() - (1.0 + 0.5) / 2.0).abs() < 1e-12);
        assert_eq!(Scored { entries: vec![(0.9, 0.0, 3.0)] }.average_precision(), None);
    }

    #[test]
    fn calibration_error_of_two_cells_by_hand() {
        let scored = Scored { entries: vec![(0.2, 30.0, 70.0), (0.8, 60.0, 40.0)] };
        assert!((scored.calibration_error() - 0.15).abs() < 1e-12);
        assert_eq!(Scored::default().calibration_error(), 0.0);
    }

    #[test]
    fn temperature_finds_the_factor_that_sharpened_the_margins() {
        let mut margins = Vec::new();
        let mut counts = Vec::new();
        let mut p = [0.0; 3];
        for i in 0..60 {
            let truth = [f64::from(i) / 20.0, 1.5 - f64::from(i) / 40.0, f64::from(i % 7) / 4.0];
            softmax_into(truth.iter().copied(), &mut p);
            counts.extend(p.map(|p| 1000.0 * p));
            margins.extend(truth.map(|margin| 1.7 * margin));
        }
        let margins = Matrix::from_vec(60, 3, margins).unwrap();
        let counts = Matrix::from_vec(60, 3, counts).unwrap();
        assert!((Temperature::fit(&margins, &counts).0 - 1.7).abs() < 1e-3);
    }
}
