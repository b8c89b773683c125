//! Retrain: one turn of the cycle. The champion and what it lacks -> a challenger, measured beside it on the newest
//! validation set, promoted only through the gates.
//!
//! Every mode makes its challenger in its own way ([`making`]); comparing ([`compare`]), deciding and recording
//! ([`decide`]) are the same for all.

mod compare;
mod decide;
mod making;
mod searching;

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clinical::Study;
use lake::DatasetVersion;
use learn::bundle::Bundle;
use prepare::{Cohort, Set};
use registry::{Model, ModelVersion, NewModel, NewRun, Run, RunState};
use serde::Serialize;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use self::compare::Comparison;
pub use self::decide::{DecisionKind, Request};
pub use self::making::{Cases, Mode, revise};
use self::making::{Making, Plan};
pub use self::searching::Searching;
use super::claim::Claim;
use super::score::Scorer;
use super::search::{self, Found};
use super::train::Identity;
use super::{cohort, collect, evaluate, notes};
use crate::deployment::Deployment;

/// What a challenger is called that is not stored.
const DRY_RUN: &str = "dry-run";

/// One turn.
#[derive(Debug, Serialize)]
pub struct Turn {
    pub mode: &'static str,
    /// The champion that the turn began with, and the dataset version whose cases it knows.
    pub champion: ModelVersion,
    pub since_dataset_version: u64,
    pub dataset_version: u64,
    pub cases: Cases,
    /// What a full training searched, and what won.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<Found>,
    /// None where there was nothing to learn.
    pub challenger: Option<Measured>,
    pub decision: DecisionKind,
    /// Why, one sentence each.
    pub because: Vec<String>,
    /// The change record; none of a dry run and where there was nothing to learn.
    pub change: Option<u64>,
}

/// A challenger beside the champion, on the validation set of the newest dataset version.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// None in a dry run.
    pub model: Option<ModelVersion>,
    /// The study's gates, and its limits on the difference from the champion.
    pub gates_hold: bool,
    pub promoted: bool,
    #[serde(flatten)]
    pub comparison: Comparison,
    pub validation: Value,
    /// The study whose gates and limits it had to pass.
    #[serde(skip)]
    judge: Arc<Study>,
}

impl Turn {
    /// What a job keeps of it: the validation report is the model's.
    pub fn summary(&self) -> Value {
        let challenger = self.challenger.as_ref().map(|challenger| {
            json!({
                "model": challenger.model, "gates_hold": challenger.gates_hold,
                "promoted": challenger.promoted, "compared": challenger.comparison.compared,
            })
        });
        json!({
            "mode": self.mode, "champion": self.champion, "dataset_version": self.dataset_version,
            "cases": self.cases, "search": self.search, "challenger": challenger, "decision": self.decision,
            "because": self.because, "change": self.change,
        })
    }
}

/// One turn of the cycle. `dry_run`: nothing is stored.
pub fn turn(deployment: &Deployment, mode: Mode, request: &Request, dry_run: bool) -> Result<Turn> {
    searching_turn(deployment, mode, Searching::default(), request, dry_run)
}

/// One turn of the cycle, of which a full one searches as it is asked to.
pub fn searching_turn(
    deployment: &Deployment,
    mode: Mode,
    searching: Searching,
    request: &Request,
    dry_run: bool,
) -> Result<Turn> {
    fail_interrupted(deployment)?;
    if !dry_run {
        // What reviewers confirmed and could not enter the data then does so now.
        collect::collect(deployment)?;
    }
    let champion = deployment.champion()?;
    let newest = deployment.lake.version(deployment.dataset_version(None)?)?;
    let bundle = deployment.bundle(&champion)?;
    let plan = Plan::of(deployment, (mode, searching), &champion, &bundle, &newest)?;
    let mut turn = Turn {
        mode: mode.name(),
        champion: champion.version,
        since_dataset_version: plan.since(),
        dataset_version: newest.version,
        cases: plan.cases(),
        search: None,
        challenger: None,
        decision: DecisionKind::Nothing,
        because: Vec::new(),
        change: None,
    };
    if plan.is_empty() {
        turn.because.push(format!("{} knows all that there is to learn", champion.version));
        return Ok(turn);
    }
    let round = Round { deployment, mode, request, champion: &champion, bundle: &bundle, newest: &newest };
    match dry_run {
        true => round.rehearse(plan, &mut turn)?,
        false => round.run(plan, &mut turn)?,
    }
    Ok(turn)
}

