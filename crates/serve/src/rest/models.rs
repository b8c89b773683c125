//! The registry's models: what there is, what they showed, which one answers.

use axum::{
    extract::{Path, Request, State},
    response::Response,
};
use registry::{Act, Evaluation, Model, ModelVersion, Promotion, Replaces, TestOpening};
use serde::Serialize;

use super::{
    ACTOR, idempotency_key,
    json::{self, NotAnObject, Token},
    json_response,
};
use crate::{
    app::{App, Shared},
    body,
    fault::{Fault, Kind},
};

/// Longest reason, in characters.
pub(crate) const REASON_CHARS: usize = 500;

#[derive(Serialize)]
struct Listed {
    models: Vec<Model>,
}

/// One model with all that is known of it.
#[derive(Serialize)]
pub(crate) struct Known {
    #[serde(flatten)]
    pub(crate) model: Model,
    /// Reports on the validation set, newest first.
    pub(crate) evaluations: Vec<Evaluation>,
    /// The one opening of the test set.
    pub(crate) test: Option<TestOpening>,
}

impl Known {
    pub(crate) fn read(registry: &registry::Registry, version: ModelVersion) -> registry::Result<Known> {
        Ok(Known {
            model: registry.model(version)?,
            evaluations: registry.evaluations(version)?,
            test: registry.test_opening(version)?,
        })
    }
}

/// `GET /api/v1/models`
pub(crate) async fn list(State(app): Shared) -> Result<Response, Fault> {
    let models = app.registry(registry::Registry::models).await?;
    json_response(&Listed { models })
}

/// `GET /api/v1/models/{version}`
pub(crate) async fn show(State(app): Shared, Path(version): Path<String>) -> Result<Response, Fault> {
    let version: ModelVersion = version.parse()?;
    let known = app.registry(move |registry| Known::read(registry, version)).await?;
    json_response(&known)
}

/// `GET /api/v1/models/champion`
pub(crate) async fn champion(State(app): Shared) -> Result<Response, Fault> {
    let known = app
        .registry(|registry| match registry.champion()? {
            Some(champion) => Known::read(registry, champion.model.version).map(Some),
            None => Ok(None),
        })
        .await?;
    let none = || {
        let kind = Kind::NoChampion;
        Fault::because(Kind::NotFound, kind.title(clinical::Language::Es), kind.title(clinical::Language::En))
    };
    json_response(&known.ok_or_else(none)?)
}

#[derive(Serialize)]
struct Changed {
    #[serde(flatten)]
    promotion: Promotion,
    /// The version that answers now; not the champion when its bundle could not be loaded.
    serving: Option<String>,
}

/// `POST /api/v1/models/{version}/promote`
pub(crate) async fn promote(
    State(app): Shared,
    Path(version): Path<String>,
    request: Request,
) -> Result<Response, Fault> {
    let version: ModelVersion = version.parse()?;
    let wish = Wish::read(&app, request).await?;
    if !app.state.circle.may_be_promoted(version).await? {
        let because = |words: &str| format!("{version}: {words}");
        return Err(Fault::because(
            Kind::Conflict,
            because(
                "sus condiciones no se cumplen según el estudio vigente; `hoofbeat model show` las enumera",
            ),
            because("its gates do not hold by the study in force; `hoofbeat model show` lists them"),
        ));
    }
    let at = app.now();
    let promotion = app
        .registry(move |registry| {
            let act = Act { key: &wish.key, actor: ACTOR, reason: &wish.reason, at };
            registry.promote(version, wish.replaces, &act)
        })
        .await?;
    changed(&app, promotion).await
}

/// `POST /api/v1/models/rollback`
pub(crate) async fn rollback(State(app): Shared, request: Request) -> Result<Response, Fault> {
    let wish = Wish::read(&app, request).await?;
    let at = app.now();
    let promotion = app
        .registry(move |registry| {
            registry.rollback(&Act { key: &wish.key, actor: ACTOR, reason: &wish.reason, at })
        })
        .await?;
    changed(&app, promotion).await
}

pub(crate) async fn changed(app: &App, promotion: Promotion) -> Result<Response, Fault> {
    app.state.champions.refresh().await;
    let serving = app.state.champions.current().map(|model| model.reference().version.clone());
    tracing::info!(champion = %promotion.champion, ?serving, "the champion was changed");
    json_response(&Changed { promotion, serving })
}

/// The optional body of a promotion: `{"reason": "…", "replaces": "m-0001"}`.
struct Wish {
    key: String,
    reason: String,
    replaces: Replaces,
}

impl Wish {
    async fn read(app: &App, request: Request) -> Result<Wish, Fault> {
        let (head, body) = request.into_parts();
        let key = idempotency_key(&head.headers)?;
        let body = body::read(&head.headers, body, app.state.settings.body_limit).await?;
        if body.is_empty() {
            return Ok(Wish { key, reason: String::new(), replaces: Replaces::Any });
        }
        body::require_json(&head.headers)?;
        Wish::parse(key, &body)
    }

    fn parse(key: String, body: &[u8]) -> Result<Wish, Fault> {
        let fields = ["reason", "replaces"];
        let tokens = json::object(body, fields.len(), |name| fields.iter().position(|field| *field == name));
        let tokens = tokens.map_err(|error| match error {
            NotAnObject::Broken => Fault::new(Kind::BrokenJson),
            NotAnObject::OtherType => Fault::new(Kind::Invalid),
        })?;
        let text = |at: usize, limit| tokens.get(at).unwrap_or(&Token::Missing).text(fields[at], limit);
        match (text(0, REASON_CHARS), text(1, 40)) {
            (Ok(reason), Ok(replaces)) => Ok(Wish {
                key,
                reason: reason.unwrap_or_default().to_owned(),
                replaces: match replaces {
                    None => Replaces::Any,
                    Some(version) => Replaces::Only(Some(version.parse()?)),
                },
            }),
            (reason, replaces) => {
                Err(Fault::with_issues([reason.err(), replaces.err()].into_iter().flatten().collect()))
            }
        }
    }
}
