//! Cases of each disease, counted by patient.

use serde::{Deserialize, Serialize};

use crate::{Error, Matrix, Result};

/// A disease as the few-shot half sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disease {
    /// Identifies it: a code such as `ORPHA:586`; the severity's code for people without a disease code.
    pub code: String,
    pub orphan: bool,
}

/// Counts of cases per disease and row of an encoded matrix; only what is not zero is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct DiseaseCounts {
    diseases: Vec<Disease>,
    rows: usize,
    /// (row, cases) of each disease, ascending by row.
    cases: Vec<Vec<(u32, f64)>>,
}

impl DiseaseCounts {
    /// Counts from (disease, row, cases) in any order; equal places are added up.
    ///
    /// # Errors
    /// When a code stands twice, a place is out of range, or a count is negative or not finite.
    pub fn new(
        diseases: Vec<Disease>,
        rows: usize,
        entries: impl IntoIterator<Item = (usize, usize, f64)>,
    ) -> Result<DiseaseCounts> {
        let mut codes: Vec<&str> = diseases.iter().map(|disease| disease.code.as_str()).collect();
        codes.sort_unstable();
        if let Some([code, _]) = codes.array_windows().find(|[a, b]| a == b) {
            return Err(Error::Invalid(format!("the disease {code} stands twice: merge its cases")));
        }
        let mut cases = vec![Vec::new(); diseases.len()];
        for (disease, row, count) in entries {
            let place = u32::try_from(row).ok().filter(|_| row < rows);
            let (Some(list), Some(place)) = (cases.get_mut(disease), place) else {
                return Err(Error::Invalid(format!(
                    "cases of disease {disease} in row {row}: there are {} diseases and {rows} rows",
                    diseases.len()
                )));
            };
            if !(count >= 0.0 && count.is_finite()) {
                return Err(Error::Invalid("a count of cases is negative or not finite".into()));
            }
            if count > 0.0 {
                list.push((place, count));
            }
        }
        for list in &mut cases {
            list.sort_by_key(|&(row, _)| row);
            list.dedup_by(|next, first| {
                let same = next.0 == first.0;
                if same {
                    first.1 += next.1;
                }
                same
            });
        }
        Ok(DiseaseCounts { diseases, rows, cases })
    }

    /// From a matrix of counts, rows x diseases.
    ///
    /// # Errors
    /// As [`DiseaseCounts::new`], and when the matrix has another number of columns.
    pub fn from_matrix(diseases: Vec<Disease>, counts: &Matrix<f64>) -> Result<DiseaseCounts> {
        if counts.columns() != diseases.len() {
            return Err(Error::shape("columns of the counts", diseases.len(), counts.columns()));
        }
        let entries = counts.iter_rows().enumerate();
        let entries = entries
            .flat_map(|(row, counts)| counts.iter().enumerate().map(move |(disease, &n)| (disease, row, n)));
        DiseaseCounts::new(diseases, counts.rows(), entries)
    }

    pub fn diseases(&self) -> &[Disease] {
        &self.diseases
    }

    /// Rows of the matrix that the counts belong to.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// (row, cases) of one disease, ascending by row, never zero.
    pub fn of(&self, disease: usize) -> &[(u32, f64)] {
        self.cases.get(disease).map_or(&[], Vec::as_slice)
    }

    /// Cases of one disease.
    pub fn total(&self, disease: usize) -> f64 {
        self.of(disease).iter().map(|(_, count)| count).sum()
    }

    /// Cases per row over the diseases that `keep` names.
    pub fn by_row(&self, keep: impl Fn(&Disease) -> bool) -> Vec<f64> {
        let mut sums = vec![0.0; self.rows];
        for (disease, cases) in self.diseases.iter().zip(&self.cases) {
            if keep(disease) {
                for &(row, count) in cases {
                    sums[row as usize] += count;
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diseases() -> Vec<Disease> {
        vec![
            Disease { code: "healthy".into(), orphan: false },
            Disease { code: "ORPHA:1".into(), orphan: true },
        ]
    }

    #[test]
    fn entries_and_matrix_give_the_same() {
        let entries = [(1, 2, 1.0), (0, 0, 2.0), (1, 0, 3.0), (1, 2, 1.5), (0, 1, 0.0)];
        let counts = DiseaseCounts::new(diseases(), 3, entries).unwrap();
        let matrix = Matrix::from_vec(3, 2, vec![2.0, 3.0, 0.0, 0.0, 0.0, 2.5]).unwrap();
        assert_eq!(DiseaseCounts::from_matrix(diseases(), &matrix).unwrap(), counts);
        assert_eq!(counts.of(1), [(0, 3.0), (2, 2.5)]);
        assert_eq!([counts.total(0), counts.total(1), counts.total(2)], [2.0, 5.5, 0.0]);
        assert_eq!(counts.by_row(|disease| disease.orphan), [3.0, 0.0, 2.5]);
    }

    #[test]
    fn what_cannot_be_counts_is_refused() {
        let refused = |entry| DiseaseCounts::new(diseases(), 3, [entry]).is_err();
        assert!(refused((2, 0, 1.0)) && refused((0, 3, 1.0)));
        assert!(refused((0, 0, -1.0)) && refused((0, 0, f64::NAN)) && refused((0, 0, f64::INFINITY)));
        let twice = vec![diseases()[0].clone(), diseases()[0].clone()];
        assert!(DiseaseCounts::new(twice, 3, []).unwrap_err().to_string().contains("healthy"));
        assert!(DiseaseCounts::from_matrix(diseases(), &Matrix::zeros(3, 3)).is_err());
    }
}
