//! Figures against other implementations, the reference cohort against its definition.

#![expect(clippy::unwrap_used, reason = "a failing test is what it is for")]

mod drift;
mod fidelity;
mod figures;
mod intervals;
mod limit;
mod reference_cohort;
mod rules;
mod sampler;

use clinical::Severity;
use evaluate::{Answer, Cells};
use serde_json::Value;

pub const CLASSES: [&str; 4] = ["healthy", "mild", "acute", "chronic"];

pub fn metrics() -> Value {
    serde_json::from_str(include_str!("../reference/metrics.json")).unwrap()
}

pub fn scores() -> Value {
    serde_json::from_str(include_str!("../reference/reference_scores.json")).unwrap()
}

pub fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The cells of one stored case.
pub fn cells(case: &Value) -> Cells {
    let mut cells = Cells::new(&CLASSES).unwrap();
    for i in 0..case["orphan"].as_array().unwrap().len() {
        let counts: Vec<u64> =
            case["counts"][i].as_array().unwrap().iter().map(|c| c.as_u64().unwrap()).collect();
        let answer = Answer {
            probabilities: &floats(&case["probabilities"][i]),
            orphan: case["orphan"][i].as_f64().unwrap(),
            decided: Severity(case["decided"][i].as_u64().unwrap() as u8),
            alarm: case["alarm"][i].as_bool().unwrap(),
        };
        cells.push(&answer, &counts).unwrap();
    }
    cells
}

/// One cell with a given answer, probabilities 0.7 on the decided class.
pub fn push(cells: &mut Cells, decided: u8, orphan: f64, alarm: bool, counts: [u64; 8]) {
    let mut probabilities = [0.1; 4];
    probabilities[usize::from(decided)] = 0.7;
    let answer = Answer { probabilities: &probabilities, orphan, decided: Severity(decided), alarm };
    cells.push(&answer, &counts).unwrap();
}
