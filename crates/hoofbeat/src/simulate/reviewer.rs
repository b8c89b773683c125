//! Reviewer: somebody who is always right and has not time for everything.

use std::collections::HashMap;

use anyhow::{Context, Result};
use clap::ValueEnum;
use registry::{Resolution, ReviewState};
use serde::Serialize;

use super::world::Truth;
use crate::deployment::Deployment;
use crate::pipeline::promote::act_as;
use crate::pipeline::{collect, review, suggest};

/// Who resolves reviews.
const REVIEWER: &str = "cli:reviewer";

/// Who is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Choosing {
    /// Patients drawn at random
    Random,
    /// Alarms that nobody has answered, then those whose outcome would teach most
    Active,
}

/// What reviewing has brought.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Reviewed {
    pub reviews: u64,
    /// Of reports that a user made.
    pub reports: u64,
    /// Of them those that were marked as one of a flood.
    pub floods: u64,
    /// The number of the review, since the new disease is there, at which each of its patients was found.
    pub found_new: Vec<u64>,
    /// Reviews since the new disease is there.
    pub since_new: u64,
}

/// Asks for `number` suggestions, then resolves as many reviews in the order of the queue; cases go into the data. `seed`
/// decides the random part of the suggestions.
pub(super) fn sit(
    deployment: &Deployment,
    truths: &HashMap<String, Truth>,
    number: u32,
    seed: u64,
    has_new: bool,
    reviewed: &mut Reviewed,
) -> Result<()> {
    suggest::suggest(deployment, number as usize, seed, REVIEWER)?;
    for open in deployment.registry.reviews(Some(ReviewState::Open), 0, number)? {
        let truth = truths.get(&open.prediction_id).context("a review is about nobody who was answered")?;
        let rarity = Some(truth.rarity_code()).filter(|code| !code.is_empty());
        let outcome =
            review::outcome(&deployment.study, truth.severity_code(), rarity, truth.code.as_deref())?;
        let resolution = Resolution { outcome, comment: None };
        let needed = review::confirmations(deployment, &resolution);
        act_as(deployment, REVIEWER, "review", |act| {
            Ok(deployment.registry.resolve_review(open.id, &resolution, needed, act)?)
        })?;
        reviewed.reviews += 1;
        reviewed.reports += u64::from(open.feedback.is_some());
        reviewed.floods += u64::from(open.marks.flood.is_some());
        reviewed.since_new += u64::from(has_new);
        if truth.is_new {
            reviewed.found_new.push(reviewed.since_new);
        }
    }
    collect::collect(deployment)?;
    Ok(())
}
