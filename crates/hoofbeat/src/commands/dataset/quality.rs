//! `hoofbeat dataset quality`: how good the rows were, by ingest and source.

use std::collections::BTreeMap;

use ::evaluate::DigitPreference;
use anyhow::{Result, bail};
use clinical::Study;
use clinical::quality::{FieldQuality, QualityByFile, QualityProfile};
use clinical::study::Accepts;
use lake::IngestRecord;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::deployment::Deployment;
use crate::output;

/// What was measured at an ingest; `None` of one that an earlier version of the program made.
pub(super) fn of(record: &IngestRecord) -> Option<QualityByFile> {
    serde_json::from_value(record.quality.clone()?).ok()
}

pub(super) fn run(
    global: &Global,
    deployment: &Deployment,
    source: Option<&str>,
    ingest: Option<&str>,
) -> Result<()> {
    let study = deployment.study.as_ref();
    let records = deployment.lake.ingests()?;
    let wanted = |record: &&IngestRecord| {
        source.is_none_or(|source| record.source == source)
            && ingest.is_none_or(|ingest| record.ingest_id.to_string().starts_with(ingest))
    };
    let found: Vec<&IngestRecord> = records.iter().filter(wanted).collect();
    if found.is_empty() {
        bail!("no ingest is of this source or number; `hoofbeat dataset list` names them");
    }
    let mut by_source: BTreeMap<&str, QualityProfile> = BTreeMap::new();
    for record in &found {
        let total = of(record).unwrap_or_default().total();
        by_source.entry(&record.source).or_default().add(&total);
    }
    let ingests: Vec<Value> = found
        .iter()
        .map(|record| {
            json!({
                "ingest_id": record.ingest_id, "source": record.source, "dataset_version": record.dataset_version,
                "files": of(record).as_ref().map(|quality| json!(files(study, quality))),
            })
        })
        .collect();
    let sources: BTreeMap<&str, Value> =
        by_source.iter().map(|(name, profile)| (*name, value(study, profile))).collect();
    output::print(global.json, &json!({ "sources": sources, "ingests": ingests }), || {
        let sources = by_source.iter().map(|(name, profile)| format!("{name}\n{}", text(study, profile)));
        let mut texts: Vec<String> = sources.collect();
        // Of one ingest, each file too.
        for quality in found.iter().filter(|_| ingest.is_some()).filter_map(|record| of(record)) {
            texts.extend(
                quality.files.iter().map(|(name, profile)| format!("{name}\n{}", text(study, profile))),
            );
        }
        texts.join("\n\n")
    })
}

fn files<'q>(study: &Study, quality: &'q QualityByFile) -> BTreeMap<&'q str, Value> {
    quality.files.iter().map(|(name, profile)| (name.as_str(), value(study, profile))).collect()
}

/// A profile with what follows from its counts.
fn value(study: &Study, profile: &QualityProfile) -> Value {
    let preference: BTreeMap<&str, DigitPreference> = profile
        .fields
        .iter()
        .filter_map(|(name, field)| Some((name.as_str(), digits(study, name, field)?)))
        .collect();
    json!({ "profile": profile, "digit_preference": preference })
}

/// Of numbers that are read off an instrument: those are the ones that have a usual range. Ages and days have
/// favourite digits of their own.
fn digits(study: &Study, name: &str, field: &FieldQuality) -> Option<DigitPreference> {
    let measured = matches!(study.input(name)?.accepts, Accepts::Number { usual: Some(_), .. });
    DigitPreference::of(&field.values.as_ref().filter(|_| measured)?.last_digits()?)
}

/// One profile for people.
pub(in crate::commands) fn text(study: &Study, profile: &QualityProfile) -> String {
    let QualityProfile { rows, accepted, duplicates, refused, skipped, .. } = profile;
    let mut lines = vec![format!(
        "{rows} rows: {accepted} accepted ({duplicates} of them stored already), {refused} refused, {skipped} left out"
    )];
    let share = |count: u64| format!("{count} ({:.1} %)", 100.0 * count as f64 / (*rows).max(1) as f64);
    let count = |field: &FieldQuality, code: &str| field.issues.get(code).copied().unwrap_or(0);
    let header = [
        "field",
        "missing",
        "out of range",
        "unknown code",
        "wrong type",
        "inconsistent",
        "swapped",
        "ends in 0 or 5",
    ];
    let mut table = vec![header.map(str::to_owned).to_vec()];
    for (name, field) in &profile.fields {
        let mut row = vec![name.clone()];
        row.extend(
            ["missing", "out_of_range", "unknown_code", "wrong_type", "inconsistent"]
                .map(|code| share(count(field, code))),
        );
        row.push(share(field.swapped));
        row.push(match digits(study, name, field) {
            Some(found) if found.is_marked() => {
                format!("{:.0} %, effect {:.2} (preferred)", 100.0 * found.share_0_5, found.effect)
            }
            Some(found) => format!("{:.0} %", 100.0 * found.share_0_5),
            None => String::new(),
        });
        table.push(row);
    }
    lines.push(output::table(&table));
    lines.join("\n")
}
