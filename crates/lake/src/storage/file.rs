//! Reading one data file: a local one as it is, an object by ranges.
//!
//! Of an object, the footer comes with one request, and of a row group the chunks of the columns that are wanted, in
//! parallel; memory holds one row group's chunks.

use std::collections::VecDeque;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::buf::Reader;
use bytes::{Buf, Bytes};
use object_store::path::Path as Key;
use object_store::{Error as StoreError, GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};

use super::block_on;
use crate::LakeError;

/// Bytes of an object's end that are read first: most footers fit.
const TAIL: u64 = 64 << 10;
/// Bytes after the footer: its length and the format's mark.
const FOOTER_END: usize = 8;

/// A data file.
#[derive(Debug, Clone)]
pub(crate) enum StoredFile {
    Local(PathBuf),
    Remote { store: Arc<dyn ObjectStore>, key: Key, place: String },
}

impl StoredFile {
    /// Path or URL, for people.
    pub(crate) fn place(&self) -> String {
        match self {
            StoredFile::Local(path) => path.display().to_string(),
            StoredFile::Remote { place, .. } => place.clone(),
        }
    }

    fn damaged(&self, problem: impl Into<String>) -> LakeError {
        LakeError::Damaged { file: self.place(), problem: problem.into() }
    }

    /// The file's footer.
    ///
    /// # Errors
    /// [`LakeError::Damaged`] when the file has not `bytes` bytes, or no footer that can be read.
    pub(crate) async fn metadata(&self, bytes: u64) -> Result<ArrowReaderMetadata, LakeError> {
        let options = ArrowReaderOptions::new();
        let loaded = match self {
            StoredFile::Local(path) => {
                let file = File::open(path).map_err(|error| match error.kind() {
                    ErrorKind::NotFound => self.damaged("it is missing"),
                    _ => LakeError::io(path)(error),
                })?;
                self.check_size(file.metadata().map_err(LakeError::io(path))?.len(), bytes)?;
                ArrowReaderMetadata::load(&file, options)
            }
            StoredFile::Remote { store, key, place } => {
                let footer = match StoredFile::footer(store, key, bytes).await {
                    Ok(footer) => footer,
                    Err(StoreError::NotFound { .. }) => return Err(self.damaged("it is missing")),
                    Err(error) => {
                        // Of an empty object no range can be read.
                        let found = store.head(key).await.map_or(bytes, |meta| meta.size);
                        self.check_size(found, bytes)?;
                        return Err(LakeError::storage(place)(error));
                    }
                };
                self.check_size(footer.length, bytes)?;
                ArrowReaderMetadata::load(&footer, options)
            }
        };
        loaded.map_err(|error| self.damaged(error.to_string()))
    }

    fn check_size(&self, found: u64, expected: u64) -> Result<(), LakeError> {
        if found == expected {
            return Ok(());
        }
        Err(self.damaged(format!("it has {found} bytes, not {expected}")))
    }

    /// The end of an object, with its whole footer.
    async fn footer(store: &Arc<dyn ObjectStore>, key: &Key, bytes: u64) -> Result<Chunks, StoreError> {
        let mut wanted = TAIL;
        loop {
            // A range of nothing is refused.
            let range = Some(GetRange::Suffix(wanted.min(bytes).max(1)));
            let got = store.get_opts(key, GetOptions { range, ..GetOptions::default() }).await?;
            let (length, start) = (got.meta.size, got.range.start);
            let tail = got.bytes().await?;
            let end = tail.len().checked_sub(FOOTER_END).and_then(|at| tail.get(at..at + 4));
            let footer = end.and_then(|end| end.try_into().ok()).map_or(0, u32::from_le_bytes);
            let whole = u64::from(footer) + FOOTER_END as u64;
            if whole <= tail.len() as u64 || whole > length || wanted > TAIL {
                return Ok(Chunks { length, parts: vec![(start, tail)] });
            }
            wanted = whole;
        }
    }

