//! Rare diseases by ORPHAcode (Orphanet; source and licence in SOURCE.md): what is built in, and what a hospital
//! brought in beside it.

mod disease;

use std::sync::{LazyLock, OnceLock};

pub use disease::{Dictionary, Disease, Finding, Prevalence};

use crate::Language;

const NAMES: &str = include_str!("names.tsv");
const FACTS: &str = include_str!("facts.tsv");
const PREFIX: &str = "ORPHA:";

/// Number and name, by ascending number, as the file has them.
static INDEX: LazyLock<Vec<(u32, &str)>> = LazyLock::new(|| numbered(NAMES));
/// Number and the rest of the line.
static FACT_INDEX: LazyLock<Vec<(u32, &str)>> = LazyLock::new(|| numbered(FACTS));
/// What a hospital brought in; fixed for the life of the process.
static BROUGHT: OnceLock<Dictionary> = OnceLock::new();

fn numbered(table: &'static str) -> Vec<(u32, &'static str)> {
    let entry = |line: &'static str| {
        let (code, rest) = line.split_once('\t')?;
        Some((code.parse().ok()?, rest))
    };
    table.lines().filter_map(entry).collect()
}

fn number(code: &str) -> Option<u32> {
    code.strip_prefix(PREFIX)?.parse().ok()
}

fn find(index: &[(u32, &'static str)], code: u32) -> Option<&'static str> {
    let place = index.binary_search_by_key(&code, |(code, _)| *code).ok()?;
    index.get(place).map(|(_, rest)| *rest)
}

/// Puts a hospital's own dictionary before the built-in one. Only the first call of a process counts, so that
/// what is shown never changes under a request.
pub fn bring(dictionary: Dictionary) {
    let _ = BROUGHT.set(dictionary);
}

/// The English name of a disease code such as `ORPHA:586`; none for other codings and unknown codes.
pub fn name(code: &str) -> Option<&'static str> {
    brought_name(code, Language::En).or_else(|| find(&INDEX, number(code)?))
}

/// The name in a language, where a hospital brought one in.
pub fn brought_name(code: &str, language: Language) -> Option<&'static str> {
    BROUGHT.get()?.get(code)?.name(language)
}

/// The class of the validated point prevalence, `1-5 / 10 000`.
pub fn prevalence_class(code: &str) -> Option<&'static str> {
    let brought = BROUGHT.get().and_then(|dictionary| dictionary.get(code)?.prevalence.as_ref());
    let built_in = || find(&FACT_INDEX, number(code)?)?.split('\t').next().filter(|class| !class.is_empty());
    brought.map(|prevalence| prevalence.class.as_str()).or_else(built_in)
}

/// People with a disease among 100,000; none where no validated estimate is known.
pub fn prevalence(code: &str) -> Option<f64> {
    disease(code)?.prevalence?.among_100_000()
}

/// Everything that is known of a disease, built in and brought in.
pub fn disease(code: &str) -> Option<Disease> {
    let brought = BROUGHT.get().and_then(|dictionary| dictionary.get(code)).cloned();
    let built_in = number(code).and_then(built_in);
    match (built_in, brought) {
        (Some(mut disease), Some(brought)) => {
            disease.add(brought);
            Some(disease)
        }
        (built_in, brought) => brought.or(built_in),
    }
}

fn built_in(code: u32) -> Option<Disease> {
    let (name, facts) = (find(&INDEX, code), find(&FACT_INDEX, code));
    if name.is_none() && facts.is_none() {
        return None;
    }
    let mut fields = facts.unwrap_or_default().split('\t').map(str::to_owned);
    let mut next = || fields.next().filter(|field| !field.is_empty());
    let (class, point, geography) = (next(), next(), next());
    let mut list =
        || next().map(|text| text.split('|').map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default();
    Some(Disease {
        names: name.map(|name| (Language::En.tag().to_owned(), name.to_owned())).into_iter().collect(),
        prevalence: class.map(|class| Prevalence {
            class,
            per_100_000: point.and_then(|point| point.parse().ok()),
            geography: geography.unwrap_or_default(),
        }),
        onset: list(),
        inheritance: list(),
        ..Disease::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_and_what_is_not_there_is_not() {
        let mut before = 0;
        for line in NAMES.lines() {
            let (code, expected) = line.split_once('\t').unwrap();
            assert_eq!(name(&format!("ORPHA:{code}")), Some(expected));
            let code: u32 = code.parse().unwrap();
            assert!(code > before && !expected.is_empty());
            before = code;
        }
        assert_eq!(name("ORPHA:586"), Some("Cystic fibrosis"));
        for unknown in ["ORPHA:0", "ORPHA:99999999", "ORPHA:", "ICD-10:I10", "586", ""] {
            assert_eq!(name(unknown), None, "{unknown}");
            assert_eq!(disease(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn every_fact_is_read() {
        let mut before = 0;
        for line in FACTS.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let code: u32 = fields[0].parse().unwrap();
            assert!(code > before && fields.len() == 6, "{line}");
            before = code;
            let found = built_in(code).unwrap();
            let among = found.prevalence.as_ref().map(Prevalence::among_100_000);
            assert!(among.is_none_or(|among| among.is_some_and(|among| among > 0.0)), "{line}");
            assert_eq!(found.prevalence.is_some(), !fields[1].is_empty(), "{line}");
            assert!(found.prevalence.is_some() || !found.onset.is_empty() || !found.inheritance.is_empty());
        }
        assert_eq!(prevalence_class("ORPHA:586"), Some("1-5 / 10 000"));
        assert_eq!(prevalence("ORPHA:586"), Some(11.1319));
        assert_eq!(prevalence("ICD-10:I10"), None);
        let found = disease("ORPHA:586").unwrap();
        let prevalence = found.prevalence.unwrap();
        assert_eq!((prevalence.class.as_str(), prevalence.per_100_000), ("1-5 / 10 000", Some(11.1319)));
        assert_eq!(
            (found.onset, found.inheritance),
            (vec!["All ages".to_owned()], vec!["Autosomal recessive".to_owned()])
        );
    }
}
