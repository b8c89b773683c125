//! The API's own description (OpenAPI 3.1), made from the study of the model in use: limits, codes,
//! what is required, and an example that is really answered.

mod monitoring;

use std::sync::Arc;

use axum::{extract::State, http::HeaderMap, response::Response};
use clinical::{Input, Kind, Language, Rarity, Study, Text, study::Accepts};
use serde_json::{Map, Value, json};

use crate::{
    app::{App, Shared},
    fault::Fault,
    language,
    rest::worded_response,
};

/// `GET /openapi.json`
pub(crate) async fn document(State(app): Shared, headers: HeaderMap) -> Result<Response, Fault> {
    let language = language::accepted(&headers);
    worded_response(&build(&app, language), language)
}

/// The document in one language.
pub(crate) fn build(app: &App, language: Language) -> Value {
    let model = app.state.champions.current();
    let configured = Arc::clone(&app.state.study);
    let study = model.as_ref().map_or(&*configured, |model| model.study());
    let say = Say(language);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hoofbeat",
            "version": app.state.version.version,
            "description": say.of(
                "Apoyo a la decisión clínica: gravedad y rareza de la enfermedad, con su explicación. Los textos siguen a Accept-Language.",
                "Clinical decision support: severity and rarity of disease, with their explanation. Texts follow Accept-Language.",
            ),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths(study, say),
        "components": {"schemas": schemas(study, say), "responses": problems(say)},
    })
}

#[derive(Clone, Copy)]
struct Say(Language);

impl Say {
    fn of<'a>(self, es: &'a str, en: &'a str) -> &'a str {
        match self.0 {
            Language::Es => es,
            Language::En => en,
        }
    }

