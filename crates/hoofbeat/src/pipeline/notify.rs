//! Notify: what the outbox of alerts still holds -> log, webhooks, mail.
//!
//! A sink that fails is tried again later, by this process or another, and never holds up the others: each has a thread of
//! its own and a limit on its time. What is sent names rule, subject, counts and shares, no patient.

mod mail;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hmac::{Hmac, Mac};
use registry::{Delivery, Registry};
use serde::Serialize;
use serde_json::json;
use sha2::Sha256;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::claim::Claim;
use crate::config::{Alerts, Webhook};
use crate::deployment::Deployment;

/// What one server at a time claims.
const OUTBOX: &str = "outbox";
const LOG: &str = "log";
const EMAIL: &str = "email";
/// Patience with one sink, for one message.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks into the outbox of a server.
const BETWEEN: Duration = Duration::from_secs(10);
/// Messages taken from the outbox at once.
const BATCH: u32 = 200;

/// Headers of a webhook's signature: `t` is the time of sending in Unix seconds, `v1` the hexadecimal HMAC-SHA256 of
/// `t`, a full stop and the body, by the shared key. A receiver refuses old times, so that nothing can be played back.
const SIGNATURE: &str = "x-hoofbeat-signature";
const DELIVERY: &str = "x-hoofbeat-delivery";

/// How a round went.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Round {
    pub delivered: u64,
    /// Sinks that failed; their messages stay in the outbox.
    pub failed: BTreeSet<String>,
}

/// The configured sinks, as the outbox names them.
pub fn names(config: &Alerts) -> Vec<String> {
    let log = config.log.then(|| LOG.to_owned());
    let email = config.email.as_ref().map(|_| EMAIL.to_owned());
    log.into_iter().chain(config.webhook.iter().map(webhook_name)).chain(email).collect()
}

fn webhook_name(hook: &Webhook) -> String {
    format!("webhook:{}", hook.name)
}

/// Empties the outbox until the program ends.
pub fn follow(deployment: Arc<Deployment>) {
    std::thread::spawn(move || {
        loop {
            if let Err(error) = deliver_alone(&deployment) {
                tracing::warn!(error = format!("{error:#}"), "the outbox of alerts cannot be read");
            }
            std::thread::sleep(BETWEEN);
        }
    });
}

/// Delivers what is due while no other server does: a sink would hear of everything twice.
fn deliver_alone(deployment: &Deployment) -> Result<()> {
    let (registry, now) = (&deployment.registry, deployment.now());
    if registry.deliveries_due(now, 1)?.is_empty() {
        return Ok(());
    }
    let Some(_claim) = Claim::take(deployment, OUTBOX)? else { return Ok(()) };
    deliver(registry, &deployment.config.alerts, now).map(drop)
}

/// Delivers what is due, each sink in its own order up to its first failure.
pub fn deliver(registry: &Registry, config: &Alerts, now: OffsetDateTime) -> Result<Round> {
    let mut by_sink: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
    for delivery in registry.deliveries_due(now, BATCH)? {
        by_sink.entry(delivery.sink.clone()).or_default().push(delivery);
    }
    let rounds: Vec<Result<(u64, bool)>> = std::thread::scope(|scope| {
        let rounds: Vec<_> =
            by_sink.values().map(|due| scope.spawn(move || to_sink(registry, config, due, now))).collect();
        rounds
            .into_iter()
            .map(|round| round.join().unwrap_or_else(|_| bail!("a sink's thread failed")))
            .collect()
    });
    let mut all = Round::default();
    for (sink, round) in by_sink.into_keys().zip(rounds) {
        let (delivered, failed) = round?;
        all.delivered += delivered;
        all.failed.extend(failed.then_some(sink));
    }
    Ok(all)
}

fn to_sink(
    registry: &Registry,
    config: &Alerts,
    due: &[Delivery],
    now: OffsetDateTime,
) -> Result<(u64, bool)> {
    for (done, delivery) in due.iter().enumerate() {
        if let Err(error) = send(config, delivery, now) {
            let error = format!("{error:#}");
            let again = registry.not_delivered(delivery.id, now, &error)?;
            tracing::warn!(
                sink = delivery.sink,
                alert = delivery.alert,
                error,
                again,
                "an alert was not delivered"
            );
            return Ok((done as u64, true));
        }
        registry.delivered(delivery.id, now)?;
    }
    Ok((due.len() as u64, false))
}

fn send(config: &Alerts, delivery: &Delivery, now: OffsetDateTime) -> Result<()> {
    if delivery.sink == LOG {
        let Delivery { alert, rule, subject, message, .. } = delivery;
        tracing::warn!(alert, rule, subject, event = delivery.event.code(), "{message}");
        return Ok(());
    }
    if delivery.sink == EMAIL {
        let email = config.email.as_ref().context("no longer configured under [alerts.email]")?;
        return mail::mail(email, delivery, now);
    }
    let hook = config.webhook.iter().find(|hook| webhook_name(hook) == delivery.sink);
    post(hook.context("no longer configured under [[alerts.webhook]]")?, delivery, now)
}

fn post(hook: &Webhook, delivery: &Delivery, now: OffsetDateTime) -> Result<()> {
    let body = json!({
        "delivery": delivery.id, "event": delivery.event, "at": delivery.at.format(&Rfc3339)?,
        "alert": {"id": delivery.alert, "rule": delivery.rule, "subject": delivery.subject, "message": delivery.message},
    })
    .to_string();
    let key = secret("webhook's key", hook.secret_env.as_deref(), hook.secret_file.as_deref())?;
    let signature = key.map(|key| signed(&key, now.unix_timestamp(), &body)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("hoofbeat/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let mut request = client
            .post(&hook.url)
            .header("content-type", "application/json")
            .header(DELIVERY, delivery.id.to_string())
            .body(body);
        if let Some(signature) = signature {
            request = request.header(SIGNATURE, signature);
        }
        anyhow::Ok(request.send().await.map_err(reqwest::Error::without_url)?.status())
    })?;
    if !status.is_success() {
        bail!("it answered {}", status.as_u16());
    }
    Ok(())
}

fn signed(secret: &str, at: i64, body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("the key cannot be used")?;
    mac.update(format!("{at}.{body}").as_bytes());
    let code: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("t={at},v1={code}"))
}

/// A secret by the environment variable that holds it, else by its file; none where neither is configured.
fn secret(what: &str, variable: Option<&str>, file: Option<&Path>) -> Result<Option<String>> {
    let found = match (variable, file) {
        (None, None) => return Ok(None),
        (Some(name), _) => {
            std::env::var(name).with_context(|| format!("the environment has no {name}, the {what}"))?
        }
        (None, Some(path)) => std::fs::read_to_string(path)
            .with_context(|| format!("the {what} in {} cannot be read", path.display()))?,
    };
    let found = found.trim();
    if found.is_empty() {
        bail!("the {what} is empty");
    }
    Ok(Some(found.to_owned()))
}

#[cfg(test)]
mod tests;
