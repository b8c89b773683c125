//! SMOTE-NC on counted cells against its definition on rows, and against imbalanced-learn.

use std::collections::BTreeMap;

use clinical::{Rarity, Severity, Study};
use prepare::resample::{ResampleError, SmoteNc};
use prepare::{Cohort, Folds, Groups, Preprocessor, Stratum, Synthetic, TrainingCounts};

type Levels = [usize; 5];

/// Positions of the numbers and of the categories with their levels.
const NUMBERS: [(usize, f64); 2] = [(0, 120.0), (4, 31.0)];
const CATEGORIES: [usize; 3] = [1, 2, 3];

fn study() -> &'static Study {
    Study::default_study()
}

/// `rows` are the orphan cases outside fold 0; a healthy case keeps the fold company.
fn training(rows: &[Levels]) -> (Preprocessor, TrainingCounts) {
    let orphan = Stratum { severity: Severity(3), rarity: Some(Rarity::Orphan), disease_code: None };
    let healthy = Stratum { severity: Severity(0), rarity: None, disease_code: None };
    let counts = rows.iter().map(|row| (study().domain().cell(row), 13, orphan.clone(), 1));
    let cohort = Cohort::new(counts.chain([(0, 0, healthy.clone(), 1), (0, 13, healthy, 1)]));
    let (groups, folds) = (Groups::of(study(), &cohort), Folds::new(&study().split, 2));
    // No number passes for Gaussian: its unit is its range.
    let mut ranges = study().clone();
    ranges.scaling.normality_alpha = 1.0;
    let preprocessor = Preprocessor::fit(&ranges, &cohort);
    let units: Vec<f64> = NUMBERS.iter().map(|(n, _)| preprocessor.scale_of(*n).unwrap().factor).collect();
    assert_eq!(units, NUMBERS.map(|(_, unit)| unit));
    (preprocessor, TrainingCounts::without_fold(study(), &cohort, &groups, folds, 0).unwrap())
}

fn resample(rows: &[Levels], neighbours: usize, wanted: u64, seed: u64) -> Result<Synthetic, ResampleError> {
    let (preprocessor, training) = training(rows);
    SmoteNc { neighbours, seed }.resample(study(), &preprocessor, &training, &[0, wanted])
}

fn drawn(synthetic: &Synthetic) -> BTreeMap<Vec<usize>, u64> {
    synthetic.of_group(1).map(|(cell, cases)| (study().domain().levels(cell), cases)).collect()
}

/// The distribution of one synthetic case by the definition, row by row.
fn by_definition(rows: &[Levels], k: usize) -> BTreeMap<Vec<usize>, f64> {
    let mut p = BTreeMap::new();
    let mismatch = median_deviation(rows).powi(2);
    for (i, row) in rows.iter().enumerate() {
        let distance = |other: &Levels| -> f64 {
            let numbers = NUMBERS.iter().map(|&(n, unit)| ((row[n] as f64 - other[n] as f64) / unit).powi(2));
            let differ = CATEGORIES.iter().filter(|&&c| row[c] != other[c]).count() as f64;
            numbers.sum::<f64>() + mismatch * differ
        };
        let mut others: Vec<(f64, usize)> =
            (0..rows.len()).filter(|&j| j != i).map(|j| (distance(&rows[j]), j)).collect();
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        let last = others[k - 1].0;
        let certain: Vec<usize> = others.iter().filter(|o| o.0 < last - 1e-12).map(|o| o.1).collect();
        let tied: Vec<usize> = others.iter().filter(|o| (o.0 - last).abs() <= 1e-12).map(|o| o.1).collect();
        let choices = subsets(&tied, k - certain.len());
        for choice in &choices {
            let neighbours: Vec<usize> = certain.iter().chain(choice).copied().collect();
            let weight = 1.0 / (rows.len() * choices.len() * k) as f64;
            for &chosen in &neighbours {
                between(rows, row, &rows[chosen], &neighbours, weight, &mut p);
            }
        }
    }
    p
}

fn median_deviation(rows: &[Levels]) -> f64 {
    let n = rows.len() as f64;
    let deviation = |&(number, unit): &(usize, f64)| {
        let mean = rows.iter().map(|row| row[number] as f64).sum::<f64>() / n;
        (rows.iter().map(|row| (row[number] as f64 - mean).powi(2)).sum::<f64>() / n).sqrt() / unit
    };
    NUMBERS.iter().map(deviation).sum::<f64>() / 2.0
}

fn subsets(of: &[usize], size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let Some((first, rest)) = of.split_first() else { return Vec::new() };
    let with = subsets(rest, size - 1).into_iter().map(|mut subset| {
        subset.push(*first);
        subset
    });
    with.chain(subsets(rest, size)).collect()
}

