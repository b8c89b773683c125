//! A whole model on a small cohort with a known truth: fitted, calibrated, tabulated, and answered
//! without the library.

use std::sync::OnceLock;

use clinical::{Rarity, Severity, Study};
use learn::Matrix;
use learn::abstain::Coverage;
use learn::alarm::Rule;
use learn::augment::Augmented;
use learn::combine::{Classes, Disease, Group};
use learn::crossfit::{Fitted, Member, Recipe, Training, fit, fit_augmented};
use learn::fewshot::{Episodes, FewShotPlan};
use learn::learner::{Job, Learner, Parameters, Target, Xgboost};
use learn::predict::{Columns, Direct, Estimator, Predictor, Table, sample_background};
use learn::profile::Axis;
use prepare::{Cohort, Folds, Groups, Stratum, Synthetic, TrainingCounts};

use crate::worker::trainer;

const DIMS: [usize; 3] = [20, 2, 3];
const GROUPS: [(usize, bool); 4] = [(0, false), (1, false), (2, false), (2, true)];

fn levels(cell: usize) -> [usize; 3] {
    [cell / 6, cell / 3 % 2, cell % 3]
}

fn encode(levels: &[usize]) -> Vec<f32> {
    let mut row = vec![levels[0] as f32 / 19.0];
    row.extend((0..2).map(|level| f32::from(u8::from(levels[1] == level))));
    row.extend((0..3).map(|level| f32::from(u8::from(levels[2] == level))));
    row
}

/// P(group | cell): the orphan group lives in a corner.
fn truth(cell: usize) -> [f64; 4] {
    let [a, b, c] = levels(cell).map(|level| level as f64);
    let logits = [
        1.5 - 0.1 * a,
        0.05 * a + 0.5 * b,
        0.2 * a - 2.0 + 0.4 * c,
        -5.0 + 0.3 * a * b + 0.8 * c - 0.01 * a * a,
    ];
    let e = logits.map(f64::exp);
    let sum: f64 = e.iter().sum();
    e.map(|e| e / sum)
}

/// 6,000 cases in five folds from a fixed linear congruence.
pub(crate) fn training() -> Training {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut folds = vec![Matrix::zeros(120, 4); 5];
    for i in 0..6000 {
        let cell = (uniform() * 120.0) as usize;
        let mut rest = uniform();
        let group = truth(cell).iter().position(|p| {
            rest -= p;
            rest < 0.0
        });
        folds[i % 5].row_mut(cell)[group.unwrap_or(3)] += 1.0;
    }
    let x: Vec<f32> = (0..120).flat_map(|cell| encode(&levels(cell))).collect();
    let x = Matrix::from_vec(120, 6, x).unwrap();
    let groups = GROUPS.map(|(severity, orphan)| Group { severity, orphan }).to_vec();
    let patients = (0..120).flat_map(|cell| levels(cell).map(|level| level as u32)).collect();
    let levels = Matrix::from_vec(120, 3, patients).unwrap();
    Training {
        score: x.clone(),
        score_levels: levels.clone(),
        x,
        levels,
        axes: vec![Axis::Number { levels: 20 }, Axis::Code { levels: 2 }, Axis::Number { levels: 3 }],
        folds,
        diseases: (0..4)
            .map(|group| Disease { group, orphan: GROUPS[group].1, code: Some(format!("disease {group}")) })
            .collect(),
        classes: Classes { severities: 3, healthy: Some(0), groups },
    }
}

fn settings() -> Xgboost {
    Xgboost { rounds: 300, depth: 3, eta: 0.1, columns: 0.6, ..Xgboost::default() }
}

pub(crate) fn recipe() -> Recipe {
    let episodes = Episodes { episodes: 200, ..Episodes::default() };
    Recipe {
        watched: Vec::new(),
        parameters: Parameters::Xgboost(settings()),
        coverage: Coverage::default(),
        few_shot: FewShotPlan { episodes: Some(episodes), ..FewShotPlan::default() },
        seed: 0,
        alarm: Rule::Conformal { recall: 0.8 },
    }
}

fn fitted() -> &'static Fitted {
    static FITTED: OnceLock<Fitted> = OnceLock::new();
    FITTED.get_or_init(|| fit(&training(), &recipe(), &trainer(2), &mut |_| {}).unwrap())
}

