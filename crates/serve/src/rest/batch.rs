//! Many patients in one request: each row has its own answer or its own error, and one model answers all.
//!
//! The answer is streamed: rows are checked, computed and logged in groups while the client reads, so
//! memory is bounded by the body, whatever the number of rows.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use clinical::{Explained, Language};
use futures_util::stream;
use serde::{Serialize, de::IgnoredAny};

use super::{
    answer::Answer,
    intake,
    predictions::{Answered, prepare},
    rows::{Layout, Rows},
};
use crate::{
    app::{App, Shared},
    body::{self, Media},
    edge,
    fault::{Fault, Kind, Problem},
    language,
    ports::Model,
    written::{self, NoJson},
};

/// Rows that are logged together.
const GROUP: usize = 256;

/// Bodies above this size are checked away from the threads that answer.
const LARGE: usize = 256 << 10;

/// `POST /api/v1/predictions/batch`
pub(crate) async fn create(State(app): Shared, request: Request) -> Result<Response, Fault> {
    let (head, body) = request.into_parts();
    let layout = match body::media(&head.headers) {
        Some(Media::Json) => Layout::Array,
        Some(Media::Ndjson) => Layout::Lines,
        _ => {
            return Err(Fault::because(
                Kind::UnsupportedMediaType,
                "Envíe application/json (una lista) o application/x-ndjson, sin comprimir.",
                "Send application/json (an array) or application/x-ndjson, without compression.",
            ));
        }
    };
    let body = body::read(&head.headers, body, app.state.settings.batch_limit).await?;
    if layout == Layout::Array {
        require_array(body.clone()).await?;
    }
    let model = app.champion()?;
    let explain = intake::explained(head.uri.query(), &model)?;
    let language = language::accepted(&head.headers);
    let rows = Rows::new(body, layout);
    let batch = Batch { app, model, explain, language, rows, layout, done: 0, open: true };
    let media = match layout {
        Layout::Array => "application/json",
        Layout::Lines => "application/x-ndjson",
    };
    let stream = stream::unfold(batch, |mut batch| async {
        let group = batch.next_group().await?;
        Some((Ok::<_, std::convert::Infallible>(group), batch))
    });
    let mut response = ([(header::CONTENT_TYPE, media)], Body::from_stream(stream)).into_response();
    edge::speaks(response.headers_mut(), language);
    Ok(response)
}

/// # Errors
/// 400 unless the whole body is one well-formed JSON array: answers begin before its end is reached.
async fn require_array(body: Bytes) -> Result<(), Fault> {
    let large = body.len() > LARGE;
    let check = move || {
        let begins = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        begins && serde_json::from_slice::<IgnoredAny>(&body).is_ok()
    };
    let whole = if large { tokio::task::spawn_blocking(check).await.unwrap_or(false) } else { check() };
    if whole {
        return Ok(());
    }
    Err(Fault::because(
        Kind::BrokenJson,
        "Envíe una lista JSON de pacientes en UTF-8, o application/x-ndjson.",
        "Send one JSON array of patients in UTF-8, or application/x-ndjson.",
    ))
}

struct Batch {
    app: Arc<App>,
    model: Arc<dyn Model>,
    explain: Option<Explained>,
    language: Language,
    rows: Rows,
    layout: Layout,
    done: usize,
    /// Whether the end of the answer is still to be written.
    open: bool,
}

/// The line of a row that was refused.
#[derive(Serialize)]
struct Refused<'a> {
    index: usize,
    error: Problem<'a>,
}

/// Appends the line of a row that was answered.
fn result(out: &mut Vec<u8>, index: usize, answer: &Answer<'_>) -> Result<(), NoJson> {
    out.extend_from_slice(b"{\"index\":");
    written::integer(out, index);
    out.extend_from_slice(b",\"result\":");
    answer.write(out)?;
    out.push(b'}');
    Ok(())
}

impl Batch {
    /// The next piece of the answer; `None` after its end.
    async fn next_group(&mut self) -> Option<Bytes> {
        if !self.open {
            return None;
        }
        let rows: Vec<Bytes> = self.rows.by_ref().take(GROUP).collect();
        self.open = rows.len() == GROUP;
        let answers = self.answer(&rows).await;
        Some(self.write(answers))
    }

    /// Computes and logs one group.
    async fn answer(&self, rows: &[Bytes]) -> Vec<Result<Answered, Fault>> {
        let mut records = Vec::with_capacity(rows.len());
        let mut answers = Vec::with_capacity(rows.len());
        for row in rows {
            let answer = self.row(row).map(|(answered, record)| {
                records.push(record);
                answered
            });
            answers.push(answer);
            // Whoever asks for one patient does not wait for the other rows of a group.
            tokio::task::yield_now().await;
        }
        if records.is_empty() {
            return answers;
        }
        match self.app.state.log.append_all(records).await {
            Ok(ids) => {
                let logged = answers.iter_mut().filter_map(|answer| answer.as_mut().ok());
                logged.zip(ids).for_each(|(answered, id)| answered.id = id);
            }
            Err(error) => {
                tracing::error!(%error, "no answer without the prediction log");
                for answer in answers.iter_mut().filter(|answer| answer.is_ok()) {
                    *answer = Err(Fault::new(Kind::Unavailable));
                }
            }
        }
        answers
    }

    fn row(&self, row: &Bytes) -> Result<(Answered, Vec<u8>), Fault> {
        if row.len() > self.app.state.settings.body_limit {
            return Err(Fault::new(Kind::TooLarge));
        }
        let accepted = intake::patient(row, &self.model)
            .inspect_err(|fault| self.app.metrics.refused(fault.issues()))?;
        prepare(&self.app, &self.model, accepted, self.explain)
    }

    fn write(&mut self, answers: Vec<Result<Answered, Fault>>) -> Bytes {
        let mut out = Vec::with_capacity(answers.len() * 1536 + 2);
        let array = self.layout == Layout::Array;
        if array && self.done == 0 {
            out.push(b'[');
        }
        for answer in &answers {
            let index = self.done;
            if array && index > 0 {
                out.push(b',');
            }
            let written = match answer {
                Ok(answered) => result(&mut out, index, &answered.view(&*self.model, self.language)),
                Err(fault) => {
                    let error = fault.problem(&self.app.state.study, self.language, None);
                    written::append(&mut out, &Refused { index, error })
                }
            };
            // Codes, texts and finite numbers: there is nothing in a line that JSON cannot say.
            if let Err(error) = written {
                tracing::error!(%error, "a row of a batch could not be written");
            }
            if !array {
                out.push(b'\n');
            }
            self.done += 1;
        }
        if array && !self.open {
            out.push(b']');
        }
        out.into()
    }
}
