//! A model: everything that a bundle holds, in types, and the answer that is made from it.

use std::collections::BTreeMap;
use std::path::Path;

use clinical::study::Learner;
use clinical::{
    Contribution, Explained, Explanation, ModelRef, Nearest, Note, NotePart, Patient, Prediction, Rarity,
    Severity, Study, Warning,
};
use prepare::Preprocessor;
use serde_json::Value;

use crate::bundle::{self, Bundle, Manifest, files};
use crate::combine::Combination;
use crate::crossfit::Fitted;
use crate::fewshot::{Embedding, Half, Network, NoveltyAlarm, Prototypes};
use crate::nearest::NearestTable;
use crate::noted::{self, Notes};
use crate::notes::{Evidence, NoteModel};
use crate::predict::{Columns, Direct, Estimator, Predictor, Table, sample_background};
use crate::probability::highest;
use crate::support::Support;
use crate::{Error, Matrix, Result};

/// Probability of `healthy` before the alarm takes it away, one f64 per possible patient.
const HEALTHY: &str = "healthy.bin.zst";
const SUPPORT: &str = "support.bin.zst";
/// The boosters' margins of the groups, f32, one row per possible patient: with them the few-shot half can follow
/// new cases without a booster.
const BOOSTED: &str = "boosted.bin.zst";
const NEAREST: &str = "nearest.bin.zst";
const PROFILES: &str = "few-shot/profiles.json";
const EMBEDDING: &str = "few-shot/embedding.safetensors";
const PROTOTYPES: &str = "few-shot/prototypes.safetensors";
const NOVELTY: &str = "few-shot/novelty.json";
/// Training cases per cell, for the direct form's explanations.
const BACKGROUND: &str = "background.json";
/// An answer is kept as JSON and must come back as it was given. Fifteen decimals survive every reader; a seventeenth
/// digit does not.
const DECIMALS: f64 = 1e15;
/// A gap between the two most probable severities below this is worth a warning.
const CLOSE: f64 = 0.10;

/// What a finished training run hands over.
#[derive(Debug)]
pub struct Parts<'a> {
    pub version: String,
    /// RFC 3339.
    pub created_at: String,
    pub dataset_version: u64,
    /// Where the model comes from, by name: run, seed, learner.
    pub lineage: BTreeMap<String, String>,
    pub study: &'a Study,
    pub preprocessor: &'a Preprocessor,
    pub fitted: &'a Fitted,
    /// What notes say, where the study asks for them.
    pub notes: Option<&'a NoteModel>,
    /// Training cases per cell.
    pub weights: &'a [(usize, f64)],
    /// What the run says of itself: data, split, calibration.
    pub record: &'a Value,
    pub seed: u64,
}

/// An opened model.
#[derive(Debug, Clone)]
pub struct Model {
    manifest: Manifest,
    reference: ModelRef,
    study: Study,
    preprocessor: Preprocessor,
    combination: Combination,
    predictor: Predictor,
    /// Empty in the direct form.
    healthy: Vec<f64>,
    support: Option<Support>,
    nearest: Option<NearestTable>,
    /// What the diseases of `nearest` are called, by position.
    names: Vec<String>,
    notes: Option<Notes>,
}

/// The probabilities of one patient, as shown and as they were before the alarm.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessed {
    /// Shown, one per severity.
    pub probabilities: Vec<f64>,
    pub before_alarm: Vec<f64>,
    pub orphan: f64,
    pub alarm: bool,
    /// The most probable severity as shown; the first one on a tie.
    pub decided: Severity,
    /// The model is not sure enough of it to answer.
    pub unsure: bool,
}

impl Assessed {
    /// The most probable severity before the alarm takes `healthy` away; the first one on a tie.
    pub fn decided_before_alarm(&self) -> Severity {
        most_probable(&self.before_alarm)
    }
}

