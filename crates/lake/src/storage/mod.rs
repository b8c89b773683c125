//! Where the lake lies: a local folder, or a bucket of an object store (S3, Azure Blob, Google Cloud), by URL.
//!
//! Everything above sees [`Folder`]s of named files. Two promises differ below and hold above: a local file is durable
//! after `fsync`, an object when its upload was answered; and whoever writes holds a [`WriterLock`], a locked file
//! here, a [lease](lease) there. Nothing is ever renamed: what must not exist yet is created by a conditional put.

mod connect;
mod file;
mod folder;
mod lease;
mod probe;
mod upload;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use object_store::ObjectStore;
use tokio::runtime::{Builder, Handle, Runtime};
use url::Url;

use crate::lock::Lock;
use crate::{Bucket, LakeError};

pub(crate) use file::{FileBatches, StoredFile};
pub(crate) use folder::Folder;
use folder::Remote;
use lease::Lease;
pub use probe::Probe;
pub(crate) use upload::FileWriter;

/// How to reach an object store; a local folder needs none of it.
#[derive(Clone, PartialEq, Eq)]
pub struct StorageOptions {
    /// Address of the server, where it is not the provider's own.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// Whether a connection may be unencrypted: only for a server on this machine or in a closed network.
    pub allow_http: bool,
    /// The longest that one request may take.
    pub timeout: Duration,
    /// The longest that a request is repeated while the store does not answer or asks to wait.
    pub retry: Duration,
    /// How long a writer that no longer renews its lease keeps others out.
    pub lease: Duration,
    /// Further options by the names that the providers' tools have, lower case. May hold secrets: never printed.
    pub more: BTreeMap<String, String>,
}

impl Default for StorageOptions {
    fn default() -> Self {
        StorageOptions {
            endpoint: None,
            region: None,
            allow_http: false,
            timeout: Duration::from_secs(60),
            retry: Duration::from_secs(60),
            lease: Duration::from_secs(30),
            more: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for StorageOptions {
    /// Leaves the values of [`StorageOptions::more`] out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StorageOptions")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("more", &self.more.keys())
            .finish_non_exhaustive()
    }
}

/// The place of a lake. Cheap to clone.
#[derive(Clone)]
pub struct Storage {
    root: Folder,
    lease: Duration,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Storage").field(&self.place()).finish()
    }
}

impl Storage {
    /// A folder on this machine, which may not exist yet.
    pub fn local(folder: &Path) -> Storage {
        Storage { root: Folder::Local(folder.to_owned()), lease: Duration::ZERO }
    }

    pub(crate) fn bucket(&self) -> Option<Bucket> {
        self.root.bucket()
    }

    /// The storage at a URL (`s3://bucket/prefix`, `az://container/prefix`, `gs://bucket/prefix`, `file:///folder`) or at a path.
    /// Touches nothing yet. Credentials come from the environment, by the names of the providers' own tools.
    ///
    /// # Errors
    /// [`LakeError::StorageUrl`].
    pub fn open(url: &str, options: &StorageOptions) -> Result<Storage, LakeError> {
        if !url.contains("://") {
            return Ok(Storage::local(Path::new(url)));
        }
        let unusable = |problem: String| LakeError::StorageUrl { url: url.to_owned(), problem };
        let mut parsed = Url::parse(url).map_err(|error| unusable(error.to_string()))?;
        if parsed.scheme() == "file" {
            let path: PathBuf =
                parsed.to_file_path().map_err(|()| unusable("it names no local folder".into()))?;
            return Ok(Storage::local(&path));
        }
        if !parsed.path().ends_with('/') {
            parsed.set_path(&format!("{}/", parsed.path()));
        }
        let root = Folder::Remote(Remote::new(connect::connect(&parsed, options)?, parsed)?);
        Ok(Storage { root, lease: options.lease })
    }

    /// Path or URL.
    pub fn place(&self) -> String {
        self.root.place("")
    }

    /// The store and the URL of its bucket with the prefix, for another reader of the same tables; `None` for a local folder.
    pub fn object_store(&self) -> Option<(Arc<dyn ObjectStore>, Url)> {
        match &self.root {
            Folder::Local(_) => None,
            Folder::Remote(remote) => Some((Arc::clone(&remote.store), remote.url.clone())),
        }
    }

    pub(crate) fn folder(&self, name: &str) -> Folder {
        self.root.child(name)
    }

    /// Takes the right to write some tables: for as long as the value lives, nobody else gets it.
    ///
    /// # Errors
    /// [`LakeError::Busy`] while somebody else writes.
    pub(crate) fn lock(&self, right: Right) -> Result<WriterLock, LakeError> {
        match &self.root {
            Folder::Local(dir) => {
                std::fs::create_dir_all(dir).map_err(LakeError::io(dir))?;
                let path = dir.join(right.lock());
                let lock = Lock::take(&path).map_err(LakeError::io(&path))?;
                let busy = || LakeError::Busy { lock: path.display().to_string() };
                Ok(WriterLock::File(lock.ok_or_else(busy)?))
            }
            Folder::Remote(remote) => Ok(WriterLock::Lease(Lease::take(remote, right.lease(), self.lease)?)),
        }
    }
}

/// Tables that change under one lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// `cases` and `quarantine`.
    Cases,
    /// `predictions` and `outcomes`: a publication every few minutes and an ingest of hours do not wait for each other.
    Served,
}

impl Right {
    fn lock(self) -> &'static str {
        match self {
            Right::Cases => "LOCK",
            Right::Served => "LOCK-served",
        }
    }

    fn lease(self) -> &'static str {
        match self {
            Right::Cases => "LEASE",
            Right::Served => "LEASE-served",
        }
    }
}

/// The right to write, given up when dropped.
#[derive(Debug)]
pub(crate) enum WriterLock {
    /// Held by this process; gone with it.
    #[expect(dead_code, reason = "held for its drop")]
    File(Lock),
    /// Renewed by a thread of its own.
    Lease(Lease),
}

impl WriterLock {
    /// Whether it was taken from somebody who no longer renewed it, and who may still believe to hold it.
    pub(crate) fn took_over(&self) -> bool {
        matches!(self, WriterLock::Lease(lease) if lease.took_over())
    }

    /// Proves that nobody else has had it since it was taken.
    ///
    /// # Errors
    /// [`LakeError::LeaseLost`].
    pub(crate) fn confirm(&self) -> Result<(), LakeError> {
        match self {
            WriterLock::File(_) => Ok(()),
            WriterLock::Lease(lease) => lease.confirm(),
        }
    }
}

/// The runtime of all storage: a store's connections live on the runtime that opened them.
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).thread_name("lake-storage").enable_all().build()
});

/// Runs `future` to its end. Callers may themselves be inside a runtime.
pub(crate) fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> Result<T, LakeError> {
    let runtime = RUNTIME.as_ref().map_err(|error| {
        let source = std::io::Error::new(error.kind(), error.to_string());
        LakeError::io(Path::new("threads for storage"))(source)
    })?;
    let run = || runtime.handle().block_on(future);
    if Handle::try_current().is_err() {
        return Ok(run());
    }
    std::thread::scope(|scope| scope.spawn(run).join().map_err(|_| LakeError::WorkerStopped))
}
