//! Active learning: of the patients whose outcome is not known, those whose outcome would teach most.
//!
//! A part is drawn at random and is the only unbiased sample: calibration, prevalence and recall may be estimated from it
//! and from nothing else that is chosen here. The rest comes in thirds: the highest orphan probabilities, the least certain
//! severities, and those unlike all that is known (greedy k-center; Sener and Savarese 2018). While a disease is watched the
//! thirds are quarters, and the first is of those whom its alarm only just leaves out: a profile learned from the cases that
//! its own alarm finds alone would only ever confirm itself.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A patient who may be asked about.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The possible patient: several people may be the same one, and telling the model of one of them is enough.
    pub cell: usize,
    pub probability_orphan: f64,
    /// By how much the margin of a watched disease falls short of its alarm, in log odds; none without such an alarm.
    pub short_of_alarm: Option<f64>,
    /// Of the severities, in bits.
    pub entropy: f64,
    /// Encoded features.
    pub point: Vec<f32>,
}

/// What a candidate was chosen for, with the number that decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Merit {
    /// What the nearest watched disease's margin is short of its alarm.
    Watched(f64),
    Rarity(f64),
    Uncertainty(f64),
    /// Distance to the nearest of those that are known or chosen.
    Novelty(f64),
    Random,
}

/// Chooses at most `n` candidates, `random_share` of them (rounded up) at random. `known`: encoded features of patients
/// whose outcome is known or asked for. Answers indices with their merits in the order in which to ask: those near a watched
/// disease's alarm, then the other kinds in turn, so that whoever has time for a few asks of every kind. The same
/// seed chooses the same ones.
#[must_use]
pub fn choose(
    candidates: &[Candidate],
    known: &[Vec<f32>],
    n: usize,
    random_share: f64,
    seed: u64,
) -> Vec<(usize, Merit)> {
    let n = n.min(candidates.len());
    let random = ((n as f64 * random_share.clamp(0.0, 1.0)).ceil() as usize).min(n);
    let mut chosen = Chosen { candidates, picks: Vec::new(), taken: vec![false; candidates.len()] };
    // Drawn before anything else is: whoever is left out of the draw would bias it.
    chosen.draw(random, seed);
    let watches = candidates.iter().any(|one| one.short_of_alarm.is_some());
    let part = (n - random).div_ceil(if watches { 4 } else { 3 });
    if watches {
        let nearness = |one: &Candidate| -one.short_of_alarm.unwrap_or(f64::INFINITY);
        chosen.highest(part.min(n - chosen.picks.len()), nearness, |nearness| Merit::Watched(-nearness));
    }
    chosen.highest(part.min(n - chosen.picks.len()), |one| one.probability_orphan, Merit::Rarity);
    chosen.highest(part.min(n - chosen.picks.len()), |one| one.entropy, Merit::Uncertainty);
    chosen.farthest(n, known);
    in_turn(chosen.picks)
}

/// Those near an alarm first, then one of each other kind after the other, each kind in its own order.
fn in_turn(picks: Vec<(usize, Merit)>) -> Vec<(usize, Merit)> {
    let mut turns: Vec<(usize, (usize, Merit))> = Vec::with_capacity(picks.len());
    let mut of_kind: HashMap<Discriminant<Merit>, usize> = HashMap::new();
    for pick in picks {
        let turn = of_kind.entry(discriminant(&pick.1)).or_default();
        *turn += 1;
        turns.push((if matches!(pick.1, Merit::Watched(_)) { 0 } else { *turn }, pick));
    }
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, pick)| pick).collect()
}

/// The entropy of a distribution in bits.
#[must_use]
pub fn entropy(probabilities: &[f64]) -> f64 {
    probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.log2()).sum()
}

struct Chosen<'a> {
    candidates: &'a [Candidate],
    picks: Vec<(usize, Merit)>,
    taken: Vec<bool>,
}

