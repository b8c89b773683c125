//! The steps of training, by the tensor library: gradients by automatic differentiation, AdamW.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Tensor, TensorData};
use clinical::study::Mlp;
use rand_chacha::ChaCha8Rng;

use super::batches::Batch;
use super::uniform;
use crate::predict::{Layer, Network};
use crate::{Error, Matrix, Result};

#[derive(Module, Debug)]
struct Perceptron {
    layers: Vec<Linear>,
}

/// A network in training.
pub(super) struct Steps {
    device: Device,
    model: Perceptron,
    optimizer: ModuleOptimizer,
    learning_rate: f64,
    dropout: f64,
    done: usize,
    planned: usize,
}

impl Steps {
    /// Begins at `start`; the learning rate falls to zero along a half cosine over `planned` steps.
    pub(super) fn new(start: &Network, settings: &Mlp, planned: usize) -> Self {
        let device = Device::flex().autodiff();
        let linear = |layer: &Layer| Linear {
            weight: Param::from_tensor(tensor(&layer.weight, &device)),
            bias: Some(Param::from_tensor(Tensor::from_data(
                TensorData::from(layer.bias.as_slice()),
                &device,
            ))),
        };
        let model = Perceptron { layers: start.layers.iter().map(linear).collect() };
        let optimizer =
            AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(settings.weight_decay as f32).init();
        let (learning_rate, dropout) = (settings.learning_rate, settings.dropout);
        Steps { device, model, optimizer, learning_rate, dropout, done: 0, planned: planned.max(1) }
    }

    /// One step down the gradient of the batch's mean cross-entropy.
    ///
    /// # Errors
    /// When the loss is no longer a finite number.
    pub(super) fn step(&mut self, batch: &Batch, rng: &mut ChaCha8Rng) -> Result<()> {
        let mut units = tensor(&batch.x, &self.device);
        for (i, layer) in self.model.layers.iter().enumerate() {
            units = layer.forward(units);
            if i + 1 < self.model.layers.len() {
                units = self.dropped(relu(units), rng);
            }
        }
        let loss = (log_softmax(units, 1) * tensor(&batch.shares, &self.device)).sum().neg();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        let turn = std::f64::consts::PI * self.done as f64 / self.planned as f64;
        let rate = self.learning_rate * 0.5 * (1.0 + turn.cos());
        self.model = self.optimizer.step(rate, self.model.clone(), gradients);
        self.done += 1;
        Ok(())
    }

    /// Leaves each unit out with the dropout's probability, and lets the others speak louder.
    fn dropped(&self, units: Tensor<2>, rng: &mut ChaCha8Rng) -> Tensor<2> {
        if self.dropout == 0.0 {
            return units;
        }
        let [rows, columns] = units.dims();
        let kept = (1.0 / (1.0 - self.dropout)) as f32;
        let mut mask = Matrix::zeros(rows, columns);
        for i in 0..rows {
            mask.row_mut(i)
                .iter_mut()
                .for_each(|unit| *unit = if uniform(rng) < self.dropout { 0.0 } else { kept });
        }
        units * tensor(&mask, &self.device)
    }

    /// The network as it stands.
    ///
    /// # Errors
    /// When a weight is no longer a finite number.
    pub(super) fn network(&self, epochs: usize) -> Result<Network> {
        let layer = |linear: &Linear| {
            let [inputs, outputs] = linear.weight.val().dims();
            let weight = Matrix::from_vec(inputs, outputs, numbers(linear.weight.val())?)?;
            let bias = linear.bias.as_ref().map(|bias| numbers(bias.val())).transpose()?.unwrap_or_default();
            Ok(Layer { weight, bias })
        };
        let layers = self.model.layers.iter().map(layer).collect::<Result<_>>()?;
        Ok(Network { layers, epochs })
    }
}

fn tensor(matrix: &Matrix<f32>, device: &Device) -> Tensor<2> {
    let shape = [matrix.rows(), matrix.columns()];
    Tensor::from_data(TensorData::new(matrix.as_slice().to_vec(), shape), device)
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let numbers: Vec<f32> =
        tensor.into_data().try_to_vec().map_err(|error| Error::Invalid(error.to_string()))?;
    if numbers.iter().all(|number| number.is_finite()) {
        Ok(numbers)
    } else {
        Err(Error::Invalid("the perceptron's weights grew beyond all bounds: lower learning_rate".into()))
    }
}
