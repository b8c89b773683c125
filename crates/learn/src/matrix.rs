//! A dense matrix, row after row: the one shape in which numbers cross this crate's borders.

use crate::{Error, Result};

/// `rows` x `columns` numbers in row-major order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix<T> {
    rows: usize,
    columns: usize,
    data: Vec<T>,
}

impl<T: Copy + Default> Matrix<T> {
    /// All elements zero.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Matrix { rows, columns, data: vec![T::default(); rows * columns] }
    }

    /// # Errors
    /// When `data` does not hold `rows * columns` numbers.
    pub fn from_vec(rows: usize, columns: usize, data: Vec<T>) -> Result<Self> {
        if rows.checked_mul(columns) != Some(data.len()) {
            return Err(Error::shape("matrix", format!("{rows} x {columns} numbers"), data.len()));
        }
        Ok(Matrix { rows, columns, data })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Row `i`; an empty slice when there is none.
    pub fn row(&self, i: usize) -> &[T] {
        self.data.get(i * self.columns..(i + 1) * self.columns).unwrap_or_default()
    }

    /// Row `i` to write to; an empty slice when there is none.
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        self.data.get_mut(i * self.columns..(i + 1) * self.columns).unwrap_or_default()
    }

    pub fn iter_rows(&self) -> std::slice::ChunksExact<'_, T> {
        self.data.chunks_exact(self.columns.max(1))
    }

    pub fn as_slice(&self) -> &[T] {
        &self.data
    }

    pub fn into_vec(self) -> Vec<T> {
        self.data
    }

    /// The rows at `indices`, in that order; rows that do not exist are left out.
    pub fn select(&self, indices: &[usize]) -> Self {
        let mut data = Vec::with_capacity(indices.len() * self.columns);
        let mut rows = 0;
        for &i in indices.iter().filter(|&&i| i < self.rows) {
            data.extend_from_slice(self.row(i));
            rows += 1;
        }
        Matrix { rows, columns: self.columns, data }
    }
}
