//! The PostgreSQL wire: psql, Tableau, Power BI and notebooks read the tables, and nothing else.
//!
//! Roles log in by SCRAM-SHA-256 and see identifiers only where they may. A statement sees one dataset version from its
//! beginning to its end; new versions are seen by the next statement a moment after they were made. What a client sends
//! is never logged, whatever it is.

mod answer;
mod cancel;
mod gate;
mod login;
mod snapshot;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use datafusion_postgres::pgwire::api::cancel::CancelHandler;
use datafusion_postgres::pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use datafusion_postgres::pgwire::api::{PgWireServerHandlers, auth::StartupHandler};
use datafusion_postgres::pgwire::tokio::{TlsAcceptor, process_socket};
use lake::Lake;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use self::answer::Answers;
use self::cancel::{Cancel, Cancels};
use self::login::{Login, Roles};
use self::snapshot::Snapshots;
use crate::{Input, Limits, Pseudonyms, QueryError};

/// Between two looks at the lake for a newer dataset version.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After a failed accept (out of descriptors, mostly).
const PAUSE: Duration = Duration::from_millis(100);

/// Who may log in.
#[derive(Clone)]
pub struct Role {
    pub name: String,
    pub password: String,
    /// Whether identifiers, notes and refused rows are shown as they are.
    pub identifiers: bool,
}

impl std::fmt::Debug for Role {
    /// Leaves the password out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Role").field("name", &self.name).field("identifiers", &self.identifiers).finish()
    }
}

/// A certificate chain and its private key, both PEM.
#[derive(Clone)]
pub struct Tls {
    pub certificates: Vec<u8>,
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// What is served, to whom.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub lake: Lake,
    pub inputs: Vec<Input>,
    pub pseudonyms: Pseudonyms,
    /// None: whoever connects is let in and sees no identifiers.
    pub roles: Vec<Role>,
    pub tls: Option<Tls>,
    /// Connections at once; the next one is told so.
    pub connections: usize,
    /// Of each query; memory is shared by all.
    pub limits: Limits,
}

/// Serves until the future is dropped. Give it a runtime of its own, with an event interval of 1: queries keep its threads
/// busy, and time limits must be noticed meanwhile.
///
/// # Errors
/// When certificate or key cannot be used, or the tables cannot be read at the start.
pub async fn serve(listener: TcpListener, endpoint: Endpoint) -> Result<(), QueryError> {
    let tls = endpoint.tls.as_ref().map(tls::acceptor).transpose()?;
    let room = Arc::new(Semaphore::new(endpoint.connections));
    let roles = Arc::new(Roles::new(&endpoint.roles, &endpoint.pseudonyms));
    let cancels = Arc::new(Cancels::default());
    let snapshots = Arc::new(Snapshots::open(endpoint).await?);
    let follow = Arc::clone(&snapshots);
    // Dropped with this future, and ends then.
    let _following = AbortOnDrop(tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            follow.catch_up_or_log().await;
        }
    }));
    loop {
        let Ok((mut socket, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            tokio::spawn(async move {
                // Whoever is turned away may be gone already.
                let _ = socket.write_all(FULL).await;
                let _ = socket.shutdown().await;
            });
            continue;
        };
        let connection = Connection {
            answers: Arc::new(Answers::new(
                Arc::clone(&snapshots),
                Arc::clone(&roles),
                Cancel::new(Arc::clone(&cancels)),
            )),
            login: Arc::new(Login::new(&roles, tls.is_some())),
            cancels: Arc::clone(&cancels),
        };
        tokio::spawn(converse(socket, tls.clone(), connection, place));
    }
}

async fn converse(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: Connection,
    place: tokio::sync::OwnedSemaphorePermit,
) {
    if process_socket(socket, tls, connection).await.is_err() {
        tracing::debug!("a connection of the PostgreSQL wire ended early");
    }
    drop(place);
}

/// The error message (PostgreSQL manual, 55.7, ErrorResponse) of one connection too many.
const FULL: &[u8] = b"E\x00\x00\x00;SFATAL\x00VFATAL\x00C53300\x00Msorry, too many clients already\x00\x00";

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One connection's handlers; a login has a state of its own.
struct Connection {
    answers: Arc<Answers>,
    login: Arc<Login>,
    cancels: Arc<Cancels>,
}

impl PgWireServerHandlers for Connection {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::clone(&self.answers)
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::clone(&self.answers)
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::clone(&self.login)
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::clone(&self.cancels)
    }
}
