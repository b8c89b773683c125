//! Verdict: what the circle promises, held against what was seen.

use clinical::Study;
use clinical::study::Cycle;
use serde::Serialize;
use time::{Date, Duration, Month};

use super::exact::Exact;
use super::plan::{Plan, What, written};
use super::reviewer::Reviewed;
use super::timeline::{Challenge, Raised, Timeline};
use super::world::DEVICE_AT;

/// Share of the looks at unchanged patients that may raise an alert: the false discovery rate of one look.
const FALSE_ALARMS: f64 = 0.05;
/// Confirmed cases of a new orphan disease after which its patients are found.
const VALIDATED_CASES: u64 = 10;
/// How many times as many reviews a choice at random needs.
const AT_LEAST_TIMES: f64 = 2.0;

/// One promise.
#[derive(Debug, Clone, Serialize)]
pub struct Promise {
    pub promise: &'static str,
    /// None where nothing in this simulation could show it.
    pub holds: Option<bool>,
    /// What was seen, in a sentence.
    pub because: String,
}

/// How far the recall of the new disease had come when a champion took its place.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Recall {
    #[serde(serialize_with = "written")]
    pub day: Date,
    /// Confirmed cases of it.
    pub validated: u64,
    /// Reviews since it appeared.
    pub reviews: u64,
    /// Exactly, over all its patients.
    pub recall: f64,
}

/// What a way of choosing reviews took to reach the recall target.
#[derive(Debug, Clone, Serialize)]
pub struct Search {
    /// Reviews until the target was reached; none where it was not.
    pub reached_after: Option<u64>,
    /// Reviews in all since the disease appeared.
    pub reviews: u64,
    pub found_new: Vec<u64>,
}

/// What a careless user's reports led to.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Carelessness {
    pub reports: u64,
    /// Of them those that a reviewer sees marked as one of a flood.
    pub marked: u64,
    /// Cases in the data whose label is not what is true.
    pub wrong_cases: u64,
}

/// What is judged.
pub(super) struct Evidence<'a> {
    pub plan: &'a Plan,
    pub study: &'a Study,
    pub timeline: &'a Timeline,
    pub recalls: &'a [Recall],
    pub search: &'a Search,
    /// The same with reviews chosen at random.
    pub at_random: Option<&'a Search>,
    pub carelessness: Carelessness,
    pub window_days: u32,
}

impl Search {
    pub(super) fn of(recalls: &[Recall], target: f64, reviewed: &Reviewed) -> Search {
        let reached = recalls.iter().find(|at| at.recall >= target);
        Search {
            reached_after: reached.map(|at| at.reviews),
            reviews: reviewed.since_new,
            found_new: reviewed.found_new.clone(),
        }
    }
}

pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Promise> {
    vec![
        pressure(evidence),
        false_alarms(evidence),
        device(evidence),
        days(evidence),
        never_worse(evidence),
        new_disease(evidence),
        random_needs_more(evidence),
        careless(evidence),
    ]
}

fn promise(promise: &'static str, holds: Option<bool>, because: String) -> Promise {
    Promise { promise, holds, because }
}

fn not_shown(name: &'static str, what: &str) -> Promise {
    promise(name, None, format!("{what} is not part of this simulation"))
}

fn is_about_pressure(alert: &Raised) -> bool {
    let name = alert.subject.rsplit(':').next().unwrap_or_default();
    alert.rule == "drift.feature" && matches!(name, "blood_pressure" | "systolic_mmhg" | "diastolic_mmhg")
}

fn pressure(evidence: &Evidence<'_>) -> Promise {
    const NAME: &str = "a rise of blood pressure is alerted within its month";
    let Some(event) = evidence.plan.event(What::Pressure) else { return not_shown(NAME, "a rise") };
    let month = next_month(event.from);
    let first = evidence
        .timeline
        .alerts
        .iter()
        .find(|alert| is_about_pressure(alert) && alert.at.date() >= event.from);
    match first {
        Some(alert) => {
            let (at, after) = (alert.at.date(), (alert.at.date() - event.from).whole_days());
            let because = format!(
                "it began on {}, the alert {} came on {at}, after {after} days",
                event.from, alert.subject
            );
            promise(NAME, Some(at < month), because)
        }
        None => promise(NAME, Some(false), format!("it began on {} and was never alerted", event.from)),
    }
}

/// Whether something that happened explains an alert.
fn is_explained(alert: &Raised, evidence: &Evidence<'_>) -> bool {
    let day = alert.at.date();
    let window = Duration::days(evidence.window_days.into());
    evidence.plan.events.iter().any(|event| {
        let felt = event.from <= day && day < event.until + window;
        felt && match event.what {
            What::Pressure => true,
            What::Device => alert.rule.starts_with("quality.") && alert.subject == DEVICE_AT,
            What::Orphan => alert.rule == "drift.answer" || alert.rule == "calibration",
            What::Careless => false,
        }
    })
}

