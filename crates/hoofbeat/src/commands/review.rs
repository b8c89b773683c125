//! `hoofbeat review`: the queue, and what reviewers find.

use anyhow::{Context, Result, bail};
use lake::predictions::PredictionReader;
use registry::{Choice, Feedback, Outcome, Resolution, Review as Entry, ReviewState};
use serde_json::json;
use serve::Record;
use uuid::Uuid;

use crate::cli::{self, Global, Review};
use crate::deployment::{self, Deployment};
use crate::output::{self, Done, table};
use crate::pipeline::{review, suggest};

/// Longest name of a reviewer, in characters.
const NAME_CHARS: usize = 80;

pub(super) fn run(global: &Global, command: Review) -> Result<Done> {
    let deployment = Deployment::open(global)?;
    match command {
        Review::List { state, limit } => list(global, &deployment, state, limit),
        Review::Show { review } => show(global, &deployment, review),
        Review::Suggest { number, seed } => suggest(global, &deployment, number, seed),
        Review::Resolve { review, severity, rarity, disease, reviewer, comment } => {
            let outcome =
                review::outcome(&deployment.study, &severity, rarity.as_deref(), disease.as_deref())?;
            resolve(global, &deployment, review, Resolution { outcome, comment }, &reviewer)
        }
        Review::Dismiss { review, reviewer, comment } => {
            let resolution = Resolution { outcome: Outcome::Dismissed, comment };
            resolve(global, &deployment, review, resolution, &reviewer)
        }
    }
}

fn list(
    global: &Global,
    deployment: &Deployment,
    state: Option<cli::ReviewState>,
    limit: u32,
) -> Result<Done> {
    let state = state.map(|state| match state {
        cli::ReviewState::Open => ReviewState::Open,
        cli::ReviewState::Resolved => ReviewState::Resolved,
    });
    let reviews = deployment.registry.reviews(state, 0, limit)?;
    output::print(global.json, &reviews, || {
        if reviews.is_empty() {
            return "no review waits".to_owned();
        }
        let head = ["review", "state", "reason", "marks", "opened", "prediction"].map(str::to_owned);
        let rows = reviews.iter().map(|review| {
            vec![
                review.id.to_string(),
                state_text(review).to_owned(),
                reason(review),
                marks(review),
                review.opened_at.date().to_string(),
                review.prediction_id.clone(),
            ]
        });
        table(&std::iter::once(head.to_vec()).chain(rows).collect::<Vec<_>>())
    })?;
    Ok(Done::Well)
}

fn show(global: &Global, deployment: &Deployment, id: u64) -> Result<Done> {
    let review = deployment.registry.review(id)?;
    let feedback = deployment.registry.feedback(&review.prediction_id)?;
    let log = PredictionReader::open(&deployment.data_dir.join("predictions"));
    let stored = Uuid::try_parse(&review.prediction_id).ok().map(|id| log.get(id)).transpose()?.flatten();
    let record = stored.as_deref().map(Record::from_bytes).transpose();
    let record = record.context("the logged prediction cannot be read")?;
    let value = json!({ "review": review, "feedback": feedback, "record": record });
    output::print(global.json, &value, || {
        let mut text = format!(
            "review {}, {}: {}\nprediction {}, opened {}\n",
            review.id,
            state_text(&review),
            reason(&review),
            review.prediction_id,
            review.opened_at
        );
        let marks = marks(&review);
        if !marks.is_empty() {
            text += &format!("beware: {marks}\n");
        }
        if let Some(record) = &record {
            text += &answered(deployment, record);
        }
        text += &feedback.iter().map(opinion).collect::<String>();
        for finding in &review.findings {
            text += &format!("found by {}: {}\n", finding.reviewer, found(&finding.resolution));
        }
        match (&review.dataset_version, &review.left_out) {
            (Some(version), _) => text += &format!("its case is in dataset version {version}\n"),
            (_, Some(because)) => text += &format!("its case is in no dataset version: {because}\n"),
            _ => {}
        }
        text
    })?;
    Ok(Done::Well)
}

/// What was asked and answered; none of it where the study has changed since.
fn answered(deployment: &Deployment, record: &Record<'_>) -> String {
    let study = &deployment.study;
    if !record.fits(study) {
        return "answered under another study\n".to_owned();
    }
    let language = clinical::Language::En;
    let values = study.features().iter().map(|feature| {
        format!(
            "{} {}",
            feature.label.get(language).to_lowercase(),
            study.value_text(feature, &record.values, language)
        )
    });
    let prediction = &record.prediction;
    let shown = prediction.probabilities.get(prediction.severity.index()).copied().unwrap_or_default();
    format!(
        "patient: {}\nanswered by {}: {} {:.3}, p(orphan) {:.4}{}\n",
        values.collect::<Vec<_>>().join(", "),
        record.model.version,
        study.severity(prediction.severity).code,
        shown,
        prediction.probability_orphan,
        if prediction.rarity == Some(clinical::Rarity::Orphan) { ", alarmed" } else { "" }
    )
}