impl Chosen<'_> {
    /// The first places of a shuffle (Fisher and Yates).
    fn draw(&mut self, count: usize, seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut order: Vec<usize> = (0..self.candidates.len()).collect();
        for place in 0..count {
            let left = (order.len() - place) as u64;
            // The remainder's bias is below 2^-40 for any number of candidates that fits in memory.
            order.swap(place, place + (rng.next_u64() % left) as usize);
            self.picks.push((order[place], Merit::Random));
            self.taken[order[place]] = true;
        }
    }

    /// Whether a person of the same possible patient is chosen already.
    fn has(&self, cell: usize) -> bool {
        self.picks.iter().any(|&(index, _)| self.candidates[index].cell == cell)
    }

    fn highest(&mut self, count: usize, of: impl Fn(&Candidate) -> f64, merit: impl Fn(f64) -> Merit) {
        let mut order: Vec<usize> = (0..self.candidates.len()).filter(|&i| !self.taken[i]).collect();
        // Of equals the first one.
        order.sort_by(|&a, &b| of(&self.candidates[b]).total_cmp(&of(&self.candidates[a])).then(a.cmp(&b)));
        let until = self.picks.len() + count;
        for index in order {
            if self.picks.len() == until {
                return;
            }
            if !self.has(self.candidates[index].cell) {
                self.picks.push((index, merit(of(&self.candidates[index]))));
                self.taken[index] = true;
            }
        }
    }

    /// Until `total` are chosen: each time the one farthest from all that are known or chosen.
    fn farthest(&mut self, total: usize, known: &[Vec<f32>]) {
        let mut nearest: Vec<f64> = self.candidates.iter().map(|one| to_nearest(&one.point, known)).collect();
        for (index, _) in self.picks.clone() {
            self.approach(&mut nearest, index);
        }
        while self.picks.len() < total {
            let open = (0..nearest.len()).filter(|&i| !self.taken[i]);
            let Some(index) = open.max_by(|&a, &b| nearest[a].total_cmp(&nearest[b]).then(b.cmp(&a))) else {
                return;
            };
            self.picks.push((index, Merit::Novelty(nearest[index].sqrt())));
            self.taken[index] = true;
            self.approach(&mut nearest, index);
        }
    }

    fn approach(&self, nearest: &mut [f64], centre: usize) {
        let centre = &self.candidates[centre].point;
        for (nearest, one) in nearest.iter_mut().zip(self.candidates) {
            *nearest = nearest.min(squared_distance(&one.point, centre));
        }
    }
}