fn weights() -> Vec<(usize, f64)> {
    let training = training();
    (0..120)
        .map(|cell| (cell, training.folds.iter().map(|fold| fold.row(cell).iter().sum::<f64>()).sum()))
        .collect()
}

#[test]
fn the_answers_are_near_the_truth() {
    let fitted = fitted();
    let (mut orphan, mut severity) = (0.0, 0.0);
    for cell in 0..120 {
        let (truth, answer) = (truth(cell), fitted.answers.row(cell));
        orphan += (answer[3] - truth[3]).abs() / 120.0;
        let alarmed = fitted.combination.alarmed(answer[3]);
        let expected = if alarmed {
            let sick = 1.0 - truth[0];
            [0.0, truth[1] / sick, (truth[2] + truth[3]) / sick]
        } else {
            [truth[0], truth[1], truth[2] + truth[3]]
        };
        severity += answer.iter().zip(expected).map(|(a, b)| (a - b).abs()).sum::<f64>() / 360.0;
        assert!(!alarmed || answer[0] == 0.0);
    }
    assert!(orphan < 0.02 && severity < 0.035, "mean errors {orphan} and {severity}");
}

#[test]
fn the_alarm_keeps_its_recall_on_the_population_and_its_price_is_known() {
    let fitted = fitted();
    let alarm = &fitted.combination.alarm;
    let positives: f64 =
        training().folds.iter().map(|fold| fold.iter_rows().map(|row| row[3]).sum::<f64>()).sum();
    assert_eq!(alarm.positives as f64, positives);
    assert_eq!(alarm.index, (0.2 * (positives + 1.0)) as u64);
    let orphans: f64 = (0..120).map(|cell| truth(cell)[3]).sum();
    let found: f64 = (0..120)
        .filter(|&cell| fitted.combination.alarmed(fitted.answers.row(cell)[3]))
        .map(|cell| truth(cell)[3])
        .sum();
    assert!(found / orphans > 0.70, "recall {}", found / orphans);
    // Evaluated on unseen cases, fold by fold, with thresholds from the other folds.
    let (mut hit, mut alarmed) = (0.0, 0.0);
    for (fold, alarms) in training().folds.iter().zip(&fitted.unseen_alarm) {
        for (row, _) in fold.iter_rows().zip(alarms).filter(|(_, alarm)| **alarm) {
            hit += row[3];
            alarmed += row.iter().sum::<f64>();
        }
    }
    assert!((hit / positives - 0.8).abs() < 0.08, "unseen recall {}", hit / positives);
    let at = fitted.curve.iter().min_by(|a, b| {
        let distance = |step: &learn::alarm::Operating| (step.alarmed - alarmed).abs();
        distance(a).total_cmp(&distance(b))
    });
    assert!((at.unwrap().recall().unwrap() - hit / positives).abs() < 0.1);
}

#[test]
fn unseen_answers_come_from_a_member_that_did_not_see_the_fold() {
    // Cases added to a fold change what the others' members answer, never what answers that fold.
    // Few rounds: the loss still falls, so early stopping, which looks at the fold, keeps them all.
    let few = Recipe { parameters: Parameters::Xgboost(Xgboost { rounds: 15, ..settings() }), ..recipe() };
    let members = |training: &Training| fit(training, &few, &trainer(2), &mut |_| {}).unwrap().members;
    let before = members(&training());
    let mut changed = training();
    changed.folds[2].row_mut(7)[1] += 40.0;
    let after = members(&changed);
    assert_eq!((before[2].rounds, &before[2].model), (15, &after[2].model));
    assert_ne!(before[2].held_out_loss, after[2].held_out_loss);
    assert_ne!(before[1].model, after[1].model);
}

#[test]
fn fitting_again_gives_the_same_bytes() {
    let again = fit(&training(), &recipe(), &trainer(1), &mut |_| {}).unwrap();
    assert_eq!(again.members, fitted().members);
    assert_eq!(again.answers, fitted().answers);
    assert_eq!((&again.half, &again.nearest), (&fitted().half, &fitted().nearest));
}

