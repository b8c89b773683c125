//! What the doctor thinks of a result: one press to agree, a short form to differ.

use askama::Template;
use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
    response::Response,
};
use clinical::{Issue, IssueCode, Rarity};

use super::{Frame, Visit, Words, field, form::ChoiceView, fresh_key, read_form, render, see_other};
use crate::{
    app::Shared,
    fault::Fault,
    rest::{
        feedback::{Opinion, record},
        json::Token,
        predictions::{Logged, find},
    },
};

/// The page has no sign-in yet: whoever sits before it.
const ACTOR: &str = "page";

/// The code of "I do not know yet"; it is stored as no severity at all.
const UNKNOWN: &str = "unknown";

#[derive(Template)]
#[template(path = "feedback.html")]
struct FeedbackPage {
    w: Words,
    frame: Frame,
    opinion: OpinionView,
}

/// The form, nothing preselected but what was already sent.
pub(crate) struct OpinionView {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) label: String,
    pub(crate) percent: String,
    pub(crate) severities: Vec<ChoiceView>,
    pub(crate) unknown: bool,
    pub(crate) rarities: Vec<ChoiceView>,
    pub(crate) disease_code: String,
    pub(crate) comment: String,
    pub(crate) reporter: String,
    pub(crate) error: Option<String>,
    pub(crate) error_field: String,
}

impl OpinionView {
    pub(crate) fn new(logged: &Logged, key: String, w: Words) -> OpinionView {
        let (study, prediction) = (logged.study(), &logged.record.prediction);
        let shown = prediction.probabilities.get(prediction.severity.index()).copied().unwrap_or_default();
        let severities = study.severities().iter().map(|class| ChoiceView {
            code: class.code.clone(),
            label: class.short.get(w.0).to_owned(),
            chosen: false,
        });
        let rarities = Rarity::ALL.into_iter().map(|rarity| ChoiceView {
            code: rarity.code().to_owned(),
            label: study.rarity_label(rarity).get(w.0).to_owned(),
            chosen: false,
        });
        OpinionView {
            id: logged.id.to_string(),
            key,
            label: study.severity(prediction.severity).label.get(w.0).to_owned(),
            percent: w.rounded_percent(shown),
            severities: severities.collect(),
            unknown: false,
            rarities: rarities.collect(),
            disease_code: String::new(),
            comment: String::new(),
            reporter: String::new(),
            error: None,
            error_field: String::new(),
        }
    }

    /// The form as it was sent, with what is wrong with it.
    fn refused(mut self, fields: &[(String, String)], error_field: &str, error: String) -> OpinionView {
        for choice in &mut self.severities {
            choice.chosen = choice.code == field(fields, "severity");
        }
        for choice in &mut self.rarities {
            choice.chosen = choice.code == field(fields, "rarity");
        }
        self.unknown = field(fields, "severity") == UNKNOWN;
        field(fields, "disease_code").clone_into(&mut self.disease_code);
        field(fields, "comment").clone_into(&mut self.comment);
        field(fields, "reporter").clone_into(&mut self.reporter);
        OpinionView { error: Some(error), error_field: error_field.to_owned(), ..self }
    }
}

/// `GET /cases/{id}/feedback`: the same form as the dialog, for browsers without script.
pub(crate) async fn page(
    State(app): Shared,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Response, Fault> {
    let logged = find(&app, &id).await?;
    let w = visit.words;
    let opinion = OpinionView::new(&logged, fresh_key(), w);
    render(visit, StatusCode::OK, &FeedbackPage { w, frame: Frame::new(&app, "classify", w), opinion })
}

/// `POST /cases/{id}/feedback`
pub(crate) async fn submit(
    State(app): Shared,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let (visit, fields) = read_form(request).await?;
    let logged = find(&app, &id).await?;
    let w = visit.words;
    let key = match field(&fields, "key") {
        key if (1..=64).contains(&key.len()) => key.to_owned(),
        _ => fresh_key(),
    };
    let opinion = match check(&logged, &fields) {
        Ok(opinion) => opinion,
        Err(issue) => {
            let error = match (issue.field.as_str(), issue.code) {
                ("severity", IssueCode::Missing) => w.t("choose-view"),
                _ => issue.message(logged.study(), w.0),
            };
            let opinion = OpinionView::new(&logged, key, w).refused(&fields, &issue.field, error);
            let page = FeedbackPage { w, frame: Frame::new(&app, "classify", w), opinion };
            return render(visit, StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    record(&app, &logged, opinion, format!("page:{key}"), ACTOR).await?;
    Ok(see_other(&format!("/cases/{}#opinion", logged.id)))
}

/// The form's fields as an opinion; the first thing that is wrong otherwise.
fn check(logged: &Logged, fields: &[(String, String)]) -> Result<Opinion, Issue> {
    let verdict = field(fields, "verdict");
    let severity = field(fields, "severity");
    if verdict == "wrong" && severity.is_empty() {
        return Err(Issue::new("severity", IssueCode::Missing));
    }
    let severity = if severity == UNKNOWN { "" } else { severity };
    let rest = ["rarity", "disease_code", "comment", "reporter"].map(|name| field(fields, name));
    let [rarity, disease_code, comment, reporter] = rest;
    let texts = [verdict, severity, rarity, disease_code, comment, reporter];
    let tokens = texts.map(|text| Token::Text(text.into()));
    Opinion::check(logged.study(), &tokens).map_err(|mut issues| issues.swap_remove(0))
}
