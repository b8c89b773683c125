//! The orphan diseases that every possible patient resembles most, computed in advance like the answer itself.

use serde::{Deserialize, Serialize};

use crate::fewshot::{Half, Margins, NEAREST};
use crate::{Error, Matrix, Result};

/// Bytes of one patient: the diseases' positions, then their probabilities.
const RECORD: usize = NEAREST * (size_of::<u16>() + size_of::<f32>());
const FILE: &str = "the nearest diseases";
/// Position of no disease.
const NONE: u16 = u16::MAX;

/// Of every possible patient the most probable orphan diseases, given that it is an orphan disease.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NearestTable {
    codes: Vec<String>,
    records: Vec<u8>,
}

/// The part that is kept as text.
#[derive(Serialize, Deserialize)]
struct Codes {
    codes: Vec<String>,
}

impl NearestTable {
    /// For the patients with these levels; `margins` are what the half's prototypes say of the same ones.
    pub fn of(half: &Half, levels: &Matrix<u32>, margins: Option<&Margins>) -> NearestTable {
        let mut posterior = half.posterior();
        let mut records = Vec::with_capacity(levels.rows() * RECORD);
        for (row, levels) in levels.iter_rows().enumerate() {
            let top = most_probable(posterior.of(levels, margins, row));
            let positions = top.map(|(position, _)| position.to_le_bytes());
            records.extend(positions.into_iter().flatten());
            records.extend(top.into_iter().flat_map(|(_, p)| p.to_le_bytes()));
        }
        NearestTable { codes: posterior.codes().to_vec(), records }
    }

    /// The same for the patients of `next`, which follow these; both are of one half.
    pub(crate) fn append(&mut self, next: NearestTable) {
        if self.records.is_empty() {
            self.codes = next.codes;
        }
        self.records.extend(next.records);
    }

    /// Code and probability of the diseases that possible patient `cell` resembles most, most probable first; empty
    /// when the cohort has no orphan disease with a code.
    pub fn of_cell(&self, cell: usize) -> impl Iterator<Item = (&str, f64)> {
        self.positions(cell).map(|(position, p)| (self.codes[position].as_str(), p))
    }

    /// The diseases that it can name.
    pub fn codes(&self) -> &[String] {
        &self.codes
    }

    /// As [`NearestTable::of_cell`], by position in [`NearestTable::codes`].
    pub(crate) fn positions(&self, cell: usize) -> impl Iterator<Item = (usize, f64)> {
        let record = self.records.get(cell * RECORD..(cell + 1) * RECORD).unwrap_or_default();
        let (positions, probabilities) = record.split_at(record.len().min(NEAREST * size_of::<u16>()));
        let (positions, _) = positions.as_chunks::<2>();
        let (probabilities, _) = probabilities.as_chunks::<4>();
        positions.iter().zip(probabilities).filter_map(|(position, p)| {
            let position = usize::from(u16::from_le_bytes(*position));
            (position < self.codes.len()).then(|| (position, f64::from(f32::from_le_bytes(*p))))
        })
    }

    /// # Errors
    /// None that a table can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_vec(&Codes { codes: self.codes.clone() });
        let text = text.map_err(|error| Error::malformed(FILE, error))?;
        let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
        bytes.extend(text);
        bytes.extend(&self.records);
        Ok(bytes)
    }

    /// # Errors
    /// When the bytes are not those of a table of `patients` possible patients.
    pub fn from_bytes(bytes: &[u8], patients: usize) -> Result<NearestTable> {
        let (length, rest) =
            bytes.split_first_chunk::<4>().ok_or_else(|| Error::malformed(FILE, "they are cut short"))?;
        let length = u32::from_le_bytes(*length) as usize;
        let (text, records) =
            rest.split_at_checked(length).ok_or_else(|| Error::malformed(FILE, "they are cut short"))?;
        let Codes { codes } = serde_json::from_slice(text).map_err(|error| Error::malformed(FILE, error))?;
        if Some(records.len()) != patients.checked_mul(RECORD) {
            return Err(Error::malformed(FILE, "their number does not fit the study"));
        }
        Ok(NearestTable { codes, records: records.to_vec() })
    }
}

/// Positions and probabilities of the largest entries, in order; [`NONE`] where there are fewer.
fn most_probable(posterior: &[f64]) -> [(u16, f32); NEAREST] {
    let mut top = [(NONE, 0.0f32); NEAREST];
    for (position, &p) in posterior.iter().enumerate() {
        let p = p as f32;
        let above = top.iter().take_while(|(known, other)| *known != NONE && *other >= p).count();
        if above < NEAREST && p > 0.0 {
            top[above..].rotate_right(1);
            top[above] = (position as u16, p);
        }
    }
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_largest_in_order_and_ties_by_position() {
        assert_eq!(most_probable(&[0.1, 0.4, 0.0, 0.4, 0.05]), [(1, 0.4), (3, 0.4), (0, 0.1)]);
        assert_eq!(most_probable(&[0.0, 0.7]), [(1, 0.7), (NONE, 0.0), (NONE, 0.0)]);
    }

    #[test]
    fn bytes_come_back_whole_and_damaged_ones_are_refused() {
        let mut table = NearestTable { codes: vec!["ORPHA:1".into(), "ORPHA:2".into()], records: Vec::new() };
        for top in [most_probable(&[0.2, 0.7]), most_probable(&[0.0, 0.0])] {
            table.records.extend(top.iter().flat_map(|(position, _)| position.to_le_bytes()));
            table.records.extend(top.iter().flat_map(|(_, p)| p.to_le_bytes()));
        }
        let bytes = table.to_bytes().unwrap();
        let read = NearestTable::from_bytes(&bytes, 2).unwrap();
        assert_eq!(read, table);
        let named: Vec<(&str, f64)> = read.of_cell(0).collect();
        assert_eq!(named.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["ORPHA:2", "ORPHA:1"]);
        assert_eq!((read.of_cell(1).count(), read.of_cell(2).count()), (0, 0));
        assert!(NearestTable::from_bytes(&bytes, 3).is_err());
        assert!((0..bytes.len()).all(|end| NearestTable::from_bytes(&bytes[..end], 2).is_err()));
    }
}
