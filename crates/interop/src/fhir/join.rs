//! Everything that is known of one patient -> the rows that the plan makes of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use clinical::{Issue, IssueCode};

use super::{
    date::{self, DAY},
    fact::{Diagnosis, Fact, Found, Person, Reading, Visit, What},
    plan::{Plan, Source},
    sorter::Facts,
};
use crate::{
    built::{BuiltRecord, Place, Shared, Value},
    mapping::{CaseOf, Choose, ConditionDate, ObservedValue},
};

/// Resources named in a row's text, at most.
const NAMED: usize = 32;

/// One patient's facts, the newest version of each resource.
#[derive(Default)]
struct Known {
    person: Option<(Place, Person)>,
    readings: Vec<(Place, Reading)>,
    conditions: Vec<(Place, Diagnosis)>,
    visits: Vec<(Place, Visit)>,
}

/// What a case is made around.
struct Case<'k> {
    id: String,
    place: Place,
    /// First and last day of what the case is about, since 1970; `None`: no date is known.
    days: Option<(i64, i64)>,
    at: Option<i64>,
    conditions: Vec<&'k (Place, Diagnosis)>,
    class: Option<String>,
}

/// The rows of one patient.
pub(super) fn rows(plan: &Plan, shared: &Arc<Shared>, facts: Facts) -> Vec<BuiltRecord> {
    let first = facts.facts.first().map(|fact| fact.place).unwrap_or_default();
    let too_many = facts.too_many;
    let mut known = newest(facts.facts);
    let Some((person_place, person)) = known.person.take() else {
        if known.readings.is_empty() && known.conditions.is_empty() && known.visits.is_empty() {
            return Vec::new();
        }
        let issue = Issue::new("Patient", IssueCode::Missing)
            .expecting("el recurso Patient al que se refieren", "the Patient resource that is referred to");
        return vec![bare(plan, shared, first, issue)];
    };
    if too_many {
        let issue = Issue::new("Patient", IssueCode::OutOfRange)
            .expecting("como mucho 64 MiB de recursos por paciente", "at most 64 MiB of resources a patient");
        return vec![bare(plan, shared, person_place, issue)];
    }
    let cases = cases(plan, &person, person_place, &known);
    cases.into_iter().map(|case| row(plan, shared, (person_place, &person), &known, &case)).collect()
}

/// A row of nothing but what is wrong.
fn bare(plan: &Plan, shared: &Arc<Shared>, place: Place, issue: Issue) -> BuiltRecord {
    BuiltRecord {
        shared: shared.clone(),
        place,
        values: vec![Value::Missing; plan.header.len()],
        used: vec![place],
        issues: vec![issue],
    }
}

/// Keeps of each resource its newest version: by `lastUpdated`, then by where it stands.
fn newest(facts: Vec<Fact>) -> Known {
    let mut versions: HashMap<u64, (i64, Place)> = HashMap::new();
    for fact in facts.iter().filter(|fact| fact.resource != 0) {
        let version = (fact.updated, fact.place);
        versions.entry(fact.resource).and_modify(|known| *known = (*known).max(version)).or_insert(version);
    }
    let mut known = Known::default();
    for fact in facts {
        let current = |version: &(i64, Place)| *version == (fact.updated, fact.place);
        if fact.resource != 0 && !versions.get(&fact.resource).is_some_and(current) {
            continue;
        }
        match fact.what {
            What::Nothing => {}
            What::Patient(person) => known.person = Some((fact.place, person)),
            What::Reading(reading) => known.readings.push((fact.place, reading)),
            What::Condition(condition) => known.conditions.push((fact.place, *condition)),
            What::Encounter(visit) => known.visits.push((fact.place, visit)),
        }
    }
    known.readings.sort_by_key(|(place, reading)| (reading.at, *place));
    known
}

