//! What every learner has to keep, whichever it is.

use learn::learner::{Fit, Job, Learner, Lightgbm, Mlp, Parameters, Target, Xgboost};
use learn::predict::Estimator;
use learn::{Error, Matrix};

use crate::cohort::{
    CLASSES, Row, cells, difference, encode, every, log_loss, probabilities, rows, with_held_out,
};
use crate::worker::trainer;

/// Every learner with settings that learn the cohort in little time, `rounds` rounds or epochs.
fn learners(rounds: usize) -> [Parameters; 3] {
    [
        Parameters::Xgboost(Xgboost {
            rounds,
            early_stopping: None,
            eta: 0.2,
            subsample: 1.0,
            columns: 1.0,
            ..Xgboost::default()
        }),
        Parameters::Lightgbm(Lightgbm {
            rounds,
            early_stopping: None,
            eta: 0.2,
            subsample: 1.0,
            columns: 1.0,
            ..Lightgbm::default()
        }),
        Parameters::Mlp(Mlp {
            hidden: vec![16, 8],
            epochs: rounds,
            early_stopping: None,
            batch: 128,
            learning_rate: 0.01,
            ..Mlp::default()
        }),
    ]
}

/// The same, but with everything that is drawn at random switched on.
fn drawing() -> [Parameters; 3] {
    let mut drawing = learners(15);
    for parameters in &mut drawing {
        match parameters {
            Parameters::Xgboost(settings) => (settings.subsample, settings.columns) = (0.7, 0.6),
            Parameters::Lightgbm(settings) => (settings.subsample, settings.columns) = (0.7, 0.6),
            Parameters::Mlp(settings) => settings.dropout = 0.2,
        }
    }
    drawing
}

fn stopping(parameters: Parameters, patience: usize) -> Parameters {
    let early_stopping = Some(patience);
    match parameters {
        Parameters::Xgboost(settings) => Parameters::Xgboost(Xgboost { early_stopping, ..settings }),
        Parameters::Lightgbm(settings) => Parameters::Lightgbm(Lightgbm { early_stopping, ..settings }),
        Parameters::Mlp(settings) => Parameters::Mlp(Mlp { early_stopping, ..settings }),
    }
}

fn counted(rows: &[Row], parameters: Parameters) -> Job {
    let (x, train) = cells(rows);
    let job = Job::new(x, Target::Counts { train, held_out: None }, parameters);
    Job { score: Some(every()), seed: 3, ..job }
}

fn fit(job: &Job) -> Fit {
    trainer(1).fit(job, &mut |_| {}).unwrap()
}

fn name(fit: &Fit) -> &str {
    &fit.engine
}

fn read(parameters: &Parameters, fit: &Fit) -> Estimator {
    Estimator::read(parameters.learner(), "model", &fit.model).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    for parameters in drawing() {
        let seeded = |seed| Job { seed, ..counted(&rows(), parameters.clone()) };
        let fits = trainer(2).fit_all(&[seeded(1), seeded(1), seeded(2)], &mut |_| {}).unwrap();
        assert_eq!(fits[0], fits[1]);
        assert_ne!(fits[0].model, fits[2].model, "{}", name(&fits[0]));
        assert!(difference(&fits[0], &fits[2]) > 1e-4, "{}", name(&fits[0]));
    }
}

#[test]
fn a_saved_model_answers_as_the_fitted_one() {
    for parameters in learners(12).into_iter().chain(drawing()) {
        let fit = fit(&counted(&rows(), parameters.clone()));
        let estimator = read(&parameters, &fit);
        assert_eq!((estimator.columns(), estimator.outputs()), (4, CLASSES));
        assert_eq!(estimator.score(&every()).unwrap(), fit.margins, "{}", name(&fit));
        // The same file read by another learner is refused, not guessed at.
        for other in Learner::ALL.into_iter().filter(|other| *other != parameters.learner()) {
            assert!(Estimator::read(other, "model", &fit.model).is_err());
        }
    }
}

