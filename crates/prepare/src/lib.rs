//! Cohort -> split -> preprocessor: from counted cells to what a learner reads.
//!
//! - [`cohort`]: the counts of a pinned dataset version, by possible patient, slot and outcome.
//! - [`split`]: which slots are training, validation and test, and the proof that the sets are alike.
//! - [`groups`]: the classes that a model tells apart.
//! - [`resample`]: synthetic cases for rare groups, inside the training part of a fold.
//! - [`scaling`]: the test that decides how each number is scaled, and its record.
//! - [`preprocessor`]: levels -> the encoded row; fitted on training counts only, shared with serving.
//!
//! Invariant: pure functions of counts; no lake, no library of learners, no disk.

pub mod cohort;
pub mod groups;
pub mod preprocessor;
pub mod resample;
pub mod scaling;
pub mod split;

pub use cohort::{Cohort, CohortError, Count, Stratum};
pub use groups::Groups;
pub use preprocessor::Preprocessor;
pub use resample::{Synthetic, TrainingCounts};
pub use scaling::{Normality, Scale, ScaleKind};
pub use split::{Folds, Histogram, Set, SplitReport};
