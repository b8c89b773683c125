//! Which columns a learner sees: scaled numbers first, then one indicator per level, both in the
//! study's order. The same list serves training and serving, so they cannot disagree.

use serde::{Deserialize, Serialize};

use crate::{Kind, Study};

/// Where a column's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The scaled number of a feature (index into the study's features).
    Scaled { feature: usize },
    /// 1 when the feature has this level, else 0.
    Indicator { feature: usize, level: usize },
}

/// One column of the encoded row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    pub name: String,
    pub source: Source,
}

/// The encoded row of a study. The default study has the 13 columns of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    pub columns: Vec<Column>,
}

impl Encoding {
    pub fn of(study: &Study) -> Encoding {
        let mut columns = Vec::new();
        for (index, feature) in study.features().iter().enumerate() {
            if let Kind::Number { .. } = feature.kind {
                columns
                    .push(Column { name: feature.column.clone(), source: Source::Scaled { feature: index } });
            }
        }
        for (index, feature) in study.features().iter().enumerate() {
            for (level, choice) in feature.choices().iter().enumerate() {
                columns.push(Column {
                    name: choice.column.clone(),
                    source: Source::Indicator { feature: index, level },
                });
            }
        }
        Encoding { columns }
    }

    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_study_encodes_to_the_thirteen_columns_in_order() {
        assert_eq!(
            Encoding::of(Study::default_study()).names(),
            [
                "age",
                "exercise",
                "gender_female",
                "gender_male",
                "blood_a",
                "blood_b",
                "blood_ab",
                "blood_o",
                "bp_normal",
                "bp_elevated",
                "bp_stage_1",
                "bp_stage_2",
                "bp_crisis",
            ]
        );
    }
}
