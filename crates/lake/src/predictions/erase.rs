//! Erasing records: a person's answers go, the others keep their places and identifiers.
//!
//! A record is overwritten where it lies, header first, so a killed eraser leaves records that are either whole or marked as
//! erased; erasing again finishes what it left. The bytes belong to acknowledged records, which no writer touches
//! any more, so a server may go on logging meanwhile.
//!
//! Retention does the same to old records; a segment of which nothing else is left is deleted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use uuid::Uuid;

use super::LogError;
use super::frame::{Address, Span, erased, walk};
use super::segment::{self, MAGIC};

/// The identifiers of the records in `dir` for which `wanted` holds, oldest first.
pub fn find(dir: &Path, mut wanted: impl FnMut(&[u8]) -> bool) -> Result<Vec<Uuid>, LogError> {
    let mut found = Vec::new();
    for_each_segment(dir, |_, segment, bytes| {
        for span in walk(bytes, MAGIC.len()) {
            if let Span::Record { offset, nonce, payload } = span
                && wanted(payload)
            {
                found.push(Address { segment, offset, nonce }.to_id());
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// Erases the records in `dir` for which `wanted` holds, durably. Answers the identifiers that lead nowhere from now on.
/// Repeating it changes nothing.
///
/// # Errors
/// [`LogError::Io`]; what was erased before it stays erased.
pub fn erase(dir: &Path, mut wanted: impl FnMut(&[u8]) -> bool) -> Result<Vec<Uuid>, LogError> {
    let mut gone = Vec::new();
    for_each_segment(dir, |path, segment, bytes| {
        let mut file: Option<File> = None;
        for span in walk(bytes, MAGIC.len()) {
            let (offset, len) = match span {
                Span::Record { offset, nonce, payload } if wanted(payload) => {
                    gone.push(Address { segment, offset, nonce }.to_id());
                    (offset, payload.len())
                }
                Span::Erased { offset, payload } if payload.iter().any(|&byte| byte != 0) => {
                    (offset, payload.len())
                }
                Span::Record { .. } | Span::Erased { .. } | Span::Damage { .. } => continue,
            };
            let out = match &file {
                Some(file) => file,
                None => &*file.insert(File::options().write(true).open(path).map_err(LogError::io(path))?),
            };
            out.write_all_at(&erased(len), u64::from(offset)).map_err(LogError::io(path))?;
        }
        match file {
            Some(file) => file.sync_data().map_err(LogError::io(path)),
            None => Ok(()),
        }
    })?;
    Ok(gone)
}

/// Erases the records in `dir` for which `old` holds, and deletes segments of which nothing is left; not the newest one of a log,
/// whose number the log goes on from. Answers how many records there were. Repeating it changes nothing.
///
/// # Errors
/// [`LogError::Io`]; what was erased before it stays erased.
pub fn retain(dir: &Path, old: impl FnMut(&[u8]) -> bool) -> Result<u64, LogError> {
    // Erased first: who has a file open would go on reading it after it is deleted.
    let gone = erase(dir, old)?.len() as u64;
    let mut empty = Vec::new();
    for_each_segment(dir, |_, segment, bytes| {
        if walk(bytes, MAGIC.len()).all(|span| matches!(span, Span::Erased { .. })) {
            empty.push(segment);
        }
        Ok(())
    })?;
    let segments = segment::list_or_none(dir)?;
    for segment in empty {
        let is_newest = !segments
            .iter()
            .any(|&other| segment::log_of(other) == segment::log_of(segment) && other > segment);
        if is_newest {
            continue;
        }
        let path = segment::path(dir, segment);
        let folder = segment::folder(dir, segment::log_of(segment));
        let deleted = std::fs::remove_file(&path).and_then(|()| File::open(folder)?.sync_all());
        deleted.map_err(LogError::io(&path))?;
    }
    Ok(gone)
}

fn for_each_segment(
    dir: &Path,
    mut each: impl FnMut(&Path, u32, &[u8]) -> Result<(), LogError>,
) -> Result<(), LogError> {
    for segment in segment::list_or_none(dir)? {
        let path = segment::path(dir, segment);
        let bytes = std::fs::read(&path).map_err(LogError::io(&path))?;
        if bytes.starts_with(&MAGIC) {
            each(&path, segment, &bytes)?;
        }
    }
    Ok(())
}
