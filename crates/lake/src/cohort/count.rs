//! Counting integer keys: densely where the key space is small, else by sorting.
//!
//! A hash table of millions of keys costs a cache miss per row. Two structures avoid it: one array of counters per outcome
//! while these fit [`DENSE_COUNTERS`], and otherwise a buffer of keys that is radix-sorted, run-length
//! encoded and merged, whose passes all run through memory in order. Memory is bounded by the buffer and the number of different keys.

/// Counters (4 bytes each) that a thread may hold densely.
pub(super) const DENSE_COUNTERS: u64 = 1 << 24;
/// Keys (8 bytes each) gathered before they are sorted.
const BUFFER_KEYS: usize = 1 << 21;
/// Bits sorted per pass.
const DIGIT: u32 = 11;

/// How often a key came. Keys are `outcome << 40 | place`, with place = cell * groups + group below 2^40.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) key: u64,
    pub(super) rows: u64,
}

/// Bits of a key below the outcome.
pub(super) const PLACE_BITS: u32 = 40;

/// Counter of one thread.
#[derive(Debug)]
pub(super) enum Counter {
    Dense {
        /// Counters per outcome.
        places: usize,
        /// One array per outcome, made when the outcome is first met.
        by_outcome: Vec<Vec<u32>>,
        /// Rows since the last drain: below 2^32, so that no counter overflows.
        rows: u64,
        drained: Runs,
    },
    Sorted {
        buffer: Vec<u64>,
        runs: Runs,
    },
}

impl Counter {
    /// A counter for `places` places per outcome, of which about `outcomes` are expected.
    pub(super) fn new(places: u64, outcomes: u64) -> Counter {
        if places * outcomes.max(1) <= DENSE_COUNTERS {
            Counter::Dense {
                places: places as usize,
                by_outcome: Vec::new(),
                rows: 0,
                drained: Runs::default(),
            }
        } else {
            Counter::Sorted { buffer: Vec::with_capacity(BUFFER_KEYS), runs: Runs::default() }
        }
    }

    /// Counts each (outcome, place) once. Rows whose outcome is [`SKIP`](super::query::SKIP) are left out.
    pub(super) fn add(&mut self, outcomes: &[u32], places: &[u64]) {
        match self {
            Counter::Dense { places: len, by_outcome, rows, drained } => {
                *rows += outcomes.len() as u64;
                if *rows >= u64::from(u32::MAX) {
                    drained.push(drain(by_outcome));
                    *rows = outcomes.len() as u64;
                }
                for (&outcome, &place) in outcomes.iter().zip(places) {
                    if outcome == super::query::SKIP {
                        continue;
                    }
                    let outcome = outcome as usize;
                    if outcome >= by_outcome.len() {
                        by_outcome.resize(outcome + 1, Vec::new());
                    }
                    if by_outcome[outcome].is_empty() {
                        by_outcome[outcome] = vec![0; *len];
                    }
                    by_outcome[outcome][place as usize] += 1;
                }
            }
            Counter::Sorted { buffer, runs } => {
                if buffer.len() + outcomes.len() > BUFFER_KEYS {
                    runs.push(encode(buffer));
                }
                let key = |(&outcome, &place): (&u32, &u64)| (u64::from(outcome) << PLACE_BITS) | place;
                let start = buffer.len();
                buffer.extend(outcomes.iter().zip(places).map(key));
                if outcomes.contains(&super::query::SKIP) {
                    let skipped = u64::from(super::query::SKIP) << PLACE_BITS;
                    let mut new = buffer.split_off(start);
                    new.retain(|key| *key < skipped);
                    buffer.append(&mut new);
                }
            }
        }
    }

    /// All counts, ascending by key.
    pub(super) fn finish(self) -> Vec<Run> {
        match self {
            Counter::Dense { mut by_outcome, mut drained, .. } => {
                drained.push(drain(&mut by_outcome));
                drained.finish()
            }
            Counter::Sorted { mut buffer, mut runs } => {
                runs.push(encode(&mut buffer));
                runs.finish()
            }
        }
    }
}

/// Takes the counts out of dense counters and sets those to zero.
fn drain(by_outcome: &mut [Vec<u32>]) -> Vec<Run> {
    let mut runs = Vec::new();
    for (outcome, counters) in by_outcome.iter_mut().enumerate() {
        let outcome = (outcome as u64) << PLACE_BITS;
        for (place, counter) in counters.iter_mut().enumerate().filter(|(_, counter)| **counter > 0) {
            let rows = u64::from(std::mem::take(counter));
            runs.push(Run { key: outcome | place as u64, rows });
        }
    }
    runs
}

