//! What the bench writes, and what is answered in the same form.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use learn::Matrix;
use learn::fewshot::{Disease, DiseaseCounts};

/// A counted cohort over every possible patient.
pub(crate) struct Data {
    folder: PathBuf,
    /// `x.f32`: encoded patients, n x columns.
    pub(crate) x: Matrix<f32>,
    /// `diseases.json`: `[{"code", "orphan"}]`.
    pub(crate) diseases: Vec<Disease>,
    /// `cases.u32`: (fold, disease, row, cases), four numbers each.
    pub(crate) cases: Vec<[usize; 4]>,
}

impl Data {
    pub(crate) fn read(folder: &Path) -> Result<Data> {
        let text = std::fs::read_to_string(folder.join("diseases.json"))?;
        let diseases: Vec<Disease> = serde_json::from_str(&text)?;
        let shape: [usize; 2] = serde_json::from_str(&std::fs::read_to_string(folder.join("shape.json"))?)?;
        let x = words(&folder.join("x.f32"))?.into_iter().map(f32::from_le_bytes).collect();
        let numbers = read_u32(&folder.join("cases.u32"))?;
        ensure!(numbers.len() % 4 == 0, "cases.u32 is cut off");
        let cases = numbers.as_chunks::<4>().0.to_vec();
        Ok(Data { folder: folder.to_owned(), x: Matrix::from_vec(shape[0], shape[1], x)?, diseases, cases })
    }

    /// Counts of the folds that `keep` names.
    pub(crate) fn counts(&self, keep: impl Fn(usize) -> bool) -> Result<DiseaseCounts> {
        let kept = self.cases.iter().filter(|case| keep(case[0]));
        let entries = kept.map(|&[_, disease, row, count]| (disease, row, count as f64));
        Ok(DiseaseCounts::new(self.diseases.clone(), self.x.rows(), entries)?)
    }

    pub(crate) fn folds(&self) -> usize {
        self.cases.iter().map(|case| case[0] + 1).max().unwrap_or(0)
    }

    pub(crate) fn read_f64(&self, name: &str) -> Result<Vec<f64>> {
        let bytes = std::fs::read(self.folder.join(name)).with_context(|| name.to_owned())?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }

    pub(crate) fn read_u32(&self, name: &str) -> Result<Vec<usize>> {
        read_u32(&self.folder.join(name))
    }

    pub(crate) fn write_f64(&self, name: &str, numbers: &[f64]) -> Result<()> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Ok(std::fs::write(self.folder.join(name), bytes)?)
    }
}

fn words(path: &Path) -> Result<Vec<[u8; 4]>> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    Ok(bytes.as_chunks::<4>().0.to_vec())
}

fn read_u32(path: &Path) -> Result<Vec<usize>> {
    Ok(words(path)?.into_iter().map(|word| u32::from_le_bytes(word) as usize).collect())
}
