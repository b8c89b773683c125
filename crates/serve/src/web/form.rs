//! The form: one field a feature, made from the study, checked here with the same sentences that the
//! script shows while typing.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use clinical::{
    Feature, Input, Issue, IssueCode, Kind, Patient, Raw, Study, note::NoteField, study::Accepts,
};

use super::{Frame, Visit, Words, field, read_form, render, result::ResultView, see_other};
use crate::{
    app::Shared,
    fault::Fault,
    rest::{intake::Accepted, predictions::answer},
};

#[derive(Template)]
#[template(path = "classify.html")]
pub(crate) struct ClassifyPage {
    pub(crate) w: Words,
    pub(crate) frame: Frame,
    pub(crate) form: FormView,
    pub(crate) result: Option<ResultView>,
}

/// `GET /`
pub(crate) async fn page(State(app): Shared, visit: Visit) -> Result<Response, Fault> {
    let model = app.champion()?;
    let w = visit.words;
    let form = FormView::new(model.study(), w, |_| String::new(), &[]);
    render(
        visit,
        StatusCode::OK,
        &ClassifyPage { w, frame: Frame::new(&app, "classify", w), form, result: None },
    )
}

/// `POST /`: stores the answer and leads to its case, or shows what is wrong.
pub(crate) async fn submit(State(app): Shared, request: Request) -> Result<Response, Fault> {
    let (visit, fields) = read_form(request).await?;
    let model = app.champion()?;
    match accept(model.study(), &fields) {
        Ok(accepted) => {
            let answered = answer(&app, &model, accepted, None).await?;
            Ok(see_other(&format!("/cases/{}", answered.id)))
        }
        Err(issues) => {
            app.metrics.refused(&issues);
            let w = visit.words;
            let typed = |name: &str| field(&fields, name).to_owned();
            let form = FormView::new(model.study(), w, typed, &issues);
            let frame = Frame::new(&app, "classify", w);
            render(visit, StatusCode::UNPROCESSABLE_ENTITY, &ClassifyPage { w, frame, form, result: None })
        }
    }
}

/// The values and the note, or everything that is wrong with them.
fn accept(study: &Study, fields: &[(String, String)]) -> Result<Accepted, Vec<Issue>> {
    let checked = study.check(|input| Raw::Written(field(fields, &input.name)));
    let written = |note: &NoteField| note.accept(Raw::Written(field(fields, &note.name)));
    match (checked, study.note().map_or(Ok(None), written)) {
        (Ok(patient), Ok(note)) => Ok(Accepted { patient, patient_id: None, note }),
        (checked, note) => Err(checked.err().into_iter().flatten().chain(note.err()).collect()),
    }
}

/// The form as it is shown.
pub(crate) struct FormView {
    pub(crate) fields: Vec<FieldView>,
    pub(crate) note: Option<NoteView>,
    pub(crate) issues: Vec<IssueView>,
}

pub(crate) struct IssueView {
    pub(crate) field: String,
    pub(crate) message: String,
}

/// The note: a text that may stay empty.
pub(crate) struct NoteView {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) hint: String,
    pub(crate) max_chars: usize,
    pub(crate) value: String,
    pub(crate) error: Option<String>,
}

pub(crate) enum FieldKind {
    Numbers,
    Choice,
}

/// One feature.
pub(crate) struct FieldView {
    pub(crate) id: String,
    pub(crate) kind: FieldKind,
    pub(crate) label: String,
    pub(crate) hint: String,
    pub(crate) unit: String,
    pub(crate) inputs: Vec<InputView>,
}

impl FieldView {
    pub(crate) fn wrong(&self) -> bool {
        self.inputs.iter().any(|input| input.error.is_some())
    }
}

/// One value that is asked for, with everything the script says about it.
#[derive(Default)]
pub(crate) struct InputView {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) error: Option<String>,
    pub(crate) min: i32,
    pub(crate) max: i32,
    pub(crate) usual: Option<(i32, i32)>,
    /// Why the value is asked to be looked at again.
    pub(crate) unusual: Option<String>,
    pub(crate) missing: String,
    pub(crate) wrong_type: String,
    pub(crate) out_of_range: String,
    pub(crate) above: Option<Above>,
    pub(crate) choices: Vec<ChoiceView>,
}

/// The input that this one must be greater than.
pub(crate) struct Above {
    pub(crate) name: String,
    pub(crate) message: String,
}

pub(crate) struct ChoiceView {
    pub(crate) code: String,
    pub(crate) label: String,
    pub(crate) chosen: bool,
}