    fn text(self, text: &Text) -> &str {
        text.get(self.0)
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn problem(name: &str) -> Value {
    json!({"$ref": format!("#/components/responses/{name}")})
}

fn answer(description: &str, schema: Value) -> Value {
    json!({"description": description, "content": {"application/json": {"schema": schema}}})
}

fn paths(study: &Study, say: Say) -> Value {
    let mut paths = prediction_paths(study, say);
    paths.extend(record_paths(say));
    paths.extend(monitoring::paths(say));
    paths.extend(root_paths(say));
    Value::Object(paths)
}

fn prediction_paths(study: &Study, say: Say) -> Map<String, Value> {
    let example = example(study);
    let explain = json!({
        "name": "explain", "in": "query", "required": false,
        "description": say.of("Qué probabilidad se explica.", "Which probability is explained."),
        "schema": {"type": "string", "enum": explainable(study), "default": "severity"},
    });
    let id = json!({
        "name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"},
        "description": say.of("La predicción (prediction_id).", "The prediction (prediction_id)."),
    });
    let key = idempotency(say);
    let answers = |ok: Value| {
        json!({"200": ok, "400": problem("BadRequest"), "413": problem("TooLarge"),
            "415": problem("UnsupportedMediaType"), "422": problem("Invalid"), "503": problem("Unavailable")})
    };
    let lines = say.of("Una línea por paciente.", "One line a patient.");
    map(json!({
        "/api/v1/predictions": {"post": {
            "operationId": "predict",
            "summary": say.of("Clasifica a un paciente y explica el resultado.", "Classifies one patient and explains the result."),
            "parameters": [explain],
            "requestBody": {"required": true, "content": {"application/json": {"schema": reference("Patient"), "example": example}}},
            "responses": answers(answer(say.of("El resultado, ya registrado.", "The result, which is in the log."), reference("Prediction"))),
        }},
        "/api/v1/predictions/batch": {"post": {
            "operationId": "predictBatch",
            "summary": say.of("Clasifica a muchos pacientes; cada fila tiene su resultado o su error.", "Classifies many patients; each row has its result or its error."),
            "parameters": [explain],
            "requestBody": {"required": true, "content": {
                "application/json": {"schema": {"type": "array", "items": reference("Patient")}, "example": [example]},
                "application/x-ndjson": {"schema": {"type": "string", "description": lines}},
            }},
            "responses": answers(json!({
                "description": say.of("Una entrada por fila, en su orden.", "One entry a row, in order."),
                "content": {
                    "application/json": {"schema": {"type": "array", "items": reference("BatchRow")}},
                    "application/x-ndjson": {"schema": {"type": "string", "description": lines}},
                },
            })),
        }},
        "/api/v1/predictions/{id}": {"get": {
            "operationId": "showPrediction",
            "summary": say.of("Un resultado anterior, con su retroalimentación.", "An earlier result, with its feedback."),
            "parameters": [id],
            "responses": {"200": answer(say.of("El resultado.", "The result."), json!({"allOf": [
                reference("Prediction"),
                {"type": "object", "properties": {"patient_id": {"type": "string"}, "feedback": {"type": "array", "items": reference("Feedback")}}},
            ]})), "404": problem("NotFound")},
        }},
        "/api/v1/predictions/{id}/feedback": {"post": {
            "operationId": "giveFeedback",
            "summary": say.of("Registra una opinión sobre un resultado y abre su revisión.", "Stores an opinion on a result and opens its review."),
            "parameters": [id, key],
            "requestBody": {"required": true, "content": {"application/json": {"schema": reference("NewFeedback"), "example": {"verdict": "confirmed"}}}},
            "responses": {"201": answer(say.of("Registrada.", "Stored."), reference("Feedback")), "400": problem("BadRequest"),
                "404": problem("NotFound"), "409": problem("Conflict"), "422": problem("Invalid")},
        }},
    }))
}

fn record_paths(say: Say) -> Map<String, Value> {
    let after = json!({"name": "after", "in": "query", "schema": {"type": "integer", "minimum": 0, "default": 0},
        "description": say.of("Sigue tras este número.", "Goes on after this number.")});
    let limit = json!({"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
        "description": say.of("Cuántas entradas como máximo.", "How many entries at most.")});
    let state = json!({"name": "state", "in": "query", "schema": {"type": "string", "enum": ["open", "resolved"]},
        "description": say.of("Solo las de este estado.", "Only those of this state.")});
    let version = json!({"name": "version", "in": "path", "required": true,
        "schema": {"type": "string", "pattern": "^m-[0-9]{4,}$"}, "description": say.of("La versión del modelo.", "The model's version.")});
    let key = idempotency(say);
    let object = || json!({"type": "object"});
    let get = |id: &str, summary: &str, parameters: Value| {
        json!({"get": {"operationId": id, "summary": summary, "parameters": parameters,
            "responses": {"200": answer(summary, object()), "404": problem("NotFound"), "422": problem("Invalid")}}})
    };
    let change = |id: &str, summary: &str, parameters: Value| {
        json!({"post": {"operationId": id, "summary": summary, "parameters": parameters,
            "requestBody": {"required": false, "content": {"application/json": {"schema": reference("Reason"), "example": {"reason": "…"}}}},
            "responses": {"200": answer(summary, object()), "400": problem("BadRequest"), "404": problem("NotFound"),
                "409": problem("Conflict"), "422": problem("Invalid")}}})
    };
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "integer", "minimum": 1},
        "description": say.of("Su número.", "Its number.")});
    let named = |id: &str, summary: &str, parameters: Value, body: &str| {
        let mut operation = change(id, summary, parameters);
        operation["post"]["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": reference(body)}}});
        if body == "Retraining" {
            operation["post"]["responses"]["202"] = answer(summary, object());
        }
        operation
    };
    let both = |mut one: Value, other: Value| {
        one["post"] = other["post"].clone();
        one
    };
    map(json!({
        "/api/v1/reviews": get("listReviews", say.of("La cola de revisión.", "The review queue."), json!([state, after, limit])),
        "/api/v1/reviews/{id}": get("showReview", say.of("Una revisión, con lo que se opinó y lo que se halló.", "One review, with what was said and found."), json!([id])),
        "/api/v1/reviews/{id}/resolution": named("resolveReview", say.of("Lo que un revisor con nombre halló: un caso confirmado, o nada que confirmar.", "What a named reviewer found: a confirmed case, or nothing to confirm."), json!([id, key]), "Resolution"),
        "/api/v1/reviews/suggestions": named("suggestReviews", say.of("Pregunta por los pacientes cuyo desenlace más enseñaría.", "Asks about the patients whose outcome would teach most."), json!([]), "Suggestions"),
        "/api/v1/retrainings": both(get("listRetrainings", say.of("Los entrenamientos pedidos.", "The trainings that were asked for."), json!([])),
            named("startRetraining", say.of("Pide un entrenamiento.", "Asks for a training."), json!([key]), "Retraining")),
        "/api/v1/retrainings/{id}": get("showRetraining", say.of("Un entrenamiento.", "One training."), json!([id])),
        "/api/v1/models/history": get("modelHistory", say.of("La vida del modelo: cada decisión con sus pruebas.", "The life of the model: every decision with its evidence."), json!([limit])),
        "/api/v1/models/{version}/approve": named("approveModel", say.of("Una segunda persona aprueba un modelo que espera.", "A second person approves a model that waits."), json!([version, key]), "Approval"),
        "/api/v1/models/{version}/reject": named("rejectModel", say.of("Una segunda persona rechaza un modelo que espera.", "A second person rejects a model that waits."), json!([version, key]), "Approval"),
        "/api/v1/audit": get("readAudit", say.of("Quién hizo qué y cuándo, en una cadena de resúmenes.", "Who did what, when, in a chain of hashes."), json!([after, limit])),
        "/api/v1/datasets": get("listDatasets", say.of("Las versiones de los datos.", "The dataset versions."), json!([])),
        "/api/v1/models": get("listModels", say.of("Todos los modelos.", "Every model."), json!([])),
        "/api/v1/models/champion": get("showChampion", say.of("El modelo en uso.", "The model in use."), json!([])),
        "/api/v1/models/{version}": get("showModel", say.of("Un modelo con sus evaluaciones.", "One model with its evaluations."), json!([version])),
        "/api/v1/models/{version}/promote": change("promoteModel", say.of("Pone en uso un modelo que superó los controles.", "Puts a model that passed its gates into use."), json!([version, key])),
        "/api/v1/models/rollback": change("rollbackModel", say.of("Vuelve al modelo anterior.", "Goes back to the model before."), json!([key])),
    }))
}

