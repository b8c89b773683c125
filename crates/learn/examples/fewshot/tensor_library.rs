//! The same training through a tensor library with automatic differentiation, to compare.

use anyhow::Result;
use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use learn::fewshot::DIM;
use serde_json::{Value, json};

use crate::cpu;
use crate::data::Data;
use crate::speed::last;

const WAYS: usize = 8;
const SHOTS: usize = 5;
const QUERIES: usize = 10;

#[derive(Module, Debug)]
struct Network {
    first: Linear,
    second: Linear,
    third: Linear,
}

impl Network {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.third.forward(relu(self.second.forward(relu(self.first.forward(x)))))
    }
}

/// Draws cases with replacement, which is no slower than ours without.
pub(crate) fn train(data: &Data, episodes: usize, seed: u64) -> Result<Value> {
    let mut pools = vec![Vec::new(); data.diseases.len()];
    for &[_, disease, row, count] in &data.cases {
        pools[disease].extend(std::iter::repeat_n(row, count));
    }
    pools.retain(|pool| pool.len() >= 2);
    let (seconds, losses) = cpu::seconds(|| Ok(run(data, &pools, episodes, seed)))?;
    Ok(json!({ "cpu_s": seconds, "loss": last(&losses) }))
}

fn run(data: &Data, pools: &[Vec<usize>], episodes: usize, seed: u64) -> Vec<f32> {
    let device = Device::flex().autodiff();
    device.seed(seed);
    let mut network = Network {
        first: LinearConfig::new(data.x.columns(), 64).init(&device),
        second: LinearConfig::new(64, 64).init(&device),
        third: LinearConfig::new(64, DIM).init(&device),
    };
    let mut adam = AdamConfig::new().init();
    let truth: Vec<i64> = (0..WAYS * QUERIES).map(|query| (query / QUERIES) as i64).collect();
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize * n) >> 31
    };
    let mut order: Vec<usize> = (0..pools.len()).collect();
    let mut losses = Vec::with_capacity(episodes);
    for episode in 0..episodes {
        let (mut support, mut query) = (Vec::new(), Vec::new());
        for place in 0..WAYS {
            let other = place + below(order.len() - place);
            order.swap(place, other);
            let pool = &pools[order[place]];
            for case in 0..SHOTS + QUERIES {
                let row = data.x.row(pool[below(pool.len())]);
                if case < SHOTS { support.extend_from_slice(row) } else { query.extend_from_slice(row) }
            }
        }
        let matrix = |rows: Vec<f32>| {
            let shape = [rows.len() / data.x.columns(), data.x.columns()];
            Tensor::<2>::from_data(TensorData::new(rows, shape), &device)
        };
        let support = network.forward(matrix(support)).reshape([WAYS, SHOTS, DIM]);
        let prototypes = support.mean_dim(1).squeeze_dim::<2>(1);
        let query = network.forward(matrix(query));
        let difference = query.unsqueeze_dim::<3>(1) - prototypes.unsqueeze_dim::<3>(0);
        let distance = difference.powi_scalar(2).sum_dim(2).squeeze_dim::<2>(2);
        let truth = Tensor::<1, Int>::from_data(TensorData::new(truth.clone(), [truth.len()]), &device);
        let loss = CrossEntropyLossConfig::new().init(&device).forward(distance.neg(), truth);
        losses.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        let left = 1.0 - episode as f64 / episodes as f64;
        network = adam.step(2e-3 * left, network, gradients);
    }
    losses
}
