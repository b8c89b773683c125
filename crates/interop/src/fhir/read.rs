//! One resource -> what it says of its patient, or why it cannot be used.

use clinical::{Issue, IssueCode};
use serde::de::DeserializeOwned;

use super::{
    date,
    fact::{Diagnosis, Fact, Person, Reading, Visit, What},
    plan::Plan,
    reference::{self, Key},
    resource::{
        Coding, Concept, Condition, Contained, Encounter, Entry, Extension, Head, Leaf, Meta, Observation,
        Patient, Period, Reference,
    },
    value::reading,
};
use crate::{
    built::Place,
    mapping::{CaseOf, ObservedValue},
};

/// What became of one resource.
#[derive(Debug, PartialEq)]
pub(super) enum Read {
    /// It says this.
    Taken(Vec<(Key, Fact)>),
    /// It says nothing now, whatever an earlier version said.
    Withdrawn(Vec<(Key, Fact)>, &'static str),
    /// Of no interest; the type of resource.
    Ignored(String),
    Refused(Vec<Issue>),
}

/// Reads the resources of one export.
pub(super) struct Reader<'p> {
    pub(super) plan: &'p Plan,
    pub(super) place: Place,
    /// Two ids of one patient, where its `fullUrl` is not its id.
    pub(super) alias: Option<(Key, Key)>,
}

