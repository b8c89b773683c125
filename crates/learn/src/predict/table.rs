//! The predictor table: the displayed probabilities of every possible patient, and of every patient
//! of whom only some features are known.
//!
//! Each feature gets one level more, *absent*. The entry of a patient with absent features is
//! v(S)[x_S] = sum over the absent features' levels z of P_cohort(z) f(x_S, z): the interventional
//! expectation that Shapley values are made of. The entry without an absent feature is the
//! prediction, the one with all absent is the cohort's mean. An explanation is 2^n lookups.

use super::shapley::{Explanation, shapley};
use super::{check_levels, file};
use crate::{Error, Matrix, Result};

/// Memory that a table may take, in bytes.
const LARGEST: usize = 4 << 30;
/// Features that a table may have: an explanation reads 2^n entries.
const MOST_FEATURES: usize = 12;

/// Entries of the table in mixed radix, first feature most significant, level `dim` = absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    dims: Vec<usize>,
    outputs: usize,
    /// Distance between neighbouring levels of each feature, in entries.
    strides: Vec<usize>,
    values: Vec<f64>,
}

impl Table {
    /// Whether a study with these levels per feature can be tabulated: how many possible patients
    /// it has, when those are at most `limit` and the table fits.
    pub fn possible(dims: &[usize], outputs: usize, limit: usize) -> Option<usize> {
        let patients = dims.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim))?;
        let (_, entries) = layout(dims).ok()?;
        let bytes = entries.checked_mul(outputs)?.checked_mul(size_of::<f64>())?;
        (patients <= limit && bytes <= LARGEST).then_some(patients)
    }

    /// Tabulates `f`, the displayed probabilities of every possible patient (`cells x outputs`, cells
    /// in mixed radix of `dims`), over the cohort's weights: `(cell, cases)`, at least one case.
    ///
    /// # Errors
    /// When the shapes differ, a cell is out of range, or the weights are no counts.
    pub fn build(dims: &[usize], f: &Matrix<f64>, weights: &[(usize, f64)]) -> Result<Self> {
        let (strides, entries) = layout(dims)?;
        let cells: usize = dims.iter().product();
        if f.rows() != cells {
            return Err(Error::shape("predictions to tabulate", format!("{cells} rows"), f.rows()));
        }
        let total = weights.iter().map(|(_, weight)| weight).sum::<f64>();
        if weights.iter().any(|&(cell, weight)| cell >= cells || !weight.is_finite() || weight < 0.0)
            || total <= 0.0
        {
            return Err(Error::Invalid("the cohort's weights are no counts of possible patients".into()));
        }
        let outputs = f.columns();
        let mut table = Table { dims: dims.to_vec(), outputs, strides, values: vec![0.0; entries * outputs] };
        for coalition in 0..1usize << dims.len() {
            table.fill(coalition, f, weights, total);
        }
        Ok(table)
    }

    /// Fills the entries whose known features are those of `coalition`.
    fn fill(&mut self, coalition: usize, f: &Matrix<f64>, weights: &[(usize, f64)], total: f64) {
        let radix = radix(&self.dims);
        let (known, absent): (Vec<usize>, Vec<usize>) =
            (0..self.dims.len()).partition(|i| coalition >> i & 1 == 1);
        // The cohort's joint distribution of the absent features, as offsets into the cells.
        let mut shares = vec![0.0; if absent.is_empty() { 0 } else { f.rows() }];
        for &(cell, weight) in weights.iter().filter(|(_, weight)| *weight > 0.0) {
            let offset: usize = absent.iter().map(|&i| cell / radix[i] % self.dims[i] * radix[i]).sum();
            if let Some(share) = shares.get_mut(offset) {
                *share += weight / total;
            }
        }
        let marginal: Vec<(usize, f64)> =
            shares.into_iter().enumerate().filter(|(_, share)| *share > 0.0).collect();
        let nobody: usize = absent.iter().map(|&i| self.dims[i] * self.strides[i]).sum();
        let mut levels = vec![0usize; known.len()];
        let mut mean = vec![0.0; self.outputs];
        loop {
            let cell: usize = known.iter().zip(&levels).map(|(&i, level)| level * radix[i]).sum();
            let entry: usize =
                nobody + known.iter().zip(&levels).map(|(&i, level)| level * self.strides[i]).sum::<usize>();
            let values = &mut self.values[entry * self.outputs..(entry + 1) * self.outputs];
            if absent.is_empty() {
                values.copy_from_slice(f.row(cell));
            } else {
                mean.fill(0.0);
                for &(offset, weight) in &marginal {
                    for (mean, value) in mean.iter_mut().zip(f.row(cell + offset)) {
                        *mean += weight * value;
                    }
                }
                values.copy_from_slice(&mean);
            }
            if !advance(&mut levels, known.iter().map(|&i| self.dims[i])) {
                return;
            }
        }
    }

    /// Levels per clinical feature.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Numbers per patient.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Possible patients.
    pub fn patients(&self) -> usize {
        self.dims.iter().product()
    }

    fn entry(&self, entry: usize) -> &[f64] {
        self.values.get(entry * self.outputs..(entry + 1) * self.outputs).unwrap_or_default()
    }

    /// The displayed probabilities of the patient with these levels.
    ///
    /// # Errors
    /// When a level is out of its feature's range.
    pub fn predict(&self, levels: &[usize]) -> Result<&[f64]> {
        check_levels(&self.dims, levels)?;
        Ok(self.entry(levels.iter().zip(&self.strides).map(|(level, stride)| level * stride).sum()))
    }

    /// The displayed probabilities of possible patient `cell` (mixed radix, first feature most
    /// significant); empty when there is none.
    pub fn predict_cell(&self, cell: usize) -> &[f64] {
        if cell >= self.patients() {
            return &[];
        }
        let mut rest = cell;
        let mut entry = 0;
        for (dim, stride) in self.dims.iter().zip(&self.strides).rev() {
            entry += rest % dim * stride;
            rest /= dim;
        }
        self.entry(entry)
    }

    /// The cohort's mean of every output.
    pub fn base(&self) -> &[f64] {
        self.entry(self.nobody())
    }

    /// The entry with every feature absent.
    fn nobody(&self) -> usize {
        self.dims.iter().zip(&self.strides).map(|(dim, stride)| dim * stride).sum()
    }

    /// Exact Shapley values of one output.
    ///
    /// # Errors
    /// When a level or the output is out of range.
    pub fn explain(&self, levels: &[usize], output: usize) -> Result<Explanation> {
        check_levels(&self.dims, levels)?;
        if output >= self.outputs {
            return Err(Error::shape("output to explain", format!("below {}", self.outputs), output));
        }
        // Entries of the coalitions of the features so far, each twice as many as before: without the next feature, with it.
        let mut entries = Vec::with_capacity(1 << self.dims.len());
        entries.push(self.nobody());
        for ((level, dim), stride) in levels.iter().zip(&self.dims).zip(&self.strides) {
            let without = entries.len();
            entries.extend_from_within(..);
            entries[without..].iter_mut().for_each(|entry| *entry -= (dim - level) * stride);
        }
        let worth =
            |entry: usize| self.values.get(entry * self.outputs + output).copied().unwrap_or_default();
        let worth: Vec<f64> = entries.into_iter().map(worth).collect();
        Ok(shapley(self.dims.len(), &worth))
    }

    /// The table's file: a header with the shape, and the entries, little-endian, zstd-compressed
    /// with a checksum.
    ///
    /// # Errors
    /// When compression fails.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        file::write(&self.dims, self.outputs, &self.values)
    }

    /// Opens a table's file.
    ///
    /// # Errors
    /// When the bytes are no table, damaged, or larger than their header says.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (dims, outputs) = file::shape(bytes)?;
        let (strides, entries) = layout(&dims)?;
        let numbers = entries.checked_mul(outputs).filter(|numbers| *numbers <= LARGEST / size_of::<f64>());
        let numbers = numbers.ok_or_else(|| Error::malformed("table", "it is too large"))?;
        let values = file::values(bytes, &dims, numbers)?;
        Ok(Table { dims, outputs, strides, values })
    }
}

