//! Training of the two networks against each other, and making cases with the generator.

use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use clinical::Study;
use prepare::TrainingCounts;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

use super::Gan;
use super::columns::{Columns, gumbel, uniform};
use super::network::{Critic, Generator, matrix, numbers, soften};
use crate::{Error, Result};

/// Numbers of noise that a case is made from.
const NOISE: usize = 32;
/// Steps of the critic for one of the generator.
const CRITIC_STEPS: usize = 3;
/// Weight of the gradient penalty (Gulrajani et al. 2017).
const PENALTY: f64 = 10.0;
/// Of the Gumbel-softmax: low enough that its cases look like real ones.
const TEMPERATURE: f64 = 0.3;
/// Cases made at a time.
const AT_ONCE: usize = 4096;

/// The real cases, to draw from by their counts.
pub(super) struct Cases {
    groups: Vec<GroupCases>,
    /// Sum of the groups' weights up to and with each.
    cumulative: Vec<f64>,
}

#[derive(Default)]
struct GroupCases {
    levels: Vec<Vec<usize>>,
    /// Cases up to and with each entry.
    cumulative: Vec<u64>,
}

impl Cases {
    pub(super) fn of(study: &Study, training: &TrainingCounts) -> Cases {
        let (mut groups, mut cumulative, mut weight) = (Vec::new(), Vec::new(), 0.0);
        for group in 0..training.group_names().len() {
            let (mut cases, mut sum) = (GroupCases::default(), 0);
            for (cell, count) in training.of_group(group) {
                sum += count;
                cases.levels.push(study.domain().levels(cell));
                cases.cumulative.push(sum);
            }
            // Logarithms of the counts: a rare group is seen often enough to be learnt (Xu et al. 2019).
            weight += (sum as f64).ln_1p();
            cumulative.push(weight);
            groups.push(cases);
        }
        Cases { groups, cumulative }
    }

    /// A group by the logarithm of its cases, and one of its cases by the counts.
    fn draw(&self, rng: &mut ChaCha8Rng) -> (usize, &[usize]) {
        let place = uniform(rng) * self.cumulative.last().copied().unwrap_or_default();
        let group = self.cumulative.partition_point(|&up_to| up_to <= place);
        let Some(cases) = self.groups.get(group) else { return (0, &[]) };
        let total = cases.cumulative.last().copied().unwrap_or_default();
        let case = ((u128::from(rng.next_u64()) * u128::from(total)) >> 64) as u64;
        let at = cases.cumulative.partition_point(|&up_to| up_to <= case);
        (group, cases.levels.get(at).map_or(&[], Vec::as_slice))
    }
}

/// A generator that has been trained.
pub(super) struct Trained {
    generator: Generator,
    groups: usize,
    device: Device,
}

pub(super) fn train(
    settings: &Gan,
    columns: &Columns,
    cases: &Cases,
    progress: &mut dyn FnMut(usize),
) -> Result<Trained> {
    let device = Device::flex().autodiff();
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let (groups, hidden) = (cases.groups.len(), settings.hidden);
    let mut generator = Generator::new(NOISE + groups, hidden, columns.width(), &device, &mut rng);
    let mut critic = Critic::new(columns.width() + groups, hidden, &device, &mut rng);
    let adam = || AdamConfig::new().with_beta_1(0.5).with_beta_2(0.9).init();
    let (mut to_generator, mut to_critic) = (adam(), adam());
    let mut batches = Batches {
        columns,
        cases,
        size: settings.batch,
        device: &device,
        rng: ChaCha8Rng::seed_from_u64(settings.seed),
    };
    batches.rng.set_stream(1);
    for step in 0..settings.steps {
        // Falling to nothing: the two networks would else go round each other to the end.
        let rate = settings.learning_rate * (1.0 - step as f64 / settings.steps as f64);
        for _ in 0..CRITIC_STEPS {
            let batch = batches.next();
            let made = batch.made(&generator, columns).detach();
            let loss = critic_loss(&critic, &batch, made);
            let gradients = GradientsParams::from_grads(loss.backward(), &critic);
            critic = to_critic.step(rate, critic, gradients);
        }
        let batch = batches.next();
        let made = batch.made(&generator, columns);
        let loss = critic.forward(Tensor::cat(vec![made, batch.group.clone()], 1)).mean().neg();
        let gradients = GradientsParams::from_grads(loss.backward(), &generator);
        generator = to_generator.step(rate, generator, gradients);
        progress(step + 1);
    }
    Ok(Trained { generator: generator.valid(), groups, device: Device::flex() })
}

