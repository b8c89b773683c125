//! Retrain: one turn of the cycle. The champion and what it lacks -> a challenger, measured beside it on the newest
//! validation set, promoted only through the gates.
//!
//! Every mode makes its challenger in its own way; measuring, judging and promoting are the same for all.

use std::collections::BTreeMap;

use ::evaluate::Figures;
use anyhow::{Result, anyhow};
use lake::DatasetVersion;
use learn::bundle::Bundle;
use learn::revision::Edition;
use prepare::{Cohort, Set};
use registry::{Model, ModelVersion, NewModel, NewRun, Replaces};
use serde::Serialize;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::evaluate::Evaluation;
use super::orphan::{self, Challenger};
use super::promote::act;
use super::score::Scorer;
use super::train::Identity;
use super::{cohort, evaluate, promote};
use crate::deployment::{self, Deployment};

/// Name of the mode in runs, lineages and results.
pub const ORPHAN: &str = "orphan";
/// What a challenger is called that is not stored.
const DRY_RUN: &str = "dry-run";

/// One turn.
#[derive(Debug, Serialize)]
pub struct Turn {
    pub mode: &'static str,
    /// The champion that the turn began with, and its dataset version.
    pub champion: ModelVersion,
    pub since_dataset_version: u64,
    pub dataset_version: u64,
    pub cases: orphan::Tally,
    /// None where there was nothing to learn.
    pub challenger: Option<Measured>,
}

/// A challenger beside the champion, on the validation set of the newest dataset version.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// None in a dry run.
    pub model: Option<ModelVersion>,
    pub gates_hold: bool,
    pub promoted: bool,
    /// Figures of both, by name.
    pub compared: BTreeMap<&'static str, Pair>,
    pub validation: Value,
}

/// One figure of the champion and of the challenger.
#[derive(Debug, Serialize)]
pub struct Pair {
    pub champion: Value,
    pub challenger: Value,
}

/// The champion follows the confirmed orphan cases that came after it. `dry_run`: nothing is stored.
pub fn orphan(deployment: &Deployment, dry_run: bool) -> Result<Turn> {
    let champion = deployment.champion()?;
    let newest = deployment.lake.version(deployment.dataset_version(None)?)?;
    let bundle = deployment.bundle(&champion)?;
    let challenger = Challenger::of(&bundle, &deployment.lake, &newest)?;
    let mut turn = Turn {
        mode: ORPHAN,
        champion: champion.version,
        since_dataset_version: champion.dataset_version,
        dataset_version: newest.version,
        cases: challenger.tally.clone(),
        challenger: None,
    };
    if turn.cases.added == 0 {
        return Ok(turn);
    }
    // The challenger's bundle gets what it keeps of the champion's; the champion is read for the comparison.
    let (before, cohort) = std::thread::scope(|scope| {
        let before = scope.spawn(|| learn::Model::of(&bundle));
        (before.join(), cohort::tally(deployment, challenger.study(), newest.version))
    });
    let before = before.map_err(|_| anyhow!("the thread that reads the champion failed"))??;
    let (before, (cohort, ..)) = (Scorer::of(before), cohort?);
    let round = Round { deployment, champion: &champion, before, cohort, newest: &newest };
    turn.challenger = Some(match dry_run {
        true => round.rehearse(challenger)?,
        false => round.run(challenger)?,
    });
    Ok(turn)
}

/// Makes a revision again from the champion that it followed and the dataset version that it was made from.
pub fn revise(
    deployment: &Deployment,
    champion: &Model,
    dataset_version: u64,
    identity: &Identity,
) -> Result<(Bundle, Cohort)> {
    let bundle = deployment.bundle(champion)?;
    let newest = deployment.lake.version(dataset_version)?;
    let challenger = Challenger::of(&bundle, &deployment.lake, &newest)?;
    let threads = deployment.config.threads();
    let (cohort, ..) = cohort::tally(deployment, challenger.study(), dataset_version)?;
    let edition = edition(champion, &challenger.tally, dataset_version, identity);
    Ok((challenger.finish(edition, &cohort, threads)?, cohort))
}

/// What a champion's revision says of itself.
fn edition(champion: &Model, tally: &orphan::Tally, dataset_version: u64, identity: &Identity) -> Edition {
    let Identity { version, created_at, run } = identity;
    let (parent, since) = (champion.version.to_string(), champion.dataset_version);
    let lineage = [
        ("run", run.clone()),
        ("mode", ORPHAN.to_owned()),
        ("parent", parent.clone()),
        ("cases_added", tally.added.to_string()),
        ("cases_since_dataset_version", since.to_string()),
    ];
    Edition {
        version: version.clone(),
        created_at: created_at.clone(),
        dataset_version,
        lineage: lineage.map(|(name, value)| (name.to_owned(), value)).into(),
        record: json!({
            "mode": ORPHAN, "run": run, "parent": parent, "since_dataset_version": since,
            "dataset_version": dataset_version, "cases": tally,
        }),
    }
}

