//! How far an answer depends on one code alone: every possible patient again, with another gender or blood group.
//!
//! Individual fairness by exhaustion. Only the model's input is changed and all else is held, so this is what the
//! model would have answered, not what would be with another person: features that go together with the swapped one
//! stay as they are (compare Kusner et al. 2017, who change them, too, by a causal model that nobody has here).

use clinical::{Cell, Kind};
use serde::{Deserialize, Serialize};

use super::{NAMED, largest_change};
use crate::answers::{Answers, Largest, People, PossiblePatient};
use crate::predict::radix;

/// All swaps of one feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Swaps {
    pub feature: String,
    /// Share of the cohort's people whose shown severity some other code changes; none without people.
    pub status_changed: Option<f64>,
    /// The same of the alarm.
    pub alarm_changed: Option<f64>,
    /// Mean over the cohort's people of the largest change of a shown probability by any other code.
    pub mean_change: Option<f64>,
    /// The same of the orphan probability.
    pub mean_orphan_change: Option<f64>,
    /// Share of all possible patients whose shown severity some other code changes.
    pub possible_status_changed: f64,
    /// Largest change of a shown probability among all possible patients.
    pub largest_change: f64,
    /// Every code instead of every other.
    pub pairs: Vec<SwapPair>,
    /// The largest changes among all possible patients.
    pub named: Vec<Swap>,
    /// The largest changes among those that somebody in the cohort is.
    pub named_of_people: Vec<Swap>,
}

/// The cohort's people with one code, answered as if they had another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwapPair {
    pub from: String,
    pub to: String,
    /// People with the code `from`.
    pub people: u64,
    /// Of those, how many would be shown another severity, be alarmed anew, or no longer.
    pub status_changed: u64,
    pub alarm_gained: u64,
    pub alarm_lost: u64,
    /// Mean change of the orphan probability; none without people.
    pub mean_orphan_change: Option<f64>,
}

/// One possible patient with another code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Swap {
    pub patient: PossiblePatient,
    /// The code instead of the patient's own.
    pub to: String,
    /// The probability that changes most: a severity's code, or `orphan`.
    pub output: String,
    /// With the other code minus with the own one.
    pub difference: f64,
    /// Shown severity with the own code, and with the other one.
    pub status: [String; 2],
    pub alarm: [bool; 2],
}

/// By every feature that is declared for it, else by every code.
pub(super) fn swap(answers: &Answers<'_>, people: &People, declared: Option<&[String]>) -> Vec<Swaps> {
    let codes =
        answers.study().features().iter().enumerate().filter(|(_, f)| matches!(f.kind, Kind::Code(_)));
    let wanted = codes.filter(|(_, feature)| declared.is_none_or(|names| names.contains(&feature.name)));
    wanted.map(|(index, _)| by(index, answers, people)).collect()
}

/// Sums over people with one code as if they had another.
#[derive(Clone, Default)]
struct PairSums {
    people: u64,
    status: u64,
    gained: u64,
    lost: u64,
    orphan: f64,
}

/// Sums over people, each with the worst of the other codes.
#[derive(Default)]
struct Sums {
    status: u64,
    alarm: u64,
    change: f64,
    orphan: f64,
    possible_status: usize,
    largest: f64,
}

/// A patient's cell, the cell with the other code, and what changes most.
type Found = (Cell, Cell, (usize, f64));

fn by(index: usize, answers: &Answers<'_>, people: &People) -> Swaps {
    let study = answers.study();
    let feature = &study.features()[index];
    let (codes, stride) = (feature.dim(), radix(study.domain().dims())[index]);
    let orphan = study.severities().len();
    let mut pairs = vec![PairSums::default(); codes * codes];
    let mut sums = Sums::default();
    let (mut named, mut named_of_people): (Largest<Found>, Largest<Found>) =
        (Largest::new(NAMED), Largest::new(NAMED));
    for cell in 0..answers.patients() {
        let (own, count) = (cell / stride % codes, people.of(cell));
        let (mut status, mut alarm, mut change, mut orphan_change) = (false, false, 0.0_f64, 0.0_f64);
        for code in (0..codes).filter(|&code| code != own) {
            let other = cell - own * stride + code * stride;
            let (before, after) = (answers.shown(cell), answers.shown(other));
            let largest = largest_change(before, after);
            let at = |shown: &[f64]| shown.get(orphan).copied().unwrap_or_default();
            let of_orphan = at(after) - at(before);
            let (was, is) = (answers.alarmed(cell), answers.alarmed(other));
            let other_status = answers.decided(cell) != answers.decided(other);
            let pair = &mut pairs[own * codes + code];
            pair.people += count;
            pair.status += if other_status { count } else { 0 };
            pair.gained += if is && !was { count } else { 0 };
            pair.lost += if was && !is { count } else { 0 };
            pair.orphan += count as f64 * of_orphan;
            status |= other_status;
            alarm |= was != is;
            change = change.max(largest.1.abs());
            orphan_change = orphan_change.max(of_orphan.abs());
            named.offer(largest.1.abs(), || (cell, other, largest));
            if count > 0 {
                named_of_people.offer(largest.1.abs(), || (cell, other, largest));
            }
        }
        sums.status += if status { count } else { 0 };
        sums.alarm += if alarm { count } else { 0 };
        sums.change += count as f64 * change;
        sums.orphan += count as f64 * orphan_change;
        sums.possible_status += usize::from(status);
        sums.largest = sums.largest.max(change);
    }
    let share = |sum: f64| (people.total() > 0).then(|| sum / people.total() as f64);
    let words = |found: Largest<Found>| {
        found.into_vec().into_iter().map(|found| named_swap(index, found, answers, people)).collect()
    };
    Swaps {
        feature: feature.name.clone(),
        status_changed: share(sums.status as f64),
        alarm_changed: share(sums.alarm as f64),
        mean_change: share(sums.change),
        mean_orphan_change: share(sums.orphan),
        possible_status_changed: sums.possible_status as f64 / answers.patients() as f64,
        largest_change: sums.largest,
        pairs: (0..codes * codes)
            .filter(|pair| pair / codes != pair % codes)
            .map(|pair| SwapPair {
                from: feature.level_code(pair / codes),
                to: feature.level_code(pair % codes),
                people: pairs[pair].people,
                status_changed: pairs[pair].status,
                alarm_gained: pairs[pair].gained,
                alarm_lost: pairs[pair].lost,
                mean_orphan_change: (pairs[pair].people > 0)
                    .then(|| pairs[pair].orphan / pairs[pair].people as f64),
            })
            .collect(),
        named: words(named),
        named_of_people: words(named_of_people),
    }
}

fn named_swap(index: usize, (cell, other, change): Found, answers: &Answers<'_>, people: &People) -> Swap {
    let study = answers.study();
    let level = study.domain().levels(other)[index];
    Swap {
        patient: PossiblePatient::of(study, cell, people),
        to: study.features()[index].level_code(level),
        output: answers.output(change.0).to_owned(),
        difference: change.1,
        status: [cell, other].map(|cell| answers.output(answers.decided(cell)).to_owned()),
        alarm: [cell, other].map(|cell| answers.alarmed(cell)),
    }
}
