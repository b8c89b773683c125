//! Rows on their way in. They borrow, so that a reader's buffers are copied once, into columns.

use serde::{Deserialize, Serialize};

/// What was confirmed about a case. Ordered by severity, rarity, disease.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Outcome {
    /// `None`: nothing is confirmed (yet).
    pub severity: Option<String>,
    pub rarity: Option<String>,
    pub disease_code: Option<String>,
}

/// One accepted case.
#[derive(Debug, Clone, Copy)]
pub struct CaseRow<'a> {
    /// Unique name of the case; a second row with it is a duplicate.
    pub case_id: &'a str,
    /// Pseudonym of the patient; all cases of one share a split slot.
    pub patient_id: &'a str,
    pub source: &'a str,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub recorded_at: Option<i64>,
    /// One value per input of the [`Schema`](crate::Schema), in its order. `None`: not measured.
    pub inputs: &'a [Option<i32>],
    /// Free text, where the [`Schema`](crate::Schema) has a note: patient data.
    pub note: Option<&'a str>,
    /// `None`: not confirmed; the row then has no split slot.
    pub severity: Option<&'a str>,
    pub rarity: Option<&'a str>,
    pub disease_code: Option<&'a str>,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub confirmed_at: Option<i64>,
}

/// Why a field of a row was refused: the field's name and the contract's code (`out_of_range`, ...).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason<'a> {
    pub field: &'a str,
    pub code: &'a str,
}

/// One refused row, with everything that was wrong with it.
#[derive(Debug, Clone, Copy)]
pub struct QuarantineRow<'a> {
    pub source: &'a str,
    /// Name of the file it came from, without its folder.
    pub file: &'a str,
    /// Number of the row in its file; the first data row is 1.
    pub row: u64,
    pub reasons: &'a [Reason<'a>],
    /// The row as it came (JSON text of column -> value): patient data.
    pub raw: &'a str,
}
