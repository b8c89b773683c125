//! Publish: what the prediction log and the registry have since the last time -> the lake's open tables.
//!
//! The log acknowledges an answer, the registry an outcome; nothing waits for a publication. The tables know how far they
//! have read each of them, so a publication that was killed, or one of several servers', brings every row once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clinical::{Rarity, Study, Warning};
use lake::predictions::{self, Mark, PredictionReader};
use lake::{LakeError, OutcomeRow, PredictionLayout, PredictionPublication, PredictionRow};
use registry::ConfirmedOutcome;
use serde::Serialize;
use serve::Record;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::deployment::Deployment;

/// Answers in one commit, at most: what a kill makes to be read again.
const ANSWERS: u64 = 1 << 21;
/// A log that is not the one that was read.
const PUT_BACK: &str = "the prediction log does not hold the answer that was published last: it was put back from a backup, or \
                        another one publishes under its name; `hoofbeat dataset publish --anew` compares all its answers with the \
                        published ones, adds what is missing and goes on from there";
/// The same of outcomes, which are few and wait in memory.
const OUTCOMES: u32 = 20_000;

/// What a publication brought.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Published {
    pub predictions: u64,
    /// Answers of a model whose study is gone: without severity, probabilities and inputs.
    pub without_study: u64,
    pub outcomes: u64,
    /// Outcomes that took the place of an earlier one.
    pub corrected: u64,
}

/// Brings what is new. `anew`: looks at everything once more, whatever the tables have taken in; after the log or the registry
/// was put back from a backup.
pub fn publish(deployment: &Deployment, anew: bool) -> Result<Published> {
    let mut published = Published::default();
    answers(deployment, anew, &mut published).context("the predictions cannot be published")?;
    outcomes(deployment, anew, &mut published).context("the outcomes cannot be published")?;
    Ok(published)
}

/// Publishes at the configured pace until the program ends; not at all where the pace is 0.
pub fn follow(deployment: Arc<Deployment>) {
    let pace = Duration::from_secs(deployment.config.publication.every_seconds);
    if pace.is_zero() {
        return;
    }
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(pace);
            match publish(&deployment, false) {
                Ok(Published { predictions: 0, outcomes: 0, .. }) => {}
                Ok(Published { predictions, outcomes, .. }) => {
                    tracing::info!(predictions, outcomes, "published");
                }
                Err(error) if is_busy(&error) => {
                    tracing::info!("another publication is under way: next time")
                }
                Err(error) => tracing::warn!(error = format!("{error:#}"), "publishing will be tried again"),
            }
        }
    });
}

fn is_busy(error: &anyhow::Error) -> bool {
    error.downcast_ref::<LakeError>().is_some_and(|error| matches!(error, LakeError::Busy { .. }))
}

fn answers(deployment: &Deployment, anew: bool, published: &mut Published) -> Result<()> {
    let log = PredictionReader::open(&deployment.data_dir.join("predictions"));
    let sources = Source::all(deployment, &log)?;
    let studies = if sources.is_empty() { return Ok(()) } else { Studies::of(deployment)? };
    sources.iter().try_for_each(|source| answers_of(deployment, source, &studies, anew, published))
}

/// Numbers of the logs that do not hold what was published of them: see [`PUT_BACK`].
pub fn put_back(deployment: &Deployment) -> Result<Vec<u32>> {
    let log = PredictionReader::open(&deployment.data_dir.join("predictions"));
    let mut found = Vec::new();
    for source in Source::all(deployment, &log)? {
        if let Some(mark) = deployment.lake.published_up_to(&source.feed)?
            && !log.holds(mark)?
        {
            found.push(source.number);
        }
    }
    Ok(found)
}

/// One server's log.
struct Source<'a> {
    log: &'a PredictionReader,
    number: u32,
    /// Its name for ever.
    feed: String,
}

