//! How well the margins tell orphan diseases, known and new. The truth stays with the bench.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use learn::fewshot::{Disease, Embedded, Embedding, Episodes, NoveltyBudget, Population, Prototypes};
use serde_json::{Value, json};

use crate::data::Data;

/// Writes `rarity.f64` (of every possible patient, by an embedding of all cases), `rarity_mean.f64` (the mean of the folds'
/// embeddings) and `rarity_folds.f64` (folds x n, each by an embedding of the other folds).
pub(crate) fn margins(folder: &Path, seed: u64) -> Result<Value> {
    let data = Data::read(folder)?;
    let (embedding, points, prototypes) = fit(&data, seed, |_| true)?;
    std::fs::write(folder.join("embedding.safetensors"), embedding.to_bytes()?)?;
    data.write_f64("rarity.f64", &prototypes.margins(&points)?.rarity)?;
    let mut all = Vec::new();
    let mut mean = vec![0.0; data.x.rows()];
    for fold in 0..data.folds() {
        let (_, points, mut prototypes) = fit(&data, seed + 1 + fold as u64, |other| other != fold)?;
        prototypes.calibrate(&points, &data.counts(|own| own == fold)?)?;
        let rarity = prototypes.margins(&points)?.rarity;
        mean.iter_mut().zip(&rarity).for_each(|(sum, r)| *sum += r / data.folds() as f64);
        all.extend(rarity);
    }
    data.write_f64("rarity_folds.f64", &all)?;
    data.write_f64("rarity_mean.f64", &mean)?;
    Ok(json!({ "sharpness": prototypes.sharpness(), "folds": data.folds() }))
}

fn fit(data: &Data, seed: u64, keep: impl Fn(usize) -> bool) -> Result<(Embedding, Embedded, Prototypes)> {
    let counts = data.counts(keep)?;
    let (embedding, _) = Embedding::train(&data.x, &counts, &Episodes { seed, ..Episodes::default() })?;
    let points = embedding.embed(&data.x)?;
    let prototypes = Prototypes::fit(&points, &counts)?;
    Ok((embedding, points, prototypes))
}

/// For every draw of cases of new diseases: recall of each and the share of all patients that is alarmed.
///
/// Reads the embedding that [`margins`] wrote; `alarmed.u32`: whether the gate alarms a patient already;
/// `sick.u32`: whether it would not be called healthy; `truth.f64`: p(patient | disease) of every new disease, then p(patient);
/// `draws.u32`: draws x new diseases x shots rows; `novel.json`: codes, shots, budgets.
pub(crate) fn novel(folder: &Path, seed: u64) -> Result<Value> {
    let data = Data::read(folder)?;
    let settings: Settings = serde_json::from_str(&std::fs::read_to_string(folder.join("novel.json"))?)?;
    let embedding = Embedding::from_bytes(&std::fs::read(folder.join("embedding.safetensors"))?)?;
    let counts = data.counts(|_| true)?;
    let points = embedding.embed(&data.x)?;
    let known = Prototypes::fit(&points, &counts)?;
    let n = data.x.rows();
    let truth = data.read_f64("truth.f64")?;
    ensure!(truth.len() == (settings.codes.len() + 1) * n, "truth.f64 has another length");
    let truth: Vec<&[f64]> = truth.chunks_exact(n).collect();
    let flags =
        |name| -> Result<Vec<bool>> { Ok(data.read_u32(name)?.into_iter().map(|flag| flag != 0).collect()) };
    let (gate, sick) = (flags("alarmed.u32")?, flags("sick.u32")?);
    let negatives = counts.by_row(|disease| !disease.orphan);
    let everyone = counts.by_row(|_| true);
    let draws = data.read_u32("draws.u32")?;
    let mut answers = Vec::new();
    for draw in draws.chunks_exact(settings.codes.len() * settings.shots) {
        let mut prototypes = known.clone();
        for (code, rows) in settings.codes.iter().zip(draw.chunks_exact(settings.shots.max(1))) {
            let disease = Disease { code: code.clone(), orphan: true };
            for (shot, &row) in rows.iter().enumerate() {
                let point = embedding.embed(&data.x.select(&[row]))?;
                prototypes.add(&disease, &format!("{code}-{shot}"), &point)?;
            }
        }
        let margins = prototypes.margins(&points)?;
        let mut alarmed = gate.clone();
        for ((alarmed, &sick), &distance) in alarmed.iter_mut().zip(&sick).zip(&margins.distance) {
            *alarmed |= sick && prototypes.p_value(distance) < settings.open_set;
        }
        let population = Population { negatives: &negatives, everyone: &everyone, alarmed: &alarmed };
        let alarm = settings.budget.fit(&margins.novelty, &population)?;
        let before = share(&alarmed, truth[settings.codes.len()]);
        for (i, alarmed) in alarmed.iter_mut().enumerate() {
            *alarmed |= alarm.raised(margins.novelty.row(i));
        }
        let mut top = [vec![0.0; settings.codes.len()], vec![0.0; settings.codes.len()]];
        for (j, code) in settings.codes.iter().enumerate() {
            for (i, &p) in truth[j].iter().enumerate().filter(|(_, p)| **p > 1e-12) {
                let nearest = prototypes.nearest(margins.posterior.row(i), 3);
                let place = nearest.iter().position(|nearest| nearest.code == code);
                top[0][j] += if place == Some(0) { p } else { 0.0 };
                top[1][j] += if place.is_some() { p } else { 0.0 };
            }
        }
        let recall: Vec<f64> = (0..settings.codes.len()).map(|j| share(&alarmed, truth[j])).collect();
        answers.push(json!({
            "recall": recall,
            "alerts": share(&alarmed, truth.last().context("no truth")?),
            "alerts_before": before,
            "each": alarm.each,
            "top1": top[0],
            "top3": top[1],
        }));
    }
    Ok(json!({ "seed": seed, "draws": answers }))
}

fn share(alarmed: &[bool], weights: &[f64]) -> f64 {
    alarmed.iter().zip(weights).filter(|(alarmed, _)| **alarmed).map(|(_, weight)| weight).sum()
}

#[derive(serde::Deserialize)]
struct Settings {
    codes: Vec<String>,
    shots: usize,
    budget: NoveltyBudget,
    /// The open set alarms below this p-value.
    open_set: f64,
}