impl FormView {
    /// The form with what `value` says was typed, and what is wrong with it.
    pub(crate) fn new(study: &Study, w: Words, value: impl Fn(&str) -> String, issues: &[Issue]) -> FormView {
        let maker = Maker { study, w, issues };
        let fields = study.features().iter().map(|feature| maker.field(feature, &value)).collect();
        let note = study.note().map(|note| maker.note(note, value(&note.name)));
        let issue =
            |issue: &Issue| IssueView { field: issue.field.clone(), message: issue.message(study, w.0) };
        FormView { fields, note, issues: issues.iter().map(issue).collect() }
    }

    /// The form with an accepted patient's values, and an empty note: none is kept.
    pub(crate) fn of_patient(study: &Study, w: Words, patient: &Patient) -> FormView {
        let written = |name: &str| {
            let position = study.inputs().iter().position(|input| input.name == name);
            let value = position.and_then(|at| patient.values().get(at)).copied();
            let (Some(input), Some(value)) = (study.input(name), value) else { return String::new() };
            match &input.accepts {
                Accepts::Number { .. } => value.to_string(),
                Accepts::Code(codes) => {
                    usize::try_from(value).ok().and_then(|at| codes.get(at)).cloned().unwrap_or_default()
                }
            }
        };
        FormView::new(study, w, written, &[])
    }
}

/// A label inside a sentence.
fn lower(label: &str, inside: bool) -> String {
    let mut letters = label.chars();
    match letters.next() {
        Some(first) if inside => first.to_lowercase().chain(letters).collect(),
        _ => label.to_owned(),
    }
}

struct Maker<'a> {
    study: &'a Study,
    w: Words,
    issues: &'a [Issue],
}

impl Maker<'_> {
    fn field(&self, feature: &Feature, value: &impl Fn(&str) -> String) -> FieldView {
        let inputs = self.study.inputs_of(feature);
        let kind = match &feature.kind {
            Kind::Code(_) => FieldKind::Choice,
            Kind::Number { .. } | Kind::Category(_) => FieldKind::Numbers,
        };
        let views = inputs.iter().enumerate().map(|(at, input)| {
            let next = inputs.get(at + 1).filter(|_| feature.descending);
            self.input(feature, input, next, value(&input.name))
        });
        FieldView {
            id: feature.name.clone(),
            kind,
            label: feature.label.get(self.w.0).to_owned(),
            hint: self.hint(inputs),
            unit: inputs.first().map(|input| input.unit.get(self.w.0).to_owned()).unwrap_or_default(),
            inputs: views.collect(),
        }
    }

    fn note(&self, note: &NoteField, value: String) -> NoteView {
        let own = note.hint.as_ref().map(|hint| hint.get(self.w.0).to_owned());
        let limits = self.w.with("note-hint", "max", &note.max_chars.to_string());
        let error = self.issues.iter().find(|issue| issue.field == note.name);
        NoteView {
            name: note.name.clone(),
            label: note.label.get(self.w.0).to_owned(),
            hint: own.into_iter().chain([limits]).collect::<Vec<_>>().join(". "),
            max_chars: note.max_chars,
            value,
            error: error.map(|issue| self.message(issue)),
        }
    }

    /// What is asked, and between which limits.
    fn hint(&self, inputs: &[Input]) -> String {
        let own =
            inputs.iter().filter_map(|input| input.hint.as_ref()).map(|hint| hint.get(self.w.0).to_owned());
        let ranges = inputs.iter().enumerate().filter_map(|(at, input)| {
            let (min, max) = input.range()?;
            let (min, max) = (min.to_string(), max.to_string());
            Some(match inputs.len() {
                1 => {
                    let unit = input.unit.get(self.w.0);
                    self.w
                        .args("range", &[("min", &min), ("max", &max), ("unit", unit)])
                        .trim_end()
                        .to_owned()
                }
                _ => {
                    let label = &lower(input.label.get(self.w.0), at > 0);
                    self.w.args("range-of", &[("label", label), ("min", &min), ("max", &max)])
                }
            })
        });
        let ranges = ranges.collect::<Vec<_>>().join(", ");
        own.chain((!ranges.is_empty()).then_some(ranges)).collect::<Vec<_>>().join(". ")
    }

    fn input(&self, feature: &Feature, input: &Input, next: Option<&Input>, value: String) -> InputView {
        let error =
            self.issues.iter().find(|issue| issue.field == input.name).map(|issue| self.message(issue));
        // What the script says is what the check would say of such a value.
        let said =
            |raw: Raw<'_>| input.accept(raw).err().map(|issue| self.message(&issue)).unwrap_or_default();
        let mut view = InputView {
            name: input.name.clone(),
            label: input.label.get(self.w.0).to_owned(),
            error,
            missing: said(Raw::Missing),
            ..InputView::default()
        };
        match &input.accepts {
            Accepts::Number { min, max, usual } => {
                view.unusual =
                    view.error.is_none().then(|| self.unusual(&view.label, &value, *usual)).flatten();
                (view.min, view.max, view.usual) = (*min, *max, *usual);
                view.wrong_type = said(Raw::Other);
                view.out_of_range = said(Raw::Integer(i64::MAX));
                view.above = next.and_then(|next| {
                    let message = self.order(input, next)?;
                    Some(Above { name: next.name.clone(), message })
                });
            }
            Accepts::Code(_) => {
                let choice = |choice: &&clinical::study::Choice| ChoiceView {
                    code: choice.code.clone(),
                    label: choice.label.get(self.w.0).to_owned(),
                    chosen: choice.code == value,
                };
                view.choices = feature.choices().iter().map(choice).collect();
            }
        }
        view.value = value;
        view
    }

    /// The sentence of the interface; but one chooses from a list on the page, and types no codes.
    fn message(&self, issue: &Issue) -> String {
        let listed = self.study.input(&issue.field).filter(|input| matches!(input.accepts, Accepts::Code(_)));
        match listed {
            Some(input) if issue.code == IssueCode::Missing => {
                self.w.with("choose", "label", input.label.get(self.w.0))
            }
            _ => issue.message(self.study, self.w.0),
        }
    }

    fn unusual(&self, label: &str, value: &str, usual: Option<(i32, i32)>) -> Option<String> {
        let (low, high) = usual?;
        let number: i32 = value.parse().ok()?;
        if number < low {
            Some(self.w.with("unusual-low", "label", label))
        } else if number > high {
            Some(self.w.with("unusual-high", "label", label))
        } else {
            None
        }
    }

    /// The sentence about two values in the wrong order, as the check says it of two equal ones.
    fn order(&self, higher: &Input, lower: &Input) -> Option<String> {
        let ((min, _), (other, _)) = (higher.range()?, lower.range()?);
        let same = Raw::Integer(min.max(other).into());
        let equal = |input: &Input| {
            if input.name == higher.name || input.name == lower.name { same } else { Raw::Missing }
        };
        let issues = self.study.check(equal).err()?;
        let issue = issues
            .iter()
            .find(|issue| issue.field == higher.name && issue.code == IssueCode::Inconsistent)?;
        Some(self.message(issue))
    }
}

