//! The network `columns -> 64 -> 64 -> 16` with ReLU between the layers, forward and backward.
//!
//! Most inputs are zero (indicators), and so is about half of what ReLU lets through:
//! every sum goes over the inputs that are not zero and runs along the outputs, so that the compiler
//! uses whatever vectors the target has, always in the same order of additions.

use rand_chacha::rand_core::RngCore;
use rand_distr::{Distribution, StandardNormal};

/// Width of both hidden layers.
pub(super) const HIDDEN: usize = 64;
/// Dimension of the embedding.
pub const DIM: usize = 16;

/// Inputs that are looked through at a time.
const CHUNK: usize = 64;

/// One layer: `weight` is inputs x `O`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layer<const O: usize> {
    pub(super) weight: Vec<[f32; O]>,
    pub(super) bias: [f32; O],
}

/// The network's weights; the same shape holds their gradient and Adam's moments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Network {
    pub(super) first: Layer<HIDDEN>,
    pub(super) second: Layer<HIDDEN>,
    pub(super) third: Layer<DIM>,
}

/// What a forward pass leaves for the backward pass, one entry per row.
#[derive(Debug, Default)]
pub(super) struct Activations {
    first: Vec<[f32; HIDDEN]>,
    second: Vec<[f32; HIDDEN]>,
    pub(super) output: Vec<[f32; DIM]>,
}

impl<const O: usize> Layer<O> {
    fn zeros(inputs: usize) -> Self {
        Layer { weight: vec![[0.0; O]; inputs], bias: [0.0; O] }
    }

    /// Normal weights of variance 2 / inputs, no bias (He et al. 2015).
    fn random(inputs: usize, rng: &mut impl RngCore) -> Self {
        let scale = (2.0 / inputs.max(1) as f32).sqrt();
        let mut layer = Layer::zeros(inputs);
        for weight in layer.weight.as_flattened_mut() {
            let normal: f32 = StandardNormal.sample(rng);
            *weight = scale * normal;
        }
        layer
    }

    /// Adds one row's part of the gradient: input `x`, derivative of the loss by the output `g`.
    fn add_gradient(&mut self, x: &[f32], g: &[f32; O]) {
        for (x, weight) in x.chunks(CHUNK).zip(self.weight.chunks_mut(CHUNK)) {
            let mut list = [(0, 0.0); CHUNK];
            for &(k, x) in nonzero(x, &mut list) {
                if let Some(weight) = weight.get_mut(k as usize) {
                    add_scaled(weight, x, g);
                }
            }
        }
        add_scaled(&mut self.bias, 1.0, g);
    }

    /// `O` rows of inputs.
    fn transposed<const I: usize>(&self) -> Vec<[f32; I]> {
        let mut out = vec![[0.0; I]; O];
        for (i, weight) in self.weight.iter().enumerate().take(I) {
            for (row, &weight) in out.iter_mut().zip(weight) {
                row[i] = weight;
            }
        }
        out
    }
}

impl Network {
    pub(super) fn zeros(columns: usize) -> Self {
        Network { first: Layer::zeros(columns), second: Layer::zeros(HIDDEN), third: Layer::zeros(HIDDEN) }
    }

    pub(super) fn random(columns: usize, rng: &mut impl RngCore) -> Self {
        Network {
            first: Layer::random(columns, rng),
            second: Layer::random(HIDDEN, rng),
            third: Layer::random(HIDDEN, rng),
        }
    }

    pub(super) fn columns(&self) -> usize {
        self.first.weight.len()
    }

    /// All weights, layer by layer, in six runs.
    pub(super) fn runs(&self) -> [&[f32]; 6] {
        let Network { first, second, third } = self;
        [
            first.weight.as_flattened(),
            &first.bias,
            second.weight.as_flattened(),
            &second.bias,
            third.weight.as_flattened(),
            &third.bias,
        ]
    }

    pub(super) fn runs_mut(&mut self) -> [&mut [f32]; 6] {
        let Network { first, second, third } = self;
        [
            first.weight.as_flattened_mut(),
            &mut first.bias,
            second.weight.as_flattened_mut(),
            &mut second.bias,
            third.weight.as_flattened_mut(),
            &mut third.bias,
        ]
    }

    /// Forward pass over `rows`, each of `columns` numbers.
    pub(super) fn forward(&self, rows: &[f32], kept: &mut Activations) {
        let rows = rows.chunks_exact(self.columns().max(1));
        kept.first.resize(rows.len(), [0.0; HIDDEN]);
        kept.second.resize(rows.len(), [0.0; HIDDEN]);
        kept.output.resize(rows.len(), [0.0; DIM]);
        let kept = kept.first.iter_mut().zip(&mut kept.second).zip(&mut kept.output);
        for (x, ((first, second), output)) in rows.zip(kept) {
            *first = self.first.bias;
            add_product(first, x, &self.first.weight);
            relu(first);
            *second = self.second.bias;
            add_product(second, first, &self.second.weight);
            relu(second);
            *output = self.third.bias;
            add_product(output, second, &self.third.weight);
        }
    }

    /// The gradient of a loss whose derivative by the outputs of `rows` is `by_output`.
    pub(super) fn backward(
        &self,
        rows: &[f32],
        kept: &Activations,
        by_output: &[[f32; DIM]],
        gradient: &mut Network,
    ) {
        gradient.runs_mut().into_iter().for_each(|run| run.fill(0.0));
        let second_back: Vec<[f32; HIDDEN]> = self.second.transposed();
        let third_back: Vec<[f32; HIDDEN]> = self.third.transposed();
        let rows = rows.chunks_exact(self.columns().max(1));
        for (((x, first), second), g) in rows.zip(&kept.first).zip(&kept.second).zip(by_output) {
            gradient.third.add_gradient(second, g);
            let mut by_second = [0.0; HIDDEN];
            add_product(&mut by_second, g, &third_back);
            through_relu(&mut by_second, second);
            gradient.second.add_gradient(first, &by_second);
            let mut by_first = [0.0; HIDDEN];
            add_product(&mut by_first, &by_second, &second_back);
            through_relu(&mut by_first, first);
            gradient.first.add_gradient(x, &by_first);
        }
    }
}

