//! Timeline: what was seen, decided and done, in the order in which it was.

use anyhow::Result;
use registry::{Job, JobState, ModelVersion};
use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::exact::Exact;
use crate::deployment::Deployment;

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// The simulation's own doing.
    Event,
    AlertRaised,
    AlertResolved,
    Promoted,
    Held,
    /// A job that did not do its work.
    Failed,
    /// Something was reached.
    Reached,
}

/// One entry.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub mark: Mark,
    pub text: String,
    pub detail: Value,
}

/// A look of monitoring.
#[derive(Debug, Clone, Serialize)]
pub struct Look {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Numbers of the alerts that it raised.
    pub raised: Vec<u64>,
}

/// An alert as it was when it was raised.
#[derive(Debug, Clone, Serialize)]
pub struct Raised {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub rule: String,
    pub subject: String,
}

/// A challenger and the champion that it was compared with.
#[derive(Debug, Clone, Serialize)]
pub struct Challenge {
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub mode: String,
    pub champion: ModelVersion,
    pub challenger: ModelVersion,
    pub promoted: bool,
    pub because: Vec<String>,
    /// What both are worth, exactly: champion, challenger.
    pub exact: [Exact; 2],
}

/// What happened.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Timeline {
    pub entries: Vec<Entry>,
    pub looks: Vec<Look>,
    pub alerts: Vec<Raised>,
    pub challenges: Vec<Challenge>,
    /// Slots of the trainings with dates that were worked off, with the moment at which they were.
    pub trainings: Vec<Training>,
}

/// A training that its schedule owed.
#[derive(Debug, Clone, Serialize)]
pub struct Training {
    pub slot: String,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub succeeded: bool,
}

impl Timeline {
    pub(super) fn note(&mut self, at: OffsetDateTime, mark: Mark, text: String) {
        self.entries.push(Entry { at, mark, text, detail: Value::Null });
    }

    /// Takes in a job that was worked off; what a retraining answered is the caller's to weigh.
    pub(super) fn job<'j>(&mut self, deployment: &Deployment, job: &'j Job) -> Result<Option<&'j Value>> {
        let at = job.started_at.unwrap_or(job.queued_at);
        let succeeded = job.state == JobState::Succeeded;
        if job.kind == "incremental" || job.kind == "full" {
            self.trainings.push(Training { slot: job.slot.clone(), at, succeeded });
        }
        if !succeeded {
            let because = job.error.as_deref().unwrap_or("it did not end");
            self.note(at, Mark::Failed, format!("{} failed: {because}", job.slot));
            return Ok(None);
        }
        let Some(outcome) = &job.outcome else { return Ok(None) };
        if job.kind == "monitor" {
            self.look(deployment, at, &outcome["alerts"])?;
            return Ok(None);
        }
        Ok(Some(outcome))
    }

    fn look(&mut self, deployment: &Deployment, at: OffsetDateTime, alerts: &Value) -> Result<()> {
        let numbers = |name: &str| -> Vec<u64> {
            alerts[name].as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
        };
        let raised = numbers("raised");
        for (mark, numbers) in [(Mark::AlertRaised, &raised), (Mark::AlertResolved, &numbers("resolved"))] {
            for &number in numbers {
                let alert = deployment.registry.alert(number)?;
                if mark == Mark::AlertRaised {
                    let (rule, subject) = (alert.rule.clone(), alert.subject.clone());
                    self.alerts.push(Raised { at, rule, subject });
                }
                let detail = json!({ "alert": number, "rule": alert.rule, "subject": alert.subject });
                let text = format!("{} {}: {}", alert.rule, alert.subject, alert.message);
                self.entries.push(Entry { at, mark, text, detail });
            }
        }
        self.looks.push(Look { at, raised });
        Ok(())
    }

    /// Takes in a challenger with what it and the champion are worth; `what` asked for it.
    pub(super) fn challenge(&mut self, what: &str, challenge: Challenge) {
        let [before, after] = &challenge.exact;
        let Challenge { challenger, champion, promoted, because, .. } = &challenge;
        let decision = if *promoted { "promoted" } else { "held" };
        let text = format!(
            "{what}: {challenger} {decision} after {champion} ({}); exactly: F1 common {:.3} to {:.3}, orphan recall {:.3} to {:.3}, \
             log loss {:.4} to {:.4}",
            because.join("; "),
            before.f1_common,
            after.f1_common,
            before.orphan_recall,
            after.orphan_recall,
            before.log_loss,
            after.log_loss
        );
        let mark = if *promoted { Mark::Promoted } else { Mark::Held };
        self.entries.push(Entry { at: challenge.at, mark, text, detail: json!(challenge) });
        self.challenges.push(challenge);
    }
}
