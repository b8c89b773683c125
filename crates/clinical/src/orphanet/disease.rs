//! What is known of rare diseases, by ORPHAcode: names, other codings, how frequent, when they begin, how they are
//! inherited, what is found.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Language;

/// One disease, as far as the files that were read know it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disease {
    /// By BCP 47 tag.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
    /// Other codings: `ICD-10` -> `E84.0`, ...
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub references: BTreeMap<String, BTreeSet<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prevalence: Option<Prevalence>,
    /// When it begins, in Orphanet's words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub onset: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inheritance: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// A validated point prevalence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prevalence {
    /// `1-5 / 10 000`, `<1 / 1 000 000`.
    pub class: String,
    /// People with it among 100,000, where it was estimated.
    pub per_100_000: Option<f64>,
    /// `Worldwide`, `Europe`, a country.
    pub geography: String,
}

/// A finding of a disease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `HP:0002240`.
    pub code: String,
    pub label: String,
    /// `Very frequent (99-80%)`.
    pub frequency: String,
}

impl Prevalence {
    /// People with it among 100,000: as estimated, else the geometric middle of the class. Of the rarest class, which has no
    /// lower end, half of its upper one; of the most frequent one its lower end. None of a class that is not known.
    pub fn among_100_000(&self) -> Option<f64> {
        let estimated = self.per_100_000.filter(|estimated| *estimated > 0.0 && estimated.is_finite());
        estimated.or_else(|| {
            Some(match self.class.as_str() {
                ">1 / 1000" => 100.0,
                "6-9 / 10 000" => (60.0_f64 * 90.0).sqrt(),
                "1-5 / 10 000" => (10.0_f64 * 50.0).sqrt(),
                "1-9 / 100 000" => 3.0,
                "1-9 / 1 000 000" => 0.3,
                "<1 / 1 000 000" => 0.05,
                _ => return None,
            })
        })
    }

    /// Which of two to keep: the world before Europe before a country, then the greater.
    fn is_before(&self, other: &Prevalence) -> bool {
        let rank = |geography: &str| match geography {
            "Worldwide" | "Mundial" | "Todo el mundo" => 0,
            "Europe" | "Europa" => 1,
            _ => 2,
        };
        let (own, theirs) = (rank(&self.geography), rank(&other.geography));
        own < theirs || (own == theirs && self.per_100_000.unwrap_or(0.0) > other.per_100_000.unwrap_or(0.0))
    }
}

impl Disease {
    pub fn name(&self, language: Language) -> Option<&str> {
        self.names.get(language.tag()).map(String::as_str)
    }

    /// Takes one more estimate of the prevalence.
    pub fn estimate(&mut self, prevalence: Prevalence) {
        if self.prevalence.as_ref().is_none_or(|known| prevalence.is_before(known)) {
            self.prevalence = Some(prevalence);
        }
    }

    /// Adds what another file says: its words replace the own ones where it has any.
    pub fn add(&mut self, other: Disease) {
        self.names.extend(other.names);
        for (system, codes) in other.references {
            self.references.entry(system).or_default().extend(codes);
        }
        self.prevalence = other.prevalence.or(self.prevalence.take());
        for (own, more) in [(&mut self.onset, other.onset), (&mut self.inheritance, other.inheritance)] {
            if !more.is_empty() {
                *own = more;
            }
        }
        if !other.findings.is_empty() {
            self.findings = other.findings;
        }
    }
}

/// Diseases by the number of their ORPHAcode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dictionary {
    pub diseases: BTreeMap<u32, Disease>,
}

impl Dictionary {
    /// Adds what is known of one disease.
    pub fn add(&mut self, code: u32, disease: Disease) {
        self.diseases.entry(code).or_default().add(disease);
    }

    /// Adds another dictionary.
    pub fn extend(&mut self, other: Dictionary) {
        other.diseases.into_iter().for_each(|(code, disease)| self.add(code, disease));
    }

    /// A disease by its code, `ORPHA:586`.
    pub fn get(&self, code: &str) -> Option<&Disease> {
        self.diseases.get(&super::number(code)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_s_prevalence_is_kept_before_a_country_s() {
        let of = |geography: &str, per_100_000| Prevalence {
            class: "x".to_owned(),
            per_100_000,
            geography: geography.to_owned(),
        };
        let mut disease = Disease::default();
        for one in [
            of("Spain", Some(9.0)),
            of("Europe", Some(1.0)),
            of("Europe", Some(2.0)),
            of("Italy", Some(99.0)),
        ] {
            disease.estimate(one);
        }
        assert_eq!(disease.prevalence, Some(of("Europe", Some(2.0))));
        disease.estimate(of("Worldwide", None));
        assert_eq!(disease.prevalence, Some(of("Worldwide", None)));
    }

    #[test]
    fn files_add_up() {
        let mut dictionary = Dictionary::default();
        let named = |tag: &str, name: &str| Disease {
            names: [(tag.to_owned(), name.to_owned())].into(),
            ..Disease::default()
        };
        dictionary.add(586, named("en", "Cystic fibrosis"));
        dictionary.add(586, named("es", "Fibrosis quística"));
        dictionary.add(586, Disease { onset: vec!["All ages".to_owned()], ..Disease::default() });
        let disease = dictionary.get("ORPHA:586").unwrap();
        assert_eq!(disease.name(Language::Es), Some("Fibrosis quística"));
        assert_eq!((disease.name(Language::En), disease.onset.len()), (Some("Cystic fibrosis"), 1));
        assert!(dictionary.get("ICD-10:I10").is_none());
    }
}
