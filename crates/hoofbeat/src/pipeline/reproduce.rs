//! Reproduce: makes a model again from what its bundle pins, and compares the two bundles file by file.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clinical::Study;
use learn::answers::Answers;
use learn::bundle::{Bundle, files};
use learn::difference::{self, OutputChange};
use prepare::Cohort;
use registry::{Model, ModelVersion};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::train::{self, Identity, Order};
use super::{retrain, verify};
use crate::deployment::Deployment;

/// How many places of a JSON file are named where it differs.
const NAMED: usize = 12;

/// What came out of making a model again.
#[derive(Debug, Serialize)]
pub struct Reproduction {
    pub origin: Origin,
    /// Every file of both bundles.
    pub files: Vec<Compared>,
    /// Places of the manifest that differ, but for the digests of the files.
    pub manifest: Vec<Moved>,
    /// How far the answers are apart, where the table differs.
    pub answers: Option<AnswersApart>,
    /// Digest of the bundle as it was registered, and as it was made again.
    pub digests: [String; 2],
    /// Both digests are the same, and with them every byte.
    pub identical: bool,
}

/// What a model is made from.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Origin {
    Trained(Order),
    /// By `retrain`, from another model and the cases that it lacked.
    Revised {
        parent: ModelVersion,
        dataset_version: u64,
    },
}

/// One file of the two bundles.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub name: String,
    pub outcome: Outcome,
    /// The first places that differ, of a JSON file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<Moved>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Same,
    Differs,
    /// Only the registered bundle has it.
    Missing,
    /// Only the bundle that was made again has it.
    New,
}

/// A place of a JSON document that differs.
#[derive(Debug, PartialEq, Serialize)]
pub struct Moved {
    /// JSON pointer (RFC 6901).
    pub place: String,
    pub registered: Value,
    pub made: Value,
}

/// How far two tables are apart.
#[derive(Debug, Serialize)]
pub struct AnswersApart {
    /// Possible patients, and people of the dataset version, whose shown status or alarm differs.
    pub patients: usize,
    pub people: u64,
    pub outputs: Vec<OutputChange>,
}

/// Trains again with the bundle's own study, dataset version and order, or takes the same cases again into the model
/// that it was made from; into a temporary folder, and registers nothing.
pub fn reproduce(deployment: &Deployment, model: &Model) -> Result<Reproduction> {
    let registered = deployment.bundle(model)?;
    let manifest = &registered.manifest;
    // Pinned: a bundle's bytes depend on these three and on nothing else that changes from one making to the next.
    let identity = Identity {
        version: manifest.version.clone(),
        created_at: manifest.created_at.clone(),
        run: manifest.lineage.get("run").cloned().unwrap_or_default(),
    };
    let place = Temporary::new(deployment);
    let revised = manifest.lineage.get("mode").is_some_and(|mode| mode == retrain::Mode::Orphan.name());
    let (origin, digest, cohort) = match manifest.lineage.get("parent").filter(|_| revised) {
        Some(parent) => {
            let champion = deployment.model(parent)?;
            let (bundle, cohort) =
                retrain::revise(deployment, &champion, manifest.dataset_version, &identity)?;
            let origin =
                Origin::Revised { parent: champion.version, dataset_version: manifest.dataset_version };
            (origin, bundle.write(&place.0)?, cohort)
        }
        None => {
            let text = std::str::from_utf8(registered.file(files::STUDY)?)?;
            let study = Study::parse(text).context("the study in the bundle is not valid")?;
            let order = train::order_of(&registered)?;
            let made = train::make(deployment, &study, &order)?;
            let digest = train::write(&place.0, &study, &made, &identity)?;
            (Origin::Trained(order), digest, made.into_cohort())
        }
    };
    let again = Bundle::open_recorded(&place.0, &digest)?;

    let files = compare_files(&registered, &again)?;
    let differs = |name: &str| files.iter().any(|file| file.name == name && file.outcome == Outcome::Differs);
    let answers = if differs(files::TABLE) || differs(files::CALIBRATION) {
        answers_apart(deployment, model, &place, &digest, &cohort)?
    } else {
        None
    };
    let mut without_files = [serde_json::to_value(manifest)?, serde_json::to_value(&again.manifest)?];
    without_files.iter_mut().for_each(|manifest| manifest["files"] = Value::Null);
    let identical = digest == model.bundle_digest;
    Ok(Reproduction {
        origin,
        files,
        manifest: moved(&without_files[0], &without_files[1]),
        answers,
        digests: [model.bundle_digest.clone(), digest],
        identical,
    })
}

