//! The prototypes, laid out to measure many points.

use std::ops::Range;

use super::network::DIM;
use super::prototype::Place;
use super::prototypes::{Prototype, Prototypes};
use crate::prior::Weighed;

/// Prototypes that are measured at a time.
const LANES: usize = 8;

/// Common diseases first, then trained orphan ones, new ones, and the one that nobody has seen.
#[derive(Debug)]
pub(super) struct Ruler<'a> {
    codes: Vec<&'a str>,
    pub(super) common: Range<usize>,
    pub(super) orphan: Range<usize>,
    pub(super) new: Range<usize>,
    /// Those with an alarm of their own.
    pub(super) watched: Vec<usize>,
    blocks: Vec<Block>,
    log_weights: Vec<f64>,
}

#[derive(Debug, Clone)]
struct Block {
    /// Centres, dimension by dimension.
    centres: [[f64; LANES]; DIM],
    /// 1 / v.
    inverse_spread: [f64; LANES],
    /// Not so the unknown disease, and padding.
    neighbour: [bool; LANES],
    /// t / 2 v.
    slope: [f64; LANES],
    /// ln w - t (dim / 2) ln v.
    offset: [f64; LANES],
}

/// What one point measures.
#[derive(Debug)]
pub(super) struct Measured {
    /// l_j + ln w_j of every disease, and of the unknown one at the end.
    pub(super) joint: Vec<f64>,
    /// |z - c|^2 / v of the nearest prototype.
    pub(super) nearest: f64,
}

impl<'a> Ruler<'a> {
    pub(super) fn of(prototypes: &'a Prototypes) -> Ruler<'a> {
        let mut ruler = Ruler {
            codes: Vec::new(),
            common: 0..0,
            orphan: 0..0,
            new: 0..0,
            watched: Vec::new(),
            blocks: Vec::new(),
            log_weights: Vec::new(),
        };
        // A new disease is taken to be as frequent as a typical one until its cases say more: it is new, not rarer.
        let cases = |place: &Place, trained: bool| {
            if trained { place.count } else { place.count.max(prototypes.typical) }
        };
        let weighed = prototypes.prototypes.iter().map(|one| Weighed {
            code: Some(&one.disease.code),
            orphan: one.disease.orphan,
            cases: cases(&one.place, one.trained),
        });
        let weights = prototypes.prior.weights(&weighed.collect::<Vec<_>>());
        let all = prototypes.prototypes.iter().zip(weights);
        for (orphan, trained) in [(false, true), (true, true), (true, false)] {
            let here =
                |(one, _): &(&'a Prototype, f64)| one.disease.orphan == orphan && one.trained == trained;
            for (prototype, weight) in all.clone().filter(here) {
                let weight = weight / prototypes.cases;
                ruler.watched.extend(prototype.watched.then_some(ruler.codes.len()));
                ruler.push(&prototype.disease.code, &prototype.place, weight, prototypes.sharpness, true);
            }
            match (orphan, trained) {
                (false, _) => ruler.common = 0..ruler.codes.len(),
                (true, true) => ruler.orphan = ruler.common.end..ruler.codes.len(),
                (true, false) => ruler.new = ruler.orphan.end..ruler.codes.len(),
            }
        }
        let unknown =
            Place { centre: prototypes.orphan.centre, spread: prototypes.unknown_spread, count: 0.0 };
        let weight = prototypes.typical / prototypes.cases;
        ruler.push("", &unknown, weight, prototypes.sharpness, false);
        ruler
    }

    fn push(&mut self, code: &'a str, place: &Place, weight: f64, sharpness: f64, neighbour: bool) {
        let lane = self.codes.len() % LANES;
        if lane == 0 {
            let none = Block {
                centres: [[0.0; LANES]; DIM],
                inverse_spread: [0.0; LANES],
                neighbour: [false; LANES],
                slope: [0.0; LANES],
                offset: [f64::NEG_INFINITY; LANES],
            };
            self.blocks.push(none);
        }
        self.codes.push(code);
        self.log_weights.push(weight.ln());
        let Some(block) = self.blocks.last_mut() else { return };
        block.centres.iter_mut().zip(place.centre).for_each(|(lanes, c)| lanes[lane] = c);
        block.inverse_spread[lane] = 1.0 / place.spread;
        block.neighbour[lane] = neighbour && weight > 0.0;
        block.slope[lane] = sharpness / (2.0 * place.spread);
        block.offset[lane] = weight.ln() - sharpness * (DIM as f64 / 2.0) * place.spread.ln();
    }

    /// Position of a disease among the measured ones.
    pub(super) fn position(&self, code: &str) -> Option<usize> {
        self.codes.iter().take(self.new.end).position(|known| *known == code)
    }

    /// ln w of everything that is measured.
    pub(super) fn log_weights(&self) -> &[f64] {
        &self.log_weights
    }

    pub(super) fn measured(&self) -> Measured {
        Measured { joint: vec![0.0; self.codes.len()], nearest: 0.0 }
    }

    pub(super) fn measure(&self, point: &[f32; DIM], measured: &mut Measured) {
        let mut nearest = [f64::INFINITY; LANES];
        for (block, joint) in self.blocks.iter().zip(measured.joint.chunks_mut(LANES)) {
            let mut squared = [0.0; LANES];
            for (&z, centres) in point.iter().zip(&block.centres) {
                let z = f64::from(z);
                for lane in 0..LANES {
                    let difference = z - centres[lane];
                    squared[lane] += difference * difference;
                }
            }
            for lane in 0..LANES {
                let scaled = squared[lane] * block.inverse_spread[lane];
                nearest[lane] = nearest[lane].min(if block.neighbour[lane] { scaled } else { f64::INFINITY });
                squared[lane] = block.offset[lane] - block.slope[lane] * squared[lane];
            }
            joint.iter_mut().zip(squared).for_each(|(place, log)| *place = log);
        }
        measured.nearest = nearest.into_iter().fold(f64::INFINITY, f64::min);
    }
}
