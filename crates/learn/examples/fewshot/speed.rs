//! CPU time of training and of a case more.

use anyhow::{Context, Result};
use learn::fewshot::{Disease, Embedding, Episodes, NoveltyBudget, Population, Prototypes};
use serde_json::{Value, json};

use crate::cpu;
use crate::data::Data;

pub(crate) fn train(data: &Data, episodes: usize, seed: u64) -> Result<Value> {
    let counts = data.counts(|_| true)?;
    let recipe = Episodes { episodes, seed, ..Episodes::default() };
    let (seconds, (_, losses)) = cpu::seconds(|| Ok(Embedding::train(&data.x, &counts, &recipe)?))?;
    Ok(json!({ "cpu_s": seconds, "loss": last(&losses) }))
}

/// Mean loss of the last fifth of the episodes.
pub(crate) fn last(losses: &[f32]) -> f64 {
    let last = &losses[losses.len() - losses.len() / 5..];
    last.iter().map(|&loss| f64::from(loss)).sum::<f64>() / last.len() as f64
}

/// Embedding every possible patient; then, with the points at hand, one case more: its prototype, all margins of
/// some thirty prototypes, the alarms of the new diseases.
pub(crate) fn refresh(data: &Data, seed: u64) -> Result<Value> {
    let counts = data.counts(|_| true)?;
    let recipe = Episodes { episodes: 200, seed, ..Episodes::default() };
    let (embedding, _) = Embedding::train(&data.x, &counts, &recipe)?;
    let (embed, points) = cpu::seconds(|| Ok(embedding.embed(&data.x)?))?;
    let (fit, mut prototypes) = cpu::seconds(|| Ok(Prototypes::fit(&points, &counts)?))?;
    let negatives = counts.by_row(|disease| !disease.orphan);
    let everyone = counts.by_row(|_| true);
    let alarmed = vec![false; data.x.rows()];
    let population = Population { negatives: &negatives, everyone: &everyone, alarmed: &alarmed };
    let mut step = |new: usize| -> Result<(f64, f64, f64)> {
        let row = (new * 7_919) % data.x.rows();
        let disease = Disease { code: format!("ORPHA:9{new:03}"), orphan: true };
        let point = embedding.embed(&data.x.select(&[row]))?;
        let (add, _) = cpu::seconds(|| Ok(prototypes.add(&disease, &format!("case-{new}"), &point)?))?;
        let (measure, margins) = cpu::seconds(|| Ok(prototypes.margins(&points)?))?;
        let (budget, _) = cpu::seconds(|| Ok(NoveltyBudget::default().fit(&margins.novelty, &population)?))?;
        Ok((add, measure, budget))
    };
    let wanted = 30usize.saturating_sub(counts.diseases().len()).max(1);
    let steps = (0..wanted).map(&mut step).collect::<Result<Vec<_>>>()?;
    let (add, measure, budget) = steps.last().context("no step")?;
    Ok(json!({
        "patients": data.x.rows(),
        "prototypes": counts.diseases().len() + wanted,
        "new": wanted,
        "embed_cpu_s": embed,
        "fit_cpu_s": fit,
        "add_cpu_s": add,
        "margins_cpu_s": measure,
        "budget_cpu_s": budget,
    }))
}
