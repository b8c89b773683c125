//! A model's answer to a case with a note: the structured answer, moved by what the note says.
//!
//! The note acts on the probability of every severity with either rarity, before the alarm; what follows is as
//! without one. A case without a note, and a note that says nothing, get the structured answer itself.

use std::collections::BTreeMap;

use clinical::{Note, NotePart, Study};

use crate::bundle::Bundle;
use crate::model::lasting;
use crate::notes::{Evidence, NoteModel, NoteReader};
use crate::{Error, Matrix, Result};

/// The note model, compressed JSON.
const MODEL: &str = "notes.json.zst";
/// Share of each severity that orphan diseases have, one f64 per possible patient and severity.
const SHARES: &str = "orphan-shares.bin.zst";
/// Parts of a note that an answer keeps.
const MOST_PARTS: usize = 8;
/// Effects below this are not worth keeping.
const WORTH_KEEPING: f64 = 0.0005;

/// The note's side of an opened model.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    model: NoteModel,
    reader: NoteReader,
    severities: usize,
    /// Empty in the direct form, which computes them.
    shares: Vec<f64>,
}

/// Adds the files of a note model; `shares` have a row per possible patient in the tabulated form, else none.
pub(crate) fn files(
    model: &NoteModel,
    shares: &Matrix<f64>,
    contents: &mut BTreeMap<String, Vec<u8>>,
) -> Result<()> {
    let malformed = |name: &str, error: &dyn std::fmt::Display| Error::malformed(name, error);
    let text = serde_json::to_vec(model).map_err(|error| malformed(MODEL, &error))?;
    contents.insert(MODEL.to_owned(), zstd::encode_all(&*text, 3).map_err(|error| malformed(MODEL, &error))?);
    if shares.rows() > 0 && model.speaks() {
        contents.extend([shares_file(shares)?]);
    }
    Ok(())
}

/// Whether the answers of a bundle need orphan diseases' shares of the severities.
pub(crate) fn needs_shares(bundle: &Bundle) -> bool {
    bundle.manifest.files.contains_key(SHARES)
}

/// The file of orphan diseases' shares, a row per possible patient.
pub(crate) fn shares_file(shares: &Matrix<f64>) -> Result<(String, Vec<u8>)> {
    let bytes: Vec<u8> = shares.as_slice().iter().flat_map(|share| share.to_le_bytes()).collect();
    let packed = zstd::encode_all(&*bytes, 3).map_err(|error| Error::malformed(SHARES, error))?;
    Ok((SHARES.to_owned(), packed))
}

impl Notes {
    /// The note's side of a bundle; `None` where it has none, or where notes never change an answer.
    pub(crate) fn open(bundle: &Bundle, study: &Study, tabulated: bool) -> Result<Option<Notes>> {
        let Some(field) = study.note().filter(|_| bundle.manifest.files.contains_key(MODEL)) else {
            return Ok(None);
        };
        let text = zstd::decode_all(bundle.file(MODEL)?).map_err(|error| Error::malformed(MODEL, error))?;
        let model: NoteModel =
            serde_json::from_slice(&text).map_err(|error| Error::malformed(MODEL, error))?;
        if !model.speaks() {
            return Ok(None);
        }
        let severities = study.severities().len();
        if model.outcomes() != 2 * severities {
            return Err(Error::malformed(MODEL, "it does not fit the study's severities"));
        }
        let mut shares = Vec::new();
        if tabulated {
            let bytes =
                zstd::decode_all(bundle.file(SHARES)?).map_err(|error| Error::malformed(SHARES, error))?;
            shares = bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
            if study.domain().size().and_then(|size| size.checked_mul(severities)) != Some(shares.len()) {
                return Err(Error::malformed(SHARES, "it does not fit the study's possible patients"));
            }
        }
        Ok(Some(Notes { model, reader: NoteReader::of(field)?, severities, shares }))
    }

    /// What a note says.
    pub(crate) fn hear(&self, note: &Note) -> Evidence {
        self.model.evidence(&self.reader, &self.reader.read(note.text()))
    }

    /// The shares of a possible patient, in the tabulated form.
    pub(crate) fn shares(&self, cell: usize) -> Option<&[f64]> {
        self.shares.get(cell * self.severities..(cell + 1) * self.severities)
    }
}

/// Severities as they were before the alarm, with orphan diseases' shares of them, moved by a note: the severities and
/// the orphan probability after it.
pub(crate) fn moved(before_alarm: &[f64], shares: &[f64], evidence: &Evidence) -> (Vec<f64>, f64) {
    let mut joint: Vec<f64> =
        before_alarm.iter().zip(shares).flat_map(|(p, share)| [p * (1.0 - share), p * share]).collect();
    evidence.apply(&mut joint);
    let severities = joint.chunks_exact(2).map(|pair| pair.iter().sum()).collect();
    (severities, joint.iter().skip(1).step_by(2).sum())
}

/// The parts of a note by how much the explained probability, `shown`, owes to each; `value` is that probability by
/// some evidence.
pub(crate) fn parts(
    evidence: &Evidence,
    shown: f64,
    mut value: impl FnMut(&Evidence) -> Result<f64>,
) -> Result<Vec<NotePart>> {
    let mut parts = Vec::new();
    for (at, part) in evidence.parts.iter().enumerate() {
        let effect = lasting(shown - value(&evidence.without(at))?);
        if effect.abs() >= WORTH_KEEPING {
            parts.push(NotePart { term: part.term.clone(), stance: part.stance, effect });
        }
    }
    parts.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
    parts.truncate(MOST_PARTS);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notes::EvidencePart;
    use clinical::note::Stance;

    fn evidence(log_ratios: [f64; 4]) -> Evidence {
        let part = EvidencePart {
            term: Some("t".into()),
            stance: Stance::Affirmed,
            log_ratios: log_ratios.to_vec(),
        };
        Evidence { log_ratios: log_ratios.to_vec(), parts: vec![part] }
    }

    #[test]
    fn a_note_multiplies_the_probabilities_of_severity_and_rarity() {
        let (before, shares) = ([0.6, 0.4], [0.0, 0.25]);
        let (same, orphan) = moved(&before, &shares, &evidence([0.0; 4]));
        assert!(same.iter().zip(before).all(|(a, b)| (a - b).abs() < 1e-15) && (orphan - 0.1).abs() < 1e-15);
        // Three times the odds of an orphan disease: 0.6, 0.3, 0.1 * 3, over 1.2.
        let (severities, orphan) = moved(&before, &shares, &evidence([0.0, 0.0, 0.0, 3f64.ln()]));
        assert!((severities[0] - 0.5).abs() < 1e-12 && (severities[1] - 0.5).abs() < 1e-12);
        assert!((orphan - 0.25).abs() < 1e-12);
    }

    #[test]
    fn parts_are_what_the_probability_owes_to_them() {
        let one = evidence([0.0, 0.0, 1.0, 1.0]);
        let of = |shown: f64| parts(&one, shown, |_| Ok(0.4)).unwrap();
        assert_eq!(of(0.4003), []);
        let found = of(0.5);
        assert_eq!(found.len(), 1);
        assert!((found[0].effect - 0.1).abs() < 1e-12);
    }
}
