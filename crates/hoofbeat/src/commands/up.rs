//! `hoofbeat up`: from nothing to a served champion; then, every time, only the serving.

use anyhow::{Result, bail};
use registry::Replaces;

use crate::cli::{Global, Up};
use crate::commands::{report, serve};
use crate::deployment::Deployment;
use crate::output::Done;
use crate::pipeline::asked::Asked;
use crate::pipeline::sources::Origin;
use crate::pipeline::synth::{self, Cohort};
use crate::pipeline::{ingest, promote, train};

/// Seed of the first run's cohort and training.
const SEED: u64 = 1;

pub(super) fn run(global: &Global, command: &Up) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    let address = command.listen.unwrap_or(deployment.config.server.listen);
    serve::check_address(&deployment, address)?;
    if deployment.registry.champion()?.is_none() {
        first_run(&deployment, command.rows)?;
    }
    let sql = deployment.config.sql.listen;
    serve::serve(global, deployment, address, sql)
}

/// Makes a reference cohort where there are no data yet, and a champion. Interrupted, it goes on where it stopped.
fn first_run(deployment: &Deployment, rows: u64) -> Result<()> {
    let say = |line: &str| deployment.progress.say(line);
    if deployment.lake.newest()?.is_none() {
        if deployment.study.as_ref() != clinical::Study::default_study() {
            bail!(
                "there are no data for this study yet: `hoofbeat ingest FILE --source NAME` brings them in"
            );
        }
        say(&format!(
            "no data yet: making a reference cohort of {rows} made-up patients (no medical knowledge, to try things out)"
        ));
        let file = deployment.data_dir.join("reference-cohort.parquet");
        let cohort = Cohort {
            rows,
            seed: SEED,
            preset: ::evaluate::reference::Preset::Reference,
            novel: false,
            truth: false,
        };
        synth::write(&cohort, &file, &deployment.progress)?;
        let origin = Origin::plain("reference");
        let ingested = ingest::ingest(deployment, std::slice::from_ref(&file), &origin)?;
        std::fs::remove_file(&file)?;
        say(&format!(
            "{} cases are stored as dataset version {}",
            ingested.report.accepted, ingested.report.dataset_version
        ));
    }
    let version = deployment.dataset_version(None)?;
    say(&format!("training on dataset version {version}"));
    let asked = Asked { dataset_version: version, learner: None, trials: 0, seed: SEED, workers: None };
    let trained = train::train(deployment, asked)?;
    say(&format!(
        "model {} on the validation set:\n{}",
        trained.model.version,
        report::figures(&trained.report)
    ));
    if !trained.gates_hold {
        bail!(
            "model {} did not pass its gates, so nothing is promoted:\n{}\nsee `hoofbeat model show {}`",
            trained.model.version,
            report::gates(&serde_json::json!({ "verdicts": trained.report["gates"] })),
            trained.model.version
        );
    }
    promote::promote(deployment, &trained.model, Replaces::Any, "first model")?;
    say(&format!("model {} is the champion", trained.model.version));
    Ok(())
}
