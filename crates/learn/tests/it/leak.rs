//! Synthetic cases inside the folds leave a table without signal at chance; made before the folds they "solve" it.

use clinical::study::{Parameters, Xgboost};
use clinical::{Kind, Rarity, Severity, Study};
use learn::Matrix;
use learn::abstain::Coverage;
use learn::alarm::Rule;
use learn::augment::Augmented;
use learn::combine::{Classes, Disease, Group};
use learn::crossfit::{Fitted, Recipe, Training, fit, fit_augmented};
use learn::fewshot::FewShotPlan;
use learn::profile::Axis;
use prepare::resample::{SmoteNc, orphan_share};
use prepare::{Cohort, Folds, Groups, Preprocessor, Set, Stratum, Synthetic, TrainingCounts};

use crate::worker::trainer;

const ORPHANS: usize = 120;
const OTHERS: usize = 1380;

fn study() -> &'static Study {
    Study::default_study()
}

fn folds() -> Folds {
    Folds::new(&study().split, 5)
}

/// Patients drawn from all possible ones, outcomes by lot: nothing can be learned.
fn noise() -> Cohort {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut draw = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % below
    };
    let stratum = |severity, rarity| Stratum { severity: Severity(severity), rarity, disease_code: None };
    let orphan = stratum(3, Some(Rarity::Orphan));
    let others = [stratum(0, None), stratum(1, Some(Rarity::Common))];
    let patients = study().domain().size().unwrap();
    Cohort::new((0..ORPHANS + OTHERS).map(|i| {
        let stratum = if i < ORPHANS { orphan.clone() } else { others[i % 2].clone() };
        (draw(patients), (i % 14) as u8, stratum, 1)
    }))
}

/// The cohort in the learner's form, as the product prepares it.
fn training(cohort: &Cohort, groups: &Groups, preprocessor: &Preprocessor) -> Training {
    let mut cells: Vec<usize> = cohort.of_set(study(), Set::Train).map(|count| count.cell).collect();
    cells.dedup();
    let mut x = Vec::new();
    cells.iter().for_each(|&cell| preprocessor.encode_into(&study().domain().levels(cell), &mut x));
    let x = Matrix::from_vec(cells.len(), preprocessor.width(), x).unwrap();
    let mut counts = vec![Matrix::zeros(cells.len(), groups.len()); folds().count()];
    for count in cohort.of_set(study(), Set::Train) {
        let (row, fold) = (cells.binary_search(&count.cell).unwrap(), folds().of_slot(count.slot).unwrap());
        counts[fold].row_mut(row)[groups.of_stratum(count.stratum).unwrap()] += count.count as f64;
    }
    let group = |&(severity, orphan): &(Severity, bool)| Group { severity: severity.index(), orphan };
    let disease = |(group, &(_, orphan)): (usize, &(Severity, bool))| Disease { group, orphan, code: None };
    let axis = |feature: &clinical::Feature| match feature.kind {
        Kind::Number { .. } => Axis::Number { levels: feature.dim() },
        Kind::Code(_) | Kind::Category(_) => Axis::Code { levels: feature.dim() },
    };
    let levels: Vec<u32> =
        cells.iter().flat_map(|&cell| study().domain().levels(cell)).map(|level| level as u32).collect();
    let classes = Classes {
        severities: study().severities().len(),
        healthy: Some(0),
        groups: groups.pairs().iter().map(group).collect(),
    };
    Training {
        score: Matrix::zeros(0, x.columns()),
        score_levels: Matrix::zeros(0, study().features().len()),
        levels: Matrix::from_vec(x.rows(), study().features().len(), levels).unwrap(),
        x,
        axes: study().features().iter().map(axis).collect(),
        folds: counts,
        diseases: groups.pairs().iter().enumerate().map(disease).collect(),
        classes,
    }
}

fn recipe() -> Recipe {
    let settings = Xgboost {
        rounds: 150,
        early_stopping: None,
        depth: 8,
        eta: 0.2,
        columns: 1.0,
        bins: 128,
        ..Xgboost::default()
    };
    Recipe {
        watched: Vec::new(),
        parameters: Parameters::Xgboost(settings),
        coverage: Coverage::default(),
        few_shot: FewShotPlan { episodes: None, ..FewShotPlan::default() },
        seed: 1,
        alarm: Rule::Conformal { recall: 0.8 },
    }
}

fn smote(training: &TrainingCounts, preprocessor: &Preprocessor, seed: u64) -> Synthetic {
    let wanted = orphan_share(training, 0.5).unwrap();
    assert!(wanted.iter().sum::<u64>() > 500);
    SmoteNc { neighbours: 5, seed }.resample(study(), preprocessor, training, &wanted).unwrap()
}