/// A model's bundle, in no folder yet.
///
/// # Errors
/// When the parts do not fit each other.
pub fn bundle(parts: &Parts<'_>) -> Result<Bundle> {
    let (study, fitted) = (parts.study, parts.fitted);
    let mut contents = BTreeMap::new();
    let mut put = |name: &str, bytes: Vec<u8>| contents.insert(name.to_owned(), bytes);
    put(files::STUDY, study.source().as_bytes().to_vec());
    put(files::PREPROCESSOR, json(files::PREPROCESSOR, parts.preprocessor)?);
    put(files::CALIBRATION, json(files::CALIBRATION, &fitted.combination)?);
    let curve = serde_json::json!({ "training": parts.record, "alarm_curve": fitted.curve });
    put(files::REPORT, json(files::REPORT, &curve)?);
    for (member, model) in fitted.members.iter().enumerate() {
        put(&files::model(member, fitted.learner), model.model.clone());
    }
    contents.extend(half_files(&fitted.half)?);
    if fitted.answers.rows() > 0 {
        let without = fitted.answers_without_alarm.iter_rows();
        let healthy: Vec<f64> = without.map(|row| row[study.healthy().index()]).collect();
        let tabulated = Tabulated { answers: &fitted.answers, healthy: &healthy, nearest: &fitted.nearest };
        contents.extend(tabulated.files(study, parts.weights)?);
        let mut put = |name: &str, bytes: Vec<u8>| contents.insert(name.to_owned(), bytes);
        put(SUPPORT, compress(SUPPORT, Support::of(study, parts.weights).to_bytes())?);
        let boosted: Vec<u8> = fitted.boosted.as_slice().iter().flat_map(|m| m.to_le_bytes()).collect();
        put(BOOSTED, compress(BOOSTED, &boosted)?);
    } else {
        let background = sample_background(parts.weights, study.predictor.background, parts.seed);
        contents.insert(BACKGROUND.to_owned(), json(BACKGROUND, &background)?);
    }
    if let Some(notes) = parts.notes {
        noted::files(notes, &fitted.orphan_shares, &mut contents)?;
    }
    let manifest = Manifest {
        format: bundle::FORMAT,
        version: parts.version.clone(),
        created_at: parts.created_at.clone(),
        study: study.digest(),
        dataset_version: parts.dataset_version,
        lineage: parts.lineage.clone(),
        files: BTreeMap::new(),
    };
    Bundle::new(manifest, contents)
}

/// Writes a model's bundle; answers its digest.
///
/// # Errors
/// As [`bundle`], and when the folder exists or the disk fails: then nothing is left behind.
pub fn write(folder: &Path, parts: &Parts<'_>) -> Result<String> {
    bundle(parts)?.write(folder)
}

/// The members' model files, in the order of the folds.
///
/// # Errors
/// When the bundle names a file that it does not hold.
pub fn members(bundle: &Bundle) -> Result<Vec<Vec<u8>>> {
    let mut members = Vec::new();
    while let Some((_, name)) = member(bundle, members.len()) {
        members.push(bundle.file(&name)?.to_vec());
    }
    Ok(members)
}

/// The answers to every possible patient, and what is told beside them, row by row the same patients.
pub(crate) struct Tabulated<'a> {
    /// Displayed probabilities, `cells x outputs`.
    pub(crate) answers: &'a Matrix<f64>,
    /// Probability of `healthy` without the alarm.
    pub(crate) healthy: &'a [f64],
    pub(crate) nearest: &'a NearestTable,
}

impl Tabulated<'_> {
    /// Their files in a bundle. `weights`: cases per cell of the cohort that explanations compare with.
    pub(crate) fn files(&self, study: &Study, weights: &[(usize, f64)]) -> Result<[(String, Vec<u8>); 3]> {
        let beside = || {
            let healthy: Vec<u8> = self.healthy.iter().flat_map(|p| p.to_le_bytes()).collect();
            Ok((compress(HEALTHY, &healthy)?, compress(NEAREST, &self.nearest.to_bytes()?)?))
        };
        std::thread::scope(|scope| {
            let beside = scope.spawn(beside);
            let table = Table::build(study.domain().dims(), self.answers, weights)?.to_bytes()?;
            let beside: Result<_> =
                beside.join().unwrap_or_else(|_| Err(Error::Invalid("a thread failed".into())));
            let (healthy, nearest) = beside?;
            Ok([
                (files::TABLE.to_owned(), table),
                (HEALTHY.to_owned(), healthy),
                (NEAREST.to_owned(), nearest),
            ])
        })
    }
}

