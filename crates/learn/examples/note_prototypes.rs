//! Few-shot classification of notes, for `bench/run notes`: a file of notes and draws in, the nearest prototype
//! of every query and the terms that were found on standard output, both as JSON.
//!
//! The same reading, weighting and prototypes as the product's. Idf is learned from the notes that a draw
//! names for it; the query takes no part in anything but its own answer.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write, stdout};

use clinical::note::{Stance, Vocabulary};
use learn::notes::{
    BUCKETS, Dictionary, EXPONENT, Features, NGRAM_WEIGHT, NoteReader, Prototypes, Sparse, Weighting,
};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Task {
    notes: Vec<String>,
    draws: Vec<Draw>,
    /// Other values than the product's, to choose them by.
    exponent: Option<f64>,
    ngram_weight: Option<f64>,
}

/// Positions of notes.
#[derive(Deserialize)]
struct Draw {
    /// Notes that idf is learned from.
    corpus: Vec<usize>,
    /// Per class.
    support: Vec<Vec<usize>>,
    query: Vec<usize>,
}

#[derive(Serialize)]
struct Answer<'a> {
    /// Per note: code and stance of what was found.
    found: Vec<Vec<(&'a str, Stance)>>,
    draws: Vec<Answers>,
}

/// The nearest class of each query.
#[derive(Serialize)]
struct Answers {
    terms: Vec<usize>,
    ngrams: Vec<usize>,
    /// By the weighed sum of both cosines.
    both: Vec<usize>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: note_prototypes FILE")?;
    let task: Task = serde_json::from_reader(BufReader::new(File::open(path)?))?;
    let terms = Vocabulary::Hpo.terms();
    let reader = NoteReader::new(Dictionary::new(terms.iter().map(|term| (term.code, term.label)))?);
    let read: Vec<Features> = task.notes.iter().map(|note| reader.read(note)).collect();
    let codes = reader.dictionary().codes();
    // A term counts once for each of its stances.
    let by_term: Vec<Sparse> = read
        .iter()
        .map(|features| {
            let places = features.terms.iter().map(|&(term, stance)| (4 * term + stance as u32, 1.0));
            Sparse::of(places.collect())
        })
        .collect();
    let by_gram: Vec<Sparse> = read.iter().map(|features| features.grams.clone()).collect();
    let exponent = task.exponent.unwrap_or(EXPONENT);
    let weight = task.ngram_weight.unwrap_or(NGRAM_WEIGHT);
    let draws = task.draws.iter().map(|draw| {
        let (terms, grams) = (
            draw.similarities(&by_term, 4 * codes.len(), exponent),
            draw.similarities(&by_gram, BUCKETS, exponent),
        );
        let both =
            terms.iter().zip(&grams).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + weight * b).collect());
        Answers {
            both: both.map(|sums: Vec<f64>| nearest(&sums)).collect(),
            terms: terms.iter().map(|all| nearest(all)).collect(),
            ngrams: grams.iter().map(|all| nearest(all)).collect(),
        }
    });
    let draws = draws.collect();
    let found = |features: &Features| {
        features.terms.iter().map(|&(term, stance)| (codes[term as usize].as_str(), stance)).collect()
    };
    let answer = Answer { found: read.iter().map(found).collect(), draws };
    let mut out = BufWriter::new(stdout().lock());
    serde_json::to_writer(&mut out, &answer)?;
    Ok(out.flush()?)
}

impl Draw {
    /// Cosine of every query with every class.
    fn similarities(&self, counts: &[Sparse], places: usize, exponent: f64) -> Vec<Vec<f64>> {
        let weighting = Weighting::fit(places, self.corpus.iter().map(|&note| &counts[note]));
        let support: Vec<(Sparse, usize)> = self
            .support
            .iter()
            .enumerate()
            .flat_map(|(class, notes)| notes.iter().map(move |&note| (note, class)))
            .map(|(note, class)| (weighting.apply(&counts[note]), class))
            .collect();
        let prototypes = Prototypes::of(
            self.support.len(),
            places,
            exponent,
            support.iter().map(|(vector, class)| (vector, *class)),
        );
        self.query.iter().map(|&note| prototypes.similarities(&weighting.apply(&counts[note]))).collect()
    }
}

/// The position of the largest value, the first on a tie.
fn nearest(values: &[f64]) -> usize {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = at;
        }
    }
    best
}