fn cases<'k>(plan: &Plan, person: &Person, place: Place, known: &'k Known) -> Vec<Case<'k>> {
    let one_day = |at: Option<i64>| at.map(|at| (date::day(at), date::day(at)));
    let of_patient = || {
        let passing = |(_, reading): &&(Place, Reading)| {
            plan.values.get(usize::from(reading.value)).is_some_and(|value| !value.lasting)
        };
        let last = known.readings.iter().filter(passing).filter_map(|(_, reading)| reading.at).max();
        let at = plan.rules.at.or(last);
        let stamp = at.and_then(crate::instant::format).unwrap_or_else(|| "undated".to_owned());
        Case {
            id: format!("Patient/{}@{stamp}", person.id),
            place,
            days: one_day(at),
            at,
            conditions: Vec::new(),
            class: None,
        }
    };
    match plan.rules.case {
        CaseOf::Patient => {
            let case = of_patient();
            let day = plan.rules.at.map(date::day);
            let until = |(_, condition): &&(Place, Diagnosis)| {
                let began = dated(plan, condition).map(date::day);
                day.is_none_or(|day| began.is_none_or(|began| began <= day))
            };
            vec![Case { conditions: known.conditions.iter().filter(until).collect(), ..case }]
        }
        CaseOf::Condition if known.conditions.is_empty() && plan.rules.without_condition => {
            vec![of_patient()]
        }
        CaseOf::Condition => known
            .conditions
            .iter()
            .map(|found| {
                let (place, condition) = found;
                let at = dated(plan, condition);
                let id = match condition.id.as_str() {
                    "" => format!("Condition/{}:{}", shared_line(*place), person.id),
                    id => format!("Condition/{id}"),
                };
                Case { id, place: *place, days: one_day(at), at, conditions: vec![found], class: None }
            })
            .collect(),
        CaseOf::Encounter => known
            .visits
            .iter()
            .map(|(place, visit)| {
                let start = visit.start.or(visit.end);
                let days = start.map(|start| (date::day(start), date::day(visit.end.unwrap_or(start))));
                let own = known.conditions.iter().filter(|(_, one)| one.encounter == Some(visit.key));
                Case {
                    id: format!("Encounter/{}", visit.id),
                    place: *place,
                    days,
                    at: start,
                    conditions: own.collect(),
                    class: visit.class.clone(),
                }
            })
            .collect(),
    }
}

fn shared_line(place: Place) -> String {
    format!("{}.{}", place.line, place.index)
}

fn dated(plan: &Plan, condition: &Diagnosis) -> Option<i64> {
    plan.rules.condition_date.iter().find_map(|date| match date {
        ConditionDate::Recorded => condition.recorded,
        ConditionDate::Onset => condition.onset,
    })
}

fn row(
    plan: &Plan,
    shared: &Arc<Shared>,
    person: (Place, &Person),
    known: &Known,
    case: &Case<'_>,
) -> BuiltRecord {
    let (person_place, person) = person;
    let mut record = BuiltRecord {
        shared: shared.clone(),
        place: case.place,
        values: vec![Value::Missing; plan.header.len()],
        used: vec![person_place],
        issues: Vec::new(),
    };
    let mut observed = vec![Value::Missing; plan.values.len()];
    for group in &plan.groups {
        observe(plan, group, known, case.days, &mut observed, &mut record);
    }
    for (column, source) in plan.sources.iter().enumerate() {
        record.values[column] = own_value(*source, person, case, &observed);
        let age = matches!(source, Source::AgeYears | Source::AgeDays);
        if age && person.birth_is_partial {
            record.issues.push(
                Issue::new(&plan.header[column], IssueCode::WrongType)
                    .expecting("una fecha de nacimiento con día", "a birth date with its day"),
            );
        }
    }
    record.issues.retain(|issue| !issue.field.starts_with("patient."));
    decide(plan, case, &mut record);
    record.used.truncate(NAMED);
    record
}

