//! Learning from clinical notes: what a note says beyond the patient's structured values.
//!
//! Two channels read a note ([`Features`]): the terms of a dictionary, each with its stance, and the
//! character n-grams of its words. [`NoteModel`] weighs both against what the structured model
//! expected of the same patients, so a note that repeats what is known already changes nothing.
//! [`Prototypes`] answers from a few notes a class.

mod dictionary;
mod features;
mod model;
mod ngrams;
mod prototypes;
mod ratios;
mod shrinkage;
mod sparse;

pub use dictionary::{Dictionary, Mention};
pub use features::{Features, NoteReader};
pub use model::{Evidence, EvidencePart, FEWEST_NOTES, Labelled, NoteModel, NoteReport};
pub use ngrams::{BUCKETS, Weighting};
pub use prototypes::{EXPONENT, NGRAM_WEIGHT, Prototypes};
pub use ratios::{TermRatio, TermRatios};
pub use sparse::Sparse;
