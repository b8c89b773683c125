//! The newest records of all logs, found from the logs' ends.

use std::collections::BTreeMap;
use std::ops::Add;

use uuid::Uuid;

use super::segment;
use super::{LogError, PredictionReader, Scan};

/// A log that is read from its end.
struct End<T> {
    /// Its segments that were not read yet, ascending.
    segments: Vec<u32>,
    /// The first time in what was read of it: what is left is not later, but for the slack.
    reached: Option<T>,
}

impl PredictionReader {
    /// The identifiers of the newest records of all logs together, `most` at most, oldest first. `time` reads a record's time;
    /// what it has none for is no record. None may come more than `slack` later in its log than one of a later time.
    ///
    /// Reads each log from its end, segment by segment and only as far as the records may be among the newest. Holds one segment
    /// and the identifiers.
    ///
    /// # Errors
    /// [`LogError::Io`].
    pub fn newest<T: Ord + Copy + Add<D, Output = T>, D: Copy>(
        &self,
        most: usize,
        time: impl Fn(&[u8]) -> Option<T>,
        slack: D,
    ) -> Result<Vec<Uuid>, LogError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let segments = self.segments()?;
        let logs = segments.chunk_by(|&one, &next| segment::log_of(one) == segment::log_of(next));
        let mut ends: Vec<End<T>> =
            logs.map(|segments| End { segments: segments.to_vec(), reached: None }).collect();
        let mut found: BTreeMap<(T, Uuid), ()> = BTreeMap::new();
        while let Some((end, segment)) = latest(&mut ends) {
            let oldest = found.first_key_value().map(|((at, _), ())| *at).filter(|_| found.len() >= most);
            if oldest.zip(end.reached).is_some_and(|(oldest, reached)| reached + slack < oldest) {
                break;
            }
            for record in self.scan_segment(segment) {
                let (id, payload) = record?;
                let Some(at) = time(&payload) else { continue };
                end.reached = Some(end.reached.map_or(at, |reached| reached.min(at)));
                found.insert((at, id), ());
                if found.len() > most {
                    found.pop_first();
                }
            }
        }
        Ok(found.into_keys().map(|(_, id)| id).collect())
    }

    fn scan_segment(&self, segment: u32) -> Scan {
        self.scan_of(vec![segment], None, false)
    }
}

/// The log of which what is left may be the newest, and its last segment; logs that were not looked at come first.
fn latest<T: Ord + Copy>(ends: &mut [End<T>]) -> Option<(&mut End<T>, u32)> {
    let left = ends.iter_mut().filter(|end| !end.segments.is_empty());
    let end = left.max_by_key(|end| (end.reached.is_none(), end.reached))?;
    let segment = end.segments.pop()?;
    Some((end, segment))
}
