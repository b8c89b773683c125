//! The reference cohort equals its numpy definition.

use evaluate::reference::{BLOOD_TYPES, DIMS, Preset, Reference, SIZE, Score};
use serde_json::Value;

use crate::{floats, scores};

fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= 1e-9, "{what}: {found} {expected}");
}

fn levels(cell: usize) -> [usize; 5] {
    let (days, rest) = (cell % 32, cell / 32);
    let (pressure, rest) = (rest % 5, rest / 5);
    let (blood, rest) = (rest % 4, rest / 4);
    [rest / 2, rest % 2, blood, pressure, days]
}

/// The predictor of the reference script: integer arithmetic on levels, rich in ties.
fn made() -> (Vec<f64>, Vec<u8>) {
    let of = |cell| {
        let [age, gender, blood, pressure, days] = levels(cell);
        let score = (age * 31 + gender * 17 + blood * 29 + pressure * 23 + days * 19) % 101;
        (score as f64 / 101.0, ((age / 20 + gender + 2 * blood + pressure + days / 9) % 4) as u8)
    };
    (0..SIZE).map(of).unzip()
}

fn same_score(found: &Score, expected: &Value, what: &str) {
    let found = serde_json::to_value(found).unwrap();
    for (key, value) in expected.as_object().unwrap() {
        if key == "f1" {
            for (f, e) in floats(&found[key]).into_iter().zip(floats(value)) {
                close(f, e, what);
            }
        } else {
            close(found[key].as_f64().unwrap(), value.as_f64().unwrap(), &format!("{what} {key}"));
        }
    }
}

#[test]
fn scores_equal_the_numpy_definition_for_every_preset() {
    let (stored, (made_score, made_class)) = (scores(), made());
    let all = stored["scores"].as_array().unwrap();
    assert_eq!(all.len(), 8);
    for expected in all {
        let preset: Preset = expected["preset"].as_str().unwrap().parse().unwrap();
        let novel = expected["novel"].as_bool().unwrap();
        let reference = Reference::new(preset, novel).unwrap();
        let decided = reference.population().unwrap().most_probable();
        let what = format!("{preset} novel {novel}");
        same_score(&reference.score(reference.orphan(), &decided).unwrap(), &expected["truth"], &what);
        same_score(&reference.score(&made_score, &made_class).unwrap(), &expected["made"], &what);
        close(
            reference.macro_f1(&made_class).unwrap(),
            expected["made"]["macro_f1"].as_f64().unwrap(),
            &what,
        );
        same_marginals(&reference, &expected["marginals"], &what);
    }
}

fn same_marginals(reference: &Reference, expected: &Value, what: &str) {
    let mut of = DIMS.map(|d| vec![0.0; d]);
    let mut severity = [0.0; 4];
    for (cell, w) in reference.weight().iter().enumerate() {
        for (sums, level) in of.iter_mut().zip(levels(cell)) {
            sums[level] += w;
        }
        for (sum, p) in severity.iter_mut().zip(reference.of_cell(cell).unwrap().0) {
            *sum += w * p;
        }
    }
    for (key, axis) in [("age", 0), ("gender", 1), ("blood_pressure", 3), ("exercise", 4)] {
        for (found, expected) in of[axis].iter().zip(floats(&expected[key])) {
            close(*found, expected, what);
        }
    }
    for (found, code) in of[2].iter().zip(BLOOD_TYPES) {
        close(*found, expected["blood_type"][code].as_f64().unwrap(), what);
    }
    for (found, expected) in severity.iter().zip(floats(&expected["severity"])) {
        close(*found, expected, what);
    }
    for probe in expected["probes"].as_array().unwrap() {
        let name = |i: usize| probe["cell"][i].as_str().unwrap();
        let number = |i: usize| probe["cell"][i].as_u64().unwrap() as usize;
        let pressure = evaluate::reference::BLOOD_PRESSURES.iter().position(|p| *p == name(3)).unwrap();
        let blood = BLOOD_TYPES.iter().position(|b| *b == name(2)).unwrap();
        let cell = (((number(0) * 2 + number(1)) * 4 + blood) * 5 + pressure) * 32 + number(4);
        let (severity, orphan) = reference.of_cell(cell).unwrap();
        close(reference.weight()[cell] * 1e4, probe["weight"].as_f64().unwrap() * 1e4, what);
        close(orphan, probe["orphan"].as_f64().unwrap(), what);
        for (found, expected) in severity.iter().zip(floats(&probe["severity"])) {
            close(*found, expected, what);
        }
    }
}

/// The figures that the method's page prints, to its three digits.
#[test]
fn the_limits_of_the_presets_are_the_published_ones() {
    for (preset, macro_f1, ap, precision) in [
        (Preset::Epidemiology, 0.453, 0.079, 0.052),
        (Preset::Hard, 0.762, 0.548, 0.410),
        (Preset::Reference, 0.911, 0.860, 0.908),
        (Preset::Easy, 0.954, 0.964, 0.991),
    ] {
        let reference = Reference::new(preset, false).unwrap();
        let decided = reference.population().unwrap().most_probable();
        let score = reference.score(reference.orphan(), &decided).unwrap();
        for (found, expected) in [
            (score.macro_f1_best, macro_f1),
            (score.orphan_ap_best, ap),
            (score.precision_at_recall_70_best, precision),
        ] {
            assert!((found - expected).abs() < 6e-4, "{preset}: {found} {expected}");
        }
        assert!((reference.weight().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((reference.diseases().iter().map(|d| d.prior).sum::<f64>() - 1.0).abs() < 1e-12);
    }
}

#[test]
fn a_table_that_does_not_fit_is_refused() {
    let reference = Reference::new(Preset::Hard, false).unwrap();
    let (mut score, mut class) = made();
    assert!(reference.score(&score[1..], &class).is_err());
    assert!(reference.score(&score, &class[1..]).is_err());
    class[9] = 4;
    assert!(reference.score(&score, &class).is_err());
    class[9] = 3;
    score[7] = f64::NAN;
    assert!(reference.score(&score, &class).is_err());
    assert!("Reference".parse::<Preset>().is_err());
    assert!(reference.of_cell(SIZE).is_none());
}
