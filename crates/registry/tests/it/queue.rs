//! The review queue: its order, its marks, two reviewers, suggestions and outcomes.

use registry::{
    Act, Choice, Error, FLOOD, NewFeedback, NewOutcome, NewSuggestion, Outcome, Recorded, Registry,
    Resolution, ReviewState, Suggested, Verdict,
};
use tempfile::tempdir;
use time::Duration;

use crate::{NOON, act, open};

fn opinion<'a>(prediction_id: &'a str, verdict: Verdict, severity: Option<&'a str>) -> NewFeedback<'a> {
    NewFeedback { prediction_id, verdict, severity, rarity: None, disease_code: None, comment: None }
}

fn by<'a>(actor: &'a str, key: &'a str) -> Act<'a> {
    Act { actor, ..act(key) }
}

fn case(severity: &str, rarity: &str) -> Resolution {
    let outcome =
        Outcome::Case { severity: severity.into(), rarity: Some(rarity.into()), disease_code: None };
    Resolution { outcome, comment: None }
}

fn order(registry: &Registry) -> Vec<String> {
    let open = registry.reviews(Some(ReviewState::Open), 0, 1000).unwrap();
    assert!(open.is_sorted_by_key(|review| review.place));
    open.into_iter().map(|review| review.prediction_id).collect()
}

fn suggest(registry: &Registry, key: &str, of: &[(&str, Choice)]) -> Suggested {
    let new = |&(id, choice): &(&str, Choice)| NewSuggestion { prediction_id: id.into(), choice };
    registry.suggest_reviews(&of.iter().map(new).collect::<Vec<_>>(), &act(key)).unwrap()
}

#[test]
fn errors_come_before_suspicions_before_suggestions_before_agreement() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    registry.record_feedback(&opinion("agreed", Verdict::Confirmed, None), &act("1")).unwrap();
    let choices = [
        ("random", Choice::Random),
        ("suspected", Choice::Suspicion { probability_orphan: 0.9 }),
        ("uncertain", Choice::Uncertainty { entropy: 1.5 }),
    ];
    assert_eq!(suggest(&registry, "s", &choices), Suggested { opened: 3, known: 0 });
    registry.record_feedback(&opinion("wrong", Verdict::Wrong, Some("mild")), &act("2")).unwrap();
    assert_eq!(order(&registry), ["wrong", "suspected", "random", "uncertain", "agreed"]);

    // The same request changes nothing, another one asks nobody twice.
    assert_eq!(suggest(&registry, "s", &choices), Suggested { opened: 3, known: 0 });
    assert_eq!(
        suggest(&registry, "t", &[choices[0], ("wrong", Choice::Random)]),
        Suggested { opened: 0, known: 2 }
    );
    // What is suggested later is asked sooner.
    assert_eq!(suggest(&registry, "u", &[("later", Choice::Random)]), Suggested { opened: 1, known: 0 });
    assert_eq!(order(&registry), ["wrong", "suspected", "later", "random", "uncertain", "agreed"]);
    let reasons: Vec<_> = registry.open_reviews().unwrap().into_iter().collect();
    let expected =
        ["informative", "orphan_suspected", "reported_confirmed", "reported_wrong", "unbiased_sample"];
    assert_eq!(
        reasons,
        expected.map(|reason| (reason.to_owned(), if reason == "unbiased_sample" { 2 } else { 1 }))
    );
    // Page by page the order is the same.
    let mut seen = Vec::new();
    let mut after = 0;
    while let Some(review) = registry.reviews(None, after, 1).unwrap().pop() {
        after = review.place;
        seen.push(review.prediction_id);
    }
    assert_eq!(seen, order(&registry));
}

