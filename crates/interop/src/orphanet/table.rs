//! Tables made of the product files: one row per estimate or disease, lists parted by `|`.

use std::io::Read;

use clinical::orphanet::{Dictionary, Disease};

use super::xml::{is_said, prevalence};
use crate::FileError;

pub(super) fn read(source: impl Read) -> Result<Dictionary, FileError> {
    let damaged = |problem: csv::Error| FileError::Damaged { format: "CSV", problem: place_of(&problem) };
    let mut reader = csv::Reader::from_reader(source);
    let header = reader.headers().map_err(damaged)?.clone();
    let column = |name: &str| header.iter().position(|column| column == name);
    let Some(code_column) = column("orpha_code") else {
        return Err(FileError::NoDiseases);
    };
    let names = [
        "name",
        "prevalence_type",
        "prevalence_class",
        "val_moy",
        "prevalence_geographic",
        "prevalence_validation_status",
        "age_of_onset",
        "type_of_inheritance",
    ];
    let places = names.map(column);
    let mut dictionary = Dictionary::default();
    for record in reader.records() {
        let record = record.map_err(damaged)?;
        let Some(code) = record.get(code_column).and_then(|code| code.trim().parse().ok()) else {
            continue;
        };
        let [name, kind, class, point, geography, validated, onset, inheritance] =
            places.map(|place| place.and_then(|place| record.get(place)).unwrap_or_default().trim());
        let disease: &mut Disease = dictionary.diseases.entry(code).or_default();
        if !name.is_empty() {
            disease.names.insert("en".to_owned(), name.to_owned());
        }
        if let Some(found) = prevalence(kind, class.to_owned(), point, geography.to_owned(), validated) {
            disease.estimate(found);
        }
        for (list, text) in [(&mut disease.onset, onset), (&mut disease.inheritance, inheritance)] {
            list.extend(text.split('|').filter(|one| is_said(one)).map(str::to_owned));
            list.sort();
            list.dedup();
        }
    }
    Ok(dictionary)
}

/// Where a table is damaged, without what it holds.
fn place_of(error: &csv::Error) -> String {
    match error.position() {
        Some(position) => format!("line {} is no CSV row of the header's length", position.line()),
        None => "it is no CSV".to_owned(),
    }
}