#[cfg(test)]
mod tests {
    use clinical::Language;

    use super::*;

    #[test]
    fn limits_and_sentences_are_the_studys() {
        let study = Study::default_study();
        let form = FormView::new(study, Words(Language::Es), |_| String::new(), &[]);
        let pressure = &form.fields[3];
        assert_eq!(pressure.hint, "Sistólica de 50 a 280, diastólica de 30 a 180");
        let systolic = &pressure.inputs[0];
        assert_eq!((systolic.min, systolic.max, systolic.usual), (50, 280, Some((80, 179))));
        assert_eq!(systolic.out_of_range, "Sistólica: debe estar entre 50 y 280 mmHg");
        assert_eq!(systolic.missing, "Sistólica: falta. Escriba un número entero de 50 a 280");
        let above = systolic.above.as_ref().unwrap();
        assert_eq!(
            (above.name.as_str(), above.message.as_str()),
            ("diastolic_mmhg", "Sistólica: debe ser mayor que diastólica")
        );
        assert!(pressure.inputs[1].above.is_none());
        assert_eq!(form.fields[0].hint, "De 0 a 120 años");
        assert_eq!(form.fields[1].inputs[0].choices.len(), 2);
    }

    #[test]
    fn an_accepted_patient_fills_the_form_and_unlikely_values_are_asked_about() {
        let study = Study::default_study();
        let patient = study
            .check(|input| match (input.name.as_str(), input.range()) {
                ("systolic_mmhg", _) => Raw::Integer(270),
                (_, Some((min, _))) => Raw::Integer(min.into()),
                ("gender", _) => Raw::Text("male"),
                _ => Raw::Text("AB"),
            })
            .unwrap();
        let form = FormView::of_patient(study, Words(Language::En), &patient);
        let systolic = &form.fields[3].inputs[0];
        assert_eq!(systolic.value, "270");
        assert!(systolic.unusual.is_some() && systolic.error.is_none());
        assert!(form.fields[1].inputs[0].choices[1].chosen && form.fields[2].inputs[0].choices[2].chosen);
    }
}
