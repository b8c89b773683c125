//! Does 30 % mean 30 %? Bins of equal mass, the calibration curve and the expected calibration error.

use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// Number of bins of the curve and of the expected calibration error.
pub(crate) const BINS: usize = 10;

/// One point of a calibration curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Smallest and largest predicted probability.
    pub from: f64,
    pub to: f64,
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share in which it came true, with its exact interval; `n` is the bin's number of patients.
    pub observed: Figure,
}

/// The bin of each item, so that every bin holds about the same weight and equal predictions share a bin.
pub(crate) fn equal_mass_bins(predicted: &[f64], weight: &[f64]) -> Vec<u8> {
    let total: f64 = weight.iter().sum();
    let mut order: Vec<usize> = (0..predicted.len()).collect();
    order.sort_by(|&a, &b| predicted[a].total_cmp(&predicted[b]));
    let mut bin = vec![0; predicted.len()];
    let mut below = 0.0;
    for tie in order.chunk_by(|&a, &b| predicted[a] == predicted[b]) {
        let mass: f64 = tie.iter().map(|&i| weight[i]).sum();
        let middle = (below + 0.5 * mass) / total;
        let place = ((middle * BINS as f64) as usize).min(BINS - 1) as u8;
        for &i in tie {
            bin[i] = place;
        }
        below += mass;
    }
    bin
}

/// Sums over one set of bins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bins {
    weight: [f64; BINS],
    /// Predicted minus observed, summed.
    excess: [f64; BINS],
}

impl Bins {
    #[inline]
    pub(crate) fn add(&mut self, bin: u8, predicted: f64, happened: bool, weight: f64) {
        let bin = usize::from(bin);
        self.weight[bin] += weight;
        self.excess[bin] += weight * (predicted - f64::from(u8::from(happened)));
    }

    /// Expected calibration error: the mean over patients of their bin's |mean predicted - share observed|
    /// (Naeini et al. 2015, with bins of equal mass). `None` without patients.
    pub(crate) fn error(&self) -> Option<f64> {
        let total: f64 = self.weight.iter().sum();
        (total > 0.0).then(|| self.excess.iter().map(|e| e.abs()).sum::<f64>() / total)
    }
}
