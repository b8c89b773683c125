//! GA4GH Phenopackets, version 2, as JSON (Jacobsen et al. 2022) -> rows of cases: one per packet, of one disease.
//!
//! A packet says who (sex, age at the last encounter), what was found (HPO terms, measurements by LOINC codes) and
//! which disease was diagnosed. What a study requires beyond that, a file of packets lacks.

use std::{fmt::Write as _, sync::Arc};

use clinical::{Issue, IssueCode, Study};
use serde::Deserialize;

use crate::{
    FileError, Mapping,
    built::{BuiltRecord, Place, Shared, Value},
    case_file::{Cells, Content, Record, Records, stream_error},
    fhir::{AnyValue, Coding, Concept, Found, Leaf, Plan, Quantity, Source, reading},
    split::{Part, Splitter, has_key},
};

/// Whether the beginning of a JSON text is one of a phenopacket.
pub(crate) fn is_phenopacket(first: &[u8]) -> bool {
    let keys = [
        "phenotypicFeatures",
        "phenotypic_features",
        "phenopacketSchemaVersion",
        "phenopacket_schema_version",
    ];
    keys.iter().any(|key| has_key(first, key))
        || (has_key(first, "subject")
            && ["interpretations", "metaData"].iter().any(|key| has_key(first, key)))
}

