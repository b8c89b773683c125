//! Review: what a named person found -> a confirmed case, or none.

use anyhow::{Result, bail};
use clinical::{Rarity, Raw, Study};
use registry::{Outcome, Resolution, Review, ReviewState};
use serde::Serialize;

use super::collect::{self, Collected};
use super::promote::act_as;
use crate::deployment::Deployment;

/// A resolved review with what became of its case.
#[derive(Debug, Serialize)]
pub struct Resolved {
    #[serde(flatten)]
    pub review: Review,
    /// None while the review waits for another reviewer, and of one that was dismissed.
    pub collected: Option<Collected>,
}

/// The outcome that some codes name.
pub fn outcome(
    study: &Study,
    severity: &str,
    rarity: Option<&str>,
    disease_code: Option<&str>,
) -> Result<Outcome> {
    let found = study.check_outcome(
        Raw::Text(severity),
        rarity.map_or(Raw::Missing, Raw::Text),
        disease_code.map_or(Raw::Missing, Raw::Text),
    );
    match found {
        Ok(Some(found)) => Ok(Outcome::Case {
            severity: study.severity(found.severity).code.clone(),
            rarity: found.rarity.map(|rarity| rarity.code().to_owned()),
            disease_code: found.disease_code,
        }),
        Ok(None) => bail!("a confirmed case has a severity"),
        Err(issues) => {
            let said: Vec<String> =
                issues.iter().map(|issue| issue.message(study, clinical::Language::En)).collect();
            bail!("{}", said.join("; "))
        }
    }
}

/// Reviewers who must find the same before this is confirmed.
pub fn confirmations(deployment: &Deployment, resolution: &Resolution) -> usize {
    match &resolution.outcome {
        Outcome::Case { rarity, .. } if rarity.as_deref() == Some(Rarity::Orphan.code()) => {
            deployment.config.review.confirmations
        }
        _ => 1,
    }
}

/// Takes a reviewer's finding and brings a case that is confirmed by it into the data.
pub fn resolve(
    deployment: &Deployment,
    review: u64,
    resolution: &Resolution,
    actor: &str,
) -> Result<Resolved> {
    let needed = confirmations(deployment, resolution);
    let resolved = act_as(deployment, actor, "review", |act| {
        Ok(deployment.registry.resolve_review(review, resolution, needed, act)?)
    })?;
    let is_case = matches!(resolution.outcome, Outcome::Case { .. });
    let collected = match resolved.state {
        ReviewState::Resolved if is_case => Some(collect::collect(deployment)?),
        _ => None,
    };
    Ok(Resolved { review: deployment.registry.review(review)?, collected })
}