impl<'a> Source<'a> {
    /// Those that there are.
    fn all(deployment: &Deployment, log: &'a PredictionReader) -> Result<Vec<Source<'a>>> {
        let dir = deployment.data_dir.join("predictions");
        if !dir.exists() {
            return Ok(Vec::new());
        }
        let identity = predictions::identity(&dir)?;
        let source = |number| {
            // The first log was once the only one.
            let feed = match number {
                0 => format!("prediction-log {identity}"),
                _ => format!("prediction-log {identity} {number:03}"),
            };
            Source { log, number, feed }
        };
        Ok(log.logs()?.into_iter().map(source).collect())
    }
}

fn answers_of(
    deployment: &Deployment,
    source: &Source<'_>,
    studies: &Studies,
    anew: bool,
    published: &mut Published,
) -> Result<()> {
    let Source { log, number, feed } = source;
    loop {
        let mut publication = deployment.lake.publish_predictions(feed, &studies.layout)?;
        // Answers that may be there already; then all must come in one commit, since a place in the log tells no more.
        let (mut known, mut after) = (None, publication.after());
        if let Some(mark) = after {
            if anew {
                (known, after) = (Some(deployment.lake.published_predictions()?), None);
            } else {
                ensure!(log.holds(mark)?, PUT_BACK);
            }
        }
        let is_full = |rows: u64| known.is_none() && rows >= ANSWERS;
        let mut reached = None;
        for record in log.scan_durable(*number, after)? {
            let (id, bytes) = record?;
            let name = id.to_string();
            if known.as_ref().is_none_or(|known| !known.contains(&name)) {
                let record = Record::from_bytes(&bytes);
                let record = record.with_context(|| format!("prediction {id} cannot be read"))?;
                let named = studies.push(&mut publication, &name, &record);
                published.without_study += u64::from(!named.with_context(|| format!("prediction {id}"))?);
            }
            reached = Some((id, bytes));
            if is_full(publication.rows()) {
                break;
            }
        }
        let full = is_full(publication.rows());
        let reached = reached.and_then(|(id, bytes)| Mark::of(id, &bytes));
        if reached.is_some() || known.is_some() {
            published.predictions += publication.commit(reached)?.rows;
        }
        if !full {
            return Ok(());
        }
    }
}

/// A study and where its inputs and severities stand in the table.
struct Placed {
    study: Arc<Study>,
    inputs: Vec<usize>,
    severities: Vec<usize>,
}

/// The studies of all models, by which the numbers of a log are named.
struct Studies {
    layout: PredictionLayout,
    placed: Vec<Placed>,
    by_model: HashMap<String, usize>,
}

impl Studies {
    fn of(deployment: &Deployment) -> Result<Studies> {
        let mut studies =
            Studies { layout: PredictionLayout::default(), placed: Vec::new(), by_model: HashMap::new() };
        studies.place(Arc::clone(&deployment.study));
        let mut by_hash = HashMap::from([(deployment.study.digest(), 0)]);
        for model in deployment.registry.models()? {
            if !by_hash.contains_key(&model.study_hash) {
                let Some(study) = deployment.study_of(&model) else { continue };
                by_hash.insert(model.study_hash.clone(), studies.placed.len());
                studies.place(Arc::new(study));
            }
            studies.by_model.insert(model.version.to_string(), by_hash[&model.study_hash]);
        }
        Ok(studies)
    }

