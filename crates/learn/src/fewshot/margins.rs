//! Distances to probabilities: the rarity margin, the posterior over orphan diseases, what is new.
//!
//! The log density of a point z under disease j is l_j = t (-|z - c_j|^2 / 2 v_j - (dim / 2) ln v_j),
//! its weight w_j the disease's share of the cases ([`crate::prior`] may weigh orphan ones otherwise), and t the sharpness that makes the softmax of
//! l_j + ln w_j mean what it says ([`Prototypes::calibrate`]).

use super::counts::DiseaseCounts;
use super::embedding::Embedded;
use super::open_set::OpenSet;
use super::prototypes::Prototypes;
use super::ruler::Ruler;
use super::sharpness::Sharpness;
use crate::{Error, Matrix, Result};

/// Log odds are kept within this: no evidence is infinite.
const LIMIT: f64 = 500.0;

/// What the prototypes say of each of `n` patients.
#[derive(Debug, Clone, PartialEq)]
pub struct Margins {
    /// r = ln sum over trained orphan diseases of w_j exp(l_j) - ln the same over common ones; `n` log odds
    /// within +-500, all -500 without a trained orphan disease.
    pub rarity: Vec<f64>,
    /// r_j of every watched disease by itself, against the common ones: `n x watched diseases`.
    pub novelty: Matrix<f64>,
    /// Posterior over the orphan diseases and, in the last column, one that nobody has seen:
    /// `n x (orphans + 1)`, rows sum to 1.
    pub posterior: Matrix<f32>,
    /// |z - c|^2 / v of the nearest prototype of any disease, `n`: see [`Prototypes::p_value`].
    pub distance: Vec<f64>,
}

/// One possible orphan disease of a patient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearest<'a> {
    pub code: &'a str,
    /// Probability of this disease, given that it is an orphan disease.
    pub probability: f64,
}

impl Prototypes {
    /// Measures embedded patients against every prototype.
    ///
    /// # Errors
    /// When the points are of another embedding.
    pub fn margins(&self, z: &Embedded) -> Result<Margins> {
        z.check(&self.embedding)?;
        let ruler = Ruler::of(self);
        let n = z.rows();
        let mut margins = Margins {
            rarity: Vec::with_capacity(n),
            novelty: Matrix::zeros(n, ruler.watched.len()),
            posterior: Matrix::zeros(n, ruler.orphan.len() + ruler.new.len() + 1),
            distance: Vec::with_capacity(n),
        };
        let mut measured = ruler.measured();
        for (i, point) in z.points().iter().enumerate() {
            ruler.measure(point, &mut measured);
            let common = log_sum_exp(&measured.joint[ruler.common.clone()]);
            let limited = |log: f64| (log - common).clamp(-LIMIT, LIMIT);
            margins.rarity.push(limited(log_sum_exp(&measured.joint[ruler.orphan.clone()])));
            for (place, &disease) in margins.novelty.row_mut(i).iter_mut().zip(&ruler.watched) {
                *place = limited(measured.joint[disease]);
            }
            softmax(&measured.joint[ruler.orphan.start..], margins.posterior.row_mut(i));
            margins.distance.push(measured.nearest);
        }
        Ok(margins)
    }

    /// The `top` most probable orphan diseases by a row of [`Margins::posterior`], most probable first; the
    /// unknown one is not among them.
    pub fn nearest<'a>(&'a self, posterior: &[f32], top: usize) -> Vec<Nearest<'a>> {
        let paired = self.orphans().zip(posterior);
        let mut all: Vec<Nearest<'a>> =
            paired.map(|(disease, &p)| Nearest { code: &disease.code, probability: f64::from(p) }).collect();
        all.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        all.truncate(top);
        all
    }

    /// The open set's p-value of a [`Margins::distance`]: below 0.01, say, when fewer than one known case in a
    /// hundred lies as far from every prototype.
    pub fn p_value(&self, distance: f64) -> f64 {
        self.open_set.p_value(distance)
    }

    /// Fits the sharpness and the open set on counted cases, best on those that made neither embedding nor
    /// prototypes; [`Prototypes::fit`] has done it with its own.
    ///
    /// # Errors
    /// When shapes or embeddings do not fit, or no case is of a disease with a prototype.
    pub fn calibrate(&mut self, z: &Embedded, counts: &DiseaseCounts) -> Result<()> {
        z.check(&self.embedding)?;
        if counts.rows() != z.rows() {
            return Err(Error::shape("rows of the counts of diseases", z.rows(), counts.rows()));
        }
        let unscaled = Prototypes { sharpness: 1.0, ..self.clone() };
        let ruler = Ruler::of(&unscaled);
        let mut rows: Vec<(u32, usize, f64)> = Vec::new();
        for (disease, known) in counts.diseases().iter().enumerate() {
            if let Some(position) = ruler.position(&known.code) {
                rows.extend(counts.of(disease).iter().map(|&(row, count)| (row, position, count)));
            }
        }
        rows.sort_by_key(|&(row, position, _)| (row, position));
        let mut fit = Sharpness::new(&ruler);
        let mut distances = Vec::new();
        let mut measured = ruler.measured();
        for of_row in rows.chunk_by(|a, b| a.0 == b.0) {
            let Some(point) = of_row.first().and_then(|&(row, ..)| z.point(row as usize)) else { continue };
            ruler.measure(point, &mut measured);
            fit.measure(&measured.joint);
            of_row.iter().for_each(|&(_, position, count)| fit.label(position, count));
            distances.push((measured.nearest, of_row.iter().map(|&(.., count)| count).sum()));
        }
        if distances.is_empty() {
            return Err(Error::Invalid(
                "the prototypes cannot be calibrated without a case of their diseases".into(),
            ));
        }
        self.sharpness = fit.best();
        self.open_set = OpenSet::new(distances);
        Ok(())
    }
}

/// ln of the sum of the exponentials; minus infinity of nothing.
pub(super) fn log_sum_exp(logs: &[f64]) -> f64 {
    let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if highest == f64::NEG_INFINITY {
        return highest;
    }
    highest + logs.iter().map(|log| (log - highest).exp()).sum::<f64>().ln()
}

fn softmax(logs: &[f64], p: &mut [f32]) {
    let total = log_sum_exp(logs);
    p.iter_mut().zip(logs).for_each(|(p, log)| *p = (log - total).exp() as f32);
}
