//! One file per command: parse, call the pipeline, print.

mod alert;
pub(crate) mod cluster;
mod dataset;
mod disease;
mod doctor;
mod evaluate;
mod ingest;
mod model;
mod monitor;
mod outcome;
mod predict;
pub(crate) mod profile;
mod report;
mod retrain;
mod review;
mod run;
mod schedule;
mod serve;
pub(crate) mod simulate;
mod source;
pub(crate) mod sql;
mod study;
mod synth;
mod train;
mod up;

use std::io::{stdin, stdout};

use anyhow::Result;
use clap::CommandFactory;
use learn::learner::Role;

use crate::cli::{Cli, Command, Global};
use crate::output::Done;

/// Runs one command to its end.
pub(crate) fn run(global: &Global, command: Command) -> Result<Done> {
    match command {
        Command::Up(up) => up::run(global, &up),
        Command::Synth(synth) => synth::run(global, &synth),
        Command::Ingest(ingest) => ingest::run(global, &ingest),
        Command::Source(source) => source::run(global, &source),
        Command::Dataset(dataset) => dataset::run(global, dataset),
        Command::Disease(disease) => disease::run(global, &disease),
        Command::Train(train) => train::run(global, &train),
        Command::Evaluate(evaluate) => evaluate::run(global, &evaluate),
        Command::Retrain(retrain) => retrain::run(global, &retrain),
        Command::Monitor(monitor) => monitor::run(global, &monitor),
        Command::Alert(alert) => alert::run(global, &alert),
        Command::Review(review) => review::run(global, review),
        Command::Outcome(outcome) => outcome::run(global, &outcome),
        Command::Schedule(schedule) => schedule::run(global, &schedule),
        Command::Run(run) => run::run(global, &run),
        Command::Model(model) => model::run(global, model),
        Command::Predict(predict) => predict::run(global, &predict),
        Command::Serve(serve) => serve::run(global, &serve),
        Command::Simulate(simulate) => simulate::run(global, &simulate),
        Command::Sql(sql) => sql::run(global, &sql),
        Command::Profile(profile) => profile::run(global, &profile),
        Command::Cluster(cluster) => cluster::run(global, cluster),
        Command::Study(study) => study::run(global, &study),
        Command::Doctor => doctor::run(global),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "hoofbeat", &mut stdout());
            Ok(Done::Well)
        }
        Command::Work { job, attempt } => schedule::work(global, job, attempt),
        Command::LearnWorker { role } => {
            learn::learner::worker_main(&Role::parse(&role)?, stdin(), stdout().lock())?;
            Ok(Done::Well)
        }
    }
}