#[test]
fn damaged_models_are_refused() {
    for parameters in learners(2) {
        let fit = fit(&counted(&rows(), parameters.clone()));
        let length = fit.model.len();
        for end in [0, 1, 9, length / 4, length / 2] {
            let read = Estimator::read(parameters.learner(), "cut.model", &fit.model[..end]);
            assert!(read.unwrap_err().to_string().contains("cut.model"), "{} cut at {end}", name(&fit));
        }
    }
}

/// Why a changed copy of a model is refused: `from` becomes `to` where it is first met.
fn why_refused(learner: Learner, model: &[u8], from: &[u8], to: &[u8]) -> String {
    let at = model.windows(from.len()).position(|part| part == from);
    let at = at.unwrap_or_else(|| panic!("{} is not in the model", from.escape_ascii()));
    let changed = [&model[..at], to, &model[at + from.len()..]].concat();
    match Estimator::read(learner, "member-0", &changed) {
        Err(Error::Malformed { file, why }) if file == "member-0" => why,
        _ => panic!("{} for {}: accepted, or refused otherwise", to.escape_ascii(), from.escape_ascii()),
    }
}

#[test]
fn what_the_reader_of_xgboost_does_not_know_is_an_error_with_its_reason() {
    let model = fit(&counted(&rows(), learners(3)[0].clone())).model;
    let changed = |from: &[u8], to: &[u8]| why_refused(Learner::Xgboost, &model, from, to);
    assert!(changed(b"multi:softprob", b"rank:precision").contains("rank:precision"));
    assert!(changed(b"nameSL\0\0\0\0\0\0\0\x06gbtree", b"nameSL\0\0\0\0\0\0\0\x04dart").contains("dart"));
    // A list of numbers: its name, type, length in eight bytes, then the numbers.
    let first_of = |name: &str, kind: u8, value: &[u8], other: &[u8]| {
        let head = [name.as_bytes(), b"[$", &[kind], b"#L"].concat();
        let at = model.windows(head.len()).position(|part| part == head).unwrap() + head.len();
        let head = &model[at - head.len()..at + 8];
        changed(&[head, value].concat(), &[head, other].concat())
    };
    assert!(first_of("split_type", b'U', &[0], &[1]).contains("categorical"));
    let (one, zero) = (1i32.to_be_bytes(), 0i32.to_be_bytes());
    assert!(first_of("left_children", b'l', &one, &zero).contains("behind its parent"));
    let count = |count: &str| format!("num_treesSL\0\0\0\0\0\0\0\x01{count}").into_bytes();
    assert!(changed(&count("9"), &count("8")).contains("contradicts"));
    let columns = |count: &str| {
        let after = "L\0\0\0\0\0\0\0\x0anum_target";
        format!("num_featureSL\0\0\0\0\0\0\0\x01{count}{after}").into_bytes()
    };
    assert!(changed(&columns("4"), &columns("0")).contains("out of bounds"));
    assert!(why_refused(Learner::Xgboost, b"{}", b"{}", b"{}").contains("missing"));
}

#[test]
fn what_the_reader_of_lightgbm_does_not_know_is_an_error_with_its_reason() {
    let model = fit(&counted(&rows(), learners(3)[1].clone())).model;
    let changed =
        |from: &str, to: &str| why_refused(Learner::Lightgbm, &model, from.as_bytes(), to.as_bytes());
    assert!(changed("objective=multiclass num_class:3", "objective=lambdarank").contains("lambdarank"));
    assert!(changed("version=v4", "version=v2").contains("v2"));
    assert!(changed("num_cat=0", "num_cat=1").contains("num_cat"));
    assert!(changed("is_linear=0", "is_linear=1").contains("is_linear"));
    assert!(changed("decision_type=", "decision_type=1").contains("only splits of numbers"));
    assert!(changed("left_child=", "left_child=9").contains("tree 0"));
    assert!(changed("split_feature=", "split_feature=9").contains("column"));
    assert!(changed("Tree=1", "Tree=2").contains("tree 1"));
    assert!(changed("num_leaves=", "num_leaves=9").contains("leaf_value"));
    assert!(changed("end of trees", "end").contains("end of trees"));
    assert!(changed("leaf_value=", "leaf_value=nan ").contains("leaf_value"));
}

