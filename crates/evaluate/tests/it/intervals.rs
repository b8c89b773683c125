//! Exact intervals against scipy, bootstrap intervals against numpy's multinomial and against what they promise.

use evaluate::{Bootstrap, Cells, clopper_pearson, evaluate};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{CLASSES, cells, floats, metrics, push};

#[test]
fn clopper_pearson_equals_scipy_from_1_to_a_billion() {
    let stored = metrics();
    for row in stored["clopper_pearson"].as_array().unwrap() {
        let [hits, n] = [0, 1].map(|i| row[i].as_u64().unwrap());
        let (low, high) = clopper_pearson(hits, n).unwrap();
        for (found, expected) in [(low, row[2].as_f64().unwrap()), (high, row[3].as_f64().unwrap())] {
            // Exact below 200,000 hits and misses; beyond, less than a quarter of a hit away.
            let many = hits.min(n - hits) >= 200_000;
            let allowed = if many { 0.25 / n as f64 } else { 1e-8 * expected };
            assert!((found - expected).abs() <= allowed, "{hits} of {n}: {found} {expected}");
        }
    }
    assert_eq!(clopper_pearson(0, 0), None);
    assert_eq!(clopper_pearson(2, 1), None);
}

/// The stored intervals come from 4,000 resamplings of their own; both sides have Monte Carlo error.
#[test]
fn bootstrap_intervals_agree_with_numpy() {
    let stored = metrics();
    let case = &stored["cases"][1];
    let figures = evaluate(&cells(case), &Bootstrap { replicates: 2000, seed: 1 }).unwrap().figures;
    for (figure, key) in
        [(&figures.macro_f1, "macro_f1"), (&figures.orphan_average_precision, "orphan_average_precision")]
    {
        let (found, expected) = (figure.estimate().unwrap(), floats(&case["bootstrap"][key]));
        let width = expected[1] - expected[0];
        assert!((found.low - expected[0]).abs() < 0.06 * width, "{key}: {found:?} {expected:?}");
        assert!((found.high - expected[1]).abs() < 0.06 * width, "{key}: {found:?} {expected:?}");
    }
}

/// A small population of cells with known truth; samples of it, and how often the interval holds the true value.
#[test]
fn a_95_percent_interval_holds_the_truth_about_95_times_in_100() {
    // Per cell: shown class, orphan score, alarm, then shares by [severity][not orphan, orphan].
    type Kind = (u8, f64, bool, [u64; 8]);
    const POPULATION: [Kind; 5] = [
        (0, 0.02, false, [300, 0, 30, 2, 10, 0, 20, 2]),
        (1, 0.05, false, [40, 0, 150, 5, 10, 2, 20, 3]),
        (2, 0.10, false, [5, 0, 20, 3, 90, 8, 15, 5]),
        (3, 0.30, false, [10, 0, 20, 5, 15, 5, 110, 15]),
        (3, 0.60, true, [2, 0, 4, 3, 6, 12, 8, 60]),
    ];
    let sampled = |rng: Option<&mut ChaCha8Rng>, n: u64| {
        let shares: Vec<u64> = POPULATION.iter().flat_map(|p| p.3).collect();
        let mut drawn = vec![0_u64; shares.len()];
        match rng {
            None => drawn.copy_from_slice(&shares),
            Some(rng) => {
                let total: u64 = shares.iter().sum();
                for _ in 0..n {
                    let mut place = rng.random_range(0..total);
                    let one = shares.iter().position(|&s| {
                        let here = place < s;
                        place = place.saturating_sub(s);
                        here
                    });
                    drawn[one.unwrap()] += 1;
                }
            }
        }
        let mut cells = Cells::new(&CLASSES).unwrap();
        for (kind, counts) in POPULATION.iter().zip(drawn.chunks(8)) {
            push(&mut cells, kind.0, kind.1, kind.2, counts.try_into().unwrap());
        }
        cells
    };
    let truth = evaluate(&sampled(None, 0), &Bootstrap { replicates: 0, seed: 0 }).unwrap().figures;
    let truth = [truth.macro_f1, truth.f1_common, truth.orphan_average_precision, truth.orphan_recall]
        .map(|f| f.value().unwrap());
    let (mut rng, rounds, mut held) = (ChaCha8Rng::seed_from_u64(11), 300, [0; 4]);
    for seed in 0..rounds {
        let f =
            evaluate(&sampled(Some(&mut rng), 1500), &Bootstrap { replicates: 200, seed }).unwrap().figures;
        for (i, figure) in
            [f.macro_f1, f.f1_common, f.orphan_average_precision, f.orphan_recall].iter().enumerate()
        {
            let e = figure.estimate().unwrap();
            held[i] += u64::from((e.low..=e.high).contains(&truth[i]));
        }
    }
    for (i, &h) in held.iter().enumerate() {
        // 300 draws of 0.95 have standard deviation 0.0126; percentile intervals hold a little less than they say.
        let share = h as f64 / rounds as f64;
        assert!((0.90..=0.995).contains(&share), "figure {i}: {share}");
    }
}

#[test]
fn intervals_shrink_with_the_root_of_the_number_of_patients_and_repeat_by_seed() {
    let width = |factor: u64, seed| {
        let mut cells = Cells::new(&CLASSES).unwrap();
        push(&mut cells, 0, 0.1, false, [50, 0, 10, 0, 5, 0, 5, 1].map(|c| c * factor));
        push(&mut cells, 1, 0.2, false, [10, 0, 40, 1, 5, 0, 5, 1].map(|c| c * factor));
        push(&mut cells, 2, 0.3, false, [2, 0, 5, 1, 30, 3, 4, 2].map(|c| c * factor));
        push(&mut cells, 3, 0.6, true, [1, 0, 3, 2, 4, 3, 30, 9].map(|c| c * factor));
        let e = *evaluate(&cells, &Bootstrap { replicates: 500, seed })
            .unwrap()
            .figures
            .macro_f1
            .estimate()
            .unwrap();
        e.high - e.low
    };
    assert_eq!(width(1, 5).to_bits(), width(1, 5).to_bits());
    assert_ne!(width(1, 5).to_bits(), width(1, 6).to_bits());
    let ratio = width(1, 5) / width(10_000, 5);
    assert!((80.0..125.0).contains(&ratio), "{ratio}");
}
