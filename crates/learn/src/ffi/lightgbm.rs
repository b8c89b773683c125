//! LightGBM's C interface (`LightGBM/c_api.h`, version 4.7), loaded at run time.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use libloading::Library;

use super::{functions, text};
use crate::{Error, Matrix, Result};

/// The version whose behaviour was verified. The library does not tell its own, its package does.
const VERSION: &str = "4.7.";

type Handle = *mut c_void;

const F32: c_int = 0;
const F64: c_int = 1;
const ROW_MAJOR: c_int = 1;
/// Predictions before the softmax.
const RAW_SCORE: c_int = 1;
/// Counting splits; the model file lists the columns' importance by it.
const IMPORTANCE: c_int = 0;

functions! {
    last_error = b"LGBM_GetLastError\0": unsafe extern "C" fn() -> *const c_char;
    log_to = b"LGBM_RegisterLogCallback\0": unsafe extern "C" fn(extern "C" fn(*const c_char)) -> c_int;
    dataset_from_sample = b"LGBM_DatasetCreateFromSampledColumn\0": unsafe extern "C" fn(*mut *mut f64, *mut *mut c_int, i32, *const c_int, i32, i32, i64, *const c_char, *mut Handle) -> c_int;
    dataset_like = b"LGBM_DatasetCreateByReference\0": unsafe extern "C" fn(Handle, i64, *mut Handle) -> c_int;
    dataset_push = b"LGBM_DatasetPushRows\0": unsafe extern "C" fn(Handle, *const c_void, c_int, i32, i32, i32) -> c_int;
    dataset_set = b"LGBM_DatasetSetField\0": unsafe extern "C" fn(Handle, *const c_char, *const c_void, c_int, c_int) -> c_int;
    dataset_free = b"LGBM_DatasetFree\0": unsafe extern "C" fn(Handle) -> c_int;
    create = b"LGBM_BoosterCreate\0": unsafe extern "C" fn(Handle, *const c_char, *mut Handle) -> c_int;
    load = b"LGBM_BoosterLoadModelFromString\0": unsafe extern "C" fn(*const c_char, *mut c_int, *mut Handle) -> c_int;
    free = b"LGBM_BoosterFree\0": unsafe extern "C" fn(Handle) -> c_int;
    merge = b"LGBM_BoosterMerge\0": unsafe extern "C" fn(Handle, Handle) -> c_int;
    add_valid = b"LGBM_BoosterAddValidData\0": unsafe extern "C" fn(Handle, Handle) -> c_int;
    update = b"LGBM_BoosterUpdateOneIter\0": unsafe extern "C" fn(Handle, *mut c_int) -> c_int;
    classes = b"LGBM_BoosterGetNumClasses\0": unsafe extern "C" fn(Handle, *mut c_int) -> c_int;
    columns = b"LGBM_BoosterGetNumFeature\0": unsafe extern "C" fn(Handle, *mut c_int) -> c_int;
    predicted_length = b"LGBM_BoosterGetNumPredict\0": unsafe extern "C" fn(Handle, c_int, *mut i64) -> c_int;
    predicted = b"LGBM_BoosterGetPredict\0": unsafe extern "C" fn(Handle, c_int, *mut i64, *mut f64) -> c_int;
    predict = b"LGBM_BoosterPredictForMat\0": unsafe extern "C" fn(Handle, *const c_void, c_int, i32, i32, c_int, c_int, c_int, c_int, *const c_char, *mut i64, *mut f64) -> c_int;
    save = b"LGBM_BoosterSaveModelToString\0": unsafe extern "C" fn(Handle, c_int, c_int, c_int, i64, *mut i64, *mut c_char) -> c_int;
}

/// Its messages would go to standard output, which belongs to the answer.
extern "C" fn silence(_message: *const c_char) {}

/// The open library.
#[derive(Clone)]
pub(crate) struct LightGbm {
    functions: Arc<Functions>,
    version: Arc<str>,
}

impl LightGbm {
    /// Opens the library and silences its own console output.
    ///
    /// # Errors
    /// When the file is no loadable LightGBM library, its package's version is not the verified one, or
    /// the system's OpenMP runtime is missing (the error says so).
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let unusable = |why: String| Error::EngineUnusable { path: path.to_owned(), why };
        let told = path.parent().and_then(Path::parent).map(|package| package.join("VERSION.txt"));
        let version = told.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let version = version.trim();
        if !version.starts_with(VERSION) {
            let got = if version.is_empty() { "unknown" } else { version };
            return Err(unusable(format!("its version is {got}, needed is {VERSION}x")));
        }
        // SAFETY: the file is the one that the operator names as LightGBM's library; its initialisers
        // have no precondition. The functions' types are those of the 4.7 header.
        let functions = unsafe { Library::new(path).and_then(|library| Functions::load(library)) };
        let functions = Arc::new(functions.map_err(|error| unusable(error.to_string()))?);
        let library = LightGbm { functions, version: version.into() };
        // SAFETY: a function that lives as long as the program and takes what the library gives.
        let code = unsafe { (library.functions.log_to)(silence) };
        library.check("LGBM_RegisterLogCallback", code)?;
        Ok(library)
    }

    /// The library's version, `major.minor.patch`.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    fn check(&self, call: &'static str, code: c_int) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the library keeps this thread's text alive until its next call.
        let text = unsafe { CStr::from_ptr((self.functions.last_error)()) };
        Err(Error::Engine { call, message: text.to_string_lossy().trim().to_owned() })
    }
}

