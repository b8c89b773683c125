//! `hoofbeat alert`: what monitoring found wrong.

use anyhow::Result;
use registry::AlertState;

use crate::cli::{Alert as Command, Global};
use crate::deployment::Deployment;
use crate::output::{self, Done, table};
use crate::pipeline::{notify, promote};

/// Alerts listed at most.
const MOST: u32 = 1000;

pub(super) fn run(global: &Global, command: &Command) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    let (registry, config) = (&deployment.registry, &deployment.config.alerts);
    match command {
        Command::List { all } => {
            let mut alerts = registry.alerts(None, MOST)?;
            alerts.retain(|alert| *all || alert.state != AlertState::Resolved);
            output::print(global.json, &alerts, || list(&alerts))?;
        }
        Command::Ack { alert, reason } => {
            let alert =
                promote::act(&deployment, reason, |act| Ok(registry.acknowledge_alert(*alert, act)?))?;
            output::print(global.json, &alert, || format!("alert {} is acknowledged", alert.id))?;
        }
        Command::Resolve { alert, reason } => {
            let sinks = notify::names(config);
            let sinks: Vec<&str> = sinks.iter().map(String::as_str).collect();
            let alert =
                promote::act(&deployment, reason, |act| Ok(registry.resolve_alert(*alert, &sinks, act)?))?;
            notify::deliver(registry, config, deployment.now())?;
            output::print(global.json, &alert, || format!("alert {} is resolved", alert.id))?;
        }
    }
    Ok(Done::Well)
}

fn list(alerts: &[registry::Alert]) -> String {
    if alerts.is_empty() {
        return "no alert is open".to_owned();
    }
    let mut rows = vec![["alert", "state", "raised", "rule", "what"].map(str::to_owned).to_vec()];
    rows.extend(alerts.iter().map(|alert| {
        let state = match alert.state {
            AlertState::Raised => "raised",
            AlertState::Acknowledged => "acknowledged",
            AlertState::Resolved => "resolved",
        };
        vec![
            alert.id.to_string(),
            state.to_owned(),
            alert.raised_at.date().to_string(),
            alert.rule.clone(),
            alert.message.clone(),
        ]
    }));
    table(&rows)
}