/// Adds the cases between two rows: stretches of the step on which every rounded number stays the same, times
/// the winners of the categories.
fn between(
    rows: &[Levels],
    from: &Levels,
    to: &Levels,
    neighbours: &[usize],
    weight: f64,
    p: &mut BTreeMap<Vec<usize>, f64>,
) {
    let mut cuts = vec![0.0, 1.0];
    for (n, _) in NUMBERS {
        let (low, high) = (from[n].min(to[n]), from[n].max(to[n]));
        let span = high as f64 - low as f64;
        cuts.extend((low..high).map(|level| {
            let along = (level as f64 + 0.5 - low as f64) / span;
            if from[n] < to[n] { along } else { 1.0 - along }
        }));
    }
    cuts.sort_by(f64::total_cmp);
    let winners = CATEGORIES.map(|c| {
        let votes = |level: usize| neighbours.iter().filter(|&&j| rows[j][c] == level).count();
        let most = (0..5).map(votes).max().unwrap();
        (0..5).filter(|&level| votes(level) == most).collect::<Vec<usize>>()
    });
    let share: f64 = winners.iter().map(|winners| 1.0 / winners.len() as f64).product();
    for cut in cuts.windows(2).filter(|cut| cut[1] > cut[0]) {
        let step = (cut[0] + cut[1]) / 2.0;
        let number = |n: usize| (from[n] as f64 + step * (to[n] as f64 - from[n] as f64)).round() as usize;
        for &gender in &winners[0] {
            for &blood in &winners[1] {
                for &pressure in &winners[2] {
                    let levels = vec![number(0), gender, blood, pressure, number(4)];
                    *p.entry(levels).or_default() += weight * share * (cut[1] - cut[0]);
                }
            }
        }
    }
}

/// Pearson's statistic in standard deviations of its null distribution; infinite for an impossible case.
fn departure(drawn: &BTreeMap<Vec<usize>, u64>, expected: &BTreeMap<Vec<usize>, f64>) -> f64 {
    let total: u64 = drawn.values().sum();
    if drawn.keys().any(|levels| !expected.contains_key(levels)) {
        return f64::INFINITY;
    }
    let (mut statistic, mut cells, mut rare, mut rare_expected) = (0.0, 0.0, 0.0, 0.0);
    for (levels, p) in expected {
        let (seen, mean) = (drawn.get(levels).copied().unwrap_or(0) as f64, p * total as f64);
        if mean < 10.0 {
            rare += seen;
            rare_expected += mean;
        } else {
            statistic += (seen - mean).powi(2) / mean;
            cells += 1.0;
        }
    }
    if rare_expected > 10.0 {
        statistic += (rare - rare_expected).powi(2) / rare_expected;
        cells += 1.0;
    }
    let freedom: f64 = cells - 1.0;
    (statistic - freedom) / (2.0 * freedom).sqrt()
}

/// Classes with lone cases, twins, ties and equal distances.
fn classes() -> Vec<Vec<Levels>> {
    let lone = vec![
        [30, 0, 0, 1, 10],
        [41, 1, 0, 2, 3],
        [55, 0, 3, 4, 25],
        [62, 1, 2, 0, 8],
        [38, 0, 1, 1, 12],
        [47, 1, 3, 3, 30],
        [71, 0, 0, 2, 0],
        [33, 1, 3, 1, 17],
    ];
    let mut twins = lone.clone();
    twins.extend([lone[0], lone[0], lone[0], lone[0], lone[2], lone[5]]);
    // A regular grid: most distances tie.
    let grid = (0..12).map(|i| [40 + 10 * (i % 3), i % 2, i % 4, 2, 5 + 5 * (i / 3)]).collect();
    vec![lone, twins, grid]
}

#[test]
fn counted_cells_have_the_distribution_of_the_rows() {
    for (class, rows) in classes().iter().enumerate() {
        for k in [1, 3, 5] {
            let expected = by_definition(rows, k);
            assert!((expected.values().sum::<f64>() - 1.0).abs() < 1e-9);
            let seen = drawn(&resample(rows, k, 200_000, 7).unwrap());
            let far = departure(&seen, &expected);
            assert!(far.abs() < 5.0, "class {class}, k {k}: {far}");
            // The comparison can tell: another k is another distribution.
            assert!(departure(&seen, &by_definition(rows, k + 1)) > 20.0);
        }
    }
}

#[test]
fn enough_twins_are_copied_and_nothing_else() {
    let rows = [[30, 0, 0, 1, 10]; 6];
    let seen = drawn(&resample(&rows, 5, 1000, 1).unwrap());
    assert_eq!(seen, BTreeMap::from([(rows[0].to_vec(), 1000)]));
}

#[test]
fn the_seed_decides_and_groups_do_not_disturb_each_other() {
    let rows = &classes()[0];
    let one = resample(rows, 3, 500, 1).unwrap();
    assert_eq!(one, resample(rows, 3, 500, 1).unwrap());
    assert_ne!(one, resample(rows, 3, 500, 2).unwrap());
    assert_eq!(one.totals(), [0, 500]);
    assert!(one.cells().is_sorted());
}