/// Rows in the library's form: every number as its bin.
pub(crate) struct Dataset {
    library: LightGbm,
    handle: Handle,
    rows: usize,
}

impl Dataset {
    /// The rows of `x`. The bins of each column come from a sample of `sampled` values, of which
    /// `columns` holds those that are not zero; a value may be in it as often as it weighs.
    ///
    /// # Errors
    /// When the shapes contradict each other or the library refuses the rows.
    pub(crate) fn new(
        library: &LightGbm,
        x: &Matrix<f32>,
        mut columns: Vec<Vec<f64>>,
        sampled: usize,
        parameters: &str,
    ) -> Result<Self> {
        if columns.len() != x.columns() || columns.iter().any(|column| column.len() > sampled) {
            return Err(Error::shape("columns of the sample", x.columns(), columns.len()));
        }
        let lengths = columns.iter().map(|column| length(column.len())).collect::<Result<Vec<_>>>()?;
        let mut positions: Vec<Vec<c_int>> = lengths.iter().map(|&length| (0..length).collect()).collect();
        let mut values: Vec<*mut f64> = columns.iter_mut().map(|column| column.as_mut_ptr()).collect();
        let mut places: Vec<*mut c_int> = positions.iter_mut().map(|column| column.as_mut_ptr()).collect();
        let (rows, parameters) = (length(x.rows())?, text(parameters)?);
        let mut handle = ptr::null_mut();
        // SAFETY: as many columns as said, each with as many values and positions as said, which the
        // library may reorder and does not keep.
        let code = unsafe {
            (library.functions.dataset_from_sample)(
                values.as_mut_ptr(),
                places.as_mut_ptr(),
                length(columns.len())?,
                lengths.as_ptr(),
                length(sampled)?,
                rows,
                i64::from(rows),
                parameters.as_ptr(),
                &mut handle,
            )
        };
        library.check("LGBM_DatasetCreateFromSampledColumn", code)?;
        Dataset { library: library.clone(), handle, rows: x.rows() }.filled(x)
    }

    /// The rows of `x` with this dataset's bins.
    ///
    /// # Errors
    /// When the library refuses the rows.
    pub(crate) fn like(&self, x: &Matrix<f32>) -> Result<Self> {
        let mut handle = ptr::null_mut();
        let rows = i64::from(length(x.rows())?);
        // SAFETY: an open handle and a place to write to.
        let code = unsafe { (self.library.functions.dataset_like)(self.handle, rows, &mut handle) };
        self.library.check("LGBM_DatasetCreateByReference", code)?;
        Dataset { library: self.library.clone(), handle, rows: x.rows() }.filled(x)
    }

    fn filled(self, x: &Matrix<f32>) -> Result<Self> {
        let (rows, columns) = (length(x.rows())?, length(x.columns())?);
        // SAFETY: an open handle that has places for these rows; `x` holds as many numbers as said.
        let code = unsafe {
            (self.library.functions.dataset_push)(
                self.handle,
                x.as_slice().as_ptr().cast(),
                F32,
                rows,
                columns,
                0,
            )
        };
        self.library.check("LGBM_DatasetPushRows", code)?;
        Ok(self)
    }

    /// Sets one number per row: `label` or `weight`.
    ///
    /// # Errors
    /// When the length differs from the rows, or the library refuses the values.
    pub(crate) fn set(&mut self, field: &CStr, values: &[f32]) -> Result<()> {
        if values.len() != self.rows {
            return Err(Error::shape("numbers for the booster", self.rows, values.len()));
        }
        // SAFETY: an open handle and as many numbers as said, which the library copies.
        let code = unsafe {
            let values_at = values.as_ptr().cast();
            (self.library.functions.dataset_set)(
                self.handle,
                field.as_ptr(),
                values_at,
                length(values.len())?,
                F32,
            )
        };
        self.library.check("LGBM_DatasetSetField", code)
    }

