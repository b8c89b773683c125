//! Everything that a request can end in but an answer. A fault is free of language and of patient
//! values; the edge words it as a problem document (RFC 9457) or as a page.

use std::{fmt, sync::Arc};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use clinical::{Issue, Language, Study, Text};
use serde::Serialize;

use crate::{
    ports::{CatalogueError, CircleError, LogError, Model, ModelError},
    written::NoJson,
};

/// The kind of a fault: it decides status, type and title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    BrokenJson,
    BrokenForm,
    BadRequest,
    CrossSite,
    NotFound,
    MethodNotAllowed,
    Timeout,
    Conflict,
    TooLarge,
    UnsupportedMediaType,
    Misdirected,
    Invalid,
    Internal,
    NoChampion,
    Unavailable,
}

impl Kind {
    pub(crate) const ALL: [Kind; 15] = [
        Kind::BrokenJson,
        Kind::BrokenForm,
        Kind::BadRequest,
        Kind::CrossSite,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::Timeout,
        Kind::Conflict,
        Kind::TooLarge,
        Kind::UnsupportedMediaType,
        Kind::Misdirected,
        Kind::Invalid,
        Kind::Internal,
        Kind::NoChampion,
        Kind::Unavailable,
    ];

    pub(crate) fn status(self) -> StatusCode {
        match self {
            Kind::BrokenJson | Kind::BrokenForm | Kind::BadRequest => StatusCode::BAD_REQUEST,
            Kind::CrossSite => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Timeout => StatusCode::REQUEST_TIMEOUT,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Kind::NoChampion | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The problem type: an anchor of the API's own page.
    pub(crate) fn uri(self) -> &'static str {
        match self {
            Kind::BrokenJson => "/docs#broken-json",
            Kind::BrokenForm => "/docs#broken-form",
            Kind::BadRequest => "/docs#bad-request",
            Kind::CrossSite => "/docs#cross-site",
            Kind::NotFound => "/docs#not-found",
            Kind::MethodNotAllowed => "/docs#method-not-allowed",
            Kind::Timeout => "/docs#timeout",
            Kind::Conflict => "/docs#conflict",
            Kind::TooLarge => "/docs#too-large",
            Kind::UnsupportedMediaType => "/docs#unsupported-media-type",
            Kind::Misdirected => "/docs#misdirected",
            Kind::Invalid => "/docs#invalid",
            Kind::Internal => "/docs#internal",
            Kind::NoChampion => "/docs#no-champion",
            Kind::Unavailable => "/docs#unavailable",
        }
    }

    pub(crate) fn title(self, language: Language) -> &'static str {
        let (es, en) = match self {
            Kind::BrokenJson => ("El JSON no se puede leer", "The JSON cannot be read"),
            Kind::BrokenForm => ("El formulario no se puede leer", "The form cannot be read"),
            Kind::BadRequest => ("La petición no es válida", "The request is not valid"),
            Kind::CrossSite => ("Petición de otro sitio", "Request from another site"),
            Kind::NotFound => ("No existe", "Not found"),
            Kind::MethodNotAllowed => ("Método no admitido", "Method not allowed"),
            Kind::Timeout => ("La petición tardó demasiado", "The request took too long"),
            Kind::Conflict => ("No es posible en el estado actual", "Not possible in the current state"),
            Kind::TooLarge => ("El contenido es demasiado grande", "The content is too large"),
            Kind::UnsupportedMediaType => ("Tipo de contenido no admitido", "Content type not supported"),
            Kind::Misdirected => ("Nombre de servidor no admitido", "Host name not served here"),
            Kind::Invalid => ("Hay datos que no son válidos", "Some values are not valid"),
            Kind::Internal => ("Error interno", "Internal error"),
            Kind::NoChampion => ("Todavía no hay un modelo en uso", "No model is in use yet"),
            Kind::Unavailable => ("Servicio no disponible ahora", "Service not available now"),
        };
        match language {
            Language::Es => es,
            Language::En => en,
        }
    }

    /// What to do about it, where nothing more precise is known.
    pub(crate) fn advice(self, language: Language) -> &'static str {
        let (es, en) = match self {
            Kind::BrokenJson => ("Envíe un documento JSON en UTF-8.", "Send one JSON document in UTF-8."),
            Kind::BrokenForm => {
                ("Vuelva a la página y envíela de nuevo.", "Go back to the page and send it again.")
            }
            Kind::BadRequest => ("Revise la petición.", "Check the request."),
            Kind::CrossSite => (
                "Solo se aceptan envíos desde las páginas de este mismo servidor.",
                "Only this server's own pages may send data to it.",
            ),
            Kind::NotFound => ("No hay nada en esta dirección.", "There is nothing at this address."),
            Kind::MethodNotAllowed => (
                "La cabecera Allow dice qué métodos se admiten aquí.",
                "The Allow header says which methods are served here.",
            ),
            Kind::Timeout => ("Envíe la petición de nuevo.", "Send the request again."),
            Kind::Conflict => ("Consulte el estado actual.", "Look at the current state."),
            Kind::TooLarge => ("Divida el contenido en partes.", "Split the content into parts."),
            Kind::UnsupportedMediaType => {
                ("Envíe application/json sin comprimir.", "Send application/json without compression.")
            }
            Kind::Misdirected => (
                "Este servidor solo atiende a localhost, 127.0.0.1 y [::1].",
                "This server answers to localhost, 127.0.0.1 and [::1] only.",
            ),
            Kind::Invalid => ("Corrija los datos señalados.", "Correct the values that are named."),
            Kind::Internal => {
                ("El error está registrado. Vuelva a intentarlo.", "The error has been recorded. Try again.")
            }
            Kind::NoChampion => (
                "Entrene y publique un modelo; entonces se podrá clasificar.",
                "Train and promote a model; then patients can be classified.",
            ),
            Kind::Unavailable => ("Vuelva a intentarlo dentro de poco.", "Try again shortly."),
        };
        match language {
            Language::Es => es,
            Language::En => en,
        }
    }
}

