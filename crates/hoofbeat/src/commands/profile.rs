//! `hoofbeat profile`: what the columns of a dataset version hold.

use anyhow::Result;
use clap::Args;
use query::{ColumnProfile, Profile};

use crate::cli::Global;
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::engine;

/// Characters of the longest bar.
const BAR: u64 = 30;

#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// Dataset version (default: the newest)
    #[arg(long, value_name = "V")]
    pub dataset_version: Option<u64>,
}

pub(super) fn run(global: &Global, command: &ProfileArgs) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    let dataset = engine::dataset(&deployment, deployment.dataset_version(command.dataset_version)?)?;
    let engine = engine::engine(&deployment);
    let profile = engine::block_on(async { Ok(engine.profile(&dataset).await?) })?;
    output::print(global.json, &profile, || text(dataset.version(), &profile))?;
    Ok(Done::Well)
}

fn text(version: u64, profile: &Profile) -> String {
    let mut text = format!("dataset version {version}: {} cases\n\n", profile.rows);
    let mut rows =
        vec![["column", "missing", "different", "smallest", "largest", "mean"].map(str::to_owned).to_vec()];
    rows.extend(profile.columns.iter().map(|column| {
        let about = if column.estimated { "about " } else { "" };
        vec![
            column.name.clone(),
            column.nulls.to_string(),
            format!("{about}{}", column.distinct),
            column.min.clone().unwrap_or_default(),
            column.max.clone().unwrap_or_default(),
            column.mean.map(|mean| format!("{mean:.2}")).unwrap_or_default(),
        ]
    }));
    text += &output::table(&rows);
    for column in profile.columns.iter().filter(|column| !column.histogram.is_empty()) {
        text += &format!("\n\n{}\n{}", column.name, histogram(column));
    }
    text
}

fn histogram(column: &ColumnProfile) -> String {
    let most = column.histogram.iter().map(|bar| bar.rows).max().unwrap_or(1).max(1);
    let rows = column.histogram.iter().map(|bar| {
        let name = if bar.from == bar.to { bar.from.clone() } else { format!("{} to {}", bar.from, bar.to) };
        vec![name, bar.rows.to_string(), "#".repeat((bar.rows * BAR / most) as usize)]
    });
    output::table(&rows.collect::<Vec<_>>())
}