/// Records the runs of turns whose processes are gone as failed.
pub fn fail_interrupted(deployment: &Deployment) -> Result<()> {
    for run in deployment.registry.unfinished_runs()? {
        if run.parameters["mode"].as_str().and_then(Mode::of_name).is_none() {
            continue;
        }
        let Some(_claim) = Claim::take(deployment, &run.id)? else { continue };
        // It may have ended between the look and the claim.
        if deployment.registry.run(&run.id)?.state == RunState::Running {
            fail(deployment, &run, searching::INTERRUPTED)?;
        }
    }
    Ok(())
}

/// A failed run brings no model any more, so what it wrote goes.
fn fail(deployment: &Deployment, run: &Run, because: &str) -> Result<()> {
    deployment.registry.fail_run(&run.id, deployment.now(), because)?;
    let Some(version) = deployment.registry.version_of(&run.id)? else { return Ok(()) };
    let folder = deployment.data_dir.join(bundle_path(version));
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", folder.display()))
        }
        _ => Ok(()),
    }
}

fn bundle_path(version: ModelVersion) -> String {
    format!("models/{version}")
}

/// What a challenger is made and measured with.
struct Round<'a> {
    deployment: &'a Deployment,
    mode: Mode,
    request: &'a Request,
    champion: &'a Model,
    bundle: &'a Bundle,
    newest: &'a DatasetVersion,
}

