//! CPU time of this process.

use anyhow::{Context, Result};

/// CPU seconds that `work` takes, over all threads that live at its end, and its result.
pub(crate) fn seconds<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let begin = used()?;
    let result = work()?;
    Ok((used()? - begin, result))
}

/// Nanoseconds on a CPU, as the scheduler counts them.
fn used() -> Result<f64> {
    let mut sum = 0.0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let first = text.split_whitespace().next().context("the kernel keeps no account of CPU time")?;
        sum += first.parse::<f64>()?;
    }
    Ok(sum / 1e9)
}
