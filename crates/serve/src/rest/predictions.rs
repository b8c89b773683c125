//! One patient in, one answer out; and an earlier answer once more.

use std::{borrow::Cow, sync::Arc};

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, request::Parts},
    response::Response,
};
use bytes::Bytes;
use clinical::{Explained, Prediction, Study};
use hyper::body::Body;
use registry::Feedback;
use uuid::Uuid;

use super::{
    answer::Answer,
    intake::{self, Accepted},
    spoken_response,
};
use crate::{
    app::{App, Shared},
    body,
    fault::{Fault, Kind},
    language,
    phrases::Phrases,
    ports::Model,
    record::{Record, rfc3339},
    written::{self, NoJson},
};

/// `POST /api/v1/predictions` by way of the router.
pub(crate) async fn create(State(app): Shared, request: Request) -> Result<Response, Fault> {
    let (head, body) = request.into_parts();
    answered(&app, &head, body).await
}

/// `POST /api/v1/predictions`
pub(crate) async fn answered<B>(app: &App, head: &Parts, body: B) -> Result<Response, Fault>
where
    B: Body<Data = Bytes> + Unpin,
{
    body::require_json(&head.headers)?;
    let body = body::read(&head.headers, body, app.state.settings.body_limit).await?;
    let model = app.champion()?;
    let explain = intake::explained(head.uri.query(), &model)?;
    let accepted = intake::patient(&body, &model).inspect_err(|fault| app.metrics.refused(fault.issues()))?;
    let answered = answer(app, &model, accepted, explain).await?;
    let language = language::accepted(&head.headers);
    let mut body = Vec::with_capacity(written::ROOM);
    answered.view(&*model, language).write(&mut body)?;
    Ok(spoken_response(body, language))
}

/// One answer that is in the log.
pub(crate) struct Answered {
    pub(crate) id: Uuid,
    pub(crate) created_at: String,
    pub(crate) accepted: Accepted,
    pub(crate) prediction: Prediction,
}

impl Answered {
    pub(crate) fn view<'a>(&'a self, model: &'a dyn Model, language: clinical::Language) -> Answer<'a> {
        Answer {
            id: self.id,
            created_at: &self.created_at,
            model: model.reference(),
            study: model.study(),
            phrases: model.phrases(),
            patient: &self.accepted.patient,
            prediction: &self.prediction,
            language,
        }
    }
}

/// Computes an answer and the record of it; nothing is logged yet.
pub(crate) fn prepare(
    app: &App,
    model: &Arc<dyn Model>,
    accepted: Accepted,
    explain: Option<Explained>,
) -> Result<(Answered, Vec<u8>), Fault> {
    let prediction = model.answer(&accepted.patient, accepted.note.as_ref(), explain).map_err(|error| {
        tracing::error!(%error, model = model.reference().version, "no answer");
        Fault::new(Kind::Internal)
    })?;
    let created_at = rfc3339(app.now());
    let record = Record {
        at: Cow::Borrowed(&created_at),
        patient_id: accepted.patient_id.as_deref().map(Cow::Borrowed),
        model: Cow::Borrowed(model.reference()),
        values: Cow::Borrowed(&accepted.patient),
        prediction: Cow::Borrowed(&prediction),
    };
    let record = record.to_bytes();
    app.metrics.predicted(model.study(), &prediction);
    Ok((Answered { id: Uuid::nil(), created_at, accepted, prediction }, record))
}

/// Computes an answer and logs it.
///
/// # Errors
/// 503 when the log cannot keep it: it is then not given.
pub(crate) async fn answer(
    app: &App,
    model: &Arc<dyn Model>,
    accepted: Accepted,
    explain: Option<Explained>,
) -> Result<Answered, Fault> {
    let (mut answered, record) = prepare(app, model, accepted, explain)?;
    answered.id = app.state.log.append(record).await?;
    Ok(answered)
}

/// `GET /api/v1/predictions/{id}`
pub(crate) async fn show(
    State(app): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let logged = find(&app, &id).await?;
    let key = logged.id.to_string();
    let feedback = app.registry(move |registry| registry.feedback(&key)).await?;
    let language = language::accepted(&headers);
    let answer = logged.view(language);
    let patient_id = logged.record.patient_id.as_deref();
    let mut body = Vec::with_capacity(written::ROOM);
    answer.members(&mut body)?;
    again(&mut body, patient_id, &feedback)?;
    Ok(spoken_response(body, language))
}

/// A logged answer and the study that gives it its meaning.
pub(crate) struct Logged {
    pub(crate) id: Uuid,
    pub(crate) record: Record<'static>,
    meaning: Meaning,
}

enum Meaning {
    Current(Arc<dyn Model>),
    Former(Arc<Study>, Box<Phrases>),
}

impl Logged {
    pub(crate) fn study(&self) -> &Study {
        match &self.meaning {
            Meaning::Current(model) => model.study(),
            Meaning::Former(study, _) => study,
        }
    }

    fn phrases(&self) -> &Phrases {
        match &self.meaning {
            Meaning::Current(model) => model.phrases(),
            Meaning::Former(_, phrases) => phrases,
        }
    }

    pub(crate) fn view(&self, language: clinical::Language) -> Answer<'_> {
        let record = &self.record;
        Answer {
            id: self.id,
            created_at: &record.at,
            model: &record.model,
            study: self.study(),
            phrases: self.phrases(),
            patient: &record.values,
            prediction: &record.prediction,
            language,
        }
    }
}

/// Looks up a logged answer.
///
/// # Errors
/// 404 when there is none of this name, or when the model that gave it is gone with its study.
pub(crate) async fn find(app: &App, id: &str) -> Result<Logged, Fault> {
    let unknown =
        || Fault::because(Kind::NotFound, "No existe esta predicción.", "There is no such prediction.");
    let id = Uuid::try_parse(id).map_err(|_| unknown())?;
    let bytes = app.state.log.get(id).await?.ok_or_else(unknown)?;
    let record = Record::from_bytes(&bytes).map_err(|_| {
        tracing::error!(%id, "a logged prediction cannot be read");
        Fault::new(Kind::Internal)
    })?;
    let current = app.state.champions.current().filter(|model| model.reference() == &*record.model);
    let meaning = match current {
        Some(model) => Meaning::Current(model),
        None => {
            let study = app.state.champions.study(&record.model.version).await;
            let study = study.ok_or_else(|| {
                Fault::because(
                    Kind::NotFound,
                    "El modelo que dio esta respuesta ya no está disponible.",
                    "The model that gave this answer is no longer available.",
                )
            })?;
            let phrases = Box::new(Phrases::of(&study, []));
            Meaning::Former(study, phrases)
        }
    };
    let logged = Logged { id, record, meaning };
    if logged.record.fits(logged.study()) { Ok(logged) } else { Err(Fault::new(Kind::Internal)) }
}

/// What belongs to an answer now, and its end.
fn again(out: &mut Vec<u8>, patient_id: Option<&str>, feedback: &[Feedback]) -> Result<(), NoJson> {
    if let Some(patient_id) = patient_id {
        out.extend_from_slice(b",\"patient_id\":");
        written::quote(out, patient_id);
    }
    out.extend_from_slice(b",\"feedback\":");
    written::append(out, &feedback)?;
    out.push(b'}');
    Ok(())
}
