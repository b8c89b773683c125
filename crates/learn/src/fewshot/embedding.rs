//! The embedding: an encoded patient to a point at which cases of one disease lie close together.

use std::sync::Arc;

use super::counts::DiseaseCounts;
use super::network::{Activations, DIM, HIDDEN, Layer, Network};
use super::tensors::{Reader, Writer};
use super::training::{Episodes, train};
use crate::bundle::digest;
use crate::{Error, Matrix, Result};

/// Patients that pass through the network together: what they leave stays in the processor's cache.
const BLOCK: usize = 64;

/// A trained embedding. Its digest is its identity: points of different embeddings never meet.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    network: Network,
    digest: Arc<str>,
}

/// Embedded patients, `n x 16`: keep them, they change only with the embedding.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    points: Vec<[f32; DIM]>,
    embedding: Arc<str>,
}

impl Embedding {
    /// Trains on the encoded patients `x` (n x columns) with their counted cases; answers the embedding and the
    /// loss of every episode. The same input and seed give the same bytes.
    ///
    /// # Errors
    /// When shapes or numbers do not fit, or fewer than two diseases have two cases.
    pub fn train(
        x: &Matrix<f32>,
        counts: &DiseaseCounts,
        episodes: &Episodes,
    ) -> Result<(Embedding, Vec<f32>)> {
        let (network, losses) = train(x, counts, episodes)?;
        Ok((Embedding::of(network)?, losses))
    }

    fn of(network: Network) -> Result<Embedding> {
        let mut embedding = Embedding { network, digest: "".into() };
        embedding.digest = digest(&embedding.to_bytes()?).into();
        Ok(embedding)
    }

    /// SHA-256 of [`Embedding::to_bytes`].
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Columns of the encoded patients that it reads.
    pub fn columns(&self) -> usize {
        self.network.columns()
    }

    /// The points of encoded patients, `n x columns`.
    ///
    /// # Errors
    /// When the number of columns differs.
    pub fn embed(&self, x: &Matrix<f32>) -> Result<Embedded> {
        if x.columns() != self.columns() {
            return Err(Error::shape("columns of the patients to embed", self.columns(), x.columns()));
        }
        let mut points = Vec::with_capacity(x.rows());
        let mut kept = Activations::default();
        for rows in x.as_slice().chunks(BLOCK * self.columns()) {
            self.network.forward(rows, &mut kept);
            points.extend_from_slice(&kept.output);
        }
        Ok(Embedded { points, embedding: self.digest.clone() })
    }

    /// The weights in the safetensors format, named and shaped as PyTorch's
    /// `Sequential(Linear, ReLU, Linear, ReLU, Linear)` names and shapes them.
    ///
    /// # Errors
    /// None that a trained embedding can cause.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let Network { first, second, third } = &self.network;
        let mut writer = Writer::new(FILE);
        put_layer(&mut writer, 0, first);
        put_layer(&mut writer, 2, second);
        put_layer(&mut writer, 4, third);
        writer.finish(None)
    }

    /// # Errors
    /// When the bytes are not such weights.
    pub fn from_bytes(bytes: &[u8]) -> Result<Embedding> {
        let reader = Reader::open(FILE, bytes)?;
        let [_, columns] = reader.shape("0.weight")?;
        if columns == 0 {
            return Err(reader.malformed("it reads no column"));
        }
        Embedding::of(Network {
            first: read_layer(&reader, 0, columns)?,
            second: read_layer(&reader, 2, HIDDEN)?,
            third: read_layer(&reader, 4, HIDDEN)?,
        })
    }
}

impl Embedded {
    pub fn rows(&self) -> usize {
        self.points.len()
    }

    /// Point `i`, where there is one.
    pub fn point(&self, i: usize) -> Option<&[f32; DIM]> {
        self.points.get(i)
    }

    pub fn points(&self) -> &[[f32; DIM]] {
        &self.points
    }

    /// Digest of the embedding that made them.
    pub fn embedding(&self) -> &str {
        &self.embedding
    }

    /// # Errors
    /// When the points are those of another embedding.
    pub(super) fn check(&self, embedding: &str) -> Result<()> {
        if *self.embedding == *embedding {
            return Ok(());
        }
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        Err(Error::Invalid(format!(
            "points of embedding {} meet those of embedding {}: embed the patients again",
            short(&self.embedding),
            short(embedding)
        )))
    }
}

const FILE: &str = "the embedding's weights";

/// Weight (outputs x inputs) and bias of one layer.
fn put_layer<const O: usize>(writer: &mut Writer, position: usize, layer: &Layer<O>) {
    let weight = (0..O).flat_map(|o| layer.weight.iter().map(move |weight| weight[o]));
    writer.put_f32(format!("{position}.weight"), &[O, layer.weight.len()], weight);
    writer.put_f32(format!("{position}.bias"), &[O], layer.bias.iter().copied());
}

fn read_layer<const O: usize>(reader: &Reader<'_>, position: usize, inputs: usize) -> Result<Layer<O>> {
    let weight = reader.f32(&format!("{position}.weight"), &[O, inputs])?;
    let bias = reader.f32(&format!("{position}.bias"), &[O])?;
    let mut layer = Layer { weight: vec![[0.0; O]; inputs], bias: [0.0; O] };
    for (o, row) in weight.chunks_exact(inputs).enumerate() {
        layer.weight.iter_mut().zip(row).for_each(|(weight, &value)| weight[o] = value);
    }
    layer.bias.iter_mut().zip(bias).for_each(|(bias, value)| *bias = value);
    Ok(layer)
}
