//! Possible patients one level apart: how far their answers jump, and whether probabilities keep declared directions.

use clinical::study::{Direction, Monotone, Verification};
use clinical::{Cell, Kind};
use serde::{Deserialize, Serialize};

use super::{NAMED, largest_change};
use crate::answers::{Answers, Largest, People, PossiblePatient};
use crate::predict::radix;

/// Two neighbours: they differ by one level of one number or category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Jump {
    pub from: PossiblePatient,
    pub to: PossiblePatient,
    /// The feature that is one level higher in `to`.
    pub feature: String,
    /// The probability that differs most: a severity's code, or `orphan`.
    pub output: String,
    /// `to` minus `from`.
    pub difference: f64,
}

/// Jumps among some of the pairs of neighbours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Jumps {
    /// Pairs looked at.
    pub pairs: usize,
    /// Largest change of a shown probability.
    pub largest: f64,
    /// Pairs beyond the study's limit, where it gives one.
    pub beyond: Option<usize>,
    /// People of the cohort who are one of such a pair.
    pub people_beyond: Option<u64>,
    /// The largest, largest first.
    pub named: Vec<Jump>,
}

/// One declared direction, step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MonotoneSteps {
    pub output: String,
    pub feature: String,
    pub direction: Direction,
    pub tolerance: f64,
    pub gate: bool,
    /// Pairs of neighbours along the feature.
    pub steps: usize,
    /// Steps against the direction by more than the tolerance.
    pub violations: usize,
    /// People of the cohort who are one of such a pair.
    pub people: u64,
    /// Largest step against the direction; 0 where there is none.
    pub largest: f64,
    /// The largest, largest first.
    pub named: Vec<Jump>,
}

pub(super) struct Neighbours {
    /// Along a number, and along a category, with the same alarm.
    pub(super) numbers: Jumps,
    pub(super) categories: Jumps,
    pub(super) across_alarm: Jumps,
    pub(super) monotone: Vec<MonotoneSteps>,
}

/// Walks over all pairs of neighbours along numbers and categories. Codes have no order, so no neighbours.
pub(super) fn walk(answers: &Answers<'_>, people: &People, declared: &Verification) -> Neighbours {
    let study = answers.study();
    let limit = |limit: Option<clinical::study::Limit>| limit.map(|limit| limit.at_most);
    let mut numbers = Tally::new(limit(declared.jump));
    let mut categories = Tally::new(limit(declared.category_jump));
    let mut across_alarm = Tally::new(limit(declared.jump_across_alarm));
    let mut monotone: Vec<Steps<'_>> =
        declared.monotone.iter().filter_map(|one| Steps::new(one, answers)).collect();
    let strides = radix(study.domain().dims());
    for (feature, (along, &stride)) in study.features().iter().zip(&strides).enumerate() {
        if matches!(along.kind, Kind::Code(_)) {
            continue;
        }
        for cell in 0..answers.patients() {
            if cell / stride % along.dim() + 1 == along.dim() {
                continue;
            }
            let pair = Pair { feature, from: cell, to: cell + stride };
            let change = largest_change(answers.shown(pair.from), answers.shown(pair.to));
            let crosses = answers.alarmed(pair.from) != answers.alarmed(pair.to);
            let tally = match (crosses, &along.kind) {
                (true, _) => &mut across_alarm,
                (false, Kind::Category(_)) => &mut categories,
                (false, _) => &mut numbers,
            };
            tally.add(pair, change);
            for steps in monotone.iter_mut().filter(|steps| steps.declared.feature == along.name) {
                steps.add(pair, answers);
            }
        }
    }
    Neighbours {
        numbers: numbers.finish(answers, people),
        categories: categories.finish(answers, people),
        across_alarm: across_alarm.finish(answers, people),
        monotone: monotone.into_iter().map(|steps| steps.finish(answers, people)).collect(),
    }
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    feature: usize,
    from: Cell,
    to: Cell,
}

impl Pair {
    fn named(self, (output, difference): (usize, f64), answers: &Answers<'_>, people: &People) -> Jump {
        let study = answers.study();
        Jump {
            from: PossiblePatient::of(study, self.from, people),
            to: PossiblePatient::of(study, self.to, people),
            feature: study
                .features()
                .get(self.feature)
                .map(|feature| feature.name.clone())
                .unwrap_or_default(),
            output: answers.output(output).to_owned(),
            difference,
        }
    }
}

/// Pairs beyond a limit, the people in them, and the largest of all.
struct Tally {
    limit: Option<f64>,
    pairs: usize,
    beyond: usize,
    /// Whoever is in a pair beyond the limit, each once.
    members: Vec<Cell>,
    largest: f64,
    named: Largest<(Pair, (usize, f64))>,
}

impl Tally {
    fn new(limit: Option<f64>) -> Self {
        Tally { limit, pairs: 0, beyond: 0, members: Vec::new(), largest: 0.0, named: Largest::new(NAMED) }
    }

    fn add(&mut self, pair: Pair, change: (usize, f64)) {
        let size = change.1.abs();
        self.pairs += 1;
        self.largest = self.largest.max(size);
        if self.limit.is_some_and(|limit| size > limit) {
            self.beyond += 1;
            self.members.extend([pair.from, pair.to]);
        }
        self.named.offer(size, || (pair, change));
    }

    fn people(&mut self, people: &People) -> u64 {
        self.members.sort_unstable();
        self.members.dedup();
        self.members.iter().map(|&cell| people.of(cell)).sum()
    }

    fn finish(mut self, answers: &Answers<'_>, people: &People) -> Jumps {
        Jumps {
            pairs: self.pairs,
            largest: self.largest,
            beyond: self.limit.map(|_| self.beyond),
            people_beyond: self.limit.map(|_| self.people(people)),
            named: named(self.named, answers, people),
        }
    }
}

/// One declared direction under way. What goes against it is a jump.
struct Steps<'s> {
    declared: &'s Monotone,
    output: usize,
    tally: Tally,
}

impl<'s> Steps<'s> {
    /// None where the model has no such feature or probability.
    fn new(declared: &'s Monotone, answers: &Answers<'_>) -> Option<Self> {
        let study = answers.study();
        study.feature(&declared.feature)?;
        let output = (0..=study.severities().len()).find(|&at| answers.output(at) == declared.output)?;
        Some(Steps { declared, output, tally: Tally::new(Some(declared.tolerance)) })
    }

    fn add(&mut self, pair: Pair, answers: &Answers<'_>) {
        let p = |cell| answers.shown(cell).get(self.output).copied().unwrap_or_default();
        let difference: f64 = p(pair.to) - p(pair.from);
        let against = match self.declared.direction {
            Direction::Rising => difference < 0.0,
            Direction::Falling => difference > 0.0,
        };
        self.tally.add(pair, (self.output, if against { difference } else { 0.0 }));
    }

    fn finish(mut self, answers: &Answers<'_>, people: &People) -> MonotoneSteps {
        let Monotone { output, feature, direction, tolerance, gate } = self.declared.clone();
        MonotoneSteps {
            output,
            feature,
            direction,
            tolerance,
            gate,
            steps: self.tally.pairs,
            violations: self.tally.beyond,
            people: self.tally.people(people),
            largest: self.tally.largest,
            named: named(self.tally.named, answers, people),
        }
    }
}

fn named(largest: Largest<(Pair, (usize, f64))>, answers: &Answers<'_>, people: &People) -> Vec<Jump> {
    largest.into_vec().into_iter().map(|(pair, change)| pair.named(change, answers, people)).collect()
}