fn root_paths(say: Say) -> Map<String, Value> {
    let get = |id: &str, summary: &str, media: &str| {
        json!({"get": {"operationId": id, "summary": summary,
            "responses": {"200": {"description": summary, "content": {media: {}}}}}})
    };
    let mut paths = map(json!({
        "/healthz": get("live", say.of("El proceso responde.", "The process answers."), "application/json"),
        "/readyz": get("ready", say.of("Hay un modelo en uso.", "A model is in use."), "application/json"),
        "/metrics": get("metrics", say.of("Métricas de Prometheus.", "Prometheus metrics."), "text/plain"),
        "/openapi.json": get("openapi", say.of("Este documento.", "This document."), "application/json"),
        "/docs": get("docs", say.of("Este documento como página.", "This document as a page."), "text/html"),
    }));
    if let Some(ready) = paths.get_mut("/readyz") {
        ready["get"]["responses"]["503"] = problem("Unavailable");
    }
    paths
}

fn idempotency(say: Say) -> Value {
    json!({
        "name": "Idempotency-Key", "in": "header", "required": false, "schema": {"type": "string", "maxLength": 128},
        "description": say.of("Con la misma clave, la petición puede repetirse sin efecto.", "With the same key the request may be repeated without effect."),
    })
}

fn schemas(study: &Study, say: Say) -> Value {
    let mut schemas = map(json!({
        "Patient": patient(study, say),
        "Prediction": prediction(study),
        "BatchRow": {"type": "object", "required": ["index"], "properties": {
            "index": {"type": "integer", "minimum": 0}, "result": reference("Prediction"), "error": reference("Problem")}},
        "Reason": {"type": "object", "properties": {
            "reason": {"type": "string", "maxLength": 500},
            "replaces": {"type": "string", "description": say.of("Solo si este es el modelo en uso.", "Only if this is the model in use.")}}},
    }));
    let opinion = map(json!({
        "verdict": {"type": "string", "enum": ["confirmed", "wrong"]},
        "severity": {"type": ["string", "null"], "enum": with_null(severity_codes(study))},
        "rarity": {"type": ["string", "null"], "enum": with_null(Rarity::ALL.map(|rarity| json!(rarity.code())).into())},
        "disease_code": {"type": ["string", "null"], "maxLength": crate::rest::feedback::DISEASE_CODE_CHARS},
        "comment": {"type": ["string", "null"], "maxLength": crate::rest::feedback::COMMENT_CHARS},
        "reporter": {"type": ["string", "null"], "maxLength": crate::rest::NAME_CHARS},
    }));
    let mut stored = map(
        json!({"id": {"type": "integer"}, "prediction_id": {"type": "string"}, "actor": {"type": "string"},
        "created_at": {"type": "string", "format": "date-time"}, "review": {"type": "integer"}}),
    );
    stored.extend(opinion.clone());
    schemas.insert(
        "NewFeedback".into(),
        json!({"type": "object", "required": ["verdict"], "properties": opinion}),
    );
    schemas.extend(cycle_schemas(study));
    schemas.insert("Feedback".into(), json!({"type": "object", "properties": stored}));
    schemas.insert("Alert".into(), monitoring::alert());
    schemas.insert("Problem".into(), problem_schema());
    Value::Object(schemas)
}