#[test]
fn contradictions_and_repeats_are_marked() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let marks = |review| registry.review(review).unwrap().marks;
    let wrong = opinion("p", Verdict::Wrong, Some("mild"));
    let first = registry.record_feedback(&wrong, &by("page:Ana", "1")).unwrap().review;
    assert_eq!(marks(first), Default::default());
    let repeated = registry.record_feedback(&wrong, &by("page:Ana", "2")).unwrap().review;
    assert!(marks(repeated).repeated && !marks(repeated).contradicted && !marks(first).repeated);
    // Somebody else of the same opinion neither repeats nor contradicts.
    let agreeing = registry.record_feedback(&wrong, &by("page:Eva", "3")).unwrap().review;
    assert_eq!(marks(agreeing), Default::default());
    let other =
        registry.record_feedback(&opinion("p", Verdict::Confirmed, None), &by("api:Leo", "4")).unwrap();
    assert!(marks(other.review).contradicted && marks(first).contradicted);
    let elsewhere = registry.record_feedback(&opinion("q", Verdict::Confirmed, None), &by("api:Leo", "5"));
    assert_eq!(marks(elsewhere.unwrap().review), Default::default());
}

#[test]
fn a_flood_is_marked_and_keeps_nobody_waiting() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let ids: Vec<String> = (0..2 * FLOOD).map(|n| format!("flood-{n:03}")).collect();
    for (n, id) in ids.iter().enumerate() {
        let at = NOON + Duration::minutes(n as i64);
        let act = Act { at, ..by("api:mallory", id) };
        registry.record_feedback(&opinion(id, Verdict::Wrong, Some("acute")), &act).unwrap();
    }
    let honest = opinion("honest", Verdict::Wrong, Some("mild"));
    let honest = registry.record_feedback(&honest, &by("page:Ana", "h")).unwrap().review;
    let queue = order(&registry);
    // All but the first ones wait behind the report that came after them.
    assert_eq!(queue.iter().position(|id| id == "honest"), Some(FLOOD as usize));
    let open = registry.reviews(Some(ReviewState::Open), 0, 1000).unwrap();
    for review in open.iter().filter(|review| review.id != honest) {
        assert_eq!(review.marks.flood, Some(2 * FLOOD), "{}", review.prediction_id);
    }
    assert_eq!(registry.review(honest).unwrap().marks.flood, None);
    // Nothing is confirmed by being said often.
    assert!(registry.uncollected_cases().unwrap().is_empty());
    assert!(registry.outcomes(0, 1000).unwrap().is_empty());
}

#[test]
fn two_reviewers_confirm_and_a_third_decides_between_two() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let review = |id| registry.record_feedback(&opinion(id, Verdict::Wrong, None), &act(id)).unwrap().review;
    let found = case("chronic", "orphan");
    let id = review("p");
    let first = registry.resolve_review(id, &found, 2, &by("page:Ana", "1")).unwrap();
    assert_eq!((first.state, first.findings.len()), (ReviewState::Open, 1));
    // The same reviewer is not a second one.
    let again = registry.resolve_review(id, &found, 2, &by("page:Ana", "2")).unwrap();
    assert_eq!(again, first);
    assert!(registry.uncollected_cases().unwrap().is_empty());
    let second = registry.resolve_review(id, &found, 2, &by("page:Eva", "3")).unwrap();
    assert_eq!((second.state, second.disagreement), (ReviewState::Resolved, false));
    assert_eq!(registry.uncollected_cases().unwrap()[0].id, id);
    assert_eq!(registry.outcome("p").unwrap().unwrap().severity, "chronic");
    registry.case_collected(id, Ok(7)).unwrap();
    registry.case_collected(id, Ok(8)).unwrap();
    assert_eq!(registry.review(id).unwrap().dataset_version, Some(7));
    assert!(registry.uncollected_cases().unwrap().is_empty());

    let id = review("q");
    registry.resolve_review(id, &found, 2, &by("page:Ana", "4")).unwrap();
    // One is enough for a common disease, but not against another's finding.
    let common = case("chronic", "common");
    let apart = registry.resolve_review(id, &common, 1, &by("page:Eva", "5")).unwrap();
    assert_eq!((apart.state, apart.disagreement), (ReviewState::Open, true));
    let decided = registry.resolve_review(id, &common, 1, &by("page:Leo", "6")).unwrap();
    assert_eq!((decided.state, decided.resolution), (ReviewState::Resolved, Some(common)));
    let late = registry.resolve_review(id, &found, 1, &by("page:Ana", "7"));
    assert!(matches!(late, Err(Error::Conflict { .. })));
    registry.case_collected(id, Err("another study")).unwrap();
    assert_eq!(registry.review(id).unwrap().left_out.as_deref(), Some("another study"));

    let id = review("r");
    let dismissed = Resolution { outcome: Outcome::Dismissed, comment: None };
    registry.resolve_review(id, &dismissed, 1, &act("8")).unwrap();
    assert!(registry.outcome("r").unwrap().is_none() && registry.uncollected_cases().unwrap().is_empty());
    assert_eq!(registry.check(None).unwrap(), []);
}