impl Round<'_> {
    /// Makes and measures, and stores nothing.
    fn rehearse(&self, plan: Plan<'_>, turn: &mut Turn) -> Result<()> {
        let made = plan.make(self.deployment, None)?;
        turn.search = made.found().cloned();
        let (cohort, before) = self.counted(&made)?;
        let bundle = self.finish(made, &cohort, DRY_RUN, DRY_RUN)?;
        let measured = self.measure(&bundle, &before, &cohort)?;
        turn.decision = DecisionKind::Rehearsed;
        turn.because = measured.comparison.because(&measured.validation);
        turn.challenger = Some(measured);
        Ok(())
    }

    /// A recorded run; a failed one is recorded as failed.
    fn run(&self, plan: Plan<'_>, turn: &mut Turn) -> Result<()> {
        let registry = &self.deployment.registry;
        let run = Uuid::now_v7().to_string();
        let _claim = Claim::take(self.deployment, &run)?;
        let lineage = registry.run(&self.champion.run)?;
        let mut parameters = json!({
            "mode": self.mode.name(), "parent": self.champion.version, "cases": plan.cases(),
            "requested_by": self.request.by, "job": self.request.attempt.map(|attempt| attempt.job),
        });
        let study_hash = plan.study(self.deployment).digest();
        let search = plan.search();
        if let Some(asked) = search {
            parameters["search"] = search::request(self.deployment, asked);
        }
        let new = NewRun {
            id: &run,
            started_at: self.deployment.now(),
            dataset_version: self.newest.version,
            study_hash: &study_hash,
            seed: search.map_or(lineage.seed, |asked| asked.seed),
            parameters: &parameters,
        };
        if search.is_some() {
            searching::end_interrupted(self.deployment, &new)?;
        }
        let run = registry.start_run(&new)?;
        let ready = if search.is_some() { searching::inherit(self.deployment, &new) } else { Ok(()) };
        ready.and_then(|()| self.make(plan, &run.id, turn)).inspect_err(|error| {
            // One that was given up for dead has been recorded already.
            if let Err(unknown) = fail(self.deployment, &run, &format!("{error:#}")) {
                tracing::warn!(run = run.id, error = format!("{unknown:#}"), "the run's end is not recorded");
            }
        })
    }

    fn make(&self, plan: Plan<'_>, run: &str, turn: &mut Turn) -> Result<()> {
        let deployment = self.deployment;
        let made = plan.make(deployment, Some(run))?;
        turn.search = made.found().cloned();
        let (cohort, before) = self.counted(&made)?;
        let version = deployment.registry.take_version(run)?;
        let bundle = self.finish(made, &cohort, &version.to_string(), run)?;
        let path = bundle_path(version);
        // The disk and the processor do not wait for each other.
        let (digest, measured) = std::thread::scope(|scope| {
            let digest = scope.spawn(|| bundle.write(&deployment.data_dir.join(&path)));
            let measured = self.measure(&bundle, &before, &cohort);
            (digest.join(), measured)
        });
        let digest = digest.map_err(|_| anyhow!("the thread that writes the bundle failed"))??;
        turn.challenger = Some(Measured { model: Some(version), ..measured? });
        let new = NewModel { version, bundle_path: &path, bundle_digest: &digest };
        decide::decide(deployment, self.request, &new, run, turn)?;
        if let Err(error) = self.test(&bundle, version, &cohort) {
            // Nothing is decided by it, and `hoofbeat evaluate` makes up for it.
            tracing::warn!(model = %version, error = format!("{error:#}"), "its test set was not evaluated");
        }
        Ok(())
    }

    /// Opens the test set for the challenger where it was opened for the champion.
    fn test(&self, challenger: &Bundle, version: ModelVersion, cohort: &Cohort) -> Result<()> {
        if self.deployment.registry.test_opening(self.champion.version)?.is_none() {
            return Ok(());
        }
        let after = Scorer::of(learn::Model::of(challenger)?);
        let judge = self.deployment.study_in_force(after.study())?;
        let measure = || evaluate::evaluate(&after, cohort, Set::Test, self.newest, &judge);
        evaluate::open_test(self.deployment, version, measure).map(drop)
    }

    /// The counted cases of the newest dataset version, and the champion.
    fn counted(&self, made: &Making<'_>) -> Result<(Cohort, Scorer)> {
        let (before, cohort) = std::thread::scope(|scope| {
            let before = scope.spawn(|| learn::Model::of(self.bundle));
            let cohort = match made.cohort() {
                Some(cohort) => Ok(cohort.clone()),
                None => {
                    let study = made.study(self.deployment);
                    cohort::tally(self.deployment, study, self.newest.version).map(|(cohort, ..)| cohort)
                }
            };
            (before.join(), cohort)
        });
        let before = before.map_err(|_| anyhow!("the thread that reads the champion failed"))??;
        Ok((cohort?, Scorer::of(before)))
    }

    fn finish(&self, made: Making<'_>, cohort: &Cohort, version: &str, run: &str) -> Result<Bundle> {
        let created_at = self.deployment.now().format(&Rfc3339)?;
        let identity = Identity { version: version.to_owned(), created_at, run: run.to_owned() };
        made.finish(self.deployment, self.champion, self.newest.version, cohort, &identity)
    }

    /// The challenger's evaluation, beside the champion on the same patients.
    fn measure(&self, challenger: &Bundle, before: &Scorer, cohort: &Cohort) -> Result<Measured> {
        let _task = self.deployment.progress.task("comparing with the champion", None);
        let after = Scorer::of(learn::Model::of(challenger)?);
        let judge = self.deployment.study_in_force(after.study())?;
        let mut evaluation = evaluate::evaluate(&after, cohort, Set::Validation, self.newest, &judge)?;
        if self.mode != Mode::Orphan {
            let version = self.newest.version;
            evaluation.notes = notes::measure(&self.deployment.lake, &after, version, Set::Validation)?;
        }
        let comparison = Comparison::of(self.mode, [before, &after], cohort, &judge)?;
        let gates_hold = evaluation.gates_hold && comparison.holds();
        let mut validation = serde_json::to_value(&evaluation)?;
        validation["gates_hold"] = json!(gates_hold);
        validation["beside"] = json!({ "champion": self.champion.version, "limits": comparison.limits });
        Ok(Measured { model: None, gates_hold, promoted: false, comparison, validation, judge })
    }
}
