//! XGBoost: rounds on the exact softmax gradients of counts, or by its own objective on labels.

use clinical::study::{Learner, Xgboost};

use super::cases::{Cases, log_loss, log_shares, totals, weighted};
use super::distributed::Shard;
use super::job::{Fit, Job, Target};
use super::stopping::Stopping;
use crate::ffi::{Booster, Collective, Features, XgBoost};
use crate::predict::Estimator;
use crate::probability::softmax_into;
use crate::{Matrix, Result};

/// The library computes in single precision; a vanishing Hessian would divide by zero.
const SMALLEST_HESSIAN: f64 = 1e-16;

/// The library, and the processes that the rows are divided among.
pub(super) struct Company<'a> {
    pub(super) library: &'a XgBoost,
    /// None when this process has all the rows.
    pub(super) collective: Option<&'a Collective>,
}

impl Company<'_> {
    /// The sums over all processes.
    fn sum(&self, numbers: &mut [f64]) -> Result<()> {
        self.collective.map_or(Ok(()), |collective| collective.sum(numbers))
    }
}

/// Fits one model; `progress` gets the rounds done and the latest held-out loss. Where the rows are
/// divided every process calls this with its part and gets the same model, and the margins of its own
/// rows.
///
/// # Errors
/// When the library fails, or another process is lost.
pub(super) fn fit(
    company: &Company<'_>,
    settings: &Xgboost,
    shard: &Shard,
    mut progress: impl FnMut(usize, Option<f64>) -> Result<()>,
) -> Result<Fit> {
    let (library, job) = (company.library, &shard.job);
    let (booster, before, stopping) = match &job.target {
        Target::Counts { train, held_out } => {
            let seen = Subset::new(library, shard, train)?;
            let held_out = held_out.as_ref().map(|counts| Subset::new(library, shard, counts)).transpose()?;
            fit_counts(company, settings, job, &seen, held_out.as_ref(), &mut progress)?
        }
        Target::Labels { labels, weights, .. } => {
            let features = labelled(library, job, labels, weights)?;
            let (mut booster, before) = start(library, &[&features], settings, job, None)?;
            for round in 0..settings.rounds {
                booster.update(before + round, &features)?;
                progress(round + 1, None)?;
            }
            (booster, before, Stopping::default())
        }
    };
    let rounds = before + stopping.best().unwrap_or(settings.rounds);
    let booster = if rounds < booster.rounds()? { booster.first(rounds)? } else { booster };
    let model = booster.save()?;
    let scored = job.score.as_ref().unwrap_or(&job.x);
    let margins = match company.collective {
        // The library would have all processes score, and in step.
        Some(_) => Estimator::read(Learner::Xgboost, "model", &model)?.score(scored)?,
        None => booster.margins(&Features::new(library, scored, job.threads)?, job.classes())?,
    };
    let engine = format!("{} {}", job.parameters.learner().name(), library.version());
    Ok(Fit { model, engine, rounds, margins, held_out_loss: stopping.into_losses() })
}

fn labelled(library: &XgBoost, job: &Job, labels: &[u32], weights: &[f32]) -> Result<Features> {
    let mut features = Features::new(library, &job.x, job.threads)?;
    let of_class = job.weights();
    let factor = |&label: &u32| of_class.get(label as usize).map_or(1.0, |weight| *weight as f32);
    let weights: Vec<f32> =
        weights.iter().zip(labels).map(|(weight, label)| weight * factor(label)).collect();
    let labels: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
    features.set(c"label", &labels)?;
    features.set(c"weight", &weights)?;
    Ok(features)
}

fn fit_counts(
    company: &Company<'_>,
    settings: &Xgboost,
    job: &Job,
    seen: &Subset,
    held_out: Option<&Subset>,
    progress: &mut impl FnMut(usize, Option<f64>) -> Result<()>,
) -> Result<(Booster, usize, Stopping)> {
    let (classes, of_class) = (job.classes(), job.weights());
    let mut cached = vec![&seen.features];
    cached.extend(held_out.map(|subset| &subset.features));
    let mut totals = totals(&seen.weighted);
    company.sum(&mut totals)?;
    let (mut booster, before) = start(company.library, &cached, settings, job, Some(&log_shares(&totals)))?;
    let loss = |booster: &Booster, held_out: &Subset| -> Result<f64> {
        let mut sums = log_loss(&booster.margins(&held_out.features, classes)?, &held_out.weighted);
        company.sum(&mut sums)?;
        Ok(sums[0] / sums[1])
    };
    let at_start = match held_out {
        Some(held_out) if before > 0 => Some(loss(&booster, held_out)?),
        _ => None,
    };
    let mut stopping = Stopping::new(settings.early_stopping, at_start);
    for round in 0..settings.rounds {
        let margins = booster.margins(&seen.features, classes)?;
        let (gradients, hessians) = if settings.subsample < 1.0 {
            let drawn = seen.cases.thinned(settings.subsample, job.seed, before + round)?;
            gradients(&margins, &weighted(&drawn, &of_class))
        } else {
            gradients(&margins, &seen.weighted)
        };
        booster.train(before + round, &seen.features, &gradients, &hessians)?;
        let mut stop = false;
        if let Some(held_out) = held_out {
            stop = stopping.after_round(loss(&booster, held_out)?);
        }
        progress(round + 1, stopping.last())?;
        if stop {
            break;
        }
    }
    Ok((booster, before, stopping))
}

