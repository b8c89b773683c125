//! The paths of monitoring.

use serde_json::{Map, Value, json};

use super::{Say, answer, idempotency, map, problem, reference};

pub(super) fn paths(say: Say) -> Map<String, Value> {
    let get = |id: &str, summary: &str, schema: Value, parameters: Value| {
        json!({"get": {"operationId": id, "summary": summary, "parameters": parameters,
            "responses": {"200": answer(summary, schema), "422": problem("Invalid")}}})
    };
    let id = json!({"name": "id", "in": "path", "required": true, "schema": {"type": "integer", "minimum": 1},
        "description": say.of("La alerta.", "The alert.")});
    let change = |operation: &str, summary: &str| {
        json!({"post": {"operationId": operation, "summary": summary, "parameters": [id, idempotency(say)],
            "requestBody": {"required": false, "content": {"application/json": {
                "schema": {"type": "object", "properties": {"reason": {"type": "string", "maxLength": 500}}},
                "example": {"reason": "…"}}}},
            "responses": {"200": answer(summary, reference("Alert")), "400": problem("BadRequest"),
                "404": problem("NotFound"), "409": problem("Conflict"), "422": problem("Invalid")}}})
    };
    let state = json!([{"name": "state", "in": "query",
        "schema": {"type": "string", "enum": ["open", "raised", "acknowledged", "resolved"]},
        "description": say.of("Solo las de este estado.", "Only those of this state.")}]);
    let part = |name: &str| {
        json!({"type": "object", "required": ["run", "model", "window", name], "properties": {
            "run": {"type": ["integer", "null"]}, "model": {"type": ["string", "null"]},
            "window": {"type": ["object", "null"]}, name: {"type": ["object", "null"]}}})
    };
    let alerts = json!({"type": "object", "required": ["alerts"],
        "properties": {"alerts": {"type": "array", "items": reference("Alert")}}});
    map(json!({
        "/api/v1/monitoring/drift": get("showDrift",
            say.of("Deriva de lo que llega y de lo que se responde, según la última revisión.", "Drift of what comes and of what is answered, by the latest look."),
            part("drift"), json!([])),
        "/api/v1/monitoring/performance": get("showPerformance",
            say.of("Acierto en los casos confirmados, y su evolución.", "How right the model is on confirmed cases, and over time."),
            part("performance"), json!([])),
        "/api/v1/monitoring/quality": get("showQuality",
            say.of("Calidad de los datos por origen.", "Quality of the data by source."), part("quality"), json!([])),
        "/api/v1/monitoring/alerts": get("listAlerts",
            say.of("Las alertas, primero las abiertas.", "The alerts, open ones first."), alerts, state),
        "/api/v1/monitoring/alerts/{id}/acknowledge": change("acknowledgeAlert",
            say.of("Alguien se ocupa de la alerta.", "Somebody looks after the alert.")),
        "/api/v1/monitoring/alerts/{id}/resolve": change("resolveAlert",
            say.of("La alerta ha terminado; vuelve si se encuentra de nuevo.", "The alert is over; it comes back if it is found again.")),
    }))
}

pub(super) fn alert() -> Value {
    let time = json!({"type": "string", "format": "date-time"});
    let maybe_time = json!({"type": ["string", "null"], "format": "date-time"});
    let maybe = json!({"type": ["string", "null"]});
    json!({"type": "object", "required": ["id", "rule", "subject", "state", "message", "raised_at"], "properties": {
        "id": {"type": "integer"}, "rule": {"type": "string"}, "subject": {"type": "string"},
        "state": {"type": "string", "enum": ["raised", "acknowledged", "resolved"]},
        "message": {"type": "string"}, "detail": {"type": "object"}, "raised_at": time, "seen_at": time,
        "raisings": {"type": "integer"}, "acknowledged_at": maybe_time, "acknowledged_by": maybe,
        "resolved_at": maybe_time, "resolved_by": maybe}})
}