    fn place(&mut self, study: Arc<Study>) {
        fn at(names: &mut Vec<String>, name: &str) -> usize {
            names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(name.to_owned());
                names.len() - 1
            })
        }
        let inputs = study.inputs().iter().map(|input| at(&mut self.layout.inputs, &input.name)).collect();
        let severities = study.severities().iter();
        let severities = severities.map(|class| at(&mut self.layout.severities, &class.code)).collect();
        self.placed.push(Placed { study, inputs, severities });
    }

    /// Adds an answer; whether its study is known.
    fn push(&self, publication: &mut PredictionPublication, id: &str, record: &Record<'_>) -> Result<bool> {
        let (said, model) = (&record.prediction, &record.model);
        let at = OffsetDateTime::parse(&record.at, &Rfc3339).context("it has no readable time")?;
        let placed = self.by_model.get(&model.version).and_then(|&of| self.placed.get(of));
        let placed = placed.filter(|placed| record.fits(&placed.study));
        let mut probabilities = vec![None; self.layout.severities.len()];
        let mut inputs = vec![None; self.layout.inputs.len()];
        if let Some(placed) = placed {
            for (&place, &value) in placed.severities.iter().zip(&said.probabilities) {
                probabilities[place] = Some(value);
            }
            for (&place, &value) in placed.inputs.iter().zip(record.values.values()) {
                inputs[place] = Some(value);
            }
        }
        publication.push(&PredictionRow {
            prediction_id: id,
            created_at: micros(at),
            model_version: &model.version,
            dataset_version: model.dataset_version,
            patient_id: record.patient_id.as_deref(),
            severity: placed.map(|placed| placed.study.severity(said.severity).code.as_str()),
            rarity: said.rarity.map(Rarity::code),
            probability_orphan: said.probability_orphan,
            threshold: said.threshold,
            abstained: said.warnings.contains(&Warning::NotSure),
            probabilities: &probabilities,
            inputs: &inputs,
        })?;
        Ok(placed.is_some())
    }
}

fn outcomes(deployment: &Deployment, anew: bool, published: &mut Published) -> Result<()> {
    // Numbers of outcomes mean something in one registry only; the beginning of its audit is like no other's.
    let Some(first) = deployment.registry.audit(0, 1)?.into_iter().next() else { return Ok(()) };
    let (feed, pseudonyms) = (format!("registry {}", first.hash), deployment.pseudonyms()?);
    let mut begin = anew.then_some(0);
    loop {
        let mut publication = deployment.lake.publish_outcomes(&feed)?;
        let after = begin.take().or(publication.after()).unwrap_or(0);
        let found = deployment.registry.outcomes(after.unsigned_abs(), OUTCOMES)?;
        let Some(last) = found.last() else { return Ok(()) };
        for outcome in &found {
            push(&mut publication, outcome, &pseudonyms.reviewer(&outcome.actor));
        }
        let brought = publication.commit(last.id.cast_signed())?;
        published.outcomes += brought.rows;
        published.corrected += brought.corrected;
    }
}

fn push(publication: &mut lake::OutcomePublication, outcome: &ConfirmedOutcome, reviewer: &str) {
    publication.push(&OutcomeRow {
        outcome_id: outcome.id,
        prediction_id: &outcome.prediction_id,
        severity: &outcome.severity,
        rarity: outcome.rarity.as_deref(),
        disease_code: outcome.disease_code.as_deref(),
        confirmed_at: micros(outcome.confirmed_at),
        recorded_at: micros(outcome.recorded_at),
        source: &outcome.source,
        reviewer,
    });
}

/// A clock that was set back is forgiven this much: answers are logged in the order in which they become durable.
const SLACK: time::Duration = time::Duration::HOUR;

/// The newest logged answers of all servers, at most so many, oldest first. Costs what they are, however long the log is.
pub(super) fn newest_answers(log: &PredictionReader, most: usize) -> Result<Vec<Uuid>> {
    Ok(log.newest(most, Record::time_of, SLACK)?)
}

/// The logged answers from about `from` until about `to` (none: until now), log by log; earlier and later ones may be among them. Costs what
/// the stretch holds, however long the log is.
pub(super) fn answers_between(
    log: &PredictionReader,
    from: OffsetDateTime,
    to: Option<OffsetDateTime>,
) -> Result<predictions::Scan> {
    Ok(log.scan_between(Record::time_of, from, to, SLACK)?)
}

/// Microseconds since 1970-01-01T00:00:00Z.
fn micros(at: OffsetDateTime) -> i64 {
    (at.unix_timestamp_nanos() / 1000) as i64
}
