//! The reference cohort: patients of a known distribution over all 154,880 possible patients of the default study,
//! so that a model can be scored exactly, without a sample's noise, against the best possible one.
//!
//! p(cell | disease) is proportional to p0(cell) exp(contrast tilt(cell, disease)): published marginals, tilted towards
//! the disease's profile. The profiles are made to be learnable; they are no medical knowledge.
//!
//! Features and levels stand in the default study's order: age 0..=120, gender (female, male), blood group (A, B, AB, O),
//! blood pressure (normal, elevated, stage 1, stage 2, crisis), exercise 0..=31 days a month.

mod conditional;
mod parameters;
mod pressure;
mod sampler;
mod score;
mod truth;

pub use conditional::Conditional;
pub use parameters::{Disease, Preset};
pub use pressure::risen;
pub use sampler::{Sampler, SyntheticPatient};
pub use score::Score;
pub use truth::Reference;

/// Levels of age, gender, blood group, blood pressure and exercise.
pub const DIMS: [usize; 5] = [121, 2, 4, 5, 32];

/// Number of possible patients.
pub const SIZE: usize = 121 * 2 * 4 * 5 * 32;

/// Codes of the severities, in order.
pub const SEVERITIES: [&str; 4] = ["healthy", "mild", "acute", "chronic"];

pub const GENDERS: [&str; 2] = ["female", "male"];

pub const BLOOD_TYPES: [&str; 4] = ["A", "B", "AB", "O"];

pub const BLOOD_PRESSURES: [&str; 5] = ["normal", "elevated", "stage_1", "stage_2", "crisis"];
