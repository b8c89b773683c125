//! Synthetic cases for classes with few real ones, made inside the training part of a fold.
//!
//! - [`TrainingCounts`]: all that may be resampled; a cohort, or the training set as a whole, is not.
//! - [`SmoteNc`]: interpolation between nearest neighbours, over counted cells.
//! - [`orphan_share`]: how many cases each group gets.
//! - [`Synthetic`]: what comes out, apart from real counts.
//!
//! Resampling a cohort before it is split does not compile:
//!
//! ```compile_fail,E0308
//! # use clinical::Study;
//! # use prepare::{Cohort, Preprocessor};
//! # use prepare::resample::SmoteNc;
//! # let (study, cohort) = (Study::default_study(), Cohort::default());
//! # let preprocessor = Preprocessor::fit(study, &cohort);
//! SmoteNc { neighbours: 5, seed: 1 }.resample(study, &preprocessor, &cohort, &[0, 100]);
//! ```
//!
//! The training part of a fold is what it takes:
//!
//! ```
//! # use clinical::Study;
//! # use prepare::{Cohort, Folds, Groups, Preprocessor};
//! # use prepare::resample::{ResampleError, SmoteNc, TrainingCounts};
//! # let (study, cohort) = (Study::default_study(), Cohort::default());
//! # let preprocessor = Preprocessor::fit(study, &cohort);
//! # let groups = Groups::of(study, &cohort);
//! let folds = Folds::new(&study.split, 5);
//! let training = TrainingCounts::without_fold(study, &cohort, &groups, folds, 0)?;
//! let synthetic = SmoteNc { neighbours: 5, seed: 1 }.resample(study, &preprocessor, &training, &[])?;
//! assert_eq!(synthetic.left_out(), 0);
//! # Ok::<(), ResampleError>(())
//! ```

mod class;
mod neighbours;
mod plan;
mod smote;
mod synthetic;
mod training;

pub use plan::orphan_share;
pub use smote::SmoteNc;
pub use synthetic::Synthetic;
pub use training::TrainingCounts;

/// Why no synthetic cases can be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResampleError {
    #[error("fold {fold} of {folds} cannot be left out: a cross-fit has at least two folds, numbered from 0")]
    Fold { fold: usize, folds: usize },
    #[error(
        "{method} needs at least {needed} training cases of a group to make more of it, and `{group}` has {cases} \
         outside one fold: collect more cases, or set the study's [imbalance] method to \"none\""
    )]
    TooFew { method: &'static str, group: String, cases: u64, needed: u64 },
    #[error(
        "SMOTE-NC interpolates numbers, and the study has none: set the study's [imbalance] method to \"none\""
    )]
    NoNumber,
    #[error("the number of neighbours lies between 1 and 1000")]
    Neighbours,
    #[error("the share of orphan cases lies between 0 and 1, both excluded")]
    Share,
    #[error("there is no orphan case to make more of: set the study's [imbalance] method to \"none\"")]
    NoOrphan,
    #[error("synthetic cases are wanted of {wanted} groups, and the training cases have {groups}")]
    Groups { wanted: usize, groups: usize },
}
