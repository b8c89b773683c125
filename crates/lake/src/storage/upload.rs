//! Writing one file, in bounded memory.

use std::fs::File;
use std::io::{Error, Result as IoResult, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, WriteMultipart};

use super::block_on;
use super::folder::Remote;
use crate::LakeError;

/// Bytes of a part: the stores ask for 5 MiB at least, and for 10,000 parts at most.
const PART: usize = 8 << 20;
/// Parts on their way at once.
const PARTS_UNDER_WAY: usize = 4;

/// A file being written.
#[derive(Debug)]
pub(crate) enum FileWriter {
    Local { path: PathBuf, file: File },
    Remote(Upload),
}

impl FileWriter {
    /// Makes the file durable (its name in a local folder excepted) and returns its bytes.
    pub(crate) fn finish(self) -> Result<u64, LakeError> {
        match self {
            FileWriter::Local { path, file } => {
                file.sync_all().map_err(LakeError::io(&path))?;
                Ok(file.metadata().map_err(LakeError::io(&path))?.len())
            }
            FileWriter::Remote(upload) => upload.finish(),
        }
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        match self {
            FileWriter::Local { file, .. } => file.write(bytes),
            FileWriter::Remote(upload) => upload.write(bytes),
        }
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

/// An object on its way: one request where it is small, parts where it is not. Dropped unfinished, it leaves nothing.
pub(crate) struct Upload {
    store: Arc<dyn ObjectStore>,
    key: Key,
    place: String,
    bytes: u64,
    buffer: Vec<u8>,
    parts: Option<WriteMultipart>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload")
            .field("place", &self.place)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Upload {
    pub(super) fn new(remote: &Remote, name: &str) -> Upload {
        Upload {
            store: Arc::clone(&remote.store),
            key: remote.key(name),
            place: remote.place(name),
            bytes: 0,
            buffer: Vec::new(),
            parts: None,
        }
    }

    /// Hands a full part over; waits while too many are under way.
    fn send(&mut self) -> IoResult<()> {
        let part = Bytes::from(std::mem::take(&mut self.buffer));
        let (store, key, parts) = (&self.store, &self.key, &mut self.parts);
        let sent = block_on(async move {
            let parts = match parts {
                Some(parts) => parts,
                None => {
                    let upload = store.put_multipart(key).await?;
                    parts.insert(WriteMultipart::new_with_chunk_size(upload, PART))
                }
            };
            parts.wait_for_capacity(PARTS_UNDER_WAY).await?;
            parts.put(part);
            Ok::<_, object_store::Error>(())
        });
        sent.map_err(Error::other)?.map_err(Error::other)
    }

    fn finish(mut self) -> Result<u64, LakeError> {
        let rest = Bytes::from(std::mem::take(&mut self.buffer));
        let (store, key, parts) = (&self.store, &self.key, self.parts.take());
        let finished = block_on(async move {
            match parts {
                None => store.put(key, rest.into()).await,
                Some(mut parts) => {
                    parts.put(rest);
                    parts.finish().await
                }
            }
        })?;
        finished.map_err(LakeError::storage(&*self.place))?;
        Ok(self.bytes)
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        let taken = bytes.len().min(PART - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        self.bytes += taken as u64;
        if self.buffer.len() == PART {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> IoResult<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            // Parts that cannot be taken back now are invisible; the bucket's lifecycle rule removes them.
            let _ = block_on(parts.abort());
        }
    }
}
