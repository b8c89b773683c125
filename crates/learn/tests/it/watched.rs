//! A disease that an alarm of its own watches: it keeps the alarm in a training until the gate finds its cases.

use learn::Matrix;
use learn::alarm::Rule;
use learn::combine::Disease;
use learn::crossfit::{Fitted, Recipe, Training, fit};
use learn::fewshot::NoveltyBudget;

use crate::model::{recipe, training};
use crate::worker::trainer;

const NEW: &str = "disease 4";
/// Of 6,000 cases among 120 possible patients: seven of them.
const BUDGET: f64 = 0.06;

/// Whether a possible patient may have the new disease: ten of them, thinly.
fn is_its(cell: usize) -> bool {
    cell % 12 == 2
}

/// The small cohort with ten cases of one orphan disease more, too thin for the gate.
fn cohort() -> Training {
    let mut training = training();
    let group = training.diseases.iter().find(|disease| disease.orphan).unwrap().group;
    training.diseases.push(Disease { group, orphan: true, code: Some(NEW.to_owned()) });
    for (at, fold) in training.folds.iter_mut().enumerate() {
        let rows = fold.iter_rows().enumerate();
        let cases = rows.flat_map(|(cell, row)| {
            let new = if is_its(cell) && cell / 12 % 5 == at { 1.0 } else { 0.0 };
            row.iter().copied().chain([new]).collect::<Vec<_>>()
        });
        *fold = Matrix::from_vec(120, 5, cases.collect()).unwrap();
    }
    training
}

/// With a gate that is content with those who are easy to find.
fn fitted(watched: &[&str]) -> Fitted {
    fitted_by(Rule::Conformal { recall: 0.2 }, watched)
}

fn fitted_by(alarm: Rule, watched: &[&str]) -> Fitted {
    let mut recipe = recipe();
    recipe.few_shot.budget = NoveltyBudget { each: BUDGET, total: BUDGET, alerts: None };
    recipe.alarm = alarm;
    let watched = watched.iter().map(|code| (*code).to_owned()).collect();
    fit(&cohort(), &Recipe { watched, ..recipe }, &trainer(2), &mut |_| {}).unwrap()
}

fn alarmed(fitted: &Fitted, cell: usize) -> bool {
    fitted.combination.alarmed(*fitted.answers.row(cell).last().unwrap())
}

#[test]
fn a_watched_disease_is_watched_until_the_gate_finds_it() {
    let found_by = |fitted: &Fitted| (0..120).filter(|&cell| is_its(cell) && alarmed(fitted, cell)).count();
    let plain = fitted(&[]);
    assert!(found_by(&plain) <= 1, "the gate finds it: this cohort shows nothing");
    assert!(plain.half.watched().is_empty());

    let watching = fitted(&[NEW]);
    assert_eq!(watching.half.watched(), [NEW]);
    assert!(found_by(&watching) >= 3, "{}", found_by(&watching));
    // Nobody else's alarm falls silent, and the new ones stay within the budget.
    let negatives = |cell: usize| -> f64 { cases_of(cell).iter().take(3).sum() };
    let (mut added, mut all) = (0.0, 0.0);
    for cell in 0..120 {
        assert!(alarmed(&watching, cell) || !alarmed(&plain, cell));
        added += if alarmed(&watching, cell) && !alarmed(&plain, cell) { negatives(cell) } else { 0.0 };
        all += negatives(cell);
    }
    assert!(added > 0.0 && added <= BUDGET * all, "{added} of {all}");
    // So it is with the answers of those who have not seen a fold.
    let unseen = |fitted: &Fitted| {
        let its = (0..5).flat_map(|fold| (0..120).map(move |cell| (fold, cell)));
        let its = its.filter(|&(fold, cell)| is_its(cell) && cell / 12 % 5 == fold);
        its.filter(|&(fold, cell)| fitted.unseen_alarm[fold][cell]).count()
    };
    assert!(unseen(&watching) > unseen(&plain), "{} and {}", unseen(&watching), unseen(&plain));

    assert_eq!(fitted(&["disease 9"]).answers, plain.answers, "nobody knows that one");
    let found = fitted_by(Rule::Conformal { recall: 0.95 }, &["disease 3"]);
    assert!(found.half.watched().is_empty(), "the gate finds it");
}

/// Cases of each disease of a possible patient.
fn cases_of(cell: usize) -> Vec<f64> {
    let folds = cohort().folds;
    (0..5).map(|disease| folds.iter().map(|fold| fold.row(cell)[disease]).sum()).collect()
}
