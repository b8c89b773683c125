//! Statistics of drift against scipy and statsmodels (`tests/reference/drift.py`), and what they do on unchanged windows.

use evaluate::drift::{
    Drift, Limits, PSI_BINS, Pair, Question, Scale, benjamini_hochberg, bonferroni, chi_square, chi_square_p,
    chi_square_permutation_p, compare, g_statistic, ks_asymptotic_p, ks_exact_p, ks_permutation_p,
    ks_statistic, psi, quantile_bins, total_variation, wasserstein,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::floats;

fn reference() -> Value {
    serde_json::from_str(include_str!("../reference/drift.json")).unwrap()
}

fn counts(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect()
}

fn cases(check: impl Fn(&str, &Pair<'_>, &Value)) {
    let all = reference();
    let all = all["cases"].as_array().unwrap();
    assert_eq!(all.len(), 13);
    for case in all {
        let (reference, window) = (counts(&case["reference"]), counts(&case["window"]));
        check(case["name"].as_str().unwrap(), &Pair::new(&reference, &window).unwrap(), case);
    }
}

/// Equal to twelve digits, or to 1e-15 of a probability.
#[track_caller]
fn equal(found: f64, expected: &Value, what: &str) {
    if let Some(expected) = expected.as_f64() {
        assert!((found - expected).abs() <= 1e-11 * expected.abs() + 1e-14, "{what}: {found} and {expected}");
    }
}

#[test]
fn statistics_are_those_of_scipy() {
    cases(|name, pair, case| {
        equal(ks_statistic(pair), &case["ks"], name);
        equal(total_variation(pair), &case["total_variation"], name);
        let levels = case["reference"].as_array().unwrap().len();
        let values: Vec<f64> = (0..levels).map(|level| level as f64).collect();
        equal(wasserstein(pair, &values), &case["wasserstein"], name);
        equal(psi(pair, &(0..levels).collect::<Vec<_>>()), &case["psi_levels"], name);
        equal(psi(pair, &quantile_bins(pair, PSI_BINS)), &case["psi_deciles"], name);
        equal(chi_square(pair).0, &case["chi_square"], name);
        equal(g_statistic(pair).0, &case["g"], name);
        assert_eq!(chi_square(pair).1, case["degrees"].as_u64().unwrap_or(0), "{name}");
    });
}

#[test]
fn classic_p_values_are_those_of_scipy() {
    cases(|name, pair, case| {
        let (n, m) = pair.sizes();
        let d = ks_statistic(pair);
        equal(ks_asymptotic_p(d, n, m), &case["ks_p_asymptotic"], name);
        // scipy rounds the effective size and takes the exact one-sample distribution for it; the limit is close to it.
        let scipy = case["ks_p_asymptotic_scipy"].as_f64().unwrap();
        let effective = (n * m) as f64 / (n + m) as f64;
        assert!((ks_asymptotic_p(d, n, m) - scipy).abs() < 0.2 / effective.sqrt(), "{name}");
        if let Some(exact) = case["ks_p_exact"].as_f64() {
            let found = ks_exact_p((d * (n * m) as f64).round() as u128, n, m);
            assert!((found - exact).abs() <= 1e-9 * exact, "{name}: {found} and {exact}");
        }
        let (chi, degrees, _) = chi_square(pair);
        equal(chi_square_p(chi, degrees), &case["chi_square_p"], name);
        equal(chi_square_p(g_statistic(pair).0, degrees), &case["g_p"], name);
    });
}

/// Within what two Monte-Carlo estimates of 20,000 draws differ by chance.
#[test]
fn permutation_p_values_are_those_of_scipy() {
    let limits = Limits { draws: 20_000, ..Limits::default() };
    cases(|name, pair, case| {
        for (found, key) in [
            (ks_permutation_p(pair, &limits), "ks_p_permutation"),
            (chi_square_permutation_p(pair, &limits), "chi_square_p_permutation"),
        ] {
            let Some(expected) = case[key].as_f64() else { continue };
            let found = found.unwrap();
            let error = (2.0 * expected * (1.0 - expected) / 20_000.0).sqrt() + 1.0 / 20_000.0;
            assert!((found - expected).abs() <= 4.5 * error, "{name}, {key}: {found} and {expected}");
        }
    });
}

#[test]
fn corrections_are_those_of_statsmodels() {
    let all = reference();
    for case in all["corrections"].as_array().unwrap() {
        let p = floats(&case["p"]);
        for (found, key) in [(benjamini_hochberg(&p), "benjamini_hochberg"), (bonferroni(&p), "bonferroni")] {
            for (found, expected) in found.iter().zip(floats(&case[key])) {
                assert!((found - expected).abs() < 1e-12, "{key}: {found} and {expected}");
            }
        }
    }
    assert!(benjamini_hochberg(&[]).is_empty());
}

fn drawn(shares: &[f64], n: usize, rng: &mut ChaCha8Rng) -> Vec<u64> {
    let mut counts = vec![0; shares.len()];
    for _ in 0..n {
        let mut at: f64 = rng.random();
        let level = shares.iter().position(|share| {
            at -= share;
            at < 0.0
        });
        counts[level.unwrap_or(shares.len() - 1)] += 1;
    }
    counts
}

/// The reason for permutations: on few levels the classic p-value hardly ever rejects, that is, it is blind.
#[test]
fn unchanged_windows_are_rejected_as_often_as_declared() {
    let (mut rng, windows) = (ChaCha8Rng::seed_from_u64(3), 800);
    for shares in [&[0.49, 0.51][..], &[0.5, 0.2, 0.1, 0.1, 0.1]] {
        let (mut permuted, mut classic) = (0, 0);
        for seed in 0..windows {
            let (reference, window) = (drawn(shares, 400, &mut rng), drawn(shares, 150, &mut rng));
            let pair = Pair::new(&reference, &window).unwrap();
            let limits = Limits { draws: 199, seed, ..Limits::default() };
            permuted += i32::from(ks_permutation_p(&pair, &limits).unwrap() <= 0.05);
            classic += i32::from(ks_asymptotic_p(ks_statistic(&pair), 400, 150) <= 0.05);
        }
        // 40 are expected at most; fewer, because D takes few values.
        assert!((16..=60).contains(&permuted), "{permuted} of {windows}");
        assert!(classic < permuted / 2, "{classic} against {permuted}");
    }
}

#[test]
fn a_shift_is_found_among_many_unchanged_features() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let shares: Vec<f64> = (0..20).map(|_| 0.05).collect();
    let mut moved = shares.clone();
    for (level, share) in moved.iter_mut().enumerate() {
        *share += if level < 10 { -0.015 } else { 0.015 };
    }
    let samples: Vec<(Vec<u64>, Vec<u64>)> = (0..40)
        .map(|feature| {
            let window = if feature == 7 { &moved } else { &shares };
            (drawn(&shares, 5000, &mut rng), drawn(window, 2000, &mut rng))
        })
        .collect();
    let asked: Vec<Question<'_>> = samples
        .iter()
        .map(|(a, b)| Question { pair: Pair::new(a, b).unwrap(), scale: Scale::Ordered })
        .collect();
    let changes = compare(&asked, &Limits::default().for_comparisons(asked.len()), 2).unwrap();
    let alarmed: Vec<usize> = (0..40).filter(|&at| changes[at].drift >= Drift::Notable).collect();
    assert_eq!(alarmed, [7]);
}