/// The few-shot half's files in a bundle.
pub(crate) fn half_files(half: &Half) -> Result<Vec<(String, Vec<u8>)>> {
    let mut kept = vec![(PROFILES.to_owned(), json(PROFILES, &half.profiles)?)];
    if let Some(network) = &half.network {
        kept.push((EMBEDDING.to_owned(), network.embedding.to_bytes()?));
        kept.push((PROTOTYPES.to_owned(), network.prototypes.to_bytes()?));
        kept.push((NOVELTY.to_owned(), json(NOVELTY, &network.novelty)?));
    }
    Ok(kept)
}

impl Model {
    /// Opens a bundle and verifies every file against the digest that the registry recorded.
    ///
    /// # Errors
    /// A file is missing, changed, or not what it should be; the error names it.
    pub fn open(folder: &Path, recorded: &str) -> Result<Model> {
        Model::of(&Bundle::open_recorded(folder, recorded)?)
    }

    /// The model that a verified bundle holds.
    ///
    /// # Errors
    /// A file is missing or not what it should be; the error names it.
    pub fn of(bundle: &Bundle) -> Result<Model> {
        let study = study(bundle)?;
        let preprocessor: Preprocessor = bundle.json(files::PREPROCESSOR)?;
        let combination: Combination = bundle.json(files::CALIBRATION)?;
        let tabulated = bundle.manifest.files.contains_key(files::TABLE);
        let predictor = match tabulated {
            true => Predictor::Tabulated(Table::from_bytes(bundle.file(files::TABLE)?)?),
            false => Predictor::Direct(Box::new(direct(bundle, &study, &preprocessor, &combination)?)),
        };
        if predictor.dims() != study.domain().dims() {
            return Err(Error::Invalid("the bundle's predictor does not fit its study".into()));
        }
        let (mut healthy, mut support, mut nearest) = (Vec::new(), None, None);
        if tabulated {
            let bytes = decompress(HEALTHY, bundle.file(HEALTHY)?)?;
            healthy = bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
            support = Some(Support::from_bytes(&decompress(SUPPORT, bundle.file(SUPPORT)?)?));
            let patients = study.domain().size().unwrap_or_default();
            let bytes = decompress(NEAREST, bundle.file(NEAREST)?)?;
            nearest = Some(NearestTable::from_bytes(&bytes, patients)?);
        }
        let reference = ModelRef {
            version: bundle.manifest.version.clone(),
            dataset_version: bundle.manifest.dataset_version,
        };
        let notes = Notes::open(bundle, &study, tabulated)?;
        let names = nearest.iter().flat_map(NearestTable::codes).map(|code| name_of(code)).collect();
        Ok(Model {
            manifest: bundle.manifest.clone(),
            reference,
            study,
            preprocessor,
            combination,
            predictor,
            healthy,
            support,
            nearest,
            names,
            notes,
        })
    }