/// What a challenger is measured with.
struct Round<'a> {
    deployment: &'a Deployment,
    champion: &'a Model,
    before: Scorer,
    cohort: Cohort,
    newest: &'a DatasetVersion,
}

impl Round<'_> {
    /// Makes and measures, and stores nothing.
    fn rehearse(&self, challenger: Challenger<'_>) -> Result<Measured> {
        let bundle = self.finish(challenger, DRY_RUN, DRY_RUN)?;
        let (evaluation, figures) = self.measure(&bundle)?;
        self.measured(None, &evaluation, &figures)
    }

    /// A recorded run; a failed one is recorded as failed.
    fn run(&self, challenger: Challenger<'_>) -> Result<Measured> {
        let registry = &self.deployment.registry;
        let run = Uuid::now_v7().to_string();
        let lineage = registry.run(&self.champion.run)?;
        let parameters =
            json!({ "mode": ORPHAN, "parent": self.champion.version, "cases": challenger.tally });
        registry.start_run(&NewRun {
            id: &run,
            started_at: deployment::now(),
            dataset_version: self.newest.version,
            study_hash: &challenger.study().digest(),
            seed: lineage.seed,
            parameters: &parameters,
        })?;
        match self.make(challenger, &run) {
            Ok(measured) => {
                let figures = json!({ "gates_hold": measured.gates_hold, "promoted": measured.promoted });
                registry.finish_run(&run, deployment::now(), &figures)?;
                Ok(measured)
            }
            Err(error) => {
                registry.fail_run(&run, deployment::now(), &format!("{error:#}"))?;
                Err(error)
            }
        }
    }

    fn make(&self, challenger: Challenger<'_>, run: &str) -> Result<Measured> {
        let version = self.deployment.registry.take_version(run)?;
        let bundle = self.finish(challenger, &version.to_string(), run)?;
        let path = format!("models/{version}");
        // The disk and the processor do not wait for each other.
        let (digest, measured) = std::thread::scope(|scope| {
            let digest = scope.spawn(|| bundle.write(&self.deployment.data_dir.join(&path)));
            let measured = self.measure(&bundle);
            (digest.join(), measured)
        });
        let digest = digest.map_err(|_| anyhow!("the thread that writes the bundle failed"))??;
        let (evaluation, figures) = measured?;
        let model = act(self.deployment, "retrained", |act| {
            let new = NewModel { version, bundle_path: &path, bundle_digest: &digest };
            Ok(self.deployment.registry.register(&new, act)?)
        })?;
        let mut measured = self.measured(Some(version), &evaluation, &figures)?;
        act(self.deployment, &format!("run {run}"), |act| {
            Ok(self.deployment.registry.record_evaluation(version, &measured.validation, act)?)
        })?;
        if promote::judge(self.deployment, &model, &evaluation)? {
            let reason = format!("retrain --mode {ORPHAN}: the gates hold");
            // Only in place of the model that it was compared with.
            let replaces = Replaces::Only(Some(self.champion.version));
            measured.promoted = promote::promote(self.deployment, &model, replaces, &reason)?.changed;
        }
        // Nothing is decided by it, so it comes last.
        if self.deployment.registry.test_opening(self.champion.version)?.is_some() {
            let after = Scorer::of(learn::Model::of(&bundle)?);
            evaluate::open_test(self.deployment, version, || {
                evaluate::evaluate(&after, &self.cohort, Set::Test, self.newest)
            })?;
        }
        Ok(measured)
    }

    fn finish(&self, challenger: Challenger<'_>, version: &str, run: &str) -> Result<Bundle> {
        let created_at = deployment::now().format(&Rfc3339)?;
        let identity = Identity { version: version.to_owned(), created_at, run: run.to_owned() };
        let edition = edition(self.champion, &challenger.tally, self.newest.version, &identity);
        challenger.finish(edition, &self.cohort, self.deployment.config.threads())
    }

    /// The challenger's evaluation, and the champion's figures on the same patients.
    fn measure(&self, challenger: &Bundle) -> Result<(Evaluation, Figures)> {
        let after = Scorer::of(learn::Model::of(challenger)?);
        let evaluation = evaluate::evaluate(&after, &self.cohort, Set::Validation, self.newest)?;
        Ok((evaluation, evaluate::figures(&self.before, &self.cohort, Set::Validation)?))
    }

    fn measured(
        &self,
        model: Option<ModelVersion>,
        evaluation: &Evaluation,
        champion: &Figures,
    ) -> Result<Measured> {
        let (champion, validation) = (serde_json::to_value(champion)?, serde_json::to_value(evaluation)?);
        let value = |of: &Value, name: &str| of[name]["value"].clone();
        let pair = |name: &'static str| {
            (name, Pair { champion: value(&champion, name), challenger: value(&validation, name) })
        };
        Ok(Measured {
            model,
            gates_hold: evaluation.gates_hold,
            promoted: false,
            compared: COMPARED.map(pair).into(),
            validation,
        })
    }
}

/// Figures that are set side by side.
const COMPARED: [&str; 6] =
    ["f1_common", "macro_f1", "orphan_recall", "orphan_average_precision", "alerts_per_1000", "log_loss"];
