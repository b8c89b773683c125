//! Who is let in: SCRAM-SHA-256 (RFC 7677) for the configured roles, or everybody where there are none.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion_postgres::pgwire::api::auth::noop::NoopStartupHandler;
use datafusion_postgres::pgwire::api::auth::sasl::SASLAuthStartupHandler;
use datafusion_postgres::pgwire::api::auth::sasl::scram::{SCRAM_ITERATIONS, ScramAuth, gen_salted_password};
use datafusion_postgres::pgwire::api::auth::{
    AuthSource, DefaultServerParameterProvider, LoginInfo, Password, StartupHandler,
};
use datafusion_postgres::pgwire::api::{ClientInfo, METADATA_USER};
use datafusion_postgres::pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use datafusion_postgres::pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use futures_util::Sink;

use super::Role;
use crate::Pseudonyms;

/// The configured roles. Passwords are kept salted and hashed.
#[derive(Debug)]
pub(super) struct Roles {
    known: HashMap<String, Known>,
    key: Pseudonyms,
}

struct Known {
    salt: Vec<u8>,
    salted: Vec<u8>,
    identifiers: bool,
}

impl Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("identifiers", &self.identifiers).finish_non_exhaustive()
    }
}

impl Roles {
    pub(super) fn new(roles: &[Role], key: &Pseudonyms) -> Roles {
        let known = roles.iter().map(|role| {
            let salt = key.salt(&role.name);
            let salted = gen_salted_password(&role.password, &salt, SCRAM_ITERATIONS);
            (role.name.clone(), Known { salt, salted, identifiers: role.identifiers })
        });
        Roles { known: known.collect(), key: key.clone() }
    }

    /// Whether a client that was let in sees identifiers.
    pub(super) fn shows_identifiers<C: ClientInfo + ?Sized>(&self, client: &C) -> bool {
        let role = client.metadata().get(METADATA_USER).and_then(|user| self.known.get(user));
        role.is_some_and(|role| role.identifiers)
    }
}

#[derive(Debug)]
struct Passwords(Arc<Roles>);

#[async_trait]
impl AuthSource for Passwords {
    /// An unknown role is asked for a password like a known one, and none is right.
    async fn get_password(&self, login: &LoginInfo) -> PgWireResult<Password> {
        let name = login.user().unwrap_or_default();
        let (salt, salted) = match self.0.known.get(name) {
            Some(known) => (known.salt.clone(), known.salted.clone()),
            None => {
                let mut never = self.0.key.salt(&format!("{name}\0nobody"));
                never.extend(self.0.key.salt(&format!("{name}\0knows")));
                (self.0.key.salt(name), never)
            }
        };
        Ok(Password::new(Some(salt), salted))
    }
}

/// The beginning of one connection.
pub(super) enum Login {
    Everybody(Everybody),
    Roles { scram: Box<SASLAuthStartupHandler<DefaultServerParameterProvider>>, encrypted: bool },
}

pub(super) struct Everybody;

impl NoopStartupHandler for Everybody {}

impl Login {
    pub(super) fn new(roles: &Arc<Roles>, encrypted: bool) -> Login {
        if roles.known.is_empty() {
            return Login::Everybody(Everybody);
        }
        let mut parameters = DefaultServerParameterProvider::default();
        parameters.is_superuser = false;
        parameters.default_transaction_read_only = true;
        let scram = SASLAuthStartupHandler::new(Arc::new(parameters))
            .with_scram(ScramAuth::new(Arc::new(Passwords(Arc::clone(roles)))));
        Login::Roles { scram: Box::new(scram), encrypted }
    }
}

#[async_trait]
impl StartupHandler for Login {
    async fn on_startup<C>(&self, client: &mut C, message: PgWireFrontendMessage) -> PgWireResult<()>
    where
        C: ClientInfo + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        match self {
            Login::Everybody(everybody) => everybody.on_startup(client, message).await,
            // Where there is encryption, other machines use it; the rows of an answer are worth it as the password is.
            Login::Roles { encrypted: true, .. }
                if !client.is_secure() && !client.socket_addr().ip().is_loopback() =>
            {
                Err(PgWireError::UserError(Box::new(ErrorInfo::new(
                    "FATAL".to_owned(),
                    "28000".to_owned(),
                    "this server wants an encrypted connection: sslmode=require".to_owned(),
                ))))
            }
            Login::Roles { scram, .. } => scram.on_startup(client, message).await,
        }
    }
}