impl Reader<'_> {
    /// `entry`: the resource is wrapped in an entry of a Bundle.
    pub(super) fn read(&mut self, text: &str, entry: bool) -> Read {
        let kind = match entry {
            true => parse::<Entry<Head>>(text, "Bundle").map(|entry| entry.resource.unwrap_or_default()),
            false => parse::<Head>(text, "row"),
        };
        let kind = match kind {
            Err(issue) => return Read::Refused(vec![issue]),
            Ok(Head { resource_type: Leaf::Text(kind) }) => kind,
            // An entry may say what to delete, or what a server answered: no resource, nothing to read.
            Ok(Head { resource_type: Leaf::Missing }) if entry => return Read::Ignored("entry".to_owned()),
            Ok(_) => return Read::Refused(vec![missing("resourceType", "Patient, Observation …")]),
        };
        let read = match kind.as_str() {
            "Patient" => self.with(text, entry, &kind, Self::patient),
            "Observation" => self.with(text, entry, &kind, |reader, found, _| reader.observation(&found)),
            "Condition" if self.plan.wants_conditions => {
                self.with(text, entry, &kind, |reader, found, _| reader.condition(&found))
            }
            "Encounter" if self.plan.rules.case == CaseOf::Encounter => {
                self.with(text, entry, &kind, Self::encounter)
            }
            _ => return Read::Ignored(kind),
        };
        read.unwrap_or_else(Read::Refused)
    }

    fn with<R: DeserializeOwned>(
        &mut self,
        text: &str,
        entry: bool,
        kind: &str,
        read: impl FnOnce(&mut Self, R, Option<String>) -> Result<Read, Vec<Issue>>,
    ) -> Result<Read, Vec<Issue>> {
        if !entry {
            return read(self, parse(text, kind).map_err(|issue| vec![issue])?, None);
        }
        let Entry { full_url, resource } = parse::<Entry<R>>(text, kind).map_err(|issue| vec![issue])?;
        match resource {
            Some(resource) => read(self, resource, full_url),
            None => Ok(Read::Ignored("entry".to_owned())),
        }
    }

    fn patient(&mut self, patient: Patient, full_url: Option<String>) -> Result<Read, Vec<Issue>> {
        let named = full_url.as_deref().and_then(|url| reference::id("Patient", url));
        let own = patient.id.as_deref().filter(|id| !id.is_empty());
        let id = own.or(named).ok_or_else(|| vec![missing("Patient.id", "id")])?;
        let key = reference::key("Patient", id);
        if let Some(other) = named.filter(|named| *named != id) {
            self.alias = Some((reference::key("Patient", other), key));
        }
        let identifier = self.plan.rules.patient_identifier.as_ref().map(|system| {
            let found = patient.identifier.iter().find(|one| one.system.as_ref() == Some(system));
            found.and_then(|one| one.value.clone()).filter(|value| !value.trim().is_empty())
        });
        let id = match identifier {
            None => id.to_owned(),
            Some(Some(value)) => value,
            Some(None) => {
                return Err(vec![missing("Patient.identifier", "the mapping's patient_identifier")]);
            }
        };
        let (birth, birth_is_partial) = self.birth(patient.birth_date.as_deref())?;
        let extensions = self.plan.rules.extensions.iter();
        let extensions = extensions.map(|(_, url)| extension(&patient.extension, url)).collect();
        let person = Person { id, gender: patient.gender, birth, birth_is_partial, extensions };
        let resource = own.unwrap_or_default();
        Ok(Read::Taken(vec![(
            key,
            self.fact("Patient", Some(resource), patient.meta.as_ref(), What::Patient(person)),
        )]))
    }

    fn birth(&self, text: Option<&str>) -> Result<(Option<i64>, bool), Vec<Issue>> {
        let Some(text) = text else { return Ok((None, false)) };
        if date::parse(text).is_none() {
            return Err(vec![not_a_date("Patient.birthDate")]);
        }
        let birth = date::birth_day(text, self.plan.rules.birth_date_by_middle);
        Ok((birth, birth.is_none()))
    }

    fn observation(&mut self, found: &Observation) -> Result<Read, Vec<Issue>> {
        let own = [(found.code.as_ref(), &found.value)];
        let parts = found.component.iter().map(|component| (component.code.as_ref(), &component.value));
        let mut wanted = Vec::new();
        for (code, value) in own.into_iter().chain(parts) {
            for (place, rule) in self.plan.values.iter().enumerate() {
                if code.is_some_and(|code| code.coding.iter().any(|coding| is_one_of(rule, coding))) {
                    wanted.push((place, rule, value));
                }
            }
        }
        if wanted.is_empty() {
            return Ok(Read::Ignored("Observation of other codes".to_owned()));
        }
        let mut facts = Vec::new();
        let key = self.subject("Observation", found.subject.as_ref(), &found.contained, &mut facts)?;
        let status = found.status.as_deref().unwrap_or_default();
        let fact = |what| self.fact("Observation", found.id.as_deref(), found.meta.as_ref(), what);
        match status {
            "entered-in-error" | "cancelled" => {
                facts.push((key, fact(What::Nothing)));
                return Ok(Read::Withdrawn(facts, "Observation entered in error or cancelled"));
            }
            _ if self.plan.rules.observation_status.iter().all(|known| known != status) => {
                facts.push((key, fact(What::Nothing)));
                return Ok(Read::Withdrawn(facts, "Observation not final"));
            }
            _ => {}
        }
        let at = effective(found)?;
        let mut issues = Vec::new();
        for (place, rule, value) in wanted {
            if at.is_none() && !rule.lasting {
                issues.push(missing("Observation.effective", "effectiveDateTime"));
                continue;
            }
            match reading(rule, value) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    let value = u16::try_from(place).unwrap_or(u16::MAX);
                    facts.push((key, fact(What::Reading(Reading { value, at, found }))));
                }
                Err(issue) => issues.push(issue),
            }
        }
        // A newer version without a value replaces an older one with it.
        if facts.is_empty() {
            facts.push((key, fact(What::Nothing)));
        }
        if issues.is_empty() { Ok(Read::Taken(facts)) } else { Err(issues) }
    }

    fn condition(&mut self, found: &Condition) -> Result<Read, Vec<Issue>> {
        let mut facts = Vec::new();
        let key = self.subject("Condition", found.subject.as_ref(), &found.contained, &mut facts)?;
        let fact = |what| self.fact("Condition", found.id.as_deref(), found.meta.as_ref(), what);
        let verification = first_code(found.verification_status.as_ref());
        let status = verification.as_deref().unwrap_or_default();
        if ["entered-in-error", "refuted"].contains(&status) {
            facts.push((key, fact(What::Nothing)));
            return Ok(Read::Withdrawn(facts, "Condition refuted or entered in error"));
        }
        if self.plan.rules.verification_status.iter().all(|known| known != status) {
            facts.push((key, fact(What::Nothing)));
            return Ok(Read::Withdrawn(facts, "Condition not confirmed"));
        }
        let coded = found.code.iter().flat_map(|code| &code.coding);
        let codes: Vec<String> = coded
            .filter_map(|coding| {
                let code = coding.code.as_deref().filter(|code| !code.is_empty())?;
                Some(self.plan.disease_code(coding.system.as_deref(), code))
            })
            .collect();
        if codes.is_empty() {
            return Err(vec![missing("Condition.code", "code.coding.code")]);
        }
        let onset = found.onset_date_time.as_deref().or(period_start(found.onset_period.as_ref()));
        let abated = found.abatement_date_time.as_deref().or(period_end(found.abatement_period.as_ref()));
        let encounter = found.encounter.as_ref().and_then(|reference| reference.reference.as_deref());
        let diagnosis = Diagnosis {
            id: found.id.clone().unwrap_or_default(),
            encounter: encounter
                .and_then(|text| reference::id("Encounter", text))
                .map(|id| reference::key("Encounter", id)),
            codes,
            clinical: first_code(found.clinical_status.as_ref()),
            severity: found.severity.as_ref().and_then(|concept| concept.coding.first()).and_then(|coding| {
                Some(self.plan.disease_code(coding.system.as_deref(), coding.code.as_deref()?))
            }),
            verification,
            recorded: instant("Condition.recordedDate", found.recorded_date.as_deref())?,
            onset: instant("Condition.onset", onset)?,
            abated: instant("Condition.abatement", abated)?,
        };
        facts.push((key, fact(What::Condition(Box::new(diagnosis)))));
        Ok(Read::Taken(facts))
    }

    fn encounter(&mut self, found: Encounter, full_url: Option<String>) -> Result<Read, Vec<Issue>> {
        let mut facts = Vec::new();
        let key = self.subject("Encounter", found.subject.as_ref(), &found.contained, &mut facts)?;
        let fact = |what| self.fact("Encounter", found.id.as_deref(), found.meta.as_ref(), what);
        if ["entered-in-error", "cancelled", "planned"].contains(&found.status.as_deref().unwrap_or_default())
        {
            facts.push((key, fact(What::Nothing)));
            return Ok(Read::Withdrawn(facts, "Encounter planned, cancelled or entered in error"));
        }
        let named = full_url.as_deref().and_then(|url| reference::id("Encounter", url));
        let id = named.or(found.id.as_deref()).ok_or_else(|| vec![missing("Encounter.id", "id")])?;
        let visit = Visit {
            id: found.id.as_deref().unwrap_or(id).to_owned(),
            key: reference::key("Encounter", id),
            class: found.class.as_ref().and_then(|class| class.code.clone()),
            start: instant("Encounter.period", period_start(found.period.as_ref()))?,
            end: instant("Encounter.period", found.period.as_ref().and_then(|period| period.end.as_deref()))?,
        };
        if visit.start.or(visit.end).is_none() {
            return Err(vec![missing("Encounter.period", "period.start")]);
        }
        facts.push((key, fact(What::Encounter(visit))));
        Ok(Read::Taken(facts))
    }

    /// The patient that a resource is about; a contained one is a fact itself.
    fn subject(
        &self,
        kind: &str,
        subject: Option<&Reference>,
        contained: &[Contained],
        facts: &mut Vec<(Key, Fact)>,
    ) -> Result<Key, Vec<Issue>> {
        let field = format!("{kind}.subject");
        let text = subject.and_then(|subject| subject.reference.as_deref()).unwrap_or_default().trim();
        if let Some(id) = reference::id("Patient", text) {
            return Ok(reference::key("Patient", id));
        }
        let within = text.strip_prefix('#').filter(|id| !id.is_empty());
        let holder = within.and_then(|id| {
            contained.iter().find(|one| {
                let found = one.patient.id.as_ref().and_then(Leaf::text);
                one.resource_type.text() == Some("Patient")
                    && found.map(|own| own.trim_start_matches('#')) == Some(id)
            })
        });
        let (Some(id), Some(holder)) = (within, holder) else {
            return Err(vec![match text.is_empty() {
                true => missing(&field, "Patient/…, urn:uuid:…"),
                false => Issue::new(field, IssueCode::UnknownCode).expecting(
                    "Patient/…, urn:uuid:… o un Patient contenido",
                    "Patient/…, urn:uuid:… or a contained Patient",
                ),
            }]);
        };
        let key = reference::contained(self.place.file as usize, self.place.line, self.place.index, id);
        let (birth, birth_is_partial) =
            self.birth(holder.patient.birth_date.as_ref().and_then(Leaf::text))?;
        let person = Person {
            // Nobody else can refer to it: it is a patient of its own.
            id: format!("contained-{key:032x}"),
            gender: holder.patient.gender.as_ref().and_then(Leaf::written),
            birth,
            birth_is_partial,
            extensions: vec![None; self.plan.rules.extensions.len()],
        };
        facts.push((key, self.fact("Patient", None, None, What::Patient(person))));
        Ok(key)
    }

    fn fact(&self, kind: &str, id: Option<&str>, meta: Option<&Meta>, what: What) -> Fact {
        let updated = meta.and_then(|meta| meta.last_updated.as_deref()).and_then(date::parse);
        Fact {
            place: self.place,
            resource: id.filter(|id| !id.is_empty()).map_or(0, |id| reference::name(kind, id)),
            updated: updated.map_or(i64::MIN, |(micros, _)| micros),
            what,
        }
    }
}

