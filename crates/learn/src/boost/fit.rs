//! The training loop, inside the training process.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Binomial, Distribution};

use super::job::{Fit, Job, Parameters, Target};
use crate::ffi::{Booster, Features, XgBoost};
use crate::probability::softmax_into;
use crate::{Error, Matrix, Result};

/// The library computes in single precision; a vanishing Hessian would divide by zero.
const SMALLEST_HESSIAN: f64 = 1e-16;

/// Fits one model; `progress` gets the rounds done and the latest held-out loss.
///
/// # Errors
/// When the job is malformed or the library fails.
pub(super) fn fit(
    library: &XgBoost,
    job: &Job,
    mut progress: impl FnMut(usize, Option<f64>) -> Result<()>,
) -> Result<Fit> {
    job.check()?;
    let threads = job.parameters.threads;
    let scored = Features::new(library, job.score.as_ref().unwrap_or(&job.x), threads)?;
    let (booster, held_out_loss) = match &job.target {
        Target::Counts { train, held_out } => {
            fit_counts(library, job, train, held_out.as_ref(), &mut progress)?
        }
        Target::Labels { labels, weights, classes } => {
            let mut features = Features::new(library, &job.x, threads)?;
            let labels: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
            features.set(c"label", &labels)?;
            features.set(c"weight", weights)?;
            let mut booster =
                Booster::new(library, &[&features], &settings(&job.parameters, *classes, None))?;
            for round in 0..job.parameters.rounds {
                booster.update(round, &features)?;
                progress(round + 1, None)?;
            }
            (booster, Vec::new())
        }
    };
    let rounds = best_round(&held_out_loss).unwrap_or(job.parameters.rounds);
    let booster = if rounds < held_out_loss.len() { booster.first(rounds)? } else { booster };
    Ok(Fit {
        model: booster.save("ubj")?,
        json: booster.save("json")?,
        rounds,
        margins: booster.margins(&scored, job.classes())?,
        held_out_loss,
    })
}

fn fit_counts(
    library: &XgBoost,
    job: &Job,
    counts: &Matrix<f64>,
    held_out: Option<&Matrix<f64>>,
    progress: &mut impl FnMut(usize, Option<f64>) -> Result<()>,
) -> Result<(Booster, Vec<f64>)> {
    let parameters = &job.parameters;
    let seen = Subset::new(library, job, counts)?;
    let held_out = held_out.map(|counts| Subset::new(library, job, counts)).transpose()?;
    let base = base_score(&seen.counts);
    let mut cached = vec![&seen.features];
    cached.extend(held_out.as_ref().map(|subset| &subset.features));
    let mut booster = Booster::new(library, &cached, &settings(parameters, counts.columns(), Some(&base)))?;
    let mut rng = ChaCha8Rng::seed_from_u64(parameters.seed);
    let mut losses = Vec::new();
    for round in 0..parameters.rounds {
        let margins = booster.margins(&seen.features, counts.columns())?;
        let drawn = (parameters.subsample < 1.0)
            .then(|| thin(&seen.counts, parameters.subsample, &mut rng))
            .transpose()?;
        let (gradients, hessians) = gradients(&margins, drawn.as_ref().unwrap_or(&seen.counts));
        booster.train(round, &seen.features, &gradients, &hessians)?;
        if let Some(held_out) = &held_out {
            losses.push(log_loss(&booster.margins(&held_out.features, counts.columns())?, &held_out.counts));
        }
        progress(round + 1, losses.last().copied())?;
        if let (Some(patience), Some(best)) = (parameters.early_stopping_rounds, best_round(&losses))
            && losses.len() - best >= patience
        {
            break;
        }
    }
    Ok((booster, losses))
}

/// The rows that have cases at all.
struct Subset {
    features: Features,
    counts: Matrix<f64>,
}

impl Subset {
    fn new(library: &XgBoost, job: &Job, counts: &Matrix<f64>) -> Result<Self> {
        let rows: Vec<usize> = counts
            .iter_rows()
            .enumerate()
            .filter(|(_, row)| row.iter().any(|&count| count > 0.0))
            .map(|(i, _)| i)
            .collect();
        let counts = counts.select(&rows);
        let mut features = Features::new(library, &job.x.select(&rows), job.parameters.threads)?;
        // Weights steer the sketch that chooses the candidate splits; the gradients carry them already.
        let weights: Vec<f32> = counts.iter_rows().map(|row| row.iter().sum::<f64>() as f32).collect();
        features.set(c"weight", &weights)?;
        Ok(Subset { features, counts })
    }
}

fn settings(parameters: &Parameters, classes: usize, base_score: Option<&[f32]>) -> Vec<(String, String)> {
    let mut settings = vec![
        ("objective", "multi:softprob".to_owned()),
        ("num_class", classes.to_string()),
        ("tree_method", "hist".to_owned()),
        ("disable_default_eval_metric", "1".to_owned()),
        ("max_depth", parameters.max_depth.to_string()),
        ("eta", parameters.eta.to_string()),
        ("colsample_bynode", parameters.colsample_bynode.to_string()),
        ("max_bin", parameters.max_bin.to_string()),
        ("min_child_weight", parameters.min_child_weight.to_string()),
        ("lambda", parameters.lambda.to_string()),
        ("seed", (parameters.seed & 0x7fff_ffff).to_string()),
        ("nthread", parameters.threads.to_string()),
    ];
    if let Some(base) = base_score {
        settings.push(("base_score", format!("{base:?}")));
    }
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The starting margins: log of the class shares, centred, as the library itself starts from labels.
/// A class without a case counts half of one.
fn base_score(counts: &Matrix<f64>) -> Vec<f32> {
    let mut totals = vec![0.0; counts.columns()];
    for row in counts.iter_rows() {
        row.iter().zip(&mut totals).for_each(|(count, total)| *total += count);
    }
    let logs: Vec<f64> = totals.iter().map(|total| total.max(0.5).ln()).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    logs.iter().map(|log| (log - mean) as f32).collect()
}

/// Draws each case of each cell with probability `share`: the distribution of subsampling the rows.
fn thin(counts: &Matrix<f64>, share: f64, rng: &mut ChaCha8Rng) -> Result<Matrix<f64>> {
    let mut drawn = Vec::with_capacity(counts.as_slice().len());
    for &count in counts.as_slice() {
        drawn.push(if count == 0.0 {
            0.0
        } else {
            let binomial =
                Binomial::new(count as u64, share).map_err(|error| Error::Invalid(error.to_string()))?;
            binomial.sample(rng) as f64
        });
    }
    Matrix::from_vec(counts.rows(), counts.columns(), drawn)
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

/// Mean log loss of the counted cases.
fn log_loss(margins: &Matrix<f32>, counts: &Matrix<f64>) -> f64 {
    let mut p = vec![0.0; counts.columns()];
    let (mut loss, mut cases) = (0.0, 0.0);
    for (i, row) in counts.iter_rows().enumerate() {
        softmax_into(margins.row(i).iter().map(|&margin| f64::from(margin)), &mut p);
        for (&count, &p) in row.iter().zip(&p).filter(|(count, _)| **count > 0.0) {
            loss -= count * p.max(f64::MIN_POSITIVE).ln();
            cases += count;
        }
    }
    loss / cases
}

/// Rounds of the first lowest loss; none without losses.
fn best_round(losses: &[f64]) -> Option<usize> {
    losses.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1)).map(|(round, _)| round + 1)
}
