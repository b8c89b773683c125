//! How reports divide people by a feature.

use super::{Feature, Kind};

/// Width of a number's bands, in its own unit.
const BAND: i32 = 20;

/// The groups of one feature: its codes or categories, or a number's bands of twenty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Groups {
    /// `female`, `stage_1`, `40-59`.
    pub names: Vec<String>,
    /// The group of each level.
    pub of_level: Vec<u16>,
}

impl Feature {
    pub fn groups(&self) -> Groups {
        match self.kind {
            Kind::Number { min, max, .. } => Groups {
                names: (min..=max)
                    .step_by(BAND as usize)
                    .map(|start| format!("{start}-{}", (start + BAND - 1).min(max)))
                    .collect(),
                of_level: (0..self.dim()).map(|level| (level / BAND as usize) as u16).collect(),
            },
            Kind::Code(_) | Kind::Category(_) => Groups {
                names: self.choices().iter().map(|choice| choice.code.clone()).collect(),
                of_level: (0..self.dim()).map(|level| level as u16).collect(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Study;

    #[test]
    fn numbers_are_divided_into_bands_and_codes_into_themselves() {
        let study = Study::default_study();
        let exercise = study.feature("exercise").unwrap().groups();
        assert_eq!(exercise.names, ["0-19", "20-31"]);
        assert_eq!((exercise.of_level[19], exercise.of_level[20], exercise.of_level.len()), (0, 1, 32));
        let age = study.feature("age").unwrap().groups();
        assert_eq!((age.names.len(), age.names[6].as_str(), age.of_level[120]), (7, "120-120", 6));
        let pressure = study.feature("blood_pressure").unwrap().groups();
        assert_eq!(pressure.names, ["normal", "elevated", "stage_1", "stage_2", "crisis"]);
        assert_eq!(pressure.of_level, [0, 1, 2, 3, 4]);
    }
}
