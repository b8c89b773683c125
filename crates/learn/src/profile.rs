//! Disease profiles: what the patients of each disease are like, feature by feature.
//!
//! The few-shot half's first expert. A disease is described by one distribution per clinical feature,
//! as if features were independent given the disease: a normal one over the levels of a number, shares
//! of the levels of a code or category. Few cases are shrunk towards the parent, the mean of the
//! diseases of the same rarity (empirical Bayes; Efron and Morris 1975), so one case is enough to
//! begin with and a thousand are left alone. Everything is a sum over counts: fitting is exact and
//! closed, and one more case changes its own disease only.

use serde::{Deserialize, Serialize};

use crate::combine::Disease;
use crate::prior::{Prior, Weighed};
use crate::{Error, Matrix, Result};

/// Cases that the parent's mean counts as.
const MEAN_PRIOR: f64 = 1.0;
/// Cases that the pooled variance counts as.
const VARIANCE_PRIOR: f64 = 4.0;
/// Cases per level that everybody's shares count as.
const SHARE_PRIOR: f64 = 1.5;

/// How the levels of a clinical feature are to be described.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Levels are equally spaced numbers.
    Number { levels: usize },
    /// Levels are codes or categories.
    Code { levels: usize },
}

impl Axis {
    pub fn levels(self) -> usize {
        match self {
            Axis::Number { levels } | Axis::Code { levels } => levels,
        }
    }
}

/// Cases of one disease, counted by level of every feature: all that its profile depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub disease: Disease,
    pub cases: f64,
    /// One vector of counts per feature, one count per level.
    pub levels: Vec<Vec<f64>>,
}

/// The fitted profiles of all diseases of a cohort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Profiles {
    axes: Vec<Axis>,
    tallies: Vec<Tally>,
    prior: Prior,
    /// ln of the disease's share of the cases, as the prior weighs them.
    log_share: Vec<f64>,
    /// ln P(level | disease), by disease and feature.
    log_levels: Vec<Vec<Vec<f64>>>,
}

/// What is kept: the counts, from which the rest follows.
#[derive(Serialize, Deserialize)]
struct Stored {
    axes: Vec<Axis>,
    tallies: Vec<Tally>,
    #[serde(default, skip_serializing_if = "Prior::is_cases")]
    prior: Prior,
}

impl From<Profiles> for Stored {
    fn from(profiles: Profiles) -> Stored {
        Stored { axes: profiles.axes, tallies: profiles.tallies, prior: profiles.prior }
    }
}

impl TryFrom<Stored> for Profiles {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Profiles> {
        Profiles::of_tallies(stored.axes, stored.tallies, stored.prior)
    }
}

impl Profiles {
    /// Profiles of counted cases. `levels`: the distinct patients, `n x features`; `counts`: their
    /// cases of each disease, `n x diseases`.
    ///
    /// # Errors
    /// When the shapes differ or a level is out of its feature's range.
    pub fn fit(
        axes: &[Axis],
        levels: &Matrix<u32>,
        counts: &Matrix<f64>,
        diseases: &[Disease],
        mut prior: Prior,
    ) -> Result<Profiles> {
        if (counts.rows(), counts.columns()) != (levels.rows(), diseases.len())
            || levels.columns() != axes.len()
        {
            return Err(Error::shape(
                "counts of diseases",
                format!("{} x {}", levels.rows(), diseases.len()),
                format!("{} x {}", counts.rows(), counts.columns()),
            ));
        }
        let mut tallies: Vec<Tally> = diseases.iter().map(|disease| Tally::empty(disease, axes)).collect();
        for (patient, row) in levels.iter_rows().zip(counts.iter_rows()) {
            for (tally, &cases) in tallies.iter_mut().zip(row).filter(|(_, cases)| **cases > 0.0) {
                tally.add(patient, cases)?;
            }
        }
        let orphan = diseases.iter().filter(|disease| disease.orphan);
        orphan.filter_map(|disease| disease.code.as_deref()).for_each(|code| prior.learn(code));
        Profiles::of_tallies(axes.to_vec(), tallies, prior)
    }

    fn of_tallies(axes: Vec<Axis>, tallies: Vec<Tally>, prior: Prior) -> Result<Profiles> {
        let fits =
            |tally: &Tally| tally.levels.iter().map(Vec::len).eq(axes.iter().map(|axis| axis.levels()));
        if tallies.is_empty() || axes.is_empty() || !tallies.iter().all(fits) {
            return Err(Error::Invalid("the disease profiles do not fit the features".into()));
        }
        let mut profiles = Profiles { axes, tallies, prior, log_share: Vec::new(), log_levels: Vec::new() };
        profiles.describe();
        Ok(profiles)
    }