    /// Sets the margins that training begins with, `rows x classes`.
    ///
    /// # Errors
    /// As [`Dataset::set`].
    pub(crate) fn set_margins(&mut self, margins: &Matrix<f64>) -> Result<()> {
        if margins.rows() != self.rows {
            return Err(Error::shape("starting margins", self.rows, margins.rows()));
        }
        let by_class: Vec<f64> =
            (0..margins.columns()).flat_map(|class| margins.iter_rows().map(move |row| row[class])).collect();
        let name = c"init_score";
        // SAFETY: an open handle and as many numbers as said, which the library copies.
        let code = unsafe {
            let values = by_class.as_ptr().cast();
            (self.library.functions.dataset_set)(
                self.handle,
                name.as_ptr(),
                values,
                length(by_class.len())?,
                F64,
            )
        };
        self.library.check("LGBM_DatasetSetField", code)
    }
}

impl Drop for Dataset {
    fn drop(&mut self) {
        // SAFETY: the handle was made by this library and is freed once, after its booster.
        unsafe { (self.library.functions.dataset_free)(self.handle) };
    }
}

/// A model as it was saved.
pub(crate) struct Saved {
    library: LightGbm,
    handle: Handle,
    classes: usize,
    columns: usize,
    rounds: usize,
}

impl Saved {
    /// # Errors
    /// When the library cannot read the model.
    pub(crate) fn read(library: &LightGbm, model: &[u8]) -> Result<Self> {
        let model = CString::new(model)
            .map_err(|_| Error::malformed("the model to continue from", "it holds a zero byte"))?;
        let (mut handle, mut rounds) = (ptr::null_mut(), 0);
        // SAFETY: a valid C string and two places to write to.
        let code = unsafe { (library.functions.load)(model.as_ptr(), &mut rounds, &mut handle) };
        library.check("LGBM_BoosterLoadModelFromString", code)?;
        let mut saved =
            Saved { library: library.clone(), handle, classes: 0, columns: 0, rounds: position(rounds)? };
        saved.classes = ask(library, "LGBM_BoosterGetNumClasses", library.functions.classes, handle)?;
        saved.columns = ask(library, "LGBM_BoosterGetNumFeature", library.functions.columns, handle)?;
        Ok(saved)
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    /// The margins of every row, `n x classes`.
    ///
    /// # Errors
    /// When the columns differ from the model's or the library fails.
    pub(crate) fn margins(&self, x: &Matrix<f32>, parameters: &str) -> Result<Matrix<f64>> {
        if x.columns() != self.columns {
            return Err(Error::shape("columns of the rows to score", self.columns, x.columns()));
        }
        let mut margins = vec![0.0; x.rows() * self.classes];
        let (mut written, parameters) = (0i64, text(parameters)?);
        // SAFETY: an open handle; `x` holds as many numbers as said; the model writes one number per
        // row and class, for which there is room.
        let code = unsafe {
            (self.library.functions.predict)(
                self.handle,
                x.as_slice().as_ptr().cast(),
                F32,
                length(x.rows())?,
                length(x.columns())?,
                ROW_MAJOR,
                RAW_SCORE,
                0,
                -1,
                parameters.as_ptr(),
                &mut written,
                margins.as_mut_ptr(),
            )
        };
        self.library.check("LGBM_BoosterPredictForMat", code)?;
        if written != margins.len() as i64 {
            return Err(Error::shape("margins of the booster", margins.len(), written));
        }
        Matrix::from_vec(x.rows(), self.classes, margins)
    }
}

impl Drop for Saved {
    fn drop(&mut self) {
        // SAFETY: the handle was made by this library and is freed once.
        unsafe { (self.library.functions.free)(self.handle) };
    }
}

/// A model in training. It keeps its datasets, which the library refers to.
pub(crate) struct Training {
    library: LightGbm,
    handle: Handle,
    classes: usize,
    train: Dataset,
    held_out: Option<Dataset>,
}

impl Training {
    /// Begins, with the rounds of `start` first where there is one; the datasets then have its margins.
    ///
    /// # Errors
    /// When the library refuses a parameter or the models do not fit each other.
    pub(crate) fn new(
        train: Dataset,
        held_out: Option<Dataset>,
        start: Option<&Saved>,
        classes: usize,
        parameters: &str,
    ) -> Result<Self> {
        let library = train.library.clone();
        let mut handle = ptr::null_mut();
        let parameters = text(parameters)?;
        // SAFETY: an open handle that lives as long as the booster, and a valid C string.
        let code = unsafe { (library.functions.create)(train.handle, parameters.as_ptr(), &mut handle) };
        library.check("LGBM_BoosterCreate", code)?;
        let training = Training { library: library.clone(), handle, classes, train, held_out };
        if ask(&library, "LGBM_BoosterGetNumClasses", library.functions.classes, handle)? != classes {
            return Err(Error::shape("classes of the booster", classes, "another number"));
        }
        if let Some(start) = start {
            if start.classes != classes {
                return Err(Error::shape("classes of the model to continue from", classes, start.classes));
            }
            // SAFETY: two open handles of models with the same number of classes; the trees are copied.
            library.check("LGBM_BoosterMerge", unsafe { (library.functions.merge)(handle, start.handle) })?;
        }
        if let Some(held_out) = &training.held_out {
            // SAFETY: an open handle that lives as long as the booster.
            let code = unsafe { (library.functions.add_valid)(handle, held_out.handle) };
            library.check("LGBM_BoosterAddValidData", code)?;
        }
        Ok(training)
    }

