//! How much to trust the evidence: one factor a channel, fitted on evidence that the case had no part in,
//! and nothing where it does not help beyond its own uncertainty.

use crate::minimum::minimum;
use crate::probability::softmax_into;

/// Channels of evidence: terms, n-grams.
pub(super) const CHANNELS: usize = 2;
/// Largest magnitude of all evidence together: a factor of 150.
pub(super) const TOTAL_CAP: f64 = 5.0;
/// The largest factors. Log ratios of terms are on the scale of the answer; scores of n-grams are on none.
const MOST: Factors = [3.0, 50.0];
const SWEEPS: usize = 6;
/// Of a factor.
const PRECISION: f64 = 1e-3;

/// One case: what the structured model said, what the note's channels said, what it was.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) fold: usize,
    pub(super) outcome: usize,
    pub(super) weight: f64,
    pub(super) log_prior: Vec<f64>,
    pub(super) channels: [Vec<f64>; CHANNELS],
}

/// A factor per channel; 0 switches it off.
pub(super) type Factors = [f64; CHANNELS];

/// All evidence of a case, weighed and capped, per outcome.
pub(super) fn weigh(channels: &[Vec<f64>; CHANNELS], factors: &Factors, total: &mut Vec<f64>) {
    total.clear();
    total.resize(channels.iter().map(Vec::len).max().unwrap_or(0), 0.0);
    for (channel, factor) in channels.iter().zip(factors) {
        total.iter_mut().zip(channel).for_each(|(total, evidence)| *total += factor * evidence);
    }
    total.iter_mut().for_each(|total| *total = total.clamp(-TOTAL_CAP, TOTAL_CAP));
}

impl Judged {
    /// Minus the log of the probability that the true outcome gets.
    pub(super) fn loss(&self, factors: &Factors) -> f64 {
        let mut total = Vec::new();
        weigh(&self.channels, factors, &mut total);
        let mut p = vec![0.0; self.log_prior.len()];
        softmax_into(self.log_prior.iter().zip(&total).map(|(prior, total)| prior + total), &mut p);
        -p.get(self.outcome).copied().unwrap_or_default().max(f64::MIN_POSITIVE).ln()
    }
}

/// A choice of channels with what it gains.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gain {
    pub(super) factors: Factors,
    /// Mean gain in log loss per case over the choice that it was compared with, and its standard error, each
    /// case judged by factors that its fold had no part in.
    pub(super) gain: f64,
    pub(super) standard_error: f64,
}

/// Adds the channels one by one, terms first because they can be explained, each only where the mean loss falls
/// by more than a standard error. `None`: the notes do not help.
pub(super) fn choose(cases: &[Judged]) -> (Factors, Vec<Gain>) {
    let mut open = [false; CHANNELS];
    let mut tried = Vec::new();
    let mut losses = held_out(cases, open);
    for channel in 0..CHANNELS {
        let mut wider = open;
        wider[channel] = true;
        let with = held_out(cases, wider);
        let (gain, standard_error) = paired(cases, &losses, &with);
        tried.push(Gain { factors: fit(cases.iter(), wider), gain, standard_error });
        if gain > standard_error {
            (open, losses) = (wider, with);
        }
    }
    (fit(cases.iter(), open), tried)
}

/// Loss of each case by factors fitted on the other folds.
pub(super) fn held_out(cases: &[Judged], open: [bool; CHANNELS]) -> Vec<f64> {
    let mut folds: Vec<usize> = cases.iter().map(|case| case.fold).collect();
    folds.sort_unstable();
    folds.dedup();
    let factors: Vec<(usize, Factors)> = folds
        .into_iter()
        .map(|fold| (fold, fit(cases.iter().filter(|case| case.fold != fold), open)))
        .collect();
    let of =
        |fold: usize| factors.iter().find(|(known, _)| *known == fold).map_or([0.0; CHANNELS], |(_, f)| *f);
    cases.iter().map(|case| case.loss(&of(case.fold))).collect()
}

/// Mean of the paired differences and its standard error.
pub(super) fn paired(cases: &[Judged], without: &[f64], with: &[f64]) -> (f64, f64) {
    let weighted = || cases.iter().zip(without.iter().zip(with)).map(|(case, (a, b))| (case.weight, a - b));
    let total: f64 = weighted().map(|(weight, _)| weight).sum();
    if total <= 1.0 {
        return (0.0, f64::INFINITY);
    }
    let mean = weighted().map(|(weight, gain)| weight * gain).sum::<f64>() / total;
    let variance =
        weighted().map(|(weight, gain)| weight * (gain - mean).powi(2)).sum::<f64>() / (total - 1.0);
    (mean, (variance / total).sqrt())
}

/// The factors of the open channels with the lowest loss, by golden section in each direction in turn.
fn fit<'a>(cases: impl Iterator<Item = &'a Judged> + Clone, open: [bool; CHANNELS]) -> Factors {
    let mut factors = [0.0; CHANNELS];
    let channels: Vec<usize> = (0..CHANNELS).filter(|&channel| open[channel]).collect();
    for _ in 0..if channels.len() > 1 { SWEEPS } else { 1 } {
        for &channel in &channels {
            let loss = |factor: f64| {
                let mut tried = factors;
                tried[channel] = factor;
                cases.clone().map(|case| case.weight * case.loss(&tried)).sum::<f64>()
            };
            factors[channel] = minimum(loss, 0.0, MOST[channel], PRECISION);
        }
    }
    factors
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases of two outcomes whose first channel tells `strength` of the truth's log odds and whose second is noise.
    fn cases(n: usize, strength: f64) -> Vec<Judged> {
        let mut state = 7u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((state >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        };
        (0..n)
            .map(|at| {
                let told = 4.0 * uniform() - 2.0;
                let noise = 4.0 * uniform() - 2.0;
                let p = 1.0 / (1.0 + (-strength * told).exp());
                let outcome = usize::from(uniform() < p);
                Judged {
                    fold: at % 5,
                    outcome,
                    weight: 1.0,
                    log_prior: vec![0.5f64.ln(); 2],
                    channels: [vec![0.0, told], vec![0.0, noise]],
                }
            })
            .collect()
    }

    #[test]
    fn a_telling_channel_gets_its_factor_and_a_useless_one_none() {
        let (factors, tried) = choose(&cases(4_000, 0.7));
        assert!((factors[0] - 0.7).abs() < 0.08, "{factors:?}");
        assert_eq!(factors[1], 0.0);
        assert!(tried[0].gain > 5.0 * tried[0].standard_error);
    }

    #[test]
    fn what_does_not_help_changes_nothing() {
        let mut switched_on = 0;
        for n in [60, 61, 62, 63, 64, 65, 66, 67, 200, 1_000] {
            switched_on += usize::from(choose(&cases(n, 0.0)).0 != [0.0; CHANNELS]);
        }
        assert!(switched_on <= 2, "{switched_on} of 10 useless notes were believed");
        // Evidence that misleads is never turned round.
        assert_eq!(choose(&cases(2_000, -0.7)).0[0], 0.0);
        assert_eq!(choose(&[]).0, [0.0; CHANNELS]);
    }
}
