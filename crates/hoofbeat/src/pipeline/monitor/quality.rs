//! The quality of what comes in, source by source: how much is refused and why, and pressures that arrive swapped.
//!
//! A device or an interface that exchanges two values shows as one source whose rows are refused because the higher
//! value is not the higher one, while other sources go on as before.

use std::collections::BTreeMap;

use clinical::Study;
use clinical::quality::QualityByFile;
use evaluate::{Estimate, Figure, Light, clopper_pearson};
use lake::IngestRecord;
use serde::Serialize;
use time::OffsetDateTime;

/// Share of exchanged pairs from which on a source is looked at; by mistyping alone it stays well below.
pub(super) const SWAPPED: f64 = 0.02;
/// Share of rows refused for anything else.
pub(super) const REFUSED: f64 = 0.05;

/// What came in during a window.
#[derive(Debug, Serialize)]
pub struct Quality {
    pub sources: Vec<SourceQuality>,
    pub limits: QualityLimits,
}

#[derive(Debug, Serialize)]
pub struct QualityLimits {
    pub swapped: f64,
    pub refused: f64,
}

/// One source in the window, beside itself before it.
#[derive(Debug, Serialize)]
pub struct SourceQuality {
    pub source: String,
    pub ingests: u64,
    pub accepted: u64,
    pub refused: u64,
    pub duplicates: u64,
    /// Refused rows by reason (`field:code`); a row counts once for each of its reasons.
    pub reasons: BTreeMap<String, u64>,
    /// Share of the new rows that were refused for anything but exchanged values.
    pub refused_share: Share,
    /// Share of the new rows whose higher value (the systolic pressure) is not the higher one.
    pub swapped_share: Share,
}

/// A share in the window and before, and what it means.
#[derive(Debug, Serialize)]
pub struct Share {
    pub now: Figure,
    pub before: Figure,
    pub light: Light,
}

#[derive(Debug, Default, Clone)]
struct Counts {
    ingests: u64,
    accepted: u64,
    refused: u64,
    duplicates: u64,
    swapped: u64,
    reasons: BTreeMap<String, u64>,
}

impl Counts {
    fn add(&mut self, ingest: &IngestRecord, pairs: &[String]) {
        self.swapped += swapped(ingest, pairs);
        self.ingests += 1;
        self.accepted += ingest.accepted;
        self.refused += ingest.quarantined;
        self.duplicates += ingest.duplicates;
        for (reason, rows) in &ingest.reasons {
            *self.reasons.entry(reason.clone()).or_default() += rows;
        }
    }

    fn share(&self, hits: u64) -> Figure {
        let n = self.accepted + self.refused;
        match clopper_pearson(hits, n) {
            Some((low, high)) => Figure::Measured(Estimate { value: hits as f64 / n as f64, low, high, n }),
            None => Figure::undefined("no new row"),
        }
    }
}

/// `ingests`: all that there were. What came before `from` is what a source is compared with.
pub(super) fn of_window(
    study: &Study,
    ingests: &[IngestRecord],
    from: OffsetDateTime,
    to: OffsetDateTime,
) -> Quality {
    let pairs = ordered_pairs(study);
    let (mut now, mut before): (BTreeMap<&str, Counts>, BTreeMap<&str, Counts>) = Default::default();
    for ingest in ingests.iter().filter(|ingest| ingest.created_at < to) {
        let of = if ingest.created_at < from { &mut before } else { &mut now };
        of.entry(&ingest.source).or_default().add(ingest, &pairs);
    }
    let sources = now.into_iter().map(|(source, counts)| {
        let earlier = before.get(source).cloned().unwrap_or_default();
        let (swapped, was_swapped) = (counts.swapped, earlier.swapped);
        SourceQuality {
            source: source.to_owned(),
            refused_share: judged(
                counts.share(counts.refused - swapped),
                earlier.share(earlier.refused - was_swapped),
                REFUSED,
            ),
            swapped_share: judged(counts.share(swapped), earlier.share(was_swapped), SWAPPED),
            ingests: counts.ingests,
            accepted: counts.accepted,
            refused: counts.refused,
            duplicates: counts.duplicates,
            reasons: counts.reasons,
        }
    });
    Quality { sources: sources.collect(), limits: QualityLimits { swapped: SWAPPED, refused: REFUSED } }
}

