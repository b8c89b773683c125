//! The orphan alarm: where its threshold stands and what that costs.

use serde::{Deserialize, Serialize};

use crate::calibrate::Scored;
use crate::probability::limit;
use crate::{Error, Result};

/// How the threshold is chosen from the scores of orphan cases that the score has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// The index floor((1 - recall)(n + 1)) of the ascending scores: a new orphan case is alarmed
    /// with probability >= `recall` (Angelopoulos et al. 2022). Ask for more than is required: the
    /// recall of one threshold scatters round its mean.
    Conformal { recall: f64 },
    /// The highest index whose recall is >= `recall` with probability >= `confidence` (a
    /// non-parametric tolerance bound, Wilks 1941).
    Tolerance { recall: f64, confidence: f64 },
    /// The lower of both thresholds: at least `recall` with probability >= `confidence`, and `aim` on average.
    Promise { recall: f64, confidence: f64, aim: f64 },
}

impl Default for Rule {
    /// 0.80 for a required 0.70.
    fn default() -> Self {
        Rule::Conformal { recall: 0.80 }
    }
}

/// The alarm of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    pub rule: Rule,
    /// Orphan cases that the threshold was chosen from.
    pub positives: u64,
    /// Position of the threshold among their ascending scores; 0 means that there are too few.
    pub index: u64,
    /// A patient is alarmed when its calibrated orphan probability is at least this. None when the
    /// index is 0: no threshold keeps the promise, so the model refuses to alarm, and must say so.
    pub threshold: Option<f64>,
}

impl Rule {
    /// # Errors
    /// When a share is not inside (0, 1).
    pub fn check(&self) -> Result<()> {
        let inside = |share: f64| share > 0.0 && share < 1.0;
        let held = match *self {
            Rule::Conformal { recall } => inside(recall),
            Rule::Tolerance { recall, confidence } => inside(recall) && inside(confidence),
            Rule::Promise { recall, confidence, aim } => inside(recall) && inside(confidence) && inside(aim),
        };
        if held {
            Ok(())
        } else {
            Err(Error::Invalid("the alarm's recall and confidence lie strictly between 0 and 1".into()))
        }
    }

    /// The position, from 1, of the threshold among the ascending scores of `n` positives; 0 where
    /// no position keeps the promise.
    pub fn index(&self, n: u64) -> u64 {
        match *self {
            // The product of decimal shares may lie a rounding error below a whole number.
            Rule::Conformal { recall } => ((1.0 - recall) * (n as f64 + 1.0) + 1e-9).floor() as u64,
            Rule::Promise { recall, confidence, aim } => {
                let promised = Rule::Tolerance { recall, confidence }.index(n);
                promised.min(Rule::Conformal { recall: aim }.index(n))
            }
            Rule::Tolerance { recall, confidence } => {
                // The k-th lowest score misses the share q of new positives with P(q <= 1 - recall) =
                // P(Binomial(n, 1 - recall) >= k).
                let miss = 1.0 - recall;
                let mut below = 0.0;
                // Logarithms: recall^n vanishes from a few thousand positives on.
                let mut term = n as f64 * recall.ln();
                for k in 0..n {
                    below += term.exp();
                    // Here `below` = P(Binomial <= k), so 1 - below = P(Binomial >= k + 1).
                    if 1.0 - below < confidence {
                        return k;
                    }
                    term += ((n - k) as f64 / (k as f64 + 1.0) * (miss / recall)).ln();
                }
                n
            }
        }
    }

    /// The alarm for calibrated orphan probabilities of unseen cases.
    pub fn choose(&self, scored: &Scored) -> Alarm {
        let mut positives: Vec<(f64, f64)> =
            scored.entries.iter().filter(|(_, with, _)| *with > 0.0).map(|&(p, with, _)| (p, with)).collect();
        positives.sort_by(|a, b| a.0.total_cmp(&b.0));
        let n = positives.iter().map(|(_, with)| with).sum::<f64>().floor() as u64;
        let index = self.index(n);
        let mut passed = 0.0;
        let threshold = positives.iter().find(|(_, with)| {
            passed += with;
            index > 0 && passed >= index as f64
        });
        Alarm { rule: *self, positives: n, index, threshold: threshold.map(|(p, _)| limit(*p)) }
    }
}

/// What a threshold gives and costs, counted in cases that the score has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Operating {
    pub threshold: f64,
    /// Alarmed orphan cases, and all of them.
    pub found: f64,
    pub orphans: f64,
    /// Alarmed cases, and all of them.
    pub alarmed: f64,
    pub cases: f64,
}

impl Operating {
    /// Share of the orphan cases that are alarmed; undefined without any.
    pub fn recall(&self) -> Option<f64> {
        (self.orphans > 0.0).then(|| self.found / self.orphans)
    }