    /// Counts one more case (or, with -1, takes one back) of a disease; a disease that is not there yet is added.
    ///
    /// # Errors
    /// When a level is out of its feature's range, or there is no such case to take back.
    pub fn add(&mut self, disease: &Disease, levels: &[u32], cases: f64) -> Result<()> {
        let mut tallies = self.tallies.clone();
        let position = match tallies.iter().position(|tally| tally.disease == *disease) {
            Some(position) => position,
            None => {
                tallies.push(Tally::empty(disease, &self.axes));
                tallies.len() - 1
            }
        };
        let Some(tally) = tallies.get_mut(position) else { return Ok(()) };
        tally.add(levels, cases)?;
        if tally.cases < 0.0 || tally.levels.iter().flatten().any(|count| *count < 0.0) {
            return Err(Error::Invalid("a case was taken back that had never been counted".into()));
        }
        self.tallies = tallies;
        if let Some(code) = disease.code.as_deref().filter(|_| disease.orphan) {
            self.prior.learn(code);
        }
        self.describe();
        Ok(())
    }

    pub fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// How frequent orphan diseases are beside each other.
    pub fn prior(&self) -> &Prior {
        &self.prior
    }

    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// ln P(disease) + ln P(levels | disease), one per disease, in the tallies' order.
    pub fn joint(&self, levels: &[u32], joint: &mut Vec<f64>) {
        joint.clear();
        joint.extend(self.log_share.iter().zip(&self.log_levels).map(|(share, features)| {
            let of = |(level, shares): (&u32, &Vec<f64>)| {
                shares.get(*level as usize).copied().unwrap_or(f64::NEG_INFINITY)
            };
            share + levels.iter().zip(features).map(of).sum::<f64>()
        }));
    }

    /// ln P(group | levels), one per group; answers ln P(levels), and leaves [`Profiles::joint`] in `joint`.
    pub fn margins(&self, levels: &[u32], joint: &mut Vec<f64>, margins: &mut [f64]) -> f64 {
        self.joint(levels, joint);
        let highest = joint.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        margins.fill(0.0);
        for (tally, value) in self.tallies.iter().zip(joint.iter()) {
            if let Some(sum) = margins.get_mut(tally.disease.group) {
                *sum += (value - highest).exp();
            }
        }
        let total: f64 = margins.iter().sum();
        margins.iter_mut().for_each(|sum| *sum = (*sum / total).max(f64::MIN_POSITIVE).ln());
        highest + total.ln()
    }

    /// The distributions that follow from the counts.
    fn describe(&mut self) {
        let weighed = self.tallies.iter().map(|tally| Weighed {
            code: tally.disease.code.as_deref(),
            orphan: tally.disease.orphan,
            cases: tally.cases,
        });
        let weights = self.prior.weights(&weighed.collect::<Vec<_>>());
        let total: f64 = weights.iter().sum();
        // Half a case more: a disease whose cases were all taken back stays possible. What a prevalence says needs none.
        let more = |tally: &Tally| if self.prior.is_cases() || tally.cases == 0.0 { 0.5 } else { 0.0 };
        let share = |(weight, tally): (&f64, &Tally)| ((weight + more(tally)) / (total + 0.5)).ln();
        self.log_share = weights.iter().zip(&self.tallies).map(share).collect();
        let by_feature: Vec<Vec<Vec<f64>>> = (0..self.axes.len())
            .map(|feature| match self.axes.get(feature) {
                Some(Axis::Number { .. }) => normals(&self.tallies, feature),
                _ => shares(&self.tallies, feature),
            })
            .collect();
        let mut by_feature: Vec<_> = by_feature.into_iter().map(Vec::into_iter).collect();
        self.log_levels = (0..self.tallies.len())
            .map(|_| by_feature.iter_mut().map(|diseases| diseases.next().unwrap_or_default()).collect())
            .collect();
    }
}

impl Tally {
    fn empty(disease: &Disease, axes: &[Axis]) -> Tally {
        let levels = axes.iter().map(|axis| vec![0.0; axis.levels()]).collect();
        Tally { disease: disease.clone(), cases: 0.0, levels }
    }

    fn add(&mut self, levels: &[u32], cases: f64) -> Result<()> {
        let inside = levels.len() == self.levels.len()
            && levels.iter().zip(&self.levels).all(|(level, counts)| (*level as usize) < counts.len());
        if !inside {
            return Err(Error::Invalid("a patient's levels do not fit the profiles' features".into()));
        }
        self.cases += cases;
        for (level, counts) in levels.iter().zip(&mut self.levels) {
            if let Some(count) = counts.get_mut(*level as usize) {
                *count += cases;
            }
        }
        Ok(())
    }

