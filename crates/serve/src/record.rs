//! What the prediction log keeps of one answer: codes and numbers, so that it can be shown again in any
//! language, and read by whoever watches the model.

mod packed;

use std::borrow::Cow;

use clinical::{ModelRef, Patient, Prediction, Study};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// One logged answer. It is logged packed; former versions logged it as JSON, which is how it is shown.
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

/// Bytes that hold no logged answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no record of an answer, or one of a later version")]
pub struct NoRecord;

// The values are a patient's: they must not reach a log through `{:?}`.
impl std::fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Record").field("at", &self.at).field("model", &self.model).finish_non_exhaustive()
    }
}

impl Record<'_> {
    /// The record as it is logged.
    pub fn to_bytes(&self) -> Vec<u8> {
        packed::pack(self)
    }

    /// Reads a record as it was logged, also by a former version.
    ///
    /// # Errors
    /// The bytes are no record.
    pub fn from_bytes(bytes: &[u8]) -> Result<Record<'static>, NoRecord> {
        let read = match bytes.first() {
            Some(&packed::FORM) => packed::unpack(bytes),
            _ => serde_json::from_slice(bytes).ok(),
        };
        read.ok_or(NoRecord)
    }

    /// When a logged answer was given; `None` for what is no record.
    pub fn time_of(bytes: &[u8]) -> Option<OffsetDateTime> {
        #[derive(Deserialize)]
        struct Logged<'a> {
            #[serde(borrow)]
            at: Cow<'a, str>,
        }
        let at = match bytes.first() {
            Some(&packed::FORM) => Cow::Borrowed(packed::at(bytes)?),
            _ => serde_json::from_slice::<Logged<'_>>(bytes).ok()?.at,
        };
        OffsetDateTime::parse(&at, &Rfc3339).ok()
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

#[cfg(test)]
mod tests {
    use clinical::note::Stance;
    use clinical::{Contribution, Explained, Explanation, Nearest, NotePart, Rarity, Severity, Warning};

    use super::*;

    /// As a former version logged it.
    const JSON: &str = r#"{"at":"2026-11-30T01:21:14.415Z","patient_id":"p-1","model":{"version":"m-0001","dataset_version":300},
        "values":[54,0,3,138,86,-6],"prediction":{"severity":3,"probabilities":[0.000243686154537,0.059849473343791,0.000031989003515,
        0.939874851498157],"rarity":"common","probability_orphan":0.000088575236188,"threshold":0.22090076056289,"nearest":[
        {"disease_code":"ORPHA:85138","name":"Addison disease","probability":0.00003137562989}],"explanation":{"of":{"severity":3},
        "base_value":0.226214597707855,"contributions":[{"feature":3,"value":0.303654118087756},{"feature":300,"value":-1e-15}]},
        "warnings":["close_classes","gates_failed"],"note":[{"term":"HP:0001945","stance":"negated","effect":0.25},
        {"stance":"affirmed","effect":-0.5}]}}"#;

    fn same(one: &Record<'_>, other: &Record<'_>) -> bool {
        (&one.at, &one.patient_id, &one.model, &one.values, &one.prediction)
            == (&other.at, &other.patient_id, &other.model, &other.values, &other.prediction)
    }

    #[test]
    fn a_record_comes_back_as_it_was_also_from_a_former_version() {
        let former = Record::from_bytes(JSON.as_bytes()).unwrap();
        let packed = former.to_bytes();
        assert!(same(&Record::from_bytes(&packed).unwrap(), &former));
        let time = OffsetDateTime::parse("2026-11-30T01:21:14.415Z", &Rfc3339).unwrap();
        assert_eq!([Record::time_of(&packed), Record::time_of(JSON.as_bytes())], [Some(time); 2]);
        assert!(packed.len() * 3 < JSON.len());
    }

    #[test]
    fn everything_that_an_answer_may_hold_comes_back() {
        use Warning::*;
        let mut record = Record::from_bytes(JSON.as_bytes()).unwrap();
        record.patient_id = None;
        let warnings =
            [OrphanSuspected, NotSure, CloseClasses, UnusualPatient, InputsInsufficient, GatesFailed];
        let stances =
            [Stance::Affirmed, Stance::Negated, Stance::Family, Stance::Hypothetical, Stance::FamilyNegated];
        for (rarity, of) in [
            (None, Explained::Orphan),
            (Some(Rarity::Orphan), Explained::Severity(Severity(255))),
            (Some(Rarity::Common), Explained::Severity(Severity(0))),
        ] {
            let prediction = record.prediction.to_mut();
            prediction.rarity = rarity;
            prediction.explanation =
                Explanation { of, base_value: f64::MIN_POSITIVE, contributions: Vec::new() };
            prediction.warnings = warnings.to_vec();
            let part = |stance| NotePart { term: Some(String::new()), stance, effect: -0.0 };
            prediction.note = rarity.map(|_| stances.map(part).to_vec());
            prediction.nearest = Vec::new();
            assert!(same(&Record::from_bytes(&record.to_bytes()).unwrap(), &record));
        }
        let prediction = record.prediction.to_mut();
        prediction.explanation.contributions = vec![Contribution { feature: usize::MAX, value: 1.0 }];
        prediction.nearest =
            vec![Nearest { disease_code: "é\"".into(), name: "n".repeat(300), probability: 0.5 }];
        record.values = Cow::Owned(Patient::read_back(vec![i32::MIN, -1, 0, 1, i32::MAX]));
        assert!(same(&Record::from_bytes(&record.to_bytes()).unwrap(), &record));
    }

    #[test]
    fn what_is_cut_or_changed_is_an_answer_or_none_and_never_a_panic() {
        let whole = Record::from_bytes(JSON.as_bytes()).unwrap().to_bytes();
        for end in 0..whole.len() {
            assert!(Record::from_bytes(&whole[..end]).is_err(), "{end}");
        }
        assert!(Record::from_bytes(&[&whole[..], &[0]].concat()).is_err());
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                let _ = Record::from_bytes(&changed);
                let _ = Record::time_of(&changed);
            }
        }
        assert!(Record::time_of(b"").is_none() && Record::time_of(b"{}").is_none());
    }
}
