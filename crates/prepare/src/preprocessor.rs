//! The fitted preprocessor: a patient's levels -> the encoded row. One value, used by training and by
//! serving, stored in the model's bundle.

use clinical::{Column, Encoding, Kind, Source, Study};
use serde::{Deserialize, Serialize};

use crate::split::Set;
use crate::{Cohort, Scale};

/// Encoding and fitted scales.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preprocessor {
    encoding: Encoding,
    /// One per scaled column, in the encoding's order.
    scales: Vec<Scale>,
    /// Smallest value of every feature (0 for codes and categories).
    minimum: Vec<i32>,
}

impl Preprocessor {
    /// Fits the scales on the training cases of a cohort.
    pub fn fit(study: &Study, cohort: &Cohort) -> Preprocessor {
        let domain = study.domain();
        let mut marginals: Vec<Vec<u64>> = domain.dims().iter().map(|&dim| vec![0; dim]).collect();
        for count in cohort.of_set(study, Set::Train) {
            for (marginal, level) in marginals.iter_mut().zip(domain.levels(count.cell)) {
                marginal[level] += count.count;
            }
        }
        let minimum: Vec<i32> = study
            .features()
            .iter()
            .map(|feature| if let Kind::Number { min, .. } = feature.kind { min } else { 0 })
            .collect();
        let encoding = Encoding::of(study);
        let scales = encoding
            .columns
            .iter()
            .filter_map(|column| match column.source {
                Source::Scaled { feature } => Some(Scale::fit(
                    &study.features()[feature].name,
                    minimum[feature],
                    &marginals[feature],
                    study.scaling.normality_alpha,
                )),
                Source::Indicator { .. } => None,
            })
            .collect();
        Preprocessor { encoding, scales, minimum }
    }

    pub fn encoding(&self) -> &Encoding {
        &self.encoding
    }

    pub fn scales(&self) -> &[Scale] {
        &self.scales
    }

    /// The scale of a feature's number; none for codes and categories.
    pub fn scale_of(&self, feature: usize) -> Option<&Scale> {
        let scaled = |column: &&Column| matches!(column.source, Source::Scaled { .. });
        let mut columns = self.encoding.columns.iter().filter(scaled);
        let position = columns.position(|column| column.source == Source::Scaled { feature })?;
        self.scales.get(position)
    }

    /// The number of columns of the encoded row.
    pub fn width(&self) -> usize {
        self.encoding.columns.len()
    }

    /// Appends the encoded row of one patient (a level per feature) to `row`.
    pub fn encode_into(&self, levels: &[usize], row: &mut Vec<f32>) {
        let mut scales = self.scales.iter();
        for column in &self.encoding.columns {
            row.push(match column.source {
                Source::Indicator { feature, level } => f32::from(u8::from(levels[feature] == level)),
                Source::Scaled { feature } => {
                    let value = f64::from(self.minimum[feature]) + levels[feature] as f64;
                    scales.next().map_or(value, |scale| scale.apply(value)) as f32
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use clinical::Study;

    use super::*;
    use crate::Stratum;

    #[test]
    fn the_row_has_thirteen_columns_with_one_indicator_per_code() {
        let study = Study::default_study();
        let stratum = Stratum { severity: study.healthy(), rarity: None, disease_code: None };
        let cohort = Cohort::new((0..20).map(|slot| (usize::from(slot) * 1280, slot, stratum.clone(), 1)));
        let preprocessor = Preprocessor::fit(study, &cohort);
        let mut row = Vec::new();
        preprocessor.encode_into(&[60, 1, 2, 4, 31], &mut row);
        assert_eq!(row.len(), preprocessor.width());
        assert_eq!(row, [0.5, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn scales_come_from_the_training_set_alone() {
        let study = Study::default_study();
        let stratum = Stratum { severity: study.healthy(), rarity: None, disease_code: None };
        let cell = |age: usize| study.domain().cell(&[age, 0, 0, 0, 0]);
        let train =
            |others: usize| {
                let bell =
                    (0..200).map(|i| (cell(40 + i % 9 + i % 7 + i % 5), (i % 14) as u8, stratum.clone(), 1));
                Cohort::new(bell.chain([
                    (cell(others), 15, stratum.clone(), 50),
                    (cell(others), 19, stratum.clone(), 50),
                ]))
            };
        assert_eq!(
            Preprocessor::fit(study, &train(0)).scales(),
            Preprocessor::fit(study, &train(120)).scales()
        );
    }
}
