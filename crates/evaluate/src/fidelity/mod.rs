//! How like real cases synthetic ones are, and whether they are more than copies.
//!
//! Everything is compared with real cases that had no part in the making: in a cross-fit, with the fold that was left
//! out. Over all folds every real case is then a measure once.
//!
//! In a finite domain a synthetic case may equal a real one by right: two real patients do so too. Therefore the share
//! of exact copies stands beside the share of *held-out real* cases that equal one of the same parents. Above it, the
//! synthetic cases repeat their parents; at it, they do what new patients would do.

mod discriminator;
mod likeness;
mod nearest;

use std::collections::BTreeMap;

use clinical::{Cell, Study};
use serde::{Deserialize, Serialize};

use crate::{bootstrap::Bootstrap, error::Result, figure::Figure};

pub use likeness::{Likeness, Measure};

/// Counted cases of one group, by possible patient.
pub type Counted<'a> = &'a [(Cell, u64)];

/// Cases of one fold of a cross-fit.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// Real cases that the synthetic ones were made of.
    pub parents: Counted<'a>,
    /// Real cases that were left out.
    pub held_out: Counted<'a>,
    pub synthetic: Counted<'a>,
}

/// The report on the synthetic cases of one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Real cases, each once.
    pub real: u64,
    /// Synthetic cases, of all folds.
    pub synthetic: u64,
    /// One per feature.
    pub columns: Vec<Likeness>,
    /// One per pair of features.
    pub pairs: Vec<Likeness>,
    /// ROC area of boosted trees of depth 2 that tell synthetic from real cases, cross-validated: 0.5 where they cannot,
    /// 1 where they always can (a classifier two-sample test, Lopez-Paz and Oquab 2017).
    pub discriminator_auc: Figure,
    /// Share of the cases that equal a parent.
    pub copies: Beside,
    /// Mean distance to the nearest parent: the mean over features of the difference as a share of the range (numbers)
    /// or 0 or 1 (codes and categories), after Gower 1971.
    pub nearest_parent: Beside,
}

/// A figure of the synthetic cases beside the same figure of real cases that were left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    pub synthetic: Figure,
    pub held_out: Figure,
}

/// Compares the synthetic cases of one group with the real ones, over all folds. The same counts and seed give the same
/// report. Figures without cases to rest on are undefined, with the reason.
///
/// # Errors
/// [`crate::Error::TooMany`] beyond 2^53 cases.
pub fn compare(study: &Study, folds: &[Compared<'_>], bootstrap: &Bootstrap) -> Result<Fidelity> {
    let both = Both::of(study, folds)?;
    let (columns, pairs) = likeness::compare(study, &both, bootstrap)?;
    Ok(Fidelity {
        real: both.real.iter().sum(),
        synthetic: both.synthetic.iter().sum(),
        columns,
        pairs,
        discriminator_auc: discriminator::auc(study, &both, bootstrap.seed),
        copies: nearest::copies(folds),
        nearest_parent: nearest::distances(study, folds, bootstrap.seed),
    })
}

/// The distinct patients of both kinds, with the cases of each.
struct Both {
    /// Level of every feature, one row per distinct patient.
    levels: Vec<Vec<usize>>,
    real: Vec<u64>,
    synthetic: Vec<u64>,
}

impl Both {
    fn of(study: &Study, folds: &[Compared<'_>]) -> Result<Both> {
        let mut by_cell: BTreeMap<Cell, (u64, u64)> = BTreeMap::new();
        let mut total = 0u64;
        for fold in folds {
            for &(cell, cases) in fold.held_out {
                by_cell.entry(cell).or_default().0 += cases;
                total = total.saturating_add(cases);
            }
            for &(cell, cases) in fold.synthetic {
                by_cell.entry(cell).or_default().1 += cases;
                total = total.saturating_add(cases);
            }
        }
        if total > 1 << 53 {
            return Err(crate::Error::TooMany);
        }
        Ok(Both {
            levels: by_cell.keys().map(|&cell| study.domain().levels(cell)).collect(),
            real: by_cell.values().map(|(real, _)| *real).collect(),
            synthetic: by_cell.values().map(|(_, synthetic)| *synthetic).collect(),
        })
    }

    /// Why there is nothing to compare.
    fn missing(&self) -> Option<&'static str> {
        let none = |counts: &[u64]| counts.iter().all(|count| *count == 0);
        match (none(&self.real), none(&self.synthetic)) {
            (_, true) => Some("there is no synthetic case"),
            (true, _) => Some("there is no real case to compare with"),
            _ => None,
        }
    }
}
