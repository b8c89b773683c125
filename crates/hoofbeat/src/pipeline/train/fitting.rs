//! A cross-fit: its recipe, its synthetic cases, its processes and its progress.

use anyhow::{Result, bail};
use clinical::Study;
use clinical::study::{Learner, Resampling};
use learn::abstain::Coverage;
use learn::alarm::Rule;
use learn::augment::Augmented;
use learn::crossfit::{self, Fitted, Recipe};
use learn::fewshot::{Episodes, FewShotPlan, NoveltyBudget};
use learn::gan::{judge, trials};
use learn::learner::{Distributed, Progress, Trainer};
use learn::prior::Prior;

use super::Order;
use super::prepared::Prepared;
use crate::deployment::Deployment;
use crate::pipeline::imbalance;

/// How a study wants an order carried out.
pub(super) fn recipe(study: &Study, order: &Order) -> Recipe {
    Recipe {
        parameters: order.parameters.clone(),
        few_shot: few_shot(study),
        coverage: Coverage { share: study.abstention.coverage, confidence: study.abstention.confidence },
        watched: order.watched.clone(),
        seed: order.seed,
        alarm: Rule::Promise {
            recall: study.alarm.recall,
            confidence: study.alarm.confidence,
            aim: study.alarm.aim,
        },
    }
}

/// The few-shot half's plan.
pub fn few_shot(study: &Study) -> FewShotPlan {
    let plan = &study.few_shot;
    let episodes = Episodes {
        ways: plan.ways,
        shots: plan.shots,
        queries: plan.queries,
        episodes: plan.episodes,
        learning_rate: plan.learning_rate,
        seed: 0,
    };
    FewShotPlan {
        episodes: (plan.episodes > 0).then_some(episodes),
        budget: NoveltyBudget { each: plan.false_alarms_each, total: plan.false_alarms, alerts: None },
        prior: Prior::of(study.orphan.prior),
    }
}

/// Each member's synthetic cases, with the progress of making them; none where none are asked for.
pub(super) fn resampled(
    deployment: &Deployment,
    study: &Study,
    prepared: &Prepared,
    method: Resampling,
    seed: u64,
) -> Result<Option<imbalance::Resampled>> {
    let steps = imbalance::steps(study, method);
    let task = (steps > 0).then(|| deployment.progress.task("making synthetic cases", Some(steps)));
    let mut progress = |done| {
        if let Some(task) = &task {
            task.at(done);
        }
    };
    let Prepared { counted, groups, preprocessor, .. } = prepared;
    imbalance::resample(study, method, &counted.cohort, groups, preprocessor, seed, &mut progress)
}

/// What a cross-fit is made of.
#[derive(Debug)]
pub(super) struct Fitting<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) study: &'a Study,
    pub(super) prepared: &'a Prepared,
    pub(super) recipe: &'a Recipe,
    pub(super) resampling: Resampling,
    pub(super) trainer: &'a Trainer,
}

impl Fitting<'_> {
    /// Fits with the synthetic cases that are asked for. Those of the generative network have to prove themselves
    /// against a fit without them.
    pub(super) fn balanced(&self) -> Result<(Fitted, Option<imbalance::Record>)> {
        let (study, prepared, seed) = (self.study, self.prepared, self.recipe.seed);
        let resampled = resampled(self.deployment, study, prepared, self.resampling, seed)?;
        let Some(imbalance::Resampled { members, mut record }) = resampled else {
            return Ok((self.follow(&[])?, None));
        };
        let fitted = self.follow(&members)?;
        record.inflation = fitted.inflation;
        if record.method != Resampling::Gan {
            return Ok((fitted, Some(record)));
        }
        let plain = self.follow(&[])?;
        let precision = |fitted: &Fitted| fitted.unseen_precision(&prepared.training);
        let verdict = judge(trials(&precision(&plain), &precision(&fitted)));
        record.used = verdict.allowed;
        record.guard = Some(verdict);
        Ok((if record.used { fitted } else { plain }, Some(record)))
    }

    /// Fits with the progress of all folds shown as one.
    fn follow(&self, augmented: &[Augmented]) -> Result<Fitted> {
        let mut progress = self.progress();
        Ok(crossfit::fit_augmented(
            &self.prepared.training,
            augmented,
            self.recipe,
            self.trainer,
            &mut progress,
        )?)
    }

    /// Shows how far all folds together have come.
    pub(super) fn progress(&self) -> impl FnMut(Progress) + use<> {
        let folds = self.prepared.training.folds.len();
        let total = (folds * self.recipe.parameters.rounds()) as u64;
        let task = self.deployment.progress.task("training", Some(total));
        let mut done = vec![0; folds];
        move |progress: Progress| {
            if let Some(fold) = done.get_mut(progress.job) {
                // A fold that stopped early is done with all its rounds.
                *fold = if progress.done { progress.rounds } else { progress.round };
            }
            task.at(done.iter().sum::<usize>() as u64);
            if let Some(loss) = progress.held_out_loss {
                task.note(&format!("(loss {loss:.4})"));
            }
        }
    }
}

/// How several processes share the rows of one model, where they do: asked for, or configured for
/// studies without a table.
pub(super) fn distributed(
    deployment: &Deployment,
    tabulated: bool,
    learner: Learner,
    workers: Option<usize>,
) -> Result<Option<Distributed>> {
    if workers.is_some_and(|workers| workers > 1) && learner != Learner::Xgboost {
        bail!(
            "only xgboost trains one model in several processes: leave out --workers, or choose --learner xgboost"
        );
    }
    let plan = &deployment.config.distributed;
    let workers = workers.unwrap_or(if tabulated { 1 } else { plan.workers });
    let plan = Distributed { workers, host: plan.host.clone(), launch: plan.launch.clone() };
    Ok((workers > 1).then_some(plan))
}
