//! Does a storage keep the promises that the lake is built on? For the operator's `doctor`.

use std::sync::Arc;

use futures_util::future::join_all;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion};
use uuid::Uuid;

use super::{Folder, Storage, block_on};
use crate::LakeError;

/// Writers that try to create one object at the same time.
const RIVALS: usize = 8;
/// How often they do.
const ROUNDS: usize = 4;

/// What [`Storage::probe`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// What does not hold, in words. Empty: all does.
    pub problems: Vec<String>,
}

impl Storage {
    /// Tries the storage out with objects of its own, deleted afterwards: of several writers that create one
    /// object at once exactly one succeeds, and an object is replaced only by who knows its newest state.
    ///
    /// # Errors
    /// [`LakeError::Storage`] or [`LakeError::Io`] when it cannot be reached, read or written.
    pub fn probe(&self) -> Result<Probe, LakeError> {
        let name = |round: usize| format!("probe-{}-{round}", Uuid::new_v4());
        let keys = (0..ROUNDS).map(name);
        let (store, keys, leased): (Arc<dyn ObjectStore>, Vec<Key>, bool) = match &self.root {
            Folder::Local(dir) => {
                std::fs::create_dir_all(dir).map_err(LakeError::io(dir))?;
                let local =
                    LocalFileSystem::new_with_prefix(dir).map_err(LakeError::storage(self.place()))?;
                (Arc::new(local), keys.map(Key::from).collect(), false)
            }
            Folder::Remote(remote) => {
                (Arc::clone(&remote.store), keys.map(|name| remote.key(&name)).collect(), true)
            }
        };
        let mut problems = Vec::new();
        let tried = block_on(async {
            for key in &keys {
                problems.extend(create(&*store, key).await?);
            }
            if let Some(key) = keys.first().filter(|_| leased) {
                problems.extend(replace(&*store, key).await?);
            }
            Ok(())
        });
        for key in &keys {
            // A probe that stays harms nobody.
            let _ = block_on(store.delete(key));
        }
        tried?.map_err(LakeError::storage(self.place()))?;
        Ok(Probe { problems })
    }
}

/// Creates one object from several sides.
async fn create(store: &dyn ObjectStore, key: &Key) -> Result<Option<String>, StoreError> {
    let rivals = (0..RIVALS).map(|rival| store.put_opts(key, text(rival), PutMode::Create.into()));
    let (mut winners, mut refused) = (0, 0);
    for put in join_all(rivals).await {
        match put {
            Ok(_) => winners += 1,
            Err(StoreError::AlreadyExists { .. }) => refused += 1,
            Err(error) => return Err(error),
        }
    }
    store.get(key).await?.bytes().await?;
    let held = (winners, refused) == (1, RIVALS - 1);
    Ok((!held)
        .then(|| format!("{winners} of {RIVALS} writers created the same object at the same time, not one")))
}

/// Replaces an object with its right tag, then with an old one.
async fn replace(store: &dyn ObjectStore, key: &Key) -> Result<Option<String>, StoreError> {
    let meta = store.head(key).await?;
    let seen = UpdateVersion { e_tag: meta.e_tag, version: meta.version };
    store.put_opts(key, text(RIVALS), PutMode::Update(seen.clone()).into()).await?;
    match store.put_opts(key, text(RIVALS + 1), PutMode::Update(seen).into()).await {
        Err(StoreError::Precondition { .. } | StoreError::AlreadyExists { .. }) => Ok(None),
        Err(error) => Err(error),
        Ok(_) => Ok(Some("an object was replaced by a writer that did not know its newest state".to_owned())),
    }
}

fn text(writer: usize) -> PutPayload {
    PutPayload::from(format!("probe {writer}").into_bytes())
}