/// What reviewers and those who turn the cycle send.
fn cycle_schemas(study: &Study) -> Map<String, Value> {
    let name = || json!({"type": "string", "minLength": 1, "maxLength": crate::rest::NAME_CHARS});
    map(json!({
        "Resolution": {"type": "object", "required": ["reviewer"], "properties": {
            "reviewer": name(),
            "outcome": {"type": "string", "enum": ["case", "dismissed"], "default": "case"},
            "severity": {"type": "string", "enum": severity_codes(study)},
            "rarity": {"type": ["string", "null"], "enum": with_null(Rarity::ALL.map(|rarity| json!(rarity.code())).into())},
            "disease_code": {"type": ["string", "null"], "maxLength": crate::rest::feedback::DISEASE_CODE_CHARS},
            "comment": {"type": ["string", "null"], "maxLength": crate::rest::feedback::COMMENT_CHARS}}},
        "Suggestions": {"type": "object", "properties": {
            "number": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20}, "requested_by": name()}},
        "Retraining": {"type": "object", "required": ["mode", "requested_by"], "properties": {
            "mode": {"type": "string", "enum": crate::rest::cycle::MODES}, "requested_by": name()}},
        "Approval": {"type": "object", "required": ["approver"], "properties": {
            "approver": name(), "reason": {"type": "string", "maxLength": 500}}},
    }))
}

/// One input: its type, limits or codes, label, unit and LOINC code.
fn input(input: &Input, say: Say) -> Value {
    let mut schema = match &input.accepts {
        Accepts::Number { min, max, .. } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Accepts::Code(codes) => json!({"type": "string", "enum": codes}),
    };
    schema["title"] = json!(say.text(&input.label));
    if let Some(hint) = &input.hint {
        schema["description"] = json!(say.text(hint));
    }
    let unit = say.text(&input.unit);
    if !unit.is_empty() {
        schema["x-unit"] = json!(unit);
    }
    if let Some(loinc) = &input.loinc {
        schema["x-loinc"] = json!(loinc);
    }
    schema
}

fn patient(study: &Study, say: Say) -> Value {
    let mut properties: Map<String, Value> =
        study.inputs().iter().map(|field| (field.name.clone(), input(field, say))).collect();
    let pseudonym = say.of("Seudónimo, opcional.", "Pseudonym, optional.");
    properties.insert(
        "patient_id".into(),
        json!({"type": ["string", "null"], "maxLength": 128, "description": pseudonym}),
    );
    if let Some(field) = study.note() {
        let kept = say.of("Opcional. No se guarda ni se devuelve.", "Optional. Neither kept nor given back.");
        let description =
            field.hint.as_ref().map_or(kept.to_owned(), |hint| format!("{}. {kept}", say.text(hint)));
        properties.insert(
            field.name.clone(),
            json!({"type": ["string", "null"], "title": say.text(&field.label), "maxLength": field.max_chars, "description": description}),
        );
    }
    let required: Vec<&str> = study.inputs().iter().map(|input| input.name.as_str()).collect();
    json!({"type": "object", "required": required, "properties": properties, "examples": [example(study)]})
}

/// A patient in the middle of every range, in an order that the study accepts.
fn example(study: &Study) -> Value {
    let mut example = Map::new();
    for feature in study.features() {
        let inputs = study.inputs_of(feature);
        // Of values that must descend, earlier ones lie higher in their range.
        let parts = i32::try_from(inputs.len()).unwrap_or(1) + 1;
        for (at, field) in (1..).zip(inputs) {
            let value = match &field.accepts {
                Accepts::Number { min, max, usual } => {
                    let (low, high) = usual.unwrap_or((*min, *max));
                    json!(low + (high - low) / parts * (if feature.descending { parts - at } else { 1 }))
                }
                Accepts::Code(codes) => json!(codes.first()),
            };
            example.insert(field.name.clone(), value);
        }
    }
    Value::Object(example)
}

