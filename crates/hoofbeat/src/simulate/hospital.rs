//! Hospital: what people and machines do on a simulated day, by the program's own pipeline.
//!
//! Patients are answered from the champion's table and the answers go to the prediction log; outcomes come late and by
//! file, cases by source; a careless user reports. Nothing here knows more than a hospital would, but the truth that is
//! kept for the reviewer and the verdict.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use lake::predictions::PredictionLog;
use registry::{Act, NewFeedback, Replaces, Verdict};
use serve::Record;
use serve::ports::Model as _;
use time::Date;
use time::format_description::well_known::Rfc3339;

use super::world::{Arrival, SOURCES, Truth};
use crate::deployment::Deployment;
use crate::pipeline::asked::Asked;
use crate::pipeline::score::Scorer;
use crate::pipeline::sources::Origin;
use crate::pipeline::{ingest, outcome, promote, train};

/// Who reports wrong labels, and how many a day.
pub(super) const CARELESS: &str = "page:Mallory";
const REPORTS_A_DAY: usize = 60;
/// Columns of a case file.
const HEADER: &str = "case_id,patient_id,recorded_at,age_years,gender,blood_type,systolic_mmhg,diastolic_mmhg,\
                      exercise_days_per_month,severity,rarity,disease_code,confirmed_at\n";

/// A patient who was answered, or whose values were refused.
struct Seen {
    arrival: Arrival,
    /// The answer's identifier; none of refused values.
    prediction: Option<String>,
}

/// The hospital's side of a simulation.
pub(super) struct Hospital<'a> {
    deployment: &'a Deployment,
    log: PredictionLog,
    champion: Option<(u64, Scorer)>,
    /// What is true of those who were answered, by the answer's identifier.
    pub truths: HashMap<String, Truth>,
    /// Cases for the next exports, by the day on which they are known.
    waiting: BTreeMap<Date, Vec<Seen>>,
    exports: PathBuf,
    pub served: u64,
    pub refused: u64,
    pub reports: u64,
}

