//! One case: the form as it was filled in, beside its result.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use registry::ReviewState;

use super::{
    Frame, Visit,
    form::{ClassifyPage, FormView},
    render,
    result::ResultView,
};
use crate::{app::Shared, fault::Fault, rest::predictions::find};

/// `GET /cases/{id}`
pub(crate) async fn page(
    State(app): Shared,
    Path(id): Path<String>,
    visit: Visit,
) -> Result<Response, Fault> {
    let logged = find(&app, &id).await?;
    let key = logged.id.to_string();
    let (feedback, reviewed) = app
        .registry(move |registry| {
            let latest = registry.feedback(&key)?.pop();
            let review = latest.as_ref().map(|feedback| registry.review(feedback.review)).transpose()?;
            Ok((latest, review.is_some_and(|review| review.state == ReviewState::Resolved)))
        })
        .await?;
    let w = visit.words;
    let page = ClassifyPage {
        w,
        frame: Frame::new(&app, "classify", w),
        form: FormView::of_patient(logged.study(), w, &logged.record.values),
        result: Some(ResultView::new(&logged, feedback.as_ref(), reviewed, w)),
    };
    render(visit, StatusCode::OK, &page)
}
