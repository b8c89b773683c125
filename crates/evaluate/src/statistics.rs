//! All statistics of one set of weights in one pass, so that a replicate costs one pass.

use crate::{
    calibration::{Bins, CalibrationBin, equal_mass_bins},
    cells::Cells,
    confusion::Confusion,
    decision::{self, THRESHOLDS},
    proportion::proportion,
    ranking::{Sweep, by_score},
};

/// Patients of one cell with one outcome; what they contribute per patient.
#[derive(Debug, Clone)]
struct Tally {
    truth: u8,
    decided: u8,
    /// The most probable class before the alarm.
    most_probable: u8,
    orphan: bool,
    alarm: bool,
    /// The next tally's orphan score is lower.
    last_of_tie: bool,
    confidence_bin: u8,
    orphan_bin: u8,
    /// Highest severity probability.
    confidence: f64,
    orphan_probability: f64,
    brier: f64,
    log_loss: f64,
}

/// One value per statistic; `None` where it is not defined.
#[derive(Debug, Clone)]
pub(crate) struct Measures {
    pub(crate) macro_f1: Option<f64>,
    pub(crate) f1_common: Option<f64>,
    pub(crate) f1_common_without_alarm: Option<f64>,
    pub(crate) f1: Vec<Option<f64>>,
    pub(crate) average_precision: Option<f64>,
    pub(crate) roc_auc: Option<f64>,
    pub(crate) brier: Option<f64>,
    pub(crate) log_loss: Option<f64>,
    pub(crate) calibration_error: Option<f64>,
    pub(crate) orphan_brier: Option<f64>,
    pub(crate) orphan_log_loss: Option<f64>,
    pub(crate) orphan_calibration_error: Option<f64>,
    /// One per [`THRESHOLDS`]: of an alarm at that orphan probability, and of the alarm as it is shown.
    pub(crate) net_benefit: Vec<Option<(f64, f64)>>,
}

/// Cells spread out to their non-empty outcomes, highest orphan score first.
#[derive(Debug, Clone)]
pub(crate) struct Statistics {
    classes: usize,
    tallies: Vec<Tally>,
    pub(crate) counts: Vec<u64>,
    /// Where each tally's count stands in [`Cells::counts`].
    pub(crate) origins: Vec<usize>,
    /// How many tallies reach each of [`THRESHOLDS`]; they come first.
    reaching: Vec<usize>,
}

impl Statistics {
    pub(crate) fn new(cells: &Cells) -> Self {
        let k = cells.classes().len();
        let patients_of = |i: usize| cells.counts[2 * k * i..2 * k * (i + 1)].iter().sum::<u64>() as f64;
        let weight: Vec<f64> = (0..cells.len()).map(patients_of).collect();
        let top: Vec<(usize, f64)> = cells.probabilities.chunks(k).map(highest).collect();
        let confidence: Vec<f64> = top.iter().map(|t| t.1).collect();
        let confidence_bin = equal_mass_bins(&confidence, &weight);
        let orphan_bin = equal_mass_bins(&cells.orphan, &weight);

        let (mut tallies, mut counts): (Vec<Tally>, Vec<u64>) = (Vec::new(), Vec::new());
        let mut origins = Vec::new();
        for i in by_score(&cells.orphan).into_iter().map(|i| i as usize) {
            let p = &cells.probabilities[k * i..k * (i + 1)];
            let squares: f64 = p.iter().map(|p| p * p).sum();
            for (outcome, &count) in cells.counts[2 * k * i..2 * k * (i + 1)].iter().enumerate() {
                if count == 0 {
                    continue;
                }
                let truth = outcome / 2;
                tallies.push(Tally {
                    truth: truth as u8,
                    decided: cells.decided[i],
                    most_probable: top[i].0 as u8,
                    orphan: outcome % 2 == 1,
                    alarm: cells.alarm[i],
                    last_of_tie: false,
                    confidence_bin: confidence_bin[i],
                    orphan_bin: orphan_bin[i],
                    confidence: confidence[i],
                    orphan_probability: cells.orphan[i],
                    brier: squares - 2.0 * p[truth] + 1.0,
                    log_loss: -p[truth].ln(),
                });
                counts.push(count);
                origins.push(2 * k * i + outcome);
            }
        }
        for i in 0..tallies.len() {
            let next = tallies.get(i + 1).map(|t| t.orphan_probability);
            tallies[i].last_of_tie = next.is_none_or(|next| next < tallies[i].orphan_probability);
        }
        let reaching = THRESHOLDS.map(|t| tallies.partition_point(|tally| tally.orphan_probability >= t));
        Self { classes: k, tallies, counts, origins, reaching: reaching.to_vec() }
    }