/// Distances between levels, and the number of entries, with one absent level per feature.
fn layout(dims: &[usize]) -> Result<(Vec<usize>, usize)> {
    if dims.is_empty() || dims.len() > MOST_FEATURES || dims.contains(&0) {
        return Err(Error::shape(
            "features of a table",
            format!("1 to {MOST_FEATURES}, each with levels"),
            dims.len(),
        ));
    }
    let mut strides = vec![0; dims.len()];
    let mut entries = 1usize;
    for (stride, dim) in strides.iter_mut().zip(dims).rev() {
        *stride = entries;
        entries = entries
            .checked_mul(dim + 1)
            .ok_or_else(|| Error::shape("entries of a table", "a number in memory", "more"))?;
    }
    Ok((strides, entries))
}

/// Distances between levels in the cells, which have no absent level.
pub(crate) fn radix(dims: &[usize]) -> Vec<usize> {
    let mut radix = vec![1; dims.len()];
    for i in (1..dims.len()).rev() {
        radix[i - 1] = radix[i] * dims[i];
    }
    radix
}

/// The next combination of levels, last fastest; false after the last one.
fn advance(levels: &mut [usize], dims: impl DoubleEndedIterator<Item = usize> + ExactSizeIterator) -> bool {
    for (level, dim) in levels.iter_mut().zip(dims).rev() {
        *level += 1;
        if *level < dim {
            return true;
        }
        *level = 0;
    }
    false
}
