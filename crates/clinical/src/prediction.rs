//! What is answered about a patient, before it is put into words: codes and numbers only, so that one
//! stored answer can be shown in any language.

use serde::{Deserialize, Serialize};

use crate::note::Stance;
use crate::{Language, Rarity, Severity, orphanet};

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The most probable severity.
    pub severity: Severity,
    /// One per severity, in the study's order; they sum to 1.
    pub probabilities: Vec<f64>,
    /// `None` for people without disease.
    pub rarity: Option<Rarity>,
    pub probability_orphan: f64,
    /// The patient is reported as suspected orphan from this probability on.
    pub threshold: f64,
    /// Closest orphan diseases, most probable first.
    pub nearest: Vec<Nearest>,
    pub explanation: Explanation,
    pub warnings: Vec<Warning>,
    /// What was found in the case's note, most telling first, and nothing of its text; `None` without a note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Vec<NotePart>>,
}

/// Something in a note that moved the explained probability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotePart {
    /// Code of the term; `None`: the note's other wording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<String>,
    pub stance: Stance,
    /// How much lower the explained probability would be without it, -1..=1.
    pub effect: f64,
}

/// One orphan disease that resembles the patient.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Nearest {
    pub disease_code: String,
    pub name: String,
    pub probability: f64,
}

impl Nearest {
    /// Its name in a language, where one was brought in.
    pub fn name_in(&self, language: Language) -> &str {
        orphanet::brought_name(&self.disease_code, language).unwrap_or(&self.name)
    }

    /// How many people have it, in Orphanet's classes (`1-5 / 10 000`).
    pub fn prevalence(&self) -> Option<&'static str> {
        orphanet::prevalence_class(&self.disease_code)
    }
}

/// Which probability an explanation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Explained {
    Severity(Severity),
    Orphan,
}

/// Shapley values of one displayed probability: `base_value` plus all contributions equals it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    pub of: Explained,
    /// Mean of the explained probability over the training cohort.
    pub base_value: f64,
    /// One per feature, largest magnitude first.
    pub contributions: Vec<Contribution>,
}

/// The share of one feature.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Index into the study's features; their number stands for the note.
    pub feature: usize,
    /// In probability, -1..=1.
    pub value: f64,
}

/// What a doctor should know before relying on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// An orphan disease is suspected.
    OrphanSuspected,
    /// The model is less certain than the study wants an answer to be: it abstains.
    NotSure,
    /// The two most probable severities are close.
    CloseClasses,
    /// Few or no patients like this one were in the training cohort.
    UnusualPatient,
    /// The features cannot reach the study's targets, whatever the model.
    InputsInsufficient,
    /// The model did not pass its gates.
    GatesFailed,
}

/// Which model answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRef {
    pub version: String,
    pub dataset_version: u64,
}