fn own_value(source: Source, person: &Person, case: &Case<'_>, observed: &[Value]) -> Value {
    let age = |of: &dyn Fn(i64, i64) -> Option<i64>| match (person.birth, case.at) {
        (Some(birth), Some(at)) => of(birth, at).map_or(Value::Missing, Value::Integer),
        _ => Value::Missing,
    };
    match source {
        Source::CaseId => Value::Text(case.id.clone()),
        Source::PatientId => Value::Text(person.id.clone()),
        Source::CaseDate => case.at.map_or(Value::Missing, Value::Instant),
        Source::Gender => person.gender.clone().into(),
        Source::AgeYears => age(&date::completed_years),
        Source::AgeDays => age(&|birth, at| Some((at - birth).div_euclid(DAY)).filter(|days| *days >= 0)),
        // What only a phenopacket has.
        Source::Findings => Value::Missing,
        Source::EncounterClass => case.class.clone().into(),
        Source::Extension(place) => person.extensions.get(place).cloned().flatten().into(),
        Source::Value(place) => observed.get(place).cloned().unwrap_or(Value::Missing),
        Source::ConditionCode
        | Source::ClinicalStatus
        | Source::VerificationStatus
        | Source::ConditionSeverity
        | Source::ConditionRecorded
        | Source::ConditionOnset
        | Source::ConditionDays => Value::Missing,
    }
}

fn of_condition(source: Source, condition: &Diagnosis, code: &str) -> Option<Value> {
    let instant = |at: Option<i64>| at.map_or(Value::Missing, Value::Instant);
    Some(match source {
        Source::ConditionCode => Value::Text(code.to_owned()),
        Source::ClinicalStatus => condition.clinical.clone().into(),
        Source::VerificationStatus => condition.verification.clone().into(),
        Source::ConditionSeverity => condition.severity.clone().into(),
        Source::ConditionRecorded => instant(condition.recorded),
        Source::ConditionOnset => instant(condition.onset),
        Source::ConditionDays => match (condition.onset.or(condition.recorded), condition.abated) {
            (Some(onset), Some(abated)) => Value::Integer((abated - onset).div_euclid(DAY)),
            _ => Value::Missing,
        },
        _ => return None,
    })
}

/// Of all codes of all conditions of the case, the one that the earliest outcome rule knows; the newest
/// condition's first code where none is known.
fn decide(plan: &Plan, case: &Case<'_>, record: &mut BuiltRecord) {
    let mut best: Option<(usize, Vec<Value>, Place)> = None;
    let mut conditions = case.conditions.clone();
    conditions.sort_by_key(|(place, condition)| std::cmp::Reverse((dated(plan, condition), *place)));
    for (place, condition) in conditions {
        for code in &condition.codes {
            let mut values = record.values.clone();
            for (column, source) in plan.sources.iter().enumerate() {
                if let Some(value) = of_condition(*source, condition, code) {
                    values[column] = value;
                }
            }
            let cell = |column: usize| {
                let place = plan.mapped.get(column).copied().flatten();
                place.and_then(|place| values.get(place)).map_or(crate::cell::Cell::Missing, Value::cell)
            };
            let rule =
                plan.outcomes.iter().position(|rule| rule.when.as_ref().is_none_or(|when| when.holds(cell)));
            let rule = rule.unwrap_or(usize::MAX);
            if best.as_ref().is_none_or(|(least, _, _)| rule < *least) {
                best = Some((rule, values, *place));
            }
        }
    }
    if let Some((_, values, place)) = best {
        record.values = values;
        record.used.push(place);
    }
}

/// Readings of one moment, one place per member of the group.
struct Moment<'k> {
    found: Vec<Option<&'k Found>>,
    places: Vec<Place>,
    /// A member with two different readings.
    conflict: Option<usize>,
}