    fn counts(&self, feature: usize) -> &[f64] {
        self.levels.get(feature).map(Vec::as_slice).unwrap_or_default()
    }

    /// Sum of the levels, weighted by cases.
    fn sum(&self, feature: usize) -> f64 {
        self.counts(feature).iter().enumerate().map(|(level, count)| level as f64 * count).sum()
    }

    /// Sum of the squared distances of the levels from `centre`.
    fn scatter(&self, feature: usize, centre: f64) -> f64 {
        let square = |(level, count): (usize, &f64)| count * (level as f64 - centre).powi(2);
        self.counts(feature).iter().enumerate().map(square).sum()
    }
}

/// ln of a normal distribution over the levels of a number, per disease: the mean shrunk towards the
/// parent's, the variance towards the pooled one.
fn normals(tallies: &[Tally], feature: usize) -> Vec<Vec<f64>> {
    let seen = |tally: &&Tally| tally.cases > 0.0;
    let mean = |tally: &Tally| tally.sum(feature) / tally.cases;
    let (mut scatter, mut cases) = (0.0, 0.0);
    for tally in tallies.iter().filter(seen) {
        scatter += tally.scatter(feature, mean(tally));
        cases += tally.cases;
    }
    let levels = tallies.first().map_or(0, |tally| tally.counts(feature).len());
    // One level's width is the least that whole numbers can tell apart.
    let pooled = if cases > 0.0 { scatter / cases } else { 0.0 }.max(1.0 / 12.0);
    let everybody = tallies.iter().map(|tally| tally.sum(feature)).sum::<f64>() / cases.max(1.0);
    let parent = |orphan: bool| {
        let of_rarity: Vec<f64> =
            tallies.iter().filter(seen).filter(|tally| tally.disease.orphan == orphan).map(mean).collect();
        if of_rarity.is_empty() { everybody } else { of_rarity.iter().sum::<f64>() / of_rarity.len() as f64 }
    };
    let parents = [parent(false), parent(true)];
    let describe = |tally: &Tally| {
        let parent = parents[usize::from(tally.disease.orphan)];
        let mean = (tally.sum(feature) + MEAN_PRIOR * parent) / (tally.cases + MEAN_PRIOR);
        let variance =
            (tally.scatter(feature, mean) + VARIANCE_PRIOR * pooled) / (tally.cases + VARIANCE_PRIOR);
        let variance = variance.max(1.0 / 12.0);
        let logs: Vec<f64> =
            (0..levels).map(|level| -(level as f64 - mean).powi(2) / (2.0 * variance)).collect();
        normalised(logs)
    };
    tallies.iter().map(describe).collect()
}

/// ln of the shares of the levels of a code, per disease, shrunk towards everybody's.
fn shares(tallies: &[Tally], feature: usize) -> Vec<Vec<f64>> {
    let levels = tallies.first().map_or(0, |tally| tally.counts(feature).len());
    let mut everybody = vec![1.0; levels];
    for tally in tallies {
        everybody.iter_mut().zip(tally.counts(feature)).for_each(|(sum, count)| *sum += count);
    }
    let total: f64 = everybody.iter().sum();
    let prior = SHARE_PRIOR * levels as f64;
    let describe = |tally: &Tally| {
        let share = |(count, all): (&f64, &f64)| ((count + prior * all / total) / (tally.cases + prior)).ln();
        tally.counts(feature).iter().zip(&everybody).map(share).collect()
    };
    tallies.iter().map(describe).collect()
}