    /// Codes of the orphan diseases that its table can name; none in the direct form.
    pub fn diseases(&self) -> &[String] {
        self.nearest.as_ref().map_or(&[], NearestTable::codes)
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn reference(&self) -> &ModelRef {
        &self.reference
    }

    pub fn study(&self) -> &Study {
        &self.study
    }

    pub fn preprocessor(&self) -> &Preprocessor {
        &self.preprocessor
    }

    /// The table, where the model has one.
    pub fn table(&self) -> Option<&Table> {
        match &self.predictor {
            Predictor::Tabulated(table) => Some(table),
            Predictor::Direct(_) => None,
        }
    }

    /// From this orphan probability on a patient is reported as suspected orphan. Above 1 when the model
    /// never alarms (no orphan cases, or too few to keep the promise).
    pub fn threshold(&self) -> f64 {
        self.combination.alarm.threshold.unwrap_or(f64::INFINITY)
    }

    /// The probabilities of a patient with these levels.
    ///
    /// # Errors
    /// When a level is out of its feature's range.
    pub fn assess(&self, levels: &[usize]) -> Result<Assessed> {
        let mut probabilities = self.predictor.predict(levels)?;
        let orphan = probabilities.pop().unwrap_or_default();
        let alarm = self.combination.alarmed(orphan);
        let before_alarm = match (&self.predictor, alarm) {
            (_, false) => probabilities.clone(),
            (Predictor::Direct(direct), true) => {
                let mut before = direct.predict_without_alarm(levels)?;
                before.truncate(probabilities.len());
                before
            }
            (Predictor::Tabulated(_), true) => self.with_healthy(levels, &probabilities),
        };
        let decided = most_probable(&probabilities);
        let unsure = self.unsure(&probabilities, alarm);
        let (probabilities, orphan) = (probabilities.into_iter().map(lasting).collect(), lasting(orphan));
        Ok(Assessed { probabilities, before_alarm, orphan, alarm, decided, unsure })
    }

    /// Whether there is an alarm and which severity is shown, of an entry of the table: the severities' shown
    /// probabilities, then the orphan probability.
    pub(crate) fn verdict(&self, shown: &[f64]) -> (bool, Severity) {
        let (orphan, severities) = shown.split_last().unwrap_or((&0.0, &[]));
        (self.combination.alarmed(*orphan), most_probable(severities))
    }

    fn unsure(&self, severities: &[f64], alarm: bool) -> bool {
        self.combination.abstention.is_some_and(|abstention| abstention.abstains(severities, alarm))
    }

    /// Undoes the alarm's renormalisation: `healthy` gets its probability back, the others their share of the rest.
    fn with_healthy(&self, levels: &[usize], shown: &[f64]) -> Vec<f64> {
        let cell = self.study.domain().cell(levels);
        let healthy = self.healthy.get(cell).copied().unwrap_or_default();
        let mut before: Vec<f64> = shown.iter().map(|p| p * (1.0 - healthy)).collect();
        if let Some(place) = before.get_mut(self.study.healthy().index()) {
            *place = healthy;
        }
        before
    }

    /// As [`Model::assess`], for a patient with a note.
    ///
    /// # Errors
    /// When a level is out of its feature's range.
    pub fn assess_noted(&self, levels: &[usize], note: &Note) -> Result<Assessed> {
        let plain = self.assess(levels)?;
        match &self.notes {
            Some(notes) => self.moved(levels, &plain, &notes.hear(note)),
            None => Ok(plain),
        }
    }

    /// The structured assessment moved by a note; the alarm and all that follows from it are as without one.
    fn moved(&self, levels: &[usize], plain: &Assessed, evidence: &Evidence) -> Result<Assessed> {
        if evidence.log_ratios.iter().all(|ratio| *ratio == 0.0) {
            return Ok(plain.clone());
        }
        let direct;
        let cell = self.study.domain().cell(levels);
        let shares = match (&self.predictor, self.notes.as_ref().and_then(|notes| notes.shares(cell))) {
            (_, Some(stored)) => stored,
            (Predictor::Direct(predictor), None) => {
                direct = predictor.orphan_shares(levels)?;
                direct.as_slice()
            }
            (Predictor::Tabulated(_), None) => &[],
        };
        let (before_alarm, orphan) = noted::moved(&plain.before_alarm, shares, evidence);
        let alarm = self.combination.alarmed(orphan);
        let mut probabilities = before_alarm.clone();
        if alarm {
            self.combination.without_healthy(&mut probabilities);
        }
        let decided = most_probable(&probabilities);
        let unsure = self.unsure(&probabilities, alarm);
        let (probabilities, orphan) = (probabilities.into_iter().map(lasting).collect(), lasting(orphan));
        Ok(Assessed { probabilities, before_alarm, orphan, alarm, decided, unsure })
    }

    /// The complete answer for an accepted patient, with a note where there is one. `explain`: the probability to
    /// explain, the decided severity's when `None`. The note's contribution is its step on top of the structured answer.
    ///
    /// # Errors
    /// When the patient was accepted by another study.
    pub fn answer(
        &self,
        patient: &Patient,
        note: Option<&Note>,
        explain: Option<Explained>,
    ) -> Result<Prediction> {
        let levels = self.study.levels(patient);
        let plain = self.assess(&levels)?;
        let note = note.filter(|_| self.study.note().is_some());
        let evidence = note.zip(self.notes.as_ref()).map(|(note, notes)| notes.hear(note));
        let assessed = match &evidence {
            Some(evidence) => self.moved(&levels, &plain, evidence)?,
            None => plain.clone(),
        };
        let rarity = self.rarity(&assessed);
        let of = explain.unwrap_or(Explained::Severity(assessed.decided));
        let mut explanation = self.explain(&levels, of)?;
        let mut parts = None;
        if note.is_some() {
            let shown = explained(&assessed, of);
            let value = lasting(shown - explained(&plain, of));
            let step = Contribution { feature: self.study.features().len(), value };
            explanation.contributions.push(step);
            sort(&mut explanation.contributions);
            let value = |evidence: &Evidence| Ok(explained(&self.moved(&levels, &plain, evidence)?, of));
            parts = Some(match &evidence {
                Some(evidence) => noted::parts(evidence, shown, value)?,
                None => Vec::<NotePart>::new(),
            });
        }
        let warnings = self.warnings(&levels, &assessed);
        Ok(Prediction {
            severity: assessed.decided,
            probability_orphan: assessed.orphan,
            threshold: lasting(self.threshold().min(1.0)),
            rarity,
            nearest: self.nearest(&levels, assessed.orphan)?,
            probabilities: assessed.probabilities,
            explanation,
            warnings,
            note: parts,
        })
    }

    /// The orphan diseases that the patient resembles most, each with the probability that the patient has it.
    fn nearest(&self, levels: &[usize], orphan: f64) -> Result<Vec<Nearest>> {
        let named = |disease_code: String, name: String, given_orphan: f64| Nearest {
            disease_code,
            name,
            probability: lasting(given_orphan * orphan),
        };
        Ok(match (&self.predictor, &self.nearest) {
            (Predictor::Direct(direct), _) => {
                let nearest = direct.nearest(levels)?.into_iter();
                nearest.map(|(code, p)| named(code.clone(), name_of(&code), p)).collect()
            }
            (Predictor::Tabulated(_), Some(table)) => {
                let nearest = table.positions(self.study.domain().cell(levels));
                nearest.map(|(at, p)| named(table.codes()[at].clone(), self.names[at].clone(), p)).collect()
            }
            (Predictor::Tabulated(_), None) => Vec::new(),
        })
    }

    /// Orphan on an alarm, none for people without disease, else common.
    pub fn rarity(&self, assessed: &Assessed) -> Option<Rarity> {
        match (assessed.alarm, assessed.decided == self.study.healthy()) {
            (true, _) => Some(Rarity::Orphan),
            (false, true) => None,
            (false, false) => Some(Rarity::Common),
        }
    }

    fn explain(&self, levels: &[usize], of: Explained) -> Result<Explanation> {
        let output = match of {
            Explained::Severity(severity) => severity.index(),
            Explained::Orphan => self.study.severities().len(),
        };
        let explained = self.predictor.explain(levels, output)?;
        let mut contributions: Vec<Contribution> = explained
            .contributions
            .iter()
            .enumerate()
            .map(|(feature, &value)| Contribution { feature, value: lasting(value) })
            .collect();
        sort(&mut contributions);
        Ok(Explanation { of, base_value: lasting(explained.base), contributions })
    }

    fn warnings(&self, levels: &[usize], assessed: &Assessed) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if assessed.alarm {
            warnings.push(Warning::OrphanSuspected);
        }
        if assessed.unsure {
            warnings.push(Warning::NotSure);
        }
        let mut sorted = assessed.probabilities.clone();
        sorted.sort_by(|a, b| b.total_cmp(a));
        if let [first, second, ..] = sorted.as_slice()
            && first - second < CLOSE
        {
            warnings.push(Warning::CloseClasses);
        }
        let cell = self.study.domain().cell(levels);
        if self.support.as_ref().is_some_and(|support| !support.usual(cell)) {
            warnings.push(Warning::UnusualPatient);
        }
        warnings
    }
}