/// The packets of one file.
pub(crate) struct PacketRecords {
    plan: Plan,
    shared: Arc<Shared>,
    splitter: Splitter,
    row: Option<BuiltRecord>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Packet {
    id: Option<String>,
    subject: Option<Individual>,
    #[serde(default, alias = "phenotypic_features")]
    phenotypic_features: Vec<Feature>,
    #[serde(default)]
    measurements: Vec<Measurement>,
    #[serde(default)]
    diseases: Vec<DiseaseTerm>,
    #[serde(default)]
    interpretations: Vec<Interpretation>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Individual {
    id: Option<String>,
    sex: Option<String>,
    #[serde(alias = "time_at_last_encounter")]
    time_at_last_encounter: Option<TimeElement>,
}

#[derive(Deserialize)]
struct TimeElement {
    age: Option<Age>,
}

#[derive(Deserialize)]
struct Age {
    iso8601duration: Option<String>,
}

#[derive(Deserialize)]
struct Feature {
    #[serde(rename = "type")]
    kind: Option<Term>,
    #[serde(default)]
    excluded: bool,
}

#[derive(Deserialize)]
struct Measurement {
    assay: Option<Term>,
    value: Option<Measured>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    quantity: Option<Amount>,
    #[serde(alias = "ontology_class")]
    ontology_class: Option<Term>,
}

#[derive(Deserialize)]
struct Amount {
    #[serde(default)]
    value: Leaf,
    unit: Option<Term>,
}

#[derive(Deserialize)]
struct DiseaseTerm {
    term: Option<Term>,
    #[serde(default)]
    excluded: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Interpretation {
    #[serde(alias = "progress_status")]
    progress_status: Option<Leaf>,
    diagnosis: Option<Diagnosis>,
}

#[derive(Deserialize)]
struct Diagnosis {
    disease: Option<Term>,
}

#[derive(Deserialize)]
struct Term {
    id: Option<String>,
    label: Option<String>,
}

impl PacketRecords {
    /// # Errors
    /// A value of the mapping has no code.
    pub(crate) fn open(part: Part, study: &Study, mapping: Option<&Mapping>) -> Result<Self, FileError> {
        let mut plan = Plan::new(study, mapping)?;
        // What a packet never tells is not a column of it: the file then says that it lacks it.
        let said = |source: &Source| {
            use Source::{AgeYears, CaseId, ConditionCode, Findings, Gender, PatientId, Value};
            matches!(source, CaseId | PatientId | Gender | AgeYears | ConditionCode | Findings | Value(_))
        };
        let columns = plan.header.into_iter().zip(plan.sources).filter(|(_, source)| said(source));
        (plan.header, plan.sources) = columns.unzip();
        plan.header.push("disease_code".to_owned());
        plan.sources.push(Source::ConditionCode);
        let shared = Arc::new(Shared { header: plan.header.clone(), files: vec![part.name] });
        let splitter = Splitter::open(part.reader, part.by_line).map_err(stream_error)?;
        Ok(PacketRecords { plan, shared, splitter, row: None })
    }

    pub(crate) fn header(&self) -> &[String] {
        &self.plan.header
    }
}

impl Records for PacketRecords {
    fn next_record(&mut self) -> Result<Option<Record<'_>>, FileError> {
        let Some(piece) = self.splitter.next_piece().map_err(stream_error)? else {
            return Ok(None);
        };
        let place = piece.place(0);
        let packet = piece.text().and_then(|text| {
            serde_json::from_str::<Packet>(text).map_err(|error| malformed(error.column(), text))
        });
        match packet {
            Err(broken) => Ok(Some(Record { file: 0, line: place.line, content: Content::Broken(broken) })),
            Ok(packet) => {
                self.row = Some(row(&self.plan, &self.shared, place, &packet));
                Ok(self.row.as_ref().map(|row| Record {
                    file: 0,
                    line: place.line,
                    content: Content::Cells(Cells::Built(row)),
                }))
            }
        }
    }

    fn ignored(&self) -> Vec<String> {
        Vec::new()
    }
}

fn malformed(column: usize, text: &str) -> crate::case_file::Broken {
    let issue = Issue::new("row", IssueCode::WrongType).expecting(
        format!("un Phenopacket v2 bien formado (carácter {column})"),
        format!("a well-formed Phenopacket v2 (character {column})"),
    );
    crate::case_file::Broken::new(vec![issue], text.as_bytes())
}

fn row(plan: &Plan, shared: &Arc<Shared>, place: Place, packet: &Packet) -> BuiltRecord {
    let mut issues = Vec::new();
    let nobody = Individual::default();
    let subject = packet.subject.as_ref().unwrap_or(&nobody);
    let codes = diagnosed(packet);
    if codes.len() > 1 {
        issues.push(
            Issue::new("disease_code", IssueCode::Inconsistent)
                .expecting("una sola enfermedad diagnosticada", "one diagnosed disease"),
        );
    }
    let mut observed = vec![Value::Missing; plan.values.len()];
    for measurement in &packet.measurements {
        measure(plan, measurement, &mut observed, &mut issues);
    }
    let cell = |source: &Source| match source {
        Source::CaseId => packet.id.clone().into(),
        Source::PatientId => subject.id.clone().into(),
        Source::Gender => subject.sex.as_deref().and_then(sex).map(str::to_owned).into(),
        Source::AgeYears => age(subject),
        Source::ConditionCode => codes.first().cloned().into(),
        Source::Findings => findings(packet),
        Source::Value(place) => observed.get(*place).cloned().unwrap_or(Value::Missing),
        _ => Value::Missing,
    };
    let values = plan.sources.iter().map(cell).collect();
    BuiltRecord { shared: shared.clone(), place, values, used: vec![place], issues }
}

/// The confirmed diseases: of the interpretations that came to an end, else, where there are none, of the list of diseases.
fn diagnosed(packet: &Packet) -> Vec<String> {
    let solved = |one: &&Interpretation| {
        let status = one.progress_status.as_ref().and_then(Leaf::text).unwrap_or_default();
        ["SOLVED", "COMPLETED"].contains(&status)
    };
    let terms: Vec<&Term> = match packet.interpretations.is_empty() {
        true => {
            packet.diseases.iter().filter(|one| !one.excluded).filter_map(|one| one.term.as_ref()).collect()
        }
        false => {
            let ended = packet.interpretations.iter().filter(solved);
            ended.filter_map(|one| one.diagnosis.as_ref()?.disease.as_ref()).collect()
        }
    };
    let mut codes: Vec<String> = terms.into_iter().filter_map(|term| term.id.as_deref()).map(coded).collect();
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// A code as disease codes write it: Orphanet's are called in three ways.
fn coded(id: &str) -> String {
    match id.split_once(':') {
        Some(("Orphanet" | "ORPHANET" | "ORDO", code)) => format!("ORPHA:{code}"),
        _ => id.to_owned(),
    }
}

fn sex(text: &str) -> Option<&'static str> {
    match text {
        "FEMALE" => Some("female"),
        "MALE" => Some("male"),
        "OTHER_SEX" => Some("other"),
        _ => None,
    }
}

/// Completed years at the last encounter.
fn age(subject: &Individual) -> Value {
    let element = subject.time_at_last_encounter.as_ref().and_then(|time| time.age.as_ref());
    match element.and_then(|age| age.iso8601duration.as_deref()) {
        None => Value::Missing,
        // What is no duration stays as it is, and is refused as no number.
        Some(text) => years(text).map_or_else(|| Value::Text(text.to_owned()), Value::Integer),
    }
}

/// The completed years of a duration such as `P3Y6M` or `P10D`.
fn years(text: &str) -> Option<i64> {
    let date = text.trim().strip_prefix('P')?;
    let (date, time) = date.split_once('T').unwrap_or((date, ""));
    if (date.is_empty() && time.is_empty())
        || !time.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    {
        return None;
    }
    let (mut years, mut rest) = (0.0, date);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        let (unit, after) = rest[end..].split_at(rest[end..].chars().next()?.len_utf8());
        years += match unit {
            "Y" => number,
            "M" => number / 12.0,
            "W" => number * 7.0 / 365.2425,
            "D" => number / 365.2425,
            _ => return None,
        };
        rest = after;
    }
    // Twelve twelfths are a year, whatever the last binary digit says.
    (years < 1_000.0).then_some((years + 1e-9).floor() as i64)
}

/// Labels of the findings that are present, as the sentence of a note.
fn findings(packet: &Packet) -> Value {
    let mut text = String::new();
    let present = packet.phenotypic_features.iter().filter(|feature| !feature.excluded);
    for label in present.filter_map(|feature| feature.kind.as_ref()?.label.as_deref()) {
        let _ = write!(text, "{}{}", if text.is_empty() { "" } else { ". " }, label.trim());
    }
    if text.is_empty() { Value::Missing } else { Value::Text(text) }
}

/// Fills the value that a measurement is of.
fn measure(plan: &Plan, measurement: &Measurement, observed: &mut [Value], issues: &mut Vec<Issue>) {
    let Some(assay) = measurement.assay.as_ref().and_then(|assay| assay.id.as_deref()) else {
        return;
    };
    let assay = coding(assay);
    let code = assay.code.as_deref().unwrap_or_default();
    let Some(measured) = &measurement.value else { return };
    for (place, rule) in plan.values.iter().enumerate() {
        if !rule.codes.iter().any(|token| token.matches(assay.system.as_deref(), code)) {
            continue;
        }
        match reading(rule, &any(measured)) {
            Ok(None) => {}
            Ok(Some(Found::Number(number))) => observed[place] = Value::Real(number),
            Ok(Some(Found::Text(text))) => observed[place] = Value::Text(text),
            Err(issue) => issues.push(issue),
        }
    }
}

/// A measurement's value in FHIR's form.
fn any(measured: &Measured) -> AnyValue {
    let quantity = measured.quantity.as_ref().map(|amount| Quantity {
        value: amount.value.clone(),
        comparator: None,
        unit: amount.unit.as_ref().and_then(|unit| unit.label.clone()),
        code: amount
            .unit
            .as_ref()
            .and_then(|unit| unit.id.as_deref())
            .map(|id| id.trim_start_matches("UCUM:").to_owned()),
    });
    let concept = measured
        .ontology_class
        .as_ref()
        .and_then(|term| term.id.as_deref())
        .map(|id| Concept { coding: vec![coding(id)], text: None });
    AnyValue { value_quantity: quantity, value_codeable_concept: concept, ..AnyValue::default() }
}

/// `LOINC:8480-6` with the system's URI.
fn coding(curie: &str) -> Coding {
    let (system, code) = curie.split_once(':').unwrap_or(("", curie));
    let system = match system {
        "LOINC" => "http://loinc.org",
        "SCTID" | "SNOMED" | "SNOMEDCT" => "http://snomed.info/sct",
        other => other,
    };
    Coding { system: Some(system.to_owned()), code: Some(code.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::years;

    #[test]
    fn durations_are_completed_years() {
        for (text, expected) in [
            ("P27Y", 27),
            ("P3Y6M", 3),
            ("P11M30D", 0),
            ("P12M", 1),
            ("P24M", 2),
            ("P10D", 0),
            ("P60W", 1),
            ("P0D", 0),
            ("PT12H", 0),
            ("P5.5Y", 5),
            ("P1Y12M", 2),
        ] {
            assert_eq!(years(text), Some(expected), "{text}");
        }
        for text in ["", "P", "27Y", "PY", "P2", "P-1Y", "P1X", "Pñ", "P1YT-", "P9999Y"] {
            assert_eq!(years(text), None, "{text}");
        }
    }
}