/// The rows that have cases at all.
struct Subset {
    features: Features,
    cases: Cases,
    /// The counts times the weights of the classes.
    weighted: Matrix<f64>,
}

impl Subset {
    fn new(library: &XgBoost, shard: &Shard, counts: &Matrix<f64>) -> Result<Self> {
        let job = &shard.job;
        let cases = Cases::of(counts, shard.first_row);
        let weighted = weighted(&cases.counts, &job.weights());
        let mut features = Features::new(library, &job.x.select(&cases.rows), job.threads)?;
        // Weights steer the sketch that chooses the candidate splits; the gradients carry them already.
        let weights: Vec<f32> = weighted.iter_rows().map(|row| row.iter().sum::<f64>() as f32).collect();
        features.set(c"weight", &weights)?;
        Ok(Subset { features, cases, weighted })
    }
}

/// An untrained booster, or the job's model to continue from, and its rounds.
fn start(
    library: &XgBoost,
    cached: &[&Features],
    settings: &Xgboost,
    job: &Job,
    base: Option<&[f64]>,
) -> Result<(Booster, usize)> {
    let mut booster = Booster::new(library, cached)?;
    // A loaded model keeps its own starting margins.
    let base = if job.start.is_some() { None } else { base };
    if let Some(model) = &job.start {
        booster.load(model)?;
    }
    for (name, value) in settings_of(settings, job, base) {
        booster.set(name, &value)?;
    }
    let before = if job.start.is_some() { booster.rounds()? } else { 0 };
    Ok((booster, before))
}

fn settings_of(settings: &Xgboost, job: &Job, base: Option<&[f64]>) -> Vec<(&'static str, String)> {
    let mut named = vec![
        ("objective", "multi:softprob".to_owned()),
        ("num_class", job.classes().to_string()),
        ("tree_method", "hist".to_owned()),
        ("disable_default_eval_metric", "1".to_owned()),
        ("max_depth", settings.depth.to_string()),
        ("eta", settings.eta.to_string()),
        ("colsample_bynode", settings.columns.to_string()),
        ("max_bin", settings.bins.to_string()),
        ("min_child_weight", settings.min_child_weight.to_string()),
        ("lambda", settings.lambda.to_string()),
        ("seed", (job.seed & 0x7fff_ffff).to_string()),
        ("nthread", job.threads.to_string()),
    ];
    if let Some(base) = base {
        let base: Vec<f32> = base.iter().map(|&base| base as f32).collect();
        named.push(("base_score", format!("{base:?}")));
    }
    named
}

/// First and second derivatives of the cells' log loss by the margins: `n p - count` and
/// `2 n p (1 - p)`, as the library's own softmax objective sums them over rows.
fn gradients(margins: &Matrix<f32>, counts: &Matrix<f64>) -> (Matrix<f32>, Matrix<f32>) {
    let (rows, classes) = (counts.rows(), counts.columns());
    let (mut first, mut second) = (Matrix::zeros(rows, classes), Matrix::zeros(rows, classes));
    let mut p = vec![0.0; classes];
    for (i, row) in counts.iter_rows().enumerate() {
        softmax_into(margins.row(i).iter().map(|&margin| f64::from(margin)), &mut p);
        let n = row.iter().sum::<f64>();
        for (((g, h), &p), &count) in first.row_mut(i).iter_mut().zip(second.row_mut(i)).zip(&p).zip(row) {
            *g = (n * p - count) as f32;
            *h = (2.0 * n * p * (1.0 - p)).max(SMALLEST_HESSIAN) as f32;
        }
    }
    (first, second)
}
