//! `hoofbeat dataset`: dataset versions, what they hold, what was refused; going back, compaction, deletion, release, publication.

mod catalogue;
mod change;
mod erase;
mod publish;
pub(super) mod quality;
mod release;

use anyhow::Result;

use crate::cli::{Dataset, Global};
use crate::deployment::Deployment;
use crate::output::Done;

pub(super) fn run(global: &Global, command: Dataset) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    match command {
        Dataset::List => catalogue::list(global, &deployment)?,
        Dataset::Show { version } => catalogue::show(global, &deployment, version)?,
        Dataset::Count { version, anew } => catalogue::count(global, &deployment, version, anew)?,
        Dataset::Quality { source, ingest } => {
            quality::run(global, &deployment, source.as_deref(), ingest.as_deref())?;
        }
        Dataset::Quarantine { version, source, reason, limit, raw } => {
            let filter = lake::QuarantineFilter { source, reason, ingest_id: None };
            catalogue::quarantine(global, &deployment, version, &filter, limit, raw)?;
        }
        Dataset::Diff { before, after } => catalogue::diff(global, &deployment, before, after)?,
        Dataset::Restore { version } => change::restore(global, &deployment, version)?,
        Dataset::Compact { vacuum, dry_run } => change::compact(global, &deployment, vacuum, dry_run)?,
        Dataset::Publish { anew } => publish::run(global, &deployment, anew)?,
        Dataset::Retain(retain) => change::retain(global, &deployment, &retain)?,
        Dataset::Erase(erase) => erase::run(global, &deployment, &erase)?,
        Dataset::Release(release) => release::run(global, &deployment, &release)?,
    }
    Ok(Done::Well)
}
