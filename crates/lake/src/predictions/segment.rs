//! Segment files: their names, their beginning, and what a crash may have left at their end.
//!
//! The upper 8 bits of a segment's number say which of the logs it belongs to: log 0 lies in the folder itself, the others in
//! folders of it (`001`, `002`, ...).

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::LogError;
use super::frame::{Span, walk};

/// First bytes of every segment: what it is, and the version of its format.
pub(crate) const MAGIC: [u8; 8] = *b"HBPLOG\0\x01";

/// Logs that there can be.
pub(crate) const LOGS: u32 = 1 << (24 - LOG_BITS);
/// Bits of a segment's number within its log.
const LOG_BITS: u32 = 16;

/// The folder of log `log`.
pub(crate) fn folder(dir: &Path, log: u32) -> PathBuf {
    if log == 0 { dir.to_owned() } else { dir.join(format!("{log:03}")) }
}

pub(crate) fn path(dir: &Path, segment: u32) -> PathBuf {
    folder(dir, log_of(segment)).join(format!("{segment:06}.log"))
}

pub(crate) fn log_of(segment: u32) -> u32 {
    segment >> LOG_BITS
}

/// What comes before the first segment of log `log`.
pub(crate) fn before_first(log: u32) -> u32 {
    log << LOG_BITS
}

/// Numbers of the segments of all logs in `dir`, ascending.
pub(crate) fn list(dir: &Path) -> Result<Vec<u32>, LogError> {
    let mut found = list_of(dir, 0)?;
    for name in names(dir)? {
        if let Some(log) = name.parse().ok().filter(|log| (1..LOGS).contains(log)) {
            found.extend(list_of(dir, log)?);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Numbers of the segments of log `log`, ascending.
pub(crate) fn list_of(dir: &Path, log: u32) -> Result<Vec<u32>, LogError> {
    let names = names(&folder(dir, log))?;
    let numbers = names.iter().filter_map(|name| name.strip_suffix(".log")?.parse::<u32>().ok());
    let mut found: Vec<u32> = numbers.filter(|&number| log_of(number) == log).collect();
    found.sort_unstable();
    Ok(found)
}

fn names(dir: &Path) -> Result<Vec<String>, LogError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(LogError::io(dir))? {
        names.extend(entry.map_err(LogError::io(dir))?.file_name().into_string());
    }
    Ok(names)
}

/// The same; none where there is no such folder.
pub(crate) fn list_or_none(dir: &Path) -> Result<Vec<u32>, LogError> {
    if dir.exists() { list(dir) } else { Ok(Vec::new()) }
}

/// Creates segment `segment`, durable with its name.
pub(crate) fn create(dir: &Path, segment: u32) -> Result<File, LogError> {
    let path = path(dir, segment);
    let mut file =
        File::options().create_new(true).read(true).write(true).open(&path).map_err(LogError::io(&path))?;
    let written = file.write_all(&MAGIC).and_then(|()| file.sync_all());
    let folder = folder(dir, log_of(segment));
    if let Err(source) = written.and_then(|()| File::open(folder)?.sync_all()) {
        // Nothing refers to it yet; an unfinished one would only stand in the way of the next attempt.
        let _ = std::fs::remove_file(&path);
        return Err(LogError::io(&path)(source));
    }
    Ok(file)
}

/// How the last segment was found when the writer opened.
pub(crate) enum Recovered {
    /// Whole (after truncation where a crash tore the end): writing goes on at byte `end`.
    Usable { file: File, end: u32 },
    /// Damaged before its end, or not ours: left as it is.
    Untouchable,
}

/// Reads segment `segment` and truncates what is behind its last record: free space, or a torn tail.
pub(crate) fn recover(dir: &Path, segment: u32) -> Result<Recovered, LogError> {
    let path = path(dir, segment);
    let bytes = std::fs::read(&path).map_err(LogError::io(&path))?;
    let file = File::options().read(true).write(true).open(&path).map_err(LogError::io(&path))?;
    if !bytes.starts_with(&MAGIC) {
        if !MAGIC.starts_with(&bytes) {
            return Ok(Recovered::Untouchable);
        }
        // Killed while creating it: nothing was acknowledged from here.
        let rewritten = file.set_len(0).and_then(|()| (&file).write_all(&MAGIC));
        rewritten.and_then(|()| file.sync_all()).map_err(LogError::io(&path))?;
        return Ok(Recovered::Usable { file, end: MAGIC.len() as u32 });
    }
    let mut end = MAGIC.len();
    let mut torn = false;
    for span in walk(&bytes, MAGIC.len()) {
        match span {
            Span::Record { .. } | Span::Erased { .. } if torn => return Ok(Recovered::Untouchable),
            Span::Record { offset, payload, .. } | Span::Erased { offset, payload } => {
                end = offset as usize + super::frame::HEADER + payload.len()
            }
            Span::Damage { .. } => torn = true,
        }
    }
    if torn {
        tracing::warn!(segment, bytes = bytes.len() - end, "truncated the torn tail of the prediction log");
    }
    if end < bytes.len() {
        file.set_len(end as u64).and_then(|()| file.sync_all()).map_err(LogError::io(&path))?;
    }
    Ok(Recovered::Usable { file, end: end as u32 })
}
