//! Parents: how many cases equal one, and how far the others are.

use std::collections::BTreeSet;

use clinical::{Cell, Kind, Study};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Beside, Compared, Counted};
use crate::{
    figure::{Estimate, Figure},
    proportion::proportion,
};

/// Distances are measured for this many cases of a fold, drawn; all of them where they are fewer.
const MEASURED: u64 = 2000;

/// Share of the cases that equal a parent.
pub(super) fn copies(folds: &[Compared<'_>]) -> Beside {
    let share = |of: for<'a> fn(&Compared<'a>) -> Counted<'a>, because: &str| {
        let (mut equal, mut all) = (0, 0);
        for fold in folds.iter().filter(|fold| !fold.parents.is_empty()) {
            let parents: BTreeSet<Cell> = fold.parents.iter().map(|(cell, _)| *cell).collect();
            all += of(fold).iter().map(|(_, cases)| cases).sum::<u64>();
            equal += of(fold)
                .iter()
                .filter(|(cell, _)| parents.contains(cell))
                .map(|(_, cases)| cases)
                .sum::<u64>();
        }
        proportion(equal, all, because)
    };
    Beside {
        synthetic: share(|fold| fold.synthetic, "there is no synthetic case"),
        held_out: share(|fold| fold.held_out, "there is no real case to compare with"),
    }
}

/// Mean distance to the nearest parent.
pub(super) fn distances(study: &Study, folds: &[Compared<'_>], seed: u64) -> Beside {
    let mean = |of: for<'a> fn(&Compared<'a>) -> Counted<'a>, because: &str| {
        let mut distances = Vec::new();
        for fold in folds.iter().filter(|fold| !fold.parents.is_empty()) {
            let parents: Vec<Vec<usize>> =
                fold.parents.iter().map(|(cell, _)| study.domain().levels(*cell)).collect();
            for (cell, cases) in drawn(of(fold), seed) {
                let levels = study.domain().levels(cell);
                let to = parents.iter().map(|parent| distance(study, &levels, parent));
                distances.push((to.fold(f64::INFINITY, f64::min), cases as f64));
            }
        }
        let n = distances.iter().map(|(_, cases)| cases).sum::<f64>();
        if n == 0.0 {
            return Figure::undefined(because);
        }
        let value = distances.iter().map(|(d, cases)| d * cases).sum::<f64>() / n;
        let variance = distances.iter().map(|(d, cases)| (d - value).powi(2) * cases).sum::<f64>() / n;
        let half = 1.96 * (variance / n).sqrt();
        let (low, high) = ((value - half).max(0.0), (value + half).min(1.0));
        Figure::Measured(Estimate { value, low, high, n: n as u64 })
    };
    Beside {
        synthetic: mean(|fold| fold.synthetic, "there is no synthetic case"),
        held_out: mean(|fold| fold.held_out, "there is no real case to compare with"),
    }
}

/// Gower's distance, 0 to 1.
fn distance(study: &Study, a: &[usize], b: &[usize]) -> f64 {
    let of = |((feature, &a), &b): ((&clinical::Feature, &usize), &usize)| match feature.kind {
        Kind::Number { .. } => a.abs_diff(b) as f64 / (feature.dim() - 1).max(1) as f64,
        Kind::Code(_) | Kind::Category(_) => f64::from(u8::from(a != b)),
    };
    let features = study.features();
    features.iter().zip(a).zip(b).map(of).sum::<f64>() / features.len() as f64
}

/// At most [`MEASURED`] of the counted cases: every so-manieth from a drawn start on.
fn drawn(counted: Counted<'_>, seed: u64) -> Vec<(Cell, u64)> {
    let total: u64 = counted.iter().map(|(_, cases)| cases).sum();
    if total <= MEASURED {
        return counted.to_vec();
    }
    let step = total as f64 / MEASURED as f64;
    let start = (ChaCha8Rng::seed_from_u64(seed).next_u64() >> 11) as f64 * 2f64.powi(-53) * step;
    let (mut next, mut below, mut chosen) = (start, 0.0, Vec::new());
    for &(cell, cases) in counted {
        below += cases as f64;
        let mut taken = 0;
        while next < below {
            taken += 1;
            next += step;
        }
        if taken > 0 {
            chosen.push((cell, taken));
        }
    }
    chosen
}
