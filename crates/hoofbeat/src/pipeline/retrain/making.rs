//! The modes: how a challenger is made from the champion and what it lacks.

use anyhow::Result;
use clinical::Study;
use clinical::study::Parameters;
use lake::DatasetVersion;
use learn::bundle::Bundle;
use learn::revision::Edition;
use prepare::Cohort;
use registry::Model;
use serde::Serialize;
use serde_json::json;

use super::searching::Searching;
use crate::deployment::Deployment;
use crate::pipeline::asked::Asked;
use crate::pipeline::cohort;
use crate::pipeline::orphan::{self, Challenger};
use crate::pipeline::search::Found;
use crate::pipeline::train::{self, Identity, Made, Order};

/// What is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The champion's members learn further.
    Incremental,
    /// Everything.
    Full,
    /// Prototypes, profiles and the table, by confirmed orphan cases.
    Orphan,
}

impl Mode {
    pub const ALL: [Mode; 3] = [Mode::Incremental, Mode::Full, Mode::Orphan];

    /// Name of the mode in runs, lineages, jobs and results.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Incremental => "incremental",
            Mode::Full => "full",
            Mode::Orphan => "orphan",
        }
    }

    pub fn of_name(name: &str) -> Option<Mode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// The cases that a turn is about.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Cases {
    Orphans(orphan::Tally),
    All(Batch),
}

/// Confirmed cases that came after those that the champion's members were trained on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Batch {
    pub added: u64,
    /// Those of them that reviews confirmed.
    pub of_reviews: u64,
}

/// What a turn will make, decided before anything is computed that takes long.
pub(super) enum Plan<'a> {
    Revision(Box<Challenger<'a>>, u64),
    Training { order: Box<Order>, search: Option<Asked>, since: u64, batch: Batch, needed: bool },
}

/// A challenger that is made but for its identity.
pub(super) enum Making<'a> {
    Revision(Box<Challenger<'a>>),
    Training(Box<Made>, Option<Box<Found>>),
}

impl<'a> Plan<'a> {
    pub(super) fn of(
        deployment: &Deployment,
        (mode, searching): (Mode, Searching),
        champion: &Model,
        bundle: &'a Bundle,
        newest: &DatasetVersion,
    ) -> Result<Plan<'a>> {
        if mode == Mode::Orphan {
            let challenger = Challenger::of(bundle, &deployment.lake, newest)?;
            return Ok(Plan::Revision(Box::new(challenger), champion.dataset_version));
        }
        let study = deployment.study.as_ref();
        let made = train::order_of(bundle)?;
        let since = made.dataset_version;
        let batch = batch(&deployment.lake.version(since)?, newest);
        let watched = train::watched(bundle)?;
        let same_study = champion.study_hash == study.digest();
        let (trials, learner) = (searching.trials(study), searching.learner(study));
        let search = (mode == Mode::Full && trials > 0).then_some(Asked {
            dataset_version: newest.version,
            learner,
            trials,
            seed: made.seed,
            workers: None,
        });
        let order = match mode {
            Mode::Full => {
                let first = same_study.then(|| first_parameters(deployment, &made)).transpose()?;
                let own = first.filter(|first| learner.is_none_or(|learner| learner == first.learner()));
                Order {
                    dataset_version: newest.version,
                    seed: made.seed,
                    resampling: if own.is_some() { made.resampling } else { study.imbalance.method },
                    parameters: own
                        .unwrap_or_else(|| study.parameters(learner.unwrap_or(study.training.learner))),
                    watched,
                    continued: None,
                }
            }
            _ => {
                let own = learn::Model::of(bundle)?.study().clone();
                let parameters = first_parameters(deployment, &made)?;
                let version = newest.version;
                train::continue_from(study, &own, champion.version, &made, &parameters, watched, version)?
            }
        };
        let needed = batch.added > 0 || (mode == Mode::Full && !same_study);
        Ok(Plan::Training { order: Box::new(order), search, since, batch, needed })
    }

    /// The dataset version whose cases the champion knows.
    pub(super) fn since(&self) -> u64 {
        match self {
            Plan::Revision(_, since) => *since,
            Plan::Training { since, .. } => *since,
        }
    }

    pub(super) fn cases(&self) -> Cases {
        match self {
            Plan::Revision(challenger, _) => Cases::Orphans(challenger.tally.clone()),
            Plan::Training { batch, .. } => Cases::All(batch.clone()),
        }
    }

    /// Whether there is nothing to learn.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Plan::Revision(challenger, _) => challenger.tally.added == 0,
            Plan::Training { needed, .. } => !needed,
        }
    }

    pub(super) fn study<'s>(&'s self, deployment: &'s Deployment) -> &'s Study {
        match self {
            Plan::Revision(challenger, _) => challenger.study(),
            Plan::Training { .. } => &deployment.study,
        }
    }

    /// The search that it begins with, where it does.
    pub(super) fn search(&self) -> Option<Asked> {
        match self {
            Plan::Revision(..) => None,
            Plan::Training { search, .. } => *search,
        }
    }

    /// Does what takes long. `run` keeps the trials of a search; none of a dry run.
    pub(super) fn make(self, deployment: &Deployment, run: Option<&str>) -> Result<Making<'a>> {
        Ok(match self {
            Plan::Revision(challenger, _) => Making::Revision(challenger),
            Plan::Training { search: Some(asked), .. } => {
                let (made, found) = train::make_asked(deployment, asked, run)?;
                Making::Training(Box::new(made), found.map(Box::new))
            }
            Plan::Training { order, .. } => {
                Making::Training(Box::new(train::make(deployment, &deployment.study, &order)?), None)
            }
        })
    }
}

