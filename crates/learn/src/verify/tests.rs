//! A model of 72 possible patients, checked pair by pair against the definitions.

use clinical::Study;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, StandardUniform};

use super::*;
use crate::Matrix;
use crate::predict::Table;

const STUDY: &str = include_str!("tests.study.toml");
const THRESHOLD: f64 = 0.6;

fn study() -> Study {
    Study::parse(STUDY).unwrap()
}

/// Random answers, changed by `change`.
struct Model {
    study: Study,
    table: Table,
}

impl Model {
    fn new(change: impl Fn(usize, &mut [f64])) -> Model {
        let study = study();
        let cells = study.domain().size().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut uniform = move || -> f64 { StandardUniform.sample(&mut rng) };
        let mut f = Matrix::zeros(cells, 4);
        for cell in 0..cells {
            let raw: [f64; 3] = std::array::from_fn(|_| uniform());
            let sum: f64 = raw.iter().sum();
            f.row_mut(cell)[..3].copy_from_slice(&raw.map(|p| p / sum));
            f.row_mut(cell)[3] = uniform();
            change(cell, f.row_mut(cell));
        }
        let table = Table::build(study.domain().dims(), &f, &[(0, 1.0)]).unwrap();
        Model { study, table }
    }

    fn answers(&self) -> Answers<'_> {
        let cells = 0..self.table.patients();
        let alarm = cells.clone().map(|cell| self.table.predict_cell(cell)[3] >= THRESHOLD).collect();
        let decided = cells.map(|cell| {
            let shown = &self.table.predict_cell(cell)[..3];
            (0..3_u8).max_by(|&a, &b| shown[usize::from(a)].total_cmp(&shown[usize::from(b)])).unwrap()
        });
        Answers::new(&self.study, &self.table, alarm, decided.collect()).unwrap()
    }
}

/// 0 to 40 people in each cell, nobody in some.
fn people() -> People {
    People::new(72, (0..72).map(|cell| (cell, (cell as u64 * 31 % 47).saturating_sub(6)))).unwrap()
}

fn levels(answers: &Answers<'_>, cell: usize) -> Vec<usize> {
    answers.study().domain().levels(cell)
}

/// The features in which two cells differ.
fn differing(answers: &Answers<'_>, a: usize, b: usize) -> Vec<usize> {
    let (a, b) = (levels(answers, a), levels(answers, b));
    (0..a.len()).filter(|&i| a[i] != b[i]).collect()
}

