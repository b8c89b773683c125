//! A PostgreSQL database, shared by replicas on several machines.

mod address;
mod stream;
mod tls;

use std::{
    cell::RefCell,
    collections::HashMap,
    error::Error as StdError,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use postgres::{
    Client, Config, IsolationLevel, NoTls, Statement, Transaction,
    config::{Host, SslMode},
    error::SqlState,
    types::{FromSql, IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

use rustls::ClientConfig;

use self::{
    address::{Address, Encryption, Mode},
    stream::Connector,
    tls::falls_back,
};
use super::{Connection, Database, Row, Session, Transport, Value, dialect, params};
use crate::error::{Error, Result};

/// Idle connections kept.
const IDLE: usize = 8;
/// To open a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The lock that writers take in turn: one write transaction at a time, as in SQLite, so that what was read still holds
/// at commit and no number is seen before a smaller one. ("hoof" in ASCII.)
const WRITERS: i64 = 0x686f_6f66;

pub(crate) struct Postgres {
    config: Config,
    encryption: Encryption,
    tls: Arc<ClientConfig>,
    idle: Mutex<Vec<Pooled>>,
}

struct Pooled {
    client: Client,
    encrypted: bool,
    statements: HashMap<String, Statement>,
}

impl Postgres {
    /// # Errors
    /// The text is no connection string, or the server cannot be reached.
    pub(crate) fn open(url: &str) -> Result<Self> {
        let Address { mut config, encryption } = url.parse()?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        config.application_name("hoofbeat");
        let tls = encryption.client()?;
        let database = Postgres { config, encryption, tls, idle: Mutex::default() };
        database.exclusively(|tx| {
            tx.batch_execute(
                "CREATE TABLE IF NOT EXISTS schema_version (one BIGINT PRIMARY KEY CHECK (one = 1), version BIGINT NOT NULL);
                 INSERT INTO schema_version VALUES (1, 0) ON CONFLICT DO NOTHING;",
            )?;
            Ok(())
        })?;
        Ok(database)
    }

    fn connect(&self) -> Result<Pooled> {
        let open = |client, encrypted| Pooled { client, encrypted, statements: HashMap::new() };
        let connector = Connector::new(&self.tls);
        let error = match self.config.connect(connector.clone()) {
            Ok(client) => return Ok(open(client, connector.begun())),
            Err(error) => error,
        };
        // As in libpq: who only prefers encryption takes a connection without it.
        if self.encryption.mode == Mode::Prefer && connector.begun() && falls_back(&error) {
            let mut plain = self.config.clone();
            if let Ok(client) = plain.ssl_mode(SslMode::Disable).connect(NoTls) {
                return Ok(open(client, false));
            }
        }
        Err(self.encryption.explain(error, connector.begun()))
    }

    /// Whether what is sent stays on this machine.
    fn is_local(&self) -> bool {
        self.config.get_hosts().iter().all(|host| match host {
            Host::Unix(_) => true,
            Host::Tcp(name) => {
                name == "localhost" || name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
            }
        })
    }

    /// A connection that works now.
    fn take(&self) -> Result<Pooled> {
        while let Some(mut pooled) = lock(&self.idle).pop() {
            // The server may have gone and come back since.
            if !pooled.client.is_closed() && pooled.client.is_valid(Duration::from_secs(2)).is_ok() {
                return Ok(pooled);
            }
        }
        self.connect()
    }

    fn give_back(&self, pooled: Pooled) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE {
            idle.push(pooled);
        }
    }

    fn exclusively(&self, work: impl FnOnce(&mut Transaction<'_>) -> Result<()>) -> Result<()> {
        let mut pooled = self.take()?;
        let mut tx = pooled.client.transaction()?;
        take_turn(&mut tx)?;
        work(&mut tx)?;
        tx.commit()?;
        self.give_back(pooled);
        Ok(())
    }
}

fn take_turn(tx: &mut Transaction<'_>) -> Result<()> {
    // The second lets go of a machine that went to sleep with the turn.
    tx.batch_execute(
        "SET LOCAL lock_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '10s'",
    )?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&WRITERS])?;
    Ok(())
}

impl Database for Postgres {
    fn version(&self) -> Result<i64> {
        let mut found = 0;
        self.read(&mut |db| {
            found = db.query_row("SELECT version FROM schema_version", params![], |r| r.get(0))?;
            Ok(())
        })?;
        Ok(found)
    }

    fn migrate(&self, from: i64, steps: &[&str], to: i64) -> Result<()> {
        self.exclusively(|tx| {
            let found: i64 = tx.query_one("SELECT version FROM schema_version", &[])?.get(0);
            if found == from {
                for step in steps {
                    tx.batch_execute(&dialect::schema(step))?;
                }
                tx.execute("UPDATE schema_version SET version = $1", &[&to])?;
            }
            Ok(())
        })
    }

    fn write(&self, work: &mut dyn FnMut(&Connection<'_>) -> Result<()>) -> Result<()> {
        let mut pooled = self.take()?;
        let Pooled { client, statements, .. } = &mut pooled;
        let mut tx = client.transaction()?;
        take_turn(&mut tx)?;
        within(tx, statements, work)?;
        self.give_back(pooled);
        Ok(())
    }

    fn read(&self, work: &mut dyn FnMut(&Connection<'_>) -> Result<()>) -> Result<()> {
        let mut pooled = self.take()?;
        let Pooled { client, statements, .. } = &mut pooled;
        let started =
            client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        within(started.start()?, statements, work)?;
        self.give_back(pooled);
        Ok(())
    }

    fn forget(&self) -> Result<()> {
        let mut pooled = self.take()?;
        pooled.client.batch_execute("VACUUM feedback, reviews")?;
        self.give_back(pooled);
        Ok(())
    }

    /// The server checks references and pages itself.
    fn damage(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn transport(&self) -> Result<Transport> {
        let pooled = self.take()?;
        let encrypted = pooled.encrypted;
        self.give_back(pooled);
        Ok(match encrypted {
            true => Transport::Encrypted(self.encryption.check()),
            false if self.is_local() => Transport::Local,
            false => Transport::Plain,
        })
    }

    fn name(&self) -> String {
        let hosts: Vec<String> = self.config.get_hosts().iter().map(|host| format!("{host:?}")).collect();
        let database = self.config.get_dbname().or(self.config.get_user()).unwrap_or_default();
        format!("PostgreSQL database {database} on {}", hosts.join(", "))
    }
}

/// An open transaction with its connection's statements.
struct Open<'a>(RefCell<(Transaction<'a>, &'a mut HashMap<String, Statement>)>);

/// Runs `work` in a transaction and ends it.
fn within<'a>(
    tx: Transaction<'a>,
    statements: &'a mut HashMap<String, Statement>,
    work: &mut dyn FnMut(&Connection<'_>) -> Result<()>,
) -> Result<()> {
    let open = Open(RefCell::new((tx, statements)));
    work(&Connection(&open))?;
    let (tx, _) = open.0.into_inner();
    Ok(tx.commit()?)
}

impl Open<'_> {
    fn run<T>(
        &self,
        sql: &str,
        parameters: &[Value],
        run: impl FnOnce(&mut Transaction<'_>, &Statement, &[&(dyn ToSql + Sync)]) -> Result<T>,
    ) -> Result<T> {
        let (tx, statements) = &mut *self.0.borrow_mut();
        let statement = match statements.get(sql) {
            Some(known) => known.clone(),
            None => {
                let prepared = tx.prepare(&dialect::statement(sql))?;
                statements.insert(sql.to_owned(), prepared.clone());
                prepared
            }
        };
        let parameters: Vec<&(dyn ToSql + Sync)> =
            parameters.iter().map(|value| value as &(dyn ToSql + Sync)).collect();
        run(tx, &statement, &parameters)
    }
}

impl Session for Open<'_> {
    fn execute(&self, sql: &str, parameters: &[Value]) -> Result<u64> {
        self.run(sql, parameters, |tx, statement, parameters| Ok(tx.execute(statement, parameters)?))
    }

    fn query(&self, sql: &str, parameters: &[Value]) -> Result<Vec<Row>> {
        self.run(sql, parameters, |tx, statement, parameters| {
            let rows = tx.query(statement, parameters)?;
            rows.iter()
                .map(|row| (0..row.len()).map(|at| Ok(row.try_get(at)?)).collect())
                .map(|row: Result<_>| row.map(Row))
                .collect()
        })
    }

    /// Not the transaction's beginning: it may have waited for its turn since.
    fn clock(&self) -> &'static str {
        "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
    }
}

type Failure = Box<dyn StdError + Sync + Send>;

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        match (self, kind) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Integer(number), &Type::INT8) => number.to_sql(kind, out),
            (Value::Integer(number), &Type::INT4) => i32::try_from(*number)?.to_sql(kind, out),
            (Value::Integer(number), &Type::BOOL) => (*number != 0).to_sql(kind, out),
            (Value::Integer(number), &Type::FLOAT8) => (*number as f64).to_sql(kind, out),
            (Value::Real(number), &Type::FLOAT8) => number.to_sql(kind, out),
            (Value::Text(text), kind) if <&str as ToSql>::accepts(kind) => {
                // The one letter that the server's texts cannot hold.
                if text.contains('\0') {
                    text.replace('\0', "\u{fffd}").to_sql(kind, out)
                } else {
                    text.to_sql(kind, out)
                }
            }
            _ => Err(format!("a column of type {kind} got a value of another kind").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        Ok(match *kind {
            Type::INT8 => Value::Integer(FromSql::from_sql(kind, raw)?),
            Type::INT4 => Value::Integer(i32::from_sql(kind, raw)?.into()),
            Type::BOOL => Value::Integer(bool::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Value::Real(FromSql::from_sql(kind, raw)?),
            _ => Value::Text(FromSql::from_sql(kind, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Value::Null)
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::INT4 | Type::BOOL | Type::FLOAT8)
            || <&str as FromSql>::accepts(kind)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<postgres::Error> for Error {
    fn from(e: postgres::Error) -> Self {
        match e.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => Self::Busy,
            _ => Self::Storage(Box::new(e)),
        }
    }
}