/// How much higher the critic scores made cases than real ones, and the penalty that keeps its slope near 1 between them.
fn critic_loss(critic: &Critic, batch: &Batch, made: Tensor<2>) -> Tensor<1> {
    let [rows, width] = made.dims();
    let with_group = |x: Tensor<2>| Tensor::cat(vec![x, batch.group.clone()], 1);
    let apart = critic.forward(with_group(made.clone())).mean()
        - critic.forward(with_group(batch.real.clone())).mean();
    let between = batch.real.clone() * batch.mix.clone() + made * (batch.mix.clone().neg() + 1.0);
    let gradient = critic.input_gradient(with_group(between)).slice([0..rows, 0..width]);
    let slope = (gradient.powi_scalar(2).sum_dim(1) + 1e-12).sqrt();
    apart + (slope - 1.0).powi_scalar(2).mean() * PENALTY
}

/// One step's real cases, their groups, and the noise for as many made ones.
struct Batch {
    real: Tensor<2>,
    group: Tensor<2>,
    noise: Tensor<2>,
    gumbel: Tensor<2>,
    /// Share of the real case in the place where the critic's slope is looked at, `rows x 1`.
    mix: Tensor<2>,
}

impl Batch {
    fn made(&self, generator: &Generator, columns: &Columns) -> Tensor<2> {
        let row = generator.forward(Tensor::cat(vec![self.noise.clone(), self.group.clone()], 1));
        soften(columns, row, self.gumbel.clone(), TEMPERATURE)
    }
}

struct Batches<'a> {
    columns: &'a Columns,
    cases: &'a Cases,
    size: usize,
    device: &'a Device,
    rng: ChaCha8Rng,
}

impl Batches<'_> {
    fn next(&mut self) -> Batch {
        let (size, groups) = (self.size, self.cases.groups.len());
        let mut real = Vec::with_capacity(size * self.columns.width());
        let mut group = vec![0.0; size * groups];
        for row in 0..size {
            let (of, levels) = self.cases.draw(&mut self.rng);
            self.columns.encode(levels, &mut self.rng, &mut real);
            group[row * groups + of] = 1.0;
        }
        let rng = &mut self.rng;
        let noise = normal(size * NOISE, rng);
        let gumbels = (0..size * self.columns.indicators()).map(|_| gumbel(rng) as f32).collect();
        let mix = (0..size).map(|_| uniform(rng) as f32).collect();
        Batch {
            real: matrix(real, size, self.columns.width(), self.device),
            group: matrix(group, size, groups, self.device),
            noise: matrix(noise, size, NOISE, self.device),
            gumbel: matrix(gumbels, size, self.columns.indicators(), self.device),
            mix: matrix(mix, size, 1, self.device),
        }
    }
}

fn normal(n: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    (0..n).map(|_| StandardNormal.sample(rng)).collect()
}

impl Trained {
    /// Levels of `wanted` cases of one group.
    pub(super) fn make(
        &self,
        group: usize,
        wanted: u64,
        columns: &Columns,
        rng: &mut ChaCha8Rng,
    ) -> Result<Vec<Vec<usize>>> {
        let mut made = Vec::new();
        let mut left =
            usize::try_from(wanted).map_err(|_| Error::Invalid("too many cases are wanted".into()))?;
        while left > 0 {
            let rows = left.min(AT_ONCE);
            let mut input = Vec::with_capacity(rows * (NOISE + self.groups));
            for _ in 0..rows {
                input.extend(normal(NOISE, rng));
                input.extend((0..self.groups).map(|of| f32::from(u8::from(of == group))));
            }
            let row = self.generator.forward(matrix(input, rows, NOISE + self.groups, &self.device));
            let values = numbers(row)?;
            if values.iter().any(|value| !value.is_finite()) {
                return Err(Error::Invalid(
                    "the GAN's training diverged: lower the study's [imbalance.gan] learning_rate".into(),
                ));
            }
            made.extend(values.chunks_exact(columns.width()).map(|row| columns.decode(row, rng)));
            left -= rows;
        }
        Ok(made)
    }
}
