//! Conclusions: all that a turn of the cycle leaves behind, stored together or not at all.
//!
//! The model with its evaluation and verdicts, what was decided on it, the end of its run and of the job that it was made
//! for are one transaction. A process that is killed before it has left a failed run and no model; one that is killed after
//! it has done its work. And one that was given up for dead, because its lease ended, finds another attempt at its job,
//! or its run ended, and stores nothing.

use serde_json::{Value, json};

use crate::{
    act::{self, Act},
    champion::{self, Replaces},
    changes::{self, Change, ChangeKind, Decision},
    error::{Error, Result},
    evaluations,
    jobs::{self, Attempt},
    models::{self, NewModel},
    runs::{self, RunState},
    sql::Connection,
    store::Registry,
};

/// What a turn ends with.
#[derive(Debug, Clone, Copy)]
pub struct Conclusion<'a> {
    /// What was decided. A promotion takes place only where `previous` still is the champion; else it becomes a hold.
    pub decision: Decision<'a>,
    /// The challenger, where the turn made it.
    pub made: Option<Made<'a>>,
    /// The attempt at the job whose work this is; none of what is done by hand.
    pub attempt: Option<Attempt>,
}

/// A challenger that was made and measured.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    pub run: &'a str,
    pub model: &'a NewModel<'a>,
    /// The evaluation on validation.
    pub report: &'a Value,
    /// The gates' verdicts, where all of them hold.
    pub gates: Option<&'a Value>,
}

const CONCLUDE: &str = "turn.conclude";

impl Registry {
    /// Stores a conclusion; the change record that tells of it. The job's outcome is what `outcome` makes of that record,
    /// and its `decision` is the run's. Repeating the call with the same key changes nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`] when the attempt is no longer under way, or the run has ended; as [`Registry::register`] and
    /// [`Registry::validate`]; [`Error::WrongStage`] when a model is promoted that the gates have not passed;
    /// [`Error::KeyReused`]; storage fails.
    pub fn conclude(
        &self,
        conclusion: &Conclusion<'_>,
        act: &Act<'_>,
        outcome: impl FnOnce(&Change) -> Value,
    ) -> Result<Change> {
        self.write(|tx| {
            let subject = conclusion.decision.model.to_string();
            if let Some(id) = act::replayed(tx, act, CONCLUDE, &subject)? {
                return changes::known(tx, id);
            }
            if let Some(made) = &conclusion.made {
                keep(tx, made, act)?;
            }
            let change = decide(tx, &conclusion.decision, act)?;
            let outcome = outcome(&change);
            if let Some(made) = &conclusion.made {
                let figures = json!({ "decision": outcome["decision"] });
                runs::end(tx, made.run, act.at, RunState::Succeeded, Some(&figures), None)?;
            }
            if let Some(attempt) = conclusion.attempt {
                jobs::end(tx, attempt, Ok(&outcome), act.at)?;
            }
            act::remember(tx, act, CONCLUDE, &subject, &change.id)?;
            Ok(change)
        })
    }
}

/// Registers the challenger with what was found of it.
fn keep(tx: &Connection, made: &Made<'_>, act: &Act<'_>) -> Result<()> {
    let version = made.model.version;
    models::register(tx, made.model, &Act { reason: "retrained", ..*act })?;
    evaluations::record(tx, version, made.report, act)?;
    if let Some(gates) = made.gates {
        let reason = "the gates hold on the validation set";
        models::validate(tx, version, gates, &Act { reason, ..*act })?;
    }
    Ok(())
}

fn decide(tx: &Connection, decision: &Decision<'_>, act: &Act<'_>) -> Result<Change> {
    if decision.kind != ChangeKind::Promotion {
        return changes::known(tx, changes::insert(tx, decision, None, act)?);
    }
    let replaces = Replaces::Only(decision.previous);
    match champion::promote(tx, decision.model, replaces, &decision.cause, act) {
        Ok(promotion) => changes::of_epoch(tx, promotion.epoch),
        Err(Error::ChampionMoved { found, .. }) => {
            let found = found.map_or_else(|| "none".to_owned(), |version| version.to_string());
            let reason = format!("the champion became {found} meanwhile");
            let held = Decision { kind: ChangeKind::Hold, ..*decision };
            changes::known(tx, changes::insert(tx, &held, None, &Act { reason: &reason, ..*act })?)
        }
        Err(error) => Err(error),
    }
}
