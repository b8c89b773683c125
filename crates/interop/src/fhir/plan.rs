//! What is looked for in an export: the study's inputs by their LOINC codes and what the mapping says.

use clinical::{Input, Language, Study};

use crate::{
    FileError, Mapping,
    case_file::replaced,
    mapping::{CaseOf, FhirRules, From, ObservedValue, OutcomeRule, Token},
};

const LOINC: &str = "http://loinc.org";

/// What fills a column of a case made of resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    CaseId,
    PatientId,
    CaseDate,
    Gender,
    AgeYears,
    AgeDays,
    /// The code that decides, of the condition that decides.
    ConditionCode,
    ClinicalStatus,
    VerificationStatus,
    ConditionSeverity,
    ConditionRecorded,
    ConditionOnset,
    /// Whole days from onset to abatement, where it has ended.
    ConditionDays,
    EncounterClass,
    /// Labels of what was found, as a text.
    Findings,
    Extension(usize),
    Value(usize),
}

const OWN: [(&str, Source); 16] = [
    ("case_id", Source::CaseId),
    ("patient_id", Source::PatientId),
    ("recorded_at", Source::CaseDate),
    ("patient.id", Source::PatientId),
    ("patient.gender", Source::Gender),
    ("patient.age_years", Source::AgeYears),
    ("patient.age_days", Source::AgeDays),
    ("condition.code", Source::ConditionCode),
    ("condition.clinical_status", Source::ClinicalStatus),
    ("condition.verification_status", Source::VerificationStatus),
    ("condition.severity", Source::ConditionSeverity),
    ("condition.recorded", Source::ConditionRecorded),
    ("condition.onset", Source::ConditionOnset),
    ("condition.days", Source::ConditionDays),
    ("encounter.class", Source::EncounterClass),
    ("findings", Source::Findings),
];

/// The columns of an export and how each is filled.
pub(crate) struct Plan {
    pub(crate) rules: FhirRules,
    pub(crate) header: Vec<String>,
    pub(crate) sources: Vec<Source>,
    pub(crate) values: Vec<ObservedValue>,
    /// Values that only count from one time: systolic with diastolic. Every value is in one group.
    pub(crate) groups: Vec<Vec<usize>>,
    pub(crate) outcomes: Vec<OutcomeRule>,
    /// The header's column of each column that the mapping refers to.
    pub(crate) mapped: Vec<Option<usize>>,
    pub(crate) wants_conditions: bool,
}

impl Plan {
    /// # Errors
    /// A value of the mapping has no code, neither its own nor the study's.
    pub(crate) fn new(study: &Study, mapping: Option<&Mapping>) -> Result<Plan, FileError> {
        let rules =
            mapping.and_then(|mapping| mapping.fhir.as_ref()).unwrap_or_else(|| FhirRules::built_in());
        let mut columns: Vec<(String, Source)> = OWN.map(|(name, source)| (name.to_owned(), source)).to_vec();
        for (place, (name, _)) in rules.extensions.iter().enumerate() {
            columns.push((format!("patient.{name}"), Source::Extension(place)));
        }
        if let Some(note) =
            study.note().filter(|note| !mapping.is_some_and(|mapping| replaced(mapping, &note.name)))
        {
            columns.push((note.name.clone(), Source::Findings));
        }
        let mut values = Vec::new();
        for value in &rules.values {
            values.push(resolved(value.clone(), study.input(&value.name), rules)?);
        }
        let open = |input: &&Input| {
            let named = rules.values.iter().any(|value| value.name == input.name);
            !named && !mapping.is_some_and(|mapping| replaced(mapping, &input.name))
        };
        for input in study.inputs().iter().filter(open) {
            let Some(loinc) = &input.loinc else { continue };
            let own = rules.inputs.iter().find(|(code, _)| code == loinc).and_then(|(_, column)| {
                columns.iter().find(|(name, _)| name == column).map(|(_, source)| *source)
            });
            match own {
                Some(source) => columns.push((input.name.clone(), source)),
                None => values.push(resolved(ObservedValue::plain(&input.name), Some(input), rules)?),
            }
        }
        for (place, value) in values.iter().enumerate() {
            columns.push((value.name.clone(), Source::Value(place)));
        }
        let (header, sources): (Vec<String>, Vec<Source>) = columns.into_iter().unzip();
        let referred = |mapping: &Mapping| -> Vec<Option<usize>> {
            let place = |name: &String| header.iter().position(|column| column == name);
            mapping.columns.iter().map(|column| place(&column.name)).collect()
        };
        let mapped = mapping.map(referred).unwrap_or_default();
        let is_conditions = |place: &usize| header[*place].starts_with("condition.");
        let wants_conditions = rules.case == CaseOf::Condition || mapped.iter().flatten().any(is_conditions);
        Ok(Plan {
            groups: groups(study, mapping, &values),
            rules: rules.clone(),
            outcomes: mapping.map(|mapping| mapping.outcomes.clone()).unwrap_or_default(),
            header,
            sources,
            values,
            mapped,
            wants_conditions,
        })
    }

    /// A code as disease codes write it, else as FHIR's search does.
    pub(crate) fn disease_code(&self, system: Option<&str>, code: &str) -> String {
        match system {
            None => code.to_owned(),
            Some(system) => match self.rules.systems.iter().find(|(uri, _)| uri == system) {
                Some((_, name)) => format!("{name}:{code}"),
                None => format!("{system}|{code}"),
            },
        }
    }
}

/// A value with its codes and units, from the study where the mapping leaves them open.
fn resolved(
    mut value: ObservedValue,
    input: Option<&Input>,
    rules: &FhirRules,
) -> Result<ObservedValue, FileError> {
    if value.codes.is_empty() {
        let loinc = input.and_then(|input| input.loinc.as_ref());
        let code = loinc.ok_or_else(|| FileError::ValueWithoutCode(value.name.clone()))?;
        value.codes.push(Token { system: Some(LOINC.to_owned()), code: code.clone() });
    }
    if value.unit.is_empty() {
        let units = input.map(|input| Language::ALL.map(|language| input.unit.get(language).to_owned()));
        for unit in units.into_iter().flatten() {
            let ucum =
                rules.units.iter().filter(|(known, _)| *known == unit).flat_map(|(_, ucum)| ucum.clone());
            value.unit.extend(ucum);
            value.unit.push(unit);
        }
        if value.unit.is_empty() {
            value.unit.push(String::new());
        }
    }
    Ok(value)
}

/// Inputs of one feature are values of one moment, whether a value has an input's name or fills it by the mapping.
fn groups(study: &Study, mapping: Option<&Mapping>, values: &[ObservedValue]) -> Vec<Vec<usize>> {
    let feeding = |input: &Input| {
        let by_rule = mapping.and_then(|mapping| match &mapping.fields.get(&input.name)?.from {
            From::Columns(columns) if columns.len() == 1 => Some(mapping.columns[columns[0]].name.as_str()),
            _ => None,
        });
        let name = by_rule.unwrap_or(&input.name);
        values.iter().position(|value| value.name == name)
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for feature in study.features() {
        let members: Option<Vec<usize>> = study.inputs_of(feature).iter().map(feeding).collect();
        if let Some(members) = members.filter(|members| members.len() > 1) {
            groups.push(members);
        }
    }
    for value in 0..values.len() {
        if !groups.iter().any(|group| group.contains(&value)) {
            groups.push(vec![value]);
        }
    }
    groups
}
