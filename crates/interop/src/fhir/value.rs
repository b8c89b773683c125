//! `value[x]` -> the number or code that a rule asks for, in the unit it asks for. Nothing is guessed.

use clinical::{Issue, IssueCode};

use super::{
    fact::Found,
    read::missing,
    resource::{AnyValue, Concept, Leaf, Quantity},
};
use crate::{cell::written_number, mapping::ObservedValue};

/// The value that a rule finds; `None` where it is said to be absent.
pub(crate) fn reading(rule: &ObservedValue, value: &AnyValue) -> Result<Option<Found>, Issue> {
    if let Some(quantity) = &value.value_quantity {
        return measured(rule, quantity);
    }
    if let Some(concept) = &value.value_codeable_concept {
        return coded(rule, concept).map(Some);
    }
    if let Some(leaf) = value.value_integer.as_ref() {
        return match leaf {
            Leaf::Number(number) => in_unit(rule, *number, &[""]).map(Some),
            _ => Err(not_a_number(rule)),
        };
    }
    if let Some(text) = value.value_string.as_ref().or(value.value_boolean.as_ref()) {
        let Some(text) = text.written() else {
            return Err(Issue::new(&rule.name, IssueCode::WrongType).expecting("un texto", "text"));
        };
        if rule.text_is_number {
            let number = written_number(text.trim()).ok_or_else(|| not_a_number(rule))?;
            return in_unit(rule, number, &[""]).map(Some);
        }
        return recoded(rule, None, text.trim()).map(Some);
    }
    Ok(None)
}

fn measured(rule: &ObservedValue, quantity: &Quantity) -> Result<Option<Found>, Issue> {
    let number = match quantity.value {
        Leaf::Missing => return Ok(None),
        Leaf::Number(number) => number,
        _ => return Err(not_a_number(rule)),
    };
    if quantity.comparator.is_some() {
        return Err(Issue::new(&rule.name, IssueCode::Inconsistent)
            .expecting("un valor exacto, sin comparador", "an exact value, without a comparator"));
    }
    let given: Vec<&str> =
        [&quantity.code, &quantity.unit].into_iter().flatten().map(String::as_str).collect();
    in_unit(rule, number, if given.is_empty() { &[""] } else { &given }).map(Some)
}

/// The number in the rule's unit; a unit that the mapping does not name is not guessed.
fn in_unit(rule: &ObservedValue, number: f64, given: &[&str]) -> Result<Found, Issue> {
    let mut units = given.iter().map(|&unit| if unit == "1" { "" } else { unit });
    let factor = match units.clone().any(|unit| rule.unit.iter().any(|known| known == unit)) {
        true => Some(1.0),
        false => units
            .find_map(|unit| rule.units.iter().find(|(known, _)| known == unit))
            .map(|(_, factor)| *factor),
    };
    let Some(factor) = factor else {
        let known = rule.unit.iter().chain(rule.units.iter().map(|(unit, _)| unit));
        let known: Vec<&str> = known.map(|unit| if unit.is_empty() { "1" } else { unit }).collect();
        let known = known.join(", ");
        return Err(Issue::new(&rule.name, IssueCode::UnknownCode)
            .expecting(format!("la unidad {known}"), format!("the unit {known}")));
    };
    let number = number * factor;
    Ok(Found::Number(if rule.round { number.round() } else { number }))
}

fn coded(rule: &ObservedValue, concept: &Concept) -> Result<Found, Issue> {
    let codes =
        concept.coding.iter().filter_map(|coding| Some((coding.system.as_deref(), coding.code.as_deref()?)));
    for (system, code) in codes.clone() {
        if let Some((_, to)) = rule.recode.iter().find(|(token, _)| token.matches(system, code)) {
            return Ok(Found::Text(to.clone()));
        }
    }
    let text = concept.text.as_deref().map(|text| (None, text.trim()));
    match codes.chain(text).next() {
        Some((system, code)) => recoded(rule, system, code),
        None => Err(missing(&rule.name, "coding.code")),
    }
}

fn recoded(rule: &ObservedValue, system: Option<&str>, code: &str) -> Result<Found, Issue> {
    match rule.recode.iter().find(|(token, _)| token.matches(system, code)) {
        Some((_, to)) => Ok(Found::Text(to.clone())),
        None if rule.recode.is_empty() => Ok(Found::Text(code.to_owned())),
        None => Err(Issue::new(&rule.name, IssueCode::UnknownCode)
            .expecting("un código de la correspondencia", "a code that the mapping recodes")),
    }
}

fn not_a_number(rule: &ObservedValue) -> Issue {
    Issue::new(&rule.name, IssueCode::WrongType).expecting("un número", "a number")
}
