//! The two networks, as tensors of the automatic differentiation.

use burn::module::{Module, Param};
use burn::tensor::activation::{leaky_relu, relu, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;

use super::columns::{Columns, uniform};
use crate::Result;

/// Slope of the critic's units below zero.
const LEAK: f64 = 0.2;

/// A dense layer. Weights are drawn by the caller's generator, not the library's, which all threads share.
#[derive(Module, Debug)]
struct Dense {
    /// `inputs x outputs`
    weight: Param<Tensor<2>>,
    /// `1 x outputs`
    bias: Param<Tensor<2>>,
}

impl Dense {
    /// Uniform in ±sqrt(1 / inputs).
    fn new(inputs: usize, outputs: usize, device: &Device, rng: &mut ChaCha8Rng) -> Dense {
        let half = (inputs.max(1) as f64).sqrt().recip();
        let mut draw = |rows: usize| {
            let data: Vec<f32> =
                (0..rows * outputs).map(|_| ((2.0 * uniform(rng) - 1.0) * half) as f32).collect();
            Param::from_tensor(matrix(data, rows, outputs, device))
        };
        Dense { weight: draw(inputs), bias: draw(1) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val()) + self.bias.val()
    }
}

/// `rows x columns` numbers in row-major order.
pub(super) fn matrix(data: Vec<f32>, rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(data, [rows, columns]), device)
}

/// The numbers of a tensor in row-major order.
pub(super) fn numbers(tensor: Tensor<2>) -> Result<Vec<f32>> {
    let numbers = tensor.into_data().try_to_vec();
    numbers.map_err(|error| crate::Error::Invalid(format!("the GAN's numbers cannot be read: {error}")))
}

/// Noise and a group in, a case out: numbers, then the logits of every category.
#[derive(Module, Debug)]
pub(super) struct Generator {
    first: Dense,
    second: Dense,
    last: Dense,
}

impl Generator {
    pub(super) fn new(
        inputs: usize,
        hidden: usize,
        outputs: usize,
        device: &Device,
        rng: &mut ChaCha8Rng,
    ) -> Generator {
        Generator {
            first: Dense::new(inputs, hidden, device, rng),
            second: Dense::new(hidden, hidden, device, rng),
            last: Dense::new(hidden, outputs, device, rng),
        }
    }

    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let h = relu(self.first.forward(x));
        self.last.forward(relu(self.second.forward(h)))
    }
}

/// Logits to near-indicators that still have a gradient: softmax((logits + Gumbel noise) / temperature).
pub(super) fn soften(columns: &Columns, row: Tensor<2>, noise: Tensor<2>, temperature: f64) -> Tensor<2> {
    let numbers = columns.numbers.len();
    let [rows, _] = row.dims();
    let mut parts = vec![row.clone().slice([0..rows, 0..numbers])];
    let mut start = 0;
    for category in &columns.categories {
        let end = start + category.levels;
        let logits = row.clone().slice([0..rows, numbers + start..numbers + end]);
        let noise = noise.clone().slice([0..rows, start..end]);
        parts.push(softmax((logits + noise) / temperature, 1));
        start = end;
    }
    Tensor::cat(parts, 1)
}

/// A case with its group in, one score out.
#[derive(Module, Debug)]
pub(super) struct Critic {
    first: Dense,
    second: Dense,
    last: Dense,
}

impl Critic {
    pub(super) fn new(inputs: usize, hidden: usize, device: &Device, rng: &mut ChaCha8Rng) -> Critic {
        Critic {
            first: Dense::new(inputs, hidden, device, rng),
            second: Dense::new(hidden, hidden, device, rng),
            last: Dense::new(hidden, 1, device, rng),
        }
    }

    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let h = leaky_relu(self.first.forward(x), LEAK);
        self.last.forward(leaky_relu(self.second.forward(h), LEAK))
    }

    /// The score's gradient by the input, `rows x inputs`, as forward operations: the library has no second
    /// derivatives, and the penalty on this gradient needs its derivatives by the weights. Between two kinks the
    /// network is linear, so the units' slopes are constants.
    pub(super) fn input_gradient(&self, x: Tensor<2>) -> Tensor<2> {
        let first = self.first.forward(x);
        let second = self.second.forward(leaky_relu(first.clone(), LEAK));
        let slopes = |h: Tensor<2>| h.greater_elem(0.0).float() * (1.0 - LEAK) + LEAK;
        let back = slopes(second) * self.last.weight.val().transpose();
        let back = back.matmul(self.second.weight.val().transpose()) * slopes(first);
        back.matmul(self.first.weight.val().transpose())
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn the_input_gradient_is_the_library_s_own() {
        let device = Device::flex().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let critic = Critic::new(6, 16, &device, &mut rng);
        let x: Vec<f32> = (0..60).map(|_| (4.0 * uniform(&mut rng) - 2.0) as f32).collect();
        let x = matrix(x, 10, 6, &device).require_grad();
        let expected = x.grad(&critic.forward(x.clone()).sum().backward()).unwrap();
        let (expected, got) = (numbers(expected).unwrap(), numbers(critic.input_gradient(x)).unwrap());
        assert!(expected.iter().any(|slope| slope.abs() > 1e-2));
        for (expected, got) in expected.iter().zip(&got) {
            assert!((expected - got).abs() < 1e-6, "{expected} {got}");
        }
    }
}
