//! A multi-layer perceptron in its safetensors file: reading, writing and a forward pass without a
//! tensor library.
//!
//! The tensors are named as PyTorch's `Sequential(Linear, ReLU, Linear, …)` names them: `0.weight`
//! (`outputs x inputs`), `0.bias`, `2.weight`, … The format is described at
//! <https://huggingface.co/docs/safetensors>.

use serde_json::{Map, Value, json};

use crate::{Error, Matrix, Result};

/// Largest model file, and largest header, that are read.
const LARGEST_FILE: usize = 1 << 30;
const LARGEST_HEADER: usize = 1 << 20;
/// Name under which the header keeps what is no tensor, and our entry there.
const METADATA: &str = "__metadata__";
const EPOCHS: &str = "epochs";

/// One layer: `outputs = bias + inputs * weight`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Layer {
    /// `inputs x outputs`.
    pub(crate) weight: Matrix<f32>,
    pub(crate) bias: Vec<f32>,
}

/// Layers with rectifiers between them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Network {
    pub(crate) layers: Vec<Layer>,
    /// Passes over the cases that it was trained with.
    pub(crate) epochs: usize,
}

impl Layer {
    /// Sums in the order of the inputs, so that every machine gets the same bits.
    fn forward(&self, inputs: &[f32], outputs: &mut Vec<f32>) {
        outputs.clear();
        outputs.extend_from_slice(&self.bias);
        for (&x, weights) in inputs.iter().zip(self.weight.iter_rows()) {
            // Indicators and silent units are zero more often than not.
            if x != 0.0 {
                outputs.iter_mut().zip(weights).for_each(|(sum, weight)| *sum += x * weight);
            }
        }
    }
}

