//! The words a clinician would recognise: the study and its features, a patient's values and the
//! checks on them, cases and outcomes, the finite domain of possible patients, predictions and
//! how they are worded.
//!
//! Invariant: pure. No IO, no async, no clock, no randomness, no Arrow, no HTTP. Everything that
//! the product knows about a feature is read from the [`Study`]; no other crate names one.

pub mod case;
pub mod check;
pub mod domain;
pub mod encoding;
pub mod issue;
pub mod note;
pub mod orphanet;
pub mod prediction;
pub mod quality;
pub mod study;
pub mod text;
pub mod wording;

pub use case::{Case, Outcome};
pub use check::Raw;
pub use domain::{Cell, Domain, Patient};
pub use encoding::{Column, Encoding, Source};
pub use issue::{Issue, IssueCode};
pub use note::Note;
pub use prediction::{
    Contribution, Explained, Explanation, ModelRef, Nearest, NotePart, Prediction, Warning,
};
pub use quality::{QualityByFile, QualityProfile};
pub use study::{Feature, Input, Kind, Rarity, Severity, Study, StudyError};
pub use text::{Language, Text};
pub use wording::ContributionWords;