/// A request that ends without its answer.
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    detail: Option<Text>,
    issues: Vec<Issue>,
    /// Words the issues; the configured study does where there is none.
    model: Option<Arc<dyn Model>>,
}

impl Fault {
    pub(crate) fn new(kind: Kind) -> Fault {
        Fault { kind, detail: None, issues: Vec::new(), model: None }
    }

    pub(crate) fn because(kind: Kind, es: impl Into<String>, en: impl Into<String>) -> Fault {
        Fault { detail: Some(Text::new(es, en)), ..Fault::new(kind) }
    }

    pub(crate) fn invalid(issues: Vec<Issue>, model: &Arc<dyn Model>) -> Fault {
        Fault { issues, model: Some(Arc::clone(model)), ..Fault::new(Kind::Invalid) }
    }

    /// Issues whose fields are not the study's.
    pub(crate) fn with_issues(issues: Vec<Issue>) -> Fault {
        Fault { issues, ..Fault::new(Kind::Invalid) }
    }

    pub(crate) fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// The sentence below the title.
    pub(crate) fn detail(&self, language: Language) -> &str {
        self.detail.as_ref().map_or_else(|| self.kind.advice(language), |text| text.get(language))
    }

    /// The problem document, in words.
    pub(crate) fn problem<'a>(
        &'a self,
        study: &Study,
        language: Language,
        instance: Option<&'a str>,
    ) -> Problem<'a> {
        let study = self.model.as_ref().map_or(study, |model| model.study());
        let error = |issue: &'a Issue| FieldError {
            field: &issue.field,
            code: issue.code.as_str(),
            message: issue.message(study, language),
            min: issue.range.map(|(min, _)| min),
            max: issue.range.map(|(_, max)| max),
        };
        Problem {
            uri: self.kind.uri(),
            title: self.kind.title(language),
            status: self.kind.status().as_u16(),
            detail: self.detail(language),
            instance,
            errors: self.issues.iter().map(error).collect(),
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// RFC 9457, with the contract's list of fields.
#[derive(Debug, Serialize)]
pub(crate) struct Problem<'a> {
    #[serde(rename = "type")]
    uri: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError<'a>>,
}

#[derive(Debug, Serialize)]
struct FieldError<'a> {
    field: &'a str,
    code: &'a str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<i32>,
}

impl IntoResponse for Fault {
    /// A response that the edge still has to word: it carries the fault.
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        match self.kind {
            Kind::NoChampion | Kind::Unavailable => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            // What is left of the body is not read: the connection cannot be used again.
            Kind::Timeout | Kind::TooLarge => {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<registry::Error> for Fault {
    fn from(error: registry::Error) -> Fault {
        use registry::Error as E;
        let kind = match &error {
            E::UnknownModel(_)
            | E::UnknownRun(_)
            | E::UnknownReview(_)
            | E::UnknownAlert(_)
            | E::UnknownJob(_)
            | E::NotAVersion { .. } => Kind::NotFound,
            E::WrongStage { .. }
            | E::ChampionMoved { .. }
            | E::NoPreviousChampion
            | E::KeyReused { .. }
            | E::NotWaiting(_)
            | E::SamePerson { .. }
            | E::Conflict { .. }
            | E::TestNotOpened(_) => Kind::Conflict,
            E::Busy => Kind::Unavailable,
            _ => Kind::Internal,
        };
        match kind {
            Kind::Internal => {
                tracing::error!(error = &error as &dyn std::error::Error, "the registry failed");
                Fault::new(kind)
            }
            // The registry's own sentence names identifiers and the remedy; it exists in English only.
            _ => Fault::because(kind, error.to_string(), error.to_string()),
        }
    }
}

impl From<NoJson> for Fault {
    fn from(error: NoJson) -> Fault {
        tracing::error!(%error, "an answer has no written form");
        Fault::new(Kind::Internal)
    }
}

impl From<ModelError> for Fault {
    fn from(error: ModelError) -> Fault {
        tracing::error!(%error, "a model failed on an accepted patient");
        Fault::new(Kind::Internal)
    }
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Fault {
        tracing::error!(%error, "no answer without the prediction log");
        Fault::new(Kind::Unavailable)
    }
}

impl From<CatalogueError> for Fault {
    fn from(error: CatalogueError) -> Fault {
        tracing::error!(%error, "the data catalogue failed");
        Fault::new(Kind::Unavailable)
    }
}

impl From<CircleError> for Fault {
    fn from(error: CircleError) -> Fault {
        tracing::error!(%error, "the circle stands still");
        Fault::new(Kind::Unavailable)
    }
}