fn distance(answers: &Answers<'_>, a: usize, b: usize) -> f64 {
    answers.shown(a).iter().zip(answers.shown(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn jumps_are_those_of_all_pairs_one_level_apart() {
    let model = Model::new(|_, _| {});
    let answers = model.answers();
    let found = verify(&answers, &people(), &study().verification).unwrap();
    let (mut pairs, mut largest, mut beyond) = ([0; 3], [0.0_f64; 3], [0; 3]);
    let mut members: [std::collections::BTreeSet<usize>; 3] = Default::default();
    for a in 0..72 {
        for b in a + 1..72 {
            let [feature] = differing(&answers, a, b)[..] else { continue };
            // Ward is a code: it has no neighbours.
            if feature == 0 || levels(&answers, b)[feature] - levels(&answers, a)[feature] != 1 {
                continue;
            }
            let kind = if answers.alarmed(a) != answers.alarmed(b) { 2 } else { feature - 1 };
            let size = distance(&answers, a, b);
            pairs[kind] += 1;
            largest[kind] = largest[kind].max(size);
            if size > [0.4, 0.45, 0.5][kind] {
                beyond[kind] += 1;
                members[kind].extend([a, b]);
            }
        }
    }
    // 3 wards: 3 x 6 steps along age by 4 pressures, 6 ages x 3 steps along pressure.
    assert_eq!(pairs.iter().sum::<usize>(), 3 * (5 * 4 + 6 * 3));
    for (jumps, kind) in [(&found.jumps, 0), (&found.category_jumps, 1), (&found.jumps_across_alarm, 2)] {
        assert_eq!((jumps.pairs, jumps.beyond), (pairs[kind], Some(beyond[kind])));
        assert!(beyond[kind] > 0 && jumps.largest == largest[kind]);
        let of_members: u64 = members[kind].iter().map(|&cell| people().of(cell)).sum();
        assert_eq!(jumps.people_beyond, Some(of_members));
        let first = &jumps.named[0];
        assert_eq!((jumps.named.len(), first.difference.abs()), (NAMED, largest[kind]));
        assert_eq!(distance(&answers, first.from.cell, first.to.cell), largest[kind]);
        assert!(jumps.named.windows(2).all(|w| w[0].difference.abs() >= w[1].difference.abs()));
    }
    let bound = |what: &str| found.bounds.iter().find(|bound| bound.what == what).unwrap();
    let jump = bound("jump between neighbours along a number");
    assert_eq!((jump.found, jump.at_most, jump.gate, jump.holds), (largest[0], 0.4, false, false));
    assert!(bound("jump between neighbours across the alarm").gate && !found.holds);
}

#[test]
fn a_model_that_keeps_its_declared_directions_has_no_violation_and_another_is_named() {
    // The study declares that p(ill) must not fall as pressure rises, and p(orphan) must not rise with age.
    let kept = Model::new(|cell, row| {
        let levels = study().domain().levels(cell);
        let ill = 0.1 + 0.2 * levels[2] as f64;
        row.copy_from_slice(&[1.0 - ill, ill, 0.0, 0.5 - 0.05 * levels[1] as f64]);
    });
    let found = verify(&kept.answers(), &people(), &study().verification).unwrap();
    assert_eq!(
        found.monotone.iter().map(|m| (m.steps, m.violations, m.people)).collect::<Vec<_>>(),
        [(54, 0, 0), (60, 0, 0)]
    );
    let broken = Model::new(|cell, row| {
        let levels = study().domain().levels(cell);
        // One ward's patients of level 3 fall back by 0.15; the tolerance for age's direction swallows 0.01.
        let ill = if levels[0] == 1 && levels[2] == 3 { 0.35 } else { 0.1 + 0.2 * levels[2] as f64 };
        row.copy_from_slice(&[1.0 - ill, ill, 0.0, 0.3 + 0.01 * levels[1] as f64]);
    });
    let answers = broken.answers();
    let found = verify(&answers, &people(), &study().verification).unwrap();
    let [ill, orphan] = &found.monotone[..] else { panic!("two directions are declared") };
    assert_eq!((ill.violations, orphan.violations), (6, 0));
    assert!((ill.largest - 0.15).abs() < 1e-12 && (orphan.largest - 0.01).abs() < 1e-12);
    let worst = &ill.named[0];
    assert_eq!((worst.output.as_str(), worst.feature.as_str()), ("ill", "pressure"));
    assert_eq!((&worst.from.values["ward"], &worst.to.values["pressure"]), (&"B".into(), &"top".into()));
    let concerned = (0..72).filter(|&cell| levels(&answers, cell)[0] == 1 && levels(&answers, cell)[2] >= 2);
    assert_eq!(ill.people, concerned.map(|cell| people().of(cell)).sum::<u64>());
    let bounds: Vec<bool> = found
        .bounds
        .iter()
        .filter(|bound| matches!(bound.kind, Limited::Fall | Limited::Rise))
        .map(|bound| bound.holds)
        .collect();
    assert_eq!(bounds, [false, true]);
}

#[test]
fn another_study_s_limits_judge_and_what_the_model_lacks_is_left_out() {
    let model = Model::new(|_, _| {});
    let found = |text: &str| {
        let judge = Study::parse(text).unwrap().verification;
        verify(&model.answers(), &people(), &judge).unwrap()
    };
    assert!(!found(STUDY).holds, "random answers jump");
    // The same directions, of an output that the model has not, and without being gates.
    let other = STUDY.replace("code = \"ill\"", "code = \"sick\"").replace("\"ill\"", "\"sick\"");
    let monotone = found(&other).monotone;
    assert_eq!(monotone.iter().map(|one| one.output.as_str()).collect::<Vec<_>>(), ["orphan"]);
    assert!(found(&STUDY.replace("gate = true", "gate = false")).holds);
}

#[test]
fn groups_are_their_peoples_means() {
    let model = Model::new(|_, _| {});
    let (answers, people) = (model.answers(), people());
    let found = verify(&answers, &people, &study().verification).unwrap();
    // Not declared: every code and number.
    let features: Vec<&str> = found.groups.iter().map(|by| by.feature.as_str()).collect();
    assert_eq!(features, ["ward", "age"]);
    let ward = &found.groups[0];
    for (level, group) in ward.groups.iter().enumerate() {
        let members: Vec<usize> = (0..72).filter(|&cell| levels(&answers, cell)[0] == level).collect();
        let sum =
            |of: &dyn Fn(usize) -> f64| members.iter().map(|&c| people.of(c) as f64 * of(c)).sum::<f64>();
        let n = sum(&|_| 1.0);
        assert_eq!((group.people as f64, group.compared), (n, true));
        assert!((group.alarm_rate - sum(&|c| f64::from(u8::from(answers.alarmed(c)))) / n).abs() < 1e-12);
        assert!((group.orphan_probability - sum(&|c| answers.shown(c)[3]) / n).abs() < 1e-12);
        for (k, share) in group.severity_shares.iter().enumerate() {
            assert!((share - sum(&|c| f64::from(u8::from(answers.decided(c) == k))) / n).abs() < 1e-12);
        }
    }
    let rates: Vec<f64> = ward.groups.iter().map(|group| group.alarm_rate).collect();
    let (low, high) =
        (rates.iter().fold(1.0, |a: f64, &b| a.min(b)), rates.iter().fold(0.0, |a: f64, &b| a.max(b)));
    let spread = ward.alarm_rate.as_ref().unwrap();
    assert_eq!((spread.difference, spread.ratio), (high - low, Some(high / low)));
    let bound = |what: &str| found.bounds.iter().find(|bound| bound.what == what).unwrap().found;
    assert_eq!(bound("difference of the alarm rate between groups by ward"), high - low);
}

#[test]
fn a_group_of_few_is_shown_and_not_compared() {
    let model = Model::new(|_, _| {});
    let answers = model.answers();
    let count = |cell: usize| [200, 29, 0][levels(&answers, cell)[0]] * u64::from(cell.is_multiple_of(24));
    let few = People::new(72, (0..72).map(|cell| (cell, count(cell)))).unwrap();
    let ward = &verify(&answers, &few, &study().verification).unwrap().groups[0];
    assert_eq!(
        ward.groups.iter().map(|g| (g.people, g.compared)).collect::<Vec<_>>(),
        [(200, true), (29, false)]
    );
    assert!(ward.alarm_rate.is_none() && ward.severity_shares.is_none());
}

#[test]
fn swaps_are_all_patients_with_every_other_code() {
    let model = Model::new(|_, _| {});
    let (answers, people) = (model.answers(), people());
    let found = verify(&answers, &people, &study().verification).unwrap();
    let [ward] = &found.swaps[..] else { panic!("ward is the only code") };
    let others = |cell: usize| -> Vec<usize> {
        (0..72).filter(|&other| differing(&answers, cell, other) == [0]).collect()
    };
    let share = |of: &dyn Fn(usize) -> f64| {
        (0..72).map(|cell| people.of(cell) as f64 * of(cell)).sum::<f64>() / people.total() as f64
    };
    let any = |cell: usize, changed: &dyn Fn(usize) -> bool| {
        f64::from(u8::from(others(cell).into_iter().any(changed)))
    };
    let largest = |cell: usize| others(cell).iter().map(|&o| distance(&answers, cell, o)).fold(0.0, f64::max);
    let close =
        |found: Option<f64>, expected: f64| assert!((found.unwrap() - expected).abs() < 1e-12, "{expected}");
    close(ward.status_changed, share(&|c| any(c, &|o| answers.decided(o) != answers.decided(c))));
    close(ward.alarm_changed, share(&|c| any(c, &|o| answers.alarmed(o) != answers.alarmed(c))));
    close(ward.mean_change, share(&largest));
    assert_eq!(ward.largest_change, (0..72).map(largest).fold(0.0, f64::max));
    assert_eq!(ward.pairs.len(), 6);
    let pair = ward.pairs.iter().find(|pair| (pair.from.as_str(), pair.to.as_str()) == ("C", "A")).unwrap();
    let moved = |keep: &dyn Fn(usize, usize) -> bool| -> u64 {
        let of_c = (0..72).filter(|&cell| levels(&answers, cell)[0] == 2);
        of_c.filter(|&cell| keep(cell, cell - 48)).map(|cell| people.of(cell)).sum()
    };
    assert_eq!(pair.people, moved(&|_, _| true));
    assert_eq!(pair.status_changed, moved(&|c, o| answers.decided(c) != answers.decided(o)));
    assert_eq!(pair.alarm_gained, moved(&|c, o| !answers.alarmed(c) && answers.alarmed(o)));
    assert_eq!(pair.alarm_lost, moved(&|c, o| answers.alarmed(c) && !answers.alarmed(o)));
    let worst = &ward.named[0];
    assert_eq!(worst.difference.abs(), ward.largest_change);
    assert!(ward.named_of_people.iter().all(|swap| swap.patient.people > 0));
    assert!(worst.patient.text.starts_with("Ward "), "{}", worst.patient.text);
}

#[test]
fn an_answer_that_ignores_a_code_is_never_changed_by_it() {
    let model = Model::new(|cell, row| {
        let p = 0.1 + 0.03 * (cell % 24) as f64;
        row.copy_from_slice(&[1.0 - p, p, 0.0, p]);
    });
    let ward = &verify(&model.answers(), &people(), &study().verification).unwrap().swaps[0];
    assert_eq!(
        (ward.status_changed, ward.alarm_changed, ward.mean_change),
        (Some(0.0), Some(0.0), Some(0.0))
    );
    assert!(ward.named.is_empty() && ward.largest_change == 0.0);
    // Without people there is no share of people.
    let nobody = People::new(72, []).unwrap();
    let ward = &verify(&model.answers(), &nobody, &study().verification).unwrap().swaps[0];
    assert_eq!((ward.status_changed, ward.pairs[0].mean_orphan_change), (None, None));
}

#[test]
fn faults_are_counted_and_the_first_is_named() {
    let model = Model::new(|cell, row| {
        if cell >= 70 {
            row[0] = f64::NAN;
        }
        if cell == 65 {
            row.copy_from_slice(&[0.5, 0.51, 0.0, 0.2]);
        }
    });
    let found = verify(&model.answers(), &people(), &study().verification).unwrap();
    assert_eq!((found.proper.not_probabilities, found.proper.not_summing), (2, 3));
    assert_eq!(found.proper.first_fault.as_ref().unwrap().cell, 65);
    assert!(!found.holds && found.proper.largest_sum_error == 1.0);
    let alarmed = (0..72).filter(|&cell| model.answers().alarmed(cell));
    assert_eq!(found.proper.people_alarmed, alarmed.map(|cell| people().of(cell)).sum::<u64>());
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!(serde_json::from_value::<Verification>(json).unwrap(), found);
}

#[test]
fn a_constant_model_holds_whatever_is_declared() {
    let model = Model::new(|_, row| row.copy_from_slice(&[0.5, 0.3, 0.2, 0.1]));
    let found = verify(&model.answers(), &people(), &study().verification).unwrap();
    assert!(found.holds && found.bounds.iter().all(|bound| bound.holds), "{:?}", found.bounds);
    assert!(found.jumps.named.is_empty() && found.jumps_across_alarm.pairs == 0);
    assert!(verify(&model.answers(), &People::new(71, []).unwrap(), &study().verification).is_err());
}