/// ROC area, average precision and base rate of the orphan probability on every fold's cases, answered by the member
/// that has not seen them.
fn unseen(training: &Training, fitted: &Fitted) -> (f64, f64, f64) {
    let mut scored: Vec<(f64, f64, f64)> = Vec::new();
    for (answers, counts) in fitted.unseen.iter().zip(&training.folds) {
        for (answer, counts) in answers.iter_rows().zip(counts.iter_rows()) {
            let orphans = *counts.last().unwrap();
            scored.push((*answer.last().unwrap(), orphans, counts.iter().sum::<f64>() - orphans));
        }
    }
    let (orphans, others) = scored.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.1, sum.1 + one.2));
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut area) = (0.0, 0.0);
    for tie in scored.chunk_by(|a, b| a.0 == b.0) {
        let (with, without) = tie.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.1, sum.1 + one.2));
        area += with * (below + without / 2.0);
        below += without;
    }
    let precision = learn::calibrate::Scored { entries: scored }.average_precision().unwrap();
    (area / (orphans * others), precision, orphans / (orphans + others))
}

#[test]
fn synthetic_cases_inside_the_folds_leave_noise_at_chance() {
    let cohort = noise();
    let (groups, preprocessor) = (Groups::of(study(), &cohort), Preprocessor::fit(study(), &cohort));
    let training = training(&cohort, &groups, &preprocessor);
    let augmented: Vec<Augmented> = (0..folds().count())
        .map(|fold| {
            let counts = TrainingCounts::without_fold(study(), &cohort, &groups, folds(), fold).unwrap();
            let synthetic = smote(&counts, &preprocessor, fold as u64);
            let encode = |cell: usize, row: &mut Vec<f32>| {
                preprocessor.encode_into(&study().domain().levels(cell), row);
            };
            Augmented::of(&synthetic, preprocessor.width(), encode).unwrap()
        })
        .collect();
    let fitted = fit_augmented(&training, &augmented, &recipe(), &trainer(2), &mut |_| {}).unwrap();
    let (area, precision, share) = unseen(&training, &fitted);
    assert_eq!(share, ORPHANS as f64 / (ORPHANS + OTHERS) as f64);
    // The standard error of the area with 120 and 1,380 cases of no signal is 0.027.
    assert!((area - 0.5).abs() < 3.0 * 0.027, "ROC area {area}");
    assert!(precision < 2.0 * share, "average precision {precision}, share {share}");

    // The odds are put right: 0.5 in training, 0.08 in truth.
    let inflation = fitted.inflation.unwrap();
    assert_eq!(inflation.share, share);
    assert!(inflation.mean_before > 2.5 * share, "{inflation:?}");
    assert!((inflation.mean_after - share).abs() < 0.35 * share, "{inflation:?}");
    assert!(inflation.error_after < inflation.error_before / 2.0, "{inflation:?}");

    // Members of another fold's synthetic cases are refused, and so is a missing one.
    let mut wrong = augmented.clone();
    wrong.swap(0, 1);
    for refused in [&wrong[..], &augmented[..4]] {
        assert!(fit_augmented(&training, refused, &recipe(), &trainer(2), &mut |_| {}).is_err());
    }
}

/// What the types forbid, done by hand: synthetic cases of the whole table, dealt to the folds as if they were real.
#[test]
fn synthetic_cases_before_the_folds_would_look_like_knowledge() {
    let cohort = noise();
    let (groups, preprocessor) = (Groups::of(study(), &cohort), Preprocessor::fit(study(), &cohort));
    let strata = cohort.strata();
    // The whole table posing as the training part of a fold: every case in a slot of the second of two folds.
    let posing = Cohort::new(
        cohort.counts().iter().map(|count| (count.cell, 13, strata[count.stratum].clone(), count.count)),
    );
    let two = Folds::new(&study().split, 2);
    let whole =
        TrainingCounts::without_fold(study(), &posing, &Groups::of(study(), &posing), two, 0).unwrap();
    let synthetic = smote(&whole, &preprocessor, 1);
    let orphan = strata.iter().find(|stratum| stratum.is_orphan()).unwrap();
    let dealt = synthetic.of_group(groups.len() - 1).flat_map(|(cell, cases)| {
        (0..cases).map(move |i| (cell, ((cell + i as usize) % 14) as u8, orphan.clone(), 1))
    });
    let real = cohort
        .counts()
        .iter()
        .map(|count| (count.cell, count.slot, strata[count.stratum].clone(), count.count));
    let leaky = Cohort::new(real.chain(dealt));
    let training = training(&leaky, &groups, &preprocessor);
    let fitted = fit(&training, &recipe(), &trainer(2), &mut |_| {}).unwrap();
    let (area, precision, share) = unseen(&training, &fitted);
    assert!(area > 0.9, "ROC area {area}");
    assert!(precision > 0.85 && precision > 1.5 * share, "average precision {precision}, share {share}");
}
