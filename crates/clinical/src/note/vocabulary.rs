//! Built-in vocabularies: which findings and diseases a note may name. Files, source and licence:
//! `samples/vocabulary/`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// A vocabulary that a study may look for in notes. Their labels are English; a study adds Spanish
/// spellings to a code by a term of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Vocabulary {
    /// Human Phenotype Ontology: findings, `HP:0002240`.
    Hpo,
    /// Orphanet: rare diseases, `ORPHA:586`.
    Orphanet,
}

/// One term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VocabularyTerm {
    pub code: &'static str,
    pub label: &'static str,
}

static HPO: LazyLock<Vec<VocabularyTerm>> =
    LazyLock::new(|| parse(include_str!("../../../../samples/vocabulary/hpo.tsv")));
static ORPHANET: LazyLock<Vec<VocabularyTerm>> =
    LazyLock::new(|| parse(include_str!("../../../../samples/vocabulary/orphanet.tsv")));

/// Lines of a code, a tab and a label, ascending by code.
fn parse(table: &'static str) -> Vec<VocabularyTerm> {
    let term = |line: &'static str| line.split_once('\t').map(|(code, label)| VocabularyTerm { code, label });
    table.lines().filter_map(term).collect()
}

impl Vocabulary {
    /// All terms, ascending by code.
    pub fn terms(self) -> &'static [VocabularyTerm] {
        match self {
            Vocabulary::Hpo => &HPO,
            Vocabulary::Orphanet => &ORPHANET,
        }
    }

    /// The vocabulary that a code belongs to by its form.
    pub(super) fn of_code(code: &str) -> Option<Vocabulary> {
        match code.split_once(':')?.0 {
            "HP" => Some(Vocabulary::Hpo),
            "ORPHA" => Some(Vocabulary::Orphanet),
            _ => None,
        }
    }

    /// The label of a code.
    pub fn label(self, code: &str) -> Option<&'static str> {
        let terms = self.terms();
        let at = terms.binary_search_by(|term| term.code.cmp(code)).ok()?;
        terms.get(at).map(|term| term.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_whole_and_in_order() {
        for (vocabulary, count, code, label) in [
            (Vocabulary::Hpo, 4_657, "HP:0000003", "Multicystic kidney dysplasia"),
            (
                Vocabulary::Orphanet,
                6_150,
                "ORPHA:166024",
                "Multiple epiphyseal dysplasia-macrocephaly-facial dysmorphism syndrome",
            ),
        ] {
            let terms = vocabulary.terms();
            assert_eq!(terms.len(), count);
            assert!(terms.windows(2).all(|pair| pair[0].code < pair[1].code));
            assert!(terms.iter().all(|term| Vocabulary::of_code(term.code) == Some(vocabulary)));
            assert_eq!(vocabulary.label(code), Some(label));
        }
        assert_eq!(Vocabulary::Hpo.label("HP:9999999"), None);
    }
}
