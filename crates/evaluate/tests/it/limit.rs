//! The limit of the inputs: right where the truth is known, and it says when a target is out of reach.

use evaluate::{
    Bootstrap, InputLimit, Population, Sufficiency,
    reference::{Preset, Reference},
};

const FEW: Bootstrap = Bootstrap { replicates: 40, seed: 1 };

/// The reference cohort as counts of a billion patients.
fn limit(preset: Preset) -> (Reference, InputLimit) {
    let reference = Reference::new(preset, false).unwrap();
    let counts: Vec<u64> = reference.weight().iter().map(|w| (w * 1e9).round() as u64).collect();
    let limit =
        InputLimit::of_table(4, &counts, reference.severity(), reference.orphan(), 0.7, &FEW).unwrap();
    (reference, limit)
}

#[test]
fn the_true_table_gives_the_exact_limit() {
    let (reference, limit) = limit(Preset::Reference);
    let decided = reference.population().unwrap().most_probable();
    let best = reference.score(reference.orphan(), &decided).unwrap();
    let close = |found: Option<f64>, expected: f64| {
        assert!((found.unwrap() - expected).abs() < 1e-4, "{found:?} {expected}")
    };
    close(limit.macro_f1.value(), best.macro_f1_best);
    close(limit.orphan_average_precision.value(), best.orphan_ap_best);
    close(limit.precision_at_recall, best.precision_at_recall_70_best);
    close(
        limit.alerts_per_1000_at_recall.map(|a| a / 1000.0),
        0.7 * best.orphan_prior / best.precision_at_recall_70_best,
    );
    close(Some(limit.orphan_base_rate), best.orphan_prior);
    assert_eq!(limit.macro_f1_within_reach(0.85), Sufficiency::Sufficient);
}

#[test]
fn little_signal_is_called_insufficient_and_a_near_miss_unclear() {
    let (_, limit) = limit(Preset::Epidemiology);
    match limit.macro_f1_within_reach(0.85) {
        Sufficiency::Insufficient { because } => {
            assert!(because.starts_with("the best macro F1 that these inputs allow is 0.453"), "{because}");
            assert!(because.ends_with("below the target of 0.85"), "{because}");
        }
        other => panic!("{other:?}"),
    }
    let value = limit.macro_f1.value().unwrap();
    let estimate = *limit.macro_f1.estimate().unwrap();
    assert!(estimate.low < value && value < estimate.high);
    assert!(matches!(limit.macro_f1_within_reach(value), Sufficiency::Unclear { .. }));
}

/// No assignment of classes to cells beats the iterated rule: all of them tried.
#[test]
fn the_best_macro_f1_is_the_best_of_all_rules() {
    let weight = [3.0, 1.0, 2.0, 5.0, 0.5, 1.5];
    let severity =
        [0.5, 0.3, 0.2, 0.2, 0.2, 0.6, 0.34, 0.33, 0.33, 0.8, 0.15, 0.05, 0.1, 0.7, 0.2, 0.45, 0.1, 0.45];
    let population = Population::new(3, &weight, &severity, &[0.1; 6]).unwrap();
    let mut best = 0.0_f64;
    for code in 0..3_usize.pow(6) {
        let decided: Vec<u8> = (0..6).map(|i| (code / 3_usize.pow(i) % 3) as u8).collect();
        let f1: f64 = population.f1(&decided).into_iter().map(|f| f.unwrap()).sum();
        best = best.max(f1 / 3.0);
    }
    let (found, rule) = population.best_macro_f1(population.most_probable()).unwrap();
    assert!((found - best).abs() < 1e-12, "{found} {best}");
    let plain: f64 = population.f1(&population.most_probable()).into_iter().map(|f| f.unwrap()).sum();
    assert!(found > plain / 3.0, "the most probable class is not the best rule here");
    let again: f64 = population.f1(&rule).into_iter().map(|f| f.unwrap()).sum();
    assert!((again / 3.0 - found).abs() < 1e-12);
}

#[test]
fn a_table_that_is_none_is_refused() {
    let limit = |counts: &[u64], severity: &[f64], orphan: &[f64]| {
        InputLimit::of_table(2, counts, severity, orphan, 0.7, &FEW)
    };
    assert!(limit(&[1, 2], &[0.5; 4], &[0.1; 2]).is_ok());
    assert!(limit(&[1, 2], &[0.5; 3], &[0.1; 2]).is_err());
    assert!(limit(&[1, 2], &[0.5; 4], &[0.1]).is_err());
    assert!(limit(&[0, 0], &[0.5; 4], &[0.1; 2]).is_err());
    assert!(limit(&[1, 2], &[0.5, 0.5, f64::NAN, 0.5], &[0.1; 2]).is_err());
    assert!(limit(&[1, 2], &[0.5; 4], &[0.1, 1.5]).is_err());
    let never = limit(&[1, 2], &[1.0, 0.0, 1.0, 0.0], &[0.0; 2]).unwrap();
    assert!(
        matches!(never.macro_f1_within_reach(0.5), Sufficiency::Unclear { because } if because == "a severity never occurs")
    );
    assert_eq!((never.orphan_average_precision.value(), never.precision_at_recall), (None, None));
}
