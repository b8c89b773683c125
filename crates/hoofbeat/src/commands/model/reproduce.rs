//! `hoofbeat model reproduce`: the same model again, or what moved.

use anyhow::Result;
use registry::Model;
use serde_json::json;

use crate::cli::Global;
use crate::deployment::Deployment;
use crate::output::{self, Done};
use crate::pipeline::reproduce::{self, AnswersApart, Moved, Origin, Outcome, Reproduction};

/// Exit status 3 when the model that was made again differs in any byte.
pub(super) fn run(global: &Global, deployment: &Deployment, model: &Model) -> Result<Done> {
    let found = reproduce::reproduce(deployment, model)?;
    let value = json!({ "model": model.version, "identical": found.identical, "reproduction": found });
    output::print(global.json, &value, || text(model, &found))?;
    Ok(Done::held(found.identical))
}

fn text(model: &Model, found: &Reproduction) -> String {
    let made = match &found.origin {
        Origin::Trained(order) => {
            format!("from dataset version {} with seed {}", order.dataset_version, order.seed)
        }
        Origin::Revised { parent, dataset_version } => {
            format!("from {parent} and the orphan cases that came until dataset version {dataset_version}")
        }
    };
    let made = format!("{} made again {made}", model.version);
    let [registered, again] = &found.digests;
    if found.identical {
        let files = found.files.len();
        return format!("{made}: identical, {files} files, byte for byte\n  digest {registered}\n");
    }
    let mut text =
        format!("{made}: NOT IDENTICAL\n  digest registered {registered}\n  digest made again {again}\n");
    for file in &found.files {
        let word = match file.outcome {
            Outcome::Same => "same",
            Outcome::Differs => "DIFFERS",
            Outcome::Missing => "MISSING",
            Outcome::New => "NEW",
        };
        text += &format!("  {word:<8} {}\n", file.name);
        text += &file.moved.iter().map(moved).collect::<String>();
        if file.moved.iter().any(|moved| moved.place == "/training/cohort") {
            text += "           the dataset version holds other cases than when the model was made\n";
        }
    }
    if !found.manifest.is_empty() {
        text += "  DIFFERS  manifest.json\n";
        text += &found.manifest.iter().map(moved).collect::<String>();
    }
    if let Some(apart) = &found.answers {
        text += &answers(apart);
    }
    text
}

fn moved(moved: &Moved) -> String {
    format!("           {}: {} was, {} is\n", moved.place, moved.registered, moved.made)
}

fn answers(apart: &AnswersApart) -> String {
    let mut text = format!(
        "the answers: another status or alarm for {} possible patients, {} people of the dataset version\n",
        apart.patients, apart.people
    );
    for change in &apart.outputs {
        text += &format!(
            "  p({}) moves by {:.2e} on average over the possible patients, {:.2e} at most\n",
            change.output, change.mean_absolute_of_possible, change.largest
        );
    }
    text
}