/// Shifts logarithms so that what they are of sums to 1.
fn normalised(mut logs: Vec<f64>) -> Vec<f64> {
    let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - highest).exp()).sum();
    logs.iter_mut().for_each(|log| *log -= highest + sum.ln());
    logs
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXES: [Axis; 2] = [Axis::Number { levels: 100 }, Axis::Code { levels: 3 }];

    fn disease(group: usize, orphan: bool, code: &str) -> Disease {
        Disease { group, orphan, code: Some(code.to_owned()) }
    }

    fn profiles() -> Profiles {
        let diseases = [disease(0, false, "a"), disease(1, true, "b")];
        let levels = Matrix::from_vec(4, 2, vec![20, 0, 30, 1, 70, 2, 80, 2]).unwrap();
        let counts = Matrix::from_vec(4, 2, vec![40.0, 0.0, 60.0, 0.0, 0.0, 3.0, 0.0, 1.0]).unwrap();
        Profiles::fit(&AXES, &levels, &counts, &diseases, Prior::Cases).unwrap()
    }

    fn margins(profiles: &Profiles, levels: [u32; 2]) -> [f64; 2] {
        let mut margins = [0.0; 2];
        profiles.margins(&levels, &mut Vec::new(), &mut margins);
        margins
    }

    /// By hand: disease a has mean (2600 + 26) / 101 = 26 and variance (2400 + 4 s) / 104, where the
    /// pooled s = (2400 + 75) / 104; its code shares are (40 + 4.5 * 41 / 107) / 104.5 and so on.
    #[test]
    fn a_profile_is_what_the_formulas_say() {
        let profiles = profiles();
        let variance = (2400.0 + 4.0 * (2475.0 / 104.0)) / 104.0;
        let ln = |level: f64| -(level - 26.0f64).powi(2) / (2.0 * variance);
        let sum: f64 = (0..100).map(|level| ln(f64::from(level)).exp()).sum();
        let number = &profiles.log_levels[0][0];
        assert!((number[31] - (ln(31.0) - sum.ln())).abs() < 1e-12);
        let code: f64 = (40.0 + 4.5 * 41.0 / 107.0) / 104.5;
        assert!((profiles.log_levels[0][1][0] - code.ln()).abs() < 1e-12);
    }

    #[test]
    fn margins_are_the_logarithms_of_a_distribution_and_know_their_own() {
        let profiles = profiles();
        for levels in [[25, 0], [74, 2], [0, 1], [99, 0]] {
            let p = margins(&profiles, levels).map(f64::exp);
            assert!((p[0] + p[1] - 1.0).abs() < 1e-12);
        }
        assert!(margins(&profiles, [25, 0])[0] > -0.01);
        assert!(margins(&profiles, [75, 2])[1] > -0.2);
    }

    #[test]
    fn by_prevalence_only_the_choice_between_orphan_diseases_changes() {
        let codes = ["ORPHA:586", "ORPHA:355", "ORPHA:0"];
        let mut diseases = vec![disease(0, false, "a")];
        diseases.extend(codes.map(|code| disease(1, true, code)));
        let levels = Matrix::from_vec(2, 2, vec![20, 0, 70, 2]).unwrap();
        let counts = Matrix::from_vec(2, 4, vec![40.0, 0.0, 0.0, 0.0, 0.0, 2.0, 9.0, 5.0]).unwrap();
        let fit = |prior| Profiles::fit(&AXES, &levels, &counts, &diseases, prior).unwrap();
        let (counted, weighed) = (fit(Prior::Cases), fit(Prior::of(clinical::study::Prior::Prevalence)));
        let share = |profiles: &Profiles, at: usize| profiles.log_share[at].exp();
        let among = |code: &str| clinical::orphanet::prevalence(code).unwrap();
        let frequent = share(&weighed, 1) / share(&weighed, 2);
        assert!((frequent - among(codes[0]) / among(codes[1])).abs() < 1e-9 * frequent);
        // Of the last one nobody knows a prevalence: the higher one of two is their median.
        assert!((share(&weighed, 3) - share(&weighed, 1)).abs() < 1e-12);
        let orphan = |profiles: &Profiles| (1..4).map(|at| share(profiles, at)).sum::<f64>();
        assert!((orphan(&weighed) - 16.0 / 56.5).abs() < 1e-12 && orphan(&counted) > orphan(&weighed));
        assert_eq!(counted.log_levels, weighed.log_levels);
        // It comes back as it was kept, whatever a dictionary says by then; the counted one says nothing of it.
        let text = serde_json::to_string(&weighed).unwrap();
        let moved = text.replace("11.1319", "1.0");
        assert_ne!(moved, text);
        assert_eq!(serde_json::from_str::<Profiles>(&text).unwrap(), weighed);
        assert_ne!(serde_json::from_str::<Profiles>(&moved).unwrap(), weighed);
        assert!(!serde_json::to_string(&counted).unwrap().contains("prior"));
    }

    #[test]
    fn a_case_added_and_taken_back_changes_nothing_and_one_case_teaches_a_new_disease() {
        let before = profiles();
        let mut after = before.clone();
        let novel = disease(1, true, "new");
        after.add(&novel, &[5, 1], 1.0).unwrap();
        assert!(margins(&after, [5, 1])[1] > margins(&before, [5, 1])[1] + 0.5);
        after.add(&novel, &[5, 1], -1.0).unwrap();
        assert_eq!(after.tallies[..2], before.tallies[..]);
        assert!(after.add(&novel, &[5, 1], -1.0).is_err());
        assert!(after.add(&novel, &[100, 1], 1.0).is_err());
    }

    #[test]
    fn they_are_stored_as_counts_and_come_back_whole() {
        let profiles = profiles();
        let text = serde_json::to_string(&profiles).unwrap();
        assert_eq!(serde_json::from_str::<Profiles>(&text).unwrap(), profiles);
        assert!(serde_json::from_str::<Profiles>(r#"{"axes": [], "tallies": []}"#).is_err());
    }
}