/// A probability, or a difference of two, to [`DECIMALS`].
pub(crate) fn lasting(p: f64) -> f64 {
    (p * DECIMALS).round() / DECIMALS
}

/// What a disease is called; its code where no name is known.
fn name_of(code: &str) -> String {
    clinical::orphanet::name(code).unwrap_or(code).to_owned()
}

/// Largest magnitude first.
fn sort(contributions: &mut [Contribution]) {
    contributions.sort_by(|a, b| b.value.abs().total_cmp(&a.value.abs()));
}

/// The probability that an explanation is about.
fn explained(assessed: &Assessed, of: Explained) -> f64 {
    match of {
        Explained::Orphan => assessed.orphan,
        Explained::Severity(severity) => {
            assessed.probabilities.get(severity.index()).copied().unwrap_or_default()
        }
    }
}

fn most_probable(probabilities: &[f64]) -> Severity {
    Severity(u8::try_from(highest(probabilities)).unwrap_or_default())
}

fn direct(
    bundle: &Bundle,
    study: &Study,
    preprocessor: &Preprocessor,
    combination: &Combination,
) -> Result<Direct> {
    let columns = Columns::of(study.domain().dims(), |levels| {
        let mut row = Vec::with_capacity(preprocessor.width());
        preprocessor.encode_into(levels, &mut row);
        row
    })?;
    let mut members = Vec::new();
    while let Some((learner, name)) = member(bundle, members.len()) {
        members.push(Estimator::read(learner, &name, bundle.file(&name)?)?);
    }
    let background: Vec<(usize, f64)> = bundle.json(BACKGROUND)?;
    let background =
        background.into_iter().map(|(cell, weight)| (study.domain().levels(cell), weight)).collect();
    Direct::new(columns, members, half(bundle)?, combination.clone(), background)
}

