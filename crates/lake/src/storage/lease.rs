//! The writer's lock of an object store: an object that its holder renews.
//!
//! It is taken by a conditional put and changed only on condition that it is as it was last seen. Nobody reads a wall clock: a taker watches
//! the object's tag, and only when it stayed the same for the lease's length, measured by the taker's own steady clock,
//! the holder counts as gone. A holder that was merely slow may still believe to be one; so the lease
//! keeps writers from wasting work, and what keeps the tables right is that every commit must directly follow the
//! version that its writer read.

use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use object_store::path::Path as Key;
use object_store::{
    Error as StoreError, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::block_on;
use super::folder::Remote;
use crate::LakeError;

/// Renewals in a lease's length.
const RENEWALS: u32 = 4;
/// Looks of a waiting taker in a lease's length.
const LOOKS: u32 = 8;

/// What the object says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// `None`: free.
    holder: Option<Uuid>,
    /// Counts renewals, so that every one has a tag of its own.
    beat: u64,
}

/// The object as it was seen.
struct Seen {
    note: Note,
    version: UpdateVersion,
}

/// The object in its store.
#[derive(Clone)]
struct Place {
    store: Arc<dyn ObjectStore>,
    key: Key,
    url: String,
    length: Duration,
    /// The longest that a request may take: to renew a lease, half of it; to take one, what the store's options say.
    patience: Duration,
}

impl Place {
    fn ask<T: Send>(
        &self,
        request: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<Result<T, StoreError>, LakeError> {
        let late = |error| StoreError::Generic { store: "lease", source: Box::new(error) };
        block_on(async {
            tokio::time::timeout(self.patience, request).await.unwrap_or_else(|error| Err(late(error)))
        })
    }

    /// Writes the object; `None` when the condition does not hold.
    fn put(&self, mode: PutMode, note: &Note) -> Result<Option<UpdateVersion>, LakeError> {
        let bytes = serde_json::to_vec(note).unwrap_or_default();
        let options = PutOptions::from(mode);
        match self.ask(self.store.put_opts(&self.key, PutPayload::from(bytes), options))? {
            Ok(put) => Ok(Some(put.into())),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(None),
            Err(error) => Err(LakeError::storage(&*self.url)(error)),
        }
    }

    /// `None` where there is no such object yet.
    fn look(&self) -> Result<Option<Seen>, LakeError> {
        let got = self.ask(async {
            let got = self.store.get(&self.key).await?;
            let version = UpdateVersion { e_tag: got.meta.e_tag.clone(), version: got.meta.version.clone() };
            Ok((version, got.bytes().await?))
        })?;
        match got {
            Ok((version, bytes)) => {
                // What nobody can read, nobody renews.
                let note = serde_json::from_slice(&bytes);
                let note = note.unwrap_or(Note { holder: Some(Uuid::nil()), beat: 0 });
                Ok(Some(Seen { note, version }))
            }
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(LakeError::storage(&*self.url)(error)),
        }
    }

    /// Watches a lease that somebody holds until it is free or its holder is gone.
    ///
    /// # Errors
    /// [`LakeError::Busy`] as soon as its holder renews it.
    fn wait(&self, held: Seen) -> Result<Seen, LakeError> {
        let since = Instant::now();
        while since.elapsed() < self.length {
            std::thread::sleep(self.length / LOOKS);
            match self.look()? {
                Some(now) if now.version == held.version => {}
                Some(now) if now.note.holder.is_none() => return Ok(now),
                _ => return Err(LakeError::Busy { lock: self.url.clone() }),
            }
        }
        Ok(held)
    }
}

/// The lease, held until dropped or lost.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    took_over: bool,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Lease").field(&self.shared.place.url).finish()
    }
}

struct Shared {
    place: Place,
    holder: Uuid,
    state: Mutex<State>,
    wake: Condvar,
    /// Held for a renewal: one at a time.
    beating: Mutex<()>,
}

struct State {
    version: UpdateVersion,
    beat: u64,
    /// Just before the last renewal that succeeded was sent.
    renewed: Instant,
    lost: bool,
    ending: bool,
}