/// `sum += x weight`.
#[inline]
fn add_product<const O: usize>(sum: &mut [f32; O], x: &[f32], weight: &[[f32; O]]) {
    for (x, weight) in x.chunks(CHUNK).zip(weight.chunks(CHUNK)) {
        let mut list = [(0, 0.0); CHUNK];
        for &(k, x) in nonzero(x, &mut list) {
            if let Some(weight) = weight.get(k as usize) {
                add_scaled(sum, x, weight);
            }
        }
    }
}

/// `sum += x row`. By position: the innermost loop must not depend on what else the compiler sees through.
#[inline]
fn add_scaled<const N: usize>(sum: &mut [f32; N], x: f32, row: &[f32; N]) {
    for i in 0..N {
        sum[i] += x * row[i];
    }
}

/// Positions and values of the numbers that are not zero, of at most [`CHUNK`]. Without a branch: where the
/// zeros are cannot be predicted, and a wrong guess costs more than the sum.
#[inline]
fn nonzero<'a>(x: &[f32], list: &'a mut [(u32, f32); CHUNK]) -> &'a [(u32, f32)] {
    let mut count = 0;
    for (k, &x) in x.iter().enumerate() {
        list[count % CHUNK] = (k as u32, x);
        count += usize::from(x != 0.0);
    }
    list.get(..count).unwrap_or_default()
}

#[inline]
fn relu<const N: usize>(x: &mut [f32; N]) {
    for x in x {
        *x = x.max(0.0);
    }
}

/// Turns the derivative by ReLU's output `y` into that by its input.
#[inline]
fn through_relu<const N: usize>(g: &mut [f32; N], y: &[f32; N]) {
    for i in 0..N {
        g[i] = if y[i] > 0.0 { g[i] } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    /// More columns than are looked through at a time, half of them zero.
    const COLUMNS: usize = 70;

    fn network_and_rows() -> (Network, Vec<f32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut network = Network::random(COLUMNS, &mut rng);
        let mut normal = || -> f32 { StandardNormal.sample(&mut rng) };
        network.first.bias = network.first.bias.map(|_| 0.1 * normal());
        network.second.bias = network.second.bias.map(|_| 0.1 * normal());
        network.third.bias = network.third.bias.map(|_| 0.1 * normal());
        let rows = (0..6 * COLUMNS).map(|i| if i % 2 == 0 { normal() } else { 0.0 }).collect();
        (network, rows)
    }

    /// The same sums over all inputs in 64 bits.
    fn plainly<const O: usize>(layer: &Layer<O>, x: &[f64]) -> Vec<f64> {
        let sum =
            |o: usize| x.iter().zip(&layer.weight).map(|(x, weight)| x * f64::from(weight[o])).sum::<f64>();
        (0..O).map(|o| f64::from(layer.bias[o]) + sum(o)).collect()
    }

    fn embed_plainly(network: &Network, x: &[f32]) -> Vec<f64> {
        let positive = |x: Vec<f64>| x.into_iter().map(|x| x.max(0.0)).collect::<Vec<_>>();
        let x: Vec<f64> = x.iter().copied().map(f64::from).collect();
        let first = positive(plainly(&network.first, &x));
        plainly(&network.third, &positive(plainly(&network.second, &first)))
    }

    #[test]
    fn forward_is_the_definition() {
        let (network, rows) = network_and_rows();
        let mut kept = Activations::default();
        network.forward(&rows, &mut kept);
        assert_eq!(kept.output.len(), 6);
        for (x, output) in rows.chunks(COLUMNS).zip(&kept.output) {
            for (got, expected) in output.iter().zip(embed_plainly(&network, x)) {
                assert!((f64::from(*got) - expected).abs() < 1e-4, "{got} {expected}");
            }
        }
    }

    /// The loss is the sum of the outputs, each with a weight; the gradient is compared with central
    /// differences of that sum in 64 bits.
    #[test]
    fn backward_is_the_derivative() {
        let (network, rows) = network_and_rows();
        let by_output: Vec<[f32; DIM]> =
            (0..6).map(|row| std::array::from_fn(|d| ((row * 7 + d * 3) % 5) as f32 - 2.0)).collect();
        let loss = |network: &Network| -> f64 {
            let of_row = |(x, by): (&[f32], &[f32; DIM])| {
                embed_plainly(network, x).iter().zip(by).map(|(z, by)| z * f64::from(*by)).sum::<f64>()
            };
            rows.chunks(COLUMNS).zip(&by_output).map(of_row).sum()
        };
        let (mut kept, mut gradient) = (Activations::default(), Network::zeros(COLUMNS));
        network.forward(&rows, &mut kept);
        network.backward(&rows, &kept, &by_output, &mut gradient);
        for run in 0..6 {
            for at in (0..network.runs()[run].len()).step_by(13) {
                let moved = |by: f32| {
                    let mut network = network.clone();
                    network.runs_mut()[run][at] += by;
                    (loss(&network), f64::from(network.runs()[run][at]))
                };
                let ((high, right), (low, left)) = (moved(1e-4), moved(-1e-4));
                let expected = (high - low) / (right - left);
                let got = f64::from(gradient.runs()[run][at]);
                assert!(
                    (got - expected).abs() < 2e-3 * expected.abs().max(1.0),
                    "run {run} at {at}: {got} {expected}"
                );
            }
        }
    }
}