    /// Every statistic with these weights instead of the counts.
    pub(crate) fn measure(&self, weights: &[f64]) -> Measures {
        // F1 common leaves orphans out; the whole matrix is the sum of both.
        let (mut common, mut orphans) = (Confusion::new(self.classes), Confusion::new(self.classes));
        let mut without_alarm = Confusion::new(self.classes);
        let (mut sweep, mut severity_bins, mut orphan_bins) =
            (Sweep::default(), Bins::default(), Bins::default());
        let (mut total, mut brier, mut log_loss) = (0.0, 0.0, 0.0);
        let (mut orphan_brier, mut orphan_log_loss) = (0.0, 0.0);
        for (t, &w) in self.tallies.iter().zip(weights) {
            let (hits, misses) = if t.orphan { (w, 0.0) } else { (0.0, w) };
            sweep.step(hits, misses, t.last_of_tie);
            if w == 0.0 {
                continue;
            }
            let truth = usize::from(t.truth);
            let confusion = if t.orphan { &mut orphans } else { &mut common };
            confusion.add(truth, usize::from(t.decided), w);
            if !t.orphan {
                without_alarm.add(truth, usize::from(t.most_probable), w);
            }
            severity_bins.add(t.confidence_bin, t.confidence, t.most_probable == t.truth, w);
            orphan_bins.add(t.orphan_bin, t.orphan_probability, t.orphan, w);
            let p = if t.orphan { t.orphan_probability } else { 1.0 - t.orphan_probability };
            total += w;
            brier += w * t.brier;
            log_loss += w * t.log_loss;
            orphan_brier += w * (1.0 - p).powi(2);
            orphan_log_loss -= w * p.ln();
        }
        let f1_common = common.macro_f1();
        let mut everyone = common;
        everyone.add_all(&orphans);
        let mean = |sum: f64| (total > 0.0 && sum.is_finite()).then(|| sum / total);
        Measures {
            macro_f1: everyone.macro_f1(),
            f1_common,
            f1_common_without_alarm: without_alarm.macro_f1(),
            f1: (0..self.classes).map(|k| everyone.f1(k)).collect(),
            average_precision: sweep.average_precision(),
            roc_auc: sweep.roc_auc(),
            brier: mean(brier),
            log_loss: mean(log_loss),
            calibration_error: severity_bins.error(),
            orphan_brier: mean(orphan_brier),
            orphan_log_loss: mean(orphan_log_loss),
            orphan_calibration_error: orphan_bins.error(),
            net_benefit: self.net_benefit(weights),
        }
    }

    fn net_benefit(&self, weights: &[f64]) -> Vec<Option<(f64, f64)>> {
        let weighted = || self.tallies.iter().zip(weights);
        let patients: f64 = weights.iter().sum();
        let shown = orphans_and_others(weighted().filter(|(tally, _)| tally.alarm));
        let mut reached = (0.0, 0.0);
        let mut from = 0;
        let mut out = vec![None; THRESHOLDS.len()];
        // From the highest threshold down, each reaches what the one before it reached and more.
        for (i, &threshold) in THRESHOLDS.iter().enumerate().rev() {
            let (orphans, others) = orphans_and_others(weighted().take(self.reaching[i]).skip(from));
            reached = (reached.0 + orphans, reached.1 + others);
            from = self.reaching[i];
            let benefit = |(found, needless)| {
                (patients > 0.0).then(|| decision::net_benefit(found, needless, patients, threshold))
            };
            out[i] = benefit(reached).zip(benefit(shown));
        }
        out
    }

    /// Alarmed orphans / orphans, with these weights.
    pub(crate) fn orphan_recall(&self, weights: &[f64]) -> Option<f64> {
        let weighted = || self.tallies.iter().zip(weights).filter(|(tally, _)| tally.orphan);
        let orphans: f64 = weighted().map(|(_, w)| w).sum();
        let alarmed: f64 = weighted().filter(|(tally, _)| tally.alarm).map(|(_, w)| w).sum();
        (orphans > 0.0).then(|| alarmed / orphans)
    }

    /// Counts by true and decided class: of patients whose disease is not orphan, and of orphans.
    pub(crate) fn confusions(&self) -> (Confusion, Confusion) {
        let (mut common, mut orphans) = (Confusion::new(self.classes), Confusion::new(self.classes));
        for (t, &count) in self.tallies.iter().zip(&self.counts) {
            let confusion = if t.orphan { &mut orphans } else { &mut common };
            confusion.add(usize::from(t.truth), usize::from(t.decided), count as f64);
        }
        (common, orphans)
    }

    /// Calibration curve of the most probable severity, and of the orphan probability.
    pub(crate) fn curves(&self) -> (Vec<CalibrationBin>, Vec<CalibrationBin>) {
        let severity = self.curve(|t| (t.confidence_bin, t.confidence, t.most_probable == t.truth));
        (severity, self.curve(|t| (t.orphan_bin, t.orphan_probability, t.orphan)))
    }

    fn curve(&self, of: impl Fn(&Tally) -> (u8, f64, bool)) -> Vec<CalibrationBin> {
        let mut out = Vec::new();
        for bin in 0..crate::calibration::BINS {
            let (mut from, mut to, mut sum, mut hits, mut n) = (1.0_f64, 0.0_f64, 0.0, 0, 0);
            for (tally, &count) in self.tallies.iter().zip(&self.counts) {
                let (of_bin, predicted, happened) = of(tally);
                if usize::from(of_bin) == bin {
                    (from, to) = (from.min(predicted), to.max(predicted));
                    sum += predicted * count as f64;
                    n += count;
                    hits += if happened { count } else { 0 };
                }
            }
            if n > 0 {
                let observed = proportion(hits, n, "the bin is empty");
                out.push(CalibrationBin { from, to, predicted: sum / n as f64, observed });
            }
        }
        out
    }
}

/// Weight of the orphan patients and of the others.
fn orphans_and_others<'a>(tallies: impl Iterator<Item = (&'a Tally, &'a f64)>) -> (f64, f64) {
    tallies.fold(
        (0.0, 0.0),
        |(orphans, others), (tally, &w)| {
            if tally.orphan { (orphans + w, others) } else { (orphans, others + w) }
        },
    )
}

/// The first of the largest probabilities.
fn highest(p: &[f64]) -> (usize, f64) {
    let first = (0, p.first().copied().unwrap_or(0.0));
    p.iter().enumerate().fold(first, |best, (k, &p)| if p > best.1 { (k, p) } else { best })
}
