//! The product's note model on labelled notes, for `bench/run notes`: a file of notes with what a structured model
//! expects of each in, the probabilities with the notes on standard output, both as JSON.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write, stdout};

use clinical::note::{NoteField, Vocabulary};
use clinical::{Language, Text};
use learn::notes::{Labelled, NoteModel, NoteReader, NoteReport};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Task {
    notes: Vec<String>,
    outcomes: usize,
    splits: Vec<Split>,
}

#[derive(Deserialize)]
struct Split {
    train: Vec<Known>,
    query: Vec<Asked>,
}

/// A training case; `note` is the position of its note.
#[derive(Deserialize)]
struct Known {
    note: usize,
    fold: usize,
    outcome: usize,
    prior: Vec<f64>,
}

#[derive(Deserialize)]
struct Asked {
    note: usize,
    prior: Vec<f64>,
}

#[derive(Serialize)]
struct Answer {
    report: NoteReport,
    /// One distribution per query.
    probabilities: Vec<Vec<f64>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: note_evidence FILE")?;
    let task: Task = serde_json::from_reader(BufReader::new(File::open(path)?))?;
    let field = NoteField {
        name: "note".to_owned(),
        label: Text::new("Nota", "Note"),
        hint: None,
        languages: vec![Language::En],
        max_chars: 20_000,
        vocabularies: vec![Vocabulary::Hpo],
        terms: Vec::new(),
    };
    let reader = NoteReader::of(&field)?;
    let mut answers = Vec::with_capacity(task.splits.len());
    for split in &task.splits {
        let cases: Vec<Labelled<'_>> = split
            .train
            .iter()
            .map(|case| Labelled {
                note: &task.notes[case.note],
                fold: case.fold,
                outcome: case.outcome,
                prior: &case.prior,
                weight: 1.0,
            })
            .collect();
        let model = NoteModel::fit(&field, task.outcomes, &cases)?;
        let probabilities = split.query.iter().map(|case| {
            let mut p = case.prior.clone();
            model.evidence(&reader, &reader.read(&task.notes[case.note])).apply(&mut p);
            p
        });
        let probabilities = probabilities.collect();
        answers.push(Answer { report: model.report, probabilities });
    }
    let mut out = BufWriter::new(stdout().lock());
    serde_json::to_writer(&mut out, &answers)?;
    Ok(out.flush()?)
}