fn compare_files(registered: &Bundle, again: &Bundle) -> Result<Vec<Compared>> {
    let (old, new) = (&registered.manifest.files, &again.manifest.files);
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let outcome = match (old.get(name), new.get(name)) {
                (Some(old), Some(new)) if old == new => Outcome::Same,
                (Some(_), Some(_)) => Outcome::Differs,
                (Some(_), None) => Outcome::Missing,
                (None, _) => Outcome::New,
            };
            let is_document = outcome == Outcome::Differs && name.ends_with(".json");
            let moved = match is_document {
                true => moved(&registered.json(name)?, &again.json(name)?),
                false => Vec::new(),
            };
            Ok(Compared { name: name.clone(), outcome, moved })
        })
        .collect()
}

fn answers_apart(
    deployment: &Deployment,
    model: &Model,
    place: &Temporary,
    digest: &str,
    cohort: &Cohort,
) -> Result<Option<AnswersApart>> {
    let old = learn::Model::open(&deployment.bundle_dir(model), &model.bundle_digest)?;
    let new = learn::Model::open(&place.0, digest)?;
    if old.table().is_none() || new.table().is_none() {
        return Ok(None);
    }
    let people = verify::people(new.study(), cohort)?;
    let found = difference::compare(&Answers::of(&old)?, &Answers::of(&new)?, &people)?;
    let (patients, people) = (found.changed.patients, found.changed.people);
    Ok(Some(AnswersApart { patients, people, outputs: found.outputs }))
}

/// The first places in which two documents differ, by pointer.
fn moved(registered: &Value, made: &Value) -> Vec<Moved> {
    let mut found = Vec::new();
    walk(registered, made, "", &mut found);
    found
}

fn walk(registered: &Value, made: &Value, place: &str, found: &mut Vec<Moved>) {
    if registered == made || found.len() == NAMED {
        return;
    }
    match (registered, made) {
        (Value::Object(old), Value::Object(new)) => {
            let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                let at = format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"));
                walk(
                    old.get(name).unwrap_or(&Value::Null),
                    new.get(name).unwrap_or(&Value::Null),
                    &at,
                    found,
                );
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            // The first item that differs stands for its list: a long one would leave no room for other places.
            if let Some(index) = (0..old.len()).find(|&index| old[index] != new[index]) {
                walk(&old[index], &new[index], &format!("{place}/{index}"), found);
            }
        }
        _ => found.push(Moved { place: place.to_owned(), registered: brief(registered), made: brief(made) }),
    }
}

/// Lists and objects by their size: a place is to be found, not printed whole.
fn brief(value: &Value) -> Value {
    match value {
        Value::Array(items) => format!("a list of {}", items.len()).into(),
        Value::Object(members) => format!("an object of {}", members.len()).into(),
        value => value.clone(),
    }
}

/// A folder of the data directory, where patients' counts may lie; removed with the value.
#[derive(Debug)]
struct Temporary(PathBuf);

impl Temporary {
    fn new(deployment: &Deployment) -> Temporary {
        Temporary(deployment.data_dir.join(format!(".reproduction-{}", Uuid::now_v7())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nothing was written where making the model failed.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_moved_is_named_by_its_pointer() {
        let old = json!({ "a": 1, "b": { "c/d": [1, 2, 3], "e": null }, "f": [1], "g": "same" });
        let new = json!({ "a": 1, "b": { "c/d": [1, 5, 3], "e": 0.5 }, "f": [1, 2], "g": "same", "h": {} });
        let place =
            |place: &str, registered: Value, made: Value| Moved { place: place.into(), registered, made };
        assert_eq!(
            moved(&old, &new),
            [
                place("/b/c~1d/1", json!(2), json!(5)),
                place("/b/e", json!(null), json!(0.5)),
                place("/f", json!("a list of 1"), json!("a list of 2")),
                place("/h", json!(null), json!("an object of 0")),
            ]
        );
        assert!(moved(&old, &old).is_empty());
        let list = |n: u32| Value::from((0..100).map(|i| i * n).collect::<Vec<_>>());
        assert_eq!(moved(&list(1), &list(2)), [place("/1", json!(1), json!(2))]);
        let many = |n: u32| Value::from_iter((0..100).map(|i| (i.to_string(), Value::from(n))));
        assert_eq!(moved(&many(1), &many(2)).len(), NAMED);
    }
}