#[test]
fn probabilities_sum_to_one_and_their_mean_is_the_share_of_the_class() {
    let rows = rows();
    let (x, counts) = cells(&rows);
    for parameters in learners(30) {
        let fit = fit(&Job { score: Some(x.clone()), ..counted(&rows, parameters) });
        assert!(fit.margins.as_slice().iter().all(|margin| margin.is_finite()));
        let p = probabilities(&fit);
        let mut expected = [0.0; CLASSES];
        for (p, counts) in p.chunks(CLASSES).zip(counts.iter_rows()) {
            assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            let cases: f64 = counts.iter().sum();
            expected.iter_mut().zip(p).for_each(|(sum, p)| *sum += p * cases / rows.len() as f64);
        }
        for (class, expected) in expected.into_iter().enumerate() {
            let share =
                rows.iter().filter(|(_, label)| *label as usize == class).count() as f64 / rows.len() as f64;
            assert!((expected - share).abs() < 0.03, "{}: class {class} {expected} for {share}", name(&fit));
        }
    }
}

/// One column decides, the others are noise: the answer follows the column's place.
#[test]
fn columns_keep_their_places() {
    for parameters in learners(12) {
        for place in 0..3 {
            let mut x = Matrix::zeros(64, 3);
            let mut train = Matrix::zeros(64, 2);
            for i in 0..64 {
                let levels = [i / 16, i / 4 % 4, i % 4];
                x.row_mut(i).iter_mut().zip(levels).for_each(|(x, level)| *x = level as f32 / 3.0);
                let sick = 10.0 + 25.0 * levels[place] as f64;
                train.row_mut(i).copy_from_slice(&[100.0 - sick, sick]);
            }
            let job = Job::new(x, Target::Counts { train, held_out: None }, parameters.clone());
            let p = probabilities(&fit(&job));
            for i in 0..64 {
                let level = [i / 16, i / 4 % 4, i % 4][place] as f64;
                let (p, sick) = (p[2 * i + 1], 0.1 + 0.25 * level);
                assert!((p - sick).abs() < 0.1, "{parameters:?}, column {place}, row {i}: {p} for {sick}");
            }
        }
    }
}

#[test]
fn a_single_class_and_an_empty_training_set_are_clear_errors() {
    for parameters in learners(5) {
        let refused = |change: &dyn Fn(&mut Job)| {
            let mut job = counted(&rows(), parameters.clone());
            change(&mut job);
            trainer(1).fit(&job, &mut |_| {}).unwrap_err().to_string()
        };
        let only = |class: u32| rows().into_iter().filter(|(_, label)| *label == class).collect::<Vec<_>>();
        let single = refused(&|job| *job = counted(&only(1), parameters.clone()));
        assert!(single.contains("one class"), "{single}");
        let labelled = Target::Labels { labels: vec![2; 5], weights: vec![1.0; 5], classes: 3 };
        let labelled = refused(&|job| {
            *job = Job::new(
                encode(only(2).iter().take(5).map(|row| row.0)),
                labelled.clone(),
                parameters.clone(),
            );
        });
        assert!(labelled.contains("one class"), "{labelled}");
        let empty = refused(&|job| {
            *job = Job::new(
                Matrix::zeros(0, 4),
                Target::Counts { train: Matrix::zeros(0, 3), held_out: None },
                parameters.clone(),
            );
        });
        assert!(empty.contains("no rows"), "{empty}");
        let zero = refused(&|job| {
            job.target = Target::Counts { train: Matrix::zeros(job.x.rows(), 3), held_out: None };
        });
        assert!(zero.contains("zero"), "{zero}");
    }
}