/// Squared distance to the nearest of some points; to the origin where there are none.
fn to_nearest(point: &[f32], known: &[Vec<f32>]) -> f64 {
    let distances = known.iter().map(|other| squared_distance(point, other));
    distances.min_by(f64::total_cmp).unwrap_or_else(|| squared_distance(point, &vec![0.0; point.len()]))
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn candidate(cell: usize, probability_orphan: f64, entropy: f64, x: f32) -> Candidate {
        Candidate { cell, probability_orphan, short_of_alarm: None, entropy, point: vec![x, 0.0] }
    }

    fn many() -> Vec<Candidate> {
        let one = |i: usize| candidate(i, (i % 97) as f64 / 97.0, (i % 89) as f64 / 89.0, (i % 83) as f32);
        (0..1000).map(one).collect()
    }

    #[test]
    fn thirds_and_a_random_part_are_chosen_and_nobody_twice() {
        let candidates = many();
        let picks = choose(&candidates, &[], 20, 0.10, 7);
        let count = |is: fn(&Merit) -> bool| picks.iter().filter(|(_, merit)| is(merit)).count();
        assert_eq!(count(|merit| matches!(merit, Merit::Random)), 2);
        assert_eq!(count(|merit| matches!(merit, Merit::Rarity(_))), 6);
        assert_eq!(count(|merit| matches!(merit, Merit::Uncertainty(_))), 6);
        assert_eq!(count(|merit| matches!(merit, Merit::Novelty(_))), 6);
        let mut cells: Vec<_> = picks.iter().map(|&(index, _)| candidates[index].cell).collect();
        cells.sort_unstable();
        cells.dedup();
        assert_eq!(cells.len(), 20);
        assert_eq!(choose(&candidates, &[], 20, 0.10, 7), picks);
        assert_ne!(choose(&candidates, &[], 20, 0.10, 8), picks);
        // The drawn ones do not depend on what the others are worth.
        let mut other = candidates.clone();
        other.iter_mut().for_each(|one| one.probability_orphan = 1.0 - one.probability_orphan);
        let drawn = |picks: &[(usize, Merit)]| -> Vec<usize> {
            picks.iter().filter(|(_, merit)| *merit == Merit::Random).map(|(index, _)| *index).collect()
        };
        assert_eq!(drawn(&choose(&other, &[], 20, 0.10, 7)), drawn(&picks));
        // Whoever has time for four asks one of each kind.
        let kinds: HashSet<_> = picks[..4].iter().map(|(_, merit)| discriminant(merit)).collect();
        assert_eq!(kinds.len(), 4);
    }

    #[test]
    fn each_third_takes_the_best_of_its_kind() {
        let candidates = [
            candidate(0, 0.9, 0.1, 1.0),
            candidate(0, 0.9, 0.1, 1.0),
            candidate(1, 0.2, 1.9, 1.1),
            candidate(2, 0.1, 0.2, 9.0),
            candidate(3, 0.1, 0.2, 1.2),
        ];
        let picks = choose(&candidates, &[vec![1.0, 0.0]], 3, 0.0, 1);
        assert_eq!(picks[0], (0, Merit::Rarity(0.9)));
        assert_eq!(picks[1], (2, Merit::Uncertainty(1.9)));
        assert!(
            matches!(picks[2], (3, Merit::Novelty(distance)) if (distance - 7.9).abs() < 1e-6),
            "{picks:?}"
        );
    }

    #[test]
    fn while_a_disease_is_watched_a_quarter_is_of_those_just_short_of_its_alarm() {
        let mut candidates = many();
        for (one, short) in candidates.iter_mut().zip([0.5, 0.2, 9.0, 0.1]) {
            one.short_of_alarm = Some(short);
        }
        let picks = choose(&candidates, &[], 11, 0.20, 7);
        let watched: Vec<_> = picks.iter().filter(|(_, merit)| matches!(merit, Merit::Watched(_))).collect();
        assert_eq!(picks[..watched.len()].iter().collect::<Vec<_>>(), watched);
        let drawn: Vec<usize> =
            picks.iter().filter(|(_, merit)| *merit == Merit::Random).map(|&(index, _)| index).collect();
        let nearest = [3, 1, 0, 2].iter().filter(|index| !drawn.contains(index)).take(2);
        let expected: Vec<_> =
            nearest.map(|&index| (index, Merit::Watched([0.5, 0.2, 9.0, 0.1][index]))).collect();
        assert_eq!(watched, expected.iter().collect::<Vec<_>>());
        assert_eq!(picks.len(), 11);
        for kind in [
            |merit: &Merit| matches!(merit, Merit::Rarity(_)),
            |merit: &Merit| matches!(merit, Merit::Uncertainty(_)),
        ] {
            assert_eq!(picks.iter().filter(|(_, merit)| kind(merit)).count(), 2);
        }
    }

    #[test]
    fn few_candidates_are_all_chosen_and_none_make_none() {
        assert!(choose(&[], &[], 5, 0.5, 1).is_empty());
        let candidates = &many()[..3];
        assert_eq!(choose(candidates, &[], 10, 0.1, 1).len(), 3);
        assert_eq!(choose(candidates, &[], 10, 1.0, 1).len(), 3);
        assert!(choose(candidates, &[], 0, 0.1, 1).is_empty());
    }

    #[test]
    fn entropy_is_counted_in_bits() {
        assert_eq!(entropy(&[0.5, 0.5, 0.0]), 1.0);
        assert_eq!(entropy(&[0.25; 4]), 2.0);
        assert_eq!(entropy(&[1.0, 0.0]), 0.0);
    }
}
