//! From a client's bytes to a patient whose values the study accepts.

use std::sync::Arc;

use clinical::{Explained, Issue, IssueCode, Note, Patient, Study};

use super::json::{self, NotAnObject, Token};
use crate::{
    fault::{Fault, Kind},
    ports::Model,
};

const PATIENT_ID: &str = "patient_id";

/// Longest pseudonym, in characters.
const PATIENT_ID_CHARS: usize = 128;

/// One accepted request.
pub(crate) struct Accepted {
    pub(crate) patient: Patient,
    pub(crate) patient_id: Option<String>,
    /// For this answer only: it is kept nowhere.
    pub(crate) note: Option<Note>,
}

/// Reads and checks one patient, with every problem at once.
///
/// # Errors
/// 400 for broken JSON, 422 for values.
pub(crate) fn patient(body: &[u8], model: &Arc<dyn Model>) -> Result<Accepted, Fault> {
    let study = model.study();
    let inputs = study.inputs();
    let note = study.note().map(|note| note.name.as_str());
    let index = |name: &str| {
        let input = inputs.iter().position(|input| input.name == name);
        input
            .or_else(|| (name == PATIENT_ID).then_some(inputs.len()))
            .or_else(|| (Some(name) == note).then_some(inputs.len() + 1))
    };
    let tokens = match json::object(body, inputs.len() + 2, index) {
        Ok(tokens) => tokens,
        Err(NotAnObject::Broken) => return Err(Fault::new(Kind::BrokenJson)),
        // No field is there, so every one is missing.
        Err(NotAnObject::OtherType) => Vec::new(),
    };
    accept(study, &tokens).map_err(|issues| Fault::invalid(issues, model))
}

fn accept(study: &Study, tokens: &[Token<'_>]) -> Result<Accepted, Vec<Issue>> {
    let mut tokens = tokens.iter();
    let missing = Token::Missing;
    // `check` asks for the inputs in the study's order, which is the tokens' order.
    let checked = study.check(|_| tokens.next().unwrap_or(&missing).raw());
    let patient_id = tokens.next().unwrap_or(&missing).text(PATIENT_ID, PATIENT_ID_CHARS);
    let note = tokens.next().unwrap_or(&missing);
    let note = study.note().map_or(Ok(None), |field| field.accept(note.raw()));
    match (checked, patient_id, note) {
        (Ok(patient), Ok(patient_id), Ok(note)) => {
            Ok(Accepted { patient, patient_id: patient_id.map(str::to_owned), note })
        }
        (checked, patient_id, note) => {
            let mut issues = checked.err().unwrap_or_default();
            issues.extend(note.err());
            issues.extend(patient_id.err());
            Err(issues)
        }
    }
}

/// Which probability `?explain=` asks to be explained; `severity` is the displayed one, and so is none.
///
/// # Errors
/// 422 for another word.
pub(crate) fn explained(query: Option<&str>, model: &Arc<dyn Model>) -> Result<Option<Explained>, Fault> {
    let Some(query) = query else { return Ok(None) };
    let Some((_, word)) = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "explain") else {
        return Ok(None);
    };
    match &*word {
        "severity" => Ok(None),
        "orphan" => Ok(Some(Explained::Orphan)),
        code => match model.study().severity_from_code(code) {
            Some(severity) => Ok(Some(Explained::Severity(severity))),
            None => {
                let codes = model.study().severities().iter().map(|class| class.code.as_str());
                let known = ["severity", "orphan"].into_iter().chain(codes).collect::<Vec<_>>().join(", ");
                let issue = Issue::new("explain", IssueCode::UnknownCode).expecting(known.clone(), known);
                Err(Fault::invalid(vec![issue], model))
            }
        },
    }
}
