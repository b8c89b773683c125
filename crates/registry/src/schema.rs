//! Migrations: numbered steps, each applied once, remembered in the database.

use crate::{
    error::{Error, Result},
    sql::Database,
};

/// Step n brings a database from version n - 1 to version n. A step that was released never changes.
const STEPS: [&str; 8] = [
    include_str!("schema.sql"),
    include_str!("schema_trials.sql"),
    include_str!("schema_sources.sql"),
    include_str!("schema_monitoring.sql"),
    include_str!("schema_reviews.sql"),
    include_str!("schema_cycle.sql"),
    include_str!("schema_leases.sql"),
    include_str!("schema_outcomes.sql"),
];

/// The schema version that this program writes.
pub(crate) const KNOWN: i64 = STEPS.len() as i64;

/// Brings the database to [`KNOWN`], or refuses one that a newer program wrote.
pub(crate) fn migrate(database: &dyn Database) -> Result<()> {
    let found = database.version()?;
    match usize::try_from(found).ok().and_then(|n| STEPS.get(n..)) {
        None => Err(Error::NewerSchema { found, known: KNOWN }),
        Some([]) => Ok(()),
        Some(missing) => database.migrate(found, missing, KNOWN),
    }
}
