//! Training of the embedding: episodes, Adam, a rate that falls to zero.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

use super::counts::DiseaseCounts;
use super::episode::{Sampler, Task};
use super::network::{Activations, Network};
use crate::{Error, Matrix, Result};

/// How the embedding is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Episodes {
    /// Diseases per episode; fewer where the data hold fewer.
    pub ways: usize,
    /// Cases per disease that make a prototype.
    pub shots: usize,
    /// Cases per disease to be recognised.
    pub queries: usize,
    pub episodes: usize,
    /// Adam's rate at the start; it falls in a straight line to zero.
    pub learning_rate: f64,
    pub seed: u64,
}

impl Default for Episodes {
    fn default() -> Self {
        Episodes { ways: 8, shots: 5, queries: 10, episodes: 2_000, learning_rate: 2e-3, seed: 0 }
    }
}

impl Episodes {
    /// # Errors
    /// When a number is out of its range.
    pub fn check(&self) -> Result<()> {
        if self.ways < 2 || self.shots == 0 || self.queries == 0 || self.episodes == 0 {
            return Err(Error::Invalid(
                "episodes need at least 2 diseases, 1 case to learn from and 1 to recognise".into(),
            ));
        }
        if !(self.learning_rate > 0.0 && self.learning_rate < 1.0) {
            return Err(Error::Invalid("the learning rate of the embedding lies between 0 and 1".into()));
        }
        Ok(())
    }
}

/// A trained network and the loss of every episode, in order.
pub(super) fn train(
    x: &Matrix<f32>,
    counts: &DiseaseCounts,
    episodes: &Episodes,
) -> Result<(Network, Vec<f32>)> {
    episodes.check()?;
    if counts.rows() != x.rows() {
        return Err(Error::shape("rows of the counts of diseases", x.rows(), counts.rows()));
    }
    let &Episodes { ways, shots, queries, .. } = episodes;
    let mut sampler = Sampler::new(x, counts, Task { ways, shots, queries });
    if sampler.task().ways < 2 {
        return Err(Error::Invalid(
            "the embedding needs at least two diseases with two training cases each".into(),
        ));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(episodes.seed);
    let mut network = Network::random(x.columns(), &mut rng);
    let mut adam = Adam::new(x.columns());
    let mut gradient = Network::zeros(x.columns());
    let (mut rows, mut kept, mut by_output) = (Vec::new(), Activations::default(), Vec::new());
    let mut losses = Vec::with_capacity(episodes.episodes);
    for episode in 0..episodes.episodes {
        sampler.draw(&mut rng, &mut rows);
        network.forward(&rows, &mut kept);
        losses.push(sampler.task().loss(&kept.output, &mut by_output));
        network.backward(&rows, &kept, &by_output, &mut gradient);
        let left = 1.0 - episode as f64 / episodes.episodes as f64;
        adam.step(&mut network, &gradient, episodes.learning_rate * left);
    }
    if network.runs().iter().any(|run| run.iter().any(|weight| !weight.is_finite())) {
        return Err(Error::Invalid(
            "the embedding's training diverged: check that every encoded value is finite, or lower the learning rate"
                .into(),
        ));
    }
    Ok((network, losses))
}

/// Adam (Kingma and Ba 2015) with the paper's decay rates.
#[derive(Debug)]
struct Adam {
    mean: Network,
    square: Network,
    /// The decay rates to the power of the steps taken.
    decayed: (f64, f64),
}

const DECAY: (f32, f32) = (0.9, 0.999);

impl Adam {
    fn new(columns: usize) -> Adam {
        Adam { mean: Network::zeros(columns), square: Network::zeros(columns), decayed: (1.0, 1.0) }
    }

    fn step(&mut self, network: &mut Network, gradient: &Network, rate: f64) {
        self.decayed.0 *= f64::from(DECAY.0);
        self.decayed.1 *= f64::from(DECAY.1);
        let rate = (rate / (1.0 - self.decayed.0)) as f32;
        let correction = (1.0 / (1.0 - self.decayed.1)) as f32;
        let runs = network.runs_mut().into_iter().zip(gradient.runs());
        let moments = self.mean.runs_mut().into_iter().zip(self.square.runs_mut());
        for ((weights, gradient), (mean, square)) in runs.zip(moments) {
            for (((weight, &g), mean), square) in weights.iter_mut().zip(gradient).zip(mean).zip(square) {
                *mean = DECAY.0 * *mean + (1.0 - DECAY.0) * g;
                *square = DECAY.1 * *square + (1.0 - DECAY.1) * g * g;
                *weight -= rate * *mean / ((*square * correction).sqrt() + 1e-8);
            }
        }
    }
}