#[test]
fn an_outcome_is_stored_once_and_may_be_corrected() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let outcome = |prediction_id, severity| NewOutcome {
        prediction_id,
        severity,
        rarity: None,
        disease_code: None,
        confirmed_at: NOON,
    };
    let both = [outcome("p", "mild"), outcome("q", "healthy")];
    let record = |new: &[NewOutcome<'_>], key| registry.record_outcomes(new, "ehr", &act(key)).unwrap();
    assert_eq!(record(&both, "1"), [Recorded::Added, Recorded::Added]);
    assert_eq!(record(&both, "1"), [Recorded::Known, Recorded::Known]);
    assert_eq!(record(&[outcome("p", "acute")], "2"), [Recorded::Corrected]);
    let known = registry.outcomes(0, 10).unwrap();
    let known: Vec<_> = known.iter().map(|o| (o.prediction_id.as_str(), o.severity.as_str())).collect();
    assert_eq!(known, [("q", "healthy"), ("p", "acute")]);
    // Who has an outcome is not asked about.
    assert_eq!(suggest(&registry, "s", &[("p", Choice::Random)]), Suggested { opened: 0, known: 1 });
    assert!(registry.reviewed_predictions().unwrap().contains("q"));
    // More than one statement asks for; what has neither review nor outcome is not among them.
    let mut asked: Vec<String> = (0..450).map(|n| format!("served-{n}")).collect();
    asked.extend(["q", "p"].map(str::to_owned));
    let expected = ["p", "q"].map(str::to_owned).into();
    assert_eq!(registry.reviewed_among(&asked).unwrap(), expected);
    assert!(registry.reviewed_among(&asked[..450]).unwrap().is_empty());
    assert!(registry.reviewed_among(&[]).unwrap().is_empty());
    assert_eq!(registry.audit(0, 10).unwrap().len(), 2, "what changed nothing is not told");
    assert!(!format!("{known:?} {:?}", both[0]).contains("NewOutcome { severity"));
}

#[test]
fn what_became_known_in_a_time_is_read_page_by_page_in_its_order() {
    let dir = tempdir().unwrap();
    let registry = open(dir.path());
    let at = |minutes: i64| NOON + time::Duration::minutes(minutes);
    // Clocks of several servers: numbers do not follow times.
    for (key, (id, minutes)) in
        [("a", 5), ("b", 1), ("c", 3), ("a", 4), ("d", 3), ("e", 9), ("f", 0)].iter().enumerate()
    {
        let severity = format!("s{key}");
        let new = NewOutcome {
            prediction_id: id,
            severity: &severity,
            rarity: None,
            disease_code: None,
            confirmed_at: NOON,
        };
        let act = Act { at: at(*minutes), ..act(&severity) };
        registry.record_outcomes(&[new], "ehr", &act).unwrap();
    }
    for limit in [1, 2, 10] {
        let (mut read, mut last) = (Vec::new(), None);
        loop {
            let mut page = registry.outcomes_recorded(at(1), at(9), last.as_ref(), limit).unwrap();
            assert!(page.len() <= limit as usize);
            read.extend(page.iter().map(|outcome| outcome.prediction_id.clone()));
            let Some(newest) = page.pop() else { break };
            last = Some(newest);
        }
        // `e` became known at the end, which is without; of `a` the correction counts.
        assert_eq!(read, ["b", "c", "d", "a"], "{limit}");
    }
}
