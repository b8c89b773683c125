//! A search with the real library: on the folds of the final training, and the same on any number of workers.

use std::collections::BTreeMap;

use clinical::Study;
use clinical::study::{DEFAULT_TOML, Learner, Resampling};
use learn::abstain::Coverage;
use learn::alarm::Rule;
use learn::augment::Augmented;
use learn::crossfit::{Recipe, fit};
use learn::fewshot::FewShotPlan;
use learn::search::{CrossValidation, Objective, Plan, Space, State, Trial, run, winner};
use learn::{Error, Result};

use crate::model::training;
use crate::worker::trainer;

const SEED: u64 = 11;
/// No synthetic cases.
static NONE: BTreeMap<Resampling, Vec<Augmented>> = BTreeMap::new();

fn study() -> Study {
    let text = [
        ("rounds = 1000\nearly_stopping = 30", "rounds = 60\nearly_stopping = 8"),
        ("startup = 10", "startup = 4"),
        ("warmup_trials = 5", "warmup_trials = 3"),
        ("warmup_rounds = 20", "warmup_rounds = 10"),
        ("every = 10", "every = 5"),
        // One interval of the cells' few ages is enough to tell trials apart.
        ("eta = { low = 0.03, high = 0.3, log = true }", "eta = { low = 0.03, high = 1.0, log = true }"),
    ]
    .into_iter()
    .fold(DEFAULT_TOML.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    Study::parse(&text).unwrap()
}

fn search(study: &Study, workers: usize) -> Vec<Trial> {
    let (training, trainer) = (training(), trainer(1));
    let space = Space::of_study(study, Some(Learner::Xgboost)).unwrap();
    let first = space.plans(study);
    let plan = Plan { space: &space, search: &study.search, first, trials: 12, seed: SEED, workers };
    let objective = CrossValidation::new(study, &training, &NONE, SEED, &trainer);
    run::<Error>(&plan, &objective, Vec::new(), &|| true, &mut |_| Ok(())).unwrap()
}

#[test]
fn the_winner_is_what_the_final_training_makes_whatever_the_workers() {
    let study = study();
    let trials = search(&study, 3);
    assert_eq!(search(&study, 1), trials);
    let given_up = trials.iter().filter(|trial| matches!(trial.state, State::Pruned(_))).count();
    assert!((1..9).contains(&given_up), "{given_up} of 12 were given up");

    let won = winner(&trials, &study.search).unwrap();
    let trial = &trials[won.number];
    assert!(trial.log_loss() <= trials[0].log_loss(), "worse than the study's own settings");
    let parameters = CrossValidation::parameters(&study, &trial.point).unwrap();
    let few_shot = FewShotPlan { episodes: None, ..FewShotPlan::default() };
    let recipe = Recipe {
        watched: Vec::new(),
        parameters,
        few_shot,
        coverage: Coverage::default(),
        seed: SEED,
        alarm: Rule::Conformal { recall: 0.8 },
    };
    let fitted = fit(&training(), &recipe, &trainer(2), &mut |_| ()).unwrap();
    assert_eq!(fitted.members.len(), trial.folds.len());
    for (member, fold) in fitted.members.iter().zip(&trial.folds) {
        assert_eq!((member.rounds, member.model.len()), (fold.rounds, fold.bytes));
        let lowest = member.held_out_loss.iter().copied().fold(f64::INFINITY, f64::min);
        assert!((lowest - fold.log_loss).abs() < 1e-9, "{lowest} {}", fold.log_loss);
        assert!(fold.curve.windows(2).all(|pair| pair[0] >= pair[1]));
        assert_eq!(fold.curve.len(), member.held_out_loss.len() / 5);
    }
}

#[test]
fn a_fold_ends_when_nobody_wants_it_any_more() -> Result<()> {
    let (study, training, trainer) = (study(), training(), trainer(1));
    let objective = CrossValidation::new(&study, &training, &NONE, SEED, &trainer);
    let point = &Space::of_study(&study, Some(Learner::Xgboost))?.plans(&study)[0];
    let mut seen = Vec::new();
    let scored = objective.fold(point, 2, &mut |round, loss| {
        seen.push((round, loss.is_finite()));
        round < 3
    })?;
    assert_eq!((scored, seen), (None, vec![(1, true), (2, true), (3, true)]));
    Ok(())
}
