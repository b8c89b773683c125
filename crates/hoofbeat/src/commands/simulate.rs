//! `hoofbeat simulate`: does the circle close by itself, and what does it do when things change?

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::cli::Global;
use crate::output::{self, Done, table};
use crate::progress::Progress;
use crate::simulate::{self, Asked, Mark, Promise, Reviews, Scenario, Simulated};

#[derive(Debug, Args)]
pub struct Simulate {
    /// The same seed simulates the same
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Simulated months
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=120))]
    pub months: u32,
    /// What happens
    #[arg(long, value_enum, default_value_t = Scenario::All)]
    pub scenario: Scenario,
    /// Patients who come on a day
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub patients_per_day: u32,
    /// Confirmed cases of the year before, from which the first model learns
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub history: u64,
    /// Who is asked about
    #[arg(long, value_enum, default_value_t = Reviews::Active)]
    pub reviews: Reviews,
    /// Reviews that are resolved in a week
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub reviews_per_week: u32,
    /// Where the simulated deployment is kept, to be looked at with --config DIR/hoofbeat.toml (default: a temporary folder that
    /// is removed; --data-dir is left alone)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Exit status 3 when a promise is broken.
pub(super) fn run(global: &Global, command: &Simulate) -> Result<Done> {
    let asked = Asked {
        seed: command.seed,
        months: command.months,
        scenario: command.scenario,
        patients_per_day: command.patients_per_day,
        history: command.history,
        reviews: command.reviews,
        reviews_per_week: command.reviews_per_week,
    };
    let progress = Progress::new(global.quiet);
    let simulated = match &command.out {
        Some(folder) => simulate::simulate(&asked, folder, &progress)?,
        None => {
            let folder = tempfile::Builder::new().prefix("hoofbeat-simulate-").tempdir()?;
            simulate::simulate(&asked, folder.path(), &progress)?
        }
    };
    output::print(global.json, &simulated, || text(&simulated))?;
    Ok(Done::held(simulated.holds()))
}

fn text(simulated: &Simulated) -> String {
    let mut lines = vec![format!(
        "made-up patients from {} to {}: {} answered, {} refused, {} reviews resolved\n",
        simulated.plan.begin,
        simulated.plan.end,
        simulated.served,
        simulated.refused,
        simulated.reviewed.reviews
    )];
    let rows: Vec<Vec<String>> = (simulated.timeline.entries.iter())
        .map(|entry| vec![entry.at.date().to_string(), word(entry.mark).to_owned(), entry.text.clone()])
        .collect();
    lines.push(table(&rows));
    lines.push("\nverdict".to_owned());
    lines.push(table(&simulated.verdict.iter().map(row).collect::<Vec<_>>()));
    lines.join("\n")
}

fn row(promise: &Promise) -> Vec<String> {
    let word = match promise.holds {
        Some(true) => "holds",
        Some(false) => "BROKEN",
        None => "not shown",
    };
    vec![word.to_owned(), promise.promise.to_owned(), promise.because.clone()]
}

fn word(mark: Mark) -> &'static str {
    match mark {
        Mark::Event => "event",
        Mark::AlertRaised => "ALERT",
        Mark::AlertResolved => "alert over",
        Mark::Promoted => "promoted",
        Mark::Held => "held",
        Mark::Failed => "FAILED",
        Mark::Reached => "reached",
    }
}
