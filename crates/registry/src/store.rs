//! The registry: where it is stored, and its transactions.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{
    error::{Error, Result},
    schema,
    sql::{Connection, Database, Postgres, Sqlite, Transport},
};

/// Handle on one registry. Share it by reference or `Arc` between threads; open one per process.
pub struct Registry {
    data_dir: PathBuf,
    database: Box<dyn Database>,
}

impl Registry {
    /// Opens `<data_dir>/registry.db`, made (with its directory) where it is missing, and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be made, opened or read, or a newer program wrote it.
    pub fn open(data_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        Self::on(Box::new(Sqlite::open(data_dir)?), data_dir)
    }

    /// Opens the registry in a PostgreSQL database that replicas share: `postgresql://user@host/database`, or the
    /// `key=value` form. Bundles still lie in `data_dir`, which the replicas must share, too.
    ///
    /// `sslmode`, `sslrootcert`, `sslcert` and `sslkey` mean what they mean to libpq; without `sslrootcert` the
    /// authorities of this machine are trusted.
    ///
    /// # Errors
    /// The text is no connection string; the server cannot be reached, or not as `sslmode` asks; a newer program wrote
    /// the database.
    pub fn connect(url: &str, data_dir: &Path) -> Result<Self> {
        std::fs::create_dir_all(data_dir)?;
        Self::on(Box::new(Postgres::open(url)?), data_dir)
    }

    fn on(database: Box<dyn Database>, data_dir: &Path) -> Result<Self> {
        schema::migrate(database.as_ref())?;
        Ok(Self { data_dir: data_dir.to_owned(), database })
    }

    /// The directory that bundle paths are relative to.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// How the database is reached now.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn transport(&self) -> Result<Transport> {
        self.database.transport()
    }

    pub(crate) fn database(&self) -> &dyn Database {
        self.database.as_ref()
    }

    /// Runs `work` in one write transaction: all of it is stored, or nothing.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Connection<'_>) -> Result<T>) -> Result<T> {
        let (mut work, mut out) = (Some(work), None);
        self.database.write(&mut |db| {
            out = work.take().map(|work| work(db)).transpose()?;
            Ok(())
        })?;
        out.ok_or(Error::Busy)
    }

    /// Runs `work` on one snapshot of the registry; never waits for a writer.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Connection<'_>) -> Result<T>) -> Result<T> {
        let (mut work, mut out) = (Some(work), None);
        self.database.read(&mut |db| {
            out = work.take().map(|work| work(db)).transpose()?;
            Ok(())
        })?;
        out.ok_or(Error::Busy)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("database", &self.database.name()).finish_non_exhaustive()
    }
}