fn suggest(global: &Global, deployment: &Deployment, number: usize, seed: Option<u64>) -> Result<Done> {
    let seed = seed.unwrap_or_else(|| deployment.now().unix_timestamp_nanos() as u64);
    let opened = suggest::suggest(deployment, number, seed, &deployment::actor())?;
    output::print(global.json, &opened, || {
        format!(
            "{} served patients without an outcome: {} reviews of unanswered alarms, {} of patients whose outcome would \
             teach most, {} of them drawn at random",
            opened.candidates, opened.suspicions, opened.informative, opened.random
        )
    })?;
    Ok(Done::Well)
}

fn resolve(
    global: &Global,
    deployment: &Deployment,
    id: u64,
    resolution: Resolution,
    reviewer: &str,
) -> Result<Done> {
    let reviewer = reviewer.trim();
    if !(1..=NAME_CHARS).contains(&reviewer.chars().count()) || reviewer.chars().any(char::is_control) {
        bail!("--reviewer takes a name of 1 to {NAME_CHARS} characters");
    }
    let resolved = review::resolve(deployment, id, &resolution, &format!("cli:{reviewer}"))?;
    output::print(global.json, &resolved, || match (&resolved.review.state, &resolved.collected) {
        (ReviewState::Open, _) => {
            format!("review {id} has the finding of {reviewer} and waits for another reviewer's")
        }
        (_, None) => format!("review {id} is dismissed"),
        (_, Some(_)) => match (resolved.review.dataset_version, &resolved.review.left_out) {
            (Some(version), _) => {
                format!("review {id} is resolved; its case is in dataset version {version}")
            }
            (_, Some(because)) => {
                format!("review {id} is resolved; its case is in no dataset version: {because}")
            }
            _ => format!("review {id} is resolved; its case enters the data when the ingest under way ends"),
        },
    })?;
    Ok(Done::Well)
}

fn state_text(review: &Entry) -> &'static str {
    match (review.state, review.findings.is_empty(), review.disagreement) {
        (ReviewState::Resolved, ..) => "resolved",
        (ReviewState::Open, true, _) => "open",
        (ReviewState::Open, false, true) => "disagreement",
        (ReviewState::Open, false, false) => "one finding",
    }
}

fn reason(review: &Entry) -> String {
    match (&review.why, review.reason.as_str()) {
        (Some(Choice::Suspicion { probability_orphan: p }), _) => {
            format!("alarm without outcome, p(orphan) {p:.3}")
        }
        (Some(Choice::Watched { short_of_alarm }), _) => {
            format!("just short of a watched orphan disease's alarm, by {short_of_alarm:.2}")
        }
        (Some(Choice::Rarity { probability_orphan: p }), _) => {
            format!("among the highest p(orphan) without alarm, {p:.3}")
        }
        (Some(Choice::Uncertainty { entropy }), _) => {
            format!("among the least certain severities, {entropy:.2} bits")
        }
        (Some(Choice::Novelty { distance }), _) => {
            format!("unlike all that is known, distance {distance:.2}")
        }
        (Some(Choice::Random), _) => "drawn at random, the unbiased sample".to_owned(),
        (None, "reported_wrong") => "reported as wrong".to_owned(),
        (None, "reported_confirmed") => "reported as right".to_owned(),
        (None, other) => other.to_owned(),
    }
}

fn marks(review: &Entry) -> String {
    let marks = review.marks;
    let flood = marks.flood.map(|n| format!("one of {n} reports within a day"));
    let said = [
        marks.contradicted.then(|| "contradicted".to_owned()),
        marks.repeated.then(|| "repeated".to_owned()),
        flood,
    ];
    said.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn opinion(feedback: &Feedback) -> String {
    let codes = [&feedback.severity, &feedback.rarity, &feedback.disease_code];
    let said: Vec<&str> = codes.into_iter().flatten().map(String::as_str).collect();
    let comment = feedback.comment.as_ref().map(|comment| format!(" ({comment})")).unwrap_or_default();
    let verdict = match feedback.verdict {
        registry::Verdict::Confirmed => "right",
        registry::Verdict::Wrong => "wrong",
    };
    format!("said by {}: {verdict} {}{comment}\n", feedback.actor, said.join(" "))
}

fn found(resolution: &Resolution) -> String {
    let comment = resolution.comment.as_ref().map(|comment| format!(" ({comment})")).unwrap_or_default();
    match &resolution.outcome {
        Outcome::Dismissed => format!("nothing to confirm{comment}"),
        Outcome::Case { severity, rarity, disease_code } => {
            let codes = [rarity, disease_code].into_iter().flatten().map(String::as_str);
            format!("{severity} {}{comment}", codes.collect::<Vec<_>>().join(" "))
        }
    }
}
