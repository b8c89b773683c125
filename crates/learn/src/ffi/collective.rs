//! XGBoost's collective: processes that train one model together, each on its part of the rows.
//!
//! A tracker brings the processes together; then they speak with each other. The library keeps the
//! membership in the thread that joined.

use std::ffi::{CStr, c_int, c_void};
use std::marker::PhantomData;
use std::ptr;

use serde_json::{Value, json};

use super::text;
use super::xgboost::XgBoost;
use crate::{Error, Result};

/// Seconds that a process waits for another that says nothing; a connection that breaks is noticed at once.
const TIMEOUT: u32 = 300;
/// Numbers of the library's `DataType::kDouble` and `Op::kSum`.
const DOUBLE: c_int = 2;
const SUM: c_int = 2;

/// The meeting point, running in threads of its own.
pub(crate) struct Tracker {
    library: XgBoost,
    handle: *mut c_void,
}

impl Tracker {
    /// Waits for `workers` processes at `host`, on a port that the system chooses.
    ///
    /// # Errors
    /// When the library cannot listen there.
    pub(crate) fn start(library: &XgBoost, workers: usize, host: &str) -> Result<Self> {
        // Sorted by their task's identifier, so that ranks are as planned.
        let config = json!({
            "dmlc_communicator": "rabit", "n_workers": workers, "host": host, "port": 0, "timeout": TIMEOUT, "sortby": 1,
        });
        let config = text(config)?;
        let mut handle = ptr::null_mut();
        let functions = library.functions();
        // SAFETY: a valid C string and a place to write to.
        let code = unsafe { (functions.tracker_create)(config.as_ptr(), &mut handle) };
        library.check("XGTrackerCreate", code)?;
        let tracker = Tracker { library: library.clone(), handle };
        // SAFETY: an open handle and a valid C string.
        let code = unsafe { (functions.tracker_run)(handle, c"{}".as_ptr()) };
        library.check("XGTrackerRun", code)?;
        Ok(tracker)
    }

    /// The port to meet at.
    ///
    /// # Errors
    /// When the library does not tell it.
    pub(crate) fn port(&self) -> Result<u16> {
        let mut arguments = ptr::null();
        // SAFETY: an open handle and a place to write to.
        let code = unsafe { (self.library.functions().tracker_arguments)(self.handle, &mut arguments) };
        self.library.check("XGTrackerWorkerArgs", code)?;
        if arguments.is_null() {
            return Err(Error::Protocol("the tracker has no arguments".into()));
        }
        // SAFETY: the library answered a C string that lives until its next call; it is copied.
        let arguments = unsafe { CStr::from_ptr(arguments) };
        let arguments: Value = serde_json::from_slice(arguments.to_bytes())
            .map_err(|error| Error::Protocol(format!("the tracker's arguments: {error}")))?;
        let port = arguments.get("dmlc_tracker_port").and_then(Value::as_u64);
        let port = port.and_then(|port| u16::try_from(port).ok());
        port.ok_or_else(|| Error::Protocol("the tracker has no port".into()))
    }

    /// Waits until every process has left.
    ///
    /// # Errors
    /// When one of them reported an error, or the library fails.
    pub(crate) fn wait(self) -> Result<()> {
        // SAFETY: an open handle and a valid C string.
        let code = unsafe { (self.library.functions().tracker_wait)(self.handle, c"{}".as_ptr()) };
        self.library.check("XGTrackerWaitFor", code)
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        // SAFETY: the handle was made by this library and is freed once.
        unsafe { (self.library.functions().tracker_free)(self.handle) };
    }
}

/// Membership of the collective; it ends when this is dropped. Not for other threads.
pub(crate) struct Collective {
    library: XgBoost,
    _thread: PhantomData<*const ()>,
}

impl Collective {
    /// Joins the `of` processes that meet at the tracker, as number `rank`, and waits for the others.
    ///
    /// # Errors
    /// When the tracker cannot be reached, another process does not come, or the ranks are not as planned.
    pub(crate) fn join(library: &XgBoost, host: &str, port: u16, rank: usize, of: usize) -> Result<Self> {
        let config = text(json!({
            "dmlc_communicator": "rabit",
            "dmlc_tracker_uri": host,
            "dmlc_tracker_port": port,
            // The tracker sorts texts.
            "dmlc_task_id": format!("{rank:06}"),
            "dmlc_retry": 3,
            "dmlc_timeout": TIMEOUT,
        }))?;
        // SAFETY: a valid C string.
        let code = unsafe { (library.functions().join)(config.as_ptr()) };
        library.check("XGCommunicatorInit", code)?;
        let joined = Collective { library: library.clone(), _thread: PhantomData };
        // SAFETY: functions without arguments, called by the member's thread.
        let (got, size) = unsafe { ((library.functions().rank)(), (library.functions().size)()) };
        if (usize::try_from(got), usize::try_from(size)) != (Ok(rank), Ok(of)) {
            return Err(Error::shape(
                "place among the processes",
                format!("{rank} of {of}"),
                format!("{got} of {size}"),
            ));
        }
        Ok(joined)
    }

    /// The sums of these numbers over all processes.
    ///
    /// # Errors
    /// When another process is lost.
    pub(crate) fn sum(&self, numbers: &mut [f64]) -> Result<()> {
        // SAFETY: as many numbers as said, read and written.
        let code = unsafe {
            (self.library.functions().reduce)(numbers.as_mut_ptr().cast(), numbers.len(), DOUBLE, SUM)
        };
        self.library.check("XGCommunicatorAllreduce", code)
    }
}

impl Drop for Collective {
    fn drop(&mut self) {
        // SAFETY: the member's thread joined and leaves once. A failure has nobody to go to.
        unsafe { (self.library.functions().leave)() };
    }
}