impl<'a> Hospital<'a> {
    pub(super) fn open(deployment: &'a Deployment) -> Result<Hospital<'a>> {
        let exports = deployment.data_dir.join("exports");
        std::fs::create_dir_all(&exports).with_context(|| format!("{} cannot be made", exports.display()))?;
        Ok(Hospital {
            log: PredictionLog::open(&deployment.data_dir.join("predictions"))?,
            champion: None,
            truths: HashMap::new(),
            waiting: BTreeMap::new(),
            exports,
            served: 0,
            refused: 0,
            reports: 0,
            deployment,
        })
    }

    /// The champion that answers now.
    pub(super) fn champion(&mut self) -> Result<&Scorer> {
        let registry = &self.deployment.registry;
        let epoch = registry.champion_epoch()?;
        let current = match self.champion.take() {
            Some((known, scorer)) if known == epoch => scorer,
            _ => {
                let champion = registry.champion()?.context("the hospital has no champion")?;
                Scorer::open(self.deployment, &champion.model)?
            }
        };
        Ok(&self.champion.insert((epoch, current)).1)
    }

    /// Answers a day's patients; the answers' identifiers. What the study refuses is not answered, as it would not be over
    /// any interface.
    pub(super) fn receive(&mut self, arrivals: Vec<Arrival>) -> Result<Vec<String>> {
        let at = self.deployment.now().format(&Rfc3339)?;
        let scorer = self.champion()?;
        let (mut records, mut answered, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for arrival in arrivals {
            let Some(patient) = arrival.patient(scorer.study()) else {
                others.push(arrival);
                continue;
            };
            let prediction = scorer.answer(&patient, None, None)?;
            let record = Record {
                at: Cow::Borrowed(&at),
                patient_id: Some(Cow::Owned(patient_id(&arrival))),
                model: Cow::Borrowed(scorer.reference()),
                values: Cow::Owned(patient),
                prediction: Cow::Owned(prediction),
            };
            records.push(record.to_bytes());
            answered.push(arrival);
        }
        let ids = self.log.append_all(&records).wait()?;
        self.served += ids.len() as u64;
        self.refused += others.len() as u64;
        let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
        for (id, arrival) in ids.iter().cloned().zip(answered) {
            self.truths.insert(id.clone(), arrival.truth.clone());
            if let Some(day) = arrival.confirmed_on {
                self.waiting.entry(day).or_default().push(Seen { arrival, prediction: Some(id) });
            }
        }
        for arrival in others {
            // A device's record goes out as it is, and does not wait for an outcome.
            let arrival = Arrival { confirmed_on: None, ..arrival };
            self.waiting.entry(arrival.day).or_default().push(Seen { arrival, prediction: None });
        }
        Ok(ids)
    }

    /// A user reports a wrong label for some of a day's answers.
    pub(super) fn report_carelessly(&mut self, day: Date, answered: &[String]) -> Result<()> {
        for (n, id) in answered.iter().take(REPORTS_A_DAY).enumerate() {
            let Some(truth) = self.truths.get(id) else { continue };
            let wrong = if truth.severity_code() == "acute" { "mild" } else { "acute" };
            let new = NewFeedback {
                prediction_id: id,
                verdict: Verdict::Wrong,
                severity: Some(wrong),
                rarity: Some("common"),
                disease_code: None,
                comment: None,
            };
            let key = format!("careless-{day}-{n}");
            let act = Act { key: &key, actor: CARELESS, reason: "", at: self.deployment.now() };
            self.deployment.registry.record_feedback(&new, &act)?;
            self.reports += 1;
        }
        Ok(())
    }

    /// Sends what was known before a day: outcomes of answers, and each source's cases.
    pub(super) fn export(&mut self, until: Date) -> Result<()> {
        let later = self.waiting.split_off(&until);
        let due: Vec<Seen> = std::mem::replace(&mut self.waiting, later).into_values().flatten().collect();
        let outcomes = due.iter().filter_map(outcome_row).collect::<String>();
        if !outcomes.is_empty() {
            let text = format!("prediction_id,severity,rarity,disease_code,confirmed_at\n{outcomes}");
            let file = self.write("outcomes.csv", &text)?;
            let added = outcome::add(self.deployment, &file, "ehr")?;
            if added.refused > 0 {
                bail!("{} outcomes were refused", added.refused);
            }
        }
        for (source, _) in SOURCES {
            let rows: Vec<&Seen> = due.iter().filter(|seen| seen.arrival.source == source).collect();
            if !rows.is_empty() {
                self.ingest(source, &rows)?;
            }
        }
        Ok(())
    }

    /// The cases of the years before.
    pub(super) fn begin(&self, history: Vec<Arrival>) -> Result<()> {
        let seen: Vec<Seen> = history.into_iter().map(|arrival| Seen { arrival, prediction: None }).collect();
        for (source, _) in SOURCES {
            let rows: Vec<&Seen> = seen.iter().filter(|seen| seen.arrival.source == source).collect();
            self.ingest(source, &rows)?;
        }
        Ok(())
    }

    fn ingest(&self, source: &str, rows: &[&Seen]) -> Result<()> {
        let text = HEADER.to_owned() + &rows.iter().map(|seen| case_row(seen)).collect::<String>();
        let file = self.write(&format!("{source}.csv"), &text)?;
        ingest::ingest(self.deployment, std::slice::from_ref(&file), &Origin::plain(source))?;
        Ok(std::fs::remove_file(&file)?)
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path: PathBuf = self.exports.join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(path)
    }

    /// Trains the first model and makes it the champion.
    pub(super) fn first_model(&self, seed: u64) -> Result<()> {
        let version = self.deployment.dataset_version(None)?;
        let asked = Asked { dataset_version: version, learner: None, trials: 0, seed, workers: None };
        let trained = train::train(self.deployment, asked)?;
        if !trained.gates_hold {
            bail!("the first model does not pass the study's gates: give more patients with --rows");
        }
        promote::promote(self.deployment, &trained.model, Replaces::Any, "first model")?;
        Ok(())
    }
}

fn patient_id(arrival: &Arrival) -> String {
    format!("p-{}", arrival.number)
}

fn outcome_row(seen: &Seen) -> Option<String> {
    let (id, truth) = (seen.prediction.as_ref()?, &seen.arrival.truth);
    let day = seen.arrival.confirmed_on?;
    let code = truth.code.as_deref().unwrap_or_default();
    Some(format!("{id},{},{},{code},{day}\n", truth.severity_code(), truth.rarity_code()))
}

fn case_row(seen: &Seen) -> String {
    let Seen { arrival, prediction } = seen;
    let [age, _, _, systolic, diastolic, exercise] = arrival.values;
    // The identifier that a review's case of the same answer would have: a case enters once.
    let id = match prediction {
        Some(id) => crate::pipeline::collect::case_id(id),
        None => format!("record-{}", arrival.number),
    };
    let mut row = format!("{id},{},{},{age},", patient_id(arrival), arrival.day);
    let (gender, blood) = (arrival.gender(), arrival.blood_type());
    // Writing to a text cannot fail.
    let _ = write!(row, "{gender},{blood},{systolic},{diastolic},{exercise},");
    let truth = &arrival.truth;
    let _ = match arrival.confirmed_on {
        Some(day) => {
            let code = truth.code.as_deref().unwrap_or_default();
            writeln!(row, "{},{},{code},{day}", truth.severity_code(), truth.rarity_code())
        }
        None => writeln!(row, ",,,"),
    };
    row
}
