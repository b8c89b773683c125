//! The review queue as pages: the list, one review with its answer, and the resolution, which is looked at twice.

use askama::Template;
use axum::{
    extract::{Path, RawQuery, Request, State},
    http::StatusCode,
    response::Response,
};
use clinical::{Issue, IssueCode, Rarity, Study};
use registry::{Choice, Feedback, Outcome, Resolution, Review, ReviewState, Verdict};

use super::{
    Frame, Visit, Words,
    confirm::{ConfirmPage, Step, carried},
    field,
    form::ChoiceView,
    fresh_key, read_form, render,
    result::ResultView,
    see_other,
};
use crate::{
    app::{App, Shared},
    fault::Fault,
    record::rfc3339,
    rest::{
        json::Token,
        person,
        predictions::find,
        reviews::{Found, number, record},
    },
};

/// Where the page's people act.
const ORIGIN: &str = "page";
/// Reviews on one page of the list.
const LISTED: u32 = 100;
/// Patients whom the page's button asks about at most.
const SUGGESTED: usize = 20;

#[derive(Template)]
#[template(path = "reviews.html")]
struct ReviewsPage {
    w: Words,
    frame: Frame,
    reviews: Vec<Row>,
    resolved: bool,
    /// The place to read on from.
    next: Option<u64>,
    error: Option<String>,
}

/// One line of the list.
struct Row {
    id: u64,
    reason: String,
    marks: Vec<String>,
    state: String,
    date: String,
    prediction: String,
}

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage {
    w: Words,
    frame: Frame,
    review: ReviewView,
    /// None where the answer cannot be shown any more.
    result: Option<ResultView>,
    form: ResolutionView,
}

struct ReviewView {
    id: u64,
    reason: String,
    marks: Vec<String>,
    open: bool,
    state: String,
    opinions: Vec<Said>,
    findings: Vec<Said>,
    /// Where its confirmed case is.
    place: Option<String>,
}

/// What somebody said or found.
struct Said {
    who: String,
    date: String,
    what: String,
    comment: String,
}

struct ResolutionView {
    key: String,
    severities: Vec<ChoiceView>,
    rarities: Vec<ChoiceView>,
    disease_code: String,
    comment: String,
    reviewer: String,
    errors: Vec<(String, String)>,
}

/// `GET /reviews?state=resolved&after=0`
pub(crate) async fn list(
    State(app): Shared,
    RawQuery(query): RawQuery,
    visit: Visit,
) -> Result<Response, Fault> {
    let query = query.unwrap_or_default();
    let asked: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let after = field(&asked, "after").parse().ok().filter(|after| *after <= i64::MAX as u64).unwrap_or(0);
    let state = match field(&asked, "state") {
        "resolved" => ReviewState::Resolved,
        _ => ReviewState::Open,
    };
    listed(&app, visit, state, after, None).await
}

async fn listed(
    app: &App,
    visit: Visit,
    state: ReviewState,
    after: u64,
    error: Option<String>,
) -> Result<Response, Fault> {
    let reviews = app.registry(move |registry| registry.reviews(Some(state), after, LISTED)).await?;
    let w = visit.words;
    let row = |review: &Review| Row {
        id: review.id,
        reason: reason(review, w),
        marks: marks(review, w),
        state: state_text(review, w),
        date: w.moment(&rfc3339(review.opened_at)),
        prediction: review.prediction_id.clone(),
    };
    let page = ReviewsPage {
        w,
        frame: Frame::new(app, "reviews", w),
        next: reviews.last().filter(|_| reviews.len() == LISTED as usize).map(|review| review.place),
        reviews: reviews.iter().map(row).collect(),
        resolved: state == ReviewState::Resolved,
        error,
    };
    let status = if page.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    render(visit, status, &page)
}

/// `POST /reviews`: asks about the patients whose outcome would teach most.
pub(crate) async fn suggest(State(app): Shared, request: Request) -> Result<Response, Fault> {
    let (visit, fields) = read_form(request).await?;
    match person(ORIGIN, "reviewer", Some(field(&fields, "reviewer"))) {
        Ok(actor) => {
            app.state.circle.suggest(SUGGESTED, actor).await?;
            Ok(see_other("/reviews"))
        }
        Err(issue) => {
            let error = issue_text(&app.state.study, &issue, visit.words);
            listed(&app, visit, ReviewState::Open, 0, Some(error)).await
        }
    }
}

