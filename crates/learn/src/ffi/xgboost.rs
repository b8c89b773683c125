//! XGBoost's C interface (`xgboost/c_api.h`, version 3.4), loaded at run time.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;
use std::sync::Arc;

use libloading::Library;

use super::{functions, text};
use crate::{Error, Matrix, Result};

/// The version whose behaviour was verified; another major or minor version may lay out models
/// differently, and an older one was seen to open a newer model and to predict wrongly.
const VERSION: (c_int, c_int) = (3, 4);

type Handle = *mut c_void;

functions! {
    last_error = b"XGBGetLastError\0": unsafe extern "C" fn() -> *const c_char;
    version = b"XGBoostVersion\0": unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int);
    configure = b"XGBSetGlobalConfig\0": unsafe extern "C" fn(*const c_char) -> c_int;
    matrix_create = b"XGDMatrixCreateFromDense\0": unsafe extern "C" fn(*const c_char, *const c_char, *mut Handle) -> c_int;
    matrix_free = b"XGDMatrixFree\0": unsafe extern "C" fn(Handle) -> c_int;
    matrix_set = b"XGDMatrixSetInfoFromInterface\0": unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> c_int;
    create = b"XGBoosterCreate\0": unsafe extern "C" fn(*const Handle, u64, *mut Handle) -> c_int;
    free = b"XGBoosterFree\0": unsafe extern "C" fn(Handle) -> c_int;
    set = b"XGBoosterSetParam\0": unsafe extern "C" fn(Handle, *const c_char, *const c_char) -> c_int;
    update = b"XGBoosterUpdateOneIter\0": unsafe extern "C" fn(Handle, c_int, Handle) -> c_int;
    train = b"XGBoosterTrainOneIter\0": unsafe extern "C" fn(Handle, Handle, c_int, *const c_char, *const c_char) -> c_int;
    predict = b"XGBoosterPredictFromDMatrix\0": unsafe extern "C" fn(Handle, Handle, *const c_char, *mut *const u64, *mut u64, *mut *const f32) -> c_int;
    slice = b"XGBoosterSlice\0": unsafe extern "C" fn(Handle, c_int, c_int, c_int, *mut Handle) -> c_int;
    load = b"XGBoosterLoadModelFromBuffer\0": unsafe extern "C" fn(Handle, *const c_void, u64) -> c_int;
    rounds = b"XGBoosterBoostedRounds\0": unsafe extern "C" fn(Handle, *mut c_int) -> c_int;
    tracker_create = b"XGTrackerCreate\0": unsafe extern "C" fn(*const c_char, *mut Handle) -> c_int;
    tracker_run = b"XGTrackerRun\0": unsafe extern "C" fn(Handle, *const c_char) -> c_int;
    tracker_arguments = b"XGTrackerWorkerArgs\0": unsafe extern "C" fn(Handle, *mut *const c_char) -> c_int;
    tracker_wait = b"XGTrackerWaitFor\0": unsafe extern "C" fn(Handle, *const c_char) -> c_int;
    tracker_free = b"XGTrackerFree\0": unsafe extern "C" fn(Handle) -> c_int;
    join = b"XGCommunicatorInit\0": unsafe extern "C" fn(*const c_char) -> c_int;
    leave = b"XGCommunicatorFinalize\0": unsafe extern "C" fn() -> c_int;
    rank = b"XGCommunicatorGetRank\0": unsafe extern "C" fn() -> c_int;
    size = b"XGCommunicatorGetWorldSize\0": unsafe extern "C" fn() -> c_int;
    reduce = b"XGCommunicatorAllreduce\0": unsafe extern "C" fn(*mut c_void, usize, c_int, c_int) -> c_int;
    save = b"XGBoosterSaveModelToBuffer\0": unsafe extern "C" fn(Handle, *const c_char, *mut u64, *mut *const c_char) -> c_int;
}

/// The open library.
#[derive(Clone)]
pub(crate) struct XgBoost(Arc<Functions>, [c_int; 3]);

impl std::fmt::Debug for XgBoost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("XgBoost")
    }
}