/// The JSON of one resource; an error says where it is malformed and nothing of what it holds.
fn parse<T: DeserializeOwned>(text: &str, kind: &str) -> Result<T, Issue> {
    serde_json::from_str(text).map_err(|error| {
        let column = error.column();
        Issue::new(kind, IssueCode::WrongType).expecting(
            format!("un recurso FHIR R4 bien formado (carácter {column})"),
            format!("a well-formed FHIR R4 resource (character {column})"),
        )
    })
}

fn is_one_of(rule: &ObservedValue, coding: &Coding) -> bool {
    let code = coding.code.as_deref().unwrap_or_default();
    rule.codes.iter().any(|token| token.matches(coding.system.as_deref(), code))
}

/// When it was observed: the end of a period, the time of issue where nothing else is said.
fn effective(found: &Observation) -> Result<Option<i64>, Vec<Issue>> {
    let period = found.effective_period.as_ref();
    let text = found.effective_date_time.as_ref().or(found.effective_instant.as_ref());
    let text = text.map(String::as_str).or(period_end(period)).or(found.issued.as_deref());
    instant("Observation.effective", text)
}

fn period_end(period: Option<&Period>) -> Option<&str> {
    period.and_then(|period| period.end.as_deref().or(period.start.as_deref()))
}

fn period_start(period: Option<&Period>) -> Option<&str> {
    period.and_then(|period| period.start.as_deref())
}