#[test]
fn the_rust_reader_scores_as_the_library_does() {
    let training = training();
    let target =
        Target::Counts { train: training.folds[0].clone(), held_out: Some(training.folds[1].clone()) };
    let job = Job::new(training.x.clone(), target, recipe().parameters);
    let fit = trainer(1).fit(&job, &mut |_| {}).unwrap();
    let estimator = Estimator::read(Learner::Xgboost, "model", &fit.model).unwrap();
    assert_eq!(estimator.score(&training.x).unwrap(), fit.margins);
}

fn direct(fitted: &Fitted, background: Vec<(usize, f64)>) -> Direct {
    let columns = Columns::of(&DIMS, encode).unwrap();
    let read = |member: &Member| Estimator::read(fitted.learner, "member", &member.model).unwrap();
    let members = fitted.members.iter().map(read).collect();
    let background = background.into_iter().map(|(cell, weight)| (levels(cell).to_vec(), weight)).collect();
    Direct::new(columns, members, fitted.half.clone(), fitted.combination.clone(), background).unwrap()
}

/// Synthetic orphan cases of every member, five times the real ones and distributed as orphan cases truly are.
fn augmented() -> Vec<Augmented> {
    let study = Study::default_study();
    let stratum = |&(severity, orphan): &(usize, bool)| Stratum {
        severity: Severity(severity as u8),
        rarity: (severity > 0).then_some(if orphan { Rarity::Orphan } else { Rarity::Common }),
        disease_code: None,
    };
    let cohort =
        Cohort::new(GROUPS.iter().flat_map(|group| [(0, 0, stratum(group), 1), (0, 13, stratum(group), 1)]));
    let (groups, folds) = (Groups::of(study, &cohort), Folds::new(&study.split, 5));
    let orphans: f64 = training().folds.iter().flat_map(|fold| fold.iter_rows().map(|row| row[3])).sum();
    let share: f64 = (0..120).map(|cell| truth(cell)[3]).sum();
    let made = |cell: usize| (3, cell, (4.0 * orphans * truth(cell)[3] / share).round() as u64);
    (0..5)
        .map(|fold| {
            let training = TrainingCounts::without_fold(study, &cohort, &groups, folds, fold).unwrap();
            let synthetic = Synthetic::of(&training, (0..120).map(made));
            Augmented::of(&synthetic, 6, |cell, row| row.extend(encode(&levels(cell)))).unwrap()
        })
        .collect()
}

#[test]
fn synthetic_cases_change_the_training_and_not_the_odds() {
    let fitted = fit_augmented(&training(), &augmented(), &recipe(), &trainer(2), &mut |_| {}).unwrap();
    // Orphan cases have grown sixfold in each member's training, and the margins fall by the logarithm of that.
    assert_eq!(fitted.combination.shifts.len(), 5);
    for shift in &fitted.combination.shifts {
        assert!(shift[..3] == [0.0; 3] && (shift[3] - 6f64.ln()).abs() < 0.15, "{shift:?}");
    }
    let inflation = fitted.inflation.unwrap();
    assert!(inflation.mean_before > 3.0 * inflation.share, "{inflation:?}");
    assert!((inflation.mean_after / inflation.share - 1.0).abs() < 0.1, "{inflation:?}");
    assert!(inflation.error_after < 0.01 && inflation.error_before > 0.03, "{inflation:?}");
    let errors = (0..120).map(|cell| (fitted.answers.row(cell)[3] - truth(cell)[3]).abs() / 120.0);
    assert!(errors.sum::<f64>() < 0.02);
    // The models themselves, as they are kept, answer the same.
    let direct = direct(&fitted, sample_background(&weights(), 100, 1));
    for cell in 0..120 {
        for (a, b) in direct.predict(&levels(cell)).unwrap().iter().zip(fitted.answers.row(cell)) {
            assert!((a - b).abs() < 1e-6, "{cell}: {a} {b}");
        }
    }
    // Ten orphan cases a fold among 1,200: their precision scatters, their mean stands above the share.
    let precision = fitted.unseen_precision(&training());
    let mean = precision.iter().map(|fold| fold.unwrap()).sum::<f64>() / 5.0;
    assert!(mean > 3.0 * inflation.share, "{precision:?}");
}

