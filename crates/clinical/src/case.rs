//! A case: one patient's values at one time, from one source, and what was confirmed about them.

use crate::{Note, Patient, Rarity, Severity};

/// What happened, as confirmed: never a clinician's first opinion.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outcome {
    pub severity: Severity,
    /// `None` exactly for people without disease.
    pub rarity: Option<Rarity>,
    /// `ICD-10:I10`, `ORPHA:586`.
    pub disease_code: Option<String>,
}

impl Outcome {
    pub fn is_orphan(&self) -> bool {
        self.rarity == Some(Rarity::Orphan)
    }
}

/// An accepted case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Unique; a repeated one is a duplicate.
    pub case_id: String,
    /// Pseudonym. All cases of a patient lie in the same set of the split.
    pub patient_id: String,
    pub source: String,
    /// UTC microseconds since 1970.
    pub recorded_at: i64,
    pub patient: Patient,
    /// Free text, where the study asks for it and somebody wrote it.
    pub note: Option<Note>,
    pub outcome: Option<Outcome>,
    /// UTC microseconds since 1970.
    pub confirmed_at: Option<i64>,
}
