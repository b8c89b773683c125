//! The XML form. Only the elements' names and nesting are relied on, not their order.

use std::io::{BufReader, Read};

use clinical::orphanet::{Dictionary, Disease, Finding, Prevalence};
use quick_xml::{Reader, events::Event};

use crate::FileError;

/// A text of one element, at most; Orphanet's longest are a few hundred bytes.
const TEXT_LIMIT: usize = 1 << 16;
/// Elements inside one another, at most.
const DEPTH_LIMIT: usize = 64;

pub(super) fn read(source: impl Read) -> Result<Dictionary, FileError> {
    let mut reader = Reader::from_reader(BufReader::new(source));
    let mut dictionary = Dictionary::default();
    let mut walk = Walk::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(damaged)? {
            Event::Start(element) => {
                let language = element.try_get_attribute("lang").map_err(damaged)?;
                let language = language.map(|value| String::from_utf8_lossy(&value.value).into_owned());
                walk.start(String::from_utf8_lossy(element.local_name().as_ref()).into_owned(), language)?;
            }
            Event::End(_) => {
                if let Some((code, disease)) = walk.end() {
                    dictionary.add(code, disease);
                }
            }
            Event::Text(text) => walk.text(&text.decode().map_err(damaged)?)?,
            Event::CData(text) => walk.text(&text.decode().map_err(damaged)?)?,
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(damaged)?;
                let name = reference.decode().map_err(damaged)?;
                walk.text(&character.map_or_else(|| named(&name).to_owned(), String::from))?;
            }
            Event::Eof if walk.path.is_empty() => return Ok(dictionary),
            Event::Eof => return Err(FileError::Truncated("XML")),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn damaged(problem: impl std::fmt::Display) -> FileError {
    FileError::Damaged { format: "XML", problem: problem.to_string() }
}

/// The entities of XML itself; a file's own ones are not expanded.
fn named(entity: &str) -> &'static str {
    match entity {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => "",
    }
}

/// Where the reader is, and what it has read of the disease that it is in.
#[derive(Default)]
struct Walk {
    path: Vec<String>,
    /// The path's length at the disease's own element.
    base: Option<usize>,
    language: Option<String>,
    text: String,
    code: Option<u32>,
    disease: Disease,
    reference: (String, String),
    prevalence: Estimate,
    finding: (String, String, String),
}

#[derive(Default)]
struct Estimate {
    kind: String,
    class: String,
    point: String,
    geography: String,
    validated: String,
}

impl Walk {
    fn start(&mut self, name: String, language: Option<String>) -> Result<(), FileError> {
        if self.path.len() >= DEPTH_LIMIT {
            return Err(damaged("its elements lie too deep in one another"));
        }
        if self.base.is_none() && name == "Disorder" {
            self.base = Some(self.path.len() + 1);
            self.code = None;
            self.disease = Disease::default();
        }
        self.path.push(name);
        self.language = language;
        self.text.clear();
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), FileError> {
        if self.text.len() + text.len() > TEXT_LIMIT {
            return Err(damaged("a text in it is too long"));
        }
        self.text.push_str(text);
        Ok(())
    }

    /// Ends an element; the disease, where it was its element.
    fn end(&mut self) -> Option<(u32, Disease)> {
        let ended = match self.base {
            Some(base) if base == self.path.len() => {
                self.base = None;
                self.code.take().map(|code| (code, std::mem::take(&mut self.disease)))
            }
            Some(base) => {
                let path: Vec<String> = self.path[base..].to_vec();
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                self.take(&path);
                None
            }
            None => None,
        };
        self.path.pop();
        self.text.clear();
        ended
    }

    /// Takes the text of an element, by its path inside the disease's.
    fn take(&mut self, path: &[&str]) {
        let text = self.text.trim().to_owned();
        match path {
            ["OrphaCode" | "OrphaNumber"] => self.code = text.parse().ok(),
            ["Name"] if !text.is_empty() => {
                let language = self.language.take().unwrap_or_else(|| "en".to_owned());
                self.disease.names.insert(language, text);
            }
            ["ExternalReferenceList", "ExternalReference", "Source"] => self.reference.0 = text,
            ["ExternalReferenceList", "ExternalReference", "Reference"] => self.reference.1 = text,
            ["ExternalReferenceList", "ExternalReference"] => {
                let (source, reference) = std::mem::take(&mut self.reference);
                if !source.is_empty() && !reference.is_empty() {
                    self.disease.references.entry(source).or_default().insert(reference);
                }
            }
            ["PrevalenceList", "Prevalence", rest @ ..] => self.estimate(rest, text),
            ["AverageAgeOfOnsetList", "AverageAgeOfOnset", "Name"] => push(&mut self.disease.onset, text),
            ["TypeOfInheritanceList", "TypeOfInheritance", "Name"] => {
                push(&mut self.disease.inheritance, text)
            }
            ["HPODisorderAssociationList", "HPODisorderAssociation", rest @ ..] => self.finding(rest, text),
            _ => {}
        }
    }

    fn estimate(&mut self, path: &[&str], text: String) {
        let estimate = &mut self.prevalence;
        match path {
            ["PrevalenceType", "Name"] => estimate.kind = text,
            ["PrevalenceClass", "Name"] => estimate.class = text,
            ["ValMoy"] => estimate.point = text,
            ["PrevalenceGeographic", "Name"] => estimate.geography = text,
            ["PrevalenceValidationStatus", "Name"] => estimate.validated = text,
            [] => {
                let Estimate { kind, class, point, geography, validated } = std::mem::take(estimate);
                if let Some(found) = prevalence(&kind, class, &point, geography, &validated) {
                    self.disease.estimate(found);
                }
            }
            _ => {}
        }
    }

    fn finding(&mut self, path: &[&str], text: String) {
        match path {
            ["HPO", "HPOId"] => self.finding.0 = text,
            ["HPO", "HPOTerm"] => self.finding.1 = text,
            ["HPOFrequency", "Name"] => self.finding.2 = text,
            [] => {
                let (code, label, frequency) = std::mem::take(&mut self.finding);
                if !code.is_empty() {
                    self.disease.findings.push(Finding { code, label, frequency });
                }
            }
            _ => {}
        }
    }
}

fn push(list: &mut Vec<String>, text: String) {
    if is_said(&text) && !list.contains(&text) {
        list.push(text);
    }
}

/// Orphanet writes in words that it does not know.
pub(super) fn is_said(text: &str) -> bool {
    !matches!(
        text,
        "" | "Unknown"
            | "No data available"
            | "Not yet documented"
            | "Not applicable"
            | "Desconocida"
            | "Desconocido"
            | "Sin datos disponibles"
            | "No aplicable"
            | "Aún no documentada"
    )
}

/// A validated point prevalence, where it is one.
pub(super) fn prevalence(
    kind: &str,
    class: String,
    point: &str,
    geography: String,
    validated: &str,
) -> Option<Prevalence> {
    let is_point = ["Point prevalence", "Prevalencia puntual"].contains(&kind);
    let is_valid = ["Validated", "Validado", "Validada"].contains(&validated);
    let per_100_000 = point.parse().ok().filter(|point: &f64| point.is_finite() && *point > 0.0);
    (is_point && is_valid && is_said(&class)).then_some(Prevalence { class, per_100_000, geography })
}