/// A class that the study has and the training cases have not: possible, but no more than that.
#[test]
fn a_class_without_cases_is_improbable_but_not_impossible() {
    let (x, counts) = cells(&rows());
    let mut wider = Matrix::zeros(counts.rows(), CLASSES + 1);
    for (i, row) in counts.iter_rows().enumerate() {
        wider.row_mut(i)[..CLASSES].copy_from_slice(row);
    }
    for parameters in learners(20) {
        let target = Target::Counts { train: wider.clone(), held_out: None };
        let fit = fit(&Job::new(x.clone(), target, parameters));
        for p in probabilities(&fit).chunks(CLASSES + 1) {
            assert!(p[CLASSES] > 1e-12 && p[CLASSES] < 0.01, "{}: {p:?}", name(&fit));
        }
    }
}

/// The largest differences seen on large cohorts are 2e-7 (XGBoost 3.4.1) and 4e-9 (LightGBM 4.7.0):
/// single and double precision leave no smaller ones. Ten times the first is allowed. The perceptron
/// puts its cases in order first, so nothing may differ.
fn tolerance(parameters: &Parameters) -> f64 {
    match parameters.learner() {
        Learner::Xgboost | Learner::Lightgbm => 2e-6,
        Learner::Mlp => 0.0,
    }
}

#[test]
fn weights_equal_repeated_rows() {
    let rows = rows();
    let few_bins = learners(30).map(|mut parameters| {
        match &mut parameters {
            Parameters::Xgboost(settings) => (settings.bins, settings.min_child_weight) = (12, 5.0),
            Parameters::Lightgbm(settings) => (settings.bins, settings.min_child_weight) = (12, 5.0),
            Parameters::Mlp(settings) => settings.batch = 100_000,
        }
        parameters
    });
    for parameters in learners(30).into_iter().chain(few_bins) {
        let by_cell = fit(&counted(&rows, parameters.clone()));
        let mut counts = Matrix::zeros(rows.len(), CLASSES);
        rows.iter().enumerate().for_each(|(i, (_, label))| counts.row_mut(i)[*label as usize] = 1.0);
        let target = Target::Counts { train: counts, held_out: None };
        let by_row = Job::new(encode(rows.iter().map(|row| row.0)), target, parameters.clone());
        let by_row = Job { score: Some(every()), seed: 3, ..by_row };
        let labels = rows.iter().map(|(_, label)| *label).collect();
        let target = Target::Labels { labels, weights: vec![1.0; rows.len()], classes: CLASSES };
        let labelled = Job { target, ..by_row.clone() };
        for (how, other) in [("rows", fit(&by_row)), ("labels", fit(&labelled))] {
            let difference = difference(&by_cell, &other);
            assert!(difference <= tolerance(&parameters), "{} {how}: {difference}", name(&by_cell));
        }
    }
}

/// The comparison above can fail: one case moved to another class is seen.
#[test]
fn one_moved_case_is_seen() {
    let mut moved = rows();
    moved[17].1 = (moved[17].1 + 1) % 3;
    for parameters in learners(30) {
        let (a, b) = (fit(&counted(&rows(), parameters.clone())), fit(&counted(&moved, parameters)));
        assert!(difference(&a, &b) > 1e-4, "{}: {}", name(&a), difference(&a, &b));
    }
}

#[test]
fn class_weights_act_as_that_many_cases() {
    let (x, train, held_out) = with_held_out();
    let weights = [1.0, 2.0, 5.0];
    let times = |counts: &Matrix<f64>| {
        let weighted =
            counts.iter_rows().flat_map(|row| row.iter().zip(weights).map(|(count, weight)| count * weight));
        Matrix::from_vec(counts.rows(), CLASSES, weighted.collect()).unwrap()
    };
    for parameters in learners(20) {
        let job = |train: Matrix<f64>, held_out: Matrix<f64>| {
            Job::new(x.clone(), Target::Counts { train, held_out: Some(held_out) }, parameters.clone())
        };
        let plain = fit(&job(train.clone(), held_out.clone()));
        let weighted = job(train.clone(), held_out.clone());
        let weighted = fit(&Job { class_weights: Some(weights.to_vec()), ..weighted });
        let repeated = fit(&job(times(&train), times(&held_out)));
        assert_eq!(weighted, repeated);
        let mean = |fit: &Fit| probabilities(fit).chunks(CLASSES).map(|p| p[2]).sum::<f64>();
        assert!(mean(&weighted) > 1.5 * mean(&plain), "{}", name(&plain));
    }
}