    /// Column chunks of one row group of an object.
    fn chunks(
        &self,
        metadata: &ArrowReaderMetadata,
        mask: &ProjectionMask,
        group: usize,
    ) -> Result<Chunks, LakeError> {
        let columns = metadata.metadata().row_group(group).columns().iter().enumerate();
        let wanted = columns.filter(|(leaf, _)| mask.leaf_included(*leaf));
        let ranges: Vec<Range<u64>> = wanted
            .map(|(_, column)| {
                let (start, length) = column.byte_range();
                start..start + length
            })
            .collect();
        let StoredFile::Remote { store, key, place } = self else { return Ok(Chunks::default()) };
        let read = block_on(store.get_ranges(key, &ranges))?.map_err(LakeError::storage(place))?;
        let length = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        Ok(Chunks { length, parts: ranges.iter().map(|range| range.start).zip(read).collect() })
    }
}

/// Pieces of a file that are in memory, with the places where they begin.
#[derive(Debug, Default)]
struct Chunks {
    length: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Chunks {
    fn from(&self, start: u64) -> ParquetResult<Bytes> {
        let holds = |part: &&(u64, Bytes)| part.0 <= start && start <= part.0 + part.1.len() as u64;
        // Parts may touch: the later one goes on where the earlier one ends.
        let (at, part) = self.parts.iter().rfind(holds).ok_or_else(|| {
            ParquetError::EOF(format!(
                "the file's bytes from {start} on belong to no column that was asked for"
            ))
        })?;
        Ok(part.slice((start - at) as usize..))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Chunks {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let rest = self.from(start)?;
        if rest.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} are not there")));
        }
        Ok(rest.slice(..length))
    }
}

/// Batches of a data file, row group after row group.
#[derive(Debug)]
pub(crate) struct FileBatches {
    file: StoredFile,
    metadata: ArrowReaderMetadata,
    mask: ProjectionMask,
    batch_rows: usize,
    /// Row groups to come.
    groups: VecDeque<usize>,
    current: Option<ParquetRecordBatchReader>,
}

impl FileBatches {
    pub(crate) fn new(
        file: StoredFile,
        metadata: ArrowReaderMetadata,
        mask: ProjectionMask,
        groups: impl IntoIterator<Item = usize>,
        batch_rows: usize,
    ) -> FileBatches {
        FileBatches { file, metadata, mask, batch_rows, groups: groups.into_iter().collect(), current: None }
    }

    /// A reader of the next row group of an object, or of all that are left of a local file.
    fn open(&mut self, group: usize) -> Result<ParquetRecordBatchReader, LakeError> {
        match &self.file {
            StoredFile::Local(path) => {
                let file = File::open(path).map_err(LakeError::io(path))?;
                let rest = std::iter::once(group).chain(self.groups.drain(..)).collect();
                self.reader(file, rest)
            }
            StoredFile::Remote { .. } => {
                let chunks = self.file.chunks(&self.metadata, &self.mask, group)?;
                self.reader(chunks, vec![group])
            }
        }
    }

    fn reader(
        &self,
        source: impl ChunkReader + 'static,
        groups: Vec<usize>,
    ) -> Result<ParquetRecordBatchReader, LakeError> {
        ParquetRecordBatchReaderBuilder::new_with_metadata(source, self.metadata.clone())
            .with_projection(self.mask.clone())
            .with_batch_size(self.batch_rows)
            .with_row_groups(groups)
            .build()
            .map_err(|error| self.file.damaged(error.to_string()))
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        loop {
            if let Some(batch) = self.current.as_mut().and_then(Iterator::next) {
                return batch.map(Some).map_err(|error| self.file.damaged(error.to_string()));
            }
            let Some(group) = self.groups.pop_front() else { return Ok(None) };
            self.current = Some(self.open(group)?);
        }
    }
}

impl Iterator for FileBatches {
    type Item = Result<RecordBatch, LakeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