/// New refused rows whose pair would be accepted the other way round, as their ingest counted them; of an ingest that counted
/// nothing, those whose pair is wrong.
fn swapped(ingest: &IngestRecord, pairs: &[String]) -> u64 {
    let counted = ingest.quality.clone().and_then(|kept| serde_json::from_value::<QualityByFile>(kept).ok());
    let rows = match counted.map(|counted| counted.total()) {
        Some(total) => {
            let swapped: u64 = total.fields.values().map(|field| field.swapped).sum();
            // It counted all refused rows, also those that were in quarantine already: of these, as large a part.
            match total.refused {
                refused if refused <= ingest.quarantined => swapped,
                refused => {
                    (u128::from(swapped) * u128::from(ingest.quarantined) / u128::from(refused)) as u64
                }
            }
        }
        None => pairs.iter().filter_map(|reason| ingest.reasons.get(reason)).sum(),
    };
    rows.min(ingest.quarantined)
}

/// The reasons that say that a value is not greater than the one it must be greater than.
fn ordered_pairs(study: &Study) -> Vec<String> {
    let features = study.features().iter().filter(|feature| feature.descending);
    features
        .flat_map(|feature| study.inputs_of(feature))
        .map(|input| format!("{}:{}", input.name, clinical::IssueCode::Inconsistent.as_str()))
        .collect()
}

/// Red when the share is surely above the limit and above what the source had before; amber when it is, but perhaps by chance.
fn judged(now: Figure, before: Figure, limit: f64) -> Share {
    let light = match (now.estimate(), before.estimate()) {
        (None, _) => Light::Grey,
        (Some(e), was) => {
            let above = |share: f64| share >= limit && was.is_none_or(|was| share > was.high);
            if above(e.low) {
                Light::Red
            } else if above(e.value) {
                Light::Amber
            } else {
                Light::Green
            }
        }
    };
    Share { now, before, light }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    fn ingest(source: &str, at: OffsetDateTime, accepted: u64, reasons: &[(&str, u64)]) -> IngestRecord {
        IngestRecord {
            ingest_id: Uuid::nil(),
            dataset_version: 1,
            parent: None,
            released: 0,
            created_at: at,
            source: source.to_owned(),
            files: Vec::new(),
            accepted,
            quarantined: reasons.iter().map(|(_, rows)| rows).sum(),
            duplicates: 0,
            outcomes: Vec::new(),
            sources: BTreeMap::new(),
            reasons: reasons.iter().map(|(reason, rows)| ((*reason).to_owned(), *rows)).collect(),
            inputs: Vec::new(),
            note: None,
            quality: None,
        }
    }

    #[test]
    fn the_source_that_swaps_is_named_and_the_others_are_not() {
        let (before, now) = (datetime!(2026-01-10 0:00 UTC), datetime!(2026-02-10 0:00 UTC));
        let ingests = [
            ingest("ward", before, 500, &[("systolic_mmhg:inconsistent", 1)]),
            ingest("ward", now, 500, &[("systolic_mmhg:inconsistent", 2), ("age_years:missing", 3)]),
            ingest("er", before, 500, &[("age_years:missing", 40)]),
            ingest("er", now, 400, &[("systolic_mmhg:inconsistent", 80), ("age_years:missing", 40)]),
            ingest("new", now, 90, &[("gender:unknown_code", 30)]),
            ingest("small", now, 9, &[("systolic_mmhg:inconsistent", 1)]),
            ingest("late", datetime!(2026-03-10 0:00 UTC), 1, &[]),
        ];
        let study = clinical::Study::default_study();
        let (from, to) = (datetime!(2026-02-01 0:00 UTC), datetime!(2026-03-01 0:00 UTC));
        let found = of_window(study, &ingests, from, to);
        let lights: Vec<(&str, Light, Light)> = found
            .sources
            .iter()
            .map(|one| (one.source.as_str(), one.swapped_share.light, one.refused_share.light))
            .collect();
        // The emergency room had as many missing ages before: that is not new.
        let expected = [
            ("er", Light::Red, Light::Green),
            ("new", Light::Green, Light::Red),
            ("small", Light::Amber, Light::Green),
            ("ward", Light::Green, Light::Green),
        ];
        assert_eq!(lights, expected);
    }
}