fn false_alarms(evidence: &Evidence<'_>) -> Promise {
    const NAME: &str = "without a change at most the declared share of looks raises an alert";
    // From a rise on everything is changed.
    let changed = evidence.plan.event(What::Pressure).map(|event| event.from);
    let is_quiet = |day: Date| changed.is_none_or(|from| day < from);
    let looks = evidence.timeline.looks.iter().filter(|look| is_quiet(look.at.date())).count();
    let false_ones: Vec<&Raised> = (evidence.timeline.alerts.iter())
        .filter(|alert| is_quiet(alert.at.date()) && !is_explained(alert, evidence))
        .collect();
    let days: std::collections::BTreeSet<Date> = false_ones.iter().map(|alert| alert.at.date()).collect();
    if looks == 0 {
        return promise(NAME, None, "there was no look at unchanged patients".to_owned());
    }
    let share = days.len() as f64 / looks as f64;
    let named: Vec<String> = false_ones
        .iter()
        .map(|alert| format!("{} {} on {}", alert.rule, alert.subject, alert.at.date()))
        .collect();
    let named = if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) };
    let because = format!(
        "{} of {looks} looks ({:.1} %; declared {:.0} %){named}",
        days.len(),
        100.0 * share,
        100.0 * FALSE_ALARMS
    );
    promise(NAME, Some(share <= FALSE_ALARMS), because)
}

fn device(evidence: &Evidence<'_>) -> Promise {
    const NAME: &str = "a device that exchanges pressures is named by its source, and no other is";
    let Some(event) = evidence.plan.event(What::Device) else { return not_shown(NAME, "a broken device") };
    let named: Vec<&Raised> =
        evidence.timeline.alerts.iter().filter(|alert| alert.rule == "quality.swapped").collect();
    let first = named.iter().find(|alert| alert.subject == DEVICE_AT && event.from <= alert.at.date());
    let others = named.iter().filter(|alert| alert.subject != DEVICE_AT).count();
    let because = match first {
        Some(alert) => format!(
            "{DEVICE_AT} from {}: named on {}, after {} days; {others} other sources named",
            event.from,
            alert.at.date(),
            (alert.at.date() - event.from).whole_days()
        ),
        None => format!("{DEVICE_AT} from {}: not named; {others} other sources named", event.from),
    };
    promise(NAME, Some(first.is_some() && others == 0), because)
}

/// The days on which the simulated hospital's schedules owe trainings: the first of every month, the second of every quarter.
pub(super) fn owed(plan: &Plan) -> Vec<(Date, &'static str)> {
    let of_day = |day: Date| match (day.day(), u8::from(day.month()) % 3) {
        (1, _) => Some((day, "incremental")),
        (2, 1) => Some((day, "full")),
        _ => None,
    };
    // What lies before the schedules began is not owed.
    plan.days().skip(1).filter_map(of_day).collect()
}

fn days(evidence: &Evidence<'_>) -> Promise {
    const NAME: &str = "monthly and quarterly trainings run on their days";
    let owed = owed(evidence.plan);
    if owed.is_empty() {
        return promise(NAME, None, "no training was owed".to_owned());
    }
    let trainings = &evidence.timeline.trainings;
    let ran = |(day, kind): &&(Date, &str)| {
        let slot = format!("{kind}@{day}");
        let of_slot: Vec<_> = trainings.iter().filter(|training| training.slot.starts_with(&slot)).collect();
        matches!(of_slot.as_slice(), [one] if one.succeeded && one.at.date() == *day)
    };
    let missing: Vec<String> =
        owed.iter().filter(|slot| !ran(slot)).map(|(day, kind)| format!("{kind} of {day}")).collect();
    let because = match missing.is_empty() {
        true => format!("all {} on their days", owed.len()),
        false => format!("{} of {} did not: {}", missing.len(), owed.len(), missing.join(", ")),
    };
    promise(NAME, Some(missing.is_empty() && trainings.len() == owed.len()), because)
}

/// By how much a challenger is worse than the champion beyond what the study allows: the figures that are.
fn worse(challenge: &Challenge, plan: &Cycle, false_alarms: f64) -> Vec<String> {
    let [before, after]: &[Exact; 2] = &challenge.exact;
    let allowed = &plan.worse_by;
    // The alarms of new diseases cost the others something, as the study has said.
    let f1 = allowed.f1_common + if challenge.mode == "orphan" { false_alarms } else { 0.0 };
    [
        ("F1 common", before.f1_common - after.f1_common, f1),
        ("orphan recall", before.orphan_recall - after.orphan_recall, allowed.orphan_recall),
        ("log loss", after.log_loss - before.log_loss, allowed.log_loss),
    ]
    .into_iter()
    .filter(|(_, lost, allowed)| lost > allowed)
    .map(|(name, lost, allowed)| format!("{name} by {lost:.4} (allowed {allowed})"))
    .collect()
}