    /// Replaces the weights of the training rows, for the rounds to come. The library's objective reads
    /// them anew in every round.
    ///
    /// # Errors
    /// As [`Dataset::set`].
    pub(crate) fn reweight(&mut self, weights: &[f32]) -> Result<()> {
        self.train.set(c"weight", weights)
    }

    /// One round; false when no split was worth making, and nothing was added.
    ///
    /// # Errors
    /// When the library fails.
    pub(crate) fn update(&mut self) -> Result<bool> {
        let mut finished = 0;
        // SAFETY: an open handle and a place to write to.
        let code = unsafe { (self.library.functions.update)(self.handle, &mut finished) };
        self.library.check("LGBM_BoosterUpdateOneIter", code)?;
        Ok(finished == 0)
    }

    /// The held-out rows' probabilities, `n x classes`; none without such rows.
    ///
    /// # Errors
    /// When the library fails.
    pub(crate) fn held_out(&self) -> Result<Option<Matrix<f64>>> {
        let Some(held_out) = &self.held_out else { return Ok(None) };
        // Dataset 0 is the training set, 1 the first held-out one.
        let (rows, mut expected, mut written) = (held_out.rows, 0i64, 0i64);
        // SAFETY: an open handle and a place to write to.
        let code = unsafe { (self.library.functions.predicted_length)(self.handle, 1, &mut expected) };
        self.library.check("LGBM_BoosterGetNumPredict", code)?;
        if expected != (rows * self.classes) as i64 {
            return Err(Error::shape("predictions of the booster", rows * self.classes, expected));
        }
        let mut by_class = vec![0.0; rows * self.classes];
        // SAFETY: an open handle and room for as many numbers as the library announced.
        let code = unsafe {
            (self.library.functions.predicted)(self.handle, 1, &mut written, by_class.as_mut_ptr())
        };
        self.library.check("LGBM_BoosterGetPredict", code)?;
        let mut rows_first = Matrix::zeros(rows, self.classes);
        for (class, values) in by_class.chunks_exact(rows).enumerate() {
            values.iter().enumerate().for_each(|(row, value)| rows_first.row_mut(row)[class] = *value);
        }
        Ok(Some(rows_first))
    }

    /// The model file's text of the first `rounds` rounds, at least one.
    ///
    /// # Errors
    /// When the library fails.
    pub(crate) fn save(&self, rounds: usize) -> Result<Vec<u8>> {
        let mut needed = 0i64;
        let mut write = |buffer: &mut [u8]| -> Result<i64> {
            // SAFETY: an open handle and a buffer of the length said; with too little room nothing is
            // written but the length that is needed.
            let code = unsafe {
                let (room, at) = (buffer.len() as i64, buffer.as_mut_ptr().cast());
                (self.library.functions.save)(
                    self.handle,
                    0,
                    length(rounds)?,
                    IMPORTANCE,
                    room,
                    &mut needed,
                    at,
                )
            };
            self.library.check("LGBM_BoosterSaveModelToString", code)?;
            Ok(needed)
        };
        let room = write(&mut [])?;
        let mut model = vec![0; usize::try_from(room).unwrap_or_default()];
        write(&mut model)?;
        // The text ends with a zero byte.
        model.pop();
        Ok(model)
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        // SAFETY: the handle was made by this library and is freed once, before its datasets.
        unsafe { (self.library.functions.free)(self.handle) };
    }
}

fn ask(
    library: &LightGbm,
    call: &'static str,
    function: unsafe extern "C" fn(Handle, *mut c_int) -> c_int,
    handle: Handle,
) -> Result<usize> {
    let mut answer = 0;
    // SAFETY: an open handle and a place to write to.
    library.check(call, unsafe { function(handle, &mut answer) })?;
    position(answer)
}

fn position(number: c_int) -> Result<usize> {
    usize::try_from(number).map_err(|_| Error::shape("answer of the booster", "at least 0", number))
}

fn length(number: usize) -> Result<c_int> {
    c_int::try_from(number).map_err(|_| Error::shape("rows or columns", "at most 2^31 - 1", number))
}
