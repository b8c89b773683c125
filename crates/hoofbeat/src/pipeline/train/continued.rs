//! Going on from a model: its members learn further, with the new cases and the old ones beside.

use anyhow::{Context, Result, bail};
use clinical::Study;
use clinical::study::{Parameters, Resampling};
use learn::bundle::{Bundle, files};
use learn::combine::Combination;
use learn::crossfit::{self, Continuation, Fitted};
use learn::model;
use prepare::Preprocessor;
use registry::ModelVersion;

use super::fitting::Fitting;
use super::{Continued, Order};
use crate::deployment::Deployment;
use crate::pipeline::cohort;

/// What every refusal ends with.
const REMEDY: &str = "`hoofbeat retrain --mode full` trains anew";

/// A model to go on from.
#[derive(Debug)]
pub(super) struct Parent<'a> {
    from: &'a Continued,
    bundle: Bundle,
}

impl<'a> Parent<'a> {
    pub(super) fn open(deployment: &Deployment, from: &'a Continued) -> Result<Parent<'a>> {
        let model = deployment.registry.model(from.parent)?;
        Ok(Parent { from, bundle: deployment.bundle(&model)? })
    }

    pub(super) fn preprocessor(&self) -> Result<Preprocessor> {
        Ok(self.bundle.json(files::PREPROCESSOR)?)
    }

    /// Trains each member further on the prepared cases.
    pub(super) fn go_on(&self, fitting: &Fitting<'_>) -> Result<Fitted> {
        let Fitting { deployment, study, prepared, recipe, trainer, .. } = *fitting;
        let combination: Combination = self.bundle.json(files::CALIBRATION)?;
        if combination.classes != prepared.training.classes {
            bail!("the cases have an outcome that {} has no class for: {REMEDY}", self.from.parent);
        }
        let members = model::members(&self.bundle)?;
        let known = if self.from.replay < 1.0 {
            let (earlier, ..) = cohort::tally(deployment, study, self.from.known)?;
            prepared.known(study, &earlier)
        } else {
            prepared.training.folds.clone()
        };
        let continuation = Continuation { members: &members, known: &known, replay: self.from.replay };
        let mut progress = fitting.progress();
        crossfit::fit_continued(&prepared.training, &continuation, recipe, trainer, &mut progress)
            .with_context(|| format!("{} cannot be trained further; {REMEDY}", self.from.parent))
    }
}

/// How to go on from a model under the study's plan. `made`: what its members were made by; `parameters`: the settings
/// that they began with, so that steps do not get smaller with every continuation.
///
/// # Errors
/// When the study asks other things than the model's own, or the model was trained with synthetic cases.
pub(in crate::pipeline) fn order(
    study: &Study,
    own: &Study,
    parent: ModelVersion,
    made: &Order,
    parameters: &Parameters,
    watched: Vec<String>,
    dataset_version: u64,
) -> Result<Order> {
    let same = study.inputs() == own.inputs()
        && study.features() == own.features()
        && study.split == own.split
        && study.training.folds == own.training.folds;
    if !same {
        bail!("{parent} was made under a study with other features, sets or folds: {REMEDY}");
    }
    if made.resampling != Resampling::None {
        bail!(
            "{parent} was trained with synthetic cases, which a continued training does not make: {REMEDY}"
        );
    }
    let plan = &study.cycle.incremental;
    Ok(Order {
        dataset_version,
        seed: made.seed,
        parameters: plan.of(parameters),
        resampling: Resampling::None,
        watched,
        continued: Some(Continued { parent, known: made.dataset_version, replay: plan.replay }),
    })
}
