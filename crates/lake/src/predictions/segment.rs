//! Segment files: their names, their beginning, and what a crash may have left at their end.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::LogError;
use super::frame::{Span, walk};

/// First bytes of every segment: what it is, and the version of its format.
pub(crate) const MAGIC: [u8; 8] = *b"HBPLOG\0\x01";

pub(crate) fn path(dir: &Path, segment: u32) -> PathBuf {
    dir.join(format!("{segment:06}.log"))
}

/// Numbers of the segments in `dir`, ascending.
pub(crate) fn list(dir: &Path) -> Result<Vec<u32>, LogError> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(LogError::io(dir))? {
        let name = entry.map_err(LogError::io(dir))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        found.extend(number.and_then(|number| number.parse::<u32>().ok()));
    }
    found.sort_unstable();
    Ok(found)
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
    if let Err(source) = written.and_then(|()| File::open(dir)?.sync_all()) {
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

/// Reads segment `segment` and truncates a torn tail.
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
        file.set_len(end as u64).and_then(|()| file.sync_all()).map_err(LogError::io(&path))?;
    }
    Ok(Recovered::Usable { file, end: end as u32 })
}
