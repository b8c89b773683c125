//! What the prediction log keeps of one answer: codes and numbers, so that it can be shown again in any
//! language, and read by whoever watches the model.

use std::borrow::Cow;

use clinical::{ModelRef, Patient, Prediction, Study};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::written;

/// One logged answer, as compact JSON.
#[derive(Clone, Serialize, Deserialize)]
pub struct Record<'a> {
    /// RFC 3339, UTC.
    pub at: Cow<'a, str>,
    /// Pseudonym, where the client gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient_id: Option<Cow<'a, str>>,
    /// The model that answered; its study gives the values and numbers their meaning.
    pub model: Cow<'a, ModelRef>,
    /// One per input of the study, in its order.
    pub values: Cow<'a, Patient>,
    pub prediction: Cow<'a, Prediction>,
}

// The values are a patient's: they must not reach a log through `{:?}`.
impl std::fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("at", &self.at).field("model", &self.model).finish_non_exhaustive()
    }
}

impl Record<'_> {
    /// The record as it is logged; none where a number has no written form.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        written::json(self).ok()
    }

    /// Reads a record as it was logged.
    ///
    /// # Errors
    /// The bytes are no record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Record<'static>, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Whether the record's numbers are positions in this study.
    pub fn fits(&self, study: &Study) -> bool {
        let prediction = &self.prediction;
        let noted = study.note().is_some() && prediction.note.is_some();
        let parts = study.features().len() + usize::from(noted);
        self.values.values().len() == study.inputs().len()
            && prediction.probabilities.len() == study.severities().len()
            && prediction.severity.index() < study.severities().len()
            && prediction.explanation.contributions.iter().all(|part| part.feature < parts)
    }
}

/// RFC 3339 in UTC with a `Z`.
pub(crate) fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}