impl XgBoost {
    /// Opens the library and silences its own console output.
    ///
    /// # Errors
    /// When the file is no loadable XGBoost library or its version is not the verified one.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let unusable = |why: String| Error::EngineUnusable { path: path.to_owned(), why };
        // SAFETY: the file is the one that the operator names as XGBoost's library; its initialisers
        // have no precondition. The functions' types are those of the 3.4 header.
        let functions = unsafe { Library::new(path).and_then(|library| Functions::load(library)) };
        let functions = Arc::new(functions.map_err(|error| unusable(error.to_string()))?);
        let (mut major, mut minor, mut patch) = (0, 0, 0);
        // SAFETY: three valid places to write to.
        unsafe { (functions.version)(&mut major, &mut minor, &mut patch) };
        let library = XgBoost(functions, [major, minor, patch]);
        if (major, minor) != VERSION {
            return Err(unusable(format!(
                "it is version {major}.{minor}.{patch}, needed is {}.{}",
                VERSION.0, VERSION.1
            )));
        }
        // SAFETY: a valid C string.
        library
            .check("XGBSetGlobalConfig", unsafe { (library.0.configure)(c"{\"verbosity\":0}".as_ptr()) })?;
        Ok(library)
    }

    /// The library's version, `major.minor.patch`.
    pub(crate) fn version(&self) -> String {
        self.1.map(|part| part.to_string()).join(".")
    }

    pub(super) fn functions(&self) -> &Functions {
        &self.0
    }

    pub(super) fn check(&self, call: &'static str, code: c_int) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the library keeps this thread's text alive until its next call.
        let text = unsafe { CStr::from_ptr((self.0.last_error)()) };
        let text = text.to_string_lossy();
        // The first line says what; the rest is a stack trace.
        let message = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason given");
        Err(Error::Engine { call, message: message.to_owned() })
    }
}

/// The address and shape of a slice in the form of numpy's `__array_interface__`; the slice must
/// outlive the call that gets the text.
fn array_interface(data: &[f32], shape: &[usize]) -> Result<CString> {
    let expected = shape.iter().product::<usize>();
    if data.len() != expected {
        return Err(Error::shape("array for the booster", expected, data.len()));
    }
    let shape = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let typestr = if cfg!(target_endian = "little") { "<f4" } else { ">f4" };
    let address = data.as_ptr() as usize;
    text(format!("{{\"data\":[{address},true],\"shape\":[{shape}],\"typestr\":\"{typestr}\",\"version\":3}}"))
}

/// A feature matrix in the library's form (`DMatrix`), which holds its own copy of the data.
pub(crate) struct Features {
    library: XgBoost,
    handle: Handle,
    rows: usize,
}

impl Features {
    /// # Errors
    /// When the library refuses the matrix.
    pub(crate) fn new(library: &XgBoost, x: &Matrix<f32>, threads: usize) -> Result<Self> {
        let data = array_interface(x.as_slice(), &[x.rows(), x.columns()])?;
        let config = text(format!("{{\"missing\":NaN,\"nthread\":{threads}}}"))?;
        let mut handle = ptr::null_mut();
        // SAFETY: `data` describes `x`, which outlives the call; the library copies it.
        let code = unsafe { (library.0.matrix_create)(data.as_ptr(), config.as_ptr(), &mut handle) };
        library.check("XGDMatrixCreateFromDense", code)?;
        Ok(Features { library: library.clone(), handle, rows: x.rows() })
    }

    /// Sets one number per row: `label` or `weight`.
    ///
    /// # Errors
    /// When the length differs from the rows, or the library refuses the values.
    pub(crate) fn set(&mut self, field: &CStr, values: &[f32]) -> Result<()> {
        let data = array_interface(values, &[self.rows])?;
        // SAFETY: the handle is open; `data` describes `values`, which outlive the call.
        let code = unsafe { (self.library.0.matrix_set)(self.handle, field.as_ptr(), data.as_ptr()) };
        self.library.check("XGDMatrixSetInfoFromInterface", code)
    }
}

impl Drop for Features {
    fn drop(&mut self) {
        // SAFETY: the handle was made by this library and is freed once.
        unsafe { (self.library.0.matrix_free)(self.handle) };
    }
}

/// A model in the library.
pub(crate) struct Booster {
    library: XgBoost,
    handle: Handle,
}

impl Booster {
    /// An untrained booster; `cached` matrices get their predictions updated tree by tree.
    ///
    /// # Errors
    /// When the library fails.
    pub(crate) fn new(library: &XgBoost, cached: &[&Features]) -> Result<Self> {
        let handles: Vec<Handle> = cached.iter().map(|features| features.handle).collect();
        let mut handle = ptr::null_mut();
        // SAFETY: as many open matrix handles as said; the library keeps its own references.
        let code = unsafe { (library.0.create)(handles.as_ptr(), handles.len() as u64, &mut handle) };
        library.check("XGBoosterCreate", code)?;
        Ok(Booster { library: library.clone(), handle })
    }

