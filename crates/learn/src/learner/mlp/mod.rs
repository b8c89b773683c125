//! A multi-layer perceptron with rectifiers, trained by AdamW on the softmax cross-entropy of cases.
//!
//! Each epoch draws as many cases as there are (at most [`LARGEST_EPOCH`]), in proportion to their
//! weights: where the counts are whole and not too many, every case exactly once. The cases are those of
//! distinct rows in a fixed order, so that counted cells and repeated rows, in whatever order, give the
//! same bytes.

mod batches;
mod steps;

use clinical::study::Mlp;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use self::batches::Batches;
use self::steps::Steps;
use super::cases::{Cases, log_shares, mean_log_loss, totals, weighted};
use super::job::{Fit, Job};
use super::stopping::Stopping;
use crate::predict::{Layer, Network};
use crate::{Error, Matrix, Result};

/// The tensor library that trains.
const LIBRARY: &str = "burn 0.22.1";

/// Cases of an epoch at most.
const LARGEST_EPOCH: usize = 200_000;

/// Fits one model; `progress` gets the epochs done and the latest held-out loss.
///
/// # Errors
/// When the model to continue from has other layers, or a step fails.
pub(super) fn fit(
    settings: &Mlp,
    job: &Job,
    mut progress: impl FnMut(usize, Option<f64>) -> Result<()>,
) -> Result<Fit> {
    let (train, held_out) = job.counts();
    let mut rng = ChaCha8Rng::seed_from_u64(job.seed);
    let weights = job.weights();
    let batches = Batches::new(&job.x, &weighted(&train, &weights), settings.batch, LARGEST_EPOCH);
    let held_out = held_out.map(|counts| {
        let cases = Cases::of(counts, 0);
        (job.x.select(&cases.rows), weighted(&cases.counts, &weights))
    });
    let loss =
        |network: &Network| held_out.as_ref().map(|(x, counts)| mean_log_loss(&margins(network, x), counts));
    let start = match &job.start {
        Some(model) => continued(model, settings)?,
        None => {
            initial(job.x.columns(), settings, &log_shares(&totals(&weighted(&train, &weights))), &mut rng)
        }
    };
    let at_start = if job.start.is_some() { loss(&start) } else { None };
    let mut stopping = Stopping::new(settings.early_stopping, at_start);
    let mut steps = Steps::new(&start, settings, settings.epochs * batches.per_epoch());
    let before = start.epochs;
    let mut best = start;
    for epoch in 1..=settings.epochs {
        for batch in batches.epoch(&mut rng) {
            steps.step(&batch, &mut rng)?;
        }
        let network = steps.network(before + epoch)?;
        let mut stop = false;
        if let Some(loss) = loss(&network) {
            stop = stopping.after_round(loss);
        }
        if stopping.best().is_none_or(|best| best == epoch) {
            best = network;
        }
        progress(epoch, stopping.last())?;
        if stop {
            break;
        }
    }
    Ok(Fit {
        model: best.write(),
        engine: format!("{} ({LIBRARY})", job.parameters.learner().name()),
        rounds: best.epochs,
        margins: margins(&best, job.score.as_ref().unwrap_or(&job.x)),
        held_out_loss: stopping.into_losses(),
    })
}

fn margins(network: &Network, x: &Matrix<f32>) -> Matrix<f32> {
    let mut margins = Matrix::zeros(x.rows(), network.outputs());
    for (i, row) in x.iter_rows().enumerate() {
        network.margins(row, margins.row_mut(i));
    }
    margins
}

fn continued(model: &[u8], settings: &Mlp) -> Result<Network> {
    let start = Network::read("the model to continue from", model)?;
    if start.hidden() != settings.hidden {
        let (expected, got) = (format!("{:?}", settings.hidden), format!("{:?}", start.hidden()));
        return Err(Error::shape("hidden layers of the model to continue from", expected, got));
    }
    Ok(start)
}

/// Uniform weights for rectifiers (He et al. 2015, arXiv 1502.01852); the answer before any training is
/// near `shares`.
fn initial(columns: usize, settings: &Mlp, shares: &[f64], rng: &mut ChaCha8Rng) -> Network {
    let mut layers = Vec::new();
    let mut inputs = columns;
    let mut layer = |outputs: usize, bound: f64, bias: Vec<f32>| {
        let mut weight = Matrix::zeros(inputs, outputs);
        for i in 0..inputs {
            weight
                .row_mut(i)
                .iter_mut()
                .for_each(|weight| *weight = (bound * (2.0 * uniform(rng) - 1.0)) as f32);
        }
        layers.push(Layer { weight, bias });
        inputs = outputs;
    };
    let mut fan_in = columns;
    for &units in &settings.hidden {
        layer(units, (6.0 / fan_in as f64).sqrt(), vec![0.0; units]);
        fan_in = units;
    }
    layer(shares.len(), (1.0 / fan_in as f64).sqrt(), shares.iter().map(|&share| share as f32).collect());
    Network { layers, epochs: 0 }
}

/// A number in [0, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}
