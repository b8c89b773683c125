//! The factor of the log densities with the lowest log loss.

use super::ruler::Ruler;

/// The loss of a factor t, sum of -ln softmax(t l + ln w) of the true disease, is convex in t.
#[derive(Debug)]
pub(super) struct Sharpness<'a> {
    log_weights: &'a [f64],
    /// Diseases with a prototype: the unknown one is no label.
    diseases: usize,
    /// Log densities of the measured cases, row after row.
    densities: Vec<f64>,
    /// (row, true disease, cases).
    labels: Vec<(usize, usize, f64)>,
}

/// Factors are sought between these.
const RANGE: (f64, f64) = (1e-3, 10.0);

impl<'a> Sharpness<'a> {
    /// For a ruler of sharpness 1.
    pub(super) fn new(ruler: &'a Ruler<'_>) -> Sharpness<'a> {
        Sharpness {
            log_weights: ruler.log_weights(),
            diseases: ruler.new.end,
            densities: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// One row, measured: its log joint densities.
    pub(super) fn measure(&mut self, joint: &[f64]) {
        self.densities
            .extend(joint.iter().zip(self.log_weights).take(self.diseases).map(|(joint, w)| joint - w));
    }

    /// Cases of a disease at the row measured last.
    pub(super) fn label(&mut self, disease: usize, count: f64) {
        self.labels.push(((self.densities.len() / self.diseases.max(1)).saturating_sub(1), disease, count));
    }

    /// The best factor, by Newton's method inside a bracket that every step narrows.
    pub(super) fn best(&self) -> f64 {
        let (mut low, mut high) = RANGE;
        let mut t: f64 = 0.25;
        for _ in 0..60 {
            let (slope, curvature) = self.derivatives(t);
            if slope > 0.0 {
                high = t
            } else {
                low = t
            }
            let next = t - slope / curvature;
            // Where Newton's step leaves the bracket, the middle of it by ratio.
            let next = if next > low && next < high { next } else { (low * high).sqrt() };
            let done = (next - t).abs() < 1e-9 * t;
            t = next;
            if done {
                break;
            }
        }
        t
    }

    /// First and second derivative of the loss by t.
    fn derivatives(&self, t: f64) -> (f64, f64) {
        let (mut slope, mut curvature) = (0.0, 0.0);
        let mut moments = (usize::MAX, 0.0, 0.0);
        for &(row, disease, count) in &self.labels {
            let start = row * self.diseases;
            let densities = self.densities.get(start..start + self.diseases).unwrap_or_default();
            if moments.0 != row {
                let (mean, variance) = self.moments(densities, t);
                moments = (row, mean, variance);
            }
            slope += count * (moments.1 - densities.get(disease).copied().unwrap_or_default());
            curvature += count * moments.2;
        }
        (slope, curvature)
    }

    /// Mean and variance of the log density under softmax(t l + ln w).
    fn moments(&self, densities: &[f64], t: f64) -> (f64, f64) {
        let logs = || densities.iter().zip(self.log_weights).map(|(l, w)| t * l + w);
        let highest = logs().fold(f64::NEG_INFINITY, f64::max);
        let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
        for (log, l) in logs().zip(densities) {
            let p = (log - highest).exp();
            if p > 0.0 {
                total += p;
                first += p * l;
                second += p * l * l;
            }
        }
        let mean = first / total;
        (mean, (second / total - mean * mean).max(0.0))
    }
}