fn instant(field: &str, text: Option<&str>) -> Result<Option<i64>, Vec<Issue>> {
    match text {
        None => Ok(None),
        Some(text) => {
            date::parse(text).map(|(micros, _)| Some(micros)).ok_or_else(|| vec![not_a_date(field)])
        }
    }
}

fn first_code(concept: Option<&Concept>) -> Option<String> {
    concept?.coding.iter().find_map(|coding| coding.code.clone())
}

/// The value of an extension, also of one inside another (`ombCategory` in US Core's race).
fn extension(all: &[Extension], url: &str) -> Option<String> {
    let one = |found: &Extension| {
        let primitive = [
            &found.value_string,
            &found.value_code,
            &found.value_integer,
            &found.value_decimal,
            &found.value_boolean,
            &found.value_date,
        ];
        let primitive = primitive.into_iter().flatten().find_map(Leaf::written);
        let coding = found.value_coding.as_ref();
        let coding =
            coding.or(found.value_codeable_concept.as_ref().and_then(|concept| concept.coding.first()));
        primitive.or_else(|| coding.and_then(|coding| coding.code.clone()))
    };
    let found = all.iter().find(|found| found.url.as_deref() == Some(url))?;
    one(found).or_else(|| found.extension.iter().find_map(one))
}

pub(super) fn missing(field: &str, expected: &str) -> Issue {
    Issue::new(field, IssueCode::Missing).expecting(expected, expected)
}

fn not_a_date(field: &str) -> Issue {
    Issue::new(field, IssueCode::WrongType)
        .expecting("una fecha FHIR de 1900 a 2100", "a FHIR date from 1900 to 2100")
}
