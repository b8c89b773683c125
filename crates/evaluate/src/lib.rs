//! Numbers with uncertainty, and rules over them.
//!
//! Everything is computed on *cells*: one possible patient's values with the counts of the patients that have them.
//! Counts are sufficient for every figure here, so a billion patients cost what their cells cost.
//!
//! - [`Cells`] takes counts and a model's answers; [`evaluate`] makes a [`Report`] of [`Figure`]s with 95 % intervals.
//! - [`DigitPreference`]: whether readings were rounded by eye.
//! - [`diseases`]: how the patients of each disease fare.
//! - [`InputLimit`]: what the best possible rule could reach with these inputs.
//! - [`drift`]: whether the patients of a window are still those of a reference.
//! - [`fidelity`]: how like real cases synthetic ones are.
//! - [`Rule`] and [`Verdict`]: a gate before promotion and an alarm in production are the same thing.
//! - [`reference`](mod@reference): a cohort of known distribution, its exact scores and a sampler.
//!
//! Invariants: no model, no file, no clock; randomness by seed. A figure is a number or the reason why there is none,
//! never NaN and never a stand-in.

mod alias;
mod bootstrap;
mod calibration;
mod cells;
mod confusion;
mod contrast;
mod decision;
mod digits;
mod disease;
pub mod drift;
mod error;
mod expected;
pub mod fidelity;
mod figure;
mod figures;
mod in_the_large;
mod label_shift;
mod limit;
mod population;
mod proportion;
mod ranking;
pub mod reference;
mod report;
mod rule;
mod statistics;
mod verification;

pub use bootstrap::Bootstrap;
pub use calibration::CalibrationBin;
pub use cells::{Answer, Cells};
pub use clinical::study::Reading;
pub use contrast::{Contrast, contrast};
pub use decision::NetBenefit;
pub use digits::DigitPreference;
pub use disease::{Disease, DiseaseCounts, diseases};
pub use error::{Error, Result};
pub use expected::{Expected, MARGIN, expected};
pub use figure::{Estimate, Figure};
pub use figures::{Figures, Metric};
pub use in_the_large::{InTheLarge, in_the_large};
pub use label_shift::{LabelShift, label_shift};
pub use limit::{InputLimit, Sufficiency};
pub use population::Population;
pub use proportion::clopper_pearson;
pub use ranking::OperatingPoint;
pub use report::{Calibration, Grouping, Report, Subgroup, evaluate, subgroups};
pub use rule::{Comparison, Group, Light, Outcome, Rule, Verdict, hold, judge};
pub use verification::{Stratum, recall_by_verified};