/// Fills the values of one group from the readings that its window holds.
fn observe(
    plan: &Plan,
    group: &[usize],
    known: &Known,
    days: Option<(i64, i64)>,
    observed: &mut [Value],
    record: &mut BuiltRecord,
) {
    let moments = moments(plan, group, known, days);
    let whole: Vec<&Moment<'_>> =
        moments.values().filter(|moment| moment.found.iter().all(Option::is_some)).collect();
    let rule = &plan.values[group[0]];
    let chosen: Vec<&Moment<'_>> = match rule.choose {
        Choose::Last => whole.last().copied().into_iter().collect(),
        Choose::First => whole.first().copied().into_iter().collect(),
        Choose::Mean | Choose::Least | Choose::Greatest => whole.clone(),
    };
    let lasting_conflict = rule.lasting && whole.windows(2).any(|pair| pair[0].found != pair[1].found);
    let conflict = chosen.iter().find_map(|moment| moment.conflict);
    if let Some(member) = conflict.or(lasting_conflict.then_some(0)) {
        return record.issues.push(conflicting(&plan.values[group[member]]));
    }
    if whole.is_empty() {
        return apart(plan, group, &moments, observed, record);
    }
    for (member, &value) in group.iter().enumerate() {
        let found = chosen.iter().filter_map(|moment| moment.found.get(member).copied().flatten());
        observed[value] = combined(&plan.values[value], found);
    }
    record.used.extend(chosen.iter().flat_map(|moment| &moment.places).take(NAMED));
}

fn moments<'k>(
    plan: &Plan,
    group: &[usize],
    known: &'k Known,
    days: Option<(i64, i64)>,
) -> BTreeMap<Option<i64>, Moment<'k>> {
    let mut moments: BTreeMap<Option<i64>, Moment<'k>> = BTreeMap::new();
    for (place, reading) in &known.readings {
        let Some(member) = group.iter().position(|&value| value == usize::from(reading.value)) else {
            continue;
        };
        if !in_window(&plan.values[usize::from(reading.value)], reading.at, days) {
            continue;
        }
        let moment = moments.entry(reading.at).or_insert_with(|| Moment {
            found: vec![None; group.len()],
            places: Vec::new(),
            conflict: None,
        });
        match moment.found[member] {
            Some(other) if *other != reading.found => moment.conflict = moment.conflict.or(Some(member)),
            _ => moment.found[member] = Some(&reading.found),
        }
        if moment.places.last() != Some(place) {
            moment.places.push(*place);
        }
    }
    moments
}

fn in_window(rule: &ObservedValue, at: Option<i64>, days: Option<(i64, i64)>) -> bool {
    if rule.lasting {
        return true;
    }
    let (Some(at), Some((first, last))) = (at, days) else {
        return false;
    };
    let day = date::day(at);
    day <= last + i64::from(rule.days_after)
        && rule.days_before.is_none_or(|before| day >= first - i64::from(before))
}

/// No moment has all members of the group: each alone is missing, and together they are no pair.
fn apart(
    plan: &Plan,
    group: &[usize],
    moments: &BTreeMap<Option<i64>, Moment<'_>>,
    observed: &mut [Value],
    record: &mut BuiltRecord,
) {
    let has = |member: usize| moments.values().any(|moment| moment.found[member].is_some());
    if group.len() > 1 && (0..group.len()).all(has) {
        let issue = Issue::new(&plan.values[group[0]].name, IssueCode::Inconsistent)
            .expecting("medida en el mismo momento que su pareja", "measured at the same time as its pair");
        return record.issues.push(issue);
    }
    for (member, &value) in group.iter().enumerate() {
        let last = moments.values().rev().find_map(|moment| moment.found[member]);
        observed[value] = combined(&plan.values[value], last.into_iter());
    }
}

/// The readings as one value; texts cannot be averaged, the last one stands.
fn combined<'f>(rule: &ObservedValue, found: impl Iterator<Item = &'f Found>) -> Value {
    let mut numbers = Vec::new();
    let mut text = None;
    for one in found {
        match one {
            Found::Number(number) => numbers.push(*number),
            Found::Text(written) => text = Some(written.clone()),
        }
    }
    let Some(&last) = numbers.last() else {
        return text.into();
    };
    let number = match rule.choose {
        Choose::Last | Choose::First => last,
        Choose::Mean => numbers.iter().sum::<f64>() / numbers.len() as f64,
        Choose::Least => numbers.iter().copied().fold(f64::INFINITY, f64::min),
        Choose::Greatest => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    };
    Value::Real(if rule.round { number.round() } else { number })
}

fn conflicting(rule: &ObservedValue) -> Issue {
    Issue::new(&rule.name, IssueCode::Inconsistent).expecting(
        "un solo valor: hay dos distintos a la vez",
        "one value: there are two different ones at once",
    )
}
