//! Named files in a local folder or under a prefix of a bucket.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::DeltaTableBuilder;
use deltalake_core::logstore::{
    LogStore, LogStoreFactory, LogStoreRef, ObjectStoreRef, StorageConfig, default_logstore,
    logstore_factories, logstore_with,
};
use deltalake_core::{DeltaResult, DeltaTableError};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as Key;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, ObjectStoreScheme};
use url::Url;

use super::upload::{FileWriter, Upload};
use super::{StoredFile, block_on};
use crate::{Bucket, LakeError};

/// Small objects read at once.
const PARALLEL_READS: usize = 16;

/// A folder, which may not exist yet.
#[derive(Debug, Clone)]
pub(crate) enum Folder {
    Local(PathBuf),
    Remote(Remote),
}

/// A prefix of a bucket.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(super) store: Arc<dyn ObjectStore>,
    key: Key,
    /// Ends in a slash.
    pub(super) url: Url,
}

impl std::fmt::Debug for Remote {
    /// Only the URL: a store's own text may hold its credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Remote").field(&self.url.as_str()).finish()
    }
}

impl Remote {
    pub(super) fn new(store: Arc<dyn ObjectStore>, url: Url) -> Result<Remote, LakeError> {
        let key = ObjectStoreScheme::parse(&url).map(|(_, key)| key);
        let unusable = |problem: String| LakeError::StorageUrl { url: url.to_string(), problem };
        let key = key.map_err(|error| unusable(error.to_string()))?;
        Ok(Remote { store, key, url })
    }

    pub(super) fn key(&self, name: &str) -> Key {
        name.split('/').filter(|part| !part.is_empty()).fold(self.key.clone(), Key::join)
    }

    pub(super) fn place(&self, name: &str) -> String {
        format!("{}{name}", self.url)
    }

    fn log_store(&self) -> DeltaResult<LogStoreRef> {
        let scheme = Url::parse(&format!("{}://", self.url.scheme()));
        let scheme = scheme.map_err(|error| DeltaTableError::generic(error.to_string()))?;
        logstore_factories().entry(scheme).or_insert_with(|| Arc::new(ConditionalPut));
        logstore_with(Arc::clone(&self.store), &self.url, StorageConfig::default())
    }
}

/// Commits by an object that must not exist yet, as every store here can create one.
struct ConditionalPut;

impl LogStoreFactory for ConditionalPut {
    fn with_options(
        &self,
        prefixed: ObjectStoreRef,
        root: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed, root, location, options))
    }
}