#[test]
fn what_cannot_be_resampled_is_refused_with_its_reason() {
    let rows = &classes()[0][..5];
    let error = resample(rows, 5, 1, 1).unwrap_err();
    assert_eq!(
        error,
        ResampleError::TooFew { method: "SMOTE-NC", group: "chronic orphan".into(), cases: 5, needed: 6 }
    );
    assert!(error.to_string().contains("needs at least 6"), "{error}");
    assert!(resample(rows, 4, 1, 1).is_ok());
    assert_eq!(resample(rows, 0, 1, 1), Err(ResampleError::Neighbours));
    // A group of which nothing is wanted may be as small as it is.
    assert_eq!(resample(rows, 5, 0, 1).unwrap().totals(), [0, 0]);
    let (preprocessor, training) = training(rows);
    let more = SmoteNc { neighbours: 3, seed: 1 }.resample(study(), &preprocessor, &training, &[0, 1, 1]);
    assert_eq!(more, Err(ResampleError::Groups { wanted: 3, groups: 2 }));
}

#[test]
fn only_the_training_cases_outside_a_fold_are_there_to_resample() {
    let stratum = Stratum { severity: Severity(3), rarity: Some(Rarity::Orphan), disease_code: None };
    // One case per slot, each another patient.
    let cohort = Cohort::new((0..20).map(|slot| (1000 * usize::from(slot), slot, stratum.clone(), 1)));
    let (groups, folds) = (Groups::of(study(), &cohort), Folds::new(&study().split, 5));
    for fold in 0..5 {
        let training = TrainingCounts::without_fold(study(), &cohort, &groups, folds, fold).unwrap();
        let slots: Vec<usize> = (0..14).filter(|&slot| folds.of_slot(slot as u8) != Some(fold)).collect();
        assert_eq!(training.cells(), slots.iter().map(|slot| 1000 * slot).collect::<Vec<_>>());
    }
    let refused = TrainingCounts::without_fold(study(), &cohort, &groups, folds, 5);
    assert_eq!(refused, Err(ResampleError::Fold { fold: 5, folds: 5 }));
}

/// What tests/reference/smote_nc.py kept of imbalanced-learn's synthetic cases.
#[derive(serde::Deserialize)]
struct Peer {
    rows: Vec<Levels>,
    neighbours: usize,
    made: u64,
    single: Vec<Vec<u64>>,
    pairs: Vec<Pair>,
}

#[derive(serde::Deserialize)]
struct Pair {
    features: [usize; 2],
    counts: Vec<Vec<u64>>,
}

/// Chi-square of two samples of equal size, in standard deviations of its null distribution.
fn two_samples(a: &[u64], b: &[u64]) -> f64 {
    let pairs = a.iter().zip(b).map(|(&a, &b)| (a as f64, b as f64));
    let (mut statistic, mut cells, mut rare) = (0.0, 0.0f64, (0.0, 0.0));
    let mut add = |(a, b): (f64, f64)| {
        statistic += (a - b).powi(2) / (a + b);
        cells += 1.0;
    };
    for (a, b) in pairs {
        if a + b >= 20.0 {
            add((a, b));
        } else {
            rare = (rare.0 + a, rare.1 + b);
        }
    }
    if rare.0 + rare.1 >= 20.0 {
        add(rare);
    }
    (statistic - (cells - 1.0)) / (2.0 * (cells - 1.0)).sqrt()
}

#[test]
fn marginals_and_pairs_agree_with_imbalanced_learn() {
    let peer: Peer = serde_json::from_str(include_str!("../reference/smote_nc.json")).unwrap();
    let compare = |neighbours: usize| -> Vec<f64> {
        let ours = drawn(&resample(&peer.rows, neighbours, peer.made, 3).unwrap());
        let mut far = Vec::new();
        for (feature, theirs) in peer.single.iter().enumerate() {
            let mut counts = vec![0; theirs.len()];
            ours.iter().for_each(|(levels, cases)| counts[levels[feature]] += cases);
            far.push(two_samples(&counts, theirs));
        }
        let tenths = |levels: &[usize], f: usize| {
            if f == 0 {
                levels[f] * 10 / 121
            } else if f == 4 {
                levels[f] * 10 / 32
            } else {
                levels[f]
            }
        };
        for Pair { features: [a, b], counts: theirs } in &peer.pairs {
            let mut counts = vec![0; 100];
            ours.iter()
                .for_each(|(levels, cases)| counts[tenths(levels, *a) * 10 + tenths(levels, *b)] += cases);
            far.push(two_samples(&counts, &theirs.concat()));
        }
        far
    };
    let far = compare(peer.neighbours);
    assert_eq!(far.len(), 15);
    assert!(far.iter().all(|far| far.abs() < 5.0), "{far:?}");
    // One neighbour fewer would not pass.
    assert!(compare(peer.neighbours - 1).iter().all(|far| *far > 10.0), "{:?}", compare(peer.neighbours - 1));
}