#[test]
fn early_stopping_keeps_the_best_round() {
    let (x, train, held_out) = with_held_out();
    for parameters in learners(400) {
        let target = Target::Counts { train: train.clone(), held_out: Some(held_out.clone()) };
        let parameters = stopping(parameters, 8);
        let fit = fit(&Job::new(x.clone(), target, parameters));
        assert_eq!(fit.held_out_loss.len(), fit.rounds + 8, "{}", name(&fit));
        let lowest = fit.held_out_loss.iter().copied().fold(f64::INFINITY, f64::min);
        assert_eq!(fit.held_out_loss[fit.rounds - 1], lowest);
        let kept = log_loss(&fit.margins, &held_out);
        assert!((kept - lowest).abs() < 1e-6, "{}: {kept} for {lowest}", name(&fit));
    }
}

#[test]
fn continued_training_goes_on_where_the_model_stopped() {
    let (x, train, held_out) = with_held_out();
    let target = Target::Counts { train: train.clone(), held_out: Some(held_out.clone()) };
    for (parameters, longer) in learners(6).into_iter().zip(learners(12)) {
        let job = Job::new(x.clone(), target.clone(), parameters.clone());
        let first = fit(&job);
        let continued = fit(&Job { start: Some(first.model.clone()), ..job.clone() });
        assert_eq!((first.rounds, continued.rounds), (6, 12), "{}", name(&first));
        assert!(continued.held_out_loss[5] < first.held_out_loss[5], "{}", name(&first));
        assert_eq!(read(&parameters, &continued).score(&x).unwrap(), continued.margins);
        if parameters.learner() != Learner::Mlp {
            // The perceptron's learning rate follows its plan; boosters do the same either way.
            let uninterrupted = fit(&Job { parameters: longer, ..job });
            let difference = difference(&continued, &uninterrupted);
            assert!(difference < 2e-6, "{}: {difference}", name(&first));
        }
    }
}

#[test]
fn a_model_that_no_round_improves_is_kept() {
    let (x, train, held_out) = with_held_out();
    // Cases that contradict those held out: every round learns something wrong.
    let reversed = train.iter_rows().flat_map(|row| row.iter().rev().copied()).collect();
    let reversed = Matrix::from_vec(train.rows(), CLASSES, reversed).unwrap();
    for parameters in learners(10) {
        let job = |train: &Matrix<f64>| {
            let target = Target::Counts { train: train.clone(), held_out: Some(held_out.clone()) };
            Job::new(x.clone(), target, stopping(parameters.clone(), 3))
        };
        let first = fit(&job(&train));
        let continued = fit(&Job { start: Some(first.model.clone()), ..job(&reversed) });
        assert_eq!(continued.held_out_loss.len(), 3, "{}", name(&first));
        assert_eq!(
            (&continued.margins, continued.rounds),
            (&first.margins, first.rounds),
            "{}",
            name(&first)
        );
    }
}

#[test]
fn a_model_of_other_columns_classes_or_learner_is_no_start() {
    for parameters in learners(2) {
        let job = counted(&rows(), parameters.clone());
        let start = fit(&job).model;
        let refused = |job: Job| {
            let job = Job { start: Some(start.clone()), ..job };
            trainer(1).fit(&job, &mut |_| {}).unwrap_err().to_string()
        };
        let narrow: Vec<f32> = job.x.iter_rows().flat_map(|row| row[..3].to_vec()).collect();
        let narrow = Matrix::from_vec(job.x.rows(), 3, narrow).unwrap();
        let message = refused(Job::new(narrow, job.target.clone(), parameters.clone()));
        assert!(message.contains("to continue from") && message.contains('4'), "{message}");
        let labels = (0..job.x.rows() as u32).map(|i| i % 2).collect();
        let two = Target::Labels { labels, weights: vec![1.0; job.x.rows()], classes: 2 };
        assert!(refused(Job { target: two, ..job.clone() }).contains("to continue from"));
        for other in learners(2).into_iter().filter(|other| other.learner() != parameters.learner()) {
            assert!(refused(Job { parameters: other, ..job.clone() }).contains("to continue from"));
        }
    }
    let Parameters::Mlp(settings) = learners(2)[2].clone() else { panic!("the perceptron is the third") };
    let job = counted(&rows(), Parameters::Mlp(settings.clone()));
    let start = Some(fit(&job).model);
    let other = Parameters::Mlp(Mlp { hidden: vec![16], ..settings });
    let message =
        trainer(1).fit(&Job { parameters: other, start, ..job }, &mut |_| {}).unwrap_err().to_string();
    assert!(message.contains("hidden layers") && message.contains("[16, 8]"), "{message}");
}

