//! Drift: whether the patients of a window are still those of a reference, feature by feature.
//!
//! Everything works on counts per level, so it costs what the levels cost and is exact. The classic p-value of the
//! Kolmogorov-Smirnov statistic supposes a continuous feature; on few, heavily tied levels it is far too large (for a
//! feature of two levels it falls below 0.05 in about 0.5 % of unchanged windows). The p-value here is that of the permutation test, which
//! knows the ties: labels are dealt anew to the pooled patients, on counts one draw from a multivariate hypergeometric
//! distribution, and p = (1 + draws that are at least as far apart) / (1 + draws) (Phipson and Smyth 2010). Drawing ends early once p is
//! known to be above 0.1; it is then the share so far (Besag and Clifford 1991).
//!
//! A window of a million patients makes any trifle significant. So an alarm needs an effect, too: [`Limits`].

mod classic;
mod correction;
mod distance;
mod urn;

use clinical::{Feature, Kind};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

pub use classic::{chi_square_p, ks_asymptotic_p, ks_exact_p};
pub use correction::{benjamini_hochberg, bonferroni};
pub use distance::{chi_square, g_statistic, ks_statistic, psi, quantile_bins, total_variation, wasserstein};

use crate::error::{Error, Result};
use distance::ks_gap;
use urn::Urn;

/// Pairs of sample sizes up to this product get the exact classic p-value, larger ones the asymptotic one.
const EXACT_UP_TO: u64 = 1_000_000;

/// Below this expected count the chi-square distribution is no longer trusted (Cochran 1954).
const SPARSE: f64 = 5.0;

/// A chance that is taken for none.
const NEVER: f64 = 1e-12;

/// Bins of the population stability index for an ordered feature: deciles of the reference.
pub const PSI_BINS: usize = 10;

/// How the levels of a feature relate to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Numbers and graded categories: compared by Kolmogorov-Smirnov.
    Ordered,
    /// Codes: compared by chi-square.
    Nominal,
}

impl Scale {
    #[must_use]
    pub fn of(feature: &Feature) -> Scale {
        match feature.kind {
            Kind::Number { .. } | Kind::Category(_) => Scale::Ordered,
            Kind::Code(_) => Scale::Nominal,
        }
    }
}

/// Two samples, counted by the same levels.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    reference: &'a [u64],
    window: &'a [u64],
}

impl<'a> Pair<'a> {
    /// # Errors
    /// The samples differ in length, hold more than 2^53 patients, or one of them holds none.
    pub fn new(reference: &'a [u64], window: &'a [u64]) -> Result<Self> {
        if reference.len() != window.len() {
            return Err(Error::Length { what: "the window", found: window.len(), needed: reference.len() });
        }
        for sample in [reference, window] {
            match sample.iter().try_fold(0u64, |sum, &count| sum.checked_add(count)) {
                Some(0) => return Err(Error::Weights),
                Some(total) if total < 1 << 53 => {}
                _ => return Err(Error::TooMany),
            }
        }
        Ok(Self { reference, window })
    }

    /// Patients of the reference and of the window.
    #[must_use]
    pub fn sizes(&self) -> (u64, u64) {
        (self.reference.iter().sum(), self.window.iter().sum())
    }

    fn levels(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.reference.iter().copied().zip(self.window.iter().copied())
    }

    /// The levels that either sample has, in their order.
    fn occupied(&self) -> Vec<(u64, u64)> {
        self.levels().filter(|(a, b)| a + b > 0).collect()
    }
}

/// What is compared, and with what care.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// False discovery rate over all comparisons of one run.
    pub alpha: f64,
    /// Effect from which a change counts as drift: distance or population stability index.
    pub notable: f64,
    /// Effect from which it counts as major.
    pub major: f64,
    /// Patients that each sample needs at least.
    pub fewest: u64,
    /// Permutations; the smallest p-value is 1 / (1 + draws).
    pub draws: u32,
    pub seed: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { alpha: 0.05, notable: 0.10, major: 0.25, fewest: 30, draws: 999, seed: 1 }
    }
}

impl Limits {
    /// With so many draws that one changed feature among `comparisons` unchanged ones can still be found.
    #[must_use]
    pub fn for_comparisons(self, comparisons: usize) -> Self {
        let needed = (10.0 * comparisons as f64 / self.alpha).ceil() as u32;
        Self { draws: needed.clamp(999, 9_999), ..self }
    }
}

/// Which statistic was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    KolmogorovSmirnov,
    ChiSquare,
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// Too few patients to say.
    Few,
    /// No difference that chance does not explain.
    Stable,
    /// A difference beyond chance, too small to matter.
    Slight,
    /// Beyond chance and notable.
    Notable,
    /// Beyond chance and major.
    Major,
}

