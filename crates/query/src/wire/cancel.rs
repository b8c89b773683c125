//! Stopping a statement that runs: a client asks for it on a connection of its own (PostgreSQL manual, 55.2.7).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::ClientInfo;
use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::messages::cancel::CancelRequest;
use datafusion_postgres::pgwire::messages::startup::SecretKey;
use tokio::sync::watch;

/// The connections that a request may name, each with the secret that it was given.
#[derive(Debug, Default)]
pub(super) struct Cancels(Mutex<HashMap<i32, (SecretKey, watch::Sender<()>)>>);

impl Cancels {
    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<i32, (SecretKey, watch::Sender<()>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl CancelHandler for Cancels {
    async fn on_cancel_request(&self, request: CancelRequest) {
        if let Some((secret, asked)) = self.known().get(&request.pid)
            && bytes(secret) == bytes(&request.secret_key)
        {
            asked.send_replace(());
        }
    }
}

/// The secret as it travels: which of its two forms it is read as depends on the protocol's version, and a request to stop
/// does not say that of the connection it means.
fn bytes(secret: &SecretKey) -> Vec<u8> {
    match secret {
        SecretKey::I32(number) => number.to_be_bytes().to_vec(),
        SecretKey::Bytes(bytes) => bytes.to_vec(),
    }
}

/// One connection's wish to stop.
#[derive(Debug)]
pub(super) struct Cancel {
    cancels: Arc<Cancels>,
    asked: watch::Sender<()>,
    pid: Mutex<Option<i32>>,
}

impl Cancel {
    pub(super) fn new(cancels: Arc<Cancels>) -> Cancel {
        Cancel { cancels, asked: watch::Sender::new(()), pid: Mutex::default() }
    }

    /// What resolves when the statement that begins now is to be stopped.
    pub(super) fn begin<C: ClientInfo>(&self, client: &C) -> Wish {
        let mut pid = self.pid.lock().unwrap_or_else(PoisonError::into_inner);
        if pid.is_none() {
            let (number, secret) = client.pid_and_secret_key();
            self.cancels.known().insert(number, (secret, self.asked.clone()));
            *pid = Some(number);
        }
        Wish(self.asked.subscribe())
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(pid) = self.pid.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.cancels.known().remove(&pid);
        }
    }
}

/// Whether one statement is to be stopped.
#[derive(Debug, Clone)]
pub(super) struct Wish(watch::Receiver<()>);

impl Wish {
    pub(super) async fn asked(&mut self) {
        if self.0.changed().await.is_err() {
            // The connection has ended, and its statement with it.
            std::future::pending::<()>().await;
        }
    }
}
