//! The API's document as a page: made from the same value that `/openapi.json` answers.

use askama::Template;
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::Value;

use super::{Frame, Visit, Words, render};
use crate::{
    app::Shared,
    fault::{Fault, Kind},
    openapi,
};

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage {
    w: Words,
    frame: Frame,
    docs: Docs,
}

struct Docs {
    title: String,
    version: String,
    description: String,
    operations: Vec<Operation>,
    schemas: Vec<Schema>,
    problems: Vec<ProblemView>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    parameters: Vec<Parameter>,
    example: Option<String>,
    answers: Vec<Answer>,
}

struct Parameter {
    name: String,
    place: String,
    description: String,
}

struct Answer {
    status: String,
    description: String,
}

struct Schema {
    name: String,
    json: String,
}

struct ProblemView {
    anchor: &'static str,
    status: u16,
    title: &'static str,
    advice: &'static str,
}

/// `GET /docs`
pub(crate) async fn page(State(app): Shared, visit: Visit) -> Result<Response, Fault> {
    let w = visit.words;
    let document = openapi::build(&app, w.0);
    render(
        visit,
        StatusCode::OK,
        &DocsPage { w, frame: Frame::new(&app, "docs", w), docs: Docs::new(&document, w) },
    )
}

impl Docs {
    fn new(document: &Value, w: Words) -> Docs {
        let info = &document["info"];
        let paths = document["paths"].as_object().into_iter().flatten();
        let operations = paths.flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| Operation::new(document, path, method, operation))
        });
        let schemas = document["components"]["schemas"].as_object().into_iter().flatten();
        let mut operations: Vec<Operation> = operations.collect();
        // What most readers came for stands first; the rest stays in the paths' order.
        operations.sort_by_key(|operation| !operation.path.starts_with("/api/v1/predictions"));
        Docs {
            title: text(&info["title"]),
            version: text(&info["version"]),
            description: text(&info["description"]),
            operations,
            schemas: schemas
                .map(|(name, schema)| Schema { name: name.clone(), json: pretty(schema) })
                .collect(),
            problems: Kind::ALL
                .into_iter()
                .map(|kind| ProblemView {
                    anchor: kind.uri().rsplit('#').next().unwrap_or_default(),
                    status: kind.status().as_u16(),
                    title: kind.title(w.0),
                    advice: kind.advice(w.0),
                })
                .collect(),
        }
    }
}

impl Operation {
    fn new(document: &Value, path: &str, method: &str, operation: &Value) -> Operation {
        let content = operation["requestBody"]["content"].as_object();
        let example = content.and_then(|content| content.values().find_map(|media| media.get("example")));
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let answers = operation["responses"].as_object().into_iter().flatten();
        Operation {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(&operation["summary"]),
            parameters: parameters
                .map(|parameter| Parameter {
                    name: text(&parameter["name"]),
                    place: text(&parameter["in"]),
                    description: text(&parameter["description"]),
                })
                .collect(),
            example: example.map(pretty),
            answers: answers
                .map(|(status, answer)| {
                    let shared =
                        answer["$ref"].as_str().and_then(|place| document.pointer(place.strip_prefix('#')?));
                    let description = text(&shared.unwrap_or(answer)["description"]);
                    Answer { status: status.clone(), description }
                })
                .collect(),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