fn severity_codes(study: &Study) -> Vec<Value> {
    study.severities().iter().map(|class| json!(class.code)).collect()
}

fn explainable(study: &Study) -> Vec<Value> {
    [json!("severity"), json!("orphan")].into_iter().chain(severity_codes(study)).collect()
}

fn with_null(mut codes: Vec<Value>) -> Vec<Value> {
    codes.push(Value::Null);
    codes
}

fn prediction(study: &Study) -> Value {
    let share = || json!({"type": "number", "minimum": 0, "maximum": 1});
    let text = || json!({"type": "string"});
    let classes: Map<String, Value> =
        study.severities().iter().map(|class| (class.code.clone(), share())).collect();
    let features = study.features().iter().map(|feature| feature.name.as_str());
    let features: Vec<&str> = features.chain(study.note().map(|note| note.name.as_str())).collect();
    let explained: Vec<Value> = severity_codes(study).into_iter().chain([json!("orphan")]).collect();
    let mut properties = map(json!({
        "prediction_id": {"type": "string", "format": "uuid"},
        "created_at": {"type": "string", "format": "date-time"},
        "model": object(json!({"version": text(), "dataset_version": {"type": "integer"}})),
        "status": object(json!({"code": {"type": "string", "enum": severity_codes(study)}, "label": text(),
            "colour": {"type": "string", "enum": ["green", "yellow", "red"]}, "advice": text()})),
        "severity": object(json!({"class": {"type": "string", "enum": severity_codes(study)}, "probabilities": object(Value::Object(classes))})),
        "rarity": object(json!({"class": {"type": ["string", "null"], "enum": ["common", "orphan", null]},
            "probability_orphan": share(), "threshold": share(),
            "nearest": {"type": "array", "items": {"type": "object", "required": ["disease_code", "name", "probability"], "properties": {
                "disease_code": text(), "name": text(), "probability": share(), "prevalence": text()}}}})),
        "explanation": object(json!({"class": {"type": "string", "enum": explained}, "unit": {"const": "probability"},
            "base_value": share(), "contributions": {"type": "array", "items": object(json!({
                "feature": {"type": "string", "enum": features}, "value": text(),
                "contribution": {"type": "number", "minimum": -1, "maximum": 1}, "text": text()}))}})),
        "warnings": {"type": "array", "items": object(json!({"code": text(), "message": text()}))},
    }));
    for feature in study.features() {
        if let Kind::Category(categories) = &feature.kind {
            let codes: Vec<&str> = categories.iter().map(|category| category.choice.code.as_str()).collect();
            properties.insert(feature.name.clone(), json!({"type": "string", "enum": codes}));
        }
    }
    object(Value::Object(properties))
}

/// An object of which every property is required.
fn object(properties: Value) -> Value {
    let required: Vec<String> =
        properties.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
    json!({"type": "object", "required": required, "properties": properties})
}

fn problem_schema() -> Value {
    json!({"type": "object", "required": ["type", "title", "status", "detail"], "properties": {
        "type": {"type": "string", "format": "uri-reference"}, "title": {"type": "string"},
        "status": {"type": "integer"}, "detail": {"type": "string"}, "instance": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object", "required": ["field", "code", "message"], "properties": {
            "field": {"type": "string"},
            "code": {"type": "string", "enum": ["missing", "wrong_type", "unknown_code", "out_of_range", "inconsistent"]},
            "message": {"type": "string"}, "min": {"type": "integer"}, "max": {"type": "integer"}}}},
    }})
}

fn problems(say: Say) -> Value {
    let one = |description: &str| json!({"description": description, "content": {"application/problem+json": {"schema": reference("Problem")}}});
    json!({
        "BadRequest": one(say.of("La petición no se puede leer.", "The request cannot be read.")),
        "NotFound": one(say.of("No existe.", "There is no such thing.")),
        "Conflict": one(say.of("No es posible en el estado actual.", "Not possible in the current state.")),
        "TooLarge": one(say.of("Demasiado grande.", "Too large.")),
        "UnsupportedMediaType": one(say.of("Tipo de contenido no admitido.", "Content type not supported.")),
        "Invalid": one(say.of("Hay datos que no son válidos; se nombran todos.", "Some values are not valid; all are named.")),
        "Unavailable": one(say.of("No hay modelo en uso, o el registro no puede guardar.", "No model is in use, or the log cannot store.")),
    })
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
