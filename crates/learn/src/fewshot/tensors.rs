//! Numbers as bytes: the safetensors format, which other software reads too.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::{Error, Result};

/// The key of the one piece of text that a file may carry. One, because the format does not order them.
const ABOUT: &str = "hoofbeat";

/// Collects tensors for one file.
#[derive(Debug)]
pub(super) struct Writer {
    file: &'static str,
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
}

impl Writer {
    /// `file` names the file in errors.
    pub(super) fn new(file: &'static str) -> Writer {
        Writer { file, tensors: Vec::new() }
    }

    pub(super) fn put_f32(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        numbers: impl Iterator<Item = f32>,
    ) {
        let bytes = numbers.flat_map(f32::to_le_bytes).collect();
        self.tensors.push((name.into(), Dtype::F32, shape.to_vec(), bytes));
    }

    pub(super) fn put_f64(
        &mut self,
        name: impl Into<String>,
        shape: &[usize],
        numbers: impl Iterator<Item = f64>,
    ) {
        let bytes = numbers.flat_map(f64::to_le_bytes).collect();
        self.tensors.push((name.into(), Dtype::F64, shape.to_vec(), bytes));
    }

    /// The file: the same tensors and text give the same bytes.
    pub(super) fn finish(self, about: Option<String>) -> Result<Vec<u8>> {
        let views = self.tensors.iter().map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        let views =
            views.collect::<Result<Vec<_>, _>>().map_err(|error| Error::malformed(self.file, error))?;
        let about = about.map(|about| HashMap::from([(ABOUT.to_owned(), about)]));
        safetensors::serialize(views, about).map_err(|error| Error::malformed(self.file, error))
    }
}

/// An opened file.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    file: &'static str,
    tensors: SafeTensors<'a>,
    about: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn open(file: &'static str, bytes: &'a [u8]) -> Result<Reader<'a>> {
        let malformed = |error| Error::malformed(file, error);
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(malformed)?;
        let about = header.metadata().as_ref().and_then(|texts| texts.get(ABOUT).cloned());
        Ok(Reader { file, tensors: SafeTensors::deserialize(bytes).map_err(malformed)?, about })
    }

    /// The text.
    pub(super) fn about(&self) -> Result<&str> {
        self.about.as_deref().ok_or_else(|| self.malformed("its header does not say what it holds"))
    }

    /// Rows and columns of a matrix.
    pub(super) fn shape(&self, name: &str) -> Result<[usize; 2]> {
        let tensor = self.tensors.tensor(name).map_err(|error| self.malformed(error))?;
        tensor.shape().try_into().map_err(|_| self.malformed(format!("{name} is not a matrix")))
    }

    /// # Errors
    /// When there is no such tensor of that shape, or one of its numbers is not finite.
    pub(super) fn f32(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let bytes = self.bytes(name, Dtype::F32, shape)?.as_chunks::<4>().0.iter();
        let numbers: Vec<f32> = bytes.map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match numbers.iter().all(|number| number.is_finite()) {
            true => Ok(numbers),
            false => Err(self.malformed(format!("{name} holds a number that is not finite"))),
        }
    }

    /// # Errors
    /// As [`Reader::f32`].
    pub(super) fn f64(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>> {
        let bytes = self.bytes(name, Dtype::F64, shape)?.as_chunks::<8>().0.iter();
        let numbers: Vec<f64> = bytes.map(|bytes| f64::from_le_bytes(*bytes)).collect();
        match numbers.iter().all(|number| number.is_finite()) {
            true => Ok(numbers),
            false => Err(self.malformed(format!("{name} holds a number that is not finite"))),
        }
    }

    pub(super) fn malformed(&self, why: impl ToString) -> Error {
        Error::malformed(self.file, why)
    }

    fn bytes(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<&'a [u8]> {
        let tensor = self.tensors.tensor(name).map_err(|error| self.malformed(error))?;
        if tensor.dtype() != dtype || tensor.shape() != shape {
            let (got, of) = (tensor.dtype(), tensor.shape());
            return Err(self.malformed(format!("{name}: expected {dtype} {shape:?}, got {got} {of:?}")));
        }
        Ok(tensor.data())
    }
}
