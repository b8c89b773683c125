//! A run belongs to one process at a time, whichever machine that is on, so that an interrupted one can be taken up and a
//! running one not.
//!
//! The claim is a lease in the registry, which a thread of the process at work renews. When the process dies, the claim is
//! free once the lease has ended.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Result;
use registry::{Attempt, Lease, Registry};
use uuid::Uuid;

use crate::deployment::Deployment;

/// Renewals in a lease's length: three may fail before it is lost.
const RENEWALS: u32 = 4;
/// Looks of one who waits, in a lease's length.
const LOOKS: u32 = 8;

/// Held while a process works on something.
#[derive(Debug)]
pub(super) struct Claim {
    work_ends: Option<Sender<()>>,
    heart: Option<JoinHandle<()>>,
}

/// Whose lease it is that a claim renews.
enum Held {
    Run { name: String, holder: String },
    Job(Attempt),
}

impl Held {
    /// False when it is another's.
    fn renew(&self, registry: &Registry, length: Duration) -> registry::Result<bool> {
        match self {
            Held::Run { name, holder } => registry.renew_lease(&Lease { name, holder, length }),
            Held::Job(attempt) => registry.renew_attempt(*attempt, length),
        }
    }

    fn give_back(&self, registry: &Registry) -> registry::Result<()> {
        match self {
            Held::Run { name, holder } => registry.give_back_lease(name, holder),
            Held::Job(attempt) => registry.let_go(*attempt),
        }
    }
}

impl Claim {
    /// Claims a run; none while another process works on it.
    pub(super) fn take(deployment: &Deployment, run: &str) -> Result<Option<Claim>> {
        let (name, holder) = (run.to_owned(), Uuid::now_v7().to_string());
        let length = deployment.config.registry.lease();
        let lease = Lease { name: &name, holder: &holder, length };
        let taken = deployment.registry.take_lease(&lease)?;
        Ok(taken.then(|| Claim::hold(deployment, Held::Run { name, holder })))
    }

    /// Claims a run as soon as its process is known to be gone; none when that process shows that it lives.
    pub(super) fn wait(deployment: &Deployment, run: &str) -> Result<Option<Claim>> {
        let length = deployment.config.registry.lease();
        let (since, seen) = (Instant::now(), deployment.registry.lease_renewed(run)?);
        // A clock that goes back may keep a dead holder's lease for a second length.
        while since.elapsed() < 2 * length + length / 2 {
            if let Some(claim) = Claim::take(deployment, run)? {
                return Ok(Some(claim));
            }
            if deployment.registry.lease_renewed(run)? != seen {
                return Ok(None);
            }
            std::thread::sleep(length / LOOKS);
        }
        Ok(None)
    }

    /// Goes on with the claim that an attempt at a job began with; none when the attempt is no longer under way.
    pub(super) fn of(deployment: &Deployment, attempt: Attempt) -> Result<Option<Claim>> {
        let renewed = deployment.registry.renew_attempt(attempt, deployment.config.registry.lease())?;
        Ok(renewed.then(|| Claim::hold(deployment, Held::Job(attempt))))
    }

    fn hold(deployment: &Deployment, held: Held) -> Claim {
        let (registry, length) = (Arc::clone(&deployment.registry), deployment.config.registry.lease());
        let (work_ends, ended) = mpsc::channel();
        let heart = std::thread::spawn(move || {
            while ended.recv_timeout(length / RENEWALS) == Err(RecvTimeoutError::Timeout) {
                match held.renew(&registry, length) {
                    Ok(true) => {}
                    // What it does from now on is refused where it is stored.
                    Ok(false) => return tracing::warn!("the work was given up for dead and taken over"),
                    Err(error) => tracing::warn!(%error, "a claim could not be renewed"),
                }
            }
            if let Err(error) = held.give_back(&registry) {
                tracing::warn!(%error, "a claim could not be given back; it ends by itself");
            }
        });
        Claim { work_ends: Some(work_ends), heart: Some(heart) }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(self.work_ends.take());
        if let Some(heart) = self.heart.take() {
            // A panic there was logged by the runtime; the lease then ends by itself.
            let _ = heart.join();
        }
    }
}