impl Network {
    /// Columns of an encoded row.
    pub(crate) fn columns(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.weight.rows())
    }

    /// Classes.
    pub(crate) fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| layer.weight.columns())
    }

    /// Units of each hidden layer.
    pub(crate) fn hidden(&self) -> Vec<usize> {
        let (_, hidden) = self.layers.split_last().unzip();
        hidden.unwrap_or_default().iter().map(|layer| layer.weight.columns()).collect()
    }

    /// The margins of one encoded row, into `margins` (as many as classes).
    pub(crate) fn margins(&self, row: &[f32], margins: &mut [f32]) {
        let (mut inputs, mut outputs) = (row.to_vec(), Vec::new());
        for (i, layer) in self.layers.iter().enumerate() {
            layer.forward(&inputs, &mut outputs);
            if i + 1 < self.layers.len() {
                outputs.iter_mut().for_each(|unit| *unit = unit.max(0.0));
            }
            std::mem::swap(&mut inputs, &mut outputs);
        }
        margins.iter_mut().zip(&inputs).for_each(|(margin, output)| *margin = *output);
    }

    /// The model file.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut header = Map::new();
        header.insert(METADATA.into(), json!({ "format": "pt", EPOCHS: self.epochs.to_string() }));
        let mut data: Vec<u8> = Vec::new();
        let mut put = |name: String, shape: Value, values: &mut dyn Iterator<Item = f32>| {
            let begin = data.len();
            data.extend(values.flat_map(f32::to_le_bytes));
            header
                .insert(name, json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] }));
        };
        for (i, layer) in self.layers.iter().enumerate() {
            let (inputs, outputs) = (layer.weight.rows(), layer.weight.columns());
            let mut transposed = (0..outputs).flat_map(|o| layer.weight.iter_rows().map(move |row| row[o]));
            put(format!("{}.weight", 2 * i), json!([outputs, inputs]), &mut transposed);
            put(format!("{}.bias", 2 * i), json!([outputs]), &mut layer.bias.iter().copied());
        }
        let mut header = Value::Object(header).to_string().into_bytes();
        // Spaces up to the next multiple of eight: readers map the numbers as they lie.
        header.resize(header.len().next_multiple_of(8), b' ');
        [&(header.len() as u64).to_le_bytes(), header.as_slice(), &data].concat()
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Malformed`] naming `file` and what is missing, unexpected or out of bounds.
    pub(crate) fn read(file: &str, bytes: &[u8]) -> Result<Self> {
        if bytes.len() > LARGEST_FILE {
            return Err(Error::malformed(file, "the model is too large"));
        }
        network(bytes).map_err(|why| Error::malformed(file, why))
    }
}

type Read<T> = std::result::Result<T, String>;

fn network(bytes: &[u8]) -> Read<Network> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or("it is cut off")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > LARGEST_HEADER {
        return Err("its header is too large".into());
    }
    let (header, data) = rest.split_at_checked(length).ok_or("it is cut off")?;
    let header: Map<String, Value> =
        serde_json::from_slice(header).map_err(|_| "its header is no JSON object".to_owned())?;
    let epochs = header.get(METADATA).and_then(|metadata| metadata.get(EPOCHS)).and_then(Value::as_str);
    let epochs = epochs.and_then(|epochs| epochs.parse().ok()).unwrap_or_default();
    let tensors = Tensors { header: &header, data };
    let mut network = Network { layers: Vec::new(), epochs };
    while header.contains_key(&format!("{}.weight", 2 * network.layers.len())) {
        let name = 2 * network.layers.len();
        let (shape, weight) = tensors.get(&format!("{name}.weight"))?;
        let (bias_shape, bias) = tensors.get(&format!("{name}.bias"))?;
        let (&[outputs, inputs], true) = (shape.as_slice(), bias_shape == shape[..1]) else {
            return Err(format!("the shapes of layer {name} do not fit each other"));
        };
        if inputs == 0 || outputs == 0 || network.layers.last().is_some_and(|last| last.bias.len() != inputs)
        {
            return Err(format!("layer {name} does not fit the layer before it"));
        }
        let transposed = (0..inputs).flat_map(|i| weight.iter().skip(i).step_by(inputs).copied()).collect();
        let weight = Matrix::from_vec(inputs, outputs, transposed).map_err(|error| error.to_string())?;
        network.layers.push(Layer { weight, bias });
    }
    let tensors = header.keys().filter(|name| *name != METADATA).count();
    if network.layers.is_empty() || tensors != 2 * network.layers.len() {
        return Err("its tensors are not those of a sequence of linear layers".into());
    }
    if network.outputs() < 2 {
        return Err("it has fewer than two classes".into());
    }
    Ok(network)
}

struct Tensors<'a> {
    header: &'a Map<String, Value>,
    data: &'a [u8],
}

impl Tensors<'_> {
    /// Shape and numbers of a tensor.
    fn get(&self, name: &str) -> Read<(Vec<usize>, Vec<f32>)> {
        let entry = self.header.get(name).ok_or_else(|| format!("{name} is missing"))?;
        if entry.get("dtype").and_then(Value::as_str) != Some("F32") {
            return Err(format!("{name} does not hold single-precision numbers"));
        }
        let integers = |key: &str| -> Option<Vec<usize>> {
            let list = entry.get(key)?.as_array()?;
            list.iter().map(|item| usize::try_from(item.as_u64()?).ok()).collect()
        };
        let (shape, offsets) = (integers("shape").unwrap_or_default(), integers("data_offsets"));
        let bytes = match offsets.as_deref() {
            Some(&[begin, end]) => self.data.get(begin..end),
            _ => None,
        };
        let bytes = bytes.ok_or_else(|| format!("{name} lies outside of the file"))?;
        let count = shape.iter().try_fold(1usize, |count, &length| count.checked_mul(length));
        if shape.is_empty() || count.and_then(|count| count.checked_mul(4)) != Some(bytes.len()) {
            return Err(format!("{name} does not have the numbers of its shape"));
        }
        let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        if numbers.iter().all(|number| number.is_finite()) {
            Ok((shape, numbers))
        } else {
            Err(format!("{name} holds something that is no number"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Network {
        let weight = |rows, columns, from: f32| {
            let values = (0..rows * columns).map(|i| from + i as f32 / 8.0).collect();
            Matrix::from_vec(rows, columns, values).unwrap()
        };
        let layers = vec![
            Layer { weight: weight(2, 3, -0.5), bias: vec![0.1, -0.2, 0.0] },
            Layer { weight: weight(3, 2, 0.25), bias: vec![1.0, -1.0] },
        ];
        Network { layers, epochs: 12 }
    }

    #[test]
    fn the_forward_pass_is_the_formula() {
        let mut margins = [0.0; 2];
        sample().margins(&[2.0, -1.0], &mut margins);
        // Hidden: 0.1 + 2 (-0.5) + 0.125, -0.2 + 2 (-0.375) - 0, 0 + 2 (-0.25) - 0.125: all silent.
        assert_eq!(margins, [1.0, -1.0]);
        sample().margins(&[0.0, 2.0], &mut margins);
        // Hidden: 0.1 - 0.25 (silent), -0.2 + 0 (silent), 0 + 0.25.
        assert_eq!(margins, [1.0 + 0.25 * 0.75, -1.0 + 0.25 * 0.875]);
    }

    #[test]
    fn the_file_comes_back_and_damage_is_refused() {
        let bytes = sample().write();
        assert_eq!(Network::read("model", &bytes).unwrap(), sample());
        assert_eq!(sample().hidden(), [3]);
        for end in [0, 7, 8, 40, bytes.len() - 1] {
            assert!(Network::read("model", &bytes[..end]).is_err(), "cut at {end}");
        }
        let text = String::from_utf8_lossy(&bytes[8..]).into_owned();
        for (from, to) in [("[3,2]", "[2,3]"), ("[3]", "[9]"), ("F32", "F16"), ("\"2.bias\"", "\"3.bias\"")] {
            assert!(text.contains(from), "{text}");
            let at = 8 + text.find(from).unwrap();
            let mut changed = bytes.clone();
            changed[at..at + to.len()].copy_from_slice(to.as_bytes());
            assert!(Network::read("model", &changed).is_err(), "{from} as {to}");
        }
    }
}
