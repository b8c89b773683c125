//! A full training's search for settings, and how it goes on where an interrupted one stopped.

use anyhow::Result;
use clinical::Study;
use clinical::study::Learner;
use registry::{NewRun, NewTrial, RunState};

use crate::deployment::Deployment;
use crate::pipeline::claim::Claim;

/// What a full training is asked to search. What is not said, the study says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Searching {
    /// Trials; 0: none.
    pub trials: Option<usize>,
    /// `Some(None)`: whichever is best in a search, else the champion's own.
    pub learner: Option<Option<Learner>>,
}

impl Searching {
    pub(super) fn trials(self, study: &Study) -> usize {
        self.trials.or(study.cycle.full.trials).unwrap_or(study.search.trials)
    }

    /// None: in a search whichever is best, else the champion's own.
    pub(super) fn learner(self, study: &Study) -> Option<Learner> {
        self.learner.unwrap_or(study.cycle.full.learner)
    }
}

/// Why a run failed whose process is gone.
pub(super) const INTERRUPTED: &str = "interrupted: its process ended before the run did";

/// Ends the interrupted runs that made the search of a run that is about to start, as soon as their processes are known to
/// be gone.
pub(super) fn end_interrupted(deployment: &Deployment, new: &NewRun<'_>) -> Result<()> {
    for left in deployment.registry.unfinished_runs()? {
        let asked_alike = left.parameters["mode"] == new.parameters["mode"]
            && left.parameters["search"] == new.parameters["search"]
            && (left.dataset_version, left.seed) == (new.dataset_version, new.seed)
            && left.study_hash == new.study_hash;
        if !asked_alike {
            continue;
        }
        deployment
            .progress
            .say(&format!("run {} makes this search: seeing whether its process lives", left.id));
        if let Some(_claim) = Claim::wait(deployment, &left.id)?
            && deployment.registry.run(&left.id)?.state == RunState::Running
        {
            super::fail(deployment, &left, INTERRUPTED)?;
        }
    }
    Ok(())
}

/// Gives a run that has just started the trials of the newest interrupted run that made the same search. Trials are the
/// same whoever makes them.
pub(super) fn inherit(deployment: &Deployment, new: &NewRun<'_>) -> Result<()> {
    let registry = &deployment.registry;
    let Some(left) = registry.failed_search(new, INTERRUPTED)? else { return Ok(()) };
    for trial in registry.trials(&left.id)? {
        let kept = NewTrial {
            run: new.id,
            number: trial.number,
            state: trial.state,
            parameters: &trial.parameters,
            metric: trial.metric,
            log_loss: trial.log_loss,
            rounds: trial.rounds,
            seconds: trial.seconds,
            reason: trial.reason.as_deref(),
            record: &trial.record,
        };
        registry.record_trial(&kept, trial.ended_at)?;
    }
    deployment.progress.say(&format!("going on with the search of run {}, which was interrupted", left.id));
    Ok(())
}
