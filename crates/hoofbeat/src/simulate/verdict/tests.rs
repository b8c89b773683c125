use time::macros::{date, datetime};
use time::{OffsetDateTime, Time};

use super::super::plan::Scenario;
use super::super::timeline::{Look, Training};
use super::*;

fn at(day: Date) -> OffsetDateTime {
    OffsetDateTime::new_utc(day, Time::from_hms(6, 0, 0).unwrap())
}

/// A year without a flaw, of a hospital to which everything happens.
fn flawless(plan: &Plan) -> Timeline {
    let mut timeline = Timeline::default();
    for (day, kind) in owed(plan) {
        timeline.trainings.push(Training {
            slot: format!("{kind}@{day}T03:00Z"),
            at: at(day),
            succeeded: true,
        });
    }
    let mondays = plan.days().filter(|day| day.weekday() == time::Weekday::Monday);
    timeline.looks = mondays.map(|day| Look { at: at(day), raised: Vec::new() }).collect();
    raise(&mut timeline, date!(2026 - 06 - 15), "quality.swapped", DEVICE_AT);
    raise(&mut timeline, date!(2026 - 09 - 21), "drift.feature", "everybody:blood_pressure");
    timeline
}

fn raise(timeline: &mut Timeline, day: Date, rule: &str, subject: &str) {
    timeline.alerts.push(Raised { at: at(day), rule: rule.to_owned(), subject: subject.to_owned() });
}

fn exact(f1_common: f64, log_loss: f64) -> Exact {
    Exact { f1_common, orphan_recall: 0.8, log_loss, new_disease_recall: 0.5 }
}

fn challenge(mode: &str, promoted: bool, exact: [Exact; 2]) -> Challenge {
    Challenge {
        at: datetime!(2026-02-01 06:00 UTC),
        mode: mode.to_owned(),
        champion: "m-0001".parse().unwrap(),
        challenger: "m-0002".parse().unwrap(),
        promoted,
        because: Vec::new(),
        exact,
    }
}

struct Seen {
    timeline: Timeline,
    recalls: Vec<Recall>,
    at_random: Option<Search>,
    carelessness: Carelessness,
}

/// What a promise whose name has the word says.
fn of(plan: &Plan, seen: &Seen, word: &str) -> Option<bool> {
    let search = Search::of(&seen.recalls, 0.7, &Reviewed::default());
    let verdict = judge(&Evidence {
        plan,
        study: Study::default_study(),
        timeline: &seen.timeline,
        recalls: &seen.recalls,
        search: &search,
        at_random: seen.at_random.as_ref(),
        carelessness: seen.carelessness,
        window_days: 30,
    });
    let found: Vec<&Promise> = verdict.iter().filter(|promise| promise.promise.contains(word)).collect();
    assert_eq!((verdict.len(), found.len()), (8, 1), "{word}");
    found[0].holds
}

fn good(plan: &Plan) -> Seen {
    let recall = |day, validated, reviews, recall| Recall { day, validated, reviews, recall };
    Seen {
        timeline: flawless(plan),
        recalls: vec![recall(date!(2026 - 03 - 01), 0, 0, 0.5), recall(date!(2026 - 03 - 25), 6, 100, 0.74)],
        at_random: Some(Search { reached_after: Some(200), reviews: 200, found_new: Vec::new() }),
        carelessness: Carelessness { reports: 600, marked: 600, wrong_cases: 0 },
    }
}

const WORDS: [&str; 7] =
    ["rise", "without a change", "device", "their days", "new orphan", "at random", "careless"];

#[test]
fn a_year_without_a_flaw_keeps_every_promise() {
    let plan = Plan::of(Scenario::All, 12);
    let seen = good(&plan);
    for word in WORDS {
        assert_eq!(of(&plan, &seen, word), Some(true), "{word}");
    }
    assert_eq!(of(&plan, &seen, "worse challenger"), None, "nobody challenged");
    assert_eq!(owed(&plan).len(), 11 + 4);
    // What does not happen shows nothing.
    let calm = Plan::of(Scenario::Calm, 12);
    for word in ["rise", "device", "new orphan", "careless"] {
        assert_eq!(of(&calm, &seen, word), None, "{word}");
    }
}

#[test]
fn each_flaw_breaks_its_promise_and_no_other() {
    let plan = Plan::of(Scenario::All, 12);
    type Flaw = (&'static str, fn(&mut Seen));
    let flaws: [Flaw; 9] = [
        ("rise", |seen| seen.timeline.alerts[1].at = at(date!(2026 - 10 - 02))),
        ("rise", |seen| seen.timeline.alerts[1].subject = "everybody:age".to_owned()),
        ("without a change", |seen| {
            for day in [date!(2026 - 01 - 12), date!(2026 - 02 - 09)] {
                raise(&mut seen.timeline, day, "drift.feature", "everybody:age");
            }
        }),
        ("device", |seen| raise(&mut seen.timeline, date!(2026 - 10 - 05), "quality.swapped", "ward")),
        ("their days", |seen| seen.timeline.trainings[3].at = at(date!(2026 - 04 - 03))),
        ("their days", |seen| seen.timeline.trainings[3].succeeded = false),
        ("new orphan", |seen| seen.recalls[1].validated = 11),
        ("at random", |seen| seen.at_random.as_mut().unwrap().reached_after = Some(199)),
        ("careless", |seen| seen.carelessness.wrong_cases = 1),
    ];
    for (number, (word, flaw)) in flaws.into_iter().enumerate() {
        let mut seen = good(&plan);
        flaw(&mut seen);
        for other in WORDS {
            assert_eq!(of(&plan, &seen, other), Some(other != word), "flaw {number}: {other}");
        }
    }
}

#[test]
fn a_challenger_is_worse_where_it_loses_more_than_the_study_allows() {
    let plan = Plan::of(Scenario::Calm, 12);
    for (mode, promoted, after, expected) in [
        ("full", true, exact(0.885, 0.21), Some(true)),
        ("full", true, exact(0.875, 0.20), Some(false)),
        ("full", false, exact(0.875, 0.20), Some(true)),
        ("orphan", true, exact(0.875, 0.20), Some(true)),
        ("incremental", true, exact(0.90, 0.225), Some(false)),
    ] {
        let mut seen = good(&plan);
        seen.timeline.challenges.push(challenge(mode, promoted, [exact(0.89, 0.20), after]));
        assert_eq!(of(&plan, &seen, "worse challenger"), expected, "{mode} {promoted} {after:?}");
    }
}