#[test]
fn table_and_trees_answer_and_explain_alike() {
    // With a cohort of at most 100 cells the background is the cohort, and both explanations are exact.
    let cohort: Vec<(usize, f64)> = weights().into_iter().step_by(2).collect();
    let table = Table::build(&DIMS, &fitted().answers, &cohort).unwrap();
    let background = sample_background(&cohort, 100, 1);
    let predictors = [Predictor::Tabulated(table), Predictor::Direct(Box::new(direct(fitted(), background)))];
    for cell in (0..120).step_by(7) {
        let [tabulated, direct] = &predictors;
        for (a, b) in
            tabulated.predict(&levels(cell)).unwrap().iter().zip(direct.predict(&levels(cell)).unwrap())
        {
            assert!((a - b).abs() < 1e-6);
        }
        for output in 0..4 {
            let (a, b) = (
                tabulated.explain(&levels(cell), output).unwrap(),
                direct.explain(&levels(cell), output).unwrap(),
            );
            assert!((a.base - b.base).abs() < 1e-6);
            let alike = a.contributions.iter().zip(&b.contributions).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(alike, "cell {cell} output {output}: {a:?} {b:?}");
            let sum = b.base + b.contributions.iter().sum::<f64>();
            assert!((sum - direct.predict(&levels(cell)).unwrap()[output]).abs() < 1e-12);
        }
    }
    assert!(predictors.iter().all(|predictor| predictor.predict(&[20, 0, 0]).is_err()));
}

#[test]
fn the_nearest_disease_of_a_patient_is_the_same_from_the_table_and_from_the_models() {
    let direct = direct(fitted(), sample_background(&weights(), 100, 1));
    for cell in 0..120 {
        let tabulated: Vec<(String, f64)> =
            fitted().nearest.of_cell(cell).map(|(code, p)| (code.to_owned(), p)).collect();
        assert_eq!(tabulated, direct.nearest(&levels(cell)).unwrap());
        // One orphan disease is known; what is left to it is a disease that nobody has seen.
        let [(code, p)] = tabulated.as_slice() else { panic!("{tabulated:?}") };
        assert!(code == "disease 3" && *p > 0.0 && *p <= 1.0);
    }
}

#[test]
fn a_background_sample_is_bounded_seeded_and_follows_the_weights() {
    let cells: Vec<(usize, f64)> =
        (0..1000).map(|cell| (cell, if cell < 100 { 90.0 } else { 1.0 })).collect();
    let sample = sample_background(&cells, 50, 3);
    assert_eq!(sample.len(), 50);
    assert_eq!(sample, sample_background(&cells, 50, 3));
    assert_ne!(sample, sample_background(&cells, 50, 4));
    let heavy = sample.iter().filter(|(cell, _)| *cell < 100).count();
    assert!(heavy > 35, "{heavy} of 50 from the cells that hold nine tenths of the cases");
}

#[test]
fn every_possible_patient_of_a_fitted_model_gets_a_distribution() {
    let table = Table::build(&DIMS, &fitted().answers, &weights()).unwrap();
    assert_eq!(table.patients(), 120);
    for cell in 0..120 {
        let answer = table.predict_cell(cell);
        assert!(answer.iter().all(|p| (0.0..=1.0).contains(p)), "{cell}: {answer:?}");
        assert!((answer[..3].iter().sum::<f64>() - 1.0).abs() < 1e-9, "{cell}: {answer:?}");
    }
    let alarmed = (0..120).filter(|&cell| fitted().combination.alarmed(table.predict_cell(cell)[3])).count();
    assert!(alarmed > 0 && alarmed < 120);
}

#[test]
fn without_orphan_cases_there_is_no_alarm() {
    let mut training = training();
    training.folds.iter_mut().for_each(|fold| (0..120).for_each(|cell| fold.row_mut(cell)[3] = 0.0));
    let fitted = fit(&training, &recipe(), &trainer(2), &mut |_| {}).unwrap();
    let alarm = &fitted.combination.alarm;
    assert_eq!((alarm.positives, alarm.index, alarm.threshold), (0, 0, None));
    assert!(fitted.answers.iter_rows().all(|row| row[3] < 0.01 && row[..3].iter().sum::<f64>() > 1.0 - 1e-9));
}