/// One feature compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub test: Test,
    /// Kolmogorov-Smirnov's D, or chi-square.
    pub statistic: f64,
    /// By permutation; of a chi-square whose expected counts are all at least five, by its distribution.
    pub p: f64,
    /// The classic p-value, for comparison: exact or asymptotic Kolmogorov-Smirnov for a continuous feature, or chi-square's.
    pub p_classic: f64,
    /// Benjamini and Hochberg's, over all comparisons of the run.
    pub p_adjusted: f64,
    /// Largest difference of the distribution functions (ordered) or total variation distance (nominal), 0 to 1.
    pub distance: f64,
    /// Population stability index, over deciles of the reference (ordered) or over the codes.
    pub psi: f64,
    pub reference: u64,
    pub window: u64,
    pub drift: Drift,
}

/// One question of a run.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub pair: Pair<'a>,
    pub scale: Scale,
}

/// Compares every pair and judges them together. The answer depends on the questions, their order and the seed alone.
///
/// # Errors
/// None that a [`Pair`] could cause.
pub fn compare(questions: &[Question<'_>], limits: &Limits, threads: usize) -> Result<Vec<Change>> {
    let one = |(number, question): (usize, &Question<'_>)| {
        let seed = limits.seed.wrapping_add(number as u64);
        question.answer(&Limits { seed, ..*limits })
    };
    let numbered: Vec<(usize, &Question<'_>)> = questions.iter().enumerate().collect();
    let share = numbered.len().div_ceil(threads.max(1)).max(1);
    let mut changes = Vec::with_capacity(questions.len());
    std::thread::scope(|scope| {
        let parts: Vec<_> = numbered
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(|&asked| one(asked)).collect::<Result<Vec<_>>>()))
            .collect();
        for part in parts {
            match part.join() {
                Ok(part) => changes.extend(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })?;
    judge(&mut changes, limits);
    Ok(changes)
}

/// Corrects the p-values for their number and says what each comparison means. Comparisons of too few patients take
/// no part in the correction.
pub fn judge(changes: &mut [Change], limits: &Limits) {
    let enough = |change: &Change| change.reference.min(change.window) >= limits.fewest;
    let p: Vec<f64> = changes.iter().filter(|change| enough(change)).map(|change| change.p).collect();
    let mut adjusted = benjamini_hochberg(&p).into_iter();
    for change in changes {
        if !enough(change) {
            change.drift = Drift::Few;
            continue;
        }
        change.p_adjusted = adjusted.next().unwrap_or(1.0);
        let effect = change.distance.max(change.psi);
        change.drift = match () {
            () if change.p_adjusted > limits.alpha => Drift::Stable,
            () if effect >= limits.major => Drift::Major,
            () if effect >= limits.notable => Drift::Notable,
            () => Drift::Slight,
        };
    }
}

impl Question<'_> {
    fn answer(&self, limits: &Limits) -> Result<Change> {
        let (reference, window) = self.pair.sizes();
        let blank = Change {
            test: Test::ChiSquare,
            statistic: 0.0,
            p: 1.0,
            p_classic: 1.0,
            p_adjusted: 1.0,
            distance: 0.0,
            psi: 0.0,
            reference,
            window,
            drift: Drift::Few,
        };
        match self.scale {
            Scale::Ordered => ordered(&self.pair, limits, blank),
            Scale::Nominal => nominal(&self.pair, limits, blank),
        }
    }
}

fn ordered(pair: &Pair<'_>, limits: &Limits, blank: Change) -> Result<Change> {
    let (n, m) = pair.sizes();
    let gap = ks_gap(pair);
    let d = ks_statistic(pair);
    let p_classic = match n.checked_mul(m) {
        Some(product) if product <= EXACT_UP_TO => ks_exact_p(gap, n, m),
        _ => ks_asymptotic_p(d, n, m),
    };
    Ok(Change {
        test: Test::KolmogorovSmirnov,
        statistic: d,
        p: ks_permutation_p(pair, limits)?,
        p_classic,
        distance: d,
        psi: psi(pair, &quantile_bins(pair, PSI_BINS)),
        ..blank
    })
}

fn nominal(pair: &Pair<'_>, limits: &Limits, blank: Change) -> Result<Change> {
    let (statistic, degrees, least_expected) = chi_square(pair);
    let p_classic = chi_square_p(statistic, degrees);
    let p = if least_expected < SPARSE { chi_square_permutation_p(pair, limits)? } else { p_classic };
    let own: Vec<usize> = (0..pair.reference.len()).collect();
    let (distance, psi) = (total_variation(pair), psi(pair, &own));
    Ok(Change { test: Test::ChiSquare, statistic, p, p_classic, distance, psi, ..blank })
}

/// The permutation p-value of the Kolmogorov-Smirnov statistic, at the limits' draws and seed. Statistics are compared as whole numbers.
///
/// # Errors
/// None that a [`Pair`] could cause.
pub fn ks_permutation_p(pair: &Pair<'_>, limits: &Limits) -> Result<f64> {
    let observed = ks_gap(pair);
    if out_of_reach(pair, limits.draws) {
        return Ok(1.0 / f64::from(1 + limits.draws));
    }
    permutation_p(pair, limits, |levels| distance::gap(levels) >= observed)
}

/// Whether it is certain, up to a chance of [`NEVER`], that no draw would be as far apart as the two samples: then none is made.
///
/// Hoeffding's inequality holds for samples drawn without replacement, too (Hoeffding 1963, section 6): the distribution function
/// of `n` patients of the pool is at a given level `t` or more away from the pool's with a chance of at most 2 exp(-2 n t^2). It is added up
/// over levels and draws.
fn out_of_reach(pair: &Pair<'_>, draws: u32) -> bool {
    let (n, m) = pair.sizes();
    let (n, m) = (n as f64, m as f64);
    let (d, all) = (ks_statistic(pair), n + m);
    let exponent = 2.0 * (n * (m / all).powi(2)).max(m * (n / all).powi(2)) * d * d;
    let chances = 2.0 * pair.occupied().len() as f64 * f64::from(draws);
    chances.ln() - exponent < NEVER.ln()
}

/// The permutation p-value of chi-square, for sparse tables.
///
/// # Errors
/// None that a [`Pair`] could cause.
pub fn chi_square_permutation_p(pair: &Pair<'_>, limits: &Limits) -> Result<f64> {
    // Equal tables may differ in the last bits of their sums.
    let observed = chi_square(pair).0 * (1.0 - 1e-12);
    permutation_p(pair, limits, |levels| distance::chi_square_of(levels).0 >= observed)
}

fn permutation_p(pair: &Pair<'_>, limits: &Limits, as_far: impl Fn(&[(u64, u64)]) -> bool) -> Result<f64> {
    let levels = pair.occupied();
    let urn = Urn::new(levels.iter().map(|(a, b)| a + b).collect(), pair.sizes().0)?;
    let mut rng = ChaCha8Rng::seed_from_u64(limits.seed);
    let mut dealt = levels;
    let (mut reached, enough) = (0u32, (limits.draws / 10).max(1));
    for draw in 1..=limits.draws {
        urn.deal(&mut rng, &mut dealt);
        reached += u32::from(as_far(&dealt));
        if reached > enough {
            // Far from significant, whatever would follow.
            return Ok(f64::from(reached) / f64::from(draw));
        }
    }
    Ok(f64::from(1 + reached) / f64::from(1 + limits.draws))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_cannot_be_compared_are_refused() {
        assert_eq!(
            Pair::new(&[1], &[1, 2]).unwrap_err(),
            Error::Length { what: "the window", found: 2, needed: 1 }
        );
        assert_eq!(Pair::new(&[0, 0], &[1, 2]).unwrap_err(), Error::Weights);
        assert_eq!(Pair::new(&[u64::MAX, 1], &[1, 2]).unwrap_err(), Error::TooMany);
        assert_eq!(Pair::new(&[1 << 53, 1], &[1, 2]).unwrap_err(), Error::TooMany);
    }

    /// All ways of dealing six patients into three and three, by hand.
    #[test]
    fn the_permutation_p_value_is_that_of_all_permutations() {
        let (a, b) = ([2, 1, 0], [0, 1, 2]);
        let pair = Pair::new(&a, &b).unwrap();
        // Units 0 0 1 1 2 2; D = 2/3 is reached when one side holds both of level 0 or both of level 2 (or both):
        // 2 * (C(4,1) + C(4,1)) - 2 * C(2,1) = 12 of the 20 ways.
        let p = ks_permutation_p(&pair, &Limits { draws: 200_000, ..Limits::default() }).unwrap();
        assert!((p - 0.6).abs() < 0.005, "{p}");
    }

    /// Where no draw is made, draws give the same; and small samples are drawn.
    #[test]
    fn what_is_out_of_reach_is_not_reached() {
        let (a, b) = ([600u64, 400], [300u64, 700]);
        let pair = Pair::new(&a, &b).unwrap();
        assert!(out_of_reach(&pair, 999));
        let limits = Limits::default();
        let observed = ks_gap(&pair);
        let drawn = permutation_p(&pair, &limits, |levels| distance::gap(levels) >= observed).unwrap();
        assert_eq!(drawn, ks_permutation_p(&pair, &limits).unwrap());
        assert!(!out_of_reach(&Pair::new(&[400, 600], &b).unwrap(), 999));
        assert!(!out_of_reach(&Pair::new(&[6, 4], &[3, 7]).unwrap(), 999));
    }

    #[test]
    fn an_effect_is_needed_and_few_patients_say_nothing() {
        let question = |reference: &'static [u64], window: &'static [u64]| Question {
            pair: Pair::new(reference, window).unwrap(),
            scale: Scale::Ordered,
        };
        let asked = [
            question(&[500_000, 500_000], &[500_000, 500_100]),
            question(&[500_000, 500_000], &[480_000, 520_000]),
            question(&[500_000, 500_000], &[380_000, 620_000]),
            question(&[500_000, 500_000], &[200_000, 800_000]),
            question(&[500_000, 500_000], &[29, 0]),
        ];
        let changes = compare(&asked, &Limits::default(), 2).unwrap();
        let found: Vec<Drift> = changes.iter().map(|change| change.drift).collect();
        assert_eq!(found, [Drift::Stable, Drift::Slight, Drift::Notable, Drift::Major, Drift::Few]);
        assert_eq!(compare(&asked, &Limits::default(), 1).unwrap(), changes);
    }
}