    /// Share of the alarmed cases that are orphan; undefined without an alarm.
    pub fn precision(&self) -> Option<f64> {
        (self.alarmed > 0.0).then(|| self.found / self.alarmed)
    }

    /// Alarms per 1,000 cases.
    pub fn alerts_per_1000(&self) -> f64 {
        if self.cases > 0.0 { 1000.0 * self.alarmed / self.cases } else { 0.0 }
    }
}

/// The trade-off at every distinct score, highest threshold first, thinned to at most `points`
/// (evenly over the orphan cases found; both ends are kept).
pub fn curve(scored: &Scored, points: usize) -> Vec<Operating> {
    let mut entries = scored.entries.clone();
    entries.retain(|(_, with, without)| with + without > 0.0);
    entries.sort_by(|a, b| b.0.total_cmp(&a.0));
    let orphans = entries.iter().map(|entry| entry.1).sum::<f64>();
    let cases = orphans + entries.iter().map(|entry| entry.2).sum::<f64>();
    let (mut found, mut alarmed) = (0.0, 0.0);
    let mut all: Vec<Operating> = Vec::new();
    for (p, with, without) in entries {
        found += with;
        alarmed += with + without;
        let here = Operating { threshold: p, found, orphans, alarmed, cases };
        match all.last_mut() {
            Some(last) if last.threshold == p => *last = here,
            _ => all.push(here),
        }
    }
    if all.len() <= points || points < 2 {
        return all;
    }
    let share = |step: &Operating| if orphans > 0.0 { step.found / orphans } else { step.alarmed / cases };
    let last = all.len() - 1;
    let mut kept = Vec::with_capacity(points);
    for (i, step) in all.iter().enumerate() {
        let due = kept.len() as f64 / (points - 1) as f64;
        if i == 0 || i == last || (kept.len() < points - 1 && share(step) >= due) {
            kept.push(*step);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conformal_index_of_known_sizes() {
        let rule = Rule::Conformal { recall: 0.80 };
        assert_eq!([3, 4, 9, 20, 99].map(|n| rule.index(n)), [0, 1, 2, 4, 20]);
    }

    /// scipy.stats.binom.sf(k - 1, n, 0.3) >= 0.9: the highest k for n = 6, 7, 20, 50, 210, 5,000 and 200,000.
    #[test]
    fn tolerance_index_of_known_sizes() {
        let rule = Rule::Tolerance { recall: 0.70, confidence: 0.90 };
        assert_eq!([6, 7, 20, 50, 210].map(|n| rule.index(n)), [0, 1, 3, 11, 55]);
        assert_eq!([5_000, 200_000].map(|n| rule.index(n)), [1_459, 59_737]);
    }

    #[test]
    fn a_promise_keeps_the_lower_of_both_thresholds() {
        let rule = Rule::Promise { recall: 0.70, confidence: 0.90, aim: 0.80 };
        assert_eq!([6, 20, 50, 210].map(|n| rule.index(n)), [0, 3, 10, 42]);
    }

    #[test]
    fn the_threshold_is_the_indexed_score_and_keeps_the_recall() {
        let entries: Vec<_> = (1..=99).map(|i| (f64::from(i) / 100.0, 1.0, 3.0)).collect();
        let scored = Scored { entries };
        let alarm = Rule::Conformal { recall: 0.80 }.choose(&scored);
        assert_eq!((alarm.positives, alarm.index, alarm.threshold), (99, 20, Some(0.20)));
        let at = curve(&scored, 1000).into_iter().find(|step| step.threshold == 0.20).unwrap();
        assert_eq!((at.found, at.alarmed, at.cases), (80.0, 320.0, 396.0));
        assert_eq!(at.precision(), Some(0.25));
    }

    #[test]
    fn too_few_positives_give_no_threshold() {
        let alarm = Rule::default().choose(&Scored { entries: vec![(0.9, 2.0, 0.0), (0.1, 1.0, 50.0)] });
        assert_eq!((alarm.positives, alarm.index, alarm.threshold), (3, 0, None));
    }

    #[test]
    fn the_curve_is_thinned_and_keeps_its_ends() {
        let entries: Vec<_> = (0..5000).map(|i| (f64::from(i) / 5000.0, f64::from(i % 2), 1.0)).collect();
        let curve = curve(&Scored { entries }, 100);
        assert!(curve.len() <= 100, "{}", curve.len());
        assert_eq!(curve.last().unwrap().recall(), Some(1.0));
        assert!(
            curve
                .windows(2)
                .all(|pair| pair[0].threshold > pair[1].threshold && pair[0].alarmed < pair[1].alarmed)
        );
    }
}
