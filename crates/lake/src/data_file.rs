//! Writing Parquet data files on a thread of their own, in bounded memory.

use std::fs::File;
use std::path::{Path, PathBuf};
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
    dir: PathBuf,
}

impl DataFiles {
    pub(crate) fn start(
        dir: &Path,
        prefix: String,
        columns: &[Column],
        schema: SchemaRef,
    ) -> Result<Self, LakeError> {
        let (batches, inbox) = sync_channel(WAITING);
        let properties = properties(columns)?;
        let output =
            Output { dir: dir.to_owned(), prefix, schema, properties, current: None, done: Vec::new() };
        let thread = std::thread::Builder::new()
            .name("lake-write".into())
            .spawn(move || output.run(&inbox))
            .map_err(LakeError::io(dir))?;
        Ok(DataFiles { batches: Some(batches), thread: Some(thread), dir: dir.to_owned() })
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
            let synced = File::open(&self.dir).and_then(|dir| dir.sync_all());
            synced.map_err(LakeError::io(&self.dir))?;
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
                let _ = std::fs::remove_file(self.dir.join(file.name));
            }
        }
    }
}

struct Output {
    dir: PathBuf,
    prefix: String,
    schema: SchemaRef,
    properties: WriterProperties,
    current: Option<(DataFile, ArrowWriter<File>)>,
    done: Vec<DataFile>,
}

impl Output {
    fn run(mut self, inbox: &Receiver<RecordBatch>) -> Result<Vec<DataFile>, LakeError> {
        for batch in inbox {
            self.write(&batch)?;
        }
        self.close()?;
        Ok(self.done)
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        let (mut file, mut writer) = match self.current.take() {
            Some(current) => current,
            None => self.open()?,
        };
        let path = self.dir.join(&file.name);
        writer.write(batch).map_err(LakeError::parquet(&path))?;
        if writer.in_progress_size() >= ROW_GROUP_BYTES {
            writer.flush().map_err(LakeError::parquet(&path))?;
        }
        file.rows += batch.num_rows() as u64;
        let full = file.rows >= FILE_ROWS;
        self.current = Some((file, writer));
        if full { self.close() } else { Ok(()) }
    }

    fn open(&self) -> Result<(DataFile, ArrowWriter<File>), LakeError> {
        let name = format!("{}-{:05}.parquet", self.prefix, self.done.len());
        let path = self.dir.join(&name);
        let out = File::create_new(&path).map_err(LakeError::io(&path))?;
        let writer = ArrowWriter::try_new(out, Arc::clone(&self.schema), Some(self.properties.clone()))
            .map_err(LakeError::parquet(&path))?;
        Ok((DataFile { name, bytes: 0, rows: 0 }, writer))
    }

    fn close(&mut self) -> Result<(), LakeError> {
        let Some((mut file, writer)) = self.current.take() else {
            return Ok(());
        };
        let path = self.dir.join(&file.name);
        let out = writer.into_inner().map_err(LakeError::parquet(&path))?;
        out.sync_all().map_err(LakeError::io(&path))?;
        file.bytes = out.metadata().map_err(LakeError::io(&path))?.len();
        self.done.push(file);
        Ok(())
    }
}

/// zstd, statistics per row group; no dictionary where nearly every value differs, no compression of hashes.
fn properties(columns: &[Column]) -> Result<WriterProperties, LakeError> {
    let level = ZstdLevel::try_new(1).map_err(LakeError::parquet(Path::new("zstd")))?;
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
            Kind::Code | Kind::Int | Kind::Byte | Kind::Instant => {}
        }
    }
    Ok(builder.build())
}