/// The study that a bundle carries.
pub(crate) fn study(bundle: &Bundle) -> Result<Study> {
    let text = std::str::from_utf8(bundle.file(files::STUDY)?);
    let text = text.map_err(|error| Error::malformed(files::STUDY, error))?;
    Study::parse(text).map_err(|error| Error::malformed(files::STUDY, error))
}

/// The boosters' margins of every possible patient; none in the direct form.
pub(crate) fn boosted(bundle: &Bundle, groups: usize) -> Result<Option<Matrix<f32>>> {
    if !bundle.manifest.files.contains_key(BOOSTED) {
        return Ok(None);
    }
    let bytes = decompress(BOOSTED, bundle.file(BOOSTED)?)?;
    let margins: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Matrix::from_vec(margins.len() / groups.max(1), groups, margins).map(Some)
}

/// The few-shot half as a bundle keeps it.
///
/// # Errors
/// When a file is missing or not what it should be.
pub fn half(bundle: &Bundle) -> Result<Half> {
    let network = match bundle.manifest.files.contains_key(EMBEDDING) {
        true => Some(Network {
            embedding: Embedding::from_bytes(bundle.file(EMBEDDING)?)?,
            prototypes: Prototypes::from_bytes(bundle.file(PROTOTYPES)?)?,
            novelty: bundle.json::<NoveltyAlarm>(NOVELTY)?,
        }),
        false => None,
    };
    Ok(Half { profiles: bundle.json(PROFILES)?, network })
}

/// Learner and file of a member, where there is one.
fn member(bundle: &Bundle, member: usize) -> Option<(Learner, String)> {
    let files = Learner::ALL.map(|learner| (learner, files::model(member, learner)));
    files.into_iter().find(|(_, file)| bundle.manifest.files.contains_key(file))
}

fn json<T: serde::Serialize>(name: &str, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| Error::malformed(name, error))
}

fn compress(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    // Level 3 takes twice as long for the same size.
    zstd::encode_all(bytes, 1).map_err(|error| Error::malformed(name, error))
}

fn decompress(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    zstd::decode_all(bytes).map_err(|error| Error::malformed(name, error))
}