/// `GET /reviews/{id}`
pub(crate) async fn page(
    State(app): Shared,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Response, Fault> {
    let id = number(&id)?;
    let form = ResolutionView::new(&app.state.study, visit.words);
    shown(&app, visit, id, form).await
}

/// `POST /reviews/{id}`: first to the second look, then into the record.
pub(crate) async fn submit(
    State(app): Shared,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let id = number(&id)?;
    let (visit, fields) = read_form(request).await?;
    let (study, w) = (&app.state.study, visit.words);
    let found = check(study, &fields);
    let form = || ResolutionView::new(study, w).filled(&fields);
    match (found, Step::of(&fields)) {
        (Err(issues), _) => {
            let errors = issues.iter().map(|issue| (issue.field.clone(), issue_text(study, issue, w)));
            shown(&app, visit, id, ResolutionView { errors: errors.collect(), ..form() }).await
        }
        (Ok(_), Step::Edit) => shown(&app, visit, id, form()).await,
        (Ok(found), Step::Filled) => second_look(&app, visit, id, &found, &fields).await,
        (Ok(found), Step::Confirmed) => {
            let key = format!("page:{}", field(&fields, "key"));
            record(&app, id, found, key).await?;
            Ok(see_other(&format!("/reviews/{id}")))
        }
    }
}

/// The form's fields as a finding.
fn check(study: &Study, fields: &[(String, String)]) -> Result<Found, Vec<Issue>> {
    let dismissed = field(fields, "outcome") == "dismissed";
    let text = |name: &str| {
        let text =
            if dismissed && name != "reviewer" && name != "comment" { "" } else { field(fields, name) };
        Token::Text(text.to_owned().into())
    };
    let names = ["reviewer", "severity", "rarity", "disease_code", "comment"].map(text);
    let outcome = Token::Text(if dismissed { "dismissed" } else { "case" }.into());
    Found::check(study, &names.into_iter().chain([outcome]).collect::<Vec<_>>(), ORIGIN)
}

async fn second_look(
    app: &App,
    visit: Visit,
    id: u64,
    found: &Found,
    fields: &[(String, String)],
) -> Result<Response, Fault> {
    let (w, study) = (visit.words, &app.state.study);
    let review = app.registry(move |registry| registry.review(id)).await?;
    let mut lines = vec![
        (w.t("review"), id.to_string()),
        (w.t("review-finding"), outcome_text(&found.resolution.outcome, study, w)),
        (w.t("reviewer"), field(fields, "reviewer").to_owned()),
    ];
    lines.extend(found.resolution.comment.clone().map(|comment| (w.t("review-comment"), comment)));
    let orphan =
        matches!(&found.resolution.outcome, Outcome::Case { rarity: Some(rarity), .. } if rarity == "orphan");
    let lead = match (&found.resolution.outcome, orphan && app.state.settings.confirmations > 1) {
        (Outcome::Dismissed, _) => w.t("review-check-dismiss"),
        (_, true) => w.count("review-check-several", app.state.settings.confirmations as u32),
        (_, false) => w.t("review-check-case"),
    };
    let doubts = marks(&review, w);
    let page = ConfirmPage {
        w,
        frame: Frame::new(app, "reviews", w),
        title: w.t("review-check"),
        lead,
        lines,
        warning: (!doubts.is_empty()).then(|| doubts.join(" ")),
        button: w.t("review-confirm"),
        action: format!("/reviews/{id}"),
        fields: carried(fields),
    };
    render(visit, StatusCode::OK, &page)
}

async fn shown(app: &App, visit: Visit, id: u64, form: ResolutionView) -> Result<Response, Fault> {
    let w = visit.words;
    let (review, opinions) = app
        .registry(move |registry| {
            let review = registry.review(id)?;
            let opinions = registry.feedback(&review.prediction_id)?;
            Ok((review, opinions))
        })
        .await?;
    // The answer of a model that is gone cannot be worded; the review can be resolved all the same.
    let logged = find(app, &review.prediction_id).await.ok();
    let result = logged.map(|logged| ResultView { asks: false, ..ResultView::new(&logged, None, false, w) });
    let study = &app.state.study;
    let view = ReviewView {
        id,
        reason: reason(&review, w),
        marks: marks(&review, w),
        open: review.state == ReviewState::Open,
        state: state_text(&review, w),
        opinions: opinions.iter().map(|opinion| said(opinion, study, w)).collect(),
        findings: review
            .findings
            .iter()
            .map(|finding| Said {
                who: finding.reviewer.clone(),
                date: w.moment(&rfc3339(finding.at)),
                what: outcome_text(&finding.resolution.outcome, study, w),
                comment: finding.resolution.comment.clone().unwrap_or_default(),
            })
            .collect(),
        place: place(&review, w),
    };
    let status = if form.errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let frame = Frame::new(app, "reviews", w);
    render(visit, status, &ReviewPage { w, frame, review: view, result, form })
}

impl ResolutionView {
    fn new(study: &Study, w: Words) -> ResolutionView {
        let choice = |code: &str, label: &clinical::Text| ChoiceView {
            code: code.to_owned(),
            label: label.get(w.0).to_owned(),
            chosen: false,
        };
        ResolutionView {
            key: fresh_key(),
            severities: study.severities().iter().map(|class| choice(&class.code, &class.short)).collect(),
            rarities: Rarity::ALL.map(|rarity| choice(rarity.code(), study.rarity_label(rarity))).into(),
            disease_code: String::new(),
            comment: String::new(),
            reviewer: String::new(),
            errors: Vec::new(),
        }
    }

    fn filled(mut self, fields: &[(String, String)]) -> ResolutionView {
        let choose = |choices: &mut [ChoiceView], name: &str| {
            choices.iter_mut().for_each(|choice| choice.chosen = choice.code == field(fields, name));
        };
        choose(&mut self.severities, "severity");
        choose(&mut self.rarities, "rarity");
        for (text, name) in [
            (&mut self.disease_code, "disease_code"),
            (&mut self.comment, "comment"),
            (&mut self.reviewer, "reviewer"),
            (&mut self.key, "key"),
        ] {
            field(fields, name).clone_into(text);
        }
        self
    }
}

/// Why somebody should look at it, in words.
fn reason(review: &Review, w: Words) -> String {
    match review.why {
        Some(Choice::Suspicion { probability_orphan: p }) => {
            w.with("review-why-suspicion", "percent", &w.rounded_percent(p))
        }
        Some(Choice::Watched { .. }) => w.t("review-why-watched"),
        Some(Choice::Rarity { probability_orphan: p }) => {
            w.with("review-why-rarity", "percent", &w.rounded_percent(p))
        }
        Some(Choice::Uncertainty { entropy }) => {
            w.with("review-why-uncertainty", "bits", &w.number(entropy, 2))
        }
        Some(Choice::Novelty { .. }) => w.t("review-why-novelty"),
        Some(Choice::Random) => w.t("review-why-random"),
        None if review.reason == "reported_confirmed" => w.t("review-why-confirmed"),
        None => w.t("review-why-wrong"),
    }
}

/// What a reviewer should know before trusting what was said.
fn marks(review: &Review, w: Words) -> Vec<String> {
    let marks = review.marks;
    let flood = marks.flood.map(|n| w.count("review-mark-flood", n));
    let said = [
        marks.contradicted.then(|| w.t("review-mark-contradicted")),
        marks.repeated.then(|| w.t("review-mark-repeated")),
        flood,
        review.disagreement.then(|| w.t("review-mark-disagreement")),
    ];
    said.into_iter().flatten().collect()
}

fn state_text(review: &Review, w: Words) -> String {
    match (review.state, &review.resolution, review.findings.is_empty()) {
        (ReviewState::Resolved, Some(Resolution { outcome: Outcome::Dismissed, .. }), _) => {
            w.t("review-dismissed")
        }
        (ReviewState::Resolved, ..) => w.t("review-resolved"),
        (ReviewState::Open, _, true) => w.t("review-open"),
        (ReviewState::Open, _, false) => w.t("review-waits"),
    }
}

fn place(review: &Review, w: Words) -> Option<String> {
    let case = matches!(review.resolution, Some(Resolution { outcome: Outcome::Case { .. }, .. }));
    match (review.dataset_version, &review.left_out) {
        (Some(version), _) => Some(w.with("review-case-in", "version", &version.to_string())),
        (None, Some(_)) => Some(w.t("review-case-left-out")),
        (None, None) => case.then(|| w.t("review-case-waits")),
    }
}

fn said(opinion: &Feedback, study: &Study, w: Words) -> Said {
    let verdict = match opinion.verdict {
        Verdict::Confirmed => w.t("review-said-right"),
        Verdict::Wrong => w.t("review-said-wrong"),
    };
    let codes = codes_text(
        opinion.severity.as_deref(),
        opinion.rarity.as_deref(),
        opinion.disease_code.as_deref(),
        study,
        w,
    );
    Said {
        who: opinion.actor.clone(),
        date: w.moment(&rfc3339(opinion.created_at)),
        what: if codes.is_empty() { verdict } else { format!("{verdict}: {codes}") },
        comment: opinion.comment.clone().unwrap_or_default(),
    }
}

fn outcome_text(outcome: &Outcome, study: &Study, w: Words) -> String {
    match outcome {
        Outcome::Dismissed => w.t("review-nothing"),
        Outcome::Case { severity, rarity, disease_code } => {
            codes_text(Some(severity), rarity.as_deref(), disease_code.as_deref(), study, w)
        }
    }
}

/// Severity, rarity and disease, by the study's labels.
fn codes_text(
    severity: Option<&str>,
    rarity: Option<&str>,
    disease_code: Option<&str>,
    study: &Study,
    w: Words,
) -> String {
    let label = |code: &str| {
        let class = study.severity_from_code(code).map(|severity| study.severity(severity).label.get(w.0));
        class.unwrap_or(code).to_owned()
    };
    let rare = |code: &str| {
        let rarity = Rarity::from_code(code).map(|rarity| study.rarity_label(rarity).get(w.0));
        rarity.unwrap_or(code).to_owned()
    };
    let parts = [severity.map(label), rarity.map(rare), disease_code.map(str::to_owned)];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// A problem of the form, in its own words.
fn issue_text(study: &Study, issue: &Issue, w: Words) -> String {
    match (issue.field.as_str(), issue.code) {
        ("reviewer", _) => w.t("review-name-missing"),
        ("severity", IssueCode::Missing) => w.t("choose-view"),
        _ => issue.message(study, w.0),
    }
}
