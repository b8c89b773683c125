//! Writing Parquet data files on a thread of their own, in bounded memory.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::LakeError;
use crate::schema::{Column, Kind};
use crate::storage::{FileWriter, Folder};
use crate::table::DataFile;

/// Rows per row group: the unit that a scan hands to a thread.
const ROW_GROUP_ROWS: usize = 1 << 19;
/// Bytes of a row group in memory after which it ends sooner: notes are long.
const ROW_GROUP_BYTES: usize = 256 << 20;
/// Rows per file.
pub(crate) const FILE_ROWS: u64 = 1 << 22;
/// Batches that may wait for the writer.
const WAITING: usize = 2;

/// Writes batches to files `<prefix>-00000.parquet`, ... in a folder. Dropped unfinished, it deletes them.
#[derive(Debug)]
pub(crate) struct DataFiles {
    batches: Option<SyncSender<RecordBatch>>,
    thread: Option<JoinHandle<Result<Vec<DataFile>, LakeError>>>,
    folder: Folder,
}

impl DataFiles {
    pub(crate) fn start(
        folder: &Folder,
        prefix: String,
        columns: &[Column],
        schema: SchemaRef,
    ) -> Result<Self, LakeError> {
        let (batches, inbox) = sync_channel(WAITING);
        let properties = properties(columns)?;
        let output =
            Output { folder: folder.clone(), prefix, schema, properties, current: None, done: Vec::new() };
        let thread = std::thread::Builder::new()
            .name("lake-write".into())
            .spawn(move || output.run(&inbox))
            .map_err(LakeError::io(Path::new("a thread that writes")))?;
        Ok(DataFiles { batches: Some(batches), thread: Some(thread), folder: folder.clone() })
    }

    /// Hands a batch over; waits while the writer is behind.
    pub(crate) fn write(&mut self, batch: RecordBatch) -> Result<(), LakeError> {
        let sent = self.batches.as_ref().is_some_and(|batches| batches.send(batch).is_ok());
        if sent {
            return Ok(());
        }
        // The writer stopped: its answer says why.
        match self.join() {
            Err(error) => Err(error),
            Ok(_) => Err(LakeError::WorkerStopped),
        }
    }

    /// Closes the files and makes them durable, with their names.
    pub(crate) fn finish(mut self) -> Result<Vec<DataFile>, LakeError> {
        let files = self.join()?;
        if !files.is_empty() {
            self.folder.sync(None)?;
        }
        Ok(files)
    }

    fn join(&mut self) -> Result<Vec<DataFile>, LakeError> {
        self.batches = None;
        let thread = self.thread.take().ok_or(LakeError::WorkerStopped)?;
        thread.join().unwrap_or(Err(LakeError::WorkerStopped))
    }
}

impl Drop for DataFiles {
    fn drop(&mut self) {
        if self.thread.is_some() {
            for file in self.join().unwrap_or_default() {
                // What cannot be deleted now is a leftover that the next ingest sweeps.
                let _ = self.folder.delete(&file.name);
            }
        }
    }
}

struct Output {
    folder: Folder,
    prefix: String,
    schema: SchemaRef,
    properties: WriterProperties,
    current: Option<(DataFile, ArrowWriter<FileWriter>)>,
    done: Vec<DataFile>,
}

impl Output {
    fn run(mut self, inbox: &Receiver<RecordBatch>) -> Result<Vec<DataFile>, LakeError> {
        let written = self.write_all(inbox);
        if written.is_err() {
            self.discard();
        }
        written.map(|()| self.done)
    }

    fn write_all(&mut self, inbox: &Receiver<RecordBatch>) -> Result<(), LakeError> {
        for batch in inbox {
            self.write(&batch)?;
        }
        self.close()
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        if self.current.is_none() {
            self.current = Some(self.open()?);
        }
        let Some((file, writer)) = &mut self.current else { return Ok(()) };
        let place = self.folder.place(&file.name);
        writer.write(batch).map_err(LakeError::parquet(&*place))?;
        if writer.in_progress_size() >= ROW_GROUP_BYTES {
            writer.flush().map_err(LakeError::parquet(place))?;
        }
        file.rows += batch.num_rows() as u64;
        if file.rows >= FILE_ROWS { self.close() } else { Ok(()) }
    }

    fn open(&self) -> Result<(DataFile, ArrowWriter<FileWriter>), LakeError> {
        let name = format!("{}-{:05}.parquet", self.prefix, self.done.len());
        let out = self.folder.writer(&name)?;
        let writer = ArrowWriter::try_new(out, Arc::clone(&self.schema), Some(self.properties.clone()))
            .map_err(LakeError::parquet(self.folder.place(&name)))?;
        Ok((DataFile { name, bytes: 0, rows: 0 }, writer))
    }

    fn close(&mut self) -> Result<(), LakeError> {
        let Some((mut file, writer)) = self.current.take() else {
            return Ok(());
        };
        // Known from here on, so that a file that cannot be closed is deleted too.
        self.done.push(file.clone());
        let out = writer.into_inner().map_err(LakeError::parquet(self.folder.place(&file.name)))?;
        file.bytes = out.finish()?;
        if let Some(last) = self.done.last_mut() {
            *last = file;
        }
        Ok(())
    }

    /// Deletes what was written, after an error: a full disk has room again.
    fn discard(&mut self) {
        let current = self.current.take().map(|(file, _)| file);
        for file in self.done.iter().chain(&current) {
            // What cannot be deleted now is a leftover that the next ingest sweeps.
            let _ = self.folder.delete(&file.name);
        }
    }
}

/// zstd, statistics per row group; no dictionary where nearly every value differs, no compression of hashes.
fn properties(columns: &[Column]) -> Result<WriterProperties, LakeError> {
    let level = ZstdLevel::try_new(1).map_err(LakeError::parquet("zstd"))?;
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for column in columns {
        let path = ColumnPath::from(column.name.as_str());
        match column.kind {
            Kind::Text => builder = builder.set_column_dictionary_enabled(path, false),
            Kind::Long => {
                builder = builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_compression(path, Compression::UNCOMPRESSED);
            }
            Kind::Code | Kind::Int | Kind::Byte | Kind::Instant | Kind::Real | Kind::Flag => {}
        }
    }
    Ok(builder.build())
}
