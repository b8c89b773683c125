//! Alerts and their outbox.

use registry::{AlertFinding, AlertState, Error, Event};
use serde_json::json;
use tempfile::tempdir;
use time::Duration;

use crate::{NOON, act, candidate, open};

const SINKS: [&str; 2] = ["log", "webhook"];

#[test]
fn an_alert_is_raised_once_acknowledged_resolved_and_comes_back() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let detail = json!({"d": 0.3});
    let finding =
        AlertFinding { rule: "drift.feature", subject: "age", message: "age drifts", detail: &detail };
    let other = AlertFinding { subject: "age@er", ..finding.clone() };
    let look = |findings: &[AlertFinding<'_>], cleared: &[(&str, &str)], key: &str| {
        registry.settle_alerts(findings, cleared, &SINKS, &act(key)).unwrap()
    };

    let first = look(&[finding.clone(), other.clone()], &[], "k1");
    assert_eq!((first.raised.len(), first.standing.len()), (2, 0));
    let again = look(&[finding.clone(), other.clone()], &[], "k2");
    assert_eq!((again.raised.len(), again.standing), (0, first.raised.clone()));
    assert_eq!(registry.deliveries_due(NOON, 100).unwrap().len(), 4, "two alerts, two sinks, told once");

    let id = first.raised[0];
    let seen = registry.acknowledge_alert(id, &act("k3")).unwrap();
    assert_eq!((seen.state, seen.acknowledged_by.as_deref()), (AlertState::Acknowledged, Some("ana")));
    assert_eq!(registry.acknowledge_alert(id, &act("k4")).unwrap(), seen);
    assert_eq!(look(&[finding.clone(), other.clone()], &[], "k5").raised, [] as [u64; 0]);

    // What was found well is over; what was not looked at stays.
    let third = look(&[], &[("drift.feature", "age"), ("drift.feature", "gender")], "k6");
    assert_eq!((third.resolved.as_slice(), third.raised.len()), (&[id][..], 0));
    let states: Vec<AlertState> =
        registry.alerts(None, 10).unwrap().iter().map(|alert| alert.state).collect();
    assert_eq!(states, [AlertState::Raised, AlertState::Resolved]);
    assert!(matches!(registry.acknowledge_alert(id, &act("k7")), Err(Error::Conflict { .. })));

    let fourth = look(std::slice::from_ref(&finding), &[("drift.feature", "age")], "k8");
    assert_eq!(fourth.raised, [id], "found wrong and named as well: wrong wins");
    let back = registry.alert(id).unwrap();
    assert_eq!((back.state, back.raisings, back.acknowledged_by), (AlertState::Raised, 2, None));

    let over = registry.resolve_alert(id, &SINKS, &act("k9")).unwrap();
    assert_eq!(registry.resolve_alert(id, &SINKS, &act("k10")).unwrap(), over);
    assert!(matches!(registry.resolve_alert(99, &SINKS, &act("k11")), Err(Error::UnknownAlert(99))));
    assert!(matches!(registry.alert(u64::MAX), Err(Error::UnknownAlert(_))));

    let told: Vec<String> = registry.audit(0, 100).unwrap().into_iter().map(|entry| entry.action).collect();
    let expected =
        ["alert.raise", "alert.raise", "alert.acknowledge", "alert.resolve", "alert.reopen", "alert.resolve"];
    assert_eq!(told, expected);
    let events: Vec<Event> = registry
        .deliveries_due(NOON, 100)
        .unwrap()
        .into_iter()
        .filter(|delivery| delivery.alert == id && delivery.sink == "webhook")
        .map(|delivery| delivery.event)
        .collect();
    assert_eq!(events, [Event::Raised, Event::Resolved, Event::Reopened, Event::Resolved]);
}

#[test]
fn a_delivery_that_fails_is_tried_again_later_and_given_up_in_the_end() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let detail = json!({});
    let finding = AlertFinding { rule: "r", subject: "s", message: "m", detail: &detail };
    registry.settle_alerts(&[finding], &[], &SINKS, &act("k1")).unwrap();
    let due = registry.deliveries_due(NOON, 10).unwrap();
    registry.delivered(due[0].id, NOON).unwrap();

    let mut now = NOON;
    let mut waits = Vec::new();
    loop {
        let again = registry.not_delivered(due[1].id, now, "connection refused").unwrap();
        if !again {
            break;
        }
        let before = now;
        while registry.deliveries_due(now, 10).unwrap().is_empty() {
            now += Duration::seconds(30);
        }
        waits.push((now - before).whole_seconds());
    }
    assert_eq!(waits[..8], [30, 60, 120, 240, 480, 960, 1920, 3600]);
    assert_eq!(waits.len(), 15);
    assert!(registry.deliveries_due(now + Duration::days(30), 10).unwrap().is_empty());
    assert_eq!(registry.deliveries_open().unwrap(), (0, 1));
}

#[test]
fn runs_and_references_are_kept_once() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let model = candidate(&registry, "r1");
    let run = registry.record_monitoring("m1", model, NOON, &json!({"n": 1})).unwrap();
    assert_eq!(registry.record_monitoring("m1", model, NOON, &json!({"n": 2})).unwrap(), run);
    registry.record_monitoring("m2", model, NOON, &json!({"n": 2})).unwrap();
    let runs = registry.monitoring_runs(10).unwrap();
    assert_eq!(runs.iter().map(|run| run.report["n"].clone()).collect::<Vec<_>>(), [json!(2), json!(1)]);
    assert_eq!(registry.monitoring_runs(1).unwrap().len(), 1);

    assert_eq!(registry.monitoring_reference(model).unwrap(), None);
    registry.keep_monitoring_reference(model, &json!({"age": [1]})).unwrap();
    registry.keep_monitoring_reference(model, &json!({"age": [2]})).unwrap();
    assert_eq!(registry.monitoring_reference(model).unwrap(), Some(json!({"age": [1]})));
    let unknown = "m-0099".parse().unwrap();
    assert!(matches!(
        registry.record_monitoring("m3", unknown, NOON, &json!({})),
        Err(Error::UnknownModel(_))
    ));
}