impl Lease {
    /// Takes the lease that is the object `name` of the folder; a held one after it was not renewed for `length`.
    ///
    /// # Errors
    /// [`LakeError::Busy`] while its holder renews it; [`LakeError::Storage`].
    pub(super) fn take(remote: &Remote, name: &str, length: Duration) -> Result<Lease, LakeError> {
        let (key, url) = (remote.key(name), remote.place(name));
        let place = Place { store: Arc::clone(&remote.store), key, url, length, patience: Duration::MAX };
        let holder = Uuid::new_v4();
        let note = Note { holder: Some(holder), beat: 0 };
        loop {
            let renewed = Instant::now();
            if let Some(version) = place.put(PutMode::Create, &note)? {
                return Lease::start(place, holder, version, renewed, false);
            }
            let Some(mut seen) = place.look()? else { continue };
            if seen.note.holder.is_some() {
                seen = place.wait(seen)?;
            }
            let renewed = Instant::now();
            let took_over = seen.note.holder.is_some();
            match place.put(PutMode::Update(seen.version), &note)? {
                Some(version) => return Lease::start(place, holder, version, renewed, took_over),
                None => return Err(LakeError::Busy { lock: place.url }),
            }
        }
    }

    fn start(
        place: Place,
        holder: Uuid,
        version: UpdateVersion,
        renewed: Instant,
        took_over: bool,
    ) -> Result<Lease, LakeError> {
        let state = State { version, beat: 0, renewed, lost: false, ending: false };
        let place = Place { patience: place.length / 2, ..place };
        let shared = Arc::new(Shared {
            place,
            holder,
            state: Mutex::new(state),
            wake: Condvar::new(),
            beating: Mutex::new(()),
        });
        let renewing = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("lake-lease".into()).spawn(move || renewing.renew());
        let url = &shared.place.url;
        let thread = thread.map_err(|source| LakeError::io(std::path::Path::new(url))(source))?;
        Ok(Lease { shared, took_over, thread: Some(thread) })
    }

    /// Whether it was taken from a holder that had stopped to renew it.
    pub(super) fn took_over(&self) -> bool {
        self.took_over
    }

    /// Renews it now, which proves that nobody took it over before: no clock does, for a machine may sleep.
    ///
    /// # Errors
    /// [`LakeError::LeaseLost`].
    pub(super) fn confirm(&self) -> Result<(), LakeError> {
        if self.shared.beat() {
            return Ok(());
        }
        Err(LakeError::LeaseLost { lease: self.shared.place.url.clone() })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews until the end, then sets the lease free.
    fn renew(&self) {
        let mut state = self.lock();
        while !state.ending && !state.lost {
            let waited = self.wake.wait_timeout(state, self.place.length / RENEWALS);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if !state.ending {
                drop(state);
                self.beat();
                state = self.lock();
            }
        }
        let (version, beat) = (state.version.clone(), state.beat + 1);
        let lost = state.lost;
        drop(state);
        // Where this fails, the next writer waits for the lease's length.
        if !lost && let Err(error) = self.place.put(PutMode::Update(version), &Note { holder: None, beat }) {
            tracing::warn!(error = %error, "the lease could not be set free");
        }
    }

    /// One renewal; whether it succeeded. A failed one is tried again later; one whose answer was lost is recognised.
    fn beat(&self) -> bool {
        let _alone = self.beating.lock().unwrap_or_else(PoisonError::into_inner);
        let (version, beat) = {
            let state = self.lock();
            if state.lost {
                return false;
            }
            (state.version.clone(), state.beat + 1)
        };
        let note = Note { holder: Some(self.holder), beat };
        let sent = Instant::now();
        let put = match self.place.put(PutMode::Update(version), &note) {
            Ok(None) => self.place.look().map(|seen| match seen {
                Some(seen) if seen.note == note => Some(seen.version),
                _ => None,
            }),
            put => put,
        };
        let mut state = self.lock();
        match put {
            Ok(Some(version)) => (state.version, state.beat, state.renewed) = (version, beat, sent),
            Ok(None) => state.lost = true,
            Err(_) => state.lost = state.renewed.elapsed() >= self.place.length,
        }
        state.renewed == sent
    }
}