    /// Gives a parameter its value.
    ///
    /// # Errors
    /// When the library refuses it.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let (name, value) = (text(name)?, text(value)?);
        // SAFETY: an open handle and valid C strings.
        let code = unsafe { (self.library.0.set)(self.handle, name.as_ptr(), value.as_ptr()) };
        self.library.check("XGBoosterSetParam", code)
    }

    /// Becomes a saved model, in either of its forms.
    ///
    /// # Errors
    /// When the library cannot read it.
    pub(crate) fn load(&mut self, model: &[u8]) -> Result<()> {
        // SAFETY: an open handle and as many bytes as said, which the library only reads.
        let code = unsafe { (self.library.0.load)(self.handle, model.as_ptr().cast(), model.len() as u64) };
        self.library.check("XGBoosterLoadModelFromBuffer", code)
    }

    /// Rounds done.
    ///
    /// # Errors
    /// When the library fails.
    pub(crate) fn rounds(&self) -> Result<usize> {
        let mut rounds = 0;
        // SAFETY: an open handle and a place to write to.
        let code = unsafe { (self.library.0.rounds)(self.handle, &mut rounds) };
        self.library.check("XGBoosterBoostedRounds", code)?;
        usize::try_from(rounds).map_err(|_| Error::shape("rounds of the booster", "at least 0", rounds))
    }

    /// One round by the library's own objective on the labels and weights of `features`.
    ///
    /// # Errors
    /// When the library fails.
    pub(crate) fn update(&mut self, round: usize, features: &Features) -> Result<()> {
        // SAFETY: two open handles of the same library.
        let code = unsafe { (self.library.0.update)(self.handle, iteration(round)?, features.handle) };
        self.library.check("XGBoosterUpdateOneIter", code)
    }

    /// One round on given gradients and Hessians, each `rows x outputs`.
    ///
    /// # Errors
    /// When the shapes differ or the library fails.
    pub(crate) fn train(
        &mut self,
        round: usize,
        features: &Features,
        gradients: &Matrix<f32>,
        hessians: &Matrix<f32>,
    ) -> Result<()> {
        let shape = [features.rows, gradients.columns()];
        let (g, h) =
            (array_interface(gradients.as_slice(), &shape)?, array_interface(hessians.as_slice(), &shape)?);
        // SAFETY: open handles; both descriptions are of slices that outlive the call.
        let code = unsafe {
            (self.library.0.train)(self.handle, features.handle, iteration(round)?, g.as_ptr(), h.as_ptr())
        };
        self.library.check("XGBoosterTrainOneIter", code)
    }

    /// The margins, before any softmax: `rows x outputs`.
    ///
    /// # Errors
    /// When the library fails or answers another shape than asked for.
    pub(crate) fn margins(&self, features: &Features, outputs: usize) -> Result<Matrix<f32>> {
        let config = c"{\"type\":1,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,\"strict_shape\":true}";
        let (mut shape, mut dimensions, mut values) = (ptr::null(), 0u64, ptr::null());
        // SAFETY: open handles, a valid C string and three places to write to.
        let code = unsafe {
            (self.library.0.predict)(
                self.handle,
                features.handle,
                config.as_ptr(),
                &mut shape,
                &mut dimensions,
                &mut values,
            )
        };
        self.library.check("XGBoosterPredictFromDMatrix", code)?;
        if shape.is_null() || values.is_null() || dimensions != 2 {
            return Err(Error::shape("margins of the booster", "2 dimensions", dimensions));
        }
        // SAFETY: the library answered `dimensions` lengths at `shape`.
        let shape = unsafe { std::slice::from_raw_parts(shape, 2) };
        if shape != [features.rows as u64, outputs as u64] {
            return Err(Error::shape(
                "margins of the booster",
                format!("[{}, {outputs}]", features.rows),
                format!("{shape:?}"),
            ));
        }
        // SAFETY: the library answered that many numbers; they are copied before its next call.
        let values = unsafe { std::slice::from_raw_parts(values, features.rows * outputs) };
        Matrix::from_vec(features.rows, outputs, values.to_vec())
    }

    /// The model of the first `rounds` rounds.
    ///
    /// # Errors
    /// When there are fewer.
    pub(crate) fn first(&self, rounds: usize) -> Result<Booster> {
        let mut handle = ptr::null_mut();
        // SAFETY: an open handle and a place to write to.
        let code = unsafe { (self.library.0.slice)(self.handle, 0, iteration(rounds)?, 1, &mut handle) };
        self.library.check("XGBoosterSlice", code)?;
        Ok(Booster { library: self.library.clone(), handle })
    }

    /// The model file's bytes, in the UBJSON form.
    ///
    /// # Errors
    /// When the library fails.
    pub(crate) fn save(&self) -> Result<Vec<u8>> {
        let config = c"{\"format\":\"ubj\"}";
        let (mut length, mut bytes) = (0u64, ptr::null());
        // SAFETY: an open handle, a valid C string and two places to write to.
        let code = unsafe { (self.library.0.save)(self.handle, config.as_ptr(), &mut length, &mut bytes) };
        self.library.check("XGBoosterSaveModelToBuffer", code)?;
        let length =
            usize::try_from(length).map_err(|_| Error::shape("saved model", "a length in memory", length))?;
        if bytes.is_null() {
            return Err(Error::shape("saved model", "bytes", "none"));
        }
        // SAFETY: the library answered `length` bytes; they are copied before its next call.
        Ok(unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) }.to_vec())
    }
}

impl Drop for Booster {
    fn drop(&mut self) {
        // SAFETY: the handle was made by this library and is freed once.
        unsafe { (self.library.0.free)(self.handle) };
    }
}

fn iteration(round: usize) -> Result<c_int> {
    c_int::try_from(round).map_err(|_| Error::shape("rounds", "at most 2^31 - 1", round))
}
