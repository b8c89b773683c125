//! One row's cells -> a case, or everything that is wrong with it.

use std::{borrow::Cow, collections::HashMap};

use clinical::{Case, Issue, IssueCode};

use super::{
    Row,
    identity::{self, patient_id},
    layout::{Field, Layout},
    record::{Broken, Cells, Content, Record},
};

/// Makes cases of one file's rows.
pub(crate) struct Assembler<'a> {
    pub(crate) layout: Layout<'a>,
    source: String,
    ingested_at: i64,
    /// How often each content without an id has been seen, by its digest.
    occurrences: HashMap<u128, u32>,
}

impl<'a> Assembler<'a> {
    pub(crate) fn new(layout: Layout<'a>, source: String, ingested_at: i64) -> Self {
        Assembler { layout, source, ingested_at, occurrences: HashMap::new() }
    }

    pub(crate) fn row(&mut self, record: Record<'_>) -> Row {
        let cells = match record.content {
            Content::Cells(cells) => cells,
            Content::Left(reason) => return Row::Skipped { line: record.line, reason },
            Content::Broken(Broken { issues, raw }) => {
                return Row::Refused { line: record.line, case_id: None, issues, raw };
            }
        };
        if let Some(reason) = self.layout.skipped(&cells) {
            return Row::Skipped { line: record.line, reason };
        }
        match with_own_issues(self.case(&cells), cells.issues()) {
            Ok(case) => Row::Accepted(case),
            Err(issues) => Row::Refused {
                line: record.line,
                case_id: self.layout.text(Field::CaseId, &cells).ok().flatten().map(Cow::into_owned),
                issues,
                raw: cells.raw(),
            },
        }
    }

    fn case(&mut self, cells: &Cells<'_>) -> Result<Case, Vec<Issue>> {
        let mut issues = Vec::new();
        let layout = &self.layout;
        let mut next = 0;
        // The study asks for its inputs once each, in order.
        let patient = layout.study.check(|input| {
            debug_assert_eq!(layout.study.inputs()[next].name, input.name);
            next += 1;
            layout.input(next - 1, cells).raw()
        });
        let patient = kept(patient, &mut issues);
        let note = layout.study.note().map(|field| field.accept(layout.note(cells).raw()));
        let note = note.and_then(|note| kept(note.map_err(|issue| vec![issue]), &mut issues)).flatten();
        let outcome = kept(layout.outcome(cells), &mut issues).flatten();
        let case_id = kept(layout.text(Field::CaseId, cells), &mut issues).flatten();
        let patient_given = kept(layout.text(Field::PatientId, cells), &mut issues).flatten();
        let source = kept(layout.text(Field::Source, cells), &mut issues).flatten();
        let recorded_at = kept(layout.instant(Field::RecordedAt, cells), &mut issues).flatten();
        let confirmed_at = kept(layout.instant(Field::ConfirmedAt, cells), &mut issues).flatten();
        if confirmed_at.is_some() && outcome.is_none() && issues.is_empty() {
            issues.push(
                Issue::new("severity", IssueCode::Missing)
                    .expecting("la gravedad confirmada", "the confirmed severity"),
            );
        }
        let (Some(patient), true) = (patient, issues.is_empty()) else {
            return Err(issues);
        };
        let source = source.map_or_else(|| self.source.clone(), Cow::into_owned);
        let case_id = match case_id {
            Some(id) => id.into_owned(),
            None => identity::Content {
                source: &source,
                patient_id: patient_given.as_deref(),
                recorded_at,
                patient: &patient,
                outcome: outcome.as_ref(),
                confirmed_at,
            }
            .case_id(&mut self.occurrences),
        };
        let patient_id = patient_given.map_or_else(|| patient_id(&source, &case_id), Cow::into_owned);
        let recorded_at = recorded_at.unwrap_or(self.ingested_at);
        Ok(Case { case_id, patient_id, source, recorded_at, patient, note, outcome, confirmed_at })
    }
}

/// What the record knows about a field says more than the check of the cell that it could not fill.
fn with_own_issues(case: Result<Case, Vec<Issue>>, own: &[Issue]) -> Result<Case, Vec<Issue>> {
    if own.is_empty() {
        return case;
    }
    let mut issues = case.err().unwrap_or_default();
    issues.retain(|issue| own.iter().all(|known| known.field != issue.field));
    issues.extend_from_slice(own);
    Err(issues)
}

fn kept<T>(result: Result<T, Vec<Issue>>, issues: &mut Vec<Issue>) -> Option<T> {
    result.map_err(|mut found| issues.append(&mut found)).ok()
}