/// Sorts `keys`, counts equal ones and empties the buffer.
fn encode(keys: &mut Vec<u64>) -> Vec<Run> {
    sort(keys);
    let mut runs: Vec<Run> = Vec::with_capacity(keys.len());
    for &key in keys.iter() {
        match runs.last_mut() {
            Some(last) if last.key == key => last.rows += 1,
            _ => runs.push(Run { key, rows: 1 }),
        }
    }
    keys.clear();
    runs.shrink_to_fit();
    runs
}

/// Least-significant-digit radix sort (Knuth, TAOCP 3, 5.2.5). Digits in which all keys agree cost no pass.
fn sort(keys: &mut Vec<u64>) {
    let used = keys.iter().fold((0, u64::MAX), |(or, and), &key| (or | key, and & key));
    let differing = used.0 & !used.1;
    let mut other = vec![0; keys.len()];
    let mut shift = 0;
    while shift < u64::BITS && differing >> shift != 0 {
        // Skip the bits in which all agree: the gap between the place and the outcome.
        shift += (differing >> shift).trailing_zeros();
        let digit = |key: u64| (key >> shift) as usize & ((1 << DIGIT) - 1);
        let mut starts = [0usize; 1 << DIGIT];
        for &key in keys.iter() {
            starts[digit(key)] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += std::mem::replace(start, sum);
        }
        for &key in keys.iter() {
            let place = &mut starts[digit(key)];
            other[*place] = key;
            *place += 1;
        }
        std::mem::swap(keys, &mut other);
        shift += DIGIT;
    }
}

/// Sorted run lists, merged so that each next one is at most half as long as the one before.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Vec<Run>>);

impl Runs {
    pub(super) fn push(&mut self, mut runs: Vec<Run>) {
        while let Some(last) = self.0.pop_if(|last| last.len() <= 2 * runs.len()) {
            runs = merge(&last, &runs);
        }
        if !runs.is_empty() {
            self.0.push(runs);
        }
    }

    pub(super) fn finish(self) -> Vec<Run> {
        self.0.into_iter().rev().reduce(|sum, next| merge(&sum, &next)).unwrap_or_default()
    }
}

/// Sums two ascending lists.
pub(super) fn merge(a: &[Run], b: &[Run]) -> Vec<Run> {
    let mut sum = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while let (Some(&x), Some(&y)) = (a.get(i), b.get(j)) {
        let (less, more) = (x.key < y.key, x.key > y.key);
        let rows = if less {
            x.rows
        } else if more {
            y.rows
        } else {
            x.rows + y.rows
        };
        sum.push(Run { key: x.key.min(y.key), rows });
        i += usize::from(!more);
        j += usize::from(!less);
    }
    sum.extend_from_slice(&a[i..]);
    sum.extend_from_slice(&b[j..]);
    sum
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pseudo_random(n: usize, places: u64, outcomes: u32) -> (Vec<u32>, Vec<u64>) {
        let mut state = 42u64;
        let mut next = move || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            state >> 33
        };
        (0..n).map(|_| ((next() % u64::from(outcomes)) as u32, next() % places)).unzip()
    }

    #[test]
    fn both_ways_count_like_a_map() {
        let (places, n) = (1 << 22, 300_000);
        let (outcomes, at) = pseudo_random(n, places, 5);
        let mut expected = BTreeMap::new();
        for (&outcome, &place) in outcomes.iter().zip(&at) {
            *expected.entry(u64::from(outcome) << PLACE_BITS | place).or_insert(0u64) += 1;
        }
        for known_outcomes in [1, 5] {
            let mut counter = Counter::new(places, known_outcomes);
            assert_eq!(matches!(counter, Counter::Dense { .. }), known_outcomes == 1);
            for (outcomes, at) in outcomes.chunks(1000).zip(at.chunks(1000)) {
                counter.add(outcomes, at);
            }
            let counts: BTreeMap<u64, u64> =
                counter.finish().into_iter().map(|run| (run.key, run.rows)).collect();
            assert_eq!(counts, expected);
        }
    }

    #[test]
    fn run_lists_of_any_lengths_add_up() {
        let mut runs = Runs::default();
        for start in 0..100u64 {
            let keys = (start % 7..50 + start).step_by(1 + (start % 5) as usize);
            runs.push(keys.map(|key| Run { key, rows: 1 }).collect());
        }
        let sum = runs.finish();
        assert!(sum.windows(2).all(|pair| pair[0].key < pair[1].key));
        let expected: u64 =
            (0..100u64).map(|s| (s % 7..50 + s).step_by(1 + (s % 5) as usize).count() as u64).sum();
        assert_eq!(sum.iter().map(|run| run.rows).sum::<u64>(), expected);
    }
}
