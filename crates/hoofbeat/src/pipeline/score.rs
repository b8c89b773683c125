//! Score: a registered model, opened and ready to answer.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use clinical::{Cell, Explained, ModelRef, Note, Patient, Prediction, Study, Warning};
use interop::{PredictorTableWriter, TableFormat};
use learn::model::Assessed;
use registry::Model as Registered;
use serve::ports::ModelError;

use super::promote::was_overridden;
use crate::deployment::Deployment;

/// A model with what the registry knows of it.
#[derive(Debug)]
pub struct Scorer {
    model: learn::Model,
    phrases: serve::Phrases,
    /// True of every answer of this model.
    standing_warnings: Vec<Warning>,
}

impl Scorer {
    /// Opens a model's bundle; every file must match its digest.
    pub fn open(deployment: &Deployment, registered: &Registered) -> Result<Scorer> {
        let model = learn::Model::open(&deployment.bundle_dir(registered), &registered.bundle_digest);
        let model = model.with_context(|| format!("model {} cannot be opened", registered.version))?;
        let mut scorer = Scorer::of(model);
        let evaluations = deployment.registry.evaluations(registered.version)?;
        if evaluations.first().is_some_and(|latest| latest.report["inputs"]["inputs"] == "insufficient") {
            scorer.standing_warnings.push(Warning::InputsInsufficient);
        }
        if was_overridden(registered) {
            scorer.standing_warnings.push(Warning::GatesFailed);
        }
        Ok(scorer)
    }

    /// A model that the registry knows nothing of yet: to be measured, not to be served.
    pub fn of(model: learn::Model) -> Scorer {
        let diseases = model.diseases().iter().map(String::as_str);
        let phrases = serve::Phrases::of(model.study(), diseases);
        Scorer { model, phrases, standing_warnings: Vec::new() }
    }

    pub fn study(&self) -> &Study {
        self.model.study()
    }

    pub fn model(&self) -> &learn::Model {
        &self.model
    }

    /// The probabilities of one possible patient.
    pub fn assess(&self, cell: Cell) -> Result<Assessed> {
        Ok(self.model.assess(&self.study().domain().levels(cell))?)
    }

    /// The complete answer.
    pub fn answer(
        &self,
        patient: &Patient,
        note: Option<&Note>,
        explain: Option<Explained>,
    ) -> Result<Prediction> {
        let mut prediction = self.model.answer(patient, note, explain)?;
        prediction.warnings.extend(&self.standing_warnings);
        Ok(prediction)
    }

    /// Writes one row per possible patient; answers their number.
    pub fn export(&self, path: &Path) -> Result<usize> {
        let study = self.study();
        let patients = study.domain().size().filter(|_| self.model.table().is_some());
        let patients = patients
            .context("the model answers from its trees, not from a table: there is nothing to export")?;
        let format = TableFormat::from_path(path)?;
        let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
        let mut table = PredictorTableWriter::create(format, Box::new(file), study)?;
        for cell in 0..patients {
            let assessed = self.assess(cell)?;
            let rarity = self.model.rarity(&assessed);
            table.push(cell, &assessed.probabilities, assessed.orphan, assessed.decided, rarity)?;
        }
        table.finish()?;
        Ok(patients)
    }
}

impl serve::ports::Model for Scorer {
    fn study(&self) -> &Study {
        self.model.study()
    }

    fn reference(&self) -> &ModelRef {
        self.model.reference()
    }

    fn phrases(&self) -> &serve::Phrases {
        &self.phrases
    }

    fn answer(
        &self,
        patient: &Patient,
        note: Option<&Note>,
        explain: Option<Explained>,
    ) -> Result<Prediction, ModelError> {
        Scorer::answer(self, patient, note, explain).map_err(|error| ModelError(format!("{error:#}")))
    }

    fn created_at(&self) -> &str {
        &self.model.manifest().created_at
    }
}