#[test]
fn bad_settings_are_named() {
    let x = Xgboost::default;
    let l = Lightgbm::default;
    let m = Mlp::default;
    let bad = [
        (Parameters::Xgboost(Xgboost { eta: 0.0, ..x() }), "xgboost: eta"),
        (Parameters::Xgboost(Xgboost { depth: 99, ..x() }), "xgboost: depth"),
        (Parameters::Xgboost(Xgboost { lambda: -1.0, ..x() }), "xgboost: lambda"),
        (Parameters::Lightgbm(Lightgbm { eta: f64::NAN, ..l() }), "lightgbm: eta"),
        (Parameters::Lightgbm(Lightgbm { bins: 1, ..l() }), "lightgbm: bins"),
        (Parameters::Lightgbm(Lightgbm { rounds: 0, ..l() }), "lightgbm: rounds"),
        (Parameters::Mlp(Mlp { hidden: vec![8, 0], ..m() }), "mlp: hidden"),
        (Parameters::Mlp(Mlp { learning_rate: 2.0, ..m() }), "mlp: learning_rate"),
        (Parameters::Mlp(Mlp { batch: 0, ..m() }), "mlp: batch"),
    ];
    for (parameters, named) in bad {
        let error = counted(&rows(), parameters).check().unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    // Early stopping without held-out cases is refused, too.
    for parameters in learners(5) {
        let error = counted(&rows(), stopping(parameters, 3)).check().unwrap_err().to_string();
        assert!(error.contains("early_stopping needs held-out"), "{error}");
    }
}

/// Subsampling draws cases, not cells: with share 1/2 the mean over seeds stays where training on all
/// cases puts it, while single seeds scatter.
#[test]
fn subsampling_scatters_around_the_full_model() {
    let x = encode((0..25u8).map(|a| [a, 3, 1]));
    let counts = (0..25u8).flat_map(|a| [400.0 - f64::from(a) * 10.0, 50.0 + f64::from(a) * 10.0]).collect();
    let train = Matrix::from_vec(25, 2, counts).unwrap();
    let boosters = |subsample: f64| {
        let [mut xgboost, mut lightgbm, _] = learners(60);
        for parameters in [&mut xgboost, &mut lightgbm] {
            match parameters {
                Parameters::Xgboost(settings) => settings.subsample = subsample,
                Parameters::Lightgbm(settings) => settings.subsample = subsample,
                Parameters::Mlp(_) => {}
            }
        }
        [xgboost, lightgbm]
    };
    for (full, half) in boosters(1.0).into_iter().zip(boosters(0.5)) {
        let target = Target::Counts { train: train.clone(), held_out: None };
        let full = probabilities(&fit(&Job::new(x.clone(), target.clone(), full)));
        let seeded = |seed| Job { seed, ..Job::new(x.clone(), target.clone(), half.clone()) };
        let fits = trainer(2).fit_all(&(0..6).map(seeded).collect::<Vec<_>>(), &mut |_| {}).unwrap();
        let drawn: Vec<_> = fits.iter().map(probabilities).collect();
        assert!(drawn.iter().all(|p| *p != full) && drawn[0] != drawn[1]);
        for (i, full) in full.iter().enumerate() {
            let mean = drawn.iter().map(|p| p[i]).sum::<f64>() / drawn.len() as f64;
            assert!((mean - full).abs() < 0.02, "{} row {i}: {mean} against {full}", name(&fits[0]));
        }
    }
}
