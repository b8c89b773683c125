//! Feedback and the reviews that it opens.

use registry::{Error, NewFeedback, Outcome, Resolution, ReviewState, Verdict};
use tempfile::tempdir;

use crate::{act, open};

const WRONG: NewFeedback<'_> = NewFeedback {
    prediction_id: "p-1",
    verdict: Verdict::Wrong,
    severity: Some("chronic"),
    rarity: Some("orphan"),
    disease_code: Some("ORPHA:586"),
    comment: Some("known since birth"),
};

#[test]
fn feedback_opens_one_review_however_often_it_is_sent() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let stored = registry.record_feedback(&WRONG, &act("f1")).unwrap();
    assert_eq!(registry.record_feedback(&WRONG, &act("f1")).unwrap(), stored);
    let other = NewFeedback { severity: Some("mild"), ..WRONG };
    assert!(matches!(registry.record_feedback(&other, &act("f1")), Err(Error::KeyReused { .. })));

    let open = registry.reviews(Some(ReviewState::Open), 0, 10).unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].id, open[0].feedback, open[0].reason.as_str()),
        (stored.review, Some(stored.id), "reported_wrong")
    );
    registry.record_feedback(&other, &act("f2")).unwrap();
    assert_eq!(registry.feedback("p-1").unwrap().len(), 2, "a second opinion is another row");
    assert!(registry.feedback("p-2").unwrap().is_empty());
}

#[test]
fn a_review_is_resolved_once() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let id = registry.record_feedback(&WRONG, &act("f1")).unwrap().review;
    let other =
        registry.record_feedback(&NewFeedback { prediction_id: "p-2", ..WRONG }, &act("f2")).unwrap().review;
    let case =
        Outcome::Case { severity: "chronic".into(), rarity: Some("orphan".into()), disease_code: None };
    let found = Resolution { outcome: case, comment: None };
    let done = registry.resolve_review(id, &found, 1, &act("s1")).unwrap();
    assert_eq!(
        (done.state, done.resolved_by.as_deref(), &done.resolution),
        (ReviewState::Resolved, Some("ana"), &Some(found.clone()))
    );
    assert_eq!(registry.resolve_review(id, &found, 1, &act("s2")).unwrap(), done);
    let dismissed = Resolution { outcome: Outcome::Dismissed, comment: None };
    assert!(matches!(registry.resolve_review(id, &dismissed, 1, &act("s3")), Err(Error::Conflict { .. })));
    for unknown in [99, u64::MAX] {
        assert!(matches!(
            registry.resolve_review(unknown, &found, 1, &act("s4")),
            Err(Error::UnknownReview(_))
        ));
    }

    let ids = |state| registry.reviews(state, 0, 10).unwrap().into_iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(
        (ids(None), ids(Some(ReviewState::Open)), ids(Some(ReviewState::Resolved))),
        (vec![id, other], vec![other], vec![id])
    );
    let first = registry.review(id).unwrap().place;
    assert_eq!(registry.reviews(None, first, 10).unwrap()[0].id, other);
    assert_eq!(registry.review(id).unwrap(), done);
}

#[test]
fn what_is_said_of_a_patient_stays_out_of_the_audit_and_of_debug_output() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let stored = registry.record_feedback(&WRONG, &act("f1")).unwrap();
    let case =
        Outcome::Case { severity: "chronic".into(), rarity: None, disease_code: Some("ORPHA:586".into()) };
    let found = Resolution { outcome: case, comment: Some("known since birth".into()) };
    let review = registry.resolve_review(stored.review, &found, 1, &act("s1")).unwrap();

    let told = registry.audit(0, 100).unwrap();
    assert_eq!(
        told.iter().map(|e| e.action.as_str()).collect::<Vec<_>>(),
        ["feedback.record", "review.resolve"]
    );
    for text in [serde_json::to_string(&told).unwrap(), format!("{WRONG:?} {stored:?} {review:?} {found:?}")]
    {
        for planted in ["birth", "chronic", "ORPHA", "orphan"] {
            assert!(!text.contains(planted), "{planted} in {text}");
        }
    }
}