fn never_worse(evidence: &Evidence<'_>) -> Promise {
    const NAME: &str = "a worse challenger is never promoted";
    let challenges = &evidence.timeline.challenges;
    if challenges.is_empty() {
        return promise(NAME, None, "there was no challenger".to_owned());
    }
    let (plan, alarms) = (&evidence.study.cycle, evidence.study.few_shot.false_alarms);
    let found: Vec<(&Challenge, Vec<String>)> =
        challenges.iter().map(|challenge| (challenge, worse(challenge, plan, alarms))).collect();
    let of = |promoted: bool| found.iter().filter(move |(challenge, _)| challenge.promoted == promoted);
    let wrong: Vec<String> = of(true)
        .filter(|(_, worse)| !worse.is_empty())
        .map(|(challenge, worse)| {
            format!("{} on {}: {}", challenge.challenger, challenge.at.date(), worse.join(", "))
        })
        .collect();
    let worse_held = of(false).filter(|(_, worse)| !worse.is_empty()).count();
    let because = format!(
        "{} challengers: {} promoted, {} of them worse beyond the study's margins; {} held, {worse_held} of them worse{}",
        challenges.len(),
        of(true).count(),
        wrong.len(),
        of(false).count(),
        if wrong.is_empty() { String::new() } else { format!(" ({})", wrong.join("; ")) }
    );
    promise(NAME, Some(wrong.is_empty()), because)
}

fn new_disease(evidence: &Evidence<'_>) -> Promise {
    const NAME: &str =
        "a new orphan disease reaches the recall target after the declared number of confirmed cases";
    let Some(event) = evidence.plan.event(What::Orphan) else { return not_shown(NAME, "a new disease") };
    let target = evidence.study.targets.orphan_recall;
    let before = evidence.recalls.first().map_or(0.0, |at| at.recall);
    let now = evidence.recalls.last().map_or(0.0, |at| at.recall);
    match evidence.recalls.iter().find(|at| at.recall >= target) {
        Some(at) => {
            let because = format!(
                "recall {before:.2} when it appeared on {}, {:.2} on {} after {} confirmed cases (declared {VALIDATED_CASES}) and \
                 {} reviews; {now:.2} at the end",
                event.from, at.recall, at.day, at.validated, at.reviews
            );
            promise(NAME, Some(at.validated <= VALIDATED_CASES), because)
        }
        None => {
            let validated = evidence.search.found_new.len();
            let because =
                format!("recall {before:.2} at first, {now:.2} at the end after {validated} confirmed cases");
            // Too few cases to ask for it show nothing.
            promise(NAME, (validated as u64 >= VALIDATED_CASES).then_some(false), because)
        }
    }
}

fn random_needs_more(evidence: &Evidence<'_>) -> Promise {
    const NAME: &str = "a choice of reviews at random needs at least twice as many";
    let Some(random) = evidence.at_random else {
        return not_shown(NAME, "a second hospital that chooses at random");
    };
    let Some(active) = evidence.search.reached_after else {
        return promise(NAME, Some(false), "active learning did not reach the recall target".to_owned());
    };
    if active == 0 {
        return promise(NAME, None, "the new disease was found before anybody reviewed anything".to_owned());
    }
    let needed = random.reached_after.unwrap_or(random.reviews);
    let more = if random.reached_after.is_none() { "more than " } else { "" };
    let times = needed as f64 / active as f64;
    let because = format!(
        "until the recall target: {active} reviews, at random {more}{needed} ({more}{times:.1} times)"
    );
    promise(NAME, Some(times >= AT_LEAST_TIMES), because)
}

fn careless(evidence: &Evidence<'_>) -> Promise {
    const NAME: &str = "a careless user's reports change nothing and are shown as a flood";
    if evidence.plan.event(What::Careless).is_none() {
        return not_shown(NAME, "a careless user");
    }
    let Carelessness { reports, marked, wrong_cases } = evidence.carelessness;
    let because = format!(
        "{reports} wrong reports, {marked} of them marked as a flood; {wrong_cases} wrong labels in the data"
    );
    promise(NAME, Some(wrong_cases == 0 && marked == reports && reports > 0), because)
}

fn next_month(day: Date) -> Date {
    let (year, month) = match day.month() {
        Month::December => (day.year() + 1, Month::January),
        month => (day.year(), month.next()),
    };
    // A month later: within it is before that day.
    Date::from_calendar_date(year, month, day.day().min(month.length(year))).unwrap_or(Date::MAX)
}

#[cfg(test)]
mod tests;