impl Folder {
    pub(crate) fn child(&self, name: &str) -> Folder {
        match self {
            Folder::Local(dir) => Folder::Local(dir.join(name)),
            Folder::Remote(remote) => {
                let mut url = remote.url.clone();
                url.set_path(&format!("{}{name}/", remote.url.path()));
                Folder::Remote(Remote { store: Arc::clone(&remote.store), key: remote.key(name), url })
            }
        }
    }

    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Folder::Local(_))
    }

    /// Path or URL of a file, for people.
    pub(crate) fn place(&self, name: &str) -> String {
        match self {
            Folder::Local(dir) if name.is_empty() => dir.display().to_string(),
            Folder::Local(dir) => dir.join(name).display().to_string(),
            Folder::Remote(remote) => remote.place(name),
        }
    }

    /// URL of a file, for engines that read it themselves.
    pub(crate) fn url(&self, name: &str) -> Result<Url, LakeError> {
        match self {
            Folder::Local(dir) => {
                let path = std::path::absolute(dir.join(name)).map_err(LakeError::io(dir))?;
                Url::from_file_path(&path)
                    .map_err(|()| LakeError::io(&path)(std::io::Error::other("the file's path is no URL")))
            }
            Folder::Remote(remote) => {
                let problem = |error: url::ParseError| error.to_string();
                remote.url.join(name).map_err(|error| LakeError::StorageUrl {
                    url: remote.place(name),
                    problem: problem(error),
                })
            }
        }
    }

    pub(super) fn bucket(&self) -> Option<Bucket> {
        let Folder::Remote(remote) = self else { return None };
        let mut url = remote.url.clone();
        url.set_path("");
        Some(Bucket { url, store: Arc::clone(&remote.store) })
    }

    /// Makes the folder; buckets need none.
    pub(crate) fn create(&self) -> Result<(), LakeError> {
        match self {
            Folder::Local(dir) => std::fs::create_dir_all(dir).map_err(LakeError::io(dir)),
            Folder::Remote(_) => Ok(()),
        }
    }

    /// Names of the files in it, in no order; none where it does not exist.
    pub(crate) fn names(&self) -> Result<Vec<String>, LakeError> {
        match self {
            Folder::Local(dir) => local_names(dir),
            Folder::Remote(remote) => {
                let listed = block_on(remote.store.list_with_delimiter(Some(&remote.key)))?;
                let listed = listed.map_err(LakeError::storage(remote.place("")))?;
                let name = |key: &Key| key.filename().map(str::to_owned);
                Ok(listed.objects.iter().filter_map(|object| name(&object.location)).collect())
            }
        }
    }

    pub(crate) fn exists(&self, name: &str) -> Result<bool, LakeError> {
        Ok(self.size(name)?.is_some())
    }

    /// Whole files, in the order of `names`.
    pub(crate) fn read(&self, names: &[String]) -> Result<Vec<Bytes>, LakeError> {
        match self {
            Folder::Local(dir) => {
                let read = |name: &String| {
                    let path = dir.join(name);
                    std::fs::read(&path).map(Bytes::from).map_err(LakeError::io(&path))
                };
                names.iter().map(read).collect()
            }
            Folder::Remote(remote) => {
                let get = |name: &String| {
                    let (key, place) = (remote.key(name), remote.place(name));
                    let store = Arc::clone(&remote.store);
                    async move {
                        let got = async { store.get(&key).await?.bytes().await };
                        got.await.map_err(LakeError::storage(place))
                    }
                };
                let gets: Vec<_> = names.iter().map(get).collect();
                block_on(futures_util::stream::iter(gets).buffered(PARALLEL_READS).try_collect())?
            }
        }
    }

    /// Deletes a file; one that is gone already is well. Returns whether there was one, as far as the storage says.
    pub(crate) fn delete(&self, name: &str) -> Result<bool, LakeError> {
        match self {
            Folder::Local(dir) => {
                let path = dir.join(name);
                match std::fs::remove_file(&path) {
                    Ok(()) => Ok(true),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
                    Err(error) => Err(LakeError::io(&path)(error)),
                }
            }
            Folder::Remote(remote) => match block_on(remote.store.delete(&remote.key(name)))? {
                Ok(()) => Ok(true),
                Err(StoreError::NotFound { .. }) => Ok(false),
                Err(error) => Err(LakeError::storage(remote.place(name))(error)),
            },
        }
    }

    /// Bytes of a file; `None` where there is none.
    pub(crate) fn size(&self, name: &str) -> Result<Option<u64>, LakeError> {
        match self {
            Folder::Local(dir) => {
                let path = dir.join(name);
                match std::fs::metadata(&path) {
                    Ok(metadata) => Ok(Some(metadata.len())),
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(LakeError::io(&path)(error)),
                }
            }
            Folder::Remote(remote) => match block_on(remote.store.head(&remote.key(name)))? {
                Ok(meta) => Ok(Some(meta.size)),
                Err(StoreError::NotFound { .. }) => Ok(None),
                Err(error) => Err(LakeError::storage(remote.place(name))(error)),
            },
        }
    }

    /// Begins a new file. It is whole and durable after [`FileWriter::finish`]; dropped before, a local one stays as it
    /// is, a remote one never appears.
    pub(crate) fn writer(&self, name: &str) -> Result<FileWriter, LakeError> {
        match self {
            Folder::Local(dir) => {
                let path = dir.join(name);
                let file = File::create_new(&path).map_err(LakeError::io(&path))?;
                Ok(FileWriter::Local { path, file })
            }
            Folder::Remote(remote) => Ok(FileWriter::Remote(Upload::new(remote, name))),
        }
    }

    pub(crate) fn file(&self, name: &str) -> StoredFile {
        match self {
            Folder::Local(dir) => StoredFile::Local(dir.join(name)),
            Folder::Remote(remote) => StoredFile::Remote {
                store: Arc::clone(&remote.store),
                key: remote.key(name),
                place: remote.place(name),
            },
        }
    }

    /// Makes the folder's names durable, and the content of the file `newest`, where one is named.
    pub(crate) fn sync(&self, newest: Option<&str>) -> Result<(), LakeError> {
        let Folder::Local(dir) = self else { return Ok(()) };
        for path in newest.map(|name| dir.join(name)).into_iter().chain([dir.clone()]) {
            File::open(&path).and_then(|file| file.sync_all()).map_err(LakeError::io(&path))?;
        }
        Ok(())
    }

    /// The folder as the table library sees it.
    pub(crate) fn log_store(&self) -> Result<DeltaResult<LogStoreRef>, LakeError> {
        match self {
            Folder::Local(dir) => {
                let absolute = std::path::absolute(dir).map_err(LakeError::io(dir))?;
                let url = Url::from_directory_path(&absolute)
                    .map_err(|()| LakeError::io(dir)(std::io::Error::other("the folder's path is no URL")))?;
                Ok(DeltaTableBuilder::from_url(url).and_then(|builder| builder.build_storage()))
            }
            Folder::Remote(remote) => Ok(remote.log_store()),
        }
    }
}

fn local_names(dir: &Path) -> Result<Vec<String>, LakeError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LakeError::io(dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(LakeError::io(dir))?;
        if entry.path().is_file() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}