impl Making<'_> {
    pub(super) fn study<'s>(&'s self, deployment: &'s Deployment) -> &'s Study {
        match self {
            Making::Revision(challenger) => challenger.study(),
            Making::Training(..) => &deployment.study,
        }
    }

    /// The counted cases of the newest dataset version, where they were counted on the way.
    pub(super) fn cohort(&self) -> Option<&Cohort> {
        match self {
            Making::Revision(_) => None,
            Making::Training(made, _) => Some(made.cohort()),
        }
    }

    /// What was searched, and what won.
    pub(super) fn found(&self) -> Option<&Found> {
        match self {
            Making::Revision(_) => None,
            Making::Training(_, found) => found.as_deref(),
        }
    }

    /// The challenger's bundle, in no folder yet.
    pub(super) fn finish(
        self,
        deployment: &Deployment,
        champion: &Model,
        dataset_version: u64,
        cohort: &Cohort,
        identity: &Identity,
    ) -> Result<Bundle> {
        match self {
            Making::Revision(challenger) => {
                let edition = edition(champion, &challenger.tally, dataset_version, identity);
                challenger.finish(edition, cohort, deployment.config.threads())
            }
            Making::Training(made, _) => train::bundle(&deployment.study, &made, identity),
        }
    }
}

/// Makes a revision again from the champion that it followed and the dataset version that it was made from.
pub fn revise(
    deployment: &Deployment,
    champion: &Model,
    dataset_version: u64,
    identity: &Identity,
) -> Result<(Bundle, Cohort)> {
    let bundle = deployment.bundle(champion)?;
    let newest = deployment.lake.version(dataset_version)?;
    let challenger = Challenger::of(&bundle, &deployment.lake, &newest)?;
    let threads = deployment.config.threads();
    let (cohort, ..) = cohort::tally(deployment, challenger.study(), dataset_version)?;
    let edition = edition(champion, &challenger.tally, dataset_version, identity);
    Ok((challenger.finish(edition, &cohort, threads)?, cohort))
}

/// What a champion's revision says of itself.
fn edition(champion: &Model, tally: &orphan::Tally, dataset_version: u64, identity: &Identity) -> Edition {
    let Identity { version, created_at, run } = identity;
    let (parent, since) = (champion.version.to_string(), champion.dataset_version);
    let mode = Mode::Orphan.name();
    let lineage = [
        ("run", run.clone()),
        ("mode", mode.to_owned()),
        ("parent", parent.clone()),
        ("cases_added", tally.added.to_string()),
        ("cases_since_dataset_version", since.to_string()),
    ];
    Edition {
        version: version.clone(),
        created_at: created_at.clone(),
        dataset_version,
        lineage: lineage.map(|(name, value)| (name.to_owned(), value)).into(),
        record: json!({
            "mode": mode, "run": run, "parent": parent, "since_dataset_version": since,
            "dataset_version": dataset_version, "cases": tally,
        }),
    }
}

/// The settings that the training began with from which others went on.
fn first_parameters(deployment: &Deployment, made: &Order) -> Result<Parameters> {
    let mut order = made.clone();
    while let Some(from) = &order.continued {
        let parent = deployment.registry.model(from.parent)?;
        order = train::order_of(&deployment.bundle(&parent)?)?;
    }
    Ok(order.parameters)
}

/// The confirmed cases that one dataset version has and the earlier one has not.
fn batch(earlier: &DatasetVersion, newest: &DatasetVersion) -> Batch {
    let confirmed = |version: &DatasetVersion| {
        let outcomes = version.totals.outcomes.iter().filter(|count| count.outcome.severity.is_some());
        outcomes.map(|count| count.rows).sum::<u64>()
    };
    let reviews = |version: &DatasetVersion| {
        version.totals.sources.get(crate::pipeline::collect::SOURCE).copied().unwrap_or_default()
    };
    Batch {
        added: confirmed(newest).saturating_sub(confirmed(earlier)),
        of_reviews: reviews(newest).saturating_sub(reviews(earlier)),
    }
}
